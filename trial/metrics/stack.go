package metrics

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"linktape/trial/stack"
)

// said is the last value of a sum.
type said struct {
	there bool
	at    int64
	value float64
}

type statKey struct{ side, link, name string }

// readStack reads the stack's own statistics, where there are any. Those read here
// mean the same in every stack: the round trip, and sums of packets from the
// stack's start.
func (a *analysis) readStack() error {
	a.said = make(map[statKey]said)
	a.stackRTT = make(map[string]*sample)
	n := make(map[*link][]float64)
	file := filepath.Join(a.dir, stackFile)
	for row, err := range rowsOf[stack.Row](file) {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		switch row.Name {
		case stack.SumRetransmitted, stack.SumReceived, stack.SumLost:
			a.said[statKey{row.Side, row.Link, row.Name}] = said{true, row.At, row.Value}
		case stack.RTT:
			l := a.byName[row.Link]
			if l == nil || math.IsNaN(row.Value) || row.Value < 0 || row.Value > 1e6 {
				continue
			}
			if a.in(row.At) {
				s := a.stackRTT[l.name]
				if s == nil {
					s = new(sample)
					a.stackRTT[l.name] = s
				}
				s.add(time.Duration(row.Value * 1e6))
			}
			if i := a.binOf(row.At); i >= 0 {
				if n[l] == nil {
					n[l] = make([]float64, a.bins)
				}
				if math.IsNaN(l.stackRTT[i]) {
					l.stackRTT[i] = 0
				}
				l.stackRTT[i] += row.Value
				n[l][i]++
			}
		}
	}
	for l, n := range n {
		for i := range n {
			if n[i] > 0 {
				l.stackRTT[i] /= n[i]
			}
		}
	}
	return nil
}

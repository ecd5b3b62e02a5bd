package trial

import (
	"fmt"
	"path/filepath"
	"time"

	"linktape/internal/table"
	"linktape/trial/media"
)

// Summary is what source and sink say of a trial, for datagrams that were sent after
// the warm-up and before the cool-down.
type Summary struct {
	Sent        int64         `json:"sent"`
	Received    int64         `json:"received"` // different datagrams that came at all
	Lost        int64         `json:"lost"`
	Duplicates  int64         `json:"duplicates"`
	OutOfOrder  int64         `json:"out_of_order"`
	Latency     Quantiles     `json:"latency"`
	LongestGap  time.Duration `json:"longest_gap_ns"`
	StartupLoss int64         `json:"startup_loss"` // datagrams lost before the first that came, of all
}

// Quantiles of durations.
type Quantiles struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Summarize reads a trial's folder.
func Summarize(dir string) (*Summary, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	from, to := int64(m.WarmUp), int64(m.Duration-m.CoolDown)
	within := func(sent int64) bool { return sent >= from && sent < to }
	s := new(Summary)
	for row, err := range table.Rows[media.SourceRow](filepath.Join(dir, SourceFile)) {
		if err != nil {
			return nil, err
		}
		if within(row.Sent) {
			s.Sent++
		}
	}
	var latency latencies
	var seen bits
	highest, last, first := int64(-1), int64(-1), int64(-1)
	for row, err := range table.Rows[media.SinkRow](filepath.Join(dir, SinkFile)) {
		if err != nil {
			return nil, err
		}
		if first < 0 || row.Seq < first {
			first = row.Seq
		}
		if !within(row.Sent) {
			continue
		}
		if row.Seq < 0 || row.Seq > mostDatagrams {
			return nil, fmt.Errorf("read %s: datagram %d: not of this trial", filepath.Join(dir, SinkFile), row.Seq)
		}
		if seen.put(row.Seq) {
			s.Duplicates++
			continue
		}
		s.Received++
		if row.Seq < highest {
			s.OutOfOrder++
		}
		highest = max(highest, row.Seq)
		latency.add(time.Duration(row.Arrived - row.Sent))
		if last >= 0 {
			s.LongestGap = max(s.LongestGap, time.Duration(row.Arrived-last))
		}
		last = row.Arrived
	}
	s.Lost, s.StartupLoss = s.Sent-s.Received, max(first, 0)
	s.Latency = latency.quantiles()
	return s, nil
}

// mostDatagrams bounds the numbers of datagrams: a month at 200 Mbit/s.
const mostDatagrams = 1 << 36

// bits is a set of numbers.
type bits []uint64

// put adds a number, and reports whether it was there.
func (b *bits) put(n int64) (there bool) {
	word, bit := int(n/64), uint64(1)<<(n%64)
	if word >= len(*b) {
		*b = append(*b, make([]uint64, word+1-len(*b))...)
	}
	there = (*b)[word]&bit != 0
	(*b)[word] |= bit
	return there
}

// latencies counts durations in steps of 10 µs, up to a minute: memory does not grow
// with a trial's length.
type latencies struct {
	counts []int64
	n      int64
	most   time.Duration
}

const (
	latencyStep = 10 * time.Microsecond
	latencySpan = time.Minute
)

func (l *latencies) add(d time.Duration) {
	at := int(min(max(d, 0), latencySpan) / latencyStep)
	if at >= len(l.counts) {
		l.counts = append(l.counts, make([]int64, at+1-len(l.counts))...)
	}
	l.counts[at]++
	l.n++
	l.most = max(l.most, d)
}

// quantiles are exact to the step; the maximum is exact.
func (l *latencies) quantiles() (q Quantiles) {
	if l.n == 0 {
		return q
	}
	for _, x := range []struct {
		part float64
		to   *time.Duration
	}{{.5, &q.P50}, {.95, &q.P95}, {.99, &q.P99}} {
		left := min(int64(x.part*float64(l.n)), l.n-1)
		for at, n := range l.counts {
			if left -= n; left < 0 {
				*x.to = time.Duration(at) * latencyStep
				break
			}
		}
	}
	q.Max = l.most
	return q
}

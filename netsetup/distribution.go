package netsetup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"linktape/trace"
)

// distEntries is the length of the tables that are made here: that of
// iproute2's. netem takes an entry by the remainder of a 32-bit random number
// (net/sched/sch_netem.c: tabledist), so that a power of 2 favours none.
const distEntries = 4096

// Names of the distributions that need no data; tc(8) has them as well.
const (
	Normal       = "normal"
	Pareto       = "pareto"
	ParetoNormal = "paretonormal"
)

// Distribution is the shape of a path's jitter or of its slots.
type Distribution struct {
	// Name is Normal (""), Pareto or ParetoNormal, or says where Table is from.
	Name string `json:"name,omitempty"`

	// Table holds quantiles in units of the jitter/NetemDistScale. Empty: that
	// of the name.
	Table []int16 `json:"table,omitempty"`
}

// table returns the distribution's table; nil for an unknown name.
func (d *Distribution) table() []int16 {
	switch {
	case len(d.Table) > 0:
		return d.Table
	case d.Name == "" || d.Name == Normal:
		return normalTable()
	case d.Name == Pareto:
		return paretoTable()
	case d.Name == ParetoNormal:
		return paretoNormalTable()
	}
	return nil
}

func (d *Distribution) name() string { return cmp.Or(d.Name, Normal) }

// distValue rounds a value in units of the jitter to a table's entry. Four
// jitters are the most that 16 bits hold.
func distValue(x float64) int16 {
	return int16(max(min(math.RoundToEven(x*NetemDistScale), math.MaxInt16), math.MinInt16))
}

// normalTable is the standard normal distribution.
var normalTable = sync.OnceValue(func() []int16 {
	t := make([]int16, distEntries)
	for i := range t {
		u := (float64(i) + 0.5) / float64(len(t))
		t[i] = int16(math.Round(8192 * math.Sqrt2 * math.Erfinv(2*u-1)))
	}
	return t
})

// paretoTable is a Pareto distribution with shape 3, moved to a mean of 0:
// iproute2's, netem/pareto.c. It is cut off at four jitters, so that its
// standard deviation is 0.82 jitters and its mean −0.03.
var paretoTable = sync.OnceValue(func() []int16 {
	t := make([]int16, distEntries)
	for i := range t {
		t[i] = paretoValue(1 - float64(i)/float64(len(t)))
	}
	return t
})

// paretoValue is the entry at which the survival function is s.
func paretoValue(s float64) int16 {
	return distValue((math.Pow(s, -1.0/3) - 1.5) * (4.0 / 3))
}

// paretoNormalTable is a quarter normal and three quarters Pareto: iproute2's,
// netem/paretonormal.c. Its standard deviation is 0.83 jitters.
var paretoNormalTable = sync.OnceValue(func() []int16 {
	const fine = 4 * distEntries
	t := make([]int16, distEntries)
	for i := range t {
		// iproute2 takes the upper end of the normal quantile; its first one
		// has none below and is that of the whole first step.
		u := (4*float64(i) + 0.5) / fine
		normal := int(math.RoundToEven(NetemDistScale * math.Sqrt2 * math.Erfinv(2*u-1)))
		t[i] = int16((normal + 3*int(paretoValue(1-float64(i)/distEntries))) / 4)
	}
	return t
})

// jitterQuantiles is how finely a step's own jitter goes into a measured
// distribution.
const jitterQuantiles = 32

// DelayDistribution reads a tape to its end and returns the distribution of one
// direction's delay over time, moved to a mean of 0 and scaled to a standard
// deviation of 1: the shape for a path whose delay and jitter are given apart.
// A step with jitter counts as a normal distribution. What is beyond four
// standard deviations is cut off there.
func DelayDistribution(tape *trace.Reader, ld trace.LinkDir) ([]int16, error) {
	meta := tape.Meta()
	if !slices.Contains(meta.Directions(), ld) {
		return nil, fmt.Errorf("the tape has no %v", ld)
	}
	weights := make(map[time.Duration]float64) // by delay in whole µs
	var last trace.Step
	begun := false
	add := func(until time.Duration) {
		w := (until - last.At).Seconds()
		if last.Jitter == 0 {
			weights[last.Delay.Round(time.Microsecond)] += w
			return
		}
		for i := range jitterQuantiles {
			u := (float64(i) + 0.5) / jitterQuantiles
			x := math.Sqrt2 * math.Erfinv(2*u-1)
			weights[max(last.Delay+time.Duration(x*float64(last.Jitter)), 0).Round(time.Microsecond)] += w / jitterQuantiles
		}
	}
	buf := make([]trace.Step, 1024)
	for {
		n, err := tape.Read(buf)
		for i := range buf[:n] {
			if buf[i].LinkDir() != ld {
				continue
			}
			if begun {
				add(buf[i].At)
			}
			last, begun = buf[i], true
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read tape: %w", err)
		}
	}
	if begun {
		add(meta.Duration)
	}
	return quantiles(weights)
}

// quantiles makes a table of weighted values.
func quantiles(weights map[time.Duration]float64) ([]int16, error) {
	values := slices.SortedFunc(maps.Keys(weights), cmp.Compare[time.Duration])
	var total, mean, variance float64
	for _, v := range values {
		total += weights[v]
		mean += float64(weights[v] * v.Seconds())
	}
	if total > 0 {
		mean /= total
	}
	for _, v := range values {
		d := v.Seconds() - mean
		variance += float64(weights[v] * float64(d*d))
	}
	if len(values) < 2 || !(variance > 0) {
		return nil, errors.New("its delay never varies: there is no distribution to take")
	}
	sd := math.Sqrt(variance / total)
	t := make([]int16, distEntries)
	next, below := 0, weights[values[0]] // below: the weight up to values[next]
	for i := range t {
		u := total * (float64(i) + 0.5) / distEntries
		for below < u && next < len(values)-1 {
			next++
			below += weights[values[next]]
		}
		t[i] = distValue((values[next].Seconds() - mean) / sd)
	}
	return t, nil
}

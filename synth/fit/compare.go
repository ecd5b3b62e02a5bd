package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"linktape/trace"
)

// A Source is a timeline to compare.
type Source struct {
	Meta  trace.Meta
	Steps Steps
}

// CompareOptions says which directions are compared, and how.
type CompareOptions struct {
	Bin    time.Duration                   // of both; 0 = the longer one of both directions' own
	Outage time.Duration                   // as in [Options]
	Map    map[trace.LinkDir]trace.LinkDir // of A to of B; a direction that is not in it has the same name in B
}

// Comparison sets two timelines side by side.
type Comparison struct {
	Directions []*Pair  `json:"directions"`
	Only       []string `json:"only,omitempty"` // directions without a partner, such as "a: att.down"
}

// Pair is one direction of each.
type Pair struct {
	A   string        `json:"a"`
	B   string        `json:"b"`
	Bin time.Duration `json:"bin_ns"`
	// Sides describe A and B.
	Sides [2]Side `json:"sides"`
	// KS is the Kolmogorov–Smirnov distance of the rates in bins, outages left
	// out; Wasserstein the mean distance that rates have to move from one
	// distribution to the other, relative to A's mean; ACF the largest difference
	// of the autocorrelations.
	KS          float64         `json:"ks"`
	Wasserstein float64         `json:"wasserstein"`
	ACF         float64         `json:"acf_difference"`
	Lags        []time.Duration `json:"lags_ns"` // of Side.ACF
}

// Side is what is compared of one direction.
type Side struct {
	Mean      float64       `json:"rate_mean_bit_s"` // outages left out, as in all that follows
	CV        float64       `json:"rate_cv"`
	Quantiles [5]float64    `json:"rate_quantiles_bit_s"` // 5, 25, 50, 75 and 95 %
	ACF       []float64     `json:"rate_autocorrelation"` // at Pair.Lags; null where too few bins are known
	Memory    time.Duration `json:"autocorrelation_time_ns"`
	Outages   int           `json:"outages"`
	Share     float64       `json:"outage_share"`
	Median    float64       `json:"outage_median_s"`
	Longest   float64       `json:"outage_longest_s"`
	Loss      float64       `json:"loss_mean"`
	Delay     float64       `json:"delay_mean_ns"`
	DelayP95  float64       `json:"delay_p95_ns"`

	rates     []float64 // ascending
	durations []float64 // of all outages, ascending
	curve     []float64 // autocorrelation by lag in bins, from 0
}

// Rates returns the rates of the bins in bit/s, ascending.
func (s *Side) Rates() []float64 { return s.rates }

// Durations returns the outages' durations in seconds, ascending, those that the
// timeline cuts included.
func (s *Side) Durations() []float64 { return s.durations }

// Autocorrelation returns that of the rate by lag in bins, from lag 0.
func (s *Side) Autocorrelation() []float64 { return s.curve }

// Compare sets two timelines side by side, direction by direction.
func Compare(ctx context.Context, a, b Source, opts CompareOptions) (*Comparison, error) {
	var rows [2]map[trace.LinkDir]*row
	read := func(i int, s Source, bins map[trace.LinkDir]time.Duration) error {
		list, err := collectBins(s.Meta, s.Steps, Options{Bin: opts.Bin, Outage: opts.Outage}, bins)
		if err != nil {
			return err
		}
		rows[i] = map[trace.LinkDir]*row{}
		for _, r := range list {
			rows[i][r.ld] = r
		}
		return ctx.Err()
	}
	if err := errors.Join(read(0, a, nil), read(1, b, nil)); err != nil {
		return nil, err
	}
	out := &Comparison{}
	used := map[trace.LinkDir]bool{}
	type pair struct{ a, b trace.LinkDir }
	var pairs []pair
	for from, to := range opts.Map {
		if rows[0][from] == nil {
			return nil, fmt.Errorf("compare: A has no direction %v: it has %s", from, list(a.Meta))
		}
		if rows[1][to] == nil {
			return nil, fmt.Errorf("compare: B has no direction %v: it has %s", to, list(b.Meta))
		}
		if used[to] {
			return nil, fmt.Errorf("compare: %v of B is named twice", to)
		}
		used[to] = true
	}
	for _, ld := range a.Meta.Directions() {
		to, mapped := opts.Map[ld]
		if !mapped {
			to = ld
			if rows[1][to] == nil || used[to] {
				out.Only = append(out.Only, "a: "+ld.String())
				continue
			}
			used[to] = true
		}
		pairs = append(pairs, pair{ld, to})
	}
	for _, ld := range b.Meta.Directions() {
		if !used[ld] {
			out.Only = append(out.Only, "b: "+ld.String())
		}
	}
	if pairs == nil {
		return nil, fmt.Errorf("compare: no direction is in both: A has %s, B has %s: name pairs with --map A.DIR=B.DIR", list(a.Meta), list(b.Meta))
	}
	// Both with the same bin: the longer one.
	var again [2]map[trace.LinkDir]time.Duration
	for i := range again {
		again[i] = map[trace.LinkDir]time.Duration{}
	}
	for _, p := range pairs {
		x, y := rows[0][p.a], rows[1][p.b]
		if bin := max(x.bin, y.bin); bin != x.bin {
			again[0][p.a] = bin
		} else if bin != y.bin {
			again[1][p.b] = bin
		}
	}
	for i, s := range []Source{a, b} {
		if len(again[i]) > 0 {
			if err := read(i, s, again[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range pairs {
		out.Directions = append(out.Directions, comparePair(rows[0][p.a], rows[1][p.b]))
	}
	return out, nil
}

func list(m trace.Meta) string {
	s := ""
	for i, ld := range m.Directions() {
		if i > 0 {
			s += ", "
		}
		s += ld.String()
	}
	return s
}

// curveLags is how many lags the curve has at most.
const curveLags = 400

func comparePair(a, b *row) *Pair {
	out := &Pair{A: a.ld.String(), B: b.ld.String(), Bin: a.bin}
	for i, r := range []*row{a, b} {
		out.Sides[i] = r.side()
	}
	x, y := &out.Sides[0], &out.Sides[1]
	// Lags: one bin, then doubled, as far as a quarter of the shorter.
	most := min(len(x.curve), len(y.curve)) - 1
	for lag := 1; lag <= most; lag *= 2 {
		out.Lags = append(out.Lags, time.Duration(lag)*a.bin)
		x.ACF = append(x.ACF, x.curve[lag])
		y.ACF = append(y.ACF, y.curve[lag])
		out.ACF = max(out.ACF, math.Abs(x.curve[lag]-y.curve[lag]))
	}
	out.KS = ksTwo(x.rates, y.rates)
	if x.Mean > 0 {
		out.Wasserstein = wasserstein(x.rates, y.rates) / x.Mean
	}
	return out
}

func (r *row) side() Side {
	var s Side
	y, known := make([]float64, len(r.rate)), make([]sample, len(r.rate))
	for i, v := range r.rate {
		if !math.IsNaN(v) {
			s.rates = append(s.rates, v)
			y[i], known[i] = v, exact
		}
	}
	slices.Sort(s.rates)
	if len(s.rates) > 0 {
		mean, sd := meanSD(s.rates)
		s.Mean = mean
		if mean > 0 && len(s.rates) > 1 {
			s.CV = sd / mean
		}
		for i, q := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
			s.Quantiles[i] = quantile(s.rates, q)
		}
		ser := newSeries(y, known, nil, r.bin.Seconds())
		for lag := 0; lag <= min(curveLags, len(y)/4); lag++ {
			c, _ := ser.autocorrelation(mean, lag)
			s.curve = append(s.curve, c)
			if s.Memory == 0 && c < 1/math.E {
				s.Memory = time.Duration(lag) * r.bin
			}
		}
	}
	for _, o := range r.outages {
		s.durations = append(s.durations, (o.to - o.from).Seconds())
		s.Share += float64(o.to-o.from) / float64(r.duration)
	}
	slices.Sort(s.durations)
	if s.Outages = len(s.durations); s.Outages > 0 {
		s.Median, s.Longest = quantile(s.durations, 0.5), s.durations[s.Outages-1]
	}
	total := time.Duration(0)
	for _, l := range r.losses {
		s.Loss += l.loss * float64(l.to-l.from)
		total += l.to - l.from
	}
	if total > 0 {
		s.Loss /= float64(total)
	}
	var delays []float64
	for _, d := range r.delay {
		if !math.IsNaN(d) {
			delays = append(delays, d)
		}
	}
	if len(delays) > 0 {
		s.Delay, _ = meanSD(delays)
		slices.Sort(delays)
		s.DelayP95 = quantile(delays, 0.95)
	}
	return s
}

// quantile of ascending values, between them linearly.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// ksTwo is the largest distance of two empirical distributions of ascending
// values.
func ksTwo(a, b []float64) float64 {
	switch {
	case len(a) == 0 && len(b) == 0:
		return 0
	case len(a) == 0 || len(b) == 0:
		return 1
	}
	i, k, d := 0, 0, 0.0
	for i < len(a) && k < len(b) {
		v := min(a[i], b[k])
		for i < len(a) && a[i] == v {
			i++
		}
		for k < len(b) && b[k] == v {
			k++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(k)/float64(len(b))))
	}
	return d
}

// wasserstein is the area between two empirical distributions of ascending
// values.
func wasserstein(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	i, k, sum := 0, 0, 0.0
	last := min(a[0], b[0])
	for i < len(a) || k < len(b) {
		v := math.Inf(1)
		if i < len(a) {
			v = a[i]
		}
		if k < len(b) {
			v = min(v, b[k])
		}
		sum += (v - last) * math.Abs(float64(i)/float64(len(a))-float64(k)/float64(len(b)))
		last = v
		for i < len(a) && a[i] == v {
			i++
		}
		for k < len(b) && b[k] == v {
			k++
		}
	}
	return sum
}

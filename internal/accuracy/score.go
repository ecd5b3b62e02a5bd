package main

import (
	"math"
	"slices"
	"time"

	"linktape/trace"
)

const (
	scoreBin = 100 * time.Millisecond // of the NRMSE
	grid     = time.Millisecond       // on which the two curves are compared
	maxShift = 200                    // of the curves against each other, in grid instants, either way
)

// service is the cumulative service that a tape offers one direction: piecewise
// linear, in bytes of IP packets.
type service struct {
	at    []time.Duration // of the steps, from 0
	bytes []float64       // offered until then
	rate  []float64       // bytes/s from then on
	end   time.Duration
}

// serviceOf adds up the uplink of a timeline that has one link.
func serviceOf(tl *trace.Timeline, duration time.Duration) *service {
	s := &service{end: duration}
	sum, rate, last := 0.0, 0.0, time.Duration(0)
	for i := range tl.Steps {
		step := &tl.Steps[i]
		if step.Dir != trace.Up {
			continue
		}
		sum += rate * (step.At - last).Seconds()
		rate, last = float64(step.Capacity())/8, step.At
		s.at, s.bytes, s.rate = append(s.at, last), append(s.bytes, sum), append(s.rate, rate)
	}
	return s
}

// until is what is offered from the start to an instant, which is held within
// the duration.
func (s *service) until(t time.Duration) float64 {
	t = min(max(t, 0), s.end)
	i, exact := slices.BinarySearch(s.at, t)
	if !exact {
		i--
	}
	if i < 0 {
		return 0
	}
	return s.bytes[i] + s.rate[i]*(t-s.at[i]).Seconds()
}

// score is how far what arrived is from what was offered.
type score struct {
	Offered   float64 `json:"offered_bytes"`
	Delivered float64 `json:"delivered_bytes"`
	Total     float64 `json:"total"` // delivered / offered − 1
	NRMSE     float64 `json:"nrmse"` // of bins of 100 ms

	// Whole is the NRMSE of a perfect link that sends whole packets: what no
	// bottleneck can be better than, but by chance.
	Whole float64 `json:"nrmse_whole_packets"`

	// The curves' difference at each ms, |delivered − offered|, after the
	// constant shift in time that makes its mean smallest.
	CurveRaw float64       `json:"curve_max_unshifted_bytes"` // the largest without a shift
	CurveP95 float64       `json:"curve_p95_bytes"`
	CurveMax float64       `json:"curve_max_bytes"`
	Shift    time.Duration `json:"shift_ns"` // what was offered is moved later by it

	Ticks      int           `json:"ticks"`          // steps of the tape's grid
	WrongTicks int           `json:"wrong_ticks"`    // in which another number of packets arrived than its cumulative bytes allow
	FirstWrong time.Duration `json:"first_wrong_ns"` // the first of them; −1: none

	Curve []float64 `json:"curve_bytes"` // largest |difference| in each bin of 100 ms
}

// judge compares arrivals of packets of one size, ascending offsets from the
// first instant of the tape, with the service that it offers in steps.
func judge(s *service, arrivals []time.Duration, size int, step time.Duration) score {
	r := score{FirstWrong: -1}
	packet := float64(size)
	count := func(bin time.Duration) []float64 {
		n := make([]float64, s.end/bin)
		for _, at := range arrivals {
			if i := at / bin; at >= 0 && int(i) < len(n) {
				n[i] += packet
			}
		}
		return n
	}
	bins := count(scoreBin)
	squares, whole := 0.0, 0.0
	for i, got := range bins {
		from, to := s.until(time.Duration(i)*scoreBin), s.until(time.Duration(i+1)*scoreBin)
		want := to - from
		r.Offered, r.Delivered = r.Offered+want, r.Delivered+got
		squares += (got - want) * (got - want)
		perfect := (math.Floor(to/packet) - math.Floor(from/packet)) * packet
		whole += (perfect - want) * (perfect - want)
	}
	if r.Offered == 0 {
		return r
	}
	r.Total = r.Delivered/r.Offered - 1
	n := float64(len(bins))
	r.NRMSE, r.Whole = math.Sqrt(squares/n)/(r.Offered/n), math.Sqrt(whole/n)/(r.Offered/n)

	// Steps hold whole packets or not; what a tick may deliver is what its
	// cumulative bytes allow.
	if step > 0 {
		for i, got := range count(step) {
			const least = 1e-3 // bytes, by which floating point may miss a whole packet
			from, to := s.until(time.Duration(i)*step), s.until(time.Duration(i+1)*step)
			r.Ticks++
			if math.Floor((to+least)/packet)-math.Floor((from+least)/packet) != math.Round(got/packet) {
				if r.WrongTicks++; r.WrongTicks == 1 {
					r.FirstWrong = time.Duration(i) * step
				}
			}
		}
	}
	r.curve(s, count(grid))
	return r
}

// curve compares the cumulative curves at each instant of the grid.
func (r *score) curve(s *service, arrived []float64) {
	offered, delivered := make([]float64, len(arrived)+1), make([]float64, len(arrived)+1)
	for i := range arrived {
		offered[i+1] = s.until(time.Duration(i+1) * grid)
		delivered[i+1] = delivered[i] + arrived[i]
	}
	// The same instants count for every shift: those that each of them has.
	from, to := maxShift, len(offered)-maxShift
	if to <= from {
		from, to = 0, len(offered)
	}
	at := func(i int) float64 { return offered[min(max(i, 0), len(offered)-1)] }
	best, least := 0, math.Inf(1)
	for shift := -maxShift; shift <= maxShift; shift++ {
		sum := 0.0
		for i := from; i < to; i++ {
			sum += math.Abs(delivered[i] - at(i-shift))
		}
		if sum < least || sum == least && abs(shift) < abs(best) {
			best, least = shift, sum
		}
	}
	r.Shift = time.Duration(best) * grid
	all := make([]float64, 0, to-from)
	r.Curve = make([]float64, (to-from)/int(scoreBin/grid))
	for i := from; i < to; i++ {
		d := math.Abs(delivered[i] - at(i-best))
		all = append(all, d)
		r.CurveRaw = max(r.CurveRaw, math.Abs(delivered[i]-at(i)))
		if k := (i - from) / int(scoreBin/grid); k < len(r.Curve) {
			r.Curve[k] = max(r.Curve[k], d)
		}
	}
	slices.Sort(all)
	r.CurveP95, r.CurveMax = all[int(math.Ceil(0.95*float64(len(all))))-1], all[len(all)-1]
}

func abs(n int) int { return max(n, -n) }

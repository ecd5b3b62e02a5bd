package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"linktape/trace"
)

const ms = time.Millisecond

// constant is a tape of a rate for a second, in steps of 10 ms that differ by a
// bit/s.
func constant(rate trace.BitRate) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: link, Up: true}}}}
	for at := time.Duration(0); at < time.Second; at += 10 * ms {
		tl.Steps = append(tl.Steps, trace.Step{At: at, Link: link, Dir: trace.Up, State: trace.State{Carrier: true, Rate: rate}})
	}
	return tl
}

// every gives an arrival at each multiple of a time, from an offset on.
func every(d, offset time.Duration) (out []time.Duration) {
	for at := offset; at < time.Second; at += d {
		out = append(out, at)
	}
	return out
}

func TestService(t *testing.T) {
	tl := constant(8 * trace.Mbit) // 1000 bytes in a millisecond
	tl.Steps[50].Rate = 0          // from 500 to 510 ms
	tl.Steps[51].Carrier = false   // until 520 ms
	s := serviceOf(tl, tl.Meta.Duration)
	for _, c := range []struct {
		at   time.Duration
		want float64
	}{{-ms, 0}, {0, 0}, {500 * time.Microsecond, 500}, {500 * ms, 500e3}, {515 * ms, 500e3}, {521 * ms, 501e3}, {time.Second, 980e3}, {time.Hour, 980e3}} {
		if got := s.until(c.at); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("until %v: got %v, want %v", c.at, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	// A packet of 1000 bytes each millisecond.
	s := serviceOf(constant(8*trace.Mbit), time.Second)
	exact := every(ms, 0)
	late := every(ms, 30*ms) // all of it 30 ms late, and so 30 packets short
	hole := slices.DeleteFunc(every(ms, 0), func(at time.Duration) bool { return at >= 500*ms && at < 600*ms })
	burst := slices.Clone(exact)
	for i := range burst { // all packets of 10 ms at its start
		burst[i] = burst[i].Truncate(10 * ms)
	}
	for _, c := range []struct {
		name     string
		arrivals []time.Duration
		want     score
	}{
		{"exact", exact, score{Total: 0, Ticks: 100, FirstWrong: -1}},
		{"late", late, score{Total: -0.03, NRMSE: 0.3 / math.Sqrt(10), Shift: 30 * ms, Ticks: 100, WrongTicks: 3}},
		{"hole", hole, score{Total: -0.1, NRMSE: 1 / math.Sqrt(10), CurveP95: 0, Ticks: 100, WrongTicks: 10, FirstWrong: 500 * ms}},
		{"burst", burst, score{Total: 0, Shift: -4 * ms, CurveMax: 5000, Ticks: 100, FirstWrong: -1}},
		{"nothing", nil, score{Total: -1, NRMSE: 1, Ticks: 100, WrongTicks: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(s, c.arrivals, 1000, 10*ms)
			for _, x := range []struct {
				name      string
				got, want float64
			}{{"total", got.Total, c.want.Total}, {"NRMSE", got.NRMSE, c.want.NRMSE}, {"whole packets", got.Whole, 0}} {
				if math.Abs(x.got-x.want) > 1e-9 {
					t.Errorf("%s: got %v, want %v", x.name, x.got, x.want)
				}
			}
			if got.Ticks != c.want.Ticks || got.WrongTicks != c.want.WrongTicks || got.FirstWrong != c.want.FirstWrong {
				t.Errorf("got %d of %d ticks wrong, first at %v; want %d of %d, %v", got.WrongTicks, got.Ticks, got.FirstWrong, c.want.WrongTicks, c.want.Ticks, c.want.FirstWrong)
			}
			if c.name == "late" || c.name == "exact" || c.name == "burst" {
				// The curves are the same but for the shift, and for the whole tick of a burst.
				if got.Shift != c.want.Shift && c.name != "burst" || got.CurveMax != c.want.CurveMax {
					t.Errorf("got shift %v, most %v; want %v, %v", got.Shift, got.CurveMax, c.want.Shift, c.want.CurveMax)
				}
			}
			if len(got.Curve) != 6 { // 200 ms at either end are left out
				t.Errorf("got %d bins of the curve, want 6", len(got.Curve))
			}
		})
	}
	if got := judge(serviceOf(constant(0), time.Second), nil, 1000, 10*ms); got.Offered != 0 || got.NRMSE != 0 {
		t.Errorf("a tape that offers nothing: %+v", got)
	}
}

// Rates that hold no whole number of packets in a tick allow what fits into the
// cumulative bytes.
func TestJudgeTicks(t *testing.T) {
	s := serviceOf(constant(4*trace.Mbit), time.Second) // 2.5 packets of 2000 bytes in 10 ms
	var got []time.Duration
	for at := time.Duration(0); at < time.Second; at += 10 * ms {
		got = append(got, at, at)
		if at/(10*ms)%2 == 1 {
			got = append(got, at)
		}
	}
	if r := judge(s, got, 2000, 10*ms); r.WrongTicks != 0 || r.Total != 0 {
		t.Errorf("%d ticks wrong, total %v", r.WrongTicks, r.Total)
	}
	if r := judge(s, got[1:], 2000, 10*ms); r.WrongTicks != 1 || r.FirstWrong != 0 {
		t.Errorf("one packet less: %d ticks wrong, first %v", r.WrongTicks, r.FirstWrong)
	}
}

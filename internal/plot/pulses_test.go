package plot

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// filtered is what a filter with bins of 10 ms makes of spans that follow on each
// other.
func filtered(spans ...rateSpan) []rateSpan {
	var out []rateSpan
	f := pulseFilter{bin: 10 * time.Millisecond, emit: func(s rateSpan) { out = append(out, s) }}
	at := time.Duration(0)
	for _, s := range spans {
		s.from, s.to = at+s.from, at+s.to
		at = s.to
		f.add(s)
	}
	f.flush()
	return out
}

func TestPulseFilter(t *testing.T) {
	const ms, us = time.Millisecond, time.Microsecond
	pulse := func(mbits float64) rateSpan { return rateSpan{to: us, mbits: mbits} }
	stall := func(d time.Duration) rateSpan { return rateSpan{to: d, stall: true, outage: d >= longestPause} }
	flow := func(d time.Duration, mbits float64) rateSpan { return rateSpan{to: d, mbits: mbits} }
	for _, tc := range []struct {
		name  string
		spans []rateSpan
		want  string
	}{
		{"no pulses", []rateSpan{flow(5*ms, 3), stall(2 * ms), flow(ms, 1)}, "0s-5ms 3, 5ms-7ms 0, 7ms-8ms 1"},
		{"bins", []rateSpan{stall(ms - us), pulse(12000), stall(9 * ms), stall(10*ms - us), pulse(24000)}, "0s-10ms 1.2, 10ms-20ms 2.4"},
		{"part of a bin counts with the one before", []rateSpan{stall(10*ms - us), pulse(12000), pulse(12000), flow(ms, 7)}, "0s-10.001ms 2.3998, 10.001ms-11.001ms 7"},
		{"a stall ends the bin first", []rateSpan{stall(400 * ms), pulse(12000), stall(410 * ms), pulse(12000)}, "0s-400ms 0 out, 400ms-410ms 1.2, 410ms-810.001ms 0 out, 810.001ms-810.002ms 12000"},
		{"a pulse between flows", []rateSpan{flow(ms, 1), pulse(12000), flow(ms, 1)}, "0s-1ms 1, 1ms-1.001ms 12000, 1.001ms-2.001ms 1"},
		{"empty", []rateSpan{flow(0, 1)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, s := range filtered(tc.spans...) {
				text := fmt.Sprintf("%v-%v %.5g", s.from, s.to, s.mbits)
				if s.outage {
					text += " out"
				}
				got = append(got, text)
			}
			if got := strings.Join(got, ", "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// Whatever the spans, they are covered without gaps and their sum is kept.
func TestPulseFilterKeepsSums(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		var spans []rateSpan
		want, end := 0.0, time.Duration(0)
		for range 1 + r.IntN(60) {
			var s rateSpan
			switch r.IntN(4) {
			case 0:
				s = rateSpan{to: 1 + time.Duration(r.Int64N(int64(longestPulse))), mbits: 1 + 20_000*r.Float64()}
			case 1, 2:
				d := 1 + time.Duration(r.Int64N(int64(30*time.Millisecond)))
				if r.IntN(5) == 0 {
					d *= 20
				}
				s = rateSpan{to: d, stall: true}
			default:
				s = rateSpan{to: time.Duration(r.Int64N(int64(50 * time.Millisecond))), mbits: 10 * r.Float64(), outage: r.IntN(3) == 0}
			}
			spans = append(spans, s)
			want += s.mbits * float64(s.to)
			end += s.to
		}
		got, at := 0.0, time.Duration(0)
		for _, s := range filtered(spans...) {
			if s.from != at || s.to <= at {
				t.Fatalf("seed %d: a span from %v to %v after %v", seed, s.from, s.to, at)
			}
			got += s.mbits * float64(s.length())
			at = s.to
		}
		if at != end || math.Abs(got-want) > 1e-9*want {
			t.Fatalf("seed %d: got %g until %v, want %g until %v", seed, got, at, want, end)
		}
	}
}

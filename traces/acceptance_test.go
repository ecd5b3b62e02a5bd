package traces_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/synth"
	"linktape/trace"
	"linktape/traces"
)

// spans returns a scenario's spans by direction.
func spans(t *testing.T, name string) map[trace.LinkDir][]trace.Span {
	t.Helper()
	sc := parse(t, name, synth.Options{})
	out := make(map[trace.LinkDir][]trace.Span)
	sp := trace.NewSpanner(sc.Meta().Duration, func(s trace.Span) { out[s.LinkDir] = append(out[s.LinkDir], s) })
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	for i := range tl.Steps {
		sp.Step(&tl.Steps[i])
	}
	sp.Finish()
	return out
}

// passing is the rate at which packets pass, in Mbit/s.
func passing(s *trace.State) float64 {
	if s.Outage() {
		return 0
	}
	return float64(s.Rate) / 1e6
}

// least returns the least that all uplinks together pass from one instant to
// another, in Mbit/s.
func least(list map[trace.LinkDir][]trace.Span, from, to time.Duration) float64 {
	out := -1.0
	for t := from; t < to; t += 50 * time.Millisecond {
		sum := 0.0
		for ld, l := range list {
			for i := range l {
				if ld.Dir == trace.Up && l[i].From <= t && t < l[i].To {
					sum += passing(&l[i].State)
				}
			}
		}
		if out < 0 || sum < out {
			out = sum
		}
	}
	return out
}

// The stream of the acceptance tests has 4 Mbit/s. Where a test is about a link
// that fails, the others carry it; where it is about a lack of capacity, they do
// not.
func TestAcceptanceCapacity(t *testing.T) {
	const stream, room = 4.0, 1.1
	for _, e := range traces.List() {
		if e.Group != "acceptance" || e.Name == "a10-soak-ou" {
			continue
		}
		list := spans(t, e.Name)
		if e.Name != "a7-capacity-below-rate" {
			if got := least(list, 0, e.Duration); got < stream*room {
				t.Errorf("%s: the uplinks pass %.3g Mbit/s at times, want %.3g for the stream and what it retransmits", e.Name, got, stream*room)
			}
			continue
		}
		if got := least(list, 20*time.Second, 50*time.Second); got != 3 {
			t.Errorf("%s: %.3g Mbit/s from 20 to 50 s, want 3", e.Name, got)
		}
		if a, b := least(list, 0, 20*time.Second), least(list, 50*time.Second, e.Duration); a != 10 || b != 10 {
			t.Errorf("%s: %.3g Mbit/s before and %.3g after, want 10", e.Name, a, b)
		}
	}
}

// Each mode cuts one link for 0.2, 2, 10 and 40 s, its own way, and leaves 8 s
// and more to recover.
func TestCuts(t *testing.T) {
	for mode, want := range map[string]struct {
		up, down bool
		state    func(*trace.State) bool
	}{
		"drop-both":    {true, true, func(s *trace.State) bool { return s.Loss == 1 && s.Carrier && s.Rate > 0 }},
		"drop-up":      {true, false, func(s *trace.State) bool { return s.Loss == 1 && s.Carrier && s.Rate > 0 }},
		"drop-down":    {false, true, func(s *trace.State) bool { return s.Loss == 1 && s.Carrier && s.Rate > 0 }},
		"stall":        {true, true, func(s *trace.State) bool { return s.Loss == 0 && s.Carrier && s.Rate == 0 }},
		"carrier-down": {true, true, func(s *trace.State) bool { return !s.Carrier }},
	} {
		list := spans(t, "a5-cut-"+mode)
		if len(list) != 6 {
			t.Fatalf("%s: %d directions, want 6", mode, len(list))
		}
		for ld, l := range list {
			cut := ld.Link == "b" && (ld.Dir == trace.Up && want.up || ld.Dir == trace.Down && want.down)
			var lengths []time.Duration
			last := -8 * time.Second
			for i := range l {
				if !l[i].Outage() {
					continue
				}
				if !want.state(&l[i].State) {
					t.Errorf("%s: %v at %v is cut by %+v", mode, ld, l[i].From, l[i].State)
				}
				if l[i].From-last < 8*time.Second {
					t.Errorf("%s: %v at %v is cut %v after the cut before", mode, ld, l[i].From, l[i].From-last)
				}
				lengths, last = append(lengths, l[i].To-l[i].From), l[i].To
			}
			var wanted []time.Duration
			if cut {
				wanted = []time.Duration{200 * time.Millisecond, 2 * time.Second, 10 * time.Second, 40 * time.Second}
			}
			if !slices.Equal(lengths, wanted) {
				t.Errorf("%s: %v is cut for %v, want %v", mode, ld, lengths, wanted)
			}
		}
	}
}

// The strategy's scenarios differ from one another in what their names say and
// in nothing else: the rates of strategy-rate are those of strategy-combined.
func TestStrategy(t *testing.T) {
	base, rate, loss, both := spans(t, "strategy-baseline"), spans(t, "strategy-rate"), spans(t, "strategy-loss"), spans(t, "strategy-combined")
	for ld := range base {
		if n := len(base[ld]) + len(loss[ld]); n != 2 {
			t.Errorf("%v changes without Ornstein–Uhlenbeck rates", ld)
		}
		b, l := base[ld][0].State, loss[ld][0].State
		if l.GE == (trace.GE{}) || b.GE != (trace.GE{}) || b.Loss != 0 {
			t.Errorf("%v: the baseline has chain %+v, strategy-loss %+v", ld, b.GE, l.GE)
		}
		b.GE = l.GE
		if b != l {
			t.Errorf("%v: strategy-loss differs from the baseline in more than loss: %+v, %+v", ld, l, b)
		}
		if len(rate[ld]) != len(both[ld]) || len(rate[ld]) < 500 {
			t.Fatalf("%v: %d spans in strategy-rate, %d in strategy-combined", ld, len(rate[ld]), len(both[ld]))
		}
		for i := range rate[ld] {
			r, c := rate[ld][i].State, both[ld][i].State
			if c.GE != l.GE || r.GE != (trace.GE{}) {
				t.Errorf("%v: chains %+v and %+v, want none and %+v", ld, r.GE, c.GE, l.GE)
			}
			if c.GE = r.GE; r != c {
				t.Fatalf("%v at %v: strategy-combined differs from strategy-rate in more than loss", ld, rate[ld][i].From)
			}
		}
	}
	failed := make(map[string]time.Duration)
	for ld, l := range spans(t, "strategy-bonding") {
		for i := range l {
			if l[i].Outage() && ld.Dir == trace.Up {
				failed[ld.Link] += l[i].To - l[i].From
			}
			if s := &l[i].State; s.GE == (trace.GE{}) && !s.Outage() {
				t.Errorf("%v at %v has no loss", ld, l[i].From)
			}
		}
	}
	if len(failed) != 2 || failed["tmobile"] != 8*time.Second || failed["verizon"] != 10*time.Second {
		t.Errorf("outages of %v, want tmobile for 8 s and verizon for 10 s", failed)
	}
}

// A tunnel takes the carriers one after the other.
func TestTunnel(t *testing.T) {
	first := make(map[string]time.Duration) // the start of the first long outage
	for ld, l := range spans(t, "drive-tunnel") {
		var run time.Duration
		for i := range l {
			if l[i].Loss < 1 {
				run = 0
				continue
			}
			if run += l[i].To - l[i].From; run > 3*time.Second && first[ld.Link] == 0 {
				first[ld.Link] = l[i].To - run
			}
		}
	}
	for link, want := range map[string]time.Duration{"att": 80 * time.Second, "tmobile": 80400 * time.Millisecond, "verizon": 81200 * time.Millisecond} {
		if first[link] != want {
			t.Errorf("%s is in the tunnel from %v, want %v", link, first[link], want)
		}
	}
}

// The flows of congestion-step leave these shares.
func TestCongestionStep(t *testing.T) {
	var got []string
	for _, s := range spans(t, "congestion-step")[trace.LinkDir{Link: "shared", Dir: trace.Up}] {
		got = append(got, s.From.String()+" "+s.Rate.String()+" "+s.Delay.String())
	}
	want := "0s 12Mbit 25ms; 20s 6Mbit 35ms; 40s 3Mbit 55ms; 1m0s 12Mbit 25ms; 1m40s 6Mbit 35ms; 2m0s 3Mbit 55ms; 2m20s 12Mbit 25ms"
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
}

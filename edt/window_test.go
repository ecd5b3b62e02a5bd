package edt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

func TestWindowRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
		s    trace.State
		want string
	}{
		{"negative rate", 0, trace.State{Rate: -1}, "rate -1bit at 0s: outside 0 to 1000Gbit"},
		{"rate", time.Second, trace.State{Rate: MaxRate + 1}, "at 1s: outside 0 to 1000Gbit"},
		{"negative delay", 0, trace.State{Delay: -1}, "delay -1ns at 0s: outside 0 to 1h0m0s"},
		{"delay", 0, trace.State{Delay: trace.MaxDelay + 1}, "delay 1h0m0.000000001s"},
		{"jitter", 0, trace.State{Jitter: trace.MaxDelay + 1}, "jitter 1h0m0.000000001s"},
		{"instant", -1, trace.State{}, "step at -1ns: before the beginning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWindow(trace.Queue{}, mtu)
			if err := w.Set(c.at, &c.s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(w.Steps()) != 0 {
				t.Errorf("it was taken all the same: %+v", w.Steps())
			}
		})
	}
	if err := NewWindow(trace.Queue{}, mtu).Extend(time.Second); err == nil {
		t.Error("an empty window was extended")
	}
}

// Several states of one instant: the last one counts, as if the others had never
// been.
func TestWindowSameInstant(t *testing.T) {
	gone := trace.State{Rate: trace.Mbit}
	for _, first := range []time.Duration{0, 10 * ms} {
		tape := []change{{first, up(trace.Mbit)}, {20 * ms, up(3)}, {30 * ms, up(0)}}
		if first > 0 {
			tape = append([]change{{0, up(7)}}, tape...)
		}
		q := trace.Queue{LimitTime: 100 * ms}
		plain := window(t, q, 40*ms, tape...)
		var doubled []change
		for _, c := range tape {
			doubled = append(doubled, change{c.at, gone}, change{c.at, up(9 * trace.Mbit)}, c)
		}
		got := window(t, q, 40*ms, doubled...)
		// The first one's limit is its own; a stall keeps that before it.
		if d := cmp.Diff(plain, got, cmp.AllowUnexported(Window{})); d != "" {
			t.Errorf("-once +thrice:\n%s", d)
		}
	}
}

// Positions wrap around; an hour at the highest rate passes through a window of a
// second, which stays small.
func TestWindowWrapsAndStaysSmall(t *testing.T) {
	s := up(MaxRate)
	w := NewWindow(trace.Queue{}, mtu)
	if err := w.Set(0, &s); err != nil {
		t.Fatal(err)
	}
	m := NewModel(w, 1, false)
	largest := 0
	for at := time.Duration(0); at < time.Hour; at += time.Second {
		if err := w.Extend(at + time.Second); err != nil {
			t.Fatal(err)
		}
		// 125,000,000 bytes take a ms at 1000 Gbit/s; two of them, one wait.
		for k, want := range []time.Duration{at + 2*ms, at + 3*ms} {
			if got := m.Packet(at+ms, 125_000_000); got.Fate != Delivered || got.Left != want || got.Backlog != int64(k)*125_000_000 {
				t.Fatalf("packet %d at %v: got %+v, want %v", k, at, got, want)
			}
		}
		m.Pass(at + time.Second)
		largest = max(largest, len(w.Steps()))
	}
	if largest > 1000 {
		t.Errorf("%d steps in a window of a second", largest)
	}
}

func TestWindowFull(t *testing.T) {
	s := up(MaxRate)
	w := NewWindow(trace.Queue{}, mtu)
	if err := w.Set(0, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Extend(time.Minute); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want %v", err, ErrFull)
	}
	if w.End() < 4*time.Second {
		t.Errorf("full at %v", w.End())
	}
	m := NewModel(w, 1, false)
	m.Pass(w.End())
	if err := w.Extend(w.End() + time.Second); err != nil {
		t.Errorf("when time has passed: %v", err)
	}
}

// The service of many steps that are no whole units is exact over all of them.
func TestWindowDoesNotDrift(t *testing.T) {
	w := NewWindow(trace.Queue{}, mtu)
	const steps = 100_000
	var exact trace.Service
	for i := range steps {
		s := up(trace.BitRate(1 + i%7))
		if err := w.Set(time.Duration(i)*333, &s); err != nil {
			t.Fatal(err)
		}
		exact.Add(s.Rate, 333)
	}
	if err := w.Extend(steps * 333); err != nil {
		t.Fatal(err)
	}
	// In units of 10^-6 bit, a thousandth of bit/s × ns.
	var want uint64
	for i := range steps {
		want += uint64(1+i%7) * 333
	}
	if want /= rateUnits; w.total != want {
		t.Errorf("got %d units, want %d", w.total, want)
	}
	if got := int64(w.total / unit); got != exact.Bits() {
		t.Errorf("got %d bits, want %d", got, exact.Bits())
	}
}

// The step before the last one stays when time has passed: a state that is replaced
// goes by it.
func TestWindowForgets(t *testing.T) {
	w := window(t, trace.Queue{LimitTime: 20 * ms}, time.Second,
		change{0, up(trace.Mbit)}, change{10 * ms, up(2 * trace.Mbit)}, change{20 * ms, up(3 * trace.Mbit)}, change{30 * ms, up(12 * trace.Mbit)}, change{time.Second, up(24 * trace.Mbit)})
	NewModel(w, 1, false).Pass(time.Second)
	if n := len(w.Steps()); n != 2 {
		t.Errorf("%d steps are kept, want 2", n)
	}
	stall := up(0)
	if err := w.Set(time.Second, &stall); err != nil {
		t.Fatal(err)
	}
	if got := w.Steps()[len(w.Steps())-1].Limit; got != 30_000 {
		t.Errorf("the stall's limit: got %d, want that of 12 Mbit/s", got)
	}
}

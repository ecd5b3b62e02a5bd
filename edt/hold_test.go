package edt

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

// A window that is held says what one says that is extended for good: packets that
// leave beyond its end do so no earlier, and later by at most a ns for each of them.
func TestHeldIsExtended(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		s := up(trace.BitRate(1 + rng.Int64N(int64(200*trace.Mbit))))
		s.Delay = 7 * ms
		tape := []change{{0, up(3 * trace.Mbit)}, {10 * ms, s}}
		q := trace.Queue{LimitTime: time.Second}
		held := window(t, q, 20*ms, tape...)
		held.Hold()
		a, b := NewModel(held, 1, false), model(t, q, time.Hour, tape...)
		at, beyond := time.Duration(0), time.Duration(0)
		for k := range 300 {
			at += time.Duration(rng.Int64N(int64(ms)))
			n := 40 + rng.IntN(1461)
			got, want := a.Packet(at, n), b.Packet(at, n)
			if want.Left > 20*ms {
				beyond++
			}
			if got.Fate != want.Fate || got.Left < want.Left || got.Left > want.Left+beyond || got.Arrived-got.Left != want.Arrived-want.Left {
				t.Fatalf("packet %d at %v, the %dth beyond: got %+v, want %+v", k, at, beyond, got, want)
			}
		}
		if beyond < 100 {
			t.Errorf("%d packets left beyond the end", beyond)
		}
	}
}

// What could not leave because the held rate is 0 is not held.
func TestHeldStall(t *testing.T) {
	q := trace.Queue{LimitBytes: 60_000}
	w := window(t, q, 10*ms, change{0, up(12 * trace.Mbit)}, change{5 * ms, up(0)})
	w.Hold()
	m := NewModel(w, 1, false)
	for k := range 7 {
		want := Verdict{Left: time.Duration(k+1) * ms, Backlog: int64(k) * 1500}
		want.Arrived = want.Left
		if k >= 5 {
			want = Verdict{Fate: Full, Backlog: 7500}
		}
		if got := m.Packet(0, 1500); got != want {
			t.Fatalf("packet %d: got %+v, want %+v", k, got, want)
		}
	}
	for _, at := range []time.Duration{6 * ms, 10 * ms, time.Hour} {
		if got := m.Packet(at, 1500); got != (Verdict{Fate: Full}) {
			t.Errorf("at %v: got %+v", at, got)
		}
	}
	if c := m.Counters(); c.Packets[Delivered] != 5 || c.Packets[Full] != 5 || c.Packets[Unknown] != 0 {
		t.Errorf("counted %+v", c)
	}
}

// Cuts changes nothing but where steps begin: each continues the one before it.
func TestWindowCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	plain, cut := NewWindow(trace.Queue{}, mtu), NewWindow(trace.Queue{}, mtu)
	at := 5 * ms
	for range 200 {
		s := up(trace.BitRate(rng.IntN(1e7)))
		for _, w := range []*Window{plain, cut} {
			if err := w.Set(at, &s); err != nil {
				t.Fatal(err)
			}
		}
		next := at + 1 + time.Duration(rng.IntN(3e6))
		for range rng.IntN(4) {
			if err := cut.Extend(at + time.Duration(rng.Int64N(int64(next-at)))); err != nil {
				t.Fatal(err)
			}
			cut.Cut()
			cut.Cut() // of an instant only one
		}
		at = next
	}
	for _, w := range []*Window{plain, cut} {
		if err := w.Extend(at); err != nil {
			t.Fatal(err)
		}
	}
	if len(cut.Steps()) <= len(plain.Steps()) {
		t.Fatalf("%d steps, and with cuts %d", len(plain.Steps()), len(cut.Steps()))
	}
	i := 0
	for k, s := range cut.Steps() {
		if k > 0 && s.T <= cut.Steps()[k-1].T {
			t.Fatalf("step %d begins at %d, the one before at %d", k, s.T, cut.Steps()[k-1].T)
		}
		if i+1 < len(plain.Steps()) && plain.Steps()[i+1].T <= s.T {
			i++
		}
		of := plain.Steps()[i]
		exact := uint64(of.Rest) + (s.T-of.T)*of.Rate
		of.T, of.Cum, of.Rest = s.T, of.Cum+exact/rateUnits, uint32(exact%rateUnits)
		if s != of {
			t.Fatalf("step %d: got %+v, want %+v", k, s, of)
		}
	}
	NewWindow(trace.Queue{}, mtu).Cut() // of nothing: nothing
}

// Cuts foretells how many steps an extension begins.
func TestWindowCuts(t *testing.T) {
	if n := NewWindow(trace.Queue{}, mtu).Cuts(time.Hour); n != 0 {
		t.Errorf("an empty window: %d", n)
	}
	for _, c := range []struct {
		rate trace.BitRate
		to   time.Duration
		want int
	}{
		{0, time.Hour, 0}, {trace.Gbit, time.Second, 0}, {trace.Gbit, 10 * time.Second, 2}, {MaxRate, 4 * ms, 0}, {MaxRate, 5 * ms, 1}, {MaxRate, time.Second, 216},
	} {
		s := up(c.rate)
		w := NewWindow(trace.Queue{}, mtu)
		if err := w.Set(0, &s); err != nil {
			t.Fatal(err)
		}
		if got := w.Cuts(c.to); got != c.want {
			t.Errorf("%v for %v: got %d, want %d", c.rate, c.to, got, c.want)
		}
		if err := w.Extend(c.to); err != nil {
			t.Fatal(err)
		}
		if got := len(w.Steps()) - 1; got != c.want {
			t.Errorf("%v for %v: began %d steps, want %d", c.rate, c.to, got, c.want)
		}
		if got := w.Cuts(c.to); got != 0 {
			t.Errorf("%v, once it is known: %d", c.rate, got)
		}
	}
}

// Who copies the steps and keeps the last ones gets the same steps as without; and a
// window that is set back goes on as one that never went further.
func TestWindowKeepAndBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	q := trace.Queue{LimitTime: 20 * ms}
	whole, kept := NewWindow(q, mtu), NewWindow(q, mtu)
	var copied []Step
	var at []time.Duration
	for i := range 300 {
		s := up(trace.BitRate(rng.IntN(3) * rng.IntN(1e7)))
		s.Carrier = rng.IntN(8) > 0
		at = append(at, time.Duration(i)*ms+time.Duration(rng.IntN(1e6)))
		for _, w := range []*Window{whole, kept} {
			if err := w.Set(at[i], &s); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(5) == 0 {
			n := kept.Keep(kept.Steps()[0].Cum)
			copied = append(copied, whole.Steps()[len(copied):len(copied)+n]...)
			if len(kept.Steps()) > 2 {
				t.Fatalf("%d steps are kept", len(kept.Steps()))
			}
			again := up(trace.BitRate(rng.IntN(2))) // in place of the last one
			for _, w := range []*Window{whole, kept} {
				if err := w.Set(at[i], &again); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if d := cmp.Diff(whole.Steps(), append(copied, kept.Steps()...), cmp.AllowUnexported(Step{})); d != "" {
		t.Errorf("-whole +copied\n%s", d)
	}
	if whole.total != kept.total || whole.end != kept.end {
		t.Errorf("ends at %d with %d, and at %d with %d", whole.end, whole.total, kept.end, kept.total)
	}

	// Back to just behind a step in the midst.
	for _, i := range []int{0, 1, 150, 299} {
		to := at[i] + 1
		back := NewWindow(q, mtu)
		for k := range i + 1 {
			s := whole.Steps()[k]
			state := trace.State{Rate: trace.BitRate(s.Rate), Carrier: s.Outages&down == 0}
			if err := back.Set(time.Duration(s.T), &state); err != nil {
				t.Fatal(err)
			}
		}
		if err := back.Extend(to); err != nil {
			t.Fatal(err)
		}
		kept.Hold()
		kept.Back(whole.Steps()[:i+1], to)
		s := up(5 * trace.Mbit)
		for _, w := range []*Window{back, kept} {
			if err := w.Set(to+ms, &s); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(back, kept, cmp.AllowUnexported(Window{}, Step{})); d != "" {
			t.Errorf("back to %v: -never further +back\n%s", to, d)
		}
	}
}

// A probability that went through a threshold is the same within 2⁻³².
func TestProb(t *testing.T) {
	for _, p := range []trace.Prob{0, 1e-12, 1e-9, 0.001, 0.25, 1.0 / 3, 0.5, 0.999999999, 1} {
		got := Prob(threshold(p))
		if d := math.Abs(float64(got - p)); d > 1.0/(1<<32) || (got == 0) != (p == 0) || (got == 1) != (p == 1) {
			t.Errorf("%v: got %v", float64(p), float64(got))
		}
		if threshold(got) != threshold(p) {
			t.Errorf("%v: threshold %d became %d", float64(p), threshold(p), threshold(got))
		}
	}
}

// What a step serves in a time is rounded down, and bounded.
func TestWithin(t *testing.T) {
	for _, c := range []struct{ rate, t, want uint64 }{
		{0, math.MaxUint64, 0}, {1, 999, 0}, {1, 1000, 1}, {12e6, 1e6, 12_000 * unit}, {uint64(MaxRate), maxNano/uint64(MaxRate) + 1, maxSpan}, {1, maxNano + 1, maxSpan},
	} {
		if got := (&Step{Rate: c.rate}).Within(c.t); got != c.want {
			t.Errorf("%d bit/s for %d ns: got %d, want %d", c.rate, c.t, got, c.want)
		}
	}
}

// A carrier that goes between two steps is seen, whatever it is on them.
func TestFlushed(t *testing.T) {
	gone := trace.State{}
	w := window(t, trace.Queue{}, 6*ms, change{0, up(1)}, change{ms, gone}, change{2 * ms, gone}, change{3 * ms, up(2)}, change{4 * ms, gone}, change{5 * ms, up(3)})
	want := [][]bool{ // from a step (row) to a later one
		{false, true, true, true, true, true},
		{false, false, false, false, true, true},
		{false, false, false, false, true, true},
		{false, false, false, false, true, true},
		{false, false, false, false, false, false},
		{false, false, false, false, false, false},
	}
	for i := range want {
		for k := i; k < len(want); k++ {
			if got := w.Steps()[k].Flushed(w.Steps()[i].Outages); got != want[i][k] {
				t.Errorf("from step %d to %d: got %v", i, k, got)
			}
		}
	}
}

package replay

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/edt"
	"linktape/netsetup"
	"linktape/trace"
)

// oneLink is a tape of a.up.
func oneLink(duration time.Duration, steps ...trace.Step) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: duration, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}, Steps: steps}
	for i := range tl.Steps {
		tl.Steps[i].Link, tl.Steps[i].Dir = "a", trace.Up
	}
	return tl
}

func stepAt(at time.Duration, rate trace.BitRate) trace.Step {
	return trace.Step{At: at, State: trace.State{Rate: rate, Carrier: true}}
}

// list returns arrivals one by one.
func list(all ...Arrival) func() (Arrival, error) {
	return func() (Arrival, error) {
		if len(all) == 0 {
			return Arrival{}, io.EOF
		}
		a := all[0]
		all = all[1:]
		return a, nil
	}
}

func constantRate(t testing.TB, rate trace.BitRate, bytes int) func() (Arrival, error) {
	t.Helper()
	next, err := ConstantRate(rate, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestConstantRateArrivals(t *testing.T) {
	next := constantRate(t, 7*trace.Mbit, 1250)
	for k := range int64(10_000) {
		want := Arrival{time.Duration(k * 10_000_000_000 / 7000), 1250}
		if got, err := next(); got != want || err != nil {
			t.Fatalf("packet %d: got %v, %v; want %v", k, got, err, want)
		}
	}
	slow := constantRate(t, 1, math.MaxUint32)
	for k := range 3 {
		a, err := slow()
		if want := time.Duration(k) * math.MaxUint32 * 8 * time.Second; k == 0 && (a.At != want || err != nil) || k == 1 && err == nil && a.At < want {
			t.Errorf("packet %d: got %v, %v", k, a, err)
		}
	}
	for _, c := range []struct {
		rate  trace.BitRate
		bytes int
	}{{0, 1500}, {-1, 1500}, {trace.Mbit, 0}} {
		if _, err := ConstantRate(c.rate, c.bytes); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestSimulateBelowCapacity(t *testing.T) {
	s := stepAt(0, 12*trace.Mbit)
	s.Delay = 30 * ms
	tape := openTape(t, oneLink(10*time.Second, s))
	got, err := Simulate(t.Context(), tape, constantRate(t, 6*trace.Mbit, 1500), SimulateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Every 2 ms a packet that takes 1 ms; the last at 9.998 s.
	queue, oneWay := new(Histogram), new(Histogram)
	for range 5000 {
		queue.Add(ms)
		oneWay.Add(31 * ms)
	}
	want := &Simulation{Tape: tape.SHA256(), Length: 10 * time.Second, Times: 1, Speed: 1, Links: []Simulated{{
		Link: "a", Dir: "up", Packets: 5000, Bytes: 7_500_000, Delivered: 5000, DeliveredBytes: 7_500_000, TapeBytes: 15_000_000, Use: 0.5,
		MaxBacklog: 1500, QueueDelay: queue.Distribution(), OneWay: oneWay.Distribution(), LastArrival: int64(9998*ms + 31*ms),
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSimulateOverload(t *testing.T) {
	tape := openTape(t, oneLink(10*time.Second, stepAt(0, 12*trace.Mbit)))
	got, err := Simulate(t.Context(), tape, constantRate(t, 24*trace.Mbit, 1500), SimulateOptions{Queue: &trace.Queue{LimitBytes: 30_000}})
	if err != nil {
		t.Fatal(err)
	}
	l := got.Links[0]
	// 10,000 packets fit; at the end 20 wait, or 19 and what is being sent.
	if l.Packets != 20_000 || l.Delivered != 10_000 || l.Waiting < 19 || l.Waiting > 20 || l.QueueDrops != 20_000-l.Delivered-l.Waiting {
		t.Errorf("got %+v", l)
	}
	if l.Use != 1 || l.MaxBacklog != 30_000 || l.QueueDelay.Max != 20*ms {
		t.Errorf("use %v, backlog %d, delay %v; want 1, 30000, 20ms", l.Use, l.MaxBacklog, l.QueueDelay.Max)
	}
	// From the first full queue on, every second packet is dropped.
	if l.LongestBurst != 1 {
		t.Errorf("%d packets dropped in a row, want 1", l.LongestBurst)
	}
}

// A stall that lasts to the end leaves the queue full, and no more than that.
func TestSimulateStallAtTheEnd(t *testing.T) {
	tape := openTape(t, oneLink(10*time.Second, stepAt(0, 12*trace.Mbit), stepAt(5*time.Second, 0)))
	got, err := Simulate(t.Context(), tape, constantRate(t, 6*trace.Mbit, 1500), SimulateOptions{Queue: &trace.Queue{LimitBytes: 15_000}})
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Links[0]; l.Delivered != 2500 || l.Waiting != 10 || l.QueueDrops != 2490 || l.LongestBurst != 2490 || l.Use != 0.5 {
		t.Errorf("got %+v", l)
	}
}

// The same as with the schedule by the book, laid out at once.
func TestSimulateAgainstWholeWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var fates [5]int
	for range 60 {
		tl := &trace.Timeline{Meta: trace.Meta{Duration: 3 * time.Second, Generator: "test 1", Seed: rng.Uint64(), Links: []trace.Link{
			{Name: "a", Up: true, Down: true, Overtake: rng.IntN(2) == 0, Queue: &trace.Queue{Kind: trace.DropTail, LimitTime: 100 * ms}},
			{Name: "b", Up: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 20_000}},
		}}}
		for at := time.Duration(0); at < tl.Meta.Duration; at += time.Duration(1+rng.IntN(300)) * ms {
			for i, ld := range tl.Meta.Directions() {
				if at > 0 && rng.IntN(2) == 0 {
					continue
				}
				s := trace.Step{At: at, Link: ld.Link, Dir: ld.Dir}
				s.Rate, s.Carrier = trace.BitRate(rng.IntN(4)*rng.IntN(8e6)), rng.IntN(8) > 0
				s.Delay, s.Jitter = time.Duration(rng.IntN(50))*ms, time.Duration(i*rng.IntN(20))*ms
				s.Loss = trace.Prob(rng.Float64() * 0.2)
				tl.Steps = append(tl.Steps, s)
			}
		}
		from := time.Duration(rng.IntN(2)) * 500 * ms
		opts := SimulateOptions{From: from, Times: 1 + rng.IntN(3), RatesOnly: rng.IntN(4) == 0}
		if rng.IntN(2) == 0 {
			opts.Duration = time.Second + time.Duration(rng.IntN(1000))*ms
		}
		to := tl.Meta.Duration
		if opts.Duration > 0 {
			to = from + opts.Duration
		}
		if rng.IntN(3) == 0 {
			opts.Only = []trace.LinkDir{{Link: "a", Dir: trace.Up}}
		}
		length := time.Duration(opts.Times) * (to - from)
		var arrivals []Arrival
		for range 3000 {
			arrivals = append(arrivals, Arrival{time.Duration(rng.Int64N(int64(length + length/20))), 40 + rng.IntN(1461)})
		}
		slices.SortFunc(arrivals, func(a, b Arrival) int { return int(a.At - b.At) })

		models := make(map[trace.LinkDir]*edt.Model)
		entries := modelEntries(tl, from, to, opts.Times, opts.RatesOnly)
		for d, ld := range tl.Meta.Directions() {
			l := tl.Meta.Links[0]
			if ld.Link == "b" {
				l = tl.Meta.Links[1]
			}
			w := edt.NewWindow(*l.Queue, netsetup.DefaultMTU)
			for _, e := range entries {
				if e.Dir == d {
					if err := w.Set(e.At, &e.State); err != nil {
						t.Fatal(err)
					}
				}
			}
			drain := trace.State{Rate: edt.MaxRate, Carrier: true}
			if err := errors.Join(w.Set(length, &drain), w.Extend(length+time.Second)); err != nil {
				t.Fatal(err)
			}
			models[ld] = edt.NewModel(w, seedOf(tl.Meta.Seed, ld), l.Overtake)
		}
		told := make(map[trace.LinkDir]int64)
		opts.Each = func(ld trace.LinkDir, number int64, a Arrival, v edt.Verdict) error {
			if number != told[ld] || a != arrivals[number] {
				t.Errorf("%v: packet %d is %v, want %d, %v", ld, number, a, told[ld], arrivals[number])
			}
			told[ld]++
			fates[v.Fate]++
			want := models[ld].Packet(a.At, a.Bytes)
			if want.Left > length {
				want = edt.Verdict{Fate: edt.Unknown, Backlog: want.Backlog}
			}
			if v != want {
				t.Errorf("%v: packet %d: got %+v, want %+v", ld, number, v, want)
			}
			return nil
		}
		got, err := Simulate(t.Context(), openTape(t, tl), list(arrivals...), opts)
		if err != nil {
			t.Fatal(err)
		}
		within, _ := slices.BinarySearchFunc(arrivals, length, func(a Arrival, t time.Duration) int { return int(a.At - t) })
		if got.Length != length {
			t.Errorf("length: got %v, want %v", got.Length, length)
		}
		want := len(tl.Meta.Directions())
		if opts.Only != nil {
			want = 1
		}
		if len(got.Links) != want {
			t.Errorf("%d directions, want %d", len(got.Links), want)
		}
		for _, l := range got.Links {
			if l.Packets != int64(within) || l.Delivered+l.PathDrops+l.QueueDrops+l.OutageDrops+l.Waiting != l.Packets {
				t.Errorf("%d of %d packets: %+v", l.Packets, within, l)
			}
		}
	}
	for f, n := range fates {
		if n < 100 {
			t.Errorf("%v: only %d packets", edt.Fate(f), n)
		}
	}
}

// Arrivals are read no further than the window's end, and a day at a high rate
// needs no more memory than its queue.
func TestSimulateLong(t *testing.T) {
	tape := openTape(t, oneLink(24*time.Hour, stepAt(0, 100*trace.Gbit)))
	asked := 0
	got, err := Simulate(t.Context(), tape, func() (Arrival, error) {
		asked++
		return Arrival{time.Duration(asked-1) * time.Hour, 1500}, nil
	}, SimulateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Links[0]; asked != 25 || l.Delivered != 24 || l.TapeBytes != 24*3600*12_500_000_000 {
		t.Errorf("asked for %d packets, got %+v", asked, l)
	}
}

func TestSimulateWarns(t *testing.T) {
	s := stepAt(0, trace.Mbit)
	later := stepAt(time.Second, trace.Mbit)
	later.Duplicate = 0.1
	tl := oneLink(10*time.Second, s, later)
	tl.Meta.Links[0].Slot = &trace.Slot{Min: ms, Max: 2 * ms}
	got, err := Simulate(t.Context(), openTape(t, tl), list(), SimulateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.up has slots, which are left out", "a.up duplicates, corrupts or reorders packets from 1s on, which is left out"}
	if d := cmp.Diff(want, got.Warnings); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSimulateErrors(t *testing.T) {
	broken := errors.New("broken")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(broken)
	for _, c := range []struct {
		name string
		ctx  context.Context
		rate trace.BitRate
		next func() (Arrival, error)
		opts SimulateOptions
		want string
	}{
		{"from", t.Context(), trace.Mbit, list(), SimulateOptions{From: time.Minute}, "play 0s from 1m0s: the tape lasts 10s"},
		{"duration", t.Context(), trace.Mbit, list(), SimulateOptions{From: time.Second, Duration: 10 * time.Second}, "the tape lasts 10s"},
		{"direction", t.Context(), trace.Mbit, list(), SimulateOptions{Only: []trace.LinkDir{{Link: "b"}}}, "no direction b.down: it has [a.up]"},
		{"rate", t.Context(), 2 * edt.MaxRate, list(), SimulateOptions{}, "outside 0 to 1000Gbit"},
		{"arrivals", t.Context(), trace.Mbit, func() (Arrival, error) { return Arrival{}, broken }, SimulateOptions{}, "broken"},
		{"each", t.Context(), trace.Mbit, list(Arrival{0, 100}), SimulateOptions{Each: func(trace.LinkDir, int64, Arrival, edt.Verdict) error { return broken }}, "broken"},
		{"stopped", stopped, trace.Mbit, list(), SimulateOptions{}, "broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Simulate(c.ctx, openTape(t, oneLink(10*time.Second, stepAt(0, c.rate))), c.next, c.opts)
			if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
				t.Errorf("got %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

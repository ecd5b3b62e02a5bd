package record

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linktape/trace"
)

// A recorder is told of every packet in the order sent, and how far it is settled.
func ExampleRecorder() {
	up := trace.LinkDir{Link: "att", Dir: trace.Up}
	opts, err := Options{}.Defaults()
	if err != nil {
		fmt.Println(err)
		return
	}
	r := New([]Channel{{LinkDir: up, Base: 20 * time.Millisecond}}, 200*time.Millisecond, opts, func(steps []trace.Step) error {
		for _, s := range steps {
			fmt.Println(s.At, s.LinkDir(), s.Rate, s.Delay, s.Loss)
		}
		return nil
	}, nil)
	for n := range 20 {
		r.Flight(0, Flight{Sent: time.Duration(n) * 10 * time.Millisecond, Delay: 20 * time.Millisecond, Bytes: 1250, Lost: n == 15})
	}
	stats, err := r.Finish()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stats[0].Sent, stats[0].Lost, stats[0].Bursts.Max)
	// Output:
	// 0s att.up 1Mbit 20ms 0%
	// 100ms att.up 900kbit 20ms 10%
	// 20 1 1
}

// Jitter is the standard deviation of independent delays, and nothing of a ramp.
func TestSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const sigma, n = 4e6, 200_000
	var sum time.Duration
	last := 0.0
	for i := range n {
		d := r.NormFloat64() * sigma
		if i > 0 {
			sum += time.Duration(math.Abs(d - last))
		}
		last = d
	}
	// The mean difference has a standard error of about 0.9 σ/√n.
	if got := float64(spread(sum, n-1)); math.Abs(got-sigma) > 5*0.9*sigma/math.Sqrt(n) {
		t.Errorf("got %v, want %v", got, sigma)
	}
	if got := spread(1000, 1000); got != 0 { // a ramp of 1 ns a packet
		t.Errorf("a ramp: got %v, want 0", got)
	}
	if got := spread(0, 0); got != 0 {
		t.Errorf("nothing: got %v", got)
	}
}

// Runs of losses are those of the sequence, counted the plain way; and the chain's
// parameters are its closed forms.
func TestRuns(t *testing.T) {
	chain := trace.GE{P: 0.02, R: 0.25, LossBad: 1}
	r := rand.New(rand.NewPCG(2, 1))
	var all runs
	var lengths []int64
	bad, run, n := false, int64(0), 400_000
	for range n {
		if bad {
			bad = r.Float64() >= float64(chain.R)
		} else {
			bad = r.Float64() < float64(chain.P)
		}
		all.add(bad)
		if bad {
			run++
		} else if run > 0 {
			lengths = append(lengths, run)
			run = 0
		}
	}
	if run > 0 {
		lengths = append(lengths, run)
	}
	got := all.bursts()
	if got.Count != int64(len(lengths)) || got.Max != slices.Max(lengths) {
		t.Errorf("got %d runs up to %d, want %d up to %d", got.Count, got.Max, len(lengths), slices.Max(lengths))
	}
	want := make([]int64, len(got.Lengths))
	for _, l := range lengths {
		k := 0
		for 1<<k < l {
			k++
		}
		want[k]++
	}
	if !slices.Equal(got.Lengths, want) {
		t.Errorf("lengths: got %v, want %v", got.Lengths, want)
	}
	for name, v := range map[string][3]float64{
		"p":    {got.P, 0.02, math.Sqrt(0.02 * 0.98 / (0.92 * float64(n)))},
		"r":    {got.R, 0.25, math.Sqrt(0.25 * 0.75 / (0.07 * float64(n)))},
		"mean": {got.Mean, 4, 4 * math.Sqrt(0.75/float64(len(lengths)))},
	} {
		if math.Abs(v[0]-v[1]) > 5*v[2] {
			t.Errorf("%s: got %v, want %v ± %v", name, v[0], v[1], 5*v[2])
		}
	}
	if b := new(runs).bursts(); b.Count != 0 || b.Mean != 0 || b.P != 0 {
		t.Errorf("nothing: got %+v", b)
	}
}

func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(r.ExpFloat64() * 3e7)
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.95, 0.99} {
		got, want := h.quantile(q), all[int(q*10_000)]
		if got < want || float64(got) > 1.017*float64(want)+1 {
			t.Errorf("quantile %v: got %v, want %v to 1.6 %% more", q, got, want)
		}
	}
	if d := h.delays(); d.Min != all[0] || d.Max != all[9999] {
		t.Errorf("got %+v, want %v to %v", d, all[0], all[9999])
	}
}

// However flights fall into bins, the tape is valid and serves their bytes.
func TestRandomFlights(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		opts, err := Options{
			Step:  []time.Duration{time.Millisecond, 7 * time.Millisecond, 100 * time.Millisecond, 5 * time.Second}[r.IntN(4)],
			Delay: []Delay{DelayMin, DelayMedian}[r.IntN(2)],
		}.Defaults()
		if err != nil {
			t.Fatal(err)
		}
		channels := []Channel{
			{LinkDir: trace.LinkDir{Link: "a", Dir: trace.Down}, Base: time.Duration(r.IntN(50)) * time.Millisecond},
			{LinkDir: trace.LinkDir{Link: "a", Dir: trace.Up}, Base: -time.Millisecond},
			{LinkDir: trace.LinkDir{Link: "b", Dir: trace.Up}},
		}
		duration := time.Duration(Bins(time.Duration(1+r.IntN(int(20*time.Second))), opts.Step)) * opts.Step
		tape := trace.Timeline{Meta: trace.Meta{Duration: duration, Generator: "test",
			Links: []trace.Link{{Name: "a", Up: true, Down: true}, {Name: "b", Up: true}}}}
		var rows int64
		rec := New(channels, duration, opts, func(s []trace.Step) error {
			tape.Steps = append(tape.Steps, s...)
			return nil
		}, func(*Bin) error { rows++; return nil })
		want := make([]int64, len(channels))
		held := make([]bool, len(channels)) // an outage repeats the rate before
		var at time.Duration
		for at < duration {
			for i := range channels {
				f := Flight{Sent: at, Delay: channels[i].Base + time.Duration(r.IntN(int(2*time.Second))), Bytes: 40 + r.IntN(1460), Lost: i == 2 && r.IntN(4) == 0, Copies: r.IntN(10) / 9}
				rec.Flight(i, f)
				if !f.Lost {
					want[i] += int64(f.Bytes)
				} else {
					held[i] = true
				}
			}
			at += time.Duration(r.IntN(int(100 * time.Millisecond)))
			if err := rec.Settled(at); err != nil {
				t.Fatal(err)
			}
		}
		stats, err := rec.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if err := tape.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n := Bins(duration, opts.Step) * int64(len(channels)); rows != n {
			t.Fatalf("seed %d: %d rows, want %d", seed, rows, n)
		}
		for i, c := range channels {
			var service trace.Service
			var before *trace.Step
			for k := range tape.Steps {
				s := &tape.Steps[k]
				if s.LinkDir() != c.LinkDir {
					continue
				}
				if before != nil {
					service.Add(before.Rate, s.At-before.At)
				}
				before = s
			}
			service.Add(before.Rate, duration-before.At)
			got := service.Bits() / 8
			if stats[i].DeliveredBytes != want[i] || got < want[i] || got > want[i] && !held[i] {
				t.Errorf("seed %d, %v: counted %d bytes, on the tape %d, want %d", seed, c.LinkDir, stats[i].DeliveredBytes, got, want[i])
			}
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Step: time.Microsecond}, {Step: time.Hour}, {Queued: -1}, {Delay: "mean"}, {Losses: "no"}, {Idle: "?"}} {
		if _, err := o.Defaults(); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

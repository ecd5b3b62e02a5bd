package fit_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"linktape/synth"
	"linktape/synth/fit"
	"linktape/trace"
)

// known is a scenario with one of each that fit estimates.
const known = `scenario: known
duration: 40m
step: 100ms
seed: 5
correlation:
  - {of: rate, links: [a, b], rho: 0.6}
links:
  a:
    queue: 200ms
    up:
      rate: {model: log-ou, mean: 8Mbit, cv: 0.6, tau: 3s, noise: 0.2, floor: 3Mbit}
      delay: {model: sum, of: [{model: ou, mean: 40ms, cv: 0.05, tau: 1s}, {model: spikes, every: 20s, height: {median: 80ms, p90: 150ms}}]}
      loss: {model: ge, mean_good: 10s, mean_bad: 500ms, loss_bad: 0.3, loss_good: 0.001}
    outages:
      - {every: 30s, duration: {median: 800ms, p90: 2s}, mode: stall}
  b:
    queue: 64KB
    up:
      rate: {model: ou, mean: 20Mbit, cv: 0.2, tau: 2s}
      delay: 35ms
      loss: {model: ge-packet, mean: 0.01, burst: 4}
    down:
      rate: 50Mbit
  c:
    up: {delay: 20ms}
    regimes:
      5g: {dwell: 30s, up: {rate: {model: log-ou, mean: 80Mbit, cv: 0.3, tau: 2s}}}
      lte: {dwell: 20s, up: {rate: {model: log-ou, mean: 10Mbit, cv: 0.3, tau: 2s}}}
`

func parse(t testing.TB, text string) *synth.Scenario {
	t.Helper()
	sc, err := synth.Parse("f.yaml", []byte(text), synth.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return sc
}

func timeline(t testing.TB, sc *synth.Scenario) *trace.Timeline {
	t.Helper()
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

func stepsOf(tl *trace.Timeline) fit.Steps {
	return func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			for _, s := range tl.Steps {
				if !yield(s, nil) {
					return
				}
			}
		}
	}
}

func fitted(t testing.TB, tl *trace.Timeline) *fit.Report {
	t.Helper()
	rep, err := fit.Fit(t.Context(), tl.Meta, stepsOf(tl), fit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func find(t testing.TB, rep *fit.Report, link, dir string) *fit.Direction {
	t.Helper()
	for _, d := range rep.Directions {
		if d.Link == link && d.Dir == dir {
			return d
		}
	}
	t.Fatalf("no %s.%s", link, dir)
	return nil
}

// What package synth made is found again, and so is what is made from that.
func TestRoundTrip(t *testing.T) {
	tl := timeline(t, parse(t, known))
	rep := fitted(t, tl)
	text := rep.Scenario(fit.ScenarioOptions{Name: "again", Of: "known\n.tape"})
	if text != fitted(t, tl).Scenario(fit.ScenarioOptions{Name: "again", Of: "known\n.tape"}) {
		t.Error("a second fit writes another scenario")
	}
	again := timeline(t, parse(t, text))
	first := map[string]float64{}
	for turn, rep := range []*fit.Report{rep, fitted(t, again)} {
		// What the second one was made from are the first estimates. One in 30
		// intervals may fail by itself: these are half as wide again.
		slack := 1 + 0.5*float64(turn)
		check := func(what string, e fit.Estimate, want float64) {
			t.Helper()
			if turn == 0 {
				first[what] = e.Value
			} else {
				want = first[what]
			}
			wide := fit.Estimate{Value: e.Value, Low: e.Value - slack*(e.Value-e.Low), High: e.Value + slack*(e.High-e.Value)}
			if !wide.Contains(want) {
				t.Errorf("turn %d: %s: got %.4g (%.4g to %.4g), want %.4g", turn, what, e.Value, wide.Low, wide.High, want)
			}
		}
		a := find(t, rep, "a", "up")
		if a.Rate.Model != fit.LogOU || a.Rate.Floor != 3e6 || a.Regimes != nil || a.Outages.Kind != fit.Stall || a.Rate.Goodness.Word != "good" {
			t.Errorf("turn %d: a.up: %+v, regimes %v, outages %v, goodness %v", turn, a.Rate, a.Regimes, a.Outages, a.Rate.Goodness)
		}
		check("mean", a.Rate.Mean, 8e6)
		check("cv", a.Rate.CV, 0.6)
		check("tau", a.Rate.Tau, 3)
		check("noise", a.Rate.Noise, 0.2)
		check("every", a.Outages.Every, 30)
		check("median", a.Outages.Duration.Median, 0.8)
		check("p90", a.Outages.Duration.P90, 2)
		check("mean_good", a.Loss.MeanGood, 10)
		check("mean_bad", a.Loss.MeanBad, 0.5)
		check("loss_bad", a.Loss.LossBad, 0.3)
		check("delay", a.Delay.Mean, 40e6)
		check("delay tau", a.Delay.Tau, 1)
		if a.Delay.Spikes == nil {
			t.Fatalf("turn %d: no spikes", turn)
		}
		check("spikes", a.Delay.Spikes.Every, 20)
		check("heights", a.Delay.Spikes.Height.Median, 80e6)
		b := find(t, rep, "b", "up")
		if b.Rate.Model != fit.OU || b.Outages != nil || b.Loss.Model != "ge-packet" || b.Delay.Model != fit.Constant || b.Delay.Mean.Value != 35e6 {
			t.Errorf("turn %d: b.up: %+v, outages %v, loss %v, delay %v", turn, b.Rate, b.Outages, b.Loss, b.Delay)
		}
		check("cv of b", b.Rate.CV, 0.2)
		if d := find(t, rep, "b", "down"); d.Rate.Model != fit.Constant || d.Rate.Mean.Value != 50e6 {
			t.Errorf("turn %d: b.down: %+v", turn, d.Rate)
		}
		c := find(t, rep, "c", "up")
		if c.Regimes == nil || len(c.Regimes.Regimes) != 2 || c.Regimes.From != "labels" {
			t.Fatalf("turn %d: c.up: %+v", turn, c.Regimes)
		}
		for _, r := range c.Regimes.Regimes {
			want := map[string][2]float64{"5g": {30, 80e6}, "lte": {20, 10e6}}[r.Name]
			check(r.Name+" dwell", r.Dwell, want[0])
			check(r.Name+" mean", r.Rate.Mean, want[1])
		}
		for _, x := range rep.Correlations {
			switch x.A + " " + x.B {
			case "a.up b.up":
				check("rho", x.Rho, 0.6)
			default:
				check("rho of "+x.A+" and "+x.B, x.Rho, 0)
			}
		}
	}
	if again.Meta.Links[0].Queue.LimitTime != 200*time.Millisecond || again.Meta.Links[1].Queue.LimitBytes != 64000 {
		t.Errorf("queues: %+v", again.Meta.Links)
	}
}

// A tape of few steps is described as far as it goes, with reasons.
func TestShort(t *testing.T) {
	tl := timeline(t, parse(t, `scenario: short
duration: 4s
links:
  a: {up: {rate: {model: log-ou, mean: 8Mbit, cv: 0.6, tau: 3s}}}
  b: {up: {rate: {model: log-ou, mean: 8Mbit, cv: 0.6, tau: 3s}}, down: {rate: 0}}
`))
	rep := fitted(t, tl)
	warnings := strings.Join(rep.Warnings, "\n")
	for _, want := range []string{"below 20 tau", "b.down: rate: it is in outage all the time"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning %q in:\n%s", want, warnings)
		}
	}
	parse(t, rep.Scenario(fit.ScenarioOptions{}))
}

func TestCompare(t *testing.T) {
	tl := timeline(t, parse(t, known))
	source := fit.Source{Meta: tl.Meta, Steps: stepsOf(tl)}
	same, err := fit.Compare(t.Context(), source, source, fit.CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(same.Directions) != 4 || same.Only != nil {
		t.Errorf("got %d directions and %v", len(same.Directions), same.Only)
	}
	for _, p := range same.Directions {
		if p.KS != 0 || p.Wasserstein != 0 || p.ACF != 0 {
			t.Errorf("%s differs from itself: %+v", p.A, p)
		}
	}
	// Twice the rate: every rate moves by the mean.
	double := timeline(t, parse(t, strings.Replace(known, "mean: 20Mbit", "mean: 40Mbit", 1)))
	up := trace.LinkDir{Link: "b", Dir: trace.Up}
	other, err := fit.Compare(t.Context(), source, fit.Source{Meta: double.Meta, Steps: stepsOf(double)},
		fit.CompareOptions{Map: map[trace.LinkDir]trace.LinkDir{up: up}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range other.Directions {
		switch p.A {
		case "b.up":
			if math.Abs(p.Wasserstein-1) > 0.01 || p.KS < 0.9 || p.ACF > 0.01 {
				t.Errorf("twice the rate: %+v", p)
			}
		default:
			if p.KS != 0 {
				t.Errorf("%s: KS %v, want 0", p.A, p.KS)
			}
		}
	}
	_, err = fit.Compare(t.Context(), source, source, fit.CompareOptions{Map: map[trace.LinkDir]trace.LinkDir{up: {Link: "x", Dir: trace.Up}}})
	if err == nil || !strings.Contains(err.Error(), "B has no direction x.up: it has a.up") {
		t.Errorf("got %v", err)
	}
	// The bin is the longer one of both.
	slow := timeline(t, parse(t, strings.Replace(known, "step: 100ms", "step: 300ms", 1)))
	mixed, err := fit.Compare(t.Context(), source, fit.Source{Meta: slow.Meta, Steps: stepsOf(slow)}, fit.CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range mixed.Directions {
		if p.A == "b.up" && p.Bin != 300*time.Millisecond {
			t.Errorf("bin %v, want 300ms", p.Bin)
		}
	}
}

// FuzzScenario: whatever a timeline holds, fitting does not fail, and what it
// writes is a scenario.
func FuzzScenario(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(0))
	f.Add([]byte{0, 0, 0, 255, 1, 0, 0, 0, 200, 0, 0, 0}, uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		if len(data) > 4000 {
			return
		}
		unit := []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second + 7, 50 * time.Millisecond}[kind%4]
		tl := &trace.Timeline{Meta: trace.Meta{Generator: "fuzz", Links: []trace.Link{{Name: "a", Up: true, Down: kind&4 != 0}}}}
		at := time.Duration(0)
		for i, c := range data {
			s := trace.Step{At: at, Link: "a", Dir: trace.Up, State: trace.State{Carrier: true, Rate: trace.BitRate(c) * 12345}}
			switch {
			case kind&8 != 0 && c > 240:
				s.Carrier = false
			case kind&16 != 0:
				s.Delay = time.Duration(data[(i*7)%len(data)]) * time.Millisecond
			case kind&32 != 0:
				s.Loss = trace.Prob(float64(data[(i*3)%len(data)]) / 255)
			}
			if kind&64 != 0 {
				s.Label = []string{"", "x", "Y z", "outage", "good"}[c%5]
			}
			if kind&4 != 0 {
				down := s
				down.Dir, down.Rate = trace.Down, trace.BitRate(data[len(data)-1-i])
				tl.Steps = append(tl.Steps, down)
			}
			tl.Steps = append(tl.Steps, s)
			at += unit * time.Duration(1+c%3*(kind>>7))
		}
		tl.Meta.Duration = at
		if at == 0 || tl.Check() != nil {
			return
		}
		rep, err := fit.Fit(t.Context(), tl.Meta, stepsOf(tl), fit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		text := rep.Scenario(fit.ScenarioOptions{})
		if _, err := synth.Parse("f", []byte(text), synth.Options{}); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if _, err := fit.Compare(t.Context(), fit.Source{Meta: tl.Meta, Steps: stepsOf(tl)}, fit.Source{Meta: tl.Meta, Steps: stepsOf(tl)}, fit.CompareOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

func ExampleFit() {
	sc, err := synth.Parse("drive.yaml", []byte(`
scenario: drive
duration: 10m
links: {att: {up: {rate: {model: ou, mean: 8Mbit, cv: 0.2, tau: 1s}}}}
`), synth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tl, err := sc.Timeline()
	if err != nil {
		fmt.Println(err)
		return
	}
	steps := func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			for _, s := range tl.Steps {
				if !yield(s, nil) {
					return
				}
			}
		}
	}
	rep, err := fit.Fit(context.Background(), tl.Meta, steps, fit.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rate := rep.Directions[0].Rate
	fmt.Printf("%s, fit %s\n", rate.Model, rate.Goodness.Word)
	fmt.Println(rate.Mean.Contains(8e6), rate.CV.Contains(0.2), rate.Tau.Contains(1))
	// Output:
	// ou, fit good
	// true true true
}

package synth

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// spans returns the spans of one direction of a scenario.
func spans(t *testing.T, text string, ld trace.LinkDir) []trace.Span {
	t.Helper()
	sc, err := Parse("f", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out []trace.Span
	p := trace.NewSpanner(sc.duration, func(s trace.Span) {
		if s.LinkDir == ld {
			out = append(out, s)
		}
	})
	check, err := trace.NewChecker(sc.Meta())
	if err != nil {
		t.Fatal(err)
	}
	err = sc.Synthesize(t.Context(), func(steps []trace.Step) error {
		for i := range steps {
			check.Step(&steps[i])
			p.Step(&steps[i])
		}
		return nil
	}, nil)
	p.Finish()
	if err == nil {
		err = check.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// runs returns the lengths, in s, of the whole maximal runs of spans that a
// predicate holds for, and of those in between.
func runs(list []trace.Span, in func(*trace.State) bool) (yes, no []float64) {
	begin, last := time.Duration(0), in(&list[0].State)
	first := true
	for i := range list {
		if now := in(&list[i].State); now != last {
			if !first {
				if d := (list[i].From - begin).Seconds(); last {
					yes = append(yes, d)
				} else {
					no = append(no, d)
				}
			}
			begin, last, first = list[i].From, now, false
		}
	}
	return yes, no
}

// near verifies a value within its tolerance.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.6g, want %.6g ± %.3g", what, got, want, tolerance)
	} else {
		t.Logf("%s: %.6g, want %.6g ± %.3g", what, got, want, tolerance)
	}
}

// meanOf verifies the mean of independent values within five standard errors of
// their own.
func meanOf(t *testing.T, what string, x []float64, want float64) {
	t.Helper()
	m, s2 := mean(x), 0.0
	for _, v := range x {
		s2 += (v - m) * (v - m)
	}
	n := float64(len(x))
	near(t, fmt.Sprintf("mean %s of %d", what, len(x)), m, want, tolerance*math.Sqrt(s2/(n-1)/n))
}

// shareBelow verifies the share of independent values up to a bound, within five
// standard errors.
func shareBelow(t *testing.T, what string, x []float64, bound, want float64) {
	t.Helper()
	n := 0.0
	for _, v := range x {
		if v <= bound {
			n++
		}
	}
	total := float64(len(x))
	near(t, fmt.Sprintf("share of %s up to %g", what, bound), n/total, want, tolerance*math.Sqrt(want*(1-want)/total))
}

func up(link string) trace.LinkDir { return trace.LinkDir{Link: link, Dir: trace.Up} }

func scenario(duration, extra, link string) string {
	return fmt.Sprintf("scenario: s\nduration: %s\nseed: 5\n%slinks:\n  a: %s\n", duration, extra, link)
}

// The forms of durations, against their closed forms.
func TestSpread(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		mean   float64 // s; 0: none
		shares map[float64]float64
	}{
		"fixed":            {"250ms", 0.25, map[float64]float64{}},
		"median and p90":   {"{median: 400ms, p90: 1s}", 0.4 * math.Exp(math.Pow(math.Log(2.5)/z90, 2)/2), map[float64]float64{0.4: 0.5, 1: 0.9}},
		"mean and cv":      {"{mean: 2s, cv: 0.5}", 2, map[float64]float64{2 / math.Sqrt(1.25): 0.5}},
		"cut":              {"{median: 400ms, p90: 1s, max: 1s}", 0, map[float64]float64{0.4: 0.5, 0.999: 0.9, 1: 1}},
		"pareto":           {"{min: 20ms, alpha: 1.5, max: 24h}", 0, map[float64]float64{0.02 * math.Pow(2, 1/1.5): 0.5, 2: 1 - math.Pow(0.01, 1.5)}},
		"pareto with mean": {"{min: 20ms, alpha: 2.5, max: 2s}", 0.0333236, map[float64]float64{0.02 * math.Pow(2, 1/2.5): 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			list := spans(t, scenario("6h", "", "{up: {rate: 1Mbit, loss: {model: bursts, every: 100ms, duration: "+c.text+", loss_bad: 0.5}}}"), up("a"))
			x, gaps := runs(list, func(s *trace.State) bool { return s.Loss > 0 })
			if len(x) < 10_000 {
				t.Fatalf("%d bursts", len(x))
			}
			if c.mean > 0 {
				meanOf(t, "duration", x, c.mean)
			}
			for bound, share := range c.shares {
				shareBelow(t, "durations", x, bound+5e-7, share) // rounded to µs
			}
			meanOf(t, "gap", gaps, 0.1)
			shareBelow(t, "gaps", gaps, 0.1, 1-math.Exp(-1))
		})
	}
}

// Noise keeps mean and spread and takes its share of the autocorrelation.
func TestNoise(t *testing.T) {
	const mu, sigma, tau, w = 10e6, 1e6, 20, 0.4
	x := series(t, "{rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s, noise: 0.4}}", rateOf)
	compare(t, "mean", x, mu, mean)
	compare(t, "variance", x, 1, covariance(mu, sigma*sigma, 0))
	for _, lag := range []int{1, 5, 20, 60} {
		compare(t, fmt.Sprintf("autocorrelation at lag %d", lag), x,
			(1-w)*math.Exp(-float64(lag)/tau), covariance(mu, sigma*sigma, lag))
	}
	y := series(t, "{rate: {model: log-ou, mean: 10Mbit, cv: 0.8, tau: 2s, noise: 0.4}}", rateOf)
	compare(t, "mean of log-ou", y, mu, mean)
	compare(t, "variance of log-ou", y, 1, covariance(mu, 0.64*mu*mu, 0))
}

// The noise of a process has a stream of its own: the rest stays as it was.
func TestNoiseStream(t *testing.T) {
	with := series(t, "{rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s, noise: 0.0001%}}", rateOf)
	without := series(t, "{rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}", rateOf)
	for i := range with {
		for k := range with[i] {
			if math.Abs(with[i][k]-without[i][k]) > 0.01*1e6 {
				t.Fatalf("copy %d, step %d: %v with hardly any noise, %v without", i, k, with[i][k], without[i][k])
			}
		}
	}
}

func TestOutages(t *testing.T) {
	out := func(s *trace.State) bool { return s.Label == "outage" }
	list := spans(t, scenario("240h", "", "{up: {rate: 1Mbit}, outages: [{every: 50s, duration: {median: 400ms, p90: 1s}}]}"), up("a"))
	lengths, gaps := runs(list, out)
	meanOf(t, "gap", gaps, 50)
	shareBelow(t, "gaps", gaps, 25, 1-math.Exp(-0.5))
	shareBelow(t, "durations", lengths, 0.4, 0.5)
	shareBelow(t, "durations", lengths, 1, 0.9)

	for mode, want := range map[string][2]trace.State{
		"drop-both":    {trace.Up: {Rate: trace.Mbit, Loss: 1, Carrier: true, Label: "outage"}, trace.Down: {Rate: 2 * trace.Mbit, Loss: 1, Carrier: true, Label: "outage"}},
		"drop-up":      {trace.Up: {Rate: trace.Mbit, Loss: 1, Carrier: true, Label: "outage"}, trace.Down: {Rate: 2 * trace.Mbit, Carrier: true}},
		"drop-down":    {trace.Up: {Rate: trace.Mbit, GE: trace.GE{P: 0.01, R: 0.5, LossBad: 1}, Carrier: true}, trace.Down: {Rate: 2 * trace.Mbit, Loss: 1, Carrier: true, Label: "outage"}},
		"stall":        {trace.Up: {GE: trace.GE{P: 0.01, R: 0.5, LossBad: 1}, Carrier: true, Label: "outage"}, trace.Down: {Carrier: true, Label: "outage"}},
		"carrier-down": {trace.Up: {Rate: trace.Mbit, GE: trace.GE{P: 0.01, R: 0.5, LossBad: 1}, Label: "outage"}, trace.Down: {Rate: 2 * trace.Mbit, Label: "outage"}},
	} {
		for _, dir := range []trace.Direction{trace.Up, trace.Down} {
			text := scenario("10s", "", "{up: {rate: 1Mbit, loss: {model: ge-packet, p: 0.01, r: 0.5}}, down: {rate: 2Mbit}, outages: [{at: [0s, 1s, 4s], duration: 2s, mode: "+mode+"}]}")
			for _, s := range spans(t, text, trace.LinkDir{Link: "a", Dir: dir}) {
				// The one at 1 s has passed by the time that the first is over.
				if in := s.From < 2*time.Second || s.From >= 4*time.Second && s.From < 6*time.Second; in && s.State != want[dir] {
					t.Errorf("%s, %v at %v: got %+v, want %+v", mode, dir, s.From, s.State, want[dir])
				} else if !in && (s.Outage() || s.Label != "") {
					t.Errorf("%s, %v at %v: got %+v", mode, dir, s.From, s.State)
				}
			}
		}
	}
}

// A tunnel takes its links one after the other, each for the same time.
func TestSharedOutages(t *testing.T) {
	text := `scenario: s
duration: 24h
seed: 5
shared_outages:
  tunnel: {links: {a: 0s, b: 400ms, c: 10s}, every: 30s, duration: {median: 4s, p90: 8s}, mode: stall}
links:
  a: {up: {rate: 1Mbit}}
  b: {up: {rate: 1Mbit}}
  c: {up: {rate: 1Mbit}}
  d: {up: {rate: 1Mbit}}
`
	begins := func(link string) (at, length []time.Duration) {
		for _, s := range spans(t, text, up(link)) {
			if s.Rate == 0 {
				at, length = append(at, s.From), append(length, s.To-s.From)
			}
		}
		return at, length
	}
	a, lengthA := begins("a")
	b, lengthB := begins("b")
	c, lengthC := begins("c")
	if d, _ := begins("d"); len(d) > 0 {
		t.Errorf("d, which is not in the tunnel, is out %d times", len(d))
	}
	if len(a) < 1000 || len(b) < len(a)-1 || len(c) < len(a)-1 {
		t.Fatalf("outages: %d, %d, %d", len(a), len(b), len(c))
	}
	var between []float64
	for i := range len(a) - 1 {
		if b[i]-a[i] != 400*time.Millisecond || c[i]-a[i] != 10*time.Second || lengthA[i] != lengthB[i] || lengthA[i] != lengthC[i] {
			t.Fatalf("outage %d: at %v, %v, %v for %v, %v, %v", i, a[i], b[i], c[i], lengthA[i], lengthB[i], lengthC[i])
		}
		between = append(between, (a[i+1] - c[i] - lengthC[i]).Seconds())
	}
	meanOf(t, "time from one to the next", between, 30)
	list := spans(t, strings.Replace(text, "every: 30s", "at: [0s, 1s, 60s]", 1), up("c"))
	if len(list) != 5 || list[1].From != 10*time.Second || list[3].From != 70*time.Second {
		t.Errorf("listed: %+v", list)
	}
}

func TestHandovers(t *testing.T) {
	handover := func(s *trace.State) bool { return s.Label == "handover" }
	t.Run("poisson", func(t *testing.T) {
		list := spans(t, scenario("240h", "", "{up: {rate: 1Mbit, delay: 100ms}, handovers: {every: 40s, probability: 0.5, interruption: 50ms, delay_step: 5ms}}"), up("a"))
		lengths, gaps := runs(list, handover)
		for _, x := range lengths {
			if x != 0.05 {
				t.Fatalf("interruption of %v s", x)
			}
		}
		meanOf(t, "gap", gaps, 80)
		var shift, square []float64
		for _, s := range list[1:] {
			if handover(&s.State) {
				if s.Rate != 0 {
					t.Fatalf("not stalled: %+v", s)
				}
				d := (s.Delay - 100*time.Millisecond).Seconds() * 1e3
				shift, square = append(shift, d), append(square, d*d)
			}
		}
		meanOf(t, "shift of the delay, ms", shift, 0)
		meanOf(t, "its square", square, 25)
	})
	t.Run("starlink", func(t *testing.T) {
		list := spans(t, scenario("10m", "", "{up: {rate: 1Mbit}, handovers: {arrivals: starlink, interruption: {median: 100ms, p90: 500ms}, mode: drop-both}}"), up("a"))
		n := 0
		for _, s := range list {
			if !handover(&s.State) {
				continue
			}
			if s.Loss != 1 || s.From != 12*time.Second+time.Duration(n)*15*time.Second {
				t.Errorf("epoch %d: %+v", n, s)
			}
			n++
		}
		if n != 40 {
			t.Errorf("%d epochs in 10 minutes, want 40", n)
		}
	})
	t.Run("periodic", func(t *testing.T) {
		var at []time.Duration
		for _, s := range spans(t, scenario("1m", "", "{up: {rate: 1Mbit}, handovers: {arrivals: periodic, every: 20s, offset: 7s, interruption: 1s}}"), up("a")) {
			if handover(&s.State) {
				at = append(at, s.From)
			}
		}
		if want := []time.Duration{7 * time.Second, 27 * time.Second, 47 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("got %v, want %v", at, want)
		}
	})
	// A re-drawn rate keeps its distribution and forgets where it was.
	t.Run("redraw", func(t *testing.T) {
		link := "{up: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 1000s}}, handovers: {arrivals: periodic, every: 1s, delay_step: 1ms, redraw: true}}"
		x := seriesOf(t, link, "", rateOf)
		compare(t, "mean", x, 10e6, mean)
		compare(t, "variance", x, 1, covariance(10e6, 1e12, 0))
		compare(t, "autocorrelation at 0.5 s", x, 0.5, covariance(10e6, 1e12, 5))
		compare(t, "autocorrelation at 2 s", x, 0, covariance(10e6, 1e12, 20))
	})
}

func TestRegimes(t *testing.T) {
	link := `
    up: {delay: 20ms, loss: {model: ge-packet, p: 0.01, r: 0.5}}
    down: {rate: 3Mbit}
    regimes:
      fast: {dwell: 30s, up: {rate: 50Mbit}, next: {slow: 1}}
      slow: {dwell: 15s, up: {rate: 5Mbit, delay: 40ms, loss: 0.1}, next: {fast: 3, gone: 1}}
      gone: {dwell: {mean: 4s, cv: 0.2}, up: {rate: 100kbit}, down: {rate: 50kbit}, next: {slow: 1}}`
	list := spans(t, scenario("240h", "", link), up("a"))
	count := make(map[string]float64)
	total := make(map[string]float64)
	after := make(map[[2]string]float64)
	for i, s := range list {
		count[s.Label]++
		total[s.Label] += (s.To - s.From).Seconds()
		if i > 0 {
			after[[2]string{list[i-1].Label, s.Label}]++
		}
		want := trace.State{Rate: 50 * trace.Mbit, Delay: 20 * time.Millisecond, GE: trace.GE{P: 0.01, R: 0.5, LossBad: 1}, Carrier: true, Label: "fast"}
		switch s.Label {
		case "slow":
			want = trace.State{Rate: 5 * trace.Mbit, Delay: 40 * time.Millisecond, Loss: 0.1, Carrier: true, Label: "slow"}
		case "gone":
			want.Rate, want.Label = 100*trace.Kbit, "gone"
		}
		if s.State != want {
			t.Fatalf("at %v: got %+v, want %+v", s.From, s.State, want)
		}
	}
	for name, c := range map[string]struct{ dwell, sd float64 }{"fast": {30, 30}, "slow": {15, 15}, "gone": {4, 0.8}} {
		near(t, "dwell "+name, total[name]/count[name], c.dwell, tolerance*c.sd/math.Sqrt(count[name]))
	}
	n := after[[2]string{"slow", "fast"}] + after[[2]string{"slow", "gone"}]
	near(t, "share of fast after slow", after[[2]string{"slow", "fast"}]/n, 0.75, tolerance*math.Sqrt(0.75*0.25/n))
	if after[[2]string{"fast", "gone"}]+after[[2]string{"gone", "fast"}] > 0 {
		t.Error("a regime followed that has no weight")
	}

	// Both directions change together.
	for _, s := range spans(t, scenario("1h", "", link), trace.LinkDir{Link: "a", Dir: trace.Down}) {
		if (s.Label == "gone") != (s.Rate == 50*trace.Kbit) {
			t.Errorf("down at %v: %+v", s.From, s.State)
		}
	}
	// Copies start from the stationary distribution: the embedded chain is in
	// slow half of the time.
	stationary := seriesOf(t, "{up: {rate: 1Mbit}, regimes: {a: {dwell: 30s, up: {rate: 2Mbit}}, b: {dwell: 10s}}}", "", func(s *trace.State) float64 {
		if s.Label == "a" {
			return 1
		}
		return 0
	})
	compare(t, "share of the first regime", stationary, 0.75, mean)
	compare(t, "share of the first regime at the start", stationary, 0.75, func(x []float64) float64 { return x[0] })
}

// A switch keeps the place in the distribution, and a quantity in no regime its
// values.
func TestRegimesShareDraws(t *testing.T) {
	one := "scenario: s\nduration: 1m\nlinks:\n  a: {up: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}, delay: {model: ou, mean: 20ms, cv: 0.1, tau: 2s}}"
	plain := spans(t, one+"}\n", up("a"))
	list := spans(t, one+", regimes: {x: {dwell: 5s}, y: {dwell: 5s, up: {rate: {model: ou, mean: 1Mbit, cv: 0.1, tau: 2s}}}}}\n", up("a"))
	seen := make(map[string]int)
	i := 0
	for _, s := range list {
		for plain[i].To <= s.From {
			i++
		}
		want := float64(plain[i].Rate)
		if s.Label == "y" {
			want /= 10
		}
		if math.Abs(float64(s.Rate)-want) > 1 || s.Delay != plain[i].Delay {
			t.Fatalf("at %v in %s: %v and %v, alone %v and %v", s.From, s.Label, s.Rate, s.Delay, plain[i].Rate, plain[i].Delay)
		}
		seen[s.Label]++
	}
	if len(seen) != 2 {
		t.Errorf("regimes: %v", seen)
	}
}

// The numbers of flows are negative binomial and the mean share is 1 − load,
// whatever the distribution of the sizes.
func TestCell(t *testing.T) {
	for name, c := range map[string]struct {
		cell         string
		load, weight float64
	}{
		"light tail": {"{capacity: 80Mbit, load: 0.5, size: {mean: 500KB, alpha: 50}, delay_per_flow: 10ms}", 0.5, 1},
		"pareto":     {"{capacity: 80Mbit, load: 0.5, size: {mean: 500KB, alpha: 1.8, max: 25MB}, delay_per_flow: 10ms}", 0.5, 1},
		"weight":     {"{capacity: 80Mbit, load: 0.3, size: {mean: 500KB, alpha: 3}, delay_per_flow: 10ms, weight: 2.5}", 0.3, 2.5},
		"idle":       {"{capacity: 80Mbit, load: 0, size: {mean: 100KB}, delay_per_flow: 10ms}", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			link := "{cell: LINK, up: {rate: 100Mbit, delay: 1ms}}"
			extra := "cells:\n  LINK: " + c.cell
			share := seriesOf(t, link, extra, func(s *trace.State) float64 { return float64(s.Rate) / 100e6 })
			flows := seriesOf(t, link, extra, func(s *trace.State) float64 { return float64(s.Delay-time.Millisecond) / 10e6 })
			if c.load == 0 {
				if share[0][0] != 1 || flows[0][length-1] != 0 {
					t.Errorf("share %v, flows %v", share[0][0], flows[0][length-1])
				}
				return
			}
			n := (c.weight + 1) * c.load / (1 - c.load)
			compare(t, "share", share, 1-c.load, mean)
			compare(t, "flows", flows, n, mean)
			compare(t, "share in the first step", share, 1-c.load, func(x []float64) float64 { return x[0] })
			compare(t, "flows in the first step", flows, n, func(x []float64) float64 { return x[0] })
		})
	}
	// The numbers themselves, with flows so long that a step hardly averages.
	flows := seriesOf(t, "{cell: LINK, up: {rate: 100Mbit}}", "cells:\n  LINK: {capacity: 8Mbit, load: 0.5, size: {mean: 4MB, alpha: 2.5}, delay_per_flow: 10ms}",
		func(s *trace.State) float64 { return s.Delay.Seconds() * 1e2 })
	for n, want := range []float64{0.25, 0.25, 0.1875, 0.125} { // (n+1)·(1/2)^(n+2)
		compare(t, fmt.Sprintf("share of time with %d flows", n), flows, want, func(x []float64) float64 {
			k := 0.0
			for _, v := range x {
				if math.Round(v) == float64(n) {
					k++
				}
			}
			return k / float64(len(x))
		})
	}
}

func TestSteppedCell(t *testing.T) {
	text := scenario("1m", "cells:\n  tower: {flows: [{at: 0s, flows: 0}, {at: 20s, flows: 4}], repeat: 40s, delay_per_flow: 2ms}\n",
		"{cell: tower, up: {rate: 10Mbit, delay: 30ms}, down: {rate: 100Mbit}}")
	for dir, full := range map[trace.Direction]trace.BitRate{trace.Up: 10 * trace.Mbit, trace.Down: 100 * trace.Mbit} {
		list := spans(t, text, trace.LinkDir{Link: "a", Dir: dir})
		if len(list) != 3 || list[1].From != 20*time.Second || list[2].From != 40*time.Second ||
			list[0].Rate != full || list[1].Rate != full/5 || list[2].Rate != full || list[1].Delay-list[0].Delay != 8*time.Millisecond {
			t.Errorf("%v: %+v", dir, list)
		}
	}
}

// The realised correlation is the one asked for, for processes of different
// kinds and correlation times; the marginals stay.
func TestCorrelation(t *testing.T) {
	const n = 16 // groups of three links
	var text strings.Builder
	fmt.Fprintf(&text, "scenario: s\nduration: %dms\nseed: 3\ncorrelation:\n", length*100)
	for g := range n {
		fmt.Fprintf(&text, "  - {links: [a%02d, b%02d, c%02d], matrix: [[1, 0.8, -0.3], [0.8, 1, 0.2], [-0.3, 0.2, 1]]}\n", g, g, g)
	}
	fmt.Fprintln(&text, "links:")
	for g := range n {
		fmt.Fprintf(&text, "  a%02d: {up: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}, down: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}}\n", g)
		fmt.Fprintf(&text, "  b%02d: {up: {rate: {model: log-ou, mean: 10Mbit, cv: 0.5, tau: 3s}}, down: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}}\n", g)
		fmt.Fprintf(&text, "  c%02d: {up: {rate: {model: product, of: [{model: ou, mean: 10Mbit, cv: 0.1, tau: 1s}, 0.5]}}, down: {rate: 1Mbit}}\n", g)
	}
	sc, err := Parse("f", []byte(text.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	z := make(map[trace.LinkDir][]float64)
	logMean, logSD := math.Log(10e6)-math.Log1p(0.25)/2, math.Sqrt(math.Log1p(0.25))
	if err := sc.Synthesize(t.Context(), func(steps []trace.Step) error {
		for i := range steps {
			s := &steps[i]
			v := (float64(s.Rate) - 10e6) / 1e6
			switch {
			case s.Dir == trace.Up && s.Link[0] == 'b':
				v = (math.Log(float64(s.Rate)) - logMean) / logSD
			case s.Dir == trace.Up && s.Link[0] == 'c':
				v = (float64(s.Rate) - 5e6) / 5e5
			}
			x := z[s.LinkDir()]
			for at := int(s.At / sc.step); len(x) < at; { // equal states were merged
				x = append(x, x[len(x)-1])
			}
			z[s.LinkDir()] = append(x, v)
		}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	product := func(x, y string, dx, dy trace.Direction) [][]float64 {
		var out [][]float64
		for g := range n {
			a := z[trace.LinkDir{Link: fmt.Sprintf("%s%02d", x, g), Dir: dx}]
			b := z[trace.LinkDir{Link: fmt.Sprintf("%s%02d", y, g), Dir: dy}]
			if len(a) != length || len(b) != length {
				t.Fatalf("%d and %d steps, want %d", len(a), len(b), length)
			}
			p := make([]float64, length)
			for i := range p {
				p[i] = a[i] * b[i]
			}
			out = append(out, p)
		}
		return out
	}
	u, d := trace.Up, trace.Down
	for _, c := range []struct {
		x, y   string
		dx, dy trace.Direction
		want   float64
	}{
		{"a", "b", u, u, 0.8}, {"a", "c", u, u, -0.3}, {"b", "c", u, u, 0.2}, {"a", "b", d, d, 0.8},
		{"a", "a", u, d, 0}, {"a", "b", u, d, 0},
		{"a", "a", u, u, 1}, {"b", "b", u, u, 1}, {"c", "c", u, u, 1},
	} {
		p := product(c.x, c.y, c.dx, c.dy)
		compare(t, fmt.Sprintf("correlation of %s.%v and %s.%v", c.x, c.dx, c.y, c.dy), p, c.want, mean)
		compare(t, fmt.Sprintf("at the start, %s.%v and %s.%v", c.x, c.dx, c.y, c.dy), p, c.want, func(x []float64) float64 { return x[0] })
	}
}

// The first of the correlated links keeps its draws, and so do links outside.
func TestCorrelationKeepsDraws(t *testing.T) {
	for name, process := range map[string]string{
		"ou":        "{model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}",
		"in a sum":  "{model: sum, of: [1Mbit, {model: ou, mean: 10Mbit, sigma: 1Mbit, tau: 2s}]}",
		"two below": "{model: sum, of: [1Mbit, {model: product, of: [{model: ou, mean: 10Mbit, sigma: 1Mbit, tau: 2s}, 0.5]}]}",
	} {
		links := strings.ReplaceAll(`links:
  a: {up: {rate: PROCESS}}
  b: {up: {rate: PROCESS}}
  c: {up: {rate: PROCESS}}
`, "PROCESS", process)
		head := "scenario: s\nduration: 1m\n"
		with := head + "correlation: [{links: [b, a], rho: 0.9}]\n" + links
		for link, same := range map[string]bool{"a": true, "b": false, "c": true} {
			if got := slices.Equal(spans(t, with, up(link)), spans(t, head+links, up(link))); got != same {
				t.Errorf("%s, %s: same draws: %v, want %v", name, link, got, same)
			}
		}
	}
}

// Events come on top of everything, regimes and outages too.
func TestEvents(t *testing.T) {
	text := scenario("1m", "events:\n  - at 10s, link a, outage 5s, mode stall\n  - at 12s, link a.up, delay +100ms, for 10s\n  - at 40s, link all, rate x0.5\n",
		"{up: {rate: 10Mbit, delay: 20ms}, down: {rate: 20Mbit}, regimes: {x: {dwell: 1h, start: true, up: {rate: 8Mbit}}, y: {dwell: 1h}}}")
	ms := time.Millisecond
	want := []trace.Span{
		{From: 0, To: 10 * time.Second, State: trace.State{Rate: 8 * trace.Mbit, Delay: 20 * ms, Carrier: true, Label: "x"}},
		{From: 10 * time.Second, To: 12 * time.Second, State: trace.State{Delay: 20 * ms, Carrier: true, Label: "outage"}},
		{From: 12 * time.Second, To: 15 * time.Second, State: trace.State{Delay: 120 * ms, Carrier: true, Label: "outage"}},
		{From: 15 * time.Second, To: 22 * time.Second, State: trace.State{Rate: 8 * trace.Mbit, Delay: 120 * ms, Carrier: true, Label: "x"}},
		{From: 22 * time.Second, To: 40 * time.Second, State: trace.State{Rate: 8 * trace.Mbit, Delay: 20 * ms, Carrier: true, Label: "x"}},
		{From: 40 * time.Second, To: time.Minute, State: trace.State{Rate: 4 * trace.Mbit, Delay: 20 * ms, Carrier: true, Label: "x"}},
	}
	for i := range want {
		want[i].LinkDir = up("a")
	}
	if got := spans(t, text, up("a")); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Layers leave the draws of what they lie on as they were.
func TestLayersKeepDraws(t *testing.T) {
	base := "{up: {rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}}"
	plain := spans(t, scenario("2m", "", base), up("a"))
	for name, link := range map[string]string{
		"outages":   strings.Replace(base, "{up", "{outages: [{every: 10s, duration: 1s}], up", 1),
		"handovers": strings.Replace(base, "{up", "{handovers: {every: 10s, interruption: 1s}, up", 1),
	} {
		i, compared := 0, 0
		for _, s := range spans(t, scenario("2m", "", link), up("a")) {
			for plain[i].To <= s.From {
				i++
			}
			if s.Label == "" {
				compared++
				if s.State != plain[i].State {
					t.Fatalf("%s at %v: %+v, alone %+v", name, s.From, s.State, plain[i].State)
				}
			}
		}
		if compared < 600 || compared == len(plain) {
			t.Errorf("%s: %d spans compared of %d", name, compared, len(plain))
		}
	}
}

package fit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/trace"
)

// Every interval holds the true value in at least 93 of 100 runs of T = 1000 τ,
// which an interval of exactly 95 % does with probability 0.87, one of 96.5 %
// with 0.98.

func TestCoverageRate(t *testing.T) {
	for _, c := range []struct {
		name            string
		tau             float64
		model           Model
		mean, cv, noise float64
		floor, ceiling  float64
		gaps            bool
	}{
		{"ou", 0.5, OU, 10e6, 0.2, 0.3, 0, math.Inf(1), false},
		{"ou without noise", 0.5, OU, 10e6, 0.2, 0, 0, math.Inf(1), false},
		{"log-ou", 0.5, LogOU, 4e6, 0.75, 0.2, 0, math.Inf(1), false},
		{"log-ou clipped", 0.3, LogOU, 4e6, 0.75, 0.2, 2e6, 12e6, false},
		{"log-ou with outages", 0.5, LogOU, 4e6, 0.75, 0.2, 0, math.Inf(1), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tau, n := c.tau, int(1000*c.tau/testBin.Seconds())
			var got tally
			chosen := 0
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, 101))
				var x []float64
				if c.model == LogOU {
					x = exps(ouPath(rng, logOf(c.mean, c.cv, tau, c.noise), n))
				} else {
					x = ouPath(rng, process{c.mean, c.cv * c.mean, tau, c.noise}, n)
				}
				out := make([]bool, n)
				for i := 50; c.gaps && i < n; i += 20 + rng.IntN(60) {
					for k := i; k < min(n, i+4+rng.IntN(8)); k++ {
						out[k] = true
					}
				}
				m := newMade(n)
				m.add("a", func(i int, s *trace.State) {
					s.Rate = trace.BitRate(min(max(x[i], c.floor), c.ceiling))
					if out[i] {
						s.Rate = 0
					}
				})
				p := m.fit(t, Options{NoRegimes: true}).Directions[0].Rate
				if p.Model == c.model {
					chosen++
				}
				if p.Goodness.Word != "good" {
					t.Logf("seed %d: goodness %+v", seed, p.Goodness)
				}
				got.see("mean", p.Mean, c.mean)
				got.see("cv", p.CV, c.cv)
				got.see("tau", p.Tau, tau)
				got.see("noise", p.Noise, c.noise)
			}
			got.check(t, map[string]float64{"mean": 0.14, "cv": 0.15, "tau": 0.5, "noise": 0.7})
			if chosen < 99 {
				t.Errorf("the right form was chosen in %d of %d runs", chosen, seeds)
			}
		})
	}
}

// drawOutages marks outages on instants of their own, exponential times apart.
func drawOutages(rng *rand.Rand, duration time.Duration, every, median, p90 float64) []run {
	var out []run
	sd := math.Log(p90/median) / z90
	at := 0.0
	for {
		at += every * rng.ExpFloat64()
		d := median * math.Exp(sd*rng.NormFloat64())
		if time.Duration(at*1e9) >= duration {
			return out
		}
		end := min(time.Duration((at+d)*1e9), duration)
		out = append(out, run{from: time.Duration(at * 1e9), to: end})
		at += d
	}
}

func TestCoverageOutages(t *testing.T) {
	const every, median, p90 = 20.0, 0.8, 2.5
	for _, count := range []int{20, 100} {
		var got tally
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, 102))
			duration := time.Duration(float64(count)*(every+1)) * time.Second
			m := &made{meta: trace.Meta{Duration: duration, Links: []trace.Link{{Name: "a", Up: true}}}}
			state := trace.State{Rate: 1e6, Carrier: true}
			down := state
			down.Rate, down.Label = 0, "outage"
			m.steps = append(m.steps, trace.Step{Link: "a", Dir: trace.Up, State: state})
			for _, r := range drawOutages(rng, duration, every, median, p90) {
				m.steps = append(m.steps, trace.Step{At: r.from, Link: "a", Dir: trace.Up, State: down})
				if r.to < duration {
					m.steps = append(m.steps, trace.Step{At: r.to, Link: "a", Dir: trace.Up, State: state})
				}
			}
			o := m.fit(t, Options{}).Directions[0].Outages
			if o.Kind != Stall {
				t.Fatalf("kind %s, want %s", o.Kind, Stall)
			}
			got.see("every", o.Every, every)
			got.see("median", o.Duration.Median, median)
			got.see("p90", o.Duration.P90, p90)
		}
		t.Logf("about %d outages:", count)
		got.check(t, map[string]float64{"every": 18 / math.Sqrt(float64(count)), "median": 6 / math.Sqrt(float64(count)), "p90": 12 / math.Sqrt(float64(count))})
	}
}

// chain returns the states of a two-state chain, 1 being bad.
func chain(rng *rand.Rand, n int, meanGood, meanBad float64) []int {
	p, r := testBin.Seconds()/meanGood, testBin.Seconds()/meanBad
	out := make([]int, n)
	state := 0
	if rng.Float64() < p/(p+r) {
		state = 1
	}
	for i := range out {
		out[i] = state
		switch {
		case state == 0 && rng.Float64() < p:
			state = 1
		case state == 1 && rng.Float64() < r:
			state = 0
		}
	}
	return out
}

func TestCoverageLoss(t *testing.T) {
	const n, good, bad, lossGood, lossBad = 20000, 8.0, 0.4, 0.001, 0.4
	t.Run("known", func(t *testing.T) {
		var got tally
		heavy := 0
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, 103))
			states := chain(rng, n, good, bad)
			m := newMade(n)
			m.add("a", func(i int, s *trace.State) { s.Loss = []trace.Prob{lossGood, lossBad}[states[i]] })
			l := m.fit(t, Options{}).Directions[0].Loss
			got.see("mean_good", l.MeanGood, good)
			got.see("mean_bad", l.MeanBad, bad)
			got.see("loss_good", l.LossGood, lossGood)
			got.see("loss_bad", l.LossBad, lossBad)
			got.see("mean", l.Mean, (good*lossGood+bad*lossBad)/(good+bad))
			if l.Tail != nil && l.Tail.Heavy {
				heavy++
			}
		}
		got.check(t, map[string]float64{"mean_good": 0.35, "mean_bad": 0.35, "loss_good": 0, "loss_bad": 0, "mean": 0.5})
		if heavy > 2 {
			t.Errorf("geometric bursts were called heavy-tailed in %d of %d runs", heavy, seeds)
		}
	})
	// The loss of each step is a count of lost packets over 250 sent.
	t.Run("counted", func(t *testing.T) {
		var got tally
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, 104))
			states := chain(rng, n, good, bad)
			m := newMade(n)
			m.add("a", func(i int, s *trace.State) {
				// Geometric distances between the lost ones.
				lost, p := 0, []float64{lossGood, lossBad}[states[i]]
				for k := 0.0; ; k++ {
					k += math.Floor(math.Log(1-rng.Float64()) / math.Log1p(-p))
					if k >= 250 {
						break
					}
					lost++
				}
				s.Loss = trace.Prob(float64(lost) / 250)
			})
			l := m.fit(t, Options{}).Directions[0].Loss
			got.see("mean_good", l.MeanGood, good)
			got.see("mean_bad", l.MeanBad, bad)
			got.see("loss_good", l.LossGood, lossGood)
			got.see("loss_bad", l.LossBad, lossBad)
		}
		got.check(t, map[string]float64{"mean_good": 0.35, "mean_bad": 0.35, "loss_good": 0.15, "loss_bad": 0.05})
	})
	t.Run("heavy", func(t *testing.T) {
		const alpha = 1.3
		var got tally
		found := 0
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, 105))
			m := &made{meta: trace.Meta{Links: []trace.Link{{Name: "a", Up: true}}}}
			at := 0.0
			for range 300 {
				for _, s := range []struct {
					loss trace.Prob
					d    float64
				}{{0, 5 * rng.ExpFloat64()}, {0.5, 0.02 * math.Pow(rng.Float64(), -1/alpha)}} {
					m.steps = append(m.steps, trace.Step{At: time.Duration(at * 1e9), Link: "a", Dir: trace.Up, State: trace.State{Rate: 1e6, Carrier: true, Loss: s.loss}})
					at += s.d + 1e-6
				}
			}
			m.meta.Duration = time.Duration(at * 1e9)
			l := m.fit(t, Options{}).Directions[0].Loss
			if l.Tail != nil && l.Tail.Heavy {
				found++
			}
			got.see("alpha", l.Tail.Alpha, alpha)
		}
		got.check(t, map[string]float64{"alpha": 0.5})
		if found < 95 {
			t.Errorf("heavy tails were found in %d of %d runs", found, seeds)
		}
	})
}

func TestCoverageDelay(t *testing.T) {
	const n, tau = 5000, 0.5
	var got tally
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 106))
		x := ouPath(rng, process{40e6, 2e6, tau, 0}, n)
		next, until, height := 30*rng.ExpFloat64(), 0.0, 0.0
		spikes := make([]float64, n)
		for i := range spikes {
			at := float64(i) * testBin.Seconds()
			if at >= next {
				height = 80e6 * math.Exp(0.3*rng.NormFloat64())
				until = at + 0.2
				next = until + 30*rng.ExpFloat64()
			}
			if at < until {
				spikes[i] = height
			}
		}
		m := newMade(n)
		m.add("a", func(i int, s *trace.State) { s.Delay = time.Duration(x[i] + spikes[i]) })
		m.add("b", func(i int, s *trace.State) { s.Delay = 35 * time.Millisecond })
		m.add("c", func(i int, s *trace.State) { s.Delay = time.Duration(x[i]) })
		rep := m.fit(t, Options{})
		d := rep.Directions[0].Delay
		if d.Spikes == nil {
			t.Fatalf("seed %d: no spikes", seed)
		}
		got.see("mean", d.Mean, 40e6)
		got.see("sigma", Estimate{d.CV.Value * d.Mean.Value, d.CV.Low * d.Mean.Value, d.CV.High * d.Mean.Value}, 2e6)
		got.see("tau", d.Tau, tau)
		got.see("every", d.Spikes.Every, 30)
		got.see("height", d.Spikes.Height.Median, 80e6)
		if c := rep.Directions[1].Delay; c.Model != Constant || c.Mean.Value != 35e6 {
			t.Errorf("constant delay: got %+v", c)
		}
		if c := rep.Directions[2].Delay; c.Spikes != nil {
			t.Errorf("seed %d: %d spikes in a delay without any", seed, c.Spikes.Count)
		}
	}
	got.check(t, map[string]float64{"mean": 0.01, "sigma": 0.15, "tau": 0.3, "every": 1.4, "height": 0.4})
}

func TestCoverageCorrelation(t *testing.T) {
	const n = 5000
	for _, c := range []struct {
		name       string
		rho        float64
		tau, noise [2]float64
	}{
		{"equal", 0.5, [2]float64{0.5, 0.5}, [2]float64{0, 0}},
		{"noise and unequal tau", 0.6, [2]float64{0.5, 0.8}, [2]float64{0.2, 0.4}},
		{"none", 0, [2]float64{0.5, 0.8}, [2]float64{0.2, 0.4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got tally
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, 107))
				x, y := pairPath(rng, c.rho, c.tau, c.noise, n)
				m := newMade(n)
				m.add("a", func(i int, s *trace.State) { s.Rate = trace.BitRate(10e6 + 2e6*x[i]) })
				m.add("b", func(i int, s *trace.State) { s.Rate = trace.BitRate(4e6 * math.Exp(0.5*y[i])) })
				rep := m.fit(t, Options{NoRegimes: true})
				if len(rep.Correlations) != 1 {
					t.Fatalf("seed %d: %v", seed, rep.Warnings)
				}
				// Of the parts themselves, whose steps have the correlation c.rho.
				a, b := math.Exp(-0.1/c.tau[0]), math.Exp(-0.1/c.tau[1])
				rho := c.rho * math.Sqrt((1-a*a)*(1-b*b)) / (1 - a*b)
				got.see("rho", rep.Correlations[0].Rho, rho)
				if c.noise[0] == 0 || c.rho == 0 { // what the plain correlation is of
					got.see("plain", rep.Correlations[0].Plain, c.rho)
				}
			}
			got.check(t, map[string]float64{"rho": 0.3, "plain": 0.3})
		})
	}
}

// pairPath returns two standard processes whose steps are correlated.
func pairPath(rng *rand.Rand, rho float64, tau, noise [2]float64, n int) (x, y []float64) {
	var a, b [2]float64
	for k := range a {
		a[k] = math.Exp(-testBin.Seconds() / tau[k])
		b[k] = math.Sqrt(1 - a[k]*a[k])
	}
	u, v := 0.0, 0.0
	for i := -2000; i < n; i++ {
		p := rng.NormFloat64()
		q := rho*p + math.Sqrt(1-rho*rho)*rng.NormFloat64()
		u, v = a[0]*u+b[0]*p, a[1]*v+b[1]*q
		if i >= 0 {
			x = append(x, math.Sqrt(1-noise[0])*u+math.Sqrt(noise[0])*rng.NormFloat64())
			y = append(y, math.Sqrt(1-noise[1])*v+math.Sqrt(noise[1])*rng.NormFloat64())
		}
	}
	return x, y
}

func TestCoverageRegimes(t *testing.T) {
	const n, low, high = 5000, 20.0, 10.0
	var got tally
	two := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 108))
		states := chain(rng, n, low, high)
		means := [2]float64{4e6, 30e6}
		var paths [2][]float64
		for j := range paths {
			paths[j] = exps(ouPath(rng, logOf(means[j], 0.3, 1, 0.1), n))
		}
		m := newMade(n)
		m.add("a", func(i int, s *trace.State) { s.Rate = trace.BitRate(paths[states[i]][i]) })
		r := m.fit(t, Options{}).Directions[0].Regimes
		if r == nil || len(r.Regimes) != 2 {
			continue
		}
		two++
		got.see("dwell low", r.Regimes[0].Dwell, low)
		got.see("dwell high", r.Regimes[1].Dwell, high)
		got.see("mean low", r.Regimes[0].Rate.Mean, means[0])
		got.see("mean high", r.Regimes[1].Rate.Mean, means[1])
	}
	got.check(t, map[string]float64{"dwell low": 1.6, "dwell high": 1.6, "mean low": 0.12, "mean high": 0.15})
	if two < 99 {
		t.Errorf("two regimes were found in %d of %d runs", two, seeds)
	}
}

// One process is one regime.
func TestNoFalseRegimes(t *testing.T) {
	const n = 3000
	for _, c := range []struct {
		name  string
		tau   float64
		noise float64
		cv    float64
	}{
		{"short tau", 0.5, 0.2, 0.5}, {"long tau", 10, 0, 0.5}, {"long tau with noise", 10, 0.3, 0.9},
	} {
		t.Run(c.name, func(t *testing.T) {
			alarms := 0
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, 109))
				x := exps(ouPath(rng, logOf(5e6, c.cv, c.tau, c.noise), n))
				m := newMade(n)
				m.add("a", func(i int, s *trace.State) { s.Rate = trace.BitRate(x[i]) })
				if r := m.fit(t, Options{}).Directions[0].Regimes; r != nil {
					alarms++
				}
			}
			t.Logf("%d of %d runs", alarms, seeds)
			if alarms > 2 {
				t.Errorf("regimes were found in %d of %d runs of one process, want at most 2", alarms, seeds)
			}
		})
	}
}

package synth

import (
	"fmt"
	"math"
	"testing"
	"time"

	"linktape/trace"
)

// The mean is that of the draws, cut at most, also where a closed form loses its
// digits.
func TestSpreadMean(t *testing.T) {
	const s = float64(time.Second)
	pareto := func(least, most, alpha float64) spread {
		return spread{form: paretoSpread, min: least, alpha: alpha, most: most, tail: 1 - pow(least/most, alpha)}
	}
	for name, c := range map[string]struct {
		spread
		want float64
	}{
		"fixed":                  {spread{value: 5 * s, most: 100 * s}, 5 * s},
		"log-normal":             {spread{form: logNormalSpread, value: s, sigma: 0.8, most: 1e6 * s}, s * math.Exp(0.32)},
		"log-normal, fixed":      {spread{form: logNormalSpread, value: s, most: 10 * s}, s},
		"log-normal, cut":        {spread{form: logNormalSpread, value: s, sigma: 2, most: s}, s * (0.5 + math.Exp(2)*phi(-2))},
		"log-normal, far out":    {spread{form: logNormalSpread, value: 1, sigma: 31, most: 1e17}, 1e17 * phi(-math.Log(1e17)/31)},
		"Pareto":                 {pareto(s, 1e6*s, 2), 2 * s * (1 - 1e-6) / (1 - 1e-12)},
		"Pareto, alpha 1":        {pareto(s, math.E*s, 1), s / (1 - 1/math.E)},
		"Pareto, alpha near 1":   {pareto(s, math.E*s, 1+2e-16), s / (1 - 1/math.E)},
		"Pareto of one value":    {pareto(5*s, 5*s, 1.5), 5 * s},
		"Pareto of about one":    {pareto(5*s, 5*s*(1+1e-9), 1.5), 5 * s},
		"Pareto with alpha high": {pareto(s, 10*s, 100), s * 100 / 99},
	} {
		tolerance := 1e-4 * c.want
		if name == "log-normal, far out" {
			tolerance = 0.1 * c.want
		}
		near(t, name, c.mean(), c.want, tolerance)
	}
}

// A chain of regimes with a heavy tail of dwell times changes more often than
// its mean says; the bound holds all the same.
func TestBoundOfHeavyTails(t *testing.T) {
	for _, dwell := range []string{"{mean: 30s, cv: 10}", "{min: 1ms, alpha: 0.9}", "{median: 1s, p90: 1000h}", "{median: 100us, p90: 80000h}", "{min: 2s, alpha: 1.5, max: 2s}"} {
		for seed := range uint64(20) {
			sc, err := Parse("f", fmt.Appendf(nil, "scenario: s\nduration: 10m\nseed: %d\nlinks: {a: {regimes: {x: {dwell: %s}, y: {dwell: %s}}, up: {rate: 1Mbit}}}\n", seed, dwell, dwell), Options{})
			if err != nil {
				t.Fatal(err)
			}
			tl, err := sc.Timeline()
			if err != nil {
				t.Fatal(err)
			}
			if n := uint64(len(tl.Steps)); n > sc.bound() {
				t.Errorf("dwell %s: %d steps, at most %d expected", dwell, n, sc.bound())
			}
		}
	}
}

// The regimes in the beginning are as long as the shares of their dwell times,
// also where those are all of one length.
func TestFirstRegimeOfOneLength(t *testing.T) {
	first := map[string]int{}
	for seed := range uint64(200) {
		sc, err := Parse("f", fmt.Appendf(nil, "scenario: s\nduration: 1s\nseed: %d\nlinks: {a: {regimes: {x: {dwell: {min: 5s, alpha: 2, max: 5s}}, y: {dwell: {min: 5s, alpha: 2, max: 5s}}}, up: {rate: 1Mbit}}}\n", seed), Options{})
		if err != nil {
			t.Fatal(err)
		}
		tl, err := sc.Timeline()
		if err != nil {
			t.Fatal(err)
		}
		first[tl.Steps[0].State.Label]++
	}
	near(t, "runs that begin in x", float64(first["x"]), 100, 5*math.Sqrt(50))
}

// Whole microseconds, rounded to the nearest, also below 0.
func TestQuantise(t *testing.T) {
	for _, c := range []struct {
		q       quantity
		v, want float64
	}{
		{rate, 3.4, 3}, {rate, 3.5, 4}, {rate, -3.4, -3}, {rate, -3.7, -4}, {rate, -0.2, 0},
		{delay, 3499, 3000}, {delay, -3500, -4000}, {delay, 3500, 4000}, {delay, -3700, -4000}, {jitter, -3200, -3000},
		{loss, 0.123456, 0.123456}, {factor, 1.5, 1.5},
	} {
		if got := c.q.quantise(c.v); got != c.want {
			t.Errorf("quantity %d, %v: got %v, want %v", c.q, c.v, got, c.want)
		}
	}
}

// A product of many factors does not become infinite times 0, which is no number.
func TestProductOfManyFactors(t *testing.T) {
	text := "scenario: s\nduration: 1s\nlinks: {a: {up: {rate: {model: product, of: [1Gbit"
	for range 60 {
		text += ", 1e6"
	}
	for factor, want := range map[string]trace.BitRate{"0": 0, "1": trace.MaxRate} {
		list := spans(t, text+", "+factor+"]}}}}\n", up("a"))
		if got := list[0].State.Rate; got != want {
			t.Errorf("times %s: got %v, want %v", factor, got, want)
		}
	}
}

// What falls holds whole microseconds, as all random delays do.
func TestSpikesAreWhole(t *testing.T) {
	for _, step := range []string{"1us", "1500ns", "1ms"} {
		for _, s := range spans(t, "scenario: s\nduration: 2s\nstep: "+step+"\nlinks: {a: {up: {rate: 1Mbit, delay: {model: spikes, every: 20ms, height: {median: 5ms, p90: 20ms}}}}}\n", up("a")) {
			if s.State.Delay%time.Microsecond != 0 {
				t.Fatalf("step %s: a delay of %v", step, s.State.Delay)
			}
		}
	}
}

package synth

import (
	"math"
	"testing"
	"time"

	"linktape/trace"
)

func TestCosTurn(t *testing.T) {
	for i := range 1_000_000 {
		x := float64(i) / 1_000_000
		if got, want := cosTurn(x), math.Cos(2*math.Pi*x); math.Abs(got-want) > 1e-15 {
			t.Fatalf("cos(2π·%v): got %v, want %v", x, got, want)
		}
	}
	for x, want := range map[float64]float64{0: 1, 0.25: 0, 0.5: -1, 0.75: 0, 0.125: math.Sqrt2 / 2} {
		if got := cosTurn(x); math.Abs(got-want) > 2e-16 {
			t.Errorf("cos(2π·%v): got %v, want %v", x, got, want)
		}
	}
}

func TestRampAndDiurnal(t *testing.T) {
	at := func(list []trace.Span, at time.Duration) *trace.State {
		for i := range list {
			if list[i].From <= at && at < list[i].To {
				return &list[i].State
			}
		}
		t.Fatalf("no span at %v", at)
		return nil
	}
	list := spans(t, scenario("60s", "", "{up: {rate: {model: ramp, from: 1Mbit, to: 3Mbit, start: 10s, over: 20s}, loss: {model: ramp, from: 10%, to: 0, over: 5s, repeat: 10s}}}"), up("a"))
	for x, want := range map[time.Duration]trace.BitRate{0: trace.Mbit, 10 * time.Second: trace.Mbit, 20 * time.Second: 2 * trace.Mbit, 29900 * time.Millisecond: 2_990_000, 30 * time.Second: 3 * trace.Mbit, 59 * time.Second: 3 * trace.Mbit} {
		if got := at(list, x).Rate; got != want {
			t.Errorf("ramp at %v: got %v, want %v", x, got, want)
		}
	}
	for x, want := range map[time.Duration]float64{0: 0.1, 2500 * time.Millisecond: 0.05, 7 * time.Second: 0, 12500 * time.Millisecond: 0.05} {
		if got := float64(at(list, x).Loss); math.Abs(got-want) > 1e-15 {
			t.Errorf("repeated ramp at %v: got %v, want %v", x, got, want)
		}
	}
	list = spans(t, "scenario: s\nduration: 48h\nstep: 1m\nlinks: {a: {up: {rate: {model: diurnal, low: 1Mbit, high: 5Mbit, peak: 20h, start: 8h}}}}\n", up("a"))
	for x, want := range map[time.Duration]trace.BitRate{0: trace.Mbit, 12 * time.Hour: 5 * trace.Mbit, 6 * time.Hour: 3 * trace.Mbit, 36 * time.Hour: 5 * trace.Mbit} {
		if got := at(list, x).Rate; got != want {
			t.Errorf("diurnal at %v: got %v, want %v", x, got, want)
		}
	}
}

// Sums and products add and multiply what their terms give alone.
func TestSumAndProduct(t *testing.T) {
	x := series(t, "{rate: 1Mbit, delay: {model: sum, of: [30ms, {model: ou, mean: 0, sigma: 3ms, tau: 1s}, {model: ou, mean: 10ms, sigma: 4ms, tau: 1s}]}}", delayOf)
	compare(t, "mean of the sum", x, 40e6, mean)
	compare(t, "its variance", x, 1, covariance(40e6, 25e12, 0))
	y := series(t, "{rate: {model: product, of: [{model: ou, mean: 10Mbit, cv: 0.1, tau: 1s}, {model: log-ou, mean: 1, cv: 0.2, tau: 2s}, 0.5]}}", rateOf)
	compare(t, "mean of the product", y, 5e6, mean)
	compare(t, "its variance", y, 1.01*1.04-1, covariance(5e6, 25e12, 0))
	list := spans(t, scenario("2s", "", "{up: {rate: {model: sum, of: [1Mbit, {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 333ms, value: 9Mbit}]}], ceiling: 5Mbit}}}"), up("a"))
	if len(list) != 2 || list[0].Rate != 2*trace.Mbit || list[1].Rate != 5*trace.Mbit || list[1].From != 333*time.Millisecond {
		t.Errorf("got %+v", list)
	}
}

func TestSpikes(t *testing.T) {
	list := spans(t, scenario("240h", "", "{up: {rate: 1Mbit, delay: {model: spikes, every: 20s, height: {median: 80ms, p90: 400ms}, hold: 30ms}}}"), up("a"))
	var heights []float64
	for i, s := range list {
		if s.Delay == 0 {
			continue
		}
		if list[i-1].Delay == 0 {
			heights = append(heights, s.Delay.Seconds())
			if s.To-s.From < 30*time.Millisecond {
				t.Fatalf("at %v: a top of %v, want at least 30 ms", s.From, s.To-s.From)
			}
			continue
		}
		// What is sent as one part of the fall begins does not overtake what was
		// sent as the part before began.
		if s.From+s.Delay < list[i-1].From+list[i-1].Delay {
			t.Fatalf("at %v: %v after %v at %v", s.From, s.Delay, list[i-1].Delay, list[i-1].From)
		}
	}
	_, gaps := runs(list, func(s *trace.State) bool { return s.Delay > 0 })
	meanOf(t, "gap", gaps, 20)
	shareBelow(t, "heights", heights, 0.08, 0.5)
	shareBelow(t, "heights", heights, 0.4, 0.9)
}

// The four-state chain has its stationary loss and its mean burst.
func TestMarkov(t *testing.T) {
	m := markov{p13: 0.02, p31: 0.3, p32: 0.1, p23: 0.4, p14: 0.01}
	pi := m.stationary()
	loss := pi[1] + pi[3]
	x := series(t, "{rate: 1Mbit, loss: {model: markov, p13: 0.02, p31: 0.3, p32: 0.1, p23: 0.4, p14: 0.01}}", lossOf)
	compare(t, "loss", x, loss, mean)
	compare(t, "first loss", x, loss, func(x []float64) float64 { return x[0] })
	// A run of losses begins in state 3 and stays there with 1 − p31 − p32, or is
	// one of state 4.
	starts := pi[0]*(0.02+0.01) + pi[2]*0.4
	compare(t, "starts of runs", x, starts, func(x []float64) float64 {
		n := 0.0
		for i := 1; i < len(x); i++ {
			if x[i] == 1 && x[i-1] == 0 {
				n++
			}
		}
		return n / float64(len(x)-1)
	})
	y := series(t, "{rate: 1Mbit, loss: {model: markov, p13: 0.02, p31: 0.3, p32: 0.1, p23: 0.4, p14: 0.01, spacing: 20ms}}", lossOf)
	compare(t, "loss of five to a step", y, loss, mean)
	for _, v := range y[0] {
		if k := v * 5; math.Abs(k-math.Round(k)) > 1e-12 {
			t.Fatalf("loss %v: not a multiple of 1/5", v)
		}
	}
}

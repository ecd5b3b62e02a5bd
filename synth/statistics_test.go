package synth

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// The statistical tests run independent copies of a process, one link each,
// and compare the mean over the copies with the closed form, in standard errors
// estimated from the copies. Student's t with 63 degrees of freedom exceeds 5.0
// in absolute value with probability 5e-6. Seeds are fixed: a failure repeats.
const (
	copies    = 64
	length    = 20_000
	tolerance = 5.0
)

// series synthesizes copies of a direction and returns their values by copy,
// sampled every 100 ms.
func series(t *testing.T, direction string, value func(*trace.State) float64) [][]float64 {
	t.Helper()
	return seriesOf(t, "{up: "+direction+"}", "", value)
}

// seriesOf is series for the up direction of links; extra is what the scenario
// holds besides. LINK stands for a link's name in both: extra is repeated.
func seriesOf(t *testing.T, link, extra string, value func(*trace.State) float64) [][]float64 {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "scenario: copies\nduration: %dms\nstep: 100ms\nseed: 11\n", length*100)
	if head, item, ok := strings.Cut(extra, "\n"); ok {
		fmt.Fprintln(&text, head)
		for i := range copies {
			fmt.Fprintln(&text, strings.ReplaceAll(item, "LINK", fmt.Sprintf("l%02d", i)))
		}
	}
	fmt.Fprintln(&text, "links:")
	for i := range copies {
		name := fmt.Sprintf("l%02d", i)
		fmt.Fprintf(&text, "  %s: %s\n", name, strings.ReplaceAll(link, "LINK", name))
	}
	sc, err := Parse("copies", []byte(text.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]float64, copies)
	for i := range out {
		out[i] = make([]float64, 0, length)
	}
	err = sc.Synthesize(t.Context(), func(steps []trace.Step) error {
		for i := range steps {
			if steps[i].Dir != trace.Up {
				continue
			}
			link := int(steps[i].Link[1]-'0')*10 + int(steps[i].Link[2]-'0')
			// What begins between two instants is sampled at the second.
			at := int((steps[i].At + 100*time.Millisecond - 1) / (100 * time.Millisecond))
			x := out[link]
			if len(x) > at { // several steps between two instants
				x = x[:at]
			}
			for len(x) < at { // equal states were merged
				x = append(x, x[len(x)-1])
			}
			if at < length {
				x = append(x, value(&steps[i].State))
			}
			out[link] = x
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		for len(out[i]) < length {
			out[i] = append(out[i], out[i][len(out[i])-1])
		}
	}
	return out
}

// compare verifies the expectation of a statistic.
func compare(t *testing.T, what string, x [][]float64, want float64, statistic func([]float64) float64) {
	t.Helper()
	var sum, sum2 float64
	for _, c := range x {
		v := statistic(c) - want
		sum += v
		sum2 += v * v
	}
	n := float64(len(x))
	mean := sum / n
	se := math.Sqrt((sum2/n - mean*mean) / (n - 1))
	z := mean / se
	if !(math.Abs(z) <= tolerance) { // NaN too
		t.Errorf("%s: got %.6g, want %.6g: %.1f standard errors away", what, mean+want, want, z)
	} else {
		t.Logf("%s: %.6g, want %.6g (%.1f standard errors)", what, mean+want, want, z)
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// covariance returns the statistic (x(t)−μ)(x(t+lag)−μ)/σ², averaged; its
// expectation is the autocorrelation.
func covariance(mu, variance float64, lag int) func([]float64) float64 {
	return func(x []float64) float64 {
		sum := 0.0
		for i := range len(x) - lag {
			sum += (x[i] - mu) * (x[i+lag] - mu)
		}
		return sum / float64(len(x)-lag) / variance
	}
}

func phi(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

func rateOf(s *trace.State) float64  { return float64(s.Rate) }
func delayOf(s *trace.State) float64 { return float64(s.Delay) }
func lossOf(s *trace.State) float64  { return float64(s.Loss) }

func TestOU(t *testing.T) {
	for name, c := range map[string]struct {
		direction string
		value     func(*trace.State) float64
		mu, sigma float64
		tau       float64 // in steps
	}{
		"rate":        {"{rate: {model: ou, mean: 10Mbit, cv: 0.1, tau: 2s}}", rateOf, 10e6, 1e6, 20},
		"rate, sigma": {"{rate: {model: ou, mean: 10Mbit, sigma: 500kbit, tau: 300ms}}", rateOf, 10e6, 5e5, 3},
		"delay":       {"{rate: 1Mbit, delay: {model: ou, mean: 50ms, sigma: 5ms, tau: 1s}}", delayOf, 50e6, 5e6, 10},
	} {
		t.Run(name, func(t *testing.T) {
			x := series(t, c.direction, c.value)
			compare(t, "mean", x, c.mu, mean)
			for _, lag := range []int{0, 1, 5, 20, 60} {
				compare(t, fmt.Sprintf("autocorrelation at lag %d", lag), x,
					math.Exp(-float64(lag)/c.tau), covariance(c.mu, c.sigma*c.sigma, lag))
			}
			// The start is stationary too: one value a copy.
			compare(t, "first value", x, c.mu, func(x []float64) float64 { return x[0] })
		})
	}
}

func TestLogOU(t *testing.T) {
	const mu, cv, tau = 4e6, 0.5, 20
	x := series(t, "{rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 2s}}", rateOf)
	s2 := math.Log1p(cv * cv)
	muL := math.Log(mu) - s2/2
	compare(t, "mean", x, mu, mean)
	for _, lag := range []int{0, 1, 5, 20, 60} {
		rho := math.Exp(-float64(lag) / tau)
		compare(t, fmt.Sprintf("autocorrelation at lag %d", lag), x,
			math.Expm1(s2*rho)/math.Expm1(s2), covariance(mu, cv*cv*mu*mu, lag))
	}
	for i := range x {
		for j := range x[i] {
			x[i][j] = math.Log(x[i][j])
		}
	}
	compare(t, "mean of the logarithm", x, muL, mean)
	for _, lag := range []int{0, 1, 20} {
		compare(t, fmt.Sprintf("autocorrelation of the logarithm at lag %d", lag), x,
			math.Exp(-float64(lag)/tau), covariance(muL, s2, lag))
	}
}

func TestClipping(t *testing.T) {
	fraction := func(at float64) func([]float64) float64 {
		return func(x []float64) float64 {
			n := 0
			for _, v := range x {
				if v == at {
					n++
				}
			}
			return float64(n) / float64(len(x))
		}
	}
	x := series(t, "{rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 1s, floor: 2Mbit, ceiling: 7Mbit}}", rateOf)
	s := math.Sqrt(math.Log1p(0.25))
	muL := math.Log(4e6) - s*s/2
	compare(t, "log-ou at the floor", x, phi((math.Log(2e6)-muL)/s), fraction(2e6))
	compare(t, "log-ou at the ceiling", x, 1-phi((math.Log(7e6)-muL)/s), fraction(7e6))

	x = series(t, "{rate: 1Mbit, delay: {model: ou, mean: 20ms, cv: 0.3, tau: 1s, floor: 15000500ns, ceiling: 30ms}}", delayOf)
	compare(t, "ou at the floor", x, phi((15.0005-20)/6), fraction(15000500))
	compare(t, "ou at the ceiling", x, 1-phi((30-20.0)/6), fraction(30e6))
	for _, v := range x[0] {
		if v != 15000500 && math.Mod(v, 1000) != 0 {
			t.Fatalf("delay %v is no whole microsecond", v)
		}
	}
}

func TestGE(t *testing.T) {
	x := series(t, "{rate: 1Mbit, loss: {model: ge, mean_good: 4s, mean_bad: 600ms, loss_bad: 0.5, loss_good: 0.01}}", lossOf)
	const p, r = 1.0 / 40, 1.0 / 6
	const bad = p / (p + r)
	compare(t, "loss", x, bad*0.5+(1-bad)*0.01, mean)
	compare(t, "first loss", x, bad*0.5+(1-bad)*0.01, func(x []float64) float64 { return x[0] })
	// The autocorrelation of a two-state chain is (1−p−r)^lag.
	variance := bad * (1 - bad) * 0.49 * 0.49
	for _, lag := range []int{1, 3, 10} {
		compare(t, fmt.Sprintf("autocorrelation at lag %d", lag), x,
			math.Pow(1-p-r, float64(lag)), covariance(bad*0.5+(1-bad)*0.01, variance, lag))
	}
	// Complete runs, against the geometric distribution: χ² with 19 degrees of
	// freedom exceeds 62 with probability 2e-6.
	runs := map[float64][]int{}
	for _, c := range x {
		start := 0
		for i := 1; i < len(c); i++ {
			if c[i] != c[i-1] {
				if start > 0 {
					runs[c[start]] = append(runs[c[start]], i-start)
				}
				start = i
			}
		}
	}
	for value, leave := range map[float64]float64{0.5: r, 0.01: p} {
		// 20 classes: about equal shares for the long runs, single lengths for the short.
		const classes = 20
		width := max(1, int(math.Round(3/leave/classes)))
		var counts [classes]float64
		sum := 0
		for _, n := range runs[value] {
			counts[min((n-1)/width, classes-1)]++
			sum += n
		}
		n := float64(len(runs[value]))
		chi2 := 0.0
		for i := range counts {
			want := n * (math.Pow(1-leave, float64(i*width)) - math.Pow(1-leave, float64((i+1)*width)))
			if i == classes-1 {
				want = n * math.Pow(1-leave, float64(i*width))
			}
			chi2 += (counts[i] - want) * (counts[i] - want) / want
		}
		// The mean of n geometric lengths: standard error √(1−q)/q/√n.
		z := (float64(sum)/n - 1/leave) / (math.Sqrt(1-leave) / leave / math.Sqrt(n))
		if !(chi2 <= 62 && math.Abs(z) <= tolerance) {
			t.Errorf("runs of loss %v: χ² %.1f, mean %.3f, want below 62 and %.3f (%.1f standard errors)", value, chi2, float64(sum)/n, 1/leave, z)
		} else {
			t.Logf("%v runs of loss %v: χ² %.1f, mean %.3f, want %.3f (%.1f standard errors)", n, value, chi2, float64(sum)/n, 1/leave, z)
		}
	}
}

// TestGEPacket steps the chain as the kernel does and compares with what mean
// and burst asked for.
func TestGEPacket(t *testing.T) {
	sc, err := Parse("f", []byte("{scenario: a, duration: 1s, links: {a: {up: {rate: 1Mbit, loss: {model: ge-packet, mean: 2%, burst: 4}}}}}"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	g := tl.Steps[0].GE
	if got := g.Loss(); math.Abs(got-0.02) > 1e-15 {
		t.Errorf("loss: got %v, want 0.02", got)
	}
	if got := g.MeanBurst(); math.Abs(got-4) > 1e-12 {
		t.Errorf("mean burst: got %v, want 4", got)
	}
}

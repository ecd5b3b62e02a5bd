package synth

import (
	"math"
	"time"

	"linktape/internal/conf"
)

// spread is a distribution of durations: one value, log-normal, exponential or
// (bounded) Pareto. Each draw takes one uniform number, whatever the form.
type spread struct {
	form  spreadForm
	value float64 // ns: the fixed value, the median, or the mean of an exponential
	sigma float64 // of the logarithm
	min   float64 // ns: the least value of a Pareto
	alpha float64
	tail  float64 // 1 − (min/most)^alpha: the mass of a Pareto below its most
	most  float64 // ns: what a draw is cut at; of a Pareto: where it ends
}

type spreadForm uint8

const (
	fixedSpread spreadForm = iota
	logNormalSpread
	exponentialSpread
	paretoSpread
)

// z90 is the standard normal deviate below which nine in ten fall.
const z90 = 1.2815515655446004

// readSpread reads a duration, {median, p90} or {mean, cv} (log-normal), or
// {min, alpha, max} (Pareto, ended at max). max cuts the other forms.
func readSpread(n conf.Node, longest time.Duration) spread {
	out := spread{most: float64(longest)}
	if !n.IsMap() {
		d := n.Duration()
		if !n.Failed() && d > longest {
			n.Errorf("%v: above the longest, %v", d, longest)
		}
		out.value = float64(d)
		return out
	}
	m := n.Map()
	read := func(key string) (float64, bool) {
		k, ok := m.Get(key)
		if !ok {
			return 0, false
		}
		d := k.Duration()
		switch {
		case k.Failed():
		case d == 0:
			k.Errorf("%s 0s: write a duration above 0", key)
		case d > longest:
			k.Errorf("%s %v: above the longest, %v", key, d, longest)
		}
		return float64(d), true
	}
	median, hasMedian := read("median")
	p90, hasP90 := read("p90")
	mean, hasMean := read("mean")
	least, hasMin := read("min")
	most, hasMax := read("max")
	cvNode, hasCV := m.Get("cv")
	alphaNode, hasAlpha := m.Get("alpha")
	if hasMax {
		out.most = most
	}
	m.Done()
	failed := func(keys ...string) bool {
		for _, key := range keys {
			if k, ok := m.Get(key); !ok || k.Failed() {
				return true
			}
		}
		return false
	}
	fault := func(key, format string, args ...any) {
		k, _ := m.Get(key)
		k.Errorf(format, args...)
	}
	switch {
	case hasMedian && hasP90 && !hasMean && !hasCV && !hasMin && !hasAlpha:
		out.form, out.value = logNormalSpread, median
		switch {
		case failed("median", "p90"):
		case p90 < median:
			fault("p90", "p90 lies below the median: exchange them")
		default:
			out.sigma = log(p90/median) / z90
		}
	case hasMean && hasCV && !hasMedian && !hasP90 && !hasMin && !hasAlpha:
		out.form = logNormalSpread
		cv := cvNode.Float()
		if !cvNode.Failed() && (cv < 0 || cv > maxCV) {
			cvNode.Errorf("cv %v: outside 0 to %v", cv, maxCV)
		}
		if !failed("mean", "cv") {
			s2 := log(1 + float64(cv*cv))
			out.sigma, out.value = math.Sqrt(s2), float64(mean*exp(-s2/2))
		}
	case hasMin && hasAlpha && !hasMean && !hasCV && !hasMedian && !hasP90:
		out.form, out.min = paretoSpread, least
		out.alpha = alphaNode.Float()
		if !alphaNode.Failed() && (out.alpha < 0.1 || out.alpha > 100) {
			alphaNode.Errorf("alpha %v: outside 0.1 to 100", out.alpha)
		}
		if failed("min", "alpha") {
			break
		}
		if hasMax && !failed("max") && most < least {
			fault("max", "max lies below min: exchange them")
		}
		out.tail = 1 - pow(least/out.most, out.alpha)
	default:
		n.Errorf("write a duration, such as 500ms, or {median, p90} or {mean, cv} (log-normal), or {min, alpha, max} (Pareto)")
	}
	return out
}

// exponential is the distribution of the times between events that come at
// random, with this mean.
func exponential(mean time.Duration) spread {
	return spread{form: exponentialSpread, value: float64(mean), most: float64(MaxDuration)}
}

// draw returns a duration of at least 1 µs, in whole µs; 0 where it is always 0.
func (s *spread) draw(r *stream) time.Duration {
	u := r.uniform()
	v := s.value
	switch s.form {
	case logNormalSpread:
		v = float64(v * exp(float64(s.sigma*normalQuantile(u))))
	case exponentialSpread:
		v = float64(v * -log(u))
	case paretoSpread:
		// F(x) = (1 − (min/x)^α)/tail
		v = s.min / pow(1-float64(u*s.tail), 1/s.alpha)
	}
	if v == 0 {
		return 0
	}
	return max(time.Duration(min(v, s.most)/1000+0.5)*1000, time.Microsecond)
}

// always0 reports whether every draw is 0.
func (s *spread) always0() bool { return s.form == fixedSpread && s.value == 0 }

// pow returns x^y for x > 0.
func pow(x, y float64) float64 { return exp(float64(y * log(x))) }

// often bounds how often a process with this mean time between events has one:
// the mean of a Poisson variable and ten standard deviations.
func often(duration, every time.Duration) uint64 {
	n := float64(duration)/float64(max(every, 1)) + 1
	return uint64(n + float64(10*math.Sqrt(n)) + 20)
}

// readEvery reads a mean time between events.
func readEvery(n conf.Node) time.Duration {
	d := readInstant(n)
	if !n.Failed() && d < time.Millisecond {
		n.Errorf("%v: below the shortest, %v", d, time.Millisecond)
		return time.Millisecond
	}
	return d
}

// renewals bounds how many draws of this distribution, one after the other, a
// duration has room for; with a probability of less than 10^-20 there is room
// for more.
//
// Of a form with a long tail that is Chernoff's bound: with q the median, each
// e^(−X/q) is at most 1 and half of the time at most 1/e, so that n draws end
// within T with a probability of at most e^(T/q)·(½ + ½/e)ⁿ.
func (s *spread) renewals(duration time.Duration) uint64 {
	switch s.form {
	case exponentialSpread:
		return often(duration, time.Duration(s.value))
	case fixedSpread:
		return uint64(duration/max(time.Duration(s.value), time.Microsecond)) + 1
	}
	q := s.value
	if s.form == paretoSpread {
		q = s.min / pow(1-float64(s.tail/2), 1/s.alpha)
	}
	q = max(float64(1000*math.Floor(min(q, s.most)/1000)), 1000) // draws are whole µs
	return uint64((float64(duration)/q+46.06)/0.3797) + 2
}

// mean returns the mean in ns.
func (s *spread) mean() float64 {
	switch s.form {
	case logNormalSpread:
		// What is cut at most has no closed form without Φ: trapezoids over the
		// normal variable.
		sum, weights := 0.0, 0.0
		for i := -1200; i <= 1200; i++ {
			z := float64(i) / 100
			w := exp(-float64(float64(z*z) / 2))
			weights += w
			sum += float64(w * min(float64(s.value*exp(float64(s.sigma*z))), s.most))
		}
		return sum / weights
	case paretoSpread:
		// ∫ x dF = α·min·(1 − e^−y)/(α−1)/tail with y = (α−1)·ln(most/min); for α = 1
		// its limit.
		if !(s.most > s.min) || s.tail <= 0 {
			return s.min
		}
		l := log(s.most / s.min)
		y := float64((s.alpha - 1) * l)
		if y > -1e-6 && y < 1e-6 {
			l = float64(l * (1 - float64(y/2)))
		} else {
			l = (1 - exp(-y)) / (s.alpha - 1)
		}
		return float64(float64(s.alpha*s.min)*l) / s.tail
	}
	return s.value
}

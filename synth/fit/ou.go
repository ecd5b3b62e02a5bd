package fit

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// gaussian is what was estimated of a process in the scale in which it is
// normal: of the values, or of their logarithms.
type gaussian struct {
	process
	ml  float64 // ln likelihood at the estimate, without the Jacobian of a logarithm
	cov *mat.SymDense
	// what cov is of: μ, ln σ, ln τ, logit w; logit w is left out where w is 0
	white bool // no correlation from one sample to the next: τ means nothing
	tauCI [2]float64
	wCI   [2]float64

	problem *problem
	at      []float64 // the estimate, as problem.full takes it
}

// Bounds of the search: τ from a fifth of a sample's distance to ten times the
// length, w from 0 (a logit of −9) to 0.998.
const (
	lowLogit, highLogit = -9.0, 6.0
	zeroLogit           = -7.5 // below it w counts as 0
)

func expit(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
func logit(p float64) float64 { return math.Log(p / (1 - p)) }

func noiseOf(lw float64) float64 {
	if lw <= zeroLogit {
		return 0
	}
	return expit(lw)
}

// A problem is a series with what its likelihood is searched by.
type problem struct {
	s, c     *series // c is s with the mean taken off, clipped samples as if exact
	mean, sd float64
	low      [2]float64 // bounds of ln τ and logit w
	high     [2]float64
}

// clamp returns τ and w within the bounds.
func (p *problem) clamp(lt, lw float64) (tau, w float64) {
	return math.Exp(min(max(lt, p.low[0]), p.high[0])), noiseOf(min(max(lw, p.low[1]), p.high[1]))
}

// outside grows beyond the bounds.
func (p *problem) outside(lt, lw float64) float64 {
	return sq(max(lt-p.high[0], 0)) + sq(max(p.low[0]-lt, 0)) + sq(max(lw-p.high[1], 0)) + sq(max(p.low[1]-lw, 0))
}

// full is the negative restricted likelihood in (μ−mean)/sd, ln σ/sd, ln τ and
// logit w.
func (p *problem) full(x []float64) float64 {
	tau, w := p.clamp(x[2], x[3])
	mu, sigma := p.sd*x[0], p.sd*math.Exp(x[1])
	var l float64
	if p.s.clipped == 0 {
		l = p.c.filter(tau, w).logLikelihood(mu, sigma, true)
	} else {
		l = p.s.run(process{p.mean + mu, sigma, tau, w}, true, nil)
	}
	return -l + p.outside(x[2], x[3])
}

// profile is the same in ln τ and logit w, with the best μ and σ to them, for a
// series without clipped samples.
func (p *problem) profile(x []float64) float64 {
	tau, w := p.clamp(x[0], x[1])
	u := p.c.filter(tau, w)
	mu, sigma := u.best()
	return -u.logLikelihood(mu, sigma, true) + p.outside(x[0], x[1])
}

// fitGaussian estimates by restricted maximum likelihood. ok is false where
// there are too few samples, or no spread. Intervals are not set yet.
func fitGaussian(s *series) (g gaussian, ok bool) {
	mean, sd := s.moments()
	if s.exact < 16 || !(sd > 1e-9*math.Abs(mean)) {
		return g, false
	}
	p := &problem{
		s: s, c: s.centred(mean), mean: mean, sd: sd,
		low:  [2]float64{math.Log(s.delta / 5), lowLogit},
		high: [2]float64{math.Log(10 * float64(len(s.y)) * s.delta), highLogit},
	}
	tau0, w0 := s.start0(mean)
	best, value := []float64(nil), math.Inf(1)
	for _, factor := range []float64{0.4, 1, 3, 10} { // there may be several maxima
		for _, w := range []float64{0.01, min(max(w0, 0.03), 0.9), 0.6} {
			at := []float64{math.Log(tau0 * factor), logit(w)}
			if v := p.profile(at); v < value {
				best, value = at, v
			}
		}
	}
	best, _ = minimise(p.profile, best, []float64{0.3, 0.6}, 1e-4, 300)
	tau, w := p.clamp(best[0], best[1])
	mu, sigma := p.c.filter(tau, w).best()
	at := []float64{mu / sd, math.Log(sigma / sd), best[0], best[1]}
	if s.clipped > 0 {
		x, _ := minimise(p.full, at, []float64{0.1, 0.1, 0.1, 0.2}, 1e-3, 300)
		at, _ = minimise(p.full, x, []float64{0.01, 0.01, 0.02, 0.04}, 1e-4, 300)
	}
	tau, w = p.clamp(at[2], at[3])
	g.process = process{mean + sd*at[0], sd * math.Exp(at[1]), tau, w}
	g.white = tau < 0.4*s.delta || w > 0.99
	if s.clipped == 0 {
		g.ml = p.c.filter(tau, w).logLikelihood(g.mu-mean, g.sigma, false)
	} else {
		g.ml = s.run(g.process, false, nil)
	}
	g.problem, g.at = p, at
	return g, true
}

func sq(x float64) float64 { return x * x }

// centred returns the series with a value taken off, which keeps the filter's
// sums small, and its clipped samples as if they were exact: for a first guess.
func (s *series) centred(mean float64) *series {
	c := &series{y: make([]float64, len(s.y)), known: make([]sample, len(s.y)), start: s.start, delta: s.delta, exact: s.exact + s.clipped}
	for i, v := range s.y {
		c.y[i] = v - mean
		if s.known[i] != missing {
			c.known[i] = exact
		}
	}
	return c
}

// moments of what is known, clipped samples at their bounds.
func (s *series) moments() (mean, sd float64) {
	var x []float64
	for i, k := range s.known {
		if k != missing {
			x = append(x, s.y[i])
		}
	}
	if len(x) < 2 {
		return math.NaN(), math.NaN()
	}
	return meanSD(x)
}

// autocorrelation at a lag in samples, of the pairs that are known.
func (s *series) autocorrelation(mean float64, lag int) (r float64, pairs int) {
	var num, a, b float64
	for t := lag; t < len(s.y); t++ {
		if s.known[t] != missing && s.known[t-lag] != missing {
			u, v := s.y[t]-mean, s.y[t-lag]-mean
			num, a, b = num+u*v, a+u*u, b+v*v
			pairs++
		}
	}
	if a*b == 0 {
		return 0, pairs
	}
	return num / math.Sqrt(a*b), pairs
}

// start0 guesses τ and w from the autocorrelation (1−w)·a^lag.
func (s *series) start0(mean float64) (tau, w float64) {
	r1, _ := s.autocorrelation(mean, 1)
	if r1 < 0.02 {
		return s.delta, 0.5
	}
	lag, r := 2, r1
	for l := 2; l < len(s.y)/3; l += 1 + l/3 {
		r, _ = s.autocorrelation(mean, l)
		lag = l
		if r < 0.5*r1 {
			break
		}
	}
	a := math.Pow(max(r, 0.01)/r1, 1/float64(lag-1))
	a = min(max(a, 0.05), 0.9999)
	return -s.delta / math.Log(a), min(max(1-r1/a, 0.001), 0.95)
}

// intervals sets the covariance from the observed information, and the
// intervals of τ and w, from the profile likelihood where the normal
// approximation is doubtful: near a bound, or with less than 100 τ of data.
func (g *gaussian) intervals() {
	p, at, s, sd := g.problem, g.at, g.problem.s, g.problem.sd
	dims := 4
	if at[3] < zeroLogit+1.5 {
		dims = 3 // w is 0, or all but
	}
	sub := func(y []float64) float64 {
		x := append([]float64(nil), at...)
		copy(x, y)
		return p.full(x)
	}
	h := []float64{0.02, 0.02, 0.04, 0.06}[:dims]
	info := hessian(sub, at[:dims], h)
	m := mat.NewSymDense(dims, nil)
	for i := range info {
		for k := range i + 1 {
			m.SetSym(i, k, info[i][k])
		}
	}
	var chol mat.Cholesky
	g.cov = mat.NewSymDense(4, nil)
	good := chol.Factorize(m)
	if good {
		var inv mat.SymDense
		if err := chol.InverseTo(&inv); err == nil {
			for i := range dims {
				for k := range i + 1 {
					g.cov.SetSym(i, k, inv.At(i, k))
				}
			}
		}
	}
	if !good {
		for i := range 4 {
			g.cov.SetSym(i, i, math.NaN())
		}
	}
	// μ in its own unit.
	for k := range 4 {
		v := g.cov.At(0, k) * sd
		if k == 0 {
			v *= sd
		}
		g.cov.SetSym(0, k, v)
	}
	z := normalQ()
	seTau, seW := math.Sqrt(g.cov.At(2, 2)), math.Sqrt(g.cov.At(3, 3))
	span := float64(s.exact+s.clipped) * s.delta
	g.tauCI = [2]float64{g.tau * math.Exp(-z*seTau), g.tau * math.Exp(z*seTau)}
	g.wCI = [2]float64{expit(at[3] - z*seW), expit(at[3] + z*seW)}
	doubtful := !good || span < 100*g.tau
	nearBound := dims == 3 || expit(at[3])-2*seW*g.noise*(1-g.noise) < 0.02 || seW > 0.7
	// Without clipped samples μ and σ follow from the others.
	f, centre, first, steps := p.full, at, 2, []float64{0.1, 0.05, 0.2, 0.3}
	if s.clipped == 0 {
		f, centre, first, steps = p.profile, at[2:], 0, []float64{0.2, 0.3}
	}
	if doubtful {
		ci := profileInterval(f, centre, steps, first, p.low[0], p.high[0], seTau)
		g.tauCI = [2]float64{math.Exp(ci[0]), math.Exp(ci[1])}
	}
	if doubtful || nearBound {
		ci := profileInterval(f, centre, steps, first+1, p.low[1], p.high[1], seW)
		g.wCI = [2]float64{0, 1}
		if ci[0] > zeroLogit {
			g.wCI[0] = expit(ci[0])
		}
		if ci[1] < highLogit {
			g.wCI[1] = expit(ci[1])
		}
	}
}

// profileInterval returns where twice the profile likelihood lies 3.84 below
// its maximum along one parameter; ±Inf where it does not within the bounds.
func profileInterval(f func([]float64) float64, at, steps []float64, along int, low, high, se float64) [2]float64 {
	limit := f(at) + 0.5*sq(normalQ())
	if math.IsNaN(se) || se <= 0 || se > 2 {
		se = 0.5
	}
	var out [2]float64
	for side, sign := range []float64{-1, 1} {
		bound := low
		if sign > 0 {
			bound = high
		}
		guess := append([]float64(nil), at...)
		value := func(x float64) float64 {
			var start, step []float64
			for i := range at {
				if i != along {
					start, step = append(start, guess[i]), append(step, steps[i])
				}
			}
			full := func(p []float64) []float64 {
				q := make([]float64, 0, len(at))
				q = append(q, p[:along]...)
				q = append(q, x)
				return append(q, p[along:]...)
			}
			best, v := minimise(func(p []float64) float64 { return f(full(p)) }, start, step, 3e-3, 60)
			guess = full(best)
			return v
		}
		near, far := at[along], at[along]
		found := false
		for step := 1.5 * se; ; step *= 1.6 {
			far += sign * step
			if (far-bound)*sign >= 0 {
				far = bound
			}
			if value(far) > limit {
				found = true
				break
			}
			near = far
			if far == bound {
				break
			}
		}
		if !found {
			out[side] = math.Inf(int(sign))
			continue
		}
		for math.Abs(far-near) > 0.03*max(se, 0.02) {
			mid := (near + far) / 2
			if value(mid) > limit {
				far = mid
			} else {
				near = mid
			}
		}
		out[side] = (near + far) / 2
	}
	return out
}

// estimates turns what was found into those of the value: mean and cv are those
// of the value, also for the logarithmic form (log-normal moments).
func (g *gaussian) estimates(logarithmic bool, span float64) (mean, cv, tau, noise Estimate) {
	z := normalQ()
	// Over 300 runs of 1000 τ the spread of ln σ was 1.07 times what the observed
	// information says.
	const wider = 1.07
	tau = Estimate{g.tau, g.tauCI[0], g.tauCI[1]}
	noise = Estimate{g.noise, g.wCI[0], g.wCI[1]}
	effective := span / (2 * g.tau)
	t := studentQ(effective - 1)
	vMu, vSigma, c := g.cov.At(0, 0), g.cov.At(1, 1), g.cov.At(0, 1)
	if logarithmic {
		s2 := g.sigma * g.sigma
		centre := g.mu + s2/2
		se := math.Sqrt(vMu + s2*s2*vSigma + 2*s2*c)
		mean = Estimate{centre, centre - t*se, centre + t*se}.apply(math.Exp)
		half := wider * z * math.Sqrt(vSigma)
		ls := math.Log(g.sigma)
		cv = Estimate{ls, ls - half, ls + half}.apply(func(l float64) float64 { return math.Sqrt(math.Expm1(math.Exp(2 * l))) })
		return mean, cv, tau, noise
	}
	se := math.Sqrt(vMu)
	mean = Estimate{g.mu, max(g.mu-t*se, 0), g.mu + t*se} // rates and delays are not negative
	value := g.sigma / g.mu
	half := wider * z * math.Sqrt(vSigma+vMu/sq(g.mu)-2*c/g.mu)
	cv = Estimate{value, value * math.Exp(-half), value * math.Exp(half)}
	return mean, cv, tau, noise
}

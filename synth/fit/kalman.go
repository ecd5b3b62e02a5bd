package fit

import "math"

// sample says what is known of one instant of a series.
type sample int8

const (
	missing sample = iota // nothing: an outage, or before the start
	exact                 // the value
	atMost                // the value or less: it was clipped at a floor
	atLeast               // the value or more: it was clipped at a ceiling
)

// series is a sequence of values at equal distances in time.
type series struct {
	y     []float64
	known []sample
	start []bool // the process starts anew here, from its stationary distribution; nil = at 0 only
	delta float64
	// number of samples of each kind
	exact, clipped int
}

func newSeries(y []float64, known []sample, start []bool, delta float64) *series {
	s := &series{y: y, known: known, start: start, delta: delta}
	for _, k := range known {
		switch k {
		case exact:
			s.exact++
		case atMost, atLeast:
			s.clipped++
		}
	}
	return s
}

// process is an Ornstein–Uhlenbeck process with white noise on top, sampled:
//
//	y_t = μ + σ(√(1−w)·x_t + √w·e_t),  x_t = a·x_{t−1} + √(1−a²)·n_t,  a = e^(−Δ/τ)
//
// with e and n standard normal. σ is the standard deviation of y, w the share of
// its variance that is white.
type process struct {
	mu, sigma, tau, noise float64
}

// sums is what one run of the filter over the exact samples leaves; with these
// the likelihood is known for every μ and σ (Harvey 1989, "Forecasting,
// structural time series models and the Kalman filter", sections 3.4 and 4.2).
type sums struct {
	n             float64
	logS          float64 // Σ ln S_t
	yy, y1, oneSq float64 // Σ v²/S, Σ v·v¹/S, Σ (v¹)²/S; v¹ are the innovations of a constant 1
}

// filter runs the Kalman filter with σ = 1 over a series without clipped
// samples. Missing samples cost a prediction. Once the variance has settled,
// and until a sample is missing, only the state moves.
func (s *series) filter(tau, w float64) sums {
	a := math.Exp(-s.delta / tau)
	q := (1 - a*a) * (1 - w)
	var out sums
	x, one, p := 0.0, 0.0, 1-w
	var S, invS, gain float64
	product := 1.0 // of the S since the last logarithm was taken
	settled := false
	for t, k := range s.known {
		if s.start != nil && s.start[t] {
			x, one, p, settled = 0, 0, 1-w, false
		}
		if k == missing {
			x, one, p, settled = a*x, a*one, a*a*p+q, false
			continue
		}
		if !settled {
			S = p + w
			invS = 1 / S
			gain = p * invS
			next := a*a*(p-gain*p) + q
			settled = math.Abs(next-p) <= 1e-14*p
			p = next
		}
		v, v1 := s.y[t]-x, 1-one
		out.n++
		if product *= S; product < 1e-200 || product > 1e200 {
			out.logS += math.Log(product)
			product = 1
		}
		out.yy += v * v * invS
		out.y1 += v * v1 * invS
		out.oneSq += v1 * v1 * invS
		x, one = a*(x+gain*v), a*(one+gain*v1)
	}
	out.logS += math.Log(product)
	return out
}

// logLikelihood of μ and σ. Restricted is that of the contrasts, in which μ has
// no part (Patterson and Thompson 1971): its maximum does not underestimate σ
// and τ of a short series.
func (u sums) logLikelihood(mu, sigma float64, restricted bool) float64 {
	quad := (u.yy - 2*mu*u.y1 + mu*mu*u.oneSq) / (sigma * sigma)
	l := -0.5 * (u.n*math.Log(2*math.Pi) + 2*u.n*math.Log(sigma) + u.logS + quad)
	if restricted {
		l -= 0.5 * math.Log(u.oneSq/(sigma*sigma))
	}
	return l
}

// best returns μ by generalised least squares and the σ of the highest
// restricted likelihood.
func (u sums) best() (mu, sigma float64) {
	mu = u.y1 / u.oneSq
	return mu, math.Sqrt(max(u.yy-mu*u.y1, 0) / (u.n - 1))
}

// innovation is a sample seen from those before it.
type innovation struct {
	t    int
	z    float64 // (y − prediction)/√S; of a clipped sample that of its bound
	kind sample
}

// run filters any series, clipped samples included, and returns the log
// likelihood of the process. A clipped sample gives the probability of lying
// beyond its bound; the state's distribution afterwards is replaced by the
// normal one with the same mean and variance (Tobit Kalman filter, as in Allik
// et al. 2016, "The Tobit Kalman filter: an estimator for censored
// measurements"; here with the moments of the truncated normal itself).
// visit, if not nil, is told each sample that is not missing.
func (s *series) run(m process, restricted bool, visit func(innovation)) float64 {
	a := math.Exp(-s.delta / m.tau)
	w := m.noise
	q := (1 - a*a) * (1 - w)
	x, one, p := 0.0, 0.0, 1-w
	l, n, oneSq := 0.0, 0.0, 0.0
	product := 1.0 // of the S since the last logarithm was taken
	for t, k := range s.known {
		if s.start != nil && s.start[t] {
			x, one, p = 0, 0, 1-w
		}
		if k == missing {
			x, one, p = a*x, a*one, a*a*p+q
			continue
		}
		S := p + w
		root, gain := math.Sqrt(S), p/S
		v := (s.y[t]-m.mu)/m.sigma - x
		z := v / root
		if visit != nil {
			visit(innovation{t, z, k})
		}
		if k == exact {
			v1 := 1 - one
			l -= 0.5 * z * z
			if product *= S; product < 1e-200 || product > 1e200 {
				l -= 0.5 * math.Log(product)
				product = 1
			}
			oneSq += v1 * v1 / S
			n++
			x, one, p = x+gain*v, one+gain*v1, p-gain*p
		} else {
			// By symmetry "at least" is "at most" of the negative.
			sign := 1.0
			if k == atLeast {
				sign = -1
			}
			c := sign * z
			l += logPhi(c)
			ratio := millsRatio(c)
			x += gain * -sign * root * ratio
			p -= gain * p * min(max(ratio*(c+ratio), 0), 1)
		}
		x, one, p = a*x, a*one, a*a*p+q
	}
	l -= 0.5*math.Log(product) + n*(0.5*math.Log(2*math.Pi)+math.Log(m.sigma))
	if restricted && oneSq > 0 {
		l -= 0.5 * math.Log(oneSq/(m.sigma*m.sigma))
	}
	return l
}

func phi(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

// logPhi is ln Φ(z).
func logPhi(z float64) float64 {
	if z > -30 {
		return math.Log(phi(z))
	}
	return -0.5*z*z - math.Log(-z) - 0.5*math.Log(2*math.Pi) - 1/(z*z)
}

// millsRatio is φ(z)/Φ(z).
func millsRatio(z float64) float64 {
	if z > -30 {
		return math.Exp(-0.5*z*z) / math.Sqrt(2*math.Pi) / phi(z)
	}
	return -z - 1/z
}

package synth

import (
	"math"
	"time"

	"linktape/internal/conf"
)

// ou is an Ornstein–Uhlenbeck process, sampled exactly:
//
//	x' = μ + a(x−μ) + σ√(1−a²)·N(0,1),  a = e^(−Δ/τ)
//
// (Gillespie 1996, "Exact numerical simulation of the Ornstein–Uhlenbeck process
// and its integral", Phys. Rev. E 54, the updating formula for the process, with
// σ its stationary standard deviation). It starts from the stationary distribution. The process runs as
// the standardised z = (x−μ)/σ, so mean and spread scale a path and do not
// change its shape.
//
// The log form is e^x of such a process, with mean and coefficient of variation
// matched (log-normal moments): σ_L² = ln(1+CV²), μ_L = ln μ − σ_L²/2. Its
// autocorrelation is (e^(σ_L²ρ)−1)/(e^(σ_L²)−1) with ρ = e^(−t/τ).
//
// A share w of the variance may be white noise, as a radio scheduler adds it:
// √(1−w)·z + √w·N(0,1) takes the place of z, so that mean and spread stay and
// the autocorrelation of x at any lag above 0 is (1−w)·ρ.
type ou struct {
	q              quantity
	name           string // of its random stream
	logarithmic    bool
	mu, sigma      float64 // of x: in the quantity's unit, or of its logarithm
	tau            time.Duration
	slow, white    float64 // √(1−w) and √w
	floor, ceiling float64 // the value is clipped to these
}

func decodeOU(d *decoder, m *conf.Map) scalarModel    { return decodeAnyOU(d, m, false) }
func decodeLogOU(d *decoder, m *conf.Map) scalarModel { return decodeAnyOU(d, m, true) }

// maxCV bounds the coefficient of variation: beyond it a log-normal run of any
// length has nothing to do with its mean.
const maxCV = 10

func decodeAnyOU(d *decoder, m *conf.Map, logarithmic bool) scalarModel {
	out := &ou{q: d.q, name: d.name, logarithmic: logarithmic, slow: 1, ceiling: d.q.most()}
	if d.ous != nil {
		*d.ous = append(*d.ous, out)
	}
	around := d.term && !logarithmic // a term may swing around 0
	if around {
		out.floor = -out.ceiling
	}
	meanNode := m.Require("mean")
	mean := d.q.read(meanNode)
	if !meanNode.Failed() && mean == 0 && !around {
		meanNode.Errorf("mean 0: write a mean above 0, or the plain value 0")
	}
	cv, sigma := 0.0, 0.0
	cvNode, hasCV := m.Get("cv")
	sigmaNode, hasSigma := m.Get("sigma")
	spread := cvNode
	switch {
	case hasCV && hasSigma:
		sigmaNode.Errorf("cv and sigma are both given: keep one")
	case hasCV:
		switch cv = cvNode.Float(); {
		case cvNode.Failed():
		case cv < 0:
			cvNode.Errorf("cv %v: negative: write 0 or more", cv)
		case cv > 0 && mean == 0 && around && !meanNode.Failed():
			cvNode.Errorf("cv %v of a mean of 0 is nothing: write sigma, in the mean's unit", cv)
		}
	case hasSigma:
		spread = sigmaNode
		if sigma = d.q.read(sigmaNode); !sigmaNode.Failed() && !meanNode.Failed() && mean > 0 && !around {
			cv = sigma / mean
		}
	default:
		m.Node().Errorf("the spread is missing: write cv (relative to the mean) or sigma (in the mean's unit)")
	}
	if !spread.Failed() && cv > maxCV {
		spread.Errorf("coefficient of variation %.4g: above %v", cv, maxCV)
	}
	tauNode := m.Require("tau")
	out.tau = tauNode.Duration()
	if !tauNode.Failed() && out.tau == 0 {
		tauNode.Errorf("tau 0s: write the time after which the process has forgotten 63 %% of where it was, such as 5s")
	}
	if n, ok := m.Get("noise"); ok {
		if w := float64(readProb(n)); !n.Failed() {
			if w == 1 {
				n.Errorf("noise 1: nothing is left of the process: write a share of the variance below 1")
			}
			out.slow, out.white = math.Sqrt(1-w), math.Sqrt(w)
		}
	}
	floorNode, hasFloor := m.Get("floor")
	if hasFloor {
		if out.floor = d.q.read(floorNode); !floorNode.Failed() && !meanNode.Failed() && out.floor > mean {
			floorNode.Errorf("the floor lies above the mean: lower it")
		}
	}
	if n, ok := m.Get("ceiling"); ok {
		if out.ceiling = d.q.read(n); !n.Failed() && !meanNode.Failed() && out.ceiling < mean {
			n.Errorf("the ceiling lies below the mean: raise it")
		}
	}
	if meanNode.Failed() || spread.Failed() || tauNode.Failed() {
		return out
	}
	if out.tau < d.sc.step {
		d.warnf("tau %v is shorter than the step %v: successive values are all but independent", out.tau, d.sc.step)
	}
	if logarithmic {
		s2 := log(1 + float64(cv*cv))
		out.mu, out.sigma = log(mean)-float64(s2/2), math.Sqrt(s2)
		return out
	}
	out.mu, out.sigma = mean, sigma
	if hasCV {
		out.sigma = float64(cv * mean)
	}
	if cv > 0.4 && !around {
		d.warnf("a normal variable with cv %.4g is often clipped at its floor, which shifts the mean; log-ou keeps it", cv)
	}
	return out
}

func (m *ou) scalar(e *env, name string) scalar {
	a := exp(-float64(e.step) / float64(m.tau))
	p := &ouProcess{ou: m, step: e.step, a: a, b: math.Sqrt(float64((1 - a) * (1 + a)))}
	if p.shared = e.noise; p.shared == nil {
		p.stream = e.stream(name)
	}
	if m.white > 0 {
		p.noise = e.stream(name + " noise")
	}
	return p
}

func (m *ou) changes(_, _ time.Duration) (uint64, bool) { return 0, true }

type ouProcess struct {
	*ou
	*stream         // of the innovations; nil where they are shared
	shared  *noise  // correlated innovations
	noise   *stream // of the white part; nil: none
	step    time.Duration
	a, b    float64 // z' = a·z + b·N
	z       float64
	drawn   float64 // the z to go on from, see redraw
	restart bool
}

// redraw puts the process at another deviate from the next sampling instant on.
// Its own draws stay in step.
func (p *ouProcess) redraw(z float64) { p.drawn, p.restart = z, true }

func (p *ouProcess) value(t time.Duration) (float64, time.Duration) {
	var n float64
	if p.stream != nil {
		n = p.normal()
	} else {
		n = p.shared.at(t)
	}
	switch {
	case p.restart:
		p.z, p.restart = p.drawn, false
	case t == 0:
		p.z = n
	default:
		p.z = float64(p.a*p.z) + float64(p.b*n)
	}
	z := p.z
	if p.noise != nil {
		z = float64(p.slow*z) + float64(p.white*p.noise.normal())
	}
	x := p.mu + float64(p.sigma*z)
	if p.logarithmic {
		x = exp(x)
	}
	switch {
	case x <= p.floor:
		x = p.floor
	case x >= p.ceiling:
		x = p.ceiling
	default: // the bounds need not be whole microseconds
		x = min(max(p.q.quantise(x), p.floor), p.ceiling)
	}
	return x, t + p.step
}

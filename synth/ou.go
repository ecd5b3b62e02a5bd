package synth

import (
	"math"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
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
type ou struct {
	q              quantity
	logarithmic    bool
	mu, sigma      float64 // of x: in the quantity's unit, or of its logarithm
	tau            time.Duration
	floor, ceiling float64 // the value is clipped to these
}

func decodeOU(d *decoder, m *conf.Map) model    { return decodeAnyOU(d, m, false) }
func decodeLogOU(d *decoder, m *conf.Map) model { return decodeAnyOU(d, m, true) }

// maxCV bounds the coefficient of variation: beyond it a log-normal run of any
// length has nothing to do with its mean.
const maxCV = 10

func decodeAnyOU(d *decoder, m *conf.Map, logarithmic bool) model {
	out := &ou{q: d.q, logarithmic: logarithmic, ceiling: d.q.most()}
	meanNode := m.Require("mean")
	mean := d.q.read(meanNode)
	if !meanNode.Failed() && mean == 0 {
		meanNode.Errorf("mean 0: write a mean above 0, or the plain value 0")
	}
	cv := 0.0
	cvNode, hasCV := m.Get("cv")
	sigmaNode, hasSigma := m.Get("sigma")
	spread := cvNode
	switch {
	case hasCV && hasSigma:
		sigmaNode.Errorf("cv and sigma are both given: keep one")
	case hasCV:
		if cv = cvNode.Float(); !cvNode.Failed() && cv < 0 {
			cvNode.Errorf("cv %v: negative", cv)
		}
	case hasSigma:
		spread = sigmaNode
		if sigma := d.q.read(sigmaNode); !sigmaNode.Failed() && !meanNode.Failed() {
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
	floorNode, hasFloor := m.Get("floor")
	if hasFloor {
		if out.floor = d.q.read(floorNode); !floorNode.Failed() && !meanNode.Failed() && out.floor > mean {
			floorNode.Errorf("the floor lies above the mean")
		}
	}
	if n, ok := m.Get("ceiling"); ok {
		if out.ceiling = d.q.read(n); !n.Failed() && !meanNode.Failed() && out.ceiling < mean {
			n.Errorf("the ceiling lies below the mean")
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
		out.mu, out.sigma = log(mean)-s2/2, math.Sqrt(s2)
		return out
	}
	out.mu, out.sigma = mean, float64(cv*mean)
	if cv > 0.4 {
		d.warnf("a normal variable with cv %.4g is often clipped at its floor, which shifts the mean; log-ou keeps it", cv)
	}
	return out
}

func (m *ou) start(s *stream, step time.Duration) process {
	a := exp(-float64(step) / float64(m.tau))
	return &ouProcess{ou: m, stream: s, step: step, a: a, b: math.Sqrt(float64((1 - a) * (1 + a)))}
}

func (m *ou) changes(time.Duration) (uint64, bool) { return 0, true }

type ouProcess struct {
	*ou
	*stream
	step time.Duration
	a, b float64 // z' = a·z + b·N
	z    float64
}

func (p *ouProcess) advance(t time.Duration, s *trace.State) time.Duration {
	n := p.normal()
	if t == 0 {
		p.z = n
	} else {
		p.z = float64(p.a*p.z) + float64(p.b*n)
	}
	x := p.mu + float64(p.sigma*p.z)
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
	p.q.set(s, x)
	return t + p.step
}

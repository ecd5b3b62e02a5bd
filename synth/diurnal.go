package synth

import (
	"math"
	"time"

	"linktape/internal/conf"
)

// diurnal is a cosine between low and high with its maximum at peak, as the
// load of a network has over a day:
//
//	v(t) = (high+low)/2 + (high−low)/2 · cos(2π(t + start − peak)/period)
type diurnal struct {
	q           quantity
	low, high   float64
	period      time.Duration
	start, peak time.Duration // within the period
}

func decodeDiurnal(d *decoder, m *conf.Map) scalarModel {
	out := &diurnal{q: d.q, period: 24 * time.Hour}
	lowNode, highNode := m.Require("low"), m.Require("high")
	out.low, out.high = d.q.read(lowNode), d.q.read(highNode)
	if !lowNode.Failed() && !highNode.Failed() && out.high < out.low {
		highNode.Errorf("high lies below low: exchange them")
	}
	if n, ok := m.Get("period"); ok {
		if out.period = readInstant(n); !n.Failed() && out.period < 2*d.sc.step {
			n.Errorf("period %v: shorter than two steps of %v: write a longer period or a shorter step", out.period, d.sc.step)
		}
		if n.Failed() {
			out.period = MaxDuration + 1 // the instants within it are not at fault
		}
	}
	for _, at := range []struct {
		key string
		to  *time.Duration
	}{{"start", &out.start}, {"peak", &out.peak}} {
		n, ok := m.Get(at.key)
		if !ok {
			continue
		}
		if *at.to = readInstant(n); !n.Failed() && *at.to >= out.period {
			n.Errorf("%s %v: not within the period, %v: write an instant from 0s up to it", at.key, *at.to, out.period)
		}
	}
	return out
}

func (m *diurnal) scalar(e *env, _ string) scalar                   { return &diurnalProcess{m, e.step} }
func (m *diurnal) changes(_, _ time.Duration) (own uint64, on bool) { return 0, true }

type diurnalProcess struct {
	*diurnal
	step time.Duration
}

func (p *diurnalProcess) value(t time.Duration) (float64, time.Duration) {
	phase := (t%p.period + p.start + p.period - p.peak) % p.period
	middle, swing := float64((p.high+p.low)/2), float64((p.high-p.low)/2)
	v := middle + float64(swing*cosTurn(float64(phase)/float64(p.period)))
	return p.q.quantise(min(max(v, p.low), p.high)), t + p.step
}

// cosTurn returns cos(2πx) for x in [0, 1), within 2 ulp of 1, with the same
// bits on every architecture: the argument is folded to [0, π/4] exactly, where
// Taylor's series to the 16th degree is within 10^-17.
func cosTurn(x float64) float64 {
	if x > 0.5 {
		x = 1 - x // cos(2π−y) = cos y
	}
	sign := 1.0
	if x > 0.25 {
		x, sign = 0.5-x, -1 // cos(π−y) = −cos y
	}
	if x <= 0.125 {
		return float64(sign * cosTaylor(float64(2*math.Pi*x)))
	}
	return float64(sign * sinTaylor(float64(2*math.Pi*(0.25-x)))) // cos y = sin(π/2−y)
}

// cosTaylor returns cos y for y in [0, π/4].
func cosTaylor(y float64) float64 { return taylor(float64(y*y), 1, 0) }

// sinTaylor returns sin y for y in [0, π/4].
func sinTaylor(y float64) float64 { return taylor(float64(y*y), y, 1) }

// taylor sums term·Σ (−y²)^k·n!/(n+2k)! from its smallest term on.
func taylor(y2, term float64, n int) float64 {
	var terms [9]float64
	for k := range terms {
		terms[k] = term
		term = -float64(term*y2) / float64((n+2*k+1)*(n+2*k+2))
	}
	sum := 0.0
	for k := len(terms) - 1; k >= 0; k-- {
		sum += terms[k]
	}
	return sum
}

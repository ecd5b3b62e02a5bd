package fit

import (
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Correlation is that of the rates of two directions.
type Correlation struct {
	A string `json:"a"`
	B string `json:"b"`
	// Rho is the correlation of the two Ornstein–Uhlenbeck parts at one instant,
	// as a scenario has it, by maximum likelihood of both series together with
	// the processes that were fitted to each: the white noise, which is each
	// link's own, is accounted for.
	Rho Estimate `json:"rho"`
	// Plain is the correlation of the series themselves, in the scale in which
	// they are normal: noise makes it smaller. Its interval is Fisher's z with
	// the effective sample size from both autocorrelations (Bartlett 1946).
	Plain     Estimate `json:"plain"`
	Effective float64  `json:"effective_samples"`
	Bins      int      `json:"bins"` // known in both
	Bin       int64    `json:"bin_ns"`
}

// normalSeries is a direction's rate as a standard normal process: of the
// regime that holds, if there are several. Clipped samples are left out.
type normalSeries struct {
	ld      trace.LinkDir
	z       []float64
	tau, w  float64
	tauSE   float64 // of ln tau
	wSE     float64
	bin     time.Duration
	usable  bool
	regimes bool
}

func (d *Direction) normal() normalSeries {
	out := normalSeries{ld: d.ld, bin: d.bin}
	if d.Rate == nil || d.Rate.series == nil {
		return out
	}
	out.z = make([]float64, len(d.Rate.series.y))
	for i := range out.z {
		out.z[i] = math.NaN()
	}
	put := func(p *Process) {
		for i, k := range p.series.known {
			if k == exact {
				out.z[i] = (p.series.y[i] - p.g.mu) / p.g.sigma
			}
		}
	}
	if d.Regimes == nil {
		put(d.Rate)
		out.of(&d.Rate.g)
		return out
	}
	out.regimes = true
	for _, r := range d.Regimes.Regimes {
		if r.Rate.series != nil {
			put(r.Rate)
		}
	}
	known := make([]sample, len(out.z))
	y := make([]float64, len(out.z))
	for i, z := range out.z {
		if !math.IsNaN(z) {
			y[i], known[i] = z, exact
		}
	}
	if g, ok := fitGaussian(newSeries(y, known, nil, d.bin.Seconds())); ok {
		g.intervals()
		out.of(&g)
	}
	return out
}

// of takes the parameters, with standard errors from the intervals.
func (n *normalSeries) of(g *gaussian) {
	n.tau, n.w, n.usable = g.tau, g.noise, !g.white
	z := 2 * normalQ()
	n.tauSE = min((math.Log(g.tauCI[1])-math.Log(g.tauCI[0]))/z, 1)
	n.wSE = (g.wCI[1] - g.wCI[0]) / z
	if g.wCI[0] == 0 {
		n.wSE = (g.wCI[1] - g.noise) / normalQ()
	}
}

// correlate estimates the correlation of two directions.
func correlate(a, b normalSeries) (*Correlation, error) {
	switch {
	case !a.usable || !b.usable:
		return nil, fmt.Errorf("%v and %v: a rate without memory has no correlated part", a.ld, b.ld)
	case a.bin != b.bin:
		return nil, fmt.Errorf("%v and %v have bins of %v and %v: choose one for both with --bin", a.ld, b.ld, a.bin, b.bin)
	}
	out := &Correlation{A: a.ld.String(), B: b.ld.String(), Bin: int64(a.bin)}
	n := min(len(a.z), len(b.z))
	var sab, saa, sbb, sa, sb float64
	for t := range n {
		x, y := a.z[t], b.z[t]
		if math.IsNaN(x) || math.IsNaN(y) {
			continue
		}
		out.Bins++
		sa, sb, sab, saa, sbb = sa+x, sb+y, sab+x*y, saa+x*x, sbb+y*y
	}
	if out.Bins < 32 {
		return nil, fmt.Errorf("%v and %v: only %d bins are known in both", a.ld, b.ld, out.Bins)
	}
	m := float64(out.Bins)
	r := (sab - sa*sb/m) / math.Sqrt((saa-sa*sa/m)*(sbb-sb*sb/m))
	delta := a.bin.Seconds()
	fa, fb := math.Exp(-delta/a.tau), math.Exp(-delta/b.tau)
	// 1 + 2·Σ ρa(h)ρb(h)
	inflation := 1 + 2*(1-a.w)*(1-b.w)*fa*fb/(1-fa*fb)
	out.Effective = m / inflation
	half := normalQ() / math.Sqrt(max(out.Effective-3, 1))
	z := math.Atanh(min(max(r, -0.9999), 0.9999))
	out.Plain = Estimate{z, z - half, z + half}.apply(math.Tanh)

	start := math.Atanh(min(max(r/math.Sqrt((1-a.w)*(1-b.w)), -0.95), 0.95))
	zeta, spread := bestZeta(a, b, n, start)
	// What is not known of the processes adds to it (Gong and Samaniego 1981,
	// "Pseudo maximum likelihood estimation").
	variance := spread * spread
	for _, change := range []func(a, b *normalSeries){
		func(a, _ *normalSeries) { a.tau *= math.Exp(a.tauSE) },
		func(a, _ *normalSeries) { a.w = min(a.w+a.wSE, 0.99) },
		func(_, b *normalSeries) { b.tau *= math.Exp(b.tauSE) },
		func(_, b *normalSeries) { b.w = min(b.w+b.wSE, 0.99) },
	} {
		u, v := a, b
		change(&u, &v)
		z, _ := bestZeta(u, v, n, zeta)
		variance += sq(z - zeta)
	}
	half = normalQ() * math.Sqrt(variance)
	// The likelihood is in the correlation of the steps that drive the parts,
	// which is larger where their τ differ.
	same := math.Sqrt((1-fa*fa)*(1-fb*fb)) / (1 - fa*fb)
	out.Rho = Estimate{zeta, zeta - half, zeta + half}.apply(func(z float64) float64 { return same * math.Tanh(z) })
	return out, nil
}

// bestZeta returns artanh of the steps' correlation with the highest likelihood
// near start, and its standard error, by Newton's method.
func bestZeta(a, b normalSeries, n int, start float64) (zeta, se float64) {
	f := func(z float64) float64 { return pairLikelihood(a, b, math.Tanh(z), n) }
	const h = 0.01
	z := start
	for range 20 {
		low, mid, high := f(z-h), f(z), f(z+h)
		curve := (low - 2*mid + high) / (h * h)
		slope := (high - low) / (2 * h)
		step := 0.0
		switch {
		case curve < 0:
			step = min(max(-slope/curve, -0.3), 0.3)
			se = 1 / math.Sqrt(-curve)
		default:
			step = math.Copysign(0.1, slope)
		}
		z = min(max(z+step, -4), 4)
		if math.Abs(step) < 0.02*se {
			break
		}
	}
	return z, se
}

// pairLikelihood is the log likelihood of two standardised series whose
// Ornstein–Uhlenbeck parts are driven by normal steps with correlation rho, by
// the Kalman filter of both.
func pairLikelihood(a, b normalSeries, rho float64, n int) float64 {
	delta := a.bin.Seconds()
	fa, fb := math.Exp(-delta/a.tau), math.Exp(-delta/b.tau)
	qa, qb := (1-fa*fa)*(1-a.w), (1-fb*fb)*(1-b.w)
	qab := rho * math.Sqrt(qa*qb)
	pa, pb, pab := 1-a.w, 1-b.w, qab/(1-fa*fb)
	xa, xb := 0.0, 0.0
	like, product := 0.0, 1.0
	for t := range n {
		va, vb := a.z[t]-xa, b.z[t]-xb
		haveA, haveB := !math.IsNaN(va), !math.IsNaN(vb)
		switch {
		case haveA && haveB:
			sa, sb := pa+a.w, pb+b.w
			det := sa*sb - pab*pab
			if det < 1e-12 {
				det = 1e-12
			}
			ia, ib, iab := sb/det, sa/det, -pab/det
			like -= 0.5 * (va*va*ia + vb*vb*ib + 2*va*vb*iab)
			product *= det
			kaa, kab := pa*ia+pab*iab, pa*iab+pab*ib
			kba, kbb := pab*ia+pb*iab, pab*iab+pb*ib
			xa, xb = xa+kaa*va+kab*vb, xb+kba*va+kbb*vb
			naa, nab, nbb := pa-kaa*pa-kab*pab, pab-kaa*pab-kab*pb, pb-kba*pab-kbb*pb
			pa, pab, pb = naa, nab, nbb
		case haveA:
			s := pa + a.w
			like -= 0.5 * va * va / s
			product *= s
			xa, xb = xa+pa/s*va, xb+pab/s*va
			pa, pab, pb = pa-pa*pa/s, pab-pa*pab/s, pb-pab*pab/s
		case haveB:
			s := pb + b.w
			like -= 0.5 * vb * vb / s
			product *= s
			xa, xb = xa+pab/s*vb, xb+pb/s*vb
			pa, pab, pb = pa-pab*pab/s, pab-pb*pab/s, pb-pb*pb/s
		}
		if product < 1e-200 || product > 1e200 {
			like -= 0.5 * math.Log(product)
			product = 1
		}
		xa, xb = fa*xa, fb*xb
		pa, pab, pb = fa*fa*pa+qa, fa*fb*pab+qab, fb*fb*pb+qb
	}
	return like - 0.5*math.Log(product)
}

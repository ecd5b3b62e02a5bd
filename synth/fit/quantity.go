package fit

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Model names a process as scenarios do.
type Model string

// The models that a quantity may be given.
const (
	Constant Model = "constant"
	OU       Model = "ou"
	LogOU    Model = "log-ou"
)

// Process is what was estimated of a quantity that varies: a rate in bit/s, or
// a delay in nanoseconds.
type Process struct {
	Model Model         `json:"model"`
	Bin   time.Duration `json:"bin_ns"`
	// Mean and standard deviation over mean of the value, noise included;
	// outages left out, and as they would be without floor and ceiling.
	Mean  Estimate `json:"mean"`
	CV    Estimate `json:"cv,omitzero"`
	Tau   Estimate `json:"tau_s,omitzero"` // correlation time in seconds
	Noise Estimate `json:"noise,omitzero"` // share of the variance that is white, of the logarithm for log-ou
	Share float64  `json:"share"`          // of the bins that are known: the rest is outage
	White bool     `json:"white,omitzero"` // successive bins are all but independent: tau means nothing
	AIC   float64  `json:"aic,omitzero"`   // of the form chosen
	Other float64  `json:"-"`              // of the other form: +Inf where it is impossible

	// Values lie at the floor, or ceiling, for a share of the bins, which is
	// what clipping does; 0 and a share of 0 where there is none.
	Floor        float64 `json:"floor,omitzero"`
	FloorShare   float64 `json:"floor_share,omitzero"`
	Ceiling      float64 `json:"ceiling,omitzero"`
	CeilingShare float64 `json:"ceiling_share,omitzero"`

	Lowest float64 `json:"lowest,omitzero"` // value of a bin

	Goodness *Goodness `json:"goodness,omitempty"`

	why    string // no process could be estimated
	g      gaussian
	series *series // in the scale in which the process is normal
}

// atoms finds a floor and a ceiling: the lowest and highest value, where so many
// samples have it that rounding alone cannot be why: at least three, at least
// 0.2 % of all, and more than three times as many as have the next value.
func atoms(x []float64) (floor, ceiling float64, low, high int) {
	v := make([]float64, 0, len(x))
	for _, y := range x {
		if !math.IsNaN(y) {
			v = append(v, y)
		}
	}
	slices.Sort(v)
	least := max(3, len(v)/500)
	find := func(at func(i int) float64) (float64, int) {
		n := 1
		for n < len(v) && at(n) == at(0) {
			n++
		}
		next := 1
		for n+next < len(v) && at(n+next) == at(n) {
			next++
		}
		if n < least || n <= 3*next || n == len(v) {
			return 0, 0
		}
		return at(0), n
	}
	if len(v) == 0 {
		return 0, 0, 0, 0
	}
	floor, low = find(func(i int) float64 { return v[i] })
	ceiling, high = find(func(i int) float64 { return v[len(v)-1-i] })
	return floor, ceiling, low, high
}

// distinct returns the different values, ascending; nil where there are more
// than most.
func distinct(x []float64, most int) []float64 {
	var out []float64
	for _, v := range x {
		if math.IsNaN(v) {
			continue
		}
		i, found := slices.BinarySearch(out, v)
		if found {
			continue
		}
		if len(out) == most {
			return nil
		}
		out = slices.Insert(out, i, v)
	}
	return out
}

// asGoodAsNothing is the share of the median below which a value's logarithm
// says nothing: one of a logger that paused is at most that.
const asGoodAsNothing = 1.0 / 50

// scaled returns the values of a quantity as a series, in their own scale or as
// logarithms. A zero has no logarithm: it is at most the smallest value above,
// or asGoodAsNothing, as is all that is less.
func scaled(x []float64, logarithmic bool, floor, ceiling float64, low, high int, start []bool, delta float64) *series {
	var positive []float64
	for _, v := range x {
		if logarithmic && v > 0 {
			positive = append(positive, v)
		}
	}
	least := 0.0
	if len(positive) > 0 {
		slices.Sort(positive)
		least = max(positive[0], positive[len(positive)/2]*asGoodAsNothing)
	}
	y, known := make([]float64, len(x)), make([]sample, len(x))
	for i, v := range x {
		switch {
		case math.IsNaN(v):
			continue
		case low > 0 && v <= floor:
			known[i] = atMost
		case high > 0 && v >= ceiling:
			known[i] = atLeast
		default:
			known[i] = exact
		}
		if logarithmic {
			if v < least {
				v, known[i] = least, atMost
			}
			v = math.Log(v)
		}
		y[i] = v
	}
	return newSeries(y, known, start, delta)
}

// jacobian is Σ −ln value over the exact samples of a logarithmic series, which
// makes its likelihood one of the values.
func (s *series) jacobian() float64 {
	sum := 0.0
	for i, k := range s.known {
		if k == exact {
			sum -= s.y[i]
		}
	}
	return sum
}

// clippedShare is how much of a normal process may lie below 0 although the data
// are never 0: above it, a CV of 0.71, the form is log-ou.
const clippedShare = 0.08

// share is that of a value among those that are known.
func share(x []float64, value float64) float64 {
	n, hits := 0.0, 0.0
	for _, v := range x {
		if !math.IsNaN(v) {
			n++
			if v == value {
				hits++
			}
		}
	}
	return hits / max(n, 1)
}

// fitProcess estimates one process for all of the bins. The form, ou or log-ou,
// is that with the lower AIC; both have four parameters. A normal process of which
// much lies below 0 is out.
func fitProcess(x []float64, start []bool, bin time.Duration) (*Process, error) {
	known, lowest, highest := 0, math.Inf(1), 0.0
	for _, v := range x {
		if !math.IsNaN(v) {
			known++
			lowest, highest = min(lowest, v), max(highest, v)
		}
	}
	if known == 0 {
		return nil, fmt.Errorf("it is in outage all the time")
	}
	p := &Process{Bin: bin, Share: float64(known) / float64(len(x)), Lowest: lowest}
	if one := distinct(x, 1); one != nil {
		p.Model, p.Mean = Constant, exactly(one[0])
		return p, nil
	}
	if known < 32 {
		return p.asMean(x, fmt.Sprintf("only %d bins of %v are known: at least 32 are needed: record longer or choose a shorter bin", known, bin)), nil
	}
	var low, high int
	p.Floor, p.Ceiling, low, high = atoms(x)
	p.FloorShare, p.CeilingShare = float64(low)/float64(known), float64(high)/float64(known)
	delta := bin.Seconds()
	span := float64(known) * delta
	p.AIC, p.Other = math.Inf(1), math.Inf(1)
	found := false
	for _, form := range []Model{OU, LogOU} {
		s := scaled(x, form == LogOU, p.Floor, p.Ceiling, low, high, start, delta)
		g, ok := fitGaussian(s)
		if !ok {
			continue
		}
		aic := 2*4 - 2*g.ml
		if form == LogOU {
			aic -= 2 * s.jacobian()
		} else if g.mu <= 0 || phi(-g.mu/g.sigma) > 2*share(x, 0)+clippedShare {
			continue // values below 0 would be clipped: a scenario's would be 0 far too often
		}
		// A spread above ten times the mean is none that a scenario takes: such a
		// form is the last resort.
		if form == LogOU && found && g.sigma > math.Sqrt(math.Log(101)) {
			continue
		}
		if aic >= p.AIC {
			p.Other = aic
			continue
		}
		p.Other, p.AIC = p.AIC, aic
		p.Model, p.g, p.series, found = form, g, s, true
		p.White = g.white
	}
	if !found {
		return p.asMean(x, "too few different values"), nil
	}
	p.g.intervals()
	p.Mean, p.CV, p.Tau, p.Noise = p.g.estimates(p.Model == LogOU, span)
	if p.CV.Value > 10 || p.Mean.Value > 3*highest {
		return p.asMean(x, fmt.Sprintf("no process fits: the likeliest one has a coefficient of variation of %.3g", p.CV.Value)), nil
	}
	p.Goodness = p.judge()
	return p, nil
}

// asMean gives up on a process: what is left is the mean of the bins.
func (p *Process) asMean(x []float64, why string) *Process {
	return &Process{Model: Constant, Bin: p.Bin, Mean: unknown(meanOf(x)), Share: p.Share, Lowest: p.Lowest, why: why}
}

// span is the time in seconds for which the process is known.
func (p *Process) span() float64 {
	return float64(p.series.exact+p.series.clipped) * p.series.delta
}

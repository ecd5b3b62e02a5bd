package fit

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Goodness says how well a process describes its data. Each sample is seen from
// those before it: under the model its probability integral transform is
// uniform and independent of the others'.
type Goodness struct {
	// Kolmogorov–Smirnov distance of the transforms from the uniform
	// distribution, and the probability of a larger one if the model holds
	// (Kolmogorov's limit law). As the parameters are fitted to the same data,
	// the probability is rather too large.
	KS  float64 `json:"ks"`
	KSP float64 `json:"ks_p"`
	// Ljung and Box (1978) of the normal scores over Lags lags, with its
	// probability from χ² with Lags − 2 degrees of freedom, as τ and noise are
	// fitted; and the largest autocorrelation among them.
	LjungBox  float64 `json:"ljung_box"`
	LjungBoxP float64 `json:"ljung_box_p"`
	Lags      int     `json:"lags"`
	Largest   float64 `json:"largest_autocorrelation"`
	// Distance between the values' distribution and the model's, and the largest
	// difference between their autocorrelations up to 3 τ.
	Marginal float64 `json:"marginal_ks"`
	ACF      float64 `json:"acf_difference"`
	Word     string  `json:"word"` // good, fair or poor
}

// verdict gives the word. With many samples a test finds what does not matter,
// so that a distance that is small by itself is good too.
func (g *Goodness) verdict() {
	switch {
	case (g.KSP >= 0.01 || g.KS < 0.03) && (g.LjungBoxP >= 0.01 || g.Largest < 0.06):
		g.Word = "good"
	case g.KS < 0.1 && g.Largest < 0.2:
		g.Word = "fair"
	default:
		g.Word = "poor"
	}
}

// ksP is Kolmogorov's limit distribution with the finite-sample correction of
// Stephens (1970).
func ksP(d float64, n float64) float64 {
	x := d * (math.Sqrt(n) + 0.12 + 0.11/math.Sqrt(n))
	if x < 0.2 {
		return 1
	}
	sum, sign := 0.0, 1.0
	for k := 1; k < 100; k++ {
		term := math.Exp(-2 * x * x * float64(k*k))
		sum += sign * term
		if sign = -sign; term < 1e-12 {
			break
		}
	}
	return min(max(2*sum, 0), 1)
}

// ksUniform is the distance of values in [0, 1] from uniformity.
func ksUniform(u []float64) float64 {
	v := slices.Clone(u)
	slices.Sort(v)
	n, d := float64(len(v)), 0.0
	for i, x := range v {
		d = max(d, float64(i+1)/n-x, x-float64(i)/n)
	}
	return d
}

// scores returns the normal scores of a series' transforms; NaN where nothing
// is known. A clipped sample is anywhere beyond its bound: it takes a place
// there from the van der Corput sequence.
func (g *gaussian) scores(s *series) []float64 {
	out := make([]float64, len(s.y))
	for i := range out {
		out[i] = math.NaN()
	}
	clipped := uint32(0)
	s.run(g.process, false, func(in innovation) {
		if in.kind == exact {
			out[in.t] = in.z
			return
		}
		clipped++
		place, digit := 0.0, 0.5
		for k := clipped; k > 0; k >>= 1 {
			place += digit * float64(k&1)
			digit /= 2
		}
		place = max(place, 1e-9)
		c := in.z
		if in.kind == atLeast {
			c = -c
		}
		z := distuv.UnitNormal.Quantile(max(place*phi(c), 1e-300))
		if in.kind == atLeast {
			z = -z
		}
		out[in.t] = z
	})
	return out
}

// judge computes the goodness of a process from its own series.
func (p *Process) judge() *Goodness {
	if p.series == nil {
		return nil
	}
	s, g := p.series, &p.g
	out := judgeScores(g.scores(s))
	// Marginal: exact values with clipped ones at their bounds.
	var v []float64
	for i, k := range s.known {
		if k != missing {
			v = append(v, (s.y[i]-g.mu)/g.sigma)
		}
	}
	slices.Sort(v)
	n := float64(len(v))
	for i := 0; i < len(v); {
		j := i
		for j < len(v) && v[j] == v[i] {
			j++
		}
		f := phi(v[i])
		// At the ends an atom stands for all that lies beyond.
		if i > 0 || j == 1 {
			out.Marginal = max(out.Marginal, f-float64(i)/n)
		}
		if j < len(v) || i == len(v)-1 {
			out.Marginal = max(out.Marginal, float64(j)/n-f)
		}
		i = j
	}
	mean, _ := s.moments()
	most := min(len(s.y)/4, max(1, int(3*g.tau/s.delta)))
	for lag := 1; lag <= most; lag += 1 + lag/4 {
		r, _ := s.autocorrelation(mean, lag)
		want := (1 - g.noise) * math.Exp(-float64(lag)*s.delta/g.tau)
		out.ACF = max(out.ACF, math.Abs(r-want))
	}
	return out
}

func judgeScores(z []float64) *Goodness {
	out := &Goodness{}
	var u []float64
	for _, v := range z {
		if !math.IsNaN(v) {
			u = append(u, phi(v))
		}
	}
	n := float64(len(u))
	out.KS = ksUniform(u)
	out.KSP = ksP(out.KS, n)
	out.Lags = max(3, min(20, len(u)/10))
	var square float64
	for _, v := range z {
		if !math.IsNaN(v) {
			square += v * v
		}
	}
	for lag := 1; lag <= out.Lags; lag++ {
		sum, pairs := 0.0, 0.0
		for t := lag; t < len(z); t++ {
			if p := z[t] * z[t-lag]; !math.IsNaN(p) {
				sum += p
				pairs++
			}
		}
		if pairs == 0 {
			continue
		}
		r := sum / pairs / (square / n)
		out.LjungBox += pairs * r * r
		out.Largest = max(out.Largest, math.Abs(r))
	}
	out.LjungBoxP = 1 - distuv.ChiSquared{K: float64(out.Lags - 2)}.CDF(out.LjungBox)
	out.verdict()
	return out
}

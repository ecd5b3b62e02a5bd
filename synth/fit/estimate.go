package fit

import (
	"encoding/json"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is a value with its 95 % confidence interval. An end that the data
// do not bound is ±Inf, or NaN where nothing is known of it; both are null in
// JSON.
type Estimate struct {
	Value, Low, High float64
}

// confidence is the level at which intervals are computed: a little above 95 %,
// so that they hold the true value that often although most of them rest on
// approximations for many samples. The tests count it.
const confidence = 0.965

// MarshalJSON writes {"value": …, "low": …, "high": …}.
func (e Estimate) MarshalJSON() ([]byte, error) {
	finite := func(v float64) *float64 {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil
		}
		return &v
	}
	return json.Marshal(struct {
		Value *float64 `json:"value"`
		Low   *float64 `json:"low"`
		High  *float64 `json:"high"`
	}{finite(e.Value), finite(e.Low), finite(e.High)})
}

// Contains reports whether the interval holds a value; that of a value that is
// known exactly holds what differs by rounding alone.
func (e Estimate) Contains(v float64) bool {
	slack := 1e-9 * math.Abs(v)
	return v >= e.Low-slack && v <= e.High+slack
}

// scale multiplies the value and its interval by k > 0.
func (e Estimate) scale(k float64) Estimate { return Estimate{e.Value * k, e.Low * k, e.High * k} }

// apply maps value and interval through an increasing function.
func (e Estimate) apply(f func(float64) float64) Estimate {
	return Estimate{f(e.Value), f(e.Low), f(e.High)}
}

func exactly(v float64) Estimate { return Estimate{v, v, v} }
func unknown(v float64) Estimate { return Estimate{v, math.NaN(), math.NaN()} }

// normalQ is the normal quantile of the two-sided interval.
func normalQ() float64 { return distuv.UnitNormal.Quantile((1 + confidence) / 2) }

// studentQ is the quantile of Student's t with df degrees of freedom, which may
// be fractional and count as at least 1.
func studentQ(df float64) float64 {
	df = max(df, 1)
	if df > 1e6 {
		return normalQ()
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile((1 + confidence) / 2)
}

// chiSquareQ returns the quantiles of χ² with df degrees of freedom at both ends
// of the interval.
func chiSquareQ(df float64) (low, high float64) {
	d := distuv.ChiSquared{K: df}
	return d.Quantile((1 - confidence) / 2), d.Quantile((1 + confidence) / 2)
}

// exponentialMean estimates the mean of exponential times from their total,
// those that are still running included, and the number n of those that ended:
// total/n. Its interval is that of a Poisson count seen over a fixed time
// (Garwood 1936): 2·total/χ²(2n+2) at its upper quantile to 2·total/χ²(2n) at its lower one.
func exponentialMean(total float64, n int) Estimate {
	e := Estimate{Value: math.Inf(1), High: math.Inf(1)}
	if n > 0 {
		low, _ := chiSquareQ(float64(2 * n))
		e.Value, e.High = total/float64(n), 2*total/low
	}
	_, high := chiSquareQ(float64(2*n + 2))
	e.Low = 2 * total / high
	return e
}

// geometricMean is exponentialMean for times that are whole multiples of a
// grid: in each interval of the grid the time ends with the same probability p.
// The interval is that of p by Clopper and Pearson (1934), which is the exact
// one of a binomial count.
func geometricMean(total, grid float64, n int) Estimate {
	trials := math.Round(total / grid)
	if grid <= 0 || trials < float64(n) || trials > 1e7 {
		return exponentialMean(total, n)
	}
	e := Estimate{Value: math.Inf(1), High: math.Inf(1)}
	k := float64(n)
	if n > 0 {
		e.Value = total / k
		e.High = grid / distuv.Beta{Alpha: k, Beta: trials - k + 1}.Quantile((1-confidence)/2)
	}
	e.Low = grid
	if k < trials {
		e.Low = grid / distuv.Beta{Alpha: k + 1, Beta: trials - k}.Quantile((1+confidence)/2)
	}
	return e
}

// z90 is the normal quantile of 90 %.
const z90 = 1.2815515655446004

// A LogNormal describes positive values by their median and 90 % quantile.
type LogNormal struct {
	Median Estimate `json:"median"`
	P90    Estimate `json:"p90"`
}

// logNormal estimates from the logarithms of n ≥ 2 values: their number, mean
// and standard deviation (with n−1). The median's interval is Student's; that
// of the 90 % quantile combines those of mean and deviation, the latter from
// χ², by MOVER (Zou, Huang and Zhang 2009, "A note on confidence interval
// estimation for a linear function of binomial proportions": the method of
// variance estimates recovery).
func logNormal(n float64, mean, sd float64) LogNormal {
	df := n - 1
	half := studentQ(df) * sd / math.Sqrt(n)
	var out LogNormal
	out.Median = Estimate{mean, mean - half, mean + half}.apply(math.Exp)
	low, high := chiSquareQ(max(df, 1))
	sdLow, sdHigh := sd*math.Sqrt(df/high), sd*math.Sqrt(df/low)
	q := mean + z90*sd
	out.P90 = Estimate{
		q,
		q - math.Hypot(half, z90*(sd-sdLow)),
		q + math.Hypot(half, z90*(sdHigh-sd)),
	}.apply(math.Exp)
	return out
}

// meanSD returns the mean and the standard deviation (n−1) of values.
func meanSD(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		sd += (v - mean) * (v - mean)
	}
	if len(x) < 2 {
		return mean, math.NaN()
	}
	return mean, math.Sqrt(sd / float64(len(x)-1))
}

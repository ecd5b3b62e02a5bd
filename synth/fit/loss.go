package fit

import (
	"math"
	"slices"
	"time"

	"linktape/trace"
)

// Loss is what was found of a direction's loss, outages left out.
type Loss struct {
	Model string   `json:"model"` // none, constant, ge, ge-packet, bursts or varying
	Mean  Estimate `json:"mean"`

	// ge and bursts: a good and a bad state in time.
	MeanGood Estimate `json:"mean_good_s,omitzero"`
	MeanBad  Estimate `json:"mean_bad_s,omitzero"`
	LossBad  Estimate `json:"loss_bad,omitzero"`
	LossGood Estimate `json:"loss_good,omitzero"`
	Bursts   int      `json:"bursts,omitzero"`

	Tail *Tail     `json:"tail,omitempty"`  // of the bursts' lengths
	GE   *trace.GE `json:"chain,omitempty"` // ge-packet
}

// Tail says how the lengths of bursts fall off.
type Tail struct {
	// Alpha is the exponent of a Pareto distribution above Min seconds, by the
	// estimator of Hill (1975); Min is chosen by the Kolmogorov–Smirnov distance
	// (Clauset, Shalizi and Newman 2009).
	Alpha Estimate `json:"alpha"`
	Min   float64  `json:"min_s"`
	Max   float64  `json:"max_s"`
	N     int      `json:"n"` // lengths above Min
	// Vuong is the normalised log likelihood ratio of Pareto against exponential
	// above Min (Vuong 1989); above 1.645 the tail is heavy, which an exponential one seems with probability 5 %.
	Vuong float64 `json:"vuong"`
	Heavy bool    `json:"heavy"`
}

// fitLoss describes the loss of a direction.
func fitLoss(r *row) *Loss {
	out := &Loss{Model: "none"}
	var total, lossy time.Duration
	levels := []float64{}
	levelTime := map[float64]time.Duration{}
	labels := map[string]bool{}
	sum := 0.0
	for _, s := range r.losses {
		d := s.to - s.from
		total += d
		sum += s.loss * float64(d)
		if s.loss > 0 {
			lossy += d
		}
		if len(levelTime) < 1<<16 {
			levelTime[s.loss] += d
		}
		labels[s.label] = true
	}
	if total == 0 {
		return nil
	}
	mean := sum / float64(total)
	out.Mean = unknown(mean)
	for l := range levelTime {
		levels = append(levels, l)
	}
	slices.Sort(levels)
	switch {
	case r.geTime == total && r.geSame:
		chain := r.ge
		out.Model, out.GE, out.Mean = "ge-packet", &chain, exactly(mean)
		return out
	case lossy == 0:
		out.Mean = exactly(0)
		return out
	case len(levels) == 1:
		out.Model, out.Mean = "constant", exactly(levels[0])
		return out
	}
	// The threshold between good and bad: the labels' if the tape has them, the
	// only one of two levels, else the one that parts the square roots of the
	// losses best (Otsu 1979, on the variance-stabilising scale of a proportion).
	bad := func(s lossSpan) bool { return s.loss > levels[0] }
	switch {
	case len(levels) == 2:
	case labels["bad"] && labels["good"]:
		bad = func(s lossSpan) bool { return s.label == "bad" }
	default:
		cut := otsu(levels, levelTime)
		bad = func(s lossSpan) bool { return s.loss > cut }
	}
	var dwell [2]struct {
		total float64
		exits int
		means []float64 // of the loss over each visit
		w     []float64
	}
	var lengths []float64
	for i := 0; i < len(r.losses); {
		state := 0
		if bad(r.losses[i]) {
			state = 1
		}
		k, t, l := i, 0.0, 0.0
		for k < len(r.losses) && bad(r.losses[k]) == (state == 1) && (k == i || r.losses[k].from == r.losses[k-1].to) {
			d := (r.losses[k].to - r.losses[k].from).Seconds()
			t, l = t+d, l+r.losses[k].loss*d
			k++
		}
		d := &dwell[state]
		d.total += t
		d.means, d.w = append(d.means, l/t), append(d.w, t)
		ended := k < len(r.losses) && r.losses[k].from == r.losses[k-1].to
		if ended {
			d.exits++
			if state == 1 && (i > 0 && r.losses[i].from == r.losses[i-1].to) {
				lengths = append(lengths, t)
			}
		}
		i = k
	}
	grid := r.lossGrid.Seconds()
	out.Bursts = len(dwell[1].means)
	out.MeanGood = geometricMean(dwell[0].total, grid, dwell[0].exits)
	out.MeanBad = geometricMean(dwell[1].total, grid, dwell[1].exits)
	if len(levels) == 2 {
		out.LossGood, out.LossBad = exactly(levels[0]), exactly(levels[1])
	} else {
		out.LossGood, out.LossBad = weightedMean(dwell[0].means, dwell[0].w), weightedMean(dwell[1].means, dwell[1].w)
	}
	out.Model = "ge"
	if dwell[0].exits < 3 || dwell[1].exits < 3 {
		out.Model = "varying"
	}
	out.Mean = meanLoss(out, mean, dwell[0].exits)
	out.Tail = fitTail(lengths, grid)
	if out.Tail != nil && out.Tail.Heavy {
		out.Model = "bursts"
	}
	return out
}

// meanLoss gives the mean loss the interval that follows from those of the
// states' durations, which is what mostly spreads it: the relative variance of
// the time in bursts is 2/n.
func meanLoss(l *Loss, mean float64, n int) Estimate {
	if n < 1 || mean <= 0 {
		return unknown(mean)
	}
	half := normalQ() * math.Sqrt(2/float64(n))
	return Estimate{mean, max(mean*math.Exp(-half), 0), min(mean*math.Exp(half), 1)}
}

// weightedMean of visits, with the standard error of a ratio: visits are
// independent, values within one are not.
func weightedMean(x, w []float64) Estimate {
	sum, total := 0.0, 0.0
	for i := range x {
		sum, total = sum+x[i]*w[i], total+w[i]
	}
	m := sum / total
	if len(x) < 2 {
		return unknown(m)
	}
	v := 0.0
	for i := range x {
		v += sq(w[i] * (x[i] - m))
	}
	n := float64(len(x))
	half := studentQ(n-1) * math.Sqrt(v*n/(n-1)) / total
	return Estimate{m, max(m-half, 0), min(m+half, 1)}
}

// otsu returns the threshold that parts the square roots of levels, weighted by
// time, into the two groups with the largest variance between them.
func otsu(levels []float64, weight map[float64]time.Duration) float64 {
	var w, s float64
	for _, l := range levels {
		w += float64(weight[l])
		s += float64(weight[l]) * math.Sqrt(l)
	}
	best, cut := -1.0, levels[0]
	var w0, s0 float64
	for i, l := range levels[:len(levels)-1] {
		w0 += float64(weight[l])
		s0 += float64(weight[l]) * math.Sqrt(l)
		between := w0 * (w - w0) * sq(s0/w0-(s-s0)/(w-w0))
		if between > best {
			best, cut = between, (l+levels[i+1])/2
		}
	}
	return cut
}

// fitTail looks at the tail of lengths; nil with fewer than 50. Lengths that are
// whole multiples of a grid are taken to be half a step longer or shorter than
// they seem: the tail starts half a step below its smallest length.
func fitTail(x []float64, grid float64) *Tail {
	if len(x) < 50 {
		return nil
	}
	v := slices.Clone(x)
	slices.Sort(v)
	best := &Tail{Max: v[len(v)-1]}
	distance := math.Inf(1)
	for i := 0; i < len(v)-20; i++ {
		if i > 0 && v[i] == v[i-1] {
			continue
		}
		low := v[i] - min(grid, v[i])/2
		tail := v[i:]
		n := float64(len(tail))
		sum := 0.0
		for _, y := range tail {
			sum += math.Log(y / low)
		}
		alpha := n / sum
		d := 0.0
		for k := 0; k < len(tail); {
			m := k
			for m < len(tail) && tail[m] == tail[k] {
				m++
			}
			upper := math.Pow((tail[k]+grid/2)/low, -alpha)
			d = max(d, math.Abs(upper-(n-float64(m))/n))
			k = m
		}
		// The standard error of a distance over n samples.
		if d += 0.5 / math.Sqrt(n); d < distance {
			distance = d
			se := 1.15 * normalQ() / math.Sqrt(n) // more, as Min is chosen
			best.Alpha = Estimate{alpha, alpha * (1 - se), alpha * (1 + se)}
			best.Min, best.N = low, len(tail)
		}
	}
	// Against an exponential tail from the same point.
	tail := v[len(v)-best.N:]
	excess := 0.0
	for _, y := range tail {
		excess += y - best.Min
	}
	rate := float64(best.N) / excess
	var ratios []float64
	for _, y := range tail {
		pareto := math.Log(best.Alpha.Value/best.Min) - (best.Alpha.Value+1)*math.Log(y/best.Min)
		exponential := math.Log(rate) - rate*(y-best.Min)
		ratios = append(ratios, pareto-exponential)
	}
	mean, sd := meanSD(ratios)
	if sd > 0 {
		best.Vuong = mean / sd * math.Sqrt(float64(best.N))
	}
	best.Heavy = best.Vuong > 1.645 && best.N >= 30 && best.Alpha.Value < 3
	return best
}

package fit

import (
	"math"
	"slices"
	"time"
)

// Delay is what was found of a direction's one-way delay (or jitter), in
// nanoseconds.
type Delay struct {
	*Process         // spikes left out
	Base     float64 `json:"base"` // the 1 % quantile: what is left without waiting
	Spikes   *Spikes `json:"spikes,omitempty"`
}

// Spikes are short times with a delay far above the usual.
type Spikes struct {
	Count    int       `json:"count"`
	Every    Estimate  `json:"every_s"`    // mean time from the end of one to the start of the next
	Duration float64   `json:"duration_s"` // mean
	Height   LogNormal `json:"height_ns"`  // of the highest value above the median
}

// spikeLimit is how far above the median, in robust standard deviations, a
// spike rises: a normal variable does so once in 10⁹ samples.
const spikeLimit = 6

// fitDelay describes a delay; nil where it is 0 throughout. top, if not nil, is
// the highest value in each bin, which shows spikes shorter than that.
func fitDelay(x, top []float64, bin time.Duration) (*Delay, error) {
	var v []float64
	for _, d := range x {
		if !math.IsNaN(d) {
			v = append(v, d)
		}
	}
	if len(v) == 0 {
		return nil, nil
	}
	slices.Sort(v)
	highest := v[len(v)-1]
	for i, d := range top {
		if !math.IsNaN(x[i]) {
			highest = max(highest, d)
		}
	}
	if highest == 0 {
		return nil, nil
	}
	out := &Delay{Base: v[len(v)/100]}
	rest := x
	median := v[len(v)/2]
	// The scale is that of the lower half, which spikes do not widen.
	deviation := median - v[len(v)*1587/10000]
	if limit := median + spikeLimit*deviation; deviation > 0 && highest > limit {
		// A skewed delay goes far without spikes: these are few.
		above, _ := slices.BinarySearch(v, limit)
		if share := float64(len(v)-above) / float64(len(v)); share < 0.1 {
			rest, out.Spikes = takeSpikes(x, top, median, median+0.6*spikeLimit*deviation, limit, bin)
		}
	}
	p, err := fitProcess(rest, nil, bin)
	if err != nil {
		return nil, err
	}
	if out.Spikes != nil && p.Model == LogOU {
		// What looks like spikes may be the upper end of a log-normal delay: then
		// one process explains all of it.
		whole, err := fitProcess(x, nil, bin)
		if err == nil && whole.Model == LogOU && whole.Goodness.Word == "good" {
			p, out.Spikes = whole, nil
		}
	}
	out.Process = p
	return out, nil
}

// takeSpikes blanks the runs above low that reach limit, with the bins beside
// them, and describes them; nil with fewer than 3.
func takeSpikes(x, top []float64, median, low, limit float64, bin time.Duration) ([]float64, *Spikes) {
	rest := slices.Clone(x)
	if top == nil {
		top = x
	}
	s := &Spikes{}
	var heights []float64
	length, known := 0, 0
	for t := 0; t < len(x); t++ {
		if math.IsNaN(x[t]) {
			continue
		}
		known++
		if top[t] < low {
			continue
		}
		end, peak := t, 0.0
		for end < len(x) && top[end] >= low && !math.IsNaN(x[end]) {
			peak = max(peak, top[end])
			end++
		}
		if peak >= limit {
			heights = append(heights, math.Log(peak-median))
			length += end - t
			for k := max(0, t-1); k < min(len(x), end+1); k++ {
				rest[k] = math.NaN()
			}
		}
		known += end - t - 1
		t = end - 1
	}
	if s.Count = len(heights); s.Count < 3 {
		return x, nil
	}
	s.Every = exponentialMean(float64(known-length)*bin.Seconds(), s.Count)
	s.Duration = float64(length) / float64(s.Count) * bin.Seconds()
	mean, sd := meanSD(heights)
	s.Height = logNormal(float64(s.Count), mean, max(sd, 1e-9))
	return rest, s
}

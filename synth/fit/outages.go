package fit

import (
	"math"
	"slices"
	"time"
)

// Outages are the times in which no packet passes.
type Outages struct {
	Kind      OutageKind    `json:"kind"`         // of most of them
	Count     int           `json:"count"`        // those that began within the timeline
	Share     float64       `json:"share"`        // of the time
	Every     Estimate      `json:"every_s"`      // mean time from the end of one to the start of the next, exponential
	Duration  *LogNormal    `json:"duration_s"`   // nil with fewer than 3
	Threshold time.Duration `json:"threshold_ns"` // shorter ones without a label do not count
	// Durations in seconds, ascending, of those whose both ends are known.
	Durations []float64 `json:"-"`
}

// fitOutages describes a direction's outages; nil without any.
func fitOutages(runs []run, duration, threshold, grid time.Duration) *Outages {
	if len(runs) == 0 {
		return nil
	}
	o := &Outages{Threshold: threshold}
	kinds := map[OutageKind]int{}
	var out, labelled time.Duration
	var censored []float64
	for _, r := range runs {
		kinds[r.kind]++
		out += r.to - r.from
		if r.labelled {
			labelled++
		}
		if r.from > 0 {
			o.Count++ // how long one lasts that was there at the start is not known
			if r.to < duration {
				o.Durations = append(o.Durations, (r.to - r.from).Seconds())
			} else {
				censored = append(censored, (r.to - r.from).Seconds())
			}
		}
	}
	for _, k := range []OutageKind{Stall, CarrierDown, Drop} {
		if kinds[k] > kinds[o.Kind] {
			o.Kind = k
		}
	}
	if int(labelled) == len(runs) {
		o.Threshold = 0
	}
	o.Share = float64(out) / float64(duration)
	o.Every = exponentialMean((duration - out).Seconds(), o.Count)
	slices.Sort(o.Durations)
	if len(o.Durations) >= 3 {
		d := fitDurations(o.Durations, censored)
		o.Duration = &d
	}
	return o
}

// fitDurations fits a log-normal distribution to durations, some of which lasted
// longer than is known, by the EM algorithm.
func fitDurations(x, censored []float64) LogNormal {
	var logs []float64
	for _, v := range x {
		logs = append(logs, math.Log(v))
	}
	mean, sd := meanSD(logs)
	sd = max(sd, 1e-9)
	n := float64(len(logs) + len(censored))
	if len(censored) > 0 {
		for range 100 {
			sum, square := 0.0, 0.0
			for _, v := range logs {
				sum, square = sum+v, square+v*v
			}
			for _, c := range censored {
				z := (math.Log(c) - mean) / sd
				ratio := millsRatio(-z) // of the upper tail
				e := mean + sd*ratio
				sum += e
				square += e*e + sd*sd*max(1-ratio*(ratio-z), 0)
			}
			m := sum / n
			s := math.Sqrt(max((square-n*m*m)/(n-1), 1e-18))
			done := math.Abs(m-mean) < 1e-9 && math.Abs(s-sd) < 1e-9
			if mean, sd = m, s; done {
				break
			}
		}
	}
	return logNormal(float64(len(logs)), mean, sd)
}

package metrics

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// What makes a sender react, and what counts as a reaction. Bins are those of
// series.
const (
	rttFactor    = 2.0  // of its base, above which a link's round trip has become long
	capacityStep = 0.75 // of what it was, below which capacity has fallen
	reacted      = 0.9  // of what was sent on the link before
	aSecond      = 10   // bins
	halfSecond   = 5
	twoSeconds   = 20
	mostWait     = 100 // bins that a reaction is waited for
)

// mean of the bins [from, to) that have a value; NaN without any.
func mean(c []float64, from, to int) float64 {
	sum, n := 0.0, 0
	for _, v := range c[max(from, 0):min(max(to, 0), len(c))] {
		if !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	return sum / float64(n)
}

// baseOf is the round trip of a link whose queue is empty: what one bin in twenty
// does not exceed. NaN without any.
func baseOf(rtt []float64) float64 {
	var all []float64
	for _, v := range rtt {
		if !math.IsNaN(v) {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	return all[len(all)/20]
}

// reactions finds what a sender should have reacted to on a link, and when it did:
// it sent less media there. rtt is in ms, capacity, wire (all that was sent) and
// original in bits a bin, fell when capacity fell in a bin (0: it did not), and out
// reports bins in which something else was the matter.
func reactions(link string, rtt, capacity, wire, original []float64, fell []int64, out func(i int) bool) []Reaction {
	type trigger struct {
		bin   int
		at    int64
		cause string
	}
	var all []trigger
	base := baseOf(rtt)
	above := math.MaxInt / 2 // bins since it was above
	for i, v := range rtt {
		long := v > rttFactor*base
		if long && above > aSecond && i > 0 && !out(i) && !(rtt[i-1] > rttFactor*base) {
			all = append(all, trigger{i, int64(i) * int64(bin), "rtt"})
		}
		if above++; long {
			above = 0
		}
	}
	last := -aSecond - 1
	for i := aSecond; i+aSecond <= len(capacity); i++ {
		was, is, load := mean(capacity, i-aSecond, i), mean(capacity, i, i+aSecond), mean(wire, i-aSecond, i)
		if i-last <= aSecond || out(i) || fell[i] == 0 || !(load > 0) || was < load || is >= load || is >= capacityStep*was {
			continue
		}
		all = append(all, trigger{i, fell[i], "capacity"})
		last = i
	}
	slices.SortFunc(all, func(x, y trigger) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.cause, y.cause))
	})
	var found []Reaction
	for k, t := range all {
		was := mean(original, t.bin-twoSeconds, t.bin)
		if !(was > 0) {
			continue // it was not in use
		}
		r := Reaction{Link: link, Cause: t.cause, At: time.Duration(t.at)}
		end := min(t.bin+mostWait, len(original)-halfSecond)
		for _, next := range all[k+1:] {
			if next.cause == t.cause {
				end = min(end, next.bin)
				break
			}
		}
		for i := t.bin; i <= end; i++ {
			if mean(original, i, i+halfSecond) < reacted*was {
				after := time.Duration(max(int64(i)*int64(bin)-t.at, 0))
				r.After = &after
				break
			}
		}
		found = append(found, r)
	}
	return found
}

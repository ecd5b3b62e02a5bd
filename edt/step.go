package edt

import (
	"math"

	"linktape/trace"
)

// MaxRate is the highest rate of a step: a second of it is well within what
// positions tell apart.
const MaxRate = 1000 * trace.Gbit

// ByteUnits is the service of a byte, in 10⁻⁶ bit.
const ByteUnits = 8 * unit

const (
	unit      = 1_000_000 // of service in a bit
	rateUnits = 1000      // bit/s × ns in a unit
	maxNano   = 1 << 62   // bit/s × ns in one step: the products of the arithmetic stay below 2^63
	maxSpan   = 1 << 62   // units in a window: positions are compared by their difference
)

// always is the threshold of a probability of 1: every draw is below it.
const always = math.MaxUint32

// down marks a step without carrier in [Step.Outages]; the other bits count.
const down = 1 << 31

// Flushed reports whether the carrier was lost between a step and one before it, of
// which only its Outages is known: what waited then is gone.
func (s *Step) Flushed(outages uint32) bool { return (s.Outages^outages)&^down != 0 }

// Step is a linear piece of the service curve with all that is in force on it. Its
// layout in memory is that of struct step in bpf/edt.c.
type Step struct {
	T      uint64 // its beginning, ns since the epoch
	Cum    uint64 // service before T, in 10⁻⁶ bit, modulo 2^64, rounded down
	Rate   uint64 // bit/s; 0: stalled
	Delay  uint64 // after the bottleneck, ns
	Jitter uint64 // standard deviation of Delay, ns
	Limit  uint64 // of the queue, bytes

	// Probabilities as thresholds of 32-bit numbers: p·2³².
	Loss     uint32 // independent; without a chain
	P, R     uint32 // of the chain: good to bad, bad to good
	LossGood uint32
	LossBad  uint32

	// Outages is how often the carrier was lost up to and including this step;
	// the highest bit says that it is gone on this step.
	Outages uint32

	// Rest is what Cum was rounded down by, in 10⁻⁹ bit, so that the curve does not
	// depend on where it is cut into steps.
	Rest uint32
	_    uint32
}

// chain reports whether the step has a Gilbert–Elliott chain.
func (s *Step) chain() bool { return s.P|s.R|s.LossGood|s.LossBad != 0 }

// threshold returns the number below which a uniform 32-bit draw has the
// probability p, within 2⁻³³. A probability above 0 never becomes 0.
func threshold(p trace.Prob) uint32 {
	if p <= 0 {
		return 0
	}
	return uint32(min(max(math.Round(float64(p)*(1<<32)), 1), always))
}

// Prob is the probability that a threshold of a [Step] stands for.
func Prob(threshold uint32) trace.Prob {
	if threshold == always {
		return 1
	}
	return trace.Prob(float64(threshold) / (1 << 32))
}

// below reports whether a draw is below a threshold.
func below(draw, threshold uint32) bool { return draw < threshold || threshold == always }

// takes is how long a step that goes on needs for a service, in ns, rounded up.
func (s *Step) takes(service uint64) uint64 { return (service*rateUnits + s.Rate - 1) / s.Rate }

// Within is the service of a step that goes on for a time, in units, rounded down and
// at most maxSpan.
func (s *Step) Within(t uint64) uint64 {
	if s.Rate > 0 && t > maxNano/s.Rate {
		return maxSpan
	}
	return t * s.Rate / rateUnits
}

package fill

import (
	"fmt"
	"time"

	"linktape/trace"
)

// byteNs is one byte in bit·ns. It is the most that a Filler serves beyond what
// is due, not reached, so that whole bytes stay exact.
const byteNs = 8 * BitNs

// A Filler turns the service due at instants into rates in whole bit/s, by
// cumulative rounding up (see the package comment).
type Filler struct {
	at     time.Duration
	served Amount // bit·ns up to at
	yield  func(at time.Duration, r trace.BitRate) bool
}

// New returns a Filler at instant 0. It calls yield with the instant from which a
// rate holds; yield returns false when it wants no more.
func New(yield func(at time.Duration, r trace.BitRate) bool) *Filler { return &Filler{yield: yield} }

// To yields the rate from the Filler's instant until end, by which due bit·ns
// have to be served since the start. It returns false when yield wants no
// more, and an error when the rate is above trace.MaxRate.
func (f *Filler) To(end time.Duration, due Amount) (bool, error) {
	if end <= f.at {
		return true, nil
	}
	dt := uint64(end - f.at)
	need := due.Sub(f.served)
	q, rem, ok := need.Div(dt)
	if rem > 0 {
		q++
	}
	if !ok || q > uint64(trace.MaxRate) {
		return false, fmt.Errorf("the interval from %v to %v would need more than %v: choose a longer step, or one that divides the period", f.at, end, trace.MaxRate)
	}
	if rem > 0 && dt-rem >= byteNs && dt > byteNs {
		// One rate would serve dt − rem bit·ns too many: serve ⌊⌋ first and
		// make up for it in the last eight seconds.
		if !f.step(end-byteNs, q-1) {
			return false, nil
		}
		return f.To(end, due)
	}
	return f.step(end, q), nil
}

// At returns the instant up to which rates have been yielded.
func (f *Filler) At() time.Duration { return f.at }

// Hold yields a rate as it is until end, which must come after the Filler's
// instant. It returns false when yield wants no more.
func (f *Filler) Hold(end time.Duration, rate trace.BitRate) bool { return f.step(end, uint64(rate)) }

func (f *Filler) step(end time.Duration, rate uint64) bool {
	more := f.yield(f.at, trace.BitRate(rate))
	f.served = f.served.Add(Mul(rate, uint64(end-f.at)))
	f.at = end
	return more
}

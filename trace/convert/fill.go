package convert

import (
	"fmt"
	"time"

	"linktape/trace"
)

// maxExcess is the most that a filler serves beyond what is due, in bit·ns:
// one byte, not reached, so that whole bytes stay exact.
const maxExcess = 8 * nsBits

// A filler turns the service due at instants into rates in whole bit/s, by
// cumulative rounding up (see the package comment).
type filler struct {
	at     time.Duration
	served u128 // bit·ns up to at
	yield  func(at time.Duration, r trace.BitRate) bool
}

// to yields the rate from the filler's instant until end, by which due bit·ns
// have to be served since the start. It returns false when yield wants no
// more, and an error when the rate is above trace.MaxRate.
func (f *filler) to(end time.Duration, due u128) (bool, error) {
	if end <= f.at {
		return true, nil
	}
	dt := uint64(end - f.at)
	need := due.sub(f.served)
	q, rem, ok := need.div(dt)
	if rem > 0 {
		q++
	}
	if !ok || q > uint64(trace.MaxRate) {
		return false, fmt.Errorf("the interval from %v to %v would need more than %v: choose a longer step, or one that divides the period", f.at, end, trace.MaxRate)
	}
	if rem > 0 && dt-rem >= maxExcess && dt > maxExcess {
		// One rate would serve dt − rem bit·ns too many: serve ⌊⌋ first and
		// make up for it in the last eight seconds.
		if !f.step(end-maxExcess, q-1) {
			return false, nil
		}
		return f.to(end, due)
	}
	return f.step(end, q), nil
}

func (f *filler) step(end time.Duration, rate uint64) bool {
	more := f.yield(f.at, trace.BitRate(rate))
	f.served = f.served.add(mul128(rate, uint64(end-f.at)))
	f.at = end
	return more
}

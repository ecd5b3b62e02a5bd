package convert

import (
	"fmt"
	"time"

	"linktape/trace"
)

// Opportunities.
//
// A trace of delivery opportunities says that at an instant so many bytes can
// leave at once. On a tape, whose rates are piecewise constant, that is a pulse:
// a step of 1 µs whose service is exactly that, and rate 0 until the next one.
// Rates are whole bit/s, and so is 1500 bytes in 1 µs times any [Scale]: nothing
// is rounded, so that nothing has to be made good later.

const (
	pulseLength = time.Microsecond
	// maxPulseRate is the highest rate of a pulse, the highest that package edt
	// plays; what needs more is spread over several µs. A test holds them equal.
	maxPulseRate = 1000 * trace.Gbit
)

// pulseSlots is the number of pulses side by side in 1 ms.
const pulseSlots = int64(time.Millisecond / pulseLength)

// opportunityImporter marks the importers that know ImportOptions.Opportunities.
type opportunityImporter interface{ hasOpportunities() }

// checkOpportunities verifies that an importer can do what the options ask.
func (o ImportOptions) checkOpportunities(im Importer) error {
	if _, ok := im.(opportunityImporter); o.Opportunities && !ok {
		return fmt.Errorf("the format %s holds no delivery opportunities: leave out --opportunities for this file; if others need it, import each by itself and merge the tapes (tracegen merge)", im.Name())
	}
	return nil
}

// opportunityRate is the rate that serves one scaled opportunity in a pulse.
func opportunityRate(s Scale) trace.BitRate {
	if s.Num == 0 {
		s.Num = scaleOne
	}
	const perMicrosecond = mahimahiBytes * 8 * int64(time.Second/pulseLength) // bit/s
	return trace.BitRate(perMicrosecond / scaleOne * s.Num)
}

// pulseLine is how the opportunities of 1 ms are served: the full pulses at the
// highest rate, then, unless it is 0, one of the rest.
func pulseLine(n int64, unit trace.BitRate) (full time.Duration, rest trace.BitRate) {
	all := trace.BitRate(n) * unit // over one pulse
	return time.Duration(all/maxPulseRate) * pulseLength, all % maxPulseRate
}

// pulses yields the rates that serve bins of 1 ms, each of so many opportunities
// of a rate (see opportunityRate): with IntervalEnd at the end of their bins, with
// IntervalStart at their start. No bin may need more than all of its pulses.
func pulses(bins []binCount, unit trace.BitRate, period time.Duration, interval string, yield func(time.Duration, trace.BitRate) bool) {
	end := time.Duration(0) // of what was yielded
	for _, b := range bins {
		full, rest := pulseLine(b.n, unit)
		length := full
		if rest > 0 {
			length += pulseLength
		}
		from := time.Duration(b.bin) * time.Millisecond
		if interval == IntervalEnd {
			from += time.Millisecond - length
		}
		if from > end && !yield(end, 0) ||
			full > 0 && !yield(from, maxPulseRate) ||
			rest > 0 && !yield(from+full, rest) {
			return
		}
		end = from + length
	}
	if end < period {
		yield(end, 0)
	}
}

// pulseWarning says where opportunities need more than one pulse; "" if none do.
func pulseWarning(bins []binCount, unit trace.BitRate) string {
	var n int64
	var longest time.Duration
	for _, b := range bins {
		if full, rest := pulseLine(b.n, unit); full > pulseLength || full == pulseLength && rest > 0 {
			n++
			if rest > 0 {
				full += pulseLength
			}
			longest = max(longest, full)
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of the pulses take more than %v, up to %v, because no rate is above %v", n, pulseLength, longest, maxPulseRate)
}

package probe

import (
	"time"

	"linktape/trace"
)

// Bounds of an adaptive load.
const (
	queueLow  = 30 * time.Millisecond  // a queue below it is filled
	queueHigh = 120 * time.Millisecond // a queue above it is let shrink
	leastLoad = 200 * trace.Kbit
)

// Load adapts the rate of a stream so that it is just more than a link carries. Its
// zero value is not ready: set Max.
type Load struct {
	Max  trace.BitRate // never more
	rate trace.BitRate
}

// Rate is what to send now.
func (l *Load) Rate() trace.BitRate {
	if l.rate == 0 {
		return min(trace.Mbit, l.Max)
	}
	return l.rate
}

// Adapt takes what was delivered lately and how long the last packet waited.
func (l *Load) Adapt(delivered trace.BitRate, wait time.Duration) {
	rate := l.Rate()
	switch {
	case wait > queueHigh:
		// The longer the queue, the less: what is left out drains it.
		rate = delivered / 100 * trace.BitRate(85-min(70, (wait-queueHigh)/(10*time.Millisecond)))
	case wait < queueLow:
		// At most twice what is delivered, else a link with a short queue is flooded.
		rate = max(min(rate/100*125, 2*delivered), delivered/100*125)
	default:
		rate = delivered / 100 * 102
	}
	l.rate = min(max(rate, leastLoad), l.Max)
}

package replay

import "time"

// Clock is a monotonic clock that can be waited for. Its instants are
// durations since some point in the past. Now is called by several goroutines.
type Clock interface {
	Now() time.Duration
	// SleepUntil returns at the instant or soon after, early only when the
	// instant has passed.
	SleepUntil(t time.Duration)
}

// spinUntil reads a clock until an instant. Where computing takes no time (a
// virtual-time kernel) that would never end: a clock that stands still is slept
// on instead.
func spinUntil(t time.Duration, now func() time.Duration, sleep func(time.Duration)) {
	const patience = 100
	last, still := time.Duration(-1), 0
	for {
		n := now()
		switch {
		case n >= t:
			return
		case n != last:
			last, still = n, 0
		default:
			if still++; still == patience {
				sleep(t)
				return
			}
		}
	}
}

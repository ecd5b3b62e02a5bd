package replay

import (
	"time"
)

// Clock is a monotonic clock that can be waited for. Its instants are
// durations since some point in the past.
type Clock interface {
	Now() time.Duration
	// SleepUntil returns at the instant or soon after, early only when the
	// instant has passed.
	SleepUntil(t time.Duration)
}

//go:build !linux

package replay

import "time"

// Monotonic is Go's monotonic clock; Spin has no effect.
type Monotonic struct {
	Spin time.Duration
	base time.Time
}

// DefaultSpin is for Linux.
const DefaultSpin time.Duration = 0

// NewMonotonic returns a clock.
func NewMonotonic(spin time.Duration) *Monotonic { return &Monotonic{Spin: spin, base: time.Now()} }

// Now returns the time since the clock was made.
func (m *Monotonic) Now() time.Duration { return time.Since(m.base) }

// SleepUntil sleeps.
func (m *Monotonic) SleepUntil(t time.Duration) { time.Sleep(t - m.Now()) }

func prepareThread() bool { return false }

func calm() (locked bool, restore func()) { return false, func() {} }

// threadTime is not known.
func threadTime() time.Duration { return 0 }

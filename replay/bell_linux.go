package replay

import (
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futex(2) operations; the word is of this process alone.
const (
	futexWake       = 1 | futexPrivate // FUTEX_WAKE
	futexWaitBitset = 9 | futexPrivate // FUTEX_WAIT_BITSET: its time is absolute, of CLOCK_MONOTONIC
	futexPrivate    = 128              // FUTEX_PRIVATE_FLAG
	futexAny        = math.MaxUint32   // FUTEX_BITSET_MATCH_ANY
)

// SleepUntilRung sleeps on a futex, and does not spin.
func (m *Monotonic) SleepUntilRung(t time.Duration, b *bell) {
	for m.Now() < t && b.Load() == 0 {
		ts := unix.NsecToTimespec(int64(t))
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(b)), futexWaitBitset, 0, uintptr(unsafe.Pointer(&ts)), 0, futexAny)
	}
}

// Ring wakes whoever sleeps on the bell.
func (m *Monotonic) Ring(b *bell) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(b)), futexWake, math.MaxInt32, 0, 0, 0)
}

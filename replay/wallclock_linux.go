package replay

import (
	"time"

	"golang.org/x/sys/unix"
)

// rawClocks reads the oscillator's clock and the disciplined one: of some pairs
// of readings, the one that took least.
func rawClocks() (raw, mono time.Duration) {
	read := func(id int32) time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(id, &ts) != nil {
			return 0
		}
		return time.Duration(ts.Nano())
	}
	best := time.Hour
	for range 16 {
		before := read(unix.CLOCK_MONOTONIC)
		r := read(unix.CLOCK_MONOTONIC_RAW)
		if d := read(unix.CLOCK_MONOTONIC) - before; d < best {
			best, raw, mono = d, r, before+d/2
		}
	}
	return raw, mono
}

// discipline asks the kernel for the state of its clock (adjtimex(2)). The
// errors are in microseconds.
func (w *WallClock) discipline() {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return
	}
	const staUnsync, timeError = 0x40, 5 // STA_UNSYNC, TIME_ERROR: include/uapi/linux/timex.h
	w.Known = true
	w.Synchronised = state != timeError && t.Status&staUnsync == 0
	w.MaxError = time.Duration(t.Maxerror) * time.Microsecond
	w.EstError = time.Duration(t.Esterror) * time.Microsecond
}

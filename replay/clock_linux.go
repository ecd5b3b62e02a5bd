package replay

import (
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic is CLOCK_MONOTONIC. The last Spin before an instant is spent
// reading the clock, so that the wake-up of the thread is over when the instant
// comes.
type Monotonic struct {
	Spin time.Duration

	base   time.Time     // some instant, with Go's reading of the clock
	offset time.Duration // the kernel's reading at base
}

// DefaultSpin covers the wake-up of a thread on an ordinary machine.
const DefaultSpin = 60 * time.Microsecond

// NewMonotonic returns a clock that spins for a time before each instant.
func NewMonotonic(spin time.Duration) *Monotonic {
	m := &Monotonic{Spin: spin}
	best := time.Hour
	for range 16 { // the pair of readings that lie closest together
		before := time.Now()
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
			break
		}
		if d := time.Since(before); d < best {
			best, m.base, m.offset = d, before, time.Duration(ts.Nano())-d/2
		}
	}
	return m
}

// Now returns the time since the system's start.
func (m *Monotonic) Now() time.Duration { return m.offset + time.Since(m.base) }

// SleepUntil sleeps on an absolute timer and spins for the rest.
func (m *Monotonic) SleepUntil(t time.Duration) {
	for m.Now() < t-m.Spin {
		sleepUntil(t - m.Spin)
	}
	spinUntil(t, m.Now, sleepUntil)
}

func sleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(int64(t))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// priority of the loop's thread under SCHED_FIFO: above ordinary work, below
// the kernel's own threads.
const priority = 10

// prepareThread gives the calling thread, to which its goroutine is locked,
// real-time scheduling where the system allows it, and exact timers. It
// reports whether scheduling is real-time.
func prepareThread() bool {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	// The runtime may start threads from this one: they must not inherit its
	// policy, under which they would starve the machine.
	attr := &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority,
		Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	return unix.SchedSetAttr(0, attr, 0) == nil
}

// calm keeps page faults, the garbage collector and the processors' deep idle
// states out of the loop until the returned function is called. A heap that grows
// beyond what most replays need, a quarter of the machine's memory, or the limit
// in force, is collected all the same.
// locked is false where the system does not let the process lock its memory.
func calm() (locked bool, restore func()) {
	ample := int64(512 << 20)
	var system unix.Sysinfo_t
	if unix.Sysinfo(&system) == nil {
		ample = min(ample, int64(uint64(system.Totalram)*uint64(system.Unit)/4))
	}
	awake := stayAwake()
	locked = unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) == nil
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(-1) // reads it
	debug.SetMemoryLimit(min(limit, ample))
	return locked, func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		if locked {
			unix.Munlockall()
		}
		if awake != nil {
			awake.Close()
		}
	}
}

// stayAwake asks for processors that wake up at once, as long as the file is open
// (Documentation/power/pm_qos_interface.rst); nil: the system does not grant it.
func stayAwake() *os.File {
	f, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	if _, err := f.Write(make([]byte, 4)); err != nil { // 0 µs
		f.Close()
		return nil
	}
	return f
}

// threadTime is how long the calling thread has had a processor.
func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

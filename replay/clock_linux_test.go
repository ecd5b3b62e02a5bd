package replay

import (
	"encoding/binary"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMonotonicIsTheKernels(t *testing.T) {
	kernel := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	m := NewMonotonic(0)
	const off = time.Millisecond // far above the error of the pair of readings
	for range 100 {
		before := kernel()
		now := m.Now()
		after := kernel()
		if now < before-off || now > after+off {
			t.Fatalf("got %v, want %v to %v", now, before, after)
		}
	}
}

// What prepareThread reports is what the kernel says.
func TestPrepareThread(t *testing.T) {
	done := make(chan struct{})
	go func() { // on a thread that ends with it
		defer close(done)
		runtime.LockOSThread()
		realtime := prepareThread()
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if got := a.Policy == unix.SCHED_FIFO; got != realtime {
			t.Errorf("policy is %d, reported real-time: %v", a.Policy, realtime)
		}
		if realtime && (a.Priority != priority || a.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0) {
			t.Errorf("got priority %d, flags %#x", a.Priority, a.Flags)
		}
		if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || !realtime && slack != 1 {
			t.Errorf("got timer slack %d, %v, want 1 ns", slack, err)
		}
	}()
	<-done
}

func TestCalmIsUndone(t *testing.T) {
	percent := debug.SetGCPercent(80)
	defer debug.SetGCPercent(percent)
	limit := debug.SetMemoryLimit(300 << 20)
	defer debug.SetMemoryLimit(limit)
	_, restore := calm()
	if got := debug.SetMemoryLimit(-1); got != 300<<20 {
		t.Errorf("a lower limit became %d", got)
	}
	if got := debug.SetGCPercent(-1); got != -1 {
		t.Errorf("the garbage collector runs at %d %%", got)
	}
	restore()
	if got := debug.SetMemoryLimit(-1); got != 300<<20 {
		t.Errorf("the limit is %d, want what it was", got)
	}
	if got := debug.SetGCPercent(80); got != 80 {
		t.Errorf("the garbage collector is at %d %%, want 80", got)
	}
}

// Meanwhile the processors are to wake up at once.
func TestStayAwake(t *testing.T) {
	const device = "/dev/cpu_dma_latency"
	look, err := os.Open(device)
	if err != nil {
		t.Skipf("needs to read %s: %v", device, err)
	}
	defer look.Close()
	_, restore := calm()
	var target [4]byte // the lowest that anyone asks for, in µs
	_, err = look.ReadAt(target[:], 0)
	restore()
	if err != nil {
		t.Fatal(err)
	}
	if us := int32(binary.NativeEndian.Uint32(target[:])); us != 0 {
		t.Errorf("processors may take %d µs to wake up, want 0", us)
	}
}

package replay

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is locked to a thread and not pinned the runtime sooner or later takes the
// thread's processor from, which then sleeps; pinned it never sleeps by itself.
func TestPinned(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slept := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return u.Nvcsw
	}
	before := slept()
	for until := time.Now().Add(time.Minute); slept() == before; {
		if time.Now().After(until) {
			t.Fatal("the runtime leaves a goroutine alone that it need not: there is nothing to pin it for")
		}
	}
	l := loop{pins: true}
	l.pin()
	l.pin()
	before = slept()
	for until := time.Now().Add(200 * ms); time.Now().Before(until); {
	}
	after := slept()
	l.unpin()
	l.unpin()
	if after != before {
		t.Errorf("the thread slept %d times while it was pinned", after-before)
	}
	before = slept()
	for until := time.Now().Add(time.Minute); slept() == before; {
		if time.Now().After(until) {
			t.Fatal("still pinned")
		}
	}
}

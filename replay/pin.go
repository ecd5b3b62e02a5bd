package replay

import (
	_ "unsafe" // for go:linkname

	"linktape/netsetup"
)

// procPin keeps the goroutine on its thread and the thread running until
// procUnpin (runtime/proc.go). Go's runtime takes back what a goroutine has had
// for 10 ms, several times a second from one that mostly sleeps; a goroutine that
// is locked to a real-time thread then sleeps until an ordinary thread of the
// runtime hands it on, which on a busy machine waits for everybody else.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// pinnable reports whether the loop may run pinned: where its endpoints wait for
// the kernel only. What is pinned must not wait for another goroutine, and a panic
// in it ends the process at once.
func (l *loop) pinnable() bool {
	for _, e := range l.endpoints {
		if _, ok := e.(*netsetup.Endpoint); !ok {
			return false
		}
	}
	return l.realtime
}

func (l *loop) pin() {
	if l.pins && !l.pinned {
		procPin()
		l.pinned = true
	}
}

func (l *loop) unpin() {
	if l.pinned {
		l.pinned = false
		procUnpin()
	}
}

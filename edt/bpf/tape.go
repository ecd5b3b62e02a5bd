package bpf

import (
	"errors"
	"fmt"
	"sort"
	"sync/atomic"
	"time"
	"unsafe"

	"linktape/edt"
	"linktape/trace"
)

// Sizes of a tape's ring, in steps; powers of two.
const (
	MinSteps     = 256
	DefaultSteps = 1 << 14
	MaxSteps     = 1 << 19
)

// ErrFull is the error of a tape whose ring has no room until time has passed.
var ErrFull = errors.New("the ring of steps is full")

// settled is how long a step is kept after its end, so that a program that has just
// looked at it is done.
const settled = 100 * time.Millisecond

// head is the beginning of the memory that the program reads: struct tape of edt.c.
type head struct {
	window   uint64
	seed     [2]uint64
	overtake [2]uint32
	_        [4]uint64
}

const (
	headBytes = int(unsafe.Sizeof(head{}))
	stepBytes = int(unsafe.Sizeof(edt.Step{}))

	countBits, runBits = 20, 7 // of head.window; above them the number of steps written
)

// Tape is what the program is told of a direction. Instants are the kernel's
// CLOCK_MONOTONIC. It is for one goroutine at a time.
type Tape struct {
	head  *head
	steps []edt.Step // the ring

	window *edt.Window
	run    uint64
	first  uint64 // number of the first step that counts
	next   uint64 // number of the step behind the last one written
	kept   uint64 // number of the first step that is not to be written over
	taken  int    // of the window's steps, how many have been written
	staged bool   // the program does not see it yet
	hold   bool
}

func newTape(memory []byte, steps int) *Tape {
	t := &Tape{
		head:  (*head)(unsafe.Pointer(&memory[0])),
		steps: unsafe.Slice((*edt.Step)(unsafe.Pointer(&memory[headBytes])), steps),
	}
	w := atomic.LoadUint64(&t.head.window) // of who had it before
	t.first, t.next = bounds(w)
	t.run, t.kept = w>>1&(1<<runBits-1), t.first
	return t
}

// Begin begins a tape of a direction with this queue; until it is [Tape.Publish]ed the
// one before goes on. Its packets' random numbers are those of the seed from the first
// one on. With overtake, packets that arrive earlier than those before them do so.
func (t *Tape) Begin(q trace.Queue, mtu int, seed uint64, overtake bool) {
	t.window = edt.NewWindow(q, mtu)
	t.run = (t.run + 1) & (1<<runBits - 1)
	t.first, t.taken, t.hold, t.staged = t.next, 0, false, true
	t.head.seed[t.run&1] = seed
	t.head.overtake[t.run&1] = 0
	if overtake {
		t.head.overtake[t.run&1] = 1
	}
}

// Publish lets the program see the tape that was begun; what is said later it sees at
// once.
func (t *Tape) Publish() {
	t.staged = false
	t.publish()
}

func (t *Tape) publish() {
	if t.staged {
		return
	}
	hold := uint64(0)
	if t.hold {
		hold = 1
	}
	atomic.StoreUint64(&t.head.window, t.next<<(countBits+runBits+1)|(t.next-t.first)<<(runBits+1)|t.run<<1|hold)
}

// Set says the state from an instant on; what was said before is the state until
// then. Another state for the same instant takes the place of the first one. An error,
// [ErrFull] or one of [edt.Window.Set], changes nothing.
func (t *Tape) Set(at time.Duration, s *trace.State) error {
	if err := t.room(at); err != nil {
		return err
	}
	if err := t.window.Set(at, s); err != nil {
		return err
	}
	t.write()
	return nil
}

// Extend says that the state goes on until an instant, which costs a step.
func (t *Tape) Extend(to time.Duration) error {
	if to <= t.End() {
		return nil
	}
	if err := t.room(to); err != nil {
		return err
	}
	if err := t.window.Extend(to); err != nil {
		return err
	}
	t.window.Cut()
	t.write()
	return nil
}

// Hold says that the last state goes on until another tape begins.
func (t *Tape) Hold() {
	t.hold = true
	t.publish()
}

// Change says a state from an instant on in place of all that was said of the time
// after it. Packets that came before keep their times. now is the kernel's time, which
// should be before the instant by what the call may take.
func (t *Tape) Change(now, at time.Duration, s *trace.State) error {
	t.Pass(now)
	// What is in force until then.
	var steps []edt.Step
	for i := t.first; i < t.next && t.at(i).T < uint64(at); i++ {
		if t.at(i).T <= uint64(now) {
			steps = steps[:0]
		}
		steps = append(steps, *t.at(i))
	}
	if len(steps) == 0 || t.window == nil {
		return fmt.Errorf("change the tape at %v: it is not known there", at)
	}
	if need := len(steps) + 1; t.Room() < need {
		return fmt.Errorf("%w: a change at %v needs %d", ErrFull, at, need)
	}
	t.staged = true // all of it at once
	t.first, t.taken, t.hold = t.next, 0, false
	t.window.Back(steps, at)
	t.write()
	err := t.window.Set(at, s)
	t.write()
	t.Publish()
	return err
}

// End is until when the tape is known.
func (t *Tape) End() time.Duration {
	if t.window == nil {
		return 0
	}
	return t.window.End()
}

// Room is the number of steps that can be written before time has passed.
func (t *Tape) Room() int { return len(t.steps) - int(t.next-t.kept) }

// spare is how many steps are kept free for [Tape.Change].
func (t *Tape) spare() int { return min(16, len(t.steps)/8) }

// room checks that the ring has room for what leads to an instant: one step, and one
// more wherever the arithmetic needs a cut.
func (t *Tape) room(at time.Duration) error {
	switch {
	case t.window == nil:
		return errors.New("say a state of a tape: it has not begun")
	case t.hold:
		return errors.New("say a state of a tape whose last one is held")
	case t.Room() <= t.spare()+1+t.window.Cuts(at):
		return fmt.Errorf("%w: of %d", ErrFull, len(t.steps))
	}
	return nil
}

// write copies the window's steps that are new. The last one of those before may be
// written again: nothing of it but its beginning counts until another one follows.
func (t *Tape) write() {
	steps := t.window.Steps()
	if t.taken > 0 {
		t.next--
	}
	for i := max(t.taken-1, 0); i < len(steps); i++ {
		*t.at(t.next) = steps[i]
		t.next++
	}
	t.taken = len(steps) - t.window.Keep(t.at(t.first).Cum)
	t.publish()
}

// Pass says that an instant has passed: what ended some time before it makes room.
func (t *Tape) Pass(now time.Duration) {
	if t.staged {
		return
	}
	old := uint64(max(now-settled, 0))
	for t.next-t.first > 2 && t.at(t.first+1).T <= old {
		t.first++
	}
	if t.kept != t.first {
		t.publish() // before anything is written there
		t.kept = t.first
	}
}

// At returns the step in force at an instant, and whether it is the last one, which
// goes on. Before the first one it is the zero step.
func (t *Tape) At(now time.Duration) (s edt.Step, last bool) {
	for {
		w := atomic.LoadUint64(&t.head.window)
		first, next := bounds(w)
		n := sort.Search(int(next-first), func(i int) bool { return t.at(first+uint64(i)).T > uint64(now) })
		s, last = edt.Step{}, false
		if n > 0 {
			s, last = *t.at(first + uint64(n-1)), first+uint64(n) == next
		}
		// Nothing of it was written over meanwhile.
		if again, _ := bounds(atomic.LoadUint64(&t.head.window)); again == first {
			return s, last
		}
	}
}

// bounds are the numbers of the first step that counts and of the one behind the last.
func bounds(window uint64) (first, next uint64) {
	next = window >> (countBits + runBits + 1)
	return next - window>>(runBits+1)&(1<<countBits-1), next
}

// waiting is what waits in front of a position in bytes, rounded up: of a packet that
// leaves at left, when the carrier had been lost so often.
func (t *Tape) waiting(now time.Duration, v, left uint64, outages uint32) uint64 {
	at := uint64(now)
	s, last := t.At(now)
	if left <= at || s.Flushed(outages) {
		return 0
	}
	units := v - s.Served(at)
	if last {
		units = s.Within(left - at)
	}
	return (units + edt.ByteUnits - 1) / edt.ByteUnits
}

func (t *Tape) at(i uint64) *edt.Step { return &t.steps[i&uint64(len(t.steps)-1)] }

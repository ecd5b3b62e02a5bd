package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"linktape/trace"
)

// horizon is how far the producer looks ahead for the end of a step. A step
// that holds longer is told to the kernel as one that holds until further
// notice.
const horizon = time.Second

// Entry is one step to apply.
type Entry struct {
	At    time.Duration // since the epoch; it goes on growing when the tape loops
	Hold  time.Duration // until the direction's next step; 0: longer than a second
	Tape  time.Duration // the step's own instant on the tape
	Dir   int           // index of the direction
	Loop  int           // how often the window has been played before
	State trace.State
}

// Source is a tape to read: a [trace.Reader].
type Source interface {
	Meta() trace.Meta
	Seek(t time.Duration) ([]trace.Step, error)
	Read(steps []trace.Step) (int, error)
}

// schedule turns the steps of a window of a tape into entries.
type schedule struct {
	tape      Source
	dirs      map[trace.LinkDir]int // the directions that are played; others are passed over
	from, to  time.Duration         // the window
	loops     bool
	ratesOnly bool
	emit      func(*Entry) error

	// pace waits until steps from an instant on are wanted. What lies more than
	// the horizon before it has been emitted. It may be nil.
	pace func(at time.Duration) error

	pending []Entry // in order; the first one waits to learn its hold
	first   int     // number of pending[0] among all entries
	last    []int   // by direction: number of its last entry, −1: none yet
	states  []trace.State
}

// run reads the window, over and over where it loops, until emit fails or the
// window ends.
func (s *schedule) run() error {
	s.last = make([]int, len(s.dirs))
	s.states = make([]trace.State, len(s.dirs))
	for i := range s.last {
		s.last[i] = -1
	}
	for loop := 0; ; loop++ {
		base := time.Duration(loop) * (s.to - s.from)
		if err := s.window(base, loop); err != nil {
			return err
		}
		if !s.loops {
			return s.release(s.to-s.from, true)
		}
	}
}

// window reads the tape's window once.
func (s *schedule) window(base time.Duration, loop int) error {
	steps, err := s.tape.Seek(s.from)
	if err != nil {
		return fmt.Errorf("read tape at %v: %w", s.from, err)
	}
	for i := range steps {
		if err := s.add(&steps[i], base, loop); err != nil {
			return err
		}
	}
	buf := make([]trace.Step, 1024)
	for {
		n, err := s.tape.Read(buf)
		for i := range n {
			if buf[i].At >= s.to {
				return nil
			}
			if err := s.add(&buf[i], base, loop); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read tape: %w", err)
		}
	}
}

// add takes the next step in; one from before the window stands for its start.
func (s *schedule) add(st *trace.Step, base time.Duration, loop int) error {
	dir, ok := s.dirs[st.LinkDir()]
	if !ok {
		return nil
	}
	state := st.State
	if s.ratesOnly {
		state = ratesOf(state)
	}
	at := base + max(st.At-s.from, 0)
	if err := s.release(at-horizon, false); err != nil {
		return err
	}
	// Only after the release: what waits here may be due before pace returns.
	if s.pace != nil {
		if err := s.pace(at); err != nil {
			return err
		}
	}
	if n := s.last[dir]; n >= 0 {
		if s.states[dir] == state {
			return nil // nothing changes: the step in force goes on
		}
		if n >= s.first {
			p := &s.pending[n-s.first]
			p.Hold = at - p.At
		}
	}
	s.last[dir], s.states[dir] = s.first+len(s.pending), state
	s.pending = append(s.pending, Entry{At: at, Tape: max(st.At, s.from), Dir: dir, Loop: loop, State: state})
	// What knows its hold need not wait for the horizon.
	return s.release(at-horizon, false)
}

// release emits the entries from the front that know their hold or lie before
// an instant. At the end of the tape the last ones hold until it.
func (s *schedule) release(before time.Duration, end bool) error {
	n := 0
	for n < len(s.pending) {
		e := &s.pending[n]
		if end && e.Hold == 0 && before-e.At < horizon {
			e.Hold = before - e.At
		}
		if e.Hold == 0 && e.At > before {
			break
		}
		if err := s.emit(e); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return nil
	}
	s.first += n
	s.pending = append(s.pending[:0], s.pending[n:]...)
	return nil
}

// ratesOf leaves only what a bottleneck can do.
func ratesOf(s trace.State) trace.State {
	return trace.State{Rate: s.Rate, Carrier: s.Carrier, Label: s.Label}
}

package replay

import (
	"errors"
	"fmt"
	"io"
	"math"
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

	reading uint32 // which one of the tape it comes from: each skip begins another
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
	from, to  time.Duration         // the window, on the tape
	loops     bool                  // over and over
	times     int                   // how often otherwise; 0: once
	speed     float64               // of the tape's time against the replay's; 0: 1
	skip      time.Duration         // since the epoch: what is over by then is left out
	ratesOnly bool
	ticks     []time.Duration // by direction: how long a step may hold at most; 0, or nil: as long as it likes
	emit      func(*Entry) error

	// pace waits until steps from an instant on are wanted. What lies more than
	// the horizon before it has been emitted. It may be nil.
	pace func(at time.Duration) error

	pending []Entry // in order; the first one waits to learn its hold
	first   int     // number of pending[0] among all entries
	last    []int   // by direction: number of its last entry, −1: none yet
	states  []trace.State
	again   []time.Duration // by direction: when its step is told again at the latest; −1: never
}

// run reads the window, over and over where it loops, until emit fails or the
// window ends.
func (s *schedule) run() error {
	s.last = make([]int, len(s.dirs))
	s.states = make([]trace.State, len(s.dirs))
	s.again = make([]time.Duration, len(s.dirs))
	s.pending, s.first = s.pending[:0], 0
	for i := range s.last {
		s.last[i], s.again[i] = -1, -1
	}
	enter := s.from + min(s.unscaled(s.skip%s.span()), s.to-s.from-1)
	for loop := int(s.skip / s.span()); ; loop++ {
		if err := s.window(loop, enter); err != nil {
			return err
		}
		if !s.loops && loop+1 >= s.times {
			if err := s.repeat(s.length()); err != nil {
				return err
			}
			return s.release(s.length(), true)
		}
		enter = s.from
	}
}

// span is how long the window takes to play.
func (s *schedule) span() time.Duration { return max(s.scaled(s.to-s.from), 1) }

// length is how long all of it takes to play; 0: it never ends.
func (s *schedule) length() time.Duration {
	if s.loops {
		return 0
	}
	return time.Duration(max(s.times, 1)) * s.span()
}

// scaled is how long a time on the tape takes to play.
func (s *schedule) scaled(d time.Duration) time.Duration {
	if s.speed == 0 || s.speed == 1 {
		return d
	}
	return time.Duration(math.Round(float64(d) / s.speed))
}

// unscaled is the inverse of scaled.
func (s *schedule) unscaled(d time.Duration) time.Duration {
	if s.speed == 0 || s.speed == 1 {
		return d
	}
	return time.Duration(math.Round(float64(d) * s.speed))
}

// window reads the tape's window once, from an instant of the tape on.
func (s *schedule) window(loop int, enter time.Duration) error {
	steps, err := s.tape.Seek(enter)
	if err != nil {
		return fmt.Errorf("read tape at %v: %w", enter, err)
	}
	for i := range steps {
		if err := s.add(&steps[i], loop, enter); err != nil {
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
			if err := s.add(&buf[i], loop, enter); err != nil {
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

// add takes the next step in; one from before the instant at which the tape was
// entered stands for it.
func (s *schedule) add(st *trace.Step, loop int, enter time.Duration) error {
	dir, ok := s.dirs[st.LinkDir()]
	if !ok {
		return nil
	}
	state := st.State
	if s.ratesOnly {
		state = ratesOf(state)
	}
	at := max(time.Duration(loop)*s.span()+s.scaled(max(st.At-s.from, 0)), s.skip)
	if err := s.repeat(at); err != nil {
		return err
	}
	if err := s.reach(at); err != nil {
		return err
	}
	if n := s.last[dir]; n >= 0 {
		if s.states[dir] == state {
			return nil // nothing changes: the step in force goes on
		}
		if n >= s.first {
			p := &s.pending[n-s.first]
			if p.At == at { // at a high speed both are in one nanosecond
				p.Tape, p.State, s.states[dir] = st.At, state, state
				return nil
			}
			p.Hold = at - p.At
		}
	}
	s.states[dir] = state
	return s.append(Entry{At: at, Tape: max(st.At, enter), Dir: dir, Loop: loop, State: state})
}

// append takes an entry of an instant that has been reached in.
func (s *schedule) append(e Entry) error {
	s.last[e.Dir] = s.first + len(s.pending)
	s.pending = append(s.pending, e)
	if s.ticks != nil && s.ticks[e.Dir] > 0 {
		tick := s.ticks[e.Dir]
		s.again[e.Dir] = (e.At/tick + 1) * tick // all directions at the same instants
	}
	// What knows its hold need not wait for the horizon.
	return s.release(e.At-horizon, false)
}

// reach emits what is more than the horizon before an instant, and waits until
// steps from it on are wanted.
func (s *schedule) reach(at time.Duration) error {
	// First the release: what waits here may be due before pace returns.
	if err := s.release(at-horizon, false); err != nil || s.pace == nil {
		return err
	}
	return s.pace(at)
}

// repeat cuts the steps that go on until an instant, where they may not hold for
// that long: it tells them again at every tick before it.
func (s *schedule) repeat(until time.Duration) error {
	if s.ticks == nil {
		return nil
	}
	for {
		at := until
		for _, t := range s.again {
			if t >= 0 {
				at = min(at, t)
			}
		}
		if at == until {
			return nil
		}
		if err := s.reach(at); err != nil {
			return err
		}
		for dir, t := range s.again {
			if t != at {
				continue
			}
			if n := s.last[dir]; n >= s.first {
				p := &s.pending[n-s.first]
				p.Hold = at - p.At
			}
			loop := int(at / s.span())
			tape := min(s.from+s.unscaled(at%s.span()), s.to-1)
			if err := s.append(Entry{At: at, Tape: tape, Dir: dir, Loop: loop, State: s.states[dir]}); err != nil {
				return err
			}
		}
	}
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

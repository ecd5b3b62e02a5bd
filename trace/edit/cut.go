package edit

import (
	"fmt"
	"iter"
	"time"

	"linktape/trace"
)

// Cut keeps what lies between two instants, from 0 on again.
func Cut(in Tape, from, to time.Duration) (Tape, error) {
	switch {
	case from < 0 || from >= in.Meta.Duration:
		return Tape{}, fmt.Errorf("cut from %v: outside the timeline, which lasts from 0 to %v", from, in.Meta.Duration)
	case to <= from:
		return Tape{}, fmt.Errorf("cut from %v to %v: nothing lies between them", from, to)
	case to > in.Meta.Duration:
		return Tape{}, fmt.Errorf("cut to %v: the timeline ends at %v", to, in.Meta.Duration)
	}
	out := Tape{Meta: derive("cut", []string{fmt.Sprintf("from %v", from), fmt.Sprintf("to %v", to)}, in)}
	out.Meta.Duration = to - from
	out.Steps = coalesce(window(in, from, to))
	return out, nil
}

// window yields the steps between two instants, with the states in force at the
// first one as its steps.
func window(in Tape, from, to time.Duration) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		dirs := in.Meta.Directions()
		state := make(map[trace.LinkDir]trace.State, len(dirs))
		started := false
		start := func() bool {
			started = true
			for _, ld := range dirs {
				if s, ok := state[ld]; ok && !yield(trace.Step{Link: ld.Link, Dir: ld.Dir, State: s}, nil) {
					return false
				}
			}
			return true
		}
		for s, err := range in.Steps {
			switch {
			case err != nil:
				yield(s, err)
				return
			case s.At >= to:
				if !started {
					start()
				}
				return
			case s.At <= from:
				state[s.LinkDir()] = s.State
				continue
			}
			if !started && !start() {
				return
			}
			s.At -= from
			if !yield(s, nil) {
				return
			}
		}
		if !started {
			start()
		}
	}
}

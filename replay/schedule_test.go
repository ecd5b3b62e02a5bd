package replay

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

// modelEntries is the schedule by the book: the state of every direction at
// every millisecond at which some step of the tape lies, loop after loop.
func modelEntries(tl *trace.Timeline, from, to time.Duration, loops int, ratesOnly bool) []Entry {
	var all []Entry
	window := to - from
	for d, ld := range tl.Meta.Directions() {
		var mine []Entry
		for loop := range loops {
			base := time.Duration(loop) * window
			var start trace.State
			var inside []Entry
			for _, s := range tl.Steps {
				state := s.State
				if ratesOnly {
					state = trace.State{Rate: s.Rate, Carrier: s.Carrier, Label: s.Label}
				}
				switch {
				case s.LinkDir() != ld || s.At >= to:
				case s.At <= from:
					start = state
				default:
					inside = append(inside, Entry{At: base + s.At - from, Tape: s.At, Dir: d, Loop: loop, State: state})
				}
			}
			mine = append(append(mine, Entry{At: base, Tape: from, Dir: d, Loop: loop, State: start}), inside...)
		}
		changes := mine[:1]
		for _, e := range mine[1:] {
			if e.State != changes[len(changes)-1].State {
				changes = append(changes, e)
			}
		}
		for i := range changes {
			end := time.Duration(loops) * window
			if i+1 < len(changes) {
				end = changes[i+1].At
			}
			if hold := end - changes[i].At; hold < time.Second {
				changes[i].Hold = hold
			}
		}
		all = append(all, changes...)
	}
	return byInstant(all)
}

func TestScheduleAgainstModel(t *testing.T) {
	for seed := range uint64(240) {
		r := rand.New(rand.NewPCG(seed, 1))
		tl := randomTape(r)
		from, to := time.Duration(0), tl.Meta.Duration
		if seed%2 == 1 {
			from = time.Duration(r.Int64N(int64(to)))
			to = from + 1 + time.Duration(r.Int64N(int64(to-from)))
		}
		if seed%5 == 0 { // also steps at the very edges
			from, to = from.Truncate(100*ms), to.Truncate(100*ms)
			if to <= from {
				to = from + 50*ms
			}
		}
		ratesOnly, loops := seed%3 == 0, seed%4 >= 2
		name := fmt.Sprintf("seed %d: %v to %v, loops %v, ratesOnly %v", seed, from, to, loops, ratesOnly)
		limit := to - from
		if loops {
			limit = min(7*(to-from)+2*time.Second, 20*time.Second)
			if to-from < ms { // or the model is slow
				limit = 50 * (to - from)
			}
		}

		var got []Entry
		reached := time.Duration(-1)
		s := &schedule{
			tape: &memory{Timeline: tl}, dirs: indexOf(tl.Meta.Directions()),
			from: from, to: to, loops: loops, ratesOnly: ratesOnly,
		}
		s.emit = func(e *Entry) error {
			got = append(got, *e)
			return nil
		}
		s.pace = func(at time.Duration) error {
			if at < reached {
				t.Fatalf("%s: paced back from %v to %v", name, reached, at)
			}
			reached = at
			for _, e := range s.pending {
				if e.At <= at-horizon {
					t.Fatalf("%s: at %v an entry of %v is held back", name, at, e.At)
				}
			}
			if loops && at > limit {
				return errStopped
			}
			return nil
		}
		err := s.run()
		var want []Entry
		if loops {
			if !errors.Is(err, errStopped) {
				t.Fatalf("%s: got error %v, want %v", name, err, errStopped)
			}
			// The model's last second lacks what comes after it, and what the
			// schedule has not emitted is less than a horizon's worth.
			n := int((limit+2*time.Second)/(to-from)) + 2
			want = modelEntries(tl, from, to, n, ratesOnly)
			if len(got) > len(want) {
				t.Fatalf("%s: got %d entries, want at most %d", name, len(got), len(want))
			}
			if len(got) < len(want) && want[len(got)].At <= reached-horizon {
				t.Errorf("%s: the entry of %v was not emitted at %v", name, want[len(got)].At, reached)
			}
			want = want[:len(got)]
		} else {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want = modelEntries(tl, from, to, 1, ratesOnly)
			for _, e := range got {
				if e.At < 0 || e.At >= to-from {
					t.Errorf("%s: entry at %v", name, e.At)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s (-got +want):\n%s", name, cmp.Diff(got, want))
		}
	}
}

// constant is a tape of one direction that never changes.
func constant() *trace.Timeline {
	return &trace.Timeline{
		Meta:  trace.Meta{Duration: 300 * ms, Links: []trace.Link{{Name: "a", Up: true}}},
		Steps: []trace.Step{{Link: "a", Dir: trace.Up, State: trace.State{Rate: trace.Mbit, Carrier: true}}},
	}
}

// A loop without changes has one entry, and is left when pace says so although
// nothing more is emitted.
func TestScheduleLoopWithoutChanges(t *testing.T) {
	var got []Entry
	s := &schedule{tape: &memory{Timeline: constant()}, dirs: map[trace.LinkDir]int{{Link: "a", Dir: trace.Up}: 0}, to: 300 * ms, loops: true}
	s.emit = func(e *Entry) error {
		got = append(got, *e)
		return nil
	}
	s.pace = func(at time.Duration) error {
		if at > time.Minute {
			return errStopped
		}
		return nil
	}
	if err := s.run(); !errors.Is(err, errStopped) {
		t.Fatalf("got error %v, want %v", err, errStopped)
	}
	if len(got) != 1 || got[0].Hold != 0 {
		t.Errorf("got %+v, want one entry without a hold", got)
	}
}

func TestScheduleErrors(t *testing.T) {
	broken := errors.New("broken")
	tl := randomTape(rand.New(rand.NewPCG(1, 2)))
	for _, c := range []struct {
		name string
		s    schedule
		want error
	}{
		{"tape", schedule{tape: &memory{Timeline: tl, err: broken, fail: tl.Meta.Duration / 2}}, broken},
		{"emit", schedule{tape: &memory{Timeline: tl}, emit: func(*Entry) error { return io.ErrShortWrite }}, io.ErrShortWrite},
		{"pace", schedule{tape: &memory{Timeline: tl}, pace: func(time.Duration) error { return errStopped }}, errStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.to, c.s.dirs = tl.Meta.Duration, indexOf(tl.Meta.Directions())
			if c.s.emit == nil {
				c.s.emit = func(*Entry) error { return nil }
			}
			if err := c.s.run(); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}

package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

// cut is what ticks make of a schedule: a step is told again at each multiple of
// its direction's tick.
func cut(entries []Entry, ticks []time.Duration, from, window time.Duration, end time.Duration) []Entry {
	var out []Entry
	next := make(map[int]time.Duration) // when a direction's next step is
	for i, e := range slices.Backward(entries) {
		until, ok := next[e.Dir]
		if !ok {
			until = end
		}
		next[e.Dir] = e.At
		tick := ticks[e.Dir]
		if tick == 0 {
			out = append(out, entries[i])
			continue
		}
		for at := e.At; at < until; {
			part := e
			part.At = at
			if at > e.At {
				part.Loop, part.Tape = int(at/window), from+at%window
			}
			at = min((at/tick+1)*tick, until)
			part.Hold = at - part.At
			out = append(out, part)
		}
	}
	return byInstant(out)
}

func byInstant(entries []Entry) []Entry {
	slices.SortStableFunc(entries, func(a, b Entry) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return a.Dir - b.Dir
	})
	return entries
}

// A direction with ticks has its steps cut at them, through stretches without a
// change and from one round to the next; the others stay as they are.
func TestScheduleTicks(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		tl := randomTape(r)
		from, to := time.Duration(0), tl.Meta.Duration
		if seed%2 == 1 {
			from = time.Duration(r.Int64N(int64(to))).Truncate(ms)
			to = from + ms + time.Duration(r.Int64N(int64(to-from))).Truncate(ms)
			to = min(to, tl.Meta.Duration)
		}
		times := 1 + int(seed%3)
		dirs := tl.Meta.Directions()
		ticks := make([]time.Duration, len(dirs))
		for i := range ticks {
			ticks[i] = []time.Duration{0, ms, 5 * ms, 7 * ms}[r.IntN(4)]
		}
		ticks[r.IntN(len(ticks))] = 5 * ms
		var got []Entry
		last := time.Duration(0)
		s := &schedule{tape: &memory{Timeline: tl}, dirs: indexOf(dirs), from: from, to: to, times: times, ticks: ticks}
		s.emit = func(e *Entry) error {
			if e.At < last {
				t.Fatalf("seed %d: %v comes after %v", seed, e.At, last)
			}
			last = e.At
			got = append(got, *e)
			return nil
		}
		reached := time.Duration(-1)
		s.pace = func(at time.Duration) error {
			if at < reached {
				t.Fatalf("seed %d: paced back from %v to %v", seed, reached, at)
			}
			reached = at
			return nil
		}
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		want := cut(modelEntries(tl, from, to, times, false), ticks, from, to-from, time.Duration(times)*(to-from))
		if got = byInstant(got); !slices.Equal(got, want) {
			t.Fatalf("seed %d, %v to %v, %d times, ticks %v (-got +want):\n%s", seed, from, to, times, ticks, cmp.Diff(got, want))
		}
	}
}

// A step of hours is cut as it is reached: what is read ahead stays bounded.
func TestScheduleTicksPaced(t *testing.T) {
	tl := constant()
	tl.Meta.Duration = 100 * time.Hour
	n := 0
	s := &schedule{tape: &memory{Timeline: tl}, dirs: map[trace.LinkDir]int{{Link: "a", Dir: trace.Up}: 0}, to: tl.Meta.Duration, ticks: []time.Duration{5 * ms}}
	s.emit = func(e *Entry) error {
		if want := time.Duration(n) * 5 * ms; e.At != want || e.Hold != 5*ms || e.Tape != want {
			return fmt.Errorf("entry %d: %+v", n, *e)
		}
		n++
		return nil
	}
	s.pace = func(at time.Duration) error {
		if len(s.pending) > int(horizon/(5*ms))+1 {
			return fmt.Errorf("%d entries wait at %v", len(s.pending), at)
		}
		if at > time.Minute {
			return errStopped
		}
		return nil
	}
	if err := s.run(); err != errStopped {
		t.Fatal(err)
	}
	if n < 11999 || n > 12001 {
		t.Errorf("%d entries in a minute", n)
	}
}

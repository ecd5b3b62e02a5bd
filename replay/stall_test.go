package replay

import (
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// stalling is a tape whose disk stands still once, before the steps from an
// instant on are read.
type stalling struct {
	*memory
	at, stall time.Duration
	done      bool
}

func (s *stalling) Read(steps []trace.Step) (int, error) {
	if !s.done && s.next < len(s.Steps) && s.Steps[s.next].At >= s.at {
		s.done = true
		time.Sleep(s.stall) // of the bubble
	}
	return s.memory.Read(steps)
}

// A disk that stands still for less than what is read ahead makes no step late;
// a longer stall is counted and shown, and later steps are on time again.
func TestPlayDiskStalls(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Minute, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
	for i := range 6000 {
		tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * 10 * ms, Link: "a", Dir: trace.Up,
			State: trace.State{Rate: trace.BitRate(i+1) * trace.Kbit, Carrier: true}})
	}
	for _, c := range []struct {
		stall time.Duration
		late  time.Duration // of the latest step, at least
	}{
		{0, 0},
		{2 * time.Second, 0},
		{ahead - horizon - nap, 0},
		{10 * time.Second, 10*time.Second - ahead - nap},
	} {
		inBubble(t, func(t *testing.T, clock bubbleClock) {
			links := newFakeLinks(aUp)
			p := mustNew(t, openTape(t, tl), links, Options{})
			p.sched.tape = &stalling{memory: &memory{Timeline: tl}, at: 20 * time.Second, stall: c.stall}
			sum, err := p.Run(t.Context(), clock, nil)
			if err != nil {
				t.Fatal(err)
			}
			if sum.Steps != 6000 || sum.Stopped {
				t.Errorf("stall of %v: got %+v", c.stall, sum)
			}
			late := sum.Lateness.Max
			if late < c.late || late > c.late+horizon+2*nap || c.late == 0 && late != 0 {
				t.Errorf("stall of %v: steps were %v late, want %v", c.stall, late, c.late)
			}
			warned := strings.Contains(strings.Join(sum.Warnings, "\n"), "the tape was read too slowly")
			if (sum.Starved > 0) != (c.late > 0) || warned != (c.late > 0) || (sum.Missed > 0) != (c.late > 0) {
				t.Errorf("stall of %v: starved %d times, missed %d, warnings %q", c.stall, sum.Starved, sum.Missed, sum.Warnings)
			}
			want := max(ahead-horizon-c.stall, 0)
			if got := sum.LookAhead; got > want || got < want-2*nap {
				t.Errorf("stall of %v: the look-ahead fell to %v, want %v", c.stall, got, want)
			}
			// The last steps are on time, whatever was before.
			calls := links.endpoints[aUp].calls
			if n := len(calls); calls[n-2].At != 59990*ms {
				t.Errorf("stall of %v: the last step is %+v", c.stall, calls[n-2])
			}
		})
	}
}

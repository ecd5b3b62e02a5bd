package synth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"linktape/trace"
)

// batchSteps is how many steps are written at once.
const batchSteps = 4096

// MaxTimeline is how many steps [Scenario.Timeline] holds in memory.
const MaxTimeline = 1 << 20

// Synthesize makes the timeline's steps in canonical order ([trace.Compare])
// and passes them to write in batches. A batch is valid until write returns and
// must not be kept. Memory does not grow with the duration. progress, which may
// be nil, is told the fraction that is done after each batch.
//
// The error is the context's, or that of write.
func (sc *Scenario) Synthesize(ctx context.Context, write func([]trace.Step) error, progress func(fraction float64)) error {
	running := make([]runner, len(sc.directions))
	for i, d := range sc.directions {
		running[i] = newRunner(d, sc.seed, sc.step)
	}
	batch := make([]trace.Step, 0, batchSteps)
	flush := func(t time.Duration) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := write(batch); err != nil {
				return err
			}
		}
		batch = batch[:0]
		if progress != nil {
			progress(float64(t) / float64(sc.duration))
		}
		return nil
	}
	sinceFlush := 0 // advances, also those that change nothing
	for t := time.Duration(0); t < sc.duration; {
		next := never
		for i := range running {
			r := &running[i]
			if r.next == t {
				if r.advance(t) {
					batch = append(batch, trace.Step{At: t, Link: r.Link, Dir: r.Dir, State: r.state})
					if len(batch) == batchSteps {
						if err := flush(t); err != nil {
							return err
						}
						sinceFlush = 0
					}
				}
				sinceFlush++
			}
			next = min(next, r.next)
		}
		if sinceFlush > 16*batchSteps {
			if err := ctx.Err(); err != nil {
				return err
			}
			sinceFlush = 0
		}
		t = next
	}
	return flush(sc.duration)
}

// runner is a direction at work.
type runner struct {
	trace.LinkDir
	processes []process
	due       []time.Duration // by process: its next instant
	next      time.Duration   // the earliest of them
	state     trace.State
	last      trace.State // the state of the last step
	started   bool
}

func newRunner(d direction, seed uint64, step time.Duration) runner {
	r := runner{LinkDir: d.LinkDir, due: make([]time.Duration, len(d.models))}
	r.state.Carrier = true
	for _, m := range d.models {
		s := newStream(seed, d.Link, d.Dir.String(), m.name)
		r.processes = append(r.processes, m.start(s, step))
	}
	return r
}

// advance brings the state to instant t and reports whether it is a new one.
func (r *runner) advance(t time.Duration) bool {
	next := never
	for i, due := range r.due {
		if due == t {
			due = r.processes[i].advance(t, &r.state)
			r.due[i] = due
		}
		next = min(next, due)
	}
	r.next = next
	if r.started && r.state == r.last {
		return false
	}
	r.started, r.last = true, r.state
	return true
}

// Timeline makes the whole timeline in memory. Above [MaxTimeline] steps it is
// an error: stream those with [Scenario.Synthesize].
func (sc *Scenario) Timeline() (*trace.Timeline, error) {
	out := &trace.Timeline{Meta: sc.Meta()}
	err := sc.Synthesize(context.Background(), func(steps []trace.Step) error {
		if len(out.Steps)+len(steps) > MaxTimeline {
			return fmt.Errorf("synthesize %s: more than %d steps: write the timeline to a file instead of holding it in memory", sc.name, MaxTimeline)
		}
		out.Steps = append(out.Steps, steps...)
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	out.Steps = slices.Clip(out.Steps)
	return out, nil
}

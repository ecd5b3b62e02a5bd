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
	run := newRun(sc)
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
		next := run.advanceLayers(t)
		for b, due := range run.due {
			if due == t {
				due = never
				for i := b * block; i < min((b+1)*block, len(run.runners)); i++ {
					r := &run.runners[i]
					if r.next == t {
						if r.advance(t) {
							batch = append(batch, trace.Step{At: t, Link: r.Link, Dir: r.Dir, State: r.last})
							if len(batch) == batchSteps {
								if err := flush(t); err != nil {
									return err
								}
								sinceFlush = 0
							}
						}
						sinceFlush++
					}
					due = min(due, r.next)
				}
				run.due[b] = due
			}
			next = min(next, due)
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

// run is a scenario at work. Where many links have instants of their own, most of
// them have nothing to do at any one: what is due when is also kept for blocks of
// runners and of layers, in their canonical order.
type run struct {
	*Scenario
	layers    []runLayer
	runners   []runner
	layersDue []time.Duration // by block of layers: the earliest next
	due       []time.Duration // by block of runners
}

// block is how many share an instant in run.due: about the root of the number of
// directions in a large scenario.
const block = 16

func blocks(n int) []time.Duration { return make([]time.Duration, (n+block-1)/block) }

type runLayer struct {
	running
	next    time.Duration
	runners []int // those that it concerns
}

func newRun(sc *Scenario) *run {
	r := &run{Scenario: sc}
	noises := make(map[quantity]map[trace.LinkDir]*noise)
	for i := range sc.correlations {
		c := &sc.correlations[i]
		set := newNoiseSet(c, sc.seed)
		if noises[c.q] == nil {
			noises[c.q] = make(map[trace.LinkDir]*noise)
		}
		for j, ld := range c.members {
			noises[c.q][ld] = &noise{set, j}
		}
	}
	for _, d := range sc.directions {
		e := env{LinkDir: d.LinkDir, seed: sc.seed, step: sc.step}
		x := runner{LinkDir: d.LinkDir, base: startGroup(d.models, e, noises)}
		x.base.state.Carrier = true
		for _, g := range d.regimes {
			x.regimes = append(x.regimes, startGroup(g.models, e, noises))
		}
		r.runners = append(r.runners, x)
	}
	for _, l := range sc.layers {
		started := runLayer{running: l.start(r)}
		chain, _ := started.running.(*runningRegimes)
		for i := range r.runners {
			x := &r.runners[i]
			if !l.concerns(x.LinkDir) {
				continue
			}
			started.runners = append(started.runners, i)
			if chain != nil {
				x.chain = chain
			} else {
				x.effects = append(x.effects, started.running)
			}
		}
		r.layers = append(r.layers, started)
	}
	r.layersDue, r.due = blocks(len(r.layers)), blocks(len(r.runners))
	return r
}

// advanceLayers brings the layers to instant t, makes the directions that they
// concern due, and returns when a layer is due next.
func (r *run) advanceLayers(t time.Duration) time.Duration {
	next := never
	for b, due := range r.layersDue {
		if due == t {
			due = never
			for i := b * block; i < min((b+1)*block, len(r.layers)); i++ {
				l := &r.layers[i]
				if l.next == t {
					l.next = l.advance(t)
					for _, k := range l.runners {
						r.runners[k].next, r.due[k/block] = t, t
					}
				}
				due = min(due, l.next)
			}
			r.layersDue[b] = due
		}
		next = min(next, due)
	}
	return next
}

// group is a set of processes that run together, and the state that they drive.
type group struct {
	processes  []process
	quantities []quantity
	due        []time.Duration // by process: its next instant
	state      trace.State
}

func startGroup(models []namedModel, e env, noises map[quantity]map[trace.LinkDir]*noise) group {
	g := group{due: make([]time.Duration, len(models))}
	for _, m := range models {
		e.noise = noises[m.q][e.LinkDir]
		g.processes = append(g.processes, m.start(&e, m.name))
		g.quantities = append(g.quantities, m.q)
	}
	return g
}

// advance brings the processes to instant t and returns the next one.
func (g *group) advance(t time.Duration) time.Duration {
	next := never
	for i, due := range g.due {
		if due == t {
			due = g.processes[i].advance(t, &g.state)
			g.due[i] = due
		}
		next = min(next, due)
	}
	return next
}

// runner is a direction at work.
type runner struct {
	trace.LinkDir
	base    group
	regimes []group         // by regime: what it has in place of base
	chain   *runningRegimes // nil: none
	effects []running       // of layers, in the order in which they apply
	next    time.Duration
	last    trace.State // the state of the last step
	started bool
}

// advance brings the state to instant t and reports whether it is a new one.
func (r *runner) advance(t time.Duration) bool {
	r.next = r.base.advance(t)
	for i := range r.regimes {
		r.next = min(r.next, r.regimes[i].advance(t))
	}
	if r.chain == nil && r.effects == nil {
		if r.started && r.base.state == r.last {
			return false
		}
		r.started, r.last = true, r.base.state
		return true
	}
	state := r.base.state
	if r.chain != nil {
		active := &r.regimes[r.chain.active]
		for _, q := range active.quantities {
			q.copy(&state, &active.state)
		}
		if state.Label != labelBad {
			state.Label = r.chain.names[r.chain.active]
		}
	}
	for _, e := range r.effects {
		e.apply(r.LinkDir, &state)
	}
	if r.started && state == r.last {
		return false
	}
	r.started, r.last = true, state
	return true
}

// redraw puts the processes of the rate at another deviate.
func (r *runner) redraw(z float64) {
	r.base.redraw(z)
	for i := range r.regimes {
		r.regimes[i].redraw(z)
	}
}

func (g *group) redraw(z float64) {
	for i, q := range g.quantities {
		if q == rate {
			redraw(g.processes[i], z)
		}
	}
}

// redraw looks for the Ornstein–Uhlenbeck processes in what drives a quantity.
func redraw(p any, z float64) {
	switch p := p.(type) {
	case *drivenProcess:
		redraw(p.scalar, z)
	case *combinedProcess:
		for _, term := range p.running {
			redraw(term, z)
		}
	case *ouProcess:
		p.redraw(z)
	}
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

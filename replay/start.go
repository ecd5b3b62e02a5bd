package replay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Event is what a replay waited for.
type Event struct {
	What string        // in a word or two, for the summary
	Ago  time.Duration // how long it was past when [Trigger.Wait] returned, as far as known
}

// Trigger is what a replay waits for. Everything is ready then: the tape's
// first instant is that of the event, for all links, and the first steps are
// late by the time that it took to be seen.
type Trigger interface {
	// Wait is called once, on the thread of the replay's loop. It returns when
	// the event has come, or with the cause of ctx when that has ended.
	Wait(ctx context.Context) (Event, error)
}

// readier is a trigger that has to be prepared before anyone is told that the
// replay waits: what comes from then on must not be missed.
type readier interface{ Ready() error }

// TriggerFunc is a function that is a [Trigger].
type TriggerFunc func(ctx context.Context) (Event, error)

// Wait calls the function.
func (f TriggerFunc) Wait(ctx context.Context) (Event, error) { return f(ctx) }

// lead is the time from the decision to start until the epoch.
const lead = 10 * time.Millisecond

// joinLead is what a replay that comes too late for its instant needs to read
// the tape at the place where it joins.
const joinLead = 250 * time.Millisecond

// translation is when before its instant a wall clock's time is translated to
// the monotonic clock: whatever was done to the wall clock until then counts.
const translation = time.Second

// checkStart finds faults of the options that say how a replay starts and how
// long it plays.
func (o *Options) checkStart() error {
	switch {
	case !o.At.IsZero() && o.Trigger != nil:
		return errors.New("start at an instant and at an event: one of them")
	case o.Loop && o.Times != 0:
		return errors.New("play over and over, and a number of times: one of them")
	case o.Times < 0:
		return fmt.Errorf("play %d times: at least once", o.Times)
	case o.Speed != 0 && !(o.Speed >= MinSpeed && o.Speed <= MaxSpeed):
		return fmt.Errorf("speed %v: outside %v to %v", o.Speed, MinSpeed, MaxSpeed)
	}
	return nil
}

// Bounds of [Options.Speed].
const (
	MinSpeed = 0.001
	MaxSpeed = 1000
)

// join leaves out what is over when the replay can begin, where its instant
// has passed: the tape is not shifted.
func (p *Player) join(clock Clock) error {
	if p.opts.At.IsZero() {
		return nil
	}
	wall, _ := bothClocks(clock)
	late := wall.Sub(p.opts.At)
	if late <= 0 {
		return nil
	}
	skip := late + joinLead
	if length := p.sched.length(); length > 0 && skip >= length {
		return fmt.Errorf("start at %v: that was %v ago, and the replay lasts %v: give it another instant",
			p.opts.At.Format(time.RFC3339Nano), late.Round(time.Millisecond), length)
	}
	p.sched.skip, p.sum.Joined = skip, skip
	return nil
}

// ready prepares the start and tells that the replay waits for it.
func (p *Player) ready() error {
	if p.opts.Trigger == nil && p.opts.At.IsZero() {
		return nil
	}
	if p.opts.Trigger != nil && p.opts.Arm {
		if err := p.arm(); err != nil {
			return err
		}
	}
	if t, ok := p.opts.Trigger.(readier); ok {
		if err := t.Ready(); err != nil {
			return err
		}
	}
	if p.opts.Waiting != nil {
		p.opts.Waiting()
	}
	return nil
}

// begin waits for what begins the replay, and says where on the clock the
// window's first instant is. Both clocks are read once for it.
func (p *Player) begin(ctx context.Context, clock Clock) (epoch time.Duration, wall time.Time, err error) {
	switch {
	case p.opts.Trigger != nil:
		e, err := p.opts.Trigger.Wait(ctx)
		if err != nil {
			return 0, wall, err
		}
		wall, now := bothClocks(clock)
		p.sum.Start, p.sum.Detected = e.What, e.Ago
		return now - e.Ago, wall.Add(-e.Ago), nil
	case !p.opts.At.IsZero():
		p.sum.Start = "at"
		for {
			wall, now := bothClocks(clock)
			left := p.opts.At.Sub(wall)
			if left <= translation {
				return now + left, p.opts.At, nil
			}
			clock.SleepUntil(now + min(left-translation, nap))
			if ctx.Err() != nil {
				return 0, wall, context.Cause(ctx)
			}
		}
	}
	p.sum.Start = "now"
	wall, now := bothClocks(clock)
	return now + lead, wall.Add(lead), nil
}

// arm gives every direction its first state before the replay begins, so that
// the packet that begins it meets that already.
func (p *Player) arm() error {
	done := make([]bool, len(p.dirs))
	for e := range p.loop.entries.all() {
		if done[e.Dir] {
			continue
		}
		done[e.Dir] = true
		if _, err := p.loop.endpoints[e.Dir].Apply(0, 0, &e.State); err != nil {
			return fmt.Errorf("first state of the tape: %w", err)
		}
	}
	return nil
}

// disarm gives the links back what they had, when a replay that was armed did
// not begin.
func (p *Player) disarm() error {
	for i, e := range p.loop.endpoints {
		if p.opts.Arm {
			if _, err := e.Apply(0, 0, &p.before[i]); err != nil {
				return err
			}
		}
	}
	return p.links.EndReplay(nil)
}

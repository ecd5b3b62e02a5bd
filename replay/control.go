package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"linktape/trace"
	"linktape/trace/edit"
)

// Verb is what can be done by hand to a replay that plays.
type Verb string

// The verbs. What is the case already is no error and changes nothing: a pause
// of a replay that is paused, a restore of a link that is not cut.
const (
	// Pause freezes the tape's time. The states in force stay: a direction that was
	// granted a step's bytes is told the step's rate until further notice.
	Pause Verb = "pause"
	// Resume lets the tape's time go on. Every later step keeps its distance.
	Resume Verb = "resume"
	// StepOn applies the steps of the next instant at once, with the tape's time
	// there, and stays paused; a replay that plays is paused first.
	StepOn Verb = "step"
	// Skip moves the tape's time, forwards or back. Until the tape has been read
	// there, the states in force stay; then every direction gets the state of that
	// instant, complete, and the tape goes on from there, or stays paused there.
	Skip Verb = "skip"
	// Cut puts a link into an outage of a mode. The tape goes on beneath: what the
	// mode does not touch follows it.
	Cut Verb = "cut"
	// RestoreLink ends a cut: the link gets the tape's state of that instant.
	RestoreLink Verb = "restore"
	// StopNow ends the replay, as the end of Run's context does.
	StopNow Verb = "stop"
)

// Command is what is to be done by hand.
type Command struct {
	Verb Verb
	By   time.Duration  // Skip: from where the tape is, on the tape; 0: see To and Next
	To   *time.Duration // Skip: to an instant of the tape, in the pass that plays; nil: not this
	Next bool           // Skip: to the next change of label or outage of any direction
	Link string         // Cut, RestoreLink
	Mode edit.Mode      // Cut
	From string         // who says so, for the log: "key", "http" and the like
}

// Act is what a command did.
type Act struct {
	Verb    Verb          `json:"verb"`
	Changed bool          `json:"changed"`          // false: it was so already
	At      time.Duration `json:"at_ns"`            // since the epoch, when it was done
	Done    time.Duration `json:"done_ns"`          // when the kernel had been told
	Before  time.Duration `json:"tape_before_ns"`   // the tape's instant before it
	Tape    time.Duration `json:"tape_ns"`          // and after it
	Loop    int           `json:"loop"`             // how often the window has been played before, after it
	Link    string        `json:"link,omitempty"`   // of Cut and RestoreLink
	Mode    string        `json:"mode,omitempty"`   // of Cut
	Source  string        `json:"source,omitempty"` // who said so
}

// Errors of commands.
var (
	// ErrNotBegun: the replay waits for its start, or for Run.
	ErrNotBegun = errors.New("the replay has not begun")
	// ErrEnded: the replay is over.
	ErrEnded = errors.New("the replay has ended")
	// ErrUnknownLink: the tape has no such link.
	ErrUnknownLink = errors.New("no such link on the tape")
	// ErrRefused: the command asks for what is not there.
	ErrRefused = errors.New("refused")
)

// bell is what wakes the loop: not 0 while a command waits.
type bell = atomic.Uint32

// wakeable is a clock on which a sleep can be ended early.
type wakeable interface {
	// SleepUntilRung is SleepUntil that also returns, soon, when the bell is not 0.
	SleepUntilRung(t time.Duration, b *bell)
	// Ring ends such sleeps; the bell has been set.
	Ring(b *bell)
}

// order is a command on its way to the loop.
type order struct {
	Command
	dirs   []int         // of the link
	target time.Duration // of Skip, of the replay's time
	act    Act
	reply  chan error // has room
}

// control is between those who give commands and the loop.
type control struct {
	rung  bell
	order atomic.Pointer[order]

	shift  atomic.Int64 // by how much the tape's time lags behind the time since the epoch, ns
	frozen atomic.Int64 // the replay's position while it stands still, plus 1; 0: it goes on
	paused atomic.Bool
	reach  atomic.Int64 // the tape is to be read from there on as if the replay had come that far
	cuts   []atomic.Int32

	// wanted is the number of the reading that the loop waits for, from restart on;
	// reading is that of the entries which the producer pushes.
	wanted, reading atomic.Uint32
	restart         atomic.Int64
	poke            chan struct{} // wakes the producer; has room for one

	turn  sync.Mutex // of those who give commands: one at a time
	begun chan struct{}
	ended chan struct{}
	end   func() // closes ended

	mu      sync.Mutex
	stop    func() // ends Run; nil before it
	stopped bool
	acts    []Act
	changed chan struct{} // closed and replaced at each act
	dropped int64         // acts that were not kept
}

// mostActs are kept; a replay that is driven faster has better means.
const mostActs = 1 << 16

func (c *control) init(dirs int) {
	c.cuts = make([]atomic.Int32, dirs)
	c.begun, c.ended, c.changed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	c.end = sync.OnceFunc(func() { close(c.ended) })
}

// run says how Run is ended.
func (c *control) run(stop func()) {
	c.poke = make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop = stop; c.stopped {
		stop()
	}
}

// first reports whether a stop is the first one.
func (c *control) first() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.stopped
	c.stopped = true
	return !was
}

// halt ends Run, or has ended it before it begins.
func (c *control) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
}

// settle waits until the command that is under way has been listed; no other one is
// taken.
func (c *control) settle() {
	c.end()
	c.turn.Lock()
	defer c.turn.Unlock()
}

func (c *control) wakeProducer() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// ring wakes the loop.
func (l *loop) ring() {
	l.ctl.rung.Store(1)
	if w, ok := l.clock.(wakeable); ok {
		w.Ring(&l.ctl.rung)
	}
}

// halt stops the loop, at once where its clock can be woken.
func (l *loop) halt() {
	l.stop.Store(true)
	if l.clock != nil {
		l.ring()
	}
	l.ctl.wakeProducer()
}

// Do carries a command out, and returns when the kernel has been told. Commands of
// several goroutines are carried out one after the other.
//
// Errors: [ErrNotBegun] and [ErrEnded]; [ErrUnknownLink]; [ErrRefused] of a skip to
// where the tape has nothing, and of a step after the last one;
// [netsetup.ErrNotSupported] of a cut whose mode the link cannot do; that of ctx, and
// the command may then be carried out all the same.
func (p *Player) Do(ctx context.Context, c Command) (Act, error) {
	ctl := &p.loop.ctl
	ctl.turn.Lock()
	defer ctl.turn.Unlock()
	fail := func(err error) (Act, error) {
		return Act{}, fmt.Errorf("%s: %w", c.Verb, err)
	}
	select {
	case <-ctl.ended:
		return fail(ErrEnded)
	default:
	}
	if c.Verb == StopNow { // also of one that waits
		act := p.actNow(c)
		if act.Changed = ctl.first(); act.Changed {
			p.keep(act)
			ctl.halt()
		}
		return act, nil
	}
	select {
	case <-ctl.begun:
	default:
		return fail(ErrNotBegun)
	}
	o := &order{Command: c, reply: make(chan error, 1)}
	switch c.Verb {
	case Pause, Resume, StepOn, Skip:
	case Cut, RestoreLink:
		for i, ld := range p.dirs {
			if ld.Link == c.Link {
				o.dirs = append(o.dirs, i)
			}
		}
		if len(o.dirs) == 0 {
			return fail(fmt.Errorf("%q: %w", c.Link, ErrUnknownLink))
		}
	default:
		return fail(fmt.Errorf("%w: there is no such command", ErrRefused))
	}
	if c.Verb == Skip {
		var err error
		if o.target, err = p.target(&c); err != nil {
			return fail(err)
		}
	}
	before := p.actNow(c)
	ctl.order.Store(o)
	p.loop.ring()
	var err error
	select {
	case err = <-o.reply:
	case <-ctl.ended:
		select {
		case err = <-o.reply:
		default:
			err = ErrEnded
		}
	case <-ctx.Done():
		if ctl.order.CompareAndSwap(o, nil) {
			return fail(fmt.Errorf("not done: %w", context.Cause(ctx)))
		}
		return fail(fmt.Errorf("whether it was done is not known: %w", context.Cause(ctx)))
	}
	if err != nil {
		return fail(err)
	}
	act := o.act
	act.Verb, act.Source, act.Before = c.Verb, c.From, before.Tape
	switch c.Verb {
	case Cut:
		act.Mode = c.Mode.String()
		act.Link = c.Link
	case RestoreLink:
		act.Link = c.Link
	}
	if act.Changed {
		p.keep(act)
	}
	return act, nil
}

// actNow is an act at this instant.
func (p *Player) actNow(c Command) Act {
	a := Act{Verb: c.Verb, Source: c.From}
	if p.epoch.Load() == 0 {
		a.Before, a.Tape = p.opts.From, p.opts.From
		return a
	}
	a.At = p.elapsed()
	a.Done = a.At
	a.Tape, a.Loop = p.tapeAt(p.Position())
	a.Before = a.Tape
	return a
}

// keep lists an act.
func (p *Player) keep(a Act) {
	c := &p.loop.ctl
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.acts) == mostActs {
		c.dropped++
	} else {
		c.acts = append(c.acts, a)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Acts returns what has been done by hand, from the n-th act on, and a channel that
// is closed when there is more. What changed nothing is left out.
func (p *Player) Acts(n int) ([]Act, <-chan struct{}) {
	c := &p.loop.ctl
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Act(nil), c.acts[min(n, len(c.acts)):]...), c.changed
}

// target is where a skip leads, of the replay's time.
func (p *Player) target(c *Command) (time.Duration, error) {
	pos := p.Position()
	s := &p.sched
	ways := 0
	for _, w := range []bool{c.By != 0, c.To != nil, c.Next} {
		if w {
			ways++
		}
	}
	if ways != 1 {
		return 0, fmt.Errorf("%w: say by how much, or to where, or to the next event", ErrRefused)
	}
	var to time.Duration
	switch {
	case c.Next:
		e := p.NextEvent()
		if e == nil {
			return 0, fmt.Errorf("%w: no change of label and no outage is known to come", ErrRefused)
		}
		to = pos + e.In
	case c.To != nil:
		if *c.To < s.from || *c.To >= s.to {
			return 0, fmt.Errorf("%w: %v is outside the window, which is from %v to %v of the tape", ErrRefused, *c.To, s.from, s.to)
		}
		to = pos/s.span()*s.span() + s.scaled(*c.To-s.from)
	default:
		to = max(pos+s.scaled(c.By), 0)
	}
	if length := s.length(); length > 0 && to >= length {
		return 0, fmt.Errorf("%w: the replay would be over: %v are left", ErrRefused, s.unscaled(length-pos).Round(time.Millisecond))
	}
	return to, nil
}

// tapeAt is the instant of the tape at a position, and how often the window has been
// played before.
func (p *Player) tapeAt(pos time.Duration) (tape time.Duration, loop int) {
	s := &p.sched
	if length := s.length(); length > 0 && pos >= length {
		return s.to, int(length/s.span()) - 1
	}
	return s.from + min(s.unscaled(pos%s.span()), s.to-s.from), int(pos / s.span())
}

// Pause, Resume and the like are [Player.Do] of a test suite in Go.

// Pause freezes the tape's time: [Pause].
func (p *Player) Pause() (Act, error) { return p.do(Command{Verb: Pause}) }

// Resume lets it go on: [Resume].
func (p *Player) Resume() (Act, error) { return p.do(Command{Verb: Resume}) }

// Step applies the steps of the next instant: [StepOn].
func (p *Player) Step() (Act, error) { return p.do(Command{Verb: StepOn}) }

// SkipBy moves the tape's time, forwards or back: [Skip].
func (p *Player) SkipBy(d time.Duration) (Act, error) { return p.do(Command{Verb: Skip, By: d}) }

// SkipTo moves it to an instant of the tape: [Skip].
func (p *Player) SkipTo(tape time.Duration) (Act, error) {
	return p.do(Command{Verb: Skip, To: &tape})
}

// Cut puts a link into an outage: [Cut].
func (p *Player) Cut(link string, m edit.Mode) (Act, error) {
	return p.do(Command{Verb: Cut, Link: link, Mode: m})
}

// Restore ends a link's cut: [RestoreLink].
func (p *Player) Restore(link string) (Act, error) {
	return p.do(Command{Verb: RestoreLink, Link: link})
}

// Stop ends the replay: [StopNow].
func (p *Player) Stop() (Act, error) { return p.do(Command{Verb: StopNow}) }

func (p *Player) do(c Command) (Act, error) {
	c.From = "api"
	return p.Do(context.Background(), c)
}

// Begun is closed when the replay's epoch is set: commands are taken from then on.
func (p *Player) Begun() <-chan struct{} { return p.loop.ctl.begun }

// Ended is closed when the replay is over and takes no commands any more.
func (p *Player) Ended() <-chan struct{} { return p.loop.ctl.ended }

// cutOf is the mode in which a direction's link is cut.
func (c *control) cutOf(dir int) (m edit.Mode, cut bool) {
	n := c.cuts[dir].Load()
	return edit.Mode(max(n-1, 0)), n > 0
}

// supportsCut says whether a direction can be put into an outage.
func supportsCut(e Endpoint, ld trace.LinkDir, m edit.Mode) error {
	s := trace.State{Rate: trace.Mbit, Carrier: true}
	m.Apply(ld.Dir, &s)
	if err := e.Supports(&s); err != nil {
		return fmt.Errorf("%s on %v: %w; the modes %v and %v need no path", m, ld, err, edit.Stall, edit.CarrierDown)
	}
	return nil
}

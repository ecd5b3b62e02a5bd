package replay

import (
	"fmt"
	"time"

	"linktape/trace"
	"linktape/trace/edit"
)

// byHand is what the loop itself knows of commands. Only its thread touches it.
type byHand struct {
	shift  time.Duration // of the tape's time behind the time since the epoch
	held   bool          // the tape's time stands still: paused, or an order is under way
	paused bool
	pos    time.Duration // of the tape's time while it stands still
	order  *order        // is under way: a skip or a step that waits for the tape
	landed *order        // a skip whose states are due now

	cut   int           // directions that are cut
	under []inForce     // by direction: the tape's step in force
	over  []trace.State // by direction: what it is told in its place while it is cut
}

// inForce is the tape's step in force.
type inForce struct {
	Entry
	begun bool
	grant bool // it was told as one that holds for a time
}

// landing is the time from when a skip's states are there until they are due.
const landing = time.Millisecond

// looking is how often a loop that waits for the tape looks whether it is there.
const looking = time.Millisecond

func (h *byHand) init(dirs int) {
	h.under = make([]inForce, dirs)
	h.over = make([]trace.State, dirs)
}

// told is the state that a direction is told in place of the tape's.
func (l *loop) told(dir int, s *trace.State) *trace.State {
	mode, cut := l.ctl.cutOf(dir)
	if !cut {
		return s
	}
	l.hand.over[dir] = *s
	mode.Apply(l.dirs[dir].Dir, &l.hand.over[dir])
	return &l.hand.over[dir]
}

// now is the time since the epoch.
func (l *loop) now() time.Duration { return l.clock.Now() - l.epoch }

// positionAt is where the tape's time is at an instant since the epoch.
func (l *loop) positionAt(at time.Duration) time.Duration {
	if l.hand.held {
		return l.hand.pos
	}
	return max(at-l.hand.shift, 0)
}

// freeze stops the tape's time; thaw lets it go on from there at an instant since
// the epoch.
func (l *loop) freeze(pos time.Duration) {
	l.hand.held, l.hand.pos = true, max(pos, 0)
	l.ctl.frozen.Store(int64(l.hand.pos) + 1)
}

func (l *loop) thaw(at time.Duration) {
	l.hand.shift, l.hand.held = at-l.hand.pos, false
	l.ctl.shift.Store(int64(l.hand.shift))
	l.ctl.frozen.Store(0)
}

// attend does what there is to do by hand: it takes a command, or looks after the
// one that is under way, or, paused, waits for one. Nothing of a cut's link is
// prepared when it returns; ready is how many entries at the ring's front are.
func (l *loop) attend(ready int) error {
	h := &l.hand
	if h.order == nil {
		l.ctl.rung.Store(0)
		if o := l.ctl.order.Swap(nil); o != nil {
			return l.obey(o, ready)
		}
		if h.held {
			l.doze(l.clock.Now() + nap)
		}
		return nil
	}
	var err error
	var done bool
	if h.order.Verb == Skip {
		done, err = l.land()
	} else {
		done, err = l.stepOn()
	}
	if !done && err == nil {
		l.clock.SleepUntil(l.clock.Now() + looking)
	}
	return err
}

// doze sleeps until an instant, or until a command or the end comes, for which a
// clock that cannot be woken is looked up from every now and then.
func (l *loop) doze(t time.Duration) {
	if w, ok := l.clock.(wakeable); ok {
		w.SleepUntilRung(t, &l.ctl.rung)
		return
	}
	l.clock.SleepUntil(min(t, l.clock.Now()+nap))
}

// obey begins to carry an order out. An error is one that ends the replay.
func (l *loop) obey(o *order, ready int) error {
	h := &l.hand
	o.act.At = l.now()
	o.act.Before, _ = l.tapeAt(l.positionAt(o.act.At))
	switch o.Verb {
	case Pause:
		if h.paused {
			break
		}
		o.act.Changed = true
		return l.answer(o, l.hold(ready, o.act.At))
	case Resume:
		if !h.paused {
			break
		}
		o.act.Changed = true
		h.paused = false
		l.ctl.paused.Store(false)
		l.thaw(o.act.At)
		return l.answer(o, l.thawFar())
	case StepOn:
		if !h.paused {
			if err := l.hold(ready, o.act.At); err != nil {
				return l.answer(o, err)
			}
		}
		h.order = o
		return nil
	case Skip:
		l.cancel(ready)
		if !h.paused {
			l.freeze(l.positionAt(o.act.At))
			if err := l.tell(l.granted); err != nil {
				return l.answer(o, err)
			}
		}
		h.order = o
		l.freeze(o.target) // the tape is wanted from there on
		l.ctl.reach.Store(0)
		l.ctl.restart.Store(int64(o.target))
		l.ctl.wanted.Add(1)
		l.ctl.wakeProducer()
		return nil
	case Cut, RestoreLink:
		return l.cut(o, ready)
	}
	return l.answer(o, nil)
}

// answer ends an order. An error is one that ends the replay.
func (l *loop) answer(o *order, err error) error {
	o.act.Done = l.now()
	o.act.Tape, o.act.Loop = l.tapeAt(l.positionAt(o.act.At))
	o.reply <- err
	return err
}

// refuse ends an order that cannot be carried out; the replay goes on.
func (l *loop) refuse(o *order, err error) { o.reply <- err }

// hold pauses at an instant since the epoch.
func (l *loop) hold(ready int, at time.Duration) error {
	l.cancel(ready)
	l.hand.paused = true
	l.ctl.paused.Store(true)
	l.freeze(l.positionAt(at))
	return l.tell(l.granted)
}

// granted picks the directions that were told a step of a certain length, whose bytes
// are to become a rate, or what comes after it.
func (l *loop) granted(dir int) bool { return l.hand.under[dir].grant || l.far.ends[dir] != nil }

// cancel gives up what is prepared of the entries at the ring's front.
func (l *loop) cancel(ready int) {
	for e := range l.entries.all() {
		if ready == 0 {
			break
		}
		ready--
		l.staged[e.Dir].Cancel()
		l.prepared[e.Dir] = false
	}
}

// tell tells directions the tape's state in force, or what a cut makes of it, until
// further notice.
func (l *loop) tell(which func(dir int) bool) error {
	at := l.now()
	var dirs []int
	for dir := range l.endpoints {
		u := &l.hand.under[dir]
		if !u.begun || !which(dir) {
			continue
		}
		if err := l.staged[dir].Prepare(at, 0, l.told(dir, &u.State)); err != nil {
			return fmt.Errorf("by hand at %v of the tape: %w", u.Tape, err)
		}
		dirs = append(dirs, dir)
	}
	var rec Record
	for _, dir := range dirs {
		u := &l.hand.under[dir]
		sent := l.now()
		applied, err := l.staged[dir].Commit()
		if err != nil {
			return fmt.Errorf("by hand at %v of the tape: %w", u.Tape, err)
		}
		acked := l.now()
		if l.far.ends[dir] != nil {
			at, err := l.revise(dir, l.told(dir, &u.State))
			if err != nil {
				return fmt.Errorf("by hand at %v of the tape: %w", u.Tape, err)
			}
			acked = max(l.now(), at)
		}
		if !applied.Shared {
			rec.Sent, rec.Acked = sent, acked
		}
		rec.Entry, rec.Applied, rec.Hand = u.Entry, applied, true
		rec.At, rec.Hold, rec.State = at, 0, *l.told(dir, &u.State)
		u.grant = false
		l.note(&rec)
	}
	return nil
}

// cut cuts a link or ends its cut. Of what is prepared, only that of the link is
// touched.
func (l *loop) cut(o *order, ready int) error {
	var want int32 // as in control.cuts
	if o.Verb == Cut {
		want = int32(o.Mode) + 1
		for _, dir := range o.dirs {
			if !o.Mode.Concerns(l.dirs[dir].Dir) {
				continue
			}
			if err := supportsCut(l.endpoints[dir], l.dirs[dir], o.Mode); err != nil {
				l.refuse(o, err)
				return nil
			}
		}
	}
	mine := make(map[int]bool) // that are to be told something else
	for _, dir := range o.dirs {
		was := l.ctl.cuts[dir].Load()
		if was == want {
			continue
		}
		o.act.Changed = true
		l.hand.cut += sign(want) - sign(was)
		l.ctl.cuts[dir].Store(want)
		concerns := func(n int32) bool { return n > 0 && edit.Mode(n-1).Concerns(l.dirs[dir].Dir) }
		if concerns(was) || concerns(want) {
			mine[dir] = true
		}
	}
	if len(mine) == 0 {
		return l.answer(o, nil)
	}
	// What is prepared of a link goes out together, and is given up together.
	touched := make(map[int]bool)
	for dir := range mine {
		for other, ld := range l.dirs {
			touched[other] = touched[other] || ld.Link == l.dirs[dir].Link
		}
	}
	n := 0
	for e := range l.entries.all() {
		if n++; n > ready {
			break
		}
		if touched[e.Dir] {
			l.staged[e.Dir].Cancel()
		}
	}
	if err := l.tell(func(dir int) bool { return mine[dir] }); err != nil {
		return l.answer(o, err)
	}
	if !l.hand.held {
		if err := l.foreseeAnew(func(dir int) bool { return mine[dir] }); err != nil {
			return l.answer(o, err)
		}
	}
	n = 0
	for e := range l.entries.all() {
		if n++; n > ready {
			break
		}
		if !touched[e.Dir] {
			continue
		}
		if err := l.staged[e.Dir].Prepare(e.At+l.hand.shift, e.Hold, l.told(e.Dir, &e.State)); err != nil {
			return l.answer(o, fmt.Errorf("step at %v of the tape: %w", e.Tape, err))
		}
	}
	return l.answer(o, nil)
}

func sign(n int32) int { return min(int(n), 1) }

// land ends a skip when the tape has been read at its target.
func (l *loop) land() (done bool, err error) {
	o := l.hand.order
	want := l.ctl.wanted.Load()
	if l.ctl.reading.Load() != want {
		return false, nil
	}
	for e := l.entries.peek(); e != nil && e.reading != want; e = l.entries.peek() {
		l.entries.drop()
	}
	closed := l.entries.closed.Load()
	if !closed && time.Duration(l.covered.Load()) <= o.target {
		return false, nil
	}
	l.hand.order = nil
	if l.entries.peek() == nil { // the tape could not be read
		l.refuse(o, fmt.Errorf("%w: the tape has nothing there", ErrRefused))
		l.hand.paused = false
		l.ctl.paused.Store(false)
		l.thaw(l.now())
		return true, l.thawFar()
	}
	o.act.Changed = true
	o.act.At = l.now()
	if l.hand.paused {
		return true, l.answer(o, l.take(o.target))
	}
	l.thaw(o.act.At + landing)
	if err := l.thawFar(); err != nil {
		return true, err
	}
	o.act.At += landing
	l.hand.landed = o
	return true, nil
}

// take applies by hand every entry that is due by an instant of the tape's time.
func (l *loop) take(until time.Duration) error {
	mine := make(map[int]bool)
	for e := l.entries.peek(); e != nil && e.At <= until; e = l.entries.peek() {
		mine[e.Dir] = true
		l.hand.under[e.Dir] = inForce{Entry: *e, begun: true}
		l.entries.drop()
	}
	return l.tell(func(dir int) bool { return mine[dir] })
}

// stepOn ends a step when the tape has been read to the next instant.
func (l *loop) stepOn() (done bool, err error) {
	o := l.hand.order
	closed := l.entries.closed.Load()
	covered := time.Duration(l.covered.Load())
	e := l.entries.peek()
	switch {
	case e == nil && closed:
		l.hand.order = nil
		l.refuse(o, fmt.Errorf("%w: no step is left before the end of the window", ErrRefused))
		return true, nil
	case e == nil || !closed && covered <= e.At:
		l.ctl.reach.Store(int64(covered + horizon)) // the instant that the tape waits at
		l.ctl.wakeProducer()
		return false, nil
	}
	l.hand.order = nil
	o.act.Changed, o.act.At = true, l.now()
	l.freeze(max(e.At, l.hand.pos))
	return true, l.answer(o, l.take(e.At))
}

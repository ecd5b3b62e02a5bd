package replay

import (
	"errors"
	"fmt"
	"math"
	"time"

	"linktape/edt/bpf"
	"linktape/trace"
)

// foreseeing is an endpoint that is told its steps long before they are due, and on
// which they come into force of themselves: a [netsetup.ExactEndpoint]. Instants are
// since the epoch.
type foreseeing interface {
	Begin(epoch time.Duration) // on the clock
	Foresee(at time.Duration, s *trace.State) error
	Until(at time.Duration) error
	Pass(at time.Duration)
	Hold(from time.Duration) error
	Revise(s *trace.State) (at time.Duration, err error)

	Window() int // steps that it can be told ahead
	Queue() (q trace.Queue, mtu int)
	Beyond() (packets uint64, err error) // that came before their steps were known
}

// far is what the loop knows of endpoints that are told ahead.
type far struct {
	ends []foreseeing // by direction; nil: one that is told when it is due
	any  bool
	laid uint64 // number in the ring of the first entry that is not told yet
	over bool   // all of the tape is told

	ahead time.Duration // how far

	before uint64 // packets beyond the tape, before the replay
}

func (f *far) init(endpoints []Endpoint) {
	f.ends = make([]foreseeing, len(endpoints))
	for i, e := range endpoints {
		if x, ok := e.(foreseeing); ok {
			f.ends[i], f.any = x, true
		}
	}
}

// beginFar begins the tape on the endpoints that are told ahead.
func (l *loop) beginFar() (err error) {
	if l.far.before, err = l.far.beyond(); err != nil {
		return err
	}
	for _, x := range l.far.ends {
		if x != nil {
			x.Begin(l.epoch)
		}
	}
	return l.foresee()
}

// foresee tells ahead what has been read by now. While the tape stands still, what is in
// force goes on.
func (l *loop) foresee() error {
	f := &l.far
	if !f.any {
		return nil
	}
	now := l.now()
	covered := time.Duration(l.covered.Load()) // before what it covers is looked at
	ended := l.entries.closed.Load()
	for _, x := range f.ends {
		if x != nil {
			x.Pass(now)
		}
	}
	if l.hand.held {
		return l.untilFar(now + f.ahead)
	}
	f.laid = max(f.laid, l.entries.head.Load())
	for ; f.laid < l.entries.tail.Load(); f.laid++ {
		e := l.entries.at(f.laid)
		if f.ends[e.Dir] == nil || e.reading != l.ctl.reading.Load() {
			continue
		}
		switch err := f.ends[e.Dir].Foresee(e.At+l.hand.shift, l.told(e.Dir, &e.State)); {
		case errors.Is(err, bpf.ErrFull):
			return nil // until time has passed
		case err != nil:
			return err
		}
	}
	switch {
	case f.over:
	case covered != math.MaxInt64:
		return l.untilFar(covered + l.hand.shift)
	case !ended: // about to be told
	case l.end > 0: // 0: the tape could not be read
		end := l.end + l.hand.shift
		if now+f.ahead < end {
			return l.untilFar(now + f.ahead)
		}
		for _, x := range f.ends {
			if x == nil {
				continue
			}
			switch err := x.Hold(end); {
			case errors.Is(err, bpf.ErrFull):
				return nil
			case err != nil:
				return err
			}
		}
		f.over = true
	}
	return nil
}

// untilFar tells ahead that nothing else happens before an instant.
func (l *loop) untilFar(at time.Duration) error {
	for _, x := range l.far.ends {
		if x == nil {
			continue
		}
		if err := x.Until(at); err != nil && !errors.Is(err, bpf.ErrFull) {
			return err
		}
	}
	return nil
}

// revise tells an endpoint that is told ahead what it is to obey from now on, and
// nothing of what comes then. It returns when it is in force.
func (l *loop) revise(dir int, s *trace.State) (at time.Duration, err error) {
	l.far.over = false
	return l.far.ends[dir].Revise(s)
}

// foreseeAnew tells directions again what has been told ahead.
func (l *loop) foreseeAnew(which func(dir int) bool) error {
	f := &l.far
	f.laid = max(f.laid, l.entries.head.Load())
	for n := l.entries.head.Load(); n < f.laid; n++ {
		e := l.entries.at(n)
		if f.ends[e.Dir] == nil || !which(e.Dir) || e.reading != l.ctl.reading.Load() {
			continue
		}
		if err := f.ends[e.Dir].Foresee(e.At+l.hand.shift, l.told(e.Dir, &e.State)); err != nil {
			return err
		}
	}
	return nil
}

// thawFar lets the tape go on after it stood still.
func (l *loop) thawFar() error {
	if !l.far.any {
		return nil
	}
	l.far.laid = l.entries.head.Load()
	for dir, x := range l.far.ends {
		if u := &l.hand.under[dir]; x != nil && u.begun {
			if _, err := l.revise(dir, l.told(dir, &u.State)); err != nil {
				return err
			}
		}
	}
	return l.foresee()
}

// haltFar holds what is in force, where the loop has failed: nothing of what was told
// ahead is to happen.
func (l *loop) haltFar() error {
	var errs []error
	for dir, x := range l.far.ends {
		if u := &l.hand.under[dir]; x != nil && u.begun {
			at, err := x.Revise(&u.State)
			if err == nil {
				err = x.Hold(at)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// beyond adds up the packets that came before their steps were known.
func (f *far) beyond() (sum uint64, err error) {
	for _, x := range f.ends {
		if x == nil {
			continue
		}
		n, err := x.Beyond()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// foresight finds how far ahead the steps of a direction must be known: as long as a
// packet that finds the queue nearly full may wait.
type foresight struct {
	queue trace.Queue
	mtu   int

	at      time.Duration // of the last step
	rate    float64       // bit/s
	limit   float64       // bits
	served  float64       // bits
	steps   int
	waiting []wait

	head   []passage // of the tape, for who waits at its end when it is played again
	pieces int
	stride int // pieces from one passage to the next; 0: 1

	need time.Duration // at most a second too long, or where it is played again some more
	most int           // steps in that time
}

// passage is what a tape has served, in bits, and how many steps it has had, by an
// instant.
type passage struct {
	at     time.Duration
	served float64
	steps  int
}

// mostPassages is how many passages are kept: of longer tapes fewer.
const mostPassages = 4096

// wait is what a packet waits for, of those that come from an instant on.
type wait struct {
	from   time.Duration
	target float64 // bits
	step   int
}

// piece is the longest time whose packets are taken together.
const piece = time.Second

// add takes a direction's next step, at a time of the replay.
func (f *foresight) add(at time.Duration, s *trace.State) {
	f.until(at)
	f.steps++
	f.rate = float64(s.Capacity())
	switch {
	case f.queue.LimitTime > 0 && f.rate == 0 && f.limit > 0:
	case f.queue.LimitTime > 0:
		f.limit = max(f.rate*f.queue.LimitTime.Seconds(), float64(16*f.mtu))
	default:
		f.limit = float64(8 * f.queue.LimitBytes)
	}
}

// until goes on to an instant.
func (f *foresight) until(at time.Duration) {
	for f.at < at {
		d := min(at-f.at, piece)
		before := f.served
		f.served += f.rate * d.Seconds()
		if n := len(f.waiting); n == 0 || f.waiting[n-1].target != f.served+f.limit {
			f.waiting = append(f.waiting, wait{f.at, f.served + f.limit, f.steps})
		}
		n := 0
		for _, w := range f.waiting {
			if w.target > f.served {
				break
			}
			left := f.at + d
			if f.rate > 0 {
				left = f.at + time.Duration((w.target-before)/f.rate*1e9)
			}
			f.settle(w, left)
			n++
		}
		f.waiting = f.waiting[:copy(f.waiting, f.waiting[n:])]
		f.at += d
		f.pass()
	}
}

// pass notes a passage.
func (f *foresight) pass() {
	if f.pieces++; f.pieces%max(f.stride, 1) != 0 {
		return
	}
	f.head = append(f.head, passage{f.at, f.served, f.steps})
	if len(f.head) < mostPassages {
		return
	}
	for i := range mostPassages / 2 {
		f.head[i] = f.head[2*i+1]
	}
	f.head, f.stride = f.head[:mostPassages/2], 2*max(f.stride, 1)
}

// reach is how long the tape takes from its beginning to serve so many bits, over and
// over, and how many steps it has until then.
func (f *foresight) reach(bits float64) (d time.Duration, steps int) {
	if f.served == 0 {
		return 0, 0 // it never does
	}
	rounds := int(bits / f.served)
	d, steps = f.at*time.Duration(rounds), f.steps*rounds
	bits -= float64(rounds) * f.served
	for _, p := range f.head {
		if p.served >= bits {
			return d + p.at, steps + p.steps
		}
	}
	return d + f.at, steps + f.steps
}

func (f *foresight) settle(w wait, left time.Duration) {
	f.need = max(f.need, left-w.from)
	f.most = max(f.most, f.steps-w.step+1)
}

// finish takes the rest at the window's end, after which it may be played again.
func (f *foresight) finish(end time.Duration, again bool) {
	f.until(end)
	for _, w := range f.waiting {
		f.settle(w, end)
		if again {
			more, steps := f.reach(w.target - f.served)
			f.need, f.most = max(f.need, end+more-w.from), max(f.most, f.steps+steps-w.step+1)
		}
	}
	f.waiting = nil
}

// foreseen sets how far ahead the tape is read, as the directions that are told ahead
// need it, and refuses a tape that one of them cannot be told.
func (p *Player) foreseen(sights []*foresight, span time.Duration) error {
	for i, f := range sights {
		if f == nil {
			continue
		}
		f.finish(span, p.Looping())
		p.ahead = max(p.ahead, f.need+2*piece)
		p.loop.far.ahead = p.ahead
		// What is in the ring for as long as it is settled, and cuts of long steps.
		if window, steps := p.loop.far.ends[i].Window(), f.most+int(2*f.need/piece)+spareSteps; steps > window {
			return fmt.Errorf("%v: packets may wait for %v, in which the tape has up to %d steps; the kernel is told %d at most: build the link with window: %d",
				p.dirs[i], f.need.Round(time.Millisecond), f.most, window, steps)
		}
		p.aheadSteps += f.most
	}
	return nil
}

// spareSteps is how many more steps than a packet's wait takes are told: some time of
// it, and what is over but not yet let go.
const spareSteps = 64

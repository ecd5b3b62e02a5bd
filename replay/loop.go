package replay

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// Endpoint is what the loop applies states to: a [netsetup.Endpoint].
type Endpoint interface {
	Apply(at, hold time.Duration, s *trace.State) (netsetup.Applied, error)
	Counters() (netsetup.Counters, error)
	Supports(s *trace.State) error
	Seed(seed uint64)
}

// staged is an endpoint whose steps can be prepared before they are due. Of a
// [netsetup.Endpoint], both directions of a link go out in one system call.
type staged interface {
	Prepare(at, hold time.Duration, s *trace.State) error
	Commit() (netsetup.Applied, error)
	Cancel()
}

// ticked is an endpoint that wants a step told again before a time is over. A
// [netsetup.Endpoint] does where its bottleneck is a pulse.
type ticked interface {
	Tick() time.Duration // 0: never
}

// direct makes a step at once when it is due.
type direct struct {
	Endpoint
	at, hold time.Duration
	state    *trace.State
}

func (d *direct) Prepare(at, hold time.Duration, s *trace.State) error {
	d.at, d.hold, d.state = at, hold, s
	return nil
}

func (d *direct) Commit() (netsetup.Applied, error) { return d.Apply(d.at, d.hold, d.state) }

func (d *direct) Cancel() {}

// Record is what became of an entry.
type Record struct {
	Entry
	Sent  time.Duration // since the epoch, when the exchange with the kernel began
	Acked time.Duration // when the kernel had worked through it
	Hand  bool          // not the tape's: by hand, it was told anew
	netsetup.Applied
}

// Progress is what can be seen of one direction while the loop runs. Its
// fields are read and written without locks, each for itself.
type Progress struct {
	At, Tape, Lateness atomic.Int64  // ns, of the step in force; Lateness is the largest so far
	Steps              atomic.Int64  // applied
	Rate, Delay        atomic.Int64  // bit/s, ns
	Loss               atomic.Uint64 // mean, as [math.Float64bits]
	Bytes, Drops       atomic.Uint64 // from the first step to the one in force
	Backlog            atomic.Uint32 // bytes
	Closed             atomic.Bool
	Lost, Down         atomic.Bool // every packet is lost; there is no carrier

	seenAt               atomic.Int64 // plus 1; 0: never
	seenBytes, seenDrops atomic.Uint64
	seenBacklog          atomic.Uint32
}

// loop applies entries when they are due.
type loop struct {
	clock     Clock
	epoch     time.Duration // on the clock
	endpoints []Endpoint
	entries   *ring[Entry]
	records   *ring[Record] // nil: nobody logs
	end       time.Duration // when the last step's time is over; 0: at once
	stop      atomic.Bool
	covered   atomic.Int64 // since the epoch: every entry before it has been pushed
	finished  bool         // the entries have ended and end has come

	realtime     bool // the thread's scheduling is
	pins, pinned bool

	staged   []staged // the endpoints
	prepared []bool   // by direction: a step of the next instant is

	dirs   []trace.LinkDir
	tapeAt func(pos time.Duration) (tape time.Duration, loop int)
	ctl    control
	hand   byHand
	far    far

	progress []Progress
	last     []dirTally // by direction
	tally    tally
}

// nap is the longest sleep, after which the loop looks whether it is to stop.
// It is also how long before its time a step is prepared.
const nap = 50 * time.Millisecond

// longNap is the longest sleep of what is woken when there is something to do.
const longNap = time.Second

// run applies entries until they end, stop is set or a change fails. It is
// called on a thread of its own.
func (l *loop) run() error {
	l.prepared = make([]bool, len(l.endpoints))
	for _, e := range l.endpoints {
		s, ok := e.(staged)
		if !ok {
			s = &direct{Endpoint: e}
		}
		l.staged = append(l.staged, s)
	}
	l.hand.init(len(l.endpoints))
	l.pins = l.pinnable()
	defer l.unpin()
	if err := l.beginFar(); err != nil {
		return err
	}
	var rec Record
	for !l.stop.Load() {
		if err := l.foresee(); err != nil {
			return err
		}
		if l.hand.held || l.ctl.rung.Load() != 0 {
			l.unpin()
			if err := l.attend(0); err != nil {
				return err
			}
			continue
		}
		l.pin()
		e := l.entries.peek()
		if e == nil {
			if !l.entries.ended() {
				l.lack()
				continue
			}
			if l.await(l.epoch + l.hand.shift + l.end) {
				l.finished = true
				return nil
			}
			continue
		}
		due := l.epoch + l.hand.shift + e.At
		if !l.await(due - nap) {
			continue
		}
		n, err := l.prepare()
		if err != nil {
			return err
		}
		for !l.await(due) {
			if l.stop.Load() {
				l.cancel(n)
				return nil
			}
			l.unpin()
			if err := l.attend(n); err != nil {
				return err
			}
			if l.hand.held {
				break
			}
			l.pin()
		}
		if l.hand.held {
			continue // nothing is prepared any more
		}
		// The end of an exchange is the beginning of the next: the clock is read once
		// for both.
		now := l.clock.Now()
		l.tally.instant(now-due, time.Duration(l.covered.Load())-e.At)
		for range n {
			e := l.entries.peek()
			applied, err := l.staged[e.Dir].Commit()
			if err != nil {
				return fmt.Errorf("step at %v of the tape: %w", e.Tape, err)
			}
			if !applied.Shared { // else it went out with the one before
				rec.Sent = now - l.epoch
				now = l.clock.Now()
				rec.Acked = now - l.epoch
			}
			rec.Entry, rec.Applied = *e, applied
			rec.At += l.hand.shift
			if l.hand.cut > 0 {
				rec.State = *l.told(e.Dir, &e.State)
			}
			l.hand.under[e.Dir] = inForce{*e, true, e.Hold > 0}
			l.prepared[e.Dir] = false
			l.entries.drop()
			l.note(&rec)
		}
		if o := l.hand.landed; o != nil {
			l.unpin()
			l.hand.landed = nil
			l.answer(o, nil)
		}
	}
	return nil
}

// prepare prepares the steps of the next instant, and returns how many. What
// comes in later is of the same instant and goes out after them.
func (l *loop) prepare() (n int, err error) {
	var at time.Duration
	for e := range l.entries.all() {
		if n > 0 && e.At != at || l.prepared[e.Dir] {
			break
		}
		at = e.At
		state := &e.State
		if l.hand.cut > 0 {
			state = l.told(e.Dir, state)
		}
		if err := l.staged[e.Dir].Prepare(e.At+l.hand.shift, e.Hold, state); err != nil {
			return n, fmt.Errorf("step at %v of the tape: %w", e.Tape, err)
		}
		l.prepared[e.Dir] = true
		n++
	}
	return n, nil
}

// lack waits for entries: until the instant before which there are none, or,
// when that has passed because the tape is read too slowly, a millisecond.
func (l *loop) lack() {
	covered := time.Duration(l.covered.Load())
	if l.entries.peek() != nil {
		return // came before covered was read
	}
	now := l.clock.Now()
	if covered == math.MaxInt64 { // the end, which is about to be told
		l.clock.SleepUntil(now + looking)
		return
	}
	if until := l.epoch + l.hand.shift + covered; now < until {
		l.doze(min(until, max(until-2*nap, now+nap))) // what comes in meanwhile may be due right then
		return
	}
	l.tally.starved++
	l.clock.SleepUntil(now + time.Millisecond)
}

// exact is the end of a wait in which no command is looked at.
const exact = time.Millisecond

// await sleeps until an instant of the clock. It returns false, before it, when
// stop is set or a command has come.
func (l *loop) await(t time.Duration) bool {
	for now := l.clock.Now(); now < t; now = l.clock.Now() {
		switch {
		case l.stop.Load() || l.ctl.rung.Load() != 0:
			return false
		case t-now > 2*exact:
			l.doze(t - exact)
		default:
			l.clock.SleepUntil(t)
		}
	}
	return !l.stop.Load()
}

// note keeps what a record tells.
func (l *loop) note(r *Record) {
	l.last[r.Dir].add(r)
	l.tally.add(r)
	p := &l.progress[r.Dir]
	p.At.Store(int64(r.At))
	p.Tape.Store(int64(r.Tape))
	p.Rate.Store(int64(r.State.Rate))
	p.Delay.Store(int64(r.State.Delay))
	p.Loss.Store(math.Float64bits(r.State.MeanLoss()))
	if !r.Hand {
		p.Lateness.Store(max(p.Lateness.Load(), int64(r.Sent-r.At)))
	}
	p.Bytes.Store(r.Bytes - l.last[r.Dir].start.Bytes)
	p.Drops.Store(r.Drops - l.last[r.Dir].start.Drops)
	p.Backlog.Store(r.BacklogBytes)
	p.Closed.Store(r.Closed)
	p.Lost.Store(!r.State.Carrier || r.State.MeanLoss() >= 1)
	p.Down.Store(!r.State.Carrier)
	p.Steps.Add(1)
	if l.records != nil && !l.records.push(r) {
		l.tally.unlogged++
	}
}

// dirTally is what the loop counts of one direction.
type dirTally struct {
	State trace.State // in force
	begun bool
	first time.Duration // instant of the first step
	since time.Duration // of the step in force

	start, now    netsetup.Counters
	steps, closed int64
	maxBacklog    uint32
	tape          trace.Service // allowed until since
	busyTime      time.Duration // between steps that both found a backlog
	busyTape      trace.Service
	busyBytes     uint64
}

func (d *dirTally) add(r *Record) {
	if !d.begun {
		d.begun, d.start, d.first = true, r.Counters, r.At
	} else {
		d.advance(r.At, r.Counters)
	}
	d.now, d.since, d.State = r.Counters, r.At, r.State
	if !r.Hand {
		d.steps++
		if r.Closed {
			d.closed++
		}
	}
	d.maxBacklog = max(d.maxBacklog, r.BacklogBytes)
}

// advance settles the time until an instant at which the counters were read.
func (d *dirTally) advance(at time.Duration, c netsetup.Counters) {
	var service trace.Service
	service.Add(d.State.Capacity(), at-d.since)
	d.tape.AddService(service)
	if d.now.BacklogBytes > 0 && c.BacklogBytes > 0 {
		d.busyTime += at - d.since
		d.busyTape.AddService(service)
		d.busyBytes += c.Bytes - d.now.Bytes
	}
}

// report settles the last step and sums the direction up.
func (d *dirTally) report(ld trace.LinkDir, end time.Duration, c netsetup.Counters) LinkReport {
	if d.begun {
		d.advance(max(end, d.since), c)
	} else {
		d.start = c // stopped before its first step
	}
	r := LinkReport{
		Link: ld.Link, Dir: ld.Dir.String(), Steps: d.steps, Closed: d.closed,
		TapeBytes: d.tape.Bytes(), DeliveredBytes: int64(c.Bytes - d.start.Bytes),
		Packets: int64(c.Packets - d.start.Packets), Drops: int64(c.Drops - d.start.Drops),
		MaxBacklogBytes: int64(max(d.maxBacklog, c.BacklogBytes)),
	}
	if r.TapeBytes > 0 {
		r.Use = float64(r.DeliveredBytes) / float64(r.TapeBytes)
	}
	if span := end - d.first; span > 0 {
		r.Saturated = d.busyTime.Seconds() / span.Seconds()
	}
	if b := d.busyTape.Bytes(); b > 0 {
		r.Deviation = float64(d.busyBytes)/float64(b) - 1
	}
	return r
}

// tally is what the loop counts of all directions together.
type tally struct {
	steps, messages, kicks int64
	starved                int64         // milliseconds that the loop waited for the tape
	missed                 int64         // steps applied when the direction's next one was due
	byHand                 int64         // states told anew by hand
	unlogged               int64         // records that the logger had no room for
	reserve                time.Duration // the least that was read ahead at an instant
	lateness, exchange     histogram
	wake, skew             histogram

	// The steps of one instant, whose spread is the skew.
	at          time.Duration
	first, last time.Duration
	group       int
}

func (t *tally) add(r *Record) {
	t.messages += int64(r.Messages)
	if r.Kicked {
		t.kicks++
	}
	if r.Hand {
		t.byHand++
		return
	}
	t.steps++
	t.lateness.add(r.Sent - r.At)
	t.exchange.add(r.Acked - r.Sent)
	if r.Hold > 0 && r.Sent >= r.At+r.Hold && !r.Foreseen {
		t.missed++
	}
	if t.group == 0 || r.At != t.at {
		t.endGroup()
		t.at, t.first = r.At, r.Acked
	}
	t.last = r.Acked
	t.group++
}

// instant notes how late the loop is at an instant, and for how long beyond it
// there are steps.
func (t *tally) instant(late, reserve time.Duration) {
	t.wake.add(late)
	if t.wake.n == 1 || reserve < t.reserve {
		t.reserve = max(reserve, 0)
	}
}

// endGroup closes the steps of one instant.
func (t *tally) endGroup() {
	if t.group > 1 {
		t.skew.add(t.last - t.first)
	}
	t.group = 0
}

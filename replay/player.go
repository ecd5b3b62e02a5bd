package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/trace"
)

// Leave says what a replay leaves the links in.
type Leave string

// What a replay leaves the links in.
const (
	Keep    Leave = "keep"    // the last state that was applied
	Restore Leave = "restore" // the state before the replay
	Neutral Leave = "neutral" // the topology's own state
)

// Options of a replay. The zero value plays the whole tape once.
type Options struct {
	From      time.Duration // where on the tape to begin
	Duration  time.Duration // of the window; 0: to the tape's end
	Loop      bool          // play the window over and over, until ctx ends
	Times     int           // how often to play the window; 0: once
	Speed     float64       // of the tape's time against the replay's, MinSpeed to MaxSpeed; rates and delays stay; 0: 1
	RatesOnly bool          // leave delay, jitter, loss and the like out
	Leave     Leave         // "": Keep
	Record    Recording     // what is written while it plays

	// At is when the window's first instant is, on the wall clock. Where it has
	// passed, the tape is joined where it is by now. The zero value starts at
	// once.
	At time.Time
	// Trigger begins the replay in place of At, when all is ready; may be nil.
	Trigger Trigger
	// Arm gives the links the tape's first state before waiting for the trigger.
	Arm bool
	// Waiting is called when all is ready and the wait for At or Trigger begins;
	// may be nil.
	Waiting func()

	// WaitsFor says what At or Trigger waits for, for who asks [Player.Status].
	WaitsFor string
	// Watch is how often the counters are read for who watches, by a thread and
	// sockets of its own, where they are not recorded; 0: they are only known at
	// the steps.
	Watch time.Duration

	// Checking is told how far New has read the tape, 0 to 1; may be nil.
	Checking func(fraction float64)
}

// Links is what a tape is played onto: a [netsetup.Run] through [OnRun].
type Links interface {
	Endpoint(trace.LinkDir) (Endpoint, error)
	Before(trace.LinkDir) (s trace.State, known bool)
	Initial(trace.LinkDir) trace.State
	BeginReplay() error
	EndReplay(left map[trace.LinkDir]trace.State) error
}

// OnRun makes a run's links playable.
func OnRun(r *netsetup.Run) Links { return onRun{r} }

type onRun struct{ *netsetup.Run }

func (r onRun) Endpoint(ld trace.LinkDir) (Endpoint, error) {
	if r.Run.Exact(ld.Link) {
		return r.Run.ExactEndpoint(ld)
	}
	return r.Run.Endpoint(ld)
}

// Player plays one tape onto one run, once.
type Player struct {
	opts   Options
	dirs   []trace.LinkDir
	links  Links
	length time.Duration // of the tape
	before []trace.State
	epoch  atomic.Int64 // on the clock, ns; 0: not begun
	sum    Summary
	sched  schedule
	loop   loop

	density density
	outlook outlook

	ahead      time.Duration // how far before its time a step is read
	aheadSteps int           // more of them than density knows of
}

// Sizes of the rings. That of the entries is as large as the tape is dense, so
// that it holds what is read ahead, up to 50,000 steps a second.
const (
	recordRing   = 8192
	leastEntries = 1024
	mostEntries  = 1 << 18
)

// New prepares a replay of a tape that has just been opened: it opens every
// direction on the links, reads the window, and refuses what could not be
// played to the end. Nothing is changed yet.
//
// Errors: a window outside the tape, a link that the run does not have, a
// damaged tape, and [netsetup.ErrNotSupported] where the tape holds what a link
// cannot do. So are steps that are over before a link could be told of them.
func New(ctx context.Context, tape *trace.Reader, links Links, opts Options) (*Player, error) {
	meta := tape.Meta()
	p := &Player{opts: opts, dirs: meta.Directions(), links: links, length: meta.Duration, ahead: ahead}
	p.loop.dirs, p.loop.tapeAt = p.dirs, p.tapeAt
	p.loop.ctl.init(len(p.dirs))
	switch p.opts.Leave {
	case "":
		p.opts.Leave = Keep
	case Keep, Restore, Neutral:
	default:
		return nil, fmt.Errorf("leave the links %q: not one of %s, %s, %s", opts.Leave, Keep, Restore, Neutral)
	}
	if err := opts.checkStart(); err != nil {
		return nil, err
	}
	if err := opts.Record.check(); err != nil {
		return nil, err
	}
	if opts.From < 0 || opts.From >= meta.Duration || opts.Duration < 0 || opts.Duration > meta.Duration-opts.From {
		return nil, fmt.Errorf("play %v from %v: the tape lasts %v", opts.Duration, opts.From, meta.Duration)
	}
	to := meta.Duration
	if opts.Duration > 0 {
		to = opts.From + opts.Duration
	}
	index := make(map[trace.LinkDir]int)
	var ticks []time.Duration
	for i, ld := range p.dirs {
		e, err := links.Endpoint(ld)
		if err != nil {
			return nil, err
		}
		index[ld] = i
		e.Seed(seedOf(meta.Seed, ld))
		p.loop.endpoints = append(p.loop.endpoints, e)
		tick := time.Duration(0)
		if t, ok := e.(ticked); ok {
			tick = t.Tick()
		}
		ticks = append(ticks, tick)
		s, known := links.Before(ld)
		if !known && opts.Leave == Restore && len(p.sum.Warnings) == 0 {
			p.sum.Warnings = append(p.sum.Warnings, "the replay before this one was killed: the state before it is not known, and the links will be restored to what it found")
		}
		p.before = append(p.before, s)
	}
	if !slices.ContainsFunc(ticks, func(t time.Duration) bool { return t > 0 }) {
		ticks = nil
	}
	p.density.ticks = ticks
	p.sched = schedule{ticks: ticks, tape: tape, dirs: index, from: opts.From, to: to, loops: opts.Loop, times: opts.Times, speed: opts.Speed, ratesOnly: opts.RatesOnly}
	p.loop.far.init(p.loop.endpoints)
	sights := make([]*foresight, len(p.dirs))
	for i, x := range p.loop.far.ends {
		if x != nil {
			sights[i] = new(foresight)
			sights[i].queue, sights[i].mtu = x.Queue()
		}
	}
	chance := false
	short := newShort(&p.sched, p.loop.endpoints)
	supports := func(s *trace.Step) error {
		if err := short.add(index[s.LinkDir()], s); err != nil {
			return err
		}
		at := p.sched.scaled(max(s.At-opts.From, 0))
		p.density.add(at)
		if f := sights[index[s.LinkDir()]]; f != nil {
			f.add(at, &s.State)
		}
		p.outlook.add(s, index[s.LinkDir()], opts.From)
		if opts.RatesOnly {
			return nil
		}
		chance = chance || byChance(&s.State)
		if err := p.loop.endpoints[index[s.LinkDir()]].Supports(&s.State); err != nil {
			what := "delay or loss"
			if s.Duplicate != 0 {
				what = "duplicates"
			}
			return fmt.Errorf("the tape has %s on %v at %v: %w; play the rates alone with --rates-only, "+
				"or the tape on another kernel: linkup check says what one can do", what, s.LinkDir(), s.At, err)
		}
		return nil
	}
	if err := checkWindow(ctx, tape, supports, opts.From, to, opts.Checking); err != nil {
		return nil, err
	}
	p.outlook.finish(to)
	if err := short.finish(); err != nil {
		return nil, err
	}
	if err := p.foreseen(sights, p.sched.span()); err != nil {
		return nil, err
	}
	p.sum.Speed = max(opts.Speed, 0)
	if opts.Speed == 0 {
		p.sum.Speed = 1
	}
	p.sum.Tape, p.sum.From, p.sum.RatesOnly, p.sum.Left = tape.SHA256(), opts.From, opts.RatesOnly, string(p.opts.Leave)
	p.loop.progress = make([]Progress, len(p.dirs))
	p.loop.last = make([]dirTally, len(p.dirs))
	if chance {
		p.sum.Warnings = append(p.sum.Warnings, warningsOf(links)...)
	}
	return p, nil
}

// seedOf derives a direction's seed from the tape's.
func seedOf(seed uint64, ld trace.LinkDir) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "linktape replay %d %v", seed, ld))
	return binary.LittleEndian.Uint64(sum[:])
}

// checkWindow reads the window once. It fails where the tape is damaged, and at
// the first step that its link does not support: before anything is changed, and
// not in the middle of a long replay.
func checkWindow(ctx context.Context, tape *trace.Reader, supports func(*trace.Step) error, from, to time.Duration, progress func(float64)) error {
	check := func(steps []trace.Step) error {
		for i := range steps {
			s := &steps[i]
			if s.At >= to {
				return nil
			}
			if err := supports(s); err != nil {
				return err
			}
		}
		return nil
	}
	if from > 0 { // without Seek the checksum is verified too
		steps, err := tape.Seek(from)
		if err != nil {
			return fmt.Errorf("read tape at %v: %w", from, err)
		}
		if err := check(steps); err != nil {
			return err
		}
	}
	buf := make([]trace.Step, 1024)
	for {
		n, err := tape.Read(buf)
		if err := check(buf[:n]); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF) || n > 0 && buf[n-1].At >= to:
			return nil
		case err != nil:
			return fmt.Errorf("read tape: %w", err)
		case ctx.Err() != nil:
			return errNothingYet(ctx)
		case progress != nil:
			progress(float64(buf[n-1].At-from) / float64(to-from))
		}
	}
}

// errNothingYet is the error of a replay that was stopped before it began.
func errNothingYet(ctx context.Context) error {
	return fmt.Errorf("stopped before the first step, nothing was changed: %w", context.Cause(ctx))
}

// Directions lists what is played, in the order of Progress.
func (p *Player) Directions() []trace.LinkDir { return p.dirs }

// Progress is what can be seen of a direction while Run runs.
func (p *Player) Progress(dir int) *Progress { return &p.loop.progress[dir] }

// Window returns how long the window takes to play once.
func (p *Player) Window() time.Duration { return p.sched.span() }

// Position is where the replay is since the window's first instant, on the replay's
// clock; 0 before it. It goes on growing when the window is played over and over,
// stands still in a pause and jumps with a skip.
func (p *Player) Position() time.Duration {
	if p.epoch.Load() == 0 {
		return 0
	}
	if f := p.loop.ctl.frozen.Load(); f > 0 {
		return time.Duration(f - 1)
	}
	return max(p.elapsed()-time.Duration(p.loop.ctl.shift.Load()), 0)
}

// Epoch is the window's first instant on the replay's clock, CLOCK_MONOTONIC where it
// plays in real time; 0 before it is known. Pauses and skips do not move it.
func (p *Player) Epoch() time.Duration { return time.Duration(p.epoch.Load()) }

// elapsed is the time since the epoch, whatever was done by hand; 0 before it.
func (p *Player) elapsed() time.Duration {
	epoch := p.epoch.Load()
	if epoch == 0 {
		return 0
	}
	return max(p.loop.clock.Now()-time.Duration(epoch), 0)
}

// Looping reports whether the window is played more than once.
func (p *Player) Looping() bool { return p.opts.Loop || p.opts.Times > 1 }

// Ends of a reading of the tape.
var (
	errStopped = errors.New("stopped")
	errSkip    = errors.New("the tape is wanted elsewhere")
	errByHand  = errors.New("stopped by hand")
)

// ahead is how far before its time a step is read: what the reader may stall
// without a step being late. It exceeds the horizon.
const ahead = 5 * time.Second

// Run waits for what begins the replay and plays the window. It returns when
// the window has been played or ctx has ended, which is no error once the
// replay has begun: the summary says so. The links are then left as
// the options say. log takes the applied log, a Parquet file of [LogRow]; it
// may be nil, and must be where the options have a folder recorded.
//
// An error of a change ends the replay at once, without a summary, and leaves
// the links as they are. An error of the tape ends it when the steps before it
// have been played, and one of the log is returned at the end, both with the
// summary.
func (p *Player) Run(ctx context.Context, clock Clock, log io.Writer) (*Summary, error) {
	defer p.loop.ctl.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.loop.ctl.run(func() { cancel(errByHand) })
	if ctx.Err() != nil {
		return nil, errNothingYet(ctx)
	}
	if log != nil && p.opts.Record.Dir != "" {
		return nil, errors.New("write the applied log: it goes to a stream or to a folder")
	}
	if err := p.join(clock); err != nil {
		return nil, err
	}
	l := &p.loop
	l.clock, l.entries = clock, newRing[Entry](p.density.room(p.sched.span())+2*p.aheadSteps)
	var rows *table.Writer[LogRow]
	if log != nil {
		var err error
		if rows, err = table.NewWriter[LogRow](log); err != nil {
			return nil, fmt.Errorf("write the applied log: %w", err)
		}
		l.records = newRing[Record](recordRing)
		l.records.touch() // it is the loop that fills it
	}
	var rec *recorder
	if p.opts.Record.Dir != "" {
		var err error
		if rec, err = newRecorder(p); err != nil {
			return nil, fmt.Errorf("record the replay: %w", err)
		}
		l.records = newRing[Record](recordRing)
		l.records.touch() // it is the loop that fills it
	}
	eye, err := p.watcher()
	if err != nil {
		if rec != nil {
			rec.close()
		}
		return nil, fmt.Errorf("watch the links: %w", err)
	}
	if err := p.links.BeginReplay(); err != nil {
		if eye != nil {
			err = errors.Join(err, eye.meter.Close())
		}
		if rec != nil {
			rec.close()
		}
		return nil, err
	}
	l.end = p.sched.length()
	l.tally = tally{} // touches its memory

	var work sync.WaitGroup
	crash := crash{halt: l.halt}
	var readErr, logErr error
	ready := make(chan struct{}) // all that is wanted yet is in the ring
	filled := sync.OnceFunc(func() { close(ready) })
	var reading uint32
	ended := func() error {
		switch {
		case l.stop.Load():
			return errStopped
		case l.ctl.wanted.Load() != reading:
			return errSkip
		}
		return nil
	}
	timer := time.NewTimer(nap)
	defer timer.Stop()
	wait := func(most time.Duration) error {
		filled()
		if err := ended(); err != nil {
			return err
		}
		timer.Reset(most)
		select {
		case <-timer.C:
		case <-l.ctl.poke:
		}
		return nil
	}
	p.sched.emit = func(e *Entry) error {
		e.reading = reading
		for !l.entries.push(e) {
			if err := wait(nap); err != nil {
				return err
			}
		}
		return nil
	}
	p.sched.pace = func(at time.Duration) error {
		l.covered.Store(int64(at - horizon))
		for {
			early := at - p.ahead - max(p.Position(), p.sched.skip, time.Duration(l.ctl.reach.Load()))
			if early <= 0 {
				break
			}
			// The epoch may come at any time, and then be the position's.
			if err := wait(min(max(early, nap), longNap)); err != nil {
				return err
			}
		}
		return ended()
	}
	read := func() {
		defer filled()
		for {
			err := p.sched.run()
			if err == nil {
				l.covered.Store(math.MaxInt64) // as far as it goes
				l.entries.close()
				for err == nil {
					err = wait(longNap)
				}
			}
			if !errors.Is(err, errSkip) {
				if !errors.Is(err, errStopped) {
					readErr = err
					l.end = 0 // what would come is not known: there is nothing to wait for
				}
				l.covered.Store(math.MaxInt64)
				l.entries.close()
				return
			}
			reading = l.ctl.wanted.Load()
			p.sched.skip = time.Duration(l.ctl.restart.Load())
			l.covered.Store(int64(p.sched.skip))
			l.entries.closed.Store(false)
			l.ctl.reading.Store(reading)
		}
	}
	work.Go(crash.guard(read))
	if log != nil {
		work.Go(crash.guard(func() { logErr = logRecords(l.records, p.dirs, rows) }))
	}
	var metering sync.WaitGroup
	if rec != nil {
		if rec.gauge != nil {
			metering.Go(crash.guard(rec.gauge.run))
		}
		work.Go(crash.guard(func() { rec.write(l.records, &metering) }))
	}
	if eye != nil {
		work.Go(crash.guard(eye.run))
	}
	<-ready
	unwatch := context.AfterFunc(ctx, l.halt)
	runErr := p.onOwnThread(ctx)
	unwatch()
	cancel(nil)
	played, position := p.elapsed(), p.Position()
	l.halt()
	l.ctl.settle()
	if rec != nil {
		rec.stop()
	}
	if eye != nil {
		close(eye.stop)
	}
	if l.records != nil {
		l.records.close()
	}
	if rec != nil {
		close(rec.over)
	}
	work.Wait()
	metering.Wait()
	crash.pass()
	if eye != nil {
		runErr = errors.Join(runErr, eye.meter.Close())
	}

	if p.epoch.Load() == 0 { // it did not begin
		return nil, errors.Join(runErr, p.disarm())
	}
	if logErr != nil {
		logErr = fmt.Errorf("write the applied log: %w", logErr)
	}
	if runErr != nil {
		logErr = errors.Join(logErr, l.haltFar(), rec.end(nil))
		return nil, errors.Join(fmt.Errorf("%w; the replay ended there and the links are left as they are: "+
			"play a tape again, or rebuild them with linkup down and up", runErr), logErr)
	}
	p.sum.Stopped = !l.finished || readErr != nil
	if !p.sum.Stopped {
		position = p.sched.length()
		played = position + l.hand.shift
	}
	if w := p.sum.Wall; w != nil && !p.opts.At.IsZero() {
		p.sum.Warnings = append(p.sum.Warnings, w.warnings()...)
	}
	if p.sum.Joined > 0 {
		p.warn("the replay came %v late and joined the tape there", p.sum.Joined.Round(time.Millisecond))
	}
	if readErr != nil {
		readErr = fmt.Errorf("the replay ended after %v: %w", played.Round(time.Millisecond), readErr)
	}
	if l.tally.unlogged > 0 && logErr == nil {
		p.warn("%d steps are missing in the applied log: it was written too slowly", l.tally.unlogged)
	}
	if l.tally.starved > 0 {
		p.warn("steps came late: the tape was read too slowly, and the replay waited %v for it", time.Duration(l.tally.starved)*time.Millisecond)
	}
	if acts, _ := p.Acts(0); len(acts) > 0 {
		p.sum.Acts = len(acts)
		p.warn("%d commands were given by hand: the tape was not played as it is", len(acts))
	}
	err = errors.Join(readErr, p.finish(played, position), logErr)
	return &p.sum, errors.Join(err, rec.end(&p.sum))
}

func (p *Player) warn(format string, args ...any) {
	p.sum.Warnings = append(p.sum.Warnings, fmt.Sprintf(format, args...))
}

// onOwnThread runs the loop on a thread that ends with it, so that its
// scheduling and timers are gone too. The runtime gets two processors more
// than it has to keep busy: one is always free when the thread wakes up.
//
// Where the replay does not begin, there is no epoch afterwards.
func (p *Player) onOwnThread(ctx context.Context) error {
	locked, restore := calm()
	defer restore()
	p.sum.Locked = locked
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + 2)
	defer runtime.GOMAXPROCS(procs)
	result := make(chan error, 1)
	var wall *wallWatch
	crash := crash{halt: func() { result <- nil }}
	go crash.guard(func() {
		runtime.LockOSThread() // never unlocked
		p.sum.Realtime = prepareThread()
		p.loop.realtime = p.sum.Realtime
		result <- func() error {
			if err := p.ready(); err != nil {
				return err
			}
			epoch, at, err := p.begin(ctx, p.loop.clock)
			switch {
			case err != nil && ctx.Err() != nil:
				return errNothingYet(ctx)
			case err != nil:
				return fmt.Errorf("wait for the start: %w", err)
			}
			p.loop.epoch, p.sum.Epoch = epoch, at
			p.epoch.Store(int64(epoch))
			close(p.loop.ctl.begun)
			wall = watchWall(p.loop.clock, epoch, at)
			return p.loop.run()
		}()
	})()
	err := <-result
	crash.pass()
	if wall != nil {
		p.sum.Wall = wall.end()
	}
	return err
}

// finish sums up, and leaves the links as asked: as many of them as it can.
func (p *Player) finish(ended, position time.Duration) error {
	l := &p.loop
	l.tally.endGroup()
	var errs []error
	for i, e := range l.endpoints {
		c, err := e.Counters()
		if err != nil {
			errs = append(errs, err)
			c = l.last[i].now
		}
		r := l.last[i].report(p.dirs[i], ended, c)
		r.Shaper, r.ShaperWhy = shaperOf(p.links, p.dirs[i])
		p.sum.Links = append(p.sum.Links, r)
	}
	t := &l.tally
	p.sum.Played = ended
	if t.steps > 0 {
		p.sum.Loops = 1 + int(max(position-1, 0)/p.Window())
	}
	p.sum.Retold = t.byHand
	p.sum.Steps, p.sum.Messages, p.sum.Kicks = t.steps, t.messages, t.kicks
	p.sum.Missed, p.sum.Starved, p.sum.Unlogged = t.missed, t.starved, t.unlogged
	p.sum.Wake = t.wake.distribution()
	p.sum.LookAhead = min(t.reserve, p.ahead)
	p.sum.Lateness, p.sum.Exchange, p.sum.Skew = t.lateness.distribution(), t.exchange.distribution(), t.skew.distribution()

	beyond, err := l.far.beyond()
	if err != nil {
		errs = append(errs, err)
	}
	var fault error // of the replay, not of how the links are left
	// By hand, a link may be stalled for longer than anybody could foresee.
	if p.sum.Beyond = int64(beyond - l.far.before); err == nil && p.sum.Beyond > 0 && t.byHand == 0 {
		fault = fmt.Errorf("%d packets came before the kernel knew the steps that decide on them, and met the state before these: the tape was read too slowly", p.sum.Beyond)
	}

	left := make(map[trace.LinkDir]trace.State)
	for i, e := range l.endpoints {
		ld := p.dirs[i]
		state := l.last[i].State
		if l.hand.cut > 0 {
			state = l.hand.under[i].State // nobody could end a cut any more
		}
		switch {
		case p.opts.Leave == Restore || !l.last[i].begun:
			state = p.before[i]
		case p.opts.Leave == Neutral:
			state = p.links.Initial(ld)
		}
		if _, err := e.Apply(ended, 0, &state); err != nil {
			errs = append(errs, err)
			continue
		}
		left[ld] = state
	}
	err = errors.Join(errs...)
	if err == nil {
		err = p.links.EndReplay(left)
	}
	if err != nil {
		p.sum.Left = "unknown"
		err = fmt.Errorf("leave the links in a known state: %w; play a tape again, or rebuild them with linkup down and up", err)
	}
	return errors.Join(fault, err)
}

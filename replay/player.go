package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
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
	RatesOnly bool          // leave delay, jitter, loss and the like out
	Leave     Leave         // "": Keep
	Log       io.Writer     // takes the applied log, a Parquet file of LogRow
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

func (r onRun) Endpoint(ld trace.LinkDir) (Endpoint, error) { return r.Run.Endpoint(ld) }

// Player plays one tape onto one run, once.
type Player struct {
	opts   Options
	dirs   []trace.LinkDir
	links  Links
	before []trace.State
	sum    Summary
	sched  schedule
	loop   loop
}

// rings hold several seconds of a thousand steps a second.
const ringSize = 8192

// New prepares a replay: it opens every direction of the tape on the links and
// refuses what could not be played to the end. Nothing is changed yet.
//
// Errors: a window outside the tape, a link that the run does not have, and
// [netsetup.ErrNotSupported] where the tape needs a path and a link has none.
func New(tape *trace.Reader, links Links, opts Options) (*Player, error) {
	meta := tape.Meta()
	p := &Player{opts: opts, dirs: meta.Directions(), links: links}
	if p.opts.Leave == "" {
		p.opts.Leave = Keep
	}
	to := meta.Duration
	if opts.Duration > 0 {
		to = opts.From + opts.Duration
	}
	if opts.From < 0 || opts.From >= meta.Duration || to > meta.Duration {
		return nil, fmt.Errorf("play %v to %v: the tape lasts %v", opts.From, to, meta.Duration)
	}
	index := make(map[trace.LinkDir]int)
	pathless := make(map[trace.LinkDir]bool)
	for i, ld := range p.dirs {
		e, err := links.Endpoint(ld)
		if err != nil {
			return nil, err
		}
		index[ld] = i
		pathless[ld] = !e.HasPath()
		e.Seed(seedOf(meta.Seed, ld))
		p.loop.endpoints = append(p.loop.endpoints, e)
		s, known := links.Before(ld)
		if !known && opts.Leave == Restore && len(p.sum.Warnings) == 0 {
			p.sum.Warnings = append(p.sum.Warnings, "the replay before this one was killed: the state before it is not known, and the links will be restored to what it found")
		}
		p.before = append(p.before, s)
	}
	if !opts.RatesOnly {
		if err := needsPath(tape, pathless, opts.From, to); err != nil {
			return nil, err
		}
	}
	p.sched = schedule{tape: tape, dirs: index, from: opts.From, to: to, loops: opts.Loop, ratesOnly: opts.RatesOnly}
	p.sum.Tape, p.sum.From, p.sum.RatesOnly, p.sum.Left = tape.SHA256(), opts.From, opts.RatesOnly, string(p.opts.Leave)
	p.loop.progress = make([]Progress, len(p.dirs))
	p.loop.last = make([]dirTally, len(p.dirs))
	if !opts.RatesOnly {
		p.sum.Warnings = append(p.sum.Warnings, warningsOf(links)...)
	}
	return p, nil
}

// seedOf derives a direction's seed from the tape's.
func seedOf(seed uint64, ld trace.LinkDir) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "linktape replay %d %v", seed, ld))
	return binary.LittleEndian.Uint64(sum[:])
}

// needsPath fails at the first step in the window that needs a path on a link
// that has none.
func needsPath(tape *trace.Reader, pathless map[trace.LinkDir]bool, from, to time.Duration) error {
	any := false
	for _, p := range pathless {
		any = any || p
	}
	if !any {
		return nil
	}
	check := func(steps []trace.Step) error {
		for i := range steps {
			if s := &steps[i]; s.At < to && pathless[s.LinkDir()] && s.NeedsPath() {
				return fmt.Errorf("the tape needs delay or loss on %v at %v, and the link has no path: %w: netem; "+
					"play the rates alone with --rates-only, or use a kernel with netem", s.LinkDir(), s.At, netsetup.ErrNotSupported)
			}
		}
		return nil
	}
	steps, err := tape.Seek(from)
	if err != nil {
		return err
	}
	if err := check(steps); err != nil {
		return err
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
			return err
		}
	}
}

// Directions lists what is played, in the order of Progress.
func (p *Player) Directions() []trace.LinkDir { return p.dirs }

// Progress is what can be seen of a direction while Run runs.
func (p *Player) Progress(dir int) *Progress { return &p.loop.progress[dir] }

// Window returns the length of what is played once.
func (p *Player) Window() time.Duration { return p.sched.to - p.sched.from }

// errStopped ends the producer.
var errStopped = errors.New("stopped")

// Run plays the window. It returns when the window has been played or ctx has
// ended, which is no error: the summary says so. The links are then left as
// the options say.
//
// An error of a change ends the replay at once and leaves the links as they
// are; an error of the log is returned at the end.
func (p *Player) Run(ctx context.Context, clock Clock) (*Summary, error) {
	if err := p.links.BeginReplay(); err != nil {
		return nil, err
	}
	l := &p.loop
	l.clock, l.entries = clock, newRing[Entry](ringSize)

	var work sync.WaitGroup
	var readErr, logErr error
	ready := make(chan struct{}) // the ring is full, or all there is is in it
	filled := sync.OnceFunc(func() { close(ready) })
	p.sched.emit = func(e *Entry) error {
		for !l.entries.push(e) {
			filled()
			if l.stop.Load() {
				return errStopped
			}
			time.Sleep(nap)
		}
		return nil
	}
	work.Go(func() {
		readErr = p.sched.run()
		l.entries.close()
		filled()
	})
	if p.opts.Log != nil {
		w, err := table.NewWriter[LogRow](p.opts.Log)
		if err != nil {
			return nil, err
		}
		l.records = newRing[Record](ringSize)
		work.Go(func() { logErr = logRecords(l.records, p.dirs, w) })
	}
	<-ready
	unwatch := context.AfterFunc(ctx, func() { l.stop.Store(true) })
	if !p.opts.Loop {
		l.end = p.Window()
	}
	runErr := p.onOwnThread()
	p.sum.Stopped = !unwatch()
	ended := clock.Now() - l.epoch
	l.stop.Store(true)
	if l.records != nil {
		l.records.close()
	}
	work.Wait()
	if errors.Is(readErr, errStopped) {
		readErr = nil
	}
	err := errors.Join(runErr, readErr)
	if err == nil {
		if !p.sum.Stopped {
			ended = p.Window()
		}
		err = p.finish(ended)
	}
	if logErr != nil {
		err = errors.Join(err, fmt.Errorf("write the applied log: %w", logErr))
	}
	return &p.sum, err
}

// lead is the time from the decision to start until the epoch.
const lead = 10 * time.Millisecond

// onOwnThread runs the loop on a thread that ends with it, so that its
// scheduling and timers are gone too. The runtime gets two processors more
// than it has to keep busy: one is always free when the thread wakes up.
func (p *Player) onOwnThread() error {
	restore := calm()
	defer restore()
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + 2)
	defer runtime.GOMAXPROCS(procs)
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		p.sum.Realtime = prepareThread()
		p.loop.epoch = p.loop.clock.Now() + lead
		p.sum.Epoch = time.Now().Add(lead).UTC()
		result <- p.loop.run()
	}()
	return <-result
}

// finish sums up, and leaves the links as asked.
func (p *Player) finish(ended time.Duration) error {
	l := &p.loop
	l.tally.endGroup()
	for i, e := range l.endpoints {
		c, err := e.Counters()
		if err != nil {
			return err
		}
		p.sum.Links = append(p.sum.Links, l.last[i].report(p.dirs[i], ended, c))
	}
	t := &l.tally
	p.sum.Played, p.sum.Loops = ended, t.loops
	p.sum.Steps, p.sum.Messages, p.sum.Kicks = t.steps, t.messages, t.kicks
	p.sum.Missed, p.sum.Starved, p.sum.Unlogged = t.missed, t.starved, t.unlogged
	p.sum.Lateness, p.sum.Exchange, p.sum.Skew = t.lateness.distribution(), t.exchange.distribution(), t.skew.distribution()

	left := make(map[trace.LinkDir]trace.State)
	for i, e := range l.endpoints {
		ld := p.dirs[i]
		state := l.last[i].State
		switch {
		case p.opts.Leave == Restore || !l.last[i].begun:
			state = p.before[i]
		case p.opts.Leave == Neutral:
			state = p.links.Initial(ld)
		}
		if _, err := e.Apply(ended, 0, &state); err != nil {
			return err
		}
		left[ld] = state
	}
	return p.links.EndReplay(left)
}

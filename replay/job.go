package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// Job is a replay with everything that belongs to it: links that are built for it
// and go with it, and a tape.
type Job struct {
	Run  string // name of the run that is built
	Tape string // file

	// Topology of the links; nil: one link for each of the tape's.
	Topology *netsetup.Topology

	// Options of the replay. Trigger, Arm and Waiting are Do's own.
	Options Options
}

// Result is what a job has left.
type Result struct {
	Summary  *Summary
	Log      []LogRow     // each step, in the order in which they were applied
	Counters []CounterRow // of each direction, as often as Options.Record says; none where it says 0
}

// Session is a job at work, for the code that runs beside the replay.
type Session struct {
	run      string
	topology *netsetup.Topology
	player   *Player
	begin    chan struct{}
	once     sync.Once
	done     chan struct{}
}

// Do builds the links of a job, calls f, plays the tape, and takes the links down.
//
// f is called when the links stand, have the tape's first state, and all is ready.
// The tape's first instant is when f calls [Session.Begin]; until then f may open
// sockets and start programs in the links' ends. When f returns, the replay ends,
// at the tape's end or before it ([Summary.Stopped]). The context of f ends when
// the replay has failed, with the cause. What f has left running in the ends is
// killed. A folder in Options.Record.Dir keeps what the replay recorded, with its
// summary; without one the tables are read into the result, for a tape that fits
// into memory, and nothing is kept.
//
// It needs what linkup up needs: root, and the kernel's features.
func Do(ctx context.Context, job Job, f func(ctx context.Context, s *Session) error) (_ *Result, err error) {
	tape, err := trace.Open(job.Tape)
	if err != nil {
		return nil, err
	}
	defer tape.Close()
	plan, err := job.plan(tape.Meta())
	if err != nil {
		return nil, err
	}
	if err := netsetup.Up(ctx, plan, nil); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, netsetup.Down(job.Run, true)) }()
	links, err := netsetup.Open(job.Run)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, links.Close()) }()

	opts := job.Options
	if opts.Record.Tape == "" {
		opts.Record.Tape = filepath.Base(job.Tape)
	}
	keep := opts.Record.Dir != ""
	if !keep {
		if opts.Record.Dir, err = os.MkdirTemp("", "linktape"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(opts.Record.Dir)
	}
	s := &Session{run: job.Run, topology: plan.Topology, begin: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan struct{})
	opts.Trigger, opts.Arm, opts.Waiting = TriggerFunc(s.await), true, func() { close(ready) }
	if s.player, err = New(ctx, tape, OnRun(links), opts); err != nil {
		return nil, err
	}
	sum, err := s.play(ctx, ready, f)
	if sum == nil {
		return nil, err
	}
	result := &Result{Summary: sum}
	if keep {
		return result, errors.Join(err, writeSummary(opts.Record.Dir, sum))
	}
	var logErr, countersErr error
	result.Log, logErr = ReadLog(filepath.Join(opts.Record.Dir, LogFile))
	if opts.Record.Counters > 0 {
		result.Counters, countersErr = readAll(CounterRows(filepath.Join(opts.Record.Dir, CountersFile)))
	}
	return result, errors.Join(err, logErr, countersErr)
}

// plan is what the job's links are built by.
func (j *Job) plan(meta trace.Meta) (*netsetup.Plan, error) {
	var topology *netsetup.Topology
	if j.Topology != nil {
		t := *j.Topology // whose shapers are chosen
		t.Links = slices.Clone(t.Links)
		topology = &t
	} else {
		topology = netsetup.LinksOf(meta)
		for i := range topology.Links {
			topology.Links[i].UseShaper(netsetup.ShaperAuto)
		}
	}
	if err := topology.Check(); err != nil {
		return nil, err
	}
	features, _, err := netsetup.Probe()
	if err != nil {
		return nil, err
	}
	tape, err := trace.Open(j.Tape)
	if err != nil {
		return nil, err
	}
	defer tape.Close()
	demands, err := netsetup.DemandsOf(tape)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.Tape, err)
	}
	topology.Choose(demands, features)
	return netsetup.NewPlan(j.Run, topology, features)
}

// play runs the player and f beside it.
func (s *Session) play(ctx context.Context, ready <-chan struct{}, f func(context.Context, *Session) error) (sum *Summary, err error) {
	playing, stop := context.WithCancel(ctx)
	defer stop()
	beside, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	go func() {
		defer close(s.done)
		if sum, err = s.player.Run(playing, NewMonotonic(DefaultSpin), nil); err != nil {
			failed(err)
		}
	}()
	select {
	case <-ready:
	case <-s.done:
		return sum, err
	}
	errBeside := f(beside, s)
	stop()
	<-s.done
	select {
	case <-s.begin:
		return sum, errors.Join(errBeside, err)
	default: // it was not to begin
	}
	if errBeside == nil {
		errBeside = errors.New("the function beside the replay returned before it began the tape: call Begin")
	}
	return nil, errBeside
}

// await waits for Begin, on the loop's thread.
func (s *Session) await(ctx context.Context) (Event, error) {
	select {
	case <-s.begin:
		return Event{What: "begin"}, nil
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

// Begin starts the tape, once, and returns when its first instant is set.
func (s *Session) Begin() {
	s.once.Do(func() { close(s.begin) })
	for s.Position() == 0 {
		select {
		case <-s.done:
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// Done is closed when the tape has been played, or the replay has failed.
func (s *Session) Done() <-chan struct{} { return s.done }

// Position is the time since the tape's first instant; 0 before it.
func (s *Session) Position() time.Duration { return s.player.Position() }

// In calls f on a thread inside a part of the run: [netsetup.SenderEnd],
// [netsetup.ReceiverEnd] or a link's name. Sockets that f opens and processes that
// it starts stay there; goroutines that it starts do not. f must not leave its
// goroutine's thread.
func (s *Session) In(part string, f func() error) error { return netsetup.Within(s.run, part, f) }

// Addresses are those of a link's ends, IPv4 first; ok is false where there is no
// such link.
func (s *Session) Addresses(link string) (a netsetup.Addresses, ok bool) {
	i := slices.IndexFunc(s.topology.Links, func(l netsetup.Link) bool { return l.Name == link })
	if i < 0 {
		return a, false
	}
	return s.topology.Addresses(i), true
}

// Sender is the IPv4 address of a link's device at the sender; a socket that is
// bound to it sends through that link. It is invalid where there is no such link.
func (s *Session) Sender(link string) netip.Addr {
	a, _ := s.Addresses(link)
	return a.Sender[0].Addr()
}

// Receiver is the IPv4 address of a link's device at the receiver. It is invalid
// where there is no such link.
func (s *Session) Receiver(link string) netip.Addr {
	a, _ := s.Addresses(link)
	return a.Receiver[0].Addr()
}

// writeSummary writes a summary into a run's folder.
func writeSummary(dir string, s *Summary) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, SummaryFile), append(b, '\n'), 0o666)
}

// readAll keeps all rows of a table.
func readAll[T any](rows func(yield func(*T, error) bool)) (out []T, err error) {
	for row, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, *row)
	}
	return out, nil
}

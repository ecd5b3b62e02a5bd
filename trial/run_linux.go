package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
	"linktape/trial/media"
	"linktape/trial/sniff"
	"linktape/trial/stack"
)

// The stream's ends, inside the sender's and the receiver's namespace.
const (
	inPort  = 7000
	outPort = 7100
)

// Devices of a link's router towards its ends (docs/links.md).
const (
	routerSender   = "s0"
	routerReceiver = "r0"
)

// Times of a trial's start and end.
const (
	settle    = 500 * time.Millisecond // from the sender being ready to the epoch, for handshakes
	lead      = 50 * time.Millisecond  // from the decision to the epoch
	readyWait = 10 * time.Second       // for a program to open its ports
	readyPoll = 20 * time.Millisecond
	execWait  = 2 * time.Second        // for a receiver of exec, which may listen elsewhere
	tail      = 500 * time.Millisecond // after the recovery buffer, for what is on its way
)

// runner is one trial under way.
type runner struct {
	*Config
	dir      string
	m        Manifest
	topology *netsetup.Topology
	setup    *stack.Setup
	clock    *replay.Monotonic

	stats    statsLog
	captures []*sniff.Capture
	files    []string // of captures, in the folder
	sender   *process
	receiver *process
	conn     *net.UDPConn // of the source
	sink     *net.UDPConn
	flows    []*flow // of cross traffic
}

// Run runs a trial, whose folder holds the tape already ([MakeTape]). It returns
// when everything is stopped and the links are gone. When ctx ends, what was
// written until then is kept, and the manifest says that it is not complete.
//
// It needs root. Errors: those of [netsetup.Up] and [replay.New], and those of a
// sender or receiver that does not start or stops too early, with what it said.
func Run(ctx context.Context, c *Config, dir string) (_ *Manifest, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	r := &runner{Config: c, dir: dir, clock: replay.NewMonotonic(replay.DefaultSpin)}
	for _, d := range []string{ReplayDir, CaptureDir, LogDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return nil, err
		}
	}
	tape, err := trace.Open(filepath.Join(dir, TapeFile))
	if err != nil {
		return nil, err
	}
	defer tape.Close()
	meta := tape.Meta()
	if r.topology, err = c.topology(meta); err != nil {
		return nil, err
	}
	if meta.Duration < WarmUp+CoolDown {
		r.find("the tape lasts %v: what is left after the first %v and before the last %v is nothing to measure", meta.Duration, WarmUp, CoolDown)
	}
	r.describe(&meta, tape.SHA256())
	features, err := r.up(ctx, tape)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := netsetup.Down(r.Run, true); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the links: %w", e))
		}
	}()
	r.warn(features)
	err = r.inside(ctx, &meta)
	if e := r.m.write(dir); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return &r.m, nil
}

// find notes what a reader should know first.
func (r *runner) find(format string, args ...any) {
	r.m.Findings = append(r.m.Findings, fmt.Sprintf(format, args...))
}

// describe fills in what is known before anything is built.
func (r *runner) describe(meta *trace.Meta, sha string) {
	r.m = Manifest{
		Format: manifestFormat, Name: r.Name, Scenario: r.Source, Seed: meta.Seed, Tape: TapeFile, SHA256: sha, Stack: stack.None,
		Versions: make(map[string]string), Time: "real", Duration: meta.Duration, WarmUp: WarmUp, CoolDown: CoolDown,
		Cross: r.Cross, Thresholds: r.Thresholds, Captures: make(map[string]sniff.Report), Findings: r.m.Findings, RatesOnly: r.RatesOnly,
	}
	if r.RatesOnly {
		r.find("rates only: delay, jitter and loss of the tape are left out")
	}
	if r.Virtual {
		r.m.Time = "virtual"
	}
	if r.Stack != nil {
		r.m.Stack, r.m.Settings = r.Stack.Name(), r.Stack.Settings()
		r.m.Rate, r.m.Datagram, r.m.Buffer, r.m.Drain = r.Rate, datagramBytes, r.Buffer, r.Buffer+tail
	}
}

// up builds the links.
func (r *runner) up(ctx context.Context, tape *trace.Reader) (netsetup.Features, error) {
	if _, err := netsetup.GC(true, false); err != nil { // of trials that were killed
		return netsetup.Features{}, err
	}
	f, _, err := netsetup.Probe()
	if err != nil {
		return f, err
	}
	again, err := trace.Open(filepath.Join(r.dir, TapeFile))
	if err != nil {
		return f, err
	}
	defer again.Close()
	demands, err := netsetup.DemandsOf(again)
	if err != nil {
		return f, err
	}
	r.topology.Choose(demands, f)
	plan, err := netsetup.NewPlan(r.Run, r.topology, f)
	if err != nil {
		return f, err
	}
	plan.Owner = os.Getpid()
	return f, netsetup.Up(ctx, plan, nil)
}

// warn notes what the links cannot do.
func (r *runner) warn(f netsetup.Features) {
	if !f.Netem {
		r.find("this kernel has no netem: the links have rates and queues, but no delay, jitter or loss")
	}
	for _, w := range f.Warnings(r.topology) {
		r.find("%s", w)
	}
}

// addresses fills the links in, and what the stack is to run between.
func (r *runner) addresses() {
	in := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	}
	r.setup = &stack.Setup{In: in(inPort), Out: in(outPort), Buffer: r.Buffer, Rate: r.Rate}
	taken := make(map[netip.Addr]int) // next port by receiver
	for i, l := range r.topology.Links {
		a := r.topology.Addresses(i)
		k := stack.Link{Name: l.Name, Sender: a.Sender[0].Addr(), Receiver: a.Receiver[0].Addr()}
		if t := r.topology.Receiver; t.Address.IsValid() {
			k.Receiver = t.Address
		}
		if taken[k.Receiver] == 0 {
			taken[k.Receiver] = stack.FirstPort
		}
		k.Port = taken[k.Receiver]
		taken[k.Receiver] += 2
		link := Link{Name: l.Name, SenderAddr: k.Sender.String(), ReceiverAddr: k.Receiver.String(), Shaper: string(l.Shaper), Queue: queue(l.Queue), MTU: l.MTU}
		if r.Stack != nil {
			link.ReceiverPorts = r.Stack.Ports(k.Port)
		}
		link.SenderDevice, link.ReceiverDevice = r.topology.LinkDevices(r.Run, i)
		r.m.Links = append(r.m.Links, link)
		r.setup.Links = append(r.setup.Links, k)
	}
}

func queue(q trace.Queue) string {
	switch {
	case q.LimitTime > 0:
		return fmt.Sprintf("%v %s", q.LimitTime, q.Kind)
	case q.LimitBytes > 0:
		return fmt.Sprintf("%d B %s", q.LimitBytes, q.Kind)
	}
	return string(q.Kind)
}

// inside does everything between up and down.
func (r *runner) inside(ctx context.Context, meta *trace.Meta) (err error) {
	r.addresses()
	r.versions(ctx)
	if err := r.m.write(r.dir); err != nil { // so that a folder says what it was to become
		return err
	}
	defer func() { err = errors.Join(err, r.stopCaptures()) }()
	if err := r.startCaptures(); err != nil {
		return err
	}
	if r.Stack != nil {
		if err := r.openEnds(); err != nil {
			return err
		}
		defer r.conn.Close()
		defer r.sink.Close()
	}
	sinks, err := r.openCross()
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sinks {
			s.Close()
		}
	}()
	return r.play(ctx, meta)
}

// versions asks programs for theirs.
func (r *runner) versions(ctx context.Context) {
	if r.Stack == nil {
		return
	}
	number := regexp.MustCompile(`[Vv]ersion:? *v?([0-9][^\s,]*)`)
	for program, args := range r.Stack.Programs() {
		ctx, cancel := context.WithTimeout(ctx, readyWait)
		out, _ := exec.CommandContext(ctx, program, args...).CombinedOutput() // its status says nothing
		cancel()
		if m := number.FindSubmatch(out); m != nil {
			r.m.Versions[program] = string(m[1])
		}
	}
}

// startCaptures begins to capture both ends of every link.
func (r *runner) startCaptures() error {
	for i, l := range r.topology.Links {
		sender, receiver := r.topology.LinkDevices(r.Run, i)
		for _, e := range []struct {
			part, device string
			cable        bool
			inRouter     string
			sender       bool
		}{
			{netsetup.SenderEnd, sender, l.Sender.Interface != "", routerSender, true},
			{netsetup.ReceiverEnd, receiver, l.Receiver.Interface != "", routerReceiver, false},
		} {
			if e.cable { // it is in the router, under the router's name for it
				e.part, e.device = l.Name, e.inRouter
			}
			file := CaptureFile(l.Name, e.sender)
			err := netsetup.Within(r.Run, e.part, func() error {
				c, err := sniff.Start(e.device, filepath.Join(r.dir, file))
				if err == nil {
					r.captures, r.files = append(r.captures, c), append(r.files, file)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// stopCaptures ends them, and says where packets are missing.
func (r *runner) stopCaptures() (err error) {
	if len(r.captures) > 0 {
		time.Sleep(sniff.Settle)
	}
	for i, c := range r.captures {
		report, e := c.Stop()
		err = errors.Join(err, e)
		r.m.Captures[r.files[i]] = report
		if report.Drops > 0 {
			r.find("%s lacks %d of %d packets: the kernel had no room for them", r.files[i], report.Drops, report.Drops+report.Packets)
		}
	}
	return err
}

// openEnds opens the sockets of source and sink.
func (r *runner) openEnds() error {
	err := netsetup.Within(r.Run, netsetup.ReceiverEnd, func() (err error) {
		r.sink, err = media.ListenSink(r.setup.Out)
		return err
	})
	if err != nil {
		return err
	}
	err = netsetup.Within(r.Run, netsetup.SenderEnd, func() (err error) {
		r.conn, err = media.DialSource(r.setup.In)
		return err
	})
	if err != nil {
		r.sink.Close()
	}
	return err
}

// startSides starts receiver and sender and waits until they are ready.
func (r *runner) startSides(ctx context.Context) error {
	sender, receiver, err := r.Stack.Commands(r.setup)
	if err != nil {
		return err
	}
	r.m.Sender, r.m.Receiver = sender.Argv, receiver.Argv
	for _, w := range r.Stack.Warnings(r.setup) {
		r.find("%s", w)
	}
	start := func(side stack.Side, part string, c stack.Command) (*process, error) {
		parser := r.Stack.Parser(r.setup, side)
		return startProcess(r.Inside, r.Run, part, side, c, filepath.Join(r.dir, LogDir), func(s stack.Stream, line []byte) {
			at := wall()
			parser.Line(s, line, func(x stack.Sample) { r.stats.add(at, x) })
		})
	}
	if r.receiver, err = start(stack.Receiver, netsetup.ReceiverEnd, receiver); err != nil {
		return err
	}
	var ports []int
	for _, l := range r.m.Links {
		ports = append(ports, l.ReceiverPorts...)
	}
	exec := r.Stack.Name() == "exec"
	wait := readyWait
	if exec {
		wait = execWait
	}
	if ready, err := r.bound(ctx, r.receiver, wait, ports, !exec); err != nil {
		return err
	} else if !ready && !exec {
		return fmt.Errorf("the receiver does not listen on UDP ports %v after %v: %s", ports, wait, r.receiver.said())
	}
	if r.sender, err = start(stack.Sender, netsetup.SenderEnd, sender); err != nil {
		return err
	}
	if ready, err := r.bound(ctx, r.sender, readyWait, []int{inPort}, true); err != nil {
		return err
	} else if !ready {
		return fmt.Errorf("the sender does not listen on %v, where the stream goes, after %v: %s", r.setup.In, readyWait, r.sender.said())
	}
	return r.sleep(ctx, settle)
}

// bound waits until a process's end has some UDP ports bound: all of them, or any.
func (r *runner) bound(ctx context.Context, p *process, wait time.Duration, ports []int, all bool) (bool, error) {
	for end := r.clock.Now() + wait; r.clock.Now() < end; {
		have, n := p.udpPorts(), 0
		for _, x := range ports {
			if have[x] {
				n++
			}
		}
		if n == len(ports) || n > 0 && !all {
			return true, nil
		}
		if err := r.sleep(ctx, readyPoll); err != nil {
			return false, err
		}
	}
	return false, nil
}

// sleep waits, unless ctx or one of the processes ends.
func (r *runner) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	var s, v <-chan struct{}
	if r.sender != nil {
		s = r.sender.exited
	}
	if r.receiver != nil {
		v = r.receiver.exited
	}
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s:
		return r.sender.ended()
	case <-v:
		return r.receiver.ended()
	}
}

// play replays the tape between source and sink.
func (r *runner) play(ctx context.Context, meta *trace.Meta) (err error) {
	tape, err := trace.Open(filepath.Join(r.dir, TapeFile))
	if err != nil {
		return err
	}
	defer tape.Close()
	links, err := netsetup.Open(r.Run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, links.Close()) }()

	begin := make(chan time.Duration, 1) // the epoch, on the clock
	ready := make(chan struct{})
	playing, stopPlaying := context.WithCancelCause(ctx)
	defer stopPlaying(nil)
	player, err := replay.New(playing, tape, replay.OnRun(links), replay.Options{
		Arm: true, RatesOnly: r.RatesOnly, Waiting: func() { close(ready) },
		Trigger: replay.TriggerFunc(func(ctx context.Context) (replay.Event, error) {
			select {
			case at := <-begin:
				r.clock.SleepUntil(at)
				return replay.Event{What: "the source", Ago: r.clock.Now() - at}, nil
			case <-ctx.Done():
				return replay.Event{}, context.Cause(ctx)
			}
		}),
		Record: replay.Recording{
			Dir: filepath.Join(r.dir, ReplayDir), Tape: TapeFile, Counters: 100 * time.Millisecond, ReadBack: time.Second,
		},
	})
	if err != nil {
		return err
	}
	var sum *replay.Summary
	var played error
	over := make(chan struct{})
	go func() {
		defer close(over)
		sum, played = player.Run(playing, r.clock, nil)
	}()
	select {
	case <-ready:
	case <-over:
		return played
	}
	err = r.between(ctx, meta, begin, over, player)
	if err != nil {
		stopPlaying(err)
	}
	<-over
	if sum != nil {
		played = errors.Join(played, writeJSON(filepath.Join(r.dir, ReplayDir, replay.SummaryFile), sum))
		for _, w := range sum.Warnings {
			r.find("replay: %s", w)
		}
		r.m.Complete = err == nil && played == nil && !sum.Stopped
		r.judge(sum)
	}
	if m, e := replay.ReadManifest(filepath.Join(r.dir, ReplayDir, replay.ManifestFile)); e == nil {
		r.m.Versions["linktape"], r.m.Versions["go"], r.m.Versions["kernel"] = m.Version, m.Go, m.Kernel
	}
	if err != nil {
		return err // what it did to the replay says nothing more
	}
	return played
}

// between runs the stack while the replay waits and plays.
func (r *runner) between(ctx context.Context, meta *trace.Meta, begin chan<- time.Duration, over <-chan struct{}, player *replay.Player) (err error) {
	if r.Stack != nil {
		defer func() { err = errors.Join(err, r.stats.close()) }()
		defer r.stopSides()
		if err := r.startSides(ctx); err != nil {
			return err
		}
	}
	epoch := r.clock.Now() + lead
	r.m.EpochWall = wallAt(r.clock, epoch)
	if err := r.m.write(r.dir); err != nil {
		return err
	}
	if r.Stack != nil {
		r.stats.begin(filepath.Join(r.dir, StackFile), r.m.EpochWall)
	}
	begin <- epoch

	streaming, stop := context.WithCancel(ctx)
	defer stop()
	var flows sync.WaitGroup
	var sent, came error
	if r.Stack != nil {
		receiving, stopReceiving := context.WithCancel(context.WithoutCancel(ctx))
		flows.Go(func() { sent = r.source(streaming, epoch, meta.Duration) })
		sinkDone := make(chan struct{})
		go func() {
			defer close(sinkDone)
			came = r.receive(receiving)
		}()
		defer func() {
			stop()
			flows.Wait()
			stopReceiving()
			<-sinkDone
			err = errors.Join(err, sent, came)
		}()
	}
	cross := r.startCross(streaming, epoch)
	defer func() {
		stop()
		err = errors.Join(err, cross())
	}()
	if err := r.watch(ctx, over, player); err != nil {
		return err
	}
	if r.Stack == nil {
		return nil
	}
	return r.sleep(ctx, r.m.Drain)
}

// watch waits for the replay's end, shows how far it is, and ends early where a
// process does.
func (r *runner) watch(ctx context.Context, over <-chan struct{}, player *replay.Player) error {
	const every = 200 * time.Millisecond
	for {
		select {
		case <-over:
			return context.Cause(ctx)
		default:
		}
		if err := r.sleep(ctx, every); err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(float64(player.Position()) / float64(player.Window()))
		}
	}
}

// stopSides ends sender and receiver.
func (r *runner) stopSides() {
	for _, p := range []*process{r.sender, r.receiver} {
		if p != nil && p.stop() {
			r.find("the %s did not end within %v of SIGINT and was killed", p.side, grace)
		}
	}
}

// source sends the stream.
func (r *runner) source(ctx context.Context, epoch, duration time.Duration) error {
	rows := startRows[media.SourceRow](filepath.Join(r.dir, SourceFile))
	s := media.Source{Rate: r.Rate, Duration: duration, Start: epoch, Epoch: r.m.EpochWall, Sent: rows.add}
	report, err := s.Run(ctx, r.conn)
	r.m.Source = report
	return errors.Join(err, rows.close())
}

// receive checks what arrives.
func (r *runner) receive(ctx context.Context) error {
	rows := startRows[media.SinkRow](filepath.Join(r.dir, SinkFile))
	s := media.Sink{Epoch: r.m.EpochWall, Arrived: rows.add}
	counts, err := s.Run(ctx, r.sink)
	r.m.Sink = &counts
	return errors.Join(err, rows.close())
}

// judge notes what of source, sink and replay spoils the figures.
func (r *runner) judge(sum *replay.Summary) {
	const (
		late  = 5 * time.Millisecond  // at the 99th percentile, of the source
		later = 10 * time.Millisecond // of a step
		apart = time.Millisecond      // the wall clock from the replay's
	)
	if s := r.m.Source; s != nil {
		if s.Lateness.P99 > late {
			r.find("the source was late: 1 %% of its datagrams by more than %v", s.Lateness.P99)
		}
		if s.Refused > 0 {
			r.find("the sender refused %d of %d datagrams", s.Refused, s.Datagrams)
		}
	}
	if s := r.m.Sink; s != nil {
		for _, x := range []struct {
			n    int64
			what string
		}{
			{s.SocketDrops, "datagrams were lost at the sink's socket, after the receiver"},
			{s.Corrupt, "packets reached the sink changed"},
			{s.Incomplete, "datagrams reached the sink in part only"},
			{s.Malformed, "bytes at the sink were no transport stream"},
			{s.Foreign, "packets at the sink were of another stream"},
		} {
			if x.n > 0 {
				r.find("%d %s", x.n, x.what)
			}
		}
	}
	if sum.Lateness.Max > later {
		r.find("a step of the tape was %v late", sum.Lateness.Max)
	}
	if w := sum.Wall; w != nil && w.OffsetMax.Abs() > apart {
		r.find("the wall clock was moved by up to %v while the tape played: captures and sink are stamped by it", w.OffsetMax)
	}
	if rb := sum.ReadBack; rb != nil && rb.Differ > 0 {
		r.find("%d of %d readings found links other than they were told", rb.Differ, rb.Readings)
	}
}

// wall is the time, in ns since 1970.
func wall() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &ts) != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}

// wallAt translates an instant of the clock, by the pair of readings that lie
// closest together.
func wallAt(clock *replay.Monotonic, at time.Duration) int64 {
	best, out := time.Hour, int64(0)
	for range 16 {
		before := clock.Now()
		w := wall()
		after := clock.Now()
		if d := after - before; d < best {
			best, out = d, w+int64(at-before-d/2)
		}
	}
	return out
}

// rows writes a table on a goroutine of its own, so that nobody waits for a disk.
type rows[T any] struct {
	in   chan T
	done chan struct{}
	err  error
}

func startRows[T any](file string) *rows[T] {
	const ahead = 1 << 14
	r := &rows[T]{in: make(chan T, ahead), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		f, err := table.Create[T](file)
		if err != nil {
			r.err = err
		}
		for row := range r.in {
			if r.err == nil {
				r.err = f.Write(&row)
			}
		}
		if f != nil {
			r.err = errors.Join(r.err, f.Close())
		}
	}()
	return r
}

func (r *rows[T]) add(row *T) { r.in <- *row }

func (r *rows[T]) close() error {
	close(r.in)
	<-r.done
	return r.err
}

// statsLog writes the stack's figures, and keeps them until the epoch is known.
type statsLog struct {
	mu      sync.Mutex
	pending []stack.Row // their instants are since 1970
	epoch   int64
	out     *rows[stack.Row]
}

func (s *statsLog) add(at int64, x stack.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A name may be a piece of a line that is long gone.
	row := stack.Row{At: at - s.epoch, Side: string(x.Side), Link: x.Link, Name: strings.Clone(x.Name), Value: x.Value}
	if s.out == nil {
		s.pending = append(s.pending, row)
		return
	}
	s.out.add(&row)
}

// begin says where instants count from, and where rows go.
func (s *statsLog) begin(file string, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.out = epoch, startRows[stack.Row](file)
	for i := range s.pending {
		s.pending[i].At -= epoch
		s.out.add(&s.pending[i])
	}
	s.pending = nil
}

// close completes the table, after the last figure. Without an epoch there is none.
func (s *statsLog) close() error {
	if s.out == nil {
		return nil
	}
	return s.out.close()
}

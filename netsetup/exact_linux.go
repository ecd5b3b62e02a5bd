package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linktape/edt"
	"linktape/edt/bpf"
	"linktape/trace"
)

// now is the kernel's CLOCK_MONOTONIC, by which fq lets packets go.
func now() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// addDepartures builds fq and program on each device, with the link's own state until
// a tape comes. The program lives as long as the filters have it.
func (k *kernel) addDepartures(o AddDepartures) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	p, err := bpf.Load(o.Link.window())
	if err != nil {
		return err
	}
	defer p.Close()
	at, err := now()
	if err != nil {
		return err
	}
	s := stateOf(o.Link)
	if err := still(p.Tape(), &o.Link, pathSeed(&o.Link, o.Dir), at, &s); err != nil {
		return err
	}
	for _, dev := range o.Devices {
		if err := k.request(o.Namespace, dev, []request{o.Link.departures()}); err != nil {
			return err
		}
		i, err := r.device(dev)
		if err != nil {
			return err
		}
		if err := r.links.QdiscAdd(clsact(i)); err != nil {
			return fmt.Errorf("add clsact: %w", err)
		}
		err = r.links.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: i, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
			Fd:          p.FD(), Name: bpf.Name, DirectAction: true,
		})
		if err != nil {
			return fmt.Errorf("add the program's filter: %w", err)
		}
	}
	return nil
}

// still begins a tape of one state that goes on.
func still(t *bpf.Tape, l *Link, seed uint64, at time.Duration, s *trace.State) error {
	t.Begin(l.Queue, l.MTU, seed, l.Impair.Overtake)
	if err := t.Set(at, s); err != nil {
		return err
	}
	t.Hold()
	t.Publish()
	return nil
}

// program opens the program of a device's egress.
func (r *room) program(dev string) (*bpf.Program, error) {
	i, err := r.device(dev)
	if err != nil {
		return nil, err
	}
	filters, err := r.links.FilterList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: i}}, netlink.HANDLE_MIN_EGRESS)
	if err != nil {
		return nil, fmt.Errorf("list filters of %s in %s: %w", dev, r.name, err)
	}
	if id := programOf(filters); id != 0 {
		return bpf.Open(id)
	}
	return nil, fmt.Errorf("%s in %s has no program", dev, r.name)
}

// programOf is the number of the program that one of a device's filters runs; 0: none
// does.
func programOf(filters []netlink.Filter) uint32 {
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == bpf.Name {
			return uint32(b.Id)
		}
	}
	return 0
}

// ExactEndpoint is one direction of a link with [ShaperEDT], opened for change. A tape's
// steps are told ahead of their time, by Foresee, and come into force of themselves. It
// is not safe for concurrent use; neither are the two endpoints of one link together.
type ExactEndpoint struct {
	trace.LinkDir

	link    Link
	program *bpf.Program
	tape    *bpf.Tape
	seed    uint64
	epoch   time.Duration // on CLOCK_MONOTONIC
	staged  bool          // a tape is begun that the program does not see yet
	playing bool          // one that it sees

	wire    wire
	carrier *carrier // shared by both directions
	seq     *uint32  // shared by both directions
	buf     []byte
	rbuf    []byte

	state *trace.State  // prepared
	at    time.Duration // of it, since the epoch
}

// openExact opens both directions of a link.
func (r *Run) openExact(i int, l Link) (both [2]*ExactEndpoint, err error) {
	room, err := r.kernel.room(Namespace(r.Name, l.Name))
	if err != nil {
		return both, err
	}
	index, err := room.device(senderSide)
	if err != nil {
		return both, err
	}
	c := r.carrierOf(i, l, int32(index))
	defer func() {
		if err != nil {
			closeExact(both)
		}
	}()
	for d := range both {
		p, err := room.program(l.exactDevices(trace.Direction(d))[0])
		if err != nil {
			return both, err
		}
		both[d] = &ExactEndpoint{
			LinkDir: trace.LinkDir{Link: l.Name, Dir: trace.Direction(d)}, link: l, program: p, tape: p.Tape(),
			seed: pathSeed(&l, trace.Direction(d)),
			wire: room.conn, carrier: c, seq: &room.conn.seq, buf: make([]byte, 0, 1024), rbuf: make([]byte, 4096),
		}
	}
	return both, nil
}

func closeExact(both [2]*ExactEndpoint) error {
	var errs []error
	for _, e := range both {
		if e != nil {
			errs = append(errs, e.program.Close())
		}
	}
	return errors.Join(errs...)
}

// Supports returns nil where the program can obey a state, and else an
// [ErrNotSupported] that says what it cannot.
func (e *ExactEndpoint) Supports(s *trace.State) error {
	switch {
	case s.Duplicate != 0 || s.Corrupt != 0 || s.Reorder != 0:
		return fmt.Errorf("%w: backend: edt neither duplicates, corrupts nor reorders by chance; backend: qdisc does", ErrNotSupported)
	case s.NeedsPath() && e.link.Path == PathNone:
		return fmt.Errorf("%w: a path, which the link was built without", ErrNotSupported)
	case s.Rate > edt.MaxRate:
		return fmt.Errorf("%w: rates above %v with backend: edt", ErrNotSupported, edt.MaxRate)
	}
	return nil
}

// Seed makes losses and jitter a function of the seed from the next tape on.
func (e *ExactEndpoint) Seed(seed uint64) { e.seed = seed }

// Window is the number of steps that the kernel holds at once.
func (e *ExactEndpoint) Window() int { return e.program.Steps() }

// Queue is the bottleneck's, and the MTU in bytes.
func (e *ExactEndpoint) Queue() (trace.Queue, int) { return e.link.Queue, e.link.MTU }

// Begin begins a tape whose first instant is at the epoch, on CLOCK_MONOTONIC. What was
// told before goes on until the first [ExactEndpoint.Commit].
func (e *ExactEndpoint) Begin(epoch time.Duration) {
	e.epoch = epoch
	e.tape.Begin(e.link.Queue, e.link.MTU, e.seed, e.link.Impair.Overtake)
	e.staged, e.playing = true, false
}

// Foresee tells the state from an instant on, an offset from the epoch no earlier than
// the ones told before. [bpf.ErrFull] means that time has to pass first.
func (e *ExactEndpoint) Foresee(at time.Duration, s *trace.State) error {
	if err := e.tape.Set(e.epoch+at, s); err != nil {
		return fmt.Errorf("tell %v a step: %w", e.LinkDir, err)
	}
	return nil
}

// extension is the least time that the tape is extended by, since it costs a step.
const extension = 500 * time.Millisecond

// Until tells that nothing else happens before an instant, an offset from the epoch. A
// little of it may be left for the next time.
func (e *ExactEndpoint) Until(at time.Duration) error {
	if e.epoch+at < e.tape.End()+extension {
		return nil
	}
	if err := e.tape.Extend(e.epoch + at); err != nil {
		return fmt.Errorf("extend the tape of %v: %w", e.LinkDir, err)
	}
	return nil
}

// Pass makes room for what is to be told, at an instant since the epoch.
func (e *ExactEndpoint) Pass(at time.Duration) { e.tape.Pass(e.epoch + at) }

// Hold tells that the last state goes on, from an instant on for as long as it may be.
// Telling it again changes nothing.
func (e *ExactEndpoint) Hold(from time.Duration) error {
	if err := e.tape.Extend(e.epoch + from); err != nil {
		return fmt.Errorf("extend the tape of %v: %w", e.LinkDir, err)
	}
	e.tape.Hold()
	return nil
}

// soon is the time that it takes to tell the kernel a change.
const soon = 20 * time.Microsecond

// Revise tells a state from now on in place of all that was foreseen: what comes after
// it is foreseen anew. It returns the instant, as an offset from the epoch. Packets that
// came before keep their times.
func (e *ExactEndpoint) Revise(s *trace.State) (at time.Duration, err error) {
	t, err := now()
	if err == nil {
		err = e.tape.Change(t, t+soon, s)
	}
	if err != nil {
		return 0, fmt.Errorf("change the tape of %v: %w", e.LinkDir, err)
	}
	return t + soon - e.epoch, nil
}

// Apply tells a state from now on until further notice, whatever was foreseen.
func (e *ExactEndpoint) Apply(at, hold time.Duration, s *trace.State) (Applied, error) {
	if err := e.Prepare(at, hold, s); err != nil {
		return Applied{}, err
	}
	if e.playing {
		if _, err := e.Revise(s); err != nil {
			return Applied{}, err
		}
		e.tape.Hold()
	} else {
		t, err := now()
		if err == nil {
			err = still(e.tape, &e.link, e.seed, t, s)
		}
		if err != nil {
			return Applied{}, fmt.Errorf("set %v: %w", e.LinkDir, err)
		}
	}
	e.staged = false
	return e.Commit()
}

// Prepare makes what a step needs besides what was foreseen: the interface goes down
// without carrier.
func (e *ExactEndpoint) Prepare(at, _ time.Duration, s *trace.State) error {
	e.state, e.at = s, at
	return nil
}

// Cancel gives up what was prepared.
func (e *ExactEndpoint) Cancel() { e.state = nil }

// Commit takes the interface up or down as the state that was prepared says, and reads
// the counters. The first one of a tape lets the program see it.
func (e *ExactEndpoint) Commit() (Applied, error) {
	if e.state == nil {
		return Applied{}, fmt.Errorf("apply a step to %v: none is prepared", e.LinkDir)
	}
	foreseen := e.playing
	if e.staged {
		e.tape.Publish()
		e.staged, e.playing = false, true
	}
	s := e.state
	e.state = nil
	first := *e.seq + 1
	e.buf = e.carrier.append(e.buf[:0], e.Dir, s.Carrier, e.seq)
	if len(e.buf) > 0 {
		e.buf = e.acknowledged(e.buf)
		err := e.wire.Send(e.buf)
		if err == nil {
			err = await(e.wire, e.rbuf, first, *e.seq, nil)
		}
		if err != nil {
			e.carrier.known = false
			return Applied{}, fmt.Errorf("set the carrier of %v: %w", e.LinkDir, err)
		}
	}
	// What has left by the step's instant, whenever that is asked for.
	t := e.epoch + e.at
	if !foreseen {
		var err error
		if t, err = now(); err != nil {
			return Applied{}, err
		}
	}
	c, err := e.counters(t)
	if err != nil {
		return Applied{}, err
	}
	return Applied{
		Counters: c, Messages: int(*e.seq + 1 - first), Closed: s.Capacity() == 0, Foreseen: foreseen,
		Told: Told{Exact: true, Rate: s.Capacity(), Path: true, Delay: s.Delay, Jitter: s.Jitter, Loss: s.Loss, GE: s.GE, Down: e.carrier.down},
	}, nil
}

// acknowledged asks for the answer to the last of some messages.
func (e *ExactEndpoint) acknowledged(b []byte) []byte {
	ne := binary.NativeEndian
	mark := 0
	for at := 0; at < len(b); at += alignLen(int(ne.Uint32(b[at:]))) {
		mark = at
	}
	ne.PutUint16(b[mark+flagsOffset:], ne.Uint16(b[mark+flagsOffset:])|nlmFAck)
	return b
}

// Counters reads the counters of the bottleneck. The packets that left are those that
// were let in without what waits, by their mean length.
func (e *ExactEndpoint) Counters() (Counters, error) {
	t, err := now()
	if err != nil {
		return Counters{}, err
	}
	return e.counters(t)
}

// counters are those of the bottleneck, without what waits at an instant of the clock.
func (e *ExactEndpoint) counters(t time.Duration) (Counters, error) {
	c, err := e.program.Counters(e.tape, t)
	if err != nil {
		return Counters{}, fmt.Errorf("read counters of %v: %w", e.LinkDir, err)
	}
	return exactCounters(&c).Counters, nil
}

// exactCounters turns a program's counters into what is reported of any bottleneck.
func exactCounters(c *bpf.Counters) Reading {
	packets := c.Packets[edt.Delivered] + c.Packets[edt.Lost]
	bytes := c.Bytes[edt.Delivered] + c.Bytes[edt.Lost]
	waiting := min(c.Waiting, bytes)
	var queued uint64
	if waiting > 0 {
		queued = uint64(math.Ceil(float64(waiting) * float64(packets) / float64(bytes)))
	}
	return Reading{
		Counters: Counters{
			Bytes: bytes - waiting, Packets: packets - min(queued, packets),
			Drops: c.Packets[edt.Full] + c.Packets[edt.Unknown], BacklogBytes: uint32(min(waiting, math.MaxUint32)),
		},
		BacklogPackets: uint32(queued), PathDrops: c.Packets[edt.Lost],
	}
}

// Beyond is how many packets came whose steps were not known in time, so that they were
// treated as if the last state went on.
func (e *ExactEndpoint) Beyond() (uint64, error) {
	c, err := e.program.Counters(nil, 0)
	return c.Beyond + c.Packets[edt.Unknown], err
}

// exactTold is what a program has been told of an instant, and its queue's limit in
// bytes; 0: none.
func exactTold(t *bpf.Tape, at time.Duration) (told Told, limit int64) {
	s, _ := t.At(at)
	if s.Limit < math.MaxInt64 {
		limit = int64(s.Limit)
	}
	return Told{
		Exact: true, Rate: trace.BitRate(s.Rate), Path: true, Delay: time.Duration(s.Delay), Jitter: time.Duration(s.Jitter),
		Loss: edt.Prob(s.Loss), GE: trace.GE{P: edt.Prob(s.P), R: edt.Prob(s.R), LossGood: edt.Prob(s.LossGood), LossBad: edt.Prob(s.LossBad)},
	}, limit
}

// exactStatus is what the kernel says of a direction of a link with departures by
// arithmetic, and in what that differs from a state that is to be in force; nil: none is
// known.
func (k *kernel) exactStatus(namespace string, l *Link, d trace.Direction, state *trace.State) (s DirStatus, differs []string, err error) {
	r, err := k.room(namespace)
	if err != nil {
		return s, nil, err
	}
	dev := l.exactDevices(d)[0]
	p, err := r.program(dev)
	if err != nil {
		return s, nil, err
	}
	defer p.Close()
	at, err := now()
	if err != nil {
		return s, nil, err
	}
	tape := p.Tape()
	c, err := p.Counters(tape, at)
	if err != nil {
		return s, nil, err
	}
	told, limit := exactTold(tape, at)
	x := exactCounters(&c)
	used := len(c.Waits)
	for used > 0 && c.Waits[used-1] == 0 {
		used--
	}
	s = DirStatus{
		Rate: told.Rate, LimitBytes: limit, BacklogBytes: x.BacklogBytes, Bytes: x.Bytes, Packets: x.Packets, Drops: uint32(x.Drops),
		Delay: told.Delay, Jitter: told.Jitter, Loss: trace.Prob(trace.State{Loss: told.Loss, GE: told.GE}.MeanLoss()), PathDrops: uint32(x.PathDrops),
		Exact: &ExactStats{
			OutageDrops: c.Packets[edt.Outage], Beyond: c.Beyond + c.Packets[edt.Unknown], MaxBacklog: c.Backlog,
			Segmented: c.Segmented, Unstamped: c.Unstamped, QueueTimes: append([]uint64{}, c.Waits[:used]...),
		},
	}
	if state != nil {
		by := &comparison{what: fmt.Sprintf("program on %s in %s", dev, namespace)}
		same(by, "rate", told.Rate, state.Capacity())
		same(by, "delay", told.Delay, state.Delay)
		same(by, "jitter", told.Jitter, state.Jitter)
		by.prob("loss", told.Loss, state.Loss)
		by.gilbert(told.GE, state.GE)
		differs = by.out
	}
	return s, differs, nil
}

// exactDifferences says in what devices and their fq differ from what was set.
func exactDifferences(o AddDepartures, v *view) ([]string, error) {
	var out []string
	want := o.Link.departures().fq
	for _, dev := range o.Devices {
		what := fmt.Sprintf("on %s in %s", dev, o.Namespace)
		q := v.qdiscs[qdiscID{dev, handleBottleneck}]
		if q.Kind != "fq" {
			out = append(out, "missing: fq 1: "+what)
		} else if got, err := DecodeFQ(q.Options); err != nil {
			return nil, fmt.Errorf("fq 1: %s: %w", what, err)
		} else {
			c := &comparison{what: "fq 1: " + what}
			c.fq(&got, want)
			out = append(out, c.out...)
		}
		switch id := v.programs[dev]; {
		case id == 0:
			out = append(out, "missing: the filter with program "+bpf.Name+" "+what)
		case id != v.programs[o.Devices[0]] && v.programs[o.Devices[0]] != 0:
			out = append(out, fmt.Sprintf("program %s: is another one than that on %s, with which it shares the bottleneck", what, o.Devices[0]))
		}
	}
	return out, nil
}

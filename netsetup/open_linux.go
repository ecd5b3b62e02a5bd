package netsetup

import (
	"errors"
	"fmt"
	"sync"

	"linktape/trace"
)

// Run is a run that is opened for change; no one else can change it until it
// is closed.
type Run struct {
	Name     string
	Topology *Topology

	record *record
	unlock func()
	kernel *kernel
	links  map[string]*[2]*Endpoint // by name and direction
	exact  map[string]*[2]*ExactEndpoint

	logs  sync.Mutex
	kicks map[trace.LinkDir]*kickLog
}

// kickLog is what the endpoint of a direction tells meters.
func (r *Run) kickLog(ld trace.LinkDir) *kickLog {
	r.logs.Lock()
	defer r.logs.Unlock()
	l := r.kicks[ld]
	if l == nil {
		l = new(kickLog)
		r.kicks[ld] = l
	}
	return l
}

// Open opens a complete run for change.
func Open(name string) (*Run, error) {
	if _, err := readRecord(name); err != nil {
		return nil, err // without leaving a lock file behind
	}
	unlock, err := lockRun(name)
	if err != nil {
		return nil, err
	}
	r, err := readRecord(name)
	if err == nil {
		var here bool
		if here, err = r.ofThisBoot(); err == nil && !here {
			err = fmt.Errorf("run %s is from before the computer was started again: remove it with linkup down %s", name, name)
		}
	}
	if err == nil && !r.Complete {
		err = fmt.Errorf("run %s was left half-built: remove it with linkup down %s", name, name)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	k := newKernel()
	k.found = r.Found
	return &Run{
		Name: name, Topology: r.Topology, record: r, unlock: unlock,
		kernel: k, links: make(map[string]*[2]*Endpoint), exact: make(map[string]*[2]*ExactEndpoint),
		kicks: make(map[trace.LinkDir]*kickLog),
	}, nil
}

// Close releases the run. The links stay as they are.
func (r *Run) Close() error {
	var errs []error
	for _, both := range r.exact {
		errs = append(errs, closeExact(*both))
	}
	r.kernel.Close()
	r.unlock()
	return errors.Join(errs...)
}

// Endpoint opens one direction of a link. Opening it again returns the same.
func (r *Run) Endpoint(ld trace.LinkDir) (*Endpoint, error) {
	if l := r.links[ld.Link]; l != nil {
		return r.direction(l, ld)
	}
	for i, l := range r.Topology.Links {
		if l.Name != ld.Link {
			continue
		}
		both, err := r.openLink(i, l)
		if err != nil {
			return nil, fmt.Errorf("open link %s of run %s: %w: see linkup status %s", l.Name, r.Name, err, r.Name)
		}
		r.links[l.Name] = both
		return r.direction(both, ld)
	}
	return nil, fmt.Errorf("run %s has no link %s", r.Name, ld.Link)
}

func (r *Run) direction(both *[2]*Endpoint, ld trace.LinkDir) (*Endpoint, error) {
	if both[ld.Dir] == nil {
		return nil, fmt.Errorf("open %v of run %s: the link is built with tree: %s, its way back is a plain wire: leave %v out of the tape, or build it with tree: %s",
			ld, r.Name, TreeEgress, ld, TreeNested)
	}
	return both[ld.Dir], nil
}

// Exact reports whether a link's departures are computed by arithmetic, so that its
// directions are opened by [Run.ExactEndpoint].
func (r *Run) Exact(link string) bool {
	kind, _ := r.Shaper(link)
	return kind == ShaperEDT
}

// ExactEndpoint opens one direction of a link for which [Run.Exact] is true. Opening it
// again returns the same.
func (r *Run) ExactEndpoint(ld trace.LinkDir) (*ExactEndpoint, error) {
	if both := r.exact[ld.Link]; both != nil {
		return both[ld.Dir], nil
	}
	for i, l := range r.Topology.Links {
		if l.Name != ld.Link {
			continue
		}
		both, err := r.openExact(i, l)
		if err != nil {
			return nil, fmt.Errorf("open link %s of run %s: %w: see linkup status %s", l.Name, r.Name, err, r.Name)
		}
		r.exact[l.Name] = &both
		return both[ld.Dir], nil
	}
	return nil, fmt.Errorf("run %s has no link %s", r.Name, ld.Link)
}

// carrierOf is the carrier of a link, whose device at the sender's side is told.
func (r *Run) carrierOf(i int, l Link, ifindex int32) *carrier {
	c := &carrier{ifindex: ifindex}
	macSender := endMAC(r.Name, i, l.Sender, macSender)
	for f, a := range r.Topology.Addresses(i).Sender {
		if (f == 0 || r.Topology.hasIPv6(r.record.Features)) && macSender != nil && !l.Bridge {
			c.neighbours = append(c.neighbours, neighbour{a.Addr(), [6]byte(macSender)})
		}
	}
	return c
}

func (r *Run) openLink(i int, l Link) (*[2]*Endpoint, error) {
	room, err := r.kernel.room(Namespace(r.Name, l.Name))
	if err != nil {
		return nil, err
	}
	if err := withNamespace(room.path, room.conn.dialKicks); err != nil {
		return nil, err
	}
	devices := []string{senderSide, receiverSide}
	if l.Tree == TreeSeparated {
		devices = append(devices, ifbUp, ifbDown)
	}
	index := make(map[string]int32)
	for _, dev := range devices {
		n, err := room.device(dev)
		if err != nil {
			return nil, err
		}
		index[dev] = int32(n)
	}
	c := r.carrierOf(i, l, index[senderSide])
	x := &linkExchange{seq: &room.conn.seq, turn: i % 2}
	open := func(d trace.Direction, ifb, out string) *Endpoint {
		ld := trace.LinkDir{Link: l.Name, Dir: d}
		return newEndpoint(ld, l, room.conn, index[ifb], index[out], c, x, r.kickLog(ld), r.record.Features)
	}
	if l.Tree == TreeSeparated {
		c.ifbs = []int32{index[ifbUp], index[ifbDown]}
		return &[2]*Endpoint{trace.Up: open(trace.Up, ifbUp, receiverSide), trace.Down: open(trace.Down, ifbDown, senderSide)}, nil
	}
	// What waits behind the sender's carrier goes with the device that loses
	// it; what waits before the receiver's is thrown away.
	dev, err := room.links.LinkByName(receiverSide)
	if err != nil {
		return nil, err
	}
	c.flush, c.flushLen = index[receiverSide], uint32(dev.Attrs().TxQLen)
	both := &[2]*Endpoint{trace.Up: open(trace.Up, receiverSide, receiverSide)}
	if l.Tree == TreeNested {
		both[trace.Down] = open(trace.Down, senderSide, senderSide)
	}
	return both, nil
}

// Initial is the state of a direction before any tape: the topology's.
func (r *Run) Initial(ld trace.LinkDir) trace.State {
	for _, l := range r.Topology.Links {
		if l.Name == ld.Link {
			return stateOf(l)
		}
	}
	return stateOf(DefaultLink(ld.Link))
}

// Shaper is the bottleneck of a link, and why it was chosen; the reason is
// empty where it was asked for by name.
func (r *Run) Shaper(link string) (kind ShaperKind, why string) {
	for _, l := range r.Topology.Links {
		if l.Name == link {
			return l.Shaper, l.Why
		}
	}
	return "", ""
}

// Before is the state that the last replay left a direction in, or the
// topology's where there was none. known is false when a replay was killed
// before it could say.
func (r *Run) Before(ld trace.LinkDir) (s trace.State, known bool) {
	if s, ok := r.record.Applied[ld.String()]; ok {
		return s, !r.record.Replaying
	}
	return r.Initial(ld), !r.record.Replaying
}

// BeginReplay records that the states of the links are about to change.
func (r *Run) BeginReplay() error {
	r.record.Replaying = true
	return writeRecord(r.record)
}

// EndReplay records the states that the links were left in.
func (r *Run) EndReplay(left map[trace.LinkDir]trace.State) error {
	if r.record.Applied == nil {
		r.record.Applied = make(map[string]trace.State)
	}
	for ld, s := range left {
		r.record.Applied[ld.String()] = s
	}
	r.record.Replaying = false
	return writeRecord(r.record)
}

package netsetup

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"linktape/trace"
)

// kickBytes is what a size table counts of a kick: an Ethernet header and one
// byte.
const kickBytes = 1

// maxKicks is the number of kicks in a queue whose places are remembered; what
// was kicked beyond is taken as gone at once.
const maxKicks = 1024

// Counters of one direction's bottleneck, since the link was built.
type Counters struct {
	Bytes        uint64 // of IP packets that left
	Packets      uint64 // that left
	Drops        uint64 // packets that found the queue full
	BacklogBytes uint32 // of IP packets in the queue
}

// wire is an endpoint's way to the kernel.
type wire interface {
	transport
	// Kick makes a device look at its queue, by a frame that nobody receives.
	Kick(ifindex int32) (kickOutcome, error)
}

// kickOutcome is what became of the frame of a kick.
type kickOutcome uint8

const (
	kickQueued  kickOutcome = iota // it waits in the queue, or has passed it
	kickDropped                    // it found the queue full, which was looked at all the same
	kickRefused                    // it was not sent: too many wait in the queue already
)

// Endpoint is one direction of one link, opened for change. It is not safe for
// concurrent use; neither are the two endpoints of one link together.
type Endpoint struct {
	trace.LinkDir

	wire    wire
	ifb     int32 // carries the bottleneck
	out     int32 // carries the path
	shaper  *shaper
	path    *path    // nil: the link has none, or a nested one
	nested  *nested  // nil: the link has none, or a separated one
	doubles bool     // the path can duplicate packets
	carrier *carrier // shared by both directions

	seq    *uint32 // shared by both directions, as the wire is
	shared *linkExchange
	staged staged
	buf    []byte
	rbuf   []byte
	info   QdiscInfo
	kicks  Counters // what our own kicks added to the kernel's
	queued []uint64 // for each kick in the queue, the kernel's count of bytes when it has left
	log    *kickLog // for meters
	last   Counters
	lastAt time.Duration // of the step at which the counters were read last; −1: none yet
	busyAt time.Duration // of the last step at which they found a backlog
	steps  int           // prepared

	single     bool   // bottleneck and path on one device
	overlimits uint32 // when the counters were read last
	limited    bool   // the bucket holds packets back, of a single device's backlog
}

// Applied is what became of a step.
type Applied struct {
	Counters      // at the change
	Carried  bool // they are those of the step before, whose queue was empty: they were not read
	Messages int  // netlink messages that it took
	Closed   bool // the bottleneck holds its queue: a stall, or less than a packet granted
	Kicked   bool // the queue was woken
	Shared   bool // it went out in the system call of the link's other direction, just before
	Told     Told // what the kernel has been told by now
	Foreseen bool // it was told ahead and came into force of itself, when it was due
}

// newEndpoint makes an endpoint of a link whose path f says the abilities of. A
// tree on one device has it for both ifb and out.
func newEndpoint(ld trace.LinkDir, l Link, w wire, ifb, out int32, c *carrier, x *linkExchange, kicks *kickLog, f Features) *Endpoint {
	e := &Endpoint{
		LinkDir: ld, wire: w, ifb: ifb, out: out, shaper: newShaper(l), carrier: c, seq: x.seq, shared: x,
		buf: make([]byte, 0, 4096), rbuf: make([]byte, 16384), queued: make([]uint64, 0, maxKicks), log: kicks, lastAt: -1, busyAt: -idleFor,
		single: l.Tree != TreeSeparated,
	}
	switch {
	case !f.Netem || l.Path == PathNone:
	case e.single: // its one netem duplicates on every kernel
		e.nested, e.doubles = newNested(l, ld.Dir), true
	default:
		e.path, e.doubles = newPath(&l, ld.Dir), f.NetemDuplicate
	}
	e.forget() // a replay before may have left anything
	return e
}

// forget makes the next Apply tell everything, whatever was told before.
func (e *Endpoint) forget() {
	e.shaper.forget()
	if e.path != nil {
		e.path.forget()
	}
	if e.nested != nil {
		e.nested.forget()
	}
	e.carrier.known = false
}

// Supports returns nil where the kernel can be told a state, and else an
// [ErrNotSupported] that says what is missing.
func (e *Endpoint) Supports(s *trace.State) error {
	switch {
	case e.path == nil && e.nested == nil && s.NeedsPath():
		return fmt.Errorf("%w: netem, which the link was built without", ErrNotSupported)
	case s.Duplicate != 0 && !e.doubles:
		return fmt.Errorf("%w: a netem that duplicates above another one (%s)", ErrNotSupported, featureDuplicate)
	}
	return nil
}

// Seed makes the path's losses a function of the seed from the next change on.
func (e *Endpoint) Seed(seed uint64) {
	if e.path != nil {
		e.path.reseed(seed)
	}
	if e.nested != nil {
		e.nested.reseed(seed)
	}
}

// Apply tells the kernel a state that holds from at, an offset on the replay's
// clock, for a time; hold 0 means until further notice, a second or more. It is
// [Endpoint.Prepare] and [Endpoint.Commit].
//
// All messages go out in one system call, and Apply returns when the kernel
// has worked through them. Without carrier the interface is down, whatever the
// rate, and what waited in the bottlenecks is lost. A step that lets a held queue go wakes it. Apply
// does not allocate unless it fails.
//
// Errors: [ErrNotSupported] as [Endpoint.Supports] says it; a [KernelError] where the kernel refuses. The state may then be
// half-applied; the next Apply tells everything anew.
func (e *Endpoint) Apply(at, hold time.Duration, s *trace.State) (Applied, error) {
	if err := e.Prepare(at, hold, s); err != nil {
		return Applied{}, err
	}
	return e.Commit()
}

// held is the backlog in bytes that waits for the bucket after a step that was
// granted something. On one device the backlog includes what is on its way.
// TBF counts an overlimit when it holds a packet back (sch_tbf.c: tbf_dequeue),
// and goes on holding it until something leaves; HTB does not count, and holds
// packets back where it has passed on all it was granted, or nothing.
func (e *Endpoint) held(now Counters, g grant) uint32 {
	if !e.single {
		return now.BacklogBytes
	}
	served := now.Bytes - e.last.Bytes
	if e.shaper.link.Shaper == ShaperHTB {
		e.limited = served == 0 || float64(served) >= g.bytes-2*e.shaper.budget.mtu
	} else {
		e.limited = e.info.Overlimits != e.overlimits || e.limited && served == 0
		e.overlimits = e.info.Overlimits
	}
	if !e.limited {
		return 0
	}
	return now.BacklogBytes
}

// Counters reads the counters of the bottleneck.
func (e *Endpoint) Counters() (Counters, error) {
	e.buf = e.appendRead(e.buf[:0])
	err := e.wire.Send(e.buf)
	if err == nil {
		err = await(e.wire, e.rbuf, *e.seq, *e.seq, &e.info)
	}
	if err != nil {
		e.forget()
		return Counters{}, fmt.Errorf("read counters of %v: %w", e.LinkDir, err)
	}
	return e.count(), nil
}

// appendRead asks for the bottleneck's counters.
func (e *Endpoint) appendRead(b []byte) []byte {
	*e.seq++
	b, start := AppendTC(b, Message{Type: rtmGetQdisc, Flags: nlmFRequest | nlmFEcho, Seq: *e.seq},
		TC{Ifindex: e.ifb, Handle: handleBottleneck, Parent: parentRoot})
	return FinishMessage(b, start)
}

// count takes our own kicks out of what the kernel has counted.
func (e *Endpoint) count() Counters {
	n := 0
	for n < len(e.queued) && (e.info.BacklogBytes == 0 || e.info.Bytes >= e.queued[n]) {
		n++
	}
	e.queued = e.queued[:copy(e.queued, e.queued[n:])]
	e.kicks.Bytes += uint64(n * kickBytes)
	e.kicks.Packets += uint64(n)
	less := func(n, kicks uint64) uint64 { return n - min(n, kicks) }
	return Counters{
		Bytes: less(e.info.Bytes, e.kicks.Bytes), Packets: less(e.info.Packets, e.kicks.Packets),
		Drops:        less(uint64(e.info.Drops), e.kicks.Drops),
		BacklogBytes: uint32(less(uint64(e.info.BacklogBytes), uint64(len(e.queued)*kickBytes))),
	}
}

// kick wakes the queue and reports whether it could: a socket that has filled
// a slow queue with kicks has woken it often enough.
func (e *Endpoint) kick() (bool, error) {
	switch outcome, err := e.wire.Kick(e.ifb); {
	case err != nil:
		return false, fmt.Errorf("wake the queue: %w", err)
	case outcome == kickRefused:
		return false, nil
	case outcome == kickDropped:
		e.kicks.Drops++
		e.log.dropped.Add(1)
		return true, nil
	}
	// It leaves after what was in front of it.
	place := e.info.Bytes + uint64(e.info.BacklogBytes) + kickBytes
	e.log.enqueued(place)
	if len(e.queued) < cap(e.queued) {
		e.queued = append(e.queued, place)
	} else {
		e.kicks.Bytes += kickBytes
		e.kicks.Packets++
	}
	return true, nil
}

func (e *Endpoint) failed(s *trace.State, err error) error {
	return fmt.Errorf("set %v to rate %v, delay %v, loss %v: %w", e.LinkDir, s.Rate, s.Delay, trace.Prob(s.MeanLoss()), err)
}

// carrier takes the interface down while either direction says so. It is the
// router's end of the sender's veth that goes down: the sender's device loses
// its carrier and keeps its addresses and routes, as a device whose modem is
// gone. The IFBs go down with it, and what waited in the bottlenecks is lost
// (net/sched/sch_generic.c: dev_deactivate).
type carrier struct {
	ifindex    int32   // of the router's end
	ifbs       []int32 // of the bottlenecks; none where they are on the devices themselves
	flush      int32   // device whose queue is thrown away instead; 0: none
	flushLen   uint32  // its txqueuelen, in packets
	lost       [2]bool // by direction
	down       bool    // in the kernel, if known
	known      bool
	neighbours []neighbour
}

// neighbour is a permanent neighbour, which the kernel forgets when the device
// goes down.
type neighbour struct {
	addr netip.Addr
	mac  [6]byte
}

// append writes the messages that a direction's carrier needs; none where the
// interface stays as it is.
func (c *carrier) append(b []byte, d trace.Direction, present bool, seq *uint32) []byte {
	c.lost[d] = !present
	down := c.lost[trace.Up] || c.lost[trace.Down]
	if c.known && down == c.down {
		return b
	}
	c.down, c.known = down, true
	for _, i := range c.ifbs {
		b = appendUp(b, i, !down, seq)
	}
	b = appendUp(b, c.ifindex, !down, seq)
	if down {
		if c.flush != 0 {
			// A change of the length deactivates the device, which empties its
			// qdiscs, and leaves its routes (net/core/dev.c: dev_change_tx_queue_len).
			b = appendTxQueueLen(b, c.flush, c.flushLen+1, seq)
			b = appendTxQueueLen(b, c.flush, c.flushLen, seq)
		}
		return b
	}
	for i := range c.neighbours {
		*seq++
		b = c.neighbours[i].append(b, c.ifindex, *seq)
	}
	return b
}

// appendUp writes RTM_NEWLINK, which takes a device up or down
// (net/core/rtnetlink.c: do_setlink).
func appendUp(b []byte, ifindex int32, up bool, seq *uint32) []byte {
	const iffUp = 1 // IFF_UP
	var flags uint32
	if up {
		flags = iffUp
	}
	ne := binary.NativeEndian
	*seq++
	b, start := appendHeader(b, rtmNewLink, nlmFRequest, *seq)
	b = ne.AppendUint32(b, 0) // ifi_family, padding, ifi_type
	b = ne.AppendUint32(b, uint32(ifindex))
	b = ne.AppendUint32(b, flags)
	b = ne.AppendUint32(b, iffUp) // ifi_change
	return FinishMessage(b, start)
}

// appendTxQueueLen writes RTM_NEWLINK, which sets a device's txqueuelen.
func appendTxQueueLen(b []byte, ifindex int32, packets uint32, seq *uint32) []byte {
	const iflaTxQLen = 13 // IFLA_TXQLEN
	ne := binary.NativeEndian
	*seq++
	b, start := appendHeader(b, rtmNewLink, nlmFRequest, *seq)
	b = ne.AppendUint32(b, 0) // ifi_family, padding, ifi_type
	b = ne.AppendUint32(b, uint32(ifindex))
	b = ne.AppendUint64(b, 0) // ifi_flags, ifi_change
	b = appendAttrU32(b, iflaTxQLen, packets)
	return FinishMessage(b, start)
}

// append writes RTM_NEWNEIGH (net/core/neighbour.c: neigh_add).
func (n *neighbour) append(b []byte, ifindex int32, seq uint32) []byte {
	const (
		ndaDst       = 1    // NDA_DST
		ndaLladdr    = 2    // NDA_LLADDR
		nudPermanent = 0x80 // NUD_PERMANENT
		afInet       = 2
		afInet6      = 10
	)
	ne := binary.NativeEndian
	family := byte(afInet)
	if n.addr.Is6() {
		family = afInet6
	}
	b, start := appendHeader(b, rtmNewNeigh, nlmFRequest|nlmFCreate|nlmFReplace, seq)
	b = append(b, family, 0, 0, 0)
	b = ne.AppendUint32(b, uint32(ifindex))
	b = ne.AppendUint16(b, nudPermanent)
	b = append(b, 0, 0) // ndm_flags, ndm_type
	if n.addr.Is6() {
		a := n.addr.As16()
		b = append(appendAttrHeader(b, ndaDst, len(a)), a[:]...)
	} else {
		a := n.addr.As4()
		b = append(appendAttrHeader(b, ndaDst, len(a)), a[:]...)
	}
	b = append(appendAttrHeader(b, ndaLladdr, len(n.mac)), n.mac[:]...)
	b = appendPad(b, len(n.mac))
	return FinishMessage(b, start)
}

// appendHeader writes a netlink header; FinishMessage sets its length.
func appendHeader(b []byte, typ, flags uint16, seq uint32) (out []byte, start int) {
	start = len(b)
	ne := binary.NativeEndian
	b = ne.AppendUint32(b, 0)
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, flags)
	b = ne.AppendUint32(b, seq)
	return ne.AppendUint32(b, 0), start
}

// leastStep is about how long a qdisc takes to be told something on a busy
// machine: what is over sooner is undone before any packet has gone.
const leastStep = 50 * time.Microsecond

// LeastStep is the shortest step that lets packets through which the endpoint's
// bottleneck can be told; it depends on neither its kind nor the rate.
func (e *Endpoint) LeastStep() time.Duration { return leastStep }

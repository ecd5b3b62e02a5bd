package netsetup

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// ShaperKind names the bottleneck of a link.
type ShaperKind string

// The bottlenecks.
const (
	ShaperAuto ShaperKind = "auto" // tbf, htb or pulse, as the tape's steps and rates need it: [ChooseShaper]
	ShaperTBF  ShaperKind = "tbf"  // token bucket (net/sched/sch_tbf.c), granted step by step
	ShaperHTB  ShaperKind = "htb"  // hierarchical token bucket (net/sched/sch_htb.c), gated by a TBF leaf
	ShaperCAKE ShaperKind = "cake" // CAKE (net/sched/sch_cake.c) below a token bucket, which grants step by step

	// ShaperPulse gives the bytes of each tick at once (a token bucket over
	// net/sched/sch_plug.c): delivery opportunities, as Mahimahi has them.
	ShaperPulse ShaperKind = "pulse"

	// ShaperEDT is the exact backend: a program computes each packet's departure from
	// the tape when it arrives, and fq (net/sched/sch_fq.c) lets it go then.
	ShaperEDT ShaperKind = "edt"
)

// BackendQdisc is what a topology calls every bottleneck but [ShaperEDT].
const BackendQdisc = "qdisc"

// PathKind says how a link delays and loses packets.
type PathKind string

// The paths.
const (
	PathAuto  PathKind = "auto"  // netem where the kernel has it, else nothing
	PathNetem PathKind = "netem" // netem; an error where the kernel lacks it
	PathNone  PathKind = "none"  // nothing: the link has a rate only
)

// TreeKind says how the qdiscs of a link are put together.
type TreeKind string

// The trees.
const (
	TreeSeparated TreeKind = "separated" // bottleneck on an IFB, path on the device behind it: delays add up
	TreeNested    TreeKind = "nested"    // the path below the bottleneck on one device, without IFB: the longer delay counts
	TreeEgress    TreeKind = "egress"    // nested from the sender to the receiver; the way back is a plain wire
)

// Defaults of a link that the topology does not describe further.
const (
	DefaultRate       = 1 * trace.Gbit
	DefaultMTU        = 1500
	DefaultQueueBytes = 150 * DefaultMTU
)

// Bounds of a topology.
const (
	MaxLinks = 256
	MaxHops  = 16
	MinMTU   = 1280 // the least that IPv6 allows (RFC 8200, section 5)
	MaxMTU   = 9000
	MaxQueue = 1 << 30 // bytes
)

// Link describes how one link is made.
type Link struct {
	Name   string        `json:"name"`
	Shaper ShaperKind    `json:"shaper"`
	Queue  trace.Queue   `json:"queue"`     // of the bottleneck, in each direction
	MTU    int           `json:"mtu_bytes"` // of an IP packet
	Path   PathKind      `json:"path"`
	Rate   trace.BitRate `json:"rate_bit_s"` // until a tape says otherwise, in each direction
	Delay  time.Duration `json:"delay_ns"`   // one way, until a tape says otherwise, in each direction

	// Why says how auto came to Shaper; empty where it was asked for by name.
	Why string `json:"shaper_why,omitempty"`

	CAKE CAKEOptions `json:"cake,omitzero"` // of a queue of kind cake

	// Tick is the longest time from one pulse of ShaperPulse to the next, MinTick
	// to MaxTick; 0: DefaultTick. A tape's step that is longer is cut into ticks.
	Tick time.Duration `json:"tick_ns,omitempty"`

	// OnlyQdiscs keeps ShaperAuto from ShaperEDT: backend: qdisc, said in so many words.
	OnlyQdiscs bool `json:"only_qdiscs,omitempty"`

	// Window is the number of steps of the tape that the kernel holds at once with
	// ShaperEDT, in each direction, rounded up to a power of two; 0: DefaultWindow.
	Window int `json:"window_steps,omitempty"`

	Impair Impairments `json:"impairments,omitzero"` // of the path

	Tree TreeKind `json:"tree"`

	Bridge bool `json:"bridge,omitempty"` // transparent: the link has a bridge in place of its router
	Hops   int  `json:"hops,omitempty"`   // further routers on the way to the receiver
	Cross  bool `json:"cross,omitempty"`  // a namespace at the router whose traffic shares the bottlenecks

	Sender   LinkEnd `json:"sender,omitzero"`
	Receiver LinkEnd `json:"receiver,omitzero"`
}

// UseShaper sets the shaper, and the queue that goes with it: cake has a queue
// of its own, whose limit is the one that was set.
func (l *Link) UseShaper(kind ShaperKind) {
	unset := trace.Queue{Kind: trace.DropTail, LimitBytes: DefaultQueueBytes}
	switch {
	case kind == ShaperCAKE && (l.Queue == unset || l.Queue.Kind == CAKEQueue):
		l.Queue = trace.Queue{Kind: CAKEQueue}
	case kind == ShaperCAKE:
		l.Queue.Kind = CAKEQueue
	case kind == ShaperPulse: // any queue
	case kind == ShaperEDT && l.Queue.Kind != CAKEQueue:
		l.Queue.Kind = trace.DropTail
	case l.Queue == trace.Queue{Kind: CAKEQueue}:
		l.Queue = unset
	case l.Queue.Kind == CAKEQueue:
		l.Queue.Kind = trace.DropTail
	}
	l.Shaper = kind
}

// Topology is a set of links between one sender and one receiver.
type Topology struct {
	Sender   End   `json:"sender,omitzero"`
	Receiver End   `json:"receiver,omitzero"`
	IPv6     *bool `json:"ipv6,omitempty"` // nil: where the kernel has it

	// Automatic addresses are taken from these; zero: the defaults.
	Network  netip.Prefix `json:"network,omitzero"`
	Network6 netip.Prefix `json:"network6,omitzero"`

	Links []Link `json:"links"`
}

// DefaultLink returns a link with the given name and every default.
func DefaultLink(name string) Link {
	return Link{
		Name: name, Shaper: ShaperAuto, MTU: DefaultMTU, Path: PathAuto, Rate: DefaultRate, Tree: TreeSeparated,
		Queue: trace.Queue{Kind: trace.DropTail, LimitBytes: DefaultQueueBytes},
	}
}

// stateOf is a link's state until a tape says otherwise.
func stateOf(l Link) trace.State {
	m := &l.Impair
	return trace.State{
		Rate: l.Rate, Delay: l.Delay, Jitter: m.Jitter, Loss: m.Loss, GE: m.GE,
		Duplicate: m.Duplicate, Corrupt: m.Corrupt, Reorder: m.Reorder, Carrier: true,
	}
}

// ReadTopology reads a topology file; see [ParseTopology].
func ReadTopology(file string) (*Topology, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseTopology(file, data)
}

// ParseTopology decodes a topology:
//
//	links:
//	  att: {}               # every default
//	  vzw:
//	    shaper: htb         # auto (default), tbf, htb, pulse, cake or edt
//	    queue: 300KB        # or a duration, which follows the rate: 200ms; or {limit: 200ms, kind: codel}
//	    mtu: 1500
//	    path: netem         # auto (default), netem or none; or a mapping of what it does, docs/paths.md
//	    rate: 20Mbit        # until a tape says otherwise
//	    delay: 35ms
//
// docs/topology.md describes every key. Its errors name file, line and column of every fault.
func ParseTopology(name string, data []byte) (*Topology, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	root := doc.Root().Map()
	links := root.Require("links")
	t := new(Topology)
	if n, ok := root.Get("sender"); ok {
		t.Sender = parseEnd(n, false)
	}
	if n, ok := root.Get("receiver"); ok {
		t.Receiver = parseEnd(n, true)
	}
	if n, ok := root.Get("ipv6"); ok {
		on := n.Bool()
		t.IPv6 = &on
	}
	n := min(links.Map().Len(), MaxLinks)
	t.Network, t.Network6 = parseNetwork(root, "network", 0, n), parseNetwork(root, "network6", 1, n)
	var nodes []linkNodes
	links.Map().Each(func(key, value conf.Node) {
		l, at := parseLink(key, value, doc, filepath.Dir(name))
		t.Links, nodes = append(t.Links, l), append(nodes, at)
		if len(t.Links) == MaxLinks+1 {
			key.Errorf("more than %d links", MaxLinks)
		}
	})
	if len(t.Links) == 0 {
		links.Errorf("no links: name at least one, such as att: {}")
	}
	root.Done()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	t.checkTogether(root, nodes)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

func parseLink(key, value conf.Node, doc *conf.Doc, dir string) (Link, linkNodes) {
	l := DefaultLink(key.Name())
	before := faults(doc)
	if l.Name == SenderEnd || l.Name == ReceiverEnd {
		key.Errorf("%s names an end of every run: choose another name for the link", l.Name)
	}
	m := value.Map()
	if n, ok := m.Get("shaper"); ok {
		l.Shaper = ShaperKind(n.OneOf(string(ShaperAuto), string(ShaperTBF), string(ShaperHTB), string(ShaperCAKE), string(ShaperPulse), string(ShaperEDT)))
	}
	if n, ok := m.Get("backend"); ok {
		switch backend := n.OneOf(BackendQdisc, string(ShaperEDT)); {
		case n.Failed():
		case backend == string(ShaperEDT) && l.Shaper != ShaperAuto && !l.exact():
			n.Errorf("backend %s takes the place of shaper %s: write one of them", backend, l.Shaper)
		case backend == BackendQdisc && l.exact():
			n.Errorf("shaper %s is another backend: write one of them", l.Shaper)
		case backend == string(ShaperEDT):
			l.Shaper = ShaperEDT
		default:
			l.OnlyQdiscs = true
		}
	}
	if n, ok := m.Get("window"); ok {
		l.Window = int(min(max(n.Int(), -1), MaxWindow+1))
		switch {
		case n.Failed():
		case !l.exact():
			n.Errorf("a window is of the tape in the kernel: write backend: edt beside it, or leave it out")
		case l.Window < MinWindow || l.Window > MaxWindow:
			n.Errorf("window outside %d to %d steps", MinWindow, MaxWindow)
		}
	}
	cakeNode, hasCAKE := m.Get("cake")
	if hasCAKE {
		l.CAKE = parseCAKE(cakeNode)
	}
	if n, ok := m.Get("tick"); ok {
		l.Tick = n.Duration()
		switch {
		case n.Failed():
		case !l.pulsed():
			n.Errorf("a tick is of pulses: write shaper: pulse beside it, or leave it out")
		case l.Tick < MinTick || l.Tick > MaxTick:
			n.Errorf("tick outside %v to %v", MinTick, MaxTick)
		}
	}
	pathNode, hasPath := m.Get("path")
	if hasPath && !pathNode.IsMap() {
		l.Path = PathKind(pathNode.OneOf(string(PathAuto), string(PathNetem), string(PathNone)))
	}
	if n, ok := m.Get("mtu"); ok {
		l.MTU = int(min(n.Int(), MaxMTU+1))
		if !n.Failed() && (l.MTU < MinMTU || l.MTU > MaxMTU) {
			n.Errorf("mtu outside %d to %d bytes", MinMTU, MaxMTU)
		}
	}
	if n, ok := m.Get("rate"); ok {
		l.Rate = n.Rate()
	}
	if n, ok := m.Get("delay"); ok {
		l.Delay = n.Duration()
		if !n.Failed() && l.Delay > 0 && l.Path == PathNone {
			n.Errorf("a delay needs a path: write path: netem, or leave the delay out")
		}
	}
	if pathNode.IsMap() {
		parsePath(pathNode, &l, doc, dir)
	}
	if n, ok := m.Get("queue"); ok {
		l.Queue = parseQueue(n, l.Shaper, l.MTU)
	} else {
		l.UseShaper(l.Shaper)
	}
	if hasCAKE && l.Queue.Kind != CAKEQueue {
		cakeNode.Errorf("these are parameters of CAKE: write shaper: cake beside them, or leave them out")
	}
	at := linkNodes{key: key}
	l.parseShape(m, &at)
	if name, err := l.unfit(); err != nil && faults(doc) == before {
		n, ok := m.Get(name)
		if !ok {
			n = key
		}
		n.Errorf("%v", err)
	}
	m.Done()
	return l, at
}

func parseCAKE(n conf.Node) (o CAKEOptions) {
	m := n.Map()
	if n, ok := m.Get("diffserv"); ok {
		o.Diffserv = n.OneOf(cakeDiffservWords[:]...)
	}
	if n, ok := m.Get("flows"); ok {
		o.Flows = n.OneOf(cakeFlowWords[:]...)
	}
	if n, ok := m.Get("rtt"); ok {
		o.RTT = n.Duration()
		if !n.Failed() && (o.RTT < MinCAKERTT || o.RTT > MaxCAKERTT) {
			n.Errorf("rtt outside %v to %v", MinCAKERTT, MaxCAKERTT)
		}
	}
	m.Done()
	return o
}

// parseQueue reads a queue: its limit alone, or a mapping of limit and kind.
func parseQueue(n conf.Node, shaper ShaperKind, mtu int) trace.Queue {
	kind, limit := trace.DropTail, n
	if shaper == ShaperCAKE {
		kind = CAKEQueue
	}
	if n.IsMap() {
		m := n.Map()
		var has bool
		limit, has = m.Get("limit")
		if k, ok := m.Get("kind"); ok {
			word := trace.QueueKind(k.OneOf(string(trace.DropTail), string(CoDel), string(CAKEQueue)))
			switch {
			case k.Failed():
			case shaper == ShaperCAKE:
				k.Errorf("CAKE has a queue of its own: leave the kind out, or choose another shaper")
			case word == CAKEQueue && shaper != ShaperPulse:
				k.Errorf("%s does not go over CAKE: write shaper: cake without a kind, or shaper: pulse", shaper)
			default:
				kind = word
			}
		}
		if !has && kind != CAKEQueue {
			limit = m.Require("limit")
		}
		m.Done()
		if !has && kind == CAKEQueue {
			return trace.Queue{Kind: CAKEQueue}
		}
	}
	q, err := queueOf(limit.String(), kind, mtu)
	if err != nil && !limit.Failed() {
		limit.Errorf("%v", err)
	}
	return q
}

// ParseQueue reads the limit of a drop-tail queue, a size such as "300KB" or a
// waiting time at the link's rate such as "200ms", and checks it against the
// link's MTU in bytes.
func ParseQueue(s string, mtu int) (trace.Queue, error) { return queueOf(s, trace.DropTail, mtu) }

func queueOf(s string, kind trace.QueueKind, mtu int) (trace.Queue, error) {
	q := trace.Queue{Kind: kind}
	var err error
	if q.LimitTime, err = time.ParseDuration(s); err != nil {
		if q.LimitBytes, err = trace.ParseBytes(s); err != nil {
			return q, fmt.Errorf("queue %q: write a size such as 300KB or a duration such as 200ms", s)
		}
	}
	if q.LimitBytes == 0 && q.LimitTime == 0 && kind == CAKEQueue {
		return q, fmt.Errorf("queue %q: leave it out for CAKE's own choice", s)
	}
	if err := checkQueue(q, mtu); err != nil {
		return q, fmt.Errorf("queue %q: %w", s, err)
	}
	return q, nil
}

// checkQueue verifies a queue against the MTU of its link.
func checkQueue(q trace.Queue, mtu int) error {
	least := leastQueue(q.Kind, mtu)
	switch {
	case q.Kind != trace.DropTail && q.Kind != CoDel && q.Kind != CAKEQueue:
		return fmt.Errorf("unknown kind %q: only %q, %q and %q can be built", q.Kind, trace.DropTail, CoDel, CAKEQueue)
	case q.Kind == CAKEQueue && q.LimitBytes == 0 && q.LimitTime == 0:
		return nil
	case q.LimitBytes != 0 && q.LimitTime != 0:
		return errors.New("limits in bytes and in time: set one")
	case q.LimitTime != 0 && (q.LimitTime < time.Millisecond || q.LimitTime > time.Minute):
		return errors.New("outside 1ms to 1m")
	case q.LimitTime == 0 && q.Kind == CAKEQueue && (q.LimitBytes < least || q.LimitBytes > MaxQueue):
		return fmt.Errorf("outside two packets in the kernel's memory (%d bytes) to %d bytes", least, MaxQueue)
	case q.LimitTime == 0 && (q.LimitBytes < least || q.LimitBytes > MaxQueue):
		return fmt.Errorf("outside two packets (%d bytes) to %d bytes", least, MaxQueue)
	}
	return nil
}

// LinksOf returns the topology of a timeline's links, with its queues, slots and
// order of packets.
func LinksOf(meta trace.Meta) *Topology {
	t := new(Topology)
	for _, l := range meta.Links {
		link := DefaultLink(l.Name)
		if l.Queue != nil && *l.Queue != (trace.Queue{}) {
			link.Queue = *l.Queue
		}
		if s := l.Slot; s != nil {
			link.Impair.Slots = NetemSlots{MinDelay: s.Min, MaxDelay: s.Max, MaxPackets: int32(s.Packets), MaxBytes: int32(s.Bytes)}
		}
		link.Impair.Overtake = l.Overtake
		t.Links = append(t.Links, link)
	}
	return t
}

// Check verifies what [ParseTopology] cannot have let through, for topologies
// that were made in code.
func (t *Topology) Check() error {
	if len(t.Links) == 0 || len(t.Links) > MaxLinks {
		return fmt.Errorf("topology: %d links: need 1 to %d", len(t.Links), MaxLinks)
	}
	seen := make(map[string]bool)
	for _, l := range t.Links {
		if err := trace.CheckName(l.Name); err != nil {
			return fmt.Errorf("topology: link: %w", err)
		}
		switch {
		case seen[l.Name]:
			return fmt.Errorf("topology: link %s: named twice", l.Name)
		case l.Name == SenderEnd || l.Name == ReceiverEnd:
			return fmt.Errorf("topology: link %s: the name is kept for an end: choose another", l.Name)
		case l.Shaper != ShaperAuto && l.Shaper != ShaperTBF && l.Shaper != ShaperHTB && l.Shaper != ShaperCAKE && l.Shaper != ShaperPulse && !l.exact():
			return fmt.Errorf("topology: link %s: unknown shaper %q: set %s, %s, %s, %s, %s or %s", l.Name, l.Shaper, ShaperAuto, ShaperTBF, ShaperHTB, ShaperCAKE, ShaperPulse, ShaperEDT)
		case (l.Shaper == ShaperCAKE) != (l.Queue.Kind == CAKEQueue) && !l.pulsed():
			return fmt.Errorf("topology: link %s: shaper %s with a queue of kind %q: shaper %s has kind %q, %s may have it, and no other", l.Name, l.Shaper, l.Queue.Kind, ShaperCAKE, CAKEQueue, ShaperPulse)
		case l.Tick != 0 && !l.pulsed():
			return fmt.Errorf("topology: link %s: a tick with shaper %s: only %s has one", l.Name, l.Shaper, ShaperPulse)
		case l.Tick != 0 && (l.Tick < MinTick || l.Tick > MaxTick):
			return fmt.Errorf("topology: link %s: tick %v: outside %v to %v", l.Name, l.Tick, MinTick, MaxTick)
		case l.CAKE != (CAKEOptions{}) && l.Queue.Kind != CAKEQueue:
			return fmt.Errorf("topology: link %s: parameters of CAKE with shaper %s: set shaper %s or leave them out", l.Name, l.Shaper, ShaperCAKE)
		case l.CAKE.RTT != 0 && (l.CAKE.RTT < MinCAKERTT || l.CAKE.RTT > MaxCAKERTT):
			return fmt.Errorf("topology: link %s: cake: rtt %v: outside %v to %v", l.Name, l.CAKE.RTT, MinCAKERTT, MaxCAKERTT)
		case l.Path != PathAuto && l.Path != PathNetem && l.Path != PathNone:
			return fmt.Errorf("topology: link %s: unknown path %q: set %s, %s or %s", l.Name, l.Path, PathAuto, PathNetem, PathNone)
		case l.MTU < MinMTU || l.MTU > MaxMTU:
			return fmt.Errorf("topology: link %s: mtu %d: outside %d to %d bytes", l.Name, l.MTU, MinMTU, MaxMTU)
		case l.Rate < 0 || l.Rate > trace.MaxRate:
			return fmt.Errorf("topology: link %s: rate %d bit/s: outside 0 to %v", l.Name, int64(l.Rate), trace.MaxRate)
		case l.Delay < 0:
			return fmt.Errorf("topology: link %s: delay %v: negative", l.Name, l.Delay)
		case l.Delay > 0 && l.Path == PathNone:
			return fmt.Errorf("topology: link %s: a delay needs a path: set path %s or leave the delay out", l.Name, PathNetem)
		case l.Path == PathNone && !l.Impair.none():
			return fmt.Errorf("topology: link %s: impairments need a path: set path %s or leave them out", l.Name, PathNetem)
		}
		if err := checkQueue(l.Queue, l.MTU); err != nil {
			return fmt.Errorf("topology: link %s: queue: %w", l.Name, err)
		}
		if _, _, err := l.CAKE.modes(); err != nil {
			return fmt.Errorf("topology: link %s: %w", l.Name, err)
		}
		if err := l.checkPath(); err != nil {
			return fmt.Errorf("topology: link %s: path: %w", l.Name, err)
		}
		if err := l.checkExact(); err != nil {
			return fmt.Errorf("topology: link %s: %w", l.Name, err)
		}
		if err := l.checkShape(); err != nil {
			return fmt.Errorf("topology: link %s: %w", l.Name, err)
		}
		seen[l.Name] = true
	}
	return t.checkEnds()
}

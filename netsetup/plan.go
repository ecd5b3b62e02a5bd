package netsetup

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"linktape/trace"
)

// Names of the two ends of a run.
const (
	SenderEnd   = "snd"
	ReceiverEnd = "rcv"
)

// Devices of a link inside its router namespace.
const (
	senderSide   = "s0"       // towards the sender
	receiverSide = "r0"       // towards the receiver
	ifbUp        = "ifb-up"   // bottleneck, sender → receiver
	ifbDown      = "ifb-down" // bottleneck, receiver → sender
	crossSide    = "c0"       // towards the cross traffic
	bridgeDevice = "br0"      // of a bridged link
)

// ifbQueueLen is the IFB's own queue between its qdisc and re-injection, in
// packets. The default of 32 would stop the device (drivers/net/ifb.c:
// ifb_xmit).
const ifbQueueLen = 1000

// Namespace returns the name of a namespace of a run: of an end or of a link.
// Its dots keep the parts apart, since no name holds one.
func Namespace(run, part string) string { return "lt." + run + "." + part }

// EndDevice returns the name of a link's device in the run's own ends; index is
// the link's place in the topology.
func EndDevice(index int) string { return fmt.Sprintf("w%d", index) }

// foreignDevice is its name in an end that is not the run's own, where it must
// not clash with others.
func foreignDevice(run string, index int) string { return fmt.Sprintf("lt-%s-%d", run, index) }

// endDevice returns the name of a link's device in an end.
func endDevice(e End, run string, index int) string {
	if e.Own() {
		return EndDevice(index)
	}
	return foreignDevice(run, index)
}

// Op is one step of a plan. Its String is the equivalent ip, tc, sysctl or
// ethtool commands, one a line; Undo is what takes it back, empty where the
// step goes together with its namespace.
type Op interface {
	fmt.Stringer
	Undo() string
}

// Plan is what will be created for a run, in order.
type Plan struct {
	Run      string
	Topology *Topology
	Features Features
	Ops      []Op

	// Owner is the number of the process that the run belongs to: when it has
	// ended, [GC] takes the run down. 0: nobody's, so that it stays until
	// [Down], which is what a run is for.
	Owner int
	Found *Found // what Up has found on the machine; nil before
}

// Namespaces lists the namespaces of the plan in order of creation.
func (p *Plan) Namespaces() []string {
	var out []string
	for _, op := range p.Ops {
		if ns, ok := op.(AddNamespace); ok {
			out = append(out, ns.Name)
		}
	}
	return out
}

// inNamespace is embedded by every step that goes with a namespace.
type inNamespace struct{ Namespace string }

// Undo is empty: the step goes together with its namespace.
func (inNamespace) Undo() string { return "" }

func (n inNamespace) ip(format string, args ...any) string {
	return n.tool("ip") + " " + fmt.Sprintf(format, args...)
}

func (n inNamespace) tc(format string, args ...any) string {
	return n.tool("tc") + " " + fmt.Sprintf(format, args...)
}

// tool is the command ip or tc in the namespace.
func (n inNamespace) tool(name string) string {
	switch {
	case n.Namespace == hostNamespace:
		return name
	case strings.HasPrefix(n.Namespace, "/"):
		return "nsenter --net=" + n.Namespace + " " + name
	}
	return name + " -n " + n.Namespace
}

// exec is any other command in the namespace.
func (n inNamespace) exec(format string, args ...any) string {
	line := fmt.Sprintf(format, args...)
	switch {
	case n.Namespace == hostNamespace:
		return line
	case strings.HasPrefix(n.Namespace, "/"):
		return "nsenter --net=" + n.Namespace + " " + line
	}
	return "ip netns exec " + n.Namespace + " " + line
}

// AddNamespace creates a named network namespace, with loopback up and marked
// as ours.
type AddNamespace struct{ Name string }

func (o AddNamespace) String() string {
	return fmt.Sprintf("ip netns add %s\nip -n %s link set lo up alias %s", o.Name, o.Name, mark(o.Name))
}

// mark is the alias of the loopback device of a namespace of ours. It says who
// made the namespace, to people and to Down.
func mark(namespace string) string { return "linkup:" + namespace }

// Undo removes the namespace and everything in it.
func (o AddNamespace) Undo() string { return "ip netns del " + o.Name }

// SetSysctls sets kernel parameters of a namespace, in order.
type SetSysctls struct {
	inNamespace
	Settings []Sysctl
}

// Sysctl is one kernel parameter; the key is a path below /proc/sys/net.
type Sysctl struct{ Key, Value string }

func (o SetSysctls) String() string {
	var lines []string
	for _, s := range o.Settings {
		lines = append(lines, o.exec("sysctl -qw net/%s=%s", s.Key, s.Value))
	}
	return strings.Join(lines, "\n")
}

// VethEnd is one end of a veth pair.
type VethEnd struct {
	Namespace, Device string
	MAC               net.HardwareAddr
}

// AddVeth creates a veth pair across two namespaces.
type AddVeth struct {
	inNamespace
	A, B    VethEnd
	MTU     int
	Foreign bool // A is in a namespace that is not the run's own
}

// Undo removes the pair where its end is not in a namespace of the run.
func (o AddVeth) Undo() string {
	if !o.Foreign {
		return ""
	}
	return o.ip("link del %s", o.A.Device)
}

func (o AddVeth) String() string {
	return o.ip("link add %s address %v mtu %d type veth peer name %s netns %s address %v mtu %d",
		o.A.Device, o.A.MAC, o.MTU, o.B.Device, o.B.Namespace, o.B.MAC, o.MTU)
}

// AddIFB creates an IFB device, without ARP.
type AddIFB struct {
	inNamespace
	Device string
	MTU    int
}

func (o AddIFB) String() string {
	return o.ip("link add %s mtu %d txqueuelen %d type ifb", o.Device, o.MTU, ifbQueueLen) + "\n" +
		o.ip("link set %s arp off", o.Device)
}

// OffloadsOff switches segmentation and receive offloads of a device off, so
// that every packet the link sees is one packet on the wire.
type OffloadsOff struct {
	inNamespace
	Device string
}

// offloads are the features that OffloadsOff clears where a device has them.
var offloads = [...]string{
	"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation",
	"tx-generic-segmentation", "tx-udp-segmentation", "tx-gso-list", "tx-gso-partial",
	"rx-gro", "rx-gro-list", "rx-udp-gro-forwarding", "rx-lro",
}

func (o OffloadsOff) String() string {
	return o.exec("ethtool -K %s tso off gso off gro off tx-udp-segmentation off tx-gso-list off\n", o.Device) +
		o.ip("link set %s gso_max_segs 1", o.Device)
}

// SetUp brings a device up.
type SetUp struct {
	inNamespace
	Device string
}

func (o SetUp) String() string { return o.ip("link set %s up", o.Device) }

// AddAddress gives a device an address, without duplicate address detection.
type AddAddress struct {
	inNamespace
	Device string
	Prefix netip.Prefix
}

func (o AddAddress) String() string {
	more := ""
	if o.Prefix.Addr().Is6() {
		more = " nodad"
	} else if o.Prefix.Bits() < 31 {
		more = " brd +"
	}
	return o.ip("addr add %v dev %s%s", o.Prefix, o.Device, more)
}

// AddRoute adds a route through a gateway.
type AddRoute struct {
	inNamespace
	To     netip.Prefix
	Via    netip.Addr
	Device string
	Table  int // 0: main
	Metric int // 0: the family's default
}

func (o AddRoute) String() string {
	s := o.ip("route add %v via %v dev %s", o.To, o.Via, o.Device)
	if o.Metric > 0 {
		s += fmt.Sprintf(" metric %d", o.Metric)
	}
	if o.Table > 0 {
		s += fmt.Sprintf(" table %d", o.Table)
	}
	return s
}

// AddNeighbour adds a permanent neighbour, so that no impairment delays or
// loses ARP or neighbour discovery.
type AddNeighbour struct {
	inNamespace
	Device string
	Addr   netip.Addr
	MAC    net.HardwareAddr
}

func (o AddNeighbour) String() string {
	return o.ip("neigh replace %v lladdr %v dev %s nud permanent", o.Addr, o.MAC, o.Device)
}

// AddBottleneck puts the shaper on an IFB.
type AddBottleneck struct {
	inNamespace
	Device string
	Link   Link
}

func (o AddBottleneck) String() string {
	s := newShaper(o.Link)
	var lines []string
	for _, a := range s.create() {
		lines = append(lines, o.tc("%s", a.command(o.Device)))
	}
	return strings.Join(lines, "\n")
}

// AddPath puts netem on the device behind a bottleneck.
type AddPath struct {
	inNamespace
	Device string
	Link   Link
	Dir    trace.Direction // of the packets that leave by the device
}

func (o AddPath) String() string {
	p := newPath(&o.Link, o.Dir)
	var lines []string
	for _, a := range p.create() {
		lines = append(lines, o.tc("%s", a.command(o.Device)))
	}
	return strings.Join(lines, "\n")
}

// Redirect takes every packet that leaves a device through an IFB first.
type Redirect struct {
	inNamespace
	Device, To string
}

func (o Redirect) String() string {
	return o.tc("qdisc add dev %s clsact", o.Device) + "\n" +
		o.tc("filter add dev %s egress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev %s", o.Device, o.To)
}

// NewPlan lays out a run of a topology on a kernel with the given features. Its
// own topology has a shaper chosen where the given one says auto.
// It fails where the topology needs what the kernel lacks, before anything is
// created; the error wraps [ErrNotSupported].
func NewPlan(run string, t *Topology, f Features) (*Plan, error) {
	if err := trace.CheckName(run); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	t = t.chosen(f)
	if t.IPv6 != nil && *t.IPv6 && !f.IPv6 {
		return nil, fmt.Errorf("ipv6: %w: IPv6 addresses (CONFIG_IPV6, not disabled); write ipv6: false", ErrNotSupported)
	}
	p := &Plan{Run: run, Topology: t, Features: f}
	for _, l := range t.Links {
		if !f.HTB && l.Shaper == ShaperHTB {
			return nil, fmt.Errorf("link %s: %w: htb (%s); write shaper: tbf",
				l.Name, ErrNotSupported, "CONFIG_NET_SCH_HTB, module sch_htb")
		}
		if !f.CAKE && l.Queue.Kind == CAKEQueue {
			return nil, fmt.Errorf("link %s: %w: cake (%s); choose another shaper",
				l.Name, ErrNotSupported, "CONFIG_NET_SCH_CAKE, module sch_cake")
		}
		if !f.Plug && l.pulsed() {
			return nil, fmt.Errorf("link %s: %w: pulses need plug (%s); choose another shaper",
				l.Name, ErrNotSupported, "CONFIG_NET_SCH_PLUG, module sch_plug")
		}
		if !f.Prio && l.pulsed() && l.Queue.Kind != trace.DropTail {
			return nil, fmt.Errorf("link %s: %w: pulses over a queue of kind %s need prio (%s); leave the kind out, or choose another shaper",
				l.Name, ErrNotSupported, l.Queue.Kind, "CONFIG_NET_SCH_PRIO, module sch_prio")
		}
		if !f.EDT && l.exact() {
			return nil, fmt.Errorf("link %s: %w: backend: edt (%s): linkup check says what is missing; write backend: qdisc",
				l.Name, ErrNotSupported, needsEDT)
		}
		if !f.FQCoDel && l.Queue.Kind == CoDel {
			return nil, fmt.Errorf("link %s: %w: fq_codel (%s); leave the queue's kind out for a drop-tail queue",
				l.Name, ErrNotSupported, "CONFIG_NET_SCH_FQ_CODEL, module sch_fq_codel")
		}
		if !f.Netem && !l.exact() && (l.Path == PathNetem || l.Delay > 0) {
			return nil, fmt.Errorf("link %s: %w: netem (%s); write path: none for a link that has a rate only",
				l.Name, ErrNotSupported, "CONFIG_NET_SCH_NETEM, module sch_netem")
		}
		if f.Netem && !f.NetemDuplicate && l.Impair.Duplicate > 0 {
			return nil, fmt.Errorf("link %s: %w: duplication in a path, beside a netem that delays; leave duplicate out", l.Name, ErrNotSupported)
		}
	}
	if err := p.addEnds(); err != nil {
		return nil, err
	}
	for i, l := range t.Links {
		p.addLink(i, l)
	}
	return p, nil
}

func (p *Plan) add(op Op) { p.Ops = append(p.Ops, op) }

// sysctls of a namespace before it has any device of ours.
func (p *Plan) sysctls(router bool) []Sysctl {
	s := []Sysctl{
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
	}
	if router {
		s = append(s, Sysctl{"ipv4/ip_forward", "1"})
	}
	switch {
	case !p.Features.IPv6:
		return s
	case !p.ipv6():
		return append(s, Sysctl{"ipv6/conf/default/disable_ipv6", "1"})
	}
	s = append(s,
		Sysctl{"ipv6/conf/default/accept_dad", "0"},
		Sysctl{"ipv6/conf/default/accept_ra", "0"},
		Sysctl{"ipv6/conf/default/addr_gen_mode", "1"}, // no link-local address: no stray discovery packets
		Sysctl{"ipv6/conf/all/keep_addr_on_down", "1"},
	)
	if router {
		s = append(s, Sysctl{"ipv6/conf/all/forwarding", "1"})
	}
	return s
}

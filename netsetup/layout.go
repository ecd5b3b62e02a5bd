package netsetup

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"linktape/trace"
)

// port is a device on a wire, with what it needs to reach what is beyond.
type port struct {
	inNamespace
	device  string
	mac     net.HardwareAddr // nil: not known, the device on a cable
	addrs   [2]netip.Prefix  // zero: none
	peer    *port            // at the other end of the wire
	foreign bool             // in a namespace that is not the run's own
	cable   bool             // outside of this machine: nothing can be told to it
	routes  [2][]netip.Prefix
}

// join makes two ports the ends of one wire.
func join(a, b *port) { a.peer, b.peer = b, a }

// reach adds the networks that a port reaches through its peer.
func (p *port) reach(family int, networks ...netip.Prefix) {
	for _, n := range networks {
		if n.IsValid() {
			p.routes[family] = append(p.routes[family], n)
		}
	}
}

// ipv6 reports whether links have IPv6 addresses.
func (p *Plan) ipv6() bool { return p.Topology.hasIPv6(p.Features) }

func (t *Topology) hasIPv6(f Features) bool { return f.IPv6 && (t.IPv6 == nil || *t.IPv6) }

// families are the address families of the plan: 1 for IPv4, 2 for IPv6 too.
func (p *Plan) families() int {
	if p.ipv6() {
		return 2
	}
	return 1
}

// Parts names what of a run is a namespace for [Exec]: the ends that it has,
// its links, and what belongs to these.
func (t *Topology) parts() []string {
	var out []string
	for side, part := range []string{SenderEnd, ReceiverEnd} {
		if t.hasEnd(side) {
			out = append(out, part)
		}
	}
	for _, l := range t.Links {
		out = append(out, l.Name)
		for h := range l.Hops {
			out = append(out, hopPart(l.Name, h))
		}
		if l.Cross {
			out = append(out, crossPart(l.Name))
		}
	}
	return out
}

// hasEnd reports whether any link has a device in the sender's (0) or the
// receiver's (1) end.
func (t *Topology) hasEnd(side int) bool {
	return slices.ContainsFunc(t.Links, func(l Link) bool { return []LinkEnd{l.Sender, l.Receiver}[side].Interface == "" })
}

// LinkDevices names the devices of the link at a place of the topology: at the
// sender's end and at the receiver's, in its namespace or an interface of the
// host's.
func (t *Topology) LinkDevices(run string, index int) (sender, receiver string) {
	return t.linkDevice(run, index, 0), t.linkDevice(run, index, 1)
}

// linkDevice is the device that a link has at the sender's end (0) or the
// receiver's (1): in the end's namespace, or an interface of the host's.
func (t *Topology) linkDevice(run string, index, side int) string {
	if e := []LinkEnd{t.Links[index].Sender, t.Links[index].Receiver}[side]; e.Interface != "" {
		return e.cable()
	}
	return endDevice([]End{t.Sender, t.Receiver}[side], run, index)
}

// hopPart and crossPart name namespaces of a link. No link's name holds a dot.
func hopPart(link string, hop int) string { return link + ".h" + strconv.Itoa(hop+1) }
func crossPart(link string) string        { return link + ".x" }

// reference is how steps refer to the namespace of a part.
func (t *Topology) reference(run, part string) string {
	switch part {
	case SenderEnd:
		return t.Sender.reference(run, part)
	case ReceiverEnd:
		return t.Receiver.reference(run, part)
	}
	return Namespace(run, part)
}

// addEnds makes the namespaces of the ends that are the run's own.
func (p *Plan) addEnds() error {
	for side, part := range []string{SenderEnd, ReceiverEnd} {
		e := []End{p.Topology.Sender, p.Topology.Receiver}[side]
		switch {
		case !p.Topology.hasEnd(side):
		case e.Own():
			ns := Namespace(p.Run, part)
			p.add(AddNamespace{ns})
			p.add(SetSysctls{inNamespace{ns}, p.sysctls(false)})
		default:
			last := foreignDevice(p.Run, len(p.Topology.Links)-1)
			if n := len(last) - maxDeviceName; n > 0 {
				return fmt.Errorf("run %s: its devices in a namespace that is not its own would be named %s, %d characters too long: choose a --name of at most %d characters",
					p.Run, last, n, len(p.Run)-n)
			}
		}
	}
	return nil
}

// addLink lays out one link: its namespaces, its wires, its addresses and
// routes, and its qdiscs.
func (p *Plan) addLink(i int, l Link) {
	t := p.Topology
	at := inNamespace{Namespace(p.Run, l.Name)}
	a := t.Addresses(i)
	end := func(part string, e LinkEnd, addrs [2]netip.Prefix, role int) *port {
		x := &port{mac: endMAC(p.Run, i, e, role), addrs: addrs, cable: e.Interface != ""}
		if !x.cable {
			in := t.Sender
			if part == ReceiverEnd {
				in = t.Receiver
			}
			x.inNamespace, x.device, x.foreign = inNamespace{in.reference(p.Run, part)}, endDevice(in, p.Run, i), !in.Own()
		}
		return x
	}
	snd := end(SenderEnd, l.Sender, a.Sender, macSender)
	rcv := end(ReceiverEnd, l.Receiver, a.Receiver, macReceiver)
	s0 := &port{inNamespace: at, device: senderSide, mac: mac(p.Run, i, macSenderGateway), addrs: a.SenderGateway}
	r0 := &port{inNamespace: at, device: receiverSide, mac: mac(p.Run, i, macReceiverGateway), addrs: a.ReceiverGateway}
	join(snd, s0)

	p.add(AddNamespace{at.Namespace})
	if s := p.routerSysctls(l); len(s) > 0 {
		p.add(SetSysctls{at, s})
	}
	if l.Bridge {
		p.add(AddBridge{at, bridgeDevice, mac(p.Run, i, macBridge), l.MTU})
	}
	p.attach(l.Sender, snd, l.MTU)

	// The way on to the receiver: the router's own wire, or hops between.
	ports := []*port{snd, s0, r0}
	last := r0
	for h := range l.Hops {
		ns := inNamespace{Namespace(p.Run, hopPart(l.Name, h))}
		p.add(AddNamespace{ns.Namespace})
		p.add(SetSysctls{ns, p.sysctls(true)})
		near := &port{inNamespace: ns, device: senderSide, mac: mac(p.Run, i, macHop+2*h)}
		far := &port{inNamespace: ns, device: receiverSide, mac: mac(p.Run, i, macHop+2*h+1)}
		last.addrs, near.addrs = t.hopAddresses(i, h)
		join(last, near)
		p.add(AddVeth{inNamespace: last.inNamespace, A: last.vethEnd(), B: near.vethEnd(), MTU: l.MTU})
		ports = append(ports, near, far)
		last = far
	}
	if l.Hops > 0 {
		last.addrs = a.ReceiverGateway
	}
	join(last, rcv)
	p.attach(l.Receiver, rcv, l.MTU)
	ports = append(ports, rcv)
	if l.Cross {
		ns := inNamespace{Namespace(p.Run, crossPart(l.Name))}
		p.add(AddNamespace{ns.Namespace})
		p.add(SetSysctls{ns, p.sysctls(false)})
		x := &port{inNamespace: ns, device: EndDevice(0), mac: mac(p.Run, i, macCross), addrs: a.Cross}
		c0 := &port{inNamespace: at, device: crossSide, mac: mac(p.Run, i, macCrossGateway), addrs: a.CrossGateway}
		join(x, c0)
		p.add(AddVeth{inNamespace: ns, A: x.vethEnd(), B: c0.vethEnd(), MTU: l.MTU})
		ports = append(ports, x, c0)
	}
	if l.Tree == TreeSeparated && !l.exact() {
		p.addIFBs(at, l)
	}
	p.route(i, l, a, ports)
	p.addPorts(i, l, ports)
	p.addQdiscs(at, l)
}

func (x *port) vethEnd() VethEnd { return VethEnd{x.Namespace, x.device, x.mac} }

// attach makes the wire between an end and the router's side towards it.
func (p *Plan) attach(e LinkEnd, x *port, mtu int) {
	in := x.peer.inNamespace
	switch {
	case e.VLAN != 0:
		x.peer.mac = nil // the interface's own
		p.add(AddVLAN{in, e.Interface, x.peer.device, e.VLAN})
		p.add(SetMTU{in, x.peer.device, mtu})
		p.solicit(e, x.peer)
	case x.cable:
		x.peer.mac = nil
		p.add(TakeDevice{inNamespace: in, Device: e.Interface, As: x.peer.device, Mark: "linktape " + p.Run + " " + e.Interface})
		p.add(SetMTU{in, x.peer.device, mtu})
		p.solicit(e, x.peer)
	default:
		p.add(AddVeth{inNamespace: x.inNamespace, A: x.vethEnd(), B: x.peer.vethEnd(), MTU: mtu, Foreign: x.foreign})
		switch {
		case x.foreign && p.ipv6():
			at := "ipv6/conf/" + x.device + "/"
			p.add(SetSysctls{x.inNamespace, []Sysctl{{at + "addr_gen_mode", "1"}, {at + "accept_ra", "0"}, {at + "keep_addr_on_down", "1"}}})
		case x.foreign && p.Features.IPv6:
			p.add(SetSysctls{x.inNamespace, []Sysctl{{"ipv6/conf/" + x.device + "/disable_ipv6", "1"}}})
		}
	}
}

// solicit lets a router ask for the device on a cable: neighbour discovery for
// packets of others needs a link-local address (net/ipv6/ndisc.c: ndisc_send_ns).
func (p *Plan) solicit(e LinkEnd, x *port) {
	if p.ipv6() && e.MAC == "" && x.addrs[1].IsValid() {
		p.add(SetSysctls{x.inNamespace, []Sysctl{{"ipv6/conf/" + x.device + "/addr_gen_mode", "0"}}})
	}
}

// routerSysctls are the kernel parameters of a link's router, or of the
// namespace of its bridge.
func (p *Plan) routerSysctls(l Link) []Sysctl {
	switch {
	case !l.Bridge:
		return p.sysctls(true)
	case p.Features.IPv6:
		return []Sysctl{{"ipv6/conf/default/disable_ipv6", "1"}} // it has no addresses and says nothing
	}
	return nil
}

func (p *Plan) addIFBs(at inNamespace, l Link) {
	for _, ifb := range []string{ifbUp, ifbDown} {
		p.add(AddIFB{at, ifb, l.MTU})
		if p.ipv6() && !l.Bridge {
			p.add(SetSysctls{at, []Sysctl{{"ipv6/conf/" + ifb + "/disable_ipv6", "1"}}})
		}
		p.add(AddBottleneck{at, ifb, l})
		p.add(SetUp{at, ifb})
	}
}

// route says which networks each port reaches through its peer. The ports
// stand in the order of the way, cross traffic after the receiver.
func (p *Plan) route(i int, l Link, a Addresses, ports []*port) {
	if l.Bridge {
		return
	}
	way := ports[:4+2*l.Hops]
	for f := range p.families() {
		behind := []netip.Prefix{a.Sender[f].Masked()} // towards the sender
		if l.Cross {
			behind = append(behind, a.Cross[f].Masked())
		}
		ahead := []netip.Prefix{a.Receiver[f].Masked()}
		one := p.Topology.Receiver.addresses()[f]
		for n, x := range way {
			switch {
			case n%2 == 1 && n > 1: // towards the sender, of a hop or the receiver
				x.reach(f, behind...)
			case n%2 == 0 && n < len(way)-2: // towards the receiver, but for the last wire's
				x.reach(f, ahead...)
			}
			if one.IsValid() && n%2 == 0 && n > 0 {
				x.reach(f, netip.PrefixFrom(one, one.BitLen()))
			}
		}
		if l.Cross {
			x := ports[len(way)]
			x.reach(f, ahead...)
			if one.IsValid() {
				x.reach(f, netip.PrefixFrom(one, one.BitLen()))
			}
		}
	}
}

// addPorts brings the ports up and tells each its neighbour and its routes.
func (p *Plan) addPorts(i int, l Link, ports []*port) {
	if l.Bridge {
		for _, x := range ports[1:3] {
			p.add(JoinBridge{x.inNamespace, x.device, bridgeDevice})
		}
		p.add(SetUp{ports[1].inNamespace, bridgeDevice})
	}
	for _, x := range ports {
		if x.cable {
			continue
		}
		p.add(OffloadsOff{x.inNamespace, x.device})
		for f := range p.families() {
			if x.addrs[f].IsValid() {
				p.add(AddAddress{x.inNamespace, x.device, x.addrs[f]})
			}
		}
		p.add(SetUp{x.inNamespace, x.device})
	}
	if l.Bridge { // the ends are neighbours
		join(ports[0], ports[3])
		ports = []*port{ports[0], ports[3]}
	}
	for _, x := range ports {
		if x.cable {
			continue
		}
		for f := range p.families() {
			via := x.peer.addrs[f]
			if !via.IsValid() {
				continue
			}
			if x.peer.mac != nil {
				p.add(AddNeighbour{x.inNamespace, x.device, via.Addr(), x.peer.mac})
			}
			for _, to := range x.routes[f] {
				p.add(AddRoute{inNamespace: x.inNamespace, To: to, Via: via.Addr(), Device: x.device})
			}
		}
	}
	p.addOneAddress(i, ports)
}

// oneAddressMetric is the metric of the first link's route to the receiver's
// one address; the other links' are worse in turn.
const oneAddressMetric = 1024

// rulePriority is that of the rules that choose a link by the sender's address.
const rulePriority = 7700

// routeTable is the routing table of a link at a sender. Different runs in one
// namespace have different ones, as far as 16 bits of a hash go.
func routeTable(run string, index int) int {
	h := sha256.Sum256([]byte(run))
	return 1<<24 | int(h[0])<<16 | int(h[1])<<8 | index
}

// addOneAddress routes the receiver's one address: at the receiver it stands on
// the first link's device, and the sender's own address says which link leads
// to it. Without one, the first link that is up does.
func (p *Plan) addOneAddress(i int, ports []*port) {
	snd := ports[0]
	for f, one := range p.Topology.Receiver.addresses() {
		if !one.IsValid() || f >= p.families() {
			continue
		}
		to := netip.PrefixFrom(one, one.BitLen())
		first := slices.IndexFunc(p.Topology.Links, func(l Link) bool { return l.Receiver.Interface == "" })
		if i == first {
			rcv := ports[3+2*p.Topology.Links[i].Hops]
			p.add(AddAddress{rcv.inNamespace, rcv.device, to})
		}
		if snd.cable {
			continue
		}
		via := snd.peer.addrs[f].Addr()
		p.add(AddRoute{inNamespace: snd.inNamespace, To: to, Via: via, Device: snd.device, Metric: oneAddressMetric + i})
		table := routeTable(p.Run, i)
		p.add(AddRoute{inNamespace: snd.inNamespace, To: to, Via: via, Device: snd.device, Table: table})
		p.add(AddRule{inNamespace: snd.inNamespace, From: snd.addrs[f].Addr(), Table: table, Priority: rulePriority, Foreign: snd.foreign})
	}
}

// addQdiscs puts the link's qdiscs where its packets leave.
func (p *Plan) addQdiscs(at inNamespace, l Link) {
	if l.exact() {
		for _, d := range []trace.Direction{trace.Up, trace.Down} {
			p.add(AddDepartures{at, l.exactDevices(d), l, d})
		}
		return
	}
	netem := p.Features.Netem && l.Path != PathNone
	for _, d := range []struct {
		dev, ifb string
		dir      trace.Direction
	}{{receiverSide, ifbUp, trace.Up}, {senderSide, ifbDown, trace.Down}} {
		if l.Tree != TreeSeparated {
			if d.dev == receiverSide || l.Tree == TreeNested {
				p.add(AddNested{at, d.dev, l, d.dir, netem})
			}
			continue
		}
		if netem {
			p.add(AddPath{at, d.dev, l, d.dir})
		}
		p.add(Redirect{at, d.dev, d.ifb})
	}
	if l.Cross {
		p.add(Redirect{at, crossSide, ifbDown})
	}
}

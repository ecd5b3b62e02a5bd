package netsetup

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"linktape/internal/conf"
)

// defaultNetworks are those that automatic addresses are taken from, unless the
// topology names others.
var defaultNetworks = [2]netip.Prefix{netip.MustParsePrefix("10.77.0.0/16"), netip.MustParsePrefix("fd77:6c74::/32")}

// linkBits are the prefix lengths of a link's share of the two networks.
var linkBits = [2]int{24, 48}

// Addresses are the addresses of one link, IPv4 and IPv6. A bridged link has no
// gateways.
type Addresses struct {
	Sender, SenderGateway     [2]netip.Prefix // on the sender's device, on the router's
	Receiver, ReceiverGateway [2]netip.Prefix // on the receiver's device, on the last router's
	Cross, CrossGateway       [2]netip.Prefix // on the cross traffic's device, on the router's
}

// LinkAddresses returns the automatic addresses of the link at a place of a
// topology: a /30 and a /64 on each side.
func LinkAddresses(index int) Addresses { return new(Topology).Addresses(index) }

// networks are the topology's networks for automatic addresses.
func (t *Topology) networks() [2]netip.Prefix {
	n := [2]netip.Prefix{t.Network, t.Network6}
	for f, d := range defaultNetworks {
		if !n[f].IsValid() {
			n[f] = d
		}
	}
	return n
}

// shared returns the address of a number within a subnet of the link's share:
// of a /24, subnets of four addresses, and of a /48, subnets of /64.
func (t *Topology) shared(index, family, subnet, number, bits int) netip.Prefix {
	b := t.networks()[family].Masked().Addr().AsSlice()
	at := linkBits[family]/8 - 1
	b[at-1] += byte(index >> 8)
	b[at] += byte(index) // aligned: CheckNetwork says so
	if family == 0 {
		b[3] = byte(4*subnet + number)
	} else {
		b[7], b[15] = byte(subnet), byte(number)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, bits)
}

// Addresses returns the addresses of the link at a place of the topology.
func (t *Topology) Addresses(index int) Addresses {
	var l Link
	if index < len(t.Links) {
		l = t.Links[index]
	}
	var a Addresses
	for f := range 2 {
		if l.Bridge {
			// One network that holds what would be two: .0 to .7, or two /64.
			bits := [2]int{29, 63}[f]
			a.Sender[f] = t.shared(index, f, 0, 1, bits)
			a.Receiver[f] = t.shared(index, f, 1, 2, bits)
		} else {
			bits := [2]int{30, 64}[f]
			a.Sender[f], a.SenderGateway[f] = t.shared(index, f, 0, 1, bits), t.shared(index, f, 0, 2, bits)
			a.ReceiverGateway[f], a.Receiver[f] = t.shared(index, f, 1, 1, bits), t.shared(index, f, 1, 2, bits)
			a.Cross[f], a.CrossGateway[f] = t.shared(index, f, 2, 1, bits), t.shared(index, f, 2, 2, bits)
		}
		for _, s := range []struct {
			end         LinkEnd
			at, gateway *[2]netip.Prefix
		}{{l.Sender, &a.Sender, &a.SenderGateway}, {l.Receiver, &a.Receiver, &a.ReceiverGateway}} {
			p := s.end.addresses()[f]
			if !p.IsValid() {
				continue
			}
			s.at[f] = p
			if l.Bridge {
				continue
			}
			g := s.end.gateways()[f]
			if !g.IsValid() {
				g = otherOf(p)
			}
			s.gateway[f] = netip.PrefixFrom(g, p.Bits())
		}
	}
	return a
}

// hopAddresses returns the addresses of the wire between a link's router and
// its first further hop (0), the first and the second (1), and so on.
func (t *Topology) hopAddresses(index, wire int) (near, far [2]netip.Prefix) {
	for f := range 2 {
		bits := [2]int{30, 64}[f]
		near[f], far[f] = t.shared(index, f, 4+wire, 1, bits), t.shared(index, f, 4+wire, 2, bits)
	}
	return near, far
}

// Roles of a link's devices in their hardware addresses.
const (
	macSender = iota + 1
	macSenderGateway
	macReceiverGateway
	macReceiver
	macCross
	macCrossGateway
	macBridge
	macHop // two for each hop: towards the sender, towards the receiver
)

// mac is the hardware address of a device: locally administered, and the same
// in every run of that name, link and role. Different runs have different ones,
// as far as 24 bits of a hash go, since their devices may share a wire.
func mac(run string, index, role int) net.HardwareAddr {
	h := sha256.Sum256([]byte(run))
	return net.HardwareAddr{0x02, h[0], h[1], h[2], byte(index), byte(role)}
}

// endMAC is the hardware address of the device at a link's end. It is nil for
// the device on a cable of which the topology does not say it.
func endMAC(run string, index int, e LinkEnd, role int) net.HardwareAddr {
	switch {
	case e.MAC != "":
		m, _ := net.ParseMAC(e.MAC)
		return m
	case e.Interface != "":
		return nil
	}
	return mac(run, index, role)
}

// checkNetwork says what is wrong with a network for automatic addresses.
func checkNetwork(p netip.Prefix, family, links int) error {
	bits := linkBits[family]
	for n := 1; n < links; n *= 2 {
		bits--
	}
	example := defaultNetworks[family]
	switch {
	case p.Addr().Is4() != (family == 0) || p.Addr().Is4In6() || p.Addr().Zone() != "":
		return fmt.Errorf("network %v: write an %s network, such as %v", p, [...]string{"IPv4", "IPv6"}[family], example)
	case p != p.Masked():
		return fmt.Errorf("network %v: has bits after its prefix: write %v", p, p.Masked())
	case p.Bits() > bits || p.Bits() < 8:
		return fmt.Errorf("network %v: %d links take a /%d each: write a prefix length of 8 to %d", p, links, linkBits[family], bits)
	}
	return checkHostAddress(p.Addr().Next(), family)
}

// parseNetwork decodes an optional network for automatic addresses.
func parseNetwork(m *conf.Map, key string, family, links int) netip.Prefix {
	v, ok := m.Get(key)
	if !ok {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(v.String())
	if err != nil {
		v.Errorf("%s: write a network, such as %v", key, defaultNetworks[family])
		return netip.Prefix{}
	}
	if err := checkNetwork(p, family, links); err != nil {
		v.Errorf("%v", err)
		return netip.Prefix{}
	}
	return p
}

// clashes finds addresses that the topology says and whose networks overlap
// with others. Automatic ones never do among themselves.
func (t *Topology) clashes() []trouble {
	type owned struct {
		p          netip.Prefix
		name       string
		link, side int
	}
	var said []owned
	for i, l := range t.Links {
		for side, e := range []LinkEnd{l.Sender, l.Receiver} {
			for _, p := range e.addresses() {
				if p.IsValid() {
					said = append(said, owned{p, fmt.Sprintf("%v of link %s", p, l.Name), i, side})
				}
			}
		}
	}
	for _, a := range t.Receiver.addresses() {
		if a.IsValid() {
			said = append(said, owned{netip.PrefixFrom(a, a.BitLen()), "the receiver's address", -1, 1})
		}
	}
	var out []trouble
	for n, s := range said {
		for _, o := range said[:n] {
			oneWire := s.link == o.link && s.link >= 0 && t.Links[s.link].Bridge &&
				s.p.Masked() == o.p.Masked() && s.p.Addr() != o.p.Addr()
			if s.p.Overlaps(o.p) && !oneWire {
				out = append(out, trouble{s.link, s.side, fmt.Sprintf("address %v: overlaps with %s: write one of another network", s.p, o.name)})
			}
		}
		for i, l := range t.Links {
			if slices.ContainsFunc(t.automatic(i), s.p.Overlaps) {
				out = append(out, trouble{s.link, s.side, fmt.Sprintf("address %v: overlaps with the automatic addresses of link %s: write one of another network", s.p, l.Name)})
			}
		}
	}
	for i, l := range t.Links {
		for f := range 2 {
			snd, rcv := l.Sender.addresses()[f], l.Receiver.addresses()[f]
			switch {
			case !l.Bridge || snd.Masked() == rcv.Masked():
			case !rcv.IsValid():
				out = append(out, trouble{i, 0, fmt.Sprintf("address %v: a bridged link is one network: write one for the receiver's end too, in %v", snd, snd.Masked())})
			case !snd.IsValid():
				out = append(out, trouble{i, 1, fmt.Sprintf("address %v: a bridged link is one network: write one for the sender's end too, in %v", rcv, rcv.Masked())})
			default:
				out = append(out, trouble{i, 1, fmt.Sprintf("address %v: a bridged link is one network: write one in %v, as at the sender's end", rcv, snd.Masked())})
			}
		}
	}
	return out
}

// automatic lists the networks of a link that the topology leaves to us.
func (t *Topology) automatic(index int) []netip.Prefix {
	l, a := t.Links[index], t.Addresses(index)
	var out []netip.Prefix
	for f := range 2 {
		for _, s := range []struct {
			end LinkEnd
			p   netip.Prefix
		}{{l.Sender, a.Sender[f]}, {l.Receiver, a.Receiver[f]}} {
			if !s.end.addresses()[f].IsValid() {
				out = append(out, s.p.Masked())
			}
		}
		if l.Cross {
			out = append(out, a.Cross[f].Masked())
		}
		for w := range l.Hops {
			near, _ := t.hopAddresses(index, w)
			out = append(out, near[f].Masked())
		}
	}
	return out
}

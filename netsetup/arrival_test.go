package netsetup

import (
	"slices"
	"testing"
)

// What hosts send of themselves is no traffic.
func TestIsTraffic(t *testing.T) {
	ip4 := func(protocol byte) []byte {
		p := make([]byte, 28)
		p[0], p[9] = 0x45, protocol
		return p
	}
	ip6 := func(next byte, rest ...byte) []byte {
		p := make([]byte, 40)
		p[0], p[6] = 0x60, next
		return append(p, rest...)
	}
	hop := []byte{58, 0, 5, 2, 0, 0, 1, 0} // hop-by-hop options, router alert, then ICMPv6
	for _, c := range []struct {
		name   string
		typ    uint16
		packet []byte
		want   bool
	}{
		{"UDP", etherTypeIPv4, ip4(17), true},
		{"TCP", etherTypeIPv4, ip4(6), true},
		{"ping", etherTypeIPv4, ip4(1), true},
		{"IGMP", etherTypeIPv4, ip4(2), false},
		{"IPv4, cut", etherTypeIPv4, ip4(17)[:19], false},
		{"nothing", etherTypeIPv4, nil, false},
		{"ARP", 0x0806, make([]byte, 28), false},
		{"VLAN", 0x8100, ip4(17), false},
		{"a kick", 0x88b5, []byte{0}, false},
		{"UDP over IPv6", etherTypeIPv6, ip6(17, 1, 2), true},
		{"fragment", etherTypeIPv6, ip6(44, 17, 0), true},
		{"ping over IPv6", etherTypeIPv6, ip6(58, 128, 0), true},
		{"unreachable", etherTypeIPv6, ip6(58, 1, 0), true},
		{"router solicitation", etherTypeIPv6, ip6(58, 133, 0), false},
		{"neighbour solicitation", etherTypeIPv6, ip6(58, 135, 0), false},
		{"redirect", etherTypeIPv6, ip6(58, 137, 0), false},
		{"listener query", etherTypeIPv6, ip6(0, append(slices.Clone(hop), 130, 0)...), false},
		{"listener report", etherTypeIPv6, ip6(0, append(slices.Clone(hop), 143, 0)...), false},
		{"ping with options", etherTypeIPv6, ip6(0, append(slices.Clone(hop), 129, 0)...), true},
		{"options, cut", etherTypeIPv6, ip6(0, 58, 9, 0), false},
		{"IPv6, cut", etherTypeIPv6, ip6(17)[:39], false},
	} {
		if got := isTraffic(c.typ, c.packet); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzIsTraffic(f *testing.F) {
	f.Add(uint16(etherTypeIPv6), append(make([]byte, 40), 58, 255, 0))
	f.Add(uint16(etherTypeIPv4), make([]byte, 20))
	f.Fuzz(func(t *testing.T, typ uint16, packet []byte) {
		if isTraffic(typ, packet) && len(packet) < 20 {
			t.Errorf("%d bytes are traffic", len(packet))
		}
	})
}

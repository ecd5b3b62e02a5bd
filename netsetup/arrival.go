package netsetup

import (
	"encoding/binary"
	"time"

	"linktape/trace"
)

// Arrival is a packet that came into a link.
type Arrival struct {
	trace.LinkDir               // up: from the sender
	Ago           time.Duration // since the kernel received it
}

// Types of packets (include/uapi/linux/if_ether.h).
const (
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
)

// isTraffic reports whether a packet of an EtherType is of an application, and
// not what hosts send of themselves: neighbour and router discovery (RFC 4861),
// reports of group membership (RFC 3376, RFC 3810), ARP.
func isTraffic(etherType uint16, packet []byte) bool {
	const (
		protocolIGMP     = 2
		protocolICMPv6   = 58
		headerHopByHop   = 0
		icmp6ListenerQ   = 130
		icmp6Redirect    = 137
		icmp6ListenerV2  = 143
		ip6Header        = 40
		ip4HeaderLeast   = 20
		hopByHopUnitSize = 8
	)
	switch etherType {
	case etherTypeIPv4:
		return len(packet) >= ip4HeaderLeast && packet[9] != protocolIGMP
	case etherTypeIPv6:
		if len(packet) < ip6Header {
			return false
		}
		next, rest := packet[6], packet[ip6Header:]
		if next == headerHopByHop && len(rest) >= 2 {
			next, rest = rest[0], rest[min(hopByHopUnitSize*(1+int(rest[1])), len(rest)):]
		}
		if next != protocolICMPv6 {
			return true
		}
		return len(rest) > 0 && (rest[0] < icmp6ListenerQ || rest[0] > icmp6Redirect) && rest[0] != icmp6ListenerV2
	}
	return false
}

// networkOrder is a 16-bit number as the kernel wants it in a field of network
// byte order.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

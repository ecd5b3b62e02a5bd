package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// EtherTypes that lead to IP, and tags on the way to it
// (https://www.iana.org/assignments/ieee-802-numbers).
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherQinQ2 = 0x9100
	etherPPPoE = 0x8864
)

// Link types that package layers has no name for
// (https://www.tcpdump.org/linktypes.html).
const (
	linkRawBSD   layers.LinkType = 12
	linkRawOther layers.LinkType = 14
	linkSLL2     layers.LinkType = 276
)

// verdict says what a frame was.
type verdict int

const (
	isUDP verdict = iota
	isOther
	isFragment
	isShort // too little of it was captured
)

// knownLink reports whether frames of a link type can be read.
func knownLink(t layers.LinkType) bool {
	switch t {
	case layers.LinkTypeEthernet, layers.LinkTypeRaw, linkRawBSD, linkRawOther, layers.LinkTypeIPv4, layers.LinkTypeIPv6,
		layers.LinkTypeLinuxSLL, linkSLL2, layers.LinkTypeNull, layers.LinkTypeLoop:
		return true
	}
	return false
}

// ipOf finds the IP packet in a frame.
func ipOf(link layers.LinkType, b []byte) ([]byte, verdict) {
	switch link {
	case layers.LinkTypeEthernet:
		if len(b) < 14 {
			return nil, isShort
		}
		return tagged(binary.BigEndian.Uint16(b[12:]), b[14:])
	case layers.LinkTypeLinuxSLL:
		if len(b) < 16 {
			return nil, isShort
		}
		return tagged(binary.BigEndian.Uint16(b[14:]), b[16:])
	case linkSLL2:
		if len(b) < 20 {
			return nil, isShort
		}
		return tagged(binary.BigEndian.Uint16(b), b[20:])
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		// The family in the byte order of some machine; IP says its version itself.
		if len(b) < 4 {
			return nil, isShort
		}
		return b[4:], isUDP
	}
	return b, isUDP
}

func tagged(ether uint16, b []byte) ([]byte, verdict) {
	for {
		switch ether {
		case etherIPv4, etherIPv6:
			return b, isUDP
		case etherVLAN, etherQinQ, etherQinQ2:
			if len(b) < 4 {
				return nil, isShort
			}
			ether, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherPPPoE: // RFC 2516: version and type, code, session, length, PPP protocol
			if len(b) < 8 {
				return nil, isShort
			}
			if p := binary.BigEndian.Uint16(b[6:]); p != 0x0021 && p != 0x0057 {
				return nil, isOther
			}
			return b[8:], isUDP
		default:
			return nil, isOther
		}
	}
}

// protocolUDP is its number in IP.
const protocolUDP = 17

// decodeIP reads an IP packet of which the first bytes are captured. wire is how
// many bytes it had; hash is how many of the payload's first bytes the mark is
// made of.
func decodeIP(b []byte, wire, hash int, p *Packet) verdict {
	if len(b) < 1 {
		return isShort
	}
	switch b[0] >> 4 {
	case 4:
		return decodeIPv4(b, wire, hash, p)
	case 6:
		return decodeIPv6(b, wire, hash, p)
	}
	return isOther
}

func decodeIPv4(b []byte, wire, hash int, p *Packet) verdict {
	if len(b) < 20 {
		return isShort
	}
	header := int(b[0]&15) * 4
	if header < 20 || b[9] != protocolUDP {
		return isOther
	}
	if fragment := binary.BigEndian.Uint16(b[6:]); fragment&0x3fff != 0 { // an offset, or more to come
		return isFragment
	}
	p.Bytes = int(binary.BigEndian.Uint16(b[2:]))
	if p.Bytes == 0 { // the sender's card cuts it up (segmentation offload)
		p.Bytes = wire
	}
	p.Mark.ID = binary.BigEndian.Uint16(b[4:])
	src, dst := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return decodeUDP(b, header, hash, src, dst, p)
}

// endsOf reads the addresses and the size of an IP packet that is not a whole UDP
// packet, and reports whether they were captured.
func endsOf(b []byte, wire int, p *Packet) bool {
	p.Mark, p.Other = Mark{}, true
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		p.Bytes = int(binary.BigEndian.Uint16(b[2:]))
		p.Src, p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), 0), netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), 0)
	case len(b) >= 40 && b[0]>>4 == 6:
		p.Bytes = int(binary.BigEndian.Uint16(b[4:]))
		if p.Bytes > 0 {
			p.Bytes += 40
		}
		p.Src, p.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])), 0), netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])), 0)
	default:
		return false
	}
	if p.Bytes == 0 { // segmentation offload, or a jumbogram
		p.Bytes = max(wire, 0)
	}
	return true
}

// extension headers of IPv6 that have a length (RFC 8200, section 4).
func skipped(next byte) bool { return next == 0 || next == 43 || next == 60 }

const fragmentHeader = 44

func decodeIPv6(b []byte, wire, hash int, p *Packet) verdict {
	if len(b) < 40 {
		return isShort
	}
	p.Bytes = int(binary.BigEndian.Uint16(b[4:])) + 40
	if p.Bytes == 40 { // a jumbogram, or as above
		p.Bytes = wire
	}
	p.Mark.ID = 0
	next, at := b[6], 40
	for skipped(next) {
		if len(b) < at+8 {
			return isShort
		}
		next, at = b[at], at+8+int(b[at+1])*8
	}
	switch next {
	case protocolUDP:
	case fragmentHeader:
		return isFragment
	default:
		return isOther
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	return decodeUDP(b, at, hash, src, dst, p)
}

func decodeUDP(b []byte, header, hash int, src, dst netip.Addr, p *Packet) verdict {
	if len(b) < header+8 {
		return isShort
	}
	u := b[header:]
	length := p.Bytes - header - 8 // of the payload
	if length < 0 {
		return isOther
	}
	payload := u[8:]
	payload = payload[:min(len(payload), length)] // Ethernet pads short frames
	need := min(length, hash)
	rtp := isRTP(payload)
	if rtp {
		need = rtpHeader
	}
	if len(payload) < need {
		return isShort
	}
	sport, dport := binary.BigEndian.Uint16(u), binary.BigEndian.Uint16(u[2:])
	p.Src, p.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	p.Mark.Ports = uint32(sport)<<16 | uint32(dport)
	p.Mark.RTP = rtp
	p.Payload, p.PayloadBytes = payload, length
	if rtp {
		// Sequence number, timestamp and source; with the payload type, since
		// RIST and others send streams of one source side by side.
		p.Mark.Base = mix(mix(hashSeed, binary.BigEndian.Uint64(payload[4:])), uint64(binary.BigEndian.Uint32(payload))<<32|uint64(length))
		return isUDP
	}
	p.Mark.Base = hashBytes(mix(hashSeed, uint64(length)), payload[:need])
	return isUDP
}

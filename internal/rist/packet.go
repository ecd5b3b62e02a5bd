package rist

import (
	"encoding/binary"
	"fmt"
)

// Kind says what a datagram carries.
type Kind int8

// The kinds of datagrams.
const (
	Unknown        Kind = iota // nothing of RIST's, or too little of it was captured
	Media                      // RTP, sent for the first time on some link
	Retransmission             // RTP, sent again: the lowest bit of its SSRC is 1
	RTCP                       // reports, requests and echoes
	KeepAlive                  // of the tunnel
	Control                    // of the tunnel: authentication, negotiation, other IP
	Encrypted                  // by the tunnel's key, or DTLS
	kinds
)

var kindNames = [kinds]string{"unknown", "media", "retransmission", "rtcp", "keepalive", "control", "encrypted"}

// String is the kind's name in results.
func (k Kind) String() string {
	if k < 0 || k >= kinds {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// Packet is what is known of a datagram.
type Packet struct {
	Kind   Kind
	Tunnel bool // in the main profile's tunnel

	// Of RTP. SSRC is that of the flow: its lowest bit, which marks
	// retransmissions, is 0. Of RTCP, it is that of the first report, as it is.
	SSRC        uint32
	Seq         uint16
	SeqHigh     uint16 // upper half of a 32-bit number, where HasHigh (TR-06-2, section 8.3)
	HasHigh     bool
	Timestamp   uint32
	PayloadType uint8

	// MediaBytes is the media's size: what follows RTP's header. Of Encrypted and
	// Unknown it is the size of what cannot be read.
	MediaBytes int

	// Ports within the tunnel; 0 outside of it.
	SourcePort, DestinationPort uint16

	Feedback Feedback // of RTCP
}

// Feedback is what RTCP asks and says.
type Feedback struct {
	Requests  int  // messages that ask for retransmissions
	Requested int  // packets that they ask for, as far as they were captured
	CutOff    bool // more of it was sent than captured

	Echo      bool   // a request to measure the round trip
	EchoReply bool   // the answer
	EchoTime  uint64 // NTP timestamp of the request, which the answer repeats
	EchoDelay uint32 // µs between request and answer where it was answered
}

// GRE's flags and protocols (RFC 2784, RFC 2890; TR-06-2, section 5).
const (
	greKey      = 0x20
	greSequence = 0x10
	greOthers   = 0xcf // checksum, routing, and what is reserved: 0 in RIST
	greVersion  = 0x07 // of the second byte: 0

	etherIPv4      = 0x0800
	etherKeepAlive = 0x88b5
	etherReduced   = 0x88b6
	etherEAPOL     = 0x888e
	etherVSF       = 0xcce0

	vsfRIST      = 0x0000
	vsfReduced   = 0x0000
	vsfKeepAlive = 0x8000
)

// Parse reads a datagram's payload, of which the first bytes are captured; length
// is how many it had. It sets all of p.
func Parse(b []byte, length int, p *Packet) {
	*p = Packet{}
	if len(b) > length {
		b = b[:max(length, 0)]
	}
	switch {
	case len(b) < 4:
		p.MediaBytes = max(length, 0)
	case b[0]>>6 == 2:
		plain(b, length, p)
	case isDTLS(b):
		p.Kind, p.MediaBytes = Encrypted, length
	default:
		tunnel(b, length, p)
	}
}

// isDTLS reports whether a record of DTLS begins (RFC 6347, section 4.1: content
// types 20 to 25, versions 1.0 and 1.2).
func isDTLS(b []byte) bool {
	return b[0] >= 20 && b[0] <= 25 && b[1] == 0xfe && (b[2] == 0xff || b[2] == 0xfd)
}

// tunnel reads GRE over UDP.
func tunnel(b []byte, length int, p *Packet) {
	p.MediaBytes = length
	if b[0]&greOthers != 0 || b[1]&greVersion != 0 {
		return
	}
	proto := binary.BigEndian.Uint16(b[2:])
	switch proto {
	case etherIPv4, etherKeepAlive, etherReduced, etherEAPOL, etherVSF:
	default:
		return
	}
	p.Tunnel = true
	at := 4
	if b[0]&greKey != 0 {
		at += 4
	}
	if b[0]&greSequence != 0 {
		at += 4
	}
	switch {
	case length < at:
		return
	case proto == etherEAPOL: // never encrypted: it is about the key
		p.Kind, p.MediaBytes = Control, 0
		return
	case b[0]&greKey != 0:
		p.Kind, p.MediaBytes = Encrypted, length-at
		return
	}
	if proto == etherVSF {
		if len(b) < at+4 {
			return
		}
		what, sub := binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
		at += 4
		switch {
		case what == vsfRIST && sub == vsfReduced:
			proto = etherReduced
		case what == vsfRIST && sub == vsfKeepAlive:
			proto = etherKeepAlive
		default:
			p.Kind, p.MediaBytes = Control, 0
			return
		}
	}
	switch proto {
	case etherKeepAlive:
		p.Kind, p.MediaBytes = KeepAlive, 0
		return
	case etherIPv4:
		header, ok := innerUDP(b, at, p)
		if !ok {
			p.Kind, p.MediaBytes = Control, 0
			return
		}
		at = header
	default:
		if len(b) < at+4 {
			return
		}
		p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
		at += 4
	}
	p.MediaBytes = max(length-at, 0)
	if at > len(b) || len(b)-at < 4 {
		return
	}
	if b[at]>>6 == 2 {
		plain(b[at:], length-at, p)
	}
}

// innerUDP finds the payload of a UDP packet within a tunnelled IPv4 packet.
func innerUDP(b []byte, at int, p *Packet) (payload int, ok bool) {
	if len(b) < at+20 || b[at]>>4 != 4 {
		return 0, false
	}
	header := int(b[at]&15) * 4
	if header < 20 || b[at+9] != 17 || binary.BigEndian.Uint16(b[at+6:])&0x3fff != 0 || len(b) < at+header+8 {
		return 0, false
	}
	u := at + header
	p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(b[u:]), binary.BigEndian.Uint16(b[u+2:])
	return u + 8, true
}

// rtpHeader is the part of RTP's header that every packet has, in bytes.
const rtpHeader = 12

// plain reads RTP or RTCP, of which both begin with version 2. Payload types of
// RTP that would look like RTCP's are not used (RFC 5761, section 4).
func plain(b []byte, length int, p *Packet) {
	p.MediaBytes = length
	if b[1] >= 200 && b[1] <= 207 {
		feedback(b, length, p)
		return
	}
	if len(b) < rtpHeader {
		return
	}
	header := rtpHeader + 4*int(b[0]&15) // with contributing sources
	if b[0]&0x10 != 0 {                  // an extension
		if length < header+4 {
			return
		}
		if len(b) < header+4 {
			return // its length was not captured
		}
		words := int(binary.BigEndian.Uint16(b[header+2:]))
		// TR-06-2, section 8.3: "RI", one word: flags, and a number's upper half.
		if b[header] == 'R' && b[header+1] == 'I' && words == 1 && len(b) >= header+8 && b[header+4]&0x40 != 0 {
			p.SeqHigh, p.HasHigh = binary.BigEndian.Uint16(b[header+6:]), true
		}
		header += 4 + 4*words
	}
	if header > length {
		return
	}
	padding := 0
	if b[0]&0x20 != 0 && len(b) == length {
		if padding = int(b[length-1]); header+padding > length {
			return
		}
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	p.Kind = Media
	if ssrc&1 != 0 {
		p.Kind = Retransmission
	}
	p.SSRC = ssrc &^ 1
	p.PayloadType = b[1] & 0x7f
	p.Seq, p.Timestamp = binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	p.MediaBytes = length - header - padding
}

// Types of RTCP packets (RFC 3550, RFC 4585) and RIST's of the type that is for
// applications (TR-06-1, section 5.3.2; TR-06-2, section 8).
const (
	rtcpApp      = 204
	rtcpFeedback = 205

	appRange     = 0
	appEcho      = 2
	appEchoReply = 3
	fmtNACK      = 1
)

// feedback reads a compound of RTCP packets.
func feedback(b []byte, length int, p *Packet) {
	if len(b) < 8 || 4*(int(binary.BigEndian.Uint16(b[2:]))+1) > length {
		return
	}
	p.Kind, p.MediaBytes = RTCP, 0
	p.SSRC = binary.BigEndian.Uint32(b[4:])
	f := &p.Feedback
	for left := length; len(b) >= 4; {
		if b[0]>>6 != 2 {
			return
		}
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > left {
			return
		}
		one := b[:min(size, len(b))]
		cut := len(one) < size
		sub := one[0] & 31
		switch {
		case one[1] == rtcpApp && len(one) >= 12 && string(one[8:12]) == "RIST":
			switch sub {
			case appRange:
				f.Requests++
				f.CutOff = f.CutOff || cut
				for at := 12; at+4 <= len(one); at += 4 {
					f.Requested += 1 + int(binary.BigEndian.Uint16(one[at+2:]))
				}
			case appEcho, appEchoReply:
				if len(one) < 20 {
					f.CutOff = true
					break
				}
				f.Echo, f.EchoReply = sub == appEcho, sub == appEchoReply
				f.EchoTime = binary.BigEndian.Uint64(one[12:])
				if len(one) >= 24 {
					f.EchoDelay = binary.BigEndian.Uint32(one[20:])
				}
			}
		case one[1] == rtcpFeedback && sub == fmtNACK:
			f.Requests++
			f.CutOff = f.CutOff || cut
			for at := 12; at+4 <= len(one); at += 4 {
				f.Requested++
				for bits := binary.BigEndian.Uint16(one[at+2:]); bits != 0; bits &= bits - 1 {
					f.Requested++
				}
			}
		case cut && (one[1] == rtcpApp || one[1] == rtcpFeedback):
			f.CutOff = true
		}
		if cut {
			return
		}
		b, left = b[size:], left-size
	}
}

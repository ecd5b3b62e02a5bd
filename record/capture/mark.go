package capture

import (
	"encoding/binary"
	"math/bits"
)

// Mark identifies a packet among those of one link for some seconds: what of it
// the way through routers leaves as it was.
//
// Base is of the payload: of an RTP packet its header (RFC 3550, section 5.1:
// payload type, sequence number, timestamp, source) and length, of any other the
// length and the first bytes. ID is the identification of IPv4, 0 in IPv6; some
// firewalls rewrite it. Ports are those of UDP, which address translation
// rewrites.
type Mark struct {
	Base  uint64
	Ports uint32 // source in the upper half
	ID    uint16
	RTP   bool
}

// rtpHeader is the part of RTP's header that every packet has, in bytes.
const rtpHeader = 12

// isRTP reports whether a payload looks like RTP: version 2, room for its header
// and no payload type that is RTCP's (RFC 5761, section 4: 64 to 95).
func isRTP(b []byte) bool {
	if len(b) < rtpHeader || b[0]>>6 != 2 {
		return false
	}
	t := b[1] & 0x7f
	return t < 64 || t > 95
}

const hashSeed = 0x9e3779b97f4a7c15

// mix is one round of a multiply-and-fold hash (Wang Yi, wyhash, 2019): good
// enough to tell the packets of some seconds apart, and the same everywhere.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v, 0xa0761d6478bd642f)
	return hi ^ lo ^ bits.RotateLeft64(v, 29)
}

func hashBytes(h uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	var last [8]byte
	copy(last[:], b)
	return mix(mix(h, binary.LittleEndian.Uint64(last[:])), uint64(len(b)))
}

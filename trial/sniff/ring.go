package sniff

import "encoding/binary"

// SnapLen is how many bytes of a frame are kept: every header of IP, UDP, GRE and
// RTP.
const SnapLen = 128

// Sizes of a ring. A block is handed over when it is full or its time is over.
const (
	blockBytes = 128 << 10
	blocks     = 32
	frameBytes = 2048 // of the kernel's book-keeping; packets are as long as they are
)

// retire is the time after which a block that is not full is handed over, ms.
const retire = 100

// Offsets in a block and its packets: include/uapi/linux/if_packet.h, struct
// tpacket_block_desc with tpacket_hdr_v1, and struct tpacket3_hdr.
const (
	blockStatus  = 8
	blockPackets = 12
	blockFirst   = 16

	packetNext    = 0
	packetSeconds = 4
	packetNs      = 8
	packetCaught  = 12
	packetLength  = 16
	packetMAC     = 24
	packetHeader  = 26 // what is read of it
)

// packets calls each for the packets of a block, and reports whether the block is
// well-formed.
func packets(block []byte, each func(seconds, ns uint32, data []byte, length uint32)) bool {
	ne := binary.NativeEndian
	if len(block) < blockFirst+4 {
		return false
	}
	at := uint64(ne.Uint32(block[blockFirst:]))
	for n := ne.Uint32(block[blockPackets:]); n > 0; n-- {
		if at+packetHeader > uint64(len(block)) {
			return false
		}
		p := block[at:]
		from := uint64(ne.Uint16(p[packetMAC:]))
		to := from + uint64(ne.Uint32(p[packetCaught:]))
		if to > uint64(len(p)) {
			return false
		}
		each(ne.Uint32(p[packetSeconds:]), ne.Uint32(p[packetNs:]), p[from:to], ne.Uint32(p[packetLength:]))
		next := uint64(ne.Uint32(p[packetNext:]))
		if next == 0 && n > 1 {
			return false
		}
		at += next
	}
	return true
}

package media

import (
	"encoding/binary"
	"hash/crc32"
)

// Counts says what a checker has found.
type Counts struct {
	Datagrams   int64 `json:"datagrams"`     // that were put in, of whatever size
	Received    int64 `json:"received"`      // whole datagrams of the source, copies included
	Unique      int64 `json:"unique"`        // different ones
	Duplicates  int64 `json:"duplicates"`    // further copies
	OutOfOrder  int64 `json:"out_of_order"`  // datagrams that came after a later one
	Incomplete  int64 `json:"incomplete"`    // datagrams of which only some packets came
	Corrupt     int64 `json:"corrupt"`       // packets that were changed on the way
	Continuity  int64 `json:"continuity"`    // gaps in the continuity counter of the media packets, as an analyser counts them
	Foreign     int64 `json:"foreign"`       // packets of other streams, null packets left out
	Malformed   int64 `json:"malformed"`     // bytes that are no transport stream packets
	Tables      int64 `json:"tables"`        // program association and program map tables
	Clocks      int64 `json:"clocks"`        // program clock references
	SocketDrops int64 `json:"socket_drops"`  // that the kernel had no room for
	LastSent    int64 `json:"last_sent_ns"`  // when the latest of the datagrams was sent
	HighestSeq  int64 `json:"highest_seq"`   // −1: none came
	MediaCount  int64 `json:"media_packets"` // packets of the private stream
}

// Arrival is a whole datagram that came.
type Arrival struct {
	Seq  uint64
	Sent int64 // ns since the epoch, as the source says
}

// partial is a datagram of which some packets came.
type partial struct {
	have uint8 // by index
	sent int64
}

// Bounds of a checker's memory.
const (
	maxPartials = 1024
	maxJump     = 1 << 24 // datagrams that may be missing between two
)

// Checker finds the datagrams of a [Stream] in what arrives. The zero value is
// not ready: see [NewChecker].
type Checker struct {
	Counts Counts

	sums     *crc32.Table
	partials map[uint64]partial
	order    []uint64 // of partials, oldest first
	seen     []uint64 // a bit for each datagram
	highest  int64
	counter  int // continuity counter of the last media packet; −1: none yet
	scratch  [mediaBytes]byte
}

// NewChecker returns a checker that has seen nothing.
func NewChecker() *Checker {
	c := &Checker{sums: castagnoli(), partials: make(map[uint64]partial), highest: -1, counter: -1}
	c.Counts.HighestSeq = -1
	return c
}

// Check looks at a piece of the stream, which begins with a packet, and tells
// which datagrams it makes whole.
func (c *Checker) Check(b []byte, whole func(Arrival)) {
	c.Counts.Datagrams++
	for ; len(b) >= PacketBytes; b = b[PacketBytes:] {
		if b[0] != syncByte {
			break
		}
		c.packet(b[:PacketBytes], whole)
	}
	c.Counts.Malformed += int64(len(b))
}

func (c *Checker) packet(p []byte, whole func(Arrival)) {
	switch pid := uint16(p[1]&0x1f)<<8 | uint16(p[2]); pid {
	case PATPID, PMTPID:
		c.Counts.Tables++
		if !sectionHolds(p) {
			c.Counts.Corrupt++
		}
	case PCRPID:
		c.Counts.Clocks++
	case MediaPID:
		c.media(p, whole)
	case nullPID:
	default:
		c.Counts.Foreign++
	}
}

// sectionHolds reports whether the CRC of a table is right.
func sectionHolds(p []byte) bool {
	s := p[5:]
	n := int(s[1]&0x0f)<<8 | int(s[2])
	return p[4] == 0 && 3+n <= len(s) && n >= 4 && sectionSum(s[:3+n]) == 0
}

func (c *Checker) media(p []byte, whole func(Arrival)) {
	c.Counts.MediaCount++
	b := p[headerBytes+pesBytes:]
	be := binary.BigEndian
	copy(c.scratch[:], b)
	be.PutUint32(c.scratch[sumAt:], 0)
	number, index, count := be.Uint64(b[20:]), b[28], b[29]
	if be.Uint32(b) != mediaMagic || crc32.Checksum(c.scratch[:], c.sums) != be.Uint32(b[sumAt:]) ||
		p[3] != 0x10|byte(number&counterMask) || p[7] != pesStreamID || index >= count || count > DatagramPackets {
		c.Counts.Corrupt++
		return
	}
	if now := int(p[3] & counterMask); c.counter != now { // one that is repeated is no gap
		if c.counter >= 0 && (c.counter+1)&counterMask != now {
			c.Counts.Continuity++
		}
		c.counter = now
	}
	seq, sent := be.Uint64(b[4:]), int64(be.Uint64(b[12:]))
	if seq > uint64(c.highest+maxJump) {
		c.Counts.Foreign++ // of another stream of the same kind
		return
	}
	d, begun := c.partials[seq]
	d.sent = sent
	d.have |= 1 << index
	if d.have == 1<<count-1 {
		if begun {
			c.forget(seq)
		}
		c.whole(seq, sent)
		whole(Arrival{seq, sent})
		return
	}
	if !begun {
		if len(c.order) == maxPartials {
			c.Counts.Incomplete++
			c.forget(c.order[0])
		}
		c.order = append(c.order, seq)
	}
	c.partials[seq] = d
}

// forget drops a partial datagram.
func (c *Checker) forget(seq uint64) {
	delete(c.partials, seq)
	for i, s := range c.order { // nearly always among the last few, or the first
		if s == seq {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

// whole counts a datagram that came whole.
func (c *Checker) whole(seq uint64, sent int64) {
	c.Counts.Received++
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(c.seen)) <= word {
		c.seen = append(c.seen, 0)
	}
	if c.seen[word]&bit != 0 {
		c.Counts.Duplicates++
		return
	}
	c.seen[word] |= bit
	c.Counts.Unique++
	if int64(seq) < c.highest {
		c.Counts.OutOfOrder++
		return
	}
	c.highest = int64(seq)
	c.Counts.HighestSeq, c.Counts.LastSent = c.highest, sent
}

// Close counts what never became whole.
func (c *Checker) Close() {
	c.Counts.Incomplete += int64(len(c.order))
	c.order = nil
	clear(c.partials)
}

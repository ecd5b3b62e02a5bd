package media

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"linktape/trace"
)

// Sizes of the stream: ISO/IEC 13818-1, section 2.4.3.2, and what fits a
// datagram of 1500 bytes.
const (
	PacketBytes     = 188
	DatagramPackets = 7
	DatagramBytes   = DatagramPackets * PacketBytes
)

// Packet identifiers of the stream.
const (
	PATPID   = 0x0000
	PCRPID   = 0x0101
	MediaPID = 0x0100
	PMTPID   = 0x1000
	nullPID  = 0x1fff
)

// How often tables and clock references are sent at the least: TR 101 290,
// sections 5.2.1 (1.3.a, 1.5.a: 0.5 s) and 5.2.2 (2.3: 40 ms).
const (
	tablesEvery = 100 * time.Millisecond
	clockEvery  = 30 * time.Millisecond
)

const syncByte = 0x47

// A media packet is one PES packet of stream_id private_stream_2 (ISO/IEC 13818-1,
// section 2.4.3.7), whose 178 bytes are, big-endian:
//
//	0  magic    4 bytes
//	4  seq      uint64, of the datagram
//	12 sent     int64, ns since the epoch
//	20 number   uint64, of the media packet
//	28 index    byte, of the media packet in its datagram
//	29 count    byte, of media packets in the datagram
//	30 zero     2 bytes
//	32 sum      uint32, CRC-32C of the 178 bytes with zero in its place
//	36 filling, which follows from the number
const (
	headerBytes  = 4
	pesBytes     = 6
	mediaBytes   = PacketBytes - headerBytes - pesBytes
	sumAt        = 32
	fillingAt    = 36
	pesStreamID  = 0xbf // private_stream_2
	mediaMagic   = 0x4c545331
	programID    = 1
	transportID  = 1
	mediaStream  = 0x06 // stream_type: PES packets with private data
	counterMask  = 0x0f
	clockHz      = 27_000_000
	clockModulus = (1 << 33) * 300
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Interval is the time from one datagram to the next at a rate.
func Interval(rate trace.BitRate) time.Duration { return Due(rate, 1) }

// Due is when a datagram is due after the first one of a stream of a rate, exact
// to the nanosecond however long the stream is.
func Due(rate trace.BitRate, seq uint64) time.Duration {
	const bits = DatagramBytes * 8
	seconds, rest := seq*bits/uint64(rate), seq*bits%uint64(rate)
	// rest < rate ≤ 10 Tbit/s would overflow as rest·1e9: the nanoseconds are
	// taken in two parts.
	ms, rest := rest*1000/uint64(rate), rest*1000%uint64(rate)
	return time.Duration(seconds)*time.Second + time.Duration(ms)*time.Millisecond + time.Duration(float64(rest)/float64(rate)*1e6)
}

// Stream makes the datagrams of a stream, in order.
type Stream struct {
	rate   trace.BitRate
	seq    uint64
	number uint64 // of the next media packet
	tables uint8  // continuity counter of both tables
	sums   *crc32.Table
	pat    [PacketBytes]byte
	pmt    [PacketBytes]byte
	buf    [DatagramBytes]byte
}

// NewStream returns a stream of a rate in bit/s of transport stream packets,
// headers of theirs included.
func NewStream(rate trace.BitRate) *Stream {
	s := &Stream{rate: rate, sums: castagnoli()}
	s.pat = table(PATPID, []byte{
		0x00,       // table_id: program_association_section
		0xb0, 0x0d, // section_length 13
		transportID >> 8, transportID, 0xc1, 0, 0, // version 0, current
		programID >> 8, programID, 0xe0 | PMTPID>>8, PMTPID & 0xff,
	})
	s.pmt = table(PMTPID, []byte{
		0x02,       // table_id: TS_program_map_section
		0xb0, 0x12, // section_length 18
		programID >> 8, programID, 0xc1, 0, 0,
		0xe0 | PCRPID>>8, PCRPID & 0xff, 0xf0, 0,
		mediaStream, 0xe0 | MediaPID>>8, MediaPID & 0xff, 0xf0, 0,
	})
	return s
}

// table makes the packet of a section that fits one, with its CRC.
func table(pid uint16, section []byte) (p [PacketBytes]byte) {
	p[0], p[1], p[2], p[3] = syncByte, 0x40|byte(pid>>8), byte(pid), 0x10
	n := 5 + copy(p[5:], section) // pointer_field 0
	binary.BigEndian.PutUint32(p[n:], sectionSum(section))
	for i := n + 4; i < PacketBytes; i++ {
		p[i] = 0xff
	}
	return p
}

// sectionSum is CRC-32/MPEG-2: ISO/IEC 13818-1, annex A.
func sectionSum(b []byte) uint32 {
	sum := uint32(0xffffffff)
	for _, x := range b {
		sum ^= uint32(x) << 24
		for range 8 {
			if sum&0x80000000 != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// Seq is the number of the next datagram.
func (s *Stream) Seq() uint64 { return s.seq }

// crosses reports whether the next datagram is the first at or after a multiple
// of a time.
func (s *Stream) crosses(every time.Duration) bool {
	return s.seq == 0 || Due(s.rate, s.seq)/every != Due(s.rate, s.seq-1)/every
}

// Next makes the next datagram, which is valid until the one after. sent is in
// ns since the epoch.
func (s *Stream) Next(sent int64) []byte {
	at := 0
	if s.crosses(tablesEvery) {
		s.pat[3], s.pmt[3] = 0x10|s.tables, 0x10|s.tables
		s.tables = (s.tables + 1) & counterMask
		at += copy(s.buf[at:], s.pat[:])
		at += copy(s.buf[at:], s.pmt[:])
	}
	if s.crosses(clockEvery) {
		clock(s.buf[at:at+PacketBytes], sent)
		at += PacketBytes
	}
	count := (DatagramBytes - at) / PacketBytes
	for i := range count {
		s.media(s.buf[at:at+PacketBytes], sent, i, count)
		at += PacketBytes
	}
	s.seq++
	return s.buf[:]
}

// clock makes a packet that holds a program clock reference only: ISO/IEC 13818-1,
// section 2.4.3.5.
func clock(p []byte, sent int64) {
	p[0], p[1], p[2], p[3] = syncByte, PCRPID>>8, PCRPID&0xff, 0x20
	p[4], p[5] = PacketBytes-5, 0x10
	pcr := uint64(max(sent, 0)) / 1000 * (clockHz / 1_000_000) % clockModulus
	base, extension := pcr/300, pcr%300
	binary.BigEndian.PutUint32(p[6:], uint32(base>>1))
	p[10], p[11] = byte(base<<7)|0x7e|byte(extension>>8), byte(extension)
	for i := 12; i < PacketBytes; i++ {
		p[i] = 0xff
	}
}

// media makes a packet of the private stream.
func (s *Stream) media(p []byte, sent int64, index, count int) {
	p[0], p[1], p[2], p[3] = syncByte, 0x40|MediaPID>>8, MediaPID&0xff, 0x10|byte(s.number&counterMask)
	p[4], p[5], p[6], p[7], p[8], p[9] = 0, 0, 1, pesStreamID, mediaBytes>>8, mediaBytes&0xff
	b := p[headerBytes+pesBytes:]
	be := binary.BigEndian
	be.PutUint32(b, mediaMagic)
	be.PutUint64(b[4:], s.seq)
	be.PutUint64(b[12:], uint64(sent))
	be.PutUint64(b[20:], s.number)
	b[28], b[29], b[30], b[31] = byte(index), byte(count), 0, 0
	be.PutUint32(b[sumAt:], 0)
	fill(b[fillingAt:], s.number)
	be.PutUint32(b[sumAt:], crc32.Checksum(b, s.sums))
	s.number++
}

// fill writes what looks random, so that nothing on the way compresses it
// (Marsaglia 2003, xorshift).
func fill(b []byte, number uint64) {
	x := number*0x9e3779b97f4a7c15 + 1
	for len(b) > 0 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for i := range min(8, len(b)) {
			b[i] = byte(x >> (8 * i))
		}
		b = b[min(8, len(b)):]
	}
}

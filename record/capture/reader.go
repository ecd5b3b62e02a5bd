package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Packet is a UDP packet of a capture, or, where they were asked for, another IP
// packet.
type Packet struct {
	At        int64 // ns since 1970, by the clock of the machine that captured
	Src, Dst  netip.AddrPort
	Bytes     int    // of the IP packet
	Interface string // where it was captured: its name in pcapng, else the file's
	Mark      Mark

	// Payload is what was captured of UDP's payload, until the next packet is
	// read; PayloadBytes is how many bytes it had.
	Payload      []byte
	PayloadBytes int

	// Other is set of IP packets that are not whole UDP packets: of them At, the
	// addresses, Bytes and Interface are known, and no ports.
	Other bool
}

// Counts says what a capture held.
type Counts struct {
	Frames    int64 `json:"frames"`
	UDP       int64 `json:"udp"`       // what was read
	Other     int64 `json:"other"`     // not UDP over IP
	Fragments int64 `json:"fragments"` // of IP packets
	Short     int64 `json:"short"`     // too little of the packet was captured
	CutOff    bool  `json:"cut_off"`   // the file ends within a packet
}

// MaxHash is the most bytes of a payload that a [Mark] is made of.
const MaxHash = 512

// headers is room for the headers of a UDP packet: Ethernet, two tags, IPv6, UDP.
const headers = 14 + 8 + 40 + 8

// ErrUnknownFormat is the error of a file that is no capture.
var ErrUnknownFormat = errors.New("neither pcap nor pcapng; capture with tcpdump -w FILE or Wireshark")

// source is what both of the library's readers do.
type source interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// Reader reads a capture.
type Reader struct {
	Hash   int  // bytes of a payload that marks are made of; set it before the first Next
	Others bool // Next gives other IP packets as well; set it before the first Next
	counts Counts
	name   string // of the file, without its endings
	file   string
	src    source
	ng     *pcapgo.NgReader // nil when the file is pcap
	sum    hash.Hash
	raw    io.Reader // what the sum is of
	snap   int
	closer io.Closer
}

// Open opens a capture.
func Open(name string) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	r, err := NewReader(f, name)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	return r, nil
}

// NewReader reads a capture from a stream. The name is for messages, and the
// interface's where the format has none.
func NewReader(in io.Reader, name string) (r *Reader, err error) {
	defer recoverTo(&err, name)
	r = &Reader{file: name, name: interfaceName(name), sum: sha256.New()}
	r.raw = io.TeeReader(in, r.sum)
	b := bufio.NewReaderSize(r.raw, 256<<10)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		b = bufio.NewReaderSize(z, 256<<10)
	}
	magic, err := b.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", name, ErrUnknownFormat)
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch {
	case bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}):
		options := pcapgo.DefaultNgReaderOptions
		options.WantMixedLinkType = true
		r.ng, err = pcapgo.NewNgReader(b, options)
		if err != nil {
			return nil, fmt.Errorf("read %s: pcapng: %w", name, err)
		}
		r.src = r.ng
		if i, err := r.ng.Interface(0); err == nil {
			r.snap = int(i.SnapLength)
		}
	case isPcap(magic):
		p, err := pcapgo.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read %s: pcap: %w", name, err)
		}
		if !knownLink(p.LinkType()) {
			return nil, fmt.Errorf("read %s: link type %v cannot be read; capture on the interface itself (tcpdump -i NAME)", name, p.LinkType())
		}
		r.src, r.snap = p, int(p.Snaplen())
	default:
		return nil, fmt.Errorf("read %s: %w", name, ErrUnknownFormat)
	}
	r.Hash = MaxHash
	return r, nil
}

func isPcap(magic []byte) bool {
	for _, m := range []string{"\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1"} {
		if string(magic) == m {
			return true
		}
	}
	return false
}

// interfaceName is the name of a capture's interface where the file has none:
// that of tcpdump -i NAME -w NAME.pcap.
func interfaceName(file string) string {
	base := filepath.Base(file)
	for _, ending := range []string{".gz", ".pcapng", ".pcap", ".cap"} {
		base = strings.TrimSuffix(base, ending)
	}
	return base
}

// HashRoom is how many bytes of every payload the capture holds, as far as its
// header says: of a capture that kept 96 bytes of each packet, 26.
func (r *Reader) HashRoom() int {
	if r.snap == 0 {
		return MaxHash
	}
	return min(max(r.snap-headers, 0), MaxHash)
}

// Next reads the next UDP packet, or IP packet where [Reader.Others] is set, into
// p. It returns [io.EOF] at the end, which a file that was cut off within a packet
// has there.
func (r *Reader) Next(p *Packet) (err error) {
	defer recoverTo(&err, r.file)
	for {
		data, info, err := r.src.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return r.end()
		case errors.Is(err, io.ErrUnexpectedEOF):
			r.counts.CutOff = true
			return r.end()
		case err != nil:
			return fmt.Errorf("read %s: after %d packets: %w", r.file, r.counts.Frames, err)
		}
		r.counts.Frames++
		link := r.src.LinkType()
		p.Interface = r.name
		if r.ng != nil {
			i, err := r.ng.Interface(info.InterfaceIndex)
			if err != nil {
				return fmt.Errorf("read %s: packet %d: %w", r.file, r.counts.Frames, err)
			}
			link = i.LinkType
			if i.Name != "" {
				p.Interface = i.Name
			}
			if !knownLink(link) {
				r.counts.Other++
				continue
			}
		}
		p.At, p.Other, p.Payload, p.PayloadBytes = info.Timestamp.UnixNano(), false, nil, 0
		b, what := ipOf(link, data)
		other := false
		if what == isUDP {
			wire := info.Length - (len(data) - len(b))
			if what = decodeIP(b, wire, r.Hash, p); what != isUDP && r.Others {
				other = endsOf(b, wire, p)
			}
		}
		switch what {
		case isUDP:
			r.counts.UDP++
			return nil
		case isFragment:
			r.counts.Fragments++
		case isShort:
			r.counts.Short++
		default:
			r.counts.Other++
		}
		if other {
			return nil
		}
	}
}

// end reads what follows the last packet, so that the sum is of the whole file.
func (r *Reader) end() error {
	if _, err := io.Copy(io.Discard, r.raw); err != nil {
		return fmt.Errorf("read %s: %w", r.file, err)
	}
	return io.EOF
}

// Counts says what was read so far.
func (r *Reader) Counts() Counts { return r.counts }

// SHA256 is the sum over the file's bytes, in hexadecimal, once Next has
// returned [io.EOF].
func (r *Reader) SHA256() string { return hex.EncodeToString(r.sum.Sum(nil)) }

// Close closes the file that Open opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// recoverTo turns a panic of the library at a damaged file into an error.
func recoverTo(err *error, name string) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("read %s: damaged: %v", name, v)
	}
}

package sniff

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/record/capture"
)

// caught is a packet of a block.
type caught struct {
	seconds, ns, length uint32
	data                []byte
}

// blockOf makes a block as the kernel does: include/uapi/linux/if_packet.h.
func blockOf(packets ...caught) []byte {
	const first, header = 48, 82 // TPACKET3_HDRLEN is 68; the frame begins at a multiple of 16 less 14
	ne := binary.NativeEndian
	b := make([]byte, first)
	ne.PutUint32(b[blockPackets:], uint32(len(packets)))
	ne.PutUint32(b[blockFirst:], first)
	for i, p := range packets {
		h := make([]byte, (header+len(p.data)+7)&^7)
		if i < len(packets)-1 {
			ne.PutUint32(h[packetNext:], uint32(len(h)))
		}
		ne.PutUint32(h[packetSeconds:], p.seconds)
		ne.PutUint32(h[packetNs:], p.ns)
		ne.PutUint32(h[packetCaught:], uint32(len(p.data)))
		ne.PutUint32(h[packetLength:], p.length)
		ne.PutUint16(h[packetMAC:], header)
		copy(h[header:], p.data)
		b = append(b, h...)
	}
	return b
}

func TestPackets(t *testing.T) {
	want := []caught{{1, 2, 60, bytes.Repeat([]byte{1}, 60)}, {3, 4, 1500, bytes.Repeat([]byte{2}, SnapLen)}, {5, 6, 0, []byte{}}}
	var got []caught
	each := func(s, ns uint32, data []byte, n uint32) {
		got = append(got, caught{s, ns, n, append([]byte{}, data...)})
	}
	if !packets(blockOf(want...), each) {
		t.Error("the block is not well-formed")
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(caught{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got = nil; !packets(blockOf(), each) || len(got) > 0 {
		t.Errorf("an empty block: got %v", got)
	}
	whole := blockOf(want...)
	for n := range len(whole) - 100 {
		if packets(whole[:n], func(uint32, uint32, []byte, uint32) {}) {
			t.Errorf("a block cut off after %d of %d bytes is well-formed", n, len(whole))
		}
	}
}

// Another reader finds in a capture what was put into it.
func TestPcap(t *testing.T) {
	frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 5, 0x40, 0, 7, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // 1344 bytes of UDP
		0x1b, 0x58, 0x1f, 0x40, 5, 0x2c, 0, 0}, make([]byte, SnapLen-42)...)
	var file bytes.Buffer
	w := newPcapWriter(&file)
	w.packet(1_700_000_000, 123_456_789, frame, 1358)
	w.packet(1_700_000_001, 1, frame, 1358)
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	r, err := capture.NewReader(&file, "x")
	if err != nil {
		t.Fatal(err)
	}
	if r.Hash = r.HashRoom(); r.Hash != SnapLen-70 { // Ethernet, the longest IPv4 header or IPv6, UDP
		t.Errorf("room for %d bytes of payload", r.Hash)
	}
	var p capture.Packet
	for _, at := range []int64{1_700_000_000_123_456_789, 1_700_000_001_000_000_001} {
		if err := r.Next(&p); err != nil {
			t.Fatal(err)
		}
		if p.At != at || p.Bytes != 1344 || p.Src.String() != "10.0.0.1:7000" || p.Dst.String() != "10.0.0.2:8000" {
			t.Errorf("got %+v", p)
		}
	}
	if err := r.Next(&p); err != io.EOF {
		t.Errorf("got %v at the end", err)
	}
}

// broken takes nothing.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestPcapToBrokenFile(t *testing.T) {
	w := newPcapWriter(broken{})
	w.packet(1, 1, nil, 0)
	if w.flush() == nil {
		t.Error("a capture was lost without an error")
	}
}

// A block that a kernel would not make is refused, not read past its end.
func FuzzPackets(f *testing.F) {
	f.Add(blockOf(caught{1, 2, 60, make([]byte, 60)}, caught{3, 4, 70, make([]byte, 70)}))
	f.Add(blockOf())
	f.Fuzz(func(t *testing.T, block []byte) {
		total := 0
		packets(block, func(_, _ uint32, data []byte, _ uint32) {
			if total++; len(data) > len(block) || total > len(block)+1 {
				t.Fatalf("%d packets, %d bytes in a block of %d", total, len(data), len(block))
			}
		})
	})
}

package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket/layers"

	"linktape/record/capture"
	"linktape/record/capture/capturetest"
)

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	four = capturetest.UDP{Src: end("10.0.0.1:5000"), Dst: end("10.0.0.2:6000"), ID: 77, Payload: []byte(strings.Repeat("payload ", 100))}
	six  = capturetest.UDP{Src: end("[fd00::1]:5000"), Dst: end("[fd00::2]:6000"), Payload: []byte(strings.Repeat("payload ", 100))}
)

// readAll reads the packets of a capture.
func readAll(t *testing.T, file []byte, name string, hash int) ([]capture.Packet, capture.Counts) {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(file), name)
	if err != nil {
		t.Fatal(err)
	}
	if hash > 0 {
		r.Hash = hash
	}
	var out []capture.Packet
	for {
		var p capture.Packet
		err := r.Next(&p)
		if errors.Is(err, io.EOF) {
			return out, r.Counts()
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

// The same packet is the same, however it is framed and stored; and its size is
// that of IP, whatever was captured.
func TestFrames(t *testing.T) {
	const at = 1_700_000_000_123_456_789
	for _, u := range []capturetest.UDP{four, six} {
		for _, options := range []int{0, 8} {
			u.Options = options
			var want *capture.Packet
			for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeRaw, layers.LinkTypeLinuxSLL, capturetest.LinkSLL2, layers.LinkTypeNull} {
				for vlans := range 3 {
					if vlans > 0 && (link == layers.LinkTypeRaw || link == layers.LinkTypeNull) {
						continue
					}
					for _, format := range []string{"pcap", "pcapng", "gzip"} {
						for _, snap := range []int{0, 120} {
							name := fmt.Sprint(u.Src.Addr(), options, link, vlans, format, snap)
							records := []capturetest.Record{{At: at, Frame: capturetest.Frame(link, vlans, u.IP())}}
							var b bytes.Buffer
							var err error
							switch format {
							case "pcapng":
								err = capturetest.PcapNG(&b, []capturetest.Interface{{Name: "wwan0", Link: link}}, snap, records)
							case "gzip":
								z := gzip.NewWriter(&b)
								err = errors.Join(capturetest.Pcap(z, link, snap, records), z.Close())
							default:
								err = capturetest.Pcap(&b, link, snap, records)
							}
							if err != nil {
								t.Fatal(err)
							}
							got, _ := readAll(t, b.Bytes(), "captures/wwan0.pcap.gz", 32)
							if len(got) != 1 {
								t.Fatalf("%s: got %d packets, want 1", name, len(got))
							}
							if want == nil {
								p := got[0]
								want = &p
								if p.At != at || p.Src != u.Src || p.Dst != u.Dst || p.Bytes != len(u.IP()) || p.PayloadBytes != len(u.Payload) || !bytes.HasPrefix(u.Payload, p.Payload) || len(p.Payload) < 32 || p.Mark.ID != u.ID || p.Mark.Ports != 5000<<16|6000 || p.Interface != "wwan0" {
									t.Fatalf("%s: got %+v", name, p)
								}
							}
							if diff := cmp.Diff(*want, got[0], cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.IgnoreFields(capture.Packet{}, "Payload")); diff != "" {
								t.Errorf("%s (-want +got):\n%s", name, diff)
							}
						}
					}
				}
			}
		}
	}
}

func pcap(t *testing.T, snap int, frames ...[]byte) []byte {
	t.Helper()
	var records []capturetest.Record
	for i, f := range frames {
		records = append(records, capturetest.Record{At: int64(i), Frame: f})
	}
	var b bytes.Buffer
	if err := capturetest.Pcap(&b, layers.LinkTypeEthernet, snap, records); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ethernet(u capturetest.UDP) []byte {
	return capturetest.Frame(layers.LinkTypeEthernet, 0, u.IP())
}

// What is no whole UDP packet is left out and counted by what it is.
func TestCounts(t *testing.T) {
	fragment, last := four, four
	fragment.Fragment, last.Fragment = 0x2000, 100
	dontFragment := four
	dontFragment.Fragment = 0x4000
	tcp := ethernet(four)
	tcp[14+9] = 6
	arp := ethernet(four)
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	file := pcap(t, 0, ethernet(four), ethernet(fragment), ethernet(last), ethernet(dontFragment), tcp, arp, ethernet(four)[:50])
	_, got := readAll(t, file, "x.pcap", 0)
	want := capture.Counts{Frames: 7, UDP: 2, Other: 2, Fragments: 2, Short: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// Killed while it wrote.
	_, got = readAll(t, file[:len(file)-3], "x.pcap", 0)
	if want.Frames, want.Short, want.CutOff = 6, 0, true; got != want {
		t.Errorf("cut off: got %+v, want %+v", got, want)
	}
}

// Asked for, what is no whole UDP packet is given as well, with its size.
func TestOthers(t *testing.T) {
	fragment := four
	fragment.Fragment = 100
	tcp := ethernet(four)
	tcp[14+9] = 6
	tcp6 := ethernet(six)
	tcp6[14+6] = 6
	arp := ethernet(four)
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	r, err := capture.NewReader(bytes.NewReader(pcap(t, 96, ethernet(four), ethernet(fragment), tcp, tcp6, arp, ethernet(six)[:30])), "x")
	if err != nil {
		t.Fatal(err)
	}
	r.Others, r.Hash = true, 32
	var got []string
	for {
		var p capture.Packet
		err := r.Next(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(p.At, p.Other, p.Src, p.Dst, p.Bytes, p.PayloadBytes))
	}
	want := []string{
		"0 false 10.0.0.1:5000 10.0.0.2:6000 828 800",
		"1 true 10.0.0.1:0 10.0.0.2:0 828 0",
		"2 true 10.0.0.1:0 10.0.0.2:0 828 0",
		"3 true [fd00::1]:0 [fd00::2]:0 848 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c, want := r.Counts(), (capture.Counts{Frames: 6, UDP: 1, Other: 3, Fragments: 1, Short: 1}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// A mark is of what identifies a packet, and of no more than was asked.
func TestMarks(t *testing.T) {
	mark := func(u capturetest.UDP, hash int) capture.Mark {
		p, _ := readAll(t, pcap(t, 0, ethernet(u)), "x", hash)
		if len(p) != 1 {
			t.Fatalf("got %d packets of %v", len(p), u)
		}
		return p[0].Mark
	}
	base := mark(four, 64)
	with := func(change func(u *capturetest.UDP)) capturetest.UDP {
		u := four
		u.Payload = bytes.Clone(u.Payload)
		change(&u)
		return u
	}
	for _, c := range []struct {
		name   string
		change func(u *capturetest.UDP)
		same   bool
	}{
		{"another end", func(u *capturetest.UDP) { u.Dst = end("10.9.9.9:6000") }, true},
		{"byte 63", func(u *capturetest.UDP) { u.Payload[63]++ }, false},
		{"byte 64", func(u *capturetest.UDP) { u.Payload[64]++ }, true},
		{"length", func(u *capturetest.UDP) { u.Payload = u.Payload[:700] }, false},
		{"identification", func(u *capturetest.UDP) { u.ID++ }, false},
		{"port", func(u *capturetest.UDP) { u.Src = end("10.0.0.1:5001") }, false},
	} {
		if got := mark(with(c.change), 64); (got == base) != c.same {
			t.Errorf("%s: marks %+v and %+v: same %v, want %v", c.name, base, got, got == base, c.same)
		}
	}

	// RTP is known by its header alone.
	rtp := with(func(u *capturetest.UDP) {
		copy(u.Payload, "\x80\x21\x12\x34\x00\x00\x00\x01\xde\xad\xbe\xef")
	})
	first := mark(rtp, 64)
	if !first.RTP {
		t.Errorf("RTP was not recognised")
	}
	for i, same := range map[int]bool{1: false, 3: false, 7: false, 11: false, 12: true, 40: true} {
		u := with(func(u *capturetest.UDP) {
			copy(u.Payload, rtp.Payload)
			u.Payload[i]++
		})
		if got := mark(u, 64); (got == first) != same {
			t.Errorf("RTP, byte %d changed: same %v, want %v", i, got == first, same)
		}
	}
	rtcp := with(func(u *capturetest.UDP) { copy(u.Payload, "\x80\xc8\x00\x06") })
	if mark(rtcp, 64).RTP {
		t.Errorf("RTCP was taken for RTP")
	}
	// What was captured says how much there is to go by.
	r, err := capture.NewReader(bytes.NewReader(pcap(t, 96, ethernet(four))), "x")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.HashRoom(); got != 26 {
		t.Errorf("room in 96 bytes: got %d, want 26", got)
	}
}

func TestNoCapture(t *testing.T) {
	for _, text := range []string{"", "abc", "PAR1 and more", "\x1f\x8b"} {
		if _, err := capture.NewReader(strings.NewReader(text), "notes.txt"); err == nil || !strings.Contains(err.Error(), "notes.txt") {
			t.Errorf("%q: got %v, want an error that names the file", text, err)
		}
	}
	var b bytes.Buffer
	if err := capturetest.Pcap(&b, layers.LinkTypeIEEE802_11, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := capture.NewReader(&b, "air.pcap"); err == nil || !strings.Contains(err.Error(), "link type") {
		t.Errorf("Wi-Fi frames: got %v, want an error about the link type", err)
	}
}

// Damaged captures give errors or fewer packets, never a panic; and a packet that
// is read has sensible figures.
func FuzzReader(f *testing.F) {
	rtp := four
	rtp.Payload = append([]byte("\x80\x21\x12\x34\x00\x00\x00\x01\xde\xad\xbe\xef"), four.Payload...)
	six := six
	six.Options = 16
	for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, capturetest.LinkSLL2, layers.LinkTypeRaw} {
		var records []capturetest.Record
		for i, u := range []capturetest.UDP{four, six, rtp} {
			records = append(records, capturetest.Record{At: int64(i), Frame: capturetest.Frame(link, i, u.IP())})
		}
		var a, b bytes.Buffer
		if err := errors.Join(capturetest.Pcap(&a, link, 96, records), capturetest.PcapNG(&b, []capturetest.Interface{{Name: "a", Link: link}}, 0, records)); err != nil {
			f.Fatal(err)
		}
		f.Add(a.Bytes())
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := capture.NewReader(bytes.NewReader(data), "fuzz")
		if err != nil {
			return
		}
		r.Others = len(data)%2 == 1
		for {
			var p capture.Packet
			if err := r.Next(&p); err != nil {
				break
			}
			if !p.Src.IsValid() || !p.Dst.IsValid() || p.Bytes < 0 || len(p.Payload) > p.PayloadBytes {
				t.Fatalf("packet without ends or size: %+v", p)
			}
		}
		c := r.Counts()
		if c.UDP+c.Other+c.Fragments+c.Short != c.Frames {
			t.Fatalf("counts do not add up: %+v", c)
		}
	})
}

package metrics_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"linktape/record/capture/capturetest"
	"linktape/trial/metrics"
)

// counts are figures of captures, for comparing.
type counts struct {
	Totals metrics.CaptureTotals
	Links  []linkCounts
}

type linkCounts struct {
	Sent, Received, Lost, Originals, Retransmissions, FirstCopies, FirstCopiesBytes int64
}

// naive counts once more and with nothing of ours: whole files in memory, headers
// by their offsets, maps and a sort. It knows only what these captures hold:
// Ethernet, IPv4, no copies made by the path, no sequence number twice.
func naive(t *testing.T, dir string, links []string, ports map[uint16]bool) counts {
	t.Helper()
	be := binary.BigEndian
	type key struct {
		ssrc uint32
		seq  uint16
	}
	type arrival struct {
		at    uint64
		link  int
		key   key
		again bool
		media int64
	}
	var out counts
	var arrivals []arrival
	sequences, originals := map[key]int64{}, map[key]bool{}
	for i, link := range links {
		var c linkCounts
		for _, end := range []string{"snd", "rcv"} {
			f, err := os.Open(filepath.Join(dir, link+"."+end+".pcap.gz"))
			if err != nil {
				t.Fatal(err)
			}
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if binary.LittleEndian.Uint32(b) != 0xa1b23c4d || binary.LittleEndian.Uint32(b[20:]) != 1 {
				t.Fatalf("%s: no pcap with nanoseconds of Ethernet", f.Name())
			}
			for b = b[24:]; len(b) > 0; {
				le := binary.LittleEndian
				at, n, wire := uint64(le.Uint32(b))*1e9+uint64(le.Uint32(b[4:])), le.Uint32(b[8:]), le.Uint32(b[12:])
				p := b[16 : 16+n]
				b = b[16+n:]
				if be.Uint16(p[12:]) != 0x0800 || p[14] != 0x45 || p[23] != 17 || !ports[be.Uint16(p[36:])] {
					continue // not IPv4, not UDP, or not to the receiver
				}
				if end == "snd" {
					c.Sent++
				} else {
					c.Received++
				}
				u := p[42:]
				length := int64(wire) - 42
				if u[0]>>6 != 2 {
					if be.Uint16(u[2:]) != 0x88b6 || u[0] != 0 { // no key, no number
						continue
					}
					u, length = u[8:], length-8
				}
				if u[1] >= 200 && u[1] <= 207 {
					continue
				}
				if u[0] != 0x80 {
					t.Fatalf("RTP with more than its header: %x", u[:12])
				}
				k := key{be.Uint32(u[8:]) &^ 1, be.Uint16(u[2:])}
				again := u[11]&1 == 1
				switch {
				case end == "rcv":
					arrivals = append(arrivals, arrival{at, i, k, again, length - 12})
				case again:
					c.Retransmissions++
					out.Totals.Retransmissions++
					sequences[k] = length - 12
				default:
					c.Originals++
					out.Totals.Originals++
					sequences[k] = length - 12
					originals[k] = true
				}
			}
		}
		c.Lost = c.Sent - c.Received
		out.Links = append(out.Links, c)
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	first := map[key]bool{}
	arrived := int64(0)
	for _, a := range arrivals {
		if a.again {
			arrived++
		}
		switch {
		case !first[a.key]:
			first[a.key] = true
			out.Links[a.link].FirstCopies++
			out.Links[a.link].FirstCopiesBytes += a.media
			if a.again {
				out.Totals.Necessary++
			}
		case a.again:
			out.Totals.Spurious++
		}
	}
	out.Totals.Lost = out.Totals.Retransmissions - arrived
	out.Totals.Sequences = int64(len(sequences))
	out.Totals.Unsent = int64(len(sequences) - len(originals))
	for k, media := range sequences {
		out.Totals.MediaBytes += media
		if !first[k] {
			out.Totals.Undelivered++
		}
	}
	return out
}

// Captures of real stacks, made in the lab over two links that lose 8 and 10 %
// upwards and 5 % of the first one's way back: the main profile with librist 0.2.7
// (80 bytes of each packet), the simple profile with the same over one link, and
// GStreamer 1.22 (128 bytes). The figures are those of a second implementation.
func TestCount(t *testing.T) {
	for _, c := range []struct {
		dir   string
		links []string
		ports []int
		want  metrics.CaptureTotals
	}{
		{"librist-main", []string{"a", "b"}, []int{8000}, metrics.CaptureTotals{Sequences: 199, Originals: 199, Retransmissions: 19, Necessary: 19, MediaBytes: 199 * 1316}},
		{"librist-simple", []string{"a"}, []int{8000, 8001}, metrics.CaptureTotals{Sequences: 200, Originals: 200, Retransmissions: 11, Necessary: 11, MediaBytes: 200 * 1316}},
		{"gstreamer", []string{"a", "b"}, []int{8000, 8001}, metrics.CaptureTotals{Sequences: 200, Originals: 200, Retransmissions: 12, Necessary: 8, Spurious: 1, Lost: 3, Undelivered: 11, MediaBytes: 200 * 1316}},
	} {
		t.Run(c.dir, func(t *testing.T) {
			dir := filepath.Join("testdata", c.dir)
			ports := map[uint16]bool{}
			for _, p := range c.ports {
				ports[uint16(p)] = true
			}
			want := naive(t, dir, c.links, ports)
			if want.Totals != c.want {
				t.Errorf("the second implementation counts %+v, not %+v", want.Totals, c.want)
			}
			var captures []metrics.Capture
			for i, link := range c.links {
				captures = append(captures, metrics.Capture{
					Link: link, SenderFile: filepath.Join(dir, link+".snd.pcap.gz"), ReceiverFile: filepath.Join(dir, link+".rcv.pcap.gz"),
					SenderAddr: netip.AddrFrom4([4]byte{10, 77, byte(i), 1}), ReceiverAddr: netip.AddrFrom4([4]byte{10, 77, byte(i), 6}), ReceiverPorts: c.ports,
				})
			}
			totals, err := metrics.Count(captures)
			if err != nil {
				t.Fatal(err)
			}
			got := counts{Totals: *totals}
			for _, c := range captures {
				got.Links = append(got.Links, linkCounts{c.Sent, c.Received, c.Lost, c.Originals, c.Retransmissions, c.FirstCopies, c.FirstCopiesBytes})
				if c.SenderCounts.Short+c.ReceiverCounts.Short > 0 {
					t.Errorf("link %s: too little of some packets was captured", c.Link)
				}
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("(-second implementation +ours):\n%s", d)
			}
		})
	}
}

// Any two files give an error or counts that make sense.
func FuzzCount(f *testing.F) {
	var b bytes.Buffer
	u := capturetest.UDP{Src: sender(0), Dst: receiver(0), Payload: rtp(7, false)}
	again := capturetest.UDP{Src: sender(0), Dst: receiver(0), Payload: rtp(7, true)}
	back := capturetest.UDP{Src: receiver(0), Dst: sender(0), Payload: make([]byte, 40)}
	if err := capturetest.Pcap(&b, layers.LinkTypeEthernet, 128, []capturetest.Record{
		{At: 1, Frame: capturetest.Frame(layers.LinkTypeEthernet, 0, u.IP())},
		{At: 2, Frame: capturetest.Frame(layers.LinkTypeEthernet, 0, back.IP())},
		{At: 3, Frame: capturetest.Frame(layers.LinkTypeEthernet, 0, again.IP())},
	}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), b.Bytes())
	f.Add(b.Bytes(), b.Bytes()[:len(b.Bytes())-30])
	f.Fuzz(func(t *testing.T, snd, rcv []byte) {
		dir := t.TempDir()
		c := []metrics.Capture{{Link: "a", SenderFile: filepath.Join(dir, "snd"), ReceiverFile: filepath.Join(dir, "rcv"), SenderAddr: sender(0).Addr(), ReceiverAddr: receiver(0).Addr()}}
		for name, b := range map[string][]byte{c[0].SenderFile: snd, c[0].ReceiverFile: rcv} {
			if err := os.WriteFile(name, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		n, err := metrics.Count(c)
		if err != nil {
			return
		}
		if c[0].Sent != c[0].Received+c[0].Lost || c[0].FirstCopies > c[0].Received {
			t.Errorf("sent %d, received %d, lost %d, first copies %d", c[0].Sent, c[0].Received, c[0].Lost, c[0].FirstCopies)
		}
		if n.Retransmissions != c[0].Retransmissions || n.Originals != c[0].Originals || n.Sequences > n.Originals+n.Retransmissions {
			t.Errorf("%+v of the link, %+v of all", c[0], n)
		}
		if n.Necessary+n.Spurious+n.Lost != n.Retransmissions {
			t.Errorf("necessary %d, spurious %d, lost %d of %d", n.Necessary, n.Spurious, n.Lost, n.Retransmissions)
		}
	})
}

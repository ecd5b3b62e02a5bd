package media

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/trace"
)

// put checks pieces and returns what they made whole.
func put(c *Checker, pieces ...[]byte) (out []Arrival) {
	for _, p := range pieces {
		c.Check(p, func(a Arrival) { out = append(out, a) })
	}
	return out
}

// made are the first datagrams of a stream, sent 1 ms apart.
func made(rate trace.BitRate, n int) (out [][]byte) {
	s := NewStream(rate)
	for i := range n {
		out = append(out, bytes.Clone(s.Next(int64(i)*1e6)))
	}
	return out
}

func TestWholeStream(t *testing.T) {
	for _, rate := range []trace.BitRate{50 * trace.Kbit, 4 * trace.Mbit, 100 * trace.Mbit} {
		c := NewChecker()
		const n = 3000
		got := put(c, made(rate, n)...)
		c.Close()
		if len(got) != n {
			t.Fatalf("%v: got %d datagrams, want %d", rate, len(got), n)
		}
		for i, a := range got {
			if a.Seq != uint64(i) || a.Sent != int64(i)*1e6 {
				t.Fatalf("%v: datagram %d: got %+v", rate, i, a)
			}
		}
		want := Counts{Datagrams: n, Received: n, Unique: n, HighestSeq: n - 1, LastSent: (n - 1) * 1e6,
			Tables: c.Counts.Tables, Clocks: c.Counts.Clocks, MediaCount: n*DatagramPackets - c.Counts.Tables - c.Counts.Clocks}
		if c.Counts != want {
			t.Errorf("%v: got %+v, want %+v", rate, c.Counts, want)
		}
		// The first multiple of an interval is 0; a stream of few datagrams has one
		// in each.
		span := Due(rate, n-1)
		if tables := 2 * min(int64(span/tablesEvery)+1, n); c.Counts.Tables != tables {
			t.Errorf("%v: got %d tables in %v, want %d", rate, c.Counts.Tables, span, tables)
		}
		if clocks := min(int64(span/clockEvery)+1, n); c.Counts.Clocks != clocks {
			t.Errorf("%v: got %d clock references in %v, want %d", rate, c.Counts.Clocks, span, clocks)
		}
	}
}

// A stream has its rate to the nanosecond, after any time.
func TestDue(t *testing.T) {
	for _, c := range []struct {
		rate trace.BitRate
		seq  uint64
		want time.Duration
	}{
		{4 * trace.Mbit, 0, 0},
		{4 * trace.Mbit, 1, 2632 * time.Microsecond},
		{4 * trace.Mbit, 1_000_000, 2632 * time.Second},
		{3 * trace.Mbit, 1, 3509333 * time.Nanosecond},
		{1, 1, 10528 * time.Second},
		{10_000 * trace.Gbit, 1e12, 1052800 * time.Millisecond},
	} {
		if got := Due(c.rate, c.seq); got != c.want {
			t.Errorf("%v, %d: got %v, want %v", c.rate, c.seq, got, c.want)
		}
	}
}

// Whatever the pieces that a stream is cut into, the datagrams come out.
func TestOtherPieces(t *testing.T) {
	all := bytes.Join(made(4*trace.Mbit, 200), nil)
	for _, packets := range []int{1, 2, 3, 5, 11, 40} {
		c := NewChecker()
		var got []Arrival
		for b := all; len(b) > 0; b = b[min(len(b), packets*PacketBytes):] {
			got = append(got, put(c, b[:min(len(b), packets*PacketBytes)])...)
		}
		c.Close()
		if len(got) != 200 || c.Counts.Incomplete != 0 || c.Counts.Continuity != 0 {
			t.Errorf("pieces of %d packets: got %d datagrams, %+v", packets, len(got), c.Counts)
		}
	}
}

func TestFaults(t *testing.T) {
	const n = 60
	without := func(all [][]byte, from, to int) [][]byte {
		return append(append([][]byte{}, all[:from]...), all[to:]...)
	}
	for _, c := range []struct {
		name   string
		change func(all [][]byte) [][]byte
		want   Counts // without tables, clocks, media packets, and pieces
	}{
		{"lost", func(all [][]byte) [][]byte { return without(all, 20, 23) },
			Counts{Received: n - 3, Unique: n - 3, Continuity: 1}},
		{"twice", func(all [][]byte) [][]byte { return append(append(all[:21:21], all[20]), all[21:]...) },
			Counts{Received: n + 1, Unique: n, Duplicates: 1, Continuity: 1}},
		{"swapped", func(all [][]byte) [][]byte { all[20], all[21] = all[21], all[20]; return all },
			Counts{Received: n, Unique: n, OutOfOrder: 1, Continuity: 3}},
		{"a bit of the filling", func(all [][]byte) [][]byte { all[20][3*PacketBytes+100] ^= 1; return all },
			Counts{Received: n - 1, Unique: n - 1, Incomplete: 1, Corrupt: 1, Continuity: 1}},
		{"a bit of a table", func(all [][]byte) [][]byte { all[0][9] ^= 1; return all },
			Counts{Received: n, Unique: n, Corrupt: 1}},
		{"a continuity counter", func(all [][]byte) [][]byte { all[20][3] ^= 2; return all },
			Counts{Received: n - 1, Unique: n - 1, Incomplete: 1, Corrupt: 1, Continuity: 1}},
		{"the end of a datagram", func(all [][]byte) [][]byte { all[20] = all[20][:5*PacketBytes+10]; return all },
			Counts{Received: n - 1, Unique: n - 1, Incomplete: 1, Malformed: 10, Continuity: 1}},
		{"not a stream", func(all [][]byte) [][]byte { all[20] = make([]byte, 100); return all },
			Counts{Received: n - 1, Unique: n - 1, Malformed: 100, Continuity: 1}},
		{"another stream", func(all [][]byte) [][]byte {
			p := make([]byte, PacketBytes)
			p[0], p[1], p[2] = syncByte, 0x02, 0x22
			return append(all, p)
		}, Counts{Received: n, Unique: n, Foreign: 1}},
		{"null packets", func(all [][]byte) [][]byte {
			p := make([]byte, PacketBytes)
			p[0], p[1], p[2] = syncByte, nullPID>>8, nullPID&0xff
			return append(all, p)
		}, Counts{Received: n, Unique: n}},
		{"nothing", func([][]byte) [][]byte { return nil }, Counts{HighestSeq: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := NewChecker()
			pieces := c.change(made(4*trace.Mbit, n))
			put(x, pieces...)
			x.Close()
			got := x.Counts
			c.want.Datagrams = int64(len(pieces))
			got.Tables, got.Clocks, got.MediaCount = 0, 0, 0
			if c.want.HighestSeq == 0 {
				c.want.HighestSeq, c.want.LastSent = n-1, (n-1)*1e6
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A checker's memory is bounded: it gives up on parts of datagrams whose rest does
// not come.
func TestPartialsAreBounded(t *testing.T) {
	c := NewChecker()
	s := NewStream(4 * trace.Mbit)
	const n = 5 * maxPartials
	for range n {
		put(c, s.Next(0)[DatagramBytes-PacketBytes:])
	}
	if len(c.partials) != maxPartials || len(c.order) != maxPartials || c.Counts.Incomplete != n-maxPartials {
		t.Errorf("got %d and %d parts, %d given up", len(c.partials), len(c.order), c.Counts.Incomplete)
	}
	c.Close()
	if c.Counts.Incomplete != n || c.Counts.Received != 0 {
		t.Errorf("got %+v", c.Counts)
	}
}

// The stream is valid by the letter: sync bytes, sections whose CRC another
// implementation finds right, clock references that tell the time.
func TestTransportStream(t *testing.T) {
	// ISO/IEC 13818-1, annex A: CRC-32/MPEG-2 of "123456789" (reveng's catalogue).
	if got := sectionSum([]byte("123456789")); got != 0x0376e6e7 {
		t.Errorf("got CRC %#x, want 0x0376e6e7", got)
	}
	s := NewStream(4 * trace.Mbit)
	const sent = 123_456_789_000
	b := s.Next(sent)
	for i := range DatagramPackets {
		if b[i*PacketBytes] != syncByte {
			t.Errorf("packet %d begins with %#x", i, b[i*PacketBytes])
		}
	}
	pat := b[5:]
	if pat[0] != 0 || binary.BigEndian.Uint16(pat[8:]) != programID || binary.BigEndian.Uint16(pat[10:])&0x1fff != PMTPID {
		t.Errorf("program association %x", pat[:16])
	}
	pmt := b[PacketBytes+5:]
	if pmt[0] != 2 || binary.BigEndian.Uint16(pmt[8:])&0x1fff != PCRPID || binary.BigEndian.Uint16(pmt[13:])&0x1fff != MediaPID {
		t.Errorf("program map %x", pmt[:24])
	}
	pcr := b[2*PacketBytes+6:]
	base := uint64(binary.BigEndian.Uint32(pcr))<<1 | uint64(pcr[4]>>7)
	extension := uint64(pcr[4]&1)<<8 | uint64(pcr[5])
	if got, want := base*300+extension, uint64(sent/1000*27); got != want {
		t.Errorf("got clock reference %d, want %d", got, want)
	}
}

func FuzzChecker(f *testing.F) {
	all := made(4*trace.Mbit, 3)
	f.Add(all[0], uint64(1))
	f.Add(bytes.Join(all, nil), uint64(2))
	f.Add([]byte{syncByte}, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		c := NewChecker()
		r := rand.New(rand.NewPCG(seed, 0))
		n := int64(0)
		for b := data; len(b) > 0; {
			k := min(len(b), 1+r.IntN(3*PacketBytes))
			c.Check(b[:k], func(Arrival) { n++ })
			b = b[k:]
		}
		c.Close()
		if x := c.Counts; x.Received != n || x.Unique+x.Duplicates != x.Received || x.HighestSeq >= 0 != (x.Unique > 0) {
			t.Errorf("got %+v, %d arrivals", x, n)
		}
		// What came before does not hide a stream that follows.
		seen := c.Counts.Unique
		whole := 0
		for _, d := range all {
			c.Check(d, func(Arrival) { whole++ })
		}
		if whole != len(all) || c.Counts.Unique-seen > int64(len(all)) {
			t.Errorf("got %d of %d datagrams after other data", whole, len(all))
		}
	})
}

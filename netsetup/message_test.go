package netsetup

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"linktape/trace"
)

func TestHandle(t *testing.T) {
	if got, want := Handle(0x10, 1), uint32(0x100001); got != want {
		t.Errorf("Handle(0x10, 1) = %#x, want %#x", got, want)
	}
}

// A batch is messages one after the other, each at a multiple of 4 bytes.
func TestBatch(t *testing.T) {
	var b []byte
	for seq := range uint32(3) {
		var start int
		b, start = AppendTC(b, Message{Type: rtmNewQdisc, Flags: 5, Seq: seq}, TC{Ifindex: 7, Handle: Handle(1, 0), Parent: parentRoot})
		if start%4 != 0 {
			t.Fatalf("message %d starts at %d", seq, start)
		}
		b = append(b, make([]byte, seq)...) // an odd length
		b = FinishMessage(b, start)
	}
	m := Messages{Buf: b}
	for seq := range uint32(3) {
		if !m.Next() {
			t.Fatalf("message %d: %v", seq, m.Err())
		}
		if m.Type != rtmNewQdisc || m.Flags != 5 || m.Seq != seq || m.PID != 0 || len(m.Payload) != tcmsgLen+int(seq) {
			t.Errorf("message %d: got %+v", seq, m)
		}
		var q QdiscInfo
		if err := DecodeQdisc(m.Payload[:tcmsgLen], &q); err != nil {
			t.Fatal(err)
		}
		if want := (TC{Ifindex: 7, Handle: 0x10000, Parent: 0xFFFFFFFF}); q.TC != want {
			t.Errorf("message %d: got %+v, want %+v", seq, q.TC, want)
		}
	}
	if m.Next() || m.Err() != nil {
		t.Errorf("after the last message: %v", m.Err())
	}
}

func TestProb32(t *testing.T) {
	for _, c := range []struct {
		p    trace.Prob
		want uint32
	}{
		{0, 0},
		{1, math.MaxUint32},
		{0.01, 0x028f5c29},
		{0.5, 0x80000000}, // 2147483647.5, to even
		{1.0 / math.MaxUint32, 1},
		{0.4 / math.MaxUint32, 0},
	} {
		if got := prob32(c.p); got != c.want {
			t.Errorf("prob32(%v) = %#x, want %#x", float64(c.p), got, c.want)
		}
	}
	for _, v := range []uint32{0, 1, 2, 12345, 1 << 31, math.MaxUint32 - 1, math.MaxUint32} {
		if got := prob32(prob(v)); got != v {
			t.Errorf("prob32(prob(%#x)) = %#x", v, got)
		}
	}
}

func TestXmitTicks32(t *testing.T) {
	for _, c := range []struct {
		rate, size uint64
		want       uint32
	}{
		{625_000, 1600, 40_000},                      // 2560 µs
		{12_500_000, 1514, 1890},                     // 121.12 µs, cut to 121: 1890.6
		{5_000_000_000, 3028, 10},                    // 0.6056 µs: 9.46 ticks, up
		{1_000_000_000_000, 1, 1},                    // never 0
		{1, 274, 4_281_250_000},                      // near the end of the clock
		{1_250_000_000, 1_250_000, 15_625},           // 1 ms at 10 Gbit/s
		{math.MaxUint32, math.MaxUint32, 15_625_000}, // 1 s
	} {
		if got, err := xmitTicks32("burst", c.rate, c.size); err != nil || got != c.want {
			t.Errorf("xmitTicks32(%d, %d) = %d, %v, want %d", c.rate, c.size, got, err, c.want)
		}
	}
	_, err := xmitTicks32("burst", 1, 275)
	wantError(t, err, "burst 275 bytes: takes 275 s at 1 bytes/s, more than the 275 s that the kernel's clock holds")
}

func TestNestTooLong(t *testing.T) {
	b, nest := beginNest(nil, 1)
	_, err := endNest(append(b, make([]byte, 70000)...), nest)
	wantError(t, err, "attribute of 70004 bytes: more than the 65535 of its length field")
}

// wantError compares an error's text.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", want)
	} else if err.Error() != want {
		t.Errorf("error\n got %q\nwant %q", err, want)
	}
}

func TestAppendSizeTable(t *testing.T) {
	ne := binary.NativeEndian
	want := ne.AppendUint16(nil, 32)
	want = ne.AppendUint16(want, tcaStab)
	want = ne.AppendUint16(want, 28)
	want = ne.AppendUint16(want, tcaStabBase)
	for _, v := range []uint32{0, 0xFFFFFFF2, 1, 0, 0, 0} {
		want = ne.AppendUint32(want, v)
	}
	got, err := AppendSizeTable(nil, SizeTable{OverheadBytes: -14})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got  %x, %v\nwant %x", got, err, want)
	}
	for _, n := range []int32{-65536, 65536, math.MinInt32} {
		if _, err := AppendSizeTable(nil, SizeTable{OverheadBytes: n}); err == nil {
			t.Errorf("overhead %d: no error", n)
		}
	}
}

// The encoders allocate nothing when the buffer has room.
func TestAppendAllocs(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	table := make([]int16, 4096)
	for _, c := range []struct {
		name   string
		append func(b []byte) ([]byte, error)
	}{
		{"tbf", func(b []byte) ([]byte, error) {
			return AppendTBF(b, TBF{Rate: 40 * trace.Gbit, BurstBytes: 5e6, LimitBytes: 1e6, PeakRate: 50 * trace.Gbit, PeakBurstBytes: 1e5})
		}},
		{"tbf slower than the clock", func(b []byte) ([]byte, error) {
			return AppendTBF(b, TBF{Rate: 8, BurstBytes: 1514, LimitBytes: 1e6})
		}},
		{"htb", func(b []byte) ([]byte, error) {
			return AppendHTB(b, HTB{Default: 1, DirectQlen: 1000, HasDirectQlen: true})
		}},
		{"htb class", func(b []byte) ([]byte, error) {
			return AppendHTBClass(b, HTBClass{Rate: 40 * trace.Gbit, Ceil: 50 * trace.Gbit, BurstBytes: 1e6, QuantumBytes: 1514})
		}},
		{"netem", func(b []byte) ([]byte, error) {
			return AppendNetem(b, Netem{Delay: 1e6, Jitter: 1e5, LimitPackets: 1000, GE: trace.GE{P: 0.1, R: 0.5, LossBad: 1}, DelayDist: table, Rate: 40 * trace.Gbit, HasSeed: true})
		}},
		{"size table", func(b []byte) ([]byte, error) { return AppendSizeTable(b, SizeTable{OverheadBytes: -14}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			allocs := testing.AllocsPerRun(100, func() {
				b, start := AppendTC(buf, Message{Type: rtmNewQdisc}, TC{Ifindex: 1})
				b, err := c.append(b)
				if err != nil {
					t.Fatal(err)
				}
				FinishMessage(b, start)
			})
			if allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
		})
	}
}

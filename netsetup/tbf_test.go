package netsetup

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"linktape/trace"
)

func TestAppendTBFErrors(t *testing.T) {
	ok := TBF{Rate: trace.Mbit, BurstBytes: 3028, LimitBytes: 30000}
	for _, c := range []struct {
		name string
		edit func(q *TBF)
		want string
	}{
		{"rate 0", func(q *TBF) { q.Rate = 0 }, "encode tbf: rate 0bit: must be above 0, which is no limit to the kernel"},
		{"rate negative", func(q *TBF) { q.Rate = -8 }, "encode tbf: rate -8bit: must be above 0, which is no limit to the kernel"},
		{"no bucket", func(q *TBF) { q.BurstBytes = 0 }, "encode tbf: burst 0 bytes: every packet would be dropped"},
		{"burst negative", func(q *TBF) { q.BurstBytes = -1 }, "encode tbf: burst -1 bytes: outside 0 to 4294967295"},
		{"burst large", func(q *TBF) { q.BurstBytes = 1 << 32 }, "encode tbf: burst 4294967296 bytes: outside 0 to 4294967295"},
		{"two buckets", func(q *TBF) { q.Buffer = time.Second }, "encode tbf: burst 3028 bytes and buffer 1s: give one of the two"},
		{"buffer long", func(q *TBF) { q.BurstBytes, q.Buffer = 0, MaxTBFBuffer+1 }, "encode tbf: buffer 4.294967296s: outside 64ns to 4.294967295s"},
		{"buffer short", func(q *TBF) { q.BurstBytes, q.Buffer = 0, 63 }, "encode tbf: buffer 63ns: outside 64ns to 4.294967295s"},
		{"buffer below a byte", func(q *TBF) { q.BurstBytes, q.Buffer = 0, time.Microsecond }, "encode tbf: buffer 1µs: less than one byte at 125000 bytes/s"},
		{"limit", func(q *TBF) { q.LimitBytes = 1 << 32 }, "encode tbf: limit 4294967296 bytes: outside 0 to 4294967295"},
		{"peakrate low", func(q *TBF) { q.PeakRate, q.PeakBurstBytes = trace.Mbit, 1600 }, "encode tbf: peakrate 1Mbit: not above the rate 1Mbit"},
		{"peakrate negative", func(q *TBF) { q.PeakRate = -1 }, "encode tbf: peakrate -1bit: negative"},
		{"peakrate without bucket", func(q *TBF) { q.PeakRate = 2 * trace.Mbit }, "encode tbf: peak burst 0 bytes: every packet would be dropped"},
		{"peak burst alone", func(q *TBF) { q.PeakBurstBytes = 1600 }, "encode tbf: peak burst without a peakrate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ok
			c.edit(&q)
			b, err := AppendTBF([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes appended beside an error", len(b)-4)
			}
		})
	}
	if _, err := AppendTBF(nil, ok); err != nil {
		t.Error(err)
	}
}

// A rate below 8 bit/s is one byte per second, never 0, which is no limit.
func TestTBFLeastRate(t *testing.T) {
	for r := trace.BitRate(1); r < 17; r++ {
		b, err := AppendTBF(nil, TBF{Rate: r, BurstBytes: 1514})
		if err != nil {
			t.Fatal(err)
		}
		q, err := DecodeTBF(b[12:])
		if err != nil {
			t.Fatal(err)
		}
		if want := max(r/8, 1) * 8; q.Rate != want {
			t.Errorf("rate %v on the wire: got %v, want %v", r, q.Rate, want)
		}
	}
}

// A closed bucket is given as time, without TCA_TBF_BURST, and its mpu goes
// out in full. The arithmetic is the kernel's: psched_ns_t2l admits packets,
// psched_l2t_ns charges them.
func TestTBFClosed(t *testing.T) {
	q := TBF{Rate: 8 * 4096, Buffer: time.Second, MPUBytes: math.MaxUint16, LimitBytes: 30000}
	b, err := AppendTBF(nil, q)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[uint16][]byte{}
	eachAttr(b[12:], func(typ uint16, raw []byte) { sent[typ] = raw[nlaHeaderLen:] })
	if len(sent) != 1 {
		t.Errorf("attributes %v, want TCA_TBF_PARMS alone", sent)
	}
	parms := sent[tcaTBFParms]
	ne := binary.NativeEndian
	if got, want := ne.Uint16(parms[6:]), uint16(65535); got != want {
		t.Errorf("mpu %d, want %d", got, want)
	}
	if got, want := ne.Uint32(parms[28:]), uint32(time.Second/64); got != want {
		t.Errorf("buffer of %d ticks, want %d", got, want)
	}
	if got, want := q.BucketBytes(), int64(4096); got != want {
		t.Errorf("bucket of %d bytes, want %d", got, want)
	}
	charge := time.Duration(65535) * time.Second / 4096
	if charge <= q.Buffer {
		t.Errorf("a packet is charged %v, which a bucket of %v covers", charge, q.Buffer)
	}
}

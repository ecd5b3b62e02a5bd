package netsetup

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Attributes of tbf; include/uapi/linux/pkt_sched.h.
const (
	tcaTBFParms   = 1 // TCA_TBF_PARMS
	tcaTBFRate64  = 4 // TCA_TBF_RATE64
	tcaTBFPRate64 = 5 // TCA_TBF_PRATE64
	tcaTBFBurst   = 6 // TCA_TBF_BURST
	tcaTBFPBurst  = 7 // TCA_TBF_PBURST

	tbfQoptLen = 2*rateSpecLen + 12 // sizeof(struct tc_tbf_qopt)
)

// MaxTBFBuffer is the longest bucket that tbf uses in full when it is given as
// time: net/sched/sch_tbf.c, tbf_change, takes min(buffer, 2³²−1 ns).
const MaxTBFBuffer = time.Duration(math.MaxUint32)

// TBF holds the parameters of a token bucket filter, net/sched/sch_tbf.c.
// Every change sets all of them, fills the bucket and leaves the queue and the
// timer as they are.
//
// The bucket's size is given either in bytes, which is exact, or as time. The
// second way has one use, the closed bucket. With BurstBytes 0, a Buffer of b
// and MPUBytes 65535 the bucket covers b·rate bytes, and packets up to that
// size are queued (max_size = psched_ns_t2l(rate, buffer), which knows no
// minimum). But each packet is charged 65535 bytes when it is to leave
// (psched_l2t_ns takes the larger of length and mpu), which a bucket of less
// never covers: the qdisc is closed. It holds its queue, accepts packets up to
// its limit, and lets nothing through until a change opens it.
type TBF struct {
	Rate           trace.BitRate // above 0; the wire holds whole bytes per second
	BurstBytes     int64         // the bucket in bytes, TCA_TBF_BURST; 0: Buffer is used instead
	Buffer         time.Duration // the bucket as the time to fill it, up to MaxTBFBuffer, in 64 ns ticks
	LimitBytes     int64         // of the queue, as long as tbf's child is a fifo
	PeakRate       trace.BitRate // 0: none; else above Rate
	PeakBurstBytes int64         // the peak bucket in bytes, TCA_TBF_PBURST; 0: PeakBuffer is used instead
	PeakBuffer     time.Duration // the peak bucket as time, up to MaxTBFBuffer, in 64 ns ticks
	MPUBytes       uint16        // a shorter packet is charged as if it had this length
	OverheadBytes  uint16        // added to the length of each packet
}

// BucketBytes is the size of the bucket in bytes, rounded down, whichever way
// it is given: what net/sched/sch_tbf.c, tbf_change, takes as max_size, before
// it looks at the peak bucket.
func (q TBF) BucketBytes() int64 {
	if q.BurstBytes != 0 || q.Rate <= 0 {
		return q.BurstBytes
	}
	return max(bytesIn(q.Buffer, bytesPerSecond(q.Rate))-int64(q.OverheadBytes), 0)
}

// AppendTBF appends TCA_KIND and TCA_OPTIONS of a tbf, for a message that
// creates or changes it; net/sched/sch_tbf.c, tbf_change. Rates go out in
// bytes per second, rounded down to at least 1. It fails, leaving b as it was,
// when a value is outside its field or one that the kernel would refuse or
// take as unlimited.
func AppendTBF(b []byte, q TBF) ([]byte, error) {
	p, err := q.params()
	if err != nil {
		return b, fmt.Errorf("encode tbf: %w", err)
	}
	ne := binary.NativeEndian
	b = appendKind(b, "tbf")
	b, nest := beginNest(b, tcaOptions)
	b = appendAttrHeader(b, tcaTBFParms, tbfQoptLen)
	b = appendRateSpec(b, p.rate, p.cellLog, q.OverheadBytes, q.MPUBytes)
	if q.PeakRate > 0 {
		b = appendRateSpec(b, p.peak, p.cellLog, q.OverheadBytes, q.MPUBytes)
	} else {
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	b = ne.AppendUint32(b, p.limit)
	b = ne.AppendUint32(b, p.buffer)
	b = ne.AppendUint32(b, p.mtu)
	if p.burst > 0 {
		b = appendAttrU32(b, tcaTBFBurst, p.burst)
	}
	if p.rate > math.MaxUint32 {
		b = appendAttrU64(b, tcaTBFRate64, p.rate)
	}
	if p.peak > math.MaxUint32 {
		b = appendAttrU64(b, tcaTBFPRate64, p.peak)
	}
	if p.pburst > 0 {
		b = appendAttrU32(b, tcaTBFPBurst, p.pburst)
	}
	return endNest(b, nest)
}

// tbfParams are the fields of struct tc_tbf_qopt and its attributes.
type tbfParams struct {
	rate, peak    uint64 // bytes per second
	limit         uint32
	buffer, mtu   uint32 // ticks
	burst, pburst uint32 // bytes
	cellLog       uint8
}

func (q *TBF) params() (p tbfParams, err error) {
	if q.Rate <= 0 {
		return p, fmt.Errorf("rate %v: must be above 0, which is no limit to the kernel", q.Rate)
	}
	p.rate = bytesPerSecond(q.Rate)
	if p.limit, err = size32("limit", q.LimitBytes); err != nil {
		return p, err
	}
	if p.burst, p.buffer, err = bucket("burst", "buffer", q.BurstBytes, q.Buffer, p.rate); err != nil {
		return p, err
	}
	mtu := uint64(2047)
	if q.PeakRate != 0 {
		if q.PeakRate < 0 {
			return p, fmt.Errorf("peakrate %v: negative", q.PeakRate)
		}
		if p.peak = bytesPerSecond(q.PeakRate); p.peak <= p.rate {
			return p, fmt.Errorf("peakrate %v: not above the rate %v", q.PeakRate, q.Rate)
		}
		if p.pburst, p.mtu, err = bucket("peak burst", "peak buffer", q.PeakBurstBytes, q.PeakBuffer, p.peak); err != nil {
			return p, err
		}
		if p.pburst > 0 {
			mtu = uint64(p.pburst)
		}
	} else if q.PeakBurstBytes != 0 || q.PeakBuffer != 0 {
		return p, fmt.Errorf("peak burst without a peakrate")
	}
	p.cellLog = cellLog(mtu)
	// psched_l2t_ns adds them in 32 bits.
	if n := max(p.burst, p.pburst); uint64(n)+uint64(q.OverheadBytes) > math.MaxUint32 {
		return p, fmt.Errorf("burst %d bytes and overhead %d bytes: together above %d", n, q.OverheadBytes, uint32(math.MaxUint32))
	}
	return p, nil
}

// bucket checks a bucket that is given in bytes or as time and returns its
// bytes, 0 when given as time, and its ticks.
func bucket(bytesName, timeName string, bytes int64, d time.Duration, rate uint64) (burst, ticks uint32, err error) {
	switch {
	case bytes == 0 && d == 0:
		return 0, 0, fmt.Errorf("%s 0 bytes: every packet would be dropped", bytesName)
	case bytes != 0 && d != 0:
		return 0, 0, fmt.Errorf("%s %d bytes and %s %v: give one of the two", bytesName, bytes, timeName, d)
	case bytes == 0:
		if ticks, err = ticks32(timeName, d, MaxTBFBuffer); err != nil {
			return 0, 0, err
		}
		if bytesIn(d, rate) < 1 {
			return 0, 0, fmt.Errorf("%s %v: less than one byte at %d bytes/s", timeName, d, rate)
		}
		return 0, ticks, nil
	}
	if burst, err = size32(bytesName, bytes); err != nil {
		return 0, 0, err
	}
	// The kernel ignores the ticks beside TCA_TBF_BURST. They are sent as tc
	// does, which computes them from the 32-bit rate, at most 2³²−1.
	return burst, uint32(min(xmitTicks(uint64(rate32(rate)), uint64(burst)), math.MaxUint32)), nil
}

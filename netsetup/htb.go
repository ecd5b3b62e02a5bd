package netsetup

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Attributes of htb; include/uapi/linux/pkt_sched.h.
const (
	tcaHTBParms      = 1 // TCA_HTB_PARMS
	tcaHTBInit       = 2 // TCA_HTB_INIT
	tcaHTBDirectQlen = 5 // TCA_HTB_DIRECT_QLEN
	tcaHTBRate64     = 6 // TCA_HTB_RATE64
	tcaHTBCeil64     = 7 // TCA_HTB_CEIL64

	htbGlobLen = 20                 // sizeof(struct tc_htb_glob)
	htbOptLen  = 2*rateSpecLen + 20 // sizeof(struct tc_htb_opt)
	htbVersion = 3                  // TC_HTB_PROTOVER
	htbMaxPrio = 7                  // TC_HTB_NUMPRIO − 1
)

// DefaultR2Q is the divisor that tc sends when none is given.
const DefaultR2Q = 10

// HTB holds the parameters of an htb qdisc, net/sched/sch_htb.c. They are set
// once: htb has no change operation, and the shaping is done by its classes.
type HTB struct {
	Default       uint16 // minor number of the class for packets that no filter classifies; 0: they bypass the classes, unshaped
	R2Q           uint32 // divisor that makes a class's quantum of its rate in bytes per second; 0: DefaultR2Q
	DirectQlen    uint32 // packets in the queue of those that bypass the classes, when HasDirectQlen
	HasDirectQlen bool   // false: the kernel takes the interface's txqueuelen
}

// AppendHTB appends TCA_KIND and TCA_OPTIONS of an htb qdisc, for the message
// that creates it; net/sched/sch_htb.c, htb_init. No value is refused.
func AppendHTB(b []byte, q HTB) ([]byte, error) {
	if q.R2Q == 0 {
		q.R2Q = DefaultR2Q
	}
	ne := binary.NativeEndian
	b = appendKind(b, "htb")
	b, nest := beginNest(b, tcaOptions)
	b = appendAttrHeader(b, tcaHTBInit, htbGlobLen)
	b = ne.AppendUint32(b, htbVersion)
	b = ne.AppendUint32(b, q.R2Q)
	b = ne.AppendUint32(b, uint32(q.Default))
	b = ne.AppendUint32(b, 0) // debug
	b = ne.AppendUint32(b, 0) // direct_pkts, a statistic
	if q.HasDirectQlen {
		b = appendAttrU32(b, tcaHTBDirectQlen, q.DirectQlen)
	}
	return endNest(b, nest)
}

// HTBClass holds the parameters of an htb class, net/sched/sch_htb.c. A change
// sets all of them but leaves the tokens, so it lets no burst through.
//
// The kernel keeps the buckets as time, in ticks of 64 ns. They are computed
// from bytes and rate as tc does, or given as time; that is what
// [DecodeHTBClass] returns.
type HTBClass struct {
	Rate           trace.BitRate // above 0; the wire holds whole bytes per second
	Ceil           trace.BitRate // 0: Rate
	BurstBytes     int64         // bucket of Rate; 0: Buffer is used instead
	Buffer         time.Duration // the bucket as the time to fill it, up to 274 s, in 64 ns ticks
	CeilBurstBytes int64         // bucket of Ceil; 0: CeilBuffer, or when that is 0 too, BurstBytes or Buffer
	CeilBuffer     time.Duration // the bucket of Ceil as time
	QuantumBytes   int64         // served at once before the next class of the same priority; 0: the kernel takes rate/r2q
	Prio           uint32        // 0 (first) to 7
	MPUBytes       uint16        // a shorter packet is charged as if it had this length
	OverheadBytes  uint16        // added to the length of each packet
}

// BucketBytes is the size of the buckets of Rate and Ceil in bytes, whichever
// way they are given; those given as time are rounded down.
func (c HTBClass) BucketBytes() (burst, ceilBurst int64) {
	ceil := c.Ceil
	if ceil == 0 {
		ceil = c.Rate
	}
	bytes := func(n int64, d time.Duration, rate trace.BitRate) int64 {
		if n != 0 || rate <= 0 {
			return n
		}
		return bytesIn(d, bytesPerSecond(rate))
	}
	burst = bytes(c.BurstBytes, c.Buffer, c.Rate)
	if c.CeilBurstBytes == 0 && c.CeilBuffer == 0 {
		return burst, bytes(c.BurstBytes, c.Buffer, ceil)
	}
	return burst, bytes(c.CeilBurstBytes, c.CeilBuffer, ceil)
}

// AppendHTBClass appends TCA_KIND and TCA_OPTIONS of an htb class, for a
// message that creates or changes it; net/sched/sch_htb.c, htb_change_class.
// Rates go out in bytes per second, rounded down to at least 1. It fails,
// leaving b as it was, when a value is outside its field or one that the
// kernel would refuse.
func AppendHTBClass(b []byte, c HTBClass) ([]byte, error) {
	p, err := c.params()
	if err != nil {
		return b, fmt.Errorf("encode htb class: %w", err)
	}
	ne := binary.NativeEndian
	b = appendKind(b, "htb")
	b, nest := beginNest(b, tcaOptions)
	if p.rate > math.MaxUint32 {
		b = appendAttrU64(b, tcaHTBRate64, p.rate)
	}
	if p.ceil > math.MaxUint32 {
		b = appendAttrU64(b, tcaHTBCeil64, p.ceil)
	}
	b = appendAttrHeader(b, tcaHTBParms, htbOptLen)
	b = appendRateSpec(b, p.rate, cellLog(htbMTU), c.OverheadBytes, c.MPUBytes)
	b = appendRateSpec(b, p.ceil, cellLog(htbMTU), c.OverheadBytes, c.MPUBytes)
	b = ne.AppendUint32(b, p.buffer)
	b = ne.AppendUint32(b, p.cbuffer)
	b = ne.AppendUint32(b, p.quantum)
	b = ne.AppendUint32(b, 0) // level, a result
	b = ne.AppendUint32(b, c.Prio)
	return endNest(b, nest)
}

// htbMTU is the frame that tc's rate tables of htb are made for.
const htbMTU = 1600

// htbParams are the fields of struct tc_htb_opt and its attributes.
type htbParams struct {
	rate, ceil      uint64 // bytes per second
	buffer, cbuffer uint32 // ticks
	quantum         uint32 // bytes
}

func (c *HTBClass) params() (p htbParams, err error) {
	if c.Rate <= 0 {
		return p, fmt.Errorf("rate %v: must be above 0", c.Rate)
	}
	if c.Ceil < 0 {
		return p, fmt.Errorf("ceil %v: negative", c.Ceil)
	}
	p.rate = bytesPerSecond(c.Rate)
	p.ceil = p.rate
	if c.Ceil != 0 {
		p.ceil = bytesPerSecond(c.Ceil)
	}
	if p.buffer, err = htbBucket("burst", "buffer", c.BurstBytes, c.Buffer, p.rate); err != nil {
		return p, err
	}
	cbytes, cbuf := c.CeilBurstBytes, c.CeilBuffer
	if cbytes == 0 && cbuf == 0 {
		cbytes, cbuf = c.BurstBytes, c.Buffer
	}
	if p.cbuffer, err = htbBucket("ceil burst", "ceil buffer", cbytes, cbuf, p.ceil); err != nil {
		return p, err
	}
	if p.quantum, err = size32("quantum", c.QuantumBytes); err != nil {
		return p, err
	}
	if c.Prio > htbMaxPrio {
		return p, fmt.Errorf("prio %d: outside 0 to %d", c.Prio, htbMaxPrio)
	}
	return p, nil
}

// htbBucket returns the ticks of a bucket that is given in bytes or as time.
func htbBucket(bytesName, timeName string, bytes int64, d time.Duration, rate uint64) (uint32, error) {
	switch {
	case bytes == 0 && d == 0:
		return 0, fmt.Errorf("%s 0 bytes: must be above 0", bytesName)
	case bytes != 0 && d != 0:
		return 0, fmt.Errorf("%s %d bytes and %s %v: give one of the two", bytesName, bytes, timeName, d)
	case bytes == 0:
		return ticks32(timeName, d, maxTicks)
	}
	n, err := size32(bytesName, bytes)
	if err != nil {
		return 0, err
	}
	return xmitTicks32(bytesName, rate, uint64(n))
}

package netsetup

import (
	"errors"
	"fmt"
	"time"
)

// Attributes of fq_codel; include/uapi/linux/pkt_sched.h.
const (
	tcaFQCoDelTarget      = 1 // TCA_FQ_CODEL_TARGET
	tcaFQCoDelLimit       = 2 // TCA_FQ_CODEL_LIMIT
	tcaFQCoDelInterval    = 3 // TCA_FQ_CODEL_INTERVAL
	tcaFQCoDelECN         = 4 // TCA_FQ_CODEL_ECN
	tcaFQCoDelFlows       = 5 // TCA_FQ_CODEL_FLOWS
	tcaFQCoDelQuantum     = 6 // TCA_FQ_CODEL_QUANTUM
	tcaFQCoDelCEThreshold = 7 // TCA_FQ_CODEL_CE_THRESHOLD
	tcaFQCoDelDropBatch   = 8 // TCA_FQ_CODEL_DROP_BATCH_SIZE
	tcaFQCoDelMemory      = 9 // TCA_FQ_CODEL_MEMORY_LIMIT

	fqCoDelQdiscStatsLen = 4 + 9*4 // struct tc_fq_codel_xstats of a qdisc
)

// Bounds of fq_codel; net/sched/sch_fq_codel.c.
const (
	FQCoDelMaxFlows   = 65536
	FQCoDelMinQuantum = 256     // a smaller one becomes this
	FQCoDelMaxQuantum = 1 << 20 // FQ_CODEL_QUANTUM_MAX
	FQCoDelMaxMemory  = 1 << 31 // a larger one becomes this
)

// FQCoDelAttr is a set of fq_codel's attributes, for [FQCoDel.Omit].
type FQCoDelAttr uint16

// What is left out keeps its value, or at creation has the kernel's default
// (net/sched/sch_fq_codel.c: fq_codel_init, fq_codel_change).
const (
	FQCoDelLimit       FQCoDelAttr = 1 << iota // default: 10240 packets
	FQCoDelFlows                               // default: 1024. A change that sends it is refused
	FQCoDelQuantum                             // default: a frame of the device
	FQCoDelInterval                            // default: 100 ms
	FQCoDelTarget                              // default: 5 ms
	FQCoDelECN                                 // default: on
	FQCoDelCEThreshold                         // default: none. There is no way to remove it
	FQCoDelMemory                              // default: 32 MiB
	FQCoDelDropBatch                           // default: 64 packets
)

// FQCoDel holds the parameters of an fq_codel qdisc, net/sched/sch_fq_codel.c.
// A change keeps the queue but for what exceeds a lowered limit, which it drops
// from the head.
type FQCoDel struct {
	LimitPackets uint32 // packets in the queue
	Flows        uint32 // queues that flows are hashed to, 1 to FQCoDelMaxFlows
	QuantumBytes uint32 // served at once before the next flow, FQCoDelMinQuantum to FQCoDelMaxQuantum
	Interval     time.Duration
	Target       time.Duration // both in whole µs, and kept by the kernel in steps of 1024 ns
	ECN          bool          // mark in place of dropping, where the packet allows it
	CEThreshold  time.Duration // mark what waited longer, in whole µs
	MemoryBytes  int64         // limit in bytes of the kernel's memory, up to FQCoDelMaxMemory
	DropBatch    uint32        // packets dropped at once from a full queue's longest flow, above 0

	Omit FQCoDelAttr // attributes to leave out; zero sends the complete set
}

// AppendFQCoDel appends TCA_KIND and TCA_OPTIONS of an fq_codel, for a message
// that creates or changes it; net/sched/sch_fq_codel.c, fq_codel_change. It
// fails, leaving b as it was, when a value is outside its field or one that the
// kernel would refuse or silently change.
func AppendFQCoDel(b []byte, q FQCoDel) ([]byte, error) {
	p, err := q.params()
	if err != nil {
		return b, fmt.Errorf("encode fq_codel: %w", err)
	}
	b = appendKind(b, "fq_codel")
	b, nest := beginNest(b, tcaOptions)
	u32 := func(attr FQCoDelAttr, typ uint16, v uint32) {
		if q.Omit&attr == 0 {
			b = appendAttrU32(b, typ, v)
		}
	}
	u32(FQCoDelLimit, tcaFQCoDelLimit, q.LimitPackets)
	u32(FQCoDelFlows, tcaFQCoDelFlows, q.Flows)
	u32(FQCoDelQuantum, tcaFQCoDelQuantum, q.QuantumBytes)
	u32(FQCoDelInterval, tcaFQCoDelInterval, p.interval)
	u32(FQCoDelTarget, tcaFQCoDelTarget, p.target)
	u32(FQCoDelECN, tcaFQCoDelECN, bit(q.ECN))
	u32(FQCoDelCEThreshold, tcaFQCoDelCEThreshold, p.ceThreshold)
	u32(FQCoDelMemory, tcaFQCoDelMemory, p.memory)
	u32(FQCoDelDropBatch, tcaFQCoDelDropBatch, q.DropBatch)
	return endNest(b, nest)
}

// fqCoDelParams are the fields of fq_codel's attributes.
type fqCoDelParams struct{ interval, target, ceThreshold, memory uint32 }

func (q *FQCoDel) params() (p fqCoDelParams, err error) {
	sent := func(attr FQCoDelAttr) bool { return q.Omit&attr == 0 }
	switch {
	case sent(FQCoDelLimit) && q.LimitPackets == 0:
		return p, errors.New("limit 0 packets: every packet would be dropped")
	case sent(FQCoDelFlows) && (q.Flows < 1 || q.Flows > FQCoDelMaxFlows):
		return p, fmt.Errorf("flows %d: outside 1 to %d", q.Flows, FQCoDelMaxFlows)
	case sent(FQCoDelQuantum) && (q.QuantumBytes < FQCoDelMinQuantum || q.QuantumBytes > FQCoDelMaxQuantum):
		return p, fmt.Errorf("quantum %d bytes: outside %d to %d", q.QuantumBytes, FQCoDelMinQuantum, FQCoDelMaxQuantum)
	case sent(FQCoDelDropBatch) && q.DropBatch == 0:
		return p, errors.New("drop batch 0: must be above 0")
	case sent(FQCoDelMemory) && (q.MemoryBytes < 1 || q.MemoryBytes > FQCoDelMaxMemory):
		return p, fmt.Errorf("memory limit %d bytes: outside 1 to %d", q.MemoryBytes, FQCoDelMaxMemory)
	}
	p.memory = uint32(q.MemoryBytes)
	for _, t := range [...]struct {
		attr FQCoDelAttr
		name string
		d    time.Duration
		to   *uint32
	}{
		{FQCoDelInterval, "interval", q.Interval, &p.interval},
		{FQCoDelTarget, "target", q.Target, &p.target},
		{FQCoDelCEThreshold, "ce_threshold", q.CEThreshold, &p.ceThreshold},
	} {
		if sent(t.attr) {
			if *t.to, err = micros32(t.name, t.d); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// DecodeFQCoDel reads the TCA_OPTIONS of an fq_codel:
// net/sched/sch_fq_codel.c, fq_codel_change and fq_codel_dump. What the options
// do not mention is named by Omit.
func DecodeFQCoDel(options []byte) (FQCoDel, error) {
	q := FQCoDel{Omit: 2*FQCoDelDropBatch - 1}
	a := attrs{buf: options}
	number := func(attr FQCoDelAttr) uint32 {
		q.Omit &^= attr
		return a.u32()
	}
	micros := func(attr FQCoDelAttr) time.Duration { return time.Duration(number(attr)) * time.Microsecond }
	for a.next() {
		switch a.typ {
		case tcaFQCoDelTarget:
			q.Target = micros(FQCoDelTarget)
		case tcaFQCoDelLimit:
			q.LimitPackets = number(FQCoDelLimit)
		case tcaFQCoDelInterval:
			q.Interval = micros(FQCoDelInterval)
		case tcaFQCoDelECN:
			q.ECN = number(FQCoDelECN) != 0
		case tcaFQCoDelFlows:
			q.Flows = number(FQCoDelFlows)
		case tcaFQCoDelQuantum:
			q.QuantumBytes = number(FQCoDelQuantum)
		case tcaFQCoDelCEThreshold:
			q.CEThreshold = micros(FQCoDelCEThreshold)
		case tcaFQCoDelDropBatch:
			q.DropBatch = number(FQCoDelDropBatch)
		case tcaFQCoDelMemory:
			q.MemoryBytes = int64(number(FQCoDelMemory))
		}
	}
	if a.err != nil {
		return FQCoDel{}, fmt.Errorf("decode fq_codel: %w", a.err)
	}
	return q, nil
}

// FQCoDelStats is what an fq_codel tells of itself (TCA_STATS_APP; struct
// tc_fq_codel_qd_stats). Counts wrap where the kernel's do.
type FQCoDelStats struct {
	MaxPacketBytes uint32 `json:"max_packet_bytes"`
	LimitDrops     uint32 `json:"limit_drops"` // of a full queue; CoDel's own are in the qdisc's drops besides
	MemoryDrops    uint32 `json:"memory_drops"`
	ECNMarks       uint32 `json:"ecn_marks"`
	CEMarks        uint32 `json:"ce_marks"` // above CEThreshold
	NewFlows       uint32 `json:"new_flows"`
	MemoryUsed     uint32 `json:"memory_used_bytes"` // now
}

// DecodeFQCoDelStats reads the TCA_STATS_APP of an fq_codel qdisc,
// [QdiscInfo.AppStats].
func DecodeFQCoDelStats(stats []byte) (FQCoDelStats, error) {
	const qdiscStats = 0 // TCA_FQ_CODEL_XSTATS_QDISC
	a := attrs{payload: stats}
	if !a.need(fqCoDelQdiscStatsLen) {
		return FQCoDelStats{}, fmt.Errorf("decode fq_codel's statistics: %d bytes of %d: %w", len(stats), fqCoDelQdiscStatsLen, errTruncated)
	}
	if typ := a.u32At(0); typ != qdiscStats {
		return FQCoDelStats{}, fmt.Errorf("decode fq_codel's statistics: of type %d, not of a qdisc", typ)
	}
	return FQCoDelStats{
		MaxPacketBytes: a.u32At(4), LimitDrops: a.u32At(8), ECNMarks: a.u32At(12), NewFlows: a.u32At(16),
		CEMarks: a.u32At(28), MemoryUsed: a.u32At(32), MemoryDrops: a.u32At(36),
	}, nil
}

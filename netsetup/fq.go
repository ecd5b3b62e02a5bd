package netsetup

import (
	"fmt"
	"time"
)

// FQ holds the parameters of an fq that departures by arithmetic need,
// net/sched/sch_fq.c: packets go at their time stamps.
type FQ struct {
	LimitPackets        uint32        // in the qdisc
	FlowLimitPackets    uint32        // in one flow
	QuantumBytes        uint32        // of a flow's turn, MinFQQuantum to MaxFQQuantum
	InitialQuantumBytes uint32        // of its first one, up to MaxFQQuantum
	Pacing              bool          // sockets' own rates count besides
	OrphanMask          uint32        // of the hash that makes a flow of packets without a socket
	Horizon             time.Duration // packets that would wait for longer are dropped; in whole µs, less than 2³² of them
	HorizonCap          bool          // or go then, in place of being dropped
	TimerSlack          time.Duration // how much later than asked for its timer may fire; ns, less than 2³² of them
}

// Bounds of fq's quantum in bytes; net/sched/sch_fq.c, fq_change.
const (
	MinFQQuantum = 256 // newer kernels make a smaller one this
	MaxFQQuantum = 1 << 20
)

// include/uapi/linux/pkt_sched.h: TCA_FQ_*.
const (
	tcaFQPLimit         = 1
	tcaFQFlowPLimit     = 2
	tcaFQQuantum        = 3
	tcaFQInitialQuantum = 4
	tcaFQRateEnable     = 5
	tcaFQOrphanMask     = 10
	tcaFQTimerSlack     = 13
	tcaFQHorizon        = 14
	tcaFQHorizonDrop    = 15
)

// AppendFQ appends TCA_KIND and TCA_OPTIONS of an fq, for a message that creates or
// changes it; net/sched/sch_fq.c, fq_change. It fails, leaving b as it was, when a value
// is outside its field or one that the kernel would refuse
// or silently change.
func AppendFQ(b []byte, q FQ) ([]byte, error) {
	if q.QuantumBytes < MinFQQuantum || q.QuantumBytes > MaxFQQuantum {
		return b, fmt.Errorf("encode fq: quantum %d bytes: outside %d to %d", q.QuantumBytes, MinFQQuantum, MaxFQQuantum)
	}
	if q.InitialQuantumBytes > MaxFQQuantum {
		return b, fmt.Errorf("encode fq: initial quantum %d bytes: outside 0 to %d", q.InitialQuantumBytes, MaxFQQuantum)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
		unit time.Duration
	}{{"horizon", q.Horizon, time.Microsecond}, {"timer slack", q.TimerSlack, time.Nanosecond}} {
		if d.d < 0 || d.d/d.unit > 1<<32-1 {
			return b, fmt.Errorf("encode fq: %s %v: outside 0 to %v", d.name, d.d, (1<<32-1)*d.unit)
		}
	}
	b = appendKind(b, "fq")
	b, nest := beginNest(b, tcaOptions)
	for _, a := range []struct {
		typ   uint16
		value uint32
	}{
		{tcaFQPLimit, q.LimitPackets}, {tcaFQFlowPLimit, q.FlowLimitPackets}, {tcaFQQuantum, q.QuantumBytes}, {tcaFQInitialQuantum, q.InitialQuantumBytes},
		{tcaFQRateEnable, bit(q.Pacing)}, {tcaFQOrphanMask, q.OrphanMask}, {tcaFQTimerSlack, uint32(q.TimerSlack)},
		{tcaFQHorizon, uint32(q.Horizon / time.Microsecond)},
	} {
		b = appendAttrU32(b, a.typ, a.value)
	}
	b = append(appendAttrHeader(b, tcaFQHorizonDrop, 1), byte(bit(!q.HorizonCap)), 0, 0, 0)
	return endNest(b, nest)
}

// DecodeFQ reads the TCA_OPTIONS of an fq: net/sched/sch_fq.c, fq_change and fq_dump.
func DecodeFQ(options []byte) (FQ, error) {
	var q FQ
	a := attrs{buf: options}
	for a.next() {
		switch a.typ {
		case tcaFQPLimit:
			q.LimitPackets = a.u32()
		case tcaFQFlowPLimit:
			q.FlowLimitPackets = a.u32()
		case tcaFQQuantum:
			q.QuantumBytes = a.u32()
		case tcaFQInitialQuantum:
			q.InitialQuantumBytes = a.u32()
		case tcaFQRateEnable:
			q.Pacing = a.u32() != 0
		case tcaFQOrphanMask:
			q.OrphanMask = a.u32()
		case tcaFQTimerSlack:
			q.TimerSlack = time.Duration(a.u32())
		case tcaFQHorizon:
			q.Horizon = time.Duration(a.u32()) * time.Microsecond
		case tcaFQHorizonDrop:
			q.HorizonCap = a.need(1) && a.payload[0] == 0
		}
	}
	if a.err != nil {
		return FQ{}, fmt.Errorf("decode fq: %w", a.err)
	}
	return q, nil
}

func fqCommand(q *FQ) string {
	pacing, horizon := "nopacing", "horizon_drop"
	if q.Pacing {
		pacing = "pacing"
	}
	if q.HorizonCap {
		horizon = "horizon_cap"
	}
	return fmt.Sprintf("fq limit %d flow_limit %d quantum %d initial_quantum %d %s orphan_mask %d timer_slack %dns horizon %dus %s",
		q.LimitPackets, q.FlowLimitPackets, q.QuantumBytes, q.InitialQuantumBytes, pacing, q.OrphanMask, q.TimerSlack, q.Horizon/time.Microsecond, horizon)
}

package netsetup

import (
	"encoding/binary"
	"fmt"
	"time"
)

// FQ holds the parameters of an fq that departures by arithmetic need,
// net/sched/sch_fq.c: packets go at their time stamps. Pacing by sockets is off.
type FQ struct {
	LimitPackets     uint32        // in the qdisc
	FlowLimitPackets uint32        // in one flow
	QuantumBytes     uint32        // of a flow's turn, and of its first one
	OrphanMask       uint32        // of the hash that makes a flow of packets without a socket
	Horizon          time.Duration // packets that would wait for longer are dropped; µs, less than 2³² of them
	TimerSlack       time.Duration // how much later than asked for its timer may fire; ns, less than 2³² of them
}

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
// is outside its field.
func AppendFQ(b []byte, q FQ) ([]byte, error) {
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
	start := len(b)
	b = appendAttrHeader(b, tcaOptions, 0)
	for _, a := range []struct {
		typ   uint16
		value uint32
	}{
		{tcaFQPLimit, q.LimitPackets}, {tcaFQFlowPLimit, q.FlowLimitPackets}, {tcaFQQuantum, q.QuantumBytes}, {tcaFQInitialQuantum, q.QuantumBytes},
		{tcaFQRateEnable, 0}, {tcaFQOrphanMask, q.OrphanMask}, {tcaFQTimerSlack, uint32(q.TimerSlack)},
		{tcaFQHorizon, uint32(q.Horizon / time.Microsecond)},
	} {
		b = appendAttrU32(b, a.typ, a.value)
	}
	b = append(appendAttrHeader(b, tcaFQHorizonDrop, 1), 1, 0, 0, 0)
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b, nil
}

func fqCommand(q *FQ) string {
	return fmt.Sprintf("fq limit %d flow_limit %d quantum %d initial_quantum %d nopacing orphan_mask %d timer_slack %dns horizon %dus horizon_drop",
		q.LimitPackets, q.FlowLimitPackets, q.QuantumBytes, q.QuantumBytes, q.OrphanMask, q.TimerSlack, q.Horizon/time.Microsecond)
}

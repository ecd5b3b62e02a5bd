package netsetup

import (
	"errors"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Attributes of cake; include/uapi/linux/pkt_sched.h.
const (
	tcaCAKEBaseRate64   = 2  // TCA_CAKE_BASE_RATE64
	tcaCAKEDiffservMode = 3  // TCA_CAKE_DIFFSERV_MODE
	tcaCAKEATM          = 4  // TCA_CAKE_ATM
	tcaCAKEFlowMode     = 5  // TCA_CAKE_FLOW_MODE
	tcaCAKEOverhead     = 6  // TCA_CAKE_OVERHEAD
	tcaCAKERTT          = 7  // TCA_CAKE_RTT
	tcaCAKETarget       = 8  // TCA_CAKE_TARGET
	tcaCAKEAutorate     = 9  // TCA_CAKE_AUTORATE
	tcaCAKEMemory       = 10 // TCA_CAKE_MEMORY
	tcaCAKENAT          = 11 // TCA_CAKE_NAT
	tcaCAKERaw          = 12 // TCA_CAKE_RAW
	tcaCAKEWash         = 13 // TCA_CAKE_WASH
	tcaCAKEMPU          = 14 // TCA_CAKE_MPU
	tcaCAKEIngress      = 15 // TCA_CAKE_INGRESS
	tcaCAKEAckFilter    = 16 // TCA_CAKE_ACK_FILTER
	tcaCAKESplitGSO     = 17 // TCA_CAKE_SPLIT_GSO
	tcaCAKEFWMark       = 18 // TCA_CAKE_FWMARK
)

// CAKEDiffserv says how cake sorts packets into tins by their DSCP.
type CAKEDiffserv uint32

// The values are the kernel's, CAKE_DIFFSERV_….
const (
	CAKEDiffserv3 CAKEDiffserv = iota
	CAKEDiffserv4
	CAKEDiffserv8
	CAKEBestEffort // one tin
	CAKEPrecedence

	cakeDiffservs // how many there are
)

// CAKEFlows says what cake takes as one flow.
type CAKEFlows uint32

// The values are the kernel's, CAKE_FLOW_….
const (
	CAKEFlowBlind CAKEFlows = iota
	CAKESrcHost
	CAKEDstHost
	CAKEHosts
	CAKEFlowsOnly
	CAKEDualSrcHost
	CAKEDualDstHost
	CAKETripleIsolate

	cakeFlowModes // how many there are
)

// CAKEATM says how cake charges for a link's framing.
type CAKEATM uint32

// The values are the kernel's, CAKE_ATM_….
const (
	CAKENoATM CAKEATM = iota
	CAKECells         // cells of 53 bytes for 48
	CAKEPTM           // 65 bytes for 64

	cakeATMs // how many there are
)

// CAKEAckFilter says whether cake drops TCP acknowledgements that later ones
// make superfluous.
type CAKEAckFilter uint32

// The values are the kernel's, CAKE_ACK_….
const (
	CAKENoAckFilter CAKEAckFilter = iota
	CAKEAckFiltered
	CAKEAckFilterAggressive

	cakeAckFilters // how many there are
)

// CAKEAttr is a set of cake's attributes, for [CAKE.Omit].
type CAKEAttr uint32

// What is left out keeps its value, or at creation has the kernel's default
// (net/sched/sch_cake.c: cake_init, cake_change).
const (
	CAKERate         CAKEAttr = 1 << iota // default: unlimited
	CAKEDiffservSet                       // default: diffserv3
	CAKEATMSet                            // default: none
	CAKEFlowsSet                          // default: triple isolation
	CAKEOverhead                          // default: none, raw
	CAKEMPU                               // default: 0
	CAKERTT                               // default: 100 ms
	CAKETarget                            // default: 5 ms
	CAKEAutorate                          // default: off
	CAKEMemory                            // default: cake's own choice
	CAKENAT                               // default: off. A kernel without connection tracking refuses it, whatever its value
	CAKEWash                              // default: off
	CAKEIngress                           // default: off
	CAKEAckFilterSet                      // default: off
	CAKESplitGSO                          // default: on
	CAKEFWMark                            // default: 0
)

// CAKE holds the parameters of a cake qdisc, net/sched/sch_cake.c.
//
// Sizes are as wide as the kernel keeps them, which is less than its attributes
// hold.
//
// [AppendCAKE] sends all of them, zeros included; Omit says what is to be left
// as it is. A change keeps the queue and the shaper's clock: a packet that left
// at a low rate holds the next one back for as long as it takes at that rate,
// also after the rate has risen. A change to fewer tins loses what waits in
// those that go.
type CAKE struct {
	Rate     trace.BitRate // 0: unlimited. The wire holds whole bytes per second; cake shapes at no less than 64 of them
	Diffserv CAKEDiffserv
	ATM      CAKEATM
	Flows    CAKEFlows

	// Raw counts the lengths that the stack tells (with a size table: those of
	// the table). Without, cake counts what follows the link-layer header, and
	// OverheadBytes more.
	Raw           bool
	OverheadBytes int16
	MPUBytes      uint16 // a shorter packet is charged as if it had this length

	RTT      time.Duration // interval of the AQM, from 1 µs, in whole µs
	Target   time.Duration // delay that the AQM aims at, from 1 µs, in whole µs; cake uses no less than 1.5 packets' time
	Autorate bool          // estimate the rate from what comes in

	// MemoryBytes limits the queue, in bytes of the kernel's memory, which are
	// more than those of the packets. 0: cake's choice, 4 RTT at Rate and at
	// least 4 MiB.
	MemoryBytes int64

	NAT       bool // look through NAT for the hosts of a flow
	Wash      bool // clear the DSCP
	Ingress   bool // charge for packets that the AQM drops too
	AckFilter CAKEAckFilter
	SplitGSO  bool
	FWMark    uint32 // mask of the firewall mark that overrides the tin; 0: none

	Omit CAKEAttr // attributes to leave out; zero sends the complete set
}

// AppendCAKE appends TCA_KIND and TCA_OPTIONS of a cake, for a message that
// creates or changes it; net/sched/sch_cake.c, cake_change. Rates go out in
// bytes per second, times in microseconds, both rounded down. It fails, leaving
// b as it was, when a value is outside its field or one that the kernel would
// take for another.
func AppendCAKE(b []byte, q CAKE) ([]byte, error) {
	p, err := q.params()
	if err != nil {
		return b, fmt.Errorf("encode cake: %w", err)
	}
	send := ^q.Omit
	b = appendKind(b, "cake")
	b, nest := beginNest(b, tcaOptions)
	u32 := func(attr CAKEAttr, typ uint16, v uint32) {
		if send&attr != 0 {
			b = appendAttrU32(b, typ, v)
		}
	}
	if send&CAKERate != 0 {
		b = appendAttrU64(b, tcaCAKEBaseRate64, p.rate)
	}
	u32(CAKEDiffservSet, tcaCAKEDiffservMode, uint32(q.Diffserv))
	u32(CAKEATMSet, tcaCAKEATM, uint32(q.ATM))
	u32(CAKEFlowsSet, tcaCAKEFlowMode, uint32(q.Flows))
	u32(CAKEOverhead, tcaCAKEOverhead, uint32(int32(q.OverheadBytes)))
	if q.Raw {
		u32(CAKEOverhead, tcaCAKERaw, 0) // after the overhead, which turns raw off
	}
	u32(CAKEMPU, tcaCAKEMPU, uint32(q.MPUBytes))
	u32(CAKERTT, tcaCAKERTT, p.rtt)
	u32(CAKETarget, tcaCAKETarget, p.target)
	u32(CAKEAutorate, tcaCAKEAutorate, bit(q.Autorate))
	u32(CAKEMemory, tcaCAKEMemory, p.memory)
	u32(CAKEFWMark, tcaCAKEFWMark, q.FWMark)
	u32(CAKENAT, tcaCAKENAT, bit(q.NAT))
	u32(CAKEWash, tcaCAKEWash, bit(q.Wash))
	u32(CAKESplitGSO, tcaCAKESplitGSO, bit(q.SplitGSO))
	u32(CAKEIngress, tcaCAKEIngress, bit(q.Ingress))
	u32(CAKEAckFilterSet, tcaCAKEAckFilter, uint32(q.AckFilter))
	return endNest(b, nest)
}

// bit is a flag as the kernel's attributes hold it.
func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// micros32 checks a time that the wire holds in 32 bits of microseconds.
func micros32(name string, d time.Duration) (uint32, error) {
	if us := d / time.Microsecond; us < 1 || us > math.MaxUint32 {
		return 0, fmt.Errorf("%s %v: outside 1µs to %v", name, d, math.MaxUint32*time.Microsecond)
	}
	return uint32(d / time.Microsecond), nil
}

// cakeParams are the fields of cake's attributes.
type cakeParams struct {
	rate        uint64 // bytes per second
	rtt, target uint32 // µs
	memory      uint32
}

func (q *CAKE) params() (p cakeParams, err error) {
	switch {
	case q.Rate < 0:
		return p, fmt.Errorf("rate %v: negative", q.Rate)
	case q.Rate > 0:
		p.rate = bytesPerSecond(q.Rate)
	}
	for _, e := range [...]struct {
		name     string
		value, n uint32
	}{
		{"diffserv mode", uint32(q.Diffserv), uint32(cakeDiffservs)},
		{"flow mode", uint32(q.Flows), uint32(cakeFlowModes)},
		{"atm mode", uint32(q.ATM), uint32(cakeATMs)},
		{"ack filter", uint32(q.AckFilter), uint32(cakeAckFilters)},
	} {
		if e.value >= e.n {
			return p, fmt.Errorf("%s %d: outside 0 to %d", e.name, e.value, e.n-1)
		}
	}
	if q.Raw && q.OverheadBytes != 0 {
		return p, fmt.Errorf("overhead %d bytes: raw excludes it", q.OverheadBytes)
	}
	if q.Omit&CAKERTT == 0 {
		if p.rtt, err = micros32("rtt", q.RTT); err != nil {
			return p, err
		}
	}
	if q.Omit&CAKETarget == 0 {
		if p.target, err = micros32("target", q.Target); err != nil {
			return p, err
		}
	}
	p.memory, err = size32("memory limit", q.MemoryBytes)
	return p, err
}

// DecodeCAKE reads the TCA_OPTIONS of a cake: net/sched/sch_cake.c, cake_change
// and cake_dump. What the options do not mention is named by Omit.
func DecodeCAKE(options []byte) (CAKE, error) {
	q := CAKE{Omit: 2*CAKEFWMark - 1}
	a := attrs{buf: options}
	flag := func(attr CAKEAttr) bool {
		q.Omit &^= attr
		return a.u32() != 0
	}
	number := func(attr CAKEAttr) uint32 {
		q.Omit &^= attr
		return a.u32()
	}
	var rateErr error
	for a.next() {
		switch a.typ {
		case tcaCAKEBaseRate64:
			q.Omit &^= CAKERate
			q.Rate, rateErr = bitRate(a.u64())
		case tcaCAKEDiffservMode:
			q.Diffserv = CAKEDiffserv(number(CAKEDiffservSet))
		case tcaCAKEATM:
			q.ATM = CAKEATM(number(CAKEATMSet))
		case tcaCAKEFlowMode:
			q.Flows = CAKEFlows(number(CAKEFlowsSet))
		case tcaCAKEOverhead:
			q.OverheadBytes = int16(number(CAKEOverhead))
		case tcaCAKERaw:
			q.Raw = true
		case tcaCAKEMPU:
			q.MPUBytes = uint16(number(CAKEMPU))
		case tcaCAKERTT:
			q.RTT = time.Duration(number(CAKERTT)) * time.Microsecond
		case tcaCAKETarget:
			q.Target = time.Duration(number(CAKETarget)) * time.Microsecond
		case tcaCAKEAutorate:
			q.Autorate = flag(CAKEAutorate)
		case tcaCAKEMemory:
			q.MemoryBytes = int64(number(CAKEMemory))
		case tcaCAKENAT:
			q.NAT = flag(CAKENAT)
		case tcaCAKEWash:
			q.Wash = flag(CAKEWash)
		case tcaCAKEIngress:
			q.Ingress = flag(CAKEIngress)
		case tcaCAKEAckFilter:
			q.AckFilter = CAKEAckFilter(number(CAKEAckFilterSet))
		case tcaCAKESplitGSO:
			q.SplitGSO = flag(CAKESplitGSO)
		case tcaCAKEFWMark:
			q.FWMark = number(CAKEFWMark)
		}
	}
	if q.Raw {
		q.OverheadBytes = 0
	}
	if err := errors.Join(a.err, rateErr); err != nil {
		return CAKE{}, fmt.Errorf("decode cake: %w", err)
	}
	return q, nil
}

// CAKEStats is what a cake tells of itself (TCA_STATS_APP; net/sched/sch_cake.c:
// cake_dump_stats). Counts wrap where the kernel's do.
type CAKEStats struct {
	CapacityEstimate trace.BitRate `json:"capacity_estimate_bit_s"` // with Autorate; else the first rate
	MemoryLimit      uint32        `json:"memory_limit_bytes"`      // of the kernel's memory
	MemoryUsed       uint32        `json:"memory_used_bytes"`       // the most since cake is there
	MinLength        uint32        `json:"min_length_bytes"`        // of packets, before the overhead; 2³²−1: none yet
	MaxLength        uint32        `json:"max_length_bytes"`
	MinAdjusted      uint32        `json:"min_adjusted_bytes"` // of packets as charged; 2³²−1: none yet
	MaxAdjusted      uint32        `json:"max_adjusted_bytes"`
	Tins             []CAKETin     `json:"tins"` // lowest priority first
}

// CAKETin is one of cake's tins.
type CAKETin struct {
	Threshold    trace.BitRate `json:"threshold_bit_s"` // up to which the tin has its priority; 0: unlimited
	Bytes        uint64        `json:"bytes"`           // that came, dropped ones included
	Packets      uint32        `json:"packets"`
	BacklogBytes uint32        `json:"backlog_bytes"`
	Drops        uint32        `json:"drops"` // by the AQM, or because the memory was used up
	ECNMarks     uint32        `json:"ecn_marks"`
	AckDrops     uint32        `json:"ack_drops"`
	Target       time.Duration `json:"target_ns"`
	Interval     time.Duration `json:"interval_ns"`

	// Waiting times, moving averages.
	PeakDelay    time.Duration `json:"peak_delay_ns"`
	AverageDelay time.Duration `json:"average_delay_ns"`
	BaseDelay    time.Duration `json:"base_delay_ns"`

	SparseFlows       uint32 `json:"sparse_flows"`
	BulkFlows         uint32 `json:"bulk_flows"`
	UnresponsiveFlows uint32 `json:"unresponsive_flows"`
	QuantumBytes      uint32 `json:"quantum_bytes"`
}

// Attributes of cake's statistics; include/uapi/linux/pkt_sched.h,
// TCA_CAKE_STATS_… and TCA_CAKE_TIN_STATS_….
const (
	cakeStatCapacity    = 2
	cakeStatMemoryLimit = 3
	cakeStatMemoryUsed  = 4
	cakeStatMinNetLen   = 6
	cakeStatMaxNetLen   = 7
	cakeStatMinAdjLen   = 8
	cakeStatMaxAdjLen   = 9
	cakeStatTins        = 10

	cakeTinPackets      = 2
	cakeTinBytes        = 3
	cakeTinDrops        = 4
	cakeTinAckDrops     = 6
	cakeTinMarks        = 8
	cakeTinBacklog      = 11
	cakeTinThreshold    = 12
	cakeTinTarget       = 13
	cakeTinInterval     = 14
	cakeTinPeakDelay    = 18
	cakeTinAvgDelay     = 19
	cakeTinBaseDelay    = 20
	cakeTinSparse       = 21
	cakeTinBulk         = 22
	cakeTinUnresponsive = 23
	cakeTinQuantum      = 25
)

// DecodeCAKEStats reads the TCA_STATS_APP of a cake, [QdiscInfo.AppStats].
func DecodeCAKEStats(stats []byte) (CAKEStats, error) {
	var s CAKEStats
	var errs []error
	rate := func(v uint64) trace.BitRate {
		r, err := bitRate(v)
		if err != nil {
			errs = append(errs, err)
		}
		return r
	}
	a := attrs{buf: stats}
	for a.next() {
		switch a.typ {
		case cakeStatCapacity:
			s.CapacityEstimate = rate(a.u64())
		case cakeStatMemoryLimit:
			s.MemoryLimit = a.u32()
		case cakeStatMemoryUsed:
			s.MemoryUsed = a.u32()
		case cakeStatMinNetLen:
			s.MinLength = a.u32()
		case cakeStatMaxNetLen:
			s.MaxLength = a.u32()
		case cakeStatMinAdjLen:
			s.MinAdjusted = a.u32()
		case cakeStatMaxAdjLen:
			s.MaxAdjusted = a.u32()
		case cakeStatTins:
			for tin := (attrs{buf: a.payload}); tin.next() || tin.err != nil; {
				if tin.err != nil {
					errs = append(errs, tin.err)
					break
				}
				t, err := decodeCAKETin(tin.payload, rate)
				if err != nil {
					errs = append(errs, err)
					break
				}
				s.Tins = append(s.Tins, t)
			}
		}
	}
	if err := errors.Join(append(errs, a.err)...); err != nil {
		return CAKEStats{}, fmt.Errorf("decode cake's statistics: %w", err)
	}
	return s, nil
}

func decodeCAKETin(b []byte, rate func(uint64) trace.BitRate) (t CAKETin, err error) {
	a := attrs{buf: b}
	micros := func() time.Duration { return time.Duration(a.u32()) * time.Microsecond }
	for a.next() {
		switch a.typ {
		case cakeTinPackets:
			t.Packets = a.u32()
		case cakeTinBytes:
			t.Bytes = a.u64()
		case cakeTinDrops:
			t.Drops = a.u32()
		case cakeTinAckDrops:
			t.AckDrops = a.u32()
		case cakeTinMarks:
			t.ECNMarks = a.u32()
		case cakeTinBacklog:
			t.BacklogBytes = a.u32()
		case cakeTinThreshold:
			t.Threshold = rate(a.u64())
		case cakeTinTarget:
			t.Target = micros()
		case cakeTinInterval:
			t.Interval = micros()
		case cakeTinPeakDelay:
			t.PeakDelay = micros()
		case cakeTinAvgDelay:
			t.AverageDelay = micros()
		case cakeTinBaseDelay:
			t.BaseDelay = micros()
		case cakeTinSparse:
			t.SparseFlows = a.u32()
		case cakeTinBulk:
			t.BulkFlows = a.u32()
		case cakeTinUnresponsive:
			t.UnresponsiveFlows = a.u32()
		case cakeTinQuantum:
			t.QuantumBytes = a.u32()
		}
	}
	return t, a.err
}

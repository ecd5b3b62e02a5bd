package netsetup

import (
	"fmt"
	"math"
	"strings"
	"time"

	"linktape/trace"
)

// Kinds of a bottleneck's queue besides [trace.DropTail].
const (
	// CoDel is fq_codel (net/sched/sch_fq_codel.c; RFC 8290) below the bucket.
	// Its limit is in packets of the link's MTU: fq_codel has none in bytes.
	CoDel trace.QueueKind = "codel"

	// CAKEQueue is the queue of [ShaperCAKE]. Its limit is in bytes of the
	// kernel's memory, which cake counts; without one cake chooses.
	CAKEQueue trace.QueueKind = "cake"
)

// CAKEOptions are what a link with [ShaperCAKE] chooses of cake's parameters.
type CAKEOptions struct {
	Diffserv string        `json:"diffserv,omitempty"` // besteffort (""), diffserv3, diffserv4, diffserv8 or precedence
	Flows    string        `json:"flows,omitempty"`    // triple-isolate (""), flowblind, srchost, dsthost, hosts, flows, dual-srchost or dual-dsthost
	RTT      time.Duration `json:"rtt_ns,omitempty"`   // what the AQM takes for the round trip; 0: DefaultCAKERTT
}

// DefaultCAKERTT is cake's own choice (net/sched/sch_cake.c: cake_init).
const DefaultCAKERTT = 100 * time.Millisecond

// Bounds of [CAKEOptions.RTT].
const (
	MinCAKERTT = 100 * time.Microsecond // tc's "datacentre"
	MaxCAKERTT = 1000 * time.Second     // tc's "interplanetary"
)

// Words of cake's modes, as tc(8) has them, at the kernel's numbers.
var (
	cakeDiffservWords = [cakeDiffservs]string{"diffserv3", "diffserv4", "diffserv8", "besteffort", "precedence"}
	cakeFlowWords     = [cakeFlowModes]string{"flowblind", "srchost", "dsthost", "hosts", "flows", "dual-srchost", "dual-dsthost", "triple-isolate"}
)

func wordIndex(words []string, word string, unset int) (int, bool) {
	if word == "" {
		return unset, true
	}
	for i, w := range words {
		if w == word {
			return i, true
		}
	}
	return unset, false
}

// modes returns the kernel's numbers of the options' words.
func (o *CAKEOptions) modes() (CAKEDiffserv, CAKEFlows, error) {
	d, ok := wordIndex(cakeDiffservWords[:], o.Diffserv, int(CAKEBestEffort))
	if !ok {
		return 0, 0, fmt.Errorf("cake: unknown diffserv %q: set one of %s", o.Diffserv, strings.Join(cakeDiffservWords[:], ", "))
	}
	f, ok := wordIndex(cakeFlowWords[:], o.Flows, int(CAKETripleIsolate))
	if !ok {
		return 0, 0, fmt.Errorf("cake: unknown flows %q: set one of %s", o.Flows, strings.Join(cakeFlowWords[:], ", "))
	}
	return CAKEDiffserv(d), CAKEFlows(f), nil
}

// leastQueue is the smallest limit of a kind of queue that lets packets of the
// MTU through: two of them; for cake, which counts memory, what two of them
// take at most.
func leastQueue(kind trace.QueueKind, mtu int) int64 {
	if kind == CAKEQueue {
		return int64(8 * mtu)
	}
	return int64(2 * mtu)
}

// CAKE below a bucket.
//
// cake has a shaper, but no rate stops it, and what it sends at a low rate
// holds it up at a higher one (net/sched/sch_cake.c: cake_advance_shaper moves
// time_next_packet by the packet's time; cake_change leaves it). Nor can it
// stand below a gate alone: time_next_packet has no cap on how far it lags, so
// that a queue that was held is sent at once afterwards. So the bucket above
// grants as it does without cake, which makes totals and stalls exact, and cake
// is told a rate for what else it makes of it: the tins' shares and the flows'
// quantum. It is a quarter above the tape's, because what it held back at the
// tape's own rate could not be made good, and no less than a packet in
// cakeSlowest. The AQM's target and interval are those of the tape's rate.
const (
	cakeHeadroom = 4 // the told rate is 1 + 1/cakeHeadroom of the granted one
	cakeSlowest  = 10 * time.Millisecond
)

// CoDel's parameters; they are fq_codel's own defaults, but for the limits.
const (
	codelTarget    = 5 * time.Millisecond
	codelInterval  = 100 * time.Millisecond
	codelDropBatch = 64
)

// queue is the qdisc below the bucket that holds the bottleneck's queue; none
// where the bucket's own does.
type queue struct {
	cake  CAKE    // what was last told
	codel FQCoDel // what was last told
}

func (q *queue) forget() { q.cake, q.codel = CAKE{}, FQCoDel{} }

// create returns the request that makes the queue; its kind is 0 where there is
// none.
func (q *queue) create(l *Link, g grant, limit int64) request {
	q.forget()
	return q.next(l, g, limit, false)
}

// next returns the request that a grant needs; its kind is 0 where nothing
// changes. A limit in packets never shrinks while there is a backlog, since
// fq_codel would drop what exceeds it (sch_fq_codel.c: fq_codel_change).
func (q *queue) next(l *Link, g grant, limit int64, backlogged bool) request {
	r := request{handle: handleQueue, parent: handleBottleneck | 1}
	switch l.Shaper {
	case ShaperHTB:
		r.parent = handleGate | 1
	case ShaperPulse:
		r.parent = handleBands | 1
	}
	switch l.Queue.Kind {
	case CAKEQueue:
		told := q.cake.Omit != 0
		c := q.cake
		if !g.closed || !told {
			c = cakeFor(l, g, limit)
		}
		// Sent again, raw would only clear cake's statistics of lengths.
		c.Omit = CAKENAT | CAKEOverhead
		if c == q.cake {
			return r
		}
		q.cake = c
		if !told {
			c.Omit = CAKENAT // off; without connection tracking it cannot even be told
		}
		r.kind, r.cake = setCAKE, c
	case CoDel:
		told := q.codel.Omit != 0
		c := FQCoDel{
			LimitPackets: uint32(min(max(limit/int64(l.MTU), 2), math.MaxUint32)),
			QuantumBytes: uint32(l.MTU), Interval: codelInterval, Target: codelTarget, ECN: true,
			MemoryBytes: FQCoDelMaxMemory, DropBatch: codelDropBatch,
			Omit: FQCoDelFlows | FQCoDelCEThreshold,
		}
		if told && backlogged {
			c.LimitPackets = max(c.LimitPackets, q.codel.LimitPackets)
		}
		if c == q.codel {
			return r
		}
		q.codel = c
		r.kind, r.codel = setFQCoDel, c
	}
	return r
}

// cakeFor is what cake is told for a grant.
func cakeFor(l *Link, g grant, limit int64) CAKE {
	diffserv, flows, _ := l.CAKE.modes() // checked with the topology
	rtt := l.CAKE.RTT
	if rtt == 0 {
		rtt = DefaultCAKERTT
	}
	packet := float64(l.MTU + headerBytes)
	rate := max(g.rate+g.rate/cakeHeadroom, trace.BitRate(8*packet/cakeSlowest.Seconds()))
	if l.pulsed() {
		rate = 0 // no shaper of its own
	}

	// The AQM aims at rtt/20, as tc has it, but at no less than the time of 1.5
	// packets, and its interval grows by as much (cake_set_rate).
	base := rtt / 20
	target := base
	if g.rate > 0 {
		target = max(base, time.Duration(min(1.5*packet*8/float64(g.rate), MaxCAKERTT.Seconds())*1e9))
	}
	return CAKE{
		Rate: rate, Diffserv: diffserv, Flows: flows, Raw: true, SplitGSO: true,
		RTT: rtt + target - base, Target: target, MemoryBytes: cakeMemory(l, limit),
	}
}

// cakeMemory is the limit of cake's memory; 0: cake's choice.
func cakeMemory(l *Link, limit int64) int64 {
	if l.Queue.LimitBytes == 0 && l.Queue.LimitTime == 0 {
		return 0
	}
	return limit
}

// cakeCommand writes the parameters that a bottleneck sets, as tc does. tc has
// no word for the target, which it takes from the rtt.
func cakeCommand(q *CAKE) string {
	bandwidth := "unlimited"
	if q.Rate > 0 {
		bandwidth = fmt.Sprintf("bandwidth %dbit", q.Rate)
	}
	s := fmt.Sprintf("cake %s %s %s rtt %dus raw split-gso", bandwidth, cakeDiffservWords[q.Diffserv], cakeFlowWords[q.Flows], q.RTT/time.Microsecond)
	if q.MemoryBytes > 0 {
		s += fmt.Sprintf(" memlimit %db", q.MemoryBytes)
	}
	return s
}

func fqCoDelCommand(q *FQCoDel) string {
	s := fmt.Sprintf("fq_codel limit %d quantum %d target %dus interval %dus memory_limit %d drop_batch %d",
		q.LimitPackets, q.QuantumBytes, q.Target/time.Microsecond, q.Interval/time.Microsecond, q.MemoryBytes, q.DropBatch)
	if q.ECN {
		return s + " ecn"
	}
	return s + " noecn"
}

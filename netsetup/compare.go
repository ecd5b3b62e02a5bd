package netsetup

import (
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// comparison lists in what a qdisc that was read back differs from what was
// set.
type comparison struct {
	what string // "netem 11: on r0 in lt.x.att"
	out  []string
}

func (c *comparison) differ(name string, got, want any) {
	c.out = append(c.out, fmt.Sprintf("%s: %s is %v, set %v", c.what, name, got, want))
}

func same[T comparable](c *comparison, name string, got, want T) {
	if got != want {
		c.differ(name, got, want)
	}
}

// prob compares probabilities as the wire holds them.
func (c *comparison) prob(name string, got, want trace.Prob) {
	if prob32(got) != prob32(want) {
		c.differ(name, got, want)
	}
}

// rate compares rates in the wire's whole bytes per second.
func (c *comparison) rate(got, want trace.BitRate) {
	if want > 0 {
		want = trace.BitRate(8 * bytesPerSecond(want))
	}
	same(c, "rate", got, want)
}

// netem compares what the kernel tells of a netem: all but its tables and its
// seed, which changes with every change of the loss. What is not known of the
// state, its parameters are not compared in.
func (c *comparison) netem(got, want *Netem, known bool) {
	same(c, "limit", got.LimitPackets, want.LimitPackets)
	same(c, "ecn", got.ECN, want.ECN)
	c.rate(got.Rate, want.Rate)
	same(c, "slot", got.Slot, want.Slot)
	if !known {
		return
	}
	same(c, "delay", got.Delay, want.Delay)
	same(c, "jitter", got.Jitter, want.Jitter)
	for _, p := range []struct {
		name      string
		got, want trace.Prob
	}{
		{"loss", got.Loss, want.Loss},
		{"state p13", got.Markov.P13, want.Markov.P13},
		{"state p31", got.Markov.P31, want.Markov.P31},
		{"state p32", got.Markov.P32, want.Markov.P32},
		{"state p14", got.Markov.P14, want.Markov.P14},
		{"state p23", got.Markov.P23, want.Markov.P23},
		{"duplicate", got.Duplicate, want.Duplicate},
		{"corrupt", got.Corrupt, want.Corrupt},
		{"reorder", got.Reorder, want.Reorder},
	} {
		c.prob(p.name, p.got, p.want)
	}
	c.gilbert(got.GE, want.GE)
	same(c, "gap", got.Gap, want.Gap)
}

// gilbert compares chains of Gilbert and Elliott.
func (c *comparison) gilbert(got, want trace.GE) {
	c.prob("gemodel p", got.P, want.P)
	c.prob("gemodel r", got.R, want.R)
	c.prob("gemodel loss in the bad state", got.LossBad, want.LossBad)
	c.prob("gemodel loss in the good state", got.LossGood, want.LossGood)
}

// fq compares what lets packets go when a program says.
func (c *comparison) fq(got, want *FQ) {
	same(c, "limit", got.LimitPackets, want.LimitPackets)
	same(c, "flow limit", got.FlowLimitPackets, want.FlowLimitPackets)
	same(c, "quantum", got.QuantumBytes, want.QuantumBytes)
	same(c, "initial quantum", got.InitialQuantumBytes, want.InitialQuantumBytes)
	same(c, "pacing", got.Pacing, want.Pacing)
	same(c, "orphan mask", got.OrphanMask, want.OrphanMask)
	same(c, "timer slack", got.TimerSlack, want.TimerSlack)
	same(c, "horizon", got.Horizon, want.Horizon)
	same(c, "horizon cap", got.HorizonCap, want.HorizonCap)
}

// tbf compares a bucket. limits false leaves the queue's limit out.
func (c *comparison) tbf(got, want *TBF, limits bool) {
	c.rate(got.Rate, want.Rate)
	same(c, "mpu", got.MPUBytes, want.MPUBytes)
	if limits {
		same(c, "limit", got.LimitBytes, want.LimitBytes)
	}
	// The kernel tells a bucket as ticks of time.
	tick := float64(want.Rate) / 8 * tickNs / 1e9
	if d := math.Abs(float64(got.BucketBytes() - want.BucketBytes())); d > 2*tick+2+1e-6*float64(want.BucketBytes()) {
		c.differ("burst", got.BucketBytes(), want.BucketBytes())
	}
}

// cake compares a cake. known false leaves out what follows the rate.
func (c *comparison) cake(got, want *CAKE, known bool) {
	same(c, "diffserv", cakeWord(cakeDiffservWords[:], int(got.Diffserv)), cakeWord(cakeDiffservWords[:], int(want.Diffserv)))
	same(c, "flows", cakeWord(cakeFlowWords[:], int(got.Flows)), cakeWord(cakeFlowWords[:], int(want.Flows)))
	same(c, "raw", got.Raw, want.Raw)
	same(c, "nat", got.NAT, want.NAT)
	same(c, "ack filter", got.AckFilter, want.AckFilter)
	same(c, "wash", got.Wash, want.Wash)
	same(c, "autorate", got.Autorate, want.Autorate)
	if !known {
		return
	}
	c.rate(got.Rate, want.Rate)
	same(c, "rtt", got.RTT, want.RTT.Truncate(time.Microsecond))
	same(c, "target", got.Target, want.Target.Truncate(time.Microsecond))
	same(c, "memory limit", got.MemoryBytes, want.MemoryBytes)
}

func cakeWord(words []string, i int) string {
	if i < 0 || i >= len(words) {
		return fmt.Sprint(i)
	}
	return words[i]
}

// codel compares an fq_codel, whose limit may be larger: it does not shrink
// while packets wait.
func (c *comparison) codel(got, want *FQCoDel, known bool) {
	same(c, "ecn", got.ECN, want.ECN)
	same(c, "quantum", got.QuantumBytes, want.QuantumBytes)
	same(c, "memory limit", got.MemoryBytes, want.MemoryBytes)
	for _, t := range []struct {
		name      string
		got, want time.Duration
	}{{"target", got.Target, want.Target}, {"interval", got.Interval, want.Interval}} {
		if d := t.want - t.got; d < 0 || d > 3*time.Microsecond { // in 1024 ns and back
			c.differ(t.name, t.got, t.want)
		}
	}
	if known && got.LimitPackets < want.LimitPackets {
		c.differ("limit", got.LimitPackets, want.LimitPackets)
	}
}

// set is what a link's direction was told last, to be compared with what the
// kernel has: by a replay that ended in a state, or when the link was built.
type set struct {
	leaf  TBF
	class HTBClass
	cake  CAKE
	codel FQCoDel
	loss  Netem // of a nested tree the whole path
	delay Netem

	known  bool // the state is: no replay is under way, and none was killed
	limits bool // the queue's limit follows from the state alone
	open   bool // the link is not stalled: CAKE has been told a rate
}

// lastSet returns what a direction of a link in a state was told last.
func lastSet(l *Link, d trace.Direction, state trace.State, known bool) set {
	s := newShaper(*l)
	s.next(state.Capacity(), 0)
	x := set{leaf: s.leaf, class: s.class, cake: s.queue.cake, codel: s.queue.codel, known: known}
	x.loss, x.delay = newPath(l, d).netems(&state)
	// Through a stall a limit in time keeps the value before, which nobody knows.
	x.open = known && state.Capacity() > 0
	x.limits = known && (l.Queue.LimitTime == 0 || state.Capacity() > 0)
	if l.Tree != TreeSeparated {
		x.loss = newNested(*l, d).whole(&state, s.limit)
	}
	return x
}

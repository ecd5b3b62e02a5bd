package netsetup

import (
	"fmt"
	"math"
	"strings"
	"time"

	"linktape/trace"
)

// Told is what one direction's qdiscs were told last, or what the kernel says
// they have: everything that a step may change. A bucket carries a step's bytes
// as its burst and its rate together, so that neither is the tape's rate.
type Told struct {
	Rate       trace.BitRate // of the token bucket
	BurstBytes int64         // of the token bucket
	LimitBytes int64         // of its queue; 1 where another queue is below
	Closed     bool          // the bucket lets nothing out
	Class      trace.BitRate // of HTB's class; 0: there is none
	CAKE       trace.BitRate // of CAKE below the bucket; 0: there is none

	Path      bool // there is one
	Delay     time.Duration
	Jitter    time.Duration
	Loss      trace.Prob // of each packet on its own
	GE        trace.GE
	Duplicate trace.Prob
	Corrupt   trace.Prob
	Reorder   trace.Prob

	Down bool // the interface is down, which both directions share

	Exact bool // the rate is the tape's, and there is no bucket
}

// told is what the kernel has been told of the endpoint's direction.
func (e *Endpoint) told() Told {
	s := e.shaper
	t := Told{Class: s.class.Rate, CAKE: s.queue.cake.Rate, Down: e.carrier.down}
	t.setBucket(&s.leaf)
	switch {
	case e.path != nil:
		t.setLoss(&e.path.loss)
		t.Delay, t.Jitter, t.Reorder = e.path.delay.Delay, e.path.delay.Jitter, e.path.delay.Reorder
	case e.nested != nil:
		t.setLoss(&e.nested.netem)
		t.Delay, t.Jitter, t.Reorder = e.nested.netem.Delay, e.nested.netem.Jitter, e.nested.netem.Reorder
	}
	return t
}

func (t *Told) setBucket(b *TBF) {
	t.Rate, t.BurstBytes, t.LimitBytes, t.Closed = b.Rate, b.BucketBytes(), b.LimitBytes, b.MPUBytes == gateMPU
}

func (t *Told) setLoss(n *Netem) {
	t.Path = true
	t.Loss, t.GE, t.Duplicate, t.Corrupt = n.Loss, n.GE, n.Duplicate, n.Corrupt
}

// Differences lists in what the kernel has something else than it was told, but
// for the interface's state, to the precision of the wire: "rate is 5 Mbit/s, set
// 6 Mbit/s". It is empty where all agrees.
func (t *Told) Differences(kernel *Told) []string {
	c := new(comparison)
	switch {
	case t.Exact:
		same(c, "rate", kernel.Rate, t.Rate)
	case t.Closed != kernel.Closed:
		same(c, "bucket closed", kernel.Closed, t.Closed)
	default:
		got := TBF{Rate: kernel.Rate, BurstBytes: kernel.BurstBytes, LimitBytes: kernel.LimitBytes}
		want := TBF{Rate: t.Rate, BurstBytes: t.BurstBytes, LimitBytes: t.LimitBytes}
		if float64(t.BurstBytes)*8e9 >= float64(t.Rate)*tickNs*math.MaxUint32 {
			got.BurstBytes = want.BurstBytes // more time than the kernel tells; see DecodeTBF
		}
		c.tbf(&got, &want, true)
	}
	for _, r := range []struct {
		name      string
		got, want trace.BitRate
	}{{"class", kernel.Class, t.Class}, {"cake", kernel.CAKE, t.CAKE}} {
		if want := onWire(r.want); r.got != want {
			c.differ(r.name+" rate", r.got, want)
		}
	}
	if t.Path != kernel.Path {
		same(c, "netem there", kernel.Path, t.Path)
		return c.plain()
	}
	same(c, "delay", kernel.Delay, t.Delay)
	same(c, "jitter", kernel.Jitter, t.Jitter)
	for _, p := range []struct {
		name      string
		got, want trace.Prob
	}{
		{"loss", kernel.Loss, t.Loss},
		{"gemodel p", kernel.GE.P, t.GE.P},
		{"gemodel r", kernel.GE.R, t.GE.R},
		{"gemodel loss in the bad state", kernel.GE.LossBad, t.GE.LossBad},
		{"gemodel loss in the good state", kernel.GE.LossGood, t.GE.LossGood},
		{"duplicate", kernel.Duplicate, t.Duplicate},
		{"corrupt", kernel.Corrupt, t.Corrupt},
		{"reorder", kernel.Reorder, t.Reorder},
	} {
		// A program's thresholds count in 2⁻³², netem's in 1/(2³²−1).
		if !t.Exact || math.Abs(float64(p.got-p.want)) > 1.0/(1<<32) {
			c.prob(p.name, p.got, p.want)
		}
	}
	return c.plain()
}

// plain is what differs, of something that needs no name.
func (c *comparison) plain() []string {
	for i := range c.out {
		c.out[i] = strings.TrimPrefix(c.out[i], c.what+": ")
	}
	return c.out
}

// onWire is a rate in the wire's whole bytes per second.
func onWire(r trace.BitRate) trace.BitRate {
	if r <= 0 {
		return r
	}
	return trace.BitRate(8 * bytesPerSecond(r))
}

// Reading is what the kernel says of one direction.
type Reading struct {
	Counters              // of the bottleneck
	BacklogPackets uint32 // in the queue
	PathDrops      uint64 // packets that the path has lost; wraps at 2^32
	Shared         bool   // the path's losses are among the bottleneck's drops too, and the queue's among the path's
	Told                  // where it was asked for
}

// take takes a qdisc of the direction in.
func (r *Reading) take(q *QdiscInfo, d *meterDir, params bool) (err error) {
	var fault error
	fail := func(err error) {
		if err != nil {
			fault = fmt.Errorf("read %s on device %d: %w", q.Kind, q.Ifindex, err)
		}
	}
	if q.Ifindex == d.bottleneck {
		switch q.Handle {
		case handleBottleneck:
			r.Counters = Counters{Bytes: q.Bytes, Packets: q.Packets, Drops: uint64(q.Drops), BacklogBytes: q.BacklogBytes}
			r.BacklogPackets = q.Qlen
		case handleQueue:
			if params && q.Kind == "cake" {
				c, err := DecodeCAKE(q.Options)
				fail(err)
				r.CAKE = c.Rate
			}
		}
		if params && q.Kind == "tbf" && (q.Handle == handleBottleneck || q.Handle == handleGate) {
			b, err := DecodeTBF(q.Options)
			fail(err)
			r.setBucket(&b)
		}
	}
	if q.Ifindex != d.path || q.Kind != "netem" {
		return fault
	}
	switch q.Handle {
	case handleLoss:
		r.PathDrops, r.Shared = uint64(q.Drops), d.path == d.bottleneck
		if !params {
			break
		}
		n, err := DecodeNetem(q.Options)
		fail(err)
		r.setLoss(&n)
		if r.Shared {
			r.Delay, r.Jitter, r.Reorder = n.Delay, n.Jitter, n.Reorder
		}
	case handleDelay:
		if !params {
			break
		}
		n, err := DecodeNetem(q.Options)
		fail(err)
		r.Delay, r.Jitter, r.Reorder = n.Delay, n.Jitter, n.Reorder
	}
	return fault
}

// meterDir is one direction of a metered link.
type meterDir struct {
	dir        int   // in the caller's list
	bottleneck int32 // its device
	path       int32 // its device
	kicks      kickMeter
	reading    Reading
}

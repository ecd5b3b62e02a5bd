package netsetup

import (
	"math"
	"slices"
	"time"

	"linktape/trace"
)

// What a step tells a token bucket.
//
// A change of TBF fills the bucket (net/sched/sch_tbf.c: tbf_change), which is
// a free burst at every step; a packet that HTB sent at a low rate leaves a
// debt in time that a higher rate does not shorten (sch_htb.c: htb_charge_class).
// So a step is told as a grant: the bytes of the tape's service in the step.
// TBF gets the bucket as the first part of it and the rest as its rate; what a
// backlogged queue was granted and did not get, because no whole packet fitted,
// is owed to a later step. The sum is the tape's.
//
// A step that grants less than one packet, and a stall, close the bucket. No
// rate does: rate 0 is unlimited, and any other leaks a packet after the change.
// A bucket is closed by a minimum packet size (mpu) that its burst can never
// cover; it holds its queue and goes on taking packets in. What a sub-packet
// step granted is kept until a packet fits.

const (
	// gateRate is the rate of a closed bucket: low enough that its watchdog
	// wakes only every 15 s, high enough that the largest packet fits into the
	// longest bucket, 2^32−1 ns (sch_tbf.c: tbf_change).
	gateRate = 4096 * 8 * trace.BitPerSecond

	// gateMPU is the size that every packet is charged by a closed bucket.
	gateMPU = math.MaxUint16

	// openRate and openBurst of a bucket let everything through at once.
	openRate  = 100 * trace.Gbit
	openBurst = 1 << 20

	// openClassBurst of an HTB class above its leaf's bucket is short in time,
	// since HTB carries tokens as time into the next rate.
	openClassBurst = 1 << 16

	// headerBytes is the link-layer header, which a size table takes off each
	// packet but which the kernel counts when it compares a burst with a
	// device's MTU (sch_tbf.c: psched_mtu).
	headerBytes = 14

	// lateness is how late a timer may fire without costing the link any of
	// its rate: the bucket is larger than a packet by what arrives in it.
	lateness = time.Millisecond

	// htbLeast is the number of packets per step below which HTB leaves the
	// shaping to its leaf, so that its debt stays a small part of a step.
	htbLeast = 10
)

// grant is what one step may deliver.
type grant struct {
	rate   trace.BitRate // the tape's
	hold   time.Duration // until the next step; 0: not known, a second or more
	bytes  float64       // of service over hold; 0 where hold is not known
	closed bool          // nothing leaves
	rest   float64       // of bytes: what the grant after this one has already
}

// budget turns the rates of one direction into grants.
type budget struct {
	mtu    float64 // bytes of the largest packet
	credit float64 // bytes that closed steps kept back: less than a packet
	owed   float64 // bytes that a backlogged queue was granted and did not get, or got too much
	rest   float64 // bytes of the last pulse that no whole packet of the largest size fits into

	// lost is how long a timer's lateness can void a grant for: a pulse that was not
	// taken when the next one comes is.
	lost time.Duration

	backlogged bool // when the counters were read last
}

// next grants a step at a rate that holds for a time (0: unknown, long).
func (b *budget) next(rate trace.BitRate, hold time.Duration) grant {
	g := grant{rate: rate, hold: hold}
	bytes := b.credit + b.owed + b.rest
	b.credit, b.owed, b.rest = 0, 0, 0
	switch {
	case rate == 0:
		g.closed = true
	case hold > 0:
		bytes += serviceBytes(rate, hold)
		g.closed = bytes < b.mtu-crumb
		g.bytes = bytes
	}
	if g.closed {
		g.bytes = 0
		if !b.backlogged {
			bytes = min(bytes, b.mtu)
		}
		b.credit = bytes
	}
	if b.lost > 0 && b.backlogged && g.bytes > 0 {
		// The next pulse voids what this one leaves over, and what that is will be
		// known too late for it. It is this where all packets are of the largest
		// size; account settles what it really was.
		g.rest = max(bytes-math.Floor((bytes+crumb)/b.mtu)*b.mtu, 0)
		b.rest = g.rest
	}
	return g
}

// serviceBytes is what a rate delivers in a time, exact where that is a whole
// number of bytes.
func serviceBytes(rate trace.BitRate, d time.Duration) float64 {
	return float64(rate) * float64(d) / 8e9
}

// account settles a step that has ended: what it was granted, how long it
// lasted, what the bottleneck delivered in it, and the backlog in bytes at its
// end. The step after it is already granted, so the balance goes to the one
// after that.
//
// A queue that was not backlogged at both ends of the step is owed nothing:
// service that nobody used is lost.
func (b *budget) account(g grant, lasted time.Duration, served int64, backlog uint32) {
	busy := b.backlogged && backlog > 0
	b.backlogged = backlog > 0
	if !busy {
		return
	}
	granted := g.bytes - g.rest
	if g.hold == 0 && !g.closed {
		granted = float64(g.rate) * lasted.Seconds() / 8
	}
	most := 2*b.mtu + float64(g.rate)*max(lateness, b.lost).Seconds()/8
	b.owed = min(max(granted-float64(served), -most), most)
}

// shaper is the bottleneck of one direction: it makes the requests that tell
// the kernel a rate.
type shaper struct {
	link   Link
	budget budget
	limit  int64 // bytes of the queue
	grant  grant // in force

	leaf    TBF      // what the bucket was last told
	class   HTBClass // what HTB's class was last told
	queue   queue    // below the bucket
	plugged int64    // limit that a pulse's plug was last told

	requests [5]request
}

// newShaper returns the shaper of a link at the topology's initial rate.
func newShaper(l Link) *shaper {
	s := &shaper{link: l, budget: budget{mtu: float64(l.MTU)}}
	if l.pulsed() {
		s.budget.lost = 2 * l.tick()
	}
	s.limit = s.queueBytes(l.Rate)
	return s
}

// queueBytes is the queue's limit at a rate. A limit in time keeps its last
// value through a stall and never falls below two packets.
func (s *shaper) queueBytes(rate trace.BitRate) int64 {
	if s.link.Queue.LimitTime == 0 {
		return s.link.Queue.LimitBytes
	}
	if rate == 0 && s.limit > 0 {
		return s.limit
	}
	n := float64(rate) * s.link.Queue.LimitTime.Seconds() / 8
	return min(max(int64(min(n, MaxQueue)), leastQueue(s.link.Queue.Kind, s.link.MTU)), MaxQueue)
}

// create returns the requests that make the bottleneck at the topology's
// initial rate.
func (s *shaper) create() []request {
	out := slices.Clone(s.createBucket())
	r := s.queue.create(&s.link, s.grant, s.limit)
	switch {
	case s.link.pulsed():
		return append(out, s.createPulse(r)...)
	case r.kind != 0:
		return append(out, r)
	}
	return out
}

// createBucket returns the requests that make what the bottleneck's queue is
// below.
func (s *shaper) createBucket() []request {
	if s.link.Shaper == ShaperHTB {
		s.requests[0] = request{kind: setHTB, handle: handleBottleneck, parent: parentRoot, sizeTable: true, htb: HTB{Default: handleClass & 0xffff}}
		root := s.requests[0]
		parts := s.nextBucket(s.link.Rate, 0)
		if parts[0].kind != setHTBClass { // the leaf's parent first: there is no queue yet
			parts[0], parts[1] = parts[1], parts[0]
		}
		return append([]request{root}, parts...)
	}
	return s.nextBucket(s.link.Rate, 0)
}

// forget makes the next requests complete, whatever was told before.
func (s *shaper) forget() {
	s.class, s.leaf, s.plugged = HTBClass{}, TBF{}, 0
	s.queue.forget()
}

// asleep reports whether the bucket in force can leave its queue waiting for
// longer than a timer's lateness. No change wakes a queue, and each one refills
// the bucket, so that what comes next wants a kick then. A pulse brings its own.
func (s *shaper) asleep() bool { return !s.link.pulsed() && s.slow(s.leaf.Rate) }

// slow reports whether a packet takes longer than a timer's lateness.
func (s *shaper) slow(rate trace.BitRate) bool {
	return s.budget.mtu > float64(rate)*lateness.Seconds()/8
}

// next returns the requests for a rate that holds for a time (0: unknown,
// long). The slice is valid until the next call.
func (s *shaper) next(rate trace.BitRate, hold time.Duration) []request {
	out := s.nextBucket(rate, hold)
	if s.link.Queue.Kind != trace.DropTail {
		if r := s.queue.next(&s.link, s.grant, s.limit, s.budget.backlogged); r.kind != 0 {
			// Before the bucket opens: what CAKE sends at an old, low rate would hold
			// it up at the new one.
			n := len(out)
			copy(s.requests[1:], s.requests[:n])
			s.requests[0] = r
			out = s.requests[:n+1]
		}
	}
	if s.link.pulsed() {
		out = s.nextPulse(out)
	}
	return out
}

// nextBucket is next without the queue below the bucket.
func (s *shaper) nextBucket(rate trace.BitRate, hold time.Duration) []request {
	s.limit = s.queueBytes(rate)
	g := s.budget.next(rate, hold)
	s.grant = g
	if s.link.Shaper == ShaperHTB {
		return s.nextHTB(g)
	}
	s.leaf = s.bucket(g)
	s.requests[0] = request{kind: setTBF, handle: handleBottleneck, parent: parentRoot, sizeTable: true, tbf: s.leaf}
	return s.requests[:1]
}

// bucket is the TBF that carries a grant out.
func (s *shaper) bucket(g grant) TBF {
	if g.closed {
		// Room for a packet, or it would be refused (sch_tbf.c: tbf_enqueue).
		room := time.Duration(2 * float64(s.link.MTU) / (float64(gateRate) / 8) * 1e9)
		return TBF{Rate: gateRate, Buffer: min(room, math.MaxUint32), MPUBytes: gateMPU, LimitBytes: s.bucketLimit()}
	}
	if s.link.pulsed() && g.hold > 0 && g.hold <= s.link.tick() {
		return s.pulse(g)
	}
	burst := float64(s.link.MTU) + float64(g.rate)*lateness.Seconds()/8
	rate := float64(g.rate)
	if g.hold > 0 {
		burst = min(burst, g.bytes)
		rate = (g.bytes - burst) * 8 / g.hold.Seconds()
	}
	return TBF{
		Rate:       max(trace.BitRate(rate), 8*trace.BitPerSecond),
		BurstBytes: min(max(int64(burst), int64(s.link.MTU+headerBytes)), math.MaxUint32),
		LimitBytes: s.bucketLimit(),
	}
}

// bucketLimit is the limit of the bucket's own queue. Where there is another
// one below, the kernel does not look at it, but tc insists on one
// (sch_tbf.c: tbf_change, fifo_set_limit).
func (s *shaper) bucketLimit() int64 {
	if s.link.Queue.Kind != trace.DropTail || s.link.pulsed() {
		return 1
	}
	return s.limit
}

// nextHTB shapes with the class where a step has many packets and none takes
// long, and with the TBF leaf, as gate and as bucket, where the class would
// carry a debt into a faster step.
func (s *shaper) nextHTB(g grant) []request {
	n := 0
	leaf := TBF{Rate: openRate, BurstBytes: openBurst, LimitBytes: s.bucketLimit()}
	rate := g.rate
	switch {
	case g.closed, s.slow(rate), g.hold > 0 && g.bytes < htbLeast*s.budget.mtu:
		leaf, rate = s.bucket(g), openRate
	case g.hold > 0:
		rate = trace.BitRate(g.bytes * 8 / g.hold.Seconds())
	}
	bucket := leaf.Rate != openRate
	burst := int64(float64(s.link.MTU) + float64(rate)*lateness.Seconds()/8)
	if bucket {
		burst = openClassBurst
	}
	class := HTBClass{
		Rate: max(rate, 8*trace.BitPerSecond), Ceil: max(rate, 8*trace.BitPerSecond),
		BurstBytes: burst, CeilBurstBytes: burst, QuantumBytes: int64(s.link.MTU),
	}
	var parts [2]request
	if class != s.class {
		parts[0] = request{kind: setHTBClass, handle: handleClass, parent: handleBottleneck, class: class}
		s.class = class
	}
	// A bucket is told every step: the change is the grant.
	if leaf != s.leaf || !g.closed && bucket {
		parts[1] = request{kind: setTBF, handle: handleGate, parent: handleClass, tbf: leaf}
		s.leaf = leaf
	}
	// Between the two messages the queue must never find both open: whichever
	// shapes from now on comes first.
	if bucket {
		parts[0], parts[1] = parts[1], parts[0]
	}
	for _, r := range parts {
		if r.kind != 0 {
			s.requests[n] = r
			n++
		}
	}
	return s.requests[:n]
}

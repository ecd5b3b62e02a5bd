package netsetup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linktape/trace"
)

// tbfModel is net/sched/sch_tbf.c, tbf_change and tbf_dequeue, in
// nanoseconds.
type tbfModel struct {
	rate                float64 // bytes/s
	buffer, tokens, at  float64
	mpu, limit, maxSize float64
}

func (m *tbfModel) change(q TBF) {
	m.rate = float64(bytesPerSecond(q.Rate))
	m.buffer, m.maxSize = float64(q.Buffer), float64(q.BucketBytes())
	if q.BurstBytes > 0 {
		m.buffer = float64(q.BurstBytes) / m.rate * 1e9
	}
	m.tokens = m.buffer
	m.mpu, m.limit = float64(q.MPUBytes), float64(q.LimitBytes)
}

// dequeue takes the tokens of a packet, or says when to look again.
func (m *tbfModel) dequeue(now, size float64) (wait float64) {
	tokens := min(min(now-m.at, m.buffer)+m.tokens, m.buffer) - max(size, m.mpu)/m.rate*1e9
	if tokens < 0 {
		return -tokens
	}
	m.tokens, m.at = tokens, now
	return 0
}

// htbModel is net/sched/sch_htb.c with one class: htb_change_class,
// htb_charge_class and htb_class_mode.
type htbModel struct {
	rate               float64
	buffer, tokens, at float64
	until              float64 // the class waits: pq_key
	made               bool
}

func (m *htbModel) change(c HTBClass) {
	m.rate = float64(bytesPerSecond(c.Rate))
	m.buffer = float64(c.BurstBytes) / m.rate * 1e9
	if !m.made {
		m.tokens, m.made = m.buffer, true
	}
}

func (m *htbModel) charge(now, size float64) {
	const longest = 60e9 // mbuffer
	m.tokens = min(min(now-m.at, longest)+m.tokens, m.buffer) - size/m.rate*1e9
	m.tokens = max(m.tokens, 1-longest)
	m.at = now
	if m.tokens < 0 {
		m.until = now - m.tokens
	}
}

// linkModel is a bottleneck with a sender, in virtual time. It counts what is
// delivered, in whole packets.
type linkModel struct {
	t      *testing.T
	shaper *shaper
	rng    *rand.Rand
	tbf    tbfModel
	htb    htbModel

	now       float64 // ns
	wake      float64 // when the queue's timer fires; +Inf: asleep
	size      float64 // of each packet
	queue     int     // packets; −1: endless
	delivered float64
	begun     bool
	lastBytes float64
	lastAt    time.Duration
}

// dequeue runs the queue until it waits.
func (m *linkModel) dequeue() {
	for m.queue != 0 {
		if m.shaper.link.Shaper == ShaperHTB && m.now < m.htb.until {
			m.wake = m.htb.until
			return
		}
		if wait := m.tbf.dequeue(m.now, m.size); wait > 0 {
			m.wake = m.now + wait
			return
		}
		if m.shaper.link.Shaper == ShaperHTB {
			m.htb.charge(m.now, m.size)
		}
		if m.shaper.grant.closed {
			m.t.Errorf("a packet left a closed bucket at %v", time.Duration(m.now))
		}
		m.delivered += m.size
		m.queue = max(m.queue-1, -1)
	}
	m.wake = math.Inf(1)
}

// until runs the model until an instant. Timers fire late.
func (m *linkModel) until(end float64) {
	for m.wake < end {
		m.now = m.wake + m.rng.Float64()*100e3
		if m.now > end {
			m.wake, m.now = m.now, end
			return
		}
		m.dequeue()
	}
	m.now = end
}

// apply does what Endpoint.Apply does.
func (m *linkModel) apply(at, hold time.Duration, rate trace.BitRate) {
	before, asleep := m.shaper.grant, m.shaper.asleep()
	released := false
	for _, r := range m.shaper.next(rate, hold) {
		switch r.kind {
		case setTBF:
			m.tbf.change(r.tbf)
			if m.tbf.maxSize < m.size {
				m.t.Fatalf("rate %v for %v: packets of %v bytes do not fit a bucket of %v", rate, hold, m.size, m.tbf.maxSize)
			}
		case setHTBClass:
			m.htb.change(r.class)
		case setPlug:
			if r.plug.Action == PlugReleaseIndefinite {
				released = true
			}
		}
	}
	var backlog uint32
	if m.queue != 0 {
		backlog = uint32(m.size)
	}
	if m.begun {
		m.shaper.budget.account(before, at-m.lastAt, int64(m.delivered-m.lastBytes), backlog)
	}
	m.begun, m.lastBytes, m.lastAt = true, m.delivered, at
	if released || backlog > 0 && asleep && !m.shaper.grant.closed {
		m.dequeue()
	}
}

func newLinkModel(t *testing.T, kind ShaperKind, size int, seed uint64) *linkModel {
	l := DefaultLink("a")
	l.Shaper = kind
	m := &linkModel{t: t, shaper: newShaper(l), rng: rand.New(rand.NewPCG(seed, 77)), size: float64(size), queue: -1, wake: math.Inf(1)}
	for _, r := range m.shaper.create() {
		switch r.kind {
		case setTBF:
			m.tbf.change(r.tbf)
		case setHTBClass:
			m.htb.change(r.class)
		}
	}
	m.shaper.forget()
	return m
}

// randomRates draws rates of all magnitudes, with stalls, and how many steps
// each one holds.
func randomRates(rng *rand.Rand, n int, highest float64) []trace.BitRate {
	var rates []trace.BitRate
	for len(rates) < n {
		rate := trace.BitRate(math.Exp(math.Log(10e3) + rng.Float64()*math.Log(highest/10e3)))
		if rng.IntN(6) == 0 {
			rate = 0
		}
		for range 1 + rng.IntN(8) {
			rates = append(rates, rate)
		}
	}
	return rates[:n]
}

// Over any rates and steps, the sum that a backlogged bottleneck delivers
// stays within three of the largest packets and the share of a timer's lateness
// of the tape's, at the end of every step, though the sender is silent and
// nothing but timers and kicks wakes the queue: what a step could not use comes
// back two steps later, and less than a packet waits for its rest.
func TestShaperFollowsTape(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 2
	}
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperPulse} {
		for _, step := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 0} {
			for _, size := range []int{64, 228, 1000, 1500} {
				t.Run(fmt.Sprintf("%s/%v/%d", kind, step, size), func(t *testing.T) {
					worst := 0.0
					for seed := range seeds {
						m := newLinkModel(t, kind, size, seed)
						at, tape := time.Duration(0), 0.0
						recent := make([]trace.BitRate, 3) // of the last open steps
						for i, rate := range randomRates(m.rng, 400, 50e6) {
							hold := step
							if step == 0 { // a tape with steps of any length
								hold = time.Duration(math.Exp(m.rng.Float64()*math.Log(200)) * float64(5*time.Millisecond))
							}
							for end := at + hold; at < end; {
								part := end - at
								if kind == ShaperPulse { // as the replay cuts it
									part = min(part, DefaultTick)
								}
								m.until(float64(at))
								m.apply(at, part, rate)
								at += part
							}
							tape += float64(rate) * hold.Seconds() / 8
							m.until(float64(at))
							if i == 0 { // a link that was idle begins with a full bucket
								tape = m.delivered
							}
							if !m.shaper.grant.closed {
								recent = append(recent[1:], rate)
							}
							bound := 3*(1500+headerBytes) + hold.Seconds() + float64(slices.Max(recent))*lateness.Seconds()/8
							if d := m.delivered - tape; math.Abs(d) > bound {
								t.Fatalf("seed %d, step %d: delivered %.0f bytes, tape %.0f: off by %.0f, bound %.0f (rate %v, hold %v)",
									seed, i, m.delivered, tape, d, bound, rate, hold)
							} else {
								worst = max(worst, math.Abs(d)/bound)
							}
						}
					}
					t.Logf("worst deviation: %.2f of the bound", worst)
				})
			}
		}
	}
}

// A backlogged bottleneck of pulses delivers the whole packets of the tape's
// cumulative bytes by the end of every step, whatever the ticks that the step is
// cut into have of them.
func TestPulsesAreWhole(t *testing.T) {
	for seed := range uint64(20) {
		const size = 1500
		m := newLinkModel(t, ShaperPulse, size, seed)
		at, tape := time.Duration(0), 0.0
		m.apply(at, DefaultTick, 0)
		at += DefaultTick
		m.until(float64(at))
		// The link was idle: its bucket was full.
		m.apply(at, DefaultTick, 0)
		start := m.delivered
		at += DefaultTick
		for i, rate := range randomRates(m.rng, 400, 50e6) {
			hold := time.Duration(1+m.rng.IntN(20)) * DefaultTick
			for range hold / DefaultTick {
				m.until(float64(at))
				m.apply(at, DefaultTick, rate)
				at += DefaultTick
				tape += serviceBytes(rate, DefaultTick)
				m.until(float64(at))
				if got, want := m.delivered-start, math.Floor((tape+crumb)/size)*size; got != want {
					t.Fatalf("seed %d, step %d, at %v: delivered %.0f bytes, want %.0f of %.1f", seed, i, at, got, want, tape)
				}
			}
		}
	}
}

// A sender that comes and goes never gets more than the tape, but for what a
// bucket holds: what it did not use while it was idle is lost.
func TestShaperIdle(t *testing.T) {
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperPulse} {
		for _, size := range []int{64, 757, 1500} {
			t.Run(fmt.Sprintf("%s/%d", kind, size), func(t *testing.T) {
				for seed := range uint64(20) {
					const step = 20 * time.Millisecond
					m := newLinkModel(t, kind, size, seed)
					m.queue = 0
					at, tape := time.Duration(0), 0.0
					highest := trace.BitRate(0)
					rates := randomRates(m.rng, 500, 20e6)
					for i, rate := range rates {
						m.until(float64(at))
						m.apply(at, step, rate)
						tape += float64(rate) * step.Seconds() / 8
						highest = max(highest, rate)
						if m.rng.IntN(3) == 0 { // packets at any instant of the step
							m.until(float64(at) + m.rng.Float64()*float64(step))
							m.queue += m.rng.IntN(2 * (1 + int(float64(rate)*step.Seconds()/8)/size))
							m.dequeue()
						}
						at += step
						m.until(float64(at))
						// The encoder's least burst is a frame, 14 bytes more than a packet.
						bound := tape*(1+float64(headerBytes)/1500) + 3*1500 + float64(highest)*lateness.Seconds()/8
						if m.delivered > bound {
							t.Fatalf("seed %d, step %d: delivered %.0f bytes, tape %.0f", seed, i, m.delivered, tape)
						}
					}
				}
			})
		}
	}
}

// A stall, and a step with less than a packet, let nothing through, keep room
// for packets in the queue, and lose none of the grant.
func TestShaperClosed(t *testing.T) {
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperPulse} {
		for _, mtu := range []int{MinMTU, 1500, MaxMTU} {
			t.Run(fmt.Sprintf("%s/%d", kind, mtu), func(t *testing.T) {
				l := DefaultLink("a")
				l.Shaper, l.MTU = kind, mtu
				s := newShaper(l)
				s.create()
				for _, c := range []struct {
					rate   trace.BitRate
					hold   time.Duration
					closed bool
				}{
					{0, 0, true}, {0, time.Second, true}, {0, 100 * time.Millisecond, true},
					{trace.BitRate(mtu), time.Second, true}, // an eighth of a packet, kept
					{trace.BitRate(6 * mtu), time.Second, true},
					{trace.BitRate(mtu), time.Second, false},
					{1, 0, false}, {8, 0, false}, {trace.MaxRate, 0, false}, {trace.MaxRate, time.Millisecond, false},
				} {
					requests := s.next(c.rate, c.hold)
					if s.grant.closed != c.closed {
						t.Fatalf("%v for %v: closed %v", c.rate, c.hold, s.grant.closed)
					}
					for _, r := range requests {
						if _, err := r.append(nil, 1, nlmFRequest, 1); err != nil {
							t.Fatalf("%v for %v: %v", c.rate, c.hold, err)
						}
					}
					bucket := s.leaf
					if got := bucket.BucketBytes(); got < int64(mtu+headerBytes) {
						t.Errorf("%v for %v: bucket of %d bytes refuses packets", c.rate, c.hold, got)
					}
					cover := float64(max(bucket.BurstBytes, 0))
					if bucket.BurstBytes == 0 {
						cover = bucket.Buffer.Seconds() * float64(bucket.Rate) / 8
					}
					if open := cover >= float64(max(bucket.MPUBytes, 60)); open == c.closed {
						t.Errorf("%v for %v: closed %v, but a bucket of %.0f bytes and mpu %d", c.rate, c.hold, c.closed, cover, bucket.MPUBytes)
					}
				}
			})
		}
	}
}

// What is kept for later stays bounded, whatever the tape and the counters say.
func TestBudgetBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	b := budget{mtu: 1500}
	var g grant
	for i := range 200000 {
		rate := trace.BitRate(rng.Int64N(50e6))
		if rng.IntN(3) > 0 {
			rate = trace.BitRate(rng.Int64N(100e3))
		}
		hold := 1 + time.Duration(rng.Int64N(int64(50*time.Millisecond)))
		next := b.next(rate, hold)
		if next.closed != (next.bytes == 0) || next.bytes < 0 {
			t.Fatalf("step %d: %+v", i, next)
		}
		most := 3*b.mtu + 50e6*lateness.Seconds()/8
		if tape := float64(rate) * hold.Seconds() / 8; math.Abs(next.bytes-tape) > 2*most {
			t.Fatalf("step %d: granted %.0f bytes, tape %.0f", i, next.bytes, tape)
		}
		if math.Abs(b.credit) > 2*most || math.Abs(b.owed) > most {
			t.Fatalf("step %d: %+v", i, b)
		}
		var served int64
		if !g.closed {
			served = rng.Int64N(int64(2*g.bytes) + 1500)
		}
		b.account(g, hold, served, uint32(rng.IntN(3)))
		g = next
	}
	// A queue that is not backlogged keeps less than a packet.
	b = budget{mtu: 1500}
	for range 1000 {
		b.next(100e3, 10*time.Millisecond)
		b.account(grant{}, 10*time.Millisecond, 0, 0)
		if b.credit > b.mtu || b.owed != 0 {
			t.Fatalf("idle: %+v", b)
		}
	}
}

// A limit in time follows the rate, keeps its last value through a stall and
// never falls below two packets; a limit in bytes stays.
func TestQueueLimit(t *testing.T) {
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		l := DefaultLink("a")
		l.Shaper = kind
		l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}
		s := newShaper(l)
		for _, c := range []struct {
			rate trace.BitRate
			want int64
		}{
			{8 * trace.Mbit, 200000}, {0, 200000}, {4 * trace.Mbit, 100000}, {80 * trace.Kbit, 3000}, {0, 3000},
			{trace.MaxRate, MaxQueue}, {60 * trace.Mbit, 1500000},
		} {
			s.next(c.rate, 100*time.Millisecond)
			if s.leaf.LimitBytes != c.want {
				t.Errorf("%s: %v: limit %d bytes, want %d", kind, c.rate, s.leaf.LimitBytes, c.want)
			}
		}
		l.Queue = trace.Queue{Kind: trace.DropTail, LimitBytes: 5000}
		s = newShaper(l)
		for _, rate := range []trace.BitRate{trace.Gbit, 0, trace.Kbit} {
			if s.next(rate, time.Second); s.leaf.LimitBytes != 5000 {
				t.Errorf("%s: %v: limit %d bytes, want 5000", kind, rate, s.leaf.LimitBytes)
			}
		}
		// A link that begins stalled has a queue too.
		l.Rate, l.Queue = 0, trace.Queue{Kind: trace.DropTail, LimitTime: time.Second}
		if s = newShaper(l); s.limit != 3000 {
			t.Errorf("%s: stalled from the start: limit %d bytes, want 3000", kind, s.limit)
		}
	}
}

// The order of HTB's two messages leaves no instant at which both the class and
// the bucket are open.
func TestHTBOrder(t *testing.T) {
	l := DefaultLink("a")
	l.Shaper = ShaperHTB
	s := newShaper(l)
	kinds := func(rate trace.BitRate, hold time.Duration) (out []requestKind) {
		for _, r := range s.next(rate, hold) {
			out = append(out, r.kind)
		}
		return out
	}
	for _, c := range []struct {
		rate trace.BitRate
		hold time.Duration
		want []requestKind
	}{
		{50 * trace.Mbit, 100 * time.Millisecond, []requestKind{setHTBClass, setTBF}},
		{50 * trace.Mbit, 100 * time.Millisecond, nil},
		{60 * trace.Mbit, 100 * time.Millisecond, []requestKind{setHTBClass}},
		{0, 100 * time.Millisecond, []requestKind{setTBF, setHTBClass}}, // closed before the class opens
		{0, 100 * time.Millisecond, nil},
		{5 * trace.Mbit, 100 * time.Millisecond, []requestKind{setTBF}},
		{5 * trace.Mbit, 100 * time.Millisecond, []requestKind{setTBF}}, // the change is the grant
		{50 * trace.Mbit, 100 * time.Millisecond, []requestKind{setHTBClass, setTBF}},
	} {
		if got := kinds(c.rate, c.hold); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.rate, got, c.want)
		}
	}
	// At its making the class comes before its leaf.
	for _, rate := range []trace.BitRate{0, trace.Kbit, trace.Gbit} {
		l.Rate = rate
		got := newShaper(l).create()
		if len(got) != 3 || got[0].kind != setHTB || got[1].kind != setHTBClass || got[2].kind != setTBF {
			t.Errorf("%v: made by %+v", rate, got)
		}
	}
}

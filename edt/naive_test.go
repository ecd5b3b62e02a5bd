package edt

import (
	"math"
	"math/big"
	"time"

	"linktape/trace"
)

// change is a state from an instant on.
type change struct {
	at time.Duration
	trace.State
}

// naive is the model by the book: whole history, big numbers, no cursor, the queue
// as a list of packets, random numbers drawn one after the other.
type naive struct {
	tape     []change
	end      time.Duration
	limits   []int64 // by change; −1: none
	flushes  []int   // by change: how often the carrier was lost so far
	overtake bool
	hold     bool // the last change goes on beyond the end

	state   uint64 // of the generator
	bad     bool
	queue   []place // all that were accepted, in order
	lastNow time.Duration
	arrived time.Duration
}

// place is where a packet is in the queue.
type place struct {
	v       *big.Int // its last bit, in units
	left    time.Duration
	flushes int
}

func newNaive(tape []change, end time.Duration, q trace.Queue, mtu int, seed uint64, overtake bool) *naive {
	m := &naive{tape: tape, end: end, state: seed, overtake: overtake}
	last, flushes, up := int64(0), 0, true
	for _, c := range tape {
		limit := int64(-1)
		switch {
		case q.LimitBytes > 0:
			limit = q.LimitBytes
		case q.LimitTime > 0 && c.Capacity() == 0 && last > 0:
			limit = last
		case q.LimitTime > 0:
			n := new(big.Int).Mul(big.NewInt(int64(c.Capacity())), big.NewInt(int64(q.LimitTime)))
			limit = max(n.Div(n, big.NewInt(8e9)).Int64(), int64(2*mtu))
		}
		last = limit
		if up && !c.Carrier {
			flushes++
		}
		up = c.Carrier
		m.limits, m.flushes = append(m.limits, limit), append(m.flushes, flushes)
	}
	return m
}

// until is where a change ends.
func (m *naive) until(i int) time.Duration {
	if i+1 < len(m.tape) {
		return m.tape[i+1].at
	}
	return m.end
}

// begin is the service before a change, in bit/s × ns.
func (m *naive) begin(i int) *big.Int {
	sum := new(big.Int)
	for k := range i {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(m.tape[k].Capacity())), big.NewInt(int64(m.until(k)-m.tape[k].at))))
	}
	return sum
}

func (m *naive) inForce(t time.Duration) int {
	found := -1
	for i, c := range m.tape {
		if c.at <= t {
			found = i
		}
	}
	return found
}

func (m *naive) served(t time.Duration) *big.Int {
	i := m.inForce(t)
	d := new(big.Int).Mul(big.NewInt(int64(m.tape[i].Capacity())), big.NewInt(int64(t-m.tape[i].at)))
	return d.Div(d.Add(d, m.begin(i)), big.NewInt(1000))
}

// takes is how long a change needs for a service in bit/s × ns, rounded up.
func (m *naive) takes(i int, service *big.Int) time.Duration {
	d, part := new(big.Int).DivMod(service, big.NewInt(int64(m.tape[i].Capacity())), new(big.Int))
	if part.Sign() > 0 {
		d.Add(d, big.NewInt(1))
	}
	return time.Duration(d.Int64())
}

// draw is SplitMix64 as its authors wrote it.
func (m *naive) draw() uint64 {
	m.state += 0x9e3779b97f4a7c15
	z := m.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func happens(draw uint32, p trace.Prob) bool {
	if p == 0 {
		return false
	}
	return float64(draw) < max(math.Round(float64(p)*(1<<32)), 1) || p == 1
}

func (m *naive) packet(now time.Duration, bytes int) Verdict {
	now = max(now, m.lastNow)
	i := m.inForce(now)
	if i < 0 || now >= m.end && !m.hold {
		return Verdict{Fate: Unknown}
	}
	const packetUnit = 8_000_000
	var last *place // of who waits
	if n := len(m.queue); n > 0 && m.queue[n-1].left > now && m.queue[n-1].flushes == m.flushes[i] {
		last = &m.queue[n-1]
	}
	v, backlog := new(big.Int), new(big.Int)
	switch {
	case now < m.end:
		served := m.served(now)
		v.Set(served)
		if last != nil {
			v.Set(last.v)
		}
		backlog.Sub(v, served)
	case last != nil:
		backlog.Mul(big.NewInt(int64(last.left-now)), big.NewInt(int64(m.tape[i].Capacity())))
		backlog.Div(backlog, big.NewInt(1000))
	}
	up, over := new(big.Int).DivMod(backlog, big.NewInt(packetUnit), new(big.Int))
	out := Verdict{Backlog: up.Int64()}
	occupied := up.Int64()
	if over.Sign() > 0 {
		occupied++
	}
	switch {
	case !m.tape[i].Carrier:
		m.lastNow, out.Fate = now, Outage
		return out
	case m.limits[i] >= 0 && occupied+int64(bytes) > m.limits[i]:
		m.lastNow, out.Fate = now, Full
		return out
	}
	j, left := len(m.tape)-1, now
	bits := new(big.Int).Mul(big.NewInt(int64(bytes)*packetUnit), big.NewInt(1000))
	v.Add(v, big.NewInt(int64(bytes)*packetUnit))
	exact, whole := new(big.Int).Mul(v, big.NewInt(1000)), m.begin(len(m.tape))
	switch {
	case now < m.end && exact.Cmp(whole) <= 0:
		j = 0
		for k := range m.tape {
			if m.begin(k).Cmp(exact) < 0 {
				j = k
			}
		}
		left = min(m.tape[j].at+m.takes(j, exact.Sub(exact, m.begin(j))), m.until(j))
	case !m.hold:
		return Verdict{Fate: Unknown}
	case m.tape[j].Capacity() == 0: // it would never leave
		m.lastNow, out.Fate = now, Full
		return out
	case now < m.end: // the tape's whole units, and what is left over at the last rate
		units := new(big.Int).Div(whole, big.NewInt(1000))
		left = m.end + m.takes(j, exact.Sub(exact, units.Mul(units, big.NewInt(1000))))
	case last != nil:
		left = last.left + m.takes(j, bits)
	default:
		left = now + m.takes(j, bits)
	}
	m.lastNow = now
	m.queue = append(m.queue, place{v, left, m.flushes[i]})
	if m.flushes[j] != m.flushes[i] {
		out.Fate = Outage
		return out
	}
	out.Left = left
	w0, w1, w2, w3 := m.draw(), m.draw(), m.draw(), m.draw()
	d := m.tape[j]
	lost := happens(uint32(w0), d.Loss)
	if d.GE.Enabled() {
		if m.bad {
			lost = happens(uint32(w0), d.GE.LossBad)
			m.bad = !happens(uint32(w0>>32), d.GE.R)
		} else {
			lost = happens(uint32(w0), d.GE.LossGood)
			m.bad = happens(uint32(w0>>32), d.GE.P)
		}
	}
	if lost {
		out.Fate = Lost
		return out
	}
	sum := new(big.Int)
	for _, w := range []uint64{w1, w2, w3} {
		for range 4 {
			sum.Add(sum, big.NewInt(int64(w%65536)))
			w /= 65536
		}
	}
	sum.Sub(sum, big.NewInt(6*65535)).Mul(sum, big.NewInt(int64(d.Jitter)))
	late := new(big.Int).Div(sum, big.NewInt(65536)).Int64() // Div rounds down for a positive divisor
	out.Arrived = left + max(d.Delay+time.Duration(late), 0)
	if !m.overtake {
		out.Arrived = max(out.Arrived, m.arrived)
	}
	m.arrived = max(m.arrived, out.Arrived)
	return out
}

package edt

import (
	"fmt"
	"math"
	"time"
)

// Fate is what becomes of a packet.
type Fate uint8

// Fates.
const (
	Delivered Fate = iota
	Lost           // on the way, after the bottleneck
	Full           // it found the queue full
	Outage         // the interface was down, or went down while it waited
	Unknown        // what is known of the tape ends before it could leave
	fates
)

// String is the fate's word in tables and files.
func (f Fate) String() string {
	switch f {
	case Delivered:
		return "delivered"
	case Lost:
		return "lost"
	case Full:
		return "full"
	case Outage:
		return "outage"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Fate(%d)", uint8(f))
}

// Verdict is what becomes of one packet.
type Verdict struct {
	Fate Fate

	// Left is when the packet leaves the bottleneck, since the epoch; of those that
	// are delivered or lost.
	Left time.Duration
	// Arrived is when it is at the link's other end; of those that are delivered.
	Arrived time.Duration
	// Backlog is what the packet found in the queue, in bytes, rounded down: of the
	// packet that is being sent what is still to be sent.
	Backlog int64
}

// Counters count packets and bytes by what became of them.
type Counters struct {
	Packets [fates]int64
	Bytes   [fates]int64
	Backlog int64 // the largest that an accepted packet made, with itself, in bytes
}

// Model says what becomes of the packets of one direction.
type Model struct {
	w        *Window
	seed     uint64
	overtake bool

	counters Counters

	now     uint64 // of the last packet
	cur     int    // step in force then
	passed  uint64 // packets that left the bottleneck, or will
	v       uint64 // position of the last of them
	vcur    int    // step on which that is
	left    uint64 // when that is
	arrived uint64 // latest arrival so far
	outages uint32 // count of outages when the queue was last looked at
	bad     bool   // state of the chain
}

// NewModel returns a model of a window that the caller goes on extending. With
// overtake, packets that arrive earlier than those before them do so.
func NewModel(w *Window, seed uint64, overtake bool) *Model {
	return &Model{w: w, seed: seed, overtake: overtake}
}

// Counters returns what was counted so far; packets that were Unknown are not.
func (m *Model) Counters() *Counters { return &m.counters }

// Pass says that no packet arrives before an instant. What only such packets would
// need of the window is forgotten, so that it can be extended.
func (m *Model) Pass(now time.Duration) {
	if now <= 0 || len(m.w.steps) == 0 {
		return
	}
	t := max(min(uint64(now), m.w.end), m.now)
	m.now = t
	m.cur = m.w.at(m.cur, t)
	m.vcur = max(m.vcur, m.cur)
	if n := m.w.forget(m.cur); n > 0 {
		m.cur -= n
		m.vcur -= n
	}
}

// Packet says what becomes of a packet of so many bytes of IP (from 1 to 2^32−1; what
// is outside counts as the nearest) that reaches the bottleneck at an instant since
// the epoch. A packet of an instant before the last one's counts as arriving with it.
//
// [Unknown] changes nothing: the same packet may be asked for again when the window
// has been extended.
func (m *Model) Packet(at time.Duration, bytes int) Verdict {
	w := m.w
	now := max(uint64(max(at, 0)), m.now)
	if len(w.steps) == 0 || now < w.steps[0].T || now >= w.end && !w.hold {
		return Verdict{Fate: Unknown}
	}
	n := uint64(min(max(bytes, 1), math.MaxUint32))
	i := w.at(m.cur, now)
	s := &w.steps[i]

	// The backlog, but for what an outage has flushed.
	waits := m.left > now && !s.Flushed(m.outages)
	var v, backlog uint64
	j := i
	switch {
	case now < w.end:
		served := s.Served(now)
		v = served
		if waits && ahead(m.v, served) > 0 {
			v, j = m.v, max(m.vcur, i)
		}
		backlog = v - served
	case waits:
		backlog = s.Within(m.left - now)
	}
	out := Verdict{Backlog: int64(backlog / ByteUnits)}
	switch {
	case s.Outages&down != 0:
		out.Fate = Outage
		return m.count(out, now, i, n)
	case (backlog+ByteUnits-1)/ByteUnits+n > s.Limit:
		out.Fate = Full
		return m.count(out, now, i, n)
	}
	var left uint64
	if now < w.end {
		v += n * ByteUnits
		over := ahead(v, w.total)
		switch last := &w.steps[len(w.steps)-1]; {
		case over <= 0:
			j = w.reach(j, v)
			left = w.when(j, v)
		case !w.hold:
			return Verdict{Fate: Unknown}
		case last.Rate == 0:
			out.Fate = Full
			return m.count(out, now, i, n)
		default:
			j = len(w.steps) - 1
			left = w.end + last.takes(uint64(over))
		}
	} else {
		if s.Rate == 0 {
			out.Fate = Full
			return m.count(out, now, i, n)
		}
		left = now
		if waits {
			left = m.left
		}
		left += s.takes(n * ByteUnits)
	}
	m.v, m.vcur, m.left, m.outages = v, j, left, s.Outages
	m.counters.Backlog = max(m.counters.Backlog, int64((backlog+ByteUnits-1)/ByteUnits+n))

	// It leaves: what is in force then decides the rest.
	d := &w.steps[j]
	if d.Flushed(s.Outages) {
		out.Fate = Outage
		return m.count(out, now, i, n)
	}
	out.Left = time.Duration(left)
	k := m.passed
	m.passed++
	if m.lose(d, word(m.seed, words*k)) {
		out.Fate = Lost
		return m.count(out, now, i, n)
	}
	delay := int64(d.Delay)
	if d.Jitter > 0 {
		delay += int64(d.Jitter) * deviate(m.seed, k) >> 16
	}
	arrived := left + uint64(max(delay, 0))
	if !m.overtake {
		arrived = max(arrived, m.arrived)
	}
	m.arrived = max(m.arrived, arrived)
	out.Fate, out.Arrived = Delivered, time.Duration(arrived)
	return m.count(out, now, i, n)
}

// lose draws whether a packet is lost. The chain decides by the state that it is in
// and then moves on (net/sched/sch_netem.c: loss_gilb_ell); on steps without one it
// stays where it is.
func (m *Model) lose(s *Step, draw uint64) bool {
	if !s.chain() {
		return below(uint32(draw), s.Loss)
	}
	loss, move := s.LossGood, s.P
	if m.bad {
		loss, move = s.LossBad, s.R
	}
	if below(uint32(draw>>32), move) {
		m.bad = !m.bad
	}
	return below(uint32(draw), loss)
}

// count counts a packet whose fate is known.
func (m *Model) count(v Verdict, now uint64, cur int, n uint64) Verdict {
	m.now, m.cur = now, cur
	m.counters.Packets[v.Fate]++
	m.counters.Bytes[v.Fate] += int64(n)
	if k := m.w.forget(cur); k > 0 {
		m.cur -= k
		m.vcur = max(m.vcur-k, 0)
	}
	return v
}

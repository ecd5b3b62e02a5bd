package pcap

import (
	"time"

	"linktape/record"
	"linktape/record/capture"
)

// early is how long an arrival waits for the packet to be sent: captures are not
// quite in order, and clocks not quite known.
const early = time.Second

// twice is the time in which a packet with the same IP identification is the same
// packet, captured on two interfaces that it passes.
const twice = 10 * time.Millisecond

// departure is a packet that was sent.
type departure struct {
	mark    capture.Mark
	next    *departure // with the same mark, sent later
	sent    int64
	seq     int64
	delay   int64
	bytes   int
	copies  int
	arrived bool
	late    bool
}

type arrival struct {
	mark capture.Mark
	at   int64
}

// matcher finds the packets of one channel that arrived. Times are by the
// sender's clock.
type matcher struct {
	key     Key
	timeout int64
	passOn  func(*departure)

	queue   []*departure // in the order sent
	head    int
	open    map[capture.Mark]*departure // the oldest of each mark
	free    *departure
	seq     int64
	latest  int64 // seq of the latest packet that arrived, as sent; −1: none
	waiting []arrival
	waits   map[capture.Mark]int // arrivals that wait, by mark
	strayed func(at int64)
	Twice   int64
}

func newMatcher(key Key, timeout time.Duration, passOn func(*departure), strayed func(at int64)) *matcher {
	return &matcher{
		key: key, timeout: int64(timeout), passOn: passOn, strayed: strayed,
		open: map[capture.Mark]*departure{}, waits: map[capture.Mark]int{}, latest: -1,
	}
}

// send takes a packet that was sent.
func (m *matcher) send(mark capture.Mark, at int64, bytes int) {
	mark = m.key.of(mark)
	first := m.open[mark]
	last := first
	for last != nil && last.next != nil {
		last = last.next
	}
	if last != nil && mark.ID != 0 && at-last.sent < int64(twice) {
		m.Twice++
		return
	}
	d := m.free
	if d != nil {
		m.free = d.next
	} else {
		d = new(departure)
	}
	*d = departure{mark: mark, sent: at, bytes: bytes, seq: m.seq}
	m.seq++
	if last == nil {
		m.open[mark] = d
	} else {
		last.next = d
	}
	m.queue = append(m.queue, d)
	if m.waits[mark] == 0 {
		return
	}
	for i, a := range m.waiting {
		if a.mark == mark {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			m.forget(mark)
			m.arrive(mark, a.at)
			return
		}
	}
}

func (m *matcher) forget(mark capture.Mark) {
	if m.waits[mark]--; m.waits[mark] == 0 {
		delete(m.waits, mark)
	}
}

// receive takes a packet that arrived: the oldest one sent with its mark that has
// not, or else a copy.
func (m *matcher) receive(mark capture.Mark, at int64) {
	mark = m.key.of(mark)
	if m.open[mark] == nil {
		m.waiting = append(m.waiting, arrival{mark, at})
		m.waits[mark]++
		return
	}
	m.arrive(mark, at)
}

func (m *matcher) arrive(mark capture.Mark, at int64) {
	var last *departure
	for d := m.open[mark]; d != nil; d = d.next {
		last = d
		if d.arrived {
			continue
		}
		d.arrived, d.delay = true, at-d.sent
		if d.seq < m.latest {
			d.late = true
		}
		m.latest = max(m.latest, d.seq)
		return
	}
	last.copies++
}

// advance gives up on what was sent longer than the timeout ago.
func (m *matcher) advance(now int64) {
	for m.head < len(m.queue) && m.queue[m.head].sent < now-m.timeout {
		m.pop()
	}
	if m.head > 1024 && m.head > len(m.queue)/2 {
		m.queue = append(m.queue[:0], m.queue[m.head:]...)
		m.head = 0
	}
	n := 0
	for n < len(m.waiting) && m.waiting[n].at < now-int64(early) {
		m.forget(m.waiting[n].mark)
		m.strayed(m.waiting[n].at)
		n++
	}
	if n > 0 {
		m.waiting = append(m.waiting[:0], m.waiting[n:]...)
	}
}

func (m *matcher) pop() {
	d := m.queue[m.head]
	m.queue[m.head] = nil
	m.head++
	if d.next == nil {
		delete(m.open, d.mark)
	} else {
		m.open[d.mark] = d.next
	}
	m.passOn(d)
	d.next, m.free = m.free, d
}

// finish settles all.
func (m *matcher) finish() {
	for m.head < len(m.queue) {
		m.pop()
	}
	for _, a := range m.waiting {
		m.strayed(a.at)
	}
	m.waiting = nil
}

// flight is what the recorder is told of it.
func (d *departure) flight(start int64) record.Flight {
	return record.Flight{
		Sent: time.Duration(d.sent - start), Delay: time.Duration(d.delay), Bytes: d.bytes,
		Lost: !d.arrived, Copies: d.copies, Late: d.late,
	}
}

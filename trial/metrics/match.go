package metrics

import (
	"linktape/record/capture"
)

// Times of matching what was sent with what arrived, ns.
const (
	overtaken = 2e9   // a packet is lost when one that was sent so much later has arrived
	patience  = 120e9 // or when so much time has passed: a queue may be held for long
)

// sent is a packet that was sent over a link.
type sent struct {
	mark    capture.Mark
	next    *sent // with the same mark, sent later
	at      int64
	packet  *packet
	rec     *record // of media; else nil
	arrived bool
}

// channel is one direction of a link: what was sent over it and has not been
// settled. Of several packets with the same mark the oldest arrives first.
type channel struct {
	queue  []*sent // in the order sent
	head   int
	open   map[capture.Mark]*chain
	latest int64 // the latest instant at which a packet that arrived was sent

	settled func(s *sent) // it has arrived, or is lost

	copies int64 // that the path made
	strays int64 // that arrived and had not been sent
}

// chain are the packets with one mark, in the order sent.
type chain struct {
	first, last *sent
	waiting     *sent // the first that has not arrived; nil: all have
}

func newChannel(settled func(*sent)) *channel {
	return &channel{open: make(map[capture.Mark]*chain), settled: settled}
}

func (c *channel) send(s *sent) {
	k := c.open[s.mark]
	if k == nil {
		k = &chain{first: s}
		c.open[s.mark] = k
	} else {
		k.last.next = s
	}
	k.last = s
	if k.waiting == nil {
		k.waiting = s
	}
	c.queue = append(c.queue, s)
}

// arrive finds what arrived; nil where it is a copy or stray.
func (c *channel) arrive(mark capture.Mark) *sent {
	k := c.open[mark]
	switch {
	case k == nil:
		c.strays++
		return nil
	case k.waiting == nil:
		c.copies++
		return nil
	}
	s := k.waiting
	k.waiting = s.next
	s.arrived = true
	c.latest = max(c.latest, s.at)
	return s
}

// advance settles what will not change any more.
func (c *channel) advance(now int64) {
	for c.head < len(c.queue) {
		s := c.queue[c.head]
		if c.latest-s.at <= overtaken && now-s.at <= patience {
			break
		}
		c.pop()
	}
	if c.head > 1024 && c.head > len(c.queue)/2 {
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
}

func (c *channel) pop() {
	s := c.queue[c.head]
	c.queue[c.head] = nil
	c.head++
	k := c.open[s.mark]
	if k.waiting == s { // lost
		k.waiting = s.next
	}
	if k.first = s.next; k.first == nil {
		delete(c.open, s.mark)
	}
	c.settled(s)
}

func (c *channel) finish() {
	for c.head < len(c.queue) {
		c.pop()
	}
}

package metrics

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"linktape/internal/rist"
	"linktape/record/capture"
)

// packet is a packet at one end of a link.
type packet struct {
	at    int64 // ns since the epoch
	up    bool
	flow  bool // of the bond, not of somebody else
	bytes int  // of IP
	mark  capture.Mark
	rist  rist.Packet
	order int64 // in its file
}

// disorder is how far packets may stand from their order in a capture, ns: those
// that several processors saw.
const disorder = 50e6

// waiting is a heap of packets by time.
type waiting []*packet

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, k int) bool {
	if w[i].at != w[k].at {
		return w[i].at < w[k].at
	}
	return w[i].order < w[k].order
}
func (w waiting) Swap(i, k int) { w[i], w[k] = w[k], w[i] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(*packet)) }
func (w *waiting) Pop() any {
	n := len(*w) - 1
	p := (*w)[n]
	(*w)[n] = nil
	*w = (*w)[:n]
	return p
}

// end is a capture at one end of a link.
type end struct {
	file     string
	r        *capture.Reader
	epoch    int64
	sender   netip.Addr // invalid: not known
	receiver netip.Addr
	ports    []int

	queue   waiting
	newest  int64
	order   int64
	ended   bool
	foreign int64 // packets of other addresses
	first   int64 // instants of its first and last packets
	last    int64
}

// openEnd opens a capture. Addresses and ports are those of the link's ends.
func openEnd(file string, epoch int64, sender, receiver netip.Addr, ports []int) (*end, error) {
	r, err := capture.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: capture both ends of each link; trial run does", err)
	}
	if err != nil {
		return nil, err
	}
	r.Others = true
	return &end{file: file, r: r, epoch: epoch, sender: sender, receiver: receiver, ports: ports}, nil
}

// hash is how many bytes of a payload its mark may be made of, so that those of a
// capture's every packet were kept: HashRoom leaves room for two tags and IPv6.
func (e *end) hash() int {
	const most = 128
	room := e.r.HashRoom() + 4
	if e.sender.Is4() || e.receiver.Is4() {
		room += 20
	}
	return min(room, most)
}

// markOf is what identifies a packet: of media what RTP's header says, wherever in
// the payload that is.
func markOf(c *capture.Packet, p *rist.Packet) capture.Mark {
	m := c.Mark
	if p.Kind == rist.Media || p.Kind == rist.Retransmission {
		ssrc := uint64(p.SSRC)
		if p.Kind == rist.Retransmission {
			ssrc |= 1
		}
		m.Base, m.RTP = ssrc<<32|uint64(p.Timestamp), true
		m.Base ^= (uint64(p.Seq) + 1) * 0x9e3779b97f4a7c15 // spread over all bits
	}
	return m
}

// fill reads ahead as far as packets may be out of order.
func (e *end) fill() error {
	for !e.ended && (len(e.queue) == 0 || e.newest-e.queue[0].at <= disorder) {
		var c capture.Packet
		err := e.r.Next(&c)
		if errors.Is(err, io.EOF) {
			e.ended = true
			break
		}
		if err != nil {
			return err
		}
		p := &packet{at: c.At - e.epoch, bytes: c.Bytes, order: e.order}
		if e.order == 0 {
			e.first = p.at
		}
		e.order++
		e.newest, e.last = max(e.newest, p.at), max(e.last, p.at)
		if !e.direct(&c, p) {
			e.foreign++
			continue
		}
		if p.flow {
			rist.Parse(c.Payload, c.PayloadBytes, &p.rist)
			p.mark = markOf(&c, &p.rist)
		}
		heap.Push(&e.queue, p)
	}
	return nil
}

// direct says which way a packet goes, and whether it is the bond's; false: it is
// of other addresses.
func (e *end) direct(c *capture.Packet, p *packet) bool {
	src, dst := c.Src.Addr().Unmap(), c.Dst.Addr().Unmap()
	port := c.Dst.Port()
	switch {
	case e.receiver.IsValid() && dst == e.receiver, e.sender.IsValid() && src == e.sender:
		p.up = true
	case e.receiver.IsValid() && src == e.receiver, e.sender.IsValid() && dst == e.sender:
		port = c.Src.Port()
	default:
		return false
	}
	p.flow = !c.Other && (len(e.ports) == 0 || slices.Contains(e.ports, int(port)))
	return true
}

// next returns the next packet in time without taking it; nil at the end.
func (e *end) next() (*packet, error) {
	if err := e.fill(); err != nil || len(e.queue) == 0 {
		return nil, err
	}
	return e.queue[0], nil
}

func (e *end) take() { heap.Pop(&e.queue) }

// walk calls each for the packets of all captures in the order of time; of one
// instant those of the first capture come first.
func walk(ends []*end, each func(i int, p *packet)) error {
	heads := make([]*packet, len(ends))
	for i, e := range ends {
		p, err := e.next()
		if err != nil {
			return err
		}
		heads[i] = p
	}
	for {
		first := -1
		for i, p := range heads {
			if p != nil && (first < 0 || p.at < heads[first].at) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		p := heads[first]
		ends[first].take()
		each(first, p)
		var err error
		if heads[first], err = ends[first].next(); err != nil {
			return err
		}
	}
}

// ms is a duration in milliseconds.
func ms(d float64) float64 { return d / float64(time.Millisecond) }

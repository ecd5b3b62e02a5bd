package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/netip"
	"time"

	"linktape/internal/rist"
	"linktape/record/capture"
	"linktape/trace"
)

// linkCounts are figures of a link's packets. Those of packets sent are by when
// they were sent, the others by when they arrived.
type linkCounts struct {
	sent          int64 // of the bond, upwards
	sentBytes     int64 // of IP
	lost          int64 // of the packets sent
	originals     int64 // of the packets sent
	originalBytes int64 // of media
	again         int64 // retransmissions, of the packets sent
	bySize        int64 // of the originals: not read, but told by their size
	control       int64 // the other packets sent

	received       int64 // of the bond, upwards, without copies that the path made
	receivedData   int64 // of them media, for the first time or again
	receivedBytes  int64 // of IP, of the bond and of others
	effective      int64 // first copies
	effectiveBytes int64 // of media

	back      int64 // sent downwards by the bond
	backBytes int64 // of IP
	backLost  int64
}

// passLink is a link whose captures are read.
type passLink struct {
	name     string
	up, down *channel
	ends     [2]*end // the sender's and the receiver's

	window, all linkCounts
	fates       [2]hash.Hash // over what became of each packet, upwards and downwards
	fate        [1]byte
	base        int64 // the smallest delay upwards, ns; −1: nothing has arrived
	others      int64 // packets upwards that are not the bond's
}

// listener is told what happens, beside the counts.
type listener interface {
	// packetSent and packetReceived are of anything that goes upwards.
	packetSent(link int, p *packet)
	packetReceived(link int, p *packet)
	// originalSent is of media sent for the first time.
	originalPassed(link int, p *packet)
	// firstCopy has arrived.
	firstCopy(link int, p *packet)
	// delayed is of a packet of the bond that arrived.
	delayed(link int, s *sent, at int64)
	// settled is of a packet of the bond: it arrived or is lost.
	settled(link int, s *sent)
}

// pass reads the captures of all links side by side.
type pass struct {
	links []*passLink
	flow  *flow
	in    func(at int64) bool
	size  int // what is as large, bytes, and cannot be read is media; 0: nothing is
	tell  listener
}

// capturePair names a link's captures.
type capturePair struct {
	name             string
	snd, rcv         string // files
	sender, receiver netip.Addr
	ports            []int // of the receiver; none: any
}

// newPass opens captures. Instants count from epoch, ns since 1970.
func newPass(pairs []capturePair, epoch int64, buffer time.Duration, size int, in func(int64) bool, tell listener) (*pass, error) {
	p := &pass{flow: newFlow(buffer, in), in: in, size: size, tell: tell}
	most := capture.MaxHash
	for i, c := range pairs {
		l := &passLink{name: c.name, base: -1, fates: [2]hash.Hash{sha256.New(), sha256.New()}}
		p.links = append(p.links, l)
		l.up, l.down = newChannel(func(s *sent) { p.settle(i, s) }), newChannel(func(s *sent) { p.settle(i, s) })
		for k, file := range []string{c.snd, c.rcv} {
			e, err := openEnd(file, epoch, c.sender, c.receiver, c.ports)
			if err != nil {
				p.close()
				return nil, err
			}
			l.ends[k] = e
			most = min(most, e.hash())
		}
	}
	// The same at all ends, so that what was sent and what arrived have one mark.
	for _, l := range p.links {
		for _, e := range l.ends {
			e.r.Hash = most
		}
	}
	return p, nil
}

func (p *pass) close() {
	for _, l := range p.links {
		for _, e := range l.ends {
			if e != nil {
				e.r.Close()
			}
		}
	}
}

// read reads them to the end.
func (p *pass) read() error {
	var ends []*end
	for k := range 2 { // of one instant, what is sent comes before what arrives
		for _, l := range p.links {
			ends = append(ends, l.ends[k])
		}
	}
	n, turn := len(p.links), 0
	err := walk(ends, func(i int, q *packet) {
		l, atReceiver := i%n, i >= n
		if q.up != atReceiver {
			p.send(l, q)
		} else {
			p.arrive(l, q)
		}
		if turn++; turn&63 == 0 {
			for _, l := range p.links {
				l.up.advance(q.at)
				l.down.advance(q.at)
			}
			p.flow.advance(q.at)
		}
	})
	if err != nil {
		return err
	}
	for _, l := range p.links {
		l.up.finish()
		l.down.finish()
	}
	p.flow.finish()
	return nil
}

// each calls f for the counts that an instant belongs to.
func (p *pass) each(l *passLink, at int64, f func(*linkCounts)) {
	f(&l.all)
	if p.in(at) {
		f(&l.window)
	}
}

// isMedia reports whether a packet is media that can be followed.
func isMedia(q *packet) bool { return q.rist.Kind == rist.Media || q.rist.Kind == rist.Retransmission }

// isSized reports whether a packet cannot be read and is as large as media.
func (p *pass) isSized(q *packet) bool {
	return p.size > 0 && q.rist.MediaBytes >= p.size && (q.rist.Kind == rist.Encrypted || q.rist.Kind == rist.Unknown)
}

func (p *pass) send(i int, q *packet) {
	l := p.links[i]
	if q.up {
		p.tell.packetSent(i, q)
	}
	if !q.flow {
		if q.up {
			l.others++
		}
		return
	}
	s := &sent{mark: q.mark, at: q.at, packet: q}
	if !q.up {
		l.down.send(s)
		p.each(l, q.at, func(c *linkCounts) { c.back++; c.backBytes += int64(q.bytes) })
		return
	}
	sized := p.isSized(q)
	if isMedia(q) {
		s.rec = p.flow.send(q)
	}
	l.up.send(s)
	p.each(l, q.at, func(c *linkCounts) {
		c.sent++
		c.sentBytes += int64(q.bytes)
		switch {
		case q.rist.Kind == rist.Media:
			c.originals++
			c.originalBytes += int64(q.rist.MediaBytes)
		case q.rist.Kind == rist.Retransmission:
			c.again++
		case sized:
			c.originals++
			c.bySize++
			c.originalBytes += int64(q.rist.MediaBytes)
		default:
			c.control++
		}
	})
	if q.rist.Kind == rist.Media || sized {
		p.tell.originalPassed(i, q)
	}
}

func (p *pass) arrive(i int, q *packet) {
	l := p.links[i]
	if q.up {
		p.each(l, q.at, func(c *linkCounts) { c.receivedBytes += int64(q.bytes) })
		p.tell.packetReceived(i, q)
	}
	if !q.flow {
		return
	}
	ch := l.up
	if !q.up {
		ch = l.down
	}
	s := ch.arrive(q.mark)
	if s == nil {
		return
	}
	p.tell.delayed(i, s, q.at)
	if !q.up {
		return
	}
	if l.base < 0 || q.at-s.at < l.base {
		l.base = max(q.at-s.at, 0)
	}
	first := s.rec != nil && p.flow.arrive(s.rec, i, q)
	sized := p.isSized(q)
	p.each(l, q.at, func(c *linkCounts) {
		c.received++
		if s.rec != nil || sized {
			c.receivedData++
		}
		if first {
			c.effective++
			c.effectiveBytes += int64(q.rist.MediaBytes)
		}
	})
	if first {
		p.tell.firstCopy(i, q)
	}
}

func (p *pass) settle(i int, s *sent) {
	l := p.links[i]
	if s.rec != nil {
		p.flow.settle(s)
	}
	l.fate[0] = 0
	if !s.arrived {
		l.fate[0] = 1
		p.each(l, s.at, func(c *linkCounts) {
			if s.packet.up {
				c.lost++
			} else {
				c.backLost++
			}
		})
	}
	dir := trace.Up
	if !s.packet.up {
		dir = trace.Down
	}
	l.fates[dir].Write(l.fate[:]) // never fails
	p.tell.settled(i, s)
}

// losses says what became of each packet of a link.
func (l *passLink) losses() []Losses {
	c := &l.all
	return []Losses{
		{l.name, trace.Up.String(), c.sent, c.lost, hex.EncodeToString(l.fates[trace.Up].Sum(nil))},
		{l.name, trace.Down.String(), c.back, c.backLost, hex.EncodeToString(l.fates[trace.Down].Sum(nil))},
	}
}

// Capture names the two captures of a link, taken at its ends, and says whose
// packets count.
type Capture struct {
	Link             string
	SenderFile       string
	ReceiverFile     string
	SenderAddr       netip.Addr // invalid: not known
	ReceiverAddr     netip.Addr // the same; one of the two is needed
	ReceiverPorts    []int      // of UDP; none: any
	SenderCounts     capture.Counts
	ReceiverCounts   capture.Counts
	Sent             int64 // packets of the bond, upwards
	Received         int64 // of them, copies that the path made left out
	Lost             int64
	Originals        int64 // packets of media that were sent for the first time, on this link or another
	Retransmissions  int64 // sent
	FirstCopies      int64 // sequence numbers that this link delivered first
	FirstCopiesBytes int64 // of media
}

// CaptureTotals are figures of whole captures.
type CaptureTotals struct {
	Sequences       int64 // sent, as original or again
	Unsent          int64 // of them again alone: their originals went over no link
	Originals       int64 // packets that carried them; more where links carry the same
	Retransmissions int64
	Necessary       int64 // of them: the first copy to arrive
	Spurious        int64 // arrived after another copy
	Lost            int64 // did not arrive
	Undelivered     int64 // sequence numbers of which no copy arrived
	MediaBytes      int64 // of the sequence numbers
}

// Count counts all that is in captures, without leaving anything out at the start
// and the end. It fills in the counts of each capture.
func Count(captures []Capture) (*CaptureTotals, error) {
	var pairs []capturePair
	for _, c := range captures {
		pairs = append(pairs, capturePair{c.Link, c.SenderFile, c.ReceiverFile, c.SenderAddr, c.ReceiverAddr, c.ReceiverPorts})
	}
	p, err := newPass(pairs, 0, 0, 0, func(int64) bool { return true }, deaf{})
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.read(); err != nil {
		return nil, err
	}
	for i, l := range p.links {
		c := &captures[i]
		c.SenderCounts, c.ReceiverCounts = l.ends[0].r.Counts(), l.ends[1].r.Counts()
		c.Sent, c.Received, c.Lost = l.all.sent, l.all.received, l.all.lost
		c.Originals, c.Retransmissions = l.all.originals, l.all.again
		c.FirstCopies, c.FirstCopiesBytes = l.all.effective, l.all.effectiveBytes
	}
	f := p.flow.counts
	return &CaptureTotals{f.sequences, f.unsent, f.copies, f.again, f.necessary, f.spurious, f.lost, f.undelivered, f.media}, nil
}

// deaf is a listener that hears nothing.
type deaf struct{}

func (deaf) packetSent(int, *packet)     {}
func (deaf) packetReceived(int, *packet) {}
func (deaf) originalPassed(int, *packet) {}
func (deaf) firstCopy(int, *packet)      {}
func (deaf) delayed(int, *sent, int64)   {}
func (deaf) settled(int, *sent)          {}

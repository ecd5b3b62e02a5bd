package probe

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"linktape/record"
	"linktape/trace"
)

// LinkSpec is a link that is probed.
type LinkSpec struct {
	Name   string
	Device string         // interface that its packets leave by; "" is any
	Source netip.Addr     // address that they leave from; invalid is any
	Server netip.AddrPort // the server, by this link
}

// ParseLink reads NAME=[DEVICE:|SOURCE:]ADDRESS[:PORT], IPv6 addresses with a port
// or after an interface in brackets.
func ParseLink(s string) (l LinkSpec, err error) {
	bad := func(format string, args ...any) (LinkSpec, error) {
		return LinkSpec{}, fmt.Errorf("%q: %s; write NAME=DEVICE:ADDRESS, such as att=wwan0:203.0.113.5", s, fmt.Sprintf(format, args...))
	}
	name, rest, ok := strings.Cut(s, "=")
	if !ok {
		return bad("no address")
	}
	if err := trace.CheckName(name); err != nil {
		return bad("%v", err)
	}
	l.Name = name
	server := func(text string) bool {
		if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
			l.Server = netip.AddrPortFrom(a.Unmap(), Port)
			return true
		}
		if a, err := netip.ParseAddrPort(text); err == nil && a.Port() > 0 {
			l.Server = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
			return true
		}
		return false
	}
	if server(rest) {
		return l, nil
	}
	from, to := "", ""
	if end := strings.Index(rest, "]:"); strings.HasPrefix(rest, "[") && end > 0 {
		from, to = rest[1:end], rest[end+2:]
	} else if from, to, ok = strings.Cut(rest, ":"); !ok {
		return bad("%q is no address", rest)
	}
	if !server(to) {
		return bad("%q is no address", to)
	}
	if a, err := netip.ParseAddr(from); err == nil {
		l.Source = a.Unmap()
		return l, nil
	}
	if from == "" || len(from) > 15 || strings.ContainsAny(from, "/ []") {
		return bad("%q is no interface", from)
	}
	l.Device = from
	return l, nil
}

// dial opens the link's socket.
func (l *LinkSpec) dial() (*net.UDPConn, error) {
	var local *net.UDPAddr
	if l.Source.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Source, 0))
	}
	// Unconnected, so that an ICMP error of the far end does not fail later sends.
	network := "udp4"
	if l.Server.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", l.Name, err)
	}
	if err := prepare(c, l.Device); err != nil {
		c.Close()
		return nil, fmt.Errorf("link %s: bind to %s: %w", l.Name, strconv.Quote(l.Device), err)
	}
	return c, nil
}

// probe is one that was sent.
type probe struct {
	sent    int64
	rx      int64 // by the server's clock, when it arrived
	bytes   int32
	copies  int32
	arrived bool
	late    bool
}

// echo is one that the server sent.
type echo struct {
	number uint64
	sent   int64 // by the server's clock
}

// exchange is the four times of an echo, from which its round trip follows.
type exchange struct {
	up, down int64 // server's time less the client's, and the other way: with the offset
}

// link is a link at work. The sender's, the reader's and the reports' goroutines
// share it.
type link struct {
	LinkSpec
	conn *net.UDPConn

	mu      sync.Mutex
	first   uint64 // number of the oldest probe
	probes  []probe
	latest  uint64 // highest number that arrived, plus 1
	echoes  []echo // in the order the server sent them
	answers map[uint64]int64
	best    exchange // the quickest since it was reset
	any     bool
	load    Load
	base    time.Duration // smallest delay upwards, with the offset
	wait    time.Duration // of the latest arrival
	buckets map[int64]int64
	lastRx  int64
}

const bucketNs = int64(20 * time.Millisecond)

// next notes a probe and returns its number.
func (l *link) next(now int64, bytes int) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probes = append(l.probes, probe{sent: now, bytes: int32(bytes)})
	return l.first + uint64(len(l.probes)) - 1
}

// reported notes what the server received.
func (l *link) reported(r *report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.number < l.first || r.number-l.first >= uint64(len(l.probes)) {
		return // given up already
	}
	p := &l.probes[r.number-l.first]
	if p.arrived {
		p.copies++
		return
	}
	p.arrived, p.rx = true, r.received
	p.late = r.number+1 < l.latest
	l.latest = max(l.latest, r.number+1)
	if r.replied != 0 {
		l.echoes = append(l.echoes, echo{r.number, r.replied})
	}
	d := time.Duration(r.received - p.sent)
	l.wait = d - l.base
	l.buckets[r.received/bucketNs] += int64(p.bytes)
	l.lastRx = max(l.lastRx, r.received)
}

// delivered is the rate of a fifth of a second up to the latest arrival, or up to
// the server's time if nothing has arrived for longer.
func (l *link) delivered(beat int64) trace.BitRate {
	end := max(l.lastRx, beat) / bucketNs
	const n = 10
	var bytes int64
	for k := range l.buckets {
		if k < end-n {
			delete(l.buckets, k)
		} else if k < end {
			bytes += l.buckets[k]
		}
	}
	return trace.BitRate(bytes * 8 * int64(time.Second) / (n * bucketNs))
}

// answered notes an echo that came back.
func (l *link) answered(m *message, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, twice := l.answers[m.number]; twice {
		return
	}
	l.answers[m.number] = at
	x := exchange{m.received - m.sent, at - m.replied}
	if !l.any || x.up+x.down < l.best.up+l.best.down {
		l.best, l.any = x, true
	}
}

// settle passes on what became of probes sent before an instant of the client's
// clock, and of the echoes to probes before. offset is the server's clock less the
// client's.
func (l *link) settle(before, start, offset int64, up, down func(record.Flight)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.probes) && l.probes[n].sent < before {
		p := &l.probes[n]
		if p.sent >= start {
			up(record.Flight{
				Sent: time.Duration(p.sent - start), Delay: time.Duration(p.rx - offset - p.sent), Bytes: int(p.bytes),
				Lost: !p.arrived, Copies: int(p.copies), Late: p.late,
			})
		}
		n++
	}
	l.probes = append(l.probes[:0], l.probes[n:]...)
	l.first += uint64(n)
	n = 0
	for n < len(l.echoes) && l.echoes[n].sent-offset < before {
		e := l.echoes[n]
		sent := e.sent - offset
		at, ok := l.answers[e.number]
		delete(l.answers, e.number)
		if sent >= start {
			down(record.Flight{Sent: time.Duration(sent - start), Delay: time.Duration(at - sent), Bytes: headerBytes + 28, Lost: !ok})
		}
		n++
	}
	l.echoes = append(l.echoes[:0], l.echoes[n:]...)
}

package watch

import (
	"encoding/binary"
	"sync"
	"time"
)

// ICMP messages (RFC 792, RFC 4443).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	echoHeader               = 8
	echoBytes                = echoHeader + 16 // with the cookie and the number
)

// appendEcho appends an echo request: its number also in the payload, after a
// cookie by which the answer is known, as the kernel sets the identifier of
// unprivileged sockets.
func appendEcho(b []byte, six bool, id uint16, cookie, number uint64) []byte {
	start := len(b)
	kind := byte(echoRequest4)
	if six {
		kind = echoRequest6
	}
	be := binary.BigEndian
	b = append(b, kind, 0, 0, 0)
	b = be.AppendUint16(b, id)
	b = be.AppendUint16(b, uint16(number))
	b = be.AppendUint64(b, cookie)
	b = be.AppendUint64(b, number)
	if !six { // of ICMPv6 the kernel fills it in
		be.PutUint16(b[start+2:], checksum(b[start:]))
	}
	return b
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// parseReply returns the number of an answer to a request with the cookie. What a
// raw IPv4 socket receives begins with the IP header.
func parseReply(b []byte, six, header bool, cookie uint64) (number uint64, ok bool) {
	if header {
		if len(b) < 20 || int(b[0]&15)*4 > len(b) {
			return 0, false
		}
		b = b[int(b[0]&15)*4:]
	}
	kind := byte(echoReply4)
	if six {
		kind = echoReply6
	}
	if len(b) < echoBytes || b[0] != kind || binary.BigEndian.Uint64(b[echoHeader:]) != cookie {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[echoHeader+8:]), true
}

// tracker keeps account of pings. Times are ns of one clock.
type tracker struct {
	mu      sync.Mutex
	timeout int64
	first   uint64           // the oldest that is not settled
	next    uint64           // number of the next ping
	open    map[uint64]int64 // when they were sent
	echo    Echo
}

func newTracker(timeout time.Duration) *tracker {
	return &tracker{timeout: int64(timeout), open: map[uint64]int64{}}
}

// sent notes a ping and returns its number.
func (t *tracker) sent(now int64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.next
	t.open[n] = now
	t.next++
	return n
}

// answered notes an answer; a second one, or one that came too late, is none.
func (t *tracker) answered(number uint64, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.open[number]
	if !ok || now-at > t.timeout {
		return
	}
	delete(t.open, number)
	rtt := time.Duration(max(now-at, 1))
	if t.echo.Answered == 0 || rtt < t.echo.Quickest {
		t.echo.Quickest = rtt
	}
	t.echo.Answered++
}

// take returns what happened since it was called last.
func (t *tracker) take(now int64) Echo {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; t.first < t.next; t.first++ {
		at, ok := t.open[t.first]
		if !ok {
			continue
		}
		if now-at <= t.timeout {
			break
		}
		delete(t.open, t.first)
		t.echo.Lost++
	}
	e := t.echo
	t.echo = Echo{}
	return e
}

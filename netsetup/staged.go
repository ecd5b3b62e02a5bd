package netsetup

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"

	"linktape/trace"
)

// linkExchange is what the two directions of a link, which share a socket, tell the
// kernel in one system call.
type linkExchange struct {
	turn  int     // 0 or 1: at which of two steps idle queues are read
	seq   *uint32 // number of the last message that was made
	buf   []byte
	first uint32 // number of the first message in buf
	parts [2]*Endpoint
	n     int  // of parts
	sent  bool // buf is on its way or answered
}

// staged is a step that is prepared.
type staged struct {
	ready       bool
	state       *trace.State
	at          time.Duration
	before      grant  // in force until the step
	budget      budget // before the step was granted
	asleep      bool   // the queue may sleep then
	closed      bool
	first, last uint32 // numbers of its messages
	read        uint32 // of the message whose answer has the counters
	unread      bool   // the counters are not asked for
	answered    bool   // they have come
	shared      bool
	err         error // of the exchange
}

// unreadFor is the longest time between two readings of an idle queue's counters.
const unreadFor = 25 * time.Millisecond

// spare reports whether a step that is about to be prepared can do without the
// counters, which cost it as much again as half of the change itself. Of a queue
// that was idle nothing is owed, so that every other step does, where two of them
// are short and the queue is not left asleep meanwhile: it is found to be
// backlogged a step later, and what that step granted and no whole packet fitted
// into is lost, as that of the step in which the backlog began is in any case. A
// backlogged queue's are read at every step.
func (e *Endpoint) spare(at, hold time.Duration) bool {
	e.steps++
	s := e.shaper
	return (e.steps+e.shared.turn)%2 == 0 && e.lastAt >= 0 && e.last.BacklogBytes == 0 && !s.budget.backlogged &&
		hold > 0 && at+hold-e.lastAt <= unreadFor &&
		s.budget.mtu <= float64(s.leaf.Rate)*hold.Seconds()/8 &&
		!e.single && s.link.Queue.Kind != CoDel // whose limit shrinks while it is empty
}

// Prepare makes the messages of a step, as [Endpoint.Apply] would send them, and
// sends nothing; the step must stay as it is until [Endpoint.Commit], before
// which nothing else is asked of the endpoint. What is prepared for both
// directions of a link goes out in one system call.
func (e *Endpoint) Prepare(at, hold time.Duration, s *trace.State) error {
	if err := e.Supports(s); err != nil {
		return e.failed(s, err)
	}
	x, p := e.shared, &e.staged
	if p.ready {
		return fmt.Errorf("prepare a step of %v: the one before is not sent yet", e.LinkDir)
	}
	if x.sent || x.n == 0 {
		x.buf, x.first, x.n, x.sent = x.buf[:0], *e.seq+1, 0, false
	}
	kept := len(x.buf)
	*p = staged{
		state: s, at: at, before: e.shaper.grant, budget: e.shaper.budget, asleep: e.shaper.asleep(), first: *e.seq + 1,
		unread: e.spare(at, hold),
	}
	b, err := e.appendStep(x.buf, hold)
	if err != nil {
		x.buf = b[:kept]
		e.forget()
		return e.failed(s, err)
	}
	x.buf = b
	x.parts[x.n] = e
	x.n++
	p.ready, p.last, p.shared, p.closed = true, *e.seq, x.n > 1, e.shaper.grant.closed
	return nil
}

// flagsOffset is where a message has nlmsg_flags.
const flagsOffset = 6

// appendStep appends the messages of a step. The counters are read in the same
// breath: what the step that ends here has delivered, and whether it leaves a
// backlog. A change of a qdisc answers with them where it is asked to (NLM_F_ECHO,
// net/sched/sch_api.c: qdisc_notify), which saves a message; that of a class
// does not, nor does what empties the queue after it.
//
// Where the counters are not read nothing is asked for: the kernel works the
// messages through before the call that sends them returns, and answers those that
// it refuses (net/netlink/af_netlink.c: netlink_unicast_kernel, netlink_rcv_skb).
func (e *Endpoint) appendStep(b []byte, hold time.Duration) ([]byte, error) {
	p := &e.staged
	echo, mark := -1, 0 // where the message that echoes and the last one start; −1: none
	one := func(b []byte, r *request, ifindex int32) ([]byte, error) {
		*e.seq++
		mark = len(b)
		flags := uint16(nlmFRequest)
		if r.kind == setTBF && r.handle == handleBottleneck && !p.unread {
			echo, p.read = mark, *e.seq
			flags |= nlmFEcho
		}
		return r.append(b, ifindex, flags, *e.seq)
	}
	var err error
	requests := e.shaper.next(p.state.Capacity(), hold)
	for i := range requests {
		if b, err = one(b, &requests[i], e.ifb); err != nil {
			return b, err
		}
	}
	if e.path != nil {
		requests = e.path.next(p.state)
		for i := range requests {
			if b, err = one(b, &requests[i], e.out); err != nil {
				return b, err
			}
		}
	}
	if e.nested != nil {
		if r, ok := e.nested.next(p.state, e.shaper.limit); ok {
			if b, err = one(b, r, e.out); err != nil {
				return b, err
			}
		}
	}
	told := len(b)
	b = e.carrier.append(b, e.Dir, p.state.Carrier, e.seq)
	p.unread = p.unread && len(b) == told
	ne := binary.NativeEndian
	switch {
	case p.unread:
	case len(b) > told || echo < 0:
		if echo >= 0 {
			ne.PutUint16(b[echo+flagsOffset:], nlmFRequest)
		}
		b = e.appendRead(b)
		p.read = *e.seq
	case p.read != *e.seq:
		// The last message is answered in any case: the kernel has worked
		// through all of them then.
		ne.PutUint16(b[mark+flagsOffset:], nlmFRequest|nlmFAck)
	}
	return b, nil
}

// Commit sends what was prepared for the link, unless its other direction's
// Commit has, and returns what became of this direction's step; see
// [Endpoint.Apply]. Of a refusal it is this direction's own that is returned.
func (e *Endpoint) Commit() (Applied, error) {
	p := &e.staged
	if !p.ready {
		return Applied{}, fmt.Errorf("apply a step to %v: none is prepared", e.LinkDir)
	}
	x := e.shared
	if !x.sent {
		x.sent = true
		p.shared = false
		if err := x.run(e.wire, e.rbuf); err != nil {
			for _, part := range x.parts[:x.n] {
				if part.staged.err == nil {
					part.staged.err = err
				}
			}
		}
	}
	p.ready = false
	if p.err != nil {
		e.forget()
		return Applied{}, e.failed(p.state, p.err)
	}
	held := uint32(0)
	if !p.unread {
		now := e.count()
		held = e.held(now, p.before)
		if e.lastAt >= 0 {
			e.shaper.budget.account(p.before, p.at-e.lastAt, int64(now.Bytes-e.last.Bytes), held)
		}
		e.last, e.lastAt = now, p.at
	}
	a := Applied{Counters: e.last, Carried: p.unread, Messages: int(p.last - p.first + 1), Closed: p.closed, Shared: p.shared, Told: e.told()}
	if held > 0 && p.asleep && !a.Closed {
		var err error
		if a.Kicked, err = e.kick(); err != nil {
			return a, e.failed(p.state, err)
		}
	}
	return a, nil
}

// Cancel gives up what was prepared for the link and not sent.
func (e *Endpoint) Cancel() {
	x := e.shared
	if x.sent {
		return
	}
	for _, part := range x.parts[:x.n] {
		part.staged.ready = false
		part.shaper.grant, part.shaper.budget = part.staged.before, part.staged.budget
		part.forget()
	}
	x.n = 0
}

// run sends the messages of all parts and reads the answers, each to its part by
// its number: until the last message is answered or, where it is not asked to be,
// as many as there are.
func (x *linkExchange) run(w transport, rbuf []byte) error {
	if err := w.Send(x.buf); err != nil {
		return err
	}
	end := &x.parts[x.n-1].staged
	last := end.last
	for done := false; !done; {
		var n int
		var err error
		if end.unread {
			n, err = w.Poll(rbuf)
		} else {
			n, err = w.Receive(rbuf)
		}
		if err != nil {
			return fmt.Errorf("await acknowledgement: %w", err)
		}
		if n == 0 {
			break
		}
		m := Messages{Buf: rbuf[:n]}
		for m.Next() {
			part := x.part(m.Seq)
			if part == nil {
				continue // the late answer to an exchange that was given up
			}
			p := &part.staged
			switch {
			case m.Type == nlmsgError:
				done = done || m.Seq == last
				if errno, text := m.Errno(); errno != 0 && p.err == nil {
					p.err = &KernelError{syscall.Errno(errno), text}
				}
			case m.Type == rtmNewQdisc && m.Seq == p.read && !p.unread:
				done, p.answered = done || m.Seq == last, true
				if err := part.info.decodeCounters(m.Payload); err != nil {
					return err
				}
			}
		}
		if err := m.Err(); err != nil {
			return err
		}
	}
	for _, part := range x.parts[:x.n] {
		if p := &part.staged; !p.unread && !p.answered && p.err == nil {
			return fmt.Errorf("await counters: %w", os.ErrDeadlineExceeded)
		}
	}
	return nil
}

// part is the one that a message is of.
func (x *linkExchange) part(seq uint32) *Endpoint {
	for _, part := range x.parts[:x.n] {
		if p := &part.staged; seq-p.first <= p.last-p.first {
			return part
		}
	}
	return nil
}

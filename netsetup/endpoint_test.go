package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/trace"
)

// fakeWire answers as the kernel does: silence to a message that it takes, an
// error with a text to one that it refuses, a qdisc with its counters to
// RTM_GETQDISC. It keeps what it was sent.
type fakeWire struct {
	record  bool
	sent    [][]byte // messages, when record
	batches int
	out     []byte // answers, one after the other
	ends    []int  // of the datagrams in out
	read    int

	info    QdiscInfo
	refuse  uint16 // type of the messages to refuse
	kind    string // of the qdisc to refuse, with refuse; "": any
	ifindex uint32 // of its device; 0: any
	errno   syscall.Errno
	text    string
	silent  bool
	stale   uint32 // sequence number of a late refusal to answer first; 0: none
	kicks   int
	outcome kickOutcome
	kickErr error
}

func (w *fakeWire) Send(b []byte) error {
	w.batches++
	w.out, w.ends, w.read = w.out[:0], w.ends[:0], 0
	if w.stale != 0 {
		w.answerError(w.stale, syscall.EBUSY, "too late")
		w.answerQdisc(w.stale)
	}
	m := Messages{Buf: b}
	for m.Next() {
		if w.record {
			head := make([]byte, nlmsgHeaderLen)
			binary.NativeEndian.PutUint32(head, uint32(nlmsgHeaderLen+len(m.Payload)))
			binary.NativeEndian.PutUint16(head[4:], m.Type)
			binary.NativeEndian.PutUint16(head[6:], m.Flags)
			binary.NativeEndian.PutUint32(head[8:], m.Seq)
			w.sent = append(w.sent, append(head, m.Payload...))
		}
		switch {
		case w.silent:
		case m.Type == w.refuse && (w.ifindex == 0 || w.ifindex == binary.NativeEndian.Uint32(m.Payload[4:])) && (w.kind == "" || strings.Contains(string(m.Payload), w.kind)):
			w.answerError(m.Seq, w.errno, w.text)
		case m.Type == rtmGetQdisc, m.Type == rtmNewQdisc && m.Flags&nlmFEcho != 0:
			w.answerQdisc(m.Seq)
		case m.Flags&nlmFAck != 0:
			w.answerError(m.Seq, 0, "")
		}
	}
	return m.Err()
}

func (w *fakeWire) Receive(b []byte) (int, error) {
	if w.read == len(w.ends) {
		return 0, os.ErrDeadlineExceeded
	}
	start := 0
	if w.read > 0 {
		start = w.ends[w.read-1]
	}
	n := copy(b, w.out[start:w.ends[w.read]])
	w.read++
	return n, nil
}

func (w *fakeWire) Poll(b []byte) (int, error) {
	if w.read == len(w.ends) {
		return 0, nil
	}
	return w.Receive(b)
}

func (w *fakeWire) Kick(int32) (kickOutcome, error) {
	w.kicks++
	return w.outcome, w.kickErr
}

func (w *fakeWire) answerError(seq uint32, errno syscall.Errno, text string) {
	ne := binary.NativeEndian
	b, start := appendHeader(w.out, nlmsgError, nlmFCapped|nlmFAckTLVs, seq)
	b = ne.AppendUint32(b, uint32(-int32(errno)))
	b = append(b, make([]byte, nlmsgHeaderLen)...)
	b = appendAttrHeader(b, nlmsgerrAttrMsg, len(text)+1)
	b = append(append(b, text...), 0)
	b = appendPad(b, len(text)+1)
	w.out = FinishMessage(b, start)
	w.ends = append(w.ends, len(w.out))
}

func (w *fakeWire) answerQdisc(seq uint32) {
	ne := binary.NativeEndian
	b, start := AppendTC(w.out, Message{Type: rtmNewQdisc, Seq: seq}, TC{Ifindex: 1, Handle: handleBottleneck})
	b = appendKind(b, "tbf")
	b, nest := beginNest(b, tcaStats2)
	b = appendAttrHeader(b, tcaStatsBasic, 16)
	b = ne.AppendUint64(b, w.info.Bytes)
	b = ne.AppendUint64(b, w.info.Packets)
	b = appendAttrHeader(b, tcaStatsQueue, statsQueueLen)
	for _, v := range []uint32{w.info.Qlen, w.info.BacklogBytes, w.info.Drops, 0, 0} {
		b = ne.AppendUint32(b, v)
	}
	b, _ = endNest(b, nest)
	w.out = FinishMessage(b, start)
	w.ends = append(w.ends, len(w.out))
}

// types lists what was sent since the last call.
func (w *fakeWire) types(t testing.TB) (out []string) {
	t.Helper()
	for _, b := range w.sent {
		m := Messages{Buf: b}
		if !m.Next() {
			t.Fatal(m.Err())
		}
		switch m.Type {
		case rtmNewLink:
			up := binary.NativeEndian.Uint32(m.Payload[8:])&1 != 0
			out = append(out, fmt.Sprintf("link %d up %v", binary.NativeEndian.Uint32(m.Payload[4:]), up))
		case rtmNewNeigh:
			out = append(out, fmt.Sprintf("neighbour on %d", binary.NativeEndian.Uint32(m.Payload[4:])))
		case rtmGetQdisc:
			out = append(out, "read")
		default:
			info := decodeRequest(t, b)
			class := ""
			if m.Type == rtmNewTClass {
				class = " class"
			}
			asks := ""
			switch {
			case m.Flags&nlmFEcho != 0:
				asks = ", read"
			case m.Flags&nlmFAck != 0:
				asks = ", ack"
			}
			out = append(out, fmt.Sprintf("%s%s %x on %d%s", info.Kind, class, info.Handle>>16, info.Ifindex, asks))
		}
	}
	w.sent = nil
	return out
}

// fakeLink opens both directions of a link on a fake wire: 1 and 2 are its
// IFBs, 3 and 4 the devices of its paths, 5 the one that loses its carrier.
func fakeLink(kind ShaperKind, netem bool) (w *fakeWire, up, down *Endpoint) {
	l := DefaultLink("a")
	l.UseShaper(kind)
	return fakeLinkOf(l, netem)
}

// fakeLinkOf is fakeLink with another link.
func fakeLinkOf(l Link, netem bool) (w *fakeWire, up, down *Endpoint) {
	w = &fakeWire{record: true}
	c := &carrier{ifindex: 5, ifbs: []int32{1, 2}}
	for _, a := range []string{"10.77.0.1", "fd77:6c74::1"} {
		c.neighbours = append(c.neighbours, neighbour{netip.MustParseAddr(a), [6]byte{2}})
	}
	x, f := &linkExchange{seq: new(uint32)}, Features{Netem: netem, NetemDuplicate: netem}
	up = newEndpoint(trace.LinkDir{Link: "a", Dir: trace.Up}, l, w, 1, 3, c, x, new(kickLog), f)
	down = newEndpoint(trace.LinkDir{Link: "a", Dir: trace.Down}, l, w, 2, 4, c, x, new(kickLog), f)
	return w, up, down
}

func apply(t testing.TB, e *Endpoint, at time.Duration, s *trace.State) Applied {
	t.Helper()
	a, err := e.Apply(at, 100*time.Millisecond, s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantTypes(t *testing.T, w *fakeWire, want ...string) {
	t.Helper()
	if got := w.types(t); !slices.Equal(got, want) {
		t.Errorf("sent\n got %q\nwant %q", got, want)
	}
}

// The first Apply tells everything, since a replay before may have left
// anything; later ones what changed. All goes out in one call.
func TestEndpointTells(t *testing.T) {
	w, up, down := fakeLink(ShaperTBF, true)
	initial := stateOf(DefaultLink("a"))
	if a := apply(t, up, 0, &initial); a.Messages != 9 || w.batches != 1 || a.Closed || a.Kicked {
		t.Errorf("%+v in %d calls", a, w.batches)
	}
	wantTypes(t, w, "tbf 1 on 1", "netem 10 on 3", "netem 11 on 3", "link 1 up true", "link 2 up true", "link 5 up true", "neighbour on 5", "neighbour on 5", "read")
	apply(t, down, 0, &initial)
	wantTypes(t, w, "tbf 1 on 2, read", "netem 10 on 4", "netem 11 on 4, ack")
	s := initial
	s.Delay = time.Millisecond
	apply(t, up, 1, &s)
	wantTypes(t, w, "tbf 1 on 1, read", "netem 11 on 3, ack")
	s.Loss = 0.5
	apply(t, up, 2, &s)
	wantTypes(t, w, "tbf 1 on 1, read", "netem 10 on 3, ack")
	up.Seed(1)
	apply(t, up, 3, &s)
	wantTypes(t, w, "tbf 1 on 1, read", "netem 10 on 3", "netem 11 on 3, ack")
	w.batches = 0
	if _, err := up.Counters(); err != nil || w.batches != 1 {
		t.Error(err, w.batches)
	}
	wantTypes(t, w, "read")

	w, up, _ = fakeLink(ShaperHTB, false)
	apply(t, up, 0, &initial)
	wantTypes(t, w, "htb class 1 on 1", "tbf 2 on 1", "link 1 up true", "link 2 up true", "link 5 up true", "neighbour on 5", "neighbour on 5", "read")
	apply(t, up, 1, &initial)
	wantTypes(t, w, "read")
	stalled := initial
	stalled.Rate = 0
	if a := apply(t, up, 2, &stalled); !a.Closed {
		t.Errorf("%+v", a)
	}
	wantTypes(t, w, "tbf 2 on 1", "htb class 1 on 1", "read")
}

// The device goes down when the first direction says so and comes back with
// its neighbours when neither does any more.
func TestEndpointCarrier(t *testing.T) {
	w, up, down := fakeLink(ShaperTBF, false)
	on, off := stateOf(DefaultLink("a")), stateOf(DefaultLink("a"))
	off.Carrier = false
	apply(t, up, 0, &on)
	apply(t, down, 0, &on)
	w.types(t)
	apply(t, up, 1, &off)
	wantTypes(t, w, "tbf 1 on 1", "link 1 up false", "link 2 up false", "link 5 up false", "read")
	apply(t, down, 1, &off)
	wantTypes(t, w, "tbf 1 on 2, read")
	apply(t, up, 2, &on)
	wantTypes(t, w, "tbf 1 on 1, read")
	apply(t, down, 2, &on)
	wantTypes(t, w, "tbf 1 on 2", "link 1 up true", "link 2 up true", "link 5 up true", "neighbour on 5", "neighbour on 5", "read")
}

// A refusal comes back with the kernel's words, and the next Apply tells
// everything anew, the carrier too.
func TestEndpointRefused(t *testing.T) {
	w, up, _ := fakeLink(ShaperTBF, true)
	s := stateOf(DefaultLink("a"))
	apply(t, up, 0, &s)
	w.types(t)
	everything := []string{"tbf 1 on 1", "netem 10 on 3", "netem 11 on 3", "link 1 up true", "link 2 up true", "link 5 up true", "neighbour on 5", "neighbour on 5", "read"}
	for _, c := range []struct {
		refuse uint16
		kind   string
	}{{rtmNewQdisc, "tbf"}, {rtmNewQdisc, "netem"}, {rtmNewLink, ""}, {rtmGetQdisc, ""}} {
		w.refuse, w.kind, w.errno, w.text = c.refuse, c.kind, syscall.EINVAL, "not today"
		s.Delay += time.Millisecond
		s.Carrier = !s.Carrier
		_, err := up.Apply(1, time.Second, &s)
		var k *KernelError
		if !errors.As(err, &k) || k.Errno != syscall.EINVAL || k.Text != "not today" || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%d: %v", c.refuse, err)
		} else if !strings.HasPrefix(err.Error(), "set a.up to rate ") || !strings.HasSuffix(err.Error(), "invalid argument: not today") {
			t.Errorf("%d: says %q", c.refuse, err)
		}
		w.refuse = 0
		w.types(t)
		s.Carrier = true
		apply(t, up, 2, &s)
		wantTypes(t, w, everything...)
		apply(t, up, 3, &s)
		wantTypes(t, w, "tbf 1 on 1, read")
	}
	// Silence.
	w.silent = true
	if _, err := up.Apply(4, time.Second, &s); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := up.Counters(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	w.silent = false
	w.types(t)
	apply(t, up, 5, &s)
	wantTypes(t, w, everything...)
	// What cannot be encoded is not taken as told.
	bad := s
	bad.Jitter = time.Hour
	if _, err := up.Apply(6, time.Second, &bad); err == nil || !strings.Contains(err.Error(), "jitter") {
		t.Error(err)
	}
	wantTypes(t, w)
	apply(t, up, 7, &s)
	wantTypes(t, w, everything...)
}

func TestEndpointWithoutPath(t *testing.T) {
	w, up, _ := fakeLink(ShaperTBF, false)
	s := stateOf(DefaultLink("a"))
	s.Delay = time.Millisecond
	if _, err := up.Apply(0, 0, &s); !errors.Is(err, ErrNotSupported) || w.batches != 0 {
		t.Error(err)
	}
	up.Seed(1) // nothing to seed
}

// What a link supports is what Apply takes.
func TestEndpointSupports(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       Features
		path    PathKind
		edit    func(s *trace.State)
		missing string // "": supported
	}{
		{"rate without netem", Features{}, PathAuto, func(*trace.State) {}, ""},
		{"delay without netem", Features{}, PathAuto, func(s *trace.State) { s.Delay = 1 }, "netem, which the link was built without"},
		{"delay without a path", Features{Netem: true}, PathNone, func(s *trace.State) { s.Delay = 1 }, "netem, which the link was built without"},
		{"delay and loss", Features{Netem: true}, PathAuto, func(s *trace.State) { s.Delay, s.Loss, s.Reorder = 1, 0.5, 0.5 }, ""},
		{"duplicates refused", Features{Netem: true}, PathAuto, func(s *trace.State) { s.Duplicate = 0.5 }, featureDuplicate},
		{"duplicates", Features{Netem: true, NetemDuplicate: true}, PathAuto, func(s *trace.State) { s.Duplicate = 0.5 }, ""},
	} {
		w := new(fakeWire)
		l := DefaultLink("a")
		l.Path = c.path
		e := newEndpoint(trace.LinkDir{Link: "a"}, l, w, 1, 3, &carrier{ifindex: 5}, &linkExchange{seq: new(uint32)}, new(kickLog), c.f)
		s := trace.State{Rate: trace.Mbit, Carrier: true}
		c.edit(&s)
		said := e.Supports(&s)
		if _, err := e.Apply(0, 0, &s); (err == nil) != (said == nil) || (err == nil) != (w.batches > 0) {
			t.Errorf("%s: Supports said %v, and Apply %v after %d batches", c.name, said, err, w.batches)
		}
		if (said == nil) != (c.missing == "") || said != nil && (!errors.Is(said, ErrNotSupported) || !strings.Contains(said.Error(), c.missing)) {
			t.Errorf("%s: got %v, want %q", c.name, said, c.missing)
		}
	}
}

// The answers to an exchange that was given up are passed over.
func TestEndpointLateAnswers(t *testing.T) {
	w, up, down := fakeLink(ShaperTBF, true)
	s := stateOf(DefaultLink("a"))
	for _, start := range []uint32{0, 1000, ^uint32(0) - 2} { // the numbers wrap
		*up.seq = start
		for i := range 5 {
			w.stale = *up.seq
			w.info.Bytes += 100
			a := apply(t, []*Endpoint{up, down}[i%2], 0, &s)
			if a.Bytes != w.info.Bytes {
				t.Errorf("from %d: %d bytes, want %d", start, a.Bytes, w.info.Bytes)
			}
			w.stale = 0
		}
	}
}

// Kicks are taken out of the counters when they have left the queue, and from
// the backlog before that.
func TestEndpointKicks(t *testing.T) {
	w, up, _ := fakeLink(ShaperTBF, false)
	open, closed := stateOf(DefaultLink("a")), stateOf(DefaultLink("a"))
	open.Rate, closed.Rate = trace.Mbit, 0
	check := func(what string, got Counters, want Counters) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
		}
	}
	w.info = QdiscInfo{Bytes: 1000, Packets: 10, BacklogBytes: 5000}
	a := apply(t, up, 0, &closed)
	check("closed", a.Counters, Counters{Bytes: 1000, Packets: 10, BacklogBytes: 5000})
	if a.Kicked || w.kicks != 0 {
		t.Error("a closed queue was kicked")
	}
	a = apply(t, up, 1, &open) // queued behind 6000 bytes
	if !a.Kicked || w.kicks != 1 {
		t.Fatal("a queue that opens was not kicked")
	}
	w.info = QdiscInfo{Bytes: 5000, Packets: 14, BacklogBytes: 1001}
	a = apply(t, up, 2, &open) // still in front of 1000 bytes; another kick behind it
	check("in the queue", a.Counters, Counters{Bytes: 5000, Packets: 14, BacklogBytes: 1000})
	if w.kicks != 2 {
		t.Errorf("%d kicks, want 2: a slow bucket may sleep", w.kicks)
	}
	w.info = QdiscInfo{Bytes: 6001, Packets: 16, BacklogBytes: 1}
	c, err := up.Counters()
	if err != nil {
		t.Fatal(err)
	}
	check("one has left", c, Counters{Bytes: 6000, Packets: 15})
	w.info = QdiscInfo{Bytes: 6002, Packets: 17}
	if c, err = up.Counters(); err != nil {
		t.Fatal(err)
	}
	check("both have left", c, Counters{Bytes: 6000, Packets: 15})

	// A full queue drops the kick and looks all the same.
	w.outcome = kickDropped
	w.info = QdiscInfo{Bytes: 6002, Packets: 17, BacklogBytes: 100, Drops: 5}
	if a = apply(t, up, 3, &open); !a.Kicked {
		t.Error("not kicked")
	}
	w.info.Drops++
	if c, err = up.Counters(); err != nil {
		t.Fatal(err)
	}
	check("dropped", c, Counters{Bytes: 6000, Packets: 15, BacklogBytes: 100, Drops: 5})
	w.outcome = kickRefused
	if a = apply(t, up, 4, &open); a.Kicked {
		t.Error("a refused kick counts")
	}
	w.kickErr = syscall.ENETDOWN
	if _, err = up.Apply(5, 0, &open); !errors.Is(err, syscall.ENETDOWN) || !strings.Contains(err.Error(), "wake the queue") {
		t.Error(err)
	}
	w.kickErr, w.kicks = nil, 0
	// A fast bucket's timer wakes the queue soon enough.
	open.Rate = 100 * trace.Mbit
	apply(t, up, 6, &open)
	w.kicks = 0
	if apply(t, up, 7, &open); w.kicks != 0 {
		t.Error("a fast bucket was kicked")
	}
	// More kicks than places to remember them.
	w.outcome, open.Rate, w.info.BacklogBytes = kickQueued, trace.Mbit, 1e6
	for i := range 2 * maxKicks {
		apply(t, up, time.Duration(i), &open)
	}
	if len(up.queued) != maxKicks {
		t.Errorf("%d kicks remembered, want %d", len(up.queued), maxKicks)
	}
}

// Apply does not allocate.
func TestEndpointAllocs(t *testing.T) {
	timed := DefaultLink("a") // with a limit that changes at every step
	timed.Queue = trace.Queue{Kind: CoDel, LimitTime: time.Second}
	links := []Link{DefaultLink("a"), DefaultLink("a"), DefaultLink("a"), timed}
	for i, kind := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperCAKE, ShaperHTB} {
		links[i].UseShaper(kind)
	}
	for _, l := range links {
		for _, hasPath := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s path %v", l.Shaper, l.Queue.Kind, hasPath), func(t *testing.T) {
				w, up, down := fakeLinkOf(l, hasPath)
				w.record = false
				w.info.BacklogBytes = 1 // kicks
				s := stateOf(DefaultLink("a"))
				at, n := time.Duration(0), 0
				step := func() {
					n++
					w.info.Bytes += 1000
					at += 100 * time.Millisecond
					// Stalls, buckets with nothing but their first packets, buckets, classes.
					s.Rate = []trace.BitRate{0, 121 * trace.Kbit, trace.Mbit, 5 * trace.Mbit, 50 * trace.Mbit}[n%5]
					s.Carrier = n%6 != 0
					if hasPath {
						s.Delay = time.Duration(n) * time.Millisecond
						s.Loss = trace.Prob(n%10) / 20
						s.GE = trace.GE{}
						if n%3 == 0 {
							s.GE = trace.GE{P: 0.1, R: trace.Prob(n%10+1) / 20, LossBad: 1}
						}
					}
					for _, e := range []*Endpoint{up, down} {
						if _, err := e.Apply(at, 100*time.Millisecond, &s); err != nil {
							t.Fatal(err)
						}
					}
				}
				for range 10 {
					step()
				}
				if got := testing.AllocsPerRun(1000, step); got != 0 {
					t.Errorf("%v allocations for two steps", got)
				}
				if w.kicks == 0 {
					t.Error("nothing was kicked")
				}
			})
		}
	}
}

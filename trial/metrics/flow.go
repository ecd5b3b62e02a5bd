package metrics

import (
	"time"

	"linktape/internal/rist"
)

// least is how long, ns, a sequence number is kept after it was sent last: a
// retransmission of it may be asked for as long as the recovery buffer lasts.
const least = 10e9

// recordKey names a packet of media.
type recordKey struct {
	ssrc uint32
	seq  uint64
}

// record is what became of one sequence number.
type record struct {
	key      recordKey
	first    int64 // sent
	last     int64 // sent last, as original or again
	copies   int64 // sent as original, over any links
	again    int64 // retransmissions sent
	open     int   // of both, not settled
	arrived  bool
	by       int       // the link that delivered the first copy
	kind     rist.Kind // of the first copy
	at       int64     // when it arrived
	spurious int64     // retransmissions that arrived after another copy
	lost     int64     // retransmissions that did not arrive
	media    int64     // bytes
	skipped  int64     // when a later one was sent as original and this one had not been; −1: never
}

// flowCounts are figures of sequence numbers.
type flowCounts struct {
	sequences   int64 // sent, as original or again
	unsent      int64 // of them again alone: their originals went over no link
	copies      int64 // packets that carried them as original
	again       int64 // retransmissions
	necessary   int64
	spurious    int64
	lost        int64 // retransmissions
	undelivered int64 // sequences of which no copy arrived
	media       int64 // bytes of the sequences
}

// flow follows sequence numbers.
type flow struct {
	keep    int64
	unwrap  map[uint32]*rist.Unwrapper
	records map[recordKey]*record
	queue   []*record
	head    int

	in     func(at int64) bool
	counts flowCounts     // of sequences first sent in the window
	all    *flowCounts    // of all; may be nil
	repair sample         // in the window
	unsent func(at int64) // told when an original was due that went over no link; may be nil

	top     map[uint32]uint64   // the highest original of each flow
	skipped map[recordKey]int64 // due as original and not seen, by when they were due
	due     []recordKey         // the same, in order
	media   map[uint32]int64
}

func newFlow(buffer time.Duration, in func(int64) bool) *flow {
	return &flow{
		keep: max(int64(least), 3*int64(buffer)), in: in,
		unwrap: make(map[uint32]*rist.Unwrapper), records: make(map[recordKey]*record), media: make(map[uint32]int64),
		top: make(map[uint32]uint64), skipped: make(map[recordKey]int64),
	}
}

// send notes that a packet of media was sent.
func (f *flow) send(p *packet) *record {
	u := f.unwrap[p.rist.SSRC]
	if u == nil {
		u = new(rist.Unwrapper)
		f.unwrap[p.rist.SSRC] = u
	}
	key := recordKey{p.rist.SSRC, u.Extend(p.rist.Seq)}
	r := f.records[key]
	if r == nil {
		r = &record{key: key, first: p.at, media: int64(p.rist.MediaBytes), skipped: -1}
		if at, ok := f.skipped[key]; ok && p.rist.Kind == rist.Retransmission {
			r.skipped = at
		}
		f.records[key] = r
		f.queue = append(f.queue, r)
	}
	r.last = p.at
	r.open++
	if p.rist.Kind == rist.Media {
		r.copies++
		f.skip(key, p.at)
	} else {
		r.again++
	}
	f.media[key.ssrc]++
	return r
}

// mostSkipped is more originals in a row than are ever missing.
const mostSkipped = 1 << 12

// skip notes which originals were due before one that was sent.
func (f *flow) skip(key recordKey, at int64) {
	top, ok := f.top[key.ssrc]
	if ok && key.seq <= top {
		return
	}
	f.top[key.ssrc] = key.seq
	if !ok || key.seq-top > mostSkipped {
		return
	}
	for n := top + 1; n < key.seq; n++ {
		k := recordKey{key.ssrc, n}
		f.skipped[k] = at
		f.due = append(f.due, k)
	}
}

// arrive notes that one has arrived, and reports whether it is the first copy.
func (f *flow) arrive(r *record, by int, p *packet) bool {
	if !r.arrived {
		r.arrived, r.by, r.kind, r.at = true, by, p.rist.Kind, p.at
		return true
	}
	if p.rist.Kind == rist.Retransmission {
		r.spurious++
	}
	return false
}

// settle notes what became of one that was sent.
func (f *flow) settle(s *sent) {
	s.rec.open--
	if !s.arrived && s.packet.rist.Kind == rist.Retransmission {
		s.rec.lost++
	}
}

// advance counts what will not change any more.
func (f *flow) advance(now int64) {
	for f.head < len(f.queue) {
		r := f.queue[f.head]
		if r.open > 0 || now-r.last <= f.keep {
			break
		}
		f.pop()
	}
	n := 0
	for n < len(f.due) && now-f.skipped[f.due[n]] > f.keep {
		delete(f.skipped, f.due[n])
		n++
	}
	if n > 0 {
		f.due = append(f.due[:0], f.due[n:]...)
	}
	if f.head > 1024 && f.head > len(f.queue)/2 {
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
}

func (f *flow) pop() {
	r := f.queue[f.head]
	f.queue[f.head] = nil
	f.head++
	delete(f.records, r.key)
	if f.all != nil {
		f.all.add(r)
	}
	if f.unsent != nil && r.copies == 0 && r.skipped >= 0 {
		f.unsent(r.skipped)
	}
	if !f.in(r.first) {
		return
	}
	f.counts.add(r)
	if r.arrived && r.kind == rist.Retransmission {
		f.repair.add(time.Duration(r.at - r.first))
	}
}

// add counts what became of a sequence number.
func (c *flowCounts) add(r *record) {
	c.sequences++
	c.media += r.media
	if r.copies == 0 {
		c.unsent++
	}
	c.copies += r.copies
	c.again += r.again
	c.spurious += r.spurious
	c.lost += r.lost
	if !r.arrived {
		c.undelivered++
	} else if r.kind == rist.Retransmission {
		c.necessary++
	}
}

func (f *flow) finish() {
	for f.head < len(f.queue) {
		f.pop()
	}
}

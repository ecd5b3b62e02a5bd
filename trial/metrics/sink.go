package metrics

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"linktape/internal/table"
	"linktape/trial/media"
)

// rowsOf reads a table a row at a time.
func rowsOf[T any](file string) iter.Seq2[*T, error] { return table.Rows[T](file) }

// slack is what a datagram may take beyond the recovery buffer and the longest
// path before it is not in time any more.
const slack = 500 * time.Millisecond

// remembered is how long a datagram is told from a copy of it, ns.
const remembered = int64(120e9)

// datagram is one that the source has sent.
type datagram struct {
	seq, sent int64
	arrived   bool
	late      bool
}

// output is what source and sink say.
type output struct {
	source, sink bool // there

	sent      int64 // by the source, in the window
	delivered int64 // of them, for the first time and in time
	late      int64 // after the deadline
	lost      int64 // never
	copies    int64 // arrived again, in the window
	strays    int64 // that nobody sent

	allSent, allArrived int64 // in the whole trial
	allLost             int64
	firstSent, lastSent int64 // instants; by the source
	early               int64 // sent before the window and never delivered
	start               int64 // when the first delivered datagram was sent; −1: none was

	latency, jitter sample
	gap             int64 // the longest in the window
	arrivals        int64 // first copies that arrived in the window
}

// readOutput follows source and sink side by side.
func (a *analysis) readOutput() (err error) {
	o := &a.output
	o.start = -1
	sourceName, sinkName := filepath.Join(a.dir, sourceFile), filepath.Join(a.dir, sinkFile)
	next, stop := iter.Pull2(rowsOf[media.SourceRow](sourceName))
	defer stop()
	var queue []datagram
	head, highest := 0, int64(-1)
	var ahead media.SourceRow // the next row of the source
	more := false
	pull := func() error {
		row, err, ok := next()
		if more = ok && err == nil; !more {
			return err
		}
		ahead = *row
		return nil
	}
	switch err := pull(); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		o.source = true
	}
	retire := func(now int64, all bool) {
		for head < len(queue) && (all || now-queue[head].sent > remembered) {
			a.settleDatagram(&queue[head])
			head++
		}
		if head > 4096 && head > len(queue)/2 {
			n := copy(queue, queue[head:])
			queue, head = queue[:n], 0
		}
	}
	// take moves on to what had been sent by an instant.
	take := func(now int64) error {
		for more && ahead.Sent <= now {
			if ahead.Seq <= highest {
				return fmt.Errorf("read %s: datagram %d after %d: the numbers must grow; run the trial again", sourceName, ahead.Seq, highest)
			}
			if o.allSent == 0 {
				o.firstSent = ahead.Sent
			}
			highest, o.lastSent = ahead.Seq, ahead.Sent
			o.allSent++
			queue = append(queue, datagram{seq: ahead.Seq, sent: ahead.Sent})
			a.addTo(a.sourceBits, ahead.Sent, float64(8*a.info.Datagram))
			if a.in(ahead.Sent) {
				o.sent++
			}
			if err := pull(); err != nil {
				return err
			}
		}
		return nil
	}
	last := int64(-1) // instant of the last first copy
	var before time.Duration
	jitter := false
	ev := 0 // the events up to here have begun
	var open []*event
	for row, err := range rowsOf[media.SinkRow](sinkName) {
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		o.sink = true
		at := row.Arrived
		if err := take(at); err != nil {
			return err
		}
		retire(at, false)
		d := find(queue[head:], row.Seq)
		switch {
		case d == nil && o.source && head < len(queue) && row.Seq < queue[head].seq, d != nil && d.arrived:
			if a.in(at) {
				o.copies++
			}
			continue
		case d == nil && o.source:
			o.strays++
			continue
		}
		latency := time.Duration(at - row.Sent)
		if d != nil {
			d.arrived, d.late = true, latency > a.deadline
		}
		o.allArrived++
		if o.start < 0 {
			o.start = row.Sent
		} else {
			o.start = min(o.start, row.Sent)
		}
		if a.in(row.Sent) {
			o.latency.add(latency)
			if jitter {
				o.jitter.add((latency - before).Abs())
			}
			before, jitter = latency, true
		}
		a.addTo(a.outputBits, at, float64(8*a.info.Datagram))
		if a.in(at) {
			o.arrivals++
		}
		if last >= 0 {
			a.noteGap(last, at)
		}
		last = at
		for ev < len(a.events) && a.events[ev].failure-window <= at {
			open = append(open, a.events[ev])
			ev++
		}
		keep := open[:0]
		for _, e := range open {
			if at <= e.watched+window {
				e.arrivals = append(e.arrivals, at)
				keep = append(keep, e)
			}
		}
		clear(open[len(keep):])
		open = keep
	}
	if err := take(int64(1) << 62); err != nil {
		return err
	}
	retire(0, true)
	if last >= 0 && last < a.to {
		a.noteGap(last, a.to)
	}
	return nil
}

// find finds a datagram by its number, which grows.
func find(queue []datagram, seq int64) *datagram {
	lo, hi := 0, len(queue)
	if hi > 0 && seq >= queue[0].seq { // as a rule there are no gaps
		if i := seq - queue[0].seq; i < int64(hi) && queue[i].seq == seq {
			return &queue[i]
		}
	}
	for lo < hi {
		if m := (lo + hi) / 2; queue[m].seq < seq {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(queue) && queue[lo].seq == seq {
		return &queue[lo]
	}
	return nil
}

func (a *analysis) settleDatagram(d *datagram) {
	o := &a.output
	if !d.arrived {
		o.allLost++
		if d.sent < a.from {
			o.early++
		}
	}
	switch {
	case !a.in(d.sent):
	case !d.arrived:
		o.lost++
	case d.late:
		o.late++
	default:
		o.delivered++
	}
}

// noteGap notes a time without a datagram.
func (a *analysis) noteGap(from, to int64) {
	if within := overlap(from, to, a.from, a.to); within > 0 {
		a.output.gap = max(a.output.gap, min(to, a.to)-max(from, a.from))
	}
	for i := max(from, 0) / int64(bin); i*int64(bin) < to && i < int64(a.bins); i++ {
		a.gaps[i] = max(a.gaps[i], ms(float64(to-from)))
	}
}

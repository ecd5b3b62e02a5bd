package metrics

import (
	"math"
	"slices"
	"sort"
	"time"
)

// Times of following an event, ns.
const (
	before   = int64(2e9)  // what a link's share was
	window   = int64(5e8)  // of shares and of the output's rate
	longest  = int64(30e9) // that a share's return is waited for
	settling = int64(2e9)  // after the recovery buffer, that the output is watched for
)

// Shares of what was before.
const (
	shareBack  = 0.9
	outputBack = 0.95
)

// original is one that was sent.
type original struct {
	at    int64
	bytes int
	here  bool // on the event's link
}

// carrierDown is the mode of an event whose interface was down.
const carrierDown = "carrier-down"

// event follows a time in which nothing passed a link.
type event struct {
	link             *link
	mode, label      string
	failure, restore int64
	open             bool // it goes on at the end

	// Of the captures.
	until   int64   // the share's return is waited for
	begun   bool    // the failure has come
	done    bool    // nothing more is to come
	share   float64 // before
	spacing float64 // of the link's originals before; NaN: there were none
	last    int64   // original on the link in it; −1: none
	unsent  []int64 // originals that were due in it and went over no link, where the interface is down
	first   int64   // original on the link after it; −1: none
	after   []original
	back    int64 // ns from the restore until the share is back; −1: it is not

	// Of the sink.
	watched  int64   // until then
	arrivals []int64 // of first copies, the last one before the failure first
}

// recently are a link's originals of the last time, for shares.
type recently struct {
	queue []original
	head  int
	bytes int64
}

func (r *recently) add(at int64, bytes int) {
	r.queue = append(r.queue, original{at: at, bytes: bytes})
	r.bytes += int64(bytes)
}

func (r *recently) trim(from int64) {
	for r.head < len(r.queue) && r.queue[r.head].at < from {
		r.bytes -= int64(r.queue[r.head].bytes)
		r.head++
	}
	if r.head > 1024 && r.head > len(r.queue)/2 {
		n := copy(r.queue, r.queue[r.head:])
		r.queue, r.head = r.queue[:n], 0
	}
}

// plan says for how long each event is followed.
func (a *analysis) planEvents() {
	for i, e := range a.events {
		e.until = min(e.restore+longest, a.duration)
		for _, f := range a.events[i+1:] {
			if f.link == e.link {
				e.until = min(e.until, f.failure)
			}
		}
		e.watched = min(e.restore+int64(a.info.Buffer)+settling, a.duration)
		e.back = -1
	}
}

// originalSent tells the events of an original.
func (a *analysis) originalSent(l *link, at int64, bytes int) {
	for a.nextEvent < len(a.events) && at >= a.events[a.nextEvent].failure {
		a.beginEvent(a.events[a.nextEvent])
		a.nextEvent++
	}
	l.recent.trim(at - before)
	l.recent.add(at, bytes)
	keep := a.active[:0]
	for _, e := range a.active {
		here := e.link == l
		switch {
		case at >= e.until && (!e.open || at >= e.restore):
			e.end()
			continue
		case at < e.restore:
			if here {
				e.last = at
			}
		default:
			if here && e.first < 0 {
				e.first = at
			}
			e.after = append(e.after, original{at, bytes, here})
		}
		keep = append(keep, e)
	}
	clear(a.active[len(keep):])
	a.active = keep
}

// originalUnsent tells the events of an original that was due and went over no link.
func (a *analysis) originalUnsent(at int64) {
	for _, e := range a.events {
		if e.mode == carrierDown && at >= e.failure && at < e.restore {
			e.unsent = append(e.unsent, at)
		}
	}
}

// lastUnsent is when the last original was due that was meant for the link, of those
// that went over no link; −1: none was. A sender may leave some out the whole time,
// so that these count while they come at half of the link's former rate or more.
func (e *event) lastUnsent() int64 {
	const some = 10
	slices.Sort(e.unsent)
	last, k := int64(-1), 0
	for i, at := range e.unsent {
		for float64(at-e.unsent[k]) >= some*e.spacing {
			k++
		}
		if i-k+1 >= some/2 && float64(at-e.unsent[i-1]) <= 2*e.spacing {
			last = at
		}
	}
	return last
}

// beginEvent remembers what was before it.
func (a *analysis) beginEvent(e *event) {
	var all int64
	for _, l := range a.links {
		l.recent.trim(e.failure - before)
		all += l.recent.bytes
	}
	e.begun, e.share, e.spacing = true, 0, math.NaN()
	if all > 0 {
		e.share = float64(e.link.recent.bytes) / float64(all)
	}
	if n := len(e.link.recent.queue) - e.link.recent.head; n > 0 {
		e.spacing = float64(min(before, e.failure)) / float64(n)
	}
	a.active = append(a.active, e)
}

// end looks when the share was back: the first original on the link from which on
// it is that for a window.
func (e *event) end() {
	e.done = true
	if e.share > 0 {
		var here, all int64
		k := 0
		for i := range e.after {
			for k < len(e.after) && e.after[k].at < e.after[i].at+window {
				all += int64(e.after[k].bytes)
				if e.after[k].here {
					here += int64(e.after[k].bytes)
				}
				k++
			}
			if e.after[i].at+window > e.until {
				break
			}
			if e.after[i].here && float64(here) >= float64(shareBack*e.share)*float64(all) {
				e.back = e.after[i].at - e.restore
				break
			}
			all -= int64(e.after[i].bytes)
			if e.after[i].here {
				here -= int64(e.after[i].bytes)
			}
		}
	}
	e.after = nil
}

// endEvents closes those that are followed to the end.
func (a *analysis) endEvents() {
	for _, e := range a.active {
		e.end()
	}
	a.active = nil
}

// detection is the time from the failure to the last original on the link; false
// where the sender did not leave it, or had not used it.
func (e *event) detection() (time.Duration, bool) {
	if !e.begun || math.IsNaN(e.spacing) {
		return 0, false
	}
	last := max(e.last, e.lastUnsent())
	if last < 0 {
		return 0, true
	}
	if float64(e.restore-last) <= max(10*e.spacing, 50e6) {
		return 0, false
	}
	return time.Duration(last - e.failure), true
}

// output says what the application saw: how long it was until the output was back,
// the longest gap, and whether it was back at all. Rates are those of windows that
// begin with a datagram; need is the datagrams in a window at the source's rate,
// and end the instant up to which the source has sent.
func (e *event) output(need float64, end int64) (failover, gap time.Duration, back, ok bool) {
	times := e.arrivals
	if len(times) == 0 {
		return 0, 0, false, false
	}
	until := min(e.watched, end)
	for i, at := range times {
		if i > 0 && at >= e.failure {
			gap = max(gap, time.Duration(at-times[i-1]))
		}
	}
	if last := times[len(times)-1]; last < until {
		gap = max(gap, time.Duration(until-last))
	}
	// A datagram more or less is what a window's edges make.
	enough := outputBack*need - 1
	// From the last datagram that was there when the failure came.
	i := max(sort.Search(len(times), func(i int) bool { return times[i] > e.failure })-1, 0)
	if max(times[i], e.failure)+window > end {
		return 0, gap, false, false
	}
	fell := false
	for k := i; i < len(times) && times[i] <= until && times[i]+window <= end; i++ {
		at := times[i]
		for k < len(times) && times[k] < at+window {
			k++
		}
		switch full := float64(k-i) >= enough; {
		case !full:
			fell = true
		case fell && at >= e.failure:
			return time.Duration(at - e.failure), gap, true, true
		}
	}
	return 0, gap, !fell, true
}

func toPointer(d time.Duration, ok bool) *time.Duration {
	if !ok {
		return nil
	}
	return &d
}

// report is the event as a result has it.
func (e *event) report(need float64, end int64, sink bool) Event {
	out := Event{Link: e.link.name, Mode: e.mode, Label: e.label, Failure: time.Duration(e.failure)}
	out.Restore = toPointer(time.Duration(e.restore), !e.open)
	d, ok := e.detection()
	out.Detection = toPointer(d, ok)
	if e.begun {
		share := e.share
		out.FormerShare = &share
	}
	out.FirstOriginal = toPointer(time.Duration(e.first-e.restore), e.first >= 0 && !e.open)
	out.ShareBack = toPointer(time.Duration(e.back), e.back >= 0 && !e.open)
	if sink {
		failover, gap, back, ok := e.output(need, end)
		out.Failover, out.OutputGap, out.OutputBack = toPointer(failover, ok && back), toPointer(gap, ok), back
	}
	return out
}

// durations collects what events have of a time.
func durations(events []Event, get func(*Event) *time.Duration) (all []float64) {
	for i := range events {
		if d := get(&events[i]); d != nil {
			all = append(all, float64(*d))
		}
	}
	slices.Sort(all)
	return all
}

// median of sorted values; NaN without any.
func median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func largest(sorted []float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[len(sorted)-1]
}

package netsetup

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
	"linktape/trace/edit"
)

// A stretch is a part of a tape for both directions of a link.
type stretch struct {
	up, down trace.State
	length   time.Duration
	step     time.Duration // told anew so often, as where the tape has steps; 0: one step
}

// stretches are played one after the other.
type stretches []stretch

func (all stretches) length() (d time.Duration) {
	for _, s := range all {
		d += s.length
	}
	return d
}

// offered is the service of the bottleneck in one direction from the start until
// an instant, in bytes.
func (all stretches) offered(d trace.Direction, until time.Duration) float64 {
	sum, at := 0.0, time.Duration(0)
	for _, s := range all {
		state := &s.up
		if d == trace.Down {
			state = &s.down
		}
		sum += float64(state.Capacity()) * max(min(until, at+s.length)-at, 0).Seconds() / 8
		at += s.length
	}
	return sum
}

// passage is a packet that came, at an offset from the tape's start.
type passage struct {
	seq      int
	sent, at time.Duration
}

// played is what came of one direction.
type played struct {
	arrivals []passage
	sent     int
}

// between are the packets that came in [from, to).
func (p *played) between(from, to time.Duration) []passage {
	i, _ := slices.BinarySearchFunc(p.arrivals, from, func(a passage, t time.Duration) int { return int(a.at - t) })
	k, _ := slices.BinarySearchFunc(p.arrivals, to, func(a passage, t time.Duration) int { return int(a.at - t) })
	return p.arrivals[i:k]
}

// missing counts packets among the numbers from that of a to that of b that did
// not come.
func (p *played) missing(from, to int) int {
	n := to - from
	for _, a := range p.arrivals {
		if a.seq >= from && a.seq < to {
			n--
		}
	}
	return n
}

const (
	outagePacket  = 1500
	outageBacklog = 40 // packets that the load keeps in a queue
	outageOffer   = 24 // packets that it sends in 2 ms at most
)

// playOutage tells a link's directions a tape, step by step as a replay does, and
// keeps both queues filled while they have a carrier. Links of tree egress have
// no way back. Time is a lab's.
func playOutage(t *testing.T, l Link, tape stretches) map[trace.Direction]*played {
	t.Helper()
	up(t, "run", &Topology{Links: []Link{l}})
	r := opened(t, "run")
	type way struct {
		*played
		dir   trace.Direction
		e     *Endpoint
		f     *flood
		state func(*stretch) *trace.State
	}
	ways := []*way{{played: new(played), dir: trace.Up, state: func(s *stretch) *trace.State { return &s.up }}}
	if l.Tree != TreeEgress {
		ways = append(ways, &way{played: new(played), dir: trace.Down, state: func(s *stretch) *trace.State { return &s.down }})
	}
	time.Sleep(2 * time.Second) // what the routers say by themselves is over
	start := (wall() + 50*time.Millisecond).Truncate(10 * time.Millisecond)
	for _, w := range ways {
		var err error
		if w.e, err = r.Endpoint(trace.LinkDir{Link: l.Name, Dir: w.dir}); err != nil {
			t.Fatal(err)
		}
		w.f = newFloodTowards(t, w.dir, "run", 0, outagePacket, func(seq int, sent, received time.Duration, _ byte) {
			w.arrivals = append(w.arrivals, passage{seq, sent - start, received - start})
		})
		w.f.tos(2) // ECT(0): what has waited long is marked, not dropped
	}
	// Queues fill before the first step.
	for _, w := range ways {
		s := *w.state(&tape[0])
		s.Rate = 0
		if _, err := w.e.Apply(0, 10*time.Millisecond, &s); err != nil {
			t.Fatal(err)
		}
		w.f.offer(outageBacklog)
	}
	told := func(at, hold time.Duration, s *stretch) {
		if hold > time.Second {
			hold = 0 // the replay does not look further
		}
		for _, w := range ways {
			if _, err := w.e.Apply(10*time.Millisecond+at, hold, w.state(s)); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := time.Duration(0)
	for i := range tape {
		s := &tape[i]
		step := s.step
		if step == 0 {
			step = s.length
		}
		if tick := ways[0].e.Tick(); tick > 0 {
			step = min(step, tick)
		}
		for n := range int(s.length / time.Millisecond) {
			f := ways[0].f
			f.until(start + at)
			if since := time.Duration(n) * time.Millisecond; since%step == 0 {
				told(at, min(step, s.length-since), s)
			}
			at += time.Millisecond
			if n%2 != 0 {
				continue
			}
			f.until(start + at - 500*time.Microsecond)
			for _, w := range ways {
				w.f.take()
				held := int(counters(t, w.e).BacklogBytes / outagePacket)
				if s.up.Carrier {
					w.f.offer(min(max(outageBacklog-held, 0), outageOffer))
				}
			}
		}
	}
	ways[0].f.until(start + at + 200*time.Microsecond)
	out := make(map[trace.Direction]*played)
	for _, w := range ways {
		w.f.take()
		w.f.close()
		w.sent = w.f.sent
		out[w.dir] = w.played
	}
	return out
}

// outageLinks are every kind of bottleneck and queue, and the trees on one device.
func outageLinks() []Link {
	all := bottlenecks()
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		for _, tree := range []TreeKind{TreeNested, TreeEgress} {
			l := DefaultLink("a")
			l.Shaper, l.Tree = kind, tree
			all = append(all, l)
		}
	}
	for i := range all {
		all[i].Path = PathAuto
	}
	return all
}

func outageName(l Link) string {
	if l.Tree != TreeSeparated {
		return string(l.Tree) + " " + shapedName(l)
	}
	return shapedName(l)
}

// Every kind of outage in every kind of bottleneck, packet by packet. 400 ms at
// 6 Mbit/s, the outage, and 12 Mbit/s after it; the path takes 10 ms.
//
//   - No packet leaves in the outage. What was on the path when it began arrives.
//   - In a stall the queue is kept and goes on in order; without a carrier it is
//     gone; where packets are dropped it is served at the tape's rate.
//   - The first packet leaves within a millisecond of the outage's end.
//   - From its first millisecond on the service is the tape's, give or take the
//     packets that a bottleneck may owe, and the pulse or the burst that a step
//     begins with.
func TestOutageModes(t *testing.T) {
	const before, outage, after = 400 * time.Millisecond, 300 * time.Millisecond, 200 * time.Millisecond
	const step = 20 * time.Millisecond
	const delay = 10 * time.Millisecond
	slow := trace.State{Rate: 6 * trace.Mbit, Delay: delay, Carrier: true}
	fast := trace.State{Rate: 12 * trace.Mbit, Delay: delay, Carrier: true}
	privtest.Require(t, "lab", "ifb", "tbf", "netem")
	unchanged(t)
	for _, l := range outageLinks() {
		for _, name := range edit.Modes() {
			mode, err := edit.ParseMode(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(outageName(l)+" "+name, func(t *testing.T) {
				privtest.Require(t, append(needs(l), "netem")...)
				tape := stretches{
					{up: slow, down: slow, length: before, step: step},
					{up: slow, down: slow, length: outage, step: step},
					{up: fast, down: fast, length: after, step: step},
				}
				mode.Apply(trace.Up, &tape[1].up)
				mode.Apply(trace.Down, &tape[1].down)
				for d, p := range playOutage(t, l, tape) {
					if mode.Concerns(d) {
						outageJudged(t, l, mode, d, p, tape, delay)
					} else {
						untouched(t, l, d, p, tape, delay)
					}
				}
			})
		}
	}
}

// owes is by how many bytes what has left a bottleneck may differ from the tape
// at any time within a step.
func owes(l Link, rate trace.BitRate) (less, more float64) {
	less = 3 * outagePacket
	more = 4*outagePacket + float64(rate)*lateness.Seconds()/8
	if l.pulsed() {
		more = outagePacket + float64(rate)*DefaultTick.Seconds()/8
	}
	return less, more
}

// untouched checks a direction that an outage does not concern.
func untouched(t *testing.T, l Link, d trace.Direction, p *played, tape stretches, delay time.Duration) {
	t.Helper()
	if n := p.missing(0, p.arrivals[len(p.arrivals)-1].seq); n != 0 {
		t.Errorf("%v, which the outage does not concern: %d packets did not arrive", d, n)
	}
	if l.Tree != TreeSeparated {
		delay = 0 // before the bottleneck
	}
	follows(t, l, d, p, tape, 0, tape.length()-delay-time.Millisecond, delay)
}

// follows checks that in every millisecond of a time the packets that left since
// its beginning are those of the tape.
func follows(t *testing.T, l Link, d trace.Direction, p *played, tape stretches, from, to, delay time.Duration) {
	t.Helper()
	worstLess, worstMore := 0.0, 0.0
	for at := from + time.Millisecond; at <= to; at += time.Millisecond {
		want := tape.offered(d, at) - tape.offered(d, from)
		got := float64(len(p.between(from+delay, at+delay)) * outagePacket)
		rate := (tape.offered(d, at) - tape.offered(d, at-time.Millisecond)) * 8e3
		less, more := owes(l, trace.BitRate(rate))
		worstLess, worstMore = max(worstLess, want-got), max(worstMore, got-want)
		if got < want-less || got > want+more {
			t.Errorf("%v, %v after %v: %.0f bytes left, the tape allows %.0f; −%.0f, +%.0f", d, at-from, from, got, want, less, more)
			return
		}
	}
	t.Logf("%v from %v to %v: at most %.1f packets less and %.1f more than the tape", d, from, to, worstLess/outagePacket, worstMore/outagePacket)
}

// outageJudged checks a direction that an outage concerns.
func outageJudged(t *testing.T, l Link, mode edit.Mode, d trace.Direction, p *played, tape stretches, delay time.Duration) {
	t.Helper()
	begin := tape[0].length
	end := begin + tape[1].length
	const slack = 100 * time.Microsecond // of what left just before
	nested := l.Tree != TreeSeparated
	drops := mode == edit.DropBoth || mode == edit.DropUp || mode == edit.DropDown
	arriving := delay // how long what left before goes on arriving
	switch {
	case nested && drops:
		// netem loses what comes in; what waits below it still leaves.
		arriving += time.Duration(outageBacklog+1) * time.Duration(outagePacket*8e9/float64(tape[0].up.Rate))
	case nested:
		arriving = 0 // the path is below the bucket
	}
	last := p.between(0, begin+arriving+slack)
	if leaked := p.between(begin+arriving+slack, end); len(leaked) > 0 {
		t.Errorf("%v: %d packets left in the outage, the first at %v after its beginning", d, len(leaked), leaked[0].at-begin)
	}
	later := p.between(end, tape.length()+time.Hour)
	if len(last) == 0 || len(later) == 0 {
		t.Fatalf("%v: %d packets before the outage, %d after it", d, len(last), len(later))
	}
	a, b := last[len(last)-1], later[0]

	// The first packet.
	path := delay
	switch {
	case nested && !drops && mode != edit.CarrierDown:
		path = 0
	}
	allowed := time.Millisecond
	if mode == edit.CarrierDown || nested && drops {
		allowed += 500 * time.Microsecond // when the load comes
	}
	first := b.at - end - path
	t.Logf("%v: the first packet left %v after the outage, number %d after %d", d, first, b.seq, a.seq)
	if first < -slack || first > allowed {
		t.Errorf("%v: the first packet left %v after the outage's end", d, first)
	}

	// The queue.
	gone := p.missing(a.seq+1, b.seq)
	switch {
	case mode == edit.Stall:
		if gone != 0 || b.seq != a.seq+1 || p.missing(0, p.arrivals[len(p.arrivals)-1].seq) != 0 {
			t.Errorf("%v: packets %d to %d are lost in a stall", d, a.seq+1, b.seq-1)
		}
	case mode == edit.CarrierDown:
		// All that waited, up to what the load had sent by then.
		if gone < outageBacklog-5 || b.sent < end {
			t.Errorf("%v: %d packets are gone with the carrier, want about %d; the first one after it was sent at %v, it came back at %v", d, gone, outageBacklog, b.sent, end)
		}
	case nested: // what is lost takes none of the rate, so that the load replaces it at once
		if gone == 0 {
			t.Errorf("%v: no packet is lost", d)
		}
	default:
		if want := (tape.offered(d, end) - tape.offered(d, begin)) / outagePacket; math.Abs(float64(gone)-want) > 4 {
			t.Errorf("%v: %d packets are lost, want the %.0f of the tape's rate", d, gone, want)
		}
	}

	// The service before and after it.
	served := begin
	if mode == edit.CarrierDown {
		served -= delay // the path's device goes down, too, or the one that its netem is on
	}
	follows(t, l, d, p, tape, 0, served, path)
	from := end
	if mode == edit.CarrierDown || nested && drops {
		from += 20 * time.Millisecond // there was no queue, or a path, to serve: it fills first
	}
	follows(t, l, d, p, tape, from, tape.length()-delay-time.Millisecond, path)
}

// Rates near zero, and the steps up from them. 1.2 s at a rate that gives
// no packet in a step, or in hours, in one step or in many; then 10 Mbit/s.
func TestNearZeroRates(t *testing.T) {
	privtest.Require(t, "lab", "ifb", "tbf")
	unchanged(t)
	for _, l := range outageLinks() {
		if l.Tree == TreeEgress {
			continue // the same tree as nested, one way
		}
		for _, c := range []struct {
			rate trace.BitRate
			step time.Duration // 0: one step
		}{
			{8, 0}, {trace.Kbit, 0}, {trace.Kbit, 20 * time.Millisecond},
			{60 * trace.Kbit, 20 * time.Millisecond}, {400 * trace.Kbit, 10 * time.Millisecond},
		} {
			t.Run(strings.Join(strings.Fields(fmt.Sprint(outageName(l), " ", c.rate, " ", c.step)), " "), func(t *testing.T) {
				privtest.Require(t, needs(l)...)
				l.Path = PathNone
				const before, low, after = 200 * time.Millisecond, 1200 * time.Millisecond, 200 * time.Millisecond
				state := func(r trace.BitRate) trace.State { return trace.State{Rate: r, Carrier: true} }
				tape := stretches{
					{up: state(6 * trace.Mbit), down: state(6 * trace.Mbit), length: before, step: 20 * time.Millisecond},
					{up: state(c.rate), down: state(c.rate), length: low, step: c.step},
					{up: state(10 * trace.Mbit), down: state(10 * trace.Mbit), length: after, step: 20 * time.Millisecond},
				}
				for dir, p := range playOutage(t, l, tape) {
					const end = before + low
					const slack = 100 * time.Microsecond
					got := p.between(before+slack, end)
					want := (tape.offered(dir, end) - tape.offered(dir, before)) / outagePacket
					t.Logf("%v: %d packets left at %v, the tape allows %.2f", dir, len(got), c.rate, want)
					if float64(len(got)) > want+3 || float64(len(got)) < want-3 {
						t.Errorf("%v: %d packets left at %v, the tape allows %.2f", dir, len(got), c.rate, want)
					}
					all, allowed := float64(len(p.between(0, end))), tape.offered(dir, end)/outagePacket
					if math.Abs(all-allowed) > 4 {
						t.Errorf("%v: %.0f packets left until the step up, the tape allows %.2f", dir, all, allowed)
					}
					later := p.between(end, time.Hour)
					if len(later) == 0 {
						t.Fatalf("%v: no packet left after the low rate", dir)
					}
					if first := later[0].at - end; first > 1200*time.Microsecond+slack {
						t.Errorf("%v: the first packet left %v after the step up", dir, first)
					}
					if n := p.missing(0, p.arrivals[len(p.arrivals)-1].seq); n != 0 {
						t.Errorf("%v: %d packets did not arrive", dir, n)
					}
					follows(t, l, dir, p, tape, end, tape.length()-time.Millisecond, 0)
				}
			})
		}
	}
}

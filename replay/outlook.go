package replay

import (
	"cmp"
	"slices"
	"time"

	"linktape/trace"
)

// How nothing passes, as a [TapeEvent] says it.
const (
	NoCarrier = "no carrier"
	Stalled   = "stall"
	LosesAll  = "loses all"
)

// WhatPasses says how a state lets nothing pass; "" where packets pass.
func WhatPasses(s *trace.State) string { return whatPasses(s.Carrier, int64(s.Rate), s.MeanLoss()) }

// WhatPasses says of a row's state what the function of that name does.
func (r *LogRow) WhatPasses() string { return whatPasses(r.Carrier, r.Rate, r.Loss) }

func whatPasses(carrier bool, rate int64, loss float64) string {
	switch {
	case !carrier:
		return NoCarrier
	case rate == 0:
		return Stalled
	case loss >= 1:
		return LosesAll
	}
	return ""
}

// TapeEvent is an instant of the tape at which a direction's label changes, or
// whether anything passes.
type TapeEvent struct {
	Tape  time.Duration `json:"tape_ns"`
	In    time.Duration `json:"in_ns"` // until then, on the replay's clock
	Link  string        `json:"link"`
	Dir   string        `json:"dir"`
	Label string        `json:"label,omitempty"` // from then on
	What  string        `json:"what,omitempty"`  // how nothing passes from then on; empty: packets pass
}

// mostOutlook bounds what is kept of a tape: 3 MB.
const mostOutlook = 1 << 16

// shortPause is how long a stall must last to be an event: between delivery
// opportunities a link stalls all the time.
const shortPause = 300 * time.Millisecond

// outlook is what is to come of a window. The tape's steps are added once, when it
// is checked.
type outlook struct {
	events []tapeEvent
	last   map[int]tapeEvent // by direction: what is in force
	pause  map[int]tapeEvent // by direction: a stall since last that is no event yet
	dirs   map[int][]int     // by direction: its events
}

type tapeEvent struct {
	tape  time.Duration
	dir   int
	label string
	what  string
}

func (o *outlook) add(s *trace.Step, dir int, from time.Duration) {
	if o.last == nil {
		o.last, o.pause = make(map[int]tapeEvent), make(map[int]tapeEvent)
	}
	e := tapeEvent{max(s.At, from), dir, s.Label, WhatPasses(&s.State)}
	if p, ok := o.pause[dir]; ok {
		if e.label == p.label && e.what == p.what {
			return
		}
		if delete(o.pause, dir); e.tape-p.tape >= shortPause {
			o.put(p)
		}
	}
	was, known := o.last[dir]
	switch {
	case known && was.label == e.label && was.what == e.what:
	case known && was.label == e.label && e.what == Stalled:
		o.pause[dir] = e
	default:
		o.put(e)
	}
}

func (o *outlook) put(e tapeEvent) {
	o.last[e.dir] = e
	if len(o.events) < mostOutlook {
		o.events = append(o.events, e)
	}
}

// finish says that the window ends at an instant of the tape.
func (o *outlook) finish(to time.Duration) {
	for _, p := range o.pause {
		if to-p.tape >= shortPause {
			o.put(p)
		}
	}
	slices.SortStableFunc(o.events, func(a, b tapeEvent) int { return cmp.Or(cmp.Compare(a.tape, b.tape), cmp.Compare(a.dir, b.dir)) })
	o.dirs = make(map[int][]int)
	for i, e := range o.events {
		o.dirs[e.dir] = append(o.dirs[e.dir], i)
	}
}

// after is the index of the first event after an instant of the tape; the first
// states of a window are no events.
func (o *outlook) after(tape, from time.Duration) int {
	i, _ := slices.BinarySearchFunc(o.events, max(tape, from), func(e tapeEvent, t time.Duration) int {
		if e.tape <= t {
			return -1
		}
		return 1
	})
	return i
}

// NextEvent is the next change of a label, or of whether anything passes, that is to
// come; nil where none is known. In is the time until it, as long as nothing is
// done by hand. Of a tape with very many only the first 65,536 are known.
func (p *Player) NextEvent() *TapeEvent { return p.nextEvent(p.Position()) }

// nextEvent is the next one after a position.
func (p *Player) nextEvent(pos time.Duration) *TapeEvent {
	tape, loop := p.tapeAt(pos)
	s := &p.sched
	base := time.Duration(loop) * s.span()
	i := p.outlook.after(tape, s.from)
	if i == len(p.outlook.events) {
		if len(p.outlook.events) == mostOutlook || !s.loops && loop+1 >= s.times {
			return nil
		}
		if i = p.outlook.after(0, s.from); i == len(p.outlook.events) {
			return nil
		}
		base += s.span()
	}
	e := p.event(i)
	e.In = base + s.scaled(e.Tape-s.from) - pos
	return e
}

// EventsBetween lists the tape's events after one instant of the tape and up to
// another one.
func (p *Player) EventsBetween(after, until time.Duration) []TapeEvent {
	var out []TapeEvent
	for i := p.outlook.after(after, p.sched.from); i < len(p.outlook.events) && p.outlook.events[i].tape <= until; i++ {
		out = append(out, *p.event(i))
	}
	return out
}

func (p *Player) event(i int) *TapeEvent {
	e := &p.outlook.events[i]
	ld := p.dirs[e.dir]
	return &TapeEvent{Tape: e.tape, Link: ld.Link, Dir: ld.Dir.String(), Label: e.label, What: e.what}
}

// labelAt is a direction's label at an instant of the tape, as far as it is known.
func (p *Player) labelAt(dir int, tape time.Duration) string {
	mine := p.outlook.dirs[dir]
	n, _ := slices.BinarySearch(mine, p.outlook.after(tape, p.sched.from))
	if n == 0 {
		return ""
	}
	return p.outlook.events[mine[n-1]].label
}

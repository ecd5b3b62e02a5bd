package edit

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"linktape/trace"
)

// MaxEvents is how many events are laid over a timeline at once.
const MaxEvents = 100_000

// Overlay lays events over a timeline. Where several hold at once, they are
// applied in the order given, each to what the ones before it made. An event
// that begins at the timeline's end or later, or names what the timeline lacks,
// is an error; one that ends later ends with the timeline. All faults are
// reported together.
func Overlay(in Tape, events []Event) (Tape, error) {
	var faults []error
	if len(events) == 0 {
		faults = append(faults, errors.New("overlay: no event: write one, such as at 30s, link att, outage 5s"))
	}
	if len(events) > MaxEvents {
		faults = append(faults, fmt.Errorf("overlay: %d events: at most %d", len(events), MaxEvents))
		events = nil
	}
	arguments := make([]string, len(events))
	for i := range events {
		e := &events[i]
		arguments[i] = e.String()
		if err := e.CheckLinks(in.Meta.Links); err != nil {
			faults = append(faults, fmt.Errorf("event %s: %w", quote(arguments[i]), err))
		}
		if e.At >= in.Meta.Duration {
			faults = append(faults, fmt.Errorf("event %s: begins at %v or later, where the timeline ends", quote(arguments[i]), in.Meta.Duration))
		}
	}
	if len(faults) > 0 {
		return Tape{}, errors.Join(faults...)
	}
	out := Tape{Meta: derive("overlay", arguments, in)}
	events = slices.Clone(events)
	out.Steps = func(yield func(trace.Step, error) bool) {
		o := newOverlay(in.Meta, events)
		o.run(in.Steps, yield)
	}
	return out, nil
}

// edge is an instant at which an event begins or ends.
type edge struct {
	at    time.Duration
	event int
	begin bool
}

type overlay struct {
	events []Event
	edges  []edge // in order of time, from the next one on
	dirs   []overlaid
	yield  func(trace.Step, error) bool
}

// overlaid is a direction under events.
type overlaid struct {
	trace.LinkDir
	base   trace.State
	active []int // events that hold, in their order
	dirty  bool  // base or active have changed
	last   trace.State
	any    bool
}

func newOverlay(meta trace.Meta, events []Event) *overlay {
	o := &overlay{events: events}
	for i := range events {
		o.edges = append(o.edges, edge{events[i].At, i, true})
		if end := events[i].End(); end < meta.Duration {
			o.edges = append(o.edges, edge{end, i, false})
		}
	}
	slices.SortStableFunc(o.edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	for _, ld := range meta.Directions() {
		o.dirs = append(o.dirs, overlaid{LinkDir: ld})
	}
	return o
}

func (o *overlay) run(steps iter.Seq2[trace.Step, error], yield func(trace.Step, error) bool) {
	o.yield = yield
	for group, err := range instants(steps) {
		if err != nil {
			yield(trace.Step{}, err)
			return
		}
		at := group[0].At
		for len(o.edges) > 0 && o.edges[0].at < at {
			if !o.flush(o.pass(o.edges[0].at)) {
				return
			}
		}
		o.pass(at)
		for _, s := range group {
			i, ok := slices.BinarySearchFunc(o.dirs, s.LinkDir(), func(d overlaid, ld trace.LinkDir) int { return d.Compare(ld) })
			if !ok {
				yield(s, fmt.Errorf("%v at %v: not among the timeline's links", s.LinkDir(), s.At))
				return
			}
			o.dirs[i].base, o.dirs[i].dirty = s.State, true
		}
		if !o.flush(at) {
			return
		}
	}
	for len(o.edges) > 0 {
		if !o.flush(o.pass(o.edges[0].at)) {
			return
		}
	}
}

// pass begins and ends the events of an instant, which it returns.
func (o *overlay) pass(at time.Duration) time.Duration {
	for len(o.edges) > 0 && o.edges[0].at == at {
		e := o.edges[0]
		o.edges = o.edges[1:]
		for i := range o.dirs {
			d := &o.dirs[i]
			if !o.events[e.event].Applies(d.LinkDir) {
				continue
			}
			d.dirty = true
			k, _ := slices.BinarySearch(d.active, e.event)
			if e.begin {
				d.active = slices.Insert(d.active, k, e.event)
			} else {
				d.active = slices.Delete(d.active, k, k+1)
			}
		}
	}
	return at
}

// flush yields the states that have changed.
func (o *overlay) flush(at time.Duration) bool {
	for i := range o.dirs {
		d := &o.dirs[i]
		if !d.dirty {
			continue
		}
		d.dirty = false
		s := d.base
		for _, e := range d.active {
			o.events[e].Apply(d.Dir, &s)
		}
		if d.any && s == d.last {
			continue
		}
		d.last, d.any = s, true
		if !o.yield(trace.Step{At: at, Link: d.Link, Dir: d.Dir, State: s}, nil) {
			return false
		}
	}
	return true
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// kind is a bottleneck of the table.
type kind struct {
	name   string
	shaper netsetup.ShaperKind
	queue  trace.QueueKind // empty: the shaper's own choice
	exact  time.Duration   // steps up to this let exactly the packets through that the tape's bytes allow; 0: none do
}

// kinds are the bottlenecks that are measured.
func kinds() []kind {
	return []kind{
		{name: "tbf", shaper: netsetup.ShaperTBF},
		{name: "htb", shaper: netsetup.ShaperHTB},
		{name: "cake", shaper: netsetup.ShaperCAKE},
		{name: "pulse", shaper: netsetup.ShaperPulse, exact: netsetup.DefaultTick},
		{name: "pulse+codel", shaper: netsetup.ShaperPulse, queue: netsetup.CoDel, exact: netsetup.DefaultTick},
		{name: "pulse+cake", shaper: netsetup.ShaperPulse, queue: netsetup.CAKEQueue, exact: netsetup.DefaultTick},
		{name: "edt", shaper: netsetup.ShaperEDT},
	}
}

func kindNamed(name string) (kind, error) {
	all := kinds()
	if i := slices.IndexFunc(all, func(k kind) bool { return k.name == name }); i >= 0 {
		return all[i], nil
	}
	return kind{}, fmt.Errorf("kind %q: write one of %s", name, kindNames())
}

func kindNames() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// apply makes a link of the kind for a tape of a step.
func (k kind) apply(l *netsetup.Link, step time.Duration) {
	l.UseShaper(k.shaper)
	if k.shaper == netsetup.ShaperPulse && step < netsetup.DefaultTick {
		l.Tick = step
	}
	switch k.queue {
	case "":
	case netsetup.CAKEQueue:
		l.Queue = trace.Queue{Kind: k.queue} // of CAKE's own size
	default:
		l.Queue.Kind = k.queue
	}
}

// steps are those of the table; the last is for kinds that let the packets of
// a tick go at once, as mm-link does those of a millisecond.
func steps() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{100 * ms, 20 * ms, 10 * ms, 5 * ms, ms, grain}
}

// grain stands for a trace's own delivery opportunities, not binned.
const grain time.Duration = 0

// follows reports whether a kind is measured at a step: those that let the
// packets of a tick go at once at all of them. A queue of its own kind changes
// nothing of what pulses let go, and is measured where they are exact.
func (k kind) follows(step time.Duration) bool {
	if k.queue != "" {
		return step == k.exact
	}
	if k.shaper == netsetup.ShaperEDT {
		return true
	}
	return step > netsetup.DefaultTick || k.exact > 0 && step > grain
}

// whole reports whether a kind's bar at a step is of each whole trace.
func (k kind) whole(step time.Duration) bool {
	return step == k.exact && k.queue == "" && step > grain
}

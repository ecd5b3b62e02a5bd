package synth

import (
	"slices"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/edit"
)

// events are what the scenario's events do, on top of everything else.
type events []edit.Event

// decodeEvents reads the scenario's list, once its links are known.
func (sc *Scenario) decodeEvents(n conf.Node) {
	var out events
	for _, item := range n.List() {
		text := item.String()
		if item.Failed() {
			continue
		}
		e, err := edit.ParseEvent(text)
		if err == nil {
			err = e.CheckLinks(sc.links)
		}
		switch {
		case err != nil:
			item.Errorf("%v", err)
		case e.At >= MaxDuration:
			item.Errorf("at %v: after the end of the longest timeline, %v: write an earlier instant", e.At, MaxDuration)
		default:
			if e.At >= sc.duration {
				sc.warnings = append(sc.warnings, "event \""+text+"\": comes after the end, at "+sc.duration.String())
			}
			out = append(out, e)
		}
	}
	if len(out) > 0 {
		sc.layers = append(sc.layers, out)
	}
}

func (l events) concerns(ld trace.LinkDir) bool {
	return slices.ContainsFunc(l, func(e edit.Event) bool { return e.Applies(ld) })
}

func (l events) changes(_, _ time.Duration) (uint64, bool) { return 2 * uint64(len(l)), false }

func (l events) start(*run) running {
	out := &runningEvents{events: l}
	for i := range l {
		out.instants = append(out.instants, l[i].At, l[i].End())
	}
	slices.Sort(out.instants)
	out.instants = slices.Compact(out.instants)
	return out
}

type runningEvents struct {
	events
	instants []time.Duration // at which something begins or ends, in order
	active   []*edit.Event   // in the scenario's order
}

func (l *runningEvents) advance(t time.Duration) time.Duration {
	l.active = l.active[:0]
	for i := range l.events {
		if e := &l.events[i]; e.At <= t && t < e.End() {
			l.active = append(l.active, e)
		}
	}
	for len(l.instants) > 0 && l.instants[0] <= t {
		l.instants = l.instants[1:]
	}
	if len(l.instants) == 0 {
		return never
	}
	return l.instants[0]
}

func (l *runningEvents) apply(ld trace.LinkDir, s *trace.State) {
	for _, e := range l.active {
		if e.Applies(ld) {
			e.Apply(ld.Dir, s)
		}
	}
}

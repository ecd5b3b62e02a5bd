package synth

import (
	"fmt"
	"slices"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/edit"
)

// outages take a link away: at random (Poisson arrivals while it is there, so
// that the time from the end of one to the start of the next is exponential) or
// at given instants.
type outages struct {
	link     string
	name     string // of its stream
	arrivals arrivals
	duration spread
	mode     edit.Mode
}

// decodeOutages reads the list of a link.
func (sc *Scenario) decodeOutages(link *trace.Link, n conf.Node) {
	for i, item := range n.List() {
		m := item.Map()
		o := &outages{link: link.Name, name: fmt.Sprintf("outages %d", i)}
		o.arrivals = readArrivals(m)
		o.duration = readLasting(m.Require("duration"))
		o.mode = readMode(m, edit.DropBoth, *link)
		m.Done()
		sc.warnListed(fmt.Sprintf("links.%s.outages.%d", link.Name, i), &o.arrivals, &o.duration, 0)
		sc.layers = append(sc.layers, o)
	}
}

// readMode reads the mode of what happens to links, which must concern one of
// their directions.
func readMode(m *conf.Map, standard edit.Mode, links ...trace.Link) edit.Mode {
	n, ok := m.Get("mode")
	if !ok {
		return standard
	}
	mode, err := edit.ParseMode(n.OneOf(edit.Modes()...))
	if err == nil && len(links) > 0 && !slices.ContainsFunc(links, func(l trace.Link) bool {
		return l.Up && mode.Concerns(trace.Up) || l.Down && mode.Concerns(trace.Down)
	}) {
		n.Errorf("mode %v concerns a direction that is not there: choose another mode", mode)
	}
	return mode
}

// warnListed warns of listed instants that come to nothing: after the end, or
// before what happened at the one before is over; links go on for longest.
func (sc *Scenario) warnListed(path string, a *arrivals, duration *spread, longest time.Duration) {
	warn := func(at time.Duration, format string, args ...any) {
		sc.warnings = append(sc.warnings, fmt.Sprintf("%s: the one at %v ", path, at)+fmt.Sprintf(format, args...))
	}
	over := time.Duration(0)
	for _, at := range a.at {
		switch {
		case at >= sc.duration:
			warn(at, "comes after the end, at %v", sc.duration)
			return
		case at < over:
			warn(at, "is left out: the one before is over at %v", over)
		case duration.form == fixedSpread:
			over = at + time.Duration(duration.value) + longest
		}
	}
}

func (o *outages) concerns(ld trace.LinkDir) bool {
	return ld.Link == o.link && o.mode.Concerns(ld.Dir)
}

func (o *outages) start(r *run) running {
	return &runningOutages{outages: o, stream: newStream(r.seed, o.link, "", o.name), out: true}
}

func (o *outages) changes(duration, _ time.Duration) (uint64, bool) {
	return saturatingMul(2, o.arrivals.most(duration)), false
}

type runningOutages struct {
	*outages
	*stream
	seen int // listed arrivals so far
	out  bool
}

func (o *runningOutages) advance(t time.Duration) time.Duration {
	if o.out = !o.out; !o.out {
		at := o.arrivals.next(&o.seen, t, o.stream)
		if at > t {
			return at
		}
		o.out = true // listed for this very instant
	}
	return t + o.duration.draw(o.stream)
}

func (o *runningOutages) apply(ld trace.LinkDir, s *trace.State) {
	if o.out {
		o.mode.Apply(ld.Dir, s)
	}
}

// arrivals are the instants at which something happens.
type arrivals struct {
	every  spread          // between the end of one and the start of the next; where there is no list
	at     []time.Duration // in order
	period time.Duration   // of arrivals at regular instants; 0: none
	offset time.Duration   // of the first of them
}

// readArrivals reads either every, the mean of an exponential time, or at, a
// list of instants.
func readArrivals(m *conf.Map) (out arrivals) {
	everyNode, hasEvery := m.Get("every")
	atNode, hasAt := m.Get("at")
	switch {
	case hasEvery && hasAt:
		atNode.Errorf("every and at are both given: keep one")
	case hasEvery:
		out.every = exponential(readEvery(everyNode))
	case hasAt:
		list := atNode.List()
		if atNode.IsList() && len(list) == 0 {
			atNode.Errorf("the list is empty: write instants, such as [30s, 90s]")
		}
		for i, n := range list {
			at := readInstant(n)
			if !n.Failed() && i > 0 && at <= out.at[i-1] {
				n.Errorf("%v follows %v: write the instants in order of time", at, out.at[i-1])
			}
			out.at = append(out.at, at)
		}
	default:
		m.Node().Errorf("when it happens is missing: write every, a mean time between, or at, a list of instants")
	}
	return out
}

// next returns the instant of the next arrival, not before t, at which the one
// before was over; seen counts those in the list. Listed instants that have
// passed by then are left out.
func (a *arrivals) next(seen *int, t time.Duration, r *stream) time.Duration {
	switch {
	case a.at != nil:
		for *seen < len(a.at) {
			at := a.at[*seen]
			*seen++
			if at >= t {
				return at
			}
		}
		return never
	case a.period != 0 && t < a.offset:
		return a.offset
	case a.period != 0:
		return a.offset + ((t-a.offset)/a.period+1)*a.period
	}
	return t + a.every.draw(r)
}

// most bounds how many there are.
func (a *arrivals) most(duration time.Duration) uint64 {
	switch {
	case a.at != nil:
		return uint64(len(a.at))
	case a.period != 0:
		return samples(duration, a.period) + 1
	}
	return often(duration, time.Duration(a.every.value))
}

package synth

import (
	"slices"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/edit"
)

// sharedOutages take several links away one after the other, as a tunnel does:
// each link with a delay of its own, all for the same time.
type sharedOutages struct {
	name     string
	arrivals arrivals
	duration spread
	mode     edit.Mode
	delays   map[string]time.Duration // by link
}

// decodeSharedOutages reads the scenario's mapping, once its links are known.
func (sc *Scenario) decodeSharedOutages(n conf.Node) {
	n.Map().Each(func(key, value conf.Node) {
		o := &sharedOutages{name: key.Name(), delays: make(map[string]time.Duration)}
		m := value.Map()
		o.arrivals = readArrivals(m)
		o.duration = readLasting(m.Require("duration"))
		linksNode := m.Require("links")
		links := linksNode.Map()
		if linksNode.IsMap() && links.Len() == 0 {
			linksNode.Errorf("no links: write {LINK: DELAY, …}, such as {att: 0s, verizon: 400ms}")
		}
		links.Each(func(key, value conf.Node) {
			name := key.Name()
			if !key.Failed() && !slices.ContainsFunc(sc.links, func(l trace.Link) bool { return l.Name == name }) {
				key.Errorf("no link %q: %s", name, sc.linkNames(name))
			}
			o.delays[name] = readInstant(value)
		})
		var members []trace.Link
		longest := time.Duration(0)
		for _, l := range sc.links {
			if d, ok := o.delays[l.Name]; ok {
				members, longest = append(members, l), max(longest, d)
			}
		}
		o.mode = readMode(m, edit.DropBoth, members...)
		m.Done()
		sc.warnListed("shared_outages."+o.name, &o.arrivals, &o.duration, longest)
		sc.layers = append(sc.layers, o)
	})
}

func (o *sharedOutages) concerns(ld trace.LinkDir) bool {
	_, ok := o.delays[ld.Link]
	return ok && o.mode.Concerns(ld.Dir)
}

func (o *sharedOutages) start(r *run) running {
	return &runningSharedOutages{sharedOutages: o, stream: newStream(r.seed, "", "", "shared_outages "+o.name), begin: never}
}

func (o *sharedOutages) changes(duration, _ time.Duration) (uint64, bool) {
	return saturatingMul(2*uint64(len(o.delays)), o.arrivals.most(duration)), false
}

type runningSharedOutages struct {
	*sharedOutages
	*stream
	seen       int
	now        time.Duration
	begin, end time.Duration // of the present outage, for a link without a delay
}

func (o *runningSharedOutages) advance(t time.Duration) time.Duration {
	o.now = t
	if o.begin != never && t > o.begin {
		if next := o.edge(t); next != never {
			return next
		}
	}
	if o.begin == never || t > o.begin { // the last link is out of the one before
		if o.begin = o.arrivals.next(&o.seen, t, o.stream); o.begin > t {
			return o.begin
		}
	}
	o.end = t + o.duration.draw(o.stream)
	return o.edge(t)
}

// edge returns the next instant after t at which a link goes or comes back.
func (o *runningSharedOutages) edge(t time.Duration) time.Duration {
	next := never
	for _, d := range o.delays {
		for _, at := range []time.Duration{o.begin + d, o.end + d} {
			if at > t {
				next = min(next, at)
			}
		}
	}
	return next
}

func (o *runningSharedOutages) apply(ld trace.LinkDir, s *trace.State) {
	if d := o.delays[ld.Link]; o.begin != never && o.now >= o.begin+d && o.now < o.end+d {
		o.mode.Apply(ld.Dir, s)
	}
}

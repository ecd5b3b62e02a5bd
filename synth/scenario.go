package synth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/suggest"
)

// Limits of a scenario.
const (
	MaxDuration = 10 * 365 * 24 * time.Hour
	MinStep     = time.Microsecond
	MaxLinks    = 256
	MaxSteps    = 1_000_000_000 // steps of a timeline, before equal ones are merged

	DefaultStep = 100 * time.Millisecond
	DefaultSeed = 1
)

// Generator is what [Scenario.Meta] gives as generator. Its number rises when
// the same scenario gives other steps.
const Generator = "synth 1"

// Options changes a scenario before it is decoded. What it sets appears in
// the scenario's text, and faults in it are reported like faults of the file.
type Options struct {
	Set      []string      // KEY=VALUE with a dotted key: links.att.up.rate.mean=6Mbit
	Seed     *uint64       // nil: as in the file
	Duration time.Duration // 0: as in the file
	Step     time.Duration // 0: as in the file
}

// Scenario is a decoded scenario. It does not change; any number of timelines
// can be synthesized from it at once.
type Scenario struct {
	name        string
	description string
	text        string
	duration    time.Duration
	step        time.Duration
	seed        uint64
	links       []trace.Link
	directions  []direction // in canonical order
	warnings    []string

	cells        []*cell
	layers       []layer // in the order in which they apply
	correlations []correlation
}

// direction is one direction of a link with its processes.
type direction struct {
	trace.LinkDir
	models  []namedModel
	regimes []regime
}

// regime is what a direction has in one regime of its link, in place of its own
// processes.
type regime struct {
	name   string
	models []namedModel
}

// namedModel is the model of a quantity; nil after a fault.
type namedModel struct {
	name string
	q    quantity
	ous  []*ou // the Ornstein–Uhlenbeck processes in it
	model
}

// Parse decodes a scenario. name stands for the file in messages. The error is
// an [*conf.Error] with all faults of the file, or several of them for faults
// of options.
func Parse(name string, data []byte, opts Options) (*Scenario, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	if err := override(doc, opts); err != nil {
		return nil, err
	}
	sc := &Scenario{}
	sc.decode(doc)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	sc.text = doc.Text()
	return sc, nil
}

func override(doc *conf.Doc, opts Options) error {
	set := slices.Clone(opts.Set)
	if opts.Seed != nil {
		set = append(set, "seed="+strconv.FormatUint(*opts.Seed, 10))
	}
	if opts.Duration != 0 {
		set = append(set, "duration="+opts.Duration.String())
	}
	if opts.Step != 0 {
		set = append(set, "step="+opts.Step.String())
	}
	var errs []error
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("override %q: write KEY=VALUE, such as links.att.up.rate.mean=6Mbit", s))
			continue
		}
		if err := doc.Set(strings.TrimSpace(key), value); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (sc *Scenario) decode(doc *conf.Doc) {
	m := doc.Root().Map()
	sc.name = m.Require("scenario").Name()
	if n, ok := m.Get("description"); ok {
		sc.description = strings.TrimSpace(n.String())
	}
	durationNode := m.Require("duration")
	sc.duration = durationNode.Duration()
	switch {
	case durationNode.Failed():
	case sc.duration == 0:
		durationNode.Errorf("duration 0s: write how long the timeline is, such as 60s")
	case sc.duration > MaxDuration:
		durationNode.Errorf("duration %v: above the longest, %v", sc.duration, MaxDuration)
	}
	sc.step = DefaultStep
	stepNode, hasStep := m.Get("step")
	if hasStep {
		sc.step = stepNode.Duration()
		switch {
		case stepNode.Failed():
			sc.step = DefaultStep
		case sc.step < MinStep:
			stepNode.Errorf("step %v: below the shortest, %v", sc.step, MinStep)
			sc.step = DefaultStep
		case sc.step > MaxDuration:
			stepNode.Errorf("step %v: above the longest duration, %v", sc.step, MaxDuration)
			sc.step = DefaultStep
		}
	}
	sc.seed = DefaultSeed
	if n, ok := m.Get("seed"); ok {
		sc.seed = n.Uint64()
	}
	linksNode := m.Require("links")
	links := linksNode.Map()
	if linksNode.IsMap() && links.Len() == 0 {
		linksNode.Errorf("no links: write at least one, such as {att: {up: {rate: 5Mbit}}}")
	}
	if links.Len() > MaxLinks {
		linksNode.Errorf("%d links: at most %d", links.Len(), MaxLinks)
	}
	if n, ok := m.Get("cells"); ok {
		sc.decodeCells(n)
	}
	links.Each(sc.decodeLink)
	slices.SortFunc(sc.links, func(a, b trace.Link) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(sc.directions, func(a, b direction) int { return a.Compare(b.LinkDir) })
	for _, c := range sc.cells {
		if len(c.links) == 0 {
			sc.warnings = append(sc.warnings, "cells."+c.name+": no link is in it; name it as the cell of one")
		}
	}
	if n, ok := m.Get("correlation"); ok {
		sc.decodeCorrelations(n)
	}
	if n, ok := m.Get("shared_outages"); ok {
		sc.decodeSharedOutages(n)
	}
	if n, ok := m.Get("events"); ok {
		sc.decodeEvents(n)
	}
	m.Done()
	if doc.Err() != nil {
		return
	}
	sc.arrange()
	if n := sc.bound(); n > MaxSteps {
		durationNode.Errorf("up to %d steps: more than %d: shorten the duration or lengthen the step (%v)", n, MaxSteps, sc.step)
	}
}

// arrange puts the layers into the order in which they apply: regimes choose
// the processes, cells share what these give, handovers and outages come on top,
// events last.
func (sc *Scenario) arrange() {
	for _, c := range sc.cells {
		if len(c.links) > 0 {
			sc.layers = append(sc.layers, c)
		}
	}
	rank := func(l layer) int {
		switch l.(type) {
		case *regimes:
			return 0
		case *cell:
			return 1
		case *handovers:
			return 2
		case *outages:
			return 3
		case *sharedOutages:
			return 4
		}
		return 5
	}
	slices.SortStableFunc(sc.layers, func(a, b layer) int { return rank(a) - rank(b) })
}

// bound is how many steps the timeline has at most; where chance has a part, with
// a probability of less than 10^-20 it has more.
func (sc *Scenario) bound() uint64 {
	total := uint64(0)
	for _, d := range sc.directions {
		own, sampled := uint64(1), false
		add := func(n uint64, on bool) { own, sampled = saturatingAdd(own, n), sampled || on }
		for _, m := range d.models {
			add(m.changes(sc.duration, sc.step))
		}
		for _, r := range d.regimes {
			for _, m := range r.models {
				add(m.changes(sc.duration, sc.step))
			}
		}
		for _, l := range sc.layers {
			if l.concerns(d.LinkDir) {
				add(l.changes(sc.duration, sc.step))
			}
		}
		total = saturatingAdd(total, own)
		if sampled {
			total = saturatingAdd(total, samples(sc.duration, sc.step))
		}
	}
	return total
}

func (sc *Scenario) decodeLink(key, value conf.Node) {
	link := trace.Link{Name: key.Name()}
	m := value.Map()
	if n, ok := m.Get("queue"); ok {
		link.Queue = readQueue(n)
	}
	if n, ok := m.Get("slot"); ok {
		link.Slot = readSlot(n)
	}
	if n, ok := m.Get("in_order"); ok {
		link.Overtake = !n.Bool()
	}
	if n, ok := m.Get("cell"); ok {
		sc.joinCell(n, link.Name)
	}
	var sets []*conf.Map // of the regimes
	regimesNode, hasRegimes := m.Get("regimes")
	var chain *regimes
	if hasRegimes {
		if chain, sets = decodeRegimes(link.Name, regimesNode); chain != nil {
			sc.layers = append(sc.layers, chain)
		}
	}
	for _, dir := range []trace.Direction{trace.Down, trace.Up} {
		n, ok := m.Get(dir.String())
		if !ok {
			continue
		}
		if dir == trace.Up {
			link.Up = true
		} else {
			link.Down = true
		}
		sc.directions = append(sc.directions, sc.decodeDirection(trace.LinkDir{Link: link.Name, Dir: dir}, n, chain, sets))
	}
	for i := range sets {
		for _, dir := range []trace.Direction{trace.Down, trace.Up} {
			if n, ok := sets[i].Get(dir.String()); ok && !(link.Up && dir == trace.Up) && !(link.Down && dir == trace.Down) {
				n.Errorf("link %q has no %v: add it to the link, or leave it out here", link.Name, dir)
			}
		}
		sets[i].Done()
	}
	if n, ok := m.Get("handovers"); ok {
		sc.decodeHandovers(&link, n)
	}
	if n, ok := m.Get("outages"); ok {
		sc.decodeOutages(&link, n)
	}
	if value.IsMap() && !link.Up && !link.Down {
		m.Node().Errorf("link %q has no direction: write up (sender → receiver), down or both", link.Name)
	}
	m.Done()
	sc.links = append(sc.links, link)
}

// decodeDirection reads the processes of a direction, and those that it has in
// the regimes of its link.
func (sc *Scenario) decodeDirection(ld trace.LinkDir, n conf.Node, chain *regimes, sets []*conf.Map) direction {
	out := direction{LinkDir: ld}
	m := n.Map()
	out.models = sc.decodeModels(m, ld, "links."+ld.String())
	m.Done()
	everywhere := len(sets) > 0 // every regime has a rate
	for i := range sets {
		r := regime{name: chain.names[i]}
		if n, ok := sets[i].Get(ld.Dir.String()); ok {
			m := n.Map()
			r.models = sc.decodeModels(m, ld, fmt.Sprintf("links.%s.regimes.%s.%v", ld.Link, r.name, ld.Dir))
			m.Done()
		}
		everywhere = everywhere && slices.ContainsFunc(r.models, func(m namedModel) bool { return m.q == rate })
		out.regimes = append(out.regimes, r)
	}
	if _, ok := m.Get("rate"); !ok && !everywhere {
		if len(sets) > 0 {
			m.Node().Errorf("%v has no rate in some regimes: write one here, or in every regime", ld)
		} else {
			m.Require("rate")
		}
	}
	return out
}

// decodeModels reads the models of the quantities that a mapping has.
func (sc *Scenario) decodeModels(m *conf.Map, ld trace.LinkDir, path string) (out []namedModel) {
	for _, q := range quantities() {
		v, ok := m.Get(q.name)
		if !ok {
			continue
		}
		named := namedModel{name: q.name, q: q.q}
		d := decoder{sc: sc, q: q.q, path: path + "." + q.name, name: q.name, ous: &named.ous}
		named.model = d.decode(v)
		out = append(out, named)
	}
	return out
}

// joinCell puts a link into the cell that a node names.
func (sc *Scenario) joinCell(n conf.Node, link string) {
	name := n.Name()
	if n.Failed() {
		return
	}
	var names []string
	for _, c := range sc.cells {
		if c.name == name {
			c.links = append(c.links, link)
			return
		}
		names = append(names, c.name)
	}
	if names == nil {
		n.Errorf("no cell %q: describe it under the scenario's cells", name)
	} else {
		n.Errorf("no cell %q: %s", name, suggest.Among(name, names))
	}
}

// readSlot reads the intervals at which packets leave.
func readSlot(n conf.Node) *trace.Slot {
	out := &trace.Slot{}
	m := n.Map()
	minNode := m.Require("min")
	out.Min = readDelay(minNode)
	out.Max = out.Min
	if k, ok := m.Get("max"); ok {
		if out.Max = readDelay(k); !k.Failed() && !minNode.Failed() && out.Max < out.Min {
			k.Errorf("max lies below min: exchange them")
		}
	}
	if !minNode.Failed() && minNode.Present() && out.Max == 0 {
		minNode.Errorf("slot 0s: write a time above 0, or leave slot out")
	}
	if k, ok := m.Get("packets"); ok {
		if out.Packets = k.Int(); !k.Failed() && (out.Packets < 1 || out.Packets > trace.MaxSlotPackets) {
			k.Errorf("%d packets: outside 1 to %d", out.Packets, trace.MaxSlotPackets)
		}
	}
	if k, ok := m.Get("bytes"); ok {
		if out.Bytes = k.Bytes(); !k.Failed() && (out.Bytes < 1 || out.Bytes > trace.MaxSlotBytes) {
			k.Errorf("%d bytes: outside 1 to %d", out.Bytes, trace.MaxSlotBytes)
		}
	}
	m.Done()
	return out
}

// readQueue reads a drop-tail queue's limit, in bytes or as a waiting time.
func readQueue(n conf.Node) *trace.Queue {
	q := &trace.Queue{Kind: trace.DropTail}
	s := n.String()
	if n.Failed() {
		return q
	}
	if limit, err := trace.ParseBytes(s); err == nil {
		q.LimitBytes = limit
	} else if d, err := time.ParseDuration(s); err == nil {
		q.LimitTime = d
	} else {
		n.Errorf("queue %q: write its limit in bytes, such as 300KB, or as a waiting time, such as 200ms", s)
		return q
	}
	switch {
	case q.LimitTime > trace.MaxDelay:
		n.Errorf("queue %v: above the longest waiting time, %v", q.LimitTime, trace.MaxDelay)
	case q.LimitBytes <= 0 && q.LimitTime <= 0:
		n.Errorf("queue %q: write a limit above 0", s)
	}
	return q
}

// Name returns the scenario's name.
func (sc *Scenario) Name() string { return sc.name }

// Description returns the scenario's description, which may be empty.
func (sc *Scenario) Description() string { return sc.description }

// Step returns the sampling interval of the random processes.
func (sc *Scenario) Step() time.Duration { return sc.step }

// Warnings returns what is doubtful but usable, one line each.
func (sc *Scenario) Warnings() []string { return sc.warnings }

// Meta returns the timeline's metadata. Meta.Scenario is the file with the
// overrides in it: parsed without options it gives the same timeline.
func (sc *Scenario) Meta() trace.Meta {
	links := slices.Clone(sc.links)
	for i := range links {
		if q := links[i].Queue; q != nil {
			copied := *q
			links[i].Queue = &copied
		}
		if s := links[i].Slot; s != nil {
			copied := *s
			links[i].Slot = &copied
		}
	}
	return trace.Meta{
		Duration:  sc.duration,
		Links:     links,
		Generator: Generator,
		Scenario:  sc.text,
		Seed:      sc.seed,
	}
}

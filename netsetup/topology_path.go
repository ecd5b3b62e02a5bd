package netsetup

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"linktape/internal/conf"
	"linktape/trace"
)

// parsePath reads the mapping of a path into a link; a tape's name is relative
// to dir:
//
//	path:
//	  delay: 250ms                  # as beside path
//	  jitter: 10ms                  # standard deviation; packets stay in order
//	  in_order: false               # jitter lets packets overtake one another
//	  distribution: pareto          # normal (default), pareto, paretonormal
//	  distribution: {tape: field.tape, of: sat.up}
//	  loss: 1%
//	  loss: {model: ge-packet, p: 1%, r: 10%, loss_bad: 1, loss_good: 0}
//	  loss: {model: markov, p13: 1%, p31: 20%, p32: 30%, p23: 0.4%, p14: 5%}
//	  ecn: true                     # mark in place of losing
//	  duplicate: 0.1%
//	  corrupt: 0.01%
//	  reorder: 25%                  # of every gap-th packet
//	  gap: 5
//	  slot: {min: 800us, max: 1ms, packets: 64, bytes: 100KB}
//	  slot: {distribution: normal, delay: 10ms, jitter: 2ms}
//	  seed: 42
func parsePath(n conf.Node, l *Link, doc *conf.Doc, dir string) {
	before := faults(doc)
	m := n.Map()
	i := &l.Impair
	l.Path = PathNetem
	if d, ok := m.Get("delay"); ok {
		if l.Delay != 0 {
			d.Errorf("the link has a delay already: write one of the two")
		}
		l.Delay = d.Duration()
	}
	if j, ok := m.Get("jitter"); ok {
		i.Jitter = j.Duration()
		if !j.Failed() && i.Jitter > MaxNetemJitter {
			j.Errorf("jitter above %v", MaxNetemJitter)
		}
	}
	if o, ok := m.Get("in_order"); ok {
		i.Overtake = !o.Bool()
	}
	if d, ok := m.Get("distribution"); ok {
		i.Distribution = parseDistribution(d, dir)
	}
	if x, ok := m.Get("loss"); ok {
		parseLoss(x, i)
	}
	if x, ok := m.Get("ecn"); ok {
		i.ECN = x.Bool()
	}
	for _, p := range []struct {
		key string
		to  *trace.Prob
	}{{"duplicate", &i.Duplicate}, {"corrupt", &i.Corrupt}, {"reorder", &i.Reorder}} {
		if x, ok := m.Get(p.key); ok {
			*p.to = x.Prob()
		}
	}
	if x, ok := m.Get("gap"); ok {
		v := x.Int()
		if !x.Failed() && (v < 1 || v > math.MaxUint32) {
			x.Errorf("gap outside 1 to %d packets", uint32(math.MaxUint32))
		}
		i.Gap = uint32(v)
	}
	if x, ok := m.Get("slot"); ok {
		parseSlots(x, i, dir)
	}
	if x, ok := m.Get("seed"); ok {
		i.Seed = x.Uint64()
	}
	m.Done()
	// What fits together can only be said of parts that are right.
	if faults(doc) == before {
		if err := l.checkPath(); err != nil {
			n.Errorf("%v", err)
		}
	}
}

// faults counts what is wrong in a document so far.
func faults(doc *conf.Doc) int {
	var e *conf.Error
	if errors.As(doc.Err(), &e) {
		return len(e.Faults)
	}
	return 0
}

func parseLoss(n conf.Node, i *Impairments) {
	if !n.IsMap() {
		i.Loss = n.Prob()
		return
	}
	m := n.Map()
	prob := func(key string, def trace.Prob) trace.Prob {
		if x, ok := m.Get(key); ok {
			return x.Prob()
		}
		return def
	}
	switch model := m.Require("model"); model.OneOf("ge-packet", "markov") {
	case "ge-packet":
		i.GE = trace.GE{P: m.Require("p").Prob(), R: m.Require("r").Prob(), LossBad: prob("loss_bad", 1), LossGood: prob("loss_good", 0)}
		if !n.Failed() && !i.GE.Enabled() {
			n.Errorf("a chain of zeros loses nothing: leave the loss out")
		}
	case "markov":
		// tc's defaults: iproute2 tc/q_netem.c, "loss state".
		i.Markov.P13 = m.Require("p13").Prob()
		i.Markov.P31 = prob("p31", 1-i.Markov.P13)
		i.Markov.P32 = prob("p32", 0)
		i.Markov.P23 = prob("p23", 1)
		i.Markov.P14 = prob("p14", 0)
	default:
		return // what else is there belongs to a model that is not known
	}
	m.Done()
}

func parseSlots(n conf.Node, i *Impairments, dir string) {
	m := n.Map()
	s := &i.Slots
	if d, ok := m.Get("distribution"); ok {
		i.SlotShape = parseDistribution(d, dir)
		s.DistDelay, s.DistJitter = m.Require("delay").Duration(), m.Require("jitter").Duration()
	} else {
		s.MinDelay = m.Require("min").Duration()
		s.MaxDelay = s.MinDelay
		if x, ok := m.Get("max"); ok {
			s.MaxDelay = x.Duration()
		}
	}
	size := func(key string, read func(conf.Node) int64) int32 {
		x, ok := m.Get(key)
		if !ok {
			return 0
		}
		v := read(x)
		if !x.Failed() && (v < 1 || v > math.MaxInt32) {
			x.Errorf("%s outside 1 to %d", key, math.MaxInt32)
		}
		return int32(v)
	}
	s.MaxPackets = size("packets", conf.Node.Int)
	s.MaxBytes = size("bytes", conf.Node.Bytes)
	m.Done()
}

func parseDistribution(n conf.Node, dir string) (d Distribution) {
	if !n.IsMap() {
		d.Name = n.OneOf(Normal, Pareto, ParetoNormal)
		return d
	}
	m := n.Map()
	file, of := m.Require("tape"), m.Require("of")
	name, direction := file.String(), of.String()
	m.Done()
	if file.Failed() || of.Failed() {
		return d
	}
	ld, err := trace.ParseLinkDir(direction)
	if err != nil {
		of.Errorf("%v", err)
		return d
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	tape, err := trace.Open(name)
	if err != nil {
		file.Errorf("%v", err)
		return d
	}
	defer tape.Close()
	if d.Table, err = DelayDistribution(tape, ld); err != nil {
		of.Errorf("%v: %v", ld, err)
	}
	d.Name = fmt.Sprintf("%v of %s", ld, filepath.Base(name))
	return d
}

package trial

import (
	"os"
	"path/filepath"
	"strings"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trial/metrics"
	"linktape/trial/stack"
)

// Parse reads a trial file. dir is where files are that it names. Faults are a
// [conf.Error] that names them all.
func Parse(name string, data []byte, dir string) (*File, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	f := &File{Stack: "librist", Rate: DefaultRate, Buffer: DefaultBuffer}
	m := doc.Root().Map()
	f.Name = m.Require(trialKey).Name()
	f.source(m, dir)
	if n, ok := m.Get("stack"); ok {
		f.Stack = n.OneOf(stack.Names()...)
	}
	if n, ok := m.Get("options"); ok {
		n.Map().Each(func(key, value conf.Node) { f.Options = append(f.Options, key.String()+"="+value.String()) })
	}
	for _, c := range []struct {
		key string
		to  *string
	}{{"sender", &f.Pair.Sender}, {"receiver", &f.Pair.Receiver}} {
		if n, ok := m.Get(c.key); ok {
			*c.to = n.String()
			if f.Stack != "exec" {
				m.Key(c.key).Errorf("%s goes with stack: exec", c.key)
			}
		}
	}
	if n, ok := m.Get("rate"); ok {
		if f.Rate = n.Rate(); !n.Failed() && (f.Rate < MinRate || f.Rate > MaxRate) {
			n.Errorf("rate %v: from %v to %v", f.Rate, MinRate, MaxRate)
		}
	}
	if n, ok := m.Get("buffer"); ok {
		if f.Buffer = n.Duration(); !n.Failed() && (f.Buffer < MinBuffer || f.Buffer > MaxBuffer) {
			n.Errorf("buffer %v: from %v to %v", f.Buffer, MinBuffer, MaxBuffer)
		}
	}
	if n, ok := m.Get("duration"); ok {
		f.Duration = n.Duration()
	}
	if n, ok := m.Get("seed"); ok {
		seed := n.Uint64()
		f.Seed = &seed
	}
	if n, ok := m.Get("set"); ok {
		n.Map().Each(func(key, value conf.Node) { f.Set = append(f.Set, key.String()+"="+value.String()) })
	}
	if n, ok := m.Get("links"); ok {
		for _, l := range n.List() {
			f.Links = append(f.Links, l.Name())
		}
	}
	if n, ok := m.Get("topology"); ok {
		f.Topology = beside(dir, n.String())
	}
	if n, ok := m.Get("cross"); ok {
		for _, x := range n.List() {
			f.Cross = append(f.Cross, parseCross(x))
		}
	}
	if n, ok := m.Get("thresholds"); ok {
		n.Map().Each(func(key, value conf.Node) {
			if err := metrics.CheckName(key.String()); err != nil {
				key.Errorf("%v", err)
			}
			f.Thresholds = append(f.Thresholds, parseThreshold(key, value))
		})
	}
	m.Done()
	return f, doc.Err()
}

// source reads which tape is played.
func (f *File) source(m *conf.Map, dir string) {
	scenario, hasScenario := m.Get("scenario")
	tape, hasTape := m.Get("tape")
	switch {
	case hasScenario && hasTape:
		m.Key("tape").Errorf("scenario and tape: one of them")
	case hasTape:
		f.Source = beside(dir, tape.String())
	case hasScenario:
		f.Source = scenario.String()
		if p := beside(dir, f.Source); strings.ContainsAny(f.Source, `/.`) || exists(p) {
			f.Source = p
		}
	default:
		m.Node().Errorf("scenario or tape: name what is played")
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// beside is a file that a trial file names, from its own folder.
func beside(dir, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	if p := filepath.Join(dir, name); strings.ContainsRune(p, filepath.Separator) {
		return p
	}
	return "." + string(filepath.Separator) + name
}

func parseCross(n conf.Node) (x Cross) {
	m := n.Map()
	x.Link = m.Require("link").Name()
	x.Dir = trace.Up.String()
	if d, ok := m.Get("dir"); ok {
		x.Dir = d.OneOf(trace.Up.String(), trace.Down.String())
	}
	x.Kind = m.Require("kind").OneOf(CrossTCP, CrossUDP)
	congestion, hasCongestion := m.Get("congestion")
	rate, hasRate := m.Get("rate")
	on, hasOn := m.Get("on")
	off, hasOff := m.Get("off")
	switch x.Kind {
	case CrossTCP:
		x.Congestion = "cubic"
		if hasCongestion {
			x.Congestion = congestion.OneOf(congestions()...)
		}
		for _, k := range []struct {
			key string
			has bool
		}{{"rate", hasRate}, {"on", hasOn}, {"off", hasOff}} {
			if k.has {
				m.Key(k.key).Errorf("%s goes with kind: udp; TCP sends as fast as it can", k.key)
			}
		}
	case CrossUDP:
		if !hasRate {
			n.Errorf("kind: udp needs a rate")
		} else if x.Rate = rate.Rate(); !rate.Failed() && (x.Rate <= 0 || x.Rate > maxCross) {
			rate.Errorf("rate %v: above 0, up to %v", x.Rate, maxCross)
		}
		if hasCongestion {
			m.Key("congestion").Errorf("congestion goes with kind: tcp")
		}
		if hasOn != hasOff {
			n.Errorf("on and off: both or neither")
		} else if hasOn {
			for _, d := range []conf.Node{on, off} {
				if v := d.Duration(); !d.Failed() && v <= 0 {
					d.Errorf("longer than nothing")
				}
			}
			x.On, x.Off = on.Duration(), off.Duration()
		}
	}
	if a, ok := m.Get("at"); ok {
		x.At = a.Duration()
	}
	if d, ok := m.Get("duration"); ok {
		x.Duration = d.Duration()
	}
	m.Done()
	return x
}

// parseThreshold reads METRIC: MAX, or METRIC: {min: …, max: …}. A share may be
// written as a percentage.
func parseThreshold(key, value conf.Node) (t Threshold) {
	t.Metric = key.String()
	number := func(n conf.Node) *float64 {
		var v float64
		if strings.HasSuffix(strings.TrimSpace(n.String()), "%") {
			v = float64(n.Prob())
		} else {
			v = n.Float()
		}
		return &v
	}
	if !value.IsMap() {
		t.Max = number(value)
		return t
	}
	m := value.Map()
	if n, ok := m.Get("min"); ok {
		t.Min = number(n)
	}
	if n, ok := m.Get("max"); ok {
		t.Max = number(n)
	}
	if t.Min == nil && t.Max == nil {
		value.Errorf("min, max, or both")
	}
	m.Done()
	return t
}

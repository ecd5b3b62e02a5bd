package netsetup

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"linktape/trace"
)

// Demand is what a tape asks of one link's bottleneck, over both directions.
type Demand struct {
	ShortestStep time.Duration
	LowestRate   trace.BitRate // 0 with stalls or a missing carrier
	HighestRate  trace.BitRate
	Fine         float64 // share of the steps that hold no longer than pulseStep

	// ShortestPass is the shortest step that lets anything pass; 0: none does.
	ShortestPass time.Duration
}

// DemandsOf reads a tape to its end and returns what it asks of each link.
func DemandsOf(tape *trace.Reader) (map[string]Demand, error) {
	type last struct {
		at     time.Duration
		begun  bool
		passes bool
	}
	demands := make(map[string]Demand)
	lasts := make(map[trace.LinkDir]last)
	type count struct{ fine, all int }
	counts := make(map[string]count)
	held := func(link string, d time.Duration, passes bool) {
		x, c := demands[link], counts[link]
		if passes && (x.ShortestPass == 0 || d < x.ShortestPass) {
			x.ShortestPass = d
		}
		c.all++
		if d <= pulseStep {
			c.fine++
		}
		counts[link] = c
		x.ShortestStep, x.Fine = min(x.ShortestStep, d), float64(c.fine)/float64(c.all)
		demands[link] = x
	}
	buf := make([]trace.Step, 1024)
	for {
		n, err := tape.Read(buf)
		for i := range buf[:n] {
			s := &buf[i]
			rate := s.Capacity()
			d, ok := demands[s.Link]
			if !ok {
				d = Demand{ShortestStep: tape.Meta().Duration, LowestRate: rate, HighestRate: rate}
			}
			d.LowestRate, d.HighestRate = min(d.LowestRate, rate), max(d.HighestRate, rate)
			demands[s.Link] = d
			if l := lasts[s.LinkDir()]; l.begun {
				held(s.Link, s.At-l.at, l.passes)
			}
			lasts[s.LinkDir()] = last{s.At, true, rate > 0}
		}
		switch {
		case err == io.EOF:
			for ld, l := range lasts {
				held(ld.Link, tape.Meta().Duration-l.at, l.passes)
			}
			return demands, nil
		case err != nil:
			return nil, fmt.Errorf("read tape: %w", err)
		}
	}
}

// evenStep is the shortest step from which on htb follows a tape more evenly
// than tbf does (docs/bottlenecks.md; root mean square difference in bins of
// 20 ms, rates of 12 to 60 Mbit/s: 0.018 against 0.009 at 20 ms, 0.016 against
// 0.032 at 40 ms, 0.010 against 0.026 at 100 ms). tbf begins each step with a
// burst of 1 ms; htb has none, but waits at each for a packet's time.
const evenStep = 40 * time.Millisecond

// pulseStep is the longest step of a tape that auto plays by pulses. Up to there
// they follow every tape that was measured more closely than the others, or as
// closely (docs/accuracy.md, docs/bottlenecks.md), since all of a tick's packets
// go at its start; they take a change every DefaultTick, for which longer steps
// give no reason.
const pulseStep = 100 * time.Millisecond

// ChooseShaper is the choice of [ShaperAuto]: the bottleneck with the smaller
// measured error for what a tape demands of a link with an MTU in bytes, and
// why. Totals are the tape's with both; they differ in how evenly they deliver
// within a step. demand nil means that the tape is not known.
func ChooseShaper(demand *Demand, mtu int, f Features) (kind ShaperKind, why string) {
	// What takes a packet longer than a timer's lateness, htb leaves to a tbf.
	even := trace.BitRate(float64(8*mtu) / lateness.Seconds())
	switch {
	case demand != nil && demand.ShortestPass > 0 && demand.ShortestPass < leastStep && f.EDT:
		return ShaperEDT, fmt.Sprintf("packets pass for %v at a time, such as delivery opportunities have it: qdiscs take steps from %v on", demand.ShortestPass, leastStep)
	case demand == nil:
		return ShaperTBF, "follows every step and rate; the tape is not known"
	case demand.Fine > 0.5 && f.Plug && f.PulseKept:
		return ShaperPulse, fmt.Sprintf("%.0f %% of the steps are of %v at most: the packets of each %v go at its start, which follows them most closely", 100*demand.Fine, pulseStep, DefaultTick)
	case demand.LowestRate == 0:
		return ShaperTBF, fmt.Sprintf("the tape stalls the link: as exact as htb there, and of fewer parts (steps from %v, rates up to %v)", demand.ShortestStep, demand.HighestRate)
	case demand.LowestRate < even:
		return ShaperTBF, fmt.Sprintf("rates go down to %v: below %v htb leaves the shaping to a tbf", demand.LowestRate, even)
	case demand.ShortestStep < evenStep:
		return ShaperTBF, fmt.Sprintf("steps from %v: below %v it follows the tape more closely than htb", demand.ShortestStep, evenStep)
	case !f.HTB:
		return ShaperTBF, "this kernel has no htb"
	}
	return ShaperHTB, fmt.Sprintf("steps from %v and rates from %v: more even within a step than tbf, which begins each with a burst", demand.ShortestStep, demand.LowestRate)
}

// Choose replaces [ShaperAuto] in every link, by what a tape demands of it;
// demands may be nil. It changes nothing else.
func (t *Topology) Choose(demands map[string]Demand, f Features) {
	for i := range t.Links {
		l := &t.Links[i]
		if l.Shaper != ShaperAuto {
			continue
		}
		var demand *Demand
		if d, ok := demands[l.Name]; ok {
			demand = &d
		}
		able := f
		exact := *l
		exact.Shaper = ShaperEDT
		able.EDT = able.EDT && !l.OnlyQdiscs && l.Path != PathNone && exact.checkExact() == nil
		able.Plug = able.Plug && l.Tree == TreeSeparated && (able.Prio || l.Queue.Kind == trace.DropTail) // pulses need these
		l.Shaper, l.Why = ChooseShaper(demand, l.MTU, able)
	}
}

// chosen returns the topology with every auto replaced: itself where there is
// none.
func (t *Topology) chosen(f Features) *Topology {
	if !slices.ContainsFunc(t.Links, func(l Link) bool { return l.Shaper == ShaperAuto }) {
		return t
	}
	c := *t
	c.Links = slices.Clone(t.Links)
	c.Choose(nil, f)
	return &c
}

// Choices says what was chosen and why, a line for each reason; none where
// every shaper was asked for by name.
func (t *Topology) Choices() []string {
	type choice struct {
		shaper ShaperKind
		why    string
	}
	var order []choice
	links := make(map[choice][]string)
	for _, l := range t.Links {
		if l.Why == "" {
			continue
		}
		c := choice{l.Shaper, l.Why}
		if links[c] == nil {
			order = append(order, c)
		}
		links[c] = append(links[c], l.Name)
	}
	var out []string
	for _, c := range order {
		out = append(out, fmt.Sprintf("%s for %s: %s", c.shaper, strings.Join(links[c], ", "), c.why))
	}
	return out
}

package netsetup

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/trace"

	"github.com/google/go-cmp/cmp"
)

// The choice follows the measured errors, and says by what.
func TestChooseShaper(t *testing.T) {
	fast := Demand{ShortestStep: 100 * time.Millisecond, LowestRate: 12 * trace.Mbit, HighestRate: 50 * trace.Mbit}
	for _, c := range []struct {
		name   string
		demand *Demand
		edit   func(d *Demand)
		mtu    int
		f      Features
		want   ShaperKind
		why    string
	}{
		{"no tape", nil, nil, 1500, allFeatures, ShaperTBF, "follows every step and rate; the tape is not known"},
		{"even", &fast, nil, 1500, allFeatures, ShaperHTB, "steps from 100ms and rates from 12Mbit: more even"},
		{"jumbo frames", &fast, nil, 9000, allFeatures, ShaperTBF, "rates go down to 12Mbit: below 72Mbit"},
		{"just long enough", &fast, func(d *Demand) { d.ShortestStep = 40 * time.Millisecond }, 1500, allFeatures, ShaperHTB, "steps from 40ms"},
		{"short", &fast, func(d *Demand) { d.ShortestStep-- }, 1500, allFeatures, ShaperHTB, "steps from 99.999999ms"},
		{"shorter", &fast, func(d *Demand) { d.ShortestStep = 39 * time.Millisecond }, 1500, allFeatures, ShaperTBF, "steps from 39ms: below 40ms"},
		{"slow", &fast, func(d *Demand) { d.LowestRate-- }, 1500, allFeatures, ShaperTBF, "rates go down to 11999.999kbit: below 12Mbit"},
		{"stalls", &fast, func(d *Demand) { d.LowestRate = 0 }, 1500, allFeatures, ShaperTBF, "the tape stalls the link"},
		{"fine", &fast, func(d *Demand) { d.Fine = 0.6 }, 1500, allFeatures, ShaperPulse, "60 % of the steps are of 100ms at most: the packets of each 5ms"},
		{"fine, with stalls", &fast, func(d *Demand) { d.Fine, d.LowestRate = 1, 0 }, 1500, allFeatures, ShaperPulse, "100 % of the steps"},
		{"fine, without plug", &fast, func(d *Demand) { d.Fine, d.LowestRate = 1, 0 }, 1500, Features{HTB: true}, ShaperTBF, "the tape stalls the link"},
		{"fine, where pulses are lost", &fast, func(d *Demand) { d.Fine, d.LowestRate = 1, 0 }, 1500, Features{HTB: true, Plug: true}, ShaperTBF, "the tape stalls the link"},
		{"hardly fine", &fast, func(d *Demand) { d.Fine = 0.5 }, 1500, allFeatures, ShaperHTB, "steps from 100ms"},
		{"no htb", &fast, nil, 1500, Features{}, ShaperTBF, "this kernel has no htb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			demand := c.demand
			if c.edit != nil {
				d := *demand
				c.edit(&d)
				demand = &d
			}
			got, why := ChooseShaper(demand, c.mtu, c.f)
			if got != c.want || !strings.HasPrefix(why, c.why) {
				t.Errorf("got  %s: %s\nwant %s: %s", got, why, c.want, c.why)
			}
		})
	}
}

func TestDemandsOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.tape")
	step := func(at time.Duration, link string, d trace.Direction, rate trace.BitRate, carrier bool) trace.Step {
		return trace.Step{At: at, Link: link, Dir: d, State: trace.State{Rate: rate, Carrier: carrier}}
	}
	err := trace.WriteFile(file, &trace.Timeline{
		Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "a", Up: true, Down: true}, {Name: "b", Up: true}, {Name: "c", Up: true}}},
		Steps: []trace.Step{
			step(0, "a", trace.Down, 3*trace.Mbit, true),
			step(0, "a", trace.Up, 5*trace.Mbit, true),
			step(0, "b", trace.Up, 7*trace.Mbit, true),
			step(0, "c", trace.Up, 9*trace.Mbit, true),
			step(300*time.Millisecond, "a", trace.Up, 2*trace.Mbit, true),
			step(400*time.Millisecond, "a", trace.Down, 8*trace.Mbit, true), // other steps between
			step(900*time.Millisecond, "b", trace.Up, 7*trace.Mbit, false),
			step(998*time.Millisecond, "b", trace.Up, 6*trace.Mbit, true),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tape, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	got, err := DemandsOf(tape)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Demand{
		"a": {300 * time.Millisecond, 2 * trace.Mbit, 8 * trace.Mbit, 0, 300 * time.Millisecond},
		"b": {2 * time.Millisecond, 0, 7 * trace.Mbit, 2. / 3, 2 * time.Millisecond}, // to the tape's end
		"c": {time.Second, 9 * trace.Mbit, 9 * trace.Mbit, 0, time.Second},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Auto takes nothing that the link's tree or queue cannot have.
func TestChoosePossible(t *testing.T) {
	fine := map[string]Demand{"a": {20 * time.Millisecond, 0, trace.Mbit, 1, 20 * time.Millisecond}}
	noPrio := allFeatures
	noPrio.Prio = false
	for _, c := range []struct {
		name string
		tree TreeKind
		kind trace.QueueKind
		f    Features
		want ShaperKind
	}{
		{"separated", TreeSeparated, trace.DropTail, allFeatures, ShaperPulse},
		{"nested", TreeNested, trace.DropTail, allFeatures, ShaperTBF},
		{"egress", TreeEgress, trace.DropTail, allFeatures, ShaperTBF},
		{"codel", TreeSeparated, CoDel, allFeatures, ShaperPulse},
		{"codel without prio", TreeSeparated, CoDel, noPrio, ShaperTBF},
		{"without prio", TreeSeparated, trace.DropTail, noPrio, ShaperPulse},
	} {
		l := DefaultLink("a")
		l.Tree, l.Queue.Kind = c.tree, c.kind
		topology := &Topology{Links: []Link{l}}
		topology.Choose(fine, c.f)
		if got := topology.Links[0].Shaper; got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if err := topology.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Auto takes departures by arithmetic for what no qdisc can be told in time, where link
// and kernel can have them.
func TestChooseExact(t *testing.T) {
	pulses := map[string]Demand{"a": {time.Microsecond, 0, 12 * trace.Gbit, 1, time.Microsecond}}
	noEDT := allFeatures
	noEDT.EDT = false
	for _, c := range []struct {
		name string
		edit func(l *Link)
		f    Features
		want ShaperKind
	}{
		{"plain", func(*Link) {}, allFeatures, ShaperEDT},
		{"kernel without", func(*Link) {}, noEDT, ShaperPulse},
		{"backend: qdisc", func(l *Link) { l.OnlyQdiscs = true }, allFeatures, ShaperPulse},
		{"bridge", func(l *Link) { l.Bridge = true }, allFeatures, ShaperPulse},
		{"slots", func(l *Link) { l.Impair.Slots = NetemSlots{MinDelay: time.Millisecond, MaxDelay: time.Millisecond} }, allFeatures, ShaperPulse},
	} {
		l := DefaultLink("a")
		c.edit(&l)
		topology := &Topology{Links: []Link{l}}
		topology.Choose(pulses, c.f)
		if got := topology.Links[0].Shaper; got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// Only auto is replaced; what is planned says so, and what was given stays.
func TestChoose(t *testing.T) {
	topology := &Topology{Links: []Link{DefaultLink("a"), DefaultLink("b"), DefaultLink("c"), DefaultLink("d")}}
	topology.Links[1].UseShaper(ShaperCAKE)
	p, err := NewPlan("x", topology, allFeatures)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []ShaperKind{ShaperTBF, ShaperCAKE, ShaperTBF, ShaperTBF} {
		if got := p.Topology.Links[i].Shaper; got != want {
			t.Errorf("link %d: %s, want %s", i, got, want)
		}
	}
	if topology.Links[0].Shaper != ShaperAuto {
		t.Error("the topology that was given is changed")
	}
	topology.Choose(map[string]Demand{"c": {time.Second, 20 * trace.Mbit, 20 * trace.Mbit, 0, time.Second}}, allFeatures)
	want := []string{
		"tbf for a, d: follows every step and rate; the tape is not known",
		"htb for c: steps from 1s and rates from 20Mbit: more even within a step than tbf, which begins each with a burst",
	}
	if d := cmp.Diff(want, topology.Choices()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

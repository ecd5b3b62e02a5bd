package report

import (
	"strings"
	"testing"
	"time"
)

func compare(t *testing.T, a, b *made) *Comparison {
	t.Helper()
	c, err := Compare(a.write(t, false), b.write(t, false), DefaultTolerance)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompareSame(t *testing.T) {
	a, b := make10s(), make10s()
	b.manifest.Tape, b.manifest.Host, b.manifest.SHA256 = "other.tape", "bigger", strings.Repeat("6c", 32)
	for i := range b.log { // within the tolerance, and other traffic
		b.log[i].Sent += 9e6
		b.log[i].Acked += 9e6
		b.log[i].Backlog = 7
	}
	c := compare(t, a, b)
	if !c.Same || len(c.Settings)+len(c.Examples) != 0 || len(c.Remarks) != 3 {
		t.Errorf("got %+v", c)
	}
	up := c.Links[1]
	if want := (LinkCompared{Link: "a", Dir: "up", Steps: 100, Apart: 9 * time.Millisecond, PacketsA: 9000, PacketsB: 9000, LostA: 90, LostB: 90}); up != want {
		t.Errorf("got %+v, want %+v", up, want)
	}
}

func TestCompareDiffers(t *testing.T) {
	const n = 31 // a step of up
	for _, c := range []struct {
		name   string
		change func(*made)
		want   string // the example, setting or remark
		link   LinkCompared
	}{
		{"rate", func(m *made) { m.log[n].Rate++ }, "a.up at 1.5s: rate: A 8Mbit, B 8000.001kbit", LinkCompared{Steps: 100, Values: 1}},
		{"delay", func(m *made) { m.log[n].Delay = 1 }, "a.up at 1.5s: delay: A 30ms, B 1ns", LinkCompared{Steps: 100, Values: 1}},
		{"chain", func(m *made) { m.log[n].GEP = 0.5 }, "a.up at 1.5s: gemodel p: A 0%, B 50%", LinkCompared{Steps: 100, Values: 1}},
		{"carrier", func(m *made) { m.log[n].Carrier = false }, "a.up at 1.5s: carrier: A true, B false", LinkCompared{Steps: 100, Values: 1}},
		{"label", func(m *made) { m.log[n].Label = "x" }, "a.up at 1.5s: label: A , B x", LinkCompared{Steps: 100, Values: 1}},
		{"due", func(m *made) { m.log[n].Due++ }, "a.up at 1.5s: due: A 1.5s, B 1.500000001s", LinkCompared{Steps: 100, Values: 1}},
		{"timing", func(m *made) { m.log[n].Acked += 11e6 }, "a.up at 1.5s: applied 11ms apart: A at 1.5s, B at 1.511s", LinkCompared{Steps: 100, Timing: 1, Apart: 11 * time.Millisecond}},
		{"ended early", func(m *made) { m.log = m.log[:192] }, "a.up at 9.6s: B ends before it", LinkCompared{Steps: 96, OnlyA: 4}},
		{"losses", func(m *made) { m.counters[199].PathDrops++ }, "", LinkCompared{Steps: 100, Losses: true}},
		{"other traffic", func(m *made) { m.counters[199].PathDrops++; m.counters[199].Packets++ }, "same", LinkCompared{Steps: 100}},
		{"shaper", func(m *made) { m.manifest.Links[1].Shaper = "htb" }, "shaper of a.up: tbf, htb", LinkCompared{Steps: 100}},
		{"rates only", func(m *made) { m.manifest.RatesOnly = true }, "rates only: false, true", LinkCompared{Steps: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := make10s(), make10s()
			c.change(b)
			got := compare(t, a, b)
			if same := c.want == "same"; got.Same != same {
				t.Errorf("same: %v", got.Same)
			}
			var said []string
			for _, e := range got.Examples {
				what := strings.ReplaceAll(strings.ReplaceAll(e.What, got.A, "A"), got.B, "B")
				said = append(said, e.Link+"."+e.Dir+" at "+e.Due.String()+": "+what)
			}
			for _, s := range got.Settings {
				said = append(said, s.Name+": "+s.A+", "+s.B)
			}
			if text := strings.Join(said, "\n"); c.want != "same" && !strings.Contains(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
			up := got.Links[1]
			up.Link, up.Dir, up.PacketsA, up.PacketsB, up.LostA, up.LostB = "", "", 0, 0, 0, 0
			if c.link.Apart == 0 {
				up.Apart = 0
			}
			if up != c.link {
				t.Errorf("got %+v, want %+v", up, c.link)
			}
			// The other way round it is the same answer.
			if back := compare(t, b, a); back.Same != got.Same || back.Links[1].Values != got.Links[1].Values || back.Links[1].OnlyB != got.Links[1].OnlyA {
				t.Errorf("the other way round: %+v", back.Links[1])
			}
		})
	}
}

// Directions may come in another order, and only so many examples are listed.
func TestCompareOrder(t *testing.T) {
	a, b := make10s(), make10s()
	for i := 0; i+1 < len(b.log); i += 2 {
		b.log[i], b.log[i+1] = b.log[i+1], b.log[i]
	}
	if c := compare(t, a, b); !c.Same {
		t.Errorf("got %+v", c)
	}
	for i := range b.log {
		b.log[i].Jitter = 5
	}
	if c := compare(t, a, b); len(c.Examples) != 2*mostExamples || c.Links[0].Values != 100 {
		t.Errorf("got %d examples, %+v", len(c.Examples), c.Links[0])
	}
}

func TestCompareWithoutCounters(t *testing.T) {
	a, b := make10s(), make10s()
	b.manifest.Counters = 0
	c := compare(t, a, b)
	if !c.Same || len(c.Remarks) != 1 || c.Links[0].LostA != -1 {
		t.Errorf("got %+v", c)
	}
	if _, err := Compare(a.write(t, false), t.TempDir(), 0); err == nil || !strings.Contains(err.Error(), "name folders that replay run --out wrote") {
		t.Errorf("got error %v", err)
	}
}

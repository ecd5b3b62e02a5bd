package netsetup

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/trace"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Every form of a path, as it is written and as it is meant.
func TestParsePath(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		text string
		want func(l *Link)
	}{
		{"{delay: 250ms}", func(l *Link) { l.Delay = 250 * ms }},
		{"{delay: 250ms, jitter: 10ms}", func(l *Link) { l.Delay, l.Impair.Jitter = 250*ms, 10*ms }},
		{"{delay: 250ms, jitter: 10ms, in_order: false, distribution: pareto}", func(l *Link) {
			l.Delay, l.Impair = 250*ms, Impairments{Jitter: 10 * ms, Overtake: true, Distribution: Distribution{Name: Pareto}}
		}},
		{"{in_order: true}", func(l *Link) {}},
		{"{loss: 1%}", func(l *Link) { l.Impair.Loss = 0.01 }},
		{"{loss: {model: ge-packet, p: 1%, r: 10%}}", func(l *Link) { l.Impair.GE = trace.GE{P: 0.01, R: 0.1, LossBad: 1} }},
		{"{loss: {model: ge-packet, p: 1%, r: 10%, loss_bad: 70%, loss_good: 0.1%}, ecn: true}", func(l *Link) {
			l.Impair = Impairments{GE: trace.GE{P: 0.01, R: 0.1, LossBad: 0.7, LossGood: 0.001}, ECN: true}
		}},
		{"{loss: {model: markov, p13: 1%}}", func(l *Link) { l.Impair.Markov = Markov{P13: 0.01, P31: 0.99, P23: 1} }},
		{"{loss: {model: markov, p13: 1%, p31: 20%, p32: 30%, p23: 0.4%, p14: 5%}}", func(l *Link) {
			l.Impair.Markov = Markov{P13: 0.01, P31: 0.2, P32: 0.3, P23: 0.004, P14: 0.05}
		}},
		{"{duplicate: 0.1%, corrupt: 0.01%}", func(l *Link) { l.Impair.Duplicate, l.Impair.Corrupt = 0.001, 0.0001 }},
		{"{delay: 10ms, reorder: 25%, gap: 5}", func(l *Link) { l.Delay, l.Impair.Reorder, l.Impair.Gap = 10*ms, 0.25, 5 }},
		{"{slot: {min: 800us, max: 1ms, packets: 64, bytes: 100KB}}", func(l *Link) {
			l.Impair.Slots = NetemSlots{MinDelay: 800 * time.Microsecond, MaxDelay: ms, MaxPackets: 64, MaxBytes: 100_000}
		}},
		{"{slot: {min: 5ms}}", func(l *Link) { l.Impair.Slots = NetemSlots{MinDelay: 5 * ms, MaxDelay: 5 * ms} }},
		{"{slot: {distribution: paretonormal, delay: 10ms, jitter: 2ms}}", func(l *Link) {
			l.Impair.Slots, l.Impair.SlotShape = NetemSlots{DistDelay: 10 * ms, DistJitter: 2 * ms}, Distribution{Name: ParetoNormal}
		}},
		{"{seed: 18446744073709551615}", func(l *Link) { l.Impair.Seed = 1<<64 - 1 }},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := ParseTopology("f.yaml", []byte("links: {a: {path: "+c.text+"}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := DefaultLink("a")
			want.Path = PathNetem
			c.want(&want)
			if d := cmp.Diff(want, got.Links[0], cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if err := got.Check(); err != nil {
				t.Error(err)
			}
			// As it is recorded, and read again.
			data, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			again := new(Topology)
			if err := json.Unmarshal(data, again); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(got, again, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("recorded and read again (-want +got)\n%s", d)
			}
		})
	}
}

// A distribution from a tape is read when the topology is, relative to it.
func TestParseMeasuredDistribution(t *testing.T) {
	dir := t.TempDir()
	writeDelays(t, filepath.Join(dir, "field.tape"), 0, 20*time.Millisecond, 40*time.Millisecond)
	file := filepath.Join(dir, "t.yaml")
	if err := os.WriteFile(file, []byte("links: {a: {path: {delay: 30ms, jitter: 5ms, distribution: {tape: field.tape, of: sat.up}}}}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	topology, err := ReadTopology(file)
	if err != nil {
		t.Fatal(err)
	}
	d := topology.Links[0].Impair.Distribution
	if d.Name != "sat.up of field.tape" || len(d.Table) != distEntries || d.Table[0] != -NetemDistScale || d.Table[distEntries-1] != NetemDistScale {
		t.Errorf("%s: %d entries", d.Name, len(d.Table))
	}
	for text, want := range map[string]string{
		"{tape: none.tape, of: sat.up}":    "t.yaml:1:54: open tape: ",
		"{tape: field.tape, of: sat.down}": "sat.down: the tape has no sat.down",
		"{tape: field.tape, of: sat}":      `"sat"`,
		"{tape: field.tape}":               `key "of" is missing`,
		"cauchy":                           `unknown "cauchy": write one of normal, pareto, paretonormal`,
	} {
		_, err := ParseTopology(filepath.Join(dir, "t.yaml"), []byte("links: {a: {path: {jitter: 5ms, distribution: "+text+"}}}\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "t.yaml") != 1 {
			t.Errorf("%s: got  %v\nwant one fault: %s", text, err, want)
		}
	}
}

// What a path keeps whatever the state is, it tells once or with every change,
// as each needs it.
func TestPathImpairments(t *testing.T) {
	l := DefaultLink("a")
	l.Path, l.Delay = PathNetem, 20*time.Millisecond
	markov := Markov{P13: 0.01, P31: 0.2, P32: 0.3, P23: 0.4, P14: 0.05}
	l.Impair = Impairments{
		Jitter: time.Millisecond, Corrupt: 0.01, Markov: markov, ECN: true, Gap: 5, Overtake: true,
		Distribution: Distribution{Name: Pareto}, Slots: NetemSlots{DistDelay: 5 * time.Millisecond, DistJitter: time.Millisecond, MaxPackets: 3},
		SlotShape: Distribution{Name: ParetoNormal},
	}
	p := newPath(&l, trace.Up)
	loss, delay := told(t, p.create())
	if d := cmp.Diff(markov, loss.Markov, approxProb); d != "" || !loss.ECN || loss.GE.Enabled() || prob32(loss.Corrupt) != prob32(0.01) {
		t.Errorf("loss is %+v", loss)
	}
	if delay.Jitter != time.Millisecond || delay.Rate != 0 || delay.Slot != l.Impair.Slots || cmp.Diff(paretoTable(), delay.DelayDist) != "" || cmp.Diff(paretoNormalTable(), delay.SlotDist) != "" {
		t.Errorf("delay is %+v", delay)
	}
	s := stateOf(l)
	change := func(what string, edit func()) (loss, delay *Netem) {
		t.Helper()
		edit()
		return told(t, p.next(&s))
	}
	// A change beside the loss keeps the chain, its parameters and its state.
	if loss, delay = change("duplicate", func() { s.Duplicate = 0.5 }); loss == nil || loss.Omit != NetemLoss || !loss.ECN || delay != nil {
		t.Errorf("another duplication: loss %+v, delay %+v", loss, delay)
	}
	if loss, _ = change("loss", func() { s.Loss = 0.5 }); loss == nil || loss.Omit != 0 || loss.Markov.Enabled() || loss.Loss < 0.49 {
		t.Errorf("a loss: %+v", loss)
	}
	if loss, _ = change("no loss", func() { s.Loss = 0 }); loss == nil || loss.Omit != 0 || !loss.Markov.Enabled() {
		t.Errorf("none again: %+v", loss)
	}
	if loss, delay = change("delay", func() { s.Delay = time.Millisecond }); loss != nil || delay.Slot != (NetemSlots{}) || delay.DelayDist != nil || delay.SlotDist != nil || delay.Gap != 0 || delay.Rate != 0 || delay.HasSeed {
		t.Errorf("another delay: loss %+v, delay %+v", loss, delay)
	}
	if loss, delay = change("reorder", func() { s.Reorder = 0.25 }); loss != nil || delay.Gap != 5 {
		t.Errorf("reordering: loss %+v, delay %+v", loss, delay)
	}
	p.reseed(7)
	if loss, delay = told(t, p.next(&s)); loss == nil || loss.Omit != 0 || !delay.HasSeed {
		t.Errorf("after another seed: loss %+v, delay %+v", loss, delay)
	}
}

// Links, directions and seeds have losses of their own, the same every time.
func TestPathSeedOf(t *testing.T) {
	seen := make(map[uint64]string)
	for _, name := range []string{"a", "b"} {
		for _, d := range []trace.Direction{trace.Up, trace.Down} {
			for _, seed := range []uint64{0, 1} {
				l := DefaultLink(name)
				l.Impair.Seed = seed
				got := pathSeed(&l, d)
				if other, ok := seen[got]; ok {
					t.Errorf("%s %v %d has the seed of %s", name, d, seed, other)
				}
				seen[got] = name
				if got != pathSeed(&l, d) {
					t.Error("another seed the second time")
				}
			}
		}
	}
}

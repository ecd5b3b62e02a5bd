package netsetup

import (
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// A meter sees what the kernel was told, in every kind of bottleneck and tree,
// and says what somebody else has changed.
func TestMeter(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	features, _, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		needs  bool
		change func(*Link)
	}{
		{"tbf", true, func(*Link) {}},
		{"htb", true, func(l *Link) { l.Shaper = ShaperHTB }},
		{"nested", true, func(l *Link) { l.Tree = TreeNested }},
		{"nested htb", true, func(l *Link) { l.Tree, l.Shaper = TreeNested, ShaperHTB }},
		{"cake", features.CAKE, func(l *Link) { l.UseShaper(ShaperCAKE) }},
		{"codel", features.FQCoDel, func(l *Link) { l.Queue.Kind = CoDel }},
		{"time", true, func(l *Link) { l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.needs {
				t.Skip("this kernel lacks ", c.name)
			}
			topology := links("a", "b")
			for i := range topology.Links {
				if features.Netem {
					topology.Links[i].Path = PathNetem
				}
				c.change(&topology.Links[i])
			}
			up(t, "run", topology)
			r := opened(t, "run")
			dirs := []trace.LinkDir{{Link: "b", Dir: trace.Up}, {Link: "a", Dir: trace.Up}, {Link: "b", Dir: trace.Down}}
			m, err := r.Meter(dirs)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.Links() != 2 {
				t.Errorf("got %d links, want 2", m.Links())
			}
			read := func(params bool) [3]Reading {
				t.Helper()
				var out [3]Reading
				for i := range m.Links() {
					if err := m.Read(i, params, func(dir int, r *Reading) { out[dir] = *r }); err != nil {
						t.Fatal(err)
					}
				}
				return out
			}
			upward, downward := endpoints(t, r, "b")
			netem := func(s trace.State) trace.State { // what this kernel can do of it
				if !features.Netem {
					s = trace.State{Rate: s.Rate, Carrier: s.Carrier}
				}
				return s
			}
			states := []trace.State{
				{Rate: 8 * trace.Mbit, Delay: 30 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01, Carrier: true},
				{Rate: 300 * trace.Kbit, GE: trace.GE{P: 0.01, R: 0.2, LossBad: 0.9, LossGood: 0.001}, Corrupt: 0.001, Carrier: true},
				{Rate: 0, Delay: 12345 * time.Microsecond, Carrier: true},
				{Rate: 5 * trace.Mbit, Loss: 1, Carrier: true},
				{Rate: 5 * trace.Mbit, Carrier: false},
				{Rate: 1200 * trace.Mbit, Carrier: true},
			}
			for i, s := range states {
				s = netem(s)
				for k, e := range []*Endpoint{upward, downward} {
					a, err := e.Apply(time.Duration(i)*100*time.Millisecond, []time.Duration{100 * time.Millisecond, 0}[k], &s)
					if err != nil {
						t.Fatal(err)
					}
					got := read(true)[2*k]
					if d := a.Told.Differences(&got.Told); len(d) > 0 || a.Told.Down != got.Down || !s.Carrier && !got.Down {
						t.Errorf("state %d %v: %q; told %+v, read %+v", i, e.LinkDir, d, a.Told, got.Told)
					}
				}
			}
			told := netem(states[0])
			a, err := upward.Apply(time.Second, 0, &told)
			if err != nil {
				t.Fatal(err)
			}
			changed := netem(states[1])
			if _, err := upward.Apply(time.Second, 0, &changed); err != nil {
				t.Fatal(err)
			}
			got := read(true)[0].Told
			d := strings.Join(a.Told.Differences(&got), "; ")
			want := []string{"delay is 0s, set 30ms", "jitter is", "loss is", "gemodel p is"}
			if !features.Netem {
				want = []string{"rate is 300kbit, set 8Mbit"}
			}
			for _, want := range want {
				if !strings.Contains(d, want) {
					t.Errorf("another's change: got %q, want %q", d, want)
				}
			}

			// Counters, without the parameters.
			other, _ := endpoints(t, r, "a")
			open := trace.State{Rate: 100 * trace.Mbit, Carrier: true}
			if _, err := other.Apply(time.Second, 0, &open); err != nil {
				t.Fatal(err)
			}
			before := read(false)
			snd, rcv := sockets(t, "run", 0, 0)
			snd.send(0, 20, 1000)
			rcv.want(0, 20)
			after := read(false)
			if got := after[1].Packets - before[1].Packets; got != 20 || after[1].Bytes-before[1].Bytes < 20*1000 || after[1].Told != (Told{Path: after[1].Path}) {
				t.Errorf("20 packets: got %d, before %+v, after %+v", got, before[1], after[1])
			}
			if !features.Netem {
				return
			}
			lost := trace.State{Rate: 100 * trace.Mbit, Loss: 1, Carrier: true}
			if _, err := other.Apply(2*time.Second, 0, &lost); err != nil {
				t.Fatal(err)
			}
			snd.send(20, 10, 1000)
			eventually(t, "the path loses them", func() bool { return read(false)[1].PathDrops-after[1].PathDrops == 10 })
			end := read(false)[1]
			if shared := topology.Links[0].Tree == TreeNested; end.Shared != shared || (end.Drops-after[1].Drops == 10) != shared {
				t.Errorf("10 packets lost: %+v after %+v", end, after[1])
			}
		})
	}
}

// What a reading is told does not allocate: it goes on for days.
func TestMeterAllocations(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	up(t, "run", links("a"))
	r := opened(t, "run")
	m, err := r.Meter([]trace.LinkDir{{Link: "a", Dir: trace.Up}, {Link: "a", Dir: trace.Down}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var sum uint64
	each := func(_ int, r *Reading) { sum += r.Bytes }
	if n := testing.AllocsPerRun(100, func() {
		if err := m.Read(0, false, each); err != nil {
			t.Fatal(err)
		}
	}); n > 4 {
		t.Errorf("a reading allocates %v times", n)
	}
}

func TestMeterOfMissingLink(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	up(t, "run", links("a"))
	r := opened(t, "run")
	if _, err := r.Meter([]trace.LinkDir{{Link: "x", Dir: trace.Up}}); err == nil || !strings.Contains(err.Error(), "read link x of run run") {
		t.Errorf("got error %v", err)
	}
}

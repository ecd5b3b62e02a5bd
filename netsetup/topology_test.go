package netsetup

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linktape/edt"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// checkGolden compares text with a golden file, which -update rewrites.
func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got)\n%s", file, d)
	}
}

// Malformed topologies say where and what is wrong, and what to write.
func TestParseTopologyBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			topology, err := ParseTopology(name+".yaml", data)
			if err == nil {
				t.Fatalf("accepted: %+v", topology)
			}
			checkGolden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

func TestReadTopology(t *testing.T) {
	vzw := DefaultLink("vzw")
	vzw.Shaper, vzw.MTU, vzw.Path = ShaperHTB, 1400, PathNetem
	vzw.Rate, vzw.Delay = 20*trace.Mbit, 35*time.Millisecond
	vzw.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}
	want := &Topology{Links: []Link{DefaultLink("att"), vzw}}
	got, err := ReadTopology("testdata/good/two.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if _, err := ReadTopology("testdata/good/none.yaml"); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
	var most strings.Builder
	most.WriteString("links: {")
	for i := range MaxLinks {
		fmt.Fprintf(&most, "l%d: {rate: 0}, ", i)
	}
	got, err = ParseTopology("most", []byte(most.String()+"}"))
	if err != nil || len(got.Links) != MaxLinks || got.Links[255].Name != "l255" || got.Links[0].Rate != 0 {
		t.Errorf("most links: %v", err)
	}
}

func TestParseQueue(t *testing.T) {
	size := func(n int64) trace.Queue { return trace.Queue{Kind: trace.DropTail, LimitBytes: n} }
	wait := func(d time.Duration) trace.Queue { return trace.Queue{Kind: trace.DropTail, LimitTime: d} }
	for _, c := range []struct {
		text string
		mtu  int
		want trace.Queue
		err  string
	}{
		{"300KB", 1500, size(300000), ""},
		{"64KiB", 1500, size(65536), ""},
		{"3000B", 1500, size(3000), ""},
		{"1GiB", 1500, size(1 << 30), ""},
		{"200ms", 1500, wait(200 * time.Millisecond), ""},
		{"1ms", 1500, wait(time.Millisecond), ""},
		{"1m", 1500, wait(time.Minute), ""},
		{"2999B", 1500, trace.Queue{}, `queue "2999B": outside two packets (3000 bytes) to 1073741824 bytes`},
		{"3000B", 9000, trace.Queue{}, `queue "3000B": outside two packets (18000 bytes) to 1073741824 bytes`},
		{"1.1GiB", 1500, trace.Queue{}, `queue "1.1GiB": outside two packets (3000 bytes) to 1073741824 bytes`},
		{"0", 1500, trace.Queue{}, `queue "0": outside two packets (3000 bytes) to 1073741824 bytes`},
		{"0s", 1500, trace.Queue{}, `queue "0s": outside two packets (3000 bytes) to 1073741824 bytes`},
		{"999us", 1500, trace.Queue{}, `queue "999us": outside 1ms to 1m`},
		{"-1s", 1500, trace.Queue{}, `queue "-1s": outside 1ms to 1m`},
		{"61s", 1500, trace.Queue{}, `queue "61s": outside 1ms to 1m`},
		{"deep", 1500, trace.Queue{}, `queue "deep": write a size such as 300KB or a duration such as 200ms`},
		{"", 1500, trace.Queue{}, `queue "": write a size such as 300KB or a duration such as 200ms`},
		{"200", 1500, trace.Queue{}, `queue "200": write a size such as 300KB or a duration such as 200ms`},
	} {
		t.Run(fmt.Sprintf("%s at %d", c.text, c.mtu), func(t *testing.T) {
			got, err := ParseQueue(c.text, c.mtu)
			if c.err != "" {
				wantError(t, err, c.err)
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

// Every kind of bottleneck and queue, as it is written and as it is meant.
func TestParseShapers(t *testing.T) {
	for _, c := range []struct {
		text string
		want func(l *Link)
	}{
		{"{}", func(l *Link) {}},
		{"{shaper: auto}", func(l *Link) { l.Shaper = ShaperAuto }},
		{"{shaper: tbf}", func(l *Link) { l.Shaper = ShaperTBF }},
		{"{queue: {limit: 300KB}}", func(l *Link) { l.Queue.LimitBytes = 300_000 }},
		{"{queue: {limit: 200ms, kind: droptail}}", func(l *Link) { l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond} }},
		{"{shaper: htb, queue: {limit: 200ms, kind: codel}}", func(l *Link) {
			l.Shaper, l.Queue = ShaperHTB, trace.Queue{Kind: CoDel, LimitTime: 200 * time.Millisecond}
		}},
		{"{shaper: cake}", func(l *Link) { l.Shaper, l.Queue = ShaperCAKE, trace.Queue{Kind: CAKEQueue} }},
		{"{shaper: cake, queue: 4MB}", func(l *Link) { l.Shaper, l.Queue = ShaperCAKE, trace.Queue{Kind: CAKEQueue, LimitBytes: 4_000_000} }},
		{"{shaper: cake, queue: {limit: 1s}, cake: {diffserv: diffserv4, flows: dual-dsthost, rtt: 50ms}}", func(l *Link) {
			l.Shaper, l.Queue = ShaperCAKE, trace.Queue{Kind: CAKEQueue, LimitTime: time.Second}
			l.CAKE = CAKEOptions{Diffserv: "diffserv4", Flows: "dual-dsthost", RTT: 50 * time.Millisecond}
		}},
		{"{shaper: pulse, queue: 300KB}", func(l *Link) { l.Shaper, l.Queue.LimitBytes = ShaperPulse, 300_000 }},
		{"{shaper: pulse, tick: 1ms, queue: {kind: cake}, cake: {rtt: 50ms}}", func(l *Link) {
			l.Shaper, l.Tick, l.Queue = ShaperPulse, time.Millisecond, trace.Queue{Kind: CAKEQueue}
			l.CAKE.RTT = 50 * time.Millisecond
		}},
		{"{backend: qdisc}", func(l *Link) { l.OnlyQdiscs = true }},
		{"{backend: qdisc, shaper: tbf}", func(l *Link) { l.Shaper, l.OnlyQdiscs = ShaperTBF, true }},
		{"{backend: edt}", func(l *Link) { l.Shaper = ShaperEDT }},
		{"{shaper: auto, backend: edt}", func(l *Link) { l.Shaper = ShaperEDT }},
		{"{shaper: edt, backend: edt}", func(l *Link) { l.Shaper = ShaperEDT }},
		{"{shaper: edt, queue: 200ms, window: 256}", func(l *Link) {
			l.Shaper, l.Window, l.Queue = ShaperEDT, 256, trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}
		}},
		{"{backend: edt, window: 524288, path: {delay: 10ms, jitter: 1ms, in_order: false, loss: 1%}}", func(l *Link) {
			l.Shaper, l.Window, l.Path, l.Delay = ShaperEDT, 524288, PathNetem, 10*time.Millisecond
			l.Impair = Impairments{Jitter: time.Millisecond, Loss: 0.01, Overtake: true}
		}},
		{"{shaper: pulse, queue: {kind: codel, limit: 1s}}", func(l *Link) {
			l.Shaper, l.Queue = ShaperPulse, trace.Queue{Kind: CoDel, LimitTime: time.Second}
		}},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := ParseTopology("f.yaml", []byte("links: {a: "+c.text+"}\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := DefaultLink("a")
			c.want(&want)
			if d := cmp.Diff(want, got.Links[0], cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// Changing the shaper takes the queue along.
func TestUseShaper(t *testing.T) {
	set := trace.Queue{Kind: trace.DropTail, LimitBytes: 50_000}
	l := DefaultLink("a")
	unset := l.Queue
	for i, c := range []struct {
		shaper ShaperKind
		queue  trace.Queue
		want   trace.Queue
	}{
		{ShaperHTB, unset, unset},
		{ShaperCAKE, unset, trace.Queue{Kind: CAKEQueue}},
		{ShaperTBF, trace.Queue{Kind: CAKEQueue}, unset},
		{ShaperCAKE, set, trace.Queue{Kind: CAKEQueue, LimitBytes: 50_000}},
		{ShaperAuto, trace.Queue{Kind: CAKEQueue, LimitBytes: 50_000}, set},
		{ShaperTBF, trace.Queue{Kind: CoDel, LimitTime: time.Second}, trace.Queue{Kind: CoDel, LimitTime: time.Second}},
		{ShaperEDT, set, set},
		{ShaperEDT, unset, unset},
		{ShaperEDT, trace.Queue{Kind: CoDel, LimitTime: time.Second}, trace.Queue{Kind: trace.DropTail, LimitTime: time.Second}},
		{ShaperEDT, trace.Queue{Kind: CAKEQueue, LimitBytes: 50_000}, set},
		{ShaperEDT, trace.Queue{Kind: CAKEQueue}, unset},
	} {
		l.Queue = c.queue
		if l.UseShaper(c.shaper); l.Shaper != c.shaper || l.Queue != c.want {
			t.Errorf("%d: %s has queue %+v, want %+v", i, l.Shaper, l.Queue, c.want)
		}
	}
}

// Check catches in topologies made in code what the parser catches in files.
func TestTopologyCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(l *Link)
		want string
	}{
		{"default", func(l *Link) {}, ""},
		{"stalled", func(l *Link) { l.Rate = 0 }, ""},
		{"delay", func(l *Link) { l.Delay = time.Second }, ""},
		{"name", func(l *Link) { l.Name = "A" }, `topology: link: `},
		{"no name", func(l *Link) { l.Name = "" }, `topology: link: `},
		{"end", func(l *Link) { l.Name = SenderEnd }, "topology: link snd: the name is kept for an end: choose another"},
		{"shaper", func(l *Link) { l.Shaper = "" }, `topology: link att: unknown shaper ""`},
		{"path", func(l *Link) { l.Path = "slow" }, `topology: link att: unknown path "slow"`},
		{"mtu", func(l *Link) { l.MTU = 1000 }, "topology: link att: mtu 1000: outside 1280 to 9000 bytes"},
		{"rate", func(l *Link) { l.Rate = -1 }, "topology: link att: rate -1 bit/s: outside 0 to"},
		{"high rate", func(l *Link) { l.Rate = trace.MaxRate + 1 }, "topology: link att: rate"},
		{"negative delay", func(l *Link) { l.Delay = -1 }, "topology: link att: delay -1ns: negative"},
		{"delay without path", func(l *Link) { l.Delay, l.Path = 1, PathNone }, "topology: link att: a delay needs a path: set path netem or leave the delay out"},
		{"no queue", func(l *Link) { l.Queue = trace.Queue{} }, `topology: link att: queue: unknown kind ""`},
		{"no limit", func(l *Link) { l.Queue.LimitBytes = 0 }, "topology: link att: queue: outside two packets"},
		{"both limits", func(l *Link) { l.Queue.LimitTime = time.Second }, "topology: link att: queue: limits in bytes and in time: set one"},
		{"short queue", func(l *Link) { l.Queue.LimitBytes = 100 }, "topology: link att: queue: outside two packets (3000 bytes)"},
		{"long queue", func(l *Link) { l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: time.Hour} }, "topology: link att: queue: outside 1ms to 1m"},
		{"CoDel", func(l *Link) { l.Queue.Kind = CoDel }, ""},
		{"CAKE", func(l *Link) { l.UseShaper(ShaperCAKE) }, ""},
		{"AQM", func(l *Link) { l.Queue.Kind = "red" }, `topology: link att: queue: unknown kind "red": only "droptail", "codel" and "cake" can be built`},
		{"CAKE without its queue", func(l *Link) { l.Shaper = ShaperCAKE }, `topology: link att: shaper cake with a queue of kind "droptail": shaper cake has kind "cake", pulse may have it, and no other`},
		{"CAKE's queue alone", func(l *Link) { l.Queue.Kind = CAKEQueue }, `topology: link att: shaper auto with a queue of kind "cake"`},
		{"CAKE's options alone", func(l *Link) { l.CAKE.RTT = time.Second }, "topology: link att: parameters of CAKE with shaper auto: set shaper cake or leave them out"},
		{"diffserv", func(l *Link) { l.UseShaper(ShaperCAKE); l.CAKE.Diffserv = "x" }, `topology: link att: cake: unknown diffserv "x": set one of diffserv3, `},
		{"flows", func(l *Link) { l.UseShaper(ShaperCAKE); l.CAKE.Flows = "x" }, `topology: link att: cake: unknown flows "x": set one of flowblind, `},
		{"rtt", func(l *Link) { l.UseShaper(ShaperCAKE); l.CAKE.RTT = 1 }, "topology: link att: cake: rtt 1ns: outside 100µs to 16m40s"},
		{"pulse", func(l *Link) { l.Shaper, l.Tick = ShaperPulse, 2*time.Millisecond }, ""},
		{"pulse over CAKE", func(l *Link) { l.Shaper, l.Queue = ShaperPulse, trace.Queue{Kind: CAKEQueue} }, ""},
		{"pulse in a nested tree", func(l *Link) { l.Shaper, l.Tree = ShaperPulse, TreeNested }, "topology: link att: tree nested has netem below the bucket, where the plug of a pulse would be"},
		{"tick", func(l *Link) { l.Shaper, l.Tick = ShaperPulse, time.Second }, "topology: link att: tick 1s: outside 1ms to 10ms"},
		{"tick alone", func(l *Link) { l.Tick = time.Millisecond }, "topology: link att: a tick with shaper auto: only pulse has one"},
		{"edt", func(l *Link) { l.Shaper, l.Window = ShaperEDT, MinWindow }, ""},
		{"edt over CoDel", func(l *Link) { l.Shaper, l.Queue.Kind = ShaperEDT, CoDel }, "topology: link att: departures are decided when a packet arrives, so that no queue of kind codel can decide later: leave the kind out, or write backend: qdisc"},
		{"edt over CAKE", func(l *Link) { l.Shaper, l.Queue.Kind = ShaperEDT, CAKEQueue }, "topology: link att: shaper edt with a queue of kind \"cake\""},
		{"edt in a tree", func(l *Link) { l.Shaper, l.Tree = ShaperEDT, TreeEgress }, "topology: link att: backend edt has no tree of qdiscs"},
		{"edt on a bridge", func(l *Link) { l.Shaper, l.Bridge = ShaperEDT, true }, "topology: link att: on a bridge, packets belong to their sender"},
		{"edt too fast", func(l *Link) { l.Shaper, l.Rate = ShaperEDT, edt.MaxRate+1 }, "topology: link att: rate "},
		{"edt's window", func(l *Link) { l.Shaper, l.Window = ShaperEDT, MaxWindow+1 }, "topology: link att: window outside 256 to 524288 steps"},
		{"a window alone", func(l *Link) { l.Window = MinWindow }, "topology: link att: a window with shaper auto: only edt has one"},
		{"edt with netem's", func(l *Link) { l.Shaper, l.Path, l.Impair.Gap, l.Impair.Reorder = ShaperEDT, PathNetem, 2, 0.1 }, "topology: link att: "},
		{"CAKE's memory", func(l *Link) { l.Queue.LimitBytes = 11999; l.UseShaper(ShaperCAKE) }, "topology: link att: queue: outside two packets in the kernel's memory (12000 bytes)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := DefaultLink("att")
			c.edit(&l)
			err := (&Topology{Links: []Link{l}}).Check()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	att := DefaultLink("att")
	wantError(t, (&Topology{Links: []Link{att, att}}).Check(), "topology: link att: named twice")
	wantError(t, new(Topology).Check(), "topology: 0 links: need 1 to 256")
	wantError(t, (&Topology{Links: make([]Link, 257)}).Check(), "topology: 257 links: need 1 to 256")
}

func TestLinksOf(t *testing.T) {
	q := trace.Queue{Kind: trace.DropTail, LimitTime: time.Second}
	got := LinksOf(trace.Meta{Links: []trace.Link{{Name: "a"}, {Name: "b", Queue: &q}, {Name: "c", Queue: &trace.Queue{}},
		{Name: "d", Slot: &trace.Slot{Min: time.Millisecond, Max: 10 * time.Millisecond, Packets: 4, Bytes: 9000}, Overtake: true}}})
	b, d := DefaultLink("b"), DefaultLink("d")
	b.Queue = q
	d.Impair.Slots = NetemSlots{MinDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond, MaxPackets: 4, MaxBytes: 9000}
	d.Impair.Overtake = true
	want := &Topology{Links: []Link{DefaultLink("a"), b, DefaultLink("c"), d}}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

// What the parser accepts passes Check, and nothing makes it panic.
func FuzzParseTopology(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		topology, err := ParseTopology("f.yaml", data)
		if err != nil {
			return
		}
		if err := topology.Check(); err != nil {
			t.Errorf("parsed, but %v", err)
		}
		p, err := NewPlan("r", topology, allFeatures)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range p.Ops {
			if op.String() == "" {
				t.Errorf("%T says nothing", op)
			}
		}
	})
}

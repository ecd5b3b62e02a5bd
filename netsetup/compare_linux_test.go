package netsetup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// Status reads every parameter of every qdisc back and finds the one that was
// changed, in links of all kinds, as they were built and as a replay left them;
// in the midst of one it looks at what no tape changes.
func TestStatusParameters(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb", "netem", "cake", "fq_codel", featureDuplicate)
	unchanged(t)
	const ms = time.Millisecond
	full := DefaultLink("full")
	full.UseShaper(ShaperCAKE)
	full.CAKE = CAKEOptions{Diffserv: "diffserv4", RTT: 60 * ms}
	full.Path, full.Rate, full.Delay = PathNetem, 20*trace.Mbit, 30*ms
	full.Impair = Impairments{
		Jitter: 2 * ms, Markov: Markov{P13: 0.01, P31: 0.25, P23: 0.5, P14: 0.01}, ECN: true, Corrupt: 0.001, Reorder: 0.125, Gap: 3,
		Distribution: Distribution{Name: Pareto}, Slots: NetemSlots{MinDelay: ms, MaxDelay: 2 * ms, MaxPackets: 9},
	}
	codel := DefaultLink("codel")
	codel.Shaper, codel.Queue.Kind = ShaperHTB, CoDel
	codel.Queue = trace.Queue{Kind: CoDel, LimitTime: 100 * ms}
	plain := DefaultLink("plain")
	build := func(links ...Link) *Run {
		up(t, "run", &Topology{Links: links})
		r := opened(t, "run")
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Fatalf("as built: %q", d)
		}
		return r
	}
	r := build(full, codel, plain)
	states := []trace.State{
		{Rate: 5 * trace.Mbit, Delay: 10 * ms, Loss: 0.25, Carrier: true},
		{Rate: 300 * trace.Kbit, Delay: 10 * ms, Jitter: ms, GE: trace.GE{P: 0.01, R: 0.25, LossBad: 0.5}, Duplicate: 0.1, Carrier: true},
		{Rate: 0, Delay: 10 * ms, Carrier: true},
		{Rate: 800 * trace.Mbit, Delay: ms, Reorder: 0.5, Corrupt: 0.25, Carrier: true},
	}
	for i, s := range states {
		left := make(map[trace.LinkDir]trace.State)
		for _, link := range []string{"full", "codel", "plain"} {
			upward, downward := endpoints(t, r, link)
			for _, e := range []*Endpoint{upward, downward} {
				if err := r.BeginReplay(); err != nil {
					t.Fatal(err)
				}
				if _, err := e.Apply(time.Duration(2*i)*time.Second, 10*ms, &states[(i+1)%len(states)]); err != nil {
					t.Fatal(err)
				}
				if d := status(t, "run").Differences; len(d) > 0 {
					t.Fatalf("state %d, in the midst of a replay: %q", i, d)
				}
				if _, err := e.Apply(time.Duration(2*i+1)*time.Second, 0, &s); err != nil {
					t.Fatal(err)
				}
				left[e.LinkDir] = s
			}
		}
		if err := r.EndReplay(left); err != nil {
			t.Fatal(err)
		}
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Fatalf("state %d: %q", i, d)
		}
	}
	for _, c := range []struct {
		tamper string
		want   []string
	}{
		{"tc -n lt.run.full qdisc change dev ifb-up parent 1:1 handle 3: cake besteffort", []string{"cake 3: on ifb-up in lt.run.full: diffserv is besteffort, set diffserv4"}},
		{"tc -n lt.run.full qdisc change dev ifb-up parent 1:1 handle 3: cake bandwidth 7mbit rtt 10ms", []string{"rate is 7Mbit, set 25Mbit", "rtt is 10ms, set 60ms", "target is 500µs, set 3ms"}},
		{"tc -n lt.run.full qdisc change dev ifb-up parent 1:1 handle 3: cake overhead 10 wash", []string{"raw is false, set true", "wash is true, set false"}},
		{"tc -n lt.run.codel qdisc change dev ifb-down parent 2:1 handle 3: fq_codel limit 100 noecn", []string{"ecn is false, set true", "limit is 100, set 8333"}},
		{"tc -n lt.run.codel qdisc change dev ifb-down parent 2:1 handle 3: fq_codel target 7ms", []string{"target is 6.999ms, set 5ms"}},
		{"tc -n lt.run.full qdisc change dev r0 root handle 10: netem limit 1000000 loss 50%", []string{"loss is 50%, set 0%", "state p13 is 0%, set 1%", "state p31 is 0%, set 25%"}},
		{"tc -n lt.run.full qdisc change dev r0 root handle 10: netem limit 1000 corrupt 50% loss state 1% 25% 0% 50% 1%", []string{"limit is 1000, set 1000000", "corrupt is 50%, set 0.1%"}},
		{"tc -n lt.run.full qdisc change dev s0 parent 10:1 handle 11: netem limit 1000000 delay 31ms 2ms reorder 12.5% gap 4 slot 1ms 3ms packets 9", []string{"delay is 31ms, set 30ms", "gap is 4, set 3", "slot is {1ms 3ms 9 0 0s 0s}, set {1ms 2ms 9 0 0s 0s}"}},
		{"tc -n lt.run.plain qdisc change dev s0 parent 10:1 handle 11: netem limit 1000000 rate 1mbit", []string{"rate is 1Mbit, set 34Gbit"}},
		{"tc -n lt.run.plain qdisc change dev s0 root handle 10: netem limit 1000000 loss gemodel 1% 10% 50%", []string{"gemodel p is 1%, set 0%", "gemodel r is 10%, set 0%"}},
	} {
		t.Run(c.tamper, func(t *testing.T) {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if err := Down("run", true); err != nil {
				t.Fatal(err)
			}
			for _, l := range []Link{full, codel, plain} {
				if strings.Contains(c.tamper, "."+l.Name+" ") {
					r = build(l)
				}
			}
			command(t, c.tamper)
			got := status(t, "run").Differences
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(d string) bool { return strings.HasSuffix(d, want) }) {
					t.Errorf("got  %q\nwant %s", got, want)
				}
			}
		})
	}
}

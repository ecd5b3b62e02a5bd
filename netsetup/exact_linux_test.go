package netsetup

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/edt/bpf"
	"linktape/internal/privtest"
	"linktape/trace"
)

// exactLink is a link with departures by arithmetic that uses all of it.
func exactLink() Link {
	l := DefaultLink("a")
	l.UseShaper(ShaperEDT)
	l.Window, l.Rate, l.Path, l.Delay = MinWindow, 20*trace.Mbit, PathNetem, 5*time.Millisecond
	l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}
	l.Impair = Impairments{Jitter: time.Millisecond, GE: trace.GE{P: 0.01, R: 0.25, LossBad: 0.5}}
	return l
}

// exactEndpoints are the two directions of a link with departures by arithmetic.
func exactEndpoints(t testing.TB, r *Run, link string) (up, down *ExactEndpoint) {
	t.Helper()
	up, err1 := r.ExactEndpoint(trace.LinkDir{Link: link, Dir: trace.Up})
	down, err2 := r.ExactEndpoint(trace.LinkDir{Link: link, Dir: trace.Down})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return up, down
}

// Status tells what the program has been told and what it has counted, and finds what
// was changed: the filter, fq and its parameters, the program of cross traffic, the
// state.
func TestExactStatus(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", featureEDT)
	unchanged(t)
	build := func(t *testing.T, l Link) {
		up(t, "run", &Topology{Links: []Link{l}})
		s := status(t, "run")
		if len(s.Differences) > 0 {
			t.Fatalf("as built: %q", s.Differences)
		}
		x := s.Links[0]
		for _, d := range []DirStatus{x.Up, x.Down} {
			if x.Shaper != ShaperEDT || !x.Netem || d.Rate != l.Rate || d.Delay != l.Delay || d.Jitter != l.Impair.Jitter ||
				d.LimitBytes != 500_000 || d.Loss < 0.019 || d.Loss > 0.0193 || d.Exact == nil || d.Exact.QueueTimes == nil {
				t.Errorf("got %+v", d)
			}
		}
	}
	plain := exactLink()
	plain.Cross = true
	for _, c := range []struct {
		tamper string
		want   []string
	}{
		{"tc -n lt.run.a filter del dev r0 egress", []string{"missing: the filter with program edt on r0 in lt.run.a", "link a: r0 in lt.run.a has no program"}},
		{"tc -n lt.run.a qdisc del dev s0 clsact", []string{"missing: the filter with program edt on s0 in lt.run.a", "link a: s0 in lt.run.a has no program"}},
		{"tc -n lt.run.a filter del dev c0 egress", []string{"missing: the filter with program edt on c0 in lt.run.a"}},
		{"tc -n lt.run.a qdisc replace dev s0 root handle 2: pfifo", []string{"missing: fq 1: on s0 in lt.run.a"}},
		{"tc -n lt.run.a qdisc change dev r0 root handle 1: fq limit 100 flow_limit 50 quantum 3000 initial_quantum 4000 pacing orphan_mask 3 timer_slack 5us horizon 2s horizon_cap", []string{
			"fq 1: on r0 in lt.run.a: limit is 100, set 1000000", "flow limit is 50, set 1000000", "quantum is 3000, set 1514", "initial quantum is 4000, set 1514",
			"pacing is true, set false", "orphan mask is 3, set 65535", "timer slack is 5µs, set 0s", "horizon is 2s, set 1h11m34.967295s", "horizon cap is true, set false",
		}},
	} {
		t.Run(c.tamper, func(t *testing.T) {
			build(t, plain)
			command(t, c.tamper)
			got := status(t, "run").Differences
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(d string) bool { return strings.HasSuffix(d, want) }) {
					t.Errorf("got  %q\nwant %s", got, want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %d differences: %q", len(got), got)
			}
			if err := Down("run", false); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("another program", func(t *testing.T) {
		build(t, plain)
		k := newKernel()
		defer k.Close()
		// A device alone: a bottleneck of its own.
		command(t, "tc -n lt.run.a qdisc del dev c0 clsact")
		command(t, "tc -n lt.run.a qdisc del dev c0 root")
		if err := k.addDepartures(AddDepartures{inNamespace{"lt.run.a"}, []string{"c0"}, plain, trace.Down}); err != nil {
			t.Fatal(err)
		}
		const want = "program on c0 in lt.run.a: is another one than that on s0, with which it shares the bottleneck"
		if got := status(t, "run").Differences; len(got) != 1 || got[0] != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if err := Down("run", false); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("state", func(t *testing.T) {
		build(t, plain)
		r := opened(t, "run")
		e, other := exactEndpoints(t, r, "a")
		s := trace.State{Rate: 5 * trace.Mbit, Delay: time.Millisecond, Loss: 0.25, Carrier: true}
		if _, err := e.Apply(0, 0, &s); err != nil {
			t.Fatal(err)
		}
		got := status(t, "run").Differences
		want := []string{
			"program on r0 in lt.run.a: rate is 5Mbit, set 20Mbit", "program on r0 in lt.run.a: delay is 1ms, set 5ms", "program on r0 in lt.run.a: jitter is 0s, set 1ms",
			"program on r0 in lt.run.a: loss is 25%, set 0%", "program on r0 in lt.run.a: gemodel p is 0%, set 1%", "program on r0 in lt.run.a: gemodel r is 0%, set 25%",
			"program on r0 in lt.run.a: gemodel loss in the bad state is 0%, set 50%",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		// As a replay leaves it, and in the midst of one, that is as it should be.
		if err := r.BeginReplay(); err != nil {
			t.Fatal(err)
		}
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Errorf("in the midst of a replay: %q", d)
		}
		if err := r.EndReplay(map[trace.LinkDir]trace.State{e.LinkDir: s, other.LinkDir: stateOf(plain)}); err != nil {
			t.Fatal(err)
		}
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Errorf("as a replay left it: %q", d)
		}
		r.Close()
		if err := Down("run", false); err != nil {
			t.Fatal(err)
		}
	})
}

// What the program counts of packets that wait when the carrier goes, and of those
// that come before their steps are known, is in the status.
func TestExactCounts(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", featureEDT)
	unchanged(t)
	l := exactLink()
	l.Impair, l.Queue = Impairments{}, trace.Queue{Kind: trace.DropTail, LimitBytes: 150_000}
	up(t, "run", &Topology{Links: []Link{l}})
	r := opened(t, "run")
	e, _ := exactEndpoints(t, r, "a")
	if err := r.BeginReplay(); err != nil {
		t.Fatal(err)
	}
	begin := func(steps map[time.Duration]trace.State) {
		t.Helper()
		epoch, err := now()
		if err != nil {
			t.Fatal(err)
		}
		e.Begin(epoch)
		first := steps[0]
		for _, at := range []time.Duration{0, time.Minute, 2 * time.Minute} {
			if s, ok := steps[at]; ok {
				if err := e.Foresee(at, &s); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := e.Prepare(0, 0, &first); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	f := newFlood(t, "run", 0, 1500, func(int, time.Duration, time.Duration, byte) {})
	const packets = 50

	// Nothing leaves within the minute before the carrier goes.
	begin(map[time.Duration]trace.State{0: {Rate: 100, Carrier: true}, time.Minute: {}, 2 * time.Minute: {Rate: trace.Mbit, Carrier: true}})
	if err := e.Hold(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	f.offer(packets)
	x := status(t, "run").Links[0].Up
	if x.Exact.OutageDrops != packets || x.Exact.Beyond != 0 || x.Exact.MaxBacklog < 1500 || x.Packets != 0 || x.Drops != 0 {
		t.Errorf("an outage: got %+v, %+v", x, x.Exact)
	}
	// The tape ends with its first step.
	begin(map[time.Duration]trace.State{0: {Rate: trace.Gbit, Carrier: true}})
	f.offer(packets)
	x = status(t, "run").Links[0].Up
	if x.Exact.OutageDrops != packets || x.Exact.Beyond != packets {
		t.Errorf("beyond the tape: got %+v", x.Exact)
	}
	if err := e.Hold(0); err != nil { // that is how it goes on
		t.Fatal(err)
	}
	f.offer(packets)
	var classes uint64
	x = status(t, "run").Links[0].Up
	for _, n := range x.Exact.QueueTimes {
		classes += n
	}
	if x.Exact.Beyond != packets || classes != 2*packets || x.Exact.QueueTimes[len(x.Exact.QueueTimes)-1] == 0 {
		t.Errorf("held: got %+v", x.Exact)
	}
	// A packet takes 12 µs to be sent.
	if half, all := x.Exact.QueueTime(0.5), x.Exact.QueueTime(1); half < 12*time.Microsecond || all < half || all > 2*packets*12*2*time.Microsecond {
		t.Errorf("half of them less than %v in the queue, all less than %v", half, all)
	}
	if err := r.EndReplay(nil); err != nil {
		t.Fatal(err)
	}
	f.close()
	r.Close()
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
}

// When the links are gone, so are their programs, whoever had them open meanwhile.
func TestExactDown(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", featureEDT)
	unchanged(t)
	l := exactLink()
	l.Cross, l.Hops = true, 1
	up(t, "run", &Topology{Links: []Link{l}})
	k := newKernel()
	v, err := k.look("lt.run.a")
	k.Close()
	if err != nil {
		t.Fatal(err)
	}
	if v.programs["r0"] == 0 || v.programs["s0"] == 0 || v.programs["r0"] == v.programs["s0"] || v.programs["c0"] != v.programs["s0"] {
		t.Fatalf("programs %v", v.programs)
	}
	r := opened(t, "run")
	exactEndpoints(t, r, "a")
	m, err := r.Meter([]trace.LinkDir{{Link: "a", Dir: trace.Up}, {Link: "a", Dir: trace.Down}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Close(), r.Close(), Down("run", false)); err != nil {
		t.Fatal(err)
	}
	for dev, id := range v.programs {
		if id == 0 {
			continue
		}
		eventually(t, "program of "+dev+" is gone", func() bool { // after the kernel's grace period
			p, err := bpf.Open(id)
			if err == nil {
				p.Close()
				command(t, "sleep 0.05")
			}
			return errors.Is(err, os.ErrNotExist)
		})
	}
}

// Links of both kinds are opened, each as it is.
func TestExactOpen(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", featureEDT)
	unchanged(t)
	tbf := DefaultLink("b")
	tbf.Shaper = ShaperTBF
	up(t, "run", &Topology{Links: []Link{exactLink(), tbf}})
	r := opened(t, "run")
	if !r.Exact("a") || r.Exact("b") || r.Exact("c") {
		t.Errorf("exact: a %v, b %v, c %v", r.Exact("a"), r.Exact("b"), r.Exact("c"))
	}
	one, _ := exactEndpoints(t, r, "a")
	if again, _ := exactEndpoints(t, r, "a"); again != one {
		t.Error("opened twice")
	}
	if one.Window() != MinWindow {
		t.Errorf("window of %d", one.Window())
	}
	if _, err := r.ExactEndpoint(trace.LinkDir{Link: "c"}); err == nil || !strings.Contains(err.Error(), "run run has no link c") {
		t.Errorf("got %v", err)
	}
	for what, s := range map[string]trace.State{
		"neither duplicates, corrupts nor reorders": {Duplicate: 0.1, Carrier: true},
		"rates above 1000Gbit":                      {Rate: 1001 * trace.Gbit, Carrier: true},
	} {
		if err := one.Supports(&s); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
	r.Close()
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
}

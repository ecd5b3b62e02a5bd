package netsetup

import (
	"testing"
	"time"

	"linktape/trace"
)

// below returns what a link's queue below the bucket is told at a grant, and
// the name of its qdisc.
func below(t *testing.T, requests []request) (r request, found bool) {
	t.Helper()
	for _, r := range requests {
		if r.kind == setCAKE || r.kind == setFQCoDel {
			if _, err := r.append(nil, 1, nlmFRequest, 1); err != nil {
				t.Fatal(err)
			}
			return r, true
		}
	}
	return request{}, false
}

// CAKE is told a rate above the tape's, the AQM's times of the tape's own rate,
// and nothing where nothing changes; a closed bucket leaves it as it is.
func TestCAKETold(t *testing.T) {
	l := DefaultLink("a")
	l.UseShaper(ShaperCAKE)
	l.Rate = 20 * trace.Mbit
	s := newShaper(l)
	created := s.create()
	if len(created) != 2 || created[0].kind != setTBF || created[1].parent != handleBottleneck|1 || created[1].handle != handleQueue {
		t.Fatalf("created by %+v", created)
	}
	if r, _ := below(t, created); r.cake.Omit != CAKENAT || !r.cake.Raw || r.cake.MemoryBytes != 0 {
		t.Errorf("created with %+v", r.cake)
	}
	for _, c := range []struct {
		name        string
		rate        trace.BitRate
		hold        time.Duration
		told        bool
		tells       trace.BitRate
		target, rtt time.Duration
	}{
		{"the same", 20 * trace.Mbit, 0, false, 0, 0, 0},
		{"faster", 40 * trace.Mbit, time.Second, true, 50 * trace.Mbit, 5 * time.Millisecond, 100 * time.Millisecond},
		{"the same for another time", 40 * trace.Mbit, time.Millisecond * 10, false, 0, 0, 0},
		{"stalled", 0, time.Second, false, 0, 0, 0},
		{"again", 40 * trace.Mbit, time.Second, false, 0, 0, 0},
		// 1.5 frames of 1514 bytes take 18.168 ms.
		{"slow", 1 * trace.Mbit, time.Second, true, 1250 * trace.Kbit, 18168 * time.Microsecond, 113168 * time.Microsecond},
		{"slowest", 8 * trace.Kbit, 10 * time.Second, true, 1211200, 2271 * time.Millisecond, 2366 * time.Millisecond},
		{"less than a packet", 8 * trace.Kbit, 10 * time.Millisecond, false, 0, 0, 0},
	} {
		r, told := below(t, s.next(c.rate, c.hold))
		if told != c.told {
			t.Errorf("%s: told %v, want %v", c.name, told, c.told)
		}
		if told && (r.cake.Rate != c.tells || r.cake.Target != c.target || r.cake.RTT != c.rtt || r.cake.Omit != CAKENAT|CAKEOverhead) {
			t.Errorf("%s: rate %v, target %v, rtt %v, without %b: want %v, %v, %v", c.name, r.cake.Rate, r.cake.Target, r.cake.RTT, r.cake.Omit, c.tells, c.target, c.rtt)
		}
	}
	s.forget()
	if r, told := below(t, s.next(8*trace.Mbit, time.Second)); !told || r.cake.Omit != CAKENAT {
		t.Errorf("after forgetting: %v %+v", told, r.cake)
	}
}

// A limit in time follows the rate in every kind of queue, keeps its value in a
// stall, and never drops what waits already.
func TestQueueLimits(t *testing.T) {
	limit := func(kind trace.QueueKind, r request) int64 {
		switch kind {
		case CAKEQueue:
			return r.cake.MemoryBytes
		case CoDel:
			return int64(r.codel.LimitPackets) * 1500
		}
		return r.tbf.LimitBytes
	}
	for _, shaper := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperCAKE} {
		for _, kind := range []trace.QueueKind{trace.DropTail, CoDel, CAKEQueue} {
			if (shaper == ShaperCAKE) != (kind == CAKEQueue) {
				continue
			}
			l := DefaultLink("a")
			l.UseShaper(shaper)
			l.Rate, l.Queue = 12*trace.Mbit, trace.Queue{Kind: kind, LimitTime: 100 * time.Millisecond}
			s := newShaper(l)
			find := func(requests []request) (request, bool) {
				if kind != trace.DropTail {
					return below(t, requests)
				}
				for _, r := range requests {
					if r.kind == setTBF {
						return r, true
					}
				}
				return request{}, false
			}
			s.forget()
			for i, c := range []struct {
				rate       trace.BitRate
				backlogged bool
				want       int64 // 0: not told
			}{
				{12 * trace.Mbit, false, 150_000},
				{24 * trace.Mbit, true, 300_000},
				{0, true, 300_000},
				{6 * trace.Mbit, true, 75_000},
				{6 * trace.Mbit, false, 75_000},
				{8 * trace.Kbit, false, leastQueue(kind, 1500)},
			} {
				s.budget.backlogged = c.backlogged
				r, told := find(s.next(c.rate, 10*time.Second))
				want := c.want
				if kind == CoDel && c.backlogged {
					want = max(want, 300_000)
				}
				if got := limit(kind, r); told && got != want {
					t.Errorf("%s, %s, change %d: limit %d, want %d", shaper, kind, i, got, want)
				}
				if !told && c.rate > 0 && !(kind == CoDel && i == 3) && i != 4 {
					t.Errorf("%s, %s, change %d: the limit is not told", shaper, kind, i)
				}
			}
		}
	}
}

// Each option reaches the kernel's number; an unset one is the default.
func TestCAKEModes(t *testing.T) {
	for _, c := range []struct {
		o        CAKEOptions
		diffserv CAKEDiffserv
		flows    CAKEFlows
	}{
		{CAKEOptions{}, CAKEBestEffort, CAKETripleIsolate},
		{CAKEOptions{Diffserv: "diffserv3", Flows: "flowblind"}, CAKEDiffserv3, CAKEFlowBlind},
		{CAKEOptions{Diffserv: "diffserv4", Flows: "flows"}, CAKEDiffserv4, CAKEFlowsOnly},
		{CAKEOptions{Diffserv: "precedence", Flows: "dual-dsthost"}, CAKEPrecedence, CAKEDualDstHost},
	} {
		l := DefaultLink("a")
		l.UseShaper(ShaperCAKE)
		l.CAKE = c.o
		r, _ := below(t, newShaper(l).create())
		if r.cake.Diffserv != c.diffserv || r.cake.Flows != c.flows {
			t.Errorf("%+v: diffserv %d, flows %d, want %d, %d", c.o, r.cake.Diffserv, r.cake.Flows, c.diffserv, c.flows)
		}
	}
}

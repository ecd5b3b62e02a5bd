package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"golang.org/x/sys/unix"
)

// A nested tree carries packets, holds them through a stall, and follows the
// rate; the egress tree does so one way and leaves the other a plain wire.
func TestNestedStall(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		for _, tree := range []TreeKind{TreeNested, TreeEgress} {
			t.Run(fmt.Sprintf("%s %s", tree, kind), func(t *testing.T) {
				unchanged(t)
				topology := links("a")
				topology.Links[0].Shaper, topology.Links[0].Tree = kind, tree
				up(t, "run", topology)
				if d := status(t, "run").Differences; len(d) > 0 {
					t.Errorf("%q", d)
				}
				if said := command(t, "ip -n lt.run.a link"); strings.Contains(said, "ifb") {
					t.Errorf("an IFB in a tree without: %s", said)
				}
				r := opened(t, "run")
				e, err := r.Endpoint(trace.LinkDir{Link: "a", Dir: trace.Up})
				if err != nil {
					t.Fatal(err)
				}
				snd, rcv := sockets(t, "run", 0, 0)
				rcv.send(0, 10, 1000)
				snd.want(0, 10)
				if tree == TreeEgress {
					_, err := r.Endpoint(trace.LinkDir{Link: "a", Dir: trace.Down})
					wantError(t, err, "open a.down of run run: the link is built with tree: egress, its way back is a plain wire: leave a.down out of the tape, or build it with tree: nested")
					if d := status(t, "run").Links[0].Down; d.Rate != 0 || d.LimitBytes != 0 {
						t.Errorf("the way back: %+v", d)
					}
				}
				stalls(t, e, snd, rcv, stateOf(topology.Links[0]))
			})
		}
	}
}

// Without carrier what waited on either device is lost, and what the router
// knows stays.
func TestNestedCarrier(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	topology := links("a")
	topology.Links[0].Tree = TreeNested
	up(t, "run", topology)
	upward, downward := endpoints(t, opened(t, "run"), "a")
	snd, rcv := sockets(t, "run", 0, 0)
	s := stateOf(topology.Links[0])
	s.Rate = 0
	for _, e := range []*Endpoint{upward, downward} {
		if _, err := e.Apply(0, time.Second, &s); err != nil {
			t.Fatal(err)
		}
	}
	snd.send(0, 10, 1000)
	rcv.send(0, 10, 1000)
	eventually(t, "packets wait both ways", func() bool {
		return counters(t, upward).BacklogBytes >= 10000 && counters(t, downward).BacklogBytes >= 10000
	})
	for _, present := range []bool{false, true} {
		s.Carrier = present
		if present {
			s.Rate = trace.Gbit
		}
		for _, e := range []*Endpoint{upward, downward} {
			if _, err := e.Apply(time.Second, 0, &s); err != nil {
				t.Fatal(err)
			}
			if b := counters(t, e).BacklogBytes; b > strays {
				t.Errorf("carrier %v: %v holds %d bytes", present, e.LinkDir, b)
			}
		}
	}
	eventually(t, "the carrier comes back", func() bool {
		return strings.Contains(command(t, "ip -n lt.run.snd link show w0"), "LOWER_UP")
	})
	snd.send(10, 10, 1000)
	rcv.want(10, 10)
	rcv.send(10, 10, 1000)
	snd.want(10, 10)
	if d := status(t, "run").Differences; len(d) > 0 {
		t.Errorf("%q", d)
	}
}

// The one netem of a nested tree takes each state and says so to tc; a change
// of the delay leaves a chain in the kernel.
func TestNestedPath(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb", "netem")
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		t.Run(string(kind), func(t *testing.T) {
			unchanged(t)
			topology := &Topology{Links: []Link{DefaultLink("a")}}
			topology.Links[0].Tree, topology.Links[0].Shaper, topology.Links[0].Delay = TreeNested, kind, 35*time.Millisecond
			up(t, "run", topology)
			r := opened(t, "run")
			e, _ := endpoints(t, r, "a")
			e.Seed(1)
			for _, c := range []struct {
				name string
				edit func(s *trace.State)
				tc   []string
			}{
				{"nothing", func(*trace.State) {}, []string{`"limit":150`}},
				{"jitter", func(s *trace.State) { s.Delay, s.Jitter = 20*time.Millisecond, 3*time.Millisecond }, []string{`"delay":0.02`, `"jitter":0.003`}},
				{"chain", func(s *trace.State) { s.GE = trace.GE{P: 0.01, R: 0.25, LossBad: 1} }, []string{`"loss-gemodel":{"p":0.01`}},
				{"chain and delay", func(s *trace.State) {
					s.GE, s.Delay = trace.GE{P: 0.01, R: 0.25, LossBad: 1}, 30*time.Millisecond
				}, []string{`"delay":0.03`, `"loss-gemodel":{"p":0.01`}},
				{"loss", func(s *trace.State) { s.Loss, s.Duplicate = 0.25, 0.125 }, []string{`"loss-random":{"loss":0.25`, `"duplicate":{"duplicate":0.125`}},
			} {
				s := trace.State{Rate: 10 * trace.Mbit, Carrier: true}
				c.edit(&s)
				if _, err := e.Apply(0, 0, &s); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if err := r.EndReplay(map[trace.LinkDir]trace.State{{Link: "a", Dir: trace.Up}: s}); err != nil {
					t.Fatal(err)
				}
				got := status(t, "run")
				if d := got.Links[0].Up; len(got.Differences) > 0 || d.Delay != s.Delay || d.Jitter != s.Jitter || d.LimitPackets != 150 {
					t.Errorf("%s: %q, %+v", c.name, got.Differences, d)
				}
				said := strings.ReplaceAll(command(t, "tc -n lt.run.a -j qdisc show dev r0"), " ", "")
				for _, want := range c.tc {
					if !strings.Contains(said, want) {
						t.Errorf("%s: tc does not say %s: %s", c.name, want, said)
					}
				}
			}
			snd, rcv := sockets(t, "run", 0, 1)
			s := trace.State{Rate: 10 * trace.Mbit, Delay: 10 * time.Millisecond, Carrier: true}
			if _, err := e.Apply(0, time.Second, &s); err != nil {
				t.Fatal(err)
			}
			snd.send(0, 20, 1000)
			rcv.want(0, 20)
		})
	}
	// Without netem it says so.
	topology := links("b")
	topology.Links[0].Tree = TreeNested
	up(t, "other", topology)
	e, _ := endpoints(t, opened(t, "other"), "b")
	if _, err := e.Apply(0, time.Second, &trace.State{Rate: trace.Mbit, Delay: time.Second, Carrier: true}); !errors.Is(err, ErrNotSupported) {
		t.Errorf("a delay without a path: %v", err)
	}
}

// saturate sends packets of a size at an interval and returns the one-way delay
// of the last one that came, and how many came.
func saturate(t *testing.T, snd, rcv socket, packets, size int, interval time.Duration) (last time.Duration, came int) {
	t.Helper()
	done := make(chan struct{})
	now := func() int64 {
		var ts unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		return ts.Nano()
	}
	start := now()
	go func() {
		defer close(done)
		b := make([]byte, size-28)
		for i := range packets {
			ts := unix.NsecToTimespec(start + int64(i)*int64(interval))
			for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
			}
			binary.BigEndian.PutUint64(b, uint64(now()))
			snd.WriteTo(b, snd.peer)
		}
	}()
	b := make([]byte, 2000)
	for {
		wait := 300 * time.Millisecond
		if came == 0 {
			wait = patience
		}
		rcv.SetReadDeadline(time.Now().Add(wait))
		if _, _, err := rcv.ReadFrom(b); err != nil {
			break
		}
		last = time.Duration(now() - int64(binary.BigEndian.Uint64(b)))
		came++
	}
	<-done
	return last, came
}

// What the trees make of saturation: the delays add up where they are
// separated, and the longer one counts where they are nested; a queue shorter
// than what is on its way costs a nested tree its rate. docs/links.md tells
// these figures.
func TestTreesUnderSaturation(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb", "netem", "lab")
	for _, c := range []struct {
		tree    TreeKind
		shaper  ShaperKind
		queue   int64 // bytes
		delay   time.Duration
		last    time.Duration
		percent int // of the rate
	}{
		{TreeSeparated, ShaperTBF, 60000, 20 * time.Millisecond, 80 * time.Millisecond, 100},
		{TreeNested, ShaperTBF, 60000, 20 * time.Millisecond, 40 * time.Millisecond, 100},
		{TreeSeparated, ShaperTBF, 60000, 100 * time.Millisecond, 160 * time.Millisecond, 100},
		{TreeNested, ShaperTBF, 60000, 100 * time.Millisecond, 100 * time.Millisecond, 40},
		{TreeEgress, ShaperTBF, 60000, 20 * time.Millisecond, 40 * time.Millisecond, 100},
		{TreeSeparated, ShaperHTB, 60000, 20 * time.Millisecond, 80 * time.Millisecond, 100},
		{TreeNested, ShaperHTB, 60000, 20 * time.Millisecond, 40 * time.Millisecond, 100},
	} {
		t.Run(fmt.Sprintf("%s %s %v", c.tree, c.shaper, c.delay), func(t *testing.T) {
			unchanged(t)
			topology := &Topology{Links: []Link{DefaultLink("a")}}
			l := &topology.Links[0]
			l.Tree, l.Shaper, l.Rate, l.Delay = c.tree, c.shaper, 8*trace.Mbit, c.delay
			l.Queue.LimitBytes = c.queue
			up(t, "run", topology)
			snd, rcv := sockets(t, "run", 0, 0)
			const packets, size = 2000, 1000 // twice the rate, for a second
			last, came := saturate(t, snd, rcv, packets, size, 500*time.Microsecond)
			t.Logf("last packet after %v, %d of %d came", last, came, packets)
			if d := last - c.last; d > 2*time.Millisecond || d < -2*time.Millisecond {
				t.Errorf("the last packet took %v, want %v", last, c.last)
			}
			// A second at the rate carries 1000; the queue holds its own besides.
			if want := 1000 * c.percent / 100; came < want*95/100 || came > want*105/100+int(c.queue)/size {
				t.Errorf("%d packets came, want about %d", came, want)
			}
		})
	}
}

package netsetup

import (
	"math/rand/v2"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// Each pulse lets exactly its packets through, at its start, whatever the tick
// and whatever the queue is: the tape's delivery opportunities.
func TestPulsePackets(t *testing.T) {
	for _, l := range bottlenecks() {
		if !l.pulsed() {
			continue
		}
		for _, tick := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
			t.Run(shapedName(l)+"/"+tick.String(), func(t *testing.T) {
				privtest.Require(t, needs(l)...)
				unchanged(t)
				l.Tick = tick
				off := false // no discovery of neighbours, which takes bytes of a pulse
				up(t, "run", &Topology{Links: []Link{l}, IPv6: &off})
				e, _ := endpoints(t, opened(t, "run"), "a")
				if e.Tick() != tick {
					t.Fatalf("tick %v", e.Tick())
				}
				const size, ticks, most = 1500, 400, 6
				rng := rand.New(rand.NewPCG(1, uint64(tick)))
				start := (wall() + 20*time.Millisecond).Truncate(tick)
				got := make([]int, ticks)
				latest := time.Duration(0)
				f := newFlood(t, "run", 0, size, func(_ int, _, received time.Duration, _ byte) {
					i := (received - start) / tick
					if received < start || int(i) >= ticks {
						t.Errorf("a packet arrives %v after the first pulse", received-start)
						return
					}
					got[i]++
					latest = max(latest, (received-start)%tick)
				})
				f.tos(2) // ECT(0): what has waited long is marked, not dropped
				s := stateOf(l)
				s.Rate = 0
				if _, err := e.Apply(0, tick, &s); err != nil {
					t.Fatal(err)
				}
				f.offer(2 * most)
				want := make([]int, ticks)
				for i := range want {
					if rng.IntN(3) > 0 { // else none: a stall of one tick
						want[i] = rng.IntN(most + 1)
					}
					f.until(start + time.Duration(i)*tick)
					s.Rate = trace.BitRate(want[i] * size * 8 * int(time.Second/tick))
					a, err := e.Apply(time.Duration(i+1)*tick, tick, &s)
					if err != nil {
						t.Fatal(err)
					}
					if a.Closed != (want[i] == 0) || a.Kicked {
						t.Fatalf("%d packets: %+v", want[i], a)
					}
					f.offer(want[i])
					f.take()
				}
				f.until(start + ticks*tick - 1)
				f.take()
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("tick %d: %d packets of %d", i, got[i], want[i])
					}
				}
				if latest > 500*time.Microsecond { // the lab's timers are exact: so are the pulses
					t.Errorf("a packet arrives %v after its pulse", latest)
				}
				t.Logf("the last packet of a pulse arrives within %v", latest)
			})
		}
	}
}

// A queue's limit follows the rate, is what the drop-tail queue holds, and is
// kept through a stall.
func TestPulseLimit(t *testing.T) {
	l := DefaultLink("a")
	l.Path, l.Shaper = PathNone, ShaperPulse
	l.Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 100 * time.Millisecond}
	privtest.Require(t, needs(l)...)
	unchanged(t)
	up(t, "run", &Topology{Links: []Link{l}})
	e, _ := endpoints(t, opened(t, "run"), "a")
	snd, rcv := sockets(t, "run", 0, 0)
	s := stateOf(l)
	const size = 1000
	apply := func(i int, rate trace.BitRate) Counters {
		t.Helper()
		s.Rate = rate
		a, err := e.Apply(time.Duration(i)*DefaultTick, DefaultTick, &s)
		if err != nil {
			t.Fatal(err)
		}
		return a.Counters
	}
	first := 0
	for i, c := range []struct {
		rate trace.BitRate
		hold int // packets: 100 ms at the rate
	}{{2 * trace.Mbit, 25}, {800 * trace.Kbit, 10}, {4 * trace.Mbit, 50}} {
		apply(10*i, c.rate)
		before := apply(10*i+1, 0)
		snd.send(first, c.hold+20, size)
		eventually(t, "the packets reach the queue", func() bool { return counters(t, e).Drops >= before.Drops+19 })
		now := counters(t, e)
		if held := int(now.BacklogBytes) / size; held < c.hold-1 || held > c.hold {
			t.Errorf("%v: holds %d packets, want %d", c.rate, held, c.hold)
		}
		apply(10*i+2, 200*trace.Mbit)
		apply(10*i+3, 200*trace.Mbit)
		rcv.want(first, int(now.BacklogBytes)/size)
		first += c.hold + 20
		if c := counters(t, e); c.BacklogBytes != 0 {
			t.Errorf("emptied: %+v", c)
		}
	}
}

// What a pulse was told is what the kernel reads back.
func TestPulseReadBack(t *testing.T) {
	for _, l := range bottlenecks() {
		if !l.pulsed() {
			continue
		}
		t.Run(shapedName(l), func(t *testing.T) {
			privtest.Require(t, needs(l)...)
			unchanged(t)
			up(t, "run", &Topology{Links: []Link{l}})
			r := opened(t, "run")
			e, _ := endpoints(t, r, "a")
			m, err := r.Meter([]trace.LinkDir{e.LinkDir})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			s := stateOf(l)
			for i, c := range []struct {
				rate trace.BitRate
				hold time.Duration
			}{{12 * trace.Mbit, DefaultTick}, {0, DefaultTick}, {100 * trace.Kbit, DefaultTick}, {300 * trace.Mbit, time.Millisecond}, {5 * trace.Mbit, 100 * time.Millisecond}, {7 * trace.Mbit, 0}} {
				s.Rate = c.rate
				a, err := e.Apply(time.Duration(i)*time.Second, c.hold, &s)
				if err != nil {
					t.Fatal(err)
				}
				err = m.Read(0, true, func(_ int, got *Reading) {
					if d := a.Told.Differences(&got.Told); len(d) > 0 {
						t.Errorf("%v for %v: %v", c.rate, c.hold, d)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

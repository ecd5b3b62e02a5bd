package netsetup

import (
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"golang.org/x/sys/unix"
)

// CAKE and CoDel below a bucket hold their queue through stalls and changes of
// rate and limit, leak nothing, and go on when the link does; they count IP
// bytes, and say so.
func TestQueueBelow(t *testing.T) {
	for _, l := range bottlenecks() {
		if l.Queue.Kind == trace.DropTail {
			continue // TestStall
		}
		t.Run(shapedName(l), func(t *testing.T) {
			privtest.Require(t, needs(l)...)
			unchanged(t)
			if l.Queue.Kind == CAKEQueue {
				l.CAKE = CAKEOptions{Diffserv: "diffserv4", RTT: 50 * time.Millisecond}
			} else {
				l.Queue = trace.Queue{Kind: l.Queue.Kind, LimitTime: time.Second}
			}
			up(t, "run", &Topology{Links: []Link{l}})
			e, _ := endpoints(t, opened(t, "run"), "a")
			snd, rcv := sockets(t, "run", 0, 0)
			s, at := stateOf(l), time.Duration(0)
			ect(t, snd) // what has waited long is marked, not dropped
			apply := func(rate trace.BitRate, hold time.Duration) Applied {
				t.Helper()
				s.Rate = rate
				a, err := e.Apply(at, hold, &s)
				if err != nil {
					t.Fatal(err)
				}
				at += 100 * time.Millisecond
				return a
			}
			const n, size, rounds = 60, 1028, 6
			for i := range rounds {
				if a := apply(0, 100*time.Millisecond); !a.Closed {
					t.Fatalf("%+v", a)
				}
				snd.send(i*n, n, size)
				eventually(t, "the packets reach the queue", func() bool { return counters(t, e).BacklogBytes >= n*size })
				before := counters(t, e)
				for range 5 {
					apply(0, 100*time.Millisecond)
				}
				if c := counters(t, e); c.Bytes != before.Bytes || c.Drops != before.Drops || c.BacklogBytes > n*size+strays {
					t.Errorf("held: %+v, then %+v", before, c)
				}
				rcv.nothing()
				// Changes of the rate lose nothing of the queue either.
				for _, rate := range []trace.BitRate{2 * trace.Mbit, 200 * trace.Mbit, 100 * trace.Mbit} {
					apply(rate, time.Second)
				}
				rcv.want(i*n, n)
				if c := counters(t, e); c.BacklogBytes > strays || c.Drops > 0 {
					t.Errorf("opened: %+v", c)
				}
			}
			apply(100*trace.Mbit, time.Second)
			apply(100*trace.Mbit, time.Second) // no backlog since: the limit may shrink
			d := status(t, "run").Links[0].Up
			switch l.Queue.Kind {
			case CAKEQueue:
				c := d.CAKE
				if c == nil || len(c.Tins) != 4 {
					t.Fatalf("CAKE says %+v", c)
				}
				// diffserv4's order: background, best effort, video, voice.
				best := c.Tins[1]
				if best.Packets < rounds*n || best.Bytes < rounds*n*size || best.Bytes > rounds*n*size+strays || best.Drops != 0 {
					t.Errorf("best effort: %+v, want %d packets of %d bytes", best, rounds*n, size)
				}
				threshold := 125 * trace.Mbit
				if l.pulsed() {
					threshold = 0 // unlimited
				}
				if best.Threshold != threshold || best.Target != 2500*time.Microsecond || best.Interval != 50*time.Millisecond {
					t.Errorf("threshold %v, target %v, interval %v: want %v, 2.5ms, 50ms", best.Threshold, best.Target, best.Interval, threshold)
				}
				if c.MaxLength != size || c.MaxAdjusted != size || c.MemoryUsed < n*size || c.MemoryLimit < 4<<20 || best.PeakDelay == 0 {
					t.Errorf("%+v", c)
				}
			case CoDel:
				if c := d.CoDel; c == nil || c.MaxPacketBytes != size || c.LimitDrops != 0 || c.NewFlows == 0 {
					t.Errorf("CoDel says %+v", c)
				}
				if want := int64(100*trace.Mbit/8) / 1500 * 1500; d.LimitBytes != want {
					t.Errorf("limit %d, want %d", d.LimitBytes, want)
				}
			}
		})
	}
}

// ect makes a socket's packets capable of ECN.
func ect(t *testing.T, s socket) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 2) })
	if err != nil {
		t.Fatal(err)
	}
}

// A queue's limit is that of its kind: CoDel's in packets of the MTU, CAKE's in
// the kernel's memory.
func TestQueueBelowLimit(t *testing.T) {
	for _, l := range bottlenecks() {
		if l.Queue.Kind == trace.DropTail {
			continue // TestDropTail
		}
		t.Run(shapedName(l), func(t *testing.T) {
			privtest.Require(t, needs(l)...)
			unchanged(t)
			l.Queue.LimitBytes = 60_000
			up(t, "run", &Topology{Links: []Link{l}})
			e, _ := endpoints(t, opened(t, "run"), "a")
			snd, _ := sockets(t, "run", 0, 0)
			s := stateOf(l)
			s.Rate = 0
			if _, err := e.Apply(0, time.Second, &s); err != nil {
				t.Fatal(err)
			}
			const n, size = 200, 1500
			snd.send(0, n, size)
			var c Counters
			eventually(t, "the packets meet the queue", func() bool {
				c = counters(t, e)
				return int(c.BacklogBytes)/size+int(c.Drops) >= n
			})
			held := int(c.BacklogBytes) / size
			t.Logf("%d packets of %d bytes held", held, size)
			// fq_codel drops up to 64 at once. A packet of 1500 bytes takes
			// 2304 of memory, and one waits in the bucket besides.
			lowest, highest := 0, 40+1
			if l.Queue.Kind == CAKEQueue {
				lowest, highest = 60_000/2304, 60_000/2304+1
			}
			if held < lowest || held > highest {
				t.Errorf("%d packets held, want %d to %d: %+v", held, lowest, highest, c)
			}
		})
	}
}

package netsetup

import "testing"

// What a meter reads is without kicks: those that have left, those that wait, and
// those that found the queue full.
func TestKickMeter(t *testing.T) {
	l := new(kickLog)
	k := kickMeter{log: l}
	read := func(what string, in, want Counters, inPackets, wantPackets uint32) {
		t.Helper()
		r := Reading{Counters: in, BacklogPackets: inPackets}
		k.take(&r)
		if r.Counters != want || r.BacklogPackets != wantPackets {
			t.Errorf("%s:\n got %+v, %d packets\nwant %+v, %d packets", what, r.Counters, r.BacklogPackets, want, wantPackets)
		}
	}
	k.before()
	read("none", Counters{1000, 10, 3, 5000}, Counters{1000, 10, 3, 5000}, 50, 50)
	l.enqueued(6001)
	k.before()
	read("one waits", Counters{5000, 14, 3, 1001}, Counters{5000, 14, 3, 1000}, 11, 10)
	l.enqueued(6002)
	read("a kick during a reading", Counters{5000, 14, 3, 1002}, Counters{5000, 14, 3, 1001}, 12, 11)
	k.before()
	read("one has left", Counters{6001, 25, 3, 1}, Counters{6000, 24, 3, 0}, 1, 0)
	read("both have left", Counters{6002, 26, 3, 0}, Counters{6000, 24, 3, 0}, 0, 0)
	l.dropped.Add(1)
	k.before()
	read("one was dropped, which is not counted yet", Counters{6002, 26, 3, 0}, Counters{6000, 24, 3, 0}, 0, 0)
	read("one was dropped", Counters{6002, 26, 5, 0}, Counters{6000, 24, 4, 0}, 0, 0)

	l.enqueued(7003) // goes with the interface, as all that waits
	k.before()
	read("in the queue", Counters{6002, 26, 5, 1001}, Counters{6000, 24, 4, 1000}, 2, 1)
	read("not counted by the kernel", Counters{6002, 26, 5, 0}, Counters{6000, 24, 4, 0}, 0, 0)

	for range 2 * maxKicks {
		l.enqueued(1 << 40)
	}
	k.before()
	read("more than are remembered", Counters{6002 + 3*maxKicks, 26 + 3*maxKicks, 5, 2 * maxKicks},
		Counters{6000 + 2*maxKicks, 24 + 2*maxKicks, 4, maxKicks}, 2*maxKicks, maxKicks)
	read("the queue was made anew", Counters{100, 1, 0, 0}, Counters{100, 1, 0, 0}, 0, 0)
	k.before()
	read("and used", Counters{200, 2, 1, 0}, Counters{200, 2, 1, 0}, 0, 0)

	k = kickMeter{log: l, raw: Counters{Drops: 1<<32 - 1}, refused: 1}
	l.dropped.Add(1)
	k.before()
	read("the kernel's count wraps", Counters{0, 0, 2, 0}, Counters{0, 0, 1, 0}, 0, 0)
}

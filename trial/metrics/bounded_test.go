package metrics

import (
	"testing"

	"linktape/internal/rist"
	"linktape/record/capture"
)

// What is remembered of a long trial is what is under way: half a million packets, a
// thousandth of a second apart, of which one in ten is lost and one in a hundred is
// sent again, and a link that keeps everything for 30 s.
func TestBounded(t *testing.T) {
	const (
		step  = int64(1e6)
		count = 500_000
	)
	f := newFlow(0, func(int64) bool { return true })
	lost := 0
	c := newChannel(func(s *sent) {
		f.settle(s)
		if !s.arrived {
			lost++
		}
	})
	type arrival struct {
		at   int64
		mark capture.Mark
		p    *packet
	}
	var way []arrival
	id, most, mostRecords := uint64(0), 0, 0
	send := func(at int64, seq uint16, kind rist.Kind, arrives int64) {
		id++
		p := &packet{at: at, up: true, flow: true, rist: rist.Packet{Kind: kind, Seq: seq, SSRC: 2, MediaBytes: 1316}}
		s := &sent{mark: capture.Mark{Base: id}, at: at, packet: p, rec: f.send(p)}
		c.send(s)
		if arrives >= 0 {
			way = append(way, arrival{arrives, s.mark, p})
		}
	}
	take := func(until int64) {
		n := 0
		for n < len(way) && way[n].at <= until {
			if s := c.arrive(way[n].mark); s != nil {
				f.arrive(s.rec, 0, way[n].p)
			}
			n++
		}
		way = way[n:]
	}
	const held, free = 200_000 * step, 230_000 * step
	for i := int64(0); i < count; i++ {
		at := i * step
		arrives := at + 20*step
		if at >= held && at < free {
			arrives = free + 20*step
		}
		if i%10 == 3 {
			arrives = -1
		}
		send(at, uint16(i), rist.Media, arrives)
		if i%100 == 3 && i > 200 {
			send(at, uint16(i-100), rist.Retransmission, arrives)
		}
		take(at)
		c.advance(at)
		f.advance(at)
		if at < held || at > free+15e9 {
			most, mostRecords = max(most, len(c.queue)-c.head, len(c.open)), max(mostRecords, len(f.records), len(f.skipped), len(f.due))
		}
	}
	take(1 << 62)
	c.finish()
	f.finish()
	if most > 2300 || mostRecords > 13_500 {
		t.Errorf("at most %d packets and %d sequence numbers were remembered, want 2 s and 13 s of them", most, mostRecords)
	}
	if want := count/10 + count/100 - 2; lost != want {
		t.Errorf("%d lost, want %d", lost, want)
	}
	if n := f.counts; n.sequences != count || n.copies != count {
		t.Errorf("%d sequence numbers, %d originals, want %d", n.sequences, n.copies, count)
	}
}

package netsetup

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/trace"
)

// What iproute2 6.1 cannot send is made from include/uapi/linux/pkt_sched.h:
// the seed, the 64-bit times, an attribute that says 0, and an empty loss.
func TestAppendNetem(t *testing.T) {
	ne := binary.NativeEndian
	attr := func(typ uint16, fields ...any) []byte {
		b := []byte{0, 0, 0, 0}
		for _, f := range fields {
			b, _ = binary.Append(b, ne, f)
		}
		ne.PutUint16(b, uint16(len(b)))
		ne.PutUint16(b[2:], typ)
		return b
	}
	const lean = netemLean
	for _, c := range []struct {
		name string
		q    Netem
		qopt []uint32
		want []byte
	}{
		{
			"seed",
			Netem{LimitPackets: 1000, Seed: 0x0123456789abcdef, HasSeed: true, Omit: lean},
			[]uint32{0, 1000, 0, 0, 0, 0},
			attr(14, uint64(0x0123456789abcdef)),
		},
		{
			"seed 0",
			Netem{LimitPackets: 1000, HasSeed: true, Omit: lean},
			[]uint32{0, 1000, 0, 0, 0, 0},
			attr(14, uint64(0)),
		},
		{
			"seed omitted",
			Netem{LimitPackets: 1000, HasSeed: true, Omit: lean | NetemSeed},
			[]uint32{0, 1000, 0, 0, 0, 0},
			nil,
		},
		{
			"64-bit times",
			Netem{LimitPackets: 1000, Delay: 100*time.Millisecond + 1, Jitter: 63, Omit: lean &^ (NetemLatency64 | NetemJitter64)},
			[]uint32{1562500, 1000, 0, 0, 0, 0},
			append(attr(10, int64(100_000_001)), attr(11, int64(63))...),
		},
		{
			"delay beyond the ticks",
			Netem{LimitPackets: 1000, Delay: time.Hour, Omit: lean &^ NetemLatency64},
			[]uint32{math.MaxUint32, 1000, 0, 0, 0, 0},
			attr(10, int64(time.Hour)),
		},
		{
			"ecn off",
			Netem{LimitPackets: 1000, Omit: lean &^ NetemECN},
			[]uint32{0, 1000, 0, 0, 0, 0},
			attr(7, uint32(0)),
		},
		{
			"loss kept",
			Netem{LimitPackets: 1000, GE: trace.GE{P: 0.1, R: 0.2, LossBad: 1}, Omit: lean | NetemLoss},
			[]uint32{0, 1000, 0, 0, 0, 0},
			attr(5 | 0x8000),
		},
		{
			"state sums of 1",
			Netem{LimitPackets: 1000, Markov: Markov{P13: 0.5, P14: 0.5, P31: 0.5, P32: 0.5}, Omit: lean},
			[]uint32{0, 1000, 0, 0, 0, 0},
			attr(5|0x8000, attr(1, uint32(1<<31), uint32(1<<31), uint32(1<<31-1), uint32(1<<31-1), uint32(0))),
		},
		{
			"loss off",
			Netem{LimitPackets: 1000, Omit: lean},
			[]uint32{0, 1000, 0, 0, 0, 0},
			nil,
		},
		{
			"tables omitted",
			Netem{LimitPackets: 1000, DelayDist: shortDist, SlotDist: shortDist, Omit: lean | NetemDelayDist | NetemSlotDist},
			[]uint32{0, 1000, 0, 0, 0, 0},
			nil,
		},
		{
			"a table of odd length",
			Netem{LimitPackets: 1000, DelayDist: []int16{-1, 0, 1}, Omit: lean},
			[]uint32{0, 1000, 0, 0, 0, 0},
			append(attr(2, int16(-1), int16(0), int16(1)), 0, 0),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []byte
			for _, v := range c.qopt {
				want = ne.AppendUint32(want, v)
			}
			want = append(want, c.want...)
			b, err := AppendNetem(nil, c.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := b[16:]; !bytes.Equal(got, want) {
				t.Errorf("options\n got %x\nwant %x", got, want)
			}
			if !bytes.Equal(b[:12], []byte("\x0a\x00\x01\x00netem\x00\x00\x00")) && ne.Uint16([]byte{1, 0}) == 1 {
				t.Errorf("TCA_KIND %x", b[:12])
			}
		})
	}
}

func TestAppendNetemErrors(t *testing.T) {
	ok := Netem{LimitPackets: 1000}
	for _, c := range []struct {
		name string
		edit func(q *Netem)
		want string
	}{
		{"delay", func(q *Netem) { q.Delay = -1 }, "encode netem: delay -1ns: negative"},
		{"delay in ticks", func(q *Netem) { q.Delay, q.Omit = time.Hour, NetemLatency64 }, "encode netem: delay 1h0m0s: above 4m34.87790688s without its 64-bit attribute"},
		{"jitter", func(q *Netem) { q.Jitter = 3 * time.Second }, "encode netem: jitter 3s: outside 0 to 2.147483647s"},
		{"limit", func(q *Netem) { q.LimitPackets = 0 }, "encode netem: limit 0 packets: every packet would be dropped"},
		{"loss", func(q *Netem) { q.Loss = 1.5 }, "encode netem: loss 1.5: outside 0 to 1"},
		{"duplicate", func(q *Netem) { q.Duplicate = trace.Prob(math.NaN()) }, "encode netem: duplicate NaN: outside 0 to 1"},
		{"corrupt", func(q *Netem) { q.Corrupt = -0.1 }, "encode netem: corrupt -0.1: outside 0 to 1"},
		{"correlation", func(q *Netem) { q.CorruptCorr = 2 }, "encode netem: corrupt correlation 2: outside 0 to 1"},
		{"gemodel", func(q *Netem) { q.GE.R = 2 }, "encode netem: gemodel r 2: outside 0 to 1"},
		{"state", func(q *Netem) { q.Markov.P23 = 2 }, "encode netem: state p23 2: outside 0 to 1"},
		{"state sum", func(q *Netem) { q.Markov = Markov{P13: 0.75, P14: 0.5} }, "encode netem: state: p13+p14 = 1.25, p31+p32 = 0: above 1"},
		{"two models", func(q *Netem) { q.Markov.P13, q.GE.P = 0.1, 0.1 }, "encode netem: loss: both a Gilbert–Elliott and a four-state model"},
		{"reorder", func(q *Netem) { q.Reorder = 0.1 }, "encode netem: reorder 10%: needs a gap of 1 or more"},
		{"rate", func(q *Netem) { q.Rate = -1 }, "encode netem: rate -1bit: negative"},
		{"slot order", func(q *Netem) { q.Slot.MinDelay = 1 }, "encode netem: slot of 1ns to 0s: must be 0 or more, and in order"},
		{"slot limits", func(q *Netem) { q.Slot.MaxBytes = -1 }, "encode netem: slot of 0 packets and -1 bytes: negative"},
		{"slot jitter", func(q *Netem) { q.Slot.DistJitter = 3 * time.Second }, "encode netem: slot distribution 0s ± 3s: must be 0 or more, the second up to 2.147483647s"},
		{"long table", func(q *Netem) { q.DelayDist = make([]int16, 16385) }, "encode netem: distribution of 16385 entries: more than 16384"},
		{"long tables", func(q *Netem) { q.DelayDist, q.SlotDist = make([]int16, 16384), make([]int16, 16384) }, "encode netem: attribute of 65708 bytes: more than the 65535 of its length field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ok
			c.edit(&q)
			b, err := AppendNetem([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes appended beside an error", len(b)-4)
			}
		})
	}
}

// The closed form of the four-state model is the long-run share of its losses.
func TestMarkovLoss(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Markov
		want float64 // −1: as simulated
	}{
		{"bursts", Markov{P13: 0.05, P31: 0.4, P32: 0.3, P14: 0.02, P23: 0.5}, -1},
		{"tc's default", Markov{P13: 0.01, P31: 0.99, P23: 1}, 1.0 / 100},
		{"isolated", Markov{P14: 0.25}, 0.2},
		{"ends in loss", Markov{P13: 0.1}, 1},
		{"ends in reception", Markov{P13: 0.1, P32: 0.5}, 0},
		{"stays in bursts", Markov{P13: 0.5, P32: 0.25, P23: 0.75}, 0.75},
		{"none", Markov{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n, runIn = 4_000_000, 1000
			rng := rand.New(rand.NewPCG(3, 3))
			state, lost := 1, 0
			for i := range n + runIn { // loss_4state
				u := trace.Prob(rng.Float64())
				switch state {
				case 1:
					if u < c.m.P14 {
						state = 4
					} else if u < c.m.P13+c.m.P14 {
						state = 3
					}
				case 2:
					if u < c.m.P23 {
						state = 3
					}
				case 3:
					if u < c.m.P32 {
						state = 2
					} else if u < c.m.P31+c.m.P32 {
						state = 1
					}
				case 4:
					state = 1
				}
				if i >= runIn && state >= 3 {
					lost++
				}
			}
			got := c.m.Loss()
			if c.want >= 0 && math.Abs(got-c.want) > 1e-12 {
				t.Errorf("loss %v, want %v", got, c.want)
			}
			if simulated := float64(lost) / n; math.Abs(got-simulated) > 2e-3 {
				t.Errorf("loss %v, simulated %v", got, simulated)
			}
		})
	}
}

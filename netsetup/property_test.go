package netsetup

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/trace"

	"github.com/google/go-cmp/cmp"
)

// draw makes random parameters, of all magnitudes and often at the ends.
type draw struct{ *rand.Rand }

func (d draw) upTo(n int64) int64 {
	switch d.IntN(8) {
	case 0:
		return 0
	case 1:
		return n
	}
	v := math.Exp(d.Float64() * math.Log(float64(n)))
	return min(int64(v), n)
}

func (d draw) prob() trace.Prob {
	switch d.IntN(6) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return trace.Prob(math.Exp(-25 * d.Float64()))
	}
	return trace.Prob(d.Float64())
}

func (d draw) time(longest time.Duration) time.Duration {
	return time.Duration(d.upTo(int64(longest)))
}
func (d draw) rate() trace.BitRate { return trace.BitRate(1 + d.upTo(int64(trace.MaxRate)-1)) }
func (d draw) bool() bool          { return d.IntN(2) == 0 }

func (d draw) tbf() TBF {
	q := TBF{
		Rate: d.rate(), LimitBytes: d.upTo(math.MaxUint32),
		MPUBytes: uint16(d.upTo(65535)), OverheadBytes: uint16(d.upTo(65535)),
	}
	if d.bool() {
		q.BurstBytes = 1 + d.upTo(math.MaxUint32-1-int64(q.OverheadBytes))
	} else {
		q.Rate = max(q.Rate, 16)
		least := time.Duration(1e9/bytesPerSecond(q.Rate)) + tickNs // one byte
		q.Buffer = least + d.time(MaxTBFBuffer-least)
	}
	if d.bool() && q.Rate < trace.MaxRate-16 {
		q.PeakRate = q.Rate + 16 + trace.BitRate(d.upTo(int64(trace.MaxRate-q.Rate-16)))
		if d.bool() {
			q.PeakBurstBytes = 1 + d.upTo(math.MaxUint32-1-int64(q.OverheadBytes))
		} else {
			least := time.Duration(1e9/bytesPerSecond(q.PeakRate)) + tickNs
			q.PeakBuffer = least + d.time(MaxTBFBuffer-least)
		}
	}
	return q
}

func (d draw) class() HTBClass {
	c := HTBClass{
		Rate: d.rate(), QuantumBytes: d.upTo(math.MaxUint32), Prio: uint32(d.IntN(8)),
		MPUBytes: uint16(d.upTo(65535)), OverheadBytes: uint16(d.upTo(65535)),
	}
	if d.bool() {
		c.Ceil = d.rate()
	}
	// What takes more than the kernel's 274 s at a rate is refused.
	longest := func(r trace.BitRate) int64 { return int64(min(274*bytesPerSecond(r), math.MaxUint32)) }
	if d.bool() {
		most := longest(c.Rate)
		if c.Ceil != 0 {
			most = min(most, longest(c.Ceil))
		}
		c.BurstBytes = 1 + d.upTo(most-1)
	} else {
		c.Buffer = tickNs + d.time(maxTicks-tickNs)
	}
	switch d.IntN(3) {
	case 0:
		r := c.Ceil
		if r == 0 {
			r = c.Rate
		}
		c.CeilBurstBytes = 1 + d.upTo(longest(r)-1)
	case 1:
		c.CeilBuffer = tickNs + d.time(maxTicks-tickNs)
	}
	return c
}

func (d draw) table() []int16 {
	if d.bool() {
		return nil
	}
	t := make([]int16, 1+d.IntN(40))
	for i := range t {
		t[i] = int16(d.Uint32())
	}
	return t
}

func (d draw) netem() Netem {
	q := Netem{
		Delay: d.time(math.MaxInt64), Jitter: d.time(MaxNetemJitter), LimitPackets: uint32(1 + d.upTo(math.MaxUint32-1)),
		Loss: d.prob(), ECN: d.bool(), Duplicate: d.prob(), Corrupt: d.prob(),
		DelayCorr: d.prob(), LossCorr: d.prob(), DuplicateCorr: d.prob(), ReorderCorr: d.prob(), CorruptCorr: d.prob(),
		PacketOverheadBytes: int32(d.Uint32()), CellSizeBytes: d.Uint32(), CellOverheadBytes: int32(d.Uint32()),
		DelayDist: d.table(), SlotDist: d.table(),
	}
	if d.bool() {
		q.Rate = d.rate()
	}
	if d.bool() {
		q.Gap = uint32(1 + d.upTo(math.MaxUint32-1))
		q.Reorder = d.prob()
	}
	if d.bool() {
		q.Seed, q.HasSeed = d.Uint64(), true
	}
	if d.bool() {
		q.Slot.MinDelay = d.time(math.MaxInt64)
		q.Slot.MaxDelay = q.Slot.MinDelay + d.time(math.MaxInt64-q.Slot.MinDelay)
		q.Slot.MaxPackets, q.Slot.MaxBytes = int32(d.upTo(math.MaxInt32)), int32(d.upTo(math.MaxInt32))
		q.Slot.DistDelay, q.Slot.DistJitter = d.time(math.MaxInt64), d.time(MaxNetemJitter)
	}
	switch d.IntN(4) {
	case 0:
		q.GE = trace.GE{P: d.prob(), R: d.prob(), LossBad: d.prob(), LossGood: d.prob()}
	case 1:
		q.Markov = Markov{P13: d.prob() / 2, P14: d.prob() / 2.1, P31: d.prob() / 2, P32: d.prob() / 2.1, P23: d.prob()}
	case 2:
		q.Omit = NetemLoss
	}
	return q
}

func (d draw) micros(longest time.Duration) time.Duration {
	return (time.Microsecond + d.time(longest-time.Microsecond)).Truncate(time.Microsecond)
}

func (d draw) cake() CAKE {
	q := CAKE{
		Diffserv: CAKEDiffserv(d.IntN(int(cakeDiffservs))), ATM: CAKEATM(d.IntN(int(cakeATMs))), Flows: CAKEFlows(d.IntN(int(cakeFlowModes))),
		MPUBytes: uint16(d.Uint32()), RTT: d.micros(math.MaxUint32 * time.Microsecond), Target: d.micros(math.MaxUint32 * time.Microsecond),
		Autorate: d.bool(), MemoryBytes: d.upTo(math.MaxUint32), NAT: d.bool(), Wash: d.bool(), Ingress: d.bool(),
		AckFilter: CAKEAckFilter(d.IntN(int(cakeAckFilters))), SplitGSO: d.bool(), FWMark: d.Uint32(),
	}
	if d.bool() {
		q.Rate = d.rate()
	}
	if q.Raw = d.bool(); !q.Raw {
		q.OverheadBytes = int16(d.Uint32())
	}
	return q
}

func (d draw) fqCoDel() FQCoDel {
	return FQCoDel{
		LimitPackets: uint32(1 + d.upTo(math.MaxUint32-1)), Flows: uint32(1 + d.upTo(FQCoDelMaxFlows-1)),
		QuantumBytes: uint32(FQCoDelMinQuantum + d.upTo(FQCoDelMaxQuantum-FQCoDelMinQuantum)),
		Interval:     d.micros(math.MaxUint32 * time.Microsecond), Target: d.micros(math.MaxUint32 * time.Microsecond), ECN: d.bool(),
		CEThreshold: d.micros(math.MaxUint32 * time.Microsecond), MemoryBytes: 1 + d.upTo(FQCoDelMaxMemory-1),
		DropBatch: uint32(1 + d.upTo(math.MaxUint32-1)),
	}
}

func (d draw) fq() FQ {
	return FQ{
		LimitPackets: uint32(d.upTo(math.MaxUint32)), FlowLimitPackets: uint32(d.upTo(math.MaxUint32)),
		QuantumBytes: uint32(MinFQQuantum + d.upTo(MaxFQQuantum-MinFQQuantum)), InitialQuantumBytes: uint32(d.upTo(MaxFQQuantum)),
		Pacing: d.bool(), OrphanMask: uint32(d.upTo(math.MaxUint32)), Horizon: time.Duration(d.upTo(math.MaxUint32)) * time.Microsecond,
		HorizonCap: d.bool(), TimerSlack: time.Duration(d.upTo(math.MaxUint32)),
	}
}

// wireRate is what the wire holds of a rate.
func wireRate(r trace.BitRate) trace.BitRate {
	if r == 0 {
		return 0
	}
	return trace.BitRate(8 * bytesPerSecond(r))
}

// Random parameters survive encoding and decoding within the wire's steps:
// whole bytes per second, 64 ns ticks where there is nothing finer, 32-bit
// probabilities.
func TestRoundTrip(t *testing.T) {
	runs := 20000
	if testing.Short() {
		runs = 1000
	}
	d := draw{rand.New(rand.NewPCG(1, 2))}
	var buf []byte
	options := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		buf = b
		var opts []byte
		eachAttr(b, func(typ uint16, raw []byte) {
			if typ == tcaOptions {
				opts = raw[nlaHeaderLen:]
			}
		})
		return opts
	}
	check := func(what string, sent, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s %+v: %v", what, sent, err)
		}
		if d := cmp.Diff(want, got, approxProb); d != "" {
			t.Fatalf("%s %+v (-want +got)\n%s", what, sent, d)
		}
	}
	for range runs {
		tbf := d.tbf()
		want := tbf
		want.Rate, want.PeakRate = wireRate(tbf.Rate), wireRate(tbf.PeakRate)
		want.Buffer, want.PeakBuffer = tbf.Buffer/tickNs*tickNs, tbf.PeakBuffer/tickNs*tickNs
		gotTBF, err := DecodeTBF(options(AppendTBF(buf[:0], tbf)))
		check("tbf", tbf, want, gotTBF, err)

		prio := Prio{Bands: uint32(MinPrioBands + d.upTo(MaxPrioBands-MinPrioBands))}
		for i := range prio.Map {
			prio.Map[i] = uint8(d.upTo(int64(prio.Bands) - 1))
		}
		gotPrio, err := DecodePrio(options(AppendPrio(buf[:0], prio)))
		check("prio", prio, prio, gotPrio, err)

		htb := HTB{Default: uint16(d.upTo(65535)), R2Q: uint32(1 + d.upTo(math.MaxUint32-1))}
		if d.bool() {
			htb.DirectQlen, htb.HasDirectQlen = d.Uint32(), true
		}
		gotHTB, err := DecodeHTB(options(AppendHTB(buf[:0], htb)))
		check("htb", htb, htb, gotHTB, err)

		class := d.class()
		gotClass, err := DecodeHTBClass(options(AppendHTBClass(buf[:0], class)))
		check("htb class", class, inTicks(class), gotClass, err)
		if class.BurstBytes > 0 {
			// A bucket in bytes comes back smaller by up to a microsecond of
			// its rate, or larger by up to a tick.
			rate := float64(bytesPerSecond(class.Rate))
			got, _ := gotClass.BucketBytes()
			low, high := float64(class.BurstBytes)-rate*(1e-6+64e-9)-1, float64(class.BurstBytes)+rate*64e-9
			if float64(got) < low || float64(got) > high {
				t.Fatalf("htb class %+v: bucket of %d bytes, want %.0f to %.0f", class, got, low, high)
			}
		}

		netem := d.netem()
		wantNetem := netem
		wantNetem.Rate = wireRate(netem.Rate)
		gotNetem, err := DecodeNetem(options(AppendNetem(buf[:0], netem)))
		if netem.Omit&NetemLoss == 0 && gotNetem.GE == (trace.GE{}) {
			wantNetem.GE = trace.GE{} // too small for 32 bits
		}
		check("netem", netem, wantNetem, gotNetem, err)

		cake := d.cake()
		wantCAKE := cake
		wantCAKE.Rate = wireRate(cake.Rate)
		gotCAKE, err := DecodeCAKE(options(AppendCAKE(buf[:0], cake)))
		check("cake", cake, wantCAKE, gotCAKE, err)

		codel := d.fqCoDel()
		gotCoDel, err := DecodeFQCoDel(options(AppendFQCoDel(buf[:0], codel)))
		check("fq_codel", codel, codel, gotCoDel, err)

		fq := d.fq()
		gotFQ, err := DecodeFQ(options(AppendFQ(buf[:0], fq)))
		check("fq", fq, fq, gotFQ, err)
	}
}

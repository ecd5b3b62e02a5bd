package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Attributes of netem; include/uapi/linux/pkt_sched.h.
const (
	tcaNetemCorr      = 1  // TCA_NETEM_CORR
	tcaNetemDelayDist = 2  // TCA_NETEM_DELAY_DIST
	tcaNetemReorder   = 3  // TCA_NETEM_REORDER
	tcaNetemCorrupt   = 4  // TCA_NETEM_CORRUPT
	tcaNetemLoss      = 5  // TCA_NETEM_LOSS
	tcaNetemRate      = 6  // TCA_NETEM_RATE
	tcaNetemECN       = 7  // TCA_NETEM_ECN
	tcaNetemRate64    = 8  // TCA_NETEM_RATE64
	tcaNetemLatency64 = 10 // TCA_NETEM_LATENCY64
	tcaNetemJitter64  = 11 // TCA_NETEM_JITTER64
	tcaNetemSlot      = 12 // TCA_NETEM_SLOT
	tcaNetemSlotDist  = 13 // TCA_NETEM_SLOT_DIST
	tcaNetemPRNGSeed  = 14 // TCA_NETEM_PRNG_SEED

	netemLossGI = 1 // NETEM_LOSS_GI, the four-state model
	netemLossGE = 2 // NETEM_LOSS_GE, Gilbert–Elliott

	netemQoptLen = 24 // sizeof(struct tc_netem_qopt)
	netemCorrLen = 12 // sizeof(struct tc_netem_corr)
	netemPairLen = 8  // sizeof(struct tc_netem_reorder), tc_netem_corrupt
	netemRateLen = 16 // sizeof(struct tc_netem_rate)
	netemSlotLen = 40 // sizeof(struct tc_netem_slot)
	netemGILen   = 20 // sizeof(struct tc_netem_gimodel)
	netemGELen   = 16 // sizeof(struct tc_netem_gemodel)
)

const (
	// NetemDistMax is the largest number of entries of a distribution table
	// (NETEM_DIST_MAX).
	NetemDistMax = 16384

	// NetemDistScale is the entry of a distribution table that stands for one
	// standard deviation (NETEM_DIST_SCALE).
	NetemDistScale = 8192

	// MaxNetemJitter is the largest jitter that netem uses in full:
	// netem_change cuts it to 2³¹−1 ns.
	MaxNetemJitter = time.Duration(math.MaxInt32)
)

// NetemAttr is a set of netem's attributes, for [Netem.Omit].
type NetemAttr uint16

// What each attribute does when it is sent, and what it means to leave it out
// of a change (net/sched/sch_netem.c: netem_change).
const (
	NetemLatency64 NetemAttr = 1 << iota // out: Delay is cut to 64 ns ticks, at most 274 s
	NetemJitter64                        // out: Jitter is cut to 64 ns ticks
	NetemCorr                            // sent: the correlations' history starts anew, from the system's random numbers. out: kept
	NetemReorder                         // sent: the same for ReorderCorr. out: kept, but 100 % when Gap is set
	NetemECN                             // out: kept
	NetemCorrupt                         // sent: the same for CorruptCorr. out: kept
	NetemSlot                            // sent: the budget is refilled and a slot opens at once. out: kept
	NetemLoss                            // sent: the chain starts anew in its good state. out: an empty attribute is sent, which keeps model, parameters and state; a missing one would turn the model off
	NetemRate                            // out: kept
	NetemDelayDist                       // out: kept; there is no way to remove a table
	NetemSlotDist                        // out: kept; there is no way to remove a table
	NetemSeed                            // sent: the random sequence starts anew. out: it goes on, or on kernels 6.6 to 6.12.90 starts from a random seed
)

// NetemKeep is what a change of a running netem leaves out unless it is to
// change just that: what would restart a random sequence or a slot, and the
// tables, which cost time.
const NetemKeep = NetemCorr | NetemSlot | NetemLoss | NetemDelayDist | NetemSlotDist | NetemSeed

// Netem holds the parameters of a netem qdisc, net/sched/sch_netem.c.
//
// [AppendNetem] sends all of them, zeros included, since the kernel keeps what
// a change does not mention. Omit says what is to be kept.
type Netem struct {
	Delay        time.Duration // one-way delay, not negative
	Jitter       time.Duration // up to MaxNetemJitter. With DelayDist the standard deviation; without, delays are uniform over Delay ± Jitter
	LimitPackets uint32        // packets held at once, above 0

	Loss      trace.Prob // each packet on its own; the kernel ignores it beside GE or Markov
	GE        trace.GE   // Gilbert–Elliott chain; zero: none. The wire holds 1 − LossBad
	Markov    Markov     // four-state chain; zero: none
	ECN       bool       // mark in place of losing, where the packet allows it
	Duplicate trace.Prob
	Corrupt   trace.Prob // one bit flipped
	Reorder   trace.Prob // sent at once, ahead of the queue; needs Gap
	Gap       uint32     // packets from one candidate for Reorder to the next; 0: none

	// Correlations with the value of the packet before. netem's correlated
	// loss does not lose what it says (Salsano et al., Definition of a general
	// and intuitive loss model, 2012, section 2), and is not reproducible.
	DelayCorr, LossCorr, DuplicateCorr, ReorderCorr, CorruptCorr trace.Prob

	Rate                trace.BitRate // 0: none. A delay per packet that is fixed on arrival, in order; the wire holds whole bytes per second
	PacketOverheadBytes int32         // added to each packet's length; may be negative
	CellSizeBytes       uint32        // 0: none. Lengths are rounded up to whole cells
	CellOverheadBytes   int32         // added for each cell

	Slot NetemSlots // zero: none

	DelayDist []int16 // distribution of the delay: up to NetemDistMax entries, NetemDistScale = one Jitter; empty: none sent
	SlotDist  []int16 // distribution of the slots' delay; empty: none sent

	Seed    uint64 // of loss, duplication, corruption, reordering and delay, when HasSeed; kernels before 6.6 ignore it without an error
	HasSeed bool

	Omit NetemAttr // attributes to leave out; zero sends the complete set
}

// Markov holds the parameters of netem's four-state loss model
// (net/sched/sch_netem.c: loss_4state): 1 good reception, 2 good reception
// within a burst, 3 loss within a burst, 4 an isolated loss.
type Markov struct {
	P13 trace.Prob // a burst begins
	P31 trace.Prob // a burst ends
	P32 trace.Prob // a reception within a burst
	P14 trace.Prob // an isolated loss
	P23 trace.Prob // back to loss within a burst
}

// Enabled reports whether the model is set.
func (m Markov) Enabled() bool { return m != Markov{} }

// Loss is the stationary probability that a packet is lost, π₃ + π₄. A packet
// shares the fate of the state that it leads to (net/sched/sch_netem.c:
// loss_4state), and the balance of the transitions gives π₃ = π₁·P13/P31,
// π₂ = π₃·P32/P23 and π₄ = π₁·P14 (Salsano et al., section 3).
func (m Markov) Loss() float64 {
	p13, p31, p32, p14, p23 := float64(m.P13), float64(m.P31), float64(m.P32), float64(m.P14), float64(m.P23)
	switch {
	case p13 == 0: // it never comes to a burst
		return p14 / (1 + p14)
	case p32 > 0 && p23 == 0: // it ends in reception within a burst
		return 0
	case p31 == 0 && p32 == 0: // it ends in loss
		return 1
	case p31 == 0: // it never leaves the burst
		return p23 / (p23 + p32)
	}
	burst := p13 / p31
	receive := 0.0
	if p32 > 0 {
		receive = burst * p32 / p23
	}
	return (p14 + burst) / (1 + p14 + burst + receive)
}

// NetemSlots makes packets wait for slots that open at intervals
// (struct tc_netem_slot): between MinDelay and MaxDelay, uniformly, or with
// DistJitter above 0 after the distribution in Netem.SlotDist.
type NetemSlots struct {
	MinDelay   time.Duration
	MaxDelay   time.Duration // at least MinDelay
	MaxPackets int32         // per slot; 0: no limit
	MaxBytes   int32         // per slot, overshot by up to one packet; 0: no limit
	DistDelay  time.Duration // mean
	DistJitter time.Duration // standard deviation, up to MaxNetemJitter
}

// AppendNetem appends TCA_KIND and TCA_OPTIONS of a netem, for a message that
// creates or changes it; net/sched/sch_netem.c, netem_change. Probabilities go
// out as rint(p·(2³²−1)), delays in nanoseconds beside 64 ns ticks, rates in
// bytes per second, rounded down to at least 1. It fails, leaving b as it was,
// when a value is outside its field or one that the kernel would refuse or
// silently cut.
func AppendNetem(b []byte, q Netem) ([]byte, error) {
	if err := q.check(); err != nil {
		return b, fmt.Errorf("encode netem: %w", err)
	}
	begin := len(b)
	ne := binary.NativeEndian
	b = appendKind(b, "netem")
	b, nest := beginNest(b, tcaOptions)

	b = ne.AppendUint32(b, netemTicks(q.Delay))
	b = ne.AppendUint32(b, q.LimitPackets)
	b = ne.AppendUint32(b, prob32(q.Loss))
	b = ne.AppendUint32(b, q.Gap)
	b = ne.AppendUint32(b, prob32(q.Duplicate))
	b = ne.AppendUint32(b, netemTicks(q.Jitter))

	send := ^q.Omit
	if send&NetemLatency64 != 0 {
		b = appendAttrU64(b, tcaNetemLatency64, uint64(q.Delay))
	}
	if send&NetemJitter64 != 0 {
		b = appendAttrU64(b, tcaNetemJitter64, uint64(q.Jitter))
	}
	if send&NetemCorr != 0 {
		b = appendAttrHeader(b, tcaNetemCorr, netemCorrLen)
		b = ne.AppendUint32(b, prob32(q.DelayCorr))
		b = ne.AppendUint32(b, prob32(q.LossCorr))
		b = ne.AppendUint32(b, prob32(q.DuplicateCorr))
	}
	if send&NetemReorder != 0 {
		b = appendAttrHeader(b, tcaNetemReorder, netemPairLen)
		b = ne.AppendUint32(b, prob32(q.Reorder))
		b = ne.AppendUint32(b, prob32(q.ReorderCorr))
	}
	if send&NetemECN != 0 {
		var ecn uint32
		if q.ECN {
			ecn = 1
		}
		b = appendAttrU32(b, tcaNetemECN, ecn)
	}
	if send&NetemCorrupt != 0 {
		b = appendAttrHeader(b, tcaNetemCorrupt, netemPairLen)
		b = ne.AppendUint32(b, prob32(q.Corrupt))
		b = ne.AppendUint32(b, prob32(q.CorruptCorr))
	}
	if send&NetemSlot != 0 {
		b = appendAttrHeader(b, tcaNetemSlot, netemSlotLen)
		b = ne.AppendUint64(b, uint64(q.Slot.MinDelay))
		b = ne.AppendUint64(b, uint64(q.Slot.MaxDelay))
		b = ne.AppendUint32(b, uint32(q.Slot.MaxPackets))
		b = ne.AppendUint32(b, uint32(q.Slot.MaxBytes))
		b = ne.AppendUint64(b, uint64(q.Slot.DistDelay))
		b = ne.AppendUint64(b, uint64(q.Slot.DistJitter))
	}
	b = q.appendLoss(b)
	if send&NetemRate != 0 {
		var rate uint64
		if q.Rate > 0 {
			rate = bytesPerSecond(q.Rate)
		}
		if rate > math.MaxUint32 {
			b = appendAttrU64(b, tcaNetemRate64, rate)
		}
		b = appendAttrHeader(b, tcaNetemRate, netemRateLen)
		b = ne.AppendUint32(b, rate32(rate))
		b = ne.AppendUint32(b, uint32(q.PacketOverheadBytes))
		b = ne.AppendUint32(b, q.CellSizeBytes)
		b = ne.AppendUint32(b, uint32(q.CellOverheadBytes))
	}
	if send&NetemDelayDist != 0 {
		b = appendDist(b, tcaNetemDelayDist, q.DelayDist)
	}
	if send&NetemSlotDist != 0 {
		b = appendDist(b, tcaNetemSlotDist, q.SlotDist)
	}
	if send&NetemSeed != 0 && q.HasSeed {
		b = appendAttrU64(b, tcaNetemPRNGSeed, q.Seed)
	}
	out, err := endNest(b, nest)
	if err != nil {
		return b[:begin], fmt.Errorf("encode netem: %w", err)
	}
	return out, nil
}

// appendLoss appends TCA_NETEM_LOSS: with a model, get_loss_clg starts it
// anew; empty, get_loss_clg finds nothing to change; missing, netem_change
// goes back to Loss.
func (q *Netem) appendLoss(b []byte) []byte {
	const typ = tcaNetemLoss | nlaNested
	ne := binary.NativeEndian
	switch {
	case q.Omit&NetemLoss != 0:
		return appendAttrHeader(b, typ, 0)
	case q.GE.Enabled():
		b = appendAttrHeader(b, typ, nlaHeaderLen+netemGELen)
		b = appendAttrHeader(b, netemLossGE, netemGELen)
		b = ne.AppendUint32(b, prob32(q.GE.P))
		b = ne.AppendUint32(b, prob32(q.GE.R))
		b = ne.AppendUint32(b, math.MaxUint32-prob32(q.GE.LossBad))
		b = ne.AppendUint32(b, prob32(q.GE.LossGood))
	case q.Markov.Enabled():
		b = appendAttrHeader(b, typ, nlaHeaderLen+netemGILen)
		b = appendAttrHeader(b, netemLossGI, netemGILen)
		// loss_4state adds p13 to p14 and p32 to p31 in 32 bits: 0.5 and 0.5,
		// each rounded up, must not become 0.
		p13, p31 := prob32(q.Markov.P13), prob32(q.Markov.P31)
		b = ne.AppendUint32(b, p13)
		b = ne.AppendUint32(b, p31)
		b = ne.AppendUint32(b, min(prob32(q.Markov.P32), math.MaxUint32-p31))
		b = ne.AppendUint32(b, min(prob32(q.Markov.P14), math.MaxUint32-p13))
		b = ne.AppendUint32(b, prob32(q.Markov.P23))
	}
	return b
}

func appendDist(b []byte, typ uint16, table []int16) []byte {
	if len(table) == 0 {
		return b
	}
	b = appendAttrHeader(b, typ, 2*len(table))
	for _, v := range table {
		b = binary.NativeEndian.AppendUint16(b, uint16(v))
	}
	return appendPad(b, 2*len(table))
}

// netemTicks is a time in 64 ns ticks, cut to 32 bits; the 64-bit attribute
// beside it is what the kernel takes.
func netemTicks(d time.Duration) uint32 { return uint32(min(d/tickNs, math.MaxUint32)) }

func (q *Netem) check() error {
	if q.Delay < 0 {
		return fmt.Errorf("delay %v: negative", q.Delay)
	}
	if q.Omit&NetemLatency64 != 0 && q.Delay > maxTicks {
		return fmt.Errorf("delay %v: above %v without its 64-bit attribute", q.Delay, maxTicks)
	}
	if q.Jitter < 0 || q.Jitter > MaxNetemJitter {
		return fmt.Errorf("jitter %v: outside 0 to %v", q.Jitter, MaxNetemJitter)
	}
	if q.LimitPackets == 0 {
		return errors.New("limit 0 packets: every packet would be dropped")
	}
	if err := q.checkProbs(); err != nil {
		return err
	}
	if q.GE.Enabled() && q.Markov.Enabled() {
		return errors.New("loss: both a Gilbert–Elliott and a four-state model")
	}
	if q.Reorder != 0 && q.Gap == 0 {
		return fmt.Errorf("reorder %v: needs a gap of 1 or more", q.Reorder)
	}
	if q.Rate < 0 {
		return fmt.Errorf("rate %v: negative", q.Rate)
	}
	if s := q.Slot; s.MinDelay < 0 || s.MaxDelay < s.MinDelay {
		return fmt.Errorf("slot of %v to %v: must be 0 or more, and in order", s.MinDelay, s.MaxDelay)
	} else if s.MaxPackets < 0 || s.MaxBytes < 0 {
		return fmt.Errorf("slot of %d packets and %d bytes: negative", s.MaxPackets, s.MaxBytes)
	} else if s.DistDelay < 0 || s.DistJitter < 0 || s.DistJitter > MaxNetemJitter {
		return fmt.Errorf("slot distribution %v ± %v: must be 0 or more, the second up to %v", s.DistDelay, s.DistJitter, MaxNetemJitter)
	}
	if len(q.DelayDist) > NetemDistMax || len(q.SlotDist) > NetemDistMax {
		return fmt.Errorf("distribution of %d entries: more than %d", max(len(q.DelayDist), len(q.SlotDist)), NetemDistMax)
	}
	return nil
}

func (q *Netem) checkProbs() error {
	for _, p := range [...]struct {
		name string
		p    trace.Prob
	}{
		{"loss", q.Loss},
		{"duplicate", q.Duplicate},
		{"corrupt", q.Corrupt},
		{"reorder", q.Reorder},
		{"delay correlation", q.DelayCorr},
		{"loss correlation", q.LossCorr},
		{"duplicate correlation", q.DuplicateCorr},
		{"reorder correlation", q.ReorderCorr},
		{"corrupt correlation", q.CorruptCorr},
		{"gemodel p", q.GE.P},
		{"gemodel r", q.GE.R},
		{"gemodel loss in the bad state", q.GE.LossBad},
		{"gemodel loss in the good state", q.GE.LossGood},
		{"state p13", q.Markov.P13},
		{"state p31", q.Markov.P31},
		{"state p32", q.Markov.P32},
		{"state p14", q.Markov.P14},
		{"state p23", q.Markov.P23},
	} {
		if !p.p.Valid() {
			return fmt.Errorf("%s %v: outside 0 to 1", p.name, float64(p.p))
		}
	}
	// loss_4state adds these; the excess allowed is that of rounding.
	if m := q.Markov; m.P13+m.P14 > 1+1e-12 || m.P31+m.P32 > 1+1e-12 {
		return fmt.Errorf("state: p13+p14 = %v, p31+p32 = %v: above 1", float64(m.P13+m.P14), float64(m.P31+m.P32))
	}
	return nil
}

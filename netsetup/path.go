package netsetup

import (
	"math"

	"linktape/trace"
)

// The path is two netems: the root loses, duplicates and corrupts; its child
// delays. One would do both, but a change of its delay would start its random
// numbers anew on kernels from 6.6 to 6.12.90 (net/sched/sch_netem.c:
// netem_change), and jitter would draw from the same sequence as the losses.
// Apart, the losses of a run depend on its packets and on the tape's losses
// alone.

const (
	// pathLimit is the number of packets a path may hold. It is no queue: the
	// bottleneck before it has dropped what does not fit.
	pathLimit = 1_000_000

	// inOrder is a rate high enough to cost no time that makes netem keep the
	// order of packets (sch_netem.c: netem_enqueue, "delay -= last - now").
	inOrder = 34 * trace.Gbit

	// leastLoss is the smallest loss that netem can hold, 1/(2^32−1). Sent in
	// place of 0 it makes netem draw one number for each packet, so that the
	// same packets are lost whatever the loss was before.
	leastLoss = trace.Prob(1.0 / math.MaxUint32)
)

// path is what lies behind the bottleneck of one direction.
type path struct {
	seed    uint64 // of this direction; mixed anew for every change of the loss
	changes uint64
	loss    Netem
	delay   Netem
	told    bool // the kernel has loss and delay

	// What stays whatever the state is.
	markov    Markov
	ecn       bool
	gap       uint32
	rate      trace.BitRate
	slots     NetemSlots
	dist      []int16
	slotShape []int16 // nil: the slots have no distribution

	distName, slotName string // of dist and slotShape, for people

	requests [2]request
}

// newPath returns the path of one direction of a link, in the topology's state
// and with the topology's seed for its losses.
func newPath(l *Link, d trace.Direction) *path {
	m := &l.Impair
	p := &path{
		seed: pathSeed(l, d), markov: m.Markov, ecn: m.ECN, gap: max(m.Gap, 1), rate: inOrder,
		slots: m.Slots, dist: m.Distribution.table(), distName: m.Distribution.name(),
	}
	if m.Overtake {
		p.rate = 0
	}
	if m.Slots.DistJitter > 0 {
		p.slotShape, p.slotName = m.SlotShape.table(), m.SlotShape.name()
	}
	s := stateOf(*l)
	p.loss, p.delay = p.netems(&s)
	return p
}

// netems translates a state.
func (p *path) netems(s *trace.State) (loss, delay Netem) {
	loss = Netem{
		LimitPackets: pathLimit,
		Loss:         max(s.Loss, leastLoss), GE: s.GE, ECN: p.ecn,
		Duplicate: s.Duplicate, Corrupt: s.Corrupt,
		HasSeed: true, Seed: p.loss.Seed,
		Omit: NetemDelayDist | NetemSlot | NetemSlotDist | NetemCorr,
	}
	switch {
	case s.GE.Enabled():
		loss.Loss = 0
	case s.Loss == 0 && p.markov.Enabled():
		loss.Loss, loss.Markov = 0, p.markov
	}
	delay = Netem{
		LimitPackets: pathLimit,
		Delay:        s.Delay, Jitter: s.Jitter,
		Reorder: s.Reorder, Rate: p.rate, Slot: p.slots,
		Omit: NetemDelayDist | NetemLoss | NetemSlot | NetemSlotDist | NetemCorr,
	}
	if s.Reorder > 0 {
		delay.Gap = p.gap
	}
	return loss, delay
}

// delayWithTables is the delay with all that is told once, when it is made: a
// table cannot be taken back, and a slot opens at once whenever it is told
// (sch_netem.c: get_slot).
func (p *path) delayWithTables() Netem {
	q := p.delay
	q.DelayDist, q.SlotDist = p.dist, p.slotShape
	q.Omit &^= NetemDelayDist | NetemSlotDist
	if p.slots != (NetemSlots{}) {
		q.Omit &^= NetemSlot
	}
	return q
}

// create returns the requests that make the path.
func (p *path) create() []request {
	p.loss.Seed = mix64(mix64(p.seed))
	table := p.delayWithTables()
	table.HasSeed, table.Seed = true, p.jitterSeed()
	p.told = true
	p.requests[0] = request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &p.loss}
	p.requests[1] = request{kind: setNetem, handle: handleDelay, parent: handleLossLeaf, netem: &table, dist: p.distName, slotDist: p.slotName}
	return p.requests[:]
}

// next returns the requests that a state needs: none for a netem whose own
// parameters stay as they are. The slice is valid until the next call.
//
// Kernels from 6.6 to 6.12.90 draw a new random seed at a change that brings
// none, so each change of the loss brings one, which is a function of the
// path's seed and the number of the change.
func (p *path) next(s *trace.State) []request {
	loss, delay := p.netems(s)
	n := 0
	if !p.told || !sameLoss(&loss, &p.loss) {
		if p.told && loss.GE == p.loss.GE && loss.Markov == p.loss.Markov && (loss.GE.Enabled() || loss.Markov.Enabled()) {
			loss.Omit |= NetemLoss // the chain goes on
		}
		p.changes++
		loss.Seed = mix64(mix64(p.seed) ^ p.changes)
		p.loss = loss
		p.requests[n] = request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &p.loss}
		n++
	}
	if !p.told || delay.Delay != p.delay.Delay || delay.Jitter != p.delay.Jitter || delay.Reorder != p.delay.Reorder {
		p.delay = delay
		if !p.told {
			p.delay.HasSeed, p.delay.Seed = true, p.jitterSeed()
		}
		p.requests[n] = request{kind: setNetem, handle: handleDelay, parent: handleLossLeaf, netem: &p.delay}
		n++
	}
	p.told = true
	return p.requests[:n]
}

// forget makes the next requests complete, whatever was told before.
func (p *path) forget() { p.told = false }

// reseed starts the losses of a new run: the next state brings the seed.
func (p *path) reseed(seed uint64) {
	p.seed, p.changes = seed, 0
	p.forget()
}

// jitterSeed is the seed of the delay, which has draws of its own. It is told
// when the delay is told for the first time: its later changes go on from there
// (on kernels 6.6 to 6.12.90 they draw another one).
func (p *path) jitterSeed() uint64 { return mix64(^p.seed) }

func sameLoss(a, b *Netem) bool {
	return a.Loss == b.Loss && a.GE == b.GE && a.Markov == b.Markov && a.Duplicate == b.Duplicate && a.Corrupt == b.Corrupt
}

// mix64 is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014):
// netem folds a seed to 32 bits without mixing, so that close seeds begin alike.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

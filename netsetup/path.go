package netsetup

import (
	"math"
	"sync"

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

// normalTable is the standard normal distribution for netem: 4096 quantiles,
// scaled by NETEM_DIST_SCALE (sch_netem.c: tabledist).
var normalTable = sync.OnceValue(func() []int16 {
	t := make([]int16, 4096)
	for i := range t {
		u := (float64(i) + 0.5) / float64(len(t))
		t[i] = int16(math.Round(8192 * math.Sqrt2 * math.Erfinv(2*u-1)))
	}
	return t
})

// path is what lies behind the bottleneck of one direction.
type path struct {
	seed    uint64 // of this direction; mixed anew for every change of the loss
	changes uint64
	loss    Netem
	delay   Netem

	requests [2]request
}

// newPath returns a path in a state, with a seed for its losses.
func newPath(s trace.State, seed uint64) *path {
	p := &path{seed: seed}
	p.loss, p.delay = p.netems(&s)
	return p
}

// netems translates a state.
func (p *path) netems(s *trace.State) (loss, delay Netem) {
	loss = Netem{
		LimitPackets: pathLimit,
		Loss:         max(s.Loss, leastLoss), GE: s.GE,
		Duplicate: s.Duplicate, Corrupt: s.Corrupt,
		HasSeed: true, Seed: p.loss.Seed,
		Omit: NetemDelayDist | NetemSlot | NetemCorr,
	}
	if s.GE.Enabled() {
		loss.Loss = 0
	}
	delay = Netem{
		LimitPackets: pathLimit,
		Delay:        s.Delay, Jitter: s.Jitter,
		Reorder: s.Reorder, Rate: inOrder,
		Omit: NetemDelayDist | NetemLoss | NetemSlot | NetemCorr,
	}
	if s.Reorder > 0 {
		delay.Gap = 1
	}
	return loss, delay
}

// create returns the requests that make the path.
func (p *path) create() []request {
	p.loss.Seed = mix64(mix64(p.seed))
	table := p.delay
	table.DelayDist, table.Omit = normalTable(), table.Omit&^NetemDelayDist
	p.requests[0] = request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &p.loss}
	p.requests[1] = request{kind: setNetem, handle: handleDelay, parent: handleLossLeaf, netem: &table}
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
	if !sameLoss(&loss, &p.loss) {
		p.changes++
		loss.Seed = mix64(mix64(p.seed) ^ p.changes)
		p.loss = loss
		p.requests[n] = request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &p.loss}
		n++
	}
	if delay.Delay != p.delay.Delay || delay.Jitter != p.delay.Jitter || delay.Reorder != p.delay.Reorder {
		p.delay = delay
		p.requests[n] = request{kind: setNetem, handle: handleDelay, parent: handleLossLeaf, netem: &p.delay}
		n++
	}
	return p.requests[:n]
}

// forget makes the next requests complete, whatever was told before.
func (p *path) forget() { p.loss.Loss, p.delay.Delay = -1, -1 } // unlike any state

// reseed starts the losses of a new run: the next state brings the seed.
func (p *path) reseed(seed uint64) {
	p.seed, p.changes = seed, 0
	p.forget()
}

func sameLoss(a, b *Netem) bool {
	return a.Loss == b.Loss && a.GE == b.GE && a.Duplicate == b.Duplicate && a.Corrupt == b.Corrupt
}

// mix64 is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014):
// netem folds a seed to 32 bits without mixing, so that close seeds begin alike.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

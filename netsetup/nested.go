package netsetup

import "linktape/trace"

// The nested tree has bottleneck and path on one device: the token bucket is
// the root, and one netem, which loses and delays, is its child by parent
// handle. Packets wait for their delay first and for the bucket then, so that
// the longer of the two counts in saturation and not the sum; and the queue is
// netem's, whose limit holds the packets on their way as well
// (net/sched/sch_netem.c: netem_enqueue).

// leafHandle is the class that a child of the bottleneck's last bucket has.
func leafHandle(kind ShaperKind) uint32 {
	if kind == ShaperHTB {
		return handleGate | 1
	}
	return handleBottleneck | 1
}

// nestedLimit is the number of packets that a nested netem holds: those of the
// queue's size at the largest packet.
func nestedLimit(queueBytes int64, mtu int) uint32 {
	return uint32(min(max(queueBytes/int64(mtu), 2), pathLimit))
}

// nestedRequests make a nested tree in the topology's state.
func nestedRequests(l Link, d trace.Direction, netem bool) []request {
	s := newShaper(l)
	out := append([]request{}, s.create()...)
	if netem {
		state := stateOf(l)
		out = append(out, *newNested(l, d).create(&state, s.limit))
	}
	return out
}

// nested is the netem of a nested tree, which is a path in one piece.
type nested struct {
	path   *path
	netem  Netem
	parent uint32
	mtu    int
	known  bool

	request request
}

func newNested(l Link, d trace.Direction) *nested {
	return &nested{path: newPath(&l, d), parent: leafHandle(l.Shaper), mtu: l.MTU}
}

// whole is both netems of a path in one.
func (n *nested) whole(s *trace.State, queueBytes int64) Netem {
	loss, delay := n.path.netems(s)
	loss.LimitPackets = nestedLimit(queueBytes, n.mtu)
	loss.Delay, loss.Jitter, loss.Reorder, loss.Gap, loss.Rate = delay.Delay, delay.Jitter, delay.Reorder, delay.Gap, delay.Rate
	loss.Slot = delay.Slot
	return loss
}

// create returns the request that makes the netem in a state.
func (n *nested) create(s *trace.State, queueBytes int64) *request {
	n.netem = n.whole(s, queueBytes)
	once := n.path.delayWithTables()
	n.netem.DelayDist, n.netem.SlotDist = once.DelayDist, once.SlotDist
	n.netem.Omit &= once.Omit
	n.netem.Seed = mix64(mix64(n.path.seed))
	n.request = request{kind: setNetem, handle: handleLoss, parent: n.parent, netem: &n.netem}
	return &n.request
}

// next returns the request that a state needs, and whether it needs one. A
// change of the delay or the queue restarts the random numbers of the losses as
// a change of the loss does, on every kernel alike, since each brings a seed; it
// leaves a Gilbert–Elliott chain in the state that it is in.
func (n *nested) next(s *trace.State, queueBytes int64) (*request, bool) {
	q := n.whole(s, queueBytes)
	lossKept := n.known && sameLoss(&q, &n.netem)
	if lossKept && q.Delay == n.netem.Delay && q.Jitter == n.netem.Jitter && q.Reorder == n.netem.Reorder && q.LimitPackets == n.netem.LimitPackets {
		return nil, false
	}
	n.path.changes++
	q.Seed = mix64(mix64(n.path.seed) ^ n.path.changes)
	n.netem, n.known = q, true
	if lossKept {
		n.netem.Omit |= NetemLoss
	}
	n.request = request{kind: setNetem, handle: handleLoss, parent: n.parent, netem: &n.netem}
	return &n.request, true
}

// forget makes the next request complete, whatever was told before.
func (n *nested) forget() { n.known = false }

// reseed starts the losses of a new run: the next state brings the seed.
func (n *nested) reseed(seed uint64) {
	n.path.reseed(seed)
	n.known = false
}

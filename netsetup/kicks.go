package netsetup

import "sync/atomic"

// kickLog is what an endpoint tells of its kicks to a meter, which reads the same
// bottleneck on another thread. One endpoint writes, any number of meters read.
type kickLog struct {
	places  [maxKicks]atomic.Uint64 // of the n-th kick, at n mod maxKicks: the kernel's count of bytes when it has left
	queued  atomic.Uint64           // kicks that a queue took
	dropped atomic.Uint64           // kicks that found it full
}

// enqueued notes a kick that a queue took.
func (l *kickLog) enqueued(place uint64) {
	n := l.queued.Load()
	l.places[n%maxKicks].Store(place)
	l.queued.Store(n + 1)
}

// kickMeter takes kicks out of what one meter reads.
type kickMeter struct {
	log             *kickLog
	queued, dropped uint64   // kicks before the reading
	gone            uint64   // kicks that are not in the queue any more
	refused         uint64   // dropped ones that have been taken out
	less            Counters // what has been taken out
	raw             Counters // the reading before, as the kernel said it
}

// before notes which kicks there were before the kernel is asked. One that comes
// in between is taken out of the next reading.
func (k *kickMeter) before() { k.queued, k.dropped = k.log.queued.Load(), k.log.dropped.Load() }

// take takes the kicks out of a reading.
func (k *kickMeter) take(r *Reading) {
	raw := r.Counters
	if raw.Bytes < k.raw.Bytes || raw.Packets < k.raw.Packets { // somebody has made the queue anew
		*k = kickMeter{log: k.log, queued: k.queued, dropped: k.dropped, gone: k.queued, refused: k.dropped, raw: Counters{Drops: raw.Drops}}
	}
	left := uint64(0)
	if n := k.queued - k.gone; n > maxKicks { // the places of the first ones are not known any more
		left = n - maxKicks
		k.gone += left
	}
	for k.gone < k.queued && (raw.BacklogBytes == 0 || raw.Bytes >= k.log.places[k.gone%maxKicks].Load()) {
		k.gone++
		left++
	}
	// The kernel has not counted those that went with an interface.
	left = min(left, raw.Packets-k.raw.Packets)
	full := min(k.dropped-k.refused, uint64(uint32(raw.Drops)-uint32(k.raw.Drops))) // the kernel's count wraps
	k.refused += full
	k.less.Bytes += left * kickBytes
	k.less.Packets += left
	k.less.Drops += full
	k.raw = raw
	waiting := k.queued - k.gone
	r.Bytes -= min(k.less.Bytes, r.Bytes)
	r.Packets -= min(k.less.Packets, r.Packets)
	r.Drops = uint64(uint32(raw.Drops) - uint32(k.less.Drops))
	r.BacklogBytes -= uint32(min(waiting*kickBytes, uint64(r.BacklogBytes)))
	r.BacklogPackets -= uint32(min(waiting, uint64(r.BacklogPackets)))
}

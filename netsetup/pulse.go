package netsetup

import (
	"time"

	"linktape/trace"
)

// Pulses.
//
// A change of TBF fills its bucket (net/sched/sch_tbf.c: tbf_change). At a rate
// of a byte a second nothing else fills it, so that each change is what
// Mahimahi calls a delivery opportunity: the bytes of the tape's service in one
// tick, at its start. A change wakes no queue, but the release of a plug does
// (net/sched/sch_plug.c: plug_change). Both go out in one call, each tick.
//
// A plug is a first-in first-out queue with a limit in bytes, so it is the
// drop-tail queue itself. CAKE and CoDel stand beside it as the first of two
// bands, in the second of which an empty plug does nothing but wake. CAKE's own
// shaper is off then: its clock has no bound on how far it lags behind a gate.
//
// What no whole packet fitted into is lost to the bucket at the next change; the
// budget counts it, as that of any shaper, and adds it to the tick after.

// Bounds of [Link.Tick].
const (
	MinTick     = time.Millisecond
	MaxTick     = 10 * time.Millisecond
	DefaultTick = 5 * time.Millisecond
)

// pulseRate fills next to nothing between two pulses.
const pulseRate = 8 * trace.BitPerSecond

// crumb is what a tape's rate, which is in whole bit/s, may lack of a packet in a
// tick, in bytes.
const crumb = 0.01

// pulsed reports whether a link's bottleneck is a pulse.
func (l *Link) pulsed() bool { return l.Shaper == ShaperPulse }

// tick is the longest time from one pulse to the next.
func (l *Link) tick() time.Duration {
	if l.Tick == 0 {
		return DefaultTick
	}
	return l.Tick
}

// Tick is how long a step may hold at most if it is to be told as one pulse; 0:
// the bottleneck gives no pulses, and a step may hold for any time. A longer one
// is told as a rate, which the bottleneck then follows as [ShaperTBF] does.
func (e *Endpoint) Tick() time.Duration {
	if !e.shaper.link.pulsed() {
		return 0
	}
	return e.shaper.link.tick()
}

// pulse is the bucket of one tick.
func (s *shaper) pulse(g grant) TBF {
	return TBF{
		Rate:       pulseRate,
		BurstBytes: min(max(int64(g.bytes+crumb), int64(s.link.MTU+headerBytes)), maxPulse),
		LimitBytes: s.bucketLimit(),
	}
}

// maxPulse is the largest pulse: what the kernel turns into nanoseconds at the
// pulse's rate without an overflow (include/net/sch_generic.h: psched_l2t_ns).
const maxPulse = 1 << 31

// plugParent is the class that the plug has.
func (s *shaper) plugParent() uint32 {
	if s.link.Queue.Kind == trace.DropTail {
		return handleBottleneck | 1
	}
	return handleBands | 2
}

// createPulse returns what is below the bucket of a pulse, given what makes its
// queue; a plug is closed until it is told otherwise.
func (s *shaper) createPulse(queue request) []request {
	var out []request
	if queue.kind != 0 {
		out = append(out,
			request{kind: setPrio, handle: handleBands, parent: handleBottleneck | 1, prio: Prio{Bands: 2}}, queue)
	}
	out = append(out, request{kind: setPlug, handle: handlePlug, parent: s.plugParent(), plug: Plug{Action: PlugLimit, LimitBytes: s.limit}})
	s.plugged = s.limit
	return append(out, s.release())
}

// release wakes the queue.
func (s *shaper) release() request {
	return request{kind: setPlug, change: true, handle: handlePlug, parent: s.plugParent(), plug: Plug{Action: PlugReleaseIndefinite}}
}

// nextPulse appends what a tick tells the plug.
func (s *shaper) nextPulse(out []request) []request {
	if s.link.Queue.Kind == trace.DropTail && s.plugged != s.limit {
		s.plugged = s.limit
		out = append(out, request{kind: setPlug, change: true, handle: handlePlug, parent: s.plugParent(), plug: Plug{Action: PlugLimit, LimitBytes: s.limit}})
	}
	if s.grant.closed {
		return out
	}
	return append(out, s.release())
}

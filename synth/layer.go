package synth

import (
	"time"

	"linktape/trace"
)

// layer is what changes directions beside their own processes: outages,
// handovers, shared cells, regimes, events. A layer of several directions
// changes them at the same instants. A new one is one file, its decoding in
// scenario.go and its keys in schema.go.
type layer interface {
	// concerns reports whether the layer changes a direction.
	concerns(trace.LinkDir) bool
	// start makes the layer at instant 0.
	start(r *run) running
	// changes is, for one direction, like that of a [model].
	changes(duration, step time.Duration) (own uint64, sampled bool)
}

// running is a running layer.
type running interface {
	// advance brings the layer to instant t and returns the instant of the next
	// call; like [process] otherwise.
	advance(t time.Duration) (next time.Duration)
	// apply changes the state of a direction as the layer does now.
	apply(ld trace.LinkDir, s *trace.State)
}

// Package synth makes timelines from scenarios: YAML files that say, for each
// link and direction, which process drives rate, delay, jitter and loss.
//
//	scenario: drive               # a name
//	description: two carriers     # optional
//	duration: 60s
//	step: 100ms                   # how often random processes are sampled; this is the default
//	seed: 1                       # this is the default
//	links:
//	  att:
//	    queue: 300KB              # the bottleneck's drop-tail queue: bytes, or a waiting time such as 200ms; optional
//	    up:                       # sender → receiver; up, down or both
//	      rate: {model: log-ou, mean: 4Mbit, cv: 0.75, tau: 7s, floor: 200kbit, ceiling: 20Mbit}
//	      delay: 35ms             # a plain value is a constant
//	      jitter: {model: ou, mean: 5ms, cv: 0.3, tau: 2s}
//	      loss: {model: ge, mean_good: 10s, mean_bad: 300ms, loss_bad: 0.5, loss_good: 0.001}
//
// rate is required; delay, jitter, loss, duplicate, corrupt and reorder are 0
// when left out. The models:
//
//   - constant: value. The same as a plain value.
//   - steps: steps, a list of {at, value} that begins at 0s, and repeat, an
//     optional period after which the list begins again. Steps change at their
//     own instants, also between the sampling instants.
//   - ou (rate, delay, jitter): an Ornstein–Uhlenbeck process with mean, cv
//     (standard deviation relative to the mean) or sigma (in the mean's unit),
//     correlation time tau, and the optional bounds floor and ceiling, to which
//     values are clipped. Without a floor that is 0: a rate clipped there
//     stalls the link.
//   - log-ou (rate, delay, jitter): the exponential of one, with the same
//     parameters; mean and cv are those of the value, not of its logarithm.
//   - ge (loss): a Gilbert–Elliott chain in time with the mean durations of its
//     states, mean_good and mean_bad, and the loss in them, loss_bad (1 when
//     left out) and loss_good (0). The step's label is good or bad.
//   - ge-packet (loss): a Gilbert–Elliott chain that the kernel steps once per
//     packet: p (good → bad), r (bad → good), loss_bad (1) and loss_good (0);
//     or mean, the mean loss, with burst, the mean number of packets lost in a
//     row.
//
// Equal successive states of a direction are one step. Rates are rounded to
// whole bit/s and random delays and jitters to whole microseconds.
//
// # Determinism
//
// A scenario and its seed give the same steps on every machine, architecture
// and release with the same [Generator]. Each process of each direction draws
// from a stream of its own, so another link, direction or process leaves the
// draws of the others as they were; a normal deviate takes one uniform, so
// streams stay aligned when parameters change. Arithmetic uses neither the
// assembly of package math nor fused multiply-add.
//
// [Scenario.Synthesize] streams a timeline of any length in bounded memory.
package synth

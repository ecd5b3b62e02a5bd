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
// when left out. A value is plain or a mapping with a model: constant, steps, ou
// and log-ou (Ornstein–Uhlenbeck, with white noise), spikes, ramp, diurnal, sum
// and product of others; for loss ge, ge-packet, markov and bursts. Links have
// regimes, outages and handovers; scenarios have correlation, cells that links
// share, shared_outages and events. [Reference] (docs/parameters.md) describes
// every key, and [Schema] is the same for editors.
//
// What applies on top of what: a regime chooses the processes, a cell shares
// what they give, handovers and outages come on top, then shared outages, and
// events last.
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

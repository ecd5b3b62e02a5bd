// Package trace defines what a timeline is: the conditions of several links,
// for each direction, from one instant to the next.
//
// A [Step] is the complete [State] of one direction of one link from its
// instant until that direction's next step. Time is an offset from the
// timeline's start. A timeline has a duration and wraps there when it loops.
// Rates count the bytes of IP packets.
//
// Steps are ordered by instant, link name and direction name ([Compare]); each
// direction that a timeline names has a step at instant 0. [Checker] verifies
// this and reports every fault it finds.
//
// A tape is a timeline in a Parquet file. [Writer] and [Reader] stream it in
// bounded memory; [Reader.Seek] jumps to an instant. [Hash] is the SHA-256 over
// the canonical rows, which is the identity of the conditions: two tapes with
// the same hash replay the same network.
//
// [Spanner] turns steps into spans, [Coalescer] finds steps that change
// nothing, [Service] adds rate × time exactly, and [StatsCollector] describes
// a timeline in numbers; all of them stream.
package trace

// Package record turns what became of packets into tapes.
//
// A [Recorder] takes [Flight] after flight, in the order in which the packets
// were sent: when each was sent, how long it took, or that it was lost. It sorts
// them into bins of one length and writes a step for each bin, and a row of
// figures ([Bin]), and sums up each direction in [Stats]. It streams: memory is
// bounded by the packets that are still under way.
//
// The subpackages make flights: package pcap from packet captures of both ends,
// package probe by sending. Package watch makes a tape of counters alone.
//
// # What a bin holds
//
// A tape says when packets leave the bottleneck, and a path of constant delay
// comes after it (see package trace). A packet is therefore counted in the bin of
// its departure, which is its arrival less the smallest delay of its direction
// ([Channel].Base). A lost packet has no arrival: it is taken to have waited as
// long as the packet before it.
//
// The rate is the throughput: what was delivered. It is the link's capacity only
// where a queue stood before the bottleneck. Bins in which every packet took
// longer than the smallest delay by [Options].Queued are labelled "queued"; there
// the rate is the capacity, unless the path itself had become longer. The delay of
// such a bin holds the wait in the queue.
package record

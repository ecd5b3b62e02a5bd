// Package pcap makes tapes of packet captures: one of the sender's side and one of
// the receiver's side, of any UDP traffic, for instance RTP or RIST.
//
// Captures are read twice. A [Survey] reads them once and finds what they have
// in common: which pairs of addresses there are, which packets of the one capture
// are in the other (by a sample of them), how the clocks differ, and what of a
// packet identifies it. [Resolve] makes links of the pairs of addresses. [Run]
// reads the captures again, matches every packet, and passes on what became of
// it. Both keep memory bounded: the survey by its sample, the run by the packets
// of a few seconds.
//
// # Clocks
//
// Times on a tape are by the sender's clock. The receiver's is ahead of it by
//
//	θ = (min(r−s over up) − min(s−r over down)) / 2
//
// if the smallest delays of both directions are the same (the filter of NTP,
// RFC 5905, over a whole capture). Whatever they are, θ lies between −min(down)
// and min(up), as no delay is negative; the report gives this bound. It is the
// link with the narrowest bound that counts.
package pcap

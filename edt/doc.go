// Package edt computes when each packet leaves a link that obeys a tape exactly:
// the arithmetic of a replay whose departures are computed at the packets' arrival
// (earliest departure time), and what a tape does to given traffic without any
// kernel.
//
// A [Window] holds one direction of a tape from some instant on, as far as it is
// known: the cumulative service curve S(t), the bits that the link can have sent by
// t, piecewise linear, and beside it delay, loss and the queue's limit. A [Model]
// takes the packets in the order of their arrival and says what becomes of each
// ([Model.Packet]):
//
//   - A packet takes its bits of service behind the last one's: its position is
//     v = max(position of the last packet, S(now)) + its bits, and it leaves the
//     bottleneck when the curve reaches v. A state is a position and not a time, so
//     a stall needs no rule and nothing drifts.
//   - It is dropped when the backlog and it are more than the queue's limit
//     (drop-tail), or when the interface goes down before it could leave.
//   - What left the bottleneck is lost with the probability in force at that
//     instant, or by the Gilbert–Elliott chain, which steps once for each of them.
//   - The rest arrives after delay and jitter, in order unless packets may overtake.
//
// What becomes of a packet is a function of tape, seed, and the packets so far. The
// random numbers of the k-th packet that leaves the bottleneck are a function of
// seed and k alone, so that the same of them are lost at any spacing.
//
// All of it is 64-bit integer arithmetic with wrap-around, without loops other than
// the search in the window, so that a BPF program can do the same bit for bit. Time
// is in ns, service in 10⁻⁶ bit.
//
// Duplication, corruption and reordering by chance, and slots, are not part of it.
package edt

// Package metrics measures a trial: what a bonding sender and receiver made of the
// links that a tape gave them.
//
// [Compute] reads a trial's folder: the captures of both ends of every link, the
// applied log and the counters of the replay, the stack's own statistics, and what
// source and sink have noted. It says what every metric of [Definitions] came to,
// for the window that is left when a trial's start and end are taken off, lists
// what happened around each time in which nothing passed a link, and gives series
// by bins of 100 ms. Where two sources tell the same and differ by more than 2 %,
// that is a [Finding].
//
// [Count] counts what is in captures alone.
//
// Captures are read side by side, packet after packet. A packet that was sent is
// remembered until it has arrived and one that was sent 2 s later has arrived too,
// a sequence number until all of it is settled and it was not sent again for a
// while; the counts of bins are what grows with a trial's length.
package metrics

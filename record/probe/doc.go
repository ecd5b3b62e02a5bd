// Package probe measures links by sending: a [Server] at the receiver's end, and
// [Run] at the sender's, over all links at once.
//
// Probes are numbered UDP packets that carry their time of sending. The server
// notes the kernel's time of receiving each, and reports all of them over a TCP
// connection, with its own time, so that a report that is late loses nothing. To
// some probes it answers at once (echoes): from the four times of such an exchange
// follow the clocks' offset, as in NTP (RFC 5905), and the delay and loss of the
// way back.
//
// The offset is that of the quickest exchange of all links in a second without
// load before the recording. A second one after it gives the drift, which is
// reported and not taken out.
//
// With an adaptive load a link carries just more than it can: a [Load] keeps its
// queue between two delays, so that the rate delivered is the capacity.
package probe

// Package rist reads what RIST puts into UDP datagrams, of which the first 80
// bytes are enough: RTP (RFC 3550), RTCP, and the tunnel of the main profile, GRE
// over UDP (VSF TR-06-2, section 5).
//
// [Parse] says of a datagram what it is, and of media which packet of which flow.
// A retransmission repeats the sequence number and the timestamp of the original
// with the lowest bit of the SSRC set (VSF TR-06-1, section 5.3.2). Where the
// tunnel is encrypted, the datagram is [Encrypted] and only its size is known.
//
// An [Unwrapper] makes sequence numbers that do not wrap.
package rist

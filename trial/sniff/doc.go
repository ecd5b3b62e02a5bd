// Package sniff captures the packets of a device into a file, in both directions:
// the first bytes of each, with the kernel's time stamps.
//
// A [Capture] reads a ring that it shares with the kernel (AF_PACKET, TPACKET_V3),
// so that a burst waits there and the kernel counts what it had no room for. The
// file is a classic pcap with nanoseconds.
package sniff

// Package capture reads the UDP packets of packet captures.
//
// [Open] reads pcap and pcapng, plain or compressed with gzip, as a stream.
// What it gives of a packet is a [Packet]: when it was captured, between which
// ends, its size as an IP packet, and a [Mark] by which the same packet can be
// found in another capture. Packets that are not UDP, fragments, and packets of
// which too little was captured are left out and counted in [Counts].
//
// Known link layers: Ethernet, raw IP, Linux cooked (both versions) and BSD
// loopback, each with any number of VLAN tags, and PPPoE.
package capture

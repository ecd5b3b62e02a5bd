// Package watch makes tapes of links by looking at them, without sending anything
// but pings: what interfaces count, how long pings take, how strong the signal is.
//
// A [Collector] takes what was read of all links at one instant, again and again,
// and passes on a step of each direction for the time since the reading before,
// and a [Row] of figures. The rate is the throughput of IP packets: what the
// traffic used, which is the capacity only where the traffic filled the link. The
// delay is half of the round trip of the quickest ping. Losses are not known:
// counters tell drops before a link, which are in the rows, and a ping that stays
// away was lost on either way.
//
// [Pinger] sends ICMP echo requests by one interface; [Wireless] reads the signal
// of Wi-Fi. The kernel knows no signal of modems: that takes the modem's own
// protocol (QMI, MBIM, AT commands), which is not spoken here.
package watch

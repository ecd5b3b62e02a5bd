package metrics

import (
	"fmt"
	"strings"
)

// Definition says what a metric is.
type Definition struct {
	Name   string `json:"name"`
	Unit   string `json:"unit"`  // "1": a share, or a ratio
	Scope  string `json:"scope"` // link or bond
	Text   string `json:"definition"`
	Source string `json:"source"`
}

// Scopes of metrics.
const (
	ofLink = "link"
	ofBond = "bond"
)

// Sources of metrics.
const (
	byCaptures = "captures"
	byCounters = "counters"
	byApplied  = "applied log"
	bySink     = "source and sink"
	byStack    = "the stack's statistics"
	bySizes    = "captures, by size"
)

// Definitions lists every metric, in the order of a result. Everything is of the
// way from sender to receiver unless it says otherwise.
func Definitions() []Definition {
	const (
		bits    = "bit/s"
		packets = "packets"
		grams   = "datagrams"
		one     = "1"
		msec    = "ms"
	)
	d := func(scope, name, unit, source, text string) Definition {
		return Definition{name, unit, scope, text, source}
	}
	return []Definition{
		d(ofLink, "throughput_bit_s", bits, byCaptures, "Bits of IP packets that left the link at the receiver's end per second, of the bond and of anything else."),
		d(ofLink, "throughput_counters_bit_s", bits, byCounters, "Bits of IP packets that left the link's bottleneck per second, before the path's losses."),
		d(ofLink, "effective_throughput_bit_s", bits, byCaptures, "Bits of media (RTP's payload) of first copies delivered by the link per second. A first copy is the first packet to arrive, over any link, of its sequence number."),
		d(ofLink, "capacity_bit_s", bits, byApplied, "Mean capacity: the integral of the rates in force, each from the instant at which the kernel acknowledged it, over the time."),
		d(ofLink, "capacity_use", one, "counters and applied log", "Bits that left the bottleneck / bits that the rates in force allowed. Without counters, bits that left the link."),
		d(ofLink, "sent_packets", packets, byCaptures, "Packets of the bond that the sender put on the link."),
		d(ofLink, "received_packets", packets, byCaptures, "Packets of the bond that arrived by the link, without copies that the path made."),
		d(ofLink, "lost_packets", packets, byCaptures, "Packets sent that did not arrive: not by the end, or not when one sent 2 s later had arrived."),
		d(ofLink, "loss", one, byCaptures, "1 − arrived / sent, of packets of the bond, by when they were sent."),
		d(ofLink, "loss_path", one, "counters and captures", "The part of loss that the path's random loss made: loss × its share of the drops that the counters tell."),
		d(ofLink, "loss_queue", one, "counters and captures", "The part of loss that found the bottleneck's queue full (tail drop): the same way."),
		d(ofLink, "loss_outage", one, "counters and captures", "The part of loss that met an outage: packets dropped while the link lost all, and those that went with an interface: the same way."),
		d(ofLink, "originals_packets", packets, byCaptures, "Packets of media that the sender put on the link for the first time (lowest bit of the SSRC 0)."),
		d(ofLink, "retransmissions_packets", packets, byCaptures, "Retransmissions that the sender put on the link (lowest bit of the SSRC 1)."),
		d(ofLink, "share", one, byCaptures, "Bytes of media of the originals on the link / the same on all links."),
		d(ofLink, "capacity_share", one, byApplied, "The link's capacity / that of all links."),
		d(ofLink, "rtt_base_ms", msec, byCaptures, "The round trip with the queue empty: the 5th percentile of the bins' round trips."),
		d(ofLink, "rtt_p50_ms", msec, byCaptures, "Round trip, median of bins: the mean time upwards of the packets sent in the bin and the mean time back of those that were sent back in it."),
		d(ofLink, "rtt_p95_ms", msec, byCaptures, "The same, 95th percentile."),
		d(ofLink, "rtt_p99_ms", msec, byCaptures, "The same, 99th percentile."),
		d(ofLink, "stack_rtt_p50_ms", msec, byStack, "Median of the round trips that the stack tells of the link."),
		d(ofLink, "delay_p50_ms", msec, byCaptures, "Time from the sender's end to the receiver's, median of packets of the bond."),
		d(ofLink, "delay_p99_ms", msec, byCaptures, "The same, 99th percentile."),
		d(ofLink, "queue_delay_p50_ms", msec, byCounters, "Wait in the bottleneck's queue, median: backlog · 8 / the rate in force, whenever the counters were read and something could leave."),
		d(ofLink, "queue_delay_p95_ms", msec, byCounters, "The same, 95th percentile."),
		d(ofLink, "queue_delay_p99_ms", msec, byCounters, "The same, 99th percentile."),
		d(ofLink, "queue_delay_max_ms", msec, byCounters, "The same, the highest."),
		d(ofLink, "queue_stuck", one, byCounters, "Share of the readings at which something waited and nothing could leave."),
		d(ofLink, "stack_retransmissions_packets", packets, byStack, "Retransmissions on the link, as the sender tells, from its start to its last statistics."),
		d(ofLink, "stack_received_packets", packets, byStack, "Packets of media that arrived by the link, as the receiver tells: the same time."),

		d(ofBond, "throughput_bit_s", bits, byCaptures, "Sum of the links' throughput."),
		d(ofBond, "effective_throughput_bit_s", bits, byCaptures, "Sum of the links' effective throughput: bits of media that arrived for the first time per second."),
		d(ofBond, "source_bit_s", bits, bySink, "Bits of datagrams that the source sent per second."),
		d(ofBond, "output_bit_s", bits, bySink, "Bits of datagrams that arrived at the sink for the first time per second."),
		d(ofBond, "sequences_packets", packets, byCaptures, "Sequence numbers sent, as original or again: one for each packet of media, however many links carry it. What is said of sequence numbers goes by when each was sent first."),
		d(ofBond, "unsent_packets", packets, byCaptures, "Of them those sent as retransmissions alone: their originals went over no link, but into an interface that was down, or nowhere."),
		d(ofBond, "originals_packets", packets, byCaptures, "Packets that carried them as original; more than the sequence numbers where links carry the same."),
		d(ofBond, "retransmissions_packets", packets, byCaptures, "Retransmissions of these sequence numbers."),
		d(ofBond, "retransmission_rate", one, byCaptures, "Retransmissions / sequence numbers."),
		d(ofBond, "retransmission_rate_necessary", one, byCaptures, "Of them necessary: the first copy to arrive was a retransmission."),
		d(ofBond, "retransmission_rate_spurious", one, byCaptures, "Of them spurious: arrived after another copy."),
		d(ofBond, "retransmission_rate_lost", one, byCaptures, "Of them lost: did not arrive. The three make up the rate."),
		d(ofBond, "undelivered_packets", packets, byCaptures, "Sequence numbers of which no copy arrived over any link."),
		d(ofBond, "overhead", one, byCaptures, "Bytes of all IP packets of the bond that the sender sent / bytes of media of the sequence numbers."),
		d(ofBond, "feedback_bit_s", bits, byCaptures, "Bits of IP packets of the bond sent from the receiver to the sender per second."),
		d(ofBond, "sent_datagrams", grams, bySink, "Datagrams that the source sent."),
		d(ofBond, "unrecovered_datagrams", grams, bySink, "Of them not delivered to the application in time: never, or later than the deadline, which is the recovery buffer + the longest of the links' smallest delays + 500 ms."),
		d(ofBond, "unrecovered", one, bySink, "The same / datagrams sent."),
		d(ofBond, "lost_datagrams", grams, bySink, "Of the unrecovered, those that were never delivered."),
		d(ofBond, "late_datagrams", grams, bySink, "Of the unrecovered, those that were delivered after the deadline."),
		d(ofBond, "duplicate_datagrams", grams, bySink, "Datagrams that the application got more than once, each time beyond the first."),
		d(ofBond, "latency_p50_ms", msec, bySink, "Time from the source to the sink, median of datagrams delivered for the first time."),
		d(ofBond, "latency_p95_ms", msec, bySink, "The same, 95th percentile."),
		d(ofBond, "latency_p99_ms", msec, bySink, "The same, 99th percentile."),
		d(ofBond, "jitter_p50_ms", msec, bySink, "Difference of latency between a datagram and the one that arrived before it, without its sign, median (RFC 3550, section 6.4.1, D, not smoothed)."),
		d(ofBond, "jitter_p95_ms", msec, bySink, "The same, 95th percentile."),
		d(ofBond, "jitter_p99_ms", msec, bySink, "The same, 99th percentile."),
		d(ofBond, "repair_delay_p50_ms", msec, byCaptures, "Of sequence numbers whose first copy to arrive was a retransmission: time from the first original's sending to that arrival, median."),
		d(ofBond, "repair_delay_p95_ms", msec, byCaptures, "The same, 95th percentile."),
		d(ofBond, "repair_delay_p99_ms", msec, byCaptures, "The same, 99th percentile."),
		d(ofBond, "output_gap_max_ms", msec, bySink, "The longest time without a datagram at the sink."),
		d(ofBond, "fairness_error", one, "captures and applied log", "Σ|share − capacity share| / 2 over the links: the part of the media that is not where the capacities would have it."),
		d(ofBond, "start_up_loss_datagrams", grams, bySink, "Datagrams sent in what is left out at the start that were never delivered."),
		d(ofBond, "start_up_time_ms", msec, bySink, "Time from the source's first datagram to the sending of the first one that was delivered."),

		d(ofBond, "events", "events", byApplied, "Times of 100 ms or more in which nothing passed a link in some direction (dropped, stalled, or interface down), by the applied log, in the whole trial. Those of both directions that overlap are one event; the next eight are of these."),
		d(ofBond, "detection_time_median_ms", msec, "captures and applied log", "Failure → the last original on the failed link before it was restored, median of events. Where the interface was down, originals that went over no link count as sent there when the next one was, while they come at half the link's former rate or more. Events in which the sender went on using the link to the end have none."),
		d(ofBond, "detection_time_max_ms", msec, "captures and applied log", "The same, the longest."),
		d(ofBond, "failover_time_median_ms", msec, "sink and applied log", "Failure → the first datagram at the sink from which on the output is 95 % of the source's rate or more in a window of 500 ms, after it had fallen below; 0 if it never fell below. Median of events. A window may lack one datagram more, for its edges. The output is watched until the restore + the recovery buffer + 2 s; where it is not back by then, the event has none."),
		d(ofBond, "failover_time_max_ms", msec, "sink and applied log", "The same, the longest."),
		d(ofBond, "failover_unfinished", "events", "sink and applied log", "Events after which the output was not back."),
		d(ofBond, "output_gap_event_max_ms", msec, "sink and applied log", "The longest time between two datagrams at the sink around an event: from its failure until the output is not watched any more."),
		d(ofBond, "recovery_first_median_ms", msec, "captures and applied log", "Restore → the first original on the link, median of events."),
		d(ofBond, "recovery_first_max_ms", msec, "captures and applied log", "The same, the longest."),
		d(ofBond, "recovery_share_median_ms", msec, "captures and applied log", "Restore → the first original on the link from which on its share of all originals in 500 ms is 90 % or more of that in the 2 s before the failure, median of events. Waited for until the link's next event, for 30 s at most."),
		d(ofBond, "recovery_share_max_ms", msec, "captures and applied log", "The same, the longest."),

		d(ofBond, "reactions", "events", "captures and applied log", "Times at which a link in use became slow outside of events: its round trip rose above twice its base, or its capacity fell, to 75 % or less of what it was, below what the sender put on it (means of a second before and after)."),
		d(ofBond, "reaction_time_median_ms", msec, "captures and applied log", "Responsiveness: that instant → the beginning of the first 500 ms in which the sender put less than 90 % of the media on the link that it had put there in the 2 s before; to a bin. Median."),
		d(ofBond, "reaction_time_max_ms", msec, "captures and applied log", "The same, the longest."),
		d(ofBond, "reactions_missing", "events", "captures and applied log", "Those to which the sender did not react in 10 s, or before the next one."),

		d(ofBond, "stack_retransmissions_packets", packets, byStack, "Retransmissions, as the sender tells, from its start to its last statistics."),
		d(ofBond, "stack_lost_packets", packets, byStack, "Packets that the receiver gave up, as it tells: the same time."),
	}
}

// Reference is docs/metrics.md: what every metric is.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics of a trial

Generated from ` + "`trial/metrics/definitions.go`" + ` by ` + "`make golden`" + `.

All instants are by one clock; the epoch is the tape's first instant. Unless a definition says otherwise, a metric is of the window: without the first 2 s and the last 1 s of the trial (the trial says how much). Bins last 100 ms. A failure, a restore or a fall of capacity happens when the kernel acknowledged it, as the applied log has it, not when the tape says so.

What cannot be measured, or did not happen, has no value: ` + "`null`" + ` in JSON, and no row in a table. A unit of 1 is a share or a ratio.

Packets are read as RIST: RTP and RTCP (VSF TR-06-1), in the main profile within GRE over UDP (TR-06-2). A retransmission is told by the lowest bit of its SSRC. What is encrypted cannot be read; then packets as large as the source's datagrams count as media, the trial says so (` + "`by_size`" + ` and a finding), and what needs sequence numbers is estimated from source and sink, or missing.

Where two sources tell the same quantity and differ by more than 2 %, that is a finding, with both figures.

`)
	for _, part := range []struct{ scope, title string }{{ofLink, "Of each link"}, {ofBond, "Of the bond"}} {
		fmt.Fprintf(&b, "## %s\n\n| metric | unit | definition | from |\n|---|---|---|---|\n", part.title)
		for _, d := range Definitions() {
			if d.Scope == part.scope {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Unit, strings.ReplaceAll(d.Text, "|", `\|`), d.Source)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(`## Of each event

` + "`events`" + ` in the JSON lists them with the link, the mode (` + "`drop-both`, `drop-up`, `drop-down`, `stall`, `stall-down`, `carrier-down`" + `), failure and restore, and the times defined above; ` + "`reactions`" + ` lists what the sender should have reacted to.

## Series

Bins of 100 ms from the epoch on, of each link: capacity, bits sent and bits that arrived per second (all IP packets), effective throughput, loss of packets by when they were sent, round trip by captures and by the stack, and the highest queue delay. Of the bond: bits per second of source and sink, and the longest time without a datagram that touches the bin.
`)
	return b.String()
}

package metrics_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/table"
	"linktape/replay"
	"linktape/trial/metrics"
	"linktape/trial/stack"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Two links in turns, nothing lost: everything is known.
func TestSteady(t *testing.T) {
	r := steady(nil, "a", "b").compute(t)
	if f := findings(r); f != nil {
		t.Errorf("findings: %q", f)
	}
	const perLink = 50.0 // packets a second
	expect(t, r, map[string]float64{
		"a/throughput_bit_s": perLink * ipMedia * 8, "a/throughput_counters_bit_s": perLink * ipMedia * 8,
		"a/effective_throughput_bit_s": perLink * datagram * 8, "b/effective_throughput_bit_s": perLink * datagram * 8,
		"a/capacity_bit_s": 6e6, "a/capacity_use": perLink * ipMedia * 8 / 6e6, "a/capacity_share": 0.5,
		"a/sent_packets": 350, "a/received_packets": 350, "a/lost_packets": 0, "a/loss": 0, "a/loss_path": 0, "a/loss_queue": 0, "a/loss_outage": 0,
		"a/originals_packets": 350, "a/retransmissions_packets": 0, "a/share": 0.5, "b/share": 0.5,
		"a/rtt_base_ms": 20, "a/rtt_p50_ms": 20, "a/rtt_p99_ms": 20, "b/rtt_p50_ms": 40, "b/delay_p50_ms": 20, "b/delay_p99_ms": 20,
		"a/queue_delay_p50_ms": 0, "a/queue_delay_max_ms": 0, "a/queue_stuck": 0,
		"throughput_bit_s": 2 * perLink * ipMedia * 8, "effective_throughput_bit_s": 2 * perLink * datagram * 8,
		"source_bit_s": 2 * perLink * datagram * 8, "output_bit_s": 2 * perLink * datagram * 8, "feedback_bit_s": 2 * 10 * 60 * 8,
		"sequences_packets": 700, "originals_packets": 700, "retransmissions_packets": 0,
		"retransmission_rate": 0, "retransmission_rate_necessary": 0, "retransmission_rate_spurious": 0, "retransmission_rate_lost": 0,
		"undelivered_packets": 0, "overhead": float64(ipMedia) / datagram,
		"sent_datagrams": 700, "unrecovered_datagrams": 0, "unrecovered": 0, "lost_datagrams": 0, "late_datagrams": 0, "duplicate_datagrams": 0,
		"latency_p50_ms": 500, "latency_p99_ms": 500, "jitter_p50_ms": 0, "jitter_p99_ms": 0, "output_gap_max_ms": 10,
		"fairness_error": 0, "start_up_loss_datagrams": 0, "start_up_time_ms": 0, "events": 0, "reactions": 0, "failover_unfinished": 0,
	})
	for _, name := range []string{"repair_delay_p50_ms", "failover_time_max_ms", "stack_lost_packets", "detection_time_median_ms"} {
		if v := r.Get(name, ""); !math.IsNaN(v) {
			t.Errorf("%s: got %v, want none", name, v)
		}
	}
	if want := 1520 * time.Millisecond; r.Deadline != want {
		t.Errorf("deadline %v, want %v", r.Deadline, want)
	}
	// Each metric once, in the order of the definitions, with what they say.
	var want []string
	for _, link := range []string{"a", "b", ""} {
		for _, d := range metrics.Definitions() {
			if (d.Scope == "link") == (link != "") {
				want = append(want, fmt.Sprint(link, "/", d.Name, " ", d.Unit, " ", d.Source))
			}
		}
	}
	var got []string
	for _, v := range r.Metrics {
		got = append(got, fmt.Sprint(v.Link, "/", v.Name, " ", v.Unit, " ", v.Source))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	// Series.
	s := r.Series.Links[1]
	for i := 1; i < 99; i++ {
		if s.Capacity[i] != 6e6 || s.Effective[i] != perLink*datagram*8 || s.Throughput[i] != perLink*ipMedia*8 || s.Sent[i] != s.Throughput[i] || s.Loss[i] != 0 || s.RTT[i] != 40 || s.QueueDelay[i] != 0 {
			t.Fatalf("bin %d of b: %v %v %v %v %v %v %v", i, s.Capacity[i], s.Effective[i], s.Throughput[i], s.Sent[i], s.Loss[i], s.RTT[i], s.QueueDelay[i])
		}
	}
	if o := r.Series.Output; o.Output[4] != 0 || o.Output[5] != 100*datagram*8 || o.Source[0] != 100*datagram*8 || o.Gap[50] != 10 {
		t.Errorf("output: %v %v %v %v", o.Output[4], o.Output[5], o.Source[0], o.Gap[50])
	}
}

// necessary, spurious and lost retransmissions; sequence numbers begin at 65,000,
// so that they wrap.
func TestRetransmissions(t *testing.T) {
	tr := steady(func(t *trial, n, link int, at int64) bool {
		seq := 65000 + n
		arrives, out := at+int64(link+1)*10*milli, at+500*milli
		switch {
		case n == 600: // lost, repaired over the other link
			t.original(link, at, seq, never)
			t.again(1-link, at+100*milli, seq, at+120*milli)
		case n == 610: // lost, and the repair too, but for the second
			t.original(link, at, seq, never)
			t.again(link, at+100*milli, seq, never)
			t.again(link, at+200*milli, seq, at+210*milli)
			t.again(link, at+300*milli, seq, at+310*milli)
		case n == 620: // not lost, and repaired all the same
			t.original(link, at, seq, arrives)
			t.again(link, at+100*milli, seq, at+110*milli)
		case n == 630: // late, the repair overtakes it
			t.original(link, at, seq, at+200*milli)
			t.again(1-link, at+50*milli, seq, at+70*milli)
		case n == 640: // lost for good
			t.original(link, at, seq, never)
			t.again(link, at+100*milli, seq, never)
			out = never
		case n == 650: // the path doubles it
			t.original(link, at, seq, arrives, arrives+milli)
		case n == 660: // too late for the application
			out = at + 1600*milli
			t.original(link, at, seq, arrives)
		case n == 670: // twice
			t.original(link, at, seq, arrives)
			t.sourced(int64(n), at, out, out+30*milli)
			return false
		default:
			t.original(link, at, seq, arrives)
		}
		t.sourced(int64(n), at, out)
		return false
	}, "a", "b")
	r := tr.compute(t)
	const n = 700.0
	expect(t, r, map[string]float64{
		"sequences_packets": n, "originals_packets": n, "retransmissions_packets": 7, "retransmission_rate": 7 / n,
		"retransmission_rate_necessary": 3 / n, "retransmission_rate_spurious": 2 / n, "retransmission_rate_lost": 2 / n, "undelivered_packets": 1,
		"overhead":       (n + 7) * ipMedia / (n * datagram),
		"lost_datagrams": 1, "late_datagrams": 1, "unrecovered_datagrams": 2, "unrecovered": 2 / n, "duplicate_datagrams": 1,
		"repair_delay_p50_ms": 120, "repair_delay_p99_ms": 210,
		"a/sent_packets": 350 + 5, "a/lost_packets": 5, "a/received_packets": 350, "a/loss": 5. / 355, "a/loss_path": 5. / 355, "a/retransmissions_packets": 5,
		"b/sent_packets": 352, "b/lost_packets": 0, "b/retransmissions_packets": 2,
		// First copies by b: its own but for none, and two of a's. Of a: 350 less the five that were lost or overtaken, plus the one repaired there.
		"b/effective_throughput_bit_s": 352 * datagram * 8 / 7., "a/effective_throughput_bit_s": 347 * datagram * 8 / 7.,
		"effective_throughput_bit_s": 699 * datagram * 8 / 7.,
	})
}

// Both links carry everything: one original each, the first copy is a's; those of
// b that do not come first are nothing anybody asked for.
func TestDuplicated(t *testing.T) {
	r := steady(func(t *trial, n, link int, at int64) bool {
		a, out := at+10*milli, at+500*milli
		if n == 500 {
			a = never
		}
		t.original(0, at, n, a)
		t.original(1, at+milli, n, at+20*milli)
		t.sourced(int64(n), at, out)
		return false
	}, "a", "b").compute(t)
	expect(t, r, map[string]float64{
		"sequences_packets": 700, "originals_packets": 1400, "retransmissions_packets": 0, "retransmission_rate": 0, "undelivered_packets": 0,
		"a/effective_throughput_bit_s": 699 * datagram * 8 / 7., "b/effective_throughput_bit_s": 1 * datagram * 8 / 7.,
		"a/share": 0.5, "overhead": 2. * ipMedia / datagram,
	})
}

// Packets overtake each other, and captures of several processors are not in the
// order of time.
func TestReordered(t *testing.T) {
	tr := steady(func(t *trial, n, link int, at int64) bool {
		late := int64(0)
		if n%7 == 3 {
			late = 35 * milli
		}
		t.original(link, at, n, at+int64(link+1)*10*milli+late)
		t.sourced(int64(n), at, at+500*milli)
		return false
	}, "a", "b")
	want := tr.compute(t)
	if want.Get("loss", "a") != 0 || want.Get("undelivered_packets", "") != 0 {
		t.Errorf("loss %v, undelivered %v", want.Get("loss", "a"), want.Get("undelivered_packets", ""))
	}
	// Files whose packets are swapped in pairs give the same.
	for name, records := range tr.records {
		for i := 0; i+1 < len(records); i += 2 {
			if d := records[i+1].At - records[i].At; d < 40*milli {
				records[i], records[i+1] = records[i+1], records[i]
			}
		}
		tr.records[name] = records
	}
	dir := tr.writeUnsorted(t)
	got, err := metrics.Compute(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Metrics, got.Metrics); d != "" {
		t.Errorf("swapped (-want +got):\n%s", d)
	}
}

// A link fails at 4 s and is back at 6 s. The sender goes on using it for 498 ms,
// the output stands still from 4.2 s to 4.75 s, and 300 ms after the restore the
// sender uses it again: a little, and fully 400 ms later.
func TestFailover(t *testing.T) {
	for _, mode := range []struct {
		name string
		dirs []string
		do   func(*replay.LogRow)
	}{
		{"drop-both", []string{"up", "down"}, func(r *replay.LogRow) { r.Loss = 1 }},
		{"drop-up", []string{"up"}, func(r *replay.LogRow) { r.Loss = 1 }},
		{"drop-down", []string{"down"}, func(r *replay.LogRow) { r.Loss = 1 }},
		{"stall", []string{"up", "down"}, func(r *replay.LogRow) { r.Rate = 0 }},
		{"carrier-down", []string{"up", "down"}, func(r *replay.LogRow) { r.Carrier = false }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			applied := 3 * milli // the kernel has it so late
			tr := steady(func(t *trial, n, link int, at int64) bool {
				arrives := at + int64(link+1)*10*milli
				if link == 1 {
					switch {
					case at >= 4500*milli && at < 6300*milli, at >= 6300*milli && at < 6700*milli && n%6 != 1:
						link = 0
						arrives = at + 10*milli
					case at >= 4000*milli && at < 4500*milli:
						arrives = never
					}
				}
				t.original(link, at, n, arrives)
				out := at + 500*milli
				if out > 4200*milli && out < 4750*milli {
					out = never
				}
				t.sourced(int64(n), at, out)
				return false
			}, "a", "b")
			for _, dir := range mode.dirs {
				tr.state(4*second, "b", dir, 6e6, func(r *replay.LogRow) { r.Acked += applied; r.Label = "tunnel"; mode.do(r) })
				tr.state(6*second, "b", dir, 6e6, func(r *replay.LogRow) { r.Acked += applied })
			}
			r := tr.compute(t)
			if len(r.Events) != 1 {
				t.Fatalf("%d events: %+v", len(r.Events), r.Events)
			}
			at := func(d int64) *time.Duration { v := time.Duration(d); return &v }
			share := 0.5
			failure, restore := 4*second+applied, 6*second+applied
			// The window of 500 ms that begins with the first of the fully used link
			// has half of all in it; those that begin before do not have 90 % of that.
			want := metrics.Event{
				Link: "b", Mode: mode.name, Label: "tunnel", Failure: time.Duration(failure), Restore: at(restore),
				Detection: at(4490*milli - failure), Failover: at(4750*milli - failure), OutputGap: at(550 * milli),
				FirstOriginal: at(6310*milli - restore), ShareBack: at(6670*milli - restore), FormerShare: &share, OutputBack: true,
			}
			if d := cmp.Diff(want, r.Events[0]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			expect(t, r, map[string]float64{
				"events": 1, "failover_time_median_ms": 747, "failover_time_max_ms": 747, "detection_time_max_ms": 487,
				"output_gap_event_max_ms": 550, "output_gap_max_ms": 550, "recovery_first_max_ms": 307, "failover_unfinished": 0,
			})
		})
	}
}

// Where the interface is down, what the sender puts there is seen on no link, but
// is asked for again: the last of these tells when it left the link.
func TestUnsent(t *testing.T) {
	tr := steady(func(t *trial, n, link int, at int64) bool {
		arrives := at + int64(link+1)*10*milli
		switch {
		case link == 1 && at >= 4*second && (at < 4500*milli || at < 6*second && n%10 == 7):
			t.again(0, at+100*milli, n, at+110*milli)
		case link == 1 && at >= 4500*milli && at < 6*second:
			t.original(0, at, n, at+10*milli)
		default:
			t.original(link, at, n, arrives)
		}
		t.sourced(int64(n), at, at+500*milli)
		return false
	}, "a", "b")
	for _, dir := range []string{"up", "down"} {
		tr.state(4*second, "b", dir, 6e6, func(r *replay.LogRow) { r.Carrier = false })
		tr.state(6*second, "b", dir, 6e6, func(r *replay.LogRow) {})
	}
	r := tr.compute(t)
	// The last one was due at 4.49 s, which is known when the next is sent; those
	// that are left out later, a fifth of the link's, are the sender's way.
	expect(t, r, map[string]float64{
		"sequences_packets": 700, "unsent_packets": 40, "originals_packets": 660, "retransmissions_packets": 40, "retransmission_rate_necessary": 40. / 700,
		"detection_time_max_ms": 500, "failover_time_max_ms": 0, "recovery_first_max_ms": 10, "undelivered_packets": 0,
	})
	if f := findings(r); len(f) != 1 || !strings.Contains(f[0], "of 1000 sequence numbers 40 went over no link") {
		t.Errorf("findings %q", f)
	}
}

// What a failover is where the output goes on, where it does not come back, and
// where a freeze ends with all that was held back.
func TestFailoverOutput(t *testing.T) {
	for _, c := range []struct {
		name     string
		out      func(at int64) int64 // of a datagram that is due
		failover int64                // ms; never: none
		back     bool
	}{
		{"goes on", func(at int64) int64 { return at }, 0, true},
		{"one in thirty is missing", func(at int64) int64 {
			if at/(10*milli)%30 == 0 {
				return never
			}
			return at
		}, 0, true},
		{"stays away", func(at int64) int64 {
			if at >= 4*second {
				return never
			}
			return at
		}, never, false},
		{"half of it", func(at int64) int64 {
			if at >= 4*second && at/(10*milli)%2 == 0 {
				return never
			}
			return at
		}, never, false},
		{"freezes for 1 s, then all at once", func(at int64) int64 {
			if at >= 4*second && at < 5*second {
				return 5 * second
			}
			return at
		}, 1000, true},
		{"stops later, for 300 ms", func(at int64) int64 {
			if at >= 4600*milli && at < 4900*milli {
				return never
			}
			return at
		}, 900, true},
		{"was away before", func(at int64) int64 {
			if at >= 3100*milli && at < 3400*milli {
				return never
			}
			return at
		}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := steady(func(t *trial, n, link int, at int64) bool {
				t.original(link, at, n, at+10*milli)
				t.sourced(int64(n), at, c.out(at))
				return false
			}, "a")
			tr.state(4*second, "a", "up", 0, func(*replay.LogRow) {})
			tr.state(4200*milli, "a", "up", 6e6, func(*replay.LogRow) {})
			// Too short for an event.
			tr.state(5*second, "a", "up", 0, func(*replay.LogRow) {})
			tr.state(5099*milli, "a", "up", 6e6, func(*replay.LogRow) {})
			r := tr.compute(t)
			if len(r.Events) != 1 {
				t.Fatalf("%d events", len(r.Events))
			}
			e := r.Events[0]
			got := never
			if e.Failover != nil {
				got = e.Failover.Milliseconds()
			}
			if got != c.failover || e.OutputBack != c.back {
				t.Errorf("got %d ms, back %v; want %d ms, %v", got, e.OutputBack, c.failover, c.back)
			}
			if e.Detection != nil {
				t.Errorf("the sender never left the link: detection %v", *e.Detection)
			}
			if n := r.Get("failover_unfinished", ""); n != map[bool]float64{true: 0, false: 1}[c.back] {
				t.Errorf("%v unfinished", n)
			}
		})
	}
}

// Losses are divided as the counters divide them.
func TestLossCauses(t *testing.T) {
	tr := steady(func(t *trial, n, link int, at int64) bool {
		arrives := at + 10*milli
		if n >= 500 && n < 540 {
			arrives = never
		}
		t.original(0, at, n, arrives)
		t.sourced(int64(n), at, at+500*milli)
		return false
	}, "a")
	tr.counters = nil
	for at := 100 * milli; at <= 10*second; at += 100 * milli {
		sent := at / (10 * milli)
		row := replay.CounterRow{At: at, Link: "a", Dir: "up", Rate: 6e6, Packets: sent, Bytes: sent * ipMedia, Backlog: 30000, QueueDelay: 40 * milli}
		if at >= 6*second {
			row.Packets, row.QueueDrops, row.PathDrops, row.OutageDrops = sent-20, 20, 12, 8
		}
		if at == 5*second {
			row.Rate, row.QueueDelay = 0, -1
		}
		tr.counters = append(tr.counters, row)
	}
	r := tr.compute(t)
	expect(t, r, map[string]float64{
		"a/loss": 40. / 700, "a/loss_queue": 20. / 700, "a/loss_path": 12. / 700, "a/loss_outage": 8. / 700,
		"a/queue_delay_p50_ms": 40, "a/queue_delay_max_ms": 40, "a/queue_stuck": 1. / 70,
	})
	if f := findings(r); len(f) != 1 || !strings.Contains(f[0], "packets of media that arrived and came out: 960 by captures, 1000 by the sink, which is 4.0 % apart") {
		t.Errorf("findings %q", f)
	}
	s := r.Series.Links[0]
	if s.QueueDelay[49] != 40 || !math.IsInf(s.QueueDelay[50], 1) {
		t.Errorf("queue delays %v, %v", s.QueueDelay[49], s.QueueDelay[50])
	}
}

// Sources that disagree are findings, with figures.
func TestFindings(t *testing.T) {
	tr := steady(nil, "a", "b")
	for i := range tr.counters {
		if tr.counters[i].Link == "b" {
			tr.counters[i].Packets += tr.counters[i].Packets / 10
		}
	}
	tr.stack = []stack.Row{
		{At: 9 * second, Side: "sender", Link: "a", Name: "sum.retransmitted", Value: 30},
		{At: 9 * second, Side: "sender", Link: "b", Name: "sum.retransmitted", Value: 2},
		{At: 9 * second, Side: "receiver", Link: "a", Name: "sum.received", Value: 450},
		{At: 9 * second, Side: "receiver", Link: "b", Name: "sum.received", Value: 350},
		{At: 9 * second, Side: "receiver", Name: "sum.lost", Value: 17},
		{At: 5 * second, Side: "receiver", Link: "a", Name: "rtt_ms", Value: 20.1},
		{At: 5 * second, Side: "receiver", Link: "b", Name: "rtt_ms", Value: 63},
	}
	r := tr.compute(t)
	want := []string{
		"link a: retransmissions: 0 by captures, 30 by the stack's statistics, which is 100.0 % apart",
		"link b: packets sent: 500 by captures, 550 by counters, which is 9.1 % apart",
		"link b: packets delivered: 499 by captures, 550 by counters, which is 9.3 % apart",
		"link b: packets of media received: 449 by captures, 350 by the stack's statistics, which is 22.0 % apart",
		"link b: median round trip, ms: 40 by captures, 63 by the stack's statistics, which is 36.5 % apart: a stack may smooth it, and add the time in which it answers",
		"packets that the application did not get: 0 by source and sink, 17 by the stack's statistics, which is 100.0 % apart: a receiver does not count what was lost before it had begun or after it had ended",
	}
	if d := cmp.Diff(want, findings(r)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	expect(t, r, map[string]float64{
		"stack_retransmissions_packets": 32, "a/stack_retransmissions_packets": 30, "stack_lost_packets": 17,
		"a/stack_received_packets": 450, "b/stack_rtt_p50_ms": 63,
	})
}

// An encrypted flow is measured by sizes, and the result says so.
func TestEncrypted(t *testing.T) {
	tr := newTrial(10*time.Second, "a", "b")
	n := uint32(0)
	tr.wrap = func(b []byte) []byte { // GRE with key and sequence number
		n++
		out := []byte{0x30, 0, 0x88, 0xb6, 1, 2, 3, 4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return append(out, make([]byte, len(b)+4)...)
	}
	for i := 0; i < 1000; i++ {
		at := int64(i) * 10 * milli
		link := i % 2
		tr.original(link, at, i, at+10*milli)
		if i%10 == 0 {
			tr.again(link, at+50*milli, i, at+60*milli)
		}
		tr.sourced(int64(i), at, at+500*milli)
	}
	tr.reports()
	r := tr.compute(t)
	if !r.BySize || len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Text+r.Findings[1].Text+r.Findings[2].Text, "cannot be read") {
		t.Errorf("by size %v, findings %q", r.BySize, findings(r))
	}
	expect(t, r, map[string]float64{
		"a/sent_packets": 350 + 70, "a/loss": 0, "a/share": 420. / 770, "sequences_packets": 700, "retransmissions_packets": 70, "retransmission_rate": 0.1,
		"effective_throughput_bit_s": 700 * datagram * 8 / 7., "unrecovered_datagrams": 0,
	})
	// The same of devices whose source is not ours.
	tr.without = []string{"source.parquet", "sink.parquet"}
	tr.fields["datagram_bytes"] = 0
	expect(t, tr.compute(t), map[string]float64{"a/share": 420. / 770, "a/originals_packets": 420, "a/loss": 0})
	for _, v := range r.Metrics {
		if strings.HasPrefix(v.Name, "retransmission_rate_") && v.Value != nil {
			t.Errorf("%s has a value", v.Name)
		}
		if v.Name == "retransmission_rate" && !strings.Contains(v.Source, "by size") {
			t.Errorf("its source is %s", v.Source)
		}
	}
}

// The capacity falls below what is sent and a queue builds up; the sender moves
// away 700 ms later.
func TestReactions(t *testing.T) {
	tr := steady(func(t *trial, n, link int, at int64) bool {
		arrives := at + int64(link+1)*10*milli
		if link == 0 && at >= 5*second {
			if at >= 5700*milli && n%4 == 0 {
				link, arrives = 1, at+20*milli
			} else {
				arrives = at + 60*milli
			}
		}
		t.original(link, at, n, arrives)
		t.sourced(int64(n), at, at+500*milli)
		return false
	}, "a", "b")
	tr.state(5*second, "a", "up", 300_000, func(r *replay.LogRow) { r.Acked += milli })
	r := tr.compute(t)
	after := func(d time.Duration) *time.Duration { return &d }
	// Half of a's originals go elsewhere: the first half second with less than 90 %
	// of them begins two tenths before.
	want := []metrics.Reaction{
		{Link: "a", Cause: "rtt", At: 5 * time.Second, After: after(400 * time.Millisecond)},
		{Link: "a", Cause: "capacity", At: 5*time.Second + time.Millisecond, After: after(399 * time.Millisecond)},
	}
	if d := cmp.Diff(want, r.Reactions); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	expect(t, r, map[string]float64{"reactions": 2, "reactions_missing": 0, "reaction_time_max_ms": 400})
}

// A result survives JSON, and its tables hold what it holds.
func TestResult(t *testing.T) {
	r := steady(nil, "a", "b").compute(t)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again metrics.Result
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(&again)
	if err != nil || string(second) != string(text) {
		t.Errorf("written again it differs (%v)", err)
	}
	dir := t.TempDir()
	if err := r.WriteTables(dir); err != nil {
		t.Fatal(err)
	}
	links, err := table.ReadFile[metrics.LinkRow](filepath.Join(dir, metrics.LinksTable))
	if err != nil || len(links) != 200 || links[101].Link != "b" || links[101].At != 5*int64(time.Second) || links[101].Effective != r.Series.Links[1].Effective[50] {
		t.Errorf("%d rows, %v", len(links), err)
	}
	output, err := table.ReadFile[metrics.OutputRow](filepath.Join(dir, metrics.OutputTable))
	if err != nil || len(output) != 100 || output[50].Output != r.Series.Output.Output[50] {
		t.Errorf("%d rows, %v", len(output), err)
	}
	values, err := table.ReadFile[metrics.ValueRow](filepath.Join(dir, metrics.ValuesTable))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range r.Metrics {
		if v.Value != nil {
			if values[n].Name != v.Name || values[n].Link != v.Link || values[n].Value != *v.Value {
				t.Errorf("row %d: %+v, want %s of %q", n, values[n], v.Name, v.Link)
			}
			n++
		}
	}
	if n != len(values) {
		t.Errorf("%d values in the table, %d in the result", len(values), n)
	}
}

// What is missing is said with the file's name and what to do.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*trial)
		want   []string
	}{
		{"no trial", func(t *trial) { t.without = []string{"trial.json"} }, []string{"trial.json", "trial run --out DIR"}},
		{"no log", func(t *trial) { t.without = []string{"replay/applied.parquet"} }, []string{"applied.parquet", "replay run --out"}},
		{"no capture", func(t *trial) { t.without = []string{"capture/b.rcv.pcap"} }, []string{"b.rcv.pcap", "capture both ends"}},
		{"several", func(t *trial) {
			t.fields["duration_ns"], t.fields["epoch_wall_ns"], t.fields["links"] = 0, 0, []any{}
		}, []string{"duration_ns is 0", "epoch_wall_ns is 0", "no links"}},
		{"nothing left", func(t *trial) { t.fields["warm_up_ns"] = 9 * time.Second }, []string{"trial.json: a trial of 10s with 9s left out"}},
		{"addresses", func(t *trial) {
			t.fields["links"] = []any{map[string]any{"name": "a"}, map[string]any{"name": "a", "sender_addr": "x"}}
		}, []string{"link a: neither", "link 2: name", `"x"`}},
		{"another tape", func(t *trial) {
			for i := range t.log {
				t.log[i].Link = "c"
			}
		}, []string{"applied.parquet: nothing of a.up"}},
		{"numbers", func(t *trial) { t.source[5].Seq = 2 }, []string{"source.parquet: datagram 2 after 4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := steady(nil, "a", "b")
			c.change(tr)
			_, err := metrics.Compute(tr.write(t))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
}

// What can be done without is said by findings.
func TestMissing(t *testing.T) {
	tr := steady(nil, "a", "b")
	tr.without = []string{"replay/counters.parquet", "source.parquet", "sink.parquet", "stack.parquet"}
	r := tr.compute(t)
	text := strings.Join(findings(r), "\n")
	for _, want := range []string{"counters were not read", "no source or no sink"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	expect(t, r, map[string]float64{"a/share": 0.5, "sequences_packets": 700, "a/capacity_use": 50. * ipMedia * 8 / 6e6})
	for _, name := range []string{"unrecovered", "latency_p50_ms", "output_gap_max_ms", "source_bit_s", "failover_unfinished"} {
		if v := r.Get(name, ""); !math.IsNaN(v) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

// docs/metrics.md is what the definitions say.
func TestReference(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "metrics.md")
	got := metrics.Reference()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", file, got, want)
	}
	seen := map[string]bool{}
	for _, d := range metrics.Definitions() {
		if key := d.Scope + d.Name; seen[key] || d.Text == "" || d.Unit == "" || d.Source == "" {
			t.Errorf("%+v: twice, or without something", d)
		} else {
			seen[key] = true
		}
	}
}

package main

import (
	"encoding/json"
	"testing"

	"linktape/internal/privtest"
	"linktape/trial/metrics"
)

// measured runs a trial in the lab and measures it.
func measured(t *testing.T, args ...string) *metrics.Result {
	t.Helper()
	dir, _ := virtual(t, args...)
	r, err := metrics.Compute(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The bar of a trial that nothing disturbs: all is recovered, hardly anything is
// sent twice, each link delivers its share, and all sources agree.
func TestMetricsOfBaseline(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	r := measured(t, "--rate", "4Mbit", "--duration", "20s", "a1-clean")
	if n := r.Get("unrecovered_datagrams", ""); n != 0 {
		t.Errorf("%v datagrams were not recovered", n)
	}
	if v := r.Get("retransmission_rate", ""); !(v < 0.01) {
		t.Errorf("retransmission rate %v, want below 1 %%", v)
	}
	source := r.Get("source_bit_s", "")
	for _, l := range r.Links {
		got, want := r.Get("effective_throughput_bit_s", l), r.Get("share", l)*source
		if d := got/want - 1; !(d < 0.01 && d > -0.01) {
			t.Errorf("link %s delivers %v bit/s, want its share, %v", l, got, want)
		}
	}
	for _, f := range r.Findings {
		t.Errorf("finding: %s", f.Text)
	}
}

// What is known of GStreamer: a path that is 15 ms longer makes it ask for half of
// the stream, of which nothing was lost.
func TestMetricsOfPathDifference(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "gstreamer")
	r := measured(t, "--stack", "gstreamer", "--duration", "15s", "a4-path-15")
	if v := r.Get("retransmission_rate_spurious", ""); !(v > 0.4 && v < 0.6) {
		t.Errorf("spurious retransmissions %v, want about a half", v)
	}
	if v := r.Get("retransmission_rate_necessary", ""); v != 0 {
		t.Errorf("necessary retransmissions %v, want none", v)
	}
	if v := r.Get("unrecovered", ""); v != 0 {
		t.Errorf("%v was not recovered", v)
	}
}

// One of two links is away for 2 s in each of the five ways: the events are found,
// the sender is seen to leave the link and to come back, and the application
// notices the one that keeps the queue alone.
func TestMetricsOfOutages(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	r := measured(t, file(t, "cuts.yaml", `
scenario: cuts
duration: 42s
events:
  - at 6s, link b, outage 2s, mode drop-both
  - at 13s, link b, outage 2s, mode drop-up
  - at 20s, link b, outage 2s, mode drop-down
  - at 27s, link b, outage 2s, mode carrier-down
  - at 34s, link b, outage 2s, mode stall
links:
  a: {queue: 400ms, up: {rate: 6Mbit, delay: 20ms}, down: {rate: 6Mbit, delay: 20ms}}
  b: {queue: 400ms, up: {rate: 6Mbit, delay: 25ms}, down: {rate: 6Mbit, delay: 25ms}}
`))
	modes := []string{"drop-both", "drop-up", "drop-down", "carrier-down", "stall"}
	if len(r.Events) != len(modes) {
		t.Fatalf("%d events, want %d: %+v", len(r.Events), len(modes), r.Events)
	}
	for i, mode := range modes {
		e := &r.Events[i]
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(6+7*i) * 1e9
		if e.Link != "b" || e.Mode != mode || e.Restore == nil || int64(e.Failure)-at > 1e6 || int64(e.Failure) < at || int64(*e.Restore)-at-2e9 > 1e6 {
			t.Errorf("event %d: %s", i, text)
			continue
		}
		if e.Detection == nil || e.Detection.Seconds() < 0.2 || e.Detection.Seconds() > 1.6 {
			t.Errorf("%s: it was not left within 0.2 to 1.6 s: %s", mode, text)
		}
		if e.FirstOriginal == nil || e.FirstOriginal.Seconds() > 0.3 || e.ShareBack == nil || e.ShareBack.Seconds() > 0.5 {
			t.Errorf("%s: it was not used again within 0.3 s: %s", mode, text)
		}
		if mode == "stall" { // what waited comes at once, late, and is in the way of all else
			if e.OutputGap == nil || e.OutputGap.Seconds() < 0.5 {
				t.Errorf("the application did not notice: %s", text)
			}
		} else if e.Failover == nil || *e.Failover != 0 || e.OutputGap == nil || e.OutputGap.Seconds() > 0.1 {
			t.Errorf("%s: the application noticed: %s", mode, text)
		}
	}
}

// The same trial twice has the same metrics.
func TestMetricsRepeat(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	var last []byte
	for range 2 {
		r := measured(t, "--duration", "8s", "strategy-combined")
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && string(text) != string(last) {
			t.Errorf("two results differ: %d and %d bytes", len(last), len(text))
		}
		last = text
	}
}

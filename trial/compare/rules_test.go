package compare

import (
	"strings"
	"testing"

	"linktape/trial/metrics"
)

func TestDefaultRules(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range DefaultRules() {
		if err := metrics.CheckName(r.Metric); err != nil {
			t.Error(err)
		}
		if seen[r.Metric] || r.Better != Lower && r.Better != Higher || r.By < 0 || r.Share < 0 {
			t.Errorf("got %+v", r)
		}
		seen[r.Metric] = true
	}
}

func TestParseRules(t *testing.T) {
	_, err := ParseRules("r.yaml", []byte("compare:\n  unrecovered: {by: 0.1%}\n  output_gap_max_ms: off\n  att.loss: {better: lower, share: 20%}\n  \"*.rtt_p50_ms\": {better: lower, by: 5}\n  capacity_use: off\n"))
	if err == nil || !strings.Contains(err.Error(), "r.yaml:6:3") {
		t.Errorf("got %v", err)
	}
	rules, err := ParseRules("r.yaml", []byte("compare:\n  unrecovered: {by: 0.1%}\n  output_gap_max_ms: off\n  att.loss: {better: lower, share: 20%}\n  \"*.rtt_p50_ms\": {better: lower, by: 5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != len(DefaultRules())+1 {
		t.Errorf("got %d rules", len(rules))
	}
	for _, c := range []struct {
		metric, link string
		want         *Rule
	}{
		{"unrecovered", "", &Rule{"unrecovered", Lower, 0.001, 0}},
		{"output_gap_max_ms", "", nil},
		{"loss", "att", &Rule{"att.loss", Lower, 0, 0.2}},
		{"loss", "vzw", nil},
		{"rtt_p50_ms", "vzw", &Rule{"*.rtt_p50_ms", Lower, 5, 0}},
		{"throughput_bit_s", "", nil},
		{"overhead", "", &Rule{"overhead", Lower, 0.01, 0.02}},
	} {
		got := find(rules, c.metric, c.link)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s of %q: got %+v, want %+v", c.metric, c.link, got, c.want)
		}
	}
	if got := (&Rule{By: 10, Share: 0.05}).Tolerated(-1000); got != 50 {
		t.Errorf("tolerated: got %v, want 50", got)
	}
	_, err = ParseRules("r.yaml", []byte("compare:\n  unrecoverd: {by: 1}\n  unrecovered: {by: -1}\n  events: {by: 1}\n  overhead: sometimes\n  latency_p50_ms: {better: up, colour: 1}\nmore: 1\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`r.yaml:2:3`, `did you mean "unrecovered"?`, "r.yaml:3:21", "r.yaml:4:11", "events has no direction by default", "r.yaml:5:13", "r.yaml:6:28", "r.yaml:6:32", "r.yaml:7:1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q in it", err, want)
		}
	}
}

// What is accepted has directions, known metrics and tolerances that are not below 0.
func FuzzParseRules(f *testing.F) {
	f.Add([]byte("compare:\n  unrecovered: {by: 0.1%}\n  output_gap_max_ms: off\n"))
	f.Add([]byte("compare:\n  \"*.loss\": {better: higher, share: 1e3}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := ParseRules("r.yaml", data)
		if err != nil {
			return
		}
		for _, r := range rules {
			if metrics.CheckName(r.Metric) != nil || r.Better != Lower && r.Better != Higher || !(r.By >= 0) || !(r.Share >= 0) {
				t.Errorf("accepted %+v", r)
			}
		}
	})
}

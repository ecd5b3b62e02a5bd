package compare

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"linktape/internal/conf"
	"linktape/trial/metrics"
)

// Directions of goodness.
const (
	Lower  = "lower"
	Higher = "higher"
)

// Rule says when a metric has become worse.
type Rule struct {
	Metric string  `json:"metric"` // of the bond, or LINK.METRIC; *.METRIC: of every link
	Better string  `json:"better"` // Lower or Higher
	By     float64 `json:"by"`     // what is tolerated, in the metric's unit
	Share  float64 `json:"share"`  // what is tolerated, as a share of A's mean; the larger of both counts
}

// Tolerated is how far the mean may be worse, given A's.
func (r *Rule) Tolerated(a float64) float64 { return max(r.By, r.Share*math.Abs(a)) }

// DefaultRules are those without a file. What is tolerated is an engineering choice:
// less would not be seen by who watches the stream, or pays for it.
func DefaultRules() []Rule {
	return []Rule{
		{"unrecovered", Lower, 0.0005, 0.1},
		{"duplicate_datagrams", Lower, 1, 0.1},
		{"retransmission_rate", Lower, 0.005, 0.1},
		{"retransmission_rate_necessary", Lower, 0.005, 0.1},
		{"retransmission_rate_spurious", Lower, 0.005, 0.1},
		{"overhead", Lower, 0.01, 0.02},
		{"effective_throughput_bit_s", Higher, 20e3, 0.01},
		{"output_bit_s", Higher, 20e3, 0.01},
		{"latency_p50_ms", Lower, 10, 0.05},
		{"latency_p95_ms", Lower, 20, 0.05},
		{"latency_p99_ms", Lower, 30, 0.05},
		{"jitter_p95_ms", Lower, 5, 0.2},
		{"jitter_p99_ms", Lower, 5, 0.2},
		{"output_gap_max_ms", Lower, 50, 0.2},
		{"failover_time_max_ms", Lower, 100, 0.1},
		{"failover_time_median_ms", Lower, 100, 0.1},
		{"failover_unfinished", Lower, 0, 0},
		{"output_gap_event_max_ms", Lower, 50, 0.2},
		{"detection_time_median_ms", Lower, 100, 0.1},
		{"detection_time_max_ms", Lower, 100, 0.1},
		{"recovery_share_median_ms", Lower, 500, 0.2},
		{"recovery_share_max_ms", Lower, 1000, 0.2},
		{"fairness_error", Lower, 0.02, 0.2},
		{"reaction_time_median_ms", Lower, 200, 0.2},
		{"start_up_loss_datagrams", Lower, 10, 0.2},
	}
}

// ReadRules reads a file of rules:
//
//	compare:
//	  unrecovered: {better: lower, by: 0.1%}
//	  latency_p99_ms: {by: 50, share: 10%}
//	  output_gap_max_ms: off
//
// They change the default ones, metric by metric. Faults are a [conf.Error] that
// names them all.
func ReadRules(file string) ([]Rule, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > conf.MaxBytes {
		return nil, fmt.Errorf("read %s: longer than %d bytes", file, conf.MaxBytes)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseRules(file, data)
}

// ParseRules reads what [ReadRules] reads.
func ParseRules(name string, data []byte) ([]Rule, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	rules := DefaultRules()
	m := doc.Root().Map()
	m.Require("compare").Map().Each(func(key, value conf.Node) {
		metric := key.String()
		if err := metrics.CheckName(metric); err != nil {
			key.Errorf("%v", err)
			return
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Metric == metric })
		if !value.IsMap() {
			if value.OneOf("off") == "off" && i >= 0 {
				rules = slices.Delete(rules, i, i+1)
			}
			return
		}
		r := Rule{Metric: metric}
		if i >= 0 {
			r = rules[i]
		}
		v := value.Map()
		if n, ok := v.Get("better"); ok {
			r.Better = n.OneOf(Lower, Higher)
		}
		by, hasBy := v.Get("by")
		share, hasShare := v.Get("share")
		if hasBy || hasShare {
			r.By, r.Share = 0, 0
		}
		if hasBy {
			r.By = number(by)
		}
		if hasShare {
			r.Share = number(share)
		}
		v.Done()
		switch {
		case r.Better == "":
			value.Errorf("better: lower or higher; %s has no direction by default", metric)
		case i >= 0:
			rules[i] = r
		default:
			rules = append(rules, r)
		}
	})
	m.Done()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return rules, nil
}

// number is a value ≥ 0; a share may be a percentage.
func number(n conf.Node) (v float64) {
	if strings.HasSuffix(n.String(), "%") {
		return float64(n.Prob())
	}
	if v = n.Float(); v < 0 {
		n.Errorf("%v: not below 0", v)
	}
	return v
}

// find is the rule of a metric; nil: it has none.
func find(rules []Rule, metric, link string) *Rule {
	for _, name := range []string{metrics.JoinName(metric, link), metrics.JoinName(metric, "*")} {
		if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Metric == name }); i >= 0 && (link != "" || name == metric) {
			return &rules[i]
		}
	}
	return nil
}

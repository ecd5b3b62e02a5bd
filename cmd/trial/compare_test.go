package main

import (
	"bytes"
	"testing"

	"linktape/trial/compare"
)

// The table lists what is worse first, shares as percentages; --all lists what has
// not changed as well.
func TestPrintComparison(t *testing.T) {
	low, high := 0.004, 0.009
	r := &compare.Result{
		A: "old", B: "new", Confidence: 0.95, Regressions: 1, Better: 1, Remarks: []string{"rough seed 3 has no partner in new"},
		Pairs: []compare.Pair{{Case: "rough", Seed: 1, Drops: "same"}, {Case: "rough", Seed: 2, Drops: "not compared"}, {Case: "rough", Seed: 4, Unequal: "the tapes differ"}},
		Differences: []compare.Difference{
			{Case: "rough", Metric: "latency_p99_ms", Unit: "ms", N: 1, A: 1023, B: 85.8, Mean: -937.2, Better: "lower", Allowed: 51.15, Verdict: compare.Better},
			{Case: "rough", Metric: "unrecovered", Unit: "1", N: 2, B: 0.0065, Mean: 0.0065, Low: &low, High: &high, Better: "lower", Allowed: 0.0005, Verdict: compare.Worse},
			{Case: "rough", Metric: "overhead", Unit: "1", N: 2, A: 1.05, B: 1.05, Low: new(float64), High: new(float64), Better: "lower", Allowed: 0.021, Verdict: compare.Same},
			{Case: "rough", Metric: "rtt_p50_ms", Link: "att", Unit: "ms", N: 2, A: 70, B: 70},
		},
	}
	for name, all := range map[string]bool{"compare": false, "compare-all": true} {
		var b bytes.Buffer
		if err := printComparison(&b, r, all); err != nil {
			t.Fatal(err)
		}
		checkGolden(t, name, b.String())
	}
}

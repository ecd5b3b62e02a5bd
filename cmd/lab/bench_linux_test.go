package main

import (
	"testing"

	"linktape/internal/lab"
	"linktape/internal/privtest"
)

// BenchmarkBonded plays a minute of 15 Mbit/s over four links of 5 Mbit/s that
// lose packets, with captures, and reports how many seconds a second in the lab
// takes on the host.
func BenchmarkBonded(b *testing.B) {
	for _, e := range experiments() {
		if e.needs == nil {
			continue
		}
		b.Run(e.name, func(b *testing.B) {
			privtest.RequireUser(b, append([]string{"lab-kernel", "tcpdump"}, e.needs...)...)
			var inside, outside float64
			for b.Loop() {
				_, _, r := labOf(b, lab.Virtual, "experiment", e.name, "60s")
				inside += r.Elapsed.Seconds()
				outside += r.Wall.Seconds()
			}
			b.ReportMetric(outside/inside, "s/lab-s")
		})
	}
}

// BenchmarkTrue is what a lab costs that has nothing to do.
func BenchmarkTrue(b *testing.B) {
	privtest.RequireUser(b, "lab-kernel")
	for b.Loop() {
		labOf(b, lab.Virtual, "true")
	}
}

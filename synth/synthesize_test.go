package synth

import (
	"fmt"
	"strings"
	"testing"

	"linktape/trace"
)

// manyLinks is a scenario of 256 links, both ways, each with layers of its own.
func manyLinks(rate, every string) string {
	var b strings.Builder
	b.WriteString("scenario: s\nduration: 10m\nlinks:\n")
	for i := range 256 {
		fmt.Fprintf(&b, "  l%d: {up: {rate: %s}, down: {rate: %s}, outages: [{every: %s, duration: {median: 400ms, p90: 1s}}],", i, rate, rate, every)
		fmt.Fprintf(&b, " handovers: {every: %s, interruption: 50ms, delay_step: 5ms, redraw: true}, regimes: {x: {dwell: %s}, y: {dwell: %s, up: {delay: 20ms}}}}\n", every, every, every)
	}
	return b.String()
}

// BenchmarkManyLinks: what 256 links with outages, handovers and regimes cost,
// sampled and with their own instants only.
func BenchmarkManyLinks(b *testing.B) {
	for name, text := range map[string]string{
		"sampled":    manyLinks("{model: log-ou, mean: 4Mbit, cv: 0.5, tau: 5s}", "45s"),
		"off-grid":   manyLinks("5Mbit", "45s"),
		"very often": manyLinks("5Mbit", "2s"),
	} {
		b.Run(name, func(b *testing.B) {
			sc, err := Parse("f", []byte(text), Options{})
			if err != nil {
				b.Fatal(err)
			}
			rows := 0
			for b.Loop() {
				rows = 0
				if err := sc.Synthesize(b.Context(), func(s []trace.Step) error { rows += len(s); return nil }, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows), "rows")
		})
	}
}

package synth

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// Another direction leaves the handovers of the link as they were.
func TestHandoversKeepDraws(t *testing.T) {
	text := "scenario: s\nduration: 20m\nlinks: {a: {handovers: {every: 10s, interruption: {mean: 100ms, cv: 1}, delay_step: 5ms, redraw: true}, DOWN up: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 7s}, delay: 30ms}}}\n"
	alone := spans(t, strings.Replace(text, "DOWN", "", 1), up("a"))
	both := spans(t, strings.Replace(text, "DOWN", "down: {rate: 1Mbit},", 1), up("a"))
	if !slices.EqualFunc(alone, both, func(a, b trace.Span) bool {
		return a.From == b.From && a.State.Delay == b.State.Delay && a.State.Label == b.State.Label
	}) {
		t.Error("with a downlink the uplink has other handovers")
	}
}

// Steps of the delay below a microsecond add up to whole ones.
func TestSmallDelayStep(t *testing.T) {
	delays := map[time.Duration]bool{}
	for _, s := range spans(t, "scenario: s\nduration: 1h\nlinks: {a: {handovers: {every: 10s, delay_step: 900ns}, up: {rate: 1Mbit, delay: 30ms}}}\n", up("a")) {
		delays[s.State.Delay] = true
	}
	if len(delays) < 3 {
		t.Errorf("got %d delays, want three or more", len(delays))
	}
}

// A cell in which the links weigh much begins in its equilibrium, as any other.
func TestCellFill(t *testing.T) {
	for _, weight := range []float64{0.5, 1, 15, 100} {
		c := &cell{name: "c", capacity: 1e6, load: 0.9, mean: 1e5, alpha: 1.5, most: 1e8, weight: weight}
		c.least = c.scale()
		var got []float64
		for seed := range uint64(400) {
			r := c.start(&run{Scenario: &Scenario{seed: seed, step: time.Second}}).(*runningCell)
			got = append(got, float64(len(r.ends)))
		}
		meanOf(t, "flows in the beginning", got, 0.9*(weight+1)/0.1)
	}
}

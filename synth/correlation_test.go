package synth

import (
	"strings"
	"testing"

	"linktape/trace"
)

const downlinks = `scenario: s
duration: 60s
correlation: [{links: [a, b], rho: 1}]
links:
  a: {up: {rate: 1Mbit}, down: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: TAU}}}
  b: {up: {rate: 1Mbit}, down: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: TAU}}}
`

// Whatever the correlation time, processes of one tau may be the same one; and
// links may be correlated in the direction that varies.
func TestCorrelationOfOne(t *testing.T) {
	for _, tau := range []string{"1ms", "5s", "1h", "80000h"} {
		text := strings.ReplaceAll(downlinks, "TAU", tau)
		a := spans(t, text, trace.LinkDir{Link: "a", Dir: trace.Down})
		b := spans(t, text, trace.LinkDir{Link: "b", Dir: trace.Down})
		if len(a) != len(b) {
			t.Fatalf("tau %s: %d spans and %d", tau, len(a), len(b))
		}
		for i := range a {
			if d := a[i].State.Rate - b[i].State.Rate; d < -1 || d > 1 {
				t.Fatalf("tau %s, at %v: %v and %v", tau, a[i].From, a[i].State.Rate, b[i].State.Rate)
			}
		}
	}
}

// A list of names does not make a matrix of any size.
func TestCorrelationIsBounded(t *testing.T) {
	text := strings.Replace(strings.ReplaceAll(downlinks, "TAU", "1s"), "[a, b]", "["+strings.Repeat("a, ", 200_000)+"b]", 1)
	_, err := Parse("f.yaml", []byte(text), Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:3:23: 200001 names: at most 512, the directions of 256 links\n") {
		t.Errorf("got %.300v", err)
	}
}

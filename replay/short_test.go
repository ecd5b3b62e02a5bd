package replay

import (
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// Links of qdiscs say how short a step may be.
var _ coarse = (*netsetup.Endpoint)(nil)

func TestNewRefusesShortSteps(t *testing.T) {
	const us = time.Microsecond
	pulses := oneLink(time.Second, stepAt(0, trace.Mbit), stepAt(500*ms, 12*trace.Gbit), stepAt(500*ms+us, 0), stepAt(900*ms, trace.Mbit))
	stalls := oneLink(time.Second, stepAt(0, trace.Mbit), stepAt(500*ms, 0), stepAt(500*ms+us, trace.Mbit))
	last := oneLink(time.Second, stepAt(0, 0), stepAt(time.Second-us, trace.Gbit))
	const refused = "the tape has a step of 1µs at 12Gbit on a.up at 500ms, too short for a bottleneck of qdiscs, which takes steps from 50µs on: " +
		"build the link with backend: edt, which plays it as it is, give the tape longer ones (tracegen resample --step 5ms), or import its trace with --step in place of --opportunities"
	for _, c := range []struct {
		name  string
		tape  *trace.Timeline
		least time.Duration
		opts  Options
		want  string
	}{
		{"a pulse", pulses, 50 * us, Options{}, refused},
		{"a pulse, rates only", pulses, 50 * us, Options{RatesOnly: true}, refused},
		{"an exact link", pulses, 0, Options{}, ""},
		{"as long as the least", pulses, us, Options{}, ""},
		{"before the window", pulses, 50 * us, Options{From: 600 * ms}, ""},
		{"after the window", pulses, 50 * us, Options{Duration: 400 * ms}, ""},
		{"slowed down", pulses, 50 * us, Options{Speed: 0.02}, ""},
		{"a stall", stalls, 50 * us, Options{}, ""},
		{"at the end", last, 50 * us, Options{}, "the tape has a step of 1µs at 1Gbit on a.up at 999.999ms, too short for a bottleneck of qdiscs, which takes steps from 50µs on: " +
			"build the link with backend: edt, which plays it as it is, give the tape longer ones (tracegen resample --step 5ms), or import its trace with --step in place of --opportunities"},
		{"shorter by the speed", stalls, 50 * ms, Options{Speed: 20}, "the tape has a step of 25ms at 1Mbit on a.up at 0s, too short for a bottleneck of qdiscs, which takes steps from 50ms on: " +
			"build the link with backend: edt, which plays it as it is, give the tape longer ones (tracegen resample --step 5ms), or import its trace with --step in place of --opportunities"},
	} {
		t.Run(c.name, func(t *testing.T) {
			links := newFakeLinks(trace.LinkDir{Link: "a", Dir: trace.Up})
			for _, e := range links.endpoints {
				e.least = c.least
			}
			_, err := New(t.Context(), openTape(t, c.tape), links, c.opts)
			if got := text(err); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package synth

import (
	"slices"
	"testing"
)

// TestEveryWarning has a case for each warning, and for what comes close to it.
func TestEveryWarning(t *testing.T) {
	const (
		ou   = "{model: log-ou, mean: 4Mbit, cv: 0.5, tau: 5s}"
		slow = "{model: log-ou, mean: 4Mbit, cv: 0.5, tau: 6s}"
	)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"tau short": {"links: {a: {up: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 99ms}}}}",
			[]string{"links.a.up.rate: tau 99ms is shorter than the step 100ms: successive values are all but independent"}},
		"tau of one step": {"links: {a: {up: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 100ms}}}}", nil},
		"clipped": {"links: {a: {up: {rate: 5Mbit, delay: {model: ou, mean: 40ms, sigma: 20ms, tau: 5s}}}}",
			[]string{"links.a.up.delay: a normal variable with cv 0.5 is often clipped at its floor, which shifts the mean; log-ou keeps it"}},
		"clipped seldom":   {"links: {a: {up: {rate: 5Mbit, delay: {model: ou, mean: 40ms, sigma: 16ms, tau: 5s}}}}", nil},
		"a term may swing": {"links: {a: {up: {rate: 5Mbit, delay: {model: sum, of: [40ms, {model: ou, mean: 0s, sigma: 20ms, tau: 5s}]}}}}", nil},
		"in a term": {"links: {a: {up: {rate: 5Mbit, delay: {model: sum, of: [40ms, {model: ou, mean: 5ms, sigma: 1ms, tau: 5ms}]}}}}",
			[]string{"links.a.up.delay.of.1: tau 5ms is shorter than the step 100ms: successive values are all but independent"}},
		"in a regime": {"links: {a: {regimes: {x: {dwell: 5s, up: {rate: {model: ou, mean: 4Mbit, cv: 1, tau: 5s}}}, y: {dwell: 5s}}, up: {rate: 5Mbit}}}",
			[]string{"links.a.regimes.x.up.rate: a normal variable with cv 1 is often clipped at its floor, which shifts the mean; log-ou keeps it"}},
		"cell without a link": {"cells: {tower: {flows: [{at: 0s, flows: 1}]}}\nlinks: {a: {up: {rate: 5Mbit}}}",
			[]string{"cells.tower: no link is in it; name it as the cell of one"}},
		"taus of regimes": {"links: {a: {regimes: {x: {dwell: 5s, up: {rate: " + ou + "}}, y: {dwell: 5s, up: {rate: " + slow + "}}}, up: {}}, b: {up: {rate: " + ou + "}}}\ncorrelation: [{links: [a, b], rho: 0.5}]",
			[]string{"a.up: its regimes have different taus: the correlation is exact for the first one's"}},
		"event at the end": {"links: {a: {up: {rate: 5Mbit}}}\nevents: [\"at 10s, link a, outage 1s\"]",
			[]string{`event "at 10s, link a, outage 1s": comes after the end, at 10s`}},
		"event before the end": {"links: {a: {up: {rate: 5Mbit}}}\nevents: [\"at 9999ms, link a, outage 1s\"]", nil},
		"listed outages": {"links: {a: {outages: [{at: [1s, 2s, 3s, 4s, 10s, 11s], duration: 2s}], up: {rate: 5Mbit}}}",
			[]string{
				"links.a.outages.0: the one at 2s is left out: the one before is over at 3s",
				"links.a.outages.0: the one at 4s is left out: the one before is over at 5s",
				"links.a.outages.0: the one at 10s comes after the end, at 10s",
			}},
		"listed shared outages": {"links: {a: {up: {rate: 5Mbit}}, b: {up: {rate: 5Mbit}}}\nshared_outages: {tunnel: {links: {a: 1s, b: 3s}, at: [1s, 5s, 6s], duration: 2s}}",
			[]string{"shared_outages.tunnel: the one at 5s is left out: the one before is over at 6s"}},
		"listed outages of any length": {"links: {a: {outages: [{at: [1s, 2s], duration: {median: 1s, p90: 2s}}], up: {rate: 5Mbit}}}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			sc, err := Parse("f", []byte("scenario: s\nduration: 10s\n"+c.text+"\n"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := sc.Warnings(); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

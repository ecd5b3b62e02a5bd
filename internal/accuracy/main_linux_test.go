package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
)

func TestMain(m *testing.M) { privtest.Main(m) }

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--help", 0, ""},
		{"cell --help", 0, ""},
		{"more", 2, `unknown argument "more"`},
		{"--speed 3", 2, "flag provided but not defined: -speed; see accuracy --help"},
		{"--duration -1s", 2, "--duration -1s: negative"},
		{"--duration 150ms", 2, "--duration 150ms: not a multiple of 100ms"},
		{"--jobs 0", 2, "--jobs 0: less than 1"},
		{"--kinds tbf,sfq", 2, `--kinds: kind "sfq": write one of tbf, htb, cake, pulse`},
		{"--from no.json", 1, "no.json"},
		{"cell", 2, "0 arguments, want a trace or a link of the scenario"},
		{"cell --step -1s att", 2, "--step -1s: negative"},
		{"cell --kind sfq att", 2, `kind "sfq"`},
		{"cell nobody", 1, "has no uplink of nobody"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &stdout, &stderr)
			if got := cli.Status(err); got != c.status || c.want != "" && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, error %v; want %d, %q", got, err, c.status, c.want)
			}
			if c.status == 0 && !strings.Contains(stdout.String(), "-duration") {
				t.Errorf("got help %q", stdout.String())
			}
		})
	}
}

// Ten seconds of a tape through each kind of bottleneck are within the bars: the
// short version of make accuracy. In virtual time what is measured is exact.
func TestAccuracy(t *testing.T) {
	privtest.Require(t, "lab", "ifb", "tbf", "htb", "cake", "fq_codel", "plug", "prio", "edt")
	all, field, err := sourcesIn("../../../shared/fieldtraces/mahimahi")
	if err != nil {
		t.Fatal(err)
	}
	if !field {
		t.Logf("there are no field traces: %s is measured in their place", scenario)
	}
	for _, k := range kinds() {
		for _, step := range []time.Duration{100 * ms, 10 * ms, netsetup.DefaultTick} {
			if !k.follows(step) {
				continue
			}
			t.Run(fmt.Sprint(k.name, " ", step), func(t *testing.T) {
				tl, err := all[1].tape(step, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				c, err := measure(t.Context(), k, tl, step)
				if err != nil {
					t.Fatal(err)
				}
				s := c.Score
				t.Logf("total %+.3f %%, NRMSE %.4f, curve p95 %.0f and max %.0f bytes, %d of %d ticks wrong", 100*s.Total, s.NRMSE, s.CurveP95, s.CurveMax, s.WrongTicks, s.Ticks)
				// A bucket owes up to three packets at any time.
				if owed := 3 * packetBytes / s.Offered; math.Abs(s.Total) > max(mostTotal, owed) {
					t.Errorf("total %+.3f %%", 100*s.Total)
				}
				if s.NRMSE > 0.06 || s.CurveP95 > 6000 || c.Dropped > 0 || c.Lateness > ms {
					t.Errorf("%+v, %d dropped, a step %v late", s, c.Dropped, c.Lateness)
				}
				if k.shaper == netsetup.ShaperEDT && s.CurveRaw > mostAway {
					t.Errorf("the curve is off by up to %.0f bytes without a shift", s.CurveRaw)
				}
				if step <= k.exact && s.WrongTicks > 0 {
					t.Errorf("%d of %d ticks with a wrong number of packets, the first at %v", s.WrongTicks, s.Ticks, s.FirstWrong)
				}
			})
		}
	}
}

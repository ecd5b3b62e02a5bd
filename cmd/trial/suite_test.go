package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linktape/internal/cli"
	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
	"linktape/trial/suite"
)

func TestSuiteUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"suite", "SUITE"},
		{"suite --time fast strategy", "--time fast: need virtual or real"},
		{"suite --seeds 0 strategy", "--seeds 0: from 1 to 1000"},
		{"suite --seeds 1,1 strategy", "different numbers"},
		{"suite --shard 3/2 strategy", `--shard "3/2": write K/N`},
		{"suite --stack librist --option colour=red strategy", "unknown option colour of librist"},
		{"suite --parallel -1 --out x strategy", "--parallel -1: at least 1"},
		{"suite strategy --seeds 3", "flags"},
		{"merge --out x", "DIR"},
		{"compare one", "A B"},
		{"compare --confidence 1 a b", "--confidence 1: from 0.5 to below 1"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, _, err := invoke(t.Context(), strings.Fields(c.args)...)
			if cli.Status(err) != cli.ExitUsage || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, %v; want 2, %q", cli.Status(err), err, c.want)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("wrote %v", entries)
			}
		})
	}
}

func TestSuiteDryRun(t *testing.T) {
	all, _, err := invoke(t.Context(), "suite", "--dry-run", "--seeds", "7,9", "strategy")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(all), "\n")
	if len(lines) != 10 || lines[0] != "strategy-baseline seed 7" || lines[9] != "strategy-bonding seed 9" {
		t.Errorf("got %q", lines)
	}
	var parts []string
	for _, k := range []string{"1/3", "2/3", "3/3"} {
		part, _, err := invoke(t.Context(), "suite", "--dry-run", "--seeds", "7,9", "--shard", k, "strategy")
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.Split(strings.TrimSpace(part), "\n")...)
	}
	for _, l := range lines {
		if n := strings.Count(strings.Join(parts, "\n")+"\n", l+"\n"); n != 1 {
			t.Errorf("%s is in %d shards", l, n)
		}
	}
}

func TestListAndShow(t *testing.T) {
	out, _, err := invoke(t.Context(), "list")
	if err != nil || !strings.Contains(out, "acceptance              tests A1 to A10, 21 cases") || !strings.Contains(out, "\na5-cut-stall ") {
		t.Errorf("got %v, %s", err, out)
	}
	out, _, err = invoke(t.Context(), "list", "--json")
	var l map[string][]suite.Entry
	if err != nil || json.Unmarshal([]byte(out), &l) != nil || len(l["suites"]) != 3 || len(l["cases"]) != 27 {
		t.Errorf("got %v, %s", err, out)
	}
	out, _, err = invoke(t.Context(), "show", "a2-loss-1")
	if err != nil || !strings.Contains(out, "retransmission_rate_necessary: {min: 0.7%, max: 1.3%}") {
		t.Errorf("got %v, %s", err, out)
	}
}

// judged writes a suite's folder in which one case has one trial with a loss of
// 2 %.
func judged(t *testing.T, most float64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	put := func(name string, v any) {
		b, err := json.Marshal(v)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v := 0.02
	put(suite.ManifestFile, &suite.Manifest{Format: 1, Suite: "s", Judge: suite.Median, Seeds: []uint64{1}, Time: "virtual", Cases: []suite.CaseInfo{{
		Name: "one", Seeds: []uint64{1}, Thresholds: []trial.Threshold{{Metric: "unrecovered", Max: &most}},
	}}})
	put("one/seed-1/"+suite.RunFile, &suite.Run{Format: 1, Case: "one", Seed: 1, Inputs: "x"})
	put("one/seed-1/"+report.JSONFile, &metrics.Result{Format: 1, Metrics: []metrics.Value{{Name: "unrecovered", Unit: "1", Value: &v}}})
	put("one/seed-1/"+trial.ManifestFile, &trial.Manifest{Format: 1})
	return dir
}

// A threshold that is missed gives exit status 3, and what is kept 0.
func TestMergeStatus(t *testing.T) {
	for _, c := range []struct {
		most   float64
		status int
		want   string
	}{{0.03, 0, "thresholds kept: all 1"}, {0.01, cli.ExitBounds, "missed: one: unrecovered ≤ 1 %: median 2 %, worst 2 %, 1 of 1 beyond"}} {
		to := filepath.Join(t.TempDir(), "all")
		out, _, err := invoke(t.Context(), "merge", "--out", to, judged(t, c.most))
		if cli.Status(err) != c.status || !strings.Contains(out, c.want) {
			t.Errorf("got status %d, %v, %s; want %d, %q", cli.Status(err), err, out, c.status, c.want)
		}
		for _, f := range []string{suite.ResultsFile, suite.JUnitFile, suite.ReportFile, suite.RunsTable, suite.CasesTable} {
			if _, err := os.Stat(filepath.Join(to, f)); err != nil {
				t.Error(err)
			}
		}
	}
	dir := judged(t, 0.03)
	if err := os.Remove(filepath.Join(dir, "one", "seed-1", suite.RunFile)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := invoke(t.Context(), "merge", "--out", filepath.Join(t.TempDir(), "all"), dir); cli.Status(err) != cli.ExitFailed || !strings.Contains(err.Error(), "1 trial not run") {
		t.Errorf("got %v", err)
	}
}

// A shard lists the cases that it has run, and does not judge them.
func TestPrintShard(t *testing.T) {
	r := &suite.Results{Manifest: &suite.Manifest{Suite: "s", Shard: "1/2"}, Trials: 1, Cases: []suite.CaseResult{
		{Name: "here", Runs: []suite.Outcome{{Seed: 1}}}, {Name: "elsewhere"},
	}}
	var b strings.Builder
	if err := printSuite(&b, "out", r); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "\nhere  1 of 1 ") || strings.Contains(got, "elsewhere") || !strings.Contains(got, "a shard is not judged") {
		t.Errorf("got %s", got)
	}
}

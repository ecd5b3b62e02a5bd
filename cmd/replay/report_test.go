package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/internal/table"
	"linktape/replay"
)

// makeRun writes a run's folder: link a with a step every 100 ms for a second, whose
// rate is given by its number. It is left as by a replay that was killed.
func makeRun(t *testing.T, dir string, rate func(i int) int64) {
	t.Helper()
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	m := replay.Manifest{
		Tape: "drive.tape", SHA256: strings.Repeat("5b", 32), Generator: "synth 1", Length: time.Minute, Window: time.Second, Leave: "keep",
		Counters: 100 * time.Millisecond, Epoch: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v1", Go: "go1", Kernel: "6.12", Host: "box",
		Links: []replay.ManifestLink{{Link: "a", Dir: "up", Shaper: "tbf"}},
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, replay.ManifestFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := table.Create[replay.LogRow](filepath.Join(dir, replay.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	counters, err := table.Create[replay.CounterRow](filepath.Join(dir, replay.CountersFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		due := int64(i) * 1e8
		if err := log.Write(&replay.LogRow{
			Due: due, Sent: due + 20_000, Acked: due + 35_000, Tape: due, Link: "a", Dir: "up", Hold: 1e8, Rate: rate(i), Carrier: true,
		}); err != nil {
			t.Fatal(err)
		}
		if err := counters.Write(&replay.CounterRow{At: due + 1e8, Link: "a", Dir: "up", Rate: rate(i), Bytes: int64(i+1) * 1e5, Packets: int64(i+1) * 100}); err != nil {
			t.Fatal(err)
		}
	}
	for _, flush := range []func() error{log.Flush, counters.Flush} {
		if err := flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReportAndDiff runs the two commands on folders that it has made up.
func TestReportAndDiff(t *testing.T) {
	back, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	makeRun(t, filepath.Join(dir, "a"), func(int) int64 { return 8e6 })
	makeRun(t, filepath.Join(dir, "b"), func(int) int64 { return 8e6 })
	makeRun(t, filepath.Join(dir, "c"), func(i int) int64 { return 8e6 + int64(i/9)*1e6 })
	t.Chdir(dir)
	var names, texts []string
	for _, c := range []struct {
		name   string
		args   []string
		status int
		err    string
	}{
		{"report-json", []string{"report", "--json", "a"}, 0, ""},
		{"diff-same", []string{"diff", "a", "b"}, 0, ""},
		{"diff-differ", []string{"diff", "a", "c"}, cli.ExitBounds, "a and c did not apply the same conditions"},
		{"diff-json", []string{"diff", "--json", "--tolerance", "1ms", "a", "c"}, cli.ExitBounds, "did not apply"},
	} {
		stdout, stderr, err := invoke(t.Context(), c.args...)
		if cli.Status(err) != c.status || stderr != "" || c.err != "" && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got error %v, standard error %q", c.name, err, stderr)
		}
		names, texts = append(names, c.name), append(texts, stdout)
	}

	// The page: into the folder, to a file, to standard output.
	_, stderr, err := invoke(t.Context(), "report", "a")
	if err != nil || stderr != "wrote a/report.html: 1 findings\n" {
		t.Errorf("got error %v, standard error %q", err, stderr)
	}
	if _, _, err := invoke(t.Context(), "report", "-o", "page.html", "a"); err != nil {
		t.Error(err)
	}
	stdout, stderr, err := invoke(t.Context(), "report", "-o", "-", "a")
	if err != nil || stderr != "" {
		t.Errorf("got error %v, standard error %q", err, stderr)
	}
	for _, file := range []string{"a/report.html", "page.html"} {
		if b, err := os.ReadFile(file); err != nil || string(b) != stdout || !strings.HasPrefix(stdout, "<!DOCTYPE html>") {
			t.Errorf("%s is not what standard output has: %v", file, err)
		}
	}
	if _, _, err := invoke(t.Context(), "report", "-o", "/dev/full", "a"); cli.Status(err) != 1 {
		t.Errorf("full disk: got error %v", err)
	}
	if info, err := os.Stat("/dev/full"); err != nil || info.Mode()&os.ModeDevice == 0 {
		t.Errorf("the device is gone: %v", err)
	}
	t.Chdir(back) // to the golden files
	for i := range names {
		checkGolden(t, names[i], texts[i])
	}
}

func TestReportUsage(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"report"}, cli.ExitUsage, "DIR"},
		{[]string{"report", "a", "b"}, cli.ExitUsage, ""},
		{[]string{"report", t.TempDir()}, 1, "not a folder that replay run --out wrote"},
		{[]string{"diff", "a"}, cli.ExitUsage, "DIR_A DIR_B"},
		{[]string{"diff", "--tolerance", "-1s", "a", "b"}, cli.ExitUsage, "negative"},
		{[]string{"diff", t.TempDir(), t.TempDir()}, 1, "name folders that replay run --out wrote"},
	} {
		stdout, _, err := invoke(t.Context(), c.args...)
		if cli.Status(err) != c.status || stdout != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got error %v, standard output %q", c.args, err, stdout)
		}
	}
}

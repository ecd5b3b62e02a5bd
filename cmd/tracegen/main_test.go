package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/traces"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// twoLinks is a scenario without chance.
const twoLinks = `scenario: two-links
description: a constant link and one with an outage
duration: 10s
links:
  att:
    queue: 200ms
    up:
      rate: {model: steps, steps: [{at: 0s, value: 6Mbit}, {at: 4s, value: 0}, {at: 5s, value: 2Mbit}]}
      delay: 35ms
      loss: {model: ge-packet, mean: 0.01, burst: 4}
    down: {rate: 20Mbit, delay: 35ms}
  sat:
    queue: 64KB
    up: {rate: 1Mbit, delay: 300ms, loss: 0.001}
`

// fixtures makes the files that the command lines below name, in a folder of
// the test's own, and moves there.
func fixtures(t *testing.T) {
	t.Helper()
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	goldenDir = golden
	t.Chdir(t.TempDir())
	var every2ms, every5ms strings.Builder
	for i := 1; i <= 1000; i++ {
		fmt.Fprintln(&every2ms, 2*i)
		if i <= 600 {
			fmt.Fprintln(&every5ms, 5*i)
		}
	}
	for name, text := range map[string]string{
		"a.up":       every2ms.String(), // 6 Mbit/s, 2 s
		"a.down":     "0\n" + every2ms.String(),
		"b.up":       every5ms.String(), // 2.4 Mbit/s, 3 s
		"faulty.up":  "1\r\n\n-3\n",
		"rates":      "0 4\n1 4.5\n2 5\n",
		"kbit":       "0 4000\n1 45000\n2 50000\n",
		"notes.txt":  "to do\n",
		"two.yaml":   twoLinks,
		"typo.yaml":  "scenario: typo\nduration: 10s\nlinks: {att: {up: {rat: 6Mbit}}}\n",
		"packed.gz":  "\x1f\x8b\x08\x00",
		"idle.rates": "0 0\n1 0\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range [][]string{
		{"synth", "-o", "two.tape", "two.yaml"},
		{"import", "-o", "a.tape", "a.up=a.up"},
		{"import", "-o", "idle.tape", "a.up=idle.rates"},
	} {
		if _, stderr, err := call("", line...); err != nil {
			t.Fatalf("tracegen %s: %v\n%s", strings.Join(line, " "), err, stderr)
		}
	}
}

var goldenDir string

// TestMain lets scripts run the test binary as tracegen.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tracegen": main})
}

// The real process: streams, pipes and exit statuses.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// call runs one command line.
func call(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(context.Background(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), err
}

// checkGolden compares text with a file under testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// commandLine is a whole command line; its exit status, standard output and
// standard error are in testdata/NAME.golden.
type commandLine struct {
	name   string
	args   string // separated by blanks
	stdin  string
	status int
}

func TestCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"help", "--help", "", 0},
		{"no-command", "", "", 0},
		{"unknown-command", "frob", "", 2},
		{"unknown-flag", "info --jsn a.tape", "", 2},
		{"flag-after-argument", "info a.tape --json", "", 2},

		{"synth-help", "synth --help", "", 0},
		{"synth", "synth -o s.tape two.yaml", "", 0},
		{"synth-set", "synth -o s.tape --seed 7 --duration 6s --step 10ms --set links.sat.up.rate=3Mbit --set links.sat.up.delay=250ms two.yaml", "", 0},
		{"synth-stdin", "synth -o s.tape -", twoLinks, 0},
		{"synth-typo", "synth -o s.tape typo.yaml", "", 1},
		{"synth-bad-set", "synth -o s.tape --set links.sat.up.rate two.yaml", "", 2},
		{"synth-unknown-set", "synth -o s.tape --set links.sat.up.rat=5Mbit two.yaml", "", 1},
		{"synth-missing", "synth -o s.tape no-such-scenario", "", 1},
		{"synth-missing-file", "synth -o s.tape ./no-such.yaml", "", 1},
		{"synth-no-output", "synth two.yaml", "", 2},
		{"synth-no-scenario", "synth -o s.tape", "", 2},
		{"synth-bad-duration", "synth -o s.tape --duration soon two.yaml", "", 2},
		{"synth-negative-duration", "synth -o s.tape --duration -1s two.yaml", "", 2},
		{"synth-onto-input", "synth -o two.yaml two.yaml", "", 2},
		{"synth-into-missing-folder", "synth -o no/such/s.tape two.yaml", "", 1},

		{"import-help", "import --help", "", 0},
		{"import", "import -o i.tape a.up=a.up", "", 0},
		{"import-states", "import -o i.tape --delay 35ms --delay b=50ms --delay a.up=20ms --loss 0.1% --queue 64KB --queue b=200ms --fit loop a.up=a.up a.down=a.down b.up=b.up", "", 0},
		{"import-step-start", "import -o i.tape --step 1ms --interval start a.up=a.up", "", 0},
		{"import-pensieve", "import -o i.tape b.up=rates", "", 0},
		{"import-pensieve-step", "import -o i.tape --format pensieve --step 300ms --interval start b.up=rates", "", 0},
		{"import-stdin", "import -o i.tape b.up=-", "0 1\r\n1 2\r\n", 0},
		{"import-lengths", "import -o i.tape a.up=a.up b.up=b.up", "", 1},
		{"import-shortest", "import -o i.tape --fit shortest a.up=a.up b.up=b.up", "", 0},
		{"import-faults", "import -o i.tape --format mahimahi a.up=faulty.up b.up=a.up c.up=no-such.up", "", 1},
		{"import-unknown-content", "import -o i.tape a.up=notes.txt", "", 1},
		{"import-kbit", "import -o i.tape a.up=kbit", "", 1},
		{"import-kbit-as-told", "import -o i.tape --format pensieve a.up=kbit", "", 0},
		{"import-gzip", "import -o i.tape a.up=packed.gz", "", 1},
		{"import-tape", "import -o i.tape a.up=a.tape", "", 1},
		{"import-no-argument", "import -o i.tape", "", 2},
		{"import-no-output", "import a.up=a.up", "", 2},
		{"import-bad-argument", "import -o i.tape a.up", "", 2},
		{"import-bad-direction", "import -o i.tape a.sideways=a.up", "", 2},
		{"import-bad-link", "import -o i.tape AT&T.up=a.up", "", 2},
		{"import-twice", "import -o i.tape a.up=a.up a.up=b.up", "", 2},
		{"import-stdin-twice", "import -o i.tape a.up=- b.up=-", "", 2},
		{"import-bad-format", "import -o i.tape --format mahi a.up=a.up", "", 2},
		{"import-bad-interval", "import -o i.tape --interval middle a.up=a.up", "", 2},
		{"import-bad-fit", "import -o i.tape --fit stretch a.up=a.up", "", 2},
		{"import-bad-step", "import -o i.tape --step 0s a.up=a.up", "", 2},
		{"import-short-step", "import -o i.tape --step 1ns a.up=a.up", "", 1},
		{"import-bad-delay", "import -o i.tape --delay 35 a.up=a.up", "", 2},
		{"import-bad-loss", "import -o i.tape --loss 150% a.up=a.up", "", 2},
		{"import-bad-queue", "import -o i.tape --queue big a.up=a.up", "", 2},
		{"import-delay-of-other-link", "import -o i.tape --delay b=35ms a.up=a.up", "", 2},
		{"import-queue-of-direction", "import -o i.tape --queue a.up=64KB a.up=a.up", "", 2},
		{"import-delay-twice", "import -o i.tape --delay 35ms --delay 36ms a.up=a.up", "", 2},
		{"import-onto-input", "import -o a.up a.up=a.up", "", 2},

		{"export-help", "export --help", "", 0},
		{"export", "export --format mahimahi -o e.up two.tape att.up", "", 0},
		{"export-stdout", "export --format pensieve -o - two.tape att.up", "", 0},
		{"export-loops", "export --format pensieve --loops 2 -o - two.tape att.up", "", 0},
		{"export-idle", "export --format mahimahi -o e.up idle.tape a.up", "", 1},
		{"export-no-format", "export -o e.up two.tape att.up", "", 2},
		{"export-bad-format", "export --format mahi -o e.up two.tape att.up", "", 2},
		{"export-bad-loops", "export --format mahimahi --loops 0 -o e.up two.tape att.up", "", 2},
		{"export-bad-direction", "export --format mahimahi -o e.up two.tape att", "", 2},
		{"export-missing-direction", "export --format mahimahi -o e.up two.tape sat.down", "", 2},
		{"export-one-argument", "export --format mahimahi -o e.up two.tape", "", 2},
		{"export-onto-input", "export --format mahimahi -o two.tape two.tape att.up", "", 2},
		{"export-into-folder", "export --format mahimahi -o . two.tape att.up", "", 1},
		{"export-missing", "export --format mahimahi -o e.up no-such.tape att.up", "", 1},

		{"info-help", "info --help", "", 0},
		{"info-synth", "info two.tape", "", 0},
		{"info-import", "info --bin 1s a.tape", "", 0},
		{"info-json", "info --json two.tape", "", 0},
		{"info-scenario", "info --scenario two.tape", "", 0},
		{"info-no-scenario", "info --scenario a.tape", "", 1},
		{"info-json-scenario", "info --json --scenario two.tape", "", 2},
		{"info-bad-bin", "info --bin 0s two.tape", "", 2},
		{"info-no-tape", "info two.yaml", "", 1},
		{"info-no-argument", "info", "", 2},
		{"info-two-arguments", "info a.tape two.tape", "", 2},

		{"list-help", "list --help", "", 0},
		{"show-help", "show --help", "", 0},
		{"show-missing-argument", "show", "", 2},

		{"plot-help", "plot --help", "", 0},
		{"plot", "plot -o p.png two.tape", "", 0},
		{"plot-window", "plot -o p.svg --from 3s --duration 4s two.tape", "", 0},
		{"plot-bad-ending", "plot -o p.jpg two.tape", "", 2},
		{"plot-beyond", "plot -o p.svg --from 10s two.tape", "", 2},
		{"plot-negative", "plot -o p.svg --from -1s two.tape", "", 2},
		{"plot-no-output", "plot two.tape", "", 2},
		{"plot-no-tape", "plot -o p.svg two.yaml", "", 1},
	})
}

// runCommandLines compares command lines, run one after the other in this folder,
// with their golden files.
func runCommandLines(t *testing.T, lines []commandLine) {
	t.Helper()
	for _, tc := range lines {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, err := call(tc.stdin, strings.Fields(tc.args)...)
			if got := cli.Status(err); got != tc.status {
				t.Errorf("exit status: got %d (%v), want %d", got, err, tc.status)
			}
			text := fmt.Sprintf("$ tracegen %s\nexit status %d\n", tc.args, cli.Status(err))
			if err != nil {
				stderr += fmt.Sprintf("tracegen: %v\n", err)
			}
			if stdout != "" {
				text += "--- stdout\n" + stdout
			}
			if stderr != "" {
				text += "--- stderr\n" + stderr
			}
			checkGolden(t, tc.name+".golden", text)
		})
	}
	// Nothing is left behind by what failed.
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// The same scenario gives the same bytes, to a file and to standard output, and
// so does the scenario that the tape holds.
func TestSynthReproducible(t *testing.T) {
	fixtures(t)
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	do := func(stdin string, args ...string) string {
		t.Helper()
		stdout, stderr, err := call(stdin, args...)
		if err != nil {
			t.Fatalf("tracegen %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		return stdout
	}
	chance := strings.Replace(twoLinks, "rate: 1Mbit", "rate: {model: log-ou, mean: 4Mbit, cv: 0.75, tau: 7s}", 1)
	do(chance, "synth", "--seed", "7", "-o", "1.tape", "-")
	do(chance, "synth", "--seed", "7", "-o", "2.tape", "-")
	if read("1.tape") != read("2.tape") {
		t.Error("two runs differ")
	}
	if do(chance, "synth", "--seed", "7", "-o", "-", "-") != read("1.tape") {
		t.Error("standard output differs from a file")
	}
	if do(do("", "info", "--scenario", "1.tape"), "synth", "-o", "-", "-") != read("1.tape") {
		t.Error("the scenario that the tape holds gives another tape")
	}
	do(chance, "synth", "--seed", "8", "-o", "3.tape", "-")
	if read("1.tape") == read("3.tape") {
		t.Error("another seed gives the same tape")
	}
	if got, want := do(read("1.tape"), "info", "--json", "-"), do("", "info", "--json", "1.tape"); strings.Replace(got, `"standard input"`, `"1.tape"`, 1) != want {
		t.Errorf("info of standard input: got %s, want %s", got, want)
	}
	once, again := do("", "plot", "-o", "-", "1.tape"), do("", "plot", "-o", "-", "1.tape")
	if once != again {
		t.Error("two plots differ")
	}
}

// A tape imported at 1 ms goes back to the very same file, also through pipes.
func TestImportExport(t *testing.T) {
	fixtures(t)
	data, err := os.ReadFile("a.up")
	if err != nil {
		t.Fatal(err)
	}
	tape, _, err := call(string(data), "import", "--step", "1ms", "-o", "-", "a.up=-")
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := call(tape, "export", "--format", "mahimahi", "-o", "-", "-", "a.up")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(data) {
		t.Errorf("got %.100q, want %.100q", got, data)
	}
	twice, _, err := call(tape, "export", "--format", "mahimahi", "--loops", "2", "-o", "-", "-", "a.up")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(twice, "\n"); n != 2000 || !strings.HasPrefix(twice, string(data)) || !strings.HasSuffix(twice, "\n4000\n") {
		t.Errorf("two loops: got %d lines, %.60q", n, twice)
	}
}

// A failed command leaves what was there.
func TestOutputStays(t *testing.T) {
	fixtures(t)
	for _, args := range [][]string{
		{"export", "--format", "mahimahi", "-o", "kept", "idle.tape", "a.up"},
		{"import", "-o", "kept", "--step", "1ns", "a.up=a.up"},
		{"synth", "-o", "kept", "typo.yaml"},
	} {
		if err := os.WriteFile("kept", []byte("precious"), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, _, err := call("", args...); err == nil {
			t.Errorf("%v: succeeded", args)
		}
		if data, err := os.ReadFile("kept"); err != nil || string(data) != "precious" {
			t.Errorf("%v: the output holds %q, %v", args, data, err)
		}
	}
	// The output may be the input by another name.
	if err := os.Symlink("a.tape", "alias.tape"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := call("", "export", "--format", "mahimahi", "-o", "alias.tape", "a.tape", "a.up"); cli.Status(err) != cli.ExitUsage {
		t.Errorf("writing onto the input by a symbolic link: got %v", err)
	}
}

// Every scenario that is listed can be shown and synthesized, by name and from
// what is shown, with the same bytes.
func TestLibrary(t *testing.T) {
	fixtures(t)
	for _, e := range traces.List() {
		name := e.Name
		yaml, _, err := call("", "show", name)
		if err != nil {
			t.Error(err)
			continue
		}
		byName, _, err := call("", "synth", "--duration", "2s", "-o", "-", name)
		if err != nil {
			t.Error(err)
			continue
		}
		shown, _, err := call(yaml, "synth", "--duration", "2s", "-o", "-", "-")
		if err != nil {
			t.Error(err)
		} else if byName != shown {
			t.Errorf("%s: what is shown gives another tape", name)
		}
	}
	if _, _, err := call("", "show", "no-such"); cli.Status(err) != cli.ExitFailed || !strings.HasSuffix(err.Error(), "tracegen list describes them") {
		t.Errorf("show of an unknown name: got %v", err)
	}
}

// An interrupt ends each long command and leaves no file.
func TestInterrupt(t *testing.T) {
	fixtures(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"synth", "-o", "x", "two.yaml"},
		{"import", "-o", "x", "a.up=a.up"},
		{"export", "--format", "mahimahi", "-o", "x", "two.tape", "att.up"},
		{"info", "two.tape"},
		{"plot", "-o", "x.svg", "two.tape"},
	} {
		err := run(ctx, args, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || err.Error() != "interrupted: no file was written" || cli.Status(err) != cli.ExitFailed {
			t.Errorf("%v: got %v", args, err)
		}
		if _, err := os.Stat("x"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: left a file", args)
		}
	}
}

// Three real carriers make a tape whose bytes are those of the recordings.
func TestFieldImport(t *testing.T) {
	dir, err := filepath.Abs("../../../shared/fieldtraces/mahimahi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("field traces are absent: %v", err)
	}
	t.Chdir(t.TempDir())
	args := []string{"import", "-o", "field.tape", "--fit", "loop"}
	for link, name := range map[string]string{"att": "ATT-LTE-driving-2016", "tmobile": "TMobile-LTE-short", "verizon": "Verizon-LTE-short"} {
		args = append(args, link+".up="+filepath.Join(dir, name+".up"))
	}
	if _, stderr, err := call("", args...); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	tl, err := trace.ReadFile("field.tape")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]int64{}
	sums := map[string]*trace.Service{}
	sp := trace.NewSpanner(tl.Meta.Duration, func(s trace.Span) {
		if sums[s.Link] == nil {
			sums[s.Link] = new(trace.Service)
		}
		sums[s.Link].Add(s.Rate, s.To-s.From)
	})
	for i := range tl.Steps {
		sp.Step(&tl.Steps[i])
	}
	sp.Finish()
	for link, sum := range sums {
		served[link] = sum.Bytes()
	}
	// wc -l of the two files that are 140 s long
	want := map[string]int64{"tmobile": 155381 * 1500, "verizon": 69367 * 1500}
	for link, n := range want {
		if served[link] != n {
			t.Errorf("%s: got %d bytes, want %d", link, served[link], n)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/replay"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets tests run the test binary as replay.
func TestMain(m *testing.M) {
	if os.Args[0] == "replay" {
		main()
	}
	privtest.Main(m)
}

// checkGolden compares text with a file under testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
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

// invoke runs one command line.
func invoke(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(ctx, args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

// shortTape writes a tape of 2 s: a.up and a.down change every 100 ms, with a
// stall in the middle.
func shortTape(t *testing.T) (file string, tl *trace.Timeline) {
	t.Helper()
	tl = &trace.Timeline{Meta: trace.Meta{
		Duration: 2 * time.Second, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true, Down: true}},
	}}
	for i := range 20 {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			s := trace.State{Rate: trace.BitRate(1+i+int(d)) * trace.Mbit, Carrier: true}
			if i == 10 {
				s.Rate, s.Label = 0, "outage"
			}
			tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * 100 * time.Millisecond, Link: "a", Dir: d, State: s})
		}
	}
	file = filepath.Join(t.TempDir(), "short.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	return file, tl
}

func TestErrors(t *testing.T) {
	tape, _ := shortTape(t)
	notTape := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(notTape, []byte("to do\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"unknown command", []string{"play", tape}, 2, `unknown command "play": one of run`},
		{"unknown flag", []string{"run", "--fast", tape}, 2, "flag provided but not defined: -fast; see replay run --help"},
		{"no tape", []string{"run"}, 2, "usage: replay run TAPE"},
		{"two tapes", []string{"run", tape, tape}, 2, "usage: replay run TAPE"},
		{"flag after the tape", []string{"run", tape, "--loop"}, 2, "flags come before arguments"},
		{"not a duration", []string{"run", "--from", "soon", tape}, 2, `invalid value "soon"`},
		{"restore and neutral", []string{"run", "--restore", "--neutral", tape}, 2, "--restore and --neutral exclude each other"},
		{"negative from", []string{"run", "--from", "-1s", tape}, 2, "--from -1s: negative"},
		{"negative duration", []string{"run", "--duration", "-1s", tape}, 2, "--duration -1s: negative"},
		{"negative bound", []string{"run", "--max-lateness", "-1s", tape}, 2, "--max-lateness -1s: negative"},
		{"negative spin", []string{"run", "--spin", "-1s", tape}, 2, "--spin -1s: negative"},
		{"missing tape", []string{"run", filepath.Join(t.TempDir(), "x.tape")}, 1, "open tape: "},
		{"no tape at all", []string{"run", notTape}, 1, "not a tape"},
		{"bad name", []string{"run", "--on", "../x", tape}, 1, "../x"},
		{"missing run", []string{"run", "--on", "there-is-no-such-run", tape}, 1, "there-is-no-such-run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, err := invoke(t.Context(), c.args...)
			if got := cli.Status(err); got != c.status || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, error %v; want %d, %q", got, err, c.status, c.want)
			}
			if stdout != "" {
				t.Errorf("got %q on standard output", stdout)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{{"play a tape", nil}, {"play a tape", []string{"--help"}}, {"--max-lateness", []string{"run", "--help"}}} {
		stdout, stderr, err := invoke(t.Context(), c.args...)
		if err != nil || stderr != "" || !strings.Contains(stdout, c.want) {
			t.Errorf("%q: got error %v, %q, standard error %q", c.args, err, stdout, stderr)
		}
	}
}

// fixed is a summary that every test sees the same.
func fixed() *replay.Summary {
	return &replay.Summary{
		Tape: strings.Repeat("5b", 32), Epoch: time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC),
		From: 90 * time.Second, Played: 19999800 * time.Microsecond, Loops: 1, Steps: 1200, Messages: 2400, Kicks: 3,
		Realtime: true, Locked: true,
		Lateness: replay.Distribution{P50: 91135, P99: 253951, P999: 262936, Max: 14262936},
		Exchange: replay.Distribution{P50: 9087, P99: 112639, P999: 223483, Max: 223483},
		Left:     "keep",
		Links: []replay.LinkReport{
			{Link: "att", Dir: "down", Steps: 200, TapeBytes: 20_350_000},
			{Link: "att", Dir: "up", Steps: 200, TapeBytes: 3_475_123, DeliveredBytes: 3_470_001, Packets: 2313, Drops: 219,
				MaxBacklogBytes: 216_000, Closed: 4, Use: 0.99852, Saturated: 0.97, Deviation: -0.00131},
			{Link: "tmobile-5g", Dir: "up", Steps: 200, TapeBytes: 1_234_567_890, DeliveredBytes: 1_234_567_890, Packets: 823_045, Drops: 1_234_567,
				MaxBacklogBytes: 12_345_678, Use: 1, Saturated: 1},
		},
	}
}

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*replay.Summary)
	}{
		{"plain", func(*replay.Summary) {}},
		{"stopped", func(s *replay.Summary) {
			s.Stopped, s.RatesOnly, s.Realtime, s.Locked, s.Loops, s.Missed, s.Left = true, true, false, false, 7, 12, "restore"
		}},
		{"nothing", func(s *replay.Summary) {
			*s = replay.Summary{Stopped: true, Left: "neutral", Links: []replay.LinkReport{{Link: "a", Dir: "up"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fixed()
			c.change(s)
			var text, data bytes.Buffer
			if err := errors.Join(printSummary(&text, s), cli.PrintJSON(&data, s)); err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(text.String(), "\n") {
				if len([]rune(line)) > 90 {
					t.Errorf("%d columns: %s", len([]rune(line)), line)
				}
			}
			checkGolden(t, "summary-"+c.name, text.String())
			checkGolden(t, "summary-"+c.name+"-json", data.String())
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestSummaryToBrokenOutput(t *testing.T) {
	if err := printSummary(broken{}, fixed()); err == nil {
		t.Error("the table was lost without an error")
	}
	if err := cli.PrintJSON(broken{}, fixed()); err == nil {
		t.Error("the JSON was lost without an error")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: 0, 7: 7, 999: 999, 1004: 1000, 1006: 1010, 91135: 91100, 999_999: 1_000_000, 14262936: 14300000, 12345 * time.Second: 12300 * time.Second,
	} {
		if got := short(d); got != want {
			t.Errorf("%d ns: got %d, want %d", d, got, want)
		}
	}
}

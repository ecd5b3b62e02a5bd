package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{{"help", nil}, {"help", []string{"--help"}}, {"help-run", []string{"run", "--help"}}, {"help-show", []string{"show", "--help"}}} {
		stdout, stderr, err := invoke(t.Context(), c.args...)
		if err != nil || stderr != "" {
			t.Errorf("%q: got error %v, standard error %q", c.args, err, stderr)
		}
		checkGolden(t, c.name, stdout)
	}
}

// file writes a file of a test and returns its name.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestErrors(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"unknown command", []string{"start", "x"}, 2, `unknown command "start": one of run, show`},
		{"unknown flag", []string{"run", "--fast", "x"}, 2, "flag provided but not defined: -fast; see trial run --help"},
		{"no scenario", []string{"run"}, 2, "usage: trial run SCENARIO|TAPE|TRIAL"},
		{"flag after the scenario", []string{"run", "quickstart", "--json"}, 2, "flags come before arguments"},
		{"neither file nor library", []string{"run", "quickstrat"}, 1, "quickstrat: neither a file nor in the library of scenarios"},
		{"time", []string{"run", "--time", "slow", "quickstart"}, 2, "--time slow: need virtual or real"},
		{"stack", []string{"run", "--stack", "librits", "quickstart"}, 2, `unknown stack "librits": did you mean "librist"?`},
		{"option", []string{"run", "--option", "mode=x", "quickstart"}, 2, `option mode of librist: "x": one of share, duplicate`},
		{"rate", []string{"run", "--rate", "4", "quickstart"}, 2, "--rate: "},
		{"high rate", []string{"run", "--rate", "4Gbit", "quickstart"}, 2, "rate 4Gbit: from 50kbit to 500Mbit"},
		{"buffer", []string{"run", "--buffer", "1m", "quickstart"}, 2, "buffer 1m0s: from 10ms to 30s"},
		{"set", []string{"run", "--set", "x", "quickstart"}, 2, `--set "x": write KEY=VALUE`},
		{"links", []string{"run", "--links", ",", "quickstart"}, 2, "--links: name links"},
		{"duration", []string{"run", "--duration", "0s", "quickstart"}, 2, "--duration 0s: longer than nothing"},
		{"exec without commands", []string{"run", "--stack", "exec", "quickstart"}, 2, "stack exec needs the sender's command"},
		{"full folder", []string{"run", "--stack", "none", "--out", full, "quickstart"}, 1, "is not empty: remove it, or name another folder with --out"},
		{"no trial", []string{"show", full}, 1, "read a trial: "},
		{"inside alone", []string{"inside", "run"}, 2, "usage: trial inside RUN PART"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, err := invoke(t.Context(), c.args...)
			if err == nil {
				t.Fatal("got no error")
			}
			if got := cli.Status(err); got != c.status || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, error %v; want %d, %q", got, err, c.status, c.want)
			}
			if stdout != "" {
				t.Errorf("got %q on standard output", stdout)
			}
		})
	}
}

// What is missing is named before anything is made.
func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	for stack, want := range map[string]string{
		"librist":   "missing: ristsender (Debian package rist-tools)\nmissing: ristreceiver (Debian package rist-tools)\ninstall with: sudo apt-get install rist-tools",
		"gstreamer": "missing: gst-launch-1.0 (Debian package gstreamer1.0-tools)\n",
	} {
		_, _, err := invoke(t.Context(), "run", "--stack", stack, "--out", out, "quickstart")
		if err == nil || !strings.Contains(err.Error(), want) || cli.Status(err) != cli.ExitFailed {
			t.Errorf("%s: got %v, want %q", stack, err, want)
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestWithoutOut(t *testing.T) {
	got := withoutOut([]string{"--out", "a", "--json", "-out=b", "--out=c", "x"})
	if diff := cmp.Diff([]string{"--json", "x"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

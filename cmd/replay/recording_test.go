package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
)

func TestCadence(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "1s": time.Second, "1ms": time.Millisecond, "10/s": 100 * time.Millisecond, "0.5/s": 2 * time.Second, "1000/s": time.Millisecond,
	} {
		if got, err := cadence(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "-1s", "0/s", "-1/s", "NaN/s", "2000/s", "1us", "x/s", "10/m"} {
		if got, err := cadence(s); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

func TestRecordingUsage(t *testing.T) {
	tape, _ := shortTape(t)
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--counters", "1s"}, "--counters: only with --out"},
		{[]string{"--read-back", "1s"}, "--read-back: only with --out"},
		{[]string{"--out", out, "--counters", "9ms"}, "--counters 9ms: write 10ms or more, or 0"},
		{[]string{"--out", out, "--read-back", "often"}, `--read-back "often": write a time`},
	} {
		_, _, err := invoke(t.Context(), append(append([]string{"run"}, c.args...), tape)...)
		if cli.Status(err) != cli.ExitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got error %v, want %q", c.args, err, c.want)
		}
	}
}

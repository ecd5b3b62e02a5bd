package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"linktape/internal/privtest"
)

// In virtual time, where computing takes none, no step is more than 20 µs late.
func TestVirtualLateness(t *testing.T) {
	privtest.Require(t, "lab", "ifb", "tbf")
	const (
		links  = 16
		step   = 10 * time.Millisecond
		length = 10 * time.Second
		most   = 20 * time.Microsecond
	)
	tape := manyLinks(t, links, 2, step, length)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"replay", "run", "--on", benchRun, "--json", "--out", t.TempDir(), tape}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	s := summary(t, string(out))
	t.Logf("lateness %+v, skew %+v", s.Lateness, s.Skew)
	if want := int64(2 * links * (length / step)); s.Steps != want || s.Missed != 0 || s.Starved != 0 || s.Unlogged != 0 {
		t.Errorf("%d steps, %d missed, %d starved, %d unlogged; want %d steps", s.Steps, s.Missed, s.Starved, s.Unlogged, want)
	}
	if s.Lateness.Max > most || s.Skew.Max > most {
		t.Errorf("late by up to %v, apart by up to %v: want %v at most", s.Lateness.Max, s.Skew.Max, most)
	}
}

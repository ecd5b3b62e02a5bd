package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trial"
)

// relayed are the flags of a trial on this machine, whose kernel may lack netem,
// with the test's own stack.
func relayed(t *testing.T, name string) []string {
	t.Helper()
	privtest.Require(t, "ifb", "tbf", "htb")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"run", "--rates-only", "--name", name, "--stack", "exec", "--links", "att",
		"--sender", fmt.Sprintf("exec %s relay {{.In}} {{(index .Links 0).Target}}", self),
		"--receiver", fmt.Sprintf("exec %s relay {{(index .Links 0).Target}} {{.Out}}", self)}
}

// nothingLeft fails the test if a run is left.
func nothingLeft(t *testing.T) {
	t.Helper()
	runs, err := netsetup.Runs()
	if err != nil || len(runs) > 0 {
		t.Errorf("left behind: %q, %v", runs, err)
	}
}

// In real time the same command gives the same kind of folder.
func TestRealTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	args := append(relayed(t, "real"), "--rate", "1Mbit", "--duration", "4s", "--out", dir, "strategy-baseline")
	stdout, _, err := invoke(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
	m, err := trial.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A busy machine may lose some of it; it cannot lose all, nor make any.
	s := m.Sink
	if !m.Complete || m.Time != "real" || m.Source.Datagrams != 380 || s.Unique == 0 || s.Unique > 380 || s.Corrupt+s.Foreign+s.Malformed > 0 {
		t.Errorf("got %+v, source %+v, sink %+v", m, m.Source, s)
	}
	if got := m.Captures[trial.CaptureFile("att", true)]; got.Packets+got.Drops < s.Unique {
		t.Errorf("the sender's end saw %+v of %d datagrams", got, s.Unique)
	}
	if !strings.Contains(stdout, "finding: rates only: delay, jitter and loss of the tape are left out") {
		t.Errorf("got %q", stdout)
	}
}

// What is stopped, wherever it is, leaves no links.
func TestStopped(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			args := append(relayed(t, "stopped"), "--out", dir, "strategy-baseline")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := time.AfterFunc(after, cancel)
			defer stop.Stop()
			if _, _, err := invoke(ctx, args...); err == nil {
				t.Error("a trial that was stopped says nothing of it")
			}
			nothingLeft(t)
			if m, err := trial.ReadManifest(dir); err == nil && m.Complete {
				t.Errorf("got %+v", m)
			}
		})
	}
}

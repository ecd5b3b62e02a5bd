package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/trace"
)

// whenReady calls a function when a replay says on its standard error that it
// waits.
type whenReady struct {
	bytes.Buffer
	do func()
}

func (w *whenReady) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("replay: ready, waits for ")) {
		defer w.do()
	}
	return w.Buffer.Write(b)
}

// Every way to start, on real links.
func TestReplayStarts(t *testing.T) {
	const name = "replay-start"
	tape, tl := shortTape(t)
	build(t, name, netsetup.ShaperTBF)
	before := rates(t, name)
	stdin, line := io.Pipe()
	ping := func() {
		out, err := exec.Command("ip", "netns", "exec", netsetup.Namespace(name, netsetup.SenderEnd),
			"ping", "-c", "1", "-W", "1", netsetup.LinkAddresses(0).Receiver[0].Addr().String()).CombinedOutput()
		if err != nil {
			t.Errorf("ping: %v: %s", err, out)
		}
	}
	for _, c := range []struct {
		name  string
		args  string
		ready func()
		start string
	}{
		{"now", "", nil, "now"},
		{"at an instant", "--at +3s", func() {}, "at"},
		{"signal", "--start-on usr1", func() { syscall.Kill(os.Getpid(), syscall.SIGUSR1) }, "usr1"},
		{"other signal", "--start-on usr2", func() { syscall.Kill(os.Getpid(), syscall.SIGUSR2) }, "usr2"},
		{"line", "--start-on stdin", func() { go line.Write([]byte("\n")) }, "stdin"},
		{"packet", "--start-on packet", func() {
			if got := rates(t, name); got != [2]trace.BitRate{2 * trace.Mbit, trace.Mbit} {
				t.Errorf("waiting for a packet: got rates %v, want the tape's first", got)
			}
			go ping()
		}, "packet on a.up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			told := 0
			stderr := &whenReady{do: func() { told++; c.ready() }}
			var stdout bytes.Buffer
			args := append(append([]string{"run", "--on", name, "--json", "--duration", "200ms", "--neutral"}, strings.Fields(c.args)...), tape)
			if err := run(t.Context(), args, stdin, &stdout, stderr); err != nil {
				t.Fatal(err)
			}
			s := summary(t, stdout.String())
			if s.Start != c.start || s.Steps != 4 || s.Stopped || s.Left != "neutral" || s.Tape != tl.Hash() || (told == 1) != (c.args != "") {
				t.Errorf("got %+v, told %d times", s, told)
			}
			if s.Epoch.Before(began) || s.Wall == nil {
				t.Errorf("the epoch %v is before the start %v, or no clocks: %+v", s.Epoch, began, s.Wall)
			}
			if c.start == "packet on a.up" && (s.Detected <= 0 || s.Lateness.Max < s.Detected) {
				t.Errorf("the packet was seen %v late, steps at most %v", s.Detected, s.Lateness.Max)
			}
			if got := rates(t, name); got != before {
				t.Errorf("got rates %v, want %v", got, before)
			}
			t.Logf("seen %v later, lateness %+v, wall clock %+v", s.Detected, s.Lateness, s.Wall)
		})
	}

	// An instant that has passed: the tape is joined where it is.
	at := time.Now().Add(-time.Second)
	stdout, _, err := invoke(t.Context(), "run", "--on", name, "--json", "--hold", "--at", at.Format(time.RFC3339Nano), tape)
	if err != nil {
		t.Fatal(err)
	}
	s := summary(t, stdout)
	if !s.Epoch.Equal(at.Round(0)) || s.Joined < time.Second || s.Played != 2*time.Second || s.Steps > 20 || s.Steps < 1 || s.Left != "keep" {
		t.Errorf("joined late: got %+v, want epoch %v", s, at)
	}

	// Stopped while it waits for a packet: the links are as before.
	last := rates(t, name)
	ctx, cancel := context.WithCancel(t.Context())
	err = run(ctx, []string{"run", "--on", name, "--start-on", "packet", tape}, strings.NewReader(""), io.Discard, &whenReady{do: cancel})
	if cli.Status(err) != 1 || !errors.Is(err, context.Canceled) || !strings.Contains(fmt.Sprint(err), "stopped before the first step") {
		t.Errorf("stopped: got error %v", err)
	}
	if got := rates(t, name); got != last {
		t.Errorf("stopped: got rates %v, want %v", got, last)
	}

	// A number of times, faster.
	stdout, _, err = invoke(t.Context(), "run", "--on", name, "--json", "--loop", "3", "--speed", "10", tape)
	if err != nil {
		t.Fatal(err)
	}
	if s = summary(t, stdout); s.Loops != 3 || s.Played != 600*time.Millisecond || s.Steps != 120 || s.Stopped {
		t.Errorf("three times: got %+v", s)
	}
}

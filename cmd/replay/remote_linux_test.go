package main

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/replay/remote"
)

// driven is a replay under way that a client drives.
type driven struct {
	client         *remote.Client
	out            string     // its folder
	done           chan error // its end
	stdout, stderr bytes.Buffer
}

// drive plays a dense tape over and over onto a run, and returns when it has begun.
func drive(t *testing.T, name string) *driven {
	t.Helper()
	tape := denseTape(t, 2*time.Second, 10*time.Millisecond)
	socket := filepath.Join(t.TempDir(), "s")
	d := &driven{client: remote.NewClient(socket), out: filepath.Join(t.TempDir(), "out"), done: make(chan error, 1)}
	go func() {
		d.done <- run(t.Context(), []string{"run", "--on", name, "--loop", "--json", "--out", d.out, "--counters", "20ms", "--read-back", "50/s", "--control", socket, tape}, nil, &d.stdout, &d.stderr)
	}()
	if err := d.client.Await(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return d
}

// A client pauses a replay, cuts a link and gives it back, and the packets of a
// sender that sends all the time show it.
func TestDrivenOnLinks(t *testing.T) {
	const name = "replay-driven"
	build(t, name, netsetup.ShaperTBF)
	flood(t, name)
	d := drive(t, name)
	client, done, out := d.client, d.done, d.out
	// when waits until a.up is as is asked for.
	when := func(what string, is func(s *replay.Status, up *replay.LinkStatus) bool) (replay.Status, replay.LinkStatus) {
		t.Helper()
		for range 3000 {
			s, err := client.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range s.Links {
				if l.Dir == "up" && is(&s, &l) {
					return s, l
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("waited in vain: %s", what)
		panic("not reached")
	}
	do := func(v replay.Verb, r remote.Request) replay.Act {
		t.Helper()
		a, err := client.Do(t.Context(), v, r)
		if err != nil || !a.Changed {
			t.Fatalf("%s: got %+v, error %v", v, a, err)
		}
		return a
	}
	when("packets pass", func(_ *replay.Status, up *replay.LinkStatus) bool { return up.Bytes > 50_000 })

	pause := do(replay.Pause, remote.Request{})
	_, before := when("the counters are read in the pause", func(_ *replay.Status, up *replay.LinkStatus) bool { return up.Read > pause.Done })
	s, after := when("packets pass in the pause", func(_ *replay.Status, up *replay.LinkStatus) bool { return up.Read > before.Read+500*time.Millisecond })
	if s.State != replay.Paused || s.Tape != pause.Tape || after.Rate != before.Rate {
		t.Errorf("the tape went on: %+v after %+v", s, pause)
	}
	want := float64(before.Rate) / 8 * (after.Read - before.Read).Seconds()
	// A sender or a kernel that gets no processor passes less.
	least := 1.0
	if privtest.Promised("lab") {
		least = want * 0.9
	}
	if got := float64(after.Bytes - before.Bytes); got < least || got > want*1.1 {
		t.Errorf("in the pause %.0f bytes passed in %v, want %.0f to %.0f: the rate that was in force", got, after.Read-before.Read, least, want*1.1)
	}

	cut := do(replay.Cut, remote.Request{Link: "a", Mode: "stall"})
	_, before = when("the counters are read in the cut", func(_ *replay.Status, up *replay.LinkStatus) bool { return up.Read > cut.Done+20*time.Millisecond })
	_, after = when("the cut goes on", func(_ *replay.Status, up *replay.LinkStatus) bool { return up.Read > before.Read+500*time.Millisecond })
	if after.Cut != "stall" || after.Bytes != before.Bytes {
		t.Errorf("%d bytes passed a link that was cut: %+v", after.Bytes-before.Bytes, after)
	}

	do(replay.RestoreLink, remote.Request{Link: "a"})
	when("packets pass again", func(_ *replay.Status, up *replay.LinkStatus) bool {
		return up.Cut == "" && up.Bytes > after.Bytes+50_000
	})
	do(replay.Resume, remote.Request{})
	when("the tape goes on", func(s *replay.Status, _ *replay.LinkStatus) bool {
		return s.State == replay.Playing && s.Tape != pause.Tape
	})
	do(replay.Skip, remote.Request{To: "1s"})
	do(replay.StopNow, remote.Request{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := client.AwaitEnd(t.Context()); err != nil {
		t.Error(err)
	}
	sum := summary(t, d.stdout.String())
	if sum.Acts != 6 || !sum.Stopped || sum.Retold < 4 || sum.Left != "keep" {
		t.Errorf("got %+v", sum)
	}
	if b := sum.ReadBack; b == nil || b.Differ != 0 || b.Same == 0 {
		t.Errorf("the kernel has something else than it was told: %+v, %q", b, sum.Warnings)
	}
	acts, err := replay.ReadActs(filepath.Join(out, replay.ActsFile))
	if err != nil || len(acts) != 6 || acts[1].Mode != "stall" || acts[1].Source != "socket" {
		t.Errorf("got %+v, error %v", acts, err)
	}
}

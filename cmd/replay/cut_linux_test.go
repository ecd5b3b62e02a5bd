package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/replay/remote"
	"linktape/trace"
	"linktape/trace/edit"
)

// A link that is cut by hand, in each mode, lets no packet of the directions that
// the mode concerns arrive, and those of the other one as before, until it is
// restored.
func TestCutsOnLinks(t *testing.T) {
	privtest.Require(t, "lab", "netem") // elsewhere other work keeps senders from sending
	const (
		name   = "replay-cuts"
		settle = 50 * time.Millisecond // the counters of the ends are read a while after the command
	)
	build(t, name, netsetup.ShaperTBF)
	d := drive(t, name)
	client, done, out := d.client, d.done, d.out
	floodFrom(t, name, netsetup.SenderEnd)
	floodFrom(t, name, netsetup.ReceiverEnd)
	// at waits until the counters have been read that long after an instant of the
	// replay, and says when that was.
	at := func(after time.Duration) time.Duration {
		t.Helper()
		for range 3000 {
			s, err := client.Status(t.Context())
			if err != nil {
				t.Fatal(errors.Join(err, <-done))
			}
			if l := s.Links[0]; l.Read >= after {
				return l.Read
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("waited in vain for counters of %v", after)
		return 0
	}
	// arrived counts the packets that have come to the end of each direction.
	arrived := func() map[trace.Direction]uint64 {
		t.Helper()
		got := make(map[trace.Direction]uint64)
		for dir, end := range map[trace.Direction]string{trace.Up: netsetup.ReceiverEnd, trace.Down: netsetup.SenderEnd} {
			err := netsetup.Within(name, end, func() error {
				r, err := netsetup.OpenCounters()
				if err != nil {
					return err
				}
				defer r.Close()
				c, err := r.Read([]string{netsetup.EndDevice(0)})
				if err == nil {
					got[dir] = c[0].RxPackets
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("standard error: %s", d.stderr.String())
		}
	})
	do := func(v replay.Verb, r remote.Request) replay.Act {
		t.Helper()
		a, err := client.Do(t.Context(), v, r)
		if err != nil || !a.Changed {
			t.Fatalf("%s %+v: got %+v, error %v, %v", v, r, a, err, <-done)
		}
		return a
	}
	at(500 * time.Millisecond) // both send
	for mode := range edit.CarrierDown + 1 {
		cut := do(replay.Cut, remote.Request{Link: "a", Mode: mode.String()})
		now := at(cut.Done + settle)
		before := arrived()
		at(now + 500*time.Millisecond)
		after := arrived()
		for dir := range before {
			n, concerned := after[dir]-before[dir], mode.Concerns(dir)
			if concerned && n != 0 || !concerned && n < 10 {
				t.Errorf("%v: %d packets arrived %v in half a second", mode, n, dir)
			}
		}
		back := do(replay.RestoreLink, remote.Request{Link: "a"})
		before = arrived()
		at(back.Done + settle + 500*time.Millisecond)
		for dir, n := range arrived() {
			if n -= before[dir]; n < 10 {
				t.Errorf("after %v: %d packets arrived %v in half a second", mode, n, dir)
			}
		}
	}
	do(replay.StopNow, remote.Request{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sum := summary(t, d.stdout.String())
	if b := sum.ReadBack; b == nil || b.Differ != 0 || b.Same == 0 {
		t.Errorf("the kernel has something else than it was told: %+v, %q", b, sum.Warnings)
	}
	acts, err := replay.ReadActs(filepath.Join(out, replay.ActsFile))
	if want := 2*int(edit.CarrierDown+1) + 1; err != nil || len(acts) != want {
		t.Fatalf("got %d acts, error %v; want %d", len(acts), err, want)
	}
	for i, mode := range edit.Modes() {
		if a := acts[2*i]; a.Verb != replay.Cut || a.Mode != mode {
			t.Errorf("got %+v, want a cut of mode %s", a, mode)
		}
	}
	rows, err := replay.ReadCounters(filepath.Join(out, replay.CountersFile))
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, error %v", len(rows), err)
	}
	for _, r := range rows[len(rows)-2:] {
		if r.OutageDrops == 0 || r.PathDrops != 0 {
			t.Errorf("%s: %d packets were lost in cuts, %d on the path", r.Dir, r.OutageDrops, r.PathDrops)
		}
	}
}

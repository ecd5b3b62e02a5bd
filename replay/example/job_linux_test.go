package example

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

// gone checks that a job has left no run.
func gone(t *testing.T, run string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(netsetup.StateDir, run+".json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("run %s: %v, want none", run, err)
	}
}

// Whatever the function does, the links are taken down, and what is said is what
// went wrong.
func TestDo(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	steady := filepath.Join(t.TempDir(), "steady.tape")
	tl := &trace.Timeline{Meta: trace.Meta{Duration: 200 * time.Millisecond, Generator: "test", Links: []trace.Link{{Name: "att", Up: true, Down: true}}}}
	for at := time.Duration(0); at < tl.Meta.Duration; at += 10 * time.Millisecond {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "att", Dir: d, State: trace.State{Rate: (6 + trace.BitRate(len(tl.Steps)/2%2)) * trace.Mbit, Carrier: true}})
		}
	}
	if err := trace.WriteFile(steady, tl); err != nil {
		t.Fatal(err)
	}
	own := errors.New("the code's own")
	play := func(_ context.Context, s *replay.Session) error {
		s.Begin()
		<-s.Done()
		return nil
	}
	for _, c := range []struct {
		name    string
		job     replay.Job
		f       func(context.Context, *replay.Session) error
		want    string // of the error; "": none
		steps   int64
		stopped bool
	}{
		{"to its end", replay.Job{}, play, "", 40, false},
		{"its error, after the end", replay.Job{}, func(ctx context.Context, s *replay.Session) error { return errors.Join(play(ctx, s), own) }, own.Error(), 40, false},
		{"returns at once", replay.Job{Options: replay.Options{Loop: true}}, func(_ context.Context, s *replay.Session) error { s.Begin(); return nil }, "", -1, true},
		{"does not begin", replay.Job{}, func(context.Context, *replay.Session) error { return nil }, "call Begin", 0, false},
		{"its error, before the beginning", replay.Job{}, func(context.Context, *replay.Session) error { return own }, own.Error(), 0, false},
		{"no such tape", replay.Job{Tape: "none.tape"}, play, "none.tape", 0, false},
		{"a link too few", replay.Job{Topology: &netsetup.Topology{Links: []netsetup.Link{netsetup.DefaultLink("sat")}}}, play, "no link att", 0, false},
		{"a window outside", replay.Job{Options: replay.Options{From: time.Hour}}, play, "the tape lasts 200ms", 0, false},
		{"a program left behind", replay.Job{}, func(ctx context.Context, s *replay.Session) error {
			if err := s.In(netsetup.ReceiverEnd, exec.Command("sleep", "1000").Start); err != nil {
				return err
			}
			return play(ctx, s)
		}, "", 40, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.job.Run = "job"
			if c.job.Tape == "" {
				c.job.Tape = steady
			}
			r, err := replay.Do(t.Context(), c.job, c.f)
			if got := err != nil && c.want != "" && strings.Contains(err.Error(), c.want); got != (c.want != "") || err != nil && c.want == "" {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			gone(t, "job")
			switch {
			case c.steps == 0:
				if r != nil {
					t.Errorf("got %+v", r)
				}
			case r == nil || r.Summary.Stopped != c.stopped || c.steps > 0 && r.Summary.Steps != c.steps || int64(len(r.Log)) != r.Summary.Steps || r.Summary.Start != "begin":
				t.Errorf("got %+v", r)
			}
		})
	}

	// A folder keeps what was recorded, and the shaper is chosen in a copy.
	topology := netsetup.LinksOf(tl.Meta)
	topology.Links[0].UseShaper(netsetup.ShaperAuto)
	dir := t.TempDir()
	job := replay.Job{Run: "job", Tape: steady, Topology: topology, Options: replay.Options{Record: replay.Recording{Dir: dir, Counters: 20 * time.Millisecond}}}
	var up, down string
	r, err := replay.Do(t.Context(), job, func(ctx context.Context, s *replay.Session) error {
		up, down = s.Sender("att").String(), s.Receiver("att").String()
		if a, ok := s.Addresses("sat"); ok || s.Sender("sat").IsValid() || a.Sender[0].IsValid() {
			t.Errorf("a link that is not there has addresses %+v", a)
		}
		return play(ctx, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := netsetup.LinkAddresses(0); up != a.Sender[0].Addr().String() || down != a.Receiver[0].Addr().String() {
		t.Errorf("got addresses %s and %s", up, down)
	}
	if r.Log != nil || topology.Links[0].Shaper != netsetup.ShaperAuto {
		t.Errorf("got %d rows, and the topology has %s now", len(r.Log), topology.Links[0].Shaper)
	}
	for _, name := range []string{replay.LogFile, replay.CountersFile, replay.ManifestFile, replay.SummaryFile} {
		if s, err := os.Stat(filepath.Join(dir, name)); err != nil || s.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	rows, carried := 0, make(map[string]bool)
	for row, err := range replay.LogRows(filepath.Join(dir, replay.LogFile)) {
		if err != nil {
			t.Fatal(err)
		}
		// The links are idle, and each step is short: every other one is applied
		// without reading the counters.
		if before, ok := carried[row.Dir]; ok && before == row.Carried {
			t.Errorf("step at %v: counters carried %v, as at the one before", time.Duration(row.Due), row.Carried)
		}
		carried[row.Dir] = row.Carried
		rows++
	}
	if rows != 40 {
		t.Errorf("%d rows", rows)
	}
}

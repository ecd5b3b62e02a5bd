package dataset

import (
	"errors"
	"maps"
	"syscall"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/synth"
)

// On a full disk a run ends, with whole tapes and nothing else, and the next one
// goes on when there is room.
func TestFullDisk(t *testing.T) {
	privtest.Require(t)
	opts := Options{Seeds: seeds(t, "1..20"), Synth: synth.Options{Duration: 10 * time.Minute}, Jobs: 3}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	r := makeSet(t, dir, opts, source("one"))
	tot := r.Total()
	if tot.Made == 0 || r.Failed == 0 || r.Failed > 3 || r.Left == 0 || !errors.Is(r.Stop, errFull) {
		t.Fatalf("got %+v", r)
	}
	for _, f := range r.Failures {
		if !errors.Is(f.Err, syscall.ENOSPC) {
			t.Errorf("got %v, want no space", &f)
		}
	}
	if got := files(t, dir); len(got) != int(tot.Made) {
		t.Errorf("got %d files, %d tapes were made", len(got), tot.Made)
	}
	opts.Verify = true
	if r := makeSet(t, dir, opts, source("one")); r.Total().Kept != tot.Made {
		t.Errorf("got %+v, want %d kept", r, tot.Made)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=20m"); err != nil {
		t.Fatal(err)
	}
	r = makeSet(t, dir, opts, source("one"))
	if r.Failed != 0 || r.Left != 0 || r.Total().Made+r.Total().Kept != 20 {
		t.Errorf("got %+v", r)
	}
	whole := t.TempDir()
	good(t, makeSet(t, whole, opts, source("one")), 20, 0)
	if !maps.Equal(files(t, dir), files(t, whole)) {
		t.Error("the resumed data set differs")
	}
}

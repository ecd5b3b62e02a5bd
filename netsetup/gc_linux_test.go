package netsetup

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"linktape/internal/privtest"

	"github.com/google/go-cmp/cmp"
)

// rewrite changes the record of a run, as if something else had happened.
func rewrite(t testing.TB, run string, edit func(*record)) {
	t.Helper()
	r, err := readRecord(run)
	if err != nil {
		t.Fatal(err)
	}
	edit(r)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordFile(run), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sleeper starts a process that does nothing.
func sleeper(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// GC takes what nobody will take down, says why, and leaves the rest.
func TestGC(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	alive, dead := sleeper(t), sleeper(t)
	build := func(run string, owner int) {
		t.Helper()
		p := newPlan(t, run, links("a"))
		p.Owner = owner
		if err := Up(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Down(run, true) })
	}
	build("nobodys", 0)
	build("owned", alive.Process.Pid)
	build("orphan", dead.Process.Pid)
	build("reused", alive.Process.Pid)
	build("elsewhere", dead.Process.Pid)
	build("half", 0)
	build("former", 0)
	build("held", dead.Process.Pid)
	build("busy", dead.Process.Pid)
	rewrite(t, "reused", func(r *record) { r.Owner.Start-- }) // another process had this number
	rewrite(t, "elsewhere", func(r *record) { r.Owner.Namespace = "pid:[1]" })
	rewrite(t, "half", func(r *record) { r.Complete = false })
	held := opened(t, "held") // as a replay does
	inside := exec.Command("sleep", "1000")
	if err := withNamespace("lt.busy.a", inside.Start); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is inside", func() bool {
		p := status(t, "busy").Processes
		return len(p) == 1 && p[0].Command == "sleep"
	})
	if err := os.WriteFile(lockFile("stale"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newRecordFile("unborn"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordFile("broken"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(recordFile("broken")) })

	// After another boot the names are empty files, if they are there at all,
	// and somebody else may have taken one.
	rewrite(t, "former", func(r *record) { r.Boot = "another" })
	for _, ns := range []string{"lt.former.snd", "lt.former.rcv", "lt.former.a"} {
		if err := removeNamespace(ns); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(namespaceFile("lt.former.snd"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	command(t, "ip netns add lt.former.a")
	t.Cleanup(func() { command(t, "ip netns del lt.former.a") })
	_, err := Open("former")
	wantError(t, err, "run former is from before the computer was started again: remove it with linkup down former")
	if s := status(t, "former"); len(s.Warnings) == 0 || len(s.Differences) == 0 {
		t.Errorf("status of a former boot: %+v", s)
	}

	dead.Process.Kill()
	dead.Wait()
	if w := status(t, "orphan").Warnings; len(w) == 0 || w[len(w)-1] != fmt.Sprintf("its owner, process %d, has ended: linkup gc removes the run", dead.Process.Pid) {
		t.Errorf("status of an orphan: %q", w)
	}
	ended := fmt.Sprintf("its owner, process %d, has ended", dead.Process.Pid)
	want := []Garbage{
		{Run: "broken", Why: "its record is of no use", Left: "…"},
		{Run: "busy", Why: ended, Left: "…"},
		{Run: "former", Why: "the computer was started again since it was built"},
		{Run: "half", Why: fmt.Sprintf("it was left half-built by process %d", os.Getpid())},
		{Run: "orphan", Why: ended},
		{Run: "reused", Why: fmt.Sprintf("its owner, process %d, has ended", alive.Process.Pid)},
		{Run: "unborn", Why: "it was not even begun"},
	}
	gc := func(kill, dry bool, want ...Garbage) {
		t.Helper()
		got, err := GC(kill, dry)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range got {
			if g.Left != "" {
				got[i].Left = "…"
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("gc (-want +got)\n%s", d)
		}
	}
	dry := append([]Garbage{}, want...)
	dry[1].Left = ""        // nothing was tried
	gc(false, true, dry...) // which tries the stale lock, and it goes
	before := machine(t)
	gc(false, true, dry...)
	if d := cmp.Diff(before, machine(t)); d != "" {
		t.Errorf("a dry run changed something (-before +after)\n%s", d)
	}
	gc(false, false, want...)
	gc(false, false, want[0], want[1])
	if err := os.Remove(recordFile("broken")); err != nil {
		t.Fatal(err)
	}
	gc(true, false, Garbage{Run: "busy", Why: ended})
	if err := inside.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process inside ended with %v", err)
	}
	runs, err := Runs()
	if got := fmt.Sprint(runs); err != nil || got != "[elsewhere held nobodys owned]" {
		t.Errorf("left: %v, %v", got, err)
	}
	for _, run := range runs {
		if s := status(t, run); !s.Complete || len(s.Differences) > 0 {
			t.Errorf("%s: %+v", run, s)
		}
	}
	command(t, "ip -n lt.former.a link show lo") // somebody else's

	// All of them, except one that is in use.
	wantError(t, DownAll(false), "run held is in use by another linkup or replay: wait for it to end")
	held.Close()
	if err := DownAll(false); err != nil {
		t.Error(err)
	}
	if err := DownAll(false); err != nil {
		t.Error("of nothing:", err)
	}
	gc(false, false)
}

// An owner that is not there is refused before anything is built.
func TestOwnerMissing(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	p := newPlan(t, "run", links("a"))
	p.Owner = 1 << 30
	wantError(t, Up(t.Context(), p, nil), "record the owner of run run: there is no process 1073741824")
}

// A namespace that took the name of one of the run's stays; the rest goes, and
// the run with it once the name is free.
func TestDownForeignNamespace(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "run", links("a"))
	command(t, "ip netns del lt.run.a")
	command(t, "ip netns add lt.run.a")
	command(t, "ip -n lt.run.a link add precious type ifb")
	want := "lt.run.a: is not of this run: its lo lacks the alias linkup:lt.run.a"
	if s := status(t, "run"); len(s.Differences) == 0 || s.Differences[0] != want {
		t.Errorf("got  %q\nwant %s", s.Differences, want)
	}
	const refusal = "remove namespace lt.run.a: it is not of this run, for it lacks the mark of linkup (the alias linkup:lt.run.a of lo): rename or remove it with ip netns"
	wantError(t, Down("run", false), refusal)
	command(t, "ip -n lt.run.a link show precious")
	if namespaceExists("lt.run.snd") || namespaceExists("lt.run.rcv") {
		t.Error("the run's own namespaces stay")
	}
	command(t, "ip netns del lt.run.a")
	if err := Down("run", false); err != nil {
		t.Error(err)
	}
}

// What a process that was killed early or late left goes with the next command.
func TestDownTidies(t *testing.T) {
	privtest.Require(t)
	unchanged(t)
	for _, files := range [][]string{{}, {lockFile("run")}, {newRecordFile("run"), lockFile("run")}} {
		if err := os.MkdirAll(StateDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(f, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		wantError(t, Down("run", false), "there is no run run, nor any other: build one with linkup up")
		if _, err := os.Stat(StateDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with %v: %s is left", files, StateDir)
		}
	}
}

// Up and down in one process leave nothing in it, and no mount, however often.
func TestNoLeak(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t) // mounts, files, goroutines and threads in other namespaces
	topology := links("a", "b")
	topology.Links[1].Shaper = ShaperHTB
	cycle := func() {
		t.Helper()
		up(t, "run", topology)
		r := opened(t, "run")
		for _, l := range []string{"a", "b"} {
			endpoints(t, r, l)
		}
		r.Close()
		status(t, "run")
		if err := Down("run", false); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	mounts := func() string { return command(t, "cat /proc/self/mountinfo") }
	files, before := process(t).files, mounts()
	for range 10 {
		cycle()
	}
	if got := process(t).files; got > files {
		t.Errorf("%d open files after ten more runs, %d before", got, files)
	}
	if d := cmp.Diff(before, mounts()); d != "" {
		t.Errorf("mounts (-before +after)\n%s", d)
	}
}

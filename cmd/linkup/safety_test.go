package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
)

// What gc says of each run.
func TestPrintGarbage(t *testing.T) {
	found := []netsetup.Garbage{
		{Run: "a", Why: "it was left half-built by process 5"},
		{Run: "b", Why: "its owner, process 7, has ended", Left: "run b is in use by sleep (process 9): stop it first, or use --kill"},
	}
	var b strings.Builder
	if err := printGarbage(&b, found, false); err != nil {
		t.Fatal(err)
	}
	if err := printGarbage(&b, found[:1], true); err != nil {
		t.Fatal(err)
	}
	want := `removed run a: it was left half-built by process 5
left run b: its owner, process 7, has ended: run b is in use by sleep (process 9): stop it first, or use --kill
would remove run a: it was left half-built by process 5
`
	if got := b.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Runs with an owner go when it has ended; down --all takes the others.
func TestOwnerAndAll(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	t.Cleanup(func() { call(t, "down", "--all", "--kill") })
	owner := exec.Command("sleep", "1000")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Process.Kill() })
	must := func(want string, args ...string) {
		t.Helper()
		stdout, _, err := call(t, args...)
		if err != nil || stdout != want {
			t.Errorf("%v: %v, %q, want %q", args, err, stdout, want)
		}
	}
	build := func(args ...string) {
		t.Helper()
		if _, _, err := call(t, append(append([]string{"up"}, args...), "--links", "a")...); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := call(t, "up", "--owner", "0", "--links", "a")
	if cli.Status(err) != 2 || err.Error() != "--owner 0: name a process by its number" {
		t.Errorf("--owner 0: %v", err)
	}
	pid := owner.Process.Pid
	build("--name", "one", "--owner", fmt.Sprint(pid))
	build("--name", "two", "--owner", fmt.Sprint(pid))
	build("--name", "three")
	must("", "gc")
	must("[]\n", "gc", "--json")
	if stdout, _, err := call(t, "status", "one"); err != nil || !strings.Contains(stdout, fmt.Sprintf("\nowner: process %d\n", pid)) {
		t.Errorf("status: %v, %s", err, stdout)
	}
	owner.Process.Kill()
	owner.Wait()
	must(fmt.Sprintf("would remove run one: its owner, process %d, has ended\nwould remove run two: its owner, process %[1]d, has ended\n", pid), "gc", "--dry-run")
	must(fmt.Sprintf("removed run one: its owner, process %d, has ended\nremoved run two: its owner, process %[1]d, has ended\n", pid), "gc")
	must("three\n", "list")
	build("--name", "four")
	must("", "down", "--all")
	must("", "down", "--all")
	if left, err := os.ReadDir(netsetup.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

//go:build linux && amd64

package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/lab"
	"linktape/internal/privtest"
)

func TestMain(m *testing.M) {
	lab.Stages()
	if len(os.Args) == 2 && os.Args[1] == restartRole { // inside a lab
		fmt.Fprintln(os.Stderr, unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// shell returns the options of a lab that runs a shell script in a directory
// that it may write to.
func shell(t *testing.T, script string) lab.Options {
	t.Helper()
	privtest.RequireUser(t, "lab-kernel")
	kernel := os.Getenv("LINKTAPE_LAB_KERNEL")
	if kernel == "" {
		var err error
		if kernel, err = lab.KernelPath(); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// Whatever a run leaves behind is looked for here.
	t.Setenv("TMPDIR", t.TempDir())
	return lab.Options{
		Kernel: kernel, Argv: []string{"/bin/sh", "-c", script}, Dir: dir, Writable: []string{dir},
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

// leftBehind fails the test if a run left a file in the temporary directory or
// a process that has a word in its command line.
func leftBehind(t *testing.T, word string) {
	t.Helper()
	files, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("left behind: %s", f.Name())
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		line, _ := os.ReadFile(c)
		if bytes.Contains(line, []byte(word)) && !strings.HasPrefix(c, "/proc/self/") {
			t.Errorf("left behind: process %s: %q", filepath.Base(filepath.Dir(c)), line)
		}
	}
}

func run(t *testing.T, o lab.Options) (r *lab.Result, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if o.Stdout == nil {
		o.Stdout = &out
	}
	if o.Stderr == nil {
		o.Stderr = &errs
	}
	r, err := lab.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	leftBehind(t, o.Kernel)
	return r, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		options      func(o *lab.Options)
		status       int
		stdout       string
		stderr       string
	}{
		{"root", "id -u; hostname", nil, 0, "0\nlab\n", ""},
		{"exit status", "exit 7", nil, 7, "", ""},
		{"signal", "kill -TERM $$", nil, 128 + 15, "", ""},
		{"streams apart", "echo one; echo two >&2", nil, 0, "one\n", "two\n"},
		{"streams by name", "echo one; echo two >/dev/stdout; echo three >/dev/stderr", nil, 0, "one\ntwo\n", "three\n"},
		{"environment", "echo $NAME", func(o *lab.Options) { o.Env = []string{"NAME=a b"} }, 0, "a b\n", ""},
		{"no input", "cat; echo end", nil, 0, "end\n", ""},
		{"input", "cat; echo end", func(o *lab.Options) { o.Stdin = strings.NewReader("one\ntwo\n") }, 0, "one\ntwo\nend\n", ""},
		{"input not read", "echo end", func(o *lab.Options) { o.Stdin = strings.NewReader(strings.Repeat("x", 1<<20)) }, 0, "end\n", ""},
		{"start", "date -u +%FT%T", nil, 0, "2026-01-01T00:00:00\n", ""},
		{"other start", "date -u +%FT%T", func(o *lab.Options) { o.Start = time.Date(2030, 2, 3, 4, 5, 6, 0, time.UTC) }, 0, "2030-02-03T04:05:06\n", ""},
		{"orphans", "(sleep 1000; echo late) & echo end", nil, 0, "end\n", ""},
		{"qdiscs", "ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root netem delay 1ms && " +
			"for q in tbf htb cake fq plug ingress; do tc qdisc add dev v1 ${q} 2>&1 | grep -i 'unknown'; done; true", nil, 0, "", ""},
		{"real time", "sleep 0.1; echo end", func(o *lab.Options) { o.Time = lab.Real }, 0, "end\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := shell(t, c.script)
			if c.options != nil {
				c.options(&o)
			}
			r, stdout, stderr := run(t, o)
			if r.Status() != c.status || stdout != c.stdout || stderr != c.stderr {
				t.Errorf("got status %d, %q, %q, want %d, %q, %q", r.Status(), stdout, stderr, c.status, c.stdout, c.stderr)
			}
		})
	}
}

// Time in the lab is the script's, whatever it costs on the host.
func TestVirtualTime(t *testing.T) {
	r, _, _ := run(t, shell(t, "sleep 3600; i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done"))
	if late := r.Elapsed - time.Hour; late < 0 || late > time.Millisecond {
		t.Errorf("an hour took %v in the lab", r.Elapsed)
	}
}

func TestFiles(t *testing.T) {
	o := shell(t, "echo kept > new; mkdir d; echo kept > d/new; echo changed > old; rm gone; echo lost > $OTHER/new; echo lost >> $OTHER/old; cat $OTHER/old")
	other := t.TempDir()
	o.Env = append(o.Env, "OTHER="+other)
	for name, text := range map[string]string{o.Dir + "/old": "old\n", o.Dir + "/gone": "gone\n", other + "/old": "old\n"} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, stdout, stderr := run(t, o); stdout != "old\nlost\n" || stderr != "" {
		t.Errorf("got %q, %q: the lab does not see what it has written", stdout, stderr)
	}
	for name, want := range map[string]string{"new": "kept\n", "d/new": "kept\n", "old": "changed\n"} {
		if got, err := os.ReadFile(filepath.Join(o.Dir, name)); string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(o.Dir + "/gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone: got %v, want it removed", err)
	}
	if got, err := os.ReadFile(other + "/old"); string(got) != "old\n" {
		t.Errorf("a file outside: got %q, %v, want it as it was", got, err)
	}
	if _, err := os.Stat(other + "/new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file outside: got %v, want none", err)
	}
}

// Input that arrives while the lab runs, and output that comes as it is made.
func TestStreams(t *testing.T) {
	o := shell(t, "while read line; do echo got $line; done")
	in, toLab := io.Pipe()
	fromLab, out := io.Pipe()
	o.Stdin, o.Stdout = in, out
	done := make(chan error, 1)
	go func() {
		_, err := lab.Run(t.Context(), o)
		out.Close()
		done <- err
	}()
	buf := make([]byte, 100)
	for _, word := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(toLab, word+"\n"); err != nil {
			t.Fatal(err)
		}
		n, err := fromLab.Read(buf)
		if got, want := string(buf[:n]), "got "+word+"\n"; got != want || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	toLab.Close()
	if rest, err := io.ReadAll(fromLab); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v at the end, want nothing", rest, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	leftBehind(t, o.Kernel)
}

func TestMuchOutput(t *testing.T) {
	const size = 5 << 20
	_, stdout, _ := run(t, shell(t, "head -c 5242880 /dev/zero"))
	if len(stdout) != size {
		t.Errorf("got %d bytes, want %d", len(stdout), size)
	}
}

func TestStop(t *testing.T) {
	o := shell(t, "echo begun; sleep 1; while :; do :; done")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	o.Stdout = writerFunc(func(b []byte) (int, error) {
		cancel(stopped)
		return len(b), nil
	})
	if _, err := lab.Run(ctx, o); !errors.Is(err, stopped) {
		t.Errorf("got %v, want the cause", err)
	}
	leftBehind(t, o.Kernel)
}

func TestOutputFails(t *testing.T) {
	o := shell(t, "yes")
	full := errors.New("full")
	o.Stdout = writerFunc(func(b []byte) (int, error) { return 0, full })
	if _, err := lab.Run(t.Context(), o); !errors.Is(err, full) {
		t.Errorf("got %v, want the writer's error", err)
	}
	leftBehind(t, o.Kernel)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestNotStarted(t *testing.T) {
	o := shell(t, "")
	o.Argv = []string{"/etc/passwd"}
	var start *lab.StartError
	if _, err := lab.Run(t.Context(), o); !errors.As(err, &start) {
		t.Errorf("got %v, want a StartError", err)
	}
	leftBehind(t, o.Kernel)
}

// A kernel that panics is reported with what it said.
func TestCrash(t *testing.T) {
	o := shell(t, "echo 1 > /proc/sys/vm/panic_on_oom && tail /dev/zero")
	o.Memory = 128 << 20
	var crash *lab.CrashError
	if _, err := lab.Run(t.Context(), o); !errors.As(err, &crash) || !strings.Contains(crash.Console, "panic") {
		t.Errorf("got %v, want a CrashError with the kernel's panic", err)
	}
	leftBehind(t, o.Kernel)
}

// restartRole makes the test binary restart the computer.
const restartRole = "restart-the-lab"

// A command that restarts the computer ends the lab: it does not come back.
func TestRestart(t *testing.T) {
	o := shell(t, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Argv = []string{self, restartRole}
	var crash *lab.CrashError
	if _, err := lab.Run(t.Context(), o); !errors.As(err, &crash) || strings.Count(crash.Console, "Restarting system") != 1 {
		t.Errorf("got %v, want a CrashError and one restart", err)
	}
	leftBehind(t, o.Kernel)
}

func TestOutOfMemory(t *testing.T) {
	o := shell(t, "tail /dev/zero")
	o.Memory = 128 << 20
	if r, _, _ := run(t, o); !r.OOM || r.Status() == 0 {
		t.Errorf("got status %d, OOM %v, want a failure and true", r.Status(), r.OOM)
	}
}

// The same seed gives the same random numbers, another one others.
func TestRandomness(t *testing.T) {
	const script = "cat /proc/sys/kernel/random/uuid; od -An -N16 -x /dev/urandom; cat /proc/self/maps; ip link add v0 type veth; ip link"
	draw := func(seed uint64) string {
		o := shell(t, script)
		o.Seed = seed
		_, stdout, _ := run(t, o)
		return stdout
	}
	one, again, other := draw(1), draw(1), draw(2)
	if one != again {
		t.Errorf("seed 1 gave\n%s\nthen\n%s", one, again)
	}
	if one == other {
		t.Error("seeds 1 and 2 gave the same")
	}
}

func TestSideBySide(t *testing.T) {
	o := shell(t, "sleep 10; echo end")
	results := make(chan string)
	const labs = 4
	for range labs {
		go func() {
			var out bytes.Buffer
			o := o
			o.Stdout = &out
			if _, err := lab.Run(t.Context(), o); err != nil {
				out.WriteString(err.Error())
			}
			results <- out.String()
		}()
	}
	for range labs {
		if got := <-results; got != "end\n" {
			t.Errorf("got %q", got)
		}
	}
	leftBehind(t, o.Kernel)
}

func TestRefusals(t *testing.T) {
	good := lab.Options{Kernel: "/bin/true", Argv: []string{"/bin/true"}, Dir: "/"}
	for _, c := range []struct {
		name   string
		change func(o *lab.Options)
		want   string
	}{
		{"no command", func(o *lab.Options) { o.Argv = nil }, "no absolute path"},
		{"relative command", func(o *lab.Options) { o.Argv = []string{"true"} }, "no absolute path"},
		{"time", func(o *lab.Options) { o.Time = "fast" }, `time "fast"`},
		{"memory", func(o *lab.Options) { o.Memory = 1 << 20 }, "bytes of memory"},
		{"start", func(o *lab.Options) { o.Start = time.Unix(-1, 0) }, "before 1970"},
		{"whole file system", func(o *lab.Options) { o.Writable = []string{"/"} }, "whole file system"},
		{"no directory", func(o *lab.Options) { o.Writable = []string{"/dev/null"} }, "not a directory"},
		{"missing directory", func(o *lab.Options) { o.Writable = []string{"/no/such"} }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			if _, err := lab.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

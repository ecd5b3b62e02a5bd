package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"linktape/internal/privtest"
)

// rootlessBinary is the test binary where any user can start it.
func rootlessBinary(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "linkup")
	if err := os.WriteFile(file, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// rootlessCall prepares linkup as a user without privileges, also where the
// test is root.
func rootlessCall(binary string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = filepath.Dir(binary)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "LINKUP="+binary)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return cmd
}

const dialVariable = "LINKTAPE_TEST_DIAL"

// A user without privileges builds links, and works on them.
func TestRootless(t *testing.T) {
	if address := os.Getenv(dialVariable); address != "" { // inside: the other end answers, if only to refuse
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial %s: %v, want a refusal", address, err)
		}
		return
	}
	privtest.RequireUser(t, "user-namespaces", "ifb", "tbf")
	binary := rootlessBinary(t)
	dir := filepath.Dir(binary)
	if err := os.WriteFile(filepath.Join(dir, "t.yaml"), []byte("links: {att: {path: none}, vzw: {path: none, rate: 8Mbit}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	const dial = "env -u " + commandVariable + " LINKTAPE_TEST_DIAL="
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string // on standard output
	}{
		{"exit status", []string{"--links", "a", "--", "sh", "-c", "exit 7"}, 7, ""},
		{"signal", []string{"--links", "a", "--", "sh", "-c", "kill -9 $$"}, 137, ""},
		{"success", []string{"--links", "a", "true"}, 0, ""},
		{"arguments", []string{"t.yaml", "--", "echo", "--", "a b", "-c"}, 0, "-- a b -c\n"},
		{"identity", []string{"--links", "a", "--", "sh", "-c", "id -u; cat /proc/sys/kernel/pid_max >/dev/null; ls /proc | grep -c -x 1"}, 0, "0\n1\n"},
		{"run", []string{"--name", "demo", "t.yaml", "--", "sh", "-c", "$LINKUP list && $LINKUP status demo >/dev/null && $LINKUP exec demo vzw -- ls /sys/class/net"}, 0, "demo\nifb-down\nifb-up\nlo\nr0\ns0\n"},
		{"own devices", []string{"--links", "a", "--", "ls", "/sys/class/net"}, 0, "lo\n"},
		{"packets", []string{"--links", "a", "--", "sh", "-c", "$LINKUP exec main snd -- " + dial + "10.77.0.6:9 $LINKUP -test.run='^TestRootless$'"}, 0, "PASS\n"},
		{"IPv6", []string{"--links", "a", "--", "sh", "-c", "$LINKUP exec main rcv -- " + dial + "'[fd77:6c74::1]:9' $LINKUP -test.run='^TestRootless$'"}, 0, "PASS\n"},
		{"down and up", []string{"--links", "a", "--", "sh", "-c", "$LINKUP down && $LINKUP up --links x,y >/dev/null && $LINKUP status >/dev/null && $LINKUP list"}, 0, "main\n"},
		{"watch", []string{"--links", "a", "--", "sh", "-c", "$LINKUP status --watch --count 1 --interval 10ms | wc -l"}, 0, "2\n"},
		{"within itself", []string{"--links", "a", "--", "sh", "-c", "$LINKUP exec --rootless --links b -- $LINKUP status --json | grep -o '\"name\": \"b\"'"}, 0, "\"name\": \"b\"\n"},
		{"what is left in the background ends", []string{"--links", "a", "--", "sh", "-c", "sleep 1000 & exit 4"}, 4, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := rootlessCall(binary, append([]string{"exec", "--rootless"}, c.args...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Run() // to the end of its output: nothing inside holds it any more
			if got := cmd.ProcessState.ExitCode(); got != c.status || stdout.String() != c.want {
				t.Errorf("exit status %d, %q; want %d, %q\n%s", got, stdout.String(), c.status, c.want, stderr.String())
			}
		})
	}
	t.Run("shell", func(t *testing.T) {
		cmd := rootlessCall(binary, "shell", "--links", "a")
		cmd.Env = append(cmd.Env, "SHELL=/bin/sh")
		cmd.Stdin = strings.NewReader("$LINKUP list\nexit 9\n")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != 9 || stdout.String() != "main\n" {
			t.Errorf("exit status %d, %q\n%s", got, stdout.String(), stderr.String())
		}
	})
	if _, err := os.Stat("/run/linktape"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the machine's own runs: %v", err)
	}
}

// Whatever ends linkup ends the command and the links; SIGTERM reaches the
// command first.
func TestRootlessEnds(t *testing.T) {
	privtest.RequireUser(t, "user-namespaces", "ifb", "tbf")
	binary := rootlessBinary(t)
	for _, c := range []struct {
		name    string
		command string
		signal  syscall.Signal
		status  int // -1: the signal itself ends linkup
		last    string
	}{
		{"kill", "echo up; exec sleep 1000", syscall.SIGKILL, -1, ""},
		{"terminate", "echo up; exec sleep 1000", syscall.SIGTERM, 128 + int(syscall.SIGTERM), ""},
		{"hang up", "echo up; exec sleep 1000", syscall.SIGHUP, 128 + int(syscall.SIGHUP), ""},
		{"terminate what tidies up", "trap 'echo tidy; exit 5' TERM; echo up; while :; do sleep 0.01; done", syscall.SIGTERM, 5, "tidy\n"},
		{"interrupt is the terminal's", "trap 'exit 6' TERM; echo up; while :; do sleep 0.01; done", syscall.SIGINT, 6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := rootlessCall(binary, "exec", "--rootless", "--links", "a", "--", "sh", "-c", c.command)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "up\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if c.signal == syscall.SIGINT { // which is not passed on, nor ends linkup
				cmd.Process.Signal(syscall.SIGTERM)
			}
			// The end of the output: whoever could write to it has ended.
			last, err := io.ReadAll(lines)
			if err != nil || string(last) != c.last {
				t.Errorf("then %q, %v, want %q", last, err, c.last)
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d (%v), want %d", got, cmd.ProcessState, c.status)
			}
		})
	}
}

// Programs in the kernel are not for user namespaces: that is said, with what to do.
func TestRootlessExact(t *testing.T) {
	privtest.RequireUser(t, "user-namespaces", "ifb", "tbf")
	out, err := rootlessCall(rootlessBinary(t), "exec", "--rootless", "--links", "a", "--shaper", "edt", "--", "true").CombinedOutput()
	const want = "link a: not supported by this kernel: backend: edt (root on the machine itself, not in a user namespace as --rootless has it; "
	if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "write backend: qdisc") {
		t.Errorf("%v: %s", err, out)
	}
}

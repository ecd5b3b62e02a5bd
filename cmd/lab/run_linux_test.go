package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/internal/privtest"
)

// asLab is the role "as-lab ARGUMENT…": the command itself, with its process.
func asLab(args []string) error {
	os.Args = append(os.Args[:1:1], args...)
	cli.Main("lab", run)
	return nil
}

// labRun prepares lab run as a process of its own, with its temporary files in a
// directory of its own. Its kernel is known by the word, which is in its command
// line.
func labRun(t *testing.T, argv ...string) (cmd *exec.Cmd, tmp, word string) {
	t.Helper()
	privtest.RequireUser(t, "lab-kernel")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp = t.TempDir()
	start := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(os.Getpid()) * time.Second)
	cmd = exec.Command(self, append([]string{"as-lab", "run", "--start", start.Format(time.RFC3339), "--"}, argv...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd, tmp, fmt.Sprintf("time-travel-start=%d", start.Unix()-1) // a second before the command
}

// nothingLeft fails the test if a run has left a file or a process.
func nothingLeft(t *testing.T, tmp, word string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
	if p := processesWith(t, word); len(p) > 0 {
		t.Errorf("left behind: processes %q", p)
	}
}

// processesWith lists the processes that have a word in their command line.
func processesWith(t *testing.T, word string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if line, _ := os.ReadFile(f); bytes.Contains(line, []byte(word)) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// The exit status is the command's, or says what kept it from having one.
func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		name   string
		argv   []string
		status int
		said   string
	}{
		{"done", []string{"true"}, 0, ""},
		{"its own", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, 128 + 9, ""},
		{"none", []string{"no-such-program"}, exitNotFound, "executable file not found"},
		{"not a program", []string{"/etc/passwd"}, exitNoStart, "permission denied"},
		{"input is closed", []string{"cat"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, tmp, word := labRun(t, c.argv...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(stderr.String(), c.said) || c.said == "" && stderr.Len() > 0 {
				t.Errorf("got exit status %d, %q, want %d, %q", got, stderr.String(), c.status, c.said)
			}
			nothingLeft(t, tmp, word)
		})
	}
}

// A reader who has seen enough ends the lab, without a word.
func TestReaderGone(t *testing.T) {
	cmd, tmp, word := labRun(t, "yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
		t.Error(err)
	}
	out.Close()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGPIPE) || stderr.Len() > 0 {
		t.Errorf("got exit status %d, %q, want %d and nothing", got, stderr.String(), 128+int(syscall.SIGPIPE))
	}
	nothingLeft(t, tmp, word)
}

// A signal ends the lab, whatever its command is at, and leaves nothing. Nor
// does the end of lab itself leave a process.
func TestSignals(t *testing.T) {
	for _, script := range []string{"while :; do :; done", "sleep 1000000000", "yes"} {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL} {
			t.Run(script+"/"+s.String(), func(t *testing.T) {
				cmd, tmp, word := labRun(t, "sh", "-c", "echo begun; sleep 1; "+script)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(out, make([]byte, len("begun\n"))); err != nil {
					t.Error(err)
				}
				if err := cmd.Process.Signal(s); err != nil {
					t.Error(err)
				}
				io.Copy(io.Discard, out)
				cmd.Wait()
				if s == syscall.SIGKILL {
					eventually(t, "the lab's processes end", func() bool { return len(processesWith(t, word)) == 0 })
					return // the next lab removes its directory
				}
				if got := cmd.ProcessState.ExitCode(); got != 128+int(s) {
					t.Errorf("got %v, want exit status %d", cmd.ProcessState, 128+int(s))
				}
				nothingLeft(t, tmp, word)
			})
		}
	}
}

// eventually waits for something, with an end in sight.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/replay"
)

// viewedRun is the environment variable that makes the test binary a view, which
// ends as it says: by a key, or by a panic.
const viewedRun = "LINKTAPE_TEST_VIEW"

// noting is a replay that is stopped by a command.
type noting struct {
	still
	mu   sync.Mutex
	stop chan struct{}
}

func (n *noting) Status() replay.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.still.Status()
}

func (n *noting) Do(ctx context.Context, c replay.Command) (replay.Act, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Verb == replay.StopNow {
		close(n.stop)
	}
	return n.still.Do(ctx, c)
}

// TestView is no test of its own: TestTerminal runs it on a terminal.
func TestView(t *testing.T) {
	how := os.Getenv(viewedRun)
	if how == "" {
		t.Skip("it is a part of other tests")
	}
	n := &noting{still: *links(4), stop: make(chan struct{})}
	v := watch(t.Context(), n, os.Stdin, os.Stderr)
	defer v.end()
	<-n.stop
	if how == "panic" {
		panic("as if the replay had panicked")
	}
	v.end()
	fmt.Fprintf(os.Stdout, "told %v and %v\n", n.told[0].Verb, n.told[1].Verb)
}

// terminal makes a pseudoterminal.
func terminal(t *testing.T, columns, lines uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// The view on a real terminal: it draws within its size, takes keys, follows a
// change of the size, and gives the terminal back, also when the process panics.
func TestTerminal(t *testing.T) {
	for _, how := range []string{"key", "panic"} {
		t.Run(how, func(t *testing.T) {
			master, slave := terminal(t, 70, 12)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c := exec.Command(exe, "-test.run=^TestView$")
			c.Env = append(os.Environ(), viewedRun+"="+how, "LC_ALL=C.UTF-8")
			c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			watchdog := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
			defer watchdog.Stop()
			var out bytes.Buffer
			buf := make([]byte, 4096)
			// shown reads until something stands on the terminal after what was read before.
			shown := func(want string) string {
				t.Helper()
				from := out.Len()
				for !strings.Contains(out.String()[from:], want) {
					n, err := master.Read(buf)
					out.Write(buf[:n])
					if err != nil {
						t.Fatalf("%q is not shown: %v: %q", want, err, out.String()[from:])
					}
				}
				return out.String()[from:]
			}
			shown("space pause")
			if now, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || now.Lflag&(unix.ECHO|unix.ICANON) != 0 {
				t.Errorf("keys are not taken one by one: %+v, error %v", now, err)
			}
			master.WriteString("p")
			shown("pause: from 0s of the tape to 1m0s")
			if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 5, Col: 30}); err != nil {
				t.Fatal(err)
			}
			shown("playing at 12.0s of 5m0s; lar\x1b[K") // 29 columns
			master.WriteString("q")
			want := "told pause and stop"
			if how == "panic" {
				want = "as if the replay had panicked"
			}
			shown(want)
			go func() { // what else it says
				for {
					if _, err := master.Read(buf); err != nil {
						return
					}
				}
			}()
			if err := c.Wait(); (err != nil) != (how == "panic") {
				t.Errorf("ended with %v", err)
			}
			after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("the terminal is not as it was: %+v, want %+v, error %v", after, before, err)
			}
		})
	}
}

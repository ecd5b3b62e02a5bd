package trial

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linktape/trial/stack"
)

// process is one side of a stack, in its end of the run.
type process struct {
	side   stack.Side
	argv   []string
	cmd    *exec.Cmd
	exited chan struct{}    // closed when it has ended, though what it has started may live
	state  *os.ProcessState // how it ended, once exited
	done   chan struct{}    // closed when its output is read, too
	pipes  []io.Closer

	mu   sync.Mutex
	last []string // lines that it wrote last
}

// startProcess starts a command in a part of a run. Each line of its output goes to
// a file in logDir and to line, which is called by one goroutine at a time.
func startProcess(inside []string, run, part string, side stack.Side, c stack.Command, logDir string, line func(stack.Stream, []byte)) (*process, error) {
	program, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return nil, err
	}
	argv := append(append(append([]string{}, inside...), run, part, "--", program), c.Argv[1:]...)
	p := &process{side: side, argv: c.Argv, cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{}), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), c.Env...)
	// A group of its own, so that what it starts ends with it and an interrupt at
	// the terminal reaches it through us alone.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	type output struct {
		stream stack.Stream
		from   io.Reader
		to     *os.File
	}
	var outputs []output
	for _, s := range []stack.Stream{stack.Stdout, stack.Stderr} {
		pipe, err := map[stack.Stream]func() (io.ReadCloser, error){stack.Stdout: p.cmd.StdoutPipe, stack.Stderr: p.cmd.StderrPipe}[s]()
		if err != nil {
			return nil, err
		}
		name := filepath.Join(logDir, fmt.Sprintf("%s.%s", side, s))
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		p.pipes = append(p.pipes, pipe)
		outputs = append(outputs, output{s, pipe, f})
	}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		// The parent that Pdeathsig watches is a thread: it stays until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			for _, o := range outputs {
				o.to.Close()
			}
			return
		}
		var readers sync.WaitGroup
		var lines sync.Mutex
		for _, o := range outputs {
			readers.Go(func() {
				p.read(o.from, o.to, func(b []byte) {
					lines.Lock()
					defer lines.Unlock()
					line(o.stream, b)
				})
			})
		}
		// Not cmd.Wait, which would wait for all who have the pipes.
		p.state, _ = p.cmd.Process.Wait()
		close(p.exited)
		readers.Wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the %s: %w", side, err)
	}
	return p, nil
}

// Bounds of what is kept of a process's output.
const (
	maxLine   = 512 << 10
	lastLines = 8
)

// read passes output on, line by line. What is longer than a line may be comes in
// pieces.
func (p *process) read(from io.Reader, to *os.File, line func([]byte)) {
	defer to.Close()
	r := bufio.NewReaderSize(from, maxLine)
	for {
		b, err := r.ReadSlice('\n')
		if len(b) > 0 {
			to.Write(b)
			b = bytes.TrimRight(b, "\r\n")
			p.remember(b)
			line(b)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (p *process) remember(b []byte) {
	if len(bytes.TrimSpace(b)) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	const enough = 300
	p.last = append(p.last, string(b[:min(len(b), enough)]))
	if len(p.last) > lastLines {
		p.last = p.last[1:]
	}
}

// said is what a process wrote last, for messages.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == 0 {
		return "it said nothing"
	}
	return "it said:\n  " + strings.Join(p.last, "\n  ")
}

// ended is the error of a process that ended by itself.
func (p *process) ended() error {
	within(p.done, outputWait) // what it said last may be under way
	return fmt.Errorf("the %s stopped before the trial's end (%v): %s\n%s", p.side, p.state, strings.Join(p.argv, " "), p.said())
}

// Times that a process has to end by itself, and its output to come.
const (
	grace      = 2 * time.Second
	outputWait = 200 * time.Millisecond
)

// within reports whether a channel is closed within a time.
func within(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// stop ends a process and what it has started: SIGINT, and SIGKILL where that does
// not help. It reports whether the process itself needed the latter.
func (p *process) stop() (killed bool) {
	pid := p.cmd.Process.Pid
	select {
	case <-p.exited:
	default:
		unix.Kill(-pid, unix.SIGINT)
		killed = !within(p.exited, grace)
	}
	unix.Kill(-pid, unix.SIGKILL) // what it has left, or itself
	<-p.exited
	if !within(p.done, grace) { // something of its kind has left the group
		for _, c := range p.pipes {
			c.Close()
		}
		<-p.done
	}
	return killed
}

// udpPorts lists the UDP ports that are bound in the namespace of a process.
func (p *process) udpPorts() map[int]bool {
	out := make(map[int]bool)
	for _, name := range []string{"udp", "udp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.cmd.Process.Pid, name))
		if err == nil {
			parsePorts(string(data), out)
		}
	}
	return out
}

// parsePorts reads /proc/net/udp (Documentation/networking/proc_net_tcp.rst).
func parsePorts(text string, out map[int]bool) {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		_, port, ok := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); ok && err == nil {
			out[int(n)] = true
		}
	}
}

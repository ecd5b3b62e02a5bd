package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runPrefix begins the names of run directories.
const runPrefix = "linktape-lab-"

// Run runs a command in a lab of its own and returns how it ended. It returns
// early when ctx ends, with its cause as the error.
//
// Errors besides: a [StartError] where the command could not be started, a
// [CrashError] where the lab's kernel died, and what writing to Stdout or
// Stderr returned.
//
// The calling process becomes the one that inherits the lab's orphans
// (PR_SET_CHILD_SUBREAPER). Its main must call [Stages].
func Run(ctx context.Context, o Options) (*Result, error) {
	began := time.Now()
	if err := o.complete(); err != nil {
		return nil, err
	}
	sweep()
	dir, err := os.MkdirTemp("", runPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	lock, err := os.Open(dir) // held by the kernel's process too: see sweep
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	r := &hostRun{o: o, dir: dir, lock: lock}
	result, err := r.run(ctx)
	if result != nil {
		result.Wall = time.Since(began)
	}
	return result, err
}

// complete fills defaults in and refuses what cannot be run.
func (o *Options) complete() error {
	if o.Time == "" {
		o.Time = Virtual
	}
	if o.Start.IsZero() {
		o.Start = DefaultStart()
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	const least = 64 << 20
	switch {
	case o.Time == Virtual && o.Machine == QEMU:
		return errors.New("run a lab: an emulated computer has no virtual time")
	case o.Machine == QEMU && o.Memory < leastEmulated:
		return fmt.Errorf("run a lab: %d bytes of memory: an emulated computer needs %d", o.Memory, leastEmulated)
	case len(o.Argv) == 0 || !filepath.IsAbs(o.Argv[0]):
		return fmt.Errorf("run a lab: the command %q is no absolute path", o.Argv)
	case o.Time != Virtual && o.Time != Real:
		return fmt.Errorf("run a lab: time %q: need %s or %s", o.Time, Virtual, Real)
	case o.Memory < least:
		return fmt.Errorf("run a lab: %d bytes of memory: need %d", o.Memory, least)
	case o.Start.Before(time.Unix(0, 0).Add(settle)):
		return fmt.Errorf("run a lab: start %v: before 1970", o.Start)
	}
	var writable []string
	for _, d := range o.Writable {
		d = filepath.Clean(d)
		switch info, err := os.Stat(d); {
		case err != nil:
			return fmt.Errorf("open %s to the lab: %w", d, err)
		case !info.IsDir() || !filepath.IsAbs(d):
			return fmt.Errorf("open %s to the lab: not a directory by an absolute path", d)
		case d == "/":
			return errors.New("open / to the lab: the whole file system cannot be opened: name the directories that are to be written")
		}
		if !slices.Contains(writable, d) {
			writable = append(writable, d)
		}
	}
	slices.Sort(writable) // a directory before what lies below it
	o.Writable = writable
	return nil
}

// sweep removes the run directories of labs that were killed before they could
// do so. A living one is locked; a new one may not be locked yet.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), runPrefix+"*"))
	for _, d := range dirs {
		f, err := os.Open(d)
		if err != nil {
			continue
		}
		info, err := f.Stat()
		if err == nil && time.Since(info.ModTime()) > time.Minute && unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(d)
		}
		f.Close()
	}
}

type hostRun struct {
	o     Options
	dir   string
	lock  *os.File
	stdin input

	memory string // directory of the file that backs the lab's memory; empty: none
}

func (r *hostRun) run(ctx context.Context) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	oneOut := sameWriter(r.o.Stdout, r.o.Stderr)
	stdin, feed, err := r.input()
	if err != nil {
		return nil, err
	}
	r.stdin = stdin
	if r.o.Machine == QEMU {
		feed = nil // bootEmulated does
	}
	if err := r.writeJob(stdin, oneOut); err != nil {
		return nil, err
	}
	var tails []*tail
	for _, t := range []struct {
		name string
		w    io.Writer
	}{{outFile, r.o.Stdout}, {errFile, r.o.Stderr}} {
		f, err := os.OpenFile(filepath.Join(r.dir, t.name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		tails = append(tails, &tail{file: f, w: t.w})
	}
	k, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	defer k.kill()
	if feed != nil {
		go func() {
			if err := feed(ctx); err != nil {
				cancel(err)
			}
		}()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-k.done:
			running = false
		case <-ctx.Done():
			k.kill()
			running = false
		case <-tick.C:
		}
		for _, t := range tails {
			if err := t.pump(); err != nil {
				return nil, err
			}
		}
	}
	console, _ := os.ReadFile(filepath.Join(r.dir, consoleFile))
	console = append(console, r.emulatorSaid()...)
	if r.o.Console != nil {
		r.o.Console.Write(console)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return r.outcome(k.state(), string(console))
}

func (r *hostRun) writeJob(stdin input, oneOut bool) error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	j := job{Argv: r.o.Argv, Env: r.o.Env, Dir: r.o.Dir, Writable: r.o.Writable, Files: files.Max, Modules: r.o.Modules, Stdin: stdin, OneOut: oneOut}
	if r.o.Time == Virtual {
		j.Seed = &r.o.Seed
	}
	data, err := json.Marshal(&j)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dir, outcomeFile), nil, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, jobFile), data, 0o600)
}

// outcome reads what the guest has left.
func (r *hostRun) outcome(state, console string) (*Result, error) {
	data, err := os.ReadFile(filepath.Join(r.dir, outcomeFile))
	if err != nil {
		return nil, err
	}
	var out outcome
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, &CrashError{State: state, Console: console, Memory: r.memory}
	}
	if out.Err != "" {
		return nil, &StartError{errors.New(out.Err)}
	}
	return &Result{Code: out.Code, Signal: out.Signal, Elapsed: time.Duration(out.ElapsedNs), OOM: out.OOM}, nil
}

// kernelProcess is the process of a lab's kernel, which keeps every other
// process of the lab in its session.
type kernelProcess struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// boot starts the kernel.
func (r *hostRun) boot() (*kernelProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := os.Open(self)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	console, err := os.Create(filepath.Join(r.dir, consoleFile))
	if err != nil {
		return nil, err
	}
	defer console.Close()
	if r.memory, err = memoryDir(r.o.Memory, shmDir, os.TempDir()); err != nil {
		return nil, err
	}
	cpu, release := pickCPU()
	plan, err := json.Marshal(&launchPlan{
		Argv: r.kernelArgs(), CPU: cpu, Deterministic: r.o.Time == Virtual,
		// The variables are the kernel's own; the command has those of its job.
		// GLIBC_TUNABLES is for a kernel that was linked dynamically: see launch.
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TMPDIR=" + r.memory, "GLIBC_TUNABLES=glibc.pthread.rseq=0"},
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, stageWord, string(plan))
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{r.lock, program} // 3 and 4: dirFD and programFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return startKernel(cmd, release)
}

// start starts the kernel on its machine.
func (r *hostRun) start(ctx context.Context) (*kernelProcess, error) {
	if r.o.Machine == QEMU {
		return r.bootEmulated(ctx)
	}
	return r.boot()
}

// startKernel starts the process of a kernel; release is called when it has
// ended.
func startKernel(cmd *exec.Cmd, release func()) (*kernelProcess, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("take in orphans: %w", err)
	}
	k := &kernelProcess{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The parent that Pdeathsig watches is a thread: it stays until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			release()
		}
		close(k.done)
	}()
	if err := <-started; err != nil {
		release()
		return nil, fmt.Errorf("start the lab's kernel: %w", err)
	}
	return k, nil
}

// kernelArgs is the kernel's command line (Documentation/admin-guide/
// kernel-parameters.txt and arch/um).
func (r *hostRun) kernelArgs() []string {
	args := []string{r.o.Kernel, fmt.Sprintf("mem=%dK", r.o.Memory>>10),
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "init=" + programFD,
		"con=null", "con0=null,fd:1", "ssl=null", "panic=-1", "noreboot", "quiet",
		"norandmaps", "dummy.numdummies=0", "ifb.numifbs=0",
		"uml_dir=" + dirFD + "/uml", "umid=lab"}
	if r.o.Time == Virtual {
		args = append(args, "time-travel=inf-cpu", "time-travel-start="+strconv.FormatInt(r.o.Start.Add(-settle).UnixNano(), 10))
	}
	return append(args, "--", guestWord)
}

// shmDir is shared memory: elsewhere the lab's memory is written to disk.
const shmDir = "/dev/shm"

// memoryDir returns the first of some directories that has room for the file
// that backs the lab's memory. The file takes its room bit by bit, and the kernel
// dies where there is none left.
func memoryDir(bytes int64, dirs ...string) (string, error) {
	var said []string
	for _, d := range dirs {
		var st unix.Statfs_t
		err := unix.Statfs(d, &st)
		if err == nil {
			err = unix.Access(d, unix.W_OK)
		}
		free := int64(st.Bavail) * st.Bsize
		switch {
		case err != nil:
			said = append(said, fmt.Sprintf("%s: %v", d, err))
		case st.Flags&unix.ST_NOEXEC != 0: // it holds programs too
			said = append(said, d+" is mounted noexec")
		case free < bytes:
			said = append(said, fmt.Sprintf("%s has %d MiB", d, free>>20))
		default:
			return d, nil
		}
	}
	return "", fmt.Errorf("no room for %d MiB of memory: %s: lower --mem, or set TMPDIR to a directory with more room",
		bytes>>20, strings.Join(said, ", "))
}

// pickCPU returns a CPU for a lab and keeps it for the lab alone, among the
// labs of this machine, until release. A lab does one thing at a time in
// several processes, and hopping between CPUs slows it down. −1: as many labs
// run as there are CPUs.
func pickCPU() (cpu int, release func()) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return -1, func() {}
	}
	for c := range 1024 {
		if !set.IsSet(c) {
			continue
		}
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			break
		}
		// A name outside the file system: it ends with the process.
		if unix.Bind(s, &unix.SockaddrUnix{Name: fmt.Sprintf("@linktape-lab-cpu-%d", c)}) == nil {
			return c, func() { unix.Close(s) }
		}
		unix.Close(s)
	}
	return -1, func() {}
}

// kill ends the kernel and every process of the lab. It may be called again.
func (k *kernelProcess) kill() {
	k.cmd.Process.Kill()
	<-k.done
	sid := k.cmd.Process.Pid
	for range 200 {
		left := sessionProcesses(sid)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			unix.Kill(pid, unix.SIGKILL)
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		time.Sleep(time.Millisecond)
	}
}

// state says how the kernel's process ended.
func (k *kernelProcess) state() string { return k.cmd.ProcessState.String() }

// sessionProcesses lists the processes of a session.
func sessionProcesses(sid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// pid (comm) state ppid pgrp session …; comm may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 3 && fields[3] == strconv.Itoa(sid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// tail passes on what the guest appends to a file.
type tail struct {
	file  *os.File
	w     io.Writer
	at    int64 // passed on
	freed int64 // given back to the file system
	buf   []byte
}

func (t *tail) pump() error {
	if t.buf == nil {
		t.buf = make([]byte, 64<<10)
	}
	for {
		n, err := t.file.ReadAt(t.buf, t.at)
		if n > 0 && t.w != nil {
			if _, err := t.w.Write(t.buf[:n]); err != nil {
				return fmt.Errorf("pass the command's output on: %w", err)
			}
		}
		t.at += int64(n)
		if err != nil || n == 0 {
			break
		}
	}
	// A long run's output must not fill the disk.
	const enough = 1 << 20
	if t.at-t.freed >= enough {
		unix.Fallocate(int(t.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, t.at)
		t.freed = t.at
	}
	return nil
}

// sameWriter reports whether two streams are one, so that their order is to be
// kept.
func sameWriter(a, b io.Writer) bool {
	fa, oka := a.(*os.File)
	fb, okb := b.(*os.File)
	if !oka || !okb {
		return a == b
	}
	ia, erra := fa.Stat()
	ib, errb := fb.Stat()
	return erra == nil && errb == nil && os.SameFile(ia, ib)
}

// input says where the guest gets standard input from, and returns what feeds
// it, if anything does. A file is read by the guest itself, at its own pace;
// anything else arrives when it arrives.
func (r *hostRun) input() (input, func(context.Context) error, error) {
	if r.o.Stdin == nil {
		return input{}, nil, nil
	}
	feed := func(ctx context.Context) error { return r.feed(ctx, r.o.Stdin) }
	f, ok := r.o.Stdin.(*os.File)
	if !ok {
		return input{Chunks: true}, feed, nil
	}
	info, err := f.Stat()
	if err != nil {
		return input{}, nil, fmt.Errorf("read standard input: %w", err)
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return input{}, nil, nil
	}
	if !info.Mode().IsRegular() {
		return input{Chunks: true}, feed, nil
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return input{}, nil, fmt.Errorf("read standard input: %w", err)
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if named, serr := os.Stat(name); err == nil && serr == nil && os.SameFile(named, info) {
		return input{File: name, Offset: at}, nil, nil
	}
	return input{Chunks: true}, feed, nil // it has no name any more
}

// feed writes what it reads as numbered chunks into the run directory. The
// guest removes them.
func (r *hostRun) feed(ctx context.Context, in io.Reader) error {
	const ahead = 16
	buf := make([]byte, 256<<10)
	for n := 0; ; {
		for n >= ahead { // wait for room
			if _, err := os.Stat(filepath.Join(r.dir, fmt.Sprintf(chunkFile, n-ahead))); errors.Is(err, fs.ErrNotExist) {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
		got, err := in.Read(buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read standard input: %w", err)
		}
		if got > 0 || err != nil {
			name := filepath.Join(r.dir, fmt.Sprintf(chunkFile, n))
			if err := os.WriteFile(name+".part", buf[:got], 0o600); err != nil {
				return runGone(ctx, err)
			}
			if err := os.Rename(name+".part", name); err != nil {
				return runGone(ctx, err)
			}
			n++
		}
		if err != nil {
			if got > 0 {
				in = strings.NewReader("") // the empty chunk
				continue
			}
			return nil
		}
	}
}

// runGone drops an error of a run that is over: its directory is gone.
func runGone(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

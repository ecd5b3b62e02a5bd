package lab

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// settle is the time since boot at which the command of a lab in virtual time
// starts. The kernel reaches high-resolution timers with its first ticks, and
// some programs take a monotonic clock below a second for one that has not been
// read (ping of iputils then sends without a pause).
const settle = time.Second

// settleReal is how long a lab in real time waits for its timers.
const settleReal = 100 * time.Millisecond

// poll is how often the guest looks for more input.
const poll = 10 * time.Millisecond

// guest is the first process of a lab. It does not return: its end is the
// lab's.
func guest(run func(*guestRun) error) {
	g := new(guestRun)
	if err := run(g); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err) // the console
		g.outcome.Err = err.Error()
	}
	if g.result != nil {
		json.NewEncoder(g.result).Encode(&g.outcome)
		g.result.Close()
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

type guestRun struct {
	job     job
	outcome outcome
	result  *os.File // in the run directory, as the next two
	out     *os.File
	err     *os.File
	frames  *os.File // port of standard input in an emulated computer
	chunks  int      // file descriptor of the run directory
}

func (g *guestRun) run() error {
	dir, err := os.Readlink(dirFD)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, jobFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &g.job); err != nil {
		return err
	}
	if err := loadModules(g.job.Modules); err != nil {
		return err
	}
	if err := g.mountRoot(dir); err != nil {
		return err
	}
	if err := g.tune(); err != nil {
		return err
	}
	if g.job.Seed == nil {
		time.Sleep(settleReal)
		return g.command()
	}
	at := unix.NsecToTimespec(int64(settle))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
	}
	return g.command()
}

func mount(source, target, kind, data string) error {
	if err := unix.Mount(source, target, kind, 0, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// mountRoot makes the host's file system, under an overlay that takes what is
// written, the root; it opens the files of the run directory on the way.
func (g *guestRun) mountRoot(dir string) error {
	const stage = "/mnt"
	if err := mount("tmpfs", stage, "tmpfs", "size=75%"); err != nil {
		return err
	}
	for _, d := range []string{"upper", "work", "root", "run"} {
		if err := os.Mkdir(filepath.Join(stage, d), 0o755); err != nil {
			return err
		}
	}
	if err := mount("none", stage+"/run", "hostfs", dir); err != nil {
		return err
	}
	var err error
	if g.chunks, err = unix.Open(stage+"/run", unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	for name, f := range map[string]**os.File{outcomeFile: &g.result, outFile: &g.out, errFile: &g.err} {
		if *f, err = os.OpenFile(filepath.Join(stage, "run", name), os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return err
		}
	}
	root := stage + "/root"
	if err := mount("overlay", root, "overlay", "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work"); err != nil {
		return err
	}
	for _, d := range g.job.Writable {
		if err := mount("none", root+d, "hostfs", d); err != nil {
			return err
		}
	}
	if err := mountSystem(root); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return os.Chdir("/")
}

// mountSystem mounts what every Linux has.
func mountSystem(root string) error {
	for _, m := range []struct {
		kind, at, data string
		optional       bool // not every kernel has it
	}{
		{"proc", "/proc", "", false},
		{"sysfs", "/sys", "", false},
		{"devtmpfs", "/dev", "", false},
		{"devpts", "/dev/pts", "mode=620,ptmxmode=666", true},
		{"tmpfs", "/dev/shm", "mode=1777", false},
		{"mqueue", "/dev/mqueue", "", true},
		{"tmpfs", "/run", "mode=755", false},
		{"cgroup2", "/sys/fs/cgroup", "", true},
		{"bpf", "/sys/fs/bpf", "", true},
	} {
		if err := os.MkdirAll(root+m.at, 0o755); err != nil && !m.optional {
			return err
		}
		if err := mount(m.kind, root+m.at, m.kind, m.data); err != nil && !m.optional {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+target, root+"/dev/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, d := range []string{"/run/netns", "/run/lock"} {
		if err := os.MkdirAll(root+d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// tune sets what the command expects of a machine, and what makes two runs of
// it the same.
func (g *guestRun) tune() error {
	if err := unix.Sethostname([]byte("lab")); err != nil {
		return err
	}
	if g.job.Seed != nil {
		if err := seedKernel(*g.job.Seed); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/kernel/randomize_va_space", []byte("0"), 0); err != nil {
			return err
		}
	}
	os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0)
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: g.job.Files, Max: g.job.Files}); err != nil {
		return fmt.Errorf("allow %d open files: %w", g.job.Files, err)
	}
	forever := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, forever)
}

// seedKernel makes the kernel's random numbers a function of the seed, for a
// kernel that has had no other randomness (drivers/char/random.c:
// random_ioctl).
func seedKernel(seed uint64) error {
	f, err := os.OpenFile("/dev/random", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var pool [8 + 32]byte // struct rand_pool_info: bits, bytes, then the bytes
	binary.NativeEndian.PutUint32(pool[0:], 256)
	binary.NativeEndian.PutUint32(pool[4:], 32)
	binary.NativeEndian.PutUint64(pool[8:], seed)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); e != 0 {
		return fmt.Errorf("seed the kernel's random numbers: %w", e)
	}
	const rndReseedCRNG = 0x5207 // RNDRESEEDCRNG, linux/random.h
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), rndReseedCRNG, 0); e != 0 {
		return fmt.Errorf("reseed the kernel's random numbers: %w", e)
	}
	return nil
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// command runs the command to its end and what it left to theirs.
func (g *guestRun) command() error {
	stdin, err := g.openStdin()
	if err != nil {
		return err
	}
	var pumps sync.WaitGroup
	stdout, err := pump(&pumps, g.out)
	if err != nil {
		return err
	}
	stderr := stdout
	if !g.job.OneOut {
		if stderr, err = pump(&pumps, g.err); err != nil {
			return err
		}
	}
	before := oomKills()
	start := time.Now()
	p, err := os.StartProcess(g.job.Argv[0], g.job.Argv, &os.ProcAttr{
		Dir: g.job.Dir, Env: g.job.Env, Files: []*os.File{stdin, stdout, stderr},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	stdin.Close()
	stdout.Close()
	stderr.Close()
	if err != nil {
		return err
	}
	// The first process takes in every orphan.
	var ws unix.WaitStatus
	for {
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for the command: %w", err)
		}
		if pid == p.Pid {
			break
		}
	}
	g.outcome.ElapsedNs = int64(time.Since(start))
	if ws.Signaled() {
		g.outcome.Signal = int(ws.Signal())
	} else {
		g.outcome.Code = ws.ExitStatus()
	}
	g.outcome.OOM = oomKills() > before
	unix.Kill(-1, unix.SIGKILL)
	pumps.Wait() // nobody is left who could hold the pipes open
	return nil
}

// oomKills is how many processes the kernel has killed for want of memory.
func oomKills() int {
	data, _ := os.ReadFile("/proc/vmstat")
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(strings.TrimSpace(n))
			return kills
		}
	}
	return 0
}

// pump returns a pipe whose content ends up in a file of the run directory. The
// command does not get the file itself: writing to /dev/stderr would truncate
// it.
func pump(work *sync.WaitGroup, to *os.File) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	work.Go(func() {
		defer r.Close()
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			if _, werr := to.Write(buf[:n]); werr != nil {
				fmt.Fprintln(os.Stderr, "lab: pass output on:", werr)
				return
			}
			if err != nil {
				return
			}
		}
	})
	return w, nil
}

func (g *guestRun) openStdin() (*os.File, error) {
	in := g.job.Stdin
	switch {
	case in.File != "":
		f, err := os.Open(in.File)
		if err == nil {
			_, err = f.Seek(in.Offset, 0)
		}
		return f, err
	case !in.Chunks:
		return os.Open(os.DevNull)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if g.frames != nil {
		go func() {
			defer w.Close()
			readFrames(g.frames, w) // an error: the command has closed its end
		}()
		return r, nil
	}
	go func() {
		defer w.Close()
		for n := 0; ; {
			data, err := g.readChunk(n)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				time.Sleep(poll)
				continue
			case err != nil:
				fmt.Fprintln(os.Stderr, "lab: read standard input:", err)
				return
			case len(data) == 0:
				return
			}
			if _, err := w.Write(data); err != nil {
				return // the command has closed its end
			}
			n++
		}
	}()
	return r, nil
}

// readChunk reads and removes a chunk of the input; [fs.ErrNotExist] when it is
// not there yet.
func (g *guestRun) readChunk(n int) ([]byte, error) {
	name := fmt.Sprintf(chunkFile, n)
	fd, err := unix.Openat(g.chunks, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	data := make([]byte, st.Size)
	for got := 0; got < len(data); {
		n, err := f.Read(data[got:])
		if err != nil {
			return nil, err
		}
		got += n
	}
	return data, unix.Unlinkat(g.chunks, name, 0)
}

package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An emulated computer shares nothing with the host. What its command needs is
// packed into the archive that the kernel unpacks as its file system; its
// output comes back through virtio-serial ports.

// emulator is the program that emulates; Debian has it in qemu-system-x86.
const emulator = "qemu-system-x86_64"

// packedWord tells the first process of an emulated computer what it is.
const packedWord = "linktape-lab-packed"

// Files of the archive that the host does not have.
const (
	packedInit    = "/linktape-lab/init"
	packedJob     = "/linktape-lab/job.json"
	packedStdin   = "/linktape-lab/stdin"
	packedModules = "/linktape-lab/modules"
)

// Ports of an emulated computer by their numbers, which /dev has as vport0pN.
// Port 0 would be a console.
const (
	portOutcome = iota + 1
	portOut
	portErr
	portIn // only where the command has an input that is no file
)

// leastEmulated is the memory that an emulated computer needs, bytes: its files
// are there twice while it unpacks them.
const leastEmulated = 256 << 20

// portWait is how long the ports may take to appear after boot.
const portWait = 10 * time.Second

// tools are the programs that tests and experiments call. Those that the host
// has are packed with their libraries.
func tools() []string {
	return []string{
		"ip", "tc", "ss", "bridge", "ethtool", "ping", "tcpdump", "iperf3",
		"sh", "awk", "basename", "cat", "chmod", "cp", "cut", "date", "dirname", "echo", "env", "false", "find", "grep",
		"head", "id", "kill", "ln", "ls", "mkdir", "mktemp", "mount", "mv", "nproc", "nsenter", "ps", "readlink", "rm",
		"rmdir", "sed", "sleep", "sort", "stat", "sysctl", "tail", "tee", "timeout", "touch", "tr", "true", "umount",
		"uname", "uniq", "unshare", "wc", "xargs",
	}
}

// toolData are the files that those programs read.
func toolData() []string {
	return []string{"/etc/iproute2", "/usr/lib/tc", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/protocols", "/etc/services", "/etc/nsswitch.conf"}
}

// packImage writes the archive of a run.
func (r *hostRun) packImage(file string) error {
	m := newImage()
	for _, d := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/root", "/mnt", r.o.Dir} {
		m.directory(d)
	}
	m.put("/var/run", node{mode: fs.ModeSymlink, data: []byte("/run")})
	for _, d := range toolData() {
		if _, err := os.Stat(d); err == nil {
			if err := m.tree(d); err != nil {
				return err
			}
		}
	}
	for _, t := range tools() {
		file, err := exec.LookPath(t)
		if err != nil {
			continue
		}
		// A tool that cannot be packed is as if it were not there.
		if err := m.program(file); err != nil {
			m.remove(file)
		}
	}
	// What the caller names wins over what is there anyway.
	for _, c := range r.o.Copy {
		if err := m.tree(c); err != nil {
			return err
		}
	}
	if err := m.program(r.o.Argv[0]); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := m.libraries(self); err != nil {
		return err
	}
	if err := m.copyAs(packedInit, self); err != nil {
		return err
	}
	if err := m.copyAs(packedJob, filepath.Join(r.dir, jobFile)); err != nil {
		return err
	}
	for i, file := range r.o.Modules {
		data, err := readModule(file)
		if err != nil {
			return err
		}
		name, _ := moduleName(file)
		m.data(fmt.Sprintf("%s/%03d/%s.ko", packedModules, i, name), 0o644, data)
	}
	if err := r.packStdin(m); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(m.write(f), f.Close())
}

// packStdin packs a standard input that is a file.
func (r *hostRun) packStdin(m *image) error {
	if r.stdin.File == "" {
		return nil
	}
	f, err := os.Open(r.stdin.File)
	if err == nil {
		defer f.Close()
		_, err = f.Seek(r.stdin.Offset, io.SeekStart)
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(f)
	}
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	m.data(packedStdin, 0o644, data)
	return nil
}

// bootEmulated starts the kernel in an emulated computer.
func (r *hostRun) bootEmulated(ctx context.Context) (*kernelProcess, error) {
	program, err := exec.LookPath(emulator)
	if err != nil {
		return nil, fmt.Errorf("%w: apt-get install qemu-system-x86", err)
	}
	archive := filepath.Join(r.dir, "image.cpio")
	if err := r.packImage(archive); err != nil {
		return nil, fmt.Errorf("pack the lab's files: %w", err)
	}
	inDir := func(name string) string { return "path=" + filepath.Join(r.dir, name) }
	args := []string{
		"-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", fmt.Sprintf("%dK", r.o.Memory>>10),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console," + inDir(consoleFile), "-serial", "chardev:console",
		"-device", "virtio-serial-pci,max_ports=8",
	}
	for port, name := range map[int]string{portOutcome: outcomeFile, portOut: outFile, portErr: errFile} {
		args = append(args, "-chardev", fmt.Sprintf("file,id=p%d,append=on,%s", port, inDir(name)),
			"-device", fmt.Sprintf("virtserialport,chardev=p%d,nr=%d", port, port))
	}
	cmd := exec.Command(program)
	if r.stdin.Chunks {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		ours, theirs := os.NewFile(uintptr(ends[0]), "standard input"), os.NewFile(uintptr(ends[1]), "standard input")
		defer theirs.Close()
		cmd.ExtraFiles = []*os.File{theirs}
		args = append(args, "-chardev", fmt.Sprintf("socket,id=p%d,fd=3", portIn),
			"-device", fmt.Sprintf("virtserialport,chardev=p%d,nr=%d", portIn, portIn))
		go feedFrames(ours, r.o.Stdin)
		context.AfterFunc(ctx, func() { ours.Close() }) // ends the feeding too
	}
	args = append(args, "-kernel", r.o.Kernel, "-initrd", archive,
		// panic=-1 restarts at once, which -no-reboot makes the end.
		"-append", "console=ttyS0 quiet panic=-1 oops=panic tsc=unstable rdinit="+packedInit+" -- "+packedWord)
	cmd.Args = append([]string{program}, args...)
	log, err := os.Create(filepath.Join(r.dir, "emulator"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	return startKernel(cmd, func() {})
}

// emulatorSaid is what the emulator itself had to say.
func (r *hostRun) emulatorSaid() string {
	said, _ := os.ReadFile(filepath.Join(r.dir, "emulator"))
	return string(said)
}

// feedFrames sends an input in frames, because a port says nothing of an end:
// four bytes of length, then the bytes; length 0 is the end. It stops when the
// computer is gone.
func feedFrames(w *os.File, in io.Reader) {
	buf := make([]byte, 4+64<<10)
	for {
		n, err := in.Read(buf[4:])
		if n > 0 {
			binary.LittleEndian.PutUint32(buf, uint32(n))
			if _, err := w.Write(buf[:4+n]); err != nil {
				return
			}
		}
		if err != nil {
			w.Write(make([]byte, 4))
			return
		}
	}
}

// readFrames is the other side of feedFrames.
func readFrames(r io.Reader, w io.Writer) error {
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return err
		}
		n := int64(binary.LittleEndian.Uint32(size[:]))
		if n == 0 {
			return nil
		}
		if _, err := io.CopyN(w, r, n); err != nil {
			return err
		}
	}
}

// runPacked is what the first process of an emulated computer does.
func (g *guestRun) runPacked() error {
	data, err := os.ReadFile(packedJob)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &g.job); err != nil {
		return err
	}
	if err := mountSystem(""); err != nil {
		return err
	}
	if g.result, err = openPort(portOutcome, unix.O_WRONLY); err != nil {
		return err
	}
	if g.out, err = openPort(portOut, unix.O_WRONLY); err != nil {
		return err
	}
	if g.err, err = openPort(portErr, unix.O_WRONLY); err != nil {
		return err
	}
	modules, err := filepath.Glob(packedModules + "/*/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(modules)
	if err := loadModules(modules); err != nil {
		return err
	}
	if g.job.Stdin.Chunks {
		if g.frames, err = openPort(portIn, unix.O_RDONLY); err != nil {
			return err
		}
	} else if g.job.Stdin.File != "" {
		g.job.Stdin = input{File: packedStdin}
	}
	// No kernel lets a process have more open files than fs.nr_open.
	g.job.Files = min(g.job.Files, 1<<20)
	for _, v := range []string{"HOME", "TMPDIR"} {
		for _, e := range g.job.Env {
			if dir, ok := strings.CutPrefix(e, v+"="); ok && filepath.IsAbs(dir) {
				os.MkdirAll(dir, 0o1777)
			}
		}
	}
	if err := g.tune(); err != nil {
		return err
	}
	return g.command()
}

// openPort opens a port for blocking use: a write returns when the host has the
// bytes, so that none is lost when the computer goes off.
func openPort(port, flags int) (*os.File, error) {
	name := fmt.Sprintf("/dev/vport0p%d", port)
	for deadline := time.Now().Add(portWait); ; time.Sleep(poll) {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case !errors.Is(err, unix.ENOENT) || time.Now().After(deadline):
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
}

// loadModules loads modules in the order given. Modules that would make devices
// make none.
func loadModules(files []string) error {
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		name, _ := moduleName(file)
		parameters := map[string]string{"dummy": "numdummies=0", "ifb": "numifbs=0"}[name]
		err = unix.FinitModule(int(f.Fd()), parameters, 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", file, err)
		}
	}
	return nil
}

package netsetup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// namespaceDir is where named network namespaces live, as for ip-netns(8).
const namespaceDir = "/run/netns"

func namespaceFile(name string) string { return filepath.Join(namespaceDir, name) }

// onOwnThread runs f on a thread of its own that ends with it: whatever f does
// to the thread's namespaces is gone with the thread.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread with the goroutine
		result <- f()
	}()
	return <-result
}

// withNamespace runs f on a thread inside a named network namespace.
func withNamespace(name string, f func() error) error {
	return onOwnThread(func() error {
		fd, err := unix.Open(namespaceFile(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open namespace %s: %w", name, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", name, err)
		}
		return f()
	})
}

// createNamespace makes a new network namespace under a name, as "ip netns
// add" does. It fails where the name is taken.
func createNamespace(name string) error {
	if err := os.MkdirAll(namespaceDir, 0o755); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	file := namespaceFile(name)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	f.Close()
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		self := "/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/ns/net"
		return unix.Mount(self, file, "none", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(file)
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// removeNamespace removes a named namespace; one that is not there is no error.
func removeNamespace(name string) error {
	file := namespaceFile(name)
	if err := unix.Unmount(file, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// namespaceExists reports whether a name is taken.
func namespaceExists(name string) bool {
	_, err := os.Lstat(namespaceFile(name))
	return err == nil
}

// processesIn lists the processes inside the named namespaces.
func processesIn(names []string) ([]Process, error) {
	byInode := make(map[uint64]string)
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Stat(namespaceFile(name), &st); err == nil {
			byInode[st.Ino] = name
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+e.Name()+"/ns/net", &st) != nil {
			continue // gone, or a kernel thread
		}
		if ns, ok := byInode[st.Ino]; ok {
			comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			out = append(out, Process{pid, string(trimNewline(comm)), ns})
		}
	}
	return out, nil
}

func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}

// Exec replaces the process by a command inside a part of a run: SenderEnd,
// ReceiverEnd or a link's name. The command sees the namespace's devices in
// /sys too. It returns only on failure.
func Exec(run, part string, argv, env []string) error {
	name := Namespace(run, part)
	if !namespaceExists(name) {
		return fmt.Errorf("run %s has no %s: see linkup status %s", run, part, run)
	}
	runtime.LockOSThread()
	fd, err := unix.Open(namespaceFile(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", name, err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", name, err)
	}
	// /sys shows the devices of the namespace that it was mounted in.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys of namespace %s: %w", name, err)
	}
	return unix.Exec(argv[0], argv, env)
}

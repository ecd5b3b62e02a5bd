package netsetup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespaceDir is where named network namespaces live, as for ip-netns(8).
const namespaceDir = "/run/netns"

// namespaceFile is the file of a namespace: of a name, or itself a path.
func namespaceFile(ref string) string {
	if filepath.IsAbs(ref) {
		return ref
	}
	return filepath.Join(namespaceDir, ref)
}

// onOwnThread runs f on a thread of its own that ends with it: whatever f does
// to the thread's namespaces is gone with the thread.
//
// The runtime does not end the main thread. It would stay in the namespace,
// keep it alive, and stand for the whole process in /proc. So it is held back
// while f runs on another one.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			result <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		result <- f() // never unlocked: the thread ends with the goroutine
	}()
	return <-result
}

// withNamespace runs f on a thread inside a network namespace, which is named
// or has a path.
func withNamespace(name string, f func() error) error {
	return onOwnThread(func() error {
		fd, err := unix.Open(namespaceFile(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open namespace %s: %w", name, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w%s", name, err, asRoot(err))
		}
		return f()
	})
}

// asRoot ends an error that root would not have met.
func asRoot(err error) string {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return ": run as root"
	}
	return ""
}

// loopbackIndex is the loopback device's in every namespace
// (include/net/net_namespace.h: LOOPBACK_IFINDEX).
const loopbackIndex = 1

// prepareNamespaceDir makes the folder of named namespaces a mount point of its
// own, as "ip netns add" does and as it stays afterwards. Otherwise the first
// "ip netns add" of somebody else would mount the folder over itself and hide
// the mounts below from "linkup down" (iproute2 ip/ipnetns.c: netns_add).
//
// Two that do so at once would hide each other's mounts likewise, so the folder
// is locked meanwhile, as newer releases of iproute2 do too.
func prepareNamespaceDir() error {
	if err := os.MkdirAll(namespaceDir, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(namespaceDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	share := func() error { return unix.Mount("", namespaceDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err = share()
	if errors.Is(err, unix.EINVAL) { // no mount point yet
		if err = unix.Mount(namespaceDir, namespaceDir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = share()
		}
	}
	return err
}

// createNamespace makes a new network namespace under a name, as "ip netns
// add" does. It fails where the name is taken. prepare runs inside before the
// namespace gets its name.
func createNamespace(name string, prepare func() error) error {
	if err := prepareNamespaceDir(); err != nil {
		return fmt.Errorf("create namespace %s: prepare %s: %w%s", name, namespaceDir, err, asRoot(err))
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
		if err := prepare(); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", file, "none", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(file)
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// removeNamespace removes a named namespace of ours; one that is not there is
// no error. It refuses one that does not bear our mark: somebody else gave it
// the name.
func removeNamespace(name string) error {
	switch kind, err := inspectNamespace(name); {
	case err != nil:
		return fmt.Errorf("remove namespace %s: %w", name, err)
	case kind == foreignName:
		return fmt.Errorf("remove namespace %s: it is not of this run, for it lacks the mark of linkup (the alias %s of lo): rename or remove it with ip netns", name, mark(name))
	}
	file := namespaceFile(name)
	if err := unix.Unmount(file, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove namespace %s: %w%s", name, err, asRoot(err))
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w%s", name, err, asRoot(err))
	}
	return nil
}

// nameKind says what a namespace's name stands for.
type nameKind uint8

const (
	freeName    nameKind = iota
	emptyName            // a file only: creation was cut short, or the computer was started again since
	takenName            // one of which no more is known
	ownName              // it bears our mark
	foreignName          // it does not, or is no namespace at all
)

// nameOf finds out what kind of file a namespace's name stands for, without
// looking into it.
func nameOf(name string) (nameKind, error) {
	file := namespaceFile(name)
	st, err := os.Lstat(file)
	if errors.Is(err, os.ErrNotExist) {
		return freeName, nil
	}
	var fs unix.Statfs_t
	if err == nil {
		err = unix.Statfs(file, &fs)
	}
	switch {
	case err != nil:
		return freeName, err
	case int64(fs.Type) == unix.NSFS_MAGIC:
		return takenName, nil
	case st.Mode().IsRegular() && st.Size() == 0:
		return emptyName, nil
	}
	return foreignName, nil
}

// inspectNamespace finds out whether a name is taken, and by whom.
func inspectNamespace(name string) (kind nameKind, err error) {
	if kind, err = nameOf(name); kind != takenName || err != nil {
		return kind, err
	}
	err = withNamespace(name, func() error {
		links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer links.Close()
		lo, err := links.LinkByIndex(loopbackIndex)
		if err != nil {
			return err
		}
		kind = foreignName
		if lo.Attrs().Alias == mark(name) {
			kind = ownName
		}
		return nil
	})
	return kind, err
}

// ours reports whether a name stands for a namespace that we made.
func ours(name string) bool {
	kind, err := inspectNamespace(name)
	return err == nil && kind == ownName
}

// namespaceExists reports whether a name is taken.
func namespaceExists(name string) bool {
	_, err := os.Lstat(namespaceFile(name))
	return err == nil
}

// processesIn lists the processes inside the named namespaces.
func processesIn(names []string) ([]Process, error) {
	type inode struct{ dev, ino uint64 }
	byInode := make(map[inode]string)
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Stat(namespaceFile(name), &st); err == nil {
			byInode[inode{uint64(st.Dev), st.Ino}] = name
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
		if ns, ok := byInode[inode{uint64(st.Dev), st.Ino}]; ok {
			comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			out = append(out, Process{pid, strings.TrimSuffix(string(comm), "\n"), ns})
		}
	}
	return out, nil
}

// Exec replaces the process by a command inside a part of a run: SenderEnd,
// ReceiverEnd or a link's name. The command sees the namespace's devices in
// /sys too. It returns only on failure.
func Exec(run, part string, argv, env []string) error {
	r, err := readRecord(run)
	if err != nil {
		return err
	}
	if parts := r.Topology.parts(); !slices.Contains(parts, part) {
		return fmt.Errorf("run %s has no %s: it has %s", run, part, strings.Join(parts, ", "))
	}
	k := newKernel()
	k.found = r.Found
	name, err := k.file(r.Topology.reference(run, part))
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	fd, err := unix.Open(namespaceFile(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", name, err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w%s", name, err, asRoot(err))
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
	return fmt.Errorf("run %s: %w", argv[0], unix.Exec(argv[0], argv, env))
}

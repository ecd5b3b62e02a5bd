package netsetup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Rootless runs this program again with other arguments, in a user, network,
// mount and process namespace of its own, where it is root and process 1 and
// calls [EnterRootless] first. It needs no privileges. It returns the exit
// status, 128 and the signal's number where one ended it.
//
// Everything in the namespaces ends with the inner process, and that one with
// this: nothing is left behind, whatever kills whichever of them. SIGTERM and
// SIGHUP are passed on; what a terminal sends reaches the inner process anyhow.
func Rootless(args []string) (status int, err error) {
	// The kernel watches the thread, not the process, for the inner one's sake
	// (prctl(2): PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make namespaces without privileges: %w: linkup check says what helps", err)
	}
	done := make(chan struct{})
	defer close(done)
	go passOn(signals, done, cmd.Process.Pid)
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("run without privileges: %w", err)
	}
	return exitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// passOn sends SIGTERM and SIGHUP on to a process.
func passOn(signals <-chan os.Signal, done <-chan struct{}, pid int) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				unix.Kill(pid, s.(syscall.Signal)) // it may have ended
			}
		case <-done:
			return
		}
	}
}

// exitStatus is that of a shell: 128 and the signal's number where one ended
// the process.
func exitStatus(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// EnterRootless prepares the namespaces that [Rootless] made: /proc and /sys
// that show them, a /run of their own with what the host has in its own, and
// loopback.
func EnterRootless() error {
	if os.Getpid() != 1 {
		return errors.New("enter namespaces: process 1 of new ones does that, which linkup exec --rootless starts")
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "none", unix.MS_PRIVATE|unix.MS_REC, "") }},
		{"mount /proc (a container may hide parts of it: start it with --security-opt systempaths=unconfined)", func() error {
			return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}},
		{"mount /sys", func() error {
			return unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}},
		{"mount /run", ownRun},
		{"bring loopback up", func() error {
			return netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: loopbackIndex}})
		}},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("enter namespaces: %s: %w", step.what, err)
		}
	}
	return nil
}

// ownRun mounts a /run that holds what the host's does, except the records and
// names of the host's own runs and namespaces.
func ownRun() error {
	const dir = "/run"
	old, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer old.Close()
	entries, err := old.ReadDir(-1)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if name == StateDir || name == namespaceDir {
			continue
		}
		from := fmt.Sprintf("/proc/self/fd/%d/%s", old.Fd(), e.Name())
		switch {
		case e.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(from)
			if err == nil {
				err = os.Symlink(to, name)
			}
			if err != nil {
				return err
			}
			continue
		case e.IsDir():
			err = os.Mkdir(name, 0o755)
		default:
			err = os.WriteFile(name, nil, 0o644)
		}
		if err != nil {
			return err
		}
		// What may not be seen from here is left empty.
		unix.Mount(from, name, "", unix.MS_BIND|unix.MS_REC, "")
	}
	return nil
}

// RunAsInit runs a command for a process that is process 1 of its namespace:
// whatever loses its parent is reaped, SIGTERM and SIGHUP are passed on, and
// when the command has ended its exit status is returned (128 and the signal's
// number where one ended it).
func RunAsInit(argv, env []string) (status int, err error) {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", argv[0], err)
	}
	defer p.Release()
	done := make(chan struct{})
	defer close(done)
	go passOn(signals, done, p.Pid)
	for {
		var s unix.WaitStatus
		pid, err := unix.Wait4(-1, &s, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for %s: %w", argv[0], err)
		case pid == p.Pid && (s.Exited() || s.Signaled()):
			return exitStatus(syscall.WaitStatus(s)), nil
		}
	}
}

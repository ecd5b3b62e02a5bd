package netsetup

import (
	"encoding/binary"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// systemCall is one that a traced process is about to make.
type systemCall struct {
	number uint64
	args   [3]uint64
}

// changes reports whether the call may change what other processes see.
func (c systemCall) changes() bool {
	switch c.number {
	case unix.SYS_OPENAT:
		return c.args[2]&unix.O_CREAT != 0
	case unix.SYS_WRITE: // not those that wake the Go runtime: to an eventfd
		return c.args[0] > 2 && c.args[2] != 8
	case unix.SYS_IOCTL, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_BPF:
		return true
	}
	return c.shapes()
}

// shapes reports whether the call makes or removes a name, a namespace, a
// mount or a lock.
func (c systemCall) shapes() bool {
	switch c.number {
	case unix.SYS_OPENAT:
		return c.args[2]&unix.O_CREAT != 0
	case unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_FSYNC,
		unix.SYS_FLOCK, unix.SYS_UNSHARE, unix.SYS_MOUNT, unix.SYS_UMOUNT2:
		return true
	}
	return false
}

// traced runs a command under ptrace(2). Before each system call of any of its
// threads it asks visit, and kills the process when visit says so.
func traced(t testing.TB, cmd *exec.Cmd, visit func(systemCall) (kill bool)) syscall.WaitStatus {
	t.Helper()
	runtime.LockOSThread() // which is the tracer
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // it is reaped below: this ends what copies its output
	pid := cmd.Process.Pid
	var status, end unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		t.Fatal(err)
	}
	const follow = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK
	if err := unix.PtraceSetOptions(pid, follow|unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); err != nil {
		t.Fatal(err)
	}
	for thread, pass := pid, unix.Signal(0); ; {
		// A thread that is being killed is not there to go on.
		if err := unix.PtraceSyscall(thread, int(pass)); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
		for pass = 0; ; {
			var err error
			thread, err = unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
			if errors.Is(err, unix.ECHILD) {
				return syscall.WaitStatus(end)
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				t.Fatal(err)
			}
			if thread == pid && (status.Exited() || status.Signaled()) {
				end = status
			}
			if err == nil && status.Stopped() {
				break
			}
		}
		switch sig := status.StopSignal(); sig {
		case unix.SIGTRAP | 0x80:
			call, entry, err := atSystemCall(thread)
			if err != nil && !errors.Is(err, unix.ESRCH) { // killed meanwhile
				t.Fatal(err)
			}
			if err == nil && entry && visit(call) {
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		case unix.SIGTRAP, unix.SIGSTOP: // a new thread, twice
		default:
			pass = sig
		}
	}
}

// atSystemCall reads which system call a stopped thread is at, and whether
// before it or after. User-Mode-Linux has no PTRACE_GETREGS that works, so the
// registers are read one by one.
func atSystemCall(thread int) (call systemCall, entry bool, err error) {
	const ( // arch/x86/include/uapi/asm/ptrace-abi.h, in bytes
		rax, rdx, rsi, rdi, origRAX = 80, 96, 104, 112, 120

		before = ^uint64(unix.ENOSYS) + 1 // what rax holds before a call (arch/x86/entry/entry_64.S)
	)
	var result uint64
	for _, r := range []struct {
		at  uintptr
		out *uint64
	}{{rax, &result}, {origRAX, &call.number}, {rdi, &call.args[0]}, {rsi, &call.args[1]}, {rdx, &call.args[2]}} {
		var b [8]byte
		if _, err := unix.PtracePeekUser(thread, r.at, b[:]); err != nil {
			return call, false, err
		}
		*r.out = binary.NativeEndian.Uint64(b[:])
		if result != before {
			return call, false, nil
		}
	}
	return call, true, nil
}

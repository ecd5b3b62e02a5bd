package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Words by which a process knows which stage it is.
const (
	stageWord = "linktape-lab-stage"
	guestWord = "linktape-lab-guest"
)

// File descriptors that the kernel's process inherits. The guest finds the run
// directory through them before it has mounted anything: it sees the host's
// /proc, where self is the kernel's process.
const (
	dirFD     = "/proc/self/fd/3"
	programFD = "/proc/self/fd/4"
)

// Stages turns the process into a stage of a lab if it was started as one, and
// does not return then. Every program that calls [Run] calls Stages first thing
// in main (a test in TestMain), because Run starts the same program again.
func Stages() {
	switch {
	case os.Getpid() == 1 && slices.Contains(os.Args, guestWord):
		guest((*guestRun).run)
	case os.Getpid() == 1 && slices.Contains(os.Args, packedWord):
		guest((*guestRun).runPacked)
	case len(os.Args) > 2 && os.Args[1] == stageWord:
		err := launch(os.Args[2])
		fmt.Fprintln(os.Stderr, "start the lab's kernel:", err)
		os.Exit(1)
	}
}

// launchPlan is what happens between fork and the kernel.
type launchPlan struct {
	Argv          []string `json:"argv"`
	Env           []string `json:"env"`
	CPU           int      `json:"cpu"`           // −1: any
	Deterministic bool     `json:"deterministic"` // no host randomness
}

// launch becomes the kernel. It returns only an error.
func launch(plan string) error {
	runtime.LockOSThread()
	var p launchPlan
	if err := json.Unmarshal([]byte(plan), &p); err != nil {
		return err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	// The C library of a static kernel registers a restartable sequence at an
	// address that its traced children do not have: they die of it.
	deny := []uint32{unix.SYS_RSEQ}
	if p.Deterministic {
		deny = append(deny, unix.SYS_GETRANDOM)
		const addrNoRandomize = 0x0040000 // ADDR_NO_RANDOMIZE, linux/personality.h
		if _, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0); e != 0 {
			return fmt.Errorf("switch address randomisation off: %w", e)
		}
	}
	if err := denySyscalls(deny); err != nil {
		return err
	}
	if p.CPU >= 0 {
		var set unix.CPUSet
		set.Set(p.CPU)
		unix.SchedSetaffinity(0, &set) // a hint: the result does not depend on it
	}
	return fmt.Errorf("execute %s: %w", p.Argv[0], unix.Exec(p.Argv[0], p.Argv, p.Env))
}

// denySyscalls makes system calls of this process and all that come from it
// fail as if the kernel did not know them (Documentation/userspace-api/
// seccomp_filter.rst). Numbers are those of amd64.
func denySyscalls(numbers []uint32) error {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{{Code: load, K: 0}} // seccomp_data.nr
	for _, n := range numbers {
		filter = append(filter,
			unix.SockFilter{Code: equal, Jf: 1, K: n},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}

package privtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// insideVariable marks a test process that runs inside namespaces of its own.
const insideVariable = "LINKTAPE_PRIVTEST_INSIDE"

// Main runs the tests of a package, for its TestMain. Where root is promised,
// they run in a mount and a network namespace of their own with an empty /run:
// what they build meets neither the machine's own networks nor the tests of
// another package, and nothing of it can be left behind.
func Main(m *testing.M) {
	if !slices.Contains(strings.Split(os.Getenv(Variable), ","), "root") || os.Geteuid() != 0 || os.Getenv(insideVariable) != "" {
		os.Exit(m.Run())
	}
	// The machine's named namespaces would show in /proc/mounts below the new
	// /run, and come and go there.
	const script = `umount -R -l /run/netns 2>/dev/null
mount -t tmpfs -o mode=755 tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && exec "$0" "$@"`
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "find the test binary: %v\n", err)
		os.Exit(1)
	}
	cmd := exec.Command("sh", append([]string{"-c", script, self}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	// The new mounts are private (syscall.forkAndExecInChild1), so that the
	// machine sees none of them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintf(os.Stderr, "run the tests in namespaces of their own: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

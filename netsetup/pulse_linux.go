package netsetup

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// pulsesKept tells by its release whether a kernel looks at a queue that is woken
// before the next change. Before Linux 6.4 a softirq that was raised elsewhere
// might be put off to ksoftirqd while that was running (kernel/softirq.c:
// ksoftirqd_running, removed there), and a change of the bucket in between takes
// the place of what it held.
func pulsesKept() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	var major, minor int
	release := unix.ByteSliceToString(name.Release[:])
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major < 6 || major == 6 && minor < 4) {
		return fmt.Errorf("kernel %s may look at a queue only after the next pulse", release)
	}
	return nil
}

package netsetup

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"linktape/internal/privtest"
)

// What is promised works; what does not says what that costs and what helps;
// looking leaves nothing behind.
func TestExamine(t *testing.T) {
	privtest.Require(t)
	unchanged(t)
	e, err := Examine()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Err(); err != nil {
		t.Error(err)
	}
	promised := strings.Split(os.Getenv(privtest.Variable), ",")
	seen := make(map[string]bool)
	for _, f := range e.Findings {
		if seen[f.Name] {
			t.Errorf("%s: found twice", f.Name)
		}
		seen[f.Name] = true
		if f.What == "" || f.Need != "" && costOf(f.Name) == "" {
			t.Errorf("nothing is said about %s: %+v", f.Name, f)
		}
		if !f.Works() && (f.Cost == "" || f.Mend == "") {
			t.Errorf("%s fails without a cost or a remedy: %+v", f.Name, f)
		}
		if slices.Contains(promised, f.Name) && !f.Works() {
			t.Errorf("%s is promised: %+v", f.Name, f)
		}
		// The lab's kernel has everything.
		if slices.Contains(promised, "lab") && !f.Works() && f.Name != "backlog" {
			t.Errorf("in the lab: %+v", f)
		}
	}
	for _, name := range []string{
		"veth", "ifb", "tbf", "htb", "netem", "cake", "fq", "fq_codel", "plug", "u32", "matchall", "flower", "bpf", "bpf-filter",
		"netem-seed", "netem-seed-kept", "netem-loss-ge", "netem-loss-4", "netem-slot", "netem-table", "offloads", "settings",
		"privileges", "user-namespaces", "high-resolution", "timer-slack", "real-time", "memory-lock", "clock", "open-files",
		"backlog", "forwarding", "rp_filter",
	} {
		if !seen[name] {
			t.Errorf("nothing is said about %s", name)
		}
	}
}

const examineVariable = "LINKTAPE_TEST_EXAMINE"

// Without privileges that is what is said, and what can be looked at is.
func TestExamineUnprivileged(t *testing.T) {
	if os.Getenv(examineVariable) != "" { // the child
		e, err := Examine()
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, e.Err(), "links cannot be built: privileges for linkup up, replay: make a network namespace: operation not permitted: sudo linkup …")
		if len(e.Findings) < 10 {
			t.Errorf("%d findings", len(e.Findings))
		}
		return
	}
	privtest.Require(t)
	child := exec.Command("/proc/self/exe", "-test.run=^TestExamineUnprivileged$")
	child.Env = append(os.Environ(), examineVariable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

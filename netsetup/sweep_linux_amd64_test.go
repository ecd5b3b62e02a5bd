package netsetup

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sweepCase is a topology whose builder is killed everywhere.
type sweepCase struct {
	name     string
	features []string // what it needs of the kernel
	topology func(t testing.TB) *Topology

	// surround builds what the topology finds on the machine, such as devices
	// that it moves; it goes with the test. Nil: nothing.
	surround func(t testing.TB)

	whole bool // in whole sweeps only
}

var sweepCases = []sweepCase{
	{name: "tbf", features: []string{"ifb", "tbf"}, topology: func(testing.TB) *Topology { return links("a") }},
	{name: "htb", whole: true, features: []string{"ifb", "htb"}, topology: func(testing.TB) *Topology {
		t := links("a")
		t.Links[0].Shaper = ShaperHTB
		return t
	}},
	{name: "ends", features: []string{"ifb", "tbf"}, surround: func(t testing.TB) {
		theirNamespace(t, "theirs")
	}, topology: func(testing.TB) *Topology {
		t := links("a")
		t.Sender = End{Namespace: "theirs"}
		t.Receiver = End{Host: true}
		return t
	}},
	{name: "cable", features: []string{"ifb", "tbf"}, surround: func(t testing.TB) {
		cable(t, "dut")
		eventually(t, "addresses settle", func() bool { return !strings.Contains(command(t, "ip addr"), "tentative") })
	}, topology: func(testing.TB) *Topology {
		t := links("a")
		t.Links[0].Sender = LinkEnd{Interface: "cable0"}
		return t
	}},
	{name: "edt", features: []string{"ifb", "tbf", featureEDT}, topology: func(testing.TB) *Topology {
		t := links("a")
		t.Links[0].UseShaper(ShaperEDT)
		return t
	}},
	{name: "path", features: []string{"ifb", "tbf", "netem"}, topology: func(testing.TB) *Topology {
		t := &Topology{Links: []Link{DefaultLink("a")}}
		t.Links[0].Path, t.Links[0].Delay = PathNetem, 20*time.Millisecond
		return t
	}},
}

const (
	sweepVariable = "LINKTAPE_TEST_SWEEP"
	sweepRun      = "sweep"

	// sweepsVariable asks for so many whole sweeps; see "make sweep".
	sweepsVariable = "LINKTAPE_SWEEPS"
	sweepStride    = 17 // otherwise: one in so many of the calls that shape nothing
)

// A process that builds a run, or takes it down, is killed before each of its
// system calls that changes anything. Whatever it leaves, Status can look at
// it, and Down leaves the machine as it was before.
//
// The calls that make names, namespaces, mounts and locks all take part, of the
// others, which change the inside of a namespace of the run, every 17th; with
// -short one in ten of all these, in a lab one in 25. LINKTAPE_SWEEPS asks for whole sweeps.
func TestKillSweep(t *testing.T) {
	if at := os.Getenv(sweepVariable); at != "" { // the child
		sweepChild(t, at)
		return
	}
	privtest.Require(t)
	rounds, stride, step := 1, sweepStride, 1
	switch {
	case privtest.Promised("lab"):
		step = 25 // starting a program takes the lab long
	case testing.Short():
		step = 10
	}
	if asked := os.Getenv(sweepsVariable); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q: want a number of sweeps", sweepsVariable, asked)
		}
		rounds, stride, step = n, 1, 1
	}
	for _, c := range sweepCases {
		t.Run(c.name, func(t *testing.T) {
			privtest.Require(t, c.features...)
			if c.whole && stride > 1 {
				t.Skipf("part of the whole sweeps only: set %s", sweepsVariable)
			}
			if c.surround != nil {
				c.surround(t)
			}
			unchanged(t)
			before := machine(t)
			for range rounds {
				for _, what := range []string{"up", "down"} {
					kills := sweep(t, c, what, stride, step, before)
					t.Logf("%s: killed before each of %d system calls", what, kills)
					if min := map[string]int{"up": 30, "down": 10}[what] / step; kills < min {
						t.Errorf("%s: killed %d times only: want %d at least", what, kills, min)
					}
				}
			}
		})
	}
}

// sweep kills until the child gets to its end, and returns how often.
func sweep(t *testing.T, c sweepCase, what string, stride, step int, before string) (kills int) {
	for nth := 1; ; nth += step {
		if what == "down" {
			if err := Up(t.Context(), newPlan(t, sweepRun, c.topology(t)), nil); err != nil {
				t.Fatal(err)
			}
		}
		child := exec.Command("/proc/self/exe", "-test.run=^TestKillSweep$")
		child.Env = append(os.Environ(), sweepVariable+"="+what+" "+c.name)
		var out strings.Builder
		child.Stdout, child.Stderr = &out, &out
		seen, idle, begun := 0, 0, false
		end := traced(t, child, func(call systemCall) bool {
			// Both begin with the folder of the runs or their lock.
			begun = begun || call.shapes() && call.number != unix.SYS_UNSHARE
			if !begun || !call.changes() {
				return false
			}
			if !call.shapes() {
				if idle++; idle%stride != 0 {
					return false
				}
			}
			seen++
			return seen == nth
		})
		switch {
		case end.Signaled() && end.Signal() == unix.SIGKILL && seen >= nth:
			kills++
		case end.Exited() && end.ExitStatus() == 0 && seen < nth: // it got to its end
			if what == "up" {
				if s := status(t, sweepRun); !s.Complete || len(s.Differences) > 0 {
					t.Errorf("not killed: %+v", s)
				}
			}
		default:
			t.Fatalf("%s, system call %d: the child ended with %#x\n%s", what, nth, end, out.String())
		}
		recorded := true
		if _, err := Status(sweepRun); errors.Is(err, errNoRun) {
			recorded = false
		} else if err != nil {
			t.Errorf("%s, system call %d: status: %v", what, nth, err)
		}
		if err := Down(sweepRun, false); recorded && err != nil || !recorded && !errors.Is(err, errNoRun) {
			t.Errorf("%s, system call %d: down: %v", what, nth, err)
		}
		if d := unlike(t, before); d != "" {
			t.Fatalf("%s, system call %d (-before +after)\n%s", what, nth, d)
		}
		if seen < nth {
			return kills
		}
	}
}

// unlike says how the machine differs from what it was. The kernel notices late
// that a device has its carrier again (net/core/link_watch.c: once a second),
// so a difference must last.
func unlike(t *testing.T, before string) (diff string) {
	t.Helper()
	for range 30 {
		if diff = cmp.Diff(before, machine(t)); diff == "" {
			break
		}
		command(t, "sleep 0.1") // virtual time stands still while we only look
	}
	return diff
}

func sweepChild(t *testing.T, at string) {
	what, name, _ := strings.Cut(at, " ")
	var err error
	for _, c := range sweepCases {
		switch {
		case c.name != name:
		case what == "up":
			err = Up(t.Context(), newPlan(t, sweepRun, c.topology(t)), nil)
		case what == "down":
			err = Down(sweepRun, false)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

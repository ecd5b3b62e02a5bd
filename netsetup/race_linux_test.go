package netsetup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"linktape/internal/privtest"

	"golang.org/x/sys/unix"
)

const raceVariable = "LINKTAPE_TEST_RACE"

// shell is a process that builds and removes runs when it is told to.
type shell struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// shells starts processes; each ends with the test.
func shells(t testing.TB, n int) []*shell {
	t.Helper()
	var out []*shell
	for range n {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestRace$")
		cmd.Env = append(os.Environ(), raceVariable+"=1")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		answers, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			io.Copy(io.Discard, answers)
			if err := cmd.Wait(); err != nil {
				t.Errorf("a shell: %v", err)
			}
		})
		out = append(out, &shell{t, in, bufio.NewReader(answers)})
	}
	return out
}

// serve is the process: a command a line, an answer each.
func serve(t *testing.T) {
	f, _, err := Probe() // once, so that it does not keep the shells apart
	if err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, run, _ := strings.Cut(in.Text(), " ")
		var err error
		switch verb {
		case "up":
			var p *Plan
			if p, err = NewPlan(run, links("a"), f); err == nil {
				err = Up(t.Context(), p, nil)
			}
		case "down":
			err = Down(run, false)
		}
		fmt.Printf("%v\n", err)
	}
}

// atOnce tells each shell a command and returns the answers.
func atOnce(shells []*shell, command func(i int) string) []string {
	for i, s := range shells {
		if _, err := fmt.Fprintln(s.in, command(i)); err != nil {
			s.t.Fatal(err)
		}
	}
	answers := make([]string, len(shells))
	for i, s := range shells {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		answers[i] = strings.TrimSuffix(line, "\n")
	}
	return answers
}

// Two processes at once: of one name, one wins and the other is told; of two
// names, both do their work.
func TestRace(t *testing.T) {
	if os.Getenv(raceVariable) != "" {
		serve(t)
		os.Exit(0) // without a word of the test
	}
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	two := shells(t, 2)
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		won := -1
		for i, answer := range atOnce(two, func(int) string { return "up race" }) {
			switch {
			case answer == "<nil>" && won < 0:
				won = i
			case strings.HasPrefix(answer, "run race exists: "), strings.HasPrefix(answer, "run race is in use by another linkup or replay"):
			default:
				t.Errorf("up of the same name: %s", answer)
			}
		}
		if won < 0 {
			t.Fatal("no one built the run")
		}
		if s := status(t, "race"); !s.Complete || len(s.Differences) > 0 {
			t.Errorf("after the race: %+v", s)
		}
		gone := 0
		for _, answer := range atOnce(two, func(int) string { return "down race" }) {
			switch {
			case answer == "<nil>":
				gone++
			case strings.HasPrefix(answer, "there is no run race"), strings.HasPrefix(answer, "run race is in use by another linkup or replay"):
			default:
				t.Errorf("down of the same name: %s", answer)
			}
		}
		if gone != 1 {
			t.Errorf("%d took the run down", gone)
		}
	}
	for range rounds {
		for unix.Unmount(namespaceDir, unix.MNT_DETACH) == nil { // as after a boot
		}
		name := func(verb string) func(int) string {
			return func(i int) string { return fmt.Sprintf("%s race%d", verb, i) }
		}
		for _, answer := range atOnce(two, name("up")) {
			if answer != "<nil>" {
				t.Errorf("up of two names: %s", answer)
			}
		}
		for i := range two {
			if s := status(t, fmt.Sprintf("race%d", i)); !s.Complete || len(s.Differences) > 0 {
				t.Errorf("%+v", s)
			}
		}
		// One comes, one goes: the last run's folder with it.
		if answer := atOnce(two[:1], name("down")); answer[0] != "<nil>" {
			t.Error(answer)
		}
		for _, answer := range atOnce(two, func(i int) string { return []string{"up race0", "down race1"}[i] }) {
			if answer != "<nil>" {
				t.Errorf("one up, one down: %s", answer)
			}
		}
		if answer := atOnce(two[:1], name("down")); answer[0] != "<nil>" {
			t.Error(answer)
		}
	}
}

// Many at once make the folder of namespaces one mount point, not a stack of
// them.
func TestPrepareNamespaceDirAtOnce(t *testing.T) {
	privtest.Require(t)
	unchanged(t)
	for range 30 {
		for unix.Unmount(namespaceDir, unix.MNT_DETACH) == nil {
		}
		var wait sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			wait.Go(func() {
				<-start
				if err := prepareNamespaceDir(); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wait.Wait()
		if n := strings.Count(command(t, "cat /proc/self/mounts"), " "+namespaceDir+" "); n != 1 {
			t.Fatalf("mounted %d times, want once", n)
		}
	}
}

package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trial/stack"
)

func TestParsePorts(t *testing.T) {
	got := make(map[int]bool)
	parsePorts(`   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  158: 06004D0A:1F40 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1234 2 0000000000000000 0
  236: 00000000000000000000000000000000:1B58 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0000000000000000 0
no such line
`, got)
	if diff := cmp.Diff(map[int]bool{8000: true, 7000: true}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// begin starts a shell script in place of a side; what it prints is collected.
func begin(t *testing.T, script string) (p *process, lines *[]string, log string) {
	t.Helper()
	log = t.TempDir()
	lines = new([]string)
	// The words before the command are where a run and its part are named.
	inside := []string{"/bin/sh", "-c", `shift 3; exec "$@"`, "inside"}
	p, err := startProcess(inside, "run", "part", stack.Sender, stack.Command{Argv: []string{"sh", "-c", script}, Env: []string{"WHO=you"}}, log, func(s stack.Stream, b []byte) {
		*lines = append(*lines, string(s)+": "+string(b))
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, lines, log
}

func TestProcessOutput(t *testing.T) {
	p, lines, log := begin(t, `echo hello $WHO; printf 'no end'; exit 4`)
	<-p.done
	if diff := cmp.Diff([]string{"stdout: hello you", "stdout: no end"}, *lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(filepath.Join(log, "sender.stdout"))
	if err != nil || string(data) != "hello you\nno end" {
		t.Errorf("got %q, %v", data, err)
	}
	if got := p.ended().Error(); !strings.Contains(got, "the sender stopped before the trial's end (exit status 4): sh -c") || !strings.Contains(got, "it said:\n  hello you\n  no end") {
		t.Errorf("got %s", got)
	}
	if p.stop() {
		t.Error("a process that had ended was killed")
	}
}

// A process ends at an interrupt, with what it has started.
func TestProcessStops(t *testing.T) {
	p, _, _ := begin(t, `sleep 1000 & echo $!; trap 'exit 0' INT; wait`)
	for p.said() == "it said nothing" {
		time.Sleep(time.Millisecond)
	}
	if p.stop() {
		t.Error("it had to be killed")
	}
	pid := strings.TrimSpace(strings.TrimPrefix(p.said(), "it said:\n"))
	for range 1000 { // it is on its way
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("process %s, which it started, lives", pid)
}

// One that does not listen is killed.
func TestProcessIsKilled(t *testing.T) {
	p, _, _ := begin(t, `trap '' INT; echo deaf; while :; do sleep 1000; done`)
	for p.said() == "it said nothing" {
		time.Sleep(time.Millisecond)
	}
	if !p.stop() {
		t.Error("it ended at the interrupt, which it ignores")
	}
}

func TestCrossDue(t *testing.T) {
	const packet = crossIPPayload * 8 * time.Second / 1_142_400 // 10 ms
	steady := Cross{Rate: 1_142_400 * trace.BitPerSecond}
	bursts := Cross{Rate: steady.Rate, On: 100 * time.Millisecond, Off: 250 * time.Millisecond}
	for _, c := range []struct {
		x    *Cross
		n    uint64
		want time.Duration
	}{
		{&steady, 0, 0}, {&steady, 25, 25 * packet},
		{&bursts, 9, 9 * packet}, {&bursts, 10, 350 * time.Millisecond}, {&bursts, 25, 750 * time.Millisecond},
	} {
		if got := c.x.due(c.n); got != c.want {
			t.Errorf("%+v, datagram %d: got %v, want %v", c.x, c.n, got, c.want)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

// build makes a run with link a, and removes it at the end.
func build(t *testing.T, name string, shaper netsetup.ShaperKind) {
	t.Helper()
	privtest.Require(t, "ifb", "tbf", "htb")
	link := netsetup.DefaultLink("a")
	link.Shaper = shaper
	features, _, err := netsetup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := netsetup.NewPlan(name, &netsetup.Topology{Links: []netsetup.Link{link}}, features)
	if err != nil {
		t.Fatal(err)
	}
	if err := netsetup.Up(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netsetup.Down(name, true); err != nil {
			t.Error(err)
		}
	})
}

// rates are what the kernel has of link a, up and down.
func rates(t *testing.T, name string) [2]trace.BitRate {
	t.Helper()
	s, err := netsetup.Status(name)
	if err != nil {
		t.Fatal(err)
	}
	return [2]trace.BitRate{s.Links[0].Up.Rate, s.Links[0].Down.Rate}
}

// summary reads what --json printed.
func summary(t testing.TB, text string) *replay.Summary {
	t.Helper()
	s := new(replay.Summary)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return s
}

// underway waits until a replay changes a run's links.
func underway(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(netsetup.StateDir, name+".json")
	for range 10_000 {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), `"replaying": true`) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the replay does not begin")
}

func TestReplayOnLinks(t *testing.T) {
	tape, tl := shortTape(t)
	for _, shaper := range []netsetup.ShaperKind{netsetup.ShaperTBF, netsetup.ShaperHTB} {
		t.Run(string(shaper), func(t *testing.T) {
			name := "replay-" + string(shaper)
			build(t, name, shaper)
			before := rates(t, name)

			// To the end, with the applied log.
			out := t.TempDir()
			stdout, stderr, err := invoke(t.Context(), "run", "--on", name, "--json", "--out", out, tape)
			if err != nil {
				t.Fatal(err)
			}
			s := summary(t, stdout)
			if s.Tape != tl.Hash() || s.Steps != 40 || s.Stopped || s.Played != 2*time.Second || s.Left != "keep" || stderr != "" {
				t.Errorf("got %+v, standard error %q", s, stderr)
			}
			if got, want := rates(t, name), [2]trace.BitRate{21 * trace.Mbit, 20 * trace.Mbit}; got != want {
				t.Errorf("got rates %v, want %v", got, want)
			}
			rows, err := parquet.ReadFile[replay.LogRow](filepath.Join(out, replay.LogFile))
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) != 40 {
				t.Fatalf("got %d rows, want 40", len(rows))
			}
			for i, r := range rows {
				want := tl.Steps[i]
				if r.Due != int64(want.At) || r.Rate != int64(want.Rate) || r.Link != "a" || r.Dir != want.Dir.String() || r.Label != want.Label {
					t.Errorf("row %d: got %+v, want %+v", i, r, want)
				}
				if r.Sent < r.Due || r.Acked < r.Sent || r.Messages == 0 || r.Closed != (want.Rate == 0) {
					t.Errorf("row %d: got %+v", i, r)
				}
			}
			var filed replay.Summary
			data, err := os.ReadFile(filepath.Join(out, replay.SummaryFile))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &filed); err != nil || filed.Epoch != s.Epoch || filed.Steps != 40 {
				t.Errorf("got summary %+v, %v", filed, err)
			}

			// A bound that no machine holds; the links are restored.
			_, _, err = invoke(t.Context(), "run", "--on", name, "--restore", "--duration", "150ms", "--max-lateness", "1ns", tape)
			if cli.Status(err) != cli.ExitBounds || !strings.Contains(err.Error(), "late, more than --max-lateness 1ns") {
				t.Errorf("got error %v, want exit status 3", err)
			}
			if got, want := rates(t, name), [2]trace.BitRate{21 * trace.Mbit, 20 * trace.Mbit}; got != want {
				t.Errorf("restored: got rates %v, want %v", got, want)
			}
			if _, _, err = invoke(t.Context(), "run", "--on", name, "--neutral", "--from", "1.0s", "--duration", "10ms", tape); err != nil {
				t.Error(err)
			}
			if got := rates(t, name); got != before {
				t.Errorf("neutral: got rates %v, want %v", got, before)
			}
		})
	}
}

// While a replay runs in a loop, no one else may change the links; a signal
// ends it.
func TestReplayInALoop(t *testing.T) {
	const name = "replay-loop"
	tape, _ := shortTape(t)
	build(t, name, netsetup.ShaperTBF)
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		stdout string
		err    error
	}
	done := make(chan result)
	go func() {
		stdout, _, err := invoke(ctx, "run", "--on", name, "--loop", "--from", "300ms", "--duration", "200ms", "--json", tape)
		done <- result{stdout, err}
	}()
	underway(t, name)
	const inUse = "in use by another linkup or replay"
	if _, _, err := invoke(t.Context(), "run", "--on", name, tape); err == nil || !strings.Contains(err.Error(), inUse) {
		t.Errorf("a second replay: got error %v", err)
	}
	for _, kill := range []bool{false, true} {
		if err := netsetup.Down(name, kill); err == nil || !strings.Contains(err.Error(), inUse) {
			t.Errorf("linkup down, kill %v: got error %v", kill, err)
		}
	}
	time.AfterFunc(700*time.Millisecond, cancel)
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	if s := summary(t, r.stdout); !s.Stopped || s.Loops < 2 || s.Loops != 1+int((s.Played-1)/(200*time.Millisecond)) {
		t.Errorf("got %+v", s)
	}
	got := rates(t, name)
	if got != [2]trace.BitRate{5 * trace.Mbit, 4 * trace.Mbit} && got != [2]trace.BitRate{6 * trace.Mbit, 5 * trace.Mbit} {
		t.Errorf("left with rates %v, want those of one of the two steps", got)
	}
	// The lock is free again.
	if _, _, err := invoke(t.Context(), "run", "--on", name, "--duration", "10ms", tape); err != nil {
		t.Error(err)
	}
}

// A tape with duplicates is played where the kernel can duplicate, and refused
// where it cannot, before anything is changed.
func TestReplayDuplicates(t *testing.T) {
	privtest.Require(t, "netem")
	const name = "replay-double"
	build(t, name, netsetup.ShaperTBF)
	before := rates(t, name)
	tl := &trace.Timeline{Meta: trace.Meta{
		Duration: 200 * time.Millisecond, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}},
	}}
	for i, p := range []trace.Prob{0, 0.25} {
		tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * 100 * time.Millisecond, Link: "a", Dir: trace.Up,
			State: trace.State{Rate: 3 * trace.Mbit, Duplicate: p, Carrier: true}})
	}
	tape := filepath.Join(t.TempDir(), "double.tape")
	if err := trace.WriteFile(tape, tl); err != nil {
		t.Fatal(err)
	}
	features, _, err := netsetup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = invoke(t.Context(), "run", "--on", name, tape)
	if !features.NetemDuplicate {
		const want = "the tape has duplicates on a.up at 100ms: not supported by this kernel: "
		if cli.Status(err) != 1 || !strings.HasPrefix(fmt.Sprint(err), want) || !strings.Contains(err.Error(), "--rates-only") {
			t.Errorf("got error %v, want %q", err, want)
		}
		if got := rates(t, name); got != before {
			t.Errorf("the links were changed to %v", got)
		}
		_, stderr, err := invoke(t.Context(), "run", "--on", name, "--rates-only", tape)
		if err != nil || stderr != "" {
			t.Errorf("rates only: got error %v, standard error %q", err, stderr)
		}
	} else if err != nil {
		t.Error(err)
	}
	if got := rates(t, name)[0]; got != 3*trace.Mbit {
		t.Errorf("played: got rate %v, want 3 Mbit/s", got)
	}
	out, err := exec.Command("tc", "-n", netsetup.Namespace(name, "a"), "qdisc", "show", "dev", "r0").CombinedOutput()
	if got := strings.Contains(string(out), "duplicate 25%"); err != nil || got != features.NetemDuplicate {
		t.Errorf("got %v, %s, want duplicate 25%%: %v", err, out, features.NetemDuplicate)
	}
}

// What goes wrong, what is said, and what the links are left in.
func TestReplayFaults(t *testing.T) {
	const name = "replay-faults"
	tape, _ := shortTape(t)
	build(t, name, netsetup.ShaperTBF)
	before := rates(t, name)
	short := []string{"run", "--on", name, "--duration", "150ms"}
	unused := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(unused, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"window", []string{"--from", "2s"}, "the tape lasts 2s"},
		{"out is a file", []string{"--out", unused}, "not a directory"},
	} {
		_, _, err := invoke(t.Context(), append(append(short, c.args...), tape)...)
		if cli.Status(err) != 1 || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.want)
		}
		if got := rates(t, name); got != before {
			t.Errorf("%s: the links were changed to %v", c.name, got)
		}
	}

	// A disk that is full at the start: nothing is changed.
	before = rates(t, name)
	out := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(out, replay.LogFile)); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := invoke(t.Context(), append(append(short, "--json", "--out", out), tape)...)
	if cli.Status(err) != 1 || !strings.Contains(fmt.Sprint(err), "record the replay: write ") || stdout != "" {
		t.Errorf("full disk: got error %v, standard output %q", err, stdout)
	}
	if got := rates(t, name); got != before {
		t.Errorf("full disk: the links were changed to %v", got)
	}

	// A killed replay leaves the lock free, and what was before it unknown.
	c := exec.Command(testBinary(t))
	c.Args = append([]string{"replay", "run", "--on", name, "--loop"}, tape)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	underway(t, name)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	_, stderr, err := invoke(t.Context(), append(append(short, "--restore"), tape)...)
	if err != nil || !strings.Contains(stderr, "the replay before this one was killed") {
		t.Errorf("after a kill: got error %v, standard error %q", err, stderr)
	}
	_, stderr, err = invoke(t.Context(), append(append(short, "--restore"), tape)...)
	if err != nil || stderr != "" {
		t.Errorf("after a replay that ended: got error %v, standard error %q", err, stderr)
	}

	// A reader of the summary that has gone: the links are settled before.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c = exec.Command(testBinary(t))
	c.Args = append(append([]string{"replay"}, short...), "--neutral", tape)
	c.Stdout = w
	r.Close()
	err = c.Run()
	w.Close()
	if err == nil {
		t.Error("closed standard output: exit status 0")
	}
	if got := rates(t, name); got != before {
		t.Errorf("closed standard output: got rates %v, want %v", got, before)
	}

	// The bottleneck vanishes in the middle.
	c = exec.Command(testBinary(t))
	c.Args = append([]string{"replay", "run", "--on", name, "--loop"}, tape)
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	underway(t, name)
	if out, err := exec.Command("ip", "-n", netsetup.Namespace(name, "a"), "link", "del", "ifb-up").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
		c.Process.Signal(syscall.SIGTERM)
	}
	text, _ := io.ReadAll(pipe)
	err = c.Wait()
	if c.ProcessState.ExitCode() != 1 || !strings.Contains(string(text), "the links are left as they are") || !strings.Contains(string(text), "set a.") {
		t.Errorf("vanished device: got %v, %q", err, text)
	}
	t.Logf("%s", text)
	_, _, err = invoke(t.Context(), append(short, tape)...)
	if err == nil || !strings.Contains(err.Error(), "see linkup status "+name) {
		t.Errorf("a replay on a damaged run: got error %v", err)
	}
}

func testBinary(t *testing.T) string {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

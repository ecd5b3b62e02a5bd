package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/replay/report"
	"linktape/trace"
)

// denseTape writes a tape of link a, whose directions change every few
// milliseconds.
func denseTape(t *testing.T, duration, step time.Duration) (file string) {
	t.Helper()
	tl := &trace.Timeline{Meta: trace.Meta{Duration: duration, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true, Down: true}}}}
	for at := time.Duration(0); at < duration; at += step {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			s := trace.State{Rate: trace.BitRate(2+at/step%7) * trace.Mbit, Carrier: true}
			tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: d, State: s})
		}
	}
	file = filepath.Join(t.TempDir(), "dense.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	return file
}

// floodTo is the environment variable that makes the test binary a sender: the
// address that it sends to until it is killed.
const floodTo = "LINKTAPE_TEST_FLOOD"

// TestFlood is no test of its own: flood runs it in a sender's namespace.
func TestFlood(t *testing.T) {
	to := os.Getenv(floodTo)
	if to == "" {
		t.Skip("it is a part of other tests")
	}
	c, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1000)
	tick := time.NewTicker(time.Millisecond)
	for range tick.C { // 24 Mbit/s
		for range 3 {
			c.Write(packet) // an unreachable port is no matter
		}
	}
}

// flood sends packets up link a until the test ends, more than it lets through.
func flood(t *testing.T, name string) {
	t.Helper()
	floodFrom(t, name, netsetup.SenderEnd)
}

// floodFrom does from either end.
func floodFrom(t *testing.T, name, end string) {
	t.Helper()
	s, err := netsetup.Status(name)
	if err != nil {
		t.Fatal(err)
	}
	to := s.Links[0].ReceiverAddr[0]
	if end == netsetup.ReceiverEnd {
		to = s.Links[0].SenderAddr[0]
	}
	c := exec.Command("ip", "netns", "exec", netsetup.Namespace(name, end), testBinary(t), "-test.run=^TestFlood$")
	c.Env = append(os.Environ(), floodTo+"="+net.JoinHostPort(to, "9"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
}

// The log, the counters and what was read back of a replay under load agree with
// each other and with the tape.
func TestRecordingOnLinks(t *testing.T) {
	for _, shaper := range []netsetup.ShaperKind{netsetup.ShaperTBF, netsetup.ShaperHTB} {
		t.Run(string(shaper), func(t *testing.T) {
			name := "record-" + string(shaper)
			build(t, name, shaper)
			tape := denseTape(t, 2*time.Second, 10*time.Millisecond)
			flood(t, name)
			out := filepath.Join(t.TempDir(), "out")
			stdout, stderr, err := invoke(t.Context(), "run", "--on", name, "--json", "--out", out, "--counters", "20ms", "--read-back", "50/s", tape)
			if err != nil || stderr != "" {
				t.Fatal(err, stderr)
			}
			s := summary(t, stdout)
			least := int64(1) // where other work may keep the processors
			if privtest.Promised("lab") {
				least = 50
			}
			if b := s.ReadBack; b == nil || b.Differ != 0 || b.Same < least || b.Same+b.Changing != b.Readings {
				t.Errorf("read back: %+v", b)
			}
			if m := s.Metering; m == nil || m.Samples < least || m.Lost != 0 || m.Took.Max == 0 {
				t.Errorf("metering: %+v", m)
			}
			t.Logf("%+v", *s.Metering)
			rows, err := replay.ReadCounters(filepath.Join(out, replay.CountersFile))
			if err != nil {
				t.Fatal(err)
			}
			var up []replay.CounterRow
			for _, r := range rows {
				if r.Dir == "up" {
					up = append(up, r)
				}
			}
			for i, r := range up[1:] {
				if b := up[i]; r.At <= b.At || r.Bytes < b.Bytes || r.Packets < b.Packets || r.QueueDrops < b.QueueDrops {
					t.Errorf("row %d: %+v after %+v", i+1, r, b)
				}
			}
			last := up[len(up)-1]
			l := s.Links[1]
			if l.Dir != "up" || l.DeliveredBytes == 0 || privtest.Promised("lab") && l.Drops == 0 || last.PathDrops+last.OutageDrops != 0 || last.Backlog == 0 || last.QueueDelay <= 0 {
				t.Errorf("got %+v, last row %+v", l, last)
			}
			// The two were read at the ends of the replay, some 50 ms apart at most.
			if d := last.Bytes - l.DeliveredBytes; d < -100_000 || d > 100_000 {
				t.Errorf("delivered: %d by the counters, %d by the loop", last.Bytes, l.DeliveredBytes)
			}

			// The report says what the counters say, and another replay applies the same.
			figures, _, err := invoke(t.Context(), "report", "--json", out)
			if err != nil {
				t.Fatal(err)
			}
			var r report.Report
			if err := json.Unmarshal([]byte(figures), &r); err != nil {
				t.Fatal(err)
			}
			if d := r.Directions[1]; !r.Complete || r.Steps != 400 || d.DeliveredBytes != last.Bytes || d.QueueDrops != last.QueueDrops || d.TapeBytes != l.TapeBytes || d.QueueDelay.Max == 0 {
				t.Errorf("the report has %d steps, %+v", r.Steps, l)
			}
			if _, _, err := invoke(t.Context(), "report", out); err != nil {
				t.Error(err)
			}
			again := filepath.Join(t.TempDir(), "again")
			if _, _, err := invoke(t.Context(), "run", "--on", name, "--out", again, tape); err != nil {
				t.Fatal(err)
			}
			if table, _, err := invoke(t.Context(), "diff", "--tolerance", "1m", out, again); err != nil {
				t.Errorf("%v\n%s", err, table)
			}
		})
	}
}

// A replay that is killed leaves what was flushed of all three tables.
func TestKilledOnLinks(t *testing.T) {
	const name = "record-kill"
	build(t, name, netsetup.ShaperTBF)
	tape := denseTape(t, time.Second, 10*time.Millisecond)
	out := filepath.Join(t.TempDir(), "out")
	c := exec.Command(testBinary(t))
	c.Args = []string{"replay", "run", "--on", name, "--loop", "--out", out, "--counters", "10ms", "--read-back", "10ms", tape}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	read := func() (log []replay.LogRow, n [3]int) {
		log, err1 := replay.ReadLog(filepath.Join(out, replay.LogFile))
		counters, err2 := replay.ReadCounters(filepath.Join(out, replay.CountersFile))
		back, err3 := replay.ReadReadBack(filepath.Join(out, replay.ReadBackFile))
		if errors.Join(err1, err2, err3) != nil {
			return nil, [3]int{}
		}
		return log, [3]int{len(log), len(counters), len(back)}
	}
	var seen [3]int
	for range 3000 {
		if _, seen = read(); min(seen[0], seen[1], seen[2]) > 100 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	log, got := read()
	for i := range seen {
		if seen[i] <= 100 || got[i] < seen[i] {
			t.Errorf("table %d: %d rows before the kill, %d after it", i, seen[i], got[i])
		}
	}
	for i := range log[1:] {
		if log[i+1].Sent < log[i].Sent {
			t.Fatalf("row %d: %+v after %+v", i+1, log[i+1], log[i])
		}
	}
	page, _, err := invoke(t.Context(), "report", "-o", "-", out)
	if err != nil || !strings.Contains(page, "There is no summary: the replay was killed") {
		t.Errorf("the report does not say so: %v", err)
	}
}

// A disk that fills up in the middle: the replay is played to its end, what is
// wrong is said once, and what was flushed before is readable.
func TestDiskFillsUp(t *testing.T) {
	const name = "record-full"
	build(t, name, netsetup.ShaperTBF)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	tape := denseTape(t, 4*time.Second, time.Millisecond)
	stdout, stderr, err := invoke(t.Context(), "run", "--on", name, "--json", "--out", disk, tape)
	if cli.Status(err) != 1 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got error %v", err)
	}
	if n := strings.Count(stderr, "no space left on device; the replay goes on without it"); n != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("standard error: %q", stderr)
	}
	if s := summary(t, stdout); s.Steps != 8000 || s.Stopped || s.Left != "keep" {
		t.Errorf("got %+v", s)
	}
	rows, err := replay.ReadLog(filepath.Join(disk, replay.LogFile))
	if err != nil || privtest.Promised("lab") && len(rows) < 100 || len(rows) >= 8000 { // a late first flush may be larger than the disk
		t.Errorf("got %d rows, %v", len(rows), err)
	}
}

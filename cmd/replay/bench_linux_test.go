package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trace"
)

// BenchmarkManyLinks replays steps on every direction of many links, all at the
// same instants, for a minute, in a process of its own: how late they are, what
// of a processor that takes, and what memory. The figures are of the replay
// alone, from the start of the tape on; what the links deliver costs nothing,
// since nobody sends. Beside it cyclictest wakes up every millisecond on each
// processor, with a priority that the replay's thread does not hold up: how late
// that is tells the machine's own pauses from the replay's.
func BenchmarkManyLinks(b *testing.B) {
	privtest.Require(b, "ifb", "tbf", "real-time", "cyclictest")
	const step = 10 * time.Millisecond
	for _, c := range []struct {
		links, directions int
		length            time.Duration
	}{{16, 1, 10 * time.Second}, {16, 2, 10 * time.Second}, {netsetup.MaxLinks, 1, time.Minute}, {netsetup.MaxLinks, 2, time.Minute}} {
		b.Run(fmt.Sprintf("links=%d/directions=%d/steps=%d/s/for=%v", c.links, c.directions, time.Second/step, c.length), func(b *testing.B) {
			tape := manyLinks(b, c.links, c.directions, step, c.length)
			for b.Loop() {
				many(b, tape, c.length, int64(c.links*c.directions)*int64(c.length/step))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchRun is the run that benchmarks build.
const benchRun = "bench"

// manyLinks builds links until the benchmark's end, and writes a tape that
// changes every direction of them at every step.
func manyLinks(b testing.TB, links, directions int, step, length time.Duration) (tape string) {
	b.Helper()
	topology := new(netsetup.Topology)
	meta := trace.Meta{Duration: length, Generator: "benchmark 1"}
	for i := range links {
		l := netsetup.DefaultLink(fmt.Sprintf("l%03d", i))
		l.Path, l.Shaper = netsetup.PathNone, netsetup.ShaperTBF
		topology.Links = append(topology.Links, l)
		meta.Links = append(meta.Links, trace.Link{Name: l.Name, Up: true, Down: directions == 2})
	}
	tape = filepath.Join(b.TempDir(), "many.tape")
	w, err := trace.Create(tape, meta)
	if err != nil {
		b.Fatal(err)
	}
	for at := time.Duration(0); at < length; at += step {
		var steps []trace.Step
		for i, ld := range meta.Directions() {
			rate := trace.BitRate(5+(i+int(at/step))%7) * trace.Mbit
			steps = append(steps, trace.Step{At: at, Link: ld.Link, Dir: ld.Dir, State: trace.State{Rate: rate, Carrier: true}})
		}
		if err := w.Write(steps); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	features, _, err := netsetup.Probe()
	if err != nil {
		b.Fatal(err)
	}
	plan, err := netsetup.NewPlan(benchRun, topology, features)
	if err != nil {
		b.Fatal(err)
	}
	if err := netsetup.Up(b.Context(), plan, nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := netsetup.Down(benchRun, true); err != nil {
			b.Error(err)
		}
	})
	return tape
}

// many replays a tape once and reports.
func many(b *testing.B, tape string, length time.Duration, steps int64) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"replay", "run", "--on", benchRun, "--start-on", "stdin", "--json", tape}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stdin, err1 := cmd.StdinPipe()
	stderr, err2 := cmd.StderrPipe()
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	if line, err := said.ReadString('\n'); err != nil || !strings.Contains(line, "ready") {
		rest, _ := io.ReadAll(said)
		b.Fatalf("%v: %s%s", err, line, rest)
	}
	beside := exec.Command("cyclictest", "-q", "-m", "-a", "-t", "-p11", "-i1000", fmt.Sprintf("-D%d", int(length.Seconds())), "-h100000")
	var pauses bytes.Buffer
	beside.Stdout, beside.Stderr = &pauses, &pauses
	if err := beside.Start(); err != nil {
		b.Fatal(err)
	}
	cpu := processorTime(b, cmd.Process.Pid)
	if _, err := io.WriteString(stdin, "go\n"); err != nil {
		b.Fatal(err)
	}
	early := make(chan int64, 1)
	late := make(chan int64, 1)
	time.AfterFunc(length/4, func() { early <- resident(cmd.Process.Pid) })
	time.AfterFunc(length*19/20, func() { late <- resident(cmd.Process.Pid) })
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %s", err, rest)
	}
	if err := beside.Wait(); err != nil {
		b.Fatalf("%v: %s", err, pauses.String())
	}
	s := summary(b, stdout.String())
	if s.Steps != steps {
		b.Errorf("%d steps, want %d", s.Steps, steps)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu = time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) - cpu
	for _, m := range []struct {
		unit string
		d    time.Duration
	}{{"lateness-p50-µs", s.Lateness.P50}, {"lateness-p99-µs", s.Lateness.P99}, {"lateness-p99.9-µs", s.Lateness.P999}, {"lateness-max-µs", s.Lateness.Max},
		{"skew-p50-µs", s.Skew.P50}} {
		b.ReportMetric(float64(m.d)/1e3, m.unit)
	}
	machine := cyclicQuantiles(b, pauses.String())
	b.ReportMetric(machine[2], "cyclictest-p99.9-µs")
	b.ReportMetric(machine[3], "cyclictest-max-µs")
	b.ReportMetric(100*cpu.Seconds()/length.Seconds(), "%-of-a-processor")
	b.ReportMetric(float64(<-early)/(1<<20), "MiB-early")
	b.ReportMetric(float64(<-late)/(1<<20), "MiB-late")
	b.ReportMetric(float64(s.Missed), "missed")
	b.ReportMetric(s.LookAhead.Seconds(), "look-ahead-s")
	if len(rest) > 0 {
		b.Logf("%s", rest)
	}
}

// BenchmarkLateness takes turns between cyclictest, which does nothing when it
// wakes up, and a replay with the same period and priority on 16 links: how late
// each is, as the median of the turns' quantiles. The replay's wake-up is that of
// the first step of an instant; the lateness of all steps includes the exchanges
// with the kernel of those before them.
func BenchmarkLateness(b *testing.B) {
	privtest.Require(b, "ifb", "tbf", "real-time", "cyclictest")
	const (
		step   = 10 * time.Millisecond
		length = 5 * time.Second
		links  = 16
	)
	tape := manyLinks(b, links, 1, step, length)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var cycles, wake, steps [4][]float64 // by quantile, in µs, a turn each
	for b.Loop() {
		for range 5 {
			out, err := exec.Command("cyclictest", "-q", "-m", "-t1", "-p10", fmt.Sprintf("-i%d", step.Microseconds()),
				fmt.Sprintf("-l%d", length/step), "-h100000").CombinedOutput()
			if err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			for i, v := range cyclicQuantiles(b, string(out)) {
				cycles[i] = append(cycles[i], v)
			}
			cmd := exec.Command(self)
			cmd.Args = []string{"replay", "run", "--on", benchRun, "--json", tape}
			if out, err = cmd.Output(); err != nil {
				b.Fatal(err)
			}
			s := summary(b, string(out))
			for i, d := range []time.Duration{s.Lateness.P50, s.Lateness.P99, s.Lateness.P999, s.Lateness.Max} {
				steps[i] = append(steps[i], float64(d)/1e3)
			}
			for i, d := range []time.Duration{s.Wake.P50, s.Wake.P99, s.Wake.P999, s.Wake.Max} {
				wake[i] = append(wake[i], float64(d)/1e3)
			}
		}
	}
	for i, q := range []string{"p50", "p99", "p99.9", "max"} {
		b.ReportMetric(middle(cycles[i]), "cyclictest-"+q+"-µs")
		b.ReportMetric(middle(wake[i]), "wake-"+q+"-µs")
		b.ReportMetric(middle(steps[i]), "steps-"+q+"-µs")
	}
	b.ReportMetric(0, "ns/op")
}

func middle(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// cyclicQuantiles reads the histogram that cyclictest prints, a column for each of
// its threads, which are counted together: p50, p99, p99.9 and the largest, in µs.
func cyclicQuantiles(b *testing.B, text string) (q [4]float64) {
	b.Helper()
	type bin struct{ us, n float64 }
	var bins []bin
	total := 0.0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var x bin
		for i, field := range strings.Fields(line) {
			n, err := strconv.ParseFloat(field, 64)
			switch {
			case err != nil:
				b.Fatalf("histogram %q: %v", line, err)
			case i == 0:
				x.us = n
			default:
				x.n += n
			}
		}
		bins, total = append(bins, x), total+x.n
	}
	if total == 0 {
		b.Fatalf("no histogram in %q", text)
	}
	seen := 0.0
	for _, x := range bins {
		if x.n == 0 {
			continue
		}
		for i, share := range []float64{0.5, 0.99, 0.999} {
			if seen <= share*total {
				q[i] = x.us
			}
		}
		seen += x.n
		q[3] = x.us
	}
	return q
}

// processorTime is what a process has used so far (proc_pid_stat(5): utime,
// stime, in ticks of 10 ms).
func processorTime(b *testing.B, pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory that a process has, in bytes; 0 where it has gone.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}

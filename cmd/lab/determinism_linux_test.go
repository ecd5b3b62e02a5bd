package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/lab"
	"linktape/internal/privtest"
	"linktape/replay"
)

// inLab runs this test binary in a role, in a lab, in a fresh directory that it
// may write to, and returns the directory and what it printed.
func inLab(t *testing.T, args ...string) (dir, stdout string) {
	t.Helper()
	return inLabAt(t, lab.Virtual, args...)
}

// inLabAt is inLab with the kind of time.
func inLabAt(t *testing.T, kind lab.Time, args ...string) (dir, stdout string) {
	t.Helper()
	dir, stdout, r := labOf(t, kind, args...)
	t.Logf("%v: %v in the lab, %v on the host", args, r.Elapsed.Round(time.Microsecond), r.Wall.Round(time.Millisecond))
	return dir, stdout
}

// labOf also returns what the run was like.
func labOf(t testing.TB, kind lab.Time, args ...string) (dir, stdout string, r *lab.Result) {
	t.Helper()
	privtest.RequireUser(t, "lab-kernel")
	kernel := os.Getenv("LINKTAPE_LAB_KERNEL")
	if kernel == "" {
		var err error
		if kernel, err = lab.KernelPath(); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if r, err = lab.Run(t.Context(), lab.Options{
		Kernel: kernel, Time: kind, Argv: append([]string{self}, args...), Dir: dir, Writable: []string{dir}, Seed: lab.DefaultSeed,
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}, Stdout: &out, Stderr: &errs,
	}); err != nil {
		t.Fatal(err)
	}
	if r.Status() != 0 {
		t.Fatalf("%v: exit status %d:\n%s", args, r.Status(), errs.String())
	}
	return dir, out.String(), r
}

var runs = flag.Int("runs", 3, "runs of each experiment that are compared")

// Every run of an experiment leaves the same bytes: captures, logs, reports.
func TestSameEveryTime(t *testing.T) {
	for _, e := range experiments() {
		t.Run(e.name, func(t *testing.T) {
			privtest.RequireUser(t, append([]string{"lab-kernel", "tcpdump"}, e.needs...)...)
			var first results
			for n := range *runs {
				dir, _ := inLab(t, "experiment", e.name)
				got := resultsIn(t, dir)
				if n > 0 {
					if d := cmp.Diff(first, got); d != "" {
						t.Fatalf("run %d: SHA-256 of files (-run 1 +run %d)\n%s", n+1, n+1, d)
					}
					continue
				}
				first = got
				if e.check != nil {
					e.check(t, dir)
				}
			}
			t.Logf("%d runs: SHA-256 %s over %d captures, %s over these and %d other files", *runs,
				first.sum(func(name string) bool { return filepath.Ext(name) == ".pcap" }), first.captures(),
				first.sum(func(string) bool { return true }), len(first)-first.captures())
		})
	}
}

// results are the SHA-256 of the files that a run has left, by name.
type results map[string]string

// resultsIn reads them. It fails the test if nothing was captured.
func resultsIn(t *testing.T, dir string) results {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(results)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		const some = 10_000 // bytes
		if len(data) < some && filepath.Ext(f.Name()) == ".pcap" {
			t.Errorf("%s: %d bytes: hardly a packet was captured", f.Name(), len(data))
		}
		out[f.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	if out.captures() == 0 {
		t.Error("no capture was compared")
	}
	return out
}

func (r results) captures() (n int) {
	for name := range r {
		if filepath.Ext(name) == ".pcap" {
			n++
		}
	}
	return n
}

// sum is the SHA-256 over what sha256sum prints of some of the files.
func (r results) sum(of func(name string) bool) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if of(name) {
			fmt.Fprintf(h, "%s  %s\n", r[name], name)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// probe is a packet that arrived.
type probe struct {
	number         int
	sent, received time.Duration // since the epoch
}

func readProbes(t *testing.T, file string, epoch time.Time) []probe {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []probe
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var p probe
		if _, err := fmt.Sscan(s.Text(), &p.number, (*int64)(&p.sent), (*int64)(&p.received)); err != nil {
			t.Fatalf("%s: %q: %v", file, s.Text(), err)
		}
		p.sent -= time.Duration(epoch.UnixNano())
		p.received -= time.Duration(epoch.UnixNano())
		out = append(out, p)
	}
	return out
}

// checkTape checks that what the links did is what the tape says: delay to the
// microsecond, loss and bursts within five standard errors (a false alarm in two
// million runs, and none at all in virtual time), rates to the packet.
func checkTape(t *testing.T, dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary replay.Summary
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	probes := readProbes(t, filepath.Join(dir, "rows.txt"), summary.Epoch)
	sentBetween := func(from, to time.Duration) []probe {
		return slices.DeleteFunc(slices.Clone(probes), func(p probe) bool { return p.sent < from || p.sent >= to })
	}
	near := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got-want) > within {
			t.Errorf("%s: got %v, want %v ± %v", what, got, want, within)
		}
	}

	const exact = 0.001 // ms
	for _, c := range []struct {
		name     string
		from, to time.Duration
		delay    float64 // ms
	}{{"clean", clean, far, 20}, {"far", far, lossy, 50}, {"back", back, over, 20}} {
		got := sentBetween(c.from, c.to)
		near(c.name+": packets", float64(len(got)), float64((c.to-c.from)/probeInterval), 1)
		var delays []time.Duration
		for _, p := range got {
			delays = append(delays, p.received-p.sent)
		}
		slices.Sort(delays)
		near(c.name+": median delay, ms", delays[len(delays)/2].Seconds()*1000, c.delay, exact)
		near(c.name+": longest delay, ms", delays[len(delays)-1].Seconds()*1000, c.delay, 10*exact)
	}

	loss := func(from, to time.Duration) (rate, run float64, runs int) {
		got := sentBetween(from, to)
		lost := 0
		for i := 1; i < len(got); i++ {
			// Jitter-free: what arrives keeps its order.
			if n := got[i].number - got[i-1].number - 1; n > 0 {
				lost += n
				runs++
			}
		}
		return float64(lost) / float64(lost+len(got)), float64(lost) / float64(runs), runs
	}
	n := float64((bursty - lossy) / probeInterval)
	rate, run, runs := loss(lossy, bursty)
	near("loss", rate, 0.1, 5*math.Sqrt(0.1*0.9/n))
	near("run of losses", run, 1/0.9, 5*math.Sqrt(0.1)/0.9/math.Sqrt(float64(runs)))
	chain := burstyChain()
	n = float64((stalled - bursty) / probeInterval)
	rate, run, runs = loss(bursty, stalled)
	// The variance of a chain's loss is (2−p−r)/(p+r) times that of
	// independent losses (Kemeny and Snell 1960, section 4.6).
	factor := (2 - float64(chain.P) - float64(chain.R)) / (float64(chain.P) + float64(chain.R))
	near("bursty loss", rate, chain.Loss(), 5*math.Sqrt(chain.Loss()*(1-chain.Loss())*factor/n))
	near("burst", run, chain.MeanBurst(), 5*math.Sqrt(1-float64(chain.R))/float64(chain.R)/math.Sqrt(float64(runs)))

	between := func(from, to time.Duration) (bytes int) {
		for _, p := range probes {
			if p.received >= from && p.received < to {
				bytes += probeBytes
			}
		}
		return bytes
	}
	const delay = 20 * time.Millisecond
	if got := between(stalled+delay+5*time.Millisecond, slow+delay); got != 0 {
		t.Errorf("%d bytes came out of the stall", got)
	}
	near("bytes at 1 Mbit/s", float64(between(slow+time.Second, gone)), (gone-slow-time.Second).Seconds()*1e6/8, probeBytes)
	if got := sentBetween(gone+probeInterval, back-probeInterval); len(got) > 0 {
		t.Errorf("%d packets went over a link without carrier", len(got))
	}
}

// A timer under SCHED_FIFO is on time.
func TestLateness(t *testing.T) {
	_, out := inLab(t, "lateness", "2000")
	var worst time.Duration
	lines := 0
	for s := bufio.NewScanner(bytes.NewReader([]byte(out))); s.Scan(); lines++ {
		ns, err := strconv.ParseInt(s.Text(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Duration(ns))
	}
	const bound = 2 * time.Microsecond // of virtual time: no machine makes it longer
	if lines != 2000 || worst > bound {
		t.Errorf("%d sleeps, up to %v late; want 2000, at most %v", lines, worst, bound)
	}
	t.Logf("up to %v late", worst)
}

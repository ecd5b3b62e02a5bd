package synth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/conf"
	"linktape/synth"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func parse(t testing.TB, text string, opts synth.Options) *synth.Scenario {
	t.Helper()
	sc, err := synth.Parse("f.yaml", []byte(text), opts)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func timeline(t testing.TB, sc *synth.Scenario) *trace.Timeline {
	t.Helper()
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := tl.Check(); err != nil {
		t.Fatal(err)
	}
	return tl
}

// golden compares got with a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", file, got, want)
	}
}

// TestFaults compares the messages for the files in testdata/bad with those
// beside them.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files in testdata/bad, want at least 25 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = synth.Parse(filepath.Base(file), data, synth.Options{})
			if e := (*conf.Error)(nil); !errors.As(err, &e) {
				t.Fatalf("got %v, want a *conf.Error", err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// docs/parameters.md is what the schema says.
func TestReference(t *testing.T) { golden(t, "../docs/parameters.md", synth.Reference()) }

// TestGolden pins the conditions and the bytes of scenarios. They must be the
// same on every machine: run it with GOAMD64=v3 and on arm64 as well.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios in testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc := parse(t, string(data), synth.Options{})
			tl := timeline(t, sc)
			if again := timeline(t, sc); !slices.Equal(tl.Steps, again.Steps) {
				t.Error("a second run gives other steps")
			}
			again := timeline(t, parse(t, tl.Meta.Scenario, synth.Options{}))
			if d := cmp.Diff(tl.Meta, again.Meta); d != "" || !slices.Equal(tl.Steps, again.Steps) {
				t.Errorf("the tape's scenario gives another timeline: %s", d)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".sha256",
				fmt.Sprintf("%s  %d steps\n", tl.Hash(), len(tl.Steps)))
		})
	}
}

// TestGoldenTapes pins the bytes of whole tapes, scenario to Parquet.
func TestGoldenTapes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios in testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc := parse(t, string(data), synth.Options{})
			var tape bytes.Buffer
			w, err := trace.NewWriter(&tape, sc.Meta())
			if err != nil {
				t.Fatal(err)
			}
			if err := sc.Synthesize(t.Context(), w.Write, nil); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got, want := w.SHA256(), timeline(t, sc).Hash(); got != want {
				t.Errorf("the tape's hash: got %s, want %s", got, want)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".tape.sha256",
				fmt.Sprintf("%x  %d bytes\n", sha256.Sum256(tape.Bytes()), tape.Len()))
		})
	}
}

const two = `scenario: two
duration: 20s
links:
  a:
    up:
      rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 2s}
      loss: {model: ge, mean_good: 2s, mean_bad: 300ms}
    down:
      rate: 5Mbit
  b:
    up:
      rate: {model: ou, mean: 4Mbit, cv: 0.2, tau: 2s}
`

// of returns the steps of one direction, without what other processes set.
func of(tl *trace.Timeline, ld trace.LinkDir, value func(*trace.State)) []trace.Step {
	var out []trace.Step
	for _, s := range tl.Steps {
		if s.LinkDir() == ld {
			value(&s.State)
			if len(out) == 0 || out[len(out)-1].State != s.State {
				out = append(out, s)
			}
		}
	}
	return out
}

// TestStreamsAreIndependent adds links and processes and finds the draws of the
// others as they were.
func TestStreamsAreIndependent(t *testing.T) {
	all := func(*trace.State) {}
	rateOnly := func(s *trace.State) { *s = trace.State{Rate: s.Rate} }
	lossOnly := func(s *trace.State) { *s = trace.State{Loss: s.Loss, Label: s.Label} }
	base := timeline(t, parse(t, two, synth.Options{}))
	for name, c := range map[string]struct {
		set  []string
		dirs []string
		of   func(*trace.State)
	}{
		"another link":          {[]string{"links.aa={up: {rate: {model: ou, mean: 1Mbit, cv: 0.1, tau: 1s}}}"}, []string{"a.up", "a.down", "b.up"}, all},
		"another direction":     {[]string{"links.b.down={rate: {model: ou, mean: 1Mbit, cv: 0.1, tau: 1s}}"}, []string{"a.up", "a.down", "b.up"}, all},
		"another process":       {[]string{"links.a.up.delay={model: ou, mean: 30ms, cv: 0.1, tau: 1s}"}, []string{"a.up", "b.up"}, rateOnly},
		"another process, loss": {[]string{"links.a.up.jitter={model: ou, mean: 30ms, cv: 0.1, tau: 1s}"}, []string{"a.up"}, lossOnly},
		"another rate process":  {[]string{"links.a.up.rate=1Mbit"}, []string{"a.up"}, lossOnly},
		"a longer timeline":     {[]string{"duration=40s"}, []string{"a.up", "b.up"}, all},
	} {
		t.Run(name, func(t *testing.T) {
			other := timeline(t, parse(t, two, synth.Options{Set: c.set}))
			for _, d := range c.dirs {
				ld, err := trace.ParseLinkDir(d)
				if err != nil {
					t.Fatal(err)
				}
				got, want := of(other, ld, c.of), of(base, ld, c.of)
				if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
					t.Errorf("%s has other steps", d)
				}
			}
		})
	}
	seed := uint64(2)
	if other := timeline(t, parse(t, two, synth.Options{Seed: &seed})); slices.Equal(other.Steps, base.Steps) {
		t.Error("another seed gives the same steps")
	}
}

// TestScaling verifies that mean and spread scale a path and keep its shape.
func TestScaling(t *testing.T) {
	a := timeline(t, parse(t, two, synth.Options{}))
	b := timeline(t, parse(t, two, synth.Options{Set: []string{"links.b.up.rate.mean=40Mbit"}}))
	ld := trace.LinkDir{Link: "b", Dir: trace.Up}
	x, y := of(a, ld, func(*trace.State) {}), of(b, ld, func(*trace.State) {})
	for i := range x {
		if d := y[i].Rate - 10*x[i].Rate; d < -10 || d > 10 {
			t.Fatalf("step %d: got %v, want ten times %v", i, y[i].Rate, x[i].Rate)
		}
	}
}

func TestSteps(t *testing.T) {
	ms := time.Millisecond
	type row struct {
		at    time.Duration
		rate  trace.BitRate
		delay time.Duration
		loss  trace.Prob
	}
	for name, c := range map[string]struct {
		direction string
		want      []row
	}{
		"constant":       {"{rate: 1Mbit, delay: 10ms, loss: 2%}", []row{{0, trace.Mbit, 10 * ms, 0.02}}},
		"named constant": {"{rate: {model: constant, value: 1Mbit}}", []row{{0, trace.Mbit, 0, 0}}},
		"between the sampling instants": {
			"{rate: {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 150ms, value: 0}, {at: 333ms, value: 2Mbit}]}}",
			[]row{{0, trace.Mbit, 0, 0}, {150 * ms, 0, 0, 0}, {333 * ms, 2 * trace.Mbit, 0, 0}},
		},
		"repeated": {
			"{rate: {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 300ms, value: 2Mbit}], repeat: 400ms}}",
			[]row{
				{0, trace.Mbit, 0, 0}, {300 * ms, 2 * trace.Mbit, 0, 0}, {400 * ms, trace.Mbit, 0, 0},
				{700 * ms, 2 * trace.Mbit, 0, 0}, {800 * ms, trace.Mbit, 0, 0},
			},
		},
		"equal states are merged": {
			"{rate: {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 300ms, value: 1Mbit}, {at: 500ms, value: 2Mbit}]}}",
			[]row{{0, trace.Mbit, 0, 0}, {500 * ms, 2 * trace.Mbit, 0, 0}},
		},
		"two lists": {
			"{rate: {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 300ms, value: 2Mbit}]}, delay: {model: steps, steps: [{at: 0s, value: 5ms}, {at: 300ms, value: 6ms}, {at: 301ms, value: 7ms}]}}",
			[]row{{0, trace.Mbit, 5 * ms, 0}, {300 * ms, 2 * trace.Mbit, 6 * ms, 0}, {301 * ms, 2 * trace.Mbit, 7 * ms, 0}},
		},
		"after the end": {
			"{rate: {model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 1s, value: 2Mbit}]}}",
			[]row{{0, trace.Mbit, 0, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tl := timeline(t, parse(t, "scenario: s\nduration: 1s\nlinks: {a: {up: "+c.direction+"}}\n", synth.Options{}))
			var got []row
			for _, s := range tl.Steps {
				got = append(got, row{s.At, s.Rate, s.Delay, s.Loss})
				if !s.Carrier {
					t.Error("no carrier")
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestMeta(t *testing.T) {
	const text = `scenario: s # kept
duration: 1s
links:
  b: {queue: 200ms, up: {rate: 1Mbit}, down: {rate: 1Mbit}}
  a: {queue: 300KB, down: {rate: 1Mbit}}
`
	seed := uint64(9)
	sc := parse(t, text, synth.Options{Seed: &seed, Duration: 2 * time.Second, Set: []string{"links.b.up.rate=3Mbit"}})
	want := trace.Meta{
		Duration: 2 * time.Second,
		Links: []trace.Link{
			{Name: "a", Down: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 300_000}},
			{Name: "b", Up: true, Down: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}},
		},
		Generator: "synth 1",
		Seed:      9,
		Scenario: `scenario: s # kept
duration: 2s
seed: 9
links:
  b: {queue: 200ms, up: {rate: 3Mbit}, down: {rate: 1Mbit}}
  a: {queue: 300KB, down: {rate: 1Mbit}}
`,
	}
	if d := cmp.Diff(want, sc.Meta()); d != "" {
		t.Errorf("want - got +\n%s", d)
	}
}

func TestOverrideFaults(t *testing.T) {
	_, err := synth.Parse("f.yaml", []byte(two), synth.Options{
		Set: []string{"links.c.up.rate=1Mbit", "seed", "links.a.up.rate.mien=3"},
	})
	want := `override links.c.up.rate: links has no key "c": it has a, b
    links.c.up.rate=1Mbit
          ^
override "seed": write KEY=VALUE, such as links.att.up.rate.mean=6Mbit`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	_, err = synth.Parse("f.yaml", []byte(two), synth.Options{Set: []string{"links.a.up.rate.mien=3", "links.b.up.rate.mean=3"}})
	want = `override links.a.up.rate.mien: unknown key "mien": did you mean "mean"?
    links.a.up.rate.mien=3
                    ^
override links.b.up.rate.mean: rate "3": write a number with bit, kbit, Mbit or Gbit, such as 6Mbit
    links.b.up.rate.mean=3
                         ^`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestWarnings(t *testing.T) {
	sc := parse(t, "scenario: s\nduration: 1s\nlinks: {a: {up: {rate: {model: ou, mean: 1Mbit, cv: 0.6, tau: 10ms}}}}\n", synth.Options{})
	want := []string{
		"links.a.up.rate: tau 10ms is shorter than the step 100ms: successive values are all but independent",
		"links.a.up.rate: a normal variable with cv 0.6 is often clipped at its floor, which shifts the mean; log-ou keeps it",
	}
	if got := sc.Warnings(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCancel(t *testing.T) {
	sc := parse(t, two, synth.Options{Duration: 24 * time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	batches := 0
	err := sc.Synthesize(ctx, func([]trace.Step) error {
		if batches++; batches == 2 {
			cancel()
		}
		return nil
	}, nil)
	if !errors.Is(err, context.Canceled) || batches != 2 {
		t.Errorf("got %v after %d batches, want %v after 2", err, batches, context.Canceled)
	}
	stop := errors.New("disk full")
	if err := sc.Synthesize(t.Context(), func([]trace.Step) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	if _, err := parse(t, two, synth.Options{Duration: 240 * time.Hour}).Timeline(); err == nil {
		t.Error("a timeline of more than MaxTimeline steps is held in memory")
	}
}

func TestProgress(t *testing.T) {
	last := 0.0
	sc := parse(t, two, synth.Options{Duration: time.Hour})
	err := sc.Synthesize(t.Context(), func([]trace.Step) error { return nil }, func(f float64) {
		if f < last || f > 1 {
			t.Errorf("progress %v after %v", f, last)
		}
		last = f
	})
	if err != nil || last != 1 {
		t.Errorf("got %v at %v, want no error at 1", err, last)
	}
}

func BenchmarkSynthesize(b *testing.B) {
	for name, direction := range map[string]string{
		"log-ou":         "{rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 2s}, delay: 35ms}",
		"log-ou, ou, ge": "{rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 2s}, delay: 35ms, jitter: {model: ou, mean: 5ms, cv: 0.3, tau: 2s}, loss: {model: ge, mean_good: 10s, mean_bad: 300ms}}",
	} {
		b.Run(name, func(b *testing.B) {
			d := "{up: " + direction + ", down: " + direction + "}"
			sc := parse(b, "scenario: s\nduration: 10000s\nlinks: {a: "+d+", b: "+d+", c: "+d+"}\n", synth.Options{})
			rows := 0
			for b.Loop() {
				err := sc.Synthesize(b.Context(), func(s []trace.Step) error { rows += len(s); return nil }, nil)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

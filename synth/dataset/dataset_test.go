package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"linktape/internal/privtest"
	"linktape/synth"
	"linktape/trace"
)

func TestMain(m *testing.M) { privtest.Main(m) }

// scenarioText has a random rate, and no seed of its own.
func scenarioText(name string) string {
	return "scenario: " + name + `
duration: 20s
links:
  att: {queue: 300KB, slot: {min: 1ms, max: 5ms}, up: {rate: {model: log-ou, mean: 4Mbit, cv: 0.5, tau: 2s}, delay: 35ms}, down: {rate: 9Mbit}}
`
}

func source(name string) Source {
	return Source{Name: name + ".yaml", Data: []byte(scenarioText(name))}
}

func seeds(t *testing.T, text string) Seeds {
	t.Helper()
	s, err := ParseSeeds(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func makeSet(t *testing.T, dir string, opts Options, sources ...Source) *Report {
	t.Helper()
	return makeContext(t, t.Context(), dir, opts, nil, sources...)
}

func makeContext(t *testing.T, ctx context.Context, dir string, opts Options, progress func(string, float64), sources ...Source) *Report {
	t.Helper()
	s, err := New(dir, sources, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s.Make(ctx, progress)
}

// good fails the test unless all is there.
func good(t *testing.T, r *Report, made, kept int64) {
	t.Helper()
	for i := range r.Failures {
		t.Errorf("failure: %v", &r.Failures[i])
	}
	if got := r.Total(); got.Made != made || got.Kept != kept || r.Failed != 0 || r.Left != 0 || r.Stop != nil {
		t.Fatalf("got %+v, failed %d, left %d (%v); want %d made, %d kept", got, r.Failed, r.Left, r.Stop, made, kept)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %q", r.Warnings)
	}
}

// files reads all that is below a folder, hidden files included, by its path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// alone returns the bytes of a tape that is made without a data set.
func alone(t *testing.T, name string, opts synth.Options) string {
	t.Helper()
	sc, err := synth.Parse("alone.yaml", []byte(scenarioText(name)), opts)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tape")
	if err := trace.WriteFile(path, tl); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Tapes are the same alone, one after the other and in parallel; there is
// nothing else in the folder; a second run touches nothing.
func TestMake(t *testing.T) {
	set := []string{"links.att.down.rate=8Mbit"}
	opts := Options{Seeds: seeds(t, "1..5,40"), Synth: synth.Options{Set: set, Duration: 7 * time.Second, Step: 50 * time.Millisecond}}
	var all []map[string]string
	for _, jobs := range []int{1, 5, 0} {
		dir := filepath.Join(t.TempDir(), "not", "yet")
		opts.Jobs = jobs
		last := map[string]float64{}
		r := makeContext(t, t.Context(), dir, opts, func(phase string, fraction float64) {
			if fraction < last[phase] || fraction > 1+1e-9 {
				t.Errorf("%s: %v after %v", phase, fraction, last[phase])
			}
			last[phase] = fraction
		}, source("one"), source("two"))
		good(t, r, 12, 0)
		if len(last) != 2 || last[PhaseLook] < 1-1e-9 || last[PhaseMake] < 1-1e-9 {
			t.Errorf("progress ended at %v", last)
		}
		all = append(all, files(t, dir))
		bytes := int64(0)
		for _, data := range all[len(all)-1] {
			bytes += int64(len(data))
		}
		if r.Total().Bytes != bytes {
			t.Errorf("got %d bytes, want %d", r.Total().Bytes, bytes)
		}
		before := times(t, dir)
		again := makeSet(t, dir, opts, source("one"), source("two"))
		good(t, again, 0, 12)
		if a, b := again.Total(), r.Total(); a.Steps != b.Steps || a.Bytes != b.Bytes {
			t.Errorf("kept %+v, made %+v", a, b)
		}
		if !maps.Equal(before, times(t, dir)) {
			t.Error("a second run has written")
		}
	}
	want := make(map[string]string)
	for _, name := range []string{"one", "two"} {
		for seed := range opts.Seeds.All() {
			o := opts.Synth
			o.Seed = &seed
			want[fmt.Sprintf("scenario=%s/seed=%d/tape.parquet", name, seed)] = alone(t, name, o)
		}
	}
	for i, got := range all {
		if !maps.Equal(got, want) {
			t.Errorf("run %d: got %v, want %v, or other bytes", i, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if want["scenario=one/seed=1/tape.parquet"] == want["scenario=one/seed=2/tape.parquet"] {
		t.Error("two seeds give the same tape")
	}
}

// times returns when each file was changed last.
func times(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	out := make(map[string]time.Time)
	for name := range files(t, dir) {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = fi.ModTime()
	}
	return out
}

// Without seeds each scenario has its own, and the bytes of its file alone. That
// the seed is written into the text or not makes no other tape.
func TestOwnSeed(t *testing.T) {
	dir := t.TempDir()
	good(t, makeSet(t, dir, Options{}, source("one")), 1, 0)
	if got := files(t, dir)["scenario=one/seed=1/tape.parquet"]; got != alone(t, "one", synth.Options{}) {
		t.Error("got other bytes than alone")
	}
	good(t, makeSet(t, dir, Options{Seeds: seeds(t, "1..3")}, source("one")), 2, 1)
	good(t, makeSet(t, dir, Options{}, source("one")), 0, 1)
	good(t, makeSet(t, dir, Options{Seeds: seeds(t, "2..3")}, source("one")), 0, 2)

	dir = t.TempDir()
	good(t, makeSet(t, dir, Options{Seeds: seeds(t, "1")}, source("one")), 1, 0)
	good(t, makeSet(t, dir, Options{}, source("one")), 0, 1)

	high := Source{Name: "high.yaml", Data: []byte(scenarioText("high") + "seed: 9223372036854775808\n")}
	r := makeSet(t, dir, Options{}, high)
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].String(), "high.yaml: seed 9223372036854775808: above the largest seed of a data set") || r.Failed != 1 {
		t.Errorf("got %v", r.Failures)
	}
}

// A row of the whole data set, as another reader sees it.
type row struct {
	At    int64   `parquet:"t_ns"`
	Link  string  `parquet:"link"`
	Dir   string  `parquet:"dir"`
	Rate  int64   `parquet:"rate_bit_s"`
	Delay int64   `parquet:"delay_ns"`
	Loss  float64 `parquet:"loss"`

	// from the path, as Hive has it
	Scenario string `parquet:"-"`
	Seed     int64  `parquet:"-"`
}

// partitions returns the columns that a path stands for.
func partitions(path string) map[string]string {
	out := make(map[string]string)
	for part := range strings.SplitSeq(path, "/") {
		if key, value, ok := strings.Cut(part, "="); ok {
			out[key] = value
		}
	}
	return out
}

// Another reader than ours reads the files as one table, with the scenario and
// the seed as columns.
func TestOneTable(t *testing.T) {
	dir := t.TempDir()
	good(t, makeSet(t, dir, Options{Seeds: seeds(t, "1..3")}, source("one"), source("two")), 6, 0)
	var got []row
	var schema string
	all := files(t, dir)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		f, err := pq.OpenFile(strings.NewReader(all[path]), int64(len(all[path])))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if s := f.Schema().String(); schema == "" {
			schema = s
		} else if s != schema {
			t.Errorf("%s: got the schema %s, want %s", path, s, schema)
		}
		rows, err := pq.Read[row](strings.NewReader(all[path]), int64(len(all[path])))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		columns := partitions(path)
		seed, err := strconv.ParseInt(columns["seed"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			r.Scenario, r.Seed = columns["scenario"], seed
			got = append(got, r)
		}
	}
	var want []row
	for _, name := range []string{"one", "two"} {
		for seed := range uint64(3) {
			seed++
			sc, err := synth.Parse(name, []byte(scenarioText(name)), synth.Options{Seed: &seed})
			if err != nil {
				t.Fatal(err)
			}
			tl, err := sc.Timeline()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tl.Steps {
				want = append(want, row{int64(s.At), s.Link, s.Dir.String(), int64(s.Rate), int64(s.Delay), float64(s.Loss), name, int64(seed)})
			}
		}
	}
	if len(want) < 1000 || !slices.Equal(got, want) {
		t.Errorf("got %d rows, want %d, or others", len(got), len(want))
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

// remade writes the tape's steps with other metadata.
func remade(t *testing.T, tape string, change func(*trace.Meta)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tape")
	write(t, path, tape)
	tl, err := trace.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(&tl.Meta)
	if err := trace.WriteFile(path, tl); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// damaged changes bytes between a tape's ends.
func damaged(tape string) string {
	b := []byte(tape)
	for i := 200; i < 260; i++ {
		b[i] ^= 0x55
	}
	return string(b)
}

// What stands under a tape's name and is not that tape is a failure that says so
// and stays as it is, while the others are made; force replaces it.
func TestOtherContents(t *testing.T) {
	two := uint64(2)
	tape := alone(t, "one", synth.Options{Seed: &two})
	three := uint64(3)
	for _, c := range []struct {
		name, data string
		verify     bool
		want       string
	}{
		{"another duration", alone(t, "one", synth.Options{Seed: &two, Duration: 10 * time.Second}), false,
			`tape.parquet is not the tape asked for: its scenario has "duration: 10s" in line 2, where "duration: 20s" is asked for; --force makes it again`},
		{"another seed", alone(t, "one", synth.Options{Seed: &three}), false, `it has the seed 3; its scenario has "seed: 3" in line 3, where "seed: 2" is asked for`},
		{"another scenario", alone(t, "two", synth.Options{Seed: &two}), false, `its scenario has "scenario: two" in line 1`},
		{"another generator", remade(t, tape, func(m *trace.Meta) { m.Generator = "synth 0" }), false, `it was made by "synth 0", not "` + synth.Generator + `"`},
		{"imported", remade(t, tape, func(m *trace.Meta) {
			m.Sources = []trace.Source{{Link: "att", Dir: "up", File: "a.up", SHA256: strings.Repeat("0", 64)}}
		}), false, `it was imported, from "a.up"`},
		{"other links", remade(t, tape, func(m *trace.Meta) { m.Links[0].Queue.LimitBytes++ }), false, "its duration or its links are not those of the scenario"},
		{"a longer text", remade(t, tape, func(m *trace.Meta) { m.Scenario += "# more\n" }), false, `has "# more" in line 6, where nothing is asked for`},
		{"cut", tape[:len(tape)-100], false, "the end of the Parquet file is missing"},
		{"empty", "", false, "not a tape"},
		{"text", "to do: everything", false, "not a tape"},
		{"damaged inside", damaged(tape), true, "damaged tape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "scenario=one", "seed=2", tapeName)
			write(t, path, c.data)
			opts := Options{Seeds: seeds(t, "1..4"), Verify: c.verify}
			r := makeSet(t, dir, opts, source("one"))
			if len(r.Failures) != 1 || !strings.HasPrefix(r.Failures[0].String(), "scenario=one/seed=2: tape.parquet is not") || !strings.Contains(r.Failures[0].String(), c.want) {
				t.Fatalf("got %v, want one failure with %q", r.Failures, c.want)
			}
			if tot := r.Total(); tot.Made != 3 || tot.Failed != 1 || r.Failed != 1 || r.Stop != nil {
				t.Errorf("got %+v", r)
			}
			if data := files(t, dir)["scenario=one/seed=2/tape.parquet"]; data != c.data {
				t.Error("what was there has changed")
			}
			opts.Force = true
			good(t, makeSet(t, dir, opts, source("one")), 1, 3)
			if data := files(t, dir)["scenario=one/seed=2/tape.parquet"]; data != tape {
				t.Error("got other bytes than alone")
			}
		})
	}
}

// Without verify, damage between the ends is not looked for.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Seeds: seeds(t, "1..2")}
	good(t, makeSet(t, dir, opts, source("one")), 2, 0)
	opts.Verify = true
	good(t, makeSet(t, dir, opts, source("one")), 0, 2)
	path := filepath.Join(dir, "scenario=one", "seed=2", tapeName)
	write(t, path, damaged(files(t, dir)["scenario=one/seed=2/tape.parquet"]))
	opts.Verify = false
	good(t, makeSet(t, dir, opts, source("one")), 0, 2)
	opts.Verify = true
	if r := makeSet(t, dir, opts, source("one")); r.Failed != 1 || !errors.Is(r.Failures[0].Err, trace.ErrDamaged) {
		t.Errorf("got %v", r.Failures)
	}
}

// A folder in place of a tape stays, also by force.
func TestFolderInPlace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "scenario=one", "seed=2", tapeName, "inside"), "x")
	r := makeSet(t, dir, Options{Seeds: seeds(t, "1..2"), Force: true}, source("one"))
	if r.Failed != 1 || r.Total().Made != 1 || !strings.Contains(r.Failures[0].String(), "is a folder: move it away") {
		t.Errorf("got %+v", r)
	}
}

// Seeds that are not asked for belong to the same scenario, or nothing is added
// to them.
func TestMixture(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Seeds: seeds(t, "1..3")}
	good(t, makeSet(t, dir, opts, source("one")), 3, 0)
	opts.Seeds = seeds(t, "4..5")
	good(t, makeSet(t, dir, opts, source("one")), 2, 0)
	before := files(t, dir)

	for _, force := range []bool{false, true} {
		other := Options{Seeds: seeds(t, "5..7"), Synth: synth.Options{Duration: 9 * time.Second}, Force: force}
		r := makeSet(t, dir, other, source("one"), source("two"))
		last := r.Failures[len(r.Failures)-1].String()
		const want = `scenario=one: what seed 1 has there (and 3 more) would make a mixture, though it is not asked for: tape.parquet is not the tape asked for: its scenario has "duration: 20s" in line 2`
		if !strings.HasPrefix(last, want) || r.Scenarios[0].Failed != 3 || r.Scenarios[0].Made != 0 || r.Scenarios[1].Made+r.Scenarios[1].Kept != 3 {
			t.Errorf("got %+v, want %s", r, want)
		}
	}
	for name, data := range files(t, dir) {
		if strings.HasPrefix(name, "scenario=one/") && before[name] != data {
			t.Errorf("%s has changed", name)
		}
	}
	// All of them again.
	other := Options{Seeds: seeds(t, "1..7"), Synth: synth.Options{Duration: 9 * time.Second}, Force: true}
	good(t, makeSet(t, dir, other, source("one"), source("two")), 11, 3)
}

// What a killed run leaves goes, and nothing else does.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Seeds: seeds(t, "1..3")}
	good(t, makeSet(t, dir, opts, source("one")), 3, 0)
	want := files(t, dir)
	in := func(parts ...string) string { return filepath.Join(append([]string{dir, "scenario=one"}, parts...)...) }
	for _, path := range []string{
		in("seed=1", ".tape.parquet.0123abcd.tmp"), // beside a whole tape
		in("seed=4", ".tape.parquet.deadbeef.tmp"),
		in("seed=9", ".tape.parquet.00000000.tmp"), // not asked for
	} {
		write(t, path, "PAR1")
	}
	for _, path := range []string{
		in("seed=2", ".tape.parquet.0123abc.tmp"), in("seed=2", "tape.parquet.0123abcd.tmp"), in("seed=2", ".tape.parquet.0123ABCD.tmp"),
		in("seed=2", ".other.parquet.0123abcd.tmp"), in(".tape.parquet.0123abcd.tmp"), in("seed=2", "notes"), filepath.Join(dir, "README"),
	} {
		write(t, path, "mine")
		rel, _ := filepath.Rel(dir, path)
		want[filepath.ToSlash(rel)] = "mine"
	}
	good(t, makeSet(t, dir, opts, source("one")), 0, 3)
	got := files(t, dir)
	// seed 4 was not asked for either
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for _, seed := range []string{"seed=4", "seed=9"} {
		if _, err := os.Stat(in(seed)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", seed, err)
		}
	}
}

// Tables that are not of the data set are named, since a query reads them too.
func TestForeignTables(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Seeds: seeds(t, "1..2")}
	good(t, makeSet(t, dir, opts, source("one")), 2, 0)
	var want []string
	for _, name := range []string{"applied.parquet", "scenario=one/x.parquet", "scenario=one/seed=1/y.parquet", "scenario=one/seed=007/tape.parquet"} {
		write(t, filepath.Join(dir, name), "x")
	}
	for _, name := range []string{"applied.parquet", "scenario=one/seed=007", "scenario=one/seed=1/y.parquet", "scenario=one/x.parquet"} {
		want = append(want, filepath.Join(dir, name)+" is not of the data set, and a query over the folder reads it too: move it away")
	}
	if r := makeSet(t, dir, opts, source("one")); !slices.Equal(r.Warnings, want) {
		t.Errorf("got %q, want %q", r.Warnings, want)
	}
}

// An interrupted run leaves whole tapes and nothing else, and the next one makes
// the rest.
func TestInterrupt(t *testing.T) {
	opts := Options{Seeds: seeds(t, "1..9"), Synth: synth.Options{Duration: 30 * time.Minute}, Jobs: 3}
	whole := t.TempDir()
	good(t, makeSet(t, whole, opts, source("one")), 9, 0)
	want := files(t, whole)

	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	r := makeContext(t, ctx, dir, opts, func(phase string, fraction float64) {
		if phase == PhaseMake && fraction > 0.5 {
			cancel()
		}
	}, source("one"))
	tot := r.Total()
	if tot.Made == 0 || r.Left == 0 || tot.Made+r.Left != 9 || r.Failed != 0 || !errors.Is(r.Stop, context.Canceled) {
		t.Fatalf("got %+v", r)
	}
	got := files(t, dir)
	if len(got) != int(tot.Made) {
		t.Errorf("got %v, want %d tapes", slices.Sorted(maps.Keys(got)), tot.Made)
	}
	for name, data := range got {
		if want[name] != data {
			t.Errorf("%s is not whole", name)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(dirs) != len(got) {
		t.Errorf("got the folders %v, %v", dirs, err)
	}
	good(t, makeSet(t, dir, opts, source("one")), r.Left, tot.Made)
	if !maps.Equal(files(t, dir), want) {
		t.Error("the resumed data set differs")
	}

	// Before anything was done, nothing is left, not even a folder.
	dir = filepath.Join(t.TempDir(), "new")
	r = makeContext(t, ctx, dir, opts, nil, source("one"))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || r.Left != 9 {
		t.Errorf("got %v, %+v", err, r)
	}
}

// Two runs into one folder: each tape is made by one of them, and a tape that is
// being written is left alone, with what it has there.
func TestTwoRuns(t *testing.T) {
	dir := t.TempDir()
	busy := filepath.Join(dir, "scenario=one", "seed=2")
	temp := filepath.Join(busy, ".tape.parquet.0123abcd.tmp")
	write(t, temp, "PAR1")
	unlock, err := lock(busy)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Seeds: seeds(t, "1..3")}
	r := makeSet(t, dir, opts, source("one"))
	if r.Failed != 1 || r.Total().Made != 2 || !errors.Is(r.Failures[0].Err, errBusy) {
		t.Errorf("got %+v", r)
	}
	if _, err := os.Stat(temp); err != nil {
		t.Errorf("the other run's file: %v", err)
	}
	unlock()
	good(t, makeSet(t, dir, opts, source("one")), 1, 2)
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}

	dir = t.TempDir()
	reports := make(chan *Report)
	for _, text := range []string{"1..20", "11..30"} {
		s, err := New(dir, []Source{source("one")}, Options{Seeds: seeds(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		go func() { reports <- s.Make(t.Context(), nil) }()
	}
	made := int64(0)
	for range 2 {
		r := <-reports
		made += r.Total().Made
		for _, f := range r.Failures {
			if !errors.Is(f.Err, errBusy) {
				t.Error(&f)
			}
		}
	}
	if made != 30 || len(files(t, dir)) != 30 {
		t.Errorf("got %d tapes made, %d there, want 30", made, len(files(t, dir)))
	}
}

// A scenario with faults and one that is not there leave the others to be made.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	bad := Source{Name: "bad.yaml", Data: []byte("scenario: bad\nduration: 10s\nlinks: {a: {up: {rat: 6Mbit}}}\n")}
	gone := Source{Name: "gone", Err: errors.New("scenario gone: no such file")}
	null := Source{Name: "null.yaml", Data: []byte(scenarioText(`"null"`))}
	s, err := New(dir, []Source{bad, source("one"), gone, null}, Options{Seeds: seeds(t, "1..3")})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Make(t.Context(), nil)
	var b bytes.Buffer
	for i := range r.Failures {
		fmt.Fprintln(&b, &r.Failures[i])
	}
	for _, want := range []string{"bad.yaml:3:", `"rat"`, "scenario gone: no such file\n", "null.yaml: scenario null: a query takes this name for no value"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %s, want %q in it", &b, want)
		}
	}
	if len(r.Failures) != 3 || r.Failed != 9 || s.Tapes() != 12 || r.Total().Made != 3 {
		t.Errorf("got %+v, %d tapes", r, s.Tapes())
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `{"scenario":"gone","error":"scenario gone: no such file"}`) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestNewErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	for _, c := range []struct {
		name, dir string
		seeds     string
		sources   []Source
		want      string
	}{
		{"a file", file, "1", []Source{source("one")}, "is a file or lies below one: name a folder"},
		{"below a file", filepath.Join(file, "d"), "1", []Source{source("one")}, "is a file or lies below one: name a folder"},
		{"one name", "d", "1", []Source{source("one"), {Name: "b.yaml", Data: []byte(scenarioText("one"))}}, "one.yaml and b.yaml are both named one: rename one"},
		{"too many", "d", "1..600000", []Source{source("one"), source("two")}, "2 scenarios with 600000 seeds each: at most 1000000 tapes"},
	} {
		if _, err := New(c.dir, c.sources, Options{Seeds: seeds(t, c.seeds)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

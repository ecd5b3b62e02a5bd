package suite

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"linktape/internal/table"
	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
)

// Every suite and case of the library opens: what they name is there, and their
// thresholds are of metrics that exist.
func TestLibrary(t *testing.T) {
	used := make(map[string]bool)
	for _, name := range names("suites") {
		s, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || s.Description == "" || len(s.Seeds) != DefaultSeeds {
			t.Errorf("suite %s: got name %q, %d seeds", name, s.Name, len(s.Seeds))
		}
		for _, c := range s.Cases {
			used[c.Name] = true
			if len(c.Trial.Thresholds) == 0 || c.Duration <= 0 || len(c.Links) < 2 || c.Description == "" {
				t.Errorf("case %s: %d thresholds, %v, links %v", c.Name, len(c.Trial.Thresholds), c.Duration, c.Links)
			}
		}
	}
	for _, name := range names("cases") {
		if !used[name] {
			t.Errorf("case %s is in no suite", name)
		}
		if data, ok := Text(name); !ok || !strings.Contains(string(data), "trial: "+name+"\n") {
			t.Errorf("case %s is called otherwise in its file", name)
		}
	}
	if got := Suites(); len(got) != 3 || len(got[2].Cases) != 5 {
		t.Errorf("got %d suites, %v", len(got), got)
	}
	if got, want := len(Cases()), len(names("cases")); got != want {
		t.Errorf("got %d cases, want %d", got, want)
	}
	// Each of A1 to A10, and each of the five modes of A5.
	for i := 1; i <= 10; i++ {
		if !slices.ContainsFunc(names("cases"), func(s string) bool { return strings.HasPrefix(s, fmt.Sprintf("a%d-", i)) }) {
			t.Errorf("no case for A%d", i)
		}
	}
}

func TestParseFaults(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bad.yaml"), "trial: bad\nscenario: a1-clean\nthresholds:\n  unrecoverd: 0\n  c.loss: 1%\n  a.loss: 1%\n")
	_, err := Parse("s.yaml", []byte("suite: s\nseeds: 0\njudge: worst\ncases:\n  - a1-clean\n  - a1-clean\n  - ./bad.yaml\n  - nothing-here\ncolour: red\n"), dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"s.yaml:2:8", "0 seeds: from 1 to 1000", "s.yaml:3:8", "s.yaml:6:5", "the case a1-clean is in line 5 already",
		"bad.yaml:4:3", `unknown metric unrecoverd of a bond: did you mean "unrecovered"?`, "bad.yaml:5:3", "no link c", "s.yaml:8:5", "s.yaml:9:1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "bad.yaml:6") {
		t.Errorf("got %v: a.loss is right", err)
	}
	if _, err := Open("strateggy"); err == nil || !strings.Contains(err.Error(), `did you mean "strategy"?`) {
		t.Errorf("got %v", err)
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mine.yaml"), "trial: mine\nscenario: strategy-loss\nduration: 8s\nlinks: [att, verizon]\n")
	s, err := Parse("s.yaml", []byte("suite: s\nseeds: [3, 14]\njudge: every\ncases: [./mine.yaml, quickstart, a2-loss-1]\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range s.Cases {
		got = append(got, fmt.Sprintf("%s %v %s", c.Name, c.Duration, strings.Join(c.Links, "+")))
	}
	if want := []string{"mine 8s att+verizon", "quickstart 30s", "a2-loss-1 1m0s a+b"}; len(got) != 3 || got[0] != want[0] || !strings.HasPrefix(got[1], "quickstart ") || got[2] != want[2] {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.Judge != Every || !slices.Equal(s.Seeds, []uint64{3, 14}) {
		t.Errorf("got %+v", s)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func plan(t *testing.T, name string, c Change) *Plan {
	t.Helper()
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(s, nil, c, "virtual")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The shards of every number are a partition, the same each time, and none has much
// more to do than another.
func TestShards(t *testing.T) {
	p := plan(t, "acceptance", Change{})
	if len(p.Jobs) != 105 {
		t.Fatalf("got %d trials, want 21 · 5", len(p.Jobs))
	}
	longest := 0.0
	for i := range p.Jobs {
		longest = max(longest, p.Length(&p.Jobs[i]).Seconds())
	}
	for n := 1; n <= 110; n++ {
		count := make(map[string]int)
		least, most := 1e9, 0.0
		for k := 1; k <= n; k++ {
			a, b := Shard{k, n}.Of(p), Shard{k, n}.Of(plan(t, "acceptance", Change{}))
			if len(a.Jobs) != len(b.Jobs) {
				t.Fatalf("shard %d/%d is not the same each time", k, n)
			}
			load := 0.0
			for i := range a.Jobs {
				if a.Jobs[i].String() != b.Jobs[i].String() {
					t.Fatalf("shard %d/%d is not the same each time", k, n)
				}
				count[a.Jobs[i].String()]++
				load += a.Length(&a.Jobs[i]).Seconds()
			}
			least, most = min(least, load), max(most, load)
			if n > 12 {
				break // of large numbers the first shard alone is compared
			}
		}
		if n > 12 {
			continue
		}
		if len(count) != len(p.Jobs) {
			t.Errorf("%d shards hold %d of %d trials", n, len(count), len(p.Jobs))
		}
		for name, c := range count {
			if c != 1 {
				t.Errorf("%s is in %d of %d shards", name, c, n)
			}
		}
		if most-least > longest {
			t.Errorf("%d shards play from %v s to %v s: more apart than the longest trial", n, least, most)
		}
	}
	for _, bad := range []string{"", "1", "0/3", "4/3", "1/0", "a/b", "1/3/5", "-1/3"} {
		if _, err := ParseShard(bad); err == nil {
			t.Errorf("shard %q: no error", bad)
		}
	}
}

// fake stands for "trial run": it writes what a trial leaves, with figures that
// follow from case and seed.
type fake struct {
	mu    sync.Mutex
	ran   []string
	value func(name string, seed uint64) float64
	fail  string // the trial that fails
}

func (f *fake) start(_ context.Context, args []string) error {
	dir := args[slices.Index(args, "--out")+1]
	name := filepath.Base(filepath.Dir(dir))
	var seed uint64
	fmt.Sscanf(filepath.Base(dir), "seed-%d", &seed)
	f.mu.Lock()
	f.ran = append(f.ran, fmt.Sprintf("%s %d", name, seed))
	f.mu.Unlock()
	if f.fail == fmt.Sprintf("%s %d", name, seed) {
		return errors.New("ristsender: no such file\ninstall rist-tools")
	}
	v := f.value(name, seed)
	gap := 20.0
	r := metrics.Result{Format: 1, SHA256: fmt.Sprintf("%064x", seed), Stack: "librist", Metrics: []metrics.Value{
		{Name: "loss", Link: "att", Unit: "1", Value: &v}, {Name: "unrecovered", Unit: "1", Value: &v},
		{Name: "duplicate_datagrams", Unit: "datagrams", Value: new(float64)}, {Name: "retransmission_rate", Unit: "1", Value: &v},
		{Name: "output_gap_max_ms", Unit: "ms", Value: &gap}, {Name: "failover_time_max_ms", Unit: "ms"},
	}}
	if seed == 2 {
		r.Findings = []metrics.Finding{{Text: "two <sources> & a half"}}
	}
	for file, x := range map[string]any{
		report.JSONFile:    &r,
		trial.ManifestFile: &trial.Manifest{Format: 1, Name: name, Seed: seed, SHA256: r.SHA256, Stack: "librist", Versions: map[string]string{"ristsender": "0.2.7"}},
	} {
		b, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) run(t *testing.T, dir string, p *Plan) {
	t.Helper()
	f.ran = nil
	r := Runner{Dir: dir, Tool: os.Args[0], Parallel: 3, Start: f.start, Measure: func(string) error { return nil }}
	if err := r.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.ran)
}

func summarize(t *testing.T, dir string) *Results {
	t.Helper()
	r, err := Summarize(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What has been run with the same inputs is kept; what failed, was stopped, or has
// other inputs is run again.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	f := &fake{value: func(string, uint64) float64 { return 0 }, fail: "strategy-loss 3"}
	f.run(t, dir, plan(t, "strategy", Change{}))
	if len(f.ran) != 25 {
		t.Fatalf("ran %d trials, want 25", len(f.ran))
	}
	r := summarize(t, dir)
	if r.Failed != 1 || r.Trials != 24 || r.Missing != 0 {
		t.Errorf("got %d failed, %d good, %d missing", r.Failed, r.Trials, r.Missing)
	}
	f.fail = ""
	// A trial that was stopped has no run.json.
	if err := os.Remove(filepath.Join(dir, "strategy-rate", "seed-5", RunFile)); err != nil {
		t.Fatal(err)
	}
	if r := summarize(t, dir); r.Missing != 1 {
		t.Errorf("got %d missing, want 1", r.Missing)
	}
	f.run(t, dir, plan(t, "strategy", Change{}))
	if want := []string{"strategy-loss 3", "strategy-rate 5"}; !slices.Equal(f.ran, want) {
		t.Errorf("ran %q, want %q", f.ran, want)
	}
	f.run(t, dir, plan(t, "strategy", Change{}))
	if len(f.ran) != 0 {
		t.Errorf("ran %q again", f.ran)
	}
	f.run(t, dir, plan(t, "strategy", Change{Options: []string{"reorder-buffer=50ms"}}))
	if len(f.ran) != 25 {
		t.Errorf("ran %d trials of another build, want 25", len(f.ran))
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "notes.txt"), "mine")
	err := (&Runner{Dir: other, Start: f.start}).Run(t.Context(), plan(t, "strategy", Change{}))
	if err == nil || !strings.Contains(err.Error(), "neither empty nor the folder of a suite") {
		t.Errorf("got %v", err)
	}
}

// A suite that is stopped keeps what it has finished.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	f := &fake{value: func(string, uint64) float64 { return 0 }}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r := Runner{Dir: dir, Parallel: 1, Measure: func(string) error { return nil }, Start: func(ctx context.Context, args []string) error {
		if n++; n == 4 {
			cancel()
			return ctx.Err()
		}
		return f.start(ctx, args)
	}}
	if err := r.Run(ctx, plan(t, "strategy", Change{})); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if got := summarize(t, dir); got.Trials != 3 || got.Missing != 22 || got.Failed != 0 {
		t.Errorf("got %d good, %d missing, %d failed", got.Trials, got.Missing, got.Failed)
	}
}

func TestArgs(t *testing.T) {
	p := plan(t, "strategy-loss", Change{Stack: "exec", Sender: "./s {{.In}}", Buffer: "200ms", Options: []string{"a=1", "b=2"}, Set: []string{"x.y=1"}, RatesOnly: true, Links: "att", Rate: "3Mbit", Duration: "9s", Receiver: "./r"})
	got := strings.Join(p.args(&p.Jobs[1], "out"), "|")
	want := "run|--quiet|--time|virtual|--out|out/strategy-loss/seed-2|--seed|2|--stack|exec|--option|a=1|--option|b=2|--sender|./s {{.In}}|--receiver|./r|--rate|3Mbit|--buffer|200ms|--duration|9s|--links|att|--set|x.y=1|--rates-only|./out/strategy-loss/case.yaml"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Programs of exec are inputs too.
	if got := p.programs(&p.Jobs[0]); !slices.Equal(got, []string{"./s", "./r"}) {
		t.Errorf("got programs %q", got)
	}
	if got := plan(t, "strategy", Change{}).programs(&p.Jobs[0]); !slices.Contains(got, "ristsender") {
		t.Errorf("got programs %q", got)
	}
}

// The sum of inputs changes with each of them.
func TestInputs(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "tool")
	write(t, tool, "1")
	sum := func(p *Plan, i int) string {
		s, err := p.sum(&p.Jobs[i], tool, make(hasher))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := plan(t, "strategy", Change{})
	seen := map[string]string{sum(p, 0): "the first"}
	for name, s := range map[string]string{
		"seed": sum(p, 1), "case": sum(p, 5), "flags": sum(plan(t, "strategy", Change{Buffer: "2s"}), 0),
		"time": sum(&Plan{Suite: p.Suite, Jobs: p.Jobs, Time: "real"}, 0),
		"tool": func() string { write(t, tool, "2"); return sum(p, 0) }(),
	} {
		if seen[s] != "" {
			t.Errorf("another %s and %s have the same sum", name, seen[s])
		}
		seen[s] = name
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{1, 2, 4, 8, 16}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {.25, 2}, {.5, 4}, {.75, 8}, {.9, 12.8}, {1, 16}} {
		if got := quantile(v, c.q); got != c.want {
			t.Errorf("quantile %v: got %v, want %v", c.q, got, c.want)
		}
	}
	if got := quantile([]float64{3}, .25); got != 3 {
		t.Errorf("got %v", got)
	}
	if got := quantile([]float64{1, 2}, .5); got != 1.5 {
		t.Errorf("got %v", got)
	}
}

// Verdicts: by the median, or by every seed; what was not measured does not pass.
func TestJudge(t *testing.T) {
	num := func(v ...float64) *CaseResult {
		c := &CaseResult{}
		var all [][]metrics.Value
		for i := range v {
			x := metrics.Value{Name: "unrecovered", Unit: "1"}
			if v[i] >= 0 {
				x.Value = &v[i]
			}
			all = append(all, []metrics.Value{x})
			c.Runs = append(c.Runs, Outcome{Seed: uint64(i)})
		}
		c.Metrics = spreads(all)
		return c
	}
	lo, hi := 0.01, 0.02
	for _, c := range []struct {
		name          string
		values        []float64 // below 0: not measured
		t             trial.Threshold
		median, every bool
		beyond        int
	}{
		{"all within", []float64{0, 0, 0.02}, trial.Threshold{Max: &hi}, true, true, 0},
		{"one beyond", []float64{0, 0, 0.03}, trial.Threshold{Max: &hi}, true, false, 1},
		{"median beyond", []float64{0, 0.021, 0.03}, trial.Threshold{Max: &hi}, false, false, 2},
		{"below the least", []float64{0, 0, 0.015}, trial.Threshold{Min: &lo, Max: &hi}, false, false, 2},
		{"within both", []float64{0.01, 0.02, 0.015}, trial.Threshold{Min: &lo, Max: &hi}, true, true, 0},
		{"one not measured", []float64{0, -1, 0}, trial.Threshold{Max: &hi}, true, false, 1},
		{"most not measured", []float64{0, -1, -1}, trial.Threshold{Max: &hi}, false, false, 2},
		{"none measured", []float64{-1, -1, -1}, trial.Threshold{Max: &hi}, false, false, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.t.Metric = "unrecovered"
			r := num(c.values...)
			m, e := r.judge(&c.t, Median), r.judge(&c.t, Every)
			if m.Passed != c.median || e.Passed != c.every || m.Beyond != c.beyond {
				t.Errorf("got median %v, every %v, %d beyond; want %v, %v, %d", m.Passed, e.Passed, m.Beyond, c.median, c.every, c.beyond)
			}
		})
	}
	if v := num(0).judge(&trial.Threshold{Metric: "loss", Max: &hi}, Median); v.Passed || v.Why() != "not measured" {
		t.Errorf("a metric that is not there: got %+v", v)
	}
}

// What a suite writes: JSON, JUnit, tables and page say the same.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f := &fake{fail: "strategy-loss 3", value: func(name string, seed uint64) float64 {
		if name == "strategy-baseline" {
			return 0.01 * float64(seed)
		}
		return 0
	}}
	f.run(t, dir, plan(t, "strategy", Change{Stack: "librist"}))
	r := summarize(t, dir)
	base := r.Cases[0]
	if s := base.spread("loss", "att"); s == nil || s.Median != 0.03 || s.Min != 0.01 || s.Max != 0.05 || s.Q1 != 0.02 || s.Q3 != 0.04 || s.N != 5 {
		t.Errorf("got %+v", s)
	}
	if base.Verdicts[0].Metric != "unrecovered" || base.Verdicts[0].Passed || base.Verdicts[0].Beyond != 5 {
		t.Errorf("got %+v", base.Verdicts[0])
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	var back Results
	if err := readJSON(filepath.Join(dir, ResultsFile), &back); err != nil || back.Missed != r.Missed || len(back.Cases) != 5 {
		t.Errorf("read back: %v, %+v", err, back)
	}
	junit, err := os.ReadFile(filepath.Join(dir, JUnitFile))
	if err != nil {
		t.Fatal(err)
	}
	var x junitSuites
	if err := xml.Unmarshal(junit, &x); err != nil {
		t.Fatal(err)
	}
	if x.Errors != 1 || x.Failures != r.Missed || len(x.Suites) != 5 || x.Tests != 25+r.thresholds() {
		t.Errorf("JUnit: %d errors, %d failures, %d tests; want 1, %d, %d", x.Errors, x.Failures, x.Tests, r.Missed, 25+r.thresholds())
	}
	for _, want := range []string{`classname="strategy.strategy-loss" name="seed 3"`, `<error message="ristsender: no such file" type="trial">`, `message="unrecovered: median 3 %, worst 5 %, 5 of 5 beyond" type="threshold"`, "two &lt;sources&gt; &amp; a half", `name="version.ristsender" value="0.2.7"`} {
		if !strings.Contains(string(junit), want) {
			t.Errorf("JUnit has no %s", want)
		}
	}
	rows, err := table.ReadFile[ValueRow](filepath.Join(dir, RunsTable))
	if err != nil || len(rows) != 24*5 { // five metrics of six were measured, in 24 trials
		t.Errorf("%d rows, %v", len(rows), err)
	}
	cases, err := table.ReadFile[SpreadRow](filepath.Join(dir, CasesTable))
	if err != nil || len(cases) != 5*5 || cases[0] != (SpreadRow{"strategy-baseline", "loss", "att", "1", 5, 0.03, 0.02, 0.04, 0.01, 0.05}) {
		t.Errorf("%d rows, %v, %+v", len(cases), err, cases[0])
	}
	page, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`href="strategy-baseline/seed-1/report.html"`, "two &lt;sources&gt;", "1 trial without a result", "install rist-tools", `title="The same / datagrams sent. (Of them not delivered`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(string(page), bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

// Shards that are put together give what the whole suite gives.
func TestMerge(t *testing.T) {
	f := &fake{value: func(name string, seed uint64) float64 { return float64(len(name))*1e-4 + float64(seed)*1e-3 }}
	p := plan(t, "strategy", Change{})
	whole := t.TempDir()
	f.run(t, whole, p)
	var dirs []string
	for k := 1; k <= 3; k++ {
		dir := t.TempDir()
		f.run(t, dir, Shard{k, 3}.Of(p))
		dirs = append(dirs, dir)
		if r := summarize(t, dir); r.Judged || r.Missed != 0 || r.Missing != 0 || len(r.Cases[0].Verdicts) != 0 {
			t.Errorf("shard %d: judged %v, %d missing", k, r.Judged, r.Missing)
		}
	}
	to := filepath.Join(t.TempDir(), "all")
	if err := Merge(to, dirs); err != nil {
		t.Fatal(err)
	}
	got, want := summarize(t, to), summarize(t, whole)
	for _, r := range []*Results{got, want} { // when, and how long
		for i := range r.Cases {
			for k := range r.Cases[i].Runs {
				r.Cases[i].Runs[k].Wall, r.Cases[i].Runs[k].Begun = 0, want.Cases[0].Runs[0].Begun
			}
		}
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("merged:\n%s\nwhole:\n%s", g, w)
	}
	if _, err := os.Stat(filepath.Join(to, "strategy-loss", CaseFile)); err != nil {
		t.Error(err)
	}
	// Without one shard its trials are missing; one of another suite is refused.
	part := filepath.Join(t.TempDir(), "part")
	if err := Merge(part, dirs[:2]); err != nil {
		t.Fatal(err)
	}
	if r := summarize(t, part); r.Missing != len(Shard{3, 3}.Of(p).Jobs) || !r.Judged {
		t.Errorf("got %d missing", r.Missing)
	}
	other := t.TempDir()
	f.run(t, other, Shard{3, 3}.Of(plan(t, "strategy", Change{Buffer: "2s"})))
	if err := Merge(filepath.Join(t.TempDir(), "x"), []string{dirs[0], other}); err == nil || !strings.Contains(err.Error(), "stacks or settings differ") {
		t.Errorf("got %v", err)
	}
	if err := Merge(to, dirs); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	if err := Merge(filepath.Join(t.TempDir(), "x"), []string{t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	// The same trial with other inputs in two shards.
	again := t.TempDir()
	f.run(t, again, Shard{1, 3}.Of(p))
	file := filepath.Join(again, Shard{1, 3}.Of(p).Jobs[0].dir(), RunFile)
	data, _ := os.ReadFile(file)
	write(t, file, strings.Replace(string(data), `"inputs_sha256": "`, `"inputs_sha256": "0`, 1))
	if err := Merge(filepath.Join(t.TempDir(), "x"), []string{dirs[0], again}); err == nil || !strings.Contains(err.Error(), "with other inputs") {
		t.Errorf("got %v", err)
	}
}

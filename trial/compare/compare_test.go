package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/internal/table"
	"linktape/replay"
	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
	"linktape/trial/suite"
)

// build is a suite's folder to be: the figures of its trials, and what they met.
type build struct {
	value  func(name string, seed uint64) map[string]float64
	tape   func(name string, seed uint64) string
	rows   func(name string, seed uint64, rows []replay.LogRow)
	change func(name string, seed uint64, m *trial.Manifest)
	lost   int64  // packets by the path
	losses string // other packets than usual
	passed int64
	skip   string // a trial that was not run
	seeds  int
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o777)
	}
	if err == nil {
		err = os.WriteFile(file, b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeRows[T any](t *testing.T, file string, rows []T) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := table.NewWriter[T](f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := w.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func (b *build) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if b.seeds == 0 {
		b.seeds = 5
	}
	m := suite.Manifest{Format: 1, Suite: "s", Judge: suite.Median, Time: "virtual"}
	for _, name := range []string{"calm", "rough"} {
		c := suite.CaseInfo{Name: name}
		for seed := range uint64(b.seeds) {
			c.Seeds = append(c.Seeds, seed+1)
			if b.skip != fmt.Sprint(name, seed+1) {
				b.trial(t, suite.RunDir(dir, name, seed+1), name, seed+1)
			}
		}
		m.Cases = append(m.Cases, c)
	}
	writeJSON(t, filepath.Join(dir, suite.ManifestFile), &m)
	return dir
}

func (b *build) trial(t *testing.T, at, name string, seed uint64) {
	t.Helper()
	sha := fmt.Sprintf("%s%060d", name[:4], seed)
	if b.tape != nil {
		sha = b.tape(name, seed)
	}
	tm := trial.Manifest{Format: 1, Name: name, Seed: seed, SHA256: sha, Stack: "librist", Complete: true, Rate: 4e6, Time: "virtual"}
	if b.change != nil {
		b.change(name, seed, &tm)
	}
	r := metrics.Result{Format: 1, SHA256: sha, Losses: []metrics.Losses{{Link: "att", Dir: "up", Packets: 1000, Lost: 5, SHA256: "the first five" + b.losses}}}
	for _, d := range metrics.Definitions() {
		link := ""
		if d.Scope == "link" {
			link = "att"
		}
		v := metrics.Value{Name: d.Name, Link: link, Unit: d.Unit}
		if x, ok := b.value(name, seed)[metrics.JoinName(d.Name, link)]; ok {
			v.Value = &x
		}
		r.Metrics = append(r.Metrics, v)
	}
	writeJSON(t, filepath.Join(at, report.JSONFile), &r)
	writeJSON(t, filepath.Join(at, trial.ManifestFile), &tm)
	writeJSON(t, filepath.Join(at, suite.RunFile), &suite.Run{Format: 1, Case: name, Seed: seed})
	rm := replay.Manifest{SHA256: sha, Counters: 100 * time.Millisecond, Links: []replay.ManifestLink{{Link: "att", Dir: "up", Shaper: "tbf"}}}
	dir := filepath.Join(at, trial.ReplayDir)
	writeJSON(t, filepath.Join(dir, replay.ManifestFile), &rm)
	rows := make([]replay.LogRow, 3)
	for i := range rows {
		due := int64(i) * 1e9
		rows[i] = replay.LogRow{Due: due, Tape: due, Link: "att", Dir: "up", Sent: due, Acked: due + 5000, Rate: 4e6, Carrier: true}
	}
	if b.rows != nil {
		b.rows(name, seed, rows)
	}
	writeRows(t, filepath.Join(dir, replay.LogFile), rows)
	passed := b.passed
	if passed == 0 {
		passed = 1000
	}
	writeRows(t, filepath.Join(dir, replay.CountersFile), []replay.CounterRow{{Link: "att", Dir: "up", Packets: passed, PathDrops: b.lost}})
}

// noise is between 0 and 1, different for every trial, and the same every time.
func noise(name string, seed uint64) float64 {
	x := float64(seed)*0.754877 + float64(len(name))*0.569840
	return x - math.Floor(x)
}

func figures(worse, gap float64) func(string, uint64) map[string]float64 {
	return func(name string, seed uint64) map[string]float64 {
		n := noise(name, seed)
		return map[string]float64{
			"unrecovered": 0.01*n + worse, "latency_p99_ms": 1000 + 100*n, "output_gap_max_ms": 50 + 100*n + gap, "overhead": 1.05,
			"effective_throughput_bit_s": 4e6, "att.loss": 0.01 * n, "events": 2,
		}
	}
}

// The same build twice: no difference at all, though the cases are noisy.
func TestSame(t *testing.T) {
	a, b := &build{value: figures(0, 0)}, &build{value: figures(0, 0)}
	r, err := Compare(a.write(t), b.write(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Regressions != 0 || r.Better != 0 || len(r.Pairs) != 10 || len(r.Remarks) != 0 || len(r.Notable()) != 0 {
		t.Errorf("got %d worse, %d better, %d pairs, remarks %q", r.Regressions, r.Better, len(r.Pairs), r.Remarks)
	}
	for _, p := range r.Pairs {
		if p.Drops != "same" || p.Unequal != "" {
			t.Errorf("got %+v", p)
		}
	}
}

func one(t *testing.T, r *Result, name, metric string) *Difference {
	t.Helper()
	for i := range r.Differences {
		if d := &r.Differences[i]; d.Case == name && metrics.JoinName(d.Metric, d.Link) == metric {
			return d
		}
	}
	t.Fatalf("no difference of %s in %q", metric, name)
	return nil
}

// A worse build is found in spite of noise between seeds that is larger than the
// difference, since the seeds are paired; what is tolerated, and what differs in
// some seeds one way and in some the other, is not.
func TestWorse(t *testing.T) {
	a := &build{value: figures(0, 0)}
	b := &build{value: func(name string, seed uint64) map[string]float64 {
		v := figures(0, 0)(name, seed)
		if name == "rough" {
			v["unrecovered"] += 0.003 + 0.0001*float64(seed) // worse
			v["latency_p99_ms"] -= 200                       // better
		}
		v["overhead"] += 0.002                                    // tolerated
		v["output_gap_max_ms"] += 400 * (noise("xy", seed) - 0.5) // this way and that
		return v
	}}
	r, err := Compare(a.write(t), b.write(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, metric, want string }{
		{"rough", "unrecovered", Worse}, {"calm", "unrecovered", Same}, {"rough", "latency_p99_ms", Better}, {"calm", "latency_p99_ms", Same},
		{"rough", "overhead", Same}, {"rough", "output_gap_max_ms", Same}, {"calm", "output_gap_max_ms", Same}, {"calm", "att.loss", ""}, {"calm", "events", ""},
	} {
		if d := one(t, r, c.name, c.metric); d.Verdict != c.want || d.N != 5 || d.Low == nil {
			t.Errorf("%s %s: got %q (%+v), want %q", c.name, c.metric, d.Verdict, d, c.want)
		}
	}
	d := one(t, r, "rough", "unrecovered")
	if math.Abs(d.Mean-0.0033) > 1e-9 || *d.Low < 0.0031 || *d.High > 0.0035 || *d.Low >= *d.High {
		t.Errorf("got %v, from %v to %v", d.Mean, *d.Low, *d.High)
	}
	if all := one(t, r, "", "unrecovered"); all.N != 10 {
		t.Errorf("got %+v", all)
	}
	// The other way round, worse is better.
	back, err := Compare(r.B, r.A, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if one(t, back, "rough", "unrecovered").Verdict != Better || one(t, back, "rough", "latency_p99_ms").Verdict != Worse {
		t.Errorf("the other way round: %+v", back.Notable())
	}
	if r.Notable()[0].Verdict != Worse {
		t.Errorf("the first is %+v", r.Notable()[0])
	}
}

// A higher throughput is better.
func TestHigher(t *testing.T) {
	value := func(by float64) func(string, uint64) map[string]float64 {
		return func(name string, seed uint64) map[string]float64 {
			return map[string]float64{"effective_throughput_bit_s": 4e6 + by + float64(seed)}
		}
	}
	a, b := &build{value: value(0)}, &build{value: value(-1e5)}
	r, err := Compare(a.write(t), b.write(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := one(t, r, "calm", "effective_throughput_bit_s"); d.Verdict != Worse {
		t.Errorf("got %+v", d)
	}
}

// Pairs that have not met the same network are refused, and said.
func TestUnequal(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      build
		want   string // part of the error; "": a remark
		remark string
	}{
		{"tape", build{tape: func(name string, seed uint64) string {
			if name == "rough" && seed == 2 {
				return strings.Repeat("f", 64)
			}
			return fmt.Sprintf("%s%060d", name[:4], seed)
		}}, "in 1 of 4 pairs:\nrough seed 2: the tapes differ: SHA-256 roug00000000… and ffffffffffff…", ""},
		{"step", build{rows: func(name string, seed uint64, rows []replay.LogRow) {
			if name == "calm" {
				rows[1].Rate = 5e6
			}
		}}, "in 2 of 4 pairs:\ncalm seed 1: 1 steps of att.up differ, such as at 1s: rate: A 4Mbit, B 5Mbit", ""},
		{"stream", build{change: func(_ string, _ uint64, m *trial.Manifest) { m.Rate = 3e6 }}, "the streams differ: 4Mbit and 3Mbit", ""},
		{"stopped", build{change: func(_ string, seed uint64, m *trial.Manifest) { m.Complete = seed != 2 }}, "calm seed 2: one of them was stopped", ""},
		{"cross traffic", build{change: func(_ string, _ uint64, m *trial.Manifest) { m.Cross = []trial.Cross{{Link: "att"}} }}, "the cross traffic differs", ""},
		{"late", build{rows: func(name string, seed uint64, rows []replay.LogRow) { rows[2].Acked += 30e6 }}, "", "rough seed 2: a step was applied 30ms apart"},
		{"drops", build{lost: 7}, "", "rough seed 2: as many packets came by, and others were lost"},
		{"drops of other packets", build{losses: ", and not"}, "", "rough seed 2: as many packets came by, and others were lost"},
		{"not run", build{skip: "calm2"}, "", "calm seed 2 has no partner in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &build{value: figures(0, 0), seeds: 2}
			c.b.seeds = 2
			c.b.value = figures(0, 0)
			da, db := a.write(t), c.b.write(t)
			r, err := Compare(da, db, Options{})
			if c.want != "" {
				if !errors.Is(err, ErrUnequal) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
			} else if err != nil || !strings.Contains(strings.Join(r.Remarks, "\n"), c.remark) {
				t.Fatalf("got %v, remarks %q; want %q", err, r.Remarks, c.remark)
			}
			r, err = Compare(da, db, Options{SkipOther: true})
			if all := c.want != "" && c.name != "tape" && c.name != "step" && c.name != "stopped"; all != errors.Is(err, ErrUnequal) {
				t.Errorf("without them: got %v", err)
			} else if !all && (r.Regressions != 0 || one(t, r, "rough", "unrecovered").N > 2) {
				t.Errorf("got %+v", r)
			}
		})
	}
	// Other packets came by: another build sends otherwise. That is no difference of
	// conditions, and the drops cannot be compared.
	a, b := &build{value: figures(0, 0), seeds: 1}, &build{value: figures(0, 0), seeds: 1, passed: 999, lost: 5}
	r, err := Compare(a.write(t), b.write(t), Options{})
	if err != nil || r.Pairs[0].Drops != "not compared" || len(r.Remarks) != 0 {
		t.Errorf("got %v, %+v", err, r)
	}
}

// Two trials are compared without intervals; a suite and a trial are not.
func TestTrials(t *testing.T) {
	a, b := &build{value: figures(0, 0)}, &build{value: figures(0.02, 0)}
	da, db := a.write(t), b.write(t)
	r, err := Compare(suite.RunDir(da, "calm", 1), suite.RunDir(db, "calm", 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := one(t, r, "calm", "unrecovered"); d.Verdict != Worse || d.Low != nil || d.N != 1 {
		t.Errorf("got %+v", d)
	}
	if _, err := Compare(da, suite.RunDir(db, "calm", 1), Options{}); err == nil || !strings.Contains(err.Error(), "a suite and a trial") {
		t.Errorf("got %v", err)
	}
	if _, err := Compare(da, t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "the folder of neither a suite nor a trial") {
		t.Errorf("got %v", err)
	}
}

// What only one build has is said: a bond that never comes back has no failover time.
func TestMeasuredInOne(t *testing.T) {
	a := &build{value: func(string, uint64) map[string]float64 {
		return map[string]float64{"failover_time_max_ms": 900, "failover_unfinished": 0}
	}}
	b := &build{value: func(string, uint64) map[string]float64 { return map[string]float64{"failover_unfinished": 1} }}
	r, err := Compare(a.write(t), b.write(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := one(t, r, "calm", "failover_unfinished"); d.Verdict != Worse {
		t.Errorf("got %+v", d)
	}
	if !strings.Contains(strings.Join(r.Remarks, "\n"), "calm: failover_time_max_ms was measured in A alone in 5 pairs, in B alone in 0") {
		t.Errorf("got %q", r.Remarks)
	}
}

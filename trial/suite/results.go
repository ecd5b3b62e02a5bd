package suite

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
)

// Results are what a suite has shown: the file results.json.
type Results struct {
	Format   int          `json:"format"` // 1
	Manifest *Manifest    `json:"suite"`
	Cases    []CaseResult `json:"cases"`
	Trials   int          `json:"trials"`  // that gave a result
	Failed   int          `json:"failed"`  // trials that did not give one
	Missing  int          `json:"missing"` // trials that were not run
	Missed   int          `json:"missed"`  // thresholds; of a shard: not judged
	Judged   bool         `json:"judged"`
}

// CaseResult is one case.
type CaseResult struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Runs        []Outcome `json:"runs"`
	Metrics     []Spread  `json:"metrics"`
	Verdicts    []Verdict `json:"verdicts"`
}

// Outcome is one trial of a case.
type Outcome struct {
	Seed     uint64            `json:"seed"`
	Tape     string            `json:"tape_sha256,omitempty"`
	Stack    string            `json:"stack,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`
	Missing  bool              `json:"missing,omitempty"` // it was not run
	Failed   string            `json:"failed,omitempty"`
	Wall     time.Duration     `json:"wall_ns"`
	Begun    time.Time         `json:"begun"`
	Findings []string          `json:"findings,omitempty"`
}

// OK reports whether the trial gave a result.
func (o *Outcome) OK() bool { return !o.Missing && o.Failed == "" }

// Spread is a metric over the seeds of a case. Values are in the order of the runs;
// null: not measured.
type Spread struct {
	Metric string     `json:"metric"`
	Link   string     `json:"link,omitempty"` // "": of the bond
	Unit   string     `json:"unit"`
	N      int        `json:"n"` // values
	Median float64    `json:"median"`
	Q1     float64    `json:"q1"` // quartiles, linear between values
	Q3     float64    `json:"q3"`
	Min    float64    `json:"min"`
	Max    float64    `json:"max"`
	Values []*float64 `json:"values"`
}

// Verdict is a threshold and what became of it.
type Verdict struct {
	Metric string   `json:"metric"` // as the threshold names it
	Unit   string   `json:"unit"`
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
	Median *float64 `json:"median"` // null: not measured
	Worst  *float64 `json:"worst"`  // value of a seed, the furthest out, or the closest to it
	Beyond int      `json:"beyond"` // seeds whose value is out, or was not measured
	Of     int      `json:"of"`     // seeds
	Passed bool     `json:"passed"`
}

// Bounds writes a verdict's threshold.
func (v *Verdict) Bounds() string {
	f := func(x float64) string { return report.Figure(x, v.Unit) }
	switch {
	case v.Min != nil && v.Max != nil:
		return f(*v.Min) + " to " + f(*v.Max)
	case v.Min != nil:
		return "≥ " + f(*v.Min)
	}
	return "≤ " + f(*v.Max)
}

// Summarize reads what a suite's folder holds: of every trial that its manifest
// names.
func Summarize(dir string) (*Results, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	r := &Results{Format: format, Manifest: m, Judged: m.Shard == ""}
	for i := range m.Cases {
		info := &m.Cases[i]
		c := CaseResult{Name: info.Name, Description: info.Description, Metrics: []Spread{}, Verdicts: []Verdict{}}
		var values [][]metrics.Value
		for _, seed := range info.Seeds {
			o, v, err := outcome(filepath.Join(dir, runDir(info.Name, seed)), seed)
			if err != nil {
				return nil, err
			}
			switch {
			case o.Missing:
				r.Missing++
			case o.Failed != "":
				r.Failed++
			default:
				r.Trials++
			}
			c.Runs, values = append(c.Runs, *o), append(values, v)
		}
		c.Metrics = spreads(values)
		if r.Judged {
			for _, t := range info.Thresholds {
				v := c.judge(&t, m.Judge)
				if !v.Passed {
					r.Missed++
				}
				c.Verdicts = append(c.Verdicts, v)
			}
		}
		r.Cases = append(r.Cases, c)
	}
	return r, nil
}

// outcome reads one trial. One that was not finished is missing.
func outcome(dir string, seed uint64) (*Outcome, []metrics.Value, error) {
	o := &Outcome{Seed: seed}
	run, err := readRun(dir)
	if errors.Is(err, fs.ErrNotExist) {
		o.Missing = true
		return o, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	o.Failed, o.Wall, o.Begun = run.Failed, run.Wall, run.Begun
	if o.Failed != "" {
		return o, nil, nil
	}
	res, err := report.Read(dir)
	if err != nil {
		return nil, nil, err
	}
	o.Tape, o.Stack = res.SHA256, res.Stack
	t, err := trial.ReadManifest(dir)
	if err != nil {
		return nil, nil, err
	}
	o.Versions = t.Versions
	o.Findings = slices.Clone(t.Findings)
	for _, f := range res.Findings {
		o.Findings = append(o.Findings, f.Text)
	}
	return o, res.Metrics, nil
}

// spreads puts the trials of a case together, metric by metric, in the order of the
// first trial that has it.
func spreads(values [][]metrics.Value) []Spread {
	out := []Spread{}
	place := make(map[[2]string]int)
	for i, vs := range values {
		for _, v := range vs {
			key := [2]string{v.Link, v.Name}
			k, ok := place[key]
			if !ok {
				k = len(out)
				place[key] = k
				out = append(out, Spread{Metric: v.Name, Link: v.Link, Unit: v.Unit, Values: make([]*float64, len(values))})
			}
			out[k].Values[i] = v.Value
		}
	}
	for i := range out {
		s := &out[i]
		var have []float64
		for _, v := range s.Values {
			if v != nil {
				have = append(have, *v)
			}
		}
		if s.N = len(have); s.N == 0 {
			continue
		}
		slices.Sort(have)
		s.Min, s.Q1, s.Median, s.Q3, s.Max = have[0], quantile(have, .25), quantile(have, .5), quantile(have, .75), have[len(have)-1]
	}
	return out
}

// quantile of sorted values, linear between them (Hyndman and Fan, "Sample
// Quantiles in Statistical Packages", The American Statistician 50 (1996), type 7).
func quantile(sorted []float64, q float64) float64 {
	h := q * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

// judge applies a threshold. What was not measured is not within it.
func (c *CaseResult) judge(t *trial.Threshold, judge string) Verdict {
	v := Verdict{Metric: t.Metric, Min: t.Min, Max: t.Max, Of: len(c.Runs)}
	metric, link := metrics.SplitName(t.Metric)
	out := func(x float64) float64 { // how far beyond; negative: within
		d := math.Inf(-1)
		if t.Min != nil {
			d = max(d, *t.Min-x)
		}
		if t.Max != nil {
			d = max(d, x-*t.Max)
		}
		return d
	}
	i := slices.IndexFunc(c.Metrics, func(s Spread) bool { return s.Metric == metric && s.Link == link })
	if i < 0 || c.Metrics[i].N == 0 {
		v.Beyond = v.Of
		return v
	}
	s := &c.Metrics[i]
	v.Unit = s.Unit
	v.Median = &s.Median
	for _, x := range s.Values {
		if x == nil {
			v.Beyond++
			continue
		}
		if out(*x) > 0 {
			v.Beyond++
		}
		if v.Worst == nil || out(*x) > out(*v.Worst) {
			v.Worst = x
		}
	}
	if judge == Every {
		v.Passed = v.Beyond == 0
		return v
	}
	v.Passed = out(s.Median) <= 0 && 2*s.N > v.Of // most seeds have a value
	return v
}

// Why says in what a verdict missed, or passed.
func (v *Verdict) Why() string {
	if v.Median == nil {
		return "not measured"
	}
	s := "median " + report.Figure(*v.Median, v.Unit)
	if v.Worst != nil {
		s += ", worst " + report.Figure(*v.Worst, v.Unit)
	}
	return fmt.Sprintf("%s, %d of %d beyond", s, v.Beyond, v.Of)
}

// Remeasure measures every trial of a suite again, with the program's definitions
// of now.
func Remeasure(dir string) error {
	m, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	for i := range m.Cases {
		for _, seed := range m.Cases[i].Seeds {
			at := filepath.Join(dir, runDir(m.Cases[i].Name, seed))
			run, err := readRun(at)
			if errors.Is(err, fs.ErrNotExist) || err == nil && run.Failed != "" {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := report.Make(at); err != nil {
				return err
			}
		}
	}
	return nil
}

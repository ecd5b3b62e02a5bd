package compare

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
	"linktape/trial/suite"

	replays "linktape/replay/report"
)

// ErrUnequal is returned where the two of a pair have not met the same network.
var ErrUnequal = errors.New("not the same conditions")

// Result is what a comparison has shown.
type Result struct {
	A           string       `json:"a"`
	B           string       `json:"b"`
	Confidence  float64      `json:"confidence"`
	Seed        uint64       `json:"seed"`
	Rules       []Rule       `json:"rules"`
	Pairs       []Pair       `json:"pairs"`
	Differences []Difference `json:"differences"`
	Remarks     []string     `json:"remarks"`     // what could not be paired, and what was not the same
	Regressions int          `json:"regressions"` // differences that are worse
	Better      int          `json:"improvements"`
}

// Pair is a case and a seed that both have.
type Pair struct {
	Case    string `json:"case"`
	Seed    uint64 `json:"seed"`
	Tape    string `json:"tape_sha256"`
	Drops   string `json:"drops"` // same: of the same packets the same ones, by captures and counters; other; or not compared: the packets that came by were not the same
	Unequal string `json:"unequal,omitempty"`

	late   time.Duration // the most that a step was applied apart, where it is beyond the tolerance
	dirs   [2]string
	values [2]*metrics.Result
}

// Verdicts of a difference.
const (
	Worse  = "worse"
	Better = "better"
	Same   = "same"
)

// Difference is a metric of a case, or of all pairs together, in both builds.
type Difference struct {
	Case    string    `json:"case"` // "": all pairs
	Metric  string    `json:"metric"`
	Link    string    `json:"link,omitempty"`
	Unit    string    `json:"unit"`
	N       int       `json:"n"` // pairs in which both were measured
	A       float64   `json:"a"` // means
	B       float64   `json:"b"`
	Mean    float64   `json:"difference"` // B − A
	Low     *float64  `json:"low"`        // of the confidence interval of the difference; null: one pair
	High    *float64  `json:"high"`
	Better  string    `json:"better,omitempty"` // lower, higher; "": neither
	Allowed float64   `json:"tolerated"`
	Verdict string    `json:"verdict,omitempty"`
	Pairs   []float64 `json:"pairs"`

	// Measured in one of the two alone, in so many pairs.
	OnlyA int `json:"only_a,omitempty"`
	OnlyB int `json:"only_b,omitempty"`
}

// Options say how to compare. The zero value works.
type Options struct {
	Rules      []Rule  // none: [DefaultRules]
	Confidence float64 // 0: 0.95
	Seed       uint64  // of the bootstrap; 0: 1
	SkipOther  bool    // leave pairs out that have not met the same conditions, instead of refusing
}

// Compare compares two suites' folders, or two trials'.
func Compare(a, b string, o Options) (*Result, error) {
	if o.Rules == nil {
		o.Rules = DefaultRules()
	}
	if o.Confidence == 0 {
		o.Confidence = 0.95
	}
	if o.Confidence < 0.5 || o.Confidence >= 1 {
		return nil, fmt.Errorf("confidence %v: from 0.5 to below 1", o.Confidence)
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	r := &Result{A: a, B: b, Confidence: o.Confidence, Seed: o.Seed, Rules: o.Rules, Pairs: []Pair{}, Differences: []Difference{}, Remarks: []string{}}
	if err := r.pair(); err != nil {
		return nil, err
	}
	if err := r.conditions(o.SkipOther); err != nil {
		return nil, err
	}
	r.differences()
	return r, nil
}

// item is a trial of one of the two.
type item struct {
	name string
	seed uint64
	dir  string
}

// items lists the trials of a folder.
func items(dir string) (out []item, remarks []string, isTrial bool, err error) {
	m, err := suite.ReadManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		t, err := trial.ReadManifest(dir)
		if err != nil {
			return nil, nil, false, fmt.Errorf("%s is the folder of neither a suite nor a trial: %w", dir, err)
		}
		name := t.Name
		if name == "" {
			name = filepath.Base(t.Scenario)
		}
		return []item{{name, t.Seed, dir}}, nil, true, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	for _, c := range m.Cases {
		for _, seed := range c.Seeds {
			at := suite.RunDir(dir, c.Name, seed)
			run, err := suite.ReadRun(at)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				remarks = append(remarks, fmt.Sprintf("%s: %s seed %d was not run", dir, c.Name, seed))
				continue
			case err != nil:
				return nil, nil, false, err
			case run.Failed != "":
				remarks = append(remarks, fmt.Sprintf("%s: %s seed %d gave no result", dir, c.Name, seed))
				continue
			}
			out = append(out, item{c.Name, seed, at})
		}
	}
	return out, remarks, false, nil
}

// pair finds the trials that both have.
func (r *Result) pair() error {
	as, ra, oneA, err := items(r.A)
	if err != nil {
		return err
	}
	bs, rb, oneB, err := items(r.B)
	if err != nil {
		return err
	}
	if oneA != oneB {
		return fmt.Errorf("%s and %s are a suite and a trial: name two of the same", r.A, r.B)
	}
	if oneA { // whatever they are called
		bs[0].name, bs[0].seed = as[0].name, as[0].seed
	}
	r.Remarks = append(append(r.Remarks, ra...), rb...)
	taken := make([]bool, len(bs))
	for _, x := range as {
		i := slices.IndexFunc(bs, func(y item) bool { return y.name == x.name && y.seed == x.seed })
		if i < 0 {
			r.Remarks = append(r.Remarks, fmt.Sprintf("%s seed %d has no partner in %s", x.name, x.seed, r.B))
			continue
		}
		taken[i] = true
		r.Pairs = append(r.Pairs, Pair{Case: x.name, Seed: x.seed, dirs: [2]string{x.dir, bs[i].dir}})
	}
	for i, y := range bs {
		if !taken[i] {
			r.Remarks = append(r.Remarks, fmt.Sprintf("%s seed %d has no partner in %s", y.name, y.seed, r.A))
		}
	}
	if len(r.Pairs) == 0 {
		return fmt.Errorf("%s and %s have no case and seed in common, of which both gave a result\n%s", r.A, r.B, strings.Join(r.Remarks, "\n"))
	}
	return nil
}

// conditions reads the pairs and checks that both met the same network.
func (r *Result) conditions(skip bool) error {
	var unequal []string
	for i := range r.Pairs {
		p := &r.Pairs[i]
		var ms [2]*trial.Manifest
		for k, dir := range p.dirs {
			var err error
			if ms[k], err = trial.ReadManifest(dir); err != nil {
				return err
			}
			if p.values[k], err = report.Open(dir); err != nil {
				return err
			}
		}
		p.Tape = ms[0].SHA256
		var err error
		if p.Unequal, err = p.equal(ms[0], ms[1]); err != nil {
			return err
		}
		if p.late > 0 {
			r.Remarks = append(r.Remarks, fmt.Sprintf("%s seed %d: a step was applied %v apart, by a machine that was busy", p.Case, p.Seed, p.late.Round(time.Millisecond)))
		}
		if p.Unequal != "" {
			unequal = append(unequal, fmt.Sprintf("%s seed %d: %s", p.Case, p.Seed, p.Unequal))
		} else if p.Drops == dropsOther {
			r.Remarks = append(r.Remarks, fmt.Sprintf("%s seed %d: as many packets came by, and others were lost: the drops are not the same", p.Case, p.Seed))
		}
	}
	if len(unequal) == 0 {
		return nil
	}
	if !skip || len(unequal) == len(r.Pairs) {
		return fmt.Errorf("compare %s with %s: %w in %d of %d pairs:\n%s", r.A, r.B, ErrUnequal, len(unequal), len(r.Pairs), strings.Join(unequal, "\n"))
	}
	r.Remarks = append(r.Remarks, unequal...)
	return nil
}

// Kinds of [Pair.Drops].
const (
	dropsSame  = "same"
	dropsOther = "other"
	dropsNone  = "not compared"
)

// equal says in what the conditions of a pair were not the same.
func (p *Pair) equal(a, b *trial.Manifest) (string, error) {
	switch {
	case a.SHA256 != b.SHA256:
		return fmt.Sprintf("the tapes differ: SHA-256 %.12s… and %.12s…", a.SHA256, b.SHA256), nil
	case a.Rate != b.Rate:
		return fmt.Sprintf("the streams differ: %v and %v", a.Rate, b.Rate), nil
	case a.Time != b.Time:
		return fmt.Sprintf("one ran in %s time, the other in %s time", a.Time, b.Time), nil
	case a.RatesOnly != b.RatesOnly:
		return "one of them had rates only", nil
	case !slices.Equal(a.Cross, b.Cross):
		return "the cross traffic differs", nil
	case !a.Complete || !b.Complete:
		return "one of them was stopped before its end", nil
	}
	p.Drops = dropsNone
	dirs := [2]string{filepath.Join(p.dirs[0], trial.ReplayDir), filepath.Join(p.dirs[1], trial.ReplayDir)}
	for _, d := range dirs {
		if _, err := os.Stat(d); err != nil {
			return "", fmt.Errorf("compare the replays of %s seed %d: %w", p.Case, p.Seed, err)
		}
	}
	c, err := replays.Compare(dirs[0], dirs[1], replays.DefaultTolerance)
	if err != nil {
		return "", err
	}
	for _, s := range c.Settings {
		return fmt.Sprintf("%s: A %s, B %s", s.Name, s.A, s.B), nil
	}
	same, other, late := true, false, time.Duration(0)
	for _, l := range c.Links {
		if n := l.OnlyA + l.OnlyB + l.Values; n > 0 {
			what := fmt.Sprintf("%d steps of %s.%s differ", n, l.Link, l.Dir)
			for _, e := range c.Examples {
				if e.Link == l.Link && e.Dir == l.Dir {
					return fmt.Sprintf("%s, such as at %v: %s", what, e.Due, e.What), nil
				}
			}
			return what, nil
		}
		late = max(late, l.Apart)
		other = other || l.Losses
		same = same && l.LostA >= 0 && l.LostB >= 0 && l.PacketsA == l.PacketsB && l.LostA == l.LostB
	}
	for _, x := range p.values[0].Losses {
		for _, y := range p.values[1].Losses {
			if x.Link != y.Link || x.Dir != y.Dir {
				continue
			}
			same = same && x == y
			other = other || x.Packets == y.Packets && x.Lost == y.Lost && x != y
		}
	}
	if late > replays.DefaultTolerance {
		p.late = late
	}
	switch {
	case other:
		p.Drops = dropsOther
	case same:
		p.Drops = dropsSame
	}
	return "", nil
}

// differences compares metric by metric: of each case, and of all pairs.
func (r *Result) differences() {
	var cases []string
	for _, p := range r.Pairs {
		if !slices.Contains(cases, p.Case) {
			cases = append(cases, p.Case)
		}
	}
	for _, name := range cases {
		r.of(name)
	}
	if len(cases) > 1 {
		r.of("")
	}
	for i := range r.Differences {
		switch r.Differences[i].Verdict {
		case Worse:
			r.Regressions++
		case Better:
			r.Better++
		}
	}
}

// of compares the pairs of a case, or with "" all of them, of which only the bond's
// metrics can be put together.
func (r *Result) of(name string) {
	var pairs []*Pair
	for i := range r.Pairs {
		if p := &r.Pairs[i]; p.Unequal == "" && (name == "" || p.Case == name) {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) == 0 {
		return
	}
	type key struct{ link, name string }
	seen := make(map[key]bool)
	for _, first := range pairs {
		for _, v := range first.values[0].Metrics {
			k := key{v.Link, v.Name}
			if seen[k] || name == "" && v.Link != "" {
				continue
			}
			seen[k] = true
			d := Difference{Case: name, Metric: v.Name, Link: v.Link, Unit: v.Unit, Pairs: []float64{}}
			var as, bs []float64
			for _, p := range pairs {
				a, b := p.values[0].Get(v.Name, v.Link), p.values[1].Get(v.Name, v.Link)
				switch hasA, hasB := !math.IsNaN(a), !math.IsNaN(b); {
				case hasA && hasB:
					as, bs, d.Pairs = append(as, a), append(bs, b), append(d.Pairs, b-a)
				case hasA:
					d.OnlyA++
				case hasB:
					d.OnlyB++
				}
			}
			if d.N = len(d.Pairs); d.N == 0 && d.OnlyA+d.OnlyB == 0 {
				continue
			}
			if d.N > 0 {
				d.A, d.B, d.Mean = mean(as), mean(bs), mean(d.Pairs)
				if low, high, ok := Interval(d.Pairs, r.Confidence, r.Seed); ok {
					d.Low, d.High = &low, &high
				}
			}
			if rule := find(r.Rules, v.Name, v.Link); rule != nil {
				d.judge(rule)
				if n := d.OnlyA + d.OnlyB; n > 0 && name != "" {
					r.Remarks = append(r.Remarks, fmt.Sprintf("%s: %s was measured in A alone in %d pairs, in B alone in %d", name, metrics.JoinName(v.Name, v.Link), d.OnlyA, d.OnlyB))
				}
			}
			r.Differences = append(r.Differences, d)
		}
	}
}

// judge applies a rule.
func (d *Difference) judge(rule *Rule) {
	d.Better, d.Allowed, d.Verdict = rule.Better, rule.Tolerated(d.A), Same
	if d.N == 0 {
		return
	}
	low, high := d.Mean, d.Mean // of a single pair
	if d.Low != nil {
		low, high = *d.Low, *d.High
	}
	up := d.Mean > d.Allowed && low > 0
	down := -d.Mean > d.Allowed && high < 0
	switch {
	case up && rule.Better == Lower, down && rule.Better == Higher:
		d.Verdict = Worse
	case up || down:
		d.Verdict = Better
	}
}

// Notable are the differences that are worse or better, the worst first within
// each case.
func (r *Result) Notable() []Difference {
	var out []Difference
	for _, d := range r.Differences {
		if d.Verdict == Worse || d.Verdict == Better {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Difference) int { return -cmp.Compare(a.Verdict, b.Verdict) })
	return out
}

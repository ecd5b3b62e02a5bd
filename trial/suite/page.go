package suite

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linktape/internal/cli"
	"linktape/trial/metrics"
	"linktape/trial/report"
)

//go:embed page.html
var pageText string

// keyMetrics are those that the overview shows.
func keyMetrics() []string {
	return []string{"unrecovered", "retransmission_rate", "retransmission_rate_spurious", "effective_throughput_bit_s", "latency_p99_ms", "output_gap_max_ms", "failover_time_max_ms", "overhead"}
}

type (
	named   struct{ Name, Text string }
	caseRow struct {
		Name, Trials, Thresholds string
		Passed                   bool
		Values                   []string
	}
	verdictRow struct {
		Metric, Text, Bounds, Median, Worst, Beyond string
		Passed                                      bool
	}
	metricRow struct {
		Name, Text, Median, Quartiles, Min, Max string
		N                                       int
		Values                                  []string
	}
	runRow struct {
		Name, Link, Wall, Tape, Failed string
		Findings                       []string
	}
	caseDetail struct {
		Name, What string
		Seeds      []string
		Verdicts   []verdictRow
		Metrics    []metricRow
		Runs       []runRow
		Drawn      string
		Pictures   []template.HTML
	}
)

// page is what the template sees.
type page struct {
	Title, How, Verdict string
	Good                bool
	Notes               []string
	Key                 []named
	Rows                []caseRow
	Details             []caseDetail
	Settings            []named
}

// Verdict says in a line how a suite went.
func (r *Results) Verdict() string {
	var parts []string
	add := func(n int, what, how string) {
		if n > 0 {
			parts = append(parts, cli.Count(int64(n), what)+" "+how)
		}
	}
	add(r.Failed, "trial", "without a result")
	add(r.Missing, "trial", "not run")
	add(r.Missed, "threshold", "missed")
	s := cli.Count(int64(r.Trials), "trial") + " with a result"
	switch {
	case len(parts) > 0:
		s += "; " + strings.Join(parts, ", ")
	case r.Judged && r.thresholds() > 0:
		s += fmt.Sprintf("; thresholds kept: all %d", r.thresholds())
	}
	if !r.Judged {
		s += "; a shard is not judged, the merged suite is"
	}
	return s
}

// thresholds counts them.
func (r *Results) thresholds() (n int) {
	for i := range r.Cases {
		n += len(r.Cases[i].Verdicts)
	}
	return n
}

func scope(link string) string {
	if link == "" {
		return "bond"
	}
	return "link"
}

// Page writes results as one HTML page, for the suite's folder dir: it links to the
// trials' pages, and shows the first trial of each case.
func (r *Results) Page(w io.Writer, dir string) error {
	m := r.Manifest
	texts := report.Texts(metrics.Definitions())
	p := page{Title: "Suite " + m.Suite, Verdict: r.Verdict(), Good: r.Failed+r.Missing+r.Missed == 0}
	var seeds []string
	for _, s := range m.Seeds {
		seeds = append(seeds, fmt.Sprint(s))
	}
	p.How = fmt.Sprintf("%s; %s, seeds %s; %s time", m.Description, cli.Count(int64(len(m.Cases)), "case"), strings.Join(seeds, ", "), m.Time)
	if m.Shard != "" {
		p.How += ", shard " + m.Shard
	}
	for _, k := range keyMetrics() {
		p.Key = append(p.Key, named{heading(k), texts[[2]string{"bond", k}]})
	}
	versions := make(map[string]string)
	var wall time.Duration
	for i := range r.Cases {
		c := &r.Cases[i]
		row := caseRow{Name: c.Name, Passed: true}
		good, kept := 0, 0
		for k := range c.Runs {
			if c.Runs[k].OK() {
				good++
			}
			wall += c.Runs[k].Wall
			maps.Copy(versions, c.Runs[k].Versions)
			if s := c.Runs[k].Stack; s != "" {
				versions["stack"] = s
			}
		}
		for k := range c.Verdicts {
			if c.Verdicts[k].Passed {
				kept++
			} else {
				row.Passed = false
			}
		}
		row.Passed = row.Passed && good == len(c.Runs)
		row.Trials, row.Thresholds = fmt.Sprintf("%d of %d", good, len(c.Runs)), fmt.Sprintf("%d of %d", kept, len(c.Verdicts))
		if !r.Judged {
			row.Thresholds = "–"
		}
		for _, k := range keyMetrics() {
			text := "–"
			if s := c.spread(k, ""); s != nil && s.N > 0 {
				text = report.Figure(s.Median, s.Unit)
			}
			row.Values = append(row.Values, text)
		}
		p.Rows = append(p.Rows, row)
		d := c.detail(texts)
		if err := c.draw(&d, dir); err != nil {
			return err
		}
		p.Details = append(p.Details, d)
	}
	set := func(name, text string) {
		if text != "" {
			p.Settings = append(p.Settings, named{name, text})
		}
	}
	set("judge", m.Judge+" of the seeds")
	set("changed of all cases", strings.Join(m.Change.flags(), " "))
	set("trials took together", wall.Round(time.Second).String())
	for _, k := range slices.Sorted(maps.Keys(versions)) {
		if k == "stack" {
			set("stack", versions[k])
			continue
		}
		set("version of "+k, versions[k])
	}
	return report.Render(w, "suite", pageText, &p)
}

// heading is a metric's name for a narrow column.
func heading(name string) string {
	for _, unit := range []string{"_bit_s", "_ms"} {
		name = strings.TrimSuffix(name, unit)
	}
	return strings.ReplaceAll(name, "_", " ")
}

// draw adds pictures of a case's first trial that gave a result.
func (c *CaseResult) draw(d *caseDetail, dir string) error {
	for i := range c.Runs {
		if !c.Runs[i].OK() {
			continue
		}
		r, err := report.Read(RunDir(dir, c.Name, c.Runs[i].Seed))
		if err != nil {
			return err
		}
		d.Drawn = d.Runs[i].Name
		if d.Pictures, err = report.Overview(r); err != nil {
			return fmt.Errorf("draw %s: %w", c.Name, err)
		}
		return nil
	}
	return nil
}

// spread finds a metric.
func (c *CaseResult) spread(metric, link string) *Spread {
	for i := range c.Metrics {
		if s := &c.Metrics[i]; s.Metric == metric && s.Link == link {
			return s
		}
	}
	return nil
}

func (c *CaseResult) detail(texts map[[2]string]string) caseDetail {
	d := caseDetail{Name: c.Name, What: c.Description}
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		metric, link := metrics.SplitName(v.Metric)
		row := verdictRow{Metric: v.Metric, Text: texts[[2]string{scope(link), metric}], Bounds: v.Bounds(), Median: "–", Worst: "–", Beyond: fmt.Sprintf("%d of %d", v.Beyond, v.Of), Passed: v.Passed}
		if v.Median != nil {
			row.Median = report.Figure(*v.Median, v.Unit)
		}
		if v.Worst != nil {
			row.Worst = report.Figure(*v.Worst, v.Unit)
		}
		d.Verdicts = append(d.Verdicts, row)
	}
	for i := range c.Runs {
		o := &c.Runs[i]
		row := runRow{Name: fmt.Sprintf("seed %d", o.Seed), Wall: o.Wall.Round(100 * time.Millisecond).String(), Tape: o.Tape, Failed: o.Failed, Findings: o.Findings}
		if o.Missing {
			row.Failed, row.Wall = "not run", ""
		} else if o.Failed == "" {
			row.Link = filepath.ToSlash(filepath.Join(runDir(c.Name, o.Seed), report.PageFile))
		}
		d.Runs = append(d.Runs, row)
		d.Seeds = append(d.Seeds, fmt.Sprint(o.Seed))
	}
	for i := range c.Metrics {
		s := &c.Metrics[i]
		if s.N == 0 {
			continue
		}
		f := func(x float64) string { return report.Figure(x, s.Unit) }
		row := metricRow{Name: metrics.JoinName(s.Metric, s.Link), Text: texts[[2]string{scope(s.Link), s.Metric}], N: s.N, Median: f(s.Median), Quartiles: f(s.Q1) + " to " + f(s.Q3), Min: f(s.Min), Max: f(s.Max)}
		for _, v := range s.Values {
			text := "–"
			if v != nil {
				text = f(*v)
			}
			row.Values = append(row.Values, text)
		}
		d.Metrics = append(d.Metrics, row)
	}
	return d
}

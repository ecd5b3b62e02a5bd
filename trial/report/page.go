package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linktape/internal/plot"
	"linktape/trial"
	"linktape/trial/metrics"
)

// Page writes the page of the trial in a folder.
func Page(w io.Writer, dir string, m *trial.Manifest, r *metrics.Result) error {
	p := page{Manifest: m, Result: r}
	p.describe()
	p.figures()
	if err := p.draw(); err != nil {
		return err
	}
	if err := p.sums(dir); err != nil {
		return err
	}
	text, err := files.ReadFile("page.html")
	if err != nil {
		return err
	}
	return Render(w, "trial", string(text), &p)
}

// page is what the template sees.
type page struct {
	Manifest   *trial.Manifest
	Result     *metrics.Result
	Title, How string
	Findings   []string
	Thresholds []threshold
	Bond       []figure
	PerLink    []linkFigures
	Output     []template.HTML
	Timelines  []timeline
	Events     []event
	Reactions  []reaction
	Settings   []item
	Sums       []item
}

type (
	threshold struct {
		Metric, Text, Bounds, Value string
		Passed                      bool
	}
	figure struct{ Name, Value, Text, Source string }

	linkFigures struct {
		Name, Text, Source string
		Values             []string
	}
	timeline struct {
		Link     string
		Pictures []template.HTML
	}
	event struct {
		Link, Mode, Label string
		Times             []string
		Back              bool
	}
	reaction struct{ Link, Cause, At, After string }
	item     struct{ Name, Text, Class string }
)

// describe fills in what was run.
func (p *page) describe() {
	m, r := p.Manifest, p.Result
	name := m.Name
	if name == "" {
		name = filepath.Base(m.Scenario)
	}
	p.Title = fmt.Sprintf("Trial %s: %s", name, m.Stack)
	p.How = fmt.Sprintf("%s, seed %d, %v over %s; %s time", filepath.Base(m.Scenario), m.Seed, m.Duration, strings.Join(r.Links, ", "), m.Time)
	if !m.Complete {
		p.Findings = append(p.Findings, "the trial was stopped before its end")
	}
	p.Findings = append(p.Findings, m.Findings...)
	for _, f := range r.Findings {
		p.Findings = append(p.Findings, f.Text)
	}
	add := func(class, name, text string) {
		if text != "" {
			p.Settings = append(p.Settings, item{name, text, class})
		}
	}
	add("", "scenario", m.Scenario)
	add("", "seed", fmt.Sprint(m.Seed))
	add("hash", "SHA-256 of the tape's steps", m.SHA256)
	if m.EpochWall > 0 {
		add("", "epoch", time.Unix(0, m.EpochWall).UTC().Format("2006-01-02 15:04:05.000000 MST")+", by the clock of "+m.Time+" time")
	}
	add("", "stack", m.Stack)
	if m.Rate > 0 {
		add("", "stream", fmt.Sprintf("%v in datagrams of %d bytes", m.Rate, m.Datagram))
		add("", "recovery buffer", m.Buffer.String())
	}
	for _, k := range slices.Sorted(maps.Keys(m.Settings)) {
		add("", "option "+k, m.Settings[k])
	}
	add("command", "sender", strings.Join(m.Sender, " "))
	add("command", "receiver", strings.Join(m.Receiver, " "))
	for _, k := range slices.Sorted(maps.Keys(m.Versions)) {
		add("", "version of "+k, m.Versions[k])
	}
	for _, x := range m.Cross {
		text := fmt.Sprintf("%s on %s %s from %v", x.Kind, x.Link, x.Dir, x.At)
		if x.Congestion != "" {
			text += ", " + x.Congestion
		}
		if x.Rate > 0 {
			text += ", " + x.Rate.String()
		}
		if x.On > 0 {
			text += fmt.Sprintf(", on %v, off %v", x.On, x.Off)
		}
		if x.Duration > 0 {
			text += fmt.Sprintf(", for %v", x.Duration)
		}
		add("", "cross traffic", text)
	}
}

// figures fills in the tables.
func (p *page) figures() {
	r := p.Result
	texts, units := Texts(r.Definitions), make(map[[2]string]string)
	for _, d := range r.Definitions {
		units[[2]string{d.Scope, d.Name}] = d.Unit
	}
	row := make(map[string]int)
	for _, v := range r.Metrics {
		value := math.NaN()
		if v.Value != nil {
			value = *v.Value
		}
		if v.Link == "" {
			if v.Value != nil {
				p.Bond = append(p.Bond, figure{v.Name, Figure(value, v.Unit), texts[[2]string{"bond", v.Name}], v.Source})
			}
			continue
		}
		i, ok := row[v.Name]
		if !ok {
			i = len(p.PerLink)
			row[v.Name] = i
			l := linkFigures{Name: v.Name, Text: texts[[2]string{"link", v.Name}], Source: v.Source}
			for range r.Links {
				l.Values = append(l.Values, "–")
			}
			p.PerLink = append(p.PerLink, l)
		}
		if k := slices.Index(r.Links, v.Link); k >= 0 {
			p.PerLink[i].Values[k] = Figure(value, v.Unit)
		}
	}
	for _, t := range p.Manifest.Thresholds {
		name, link := metrics.SplitName(t.Metric)
		scope := "bond"
		if link != "" {
			scope = "link"
		}
		unit, v := units[[2]string{scope, name}], r.Get(name, link)
		x := threshold{Metric: t.Metric, Text: texts[[2]string{scope, name}], Value: Figure(v, unit), Passed: !math.IsNaN(v)}
		var bounds []string
		if t.Min != nil {
			bounds, x.Passed = append(bounds, "≥ "+Figure(*t.Min, unit)), x.Passed && v >= *t.Min
		}
		if t.Max != nil {
			bounds, x.Passed = append(bounds, "≤ "+Figure(*t.Max, unit)), x.Passed && v <= *t.Max
		}
		x.Bounds = strings.Join(bounds, " and ")
		p.Thresholds = append(p.Thresholds, x)
	}
	opt := func(d *time.Duration) string {
		if d == nil {
			return "–"
		}
		return d.Round(time.Millisecond).String()
	}
	for _, e := range r.Events {
		share := "–"
		if e.FormerShare != nil {
			share = Figure(*e.FormerShare, "1")
		}
		p.Events = append(p.Events, event{e.Link, e.Mode, e.Label, []string{
			opt(&e.Failure), opt(e.Restore), opt(e.Detection), opt(e.Failover), opt(e.OutputGap), opt(e.FirstOriginal), opt(e.ShareBack), share,
		}, e.OutputBack})
	}
	for _, x := range r.Reactions {
		after := "not within 10 s"
		if x.After != nil {
			after = opt(x.After)
		}
		p.Reactions = append(p.Reactions, reaction{x.Link, x.Cause, opt(&x.At), after})
	}
}

// draw fills in the pictures.
func (p *page) draw() error {
	r := p.Result
	type panel struct {
		name, unit string
		lines      []plot.Line
	}
	if s := &r.Series.Output; len(s.Output) > 0 {
		for _, x := range []panel{{"output", "Mbit/s", outputLines(s)}, {"gaps of the output", "ms", gapLines(s)}} {
			if err := p.picture(&p.Output, x.name, x.unit, spansOf(r, ""), x.lines); err != nil {
				return err
			}
		}
	}
	for i := range r.Series.Links {
		s := &r.Series.Links[i]
		t := timeline{Link: s.Link}
		for _, x := range []panel{{"rate", "Mbit/s", rateLines(s)}, {"delay", "ms", delayLines(s)}, {"loss", "%", lossLines(s)}} {
			if err := p.picture(&t.Pictures, x.name, x.unit, spansOf(r, s.Link), x.lines); err != nil {
				return err
			}
		}
		p.Timelines = append(p.Timelines, t)
	}
	return nil
}

func (p *page) picture(to *[]template.HTML, name, unit string, spans []plot.Span, lines []plot.Line) error {
	svg, err := plot.Inline(func(w io.Writer) error {
		return plot.Rows(w, "svg", plot.RowsOptions{Unit: unit, Span: "nothing passes"}, p.Result.Bin, []plot.Row{{Name: name, Spans: spans, Lines: lines}})
	})
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	*to = append(*to, svg)
	return nil
}

// scaled multiplies a column. What a picture cannot show (nothing leaves: an
// infinite wait) is a gap.
func scaled(c metrics.Column, by float64) []float64 {
	out := make([]float64, len(c))
	for i, v := range c {
		if out[i] = v * by; math.IsInf(v, 0) || out[i] < 0 {
			out[i] = math.NaN()
		}
	}
	return out
}

// sums fills in the SHA-256 of what the trial has written.
func (p *page) sums(dir string) error {
	names := []string{trial.TapeFile, trial.SourceFile, trial.SinkFile, trial.StackFile, trial.CrossFile}
	for _, l := range p.Manifest.Links {
		names = append(names, trial.CaptureFile(l.Name, true), trial.CaptureFile(l.Name, false))
	}
	for _, name := range names {
		sum, err := sumFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		p.Sums = append(p.Sums, item{Name: filepath.ToSlash(name), Text: sum})
	}
	return nil
}

func sumFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", fs.ErrNotExist
	}
	s := sha256.New()
	if _, err := io.Copy(s, f); err != nil {
		return "", fmt.Errorf("sum up %s: %w", name, err)
	}
	return hex.EncodeToString(s.Sum(nil)), nil
}

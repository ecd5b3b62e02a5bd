package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"linktape/internal/plot"
	"linktape/netsetup"
	"linktape/trace"
)

// The bars.
const (
	mostTotal = 0.005           // of the total, either way
	leastOff  = 5e-4            // the same, of departures by arithmetic
	mostAway  = 2 * packetBytes // of their curve
	mostWorse = 0.1             // of auto's NRMSE over that of the best kind
	oneStep   = 1e-3            // of NRMSE, below which a difference is less than the table shows
)

// figures are all that was measured.
type figures struct {
	Field   bool     `json:"field"` // of the field traces
	Traces  []string `json:"traces"`
	Kinds   []string `json:"kinds"`
	Cells   []cell   `json:"cells"`
	Choices []choice `json:"choices"`
}

// cell is one figure of the table: a tape of a step through a bottleneck.
type cell struct {
	Trace  string        `json:"trace"`
	Kind   string        `json:"kind"`
	Step   time.Duration `json:"step_ns"`
	Length time.Duration `json:"length_ns"`
	Score  score         `json:"score"`

	Dropped  int           `json:"dropped"` // packets that did not arrive
	Lateness time.Duration `json:"lateness_max_ns"`
}

// choice is what auto takes for a tape.
type choice struct {
	Trace string        `json:"trace"`
	Step  time.Duration `json:"step_ns"`
	Kind  string        `json:"kind"`
	Why   string        `json:"why"`
}

// choices asks auto for each tape, on a kernel that has everything.
func choices(all []source, duration time.Duration) ([]choice, error) {
	var out []choice
	for _, step := range steps() {
		if step < netsetup.DefaultTick {
			continue // measured with ticks that auto does not take
		}
		for _, s := range all {
			tl, err := s.tape(step, duration)
			if err != nil {
				return nil, err
			}
			var file bytes.Buffer
			w, err := trace.NewWriter(&file, tl.Meta)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(w.Write(tl.Steps), w.Close()); err != nil {
				return nil, err
			}
			r, err := trace.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
			if err != nil {
				return nil, err
			}
			demands, err := netsetup.DemandsOf(r)
			if err := errors.Join(err, r.Close()); err != nil {
				return nil, err
			}
			d := demands[link]
			shaper, why := netsetup.ChooseShaper(&d, netsetup.DefaultMTU, netsetup.AllFeatures())
			out = append(out, choice{s.Name, step, string(shaper), why})
		}
	}
	return out, nil
}

func (f *figures) cell(trace, kind string, step time.Duration) *cell {
	for i := range f.Cells {
		if c := &f.Cells[i]; c.Trace == trace && c.Kind == kind && c.Step == step {
			return c
		}
	}
	return nil
}

// best is the cell of a tape with the smallest NRMSE; nil where none was
// measured.
func (f *figures) best(trace string, step time.Duration) (best *cell) {
	for _, k := range f.Kinds {
		if c := f.cell(trace, k, step); c != nil && (best == nil || c.Score.NRMSE < best.Score.NRMSE) {
			best = c
		}
	}
	return best
}

// outside lists what is outside its bar.
func (f *figures) outside() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for i := range f.Cells {
		c := &f.Cells[i]
		name := fmt.Sprintf("%s at %v on %s", c.Kind, c.Step, c.Trace)
		if t := c.Score.Total; !(math.Abs(t) <= mostTotal) {
			say("%s: total %+.2f %%, the bar is %.1f %%", name, 100*t, 100*mostTotal)
		}
		k, err := kindNamed(c.Kind)
		if err != nil {
			say("%s: %v", name, err)
		} else if f.Field && c.Step <= k.exact && c.Score.WrongTicks > 0 {
			say("%s: %d of %d ticks with a wrong number of packets", name, c.Score.WrongTicks, c.Score.Ticks)
		}
		if err == nil && k.shaper == netsetup.ShaperEDT {
			if t := c.Score.Total; !(math.Abs(t) <= leastOff) {
				say("%s: total %+.3f %%, the bar is %.2f %%", name, 100*t, 100*leastOff)
			}
			if c.Score.CurveRaw > mostAway {
				say("%s: the curve is off by up to %.0f bytes without a shift, the bar is %d", name, c.Score.CurveRaw, mostAway)
			}
		}
		if c.Dropped > 0 {
			say("%s: %d packets were dropped, though the queue was never full", name, c.Dropped)
		}
	}
	for _, x := range f.Choices {
		c, best := f.cell(x.Trace, x.Kind, x.Step), f.best(x.Trace, x.Step)
		switch {
		case best == nil:
		case c == nil:
			say("auto at %v on %s: takes %s, which was not measured", x.Step, x.Trace, x.Kind)
		case c.Score.NRMSE > (1+mostWorse)*best.Score.NRMSE+oneStep:
			say("auto at %v on %s: takes %s with an NRMSE of %.4f; %s has %.4f", x.Step, x.Trace, x.Kind, c.Score.NRMSE, best.Kind, best.Score.NRMSE)
		}
	}
	return out
}

// Marks between which the table stands in the document.
const (
	begin = "<!-- written by make accuracy: begin -->\n"
	end   = "<!-- written by make accuracy: end -->\n"
)

// replaceTable puts a table in the place of the one between the marks.
func replaceTable(document []byte, table string) ([]byte, error) {
	before, rest, ok := bytes.Cut(document, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 || bytes.Contains(after, []byte(begin)) {
		return nil, fmt.Errorf("there is no one pair of lines %q and %q to write the table between", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return slices.Concat(before, []byte(begin+"\n"+table+"\n"+end), after), nil
}

// table is the part of the document that is measured, in Markdown.
func (f *figures) table() string {
	var b strings.Builder
	of := strings.Join(f.Traces, " / ")
	if !f.Field {
		fmt.Fprintf(&b, "(There were no field traces: these are uplinks of %s.)\n\n", scenario)
	}
	fmt.Fprintf(&b, "In the order %s:\n\n", of)
	b.WriteString("| bottleneck | step | played | total, % | NRMSE, 100 ms bins | curve p95, kB | curve max, kB | unshifted, kB | wrong ticks |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, k := range f.Kinds {
		for _, step := range steps() {
			f.row(&b, k, step)
		}
	}
	b.WriteString("\nWhat `auto` takes, and its NRMSE beside the best one's:\n\n| step | tape | takes | NRMSE | best | because |\n|---|---|---|---|---|---|\n")
	for _, x := range f.Choices {
		c, best := f.cell(x.Trace, x.Kind, x.Step), f.best(x.Trace, x.Step)
		if c == nil || best == nil {
			continue
		}
		fmt.Fprintf(&b, "| %v | %s | `%s` | %.3f | `%s` %.3f | %s |\n", x.Step, x.Trace, x.Kind, c.Score.NRMSE, best.Kind, best.Score.NRMSE, x.Why)
	}
	return b.String()
}

func (f *figures) row(b *strings.Builder, kind string, step time.Duration) {
	var played, total, nrmse, p95, most, raw, ticks []string
	any := false
	for _, t := range f.Traces {
		c := f.cell(t, kind, step)
		if c == nil && step > grain {
			return
		}
		if c == nil { // a tape without a grain of its own
			for _, p := range []*[]string{&total, &nrmse, &p95, &most, &raw, &ticks} {
				*p = append(*p, "–")
			}
			continue
		}
		any = true
		s := &c.Score
		if text := c.Length.Round(time.Second).String(); !slices.Contains(played, text) {
			played = append(played, text)
		}
		total = append(total, fmt.Sprintf("%+.3f", 100*s.Total))
		nrmse = append(nrmse, fmt.Sprintf("%.3f", s.NRMSE))
		p95 = append(p95, fmt.Sprintf("%.1f", s.CurveP95/1e3))
		most = append(most, fmt.Sprintf("%.1f", s.CurveMax/1e3))
		raw = append(raw, fmt.Sprintf("%.1f", s.CurveRaw/1e3))
		ticks = append(ticks, fmt.Sprintf("%d of %d", s.WrongTicks, s.Ticks))
	}
	if !any {
		return
	}
	grid := step.String()
	if step == grain {
		grid = "its own"
	}
	wrong := "–"
	if k, err := kindNamed(kind); err == nil && step <= k.exact && step > grain {
		wrong = strings.Join(ticks, ", ")
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", kind, grid, strings.Join(played, " / "),
		strings.Join(total, " / "), strings.Join(nrmse, " / "), strings.Join(p95, " / "), strings.Join(most, " / "), strings.Join(raw, " / "), wrong)
}

// draw makes the picture of the curves: a panel for each kind, at the shortest
// step of the table that all of them have.
func (f *figures) draw(file string) error {
	const step = 20 * time.Millisecond
	var rows []plot.Row
	for _, k := range f.Kinds {
		r := plot.Row{Name: k}
		bins := 0
		for _, t := range f.Traces {
			c := f.cell(t, k, step)
			if c == nil || t == ou().Name { // of the recordings alone, which are three
				continue
			}
			l := plot.Line{Label: t}
			for _, d := range c.Score.Curve {
				l.Values = append(l.Values, d/1e3)
			}
			bins = max(bins, len(l.Values))
			r.Lines = append(r.Lines, l)
		}
		for i := range r.Lines { // shorter traces end earlier
			for len(r.Lines[i].Values) < bins {
				r.Lines[i].Values = append(r.Lines[i].Values, math.NaN())
			}
		}
		if len(r.Lines) > 0 {
			rows = append(rows, r)
		}
	}
	format, err := plot.FormatOf(file)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	title := fmt.Sprintf("Largest |delivered − offered| of 100 ms, steps of %v, saturated", step)
	if err := plot.Rows(&b, format, plot.RowsOptions{Title: title, Unit: "kB"}, scoreBin, rows); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o666)
}

package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"linktape/internal/plot"
	"linktape/replay"
)

//go:embed page.html
var files embed.FS

// rowsPerPicture keeps a picture on one printed page.
const rowsPerPicture = 6

// Page writes a report as one HTML page: pictures as inline SVG, nothing that is
// loaded, no scripts.
func (r *Report) Page(w io.Writer) error {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"short": short, "at": at, "percent": percent, "mb": func(n int64) string { return fmt.Sprintf("%.3f", float64(n)/1e6) },
		"share": func(f float64) string { return fmt.Sprintf("%.1f", 100*f) },
	}).ParseFS(files, "page.html")
	if err != nil {
		return err
	}
	p := page{Report: r}
	if err := p.draw(); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, &p); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// page is what the template sees.
type page struct {
	*Report
	Delivery, Delay, Loss []template.HTML
	Timing                template.HTML
}

// Wall is the wall clock at the epoch.
func (p *page) Wall() string {
	if p.Manifest.Epoch.IsZero() {
		return "the first step did not come"
	}
	return p.Manifest.Epoch.Format("2006-01-02 15:04:05.000000 MST")
}

// How says how the window was played.
func (p *page) How() string {
	m := p.Manifest
	s := fmt.Sprintf("%v of %v from %v", m.Window, m.Length, m.From)
	if m.Loop {
		s += ", over and over"
	}
	if m.RatesOnly {
		s += ", rates only"
	}
	return fmt.Sprintf("%s; played %v", s, p.Played.Round(time.Millisecond))
}

// Counted reports whether the counters were read.
func (p *page) Counted() bool {
	for i := range p.Directions {
		if p.Directions[i].counted {
			return true
		}
	}
	return false
}

// Timings are the rows of the table of times.
func (p *page) Timings() []timing {
	return []timing{
		{"lateness", "from a step's instant to the beginning of its exchange with the kernel", p.Lateness},
		{"exchange", "from then until the kernel had worked through it", p.Exchange},
		{"skew", "between the first and the last direction to get the steps of one instant", p.Skew},
	}
}

type timing struct {
	Name, What string
	replay.Distribution
}

func (p *page) draw() error {
	if len(p.Directions) == 0 {
		return nil
	}
	var delivery []plot.DeliverySeries
	var delay, loss []plot.Row
	lossy := false
	for i := range p.Directions {
		d := &p.Directions[i]
		name := d.Link + " " + d.Dir
		delivery = append(delivery, plot.DeliverySeries{
			Name: name, Tape: d.tape, Delivered: d.bytes, Backlog: d.backlog,
			Note: fmt.Sprintf("%.1f %% of what the tape allowed", 100*d.Use),
		})
		var spans []plot.Span
		for _, s := range d.spans {
			spans = append(spans, plot.Span{From: s.from, To: s.to})
		}
		row := plot.Row{Name: name, Spans: spans, Lines: []plot.Line{{Label: "tape's one-way delay", Values: d.rtt, Area: true}}}
		if d.counted {
			row.Lines = append(row.Lines, plot.Line{Label: "queue delay, largest in each bin", Values: d.delay})
			row.Note = fmt.Sprintf("queue delay: median %v, 99th percentile %v, largest %v", short(d.QueueDelay.P50), short(d.QueueDelay.P99), short(d.QueueDelay.Max))
		}
		delay = append(delay, row)
		row = plot.Row{Name: name, Spans: spans, Lines: []plot.Line{{Label: "tape", Values: percents(d.loss), Area: true}}}
		if d.counted {
			row.Lines = append(row.Lines, plot.Line{Label: "lost on the path", Values: percents(d.lost)})
			row.Note = fmt.Sprintf("outside outages: %s on the tape, %s lost; dropped by the queue %d, by outages %d packets",
				percent(d.TapeLoss), percent(d.PathLoss), d.QueueDrops, d.OutageDrops)
		}
		for _, v := range append(row.Lines[0].Values, d.PathLoss) {
			lossy = lossy || v > 0
		}
		loss = append(loss, row)
	}
	var err error
	for i := 0; i < len(delivery); i += rowsPerPicture {
		end := min(i+rowsPerPicture, len(delivery))
		for _, x := range []struct {
			to   *[]template.HTML
			draw func(io.Writer) error
		}{
			{&p.Delivery, func(w io.Writer) error { return plot.Delivery(w, "svg", "", p.Bin, delivery[i:end]) }},
			{&p.Delay, func(w io.Writer) error {
				return plot.Rows(w, "svg", plot.RowsOptions{Unit: "ms", Span: "nothing passes"}, p.Bin, delay[i:end])
			}},
			{&p.Loss, func(w io.Writer) error {
				if !lossy {
					return nil
				}
				return plot.Rows(w, "svg", plot.RowsOptions{Unit: "%", Span: "nothing passes"}, p.Bin, loss[i:end])
			}},
		} {
			var svg template.HTML
			if svg, err = plot.Inline(x.draw); err != nil {
				return err
			}
			if svg != "" {
				*x.to = append(*x.to, svg)
			}
		}
	}
	var hs []plot.Histogram
	for _, t := range p.Timings() {
		h := p.histograms[t.Name]
		x := plot.Histogram{Name: t.Name, Note: fmt.Sprintf("%d; median %v, largest %v", h.Count(), short(t.P50), short(t.Max))}
		h.Bins(func(from, to time.Duration, n int64) { x.Bars = append(x.Bars, plot.Bar{From: from, To: to, Count: n}) })
		hs = append(hs, x)
	}
	p.Timing, err = plot.Inline(func(w io.Writer) error { return plot.Histograms(w, "svg", "", hs) })
	return err
}

func percents(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = 100 * x
	}
	return out
}

// short rounds a duration to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// at writes an instant to the millisecond.
func at(d time.Duration) string { return d.Round(time.Millisecond).String() }

func percent(f float64) string {
	if math.IsNaN(f) {
		return "–"
	}
	return fmt.Sprintf("%.3g %%", 100*f)
}

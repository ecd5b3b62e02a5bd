package plot

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// DeliverySeries is one direction of a replay: what the tape allowed and what
// was delivered, in equal bins from the start of the replay.
type DeliverySeries struct {
	Name      string    // such as "att up"
	Tape      []float64 // mean rate of each bin in Mbit/s
	Delivered []float64 // mean rate of each bin in Mbit/s; as long as Tape
	Backlog   []float64 // waiting in the bottleneck's queue in each bin, kB; nil = unknown
	Note      string    // beside the name, such as "total −0.12 %, NRMSE 0.010"
}

// Delivery draws a row for each series: the tape as an area with the delivery
// as a line on top, and beside it the cumulative difference, delivered − tape,
// with the backlog. format is "png" or "svg". Series without bins, of unequal
// lengths, or with values that are negative or not finite are an error.
func Delivery(w io.Writer, format, title string, bin time.Duration, series []DeliverySeries) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	title = printable(title)
	rows, err := deliveryRows(bin, series)
	if err != nil {
		return fmt.Errorf("plot delivery: %w", err)
	}
	backlog, many := false, false
	for i, r := range rows {
		backlog = backlog || series[i].Backlog != nil
		many = many || !r.difference.curve(differenceWidth).exact
	}
	entries := deliveryLegend(backlog, many)
	ph := min(panelHeight(len(rows)), 220)
	probe := newCanvas("svg", figureWidth, 100)
	top := headerHeight(probe, title, entries) + columnTitle
	s := newCanvas(format, figureWidth, top+float64(len(rows))*(rowTitle+ph)+bottom)
	header(s, title, entries)

	const gap = (figureWidth - marginRight - panelsWidth) / 2.0
	x0, x1 := gap, gap+deliveryWidth+gap
	measure := func(l string) float64 { return s.width(l, small) }
	end := rows[0].to
	left, right := newTimeAxis(0, end, deliveryWidth, measure), newTimeAxis(0, end, differenceWidth, measure)
	s.text(x0+deliveryWidth/2, top-2, "Rate", bold, 0.5)
	s.text(x1+differenceWidth/2, top-2, "Cumulative difference, delivered − tape", bold, 0.5)
	for i, r := range rows {
		y := top + float64(i)*(rowTitle+ph) + rowTitle
		last := i == len(rows)-1
		name := s.fit(printable(series[i].Name), bold, 400)
		s.text(x0, y-7, name, bold, 0)
		used := s.width(name, bold) + 12
		s.text(x0+used, y-7, s.fit(printable(series[i].Note), note, deliveryWidth-used), note, 0)
		r.drawRate(&panel{s: s, x: x0, y: y, w: deliveryWidth, h: ph, time: left, labels: last})
		r.drawDifference(&panel{s: s, x: x1, y: y, w: differenceWidth, h: ph, time: right, labels: last})
	}
	return s.write(w)
}

// Widths of the two panels of a row in pixels.
const (
	deliveryWidth   = 864
	differenceWidth = panelsWidth - deliveryWidth
)

type deliveryRow struct {
	tape, delivered *track // Mbit/s
	difference      *track // kB, at the middle of each bin
	backlog         *track // kB; nil = unknown
	to              time.Duration
}

func deliveryRows(bin time.Duration, series []DeliverySeries) ([]deliveryRow, error) {
	switch {
	case bin <= 0:
		return nil, fmt.Errorf("a bin of %v", bin)
	case len(series) == 0:
		return nil, errors.New("no series")
	case len(series) > MaxRows:
		return nil, fmt.Errorf("%d series in one picture: at most %d", len(series), MaxRows)
	}
	bins := 0
	for _, s := range series {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("series %q: %w", s.Name, err)
		}
		bins = max(bins, len(s.Tape))
	}
	if int64(bins) > math.MaxInt64/int64(bin) {
		return nil, fmt.Errorf("%d bins of %v are too long", bins, bin)
	}
	to := time.Duration(bins) * bin
	rows := make([]deliveryRow, len(series))
	for i, s := range series {
		r := deliveryRow{
			tape: newTrack(0, to, deliveryWidth), delivered: newTrack(0, to, deliveryWidth),
			difference: newTrack(0, to, differenceWidth), to: to,
		}
		fill(r.tape, bin, s.Tape)
		fill(r.delivered, bin, s.Delivered)
		fill(r.difference, bin, difference(bin, s.Tape, s.Delivered))
		if s.Backlog != nil {
			r.backlog = newTrack(0, to, differenceWidth)
			fill(r.backlog, bin, s.Backlog)
		}
		rows[i] = r
	}
	return rows, nil
}

func fill(t *track, bin time.Duration, v []float64) {
	for i, x := range v {
		t.add(time.Duration(i)*bin, time.Duration(i+1)*bin, x)
	}
}

func (s *DeliverySeries) check() error {
	switch {
	case len(s.Tape) == 0:
		return errors.New("no bins")
	case len(s.Delivered) != len(s.Tape):
		return fmt.Errorf("%d bins delivered, %d on the tape", len(s.Delivered), len(s.Tape))
	case s.Backlog != nil && len(s.Backlog) != len(s.Tape):
		return fmt.Errorf("%d bins of backlog, %d on the tape", len(s.Backlog), len(s.Tape))
	}
	for _, q := range []struct {
		name string
		v    []float64
	}{{"tape", s.Tape}, {"delivered", s.Delivered}, {"backlog", s.Backlog}} {
		for i, x := range q.v {
			if !(x >= 0 && x <= 1e15) {
				return fmt.Errorf("%s: bin %d is %v", q.name, i, x)
			}
		}
	}
	return nil
}

// difference returns Σ (delivered − tape) × bin in kB at the end of each bin;
// 1 Mbit = 125 kB.
func difference(bin time.Duration, tape, delivered []float64) []float64 {
	out := make([]float64, len(tape))
	sum := 0.0
	for i := range tape {
		sum += float64((delivered[i] - tape[i]) * 125 * bin.Seconds())
		out[i] = sum
	}
	return out
}

func (r *deliveryRow) drawRate(p *panel) {
	tape, delivered := r.tape.curve(deliveryWidth), r.delivered.curve(deliveryWidth)
	p.unit = "Mbit/s"
	p.scale = linearScale(0, max(r.tape.total().max, r.delivered.total().max), 1)
	p.grid()
	p.axes()
	p.s.fill(p.under(tape), tapeArea)
	p.s.stroke(p.steps(tape, tape.mean), tapeEdge, 1)
	p.s.stroke(p.steps(delivered, delivered.mean), blue, lineWidth)
}

func (r *deliveryRow) drawDifference(p *panel) {
	diff := r.difference.curve(differenceWidth)
	t := r.difference.total()
	lo, hi := min(t.min, 0), max(t.max, 0)
	p.unit = "kB"
	if r.backlog != nil {
		hi = max(hi, r.backlog.total().max)
	}
	p.scale = linearScale(lo, hi, 1)
	if lo == 0 && hi == 0 {
		p.scale = scale{lo: -1, hi: 1}
	}
	p.grid()
	p.axes()
	zero := crisp(p.py(0))
	p.s.stroke(shape{{{p.x, zero}, {p.x + p.w, zero}}}, frame, 1)
	if r.backlog != nil {
		b := r.backlog.curve(differenceWidth)
		p.s.fill(p.envelope(b), fade(green, envelopeFade))
		p.s.stroke(p.steps(b, b.mean), green, 1)
	}
	p.s.fill(p.envelope(diff), fade(vermil, envelopeFade))
	p.s.stroke(p.steps(diff, diff.mean), vermil, lineWidth)
}

func deliveryLegend(backlog, many bool) []entry {
	out := []entry{
		{"tape", func(s *canvas, x, y float64) {
			s.rect(x, y, sampleWidth, sampleHeight, tapeArea)
			s.stroke(shape{{{x, crisp(y)}, {x + sampleWidth, crisp(y)}}}, tapeEdge, 1)
		}},
		lineEntry("delivered", blue),
	}
	if many {
		out = append(out, envelopeEntry())
	}
	out = append(out, lineEntry("delivered − tape", vermil))
	if backlog {
		out = append(out, lineEntry("backlog", green))
	}
	return out
}

package plot

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"time"
)

// Row is one panel over the whole time: some quantities of one link, in equal
// bins from the start.
type Row struct {
	Name  string // such as "att up"
	Note  string // beside the name
	Lines []Line // up to three, each drawn above those before it
	Spans []Span // shaded, such as outages
}

// Line is one quantity in equal bins. NaN is a gap.
type Line struct {
	Label  string // the same in every row
	Values []float64
	Area   bool // filled down to 0, in grey
}

// Span is a stretch of time.
type Span struct{ From, To time.Duration }

// RowsOptions says what a picture of rows shows.
type RowsOptions struct {
	Title string
	Unit  string // of every line
	Span  string // what the spans are, for the legend; empty: not said
}

// Rows draws a panel for each row, one below the other. format is "png" or "svg".
// Rows without bins, of different lengths, or with values that are negative or
// infinite are an error.
func Rows(w io.Writer, format string, opts RowsOptions, bin time.Duration, rows []Row) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	bins, err := checkRows(bin, rows)
	if err != nil {
		return fmt.Errorf("plot rows: %w", err)
	}
	title := printable(opts.Title)
	to := time.Duration(bins) * bin
	tracks := make([][]*track, len(rows))
	var entries []entry
	seen, many, spans := map[string]bool{}, false, false
	for i, r := range rows {
		spans = spans || len(r.Spans) > 0
		for k, l := range r.Lines {
			t := newTrack(0, to, panelsWidth)
			fill(t, bin, l.Values)
			tracks[i] = append(tracks[i], t)
			many = many || !t.curve(panelsWidth).exact
			if !seen[l.Label] {
				seen[l.Label] = true
				entries = append(entries, rowEntry(l, k))
			}
		}
	}
	if many {
		entries = append(entries, envelopeEntry())
	}
	if spans && opts.Span != "" {
		entries = append(entries, entry{printable(opts.Span), func(s *canvas, x, y float64) {
			s.rect(x, y, sampleWidth, sampleHeight, fade(vermil, shadeFade/2))
		}})
	}
	ph := min(panelHeight(len(rows)), 180)
	probe := newCanvas("svg", figureWidth, 100)
	top := headerHeight(probe, title, entries)
	s := newCanvas(format, figureWidth, top+float64(len(rows))*(rowTitle+ph)+bottom)
	header(s, title, entries)
	x := float64(figureWidth-marginRight-panelsWidth)/2 + 20
	axis := newTimeAxis(0, to, panelsWidth, func(l string) float64 { return s.width(l, small) })
	for i, r := range rows {
		y := top + float64(i)*(rowTitle+ph) + rowTitle
		name := s.fit(printable(r.Name), bold, 400)
		s.text(x, y-7, name, bold, 0)
		used := s.width(name, bold) + 12
		s.text(x+used, y-7, s.fit(printable(r.Note), note, panelsWidth-used), note, 0)
		p := &panel{s: s, x: x, y: y, w: panelsWidth, h: ph, time: axis, labels: i == len(rows)-1, unit: printable(opts.Unit)}
		p.row(r, tracks[i], to)
	}
	return s.write(w)
}

// rowColor is that of a row's k-th line.
func rowColor(k int) color.NRGBA { return [...]color.NRGBA{blue, vermil, green}[k] }

func rowEntry(l Line, k int) entry {
	if !l.Area {
		return lineEntry(printable(l.Label), rowColor(k))
	}
	return entry{printable(l.Label), func(s *canvas, x, y float64) {
		s.rect(x, y, sampleWidth, sampleHeight, tapeArea)
		s.stroke(shape{{{x, crisp(y)}, {x + sampleWidth, crisp(y)}}}, tapeEdge, 1)
	}}
}

func (p *panel) row(r Row, tracks []*track, to time.Duration) {
	hi := 0.0
	for _, t := range tracks {
		if m := t.total().max; m > hi { // false for a track of gaps
			hi = m
		}
	}
	p.scale = linearScale(0, hi, 1)
	p.grid()
	var shades shape
	for _, s := range r.Spans {
		a, b := p.px(float64(max(s.From, 0))/float64(to)), p.px(float64(min(s.To, to))/float64(to))
		if b <= a {
			continue
		}
		shades = append(shades, box(a, p.y, max(b-a, 1), p.h))
	}
	for i, t := range tracks {
		if r.Lines[i].Area {
			c := t.curve(panelsWidth)
			p.s.fill(p.under(c), tapeArea)
			p.s.stroke(p.steps(c, c.mean), tapeEdge, 1)
		}
	}
	p.s.fill(shades, fade(vermil, shadeFade/2))
	p.axes()
	for i, t := range tracks {
		if r.Lines[i].Area {
			continue
		}
		c := t.curve(panelsWidth)
		p.s.fill(p.envelope(c), fade(rowColor(i), envelopeFade))
		p.s.stroke(p.steps(c, c.mean), rowColor(i), lineWidth)
	}
}

func checkRows(bin time.Duration, rows []Row) (bins int, err error) {
	switch {
	case bin <= 0:
		return 0, fmt.Errorf("a bin of %v", bin)
	case len(rows) == 0:
		return 0, errors.New("no rows")
	case len(rows) > MaxRows:
		return 0, fmt.Errorf("%d rows in one picture: at most %d", len(rows), MaxRows)
	}
	for _, r := range rows {
		if n := len(r.Lines); n == 0 || n > 3 {
			return 0, fmt.Errorf("row %q: %d lines: 1 to 3", r.Name, n)
		}
		for _, l := range r.Lines {
			if bins == 0 {
				bins = len(l.Values)
			}
			if len(l.Values) == 0 || len(l.Values) != bins {
				return 0, fmt.Errorf("row %q: %s has %d bins, others %d", r.Name, l.Label, len(l.Values), bins)
			}
			for i, v := range l.Values {
				if v < 0 || v > 1e15 {
					return 0, fmt.Errorf("row %q: %s: bin %d is %v", r.Name, l.Label, i, v)
				}
			}
		}
	}
	if int64(bins) > math.MaxInt64/int64(bin) {
		return 0, fmt.Errorf("%d bins of %v are too long", bins, bin)
	}
	return bins, nil
}

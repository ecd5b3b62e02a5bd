package plot

import (
	"image/color"
	"math"
)

// Widths and heights of the layout in pixels. The panels of a row are 1296 px
// wide together, which 1, 2 and 3 columns divide.
const (
	figureWidth = 1500
	panelsWidth = 1296
	marginRight = 18
	rowTitle    = 28 // above each row of panels
	columnTitle = 20
	bottom      = 52 // labels and title of the time axis
)

// panelHeight gives few rows more room.
func panelHeight(rows int) float64 {
	switch rows {
	case 1:
		return 260
	case 2:
		return 210
	case 3:
		return 180
	case 4:
		return 150
	}
	return 120
}

// A panel is one pair of axes. Drawing order: grid, shades, axes, curves.
type panel struct {
	s          *canvas
	x, y, w, h float64
	scale      scale
	unit       string
	time       timeAxis
	labels     bool // of the time axis, below the panel
}

func (p *panel) px(frac float64) float64 { return p.x + float64(frac*p.w) }
func (p *panel) py(v float64) float64    { return p.y + p.h - float64(p.scale.frac(v)*p.h) }

// crisp moves a coordinate to the middle of a pixel.
func crisp(v float64) float64 { return math.Floor(v) + 0.5 }

func (p *panel) grid() {
	var lines shape
	for _, t := range p.time.ticks {
		x := crisp(p.px(t.frac))
		lines = append(lines, []point{{x, p.y}, {x, p.y + p.h}})
	}
	for _, t := range p.yTicks() {
		y := crisp(p.y + p.h - t.frac*p.h)
		lines = append(lines, []point{{p.x, y}, {p.x + p.w, y}})
	}
	p.s.stroke(lines, grid, 1)
}

// axes draws the frame, the ticks and the labels.

func (p *panel) axes() {
	x0, y0, x1, y1 := crisp(p.x-0.5), crisp(p.y-0.5), crisp(p.x+p.w-0.5), crisp(p.y+p.h-0.5)
	widest := 0.0
	lines := shape{{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}, {x0, y0}}}
	for _, t := range p.yTicks() {
		y := crisp(p.y + p.h - t.frac*p.h)
		lines = append(lines, []point{{x0 - 4, y}, {x0, y}})
		p.s.text(x0-7, y+4, t.label, small, 1)
		widest = max(widest, p.s.width(t.label, small))
	}
	for _, t := range p.time.ticks {
		x := crisp(p.px(t.frac))
		lines = append(lines, []point{{x, y1}, {x, y1 + 4}})
		if p.labels {
			half := p.s.width(t.label, small) / 2
			p.s.text(min(x, figureWidth-2-half), y1+17, t.label, small, 0.5)
		}
	}
	p.s.stroke(lines, frame, 1)
	p.s.upward(x0-7-widest-8, p.y+p.h/2, p.unit, small)
	if p.labels {
		p.s.text(p.x+p.w/2, y1+36, p.time.title, small, 0.5)
	}
}

func (p *panel) yTicks() []tick { return p.scale.ticks(int(p.h/27) + 1) }

// steps returns the line of a piecewise-constant curve; gaps part it.
func (p *panel) steps(c curve, v []float64) shape {
	var out shape
	var line []point
	for i, y := range v {
		if math.IsNaN(y) {
			if line != nil {
				out, line = append(out, line), nil
			}
			continue
		}
		line = append(line, point{p.px(c.edge[i]), p.py(y)}, point{p.px(c.edge[i+1]), p.py(y)})
	}
	if line != nil {
		out = append(out, line)
	}
	return out
}

// shared returns the lines along which two curves lie on each other for at
// least two dashes.
func (p *panel) shared(a, b curve) shape {
	var out shape
	var line []point
	flush := func() {
		if n := len(line); n > 0 && line[n-1].x-line[0].x >= 2*dashLength {
			out = append(out, line)
		}
		line = nil
	}
	for i, k := 0, 0; i < len(a.mean) && k < len(b.mean); {
		from, to := max(a.edge[i], b.edge[k]), min(a.edge[i+1], b.edge[k+1])
		if from < to {
			y := p.py(a.mean[i])
			if math.Abs(y-p.py(b.mean[k])) < 0.75 { // false for a gap
				line = append(line, point{p.px(from), y}, point{p.px(to), y})
			} else {
				flush()
			}
		}
		if a.edge[i+1] <= b.edge[k+1] {
			i++
		} else {
			k++
		}
	}
	flush()
	return out
}

// between returns the area from a lower to an upper piecewise-constant curve
// with the same gaps.
func (p *panel) between(lower curve, lo []float64, upper curve, hi []float64) shape {
	a, b := p.steps(lower, lo), p.steps(upper, hi)
	var out shape
	for i := range min(len(a), len(b)) {
		area := append([]point(nil), b[i]...)
		for k := len(a[i]) - 1; k >= 0; k-- {
			area = append(area, a[i][k])
		}
		out = append(out, area)
	}
	return out
}

// envelope is the area between the extremes of a curve's columns, empty for a
// curve that is drawn exactly.
func (p *panel) envelope(c curve) shape {
	if c.exact {
		return nil
	}
	return p.between(c, c.min, c, c.max)
}

// under is the area between the bottom and the curve.
func (p *panel) under(c curve) shape {
	var out shape
	base := p.y + p.h
	for _, line := range p.steps(c, c.mean) {
		area := append([]point{{line[0].x, base}}, line...)
		out = append(out, append(area, point{line[len(line)-1].x, base}))
	}
	return out
}

// A legend entry is a sample and its words.
type entry struct {
	label  string
	sample func(s *canvas, x, y float64) // draws sampleWidth × sampleHeight px with the upper left corner at x, y
}

const sampleWidth, sampleHeight = 24, 12

func lineEntry(label string, c color.NRGBA) entry {
	return entry{label, func(s *canvas, x, y float64) {
		s.stroke(shape{{{x, y + sampleHeight/2}, {x + sampleWidth, y + sampleHeight/2}}}, c, 2.5)
	}}
}

// envelopeEntry explains what is drawn where steps outnumber pixels.
func envelopeEntry() entry {
	return entry{"mean, minimum and maximum per pixel", func(s *canvas, x, y float64) {
		var area shape
		for i, top := range []float64{3, 0, 4, 1, 2, 0} {
			area = append(area, box(x+float64(4*i), y+top, 4, sampleHeight-1-2*top+float64(i%2)))
		}
		s.fill(area, fade(ink, envelopeFade))
		s.stroke(shape{{{x, y + sampleHeight/2}, {x + sampleWidth, y + sampleHeight/2}}}, ink, lineWidth)
	}}
}

// legend draws the entries in one line that ends at x; y is its baseline.
func legend(s *canvas, x, y float64, entries []entry) {
	x -= legendWidth(s, entries)
	for _, e := range entries {
		e.sample(s, x, y-sampleHeight+1)
		s.text(x+sampleWidth+6, y, e.label, small, 0)
		x += sampleWidth + 6 + s.width(e.label, small) + 20
	}
}

func legendWidth(s *canvas, entries []entry) float64 {
	w := -20.0
	for _, e := range entries {
		w += sampleWidth + 6 + s.width(e.label, small) + 20
	}
	return max(w, 0)
}

// header draws the title and the legend, on one line where they fit, and
// returns the height that they take.
func header(s *canvas, title string, entries []entry) float64 {
	h := headerHeight(s, title, entries)
	x := float64(figureWidth - marginRight)
	s.text(16, 28, s.fit(title, head, figureWidth-32), head, 0)
	legend(s, x, h-14, entries)
	return h
}

func headerHeight(s *canvas, title string, entries []entry) float64 {
	if title != "" && s.width(title, head)+legendWidth(s, entries)+60 > figureWidth-marginRight-16 {
		return 66
	}
	return 42
}

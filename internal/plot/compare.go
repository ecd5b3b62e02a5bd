package plot

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"time"
)

// ComparisonRow is one direction of two timelines.
type ComparisonRow struct {
	Name  string          // such as "att.up"
	Note  string          // beside the name, such as "KS 0.03"
	Bin   time.Duration   // that rates are means over
	Sides [2]ComparedSide // in the order of the names in Comparison
}

// ComparedSide is what a row shows of one timeline.
type ComparedSide struct {
	Rates           []float64 // Mbit/s of the bins without outage, ascending
	Autocorrelation []float64 // by lag in bins, from lag 0
	Outages         []float64 // durations in seconds, ascending
}

// Comparison draws a row for each direction: the rates' distribution, their
// autocorrelation, and how many outages are longer than a duration. names are
// those of the two timelines. format is "png" or "svg". Values that are negative
// (but for autocorrelations), not finite or out of order are an error.
func Comparison(w io.Writer, format, title string, names [2]string, rows []ComparisonRow) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	switch {
	case len(rows) == 0:
		return errors.New("plot comparison: no directions")
	case len(rows) > MaxRows:
		return fmt.Errorf("plot comparison: %d directions in one picture: at most %d", len(rows), MaxRows)
	}
	outages := false
	for _, r := range rows {
		if err := r.check(); err != nil {
			return fmt.Errorf("plot comparison: %s: %w", r.Name, err)
		}
		outages = outages || len(r.Sides[0].Outages)+len(r.Sides[1].Outages) > 0
	}
	title = printable(title)
	entries := []entry{lineEntry(printable(names[0]), sideColor(0)), lineEntry(printable(names[1]), sideColor(1))}
	cols := 2
	if outages {
		cols = 3
	}
	ph := min(panelHeight(len(rows)), 210)
	probe := newCanvas("svg", figureWidth, 100)
	for i := range entries { // long names leave room for the title
		entries[i].label = probe.fit(entries[i].label, small, 480)
	}
	const below = 44 // each row has axes of its own
	top := headerHeight(probe, title, entries) + columnTitle
	s := newCanvas(format, figureWidth, top+float64(len(rows))*(rowTitle+ph+below)+8)
	header(s, title, entries)
	width := float64(panelsWidth / cols)
	gap := (figureWidth - marginRight - panelsWidth) / float64(cols)
	for i, text := range []string{"Distribution of the rate", "Autocorrelation of the rate", "Outages that last longer"}[:cols] {
		s.text(float64(i+1)*gap+(float64(i)+0.5)*width, top-2, text, bold, 0.5)
	}
	for k, r := range rows {
		y := top + float64(k)*(rowTitle+ph+below) + rowTitle
		name := s.fit(printable(r.Name), bold, 500)
		s.text(gap, y-7, name, bold, 0)
		used := s.width(name, bold) + 12
		s.text(gap+used, y-7, s.fit(printable(r.Note), note, float64(panelsWidth)-used), note, 0)
		for i := range cols {
			pn := &panel{s: s, x: float64(i+1)*gap + float64(i)*width, y: y, w: width, h: ph, labels: true}
			switch i {
			case 0:
				r.drawRates(pn)
			case 1:
				r.drawAutocorrelation(pn)
			case 2:
				r.drawOutages(pn)
			}
		}
	}
	return s.write(w)
}

func sideColor(i int) color.NRGBA { return [...]color.NRGBA{blue, vermil}[i] }

func (r *ComparisonRow) check() error {
	if r.Bin <= 0 {
		return fmt.Errorf("a bin of %v", r.Bin)
	}
	for _, s := range r.Sides {
		for what, v := range map[string][]float64{"rates": s.Rates, "outages": s.Outages} {
			if !slices.IsSorted(v) || len(v) > 0 && (!(v[0] >= 0) || math.IsInf(v[len(v)-1], 0) || math.IsNaN(v[len(v)-1])) {
				return fmt.Errorf("%s are not finite, not negative and ascending", what)
			}
		}
		for _, a := range s.Autocorrelation {
			if !(math.Abs(a) <= 1+1e-9) {
				return fmt.Errorf("an autocorrelation of %v", a)
			}
		}
	}
	return nil
}

// across gives a panel a horizontal scale with labels.
func (p *panel) across(x scale, title string) {
	p.time.title = title
	for _, t := range x.ticks(int(p.w / 60)) {
		p.time.ticks = append(p.time.ticks, tick{t.frac, t.label})
	}
}

// drawRates draws the shares of bins whose rate is at most x.
func (r *ComparisonRow) drawRates(p *panel) {
	least, low, top := math.Inf(1), math.Inf(1), 0.0
	for _, s := range r.Sides {
		n := len(s.Rates)
		if n == 0 {
			continue
		}
		top = max(top, s.Rates[n-1])
		if i, _ := slices.BinarySearch(s.Rates, math.SmallestNonzeroFloat64); i < n {
			least = min(least, s.Rates[i])
			low = min(low, s.Rates[i+(n-i)/20])
		}
	}
	x, title := linearScale(0, top, 1), "rate (Mbit/s)"
	if top > 30*low { // as in a timeline's picture
		x, title = logScale(max(least, low/10), top), "rate (Mbit/s, log)"
	}
	p.scale, p.unit = scale{lo: 0, hi: 1}, "share of bins"
	p.across(x, title)
	p.grid()
	p.axes()
	for i, s := range r.Sides {
		n := float64(len(s.Rates))
		if n == 0 {
			continue
		}
		line := []point{{p.px(0), p.py(0)}}
		last := point{-1, -1}
		for k, v := range s.Rates {
			from, to := point{p.px(x.frac(v)), p.py(float64(k) / n)}, point{p.px(x.frac(v)), p.py(float64(k+1) / n)}
			if math.Abs(to.x-last.x)+math.Abs(to.y-last.y) > 0.5 || k == len(s.Rates)-1 {
				line, last = append(line, from, to), to
			}
		}
		line = append(line, point{p.px(1), p.py(1)})
		p.s.stroke(shape{line}, sideColor(i), lineWidth)
	}
}

func (r *ComparisonRow) drawAutocorrelation(p *panel) {
	lags, low := 0, 0.0
	for _, s := range r.Sides {
		lags = max(lags, shown(s.Autocorrelation))
		for _, a := range s.Autocorrelation[:shown(s.Autocorrelation)] {
			low = min(low, a)
		}
	}
	lags = max(lags-1, 1)
	bin := r.Bin.Seconds()
	x := scale{lo: 0, hi: float64(lags) * bin}
	p.scale, p.unit = scale{lo: min(low*1.1, -0.1), hi: 1.02}, ""
	p.across(x, "lag (s)")
	p.grid()
	p.axes()
	zero := crisp(p.py(0))
	p.s.stroke(shape{{{p.x, zero}, {p.x + p.w, zero}}}, frame, 1)
	for i, s := range r.Sides {
		var line []point
		for k, a := range s.Autocorrelation {
			if k <= lags {
				line = append(line, point{p.px(x.frac(float64(k) * bin)), p.py(a)})
			}
		}
		if line != nil {
			p.s.stroke(shape{line}, sideColor(i), lineWidth)
		}
	}
}

// shown is how many lags tell something: three times as many as it takes to
// fall below 0.1, at least 20.
func shown(a []float64) int {
	for k, v := range a {
		if v < 0.1 {
			return min(len(a), max(3*k, 20))
		}
	}
	return len(a)
}

// drawOutages draws the share of outages that are longer than x.
func (r *ComparisonRow) drawOutages(p *panel) {
	low, top := math.Inf(1), 0.0
	most := 0
	for _, s := range r.Sides {
		if n := len(s.Outages); n > 0 {
			low, top = min(low, max(s.Outages[0], 1e-3)), max(top, s.Outages[n-1])
			most = max(most, n)
		}
	}
	if most == 0 {
		p.scale, p.unit = scale{lo: 0, hi: 1}, ""
		p.labels = false
		p.s.text(p.x+p.w/2, p.y+p.h/2, "none", note, 0.5)
		p.s.stroke(shape{append(box(crisp(p.x-0.5), crisp(p.y-0.5), p.w, p.h), point{crisp(p.x - 0.5), crisp(p.y - 0.5)})}, frame, 1)
		return
	}
	x := logScale(low*0.95, max(top, low*2))
	p.scale, p.unit = scale{lo: 0.5 / float64(max(most, 5)), hi: 1.1, log: true}, "share (log)"
	p.across(x, "duration (s, log)")
	p.grid()
	p.axes()
	for i, s := range r.Sides {
		n := float64(len(s.Outages))
		if n == 0 {
			continue
		}
		line := []point{{p.px(0), p.py(1)}}
		for k, v := range s.Outages {
			at := p.px(x.frac(v))
			line = append(line, point{at, p.py((n - float64(k)) / n)}, point{at, p.py(max((n-float64(k+1))/n, p.scale.lo))})
		}
		p.s.stroke(shape{line}, sideColor(i), lineWidth)
	}
}

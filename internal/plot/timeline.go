package plot

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
)

// TimelineOptions says what a timeline's picture shows.
type TimelineOptions struct {
	Title    string        // above the picture; empty = none
	From     time.Duration // the window's start, an offset from the timeline's start
	Duration time.Duration // the window's length; 0 = to the timeline's end, which also cuts a longer one
}

// MaxRows is the highest number of links or series in one picture.
const MaxRows = 64

// TimelinePlot collects a timeline's steps for one picture: a row for each
// link with its rate, delay and loss. Its memory depends on the number of
// links alone, not on the number of steps.
type TimelinePlot struct {
	title    string
	from, to time.Duration
	links    []trace.Link
	dirs     map[trace.LinkDir]*direction
	err      error
}

// direction holds what is known of one direction of one link.
type direction struct {
	seen   bool
	last   time.Duration // instant of the newest step
	state  trace.State   // since last
	rate   *track        // Mbit/s
	delay  *track        // ms
	lo, hi *track        // delay − jitter, not below 0, and delay + jitter, ms
	loss   *track        // %, mean of the state; a total loss is a gap, and an outage
	outage *track        // 1 in an outage, else 0
	pulses pulseFilter   // before rate and outage
}

// The columns of the picture, left to right.
const (
	rateColumn = iota
	delayColumn
	lossColumn
)

// NewTimeline returns an empty plot for the directions that meta names. What is
// wrong with meta or opts is the error of Write.
func NewTimeline(meta trace.Meta, opts TimelineOptions) *TimelinePlot {
	p := &TimelinePlot{
		title: printable(opts.Title),
		from:  opts.From,
		to:    meta.Duration,
		links: append([]trace.Link(nil), meta.Links...),
		dirs:  map[trace.LinkDir]*direction{},
	}
	if opts.Duration > 0 && opts.Duration < p.to-p.from {
		p.to = p.from + opts.Duration
	}
	switch {
	case meta.Duration <= 0:
		p.err = fmt.Errorf("plot timeline: its duration is %v", meta.Duration)
	case opts.From < 0 || opts.Duration < 0:
		p.err = fmt.Errorf("plot timeline: the window of %v from %v is negative", opts.Duration, opts.From)
	case opts.From >= meta.Duration:
		p.err = fmt.Errorf("plot timeline: the window begins at %v, the timeline ends at %v", opts.From, meta.Duration)
	case len(meta.Links) > MaxRows:
		p.err = fmt.Errorf("plot timeline: %d links in one picture: at most %d", len(meta.Links), MaxRows)
	case len(meta.Directions()) == 0:
		p.err = errors.New("plot timeline: it names no direction of any link")
	}
	if p.err != nil {
		return p
	}
	for _, ld := range meta.Directions() {
		if p.dirs[ld] != nil {
			p.err = fmt.Errorf("plot timeline: it names %v twice", ld)
			return p
		}
		d := &direction{}
		for _, t := range d.tracks() {
			*t = newTrack(p.from, p.to, panelsWidth)
		}
		d.pulses.bin, d.pulses.emit = pulseBin(p.to-p.from), d.passes
		p.dirs[ld] = d
	}
	return p
}

func (d *direction) tracks() []**track {
	return []**track{&d.rate, &d.delay, &d.lo, &d.hi, &d.loss, &d.outage}
}

// Step takes the next step, in canonical order. Steps before the window say
// how it begins; steps after it are ignored. What is wrong with a step is the
// error of Write. The step is not kept.
func (p *TimelinePlot) Step(s *trace.Step) {
	if p.err != nil {
		return
	}
	if s == nil {
		p.err = errors.New("plot timeline: a step is nil")
		return
	}
	d := p.dirs[s.LinkDir()]
	switch {
	case d == nil:
		p.err = fmt.Errorf("plot timeline: a step at %v is for %v, which the timeline does not name", s.At, s.LinkDir())
	case s.At < 0 || d.seen && s.At <= d.last:
		p.err = fmt.Errorf("plot timeline: %v: a step at %v comes after one at %v", s.LinkDir(), s.At, d.last)
	case !d.seen && s.At > p.from:
		p.err = fmt.Errorf("plot timeline: %v: the first step is at %v, after the window's start at %v", s.LinkDir(), s.At, p.from)
	case s.Rate < 0 || s.Delay < 0 || s.Jitter < 0 || !(s.MeanLoss() >= 0 && s.MeanLoss() <= 1):
		p.err = fmt.Errorf("plot timeline: %v: the step at %v has an invalid rate, delay, jitter or loss", s.LinkDir(), s.At)
	}
	if p.err != nil {
		return
	}
	if d.seen {
		d.hold(s.At)
	}
	d.seen, d.last, d.state = true, s.At, s.State
}

// hold adds the newest state, which lasts until instant to.
func (d *direction) hold(to time.Duration) {
	s, from := &d.state, d.last
	d.pulses.add(rateSpan{from: from, to: to, mbits: s.Rate.Mbits(),
		outage: s.Outage() || s.Label == "outage",
		stall:  s.Rate == 0 && s.Carrier && s.MeanLoss() < 1 && s.Label != "outage"})
	delay, jitter := ms(s.Delay), ms(s.Jitter)
	d.delay.add(from, to, delay)
	d.lo.add(from, to, max(delay-jitter, 0))
	d.hi.add(from, to, delay+jitter)
	loss := 100 * s.MeanLoss()
	if loss >= 100 {
		loss = math.NaN()
	}
	d.loss.add(from, to, loss)
}

// passes adds what passes from one instant to another one.
func (d *direction) passes(s rateSpan) {
	d.rate.add(s.from, s.to, s.mbits)
	outage := 0.0
	if s.outage {
		outage = 1
	}
	d.outage.add(s.from, s.to, outage)
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// finish adds the last state up to the window's end.
func (p *TimelinePlot) finish() error {
	if p.err != nil {
		return p.err
	}
	for _, l := range p.links {
		for _, ld := range linkDirs(l) {
			d := p.dirs[ld]
			if !d.seen {
				return fmt.Errorf("plot timeline: no step for %v", ld)
			}
			d.hold(p.to) // a second time it adds nothing
			d.pulses.flush()
		}
	}
	return nil
}

// linkDirs lists the directions of a link in the order of drawing.
func linkDirs(l trace.Link) []trace.LinkDir {
	var out []trace.LinkDir
	if l.Down {
		out = append(out, trace.LinkDir{Link: l.Name, Dir: trace.Down})
	}
	if l.Up {
		out = append(out, trace.LinkDir{Link: l.Name, Dir: trace.Up})
	}
	return out
}

// rows lists the links that have steps.
func (p *TimelinePlot) rows() []trace.Link {
	var out []trace.Link
	for _, l := range p.links {
		if l.Up || l.Down {
			out = append(out, l)
		}
	}
	return out
}

// columns lists what the picture shows: the rate always, delay and loss where
// any direction has any.
func (p *TimelinePlot) columns() []int {
	cols := []int{rateColumn}
	for _, c := range []int{delayColumn, lossColumn} {
		for _, d := range p.dirs {
			t := d.hi
			if c == lossColumn {
				t = d.loss
			}
			if t.total().max > 0 {
				cols = append(cols, c)
				break
			}
		}
	}
	return cols
}

// rateScale is linear unless the usual rates of both directions together, from
// the 5th to the 95th percentile and without stalls, span more than 1:logSpan. A
// logarithmic scale shows what is a tenth of the usual, or more.
func rateScale(dirs []*direction) scale {
	const logSpan = 50
	least, lo, hi, top := math.Inf(1), math.Inf(1), 0.0, 0.0
	for _, d := range dirs {
		var v []float64
		for i := range d.rate.cells {
			if m := d.rate.cells[i].mean(); m > 0 {
				v = append(v, m)
			}
		}
		top = max(top, d.rate.total().max)
		if len(v) == 0 {
			continue
		}
		sort.Float64s(v)
		least, lo = min(least, v[0]), min(lo, v[len(v)/20])
		hi = max(hi, v[len(v)-1-len(v)/20])
	}
	if hi > logSpan*lo {
		return logScale(max(least, lo/10), top)
	}
	return linearScale(0, top, 1)
}

func delayScale(dirs []*direction) scale {
	lo, hi := math.Inf(1), 0.0
	for _, d := range dirs {
		lo, hi = min(lo, d.lo.total().min), max(hi, d.hi.total().max)
	}
	return linearScale(lo, hi, 1)
}

func lossScale(dirs []*direction) scale {
	hi := 0.0
	for _, d := range dirs {
		hi = max(hi, d.loss.total().max)
	}
	return linearScale(0, hi, 1)
}

// Write draws what has been collected, as "png" or "svg". The same steps give
// the same bytes. Steps that are missing, doubled or invalid are an error.
func (p *TimelinePlot) Write(w io.Writer, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	if err := p.finish(); err != nil {
		return err
	}
	rows, cols := p.rows(), p.columns()
	ph := panelHeight(len(rows))
	// The header's height depends on the widths of its words.
	entries := p.legend(cols)
	probe := newCanvas("svg", figureWidth, 100)
	top := headerHeight(probe, p.title, entries) + columnTitle
	s := newCanvas(format, figureWidth, top+float64(len(rows))*(rowTitle+ph)+bottom)
	header(s, p.title, entries)

	width := float64(panelsWidth / len(cols))
	gap := (figureWidth - marginRight - panelsWidth) / float64(len(cols))
	if len(cols) < 3 { // the room of a left-out column's labels
		gap = 62
	}
	left := (figureWidth - marginRight - float64(len(cols))*(gap+width)) / 2
	time := newTimeAxis(p.from, p.to, width, func(l string) float64 { return s.width(l, small) })
	for i, c := range cols {
		title := [...]string{"Rate", "One-way delay", "Loss"}[c]
		s.text(left+float64(i+1)*gap+(float64(i)+0.5)*width, top-2, title, bold, 0.5)
	}
	for r, l := range rows {
		y := top + float64(r)*(rowTitle+ph) + rowTitle
		var dirs []*direction
		for _, ld := range linkDirs(l) {
			dirs = append(dirs, p.dirs[ld])
		}
		x := left + gap
		s.text(x, y-7, l.Name, bold, 0)
		s.text(x+s.width(l.Name, bold)+12, y-7, p.summary(l), note, 0)
		for i, c := range cols {
			pn := &panel{
				s: s, x: left + float64(i+1)*gap + float64(i)*width, y: y, w: width, h: ph,
				time: time, labels: r == len(rows)-1,
			}
			pn.draw(l, dirs, c, p)
		}
	}
	return s.write(w)
}

func dirColor(dir trace.Direction) color.NRGBA {
	if dir == trace.Up {
		return vermil
	}
	return blue
}

// Line widths in pixels and opacities.
const (
	lineWidth    = 1.5
	envelopeFade = 0.22
	bandFade     = 0.24
	shadeFade    = 0.32
)

// draw fills one panel of link l.
func (pn *panel) draw(l trace.Link, dirs []*direction, column int, p *TimelinePlot) {
	switch column {
	case rateColumn:
		pn.scale, pn.unit = rateScale(dirs), "Mbit/s"
		if pn.scale.log {
			pn.unit = "Mbit/s (log)"
		}
	case delayColumn:
		pn.scale, pn.unit = delayScale(dirs), "ms"
	case lossColumn:
		pn.scale, pn.unit = lossScale(dirs), "%"
	}
	cols := int(pn.w)
	pn.grid()
	for i, ld := range linkDirs(l) {
		pn.shade(dirs[i].outage.curve(cols), ld.Dir, len(dirs))
	}
	pn.axes()
	type layer struct {
		line curve
		col  color.NRGBA
	}
	var lines []layer
	for i, ld := range linkDirs(l) {
		d, col := dirs[i], dirColor(ld.Dir)
		t := [...]*track{d.rate, d.delay, d.loss}[column]
		c := t.curve(cols)
		if column == delayColumn {
			lo, hi := d.lo.curve(cols), d.hi.curve(cols)
			if d.hasJitter() {
				pn.s.fill(pn.between(lo, lo.mean, hi, hi.mean), fade(col, bandFade))
			}
		}
		pn.s.fill(pn.envelope(c), fade(col, envelopeFade))
		lines = append(lines, layer{c, col})
	}
	for _, l := range lines {
		pn.s.stroke(pn.steps(l.line, l.line.mean), l.col, lineWidth)
	}
	if len(lines) == 2 { // show what the second line covers
		pn.s.dash(pn.shared(lines[0].line, lines[1].line), lines[0].col, lineWidth)
	}
}

// shade marks outages: up in the upper half, down in the lower half of a panel
// that has both. A column that is only partly out is shaded more lightly.
func (pn *panel) shade(c curve, dir trace.Direction, dirs int) {
	y, h := pn.y, pn.h
	if dirs == 2 {
		h /= 2
		if dir == trace.Down {
			y += h
		}
	}
	levels := [3]shape{}
	for i, v := range c.mean {
		if !(v > 0) {
			continue
		}
		x0, x1 := pn.px(c.edge[i]), pn.px(c.edge[i+1])
		if least := 1.0; x1-x0 < least { // visible however short
			x0, x1 = (x0+x1-least)/2, (x0+x1+least)/2
			x0, x1 = max(x0, pn.x), min(x1, pn.x+pn.w)
		}
		k := min(int(v*3), 2)
		levels[k] = append(levels[k], box(x0, y, x1-x0, h))
	}
	for k, sh := range levels {
		pn.s.fill(sh, fade(dirColor(dir), shadeFade*float64(k+1)/3))
	}
}

func (d *direction) hasJitter() bool {
	a, b := d.delay.total(), d.hi.total()
	return b.sum > a.sum
}

// summary describes a link: mean rates and the share of outages.
func (p *TimelinePlot) summary(l trace.Link) string {
	var rate, out []string
	var bin time.Duration // of pulses; 0: none
	for _, dir := range []trace.Direction{trace.Up, trace.Down} {
		d := p.dirs[trace.LinkDir{Link: l.Name, Dir: dir}]
		if d == nil {
			continue
		}
		if d.pulses.seen {
			bin = d.pulses.bin
		}
		t := d.rate.total()
		rate = append(rate, dir.String()+" "+strconv.FormatFloat(roundTo(t.mean(), 3), 'f', -1, 64))
		if o := d.outage.total(); o.max > 0 {
			out = append(out, dir.String()+" "+strconv.FormatFloat(roundTo(100*o.mean(), 2), 'f', -1, 64)+" %")
		}
	}
	s := "mean rate " + strings.Join(rate, ", ") + " Mbit/s"
	if out != nil {
		s += " · in outage " + strings.Join(out, ", ")
	}
	if bin > 0 {
		s += " · opportunities, as means of " + bin.String()
	}
	return s
}

// roundTo keeps n significant digits.
func roundTo(v float64, n int) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', n, 64), 64)
	return r
}

// legend lists what the picture holds.
func (p *TimelinePlot) legend(cols []int) []entry {
	var up, down, upOut, downOut, jitter, many bool
	width := panelsWidth / len(cols)
	for ld, d := range p.dirs {
		out := d.outage.total().max > 0
		if ld.Dir == trace.Up {
			up, upOut = true, upOut || out
		} else {
			down, downOut = true, downOut || out
		}
		jitter = jitter || d.hasJitter()
		for _, c := range cols {
			t := [...]*track{d.rate, d.delay, d.loss}[c]
			many = many || !t.curve(width).exact
		}
	}
	var out []entry
	area := func(label string, y, h, a float64, c color.NRGBA) {
		out = append(out, entry{label, func(s *canvas, x, y0 float64) {
			s.fill(shape{box(x, y0+y, sampleWidth, h)}, fade(c, a))
			s.stroke(shape{append(box(x+0.5, crisp(y0), sampleWidth-1, sampleHeight-1), point{x + 0.5, crisp(y0)})}, grid, 1)
		}})
	}
	if up {
		out = append(out, lineEntry("up (sender → receiver)", vermil))
	}
	if down {
		out = append(out, lineEntry("down (receiver → sender)", blue))
	}
	if many {
		out = append(out, envelopeEntry())
	}
	if jitter {
		out = append(out, entry{"± jitter (1 standard deviation)", func(s *canvas, x, y float64) {
			s.rect(x, y, sampleWidth, sampleHeight, fade(ink, bandFade))
			s.stroke(shape{{{x, y + sampleHeight/2}, {x + sampleWidth, y + sampleHeight/2}}}, ink, lineWidth)
		}})
	}
	if upOut {
		area("outage up", 0, sampleHeight/2, shadeFade, vermil)
	}
	if downOut {
		area("outage down", sampleHeight/2, sampleHeight/2, shadeFade, blue)
	}
	return out
}

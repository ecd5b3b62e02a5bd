package plot

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Histogram is a distribution of durations.
type Histogram struct {
	Name string // such as "lateness"
	Note string // beside the name
	Bars []Bar  // in order, not overlapping
}

// Bar is how many durations were from From to To; a zero From counts as a
// nanosecond.
type Bar struct {
	From, To time.Duration
	Count    int64
}

// The bars that are drawn are at least so many to a decade.
const barsPerDecade = 10

// Histograms draws up to three distributions side by side on one logarithmic axis
// of time, and the share of each bar on another, so that the few largest show.
// format is "png" or "svg". Bars out of order or with negative counts are an error.
func Histograms(w io.Writer, format, title string, hs []Histogram) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	if err := checkHistograms(hs); err != nil {
		return fmt.Errorf("plot histograms: %w", err)
	}
	const height = 220
	title = printable(title)
	probe := newCanvas("svg", figureWidth, 100)
	top := headerHeight(probe, title, nil)
	if title == "" {
		top = 14
	}
	s := newCanvas(format, figureWidth, top+rowTitle+height+bottom)
	if title != "" {
		header(s, title, nil)
	}
	lo, hi := decades(hs)
	n := float64(len(hs))
	gap := 66.0
	width := math.Floor((figureWidth - marginRight - n*gap) / n)
	for i, h := range hs {
		x, y := gap+float64(i)*(width+gap), top+rowTitle
		name := s.fit(printable(h.Name), bold, width)
		s.text(x, y-7, name, bold, 0)
		used := s.width(name, bold) + 12
		s.text(x+used, y-7, s.fit(printable(h.Note), note, max(width-used, 0)), note, 0)
		p := &panel{s: s, x: x, y: y, w: width, h: height, labels: true, unit: "share, % (log)"}
		p.time = decadeAxis(lo, hi)
		p.histogram(h, lo, hi)
	}
	return s.write(w)
}

// decades returns the powers of ten, in ns, that hold every bar.
func decades(hs []Histogram) (lo, hi int) {
	lo, hi = 3, 6 // 1 µs to 1 ms
	first := true
	for _, h := range hs {
		for _, b := range h.Bars {
			if b.Count == 0 {
				continue
			}
			from, to := int(math.Floor(decade(b.From))), int(math.Ceil(decade(b.To)))
			if first {
				lo, hi, first = from, to, false
			}
			lo, hi = min(lo, from), max(hi, to)
		}
	}
	return lo, max(hi, lo+1)
}

func decade(d time.Duration) float64 { return math.Log10(float64(max(d, 1))) }

func decadeAxis(lo, hi int) timeAxis {
	a := timeAxis{title: "time (log)"}
	for k := lo; k <= hi; k++ {
		a.ticks = append(a.ticks, tick{float64(k-lo) / float64(hi-lo), time.Duration(math.Pow10(k)).String()})
	}
	return a
}

func (p *panel) histogram(h Histogram, lo, hi int) {
	n := (hi - lo) * barsPerDecade
	share := make([]float64, n)
	total := int64(0)
	for _, b := range h.Bars {
		i := int(math.Floor((decade(b.From) - float64(lo)) * barsPerDecade))
		share[min(max(i, 0), n-1)] += float64(b.Count)
		total += b.Count
	}
	least, most := math.Inf(1), 0.0
	for i := range share {
		if share[i] == 0 {
			continue
		}
		share[i] *= 100 / float64(total)
		least, most = min(least, share[i]), max(most, share[i])
	}
	if most == 0 {
		least, most = 1, 100
	}
	p.scale = scale{lo: math.Pow10(int(math.Floor(math.Log10(least / 1.5)))), hi: 100, log: true}
	p.grid()
	var bars shape
	for i, v := range share {
		if v == 0 {
			continue
		}
		x0, x1 := p.px(float64(i)/float64(n)), p.px(float64(i+1)/float64(n))
		y := p.py(v)
		bars = append(bars, box(x0+0.5, y, x1-x0-1, p.y+p.h-y))
	}
	p.s.fill(bars, fade(blue, 0.75))
	p.axes()
	if total == 0 {
		p.s.text(p.x+p.w/2, p.y+p.h/2, "none", note, 0.5)
	}
}

func checkHistograms(hs []Histogram) error {
	if len(hs) == 0 || len(hs) > 3 {
		return errors.New("one to three histograms in one picture")
	}
	for _, h := range hs {
		last := time.Duration(0)
		for i, b := range h.Bars {
			if b.From < last || b.To <= b.From || b.Count < 0 {
				return fmt.Errorf("%q: bar %d is from %v to %v with %d", h.Name, i, b.From, b.To, b.Count)
			}
			last = b.To
		}
	}
	return nil
}

package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

func metaOf(d time.Duration, links ...string) trace.Meta {
	m := trace.Meta{Duration: d}
	for _, l := range links {
		m.Links = append(m.Links, trace.Link{Name: l, Up: true, Down: true})
	}
	return m
}

func step(at time.Duration, link string, dir trace.Direction, rate trace.BitRate) *trace.Step {
	return &trace.Step{At: at, Link: link, Dir: dir, State: trace.State{Rate: rate, Carrier: true}}
}

// noisy feeds n steps for each direction.
func noisy(p *TimelinePlot, m trace.Meta, n int) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		for _, ld := range m.Directions() {
			s := step(time.Duration(i)*(m.Duration/time.Duration(n)), ld.Link, ld.Dir, trace.BitRate(1e6+9e6*r.Float64()))
			s.Delay = time.Duration(20e6 + 1e7*r.Float64())
			s.Jitter = 2 * time.Millisecond
			s.Loss = trace.Prob(0.1 * r.Float64())
			if i%50 == 49 {
				s.Rate = 0
			}
			p.Step(s)
		}
	}
}

func render(t *testing.T, p *TimelinePlot, format string) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := p.Write(&buf, format); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestTimelineSameBytes(t *testing.T) {
	m := metaOf(time.Minute, "att", "sat", "tmo")
	var first [2][]byte
	for run := range 3 {
		p := NewTimeline(m, TimelineOptions{Title: "same bytes"})
		noisy(p, m, 1000)
		for i, format := range []string{"png", "svg"} {
			got := render(t, p, format)
			if run == 0 {
				first[i] = got
			} else if !bytes.Equal(got, first[i]) {
				t.Errorf("%s differs in run %d", format, run)
			}
			if again := render(t, p, format); !bytes.Equal(again, got) {
				t.Errorf("%s differs when written twice", format)
			}
		}
	}
}

// A picture is an SVG file as a program sees it.
type picture struct {
	texts []string
	paths []string // style attributes
}

func parseSVG(t *testing.T, data []byte) picture {
	t.Helper()
	var pic picture
	d := xml.NewDecoder(bytes.NewReader(data))
	text := false
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return pic
		}
		if err != nil {
			t.Fatalf("SVG is not well-formed: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			text = e.Name.Local == "text"
			if e.Name.Local != "path" {
				continue
			}
			style := ""
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("path with %.80s", a.Value)
				}
				if a.Name.Local == "style" {
					style = a.Value
				}
			}
			pic.paths = append(pic.paths, style)
		case xml.CharData:
			if text {
				pic.texts = append(pic.texts, string(e))
			}
		case xml.EndElement:
			text = false
		}
	}
}

func (p picture) has(text string) bool {
	for _, s := range p.texts {
		if s == text {
			return true
		}
	}
	return false
}

// lines counts solid lines of a colour and of the width of curves.
func (p picture) lines(color string) int {
	n := 0
	for _, s := range p.paths {
		if strings.Contains(s, "stroke:"+color) && strings.Contains(s, fmt.Sprintf("stroke-width:%v", lineWidth*0.75)) &&
			!strings.Contains(s, "dasharray") {
			n++
		}
	}
	return n
}

const vermilHex, blueHex, greenHex = "#D55E00", "#0072B2", "#009E73"

func TestTimelineSVG(t *testing.T) {
	m := metaOf(time.Minute, "att", "sat")
	p := NewTimeline(m, TimelineOptions{Title: "a < b & c\x01"})
	noisy(p, m, 1000)
	pic := parseSVG(t, render(t, p, "svg"))
	for _, want := range []string{
		"a < b & c ", "att", "sat", "Rate", "One-way delay", "Loss", "Mbit/s", "ms", "%", "time (s)",
		"up (sender → receiver)", "down (receiver → sender)", "mean, minimum and maximum per pixel",
		"± jitter (1 standard deviation)", "outage up", "outage down",
	} {
		if !pic.has(want) {
			t.Errorf("no text %q in %q", want, pic.texts)
		}
	}
	// A curve for each of 2 links and 3 columns; entries of the legend are wider.
	for _, c := range []string{vermilHex, blueHex} {
		if n := pic.lines(c); n != 6 {
			t.Errorf("got %d curves of colour %s, want 6", n, c)
		}
	}
}

func TestTimelineShape(t *testing.T) {
	width, height := 0, 0
	for _, links := range []int{1, 2, 5, 8} {
		var names []string
		for i := range links {
			names = append(names, fmt.Sprintf("link%d", i))
		}
		m := metaOf(time.Minute, names...)
		p := NewTimeline(m, TimelineOptions{})
		noisy(p, m, 10)
		c, err := png.DecodeConfig(bytes.NewReader(render(t, p, "png")))
		if err != nil {
			t.Fatal(err)
		}
		if c.Width != figureWidth || c.Height <= height {
			t.Errorf("%d links: %d × %d px after %d × %d px", links, c.Width, c.Height, width, height)
		}
		width, height = c.Width, c.Height
	}
}

func TestTimelineColumns(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*trace.State)
		want  []int
		texts string // a column title that has to be missing
	}{
		{"rate only", func(*trace.State) {}, []int{rateColumn}, "Loss"},
		{"delay", func(s *trace.State) { s.Delay = time.Millisecond }, []int{rateColumn, delayColumn}, "Loss"},
		{"jitter without delay", func(s *trace.State) { s.Jitter = time.Millisecond }, []int{rateColumn, delayColumn}, "Loss"},
		{"loss", func(s *trace.State) { s.Loss = 0.5 }, []int{rateColumn, lossColumn}, "One-way delay"},
		{"Gilbert–Elliott", func(s *trace.State) { s.GE = trace.GE{P: 0.1, R: 0.3, LossBad: 1} }, []int{rateColumn, lossColumn}, "One-way delay"},
		{"total loss is an outage", func(s *trace.State) { s.Loss = 1 }, []int{rateColumn}, "Loss"},
		{"all", func(s *trace.State) { s.Loss, s.Delay = 0.1, 1 }, []int{rateColumn, delayColumn, lossColumn}, "absent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := metaOf(10*time.Second, "a", "b")
			p := NewTimeline(m, TimelineOptions{})
			for _, ld := range m.Directions() {
				s := step(0, ld.Link, ld.Dir, trace.Mbit)
				p.Step(s)
				s = step(5*time.Second, ld.Link, ld.Dir, trace.Mbit)
				if ld == (trace.LinkDir{Link: "b", Dir: trace.Up}) {
					c.set(&s.State)
				}
				p.Step(s)
			}
			pic := parseSVG(t, render(t, p, "svg"))
			if got := p.columns(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got columns %v, want %v", got, c.want)
			}
			if pic.has(c.texts) {
				t.Errorf("the picture has a column %s", c.texts)
			}
		})
	}
}

func TestTimelineOutages(t *testing.T) {
	m := trace.Meta{Duration: 10 * time.Second, Links: []trace.Link{{Name: "a", Up: true}}}
	p := NewTimeline(m, TimelineOptions{})
	for i, set := range []func(*trace.State){
		func(s *trace.State) {},
		func(s *trace.State) { s.Rate = 0 },
		func(s *trace.State) { s.Carrier = false },
		func(s *trace.State) {},
		func(s *trace.State) { s.Loss = 1 },
		func(s *trace.State) { s.Loss = 0.02 },
		func(s *trace.State) { s.Label = "outage" },
		func(s *trace.State) { s.Label = "bad" },
	} {
		s := step(time.Duration(i)*time.Second, "a", trace.Up, trace.Mbit)
		set(&s.State)
		p.Step(s)
	}
	if err := p.Write(io.Discard, "svg"); err != nil {
		t.Fatal(err)
	}
	d := p.dirs[trace.LinkDir{Link: "a", Dir: trace.Up}]
	c := d.outage.curve(432)
	if want := []float64{0, 1, 0, 1, 0, 1, 0}; !reflect.DeepEqual(c.mean, want) {
		t.Errorf("got outages %v, want %v", c.mean, want)
	}
	if want := []float64{0, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 1}; !reflect.DeepEqual(c.edge, want) {
		t.Errorf("got outages at %v, want %v", c.edge, want)
	}
	if s := lossScale([]*direction{d}); s.hi > 3 {
		t.Errorf("a total loss stretches the axis to %v %%", s.hi)
	}
}

// The first step of a window may lie before it.
func TestTimelineWindow(t *testing.T) {
	m := trace.Meta{Duration: time.Minute, Links: []trace.Link{{Name: "a", Down: true}}}
	p := NewTimeline(m, TimelineOptions{From: 20 * time.Second, Duration: 10 * time.Second})
	for _, s := range []struct {
		at   time.Duration
		rate trace.BitRate
	}{{12, 99}, {15, 2}, {25, 4}, {29, 8}, {31, 1000}} {
		p.Step(step(s.at*time.Second, "a", trace.Down, s.rate*trace.Mbit))
	}
	if err := p.Write(io.Discard, "png"); err != nil {
		t.Fatal(err)
	}
	d := p.dirs[trace.LinkDir{Link: "a", Dir: trace.Down}]
	total := d.rate.total()
	if got, want := total.mean(), (5*2+4*4+1*8)/10.0; !near(got, want) || total.max != 8 || total.min != 2 {
		t.Errorf("got mean %v, %v to %v Mbit/s, want %v, 2 to 8", got, total.min, total.max, want)
	}
	c := d.rate.curve(432)
	if !reflect.DeepEqual(c.edge, []float64{0, 0.5, 0.9, 1}) || !reflect.DeepEqual(c.mean, []float64{2, 4, 8}) {
		t.Errorf("got %v at %v", c.mean, c.edge)
	}
	long := NewTimeline(m, TimelineOptions{From: 50 * time.Second, Duration: time.Hour})
	if long.to != time.Minute {
		t.Errorf("a window that is too long ends at %v, want the timeline's end", long.to)
	}
}

func TestTimelineScales(t *testing.T) {
	for _, c := range []struct {
		up, down trace.BitRate
		log      bool
	}{
		{6 * trace.Mbit, 25 * trace.Mbit, false},
		{2 * trace.Mbit, 200 * trace.Mbit, true},
		{0, 200 * trace.Mbit, false}, // a stall has no place on a logarithmic scale
	} {
		m := metaOf(time.Second, "a")
		p := NewTimeline(m, TimelineOptions{})
		p.Step(step(0, "a", trace.Down, c.down))
		p.Step(step(0, "a", trace.Up, c.up))
		if err := p.Write(io.Discard, "svg"); err != nil {
			t.Fatal(err)
		}
		var dirs []*direction
		for _, ld := range m.Directions() {
			dirs = append(dirs, p.dirs[ld])
		}
		s := rateScale(dirs)
		if s.log != c.log || s.hi < c.down.Mbits() {
			t.Errorf("up %v, down %v: got %+v, want log %v", c.up, c.down, s, c.log)
		}
	}
}

func TestTimelineErrors(t *testing.T) {
	good := metaOf(time.Minute, "a")
	twice := metaOf(time.Minute, "a", "a")
	many := trace.Meta{Duration: time.Minute, Links: make([]trace.Link, MaxRows+1)}
	ok := func(p *TimelinePlot) {
		p.Step(step(0, "a", trace.Down, 1))
		p.Step(step(0, "a", trace.Up, 1))
	}
	for _, c := range []struct {
		name  string
		meta  trace.Meta
		opts  TimelineOptions
		feed  func(*TimelinePlot)
		wants string
	}{
		{"nothing", trace.Meta{}, TimelineOptions{}, ok, "its duration is 0s"},
		{"no links", trace.Meta{Duration: 1}, TimelineOptions{}, ok, "no direction"},
		{"link without direction", trace.Meta{Duration: 1, Links: []trace.Link{{Name: "a"}}}, TimelineOptions{}, ok, "no direction"},
		{"link twice", twice, TimelineOptions{}, ok, "twice"},
		{"too many links", many, TimelineOptions{}, ok, "at most"},
		{"no steps", good, TimelineOptions{}, func(*TimelinePlot) {}, "no step for a.down"},
		{"one direction", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(step(0, "a", trace.Down, 1)) }, "no step for a.up"},
		{"window after the end", good, TimelineOptions{From: time.Minute}, ok, "begins at 1m0s"},
		{"window before the start", good, TimelineOptions{From: -1}, ok, "negative"},
		{"negative window", good, TimelineOptions{Duration: -1}, ok, "negative"},
		{"unknown link", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(step(0, "b", trace.Up, 1)) }, "b.up"},
		{"unknown direction", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(step(0, "a", 7, 1)) }, "does not name"},
		{"nil step", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(nil) }, "nil"},
		{"out of order", good, TimelineOptions{}, func(p *TimelinePlot) {
			p.Step(step(0, "a", trace.Up, 1))
			p.Step(step(5, "a", trace.Up, 1))
			p.Step(step(4, "a", trace.Up, 1))
		}, "comes after"},
		{"late first step", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(step(1, "a", trace.Up, 1)) }, "the first step"},
		{"negative rate", good, TimelineOptions{}, func(p *TimelinePlot) { p.Step(step(0, "a", trace.Up, -1)) }, "invalid"},
		{"loss not a number", good, TimelineOptions{}, func(p *TimelinePlot) {
			s := step(0, "a", trace.Up, 1)
			s.Loss = trace.Prob(math.NaN())
			p.Step(s)
		}, "invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewTimeline(c.meta, c.opts)
			c.feed(p)
			var buf bytes.Buffer
			err := p.Write(&buf, "png")
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("got error %v, want one with %q", err, c.wants)
			}
			if buf.Len() > 0 {
				t.Errorf("wrote %d bytes", buf.Len())
			}
		})
	}
	p := NewTimeline(good, TimelineOptions{})
	ok(p)
	if err := p.Write(io.Discard, "gif"); err == nil {
		t.Error("format gif: no error")
	}
}

// Extreme but valid timelines are drawn.
func TestTimelineExtremes(t *testing.T) {
	for _, d := range []time.Duration{1, 1000, 10 * 365 * day} {
		m := metaOf(d, "a")
		p := NewTimeline(m, TimelineOptions{})
		for _, ld := range m.Directions() {
			s := step(0, ld.Link, ld.Dir, trace.MaxRate)
			s.Delay, s.Jitter, s.Loss = time.Hour, 2*time.Hour, 1e-12
			p.Step(s)
		}
		parseSVG(t, render(t, p, "svg"))
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]string{"a.png": "png", "dir.x/B.SVG": "svg", "a": "", "a.jpg": "", "png": ""} {
		got, err := FormatOf(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
}

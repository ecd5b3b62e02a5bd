package plot

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func TestHistograms(t *testing.T) {
	hs := []Histogram{
		{Name: "lateness", Note: "3 in all", Bars: []Bar{{0, 1, 1}, {90_000, 91_000, 98}, {14_000_000, 14_100_000, 1}}},
		{Name: "skew"},
	}
	for _, format := range []string{"png", "svg"} {
		var a, b bytes.Buffer
		for _, w := range []io.Writer{&a, &b} {
			if err := Histograms(w, format, "Timing", hs); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s differs between runs", format)
		}
		if format == "png" {
			continue
		}
		pic := parseSVG(t, a.Bytes())
		for _, want := range []string{"Timing", "lateness", "3 in all", "skew", "none", "1ns", "1µs", "100ms", "share, % (log)", "time (log)"} {
			if !pic.has(want) {
				t.Errorf("no text %q", want)
			}
		}
		if strings.Contains(a.String(), "NaN") || strings.Contains(a.String(), "Inf") {
			t.Error("a coordinate is no number")
		}
	}
}

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		bars   []Bar
		lo, hi int
	}{
		{nil, 3, 6}, {[]Bar{{0, 1, 1}}, 0, 1}, {[]Bar{{1000, 1010, 5}}, 3, 4}, {[]Bar{{999, 1001, 5}, {2e6, 3e6, 0}}, 2, 4}, {[]Bar{{20, 21, 5}, {2e6, 3e6, 1}}, 1, 7},
	} {
		if lo, hi := decades([]Histogram{{Bars: c.bars}}); lo != c.lo || hi != c.hi {
			t.Errorf("%v: got %d to %d, want %d to %d", c.bars, lo, hi, c.lo, c.hi)
		}
	}
}

func TestHistogramsErrors(t *testing.T) {
	for _, c := range []struct {
		format string
		hs     []Histogram
		want   string
	}{
		{"gif", make([]Histogram, 1), "gif"},
		{"svg", nil, "one to three"},
		{"svg", make([]Histogram, 4), "one to three"},
		{"svg", []Histogram{{Name: "x", Bars: []Bar{{5, 5, 1}}}}, `"x": bar 0`},
		{"svg", []Histogram{{Bars: []Bar{{5, 9, 1}, {8, 12, 1}}}}, "bar 1"},
		{"svg", []Histogram{{Bars: []Bar{{5, 9, -1}}}}, "with -1"},
		{"svg", []Histogram{{Bars: []Bar{{-time.Second, math.MaxInt64, 1}}}}, "bar 0"},
	} {
		if err := Histograms(io.Discard, c.format, "", c.hs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
	}
}

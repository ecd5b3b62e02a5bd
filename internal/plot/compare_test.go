package plot

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func comparison() []ComparisonRow {
	ramp := func(n int, f func(x float64) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f(float64(i) / float64(n))
		}
		return out
	}
	decay := func(k float64) []float64 { return ramp(100, func(x float64) float64 { return math.Exp(-k * x) }) }
	return []ComparisonRow{
		{Name: "att.up", Note: "KS 0.03", Bin: 100 * time.Millisecond, Sides: [2]ComparedSide{
			{ramp(500, func(x float64) float64 { return 10 * x }), decay(10), []float64{0.3, 0.5, 2}},
			{ramp(300, func(x float64) float64 { return 11 * x * x }), decay(20), nil},
		}},
		{Name: "sat.down", Bin: time.Second, Sides: [2]ComparedSide{{[]float64{3}, []float64{1}, nil}, {}}},
	}
}

func TestComparison(t *testing.T) {
	draw := func(format string) []byte {
		var b bytes.Buffer
		if err := Comparison(&b, format, "a & b", [2]string{"first.tape", "second <2>"}, comparison()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(draw("png"), draw("png")) {
		t.Error("two pictures of the same differ")
	}
	img, err := png.Decode(bytes.NewReader(draw("png")))
	if err != nil {
		t.Fatal(err)
	}
	// Both colours appear.
	found := [2]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			for i := range found {
				c := sideColor(i)
				if uint8(r>>8) == c.R && uint8(g>>8) == c.G && uint8(b>>8) == c.B {
					found[i]++
				}
			}
		}
	}
	if found[0] < 500 || found[1] < 200 {
		t.Errorf("the lines of the two sides have %v pixels", found)
	}
	svg := draw("svg")
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"att.up", "KS 0.03", "first.tape", "duration (s, log)", "none", "lag (s)"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

func TestComparisonFaults(t *testing.T) {
	for name, change := range map[string]func(r *ComparisonRow){
		"bin":             func(r *ComparisonRow) { r.Bin = 0 },
		"order":           func(r *ComparisonRow) { r.Sides[0].Rates = []float64{2, 1} },
		"negative":        func(r *ComparisonRow) { r.Sides[1].Outages = []float64{-1} },
		"infinite":        func(r *ComparisonRow) { r.Sides[0].Rates = []float64{1, math.Inf(1)} },
		"autocorrelation": func(r *ComparisonRow) { r.Sides[0].Autocorrelation = []float64{1, math.NaN()} },
	} {
		rows := comparison()
		change(&rows[0])
		if err := Comparison(io.Discard, "png", "", [2]string{}, rows); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Comparison(io.Discard, "png", "", [2]string{}, nil); err == nil {
		t.Error("no directions: no error")
	}
	if err := Comparison(io.Discard, "gif", "", [2]string{}, comparison()); err == nil {
		t.Error("gif: no error")
	}
}

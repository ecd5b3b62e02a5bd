package plot

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// rowsOf are rows with an area, a line and a span.
func rowsOf(n, bins int) []Row {
	var out []Row
	for i := range n {
		a, b := make([]float64, bins), make([]float64, bins)
		for k := range a {
			a[k], b[k] = float64(20+i), float64(k%7)
			if k%10 == 3 {
				b[k] = math.NaN()
			}
		}
		out = append(out, Row{
			Name: "link" + string(rune('a'+i)), Note: "median 3 ms",
			Lines: []Line{{Label: "tape", Values: a, Area: true}, {Label: "queue", Values: b}},
			Spans: []Span{{time.Second, 2 * time.Second}, {time.Hour, 2 * time.Hour}},
		})
	}
	return out
}

func TestRows(t *testing.T) {
	opts := RowsOptions{Title: "Delay", Unit: "ms", Span: "nothing passes"}
	for _, c := range []struct{ n, bins int }{{1, 1}, {3, 100}, {6, 3000}} {
		for _, format := range []string{"png", "svg"} {
			var a, b bytes.Buffer
			for _, w := range []io.Writer{&a, &b} {
				if err := Rows(w, format, opts, 100*time.Millisecond, rowsOf(c.n, c.bins)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("%d rows: %s differs between runs", c.n, format)
			}
			if format == "png" {
				continue
			}
			pic := parseSVG(t, a.Bytes())
			for _, want := range []string{"Delay", "ms", "tape", "queue", "nothing passes", "linka", "median 3 ms"} {
				if !pic.has(want) {
					t.Errorf("%d rows: no text %q", c.n, want)
				}
			}
			if got := pic.lines(vermilHex); got != c.n+1 { // and the legend's sample is wider
				if got != c.n {
					t.Errorf("%d rows: got %d curves", c.n, got)
				}
			}
			if strings.Contains(a.String(), "NaN") {
				t.Errorf("%d rows: a coordinate is NaN", c.n)
			}
		}
	}
}

// Gaps alone are no reason to fail.
func TestRowsOfGaps(t *testing.T) {
	var b bytes.Buffer
	if err := Rows(&b, "svg", RowsOptions{Unit: "%"}, time.Second, []Row{{Lines: []Line{{Values: []float64{math.NaN(), math.NaN()}}}}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") {
		t.Error("a coordinate is NaN")
	}
}

func TestRowsErrors(t *testing.T) {
	line := func(v ...float64) []Line { return []Line{{Label: "x", Values: v}} }
	for _, c := range []struct {
		name   string
		format string
		bin    time.Duration
		rows   []Row
		want   string
	}{
		{"format", "gif", 1, rowsOf(1, 1), "gif"},
		{"bin", "svg", 0, rowsOf(1, 1), "bin"},
		{"none", "svg", 1, nil, "no rows"},
		{"many", "svg", 1, make([]Row, MaxRows+1), "at most"},
		{"no lines", "svg", 1, []Row{{Name: "a"}}, `"a": 0 lines`},
		{"four lines", "svg", 1, []Row{{Lines: make([]Line, 4)}}, "4 lines"},
		{"no bins", "svg", 1, []Row{{Lines: line()}}, "0 bins"},
		{"unequal", "svg", 1, []Row{{Lines: line(1)}, {Lines: line(1, 2)}}, "2 bins, others 1"},
		{"negative", "svg", 1, []Row{{Lines: line(-1)}}, "bin 0 is -1"},
		{"infinite", "svg", 1, []Row{{Lines: line(math.Inf(1))}}, "bin 0 is +Inf"},
		{"long", "svg", math.MaxInt64, []Row{{Lines: line(1, 2)}}, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Rows(io.Discard, c.format, RowsOptions{}, c.bin, c.rows); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

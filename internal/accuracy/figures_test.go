package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReplaceTable(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "a\n" + begin + end + "b\n", "a\n" + begin + "\nNEW\n" + end + "b\n"},
		{"full", begin + "\nold\n" + end, begin + "\nNEW\n" + end},
		{"none", "a\n", ""},
		{"no end", begin + "a\n", ""},
		{"turned", end + begin, ""},
		{"twice", begin + end + begin + end, ""},
	} {
		got, err := replaceTable([]byte(c.in), "NEW")
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), "no one pair of lines") {
				t.Errorf("%s: got %q, %v", c.name, got, err)
			}
			continue
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// The document has the marks.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/accuracy.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaceTable(data, ""); err != nil {
		t.Error(err)
	}
}

// some are figures of one tape of a second.
func some() *figures {
	f := &figures{Field: true, Traces: []string{"T"}, Kinds: []string{"tbf", "pulse"}}
	for _, k := range f.Kinds {
		for _, step := range steps() {
			f.Cells = append(f.Cells, cell{Trace: "T", Kind: k, Step: step, Length: time.Second, Score: score{
				Total: 0.001, NRMSE: 0.02, CurveP95: 2000, CurveMax: 4000, CurveRaw: 5000, Ticks: 10, Curve: []float64{1000, 2000},
			}})
		}
	}
	for _, step := range steps() {
		f.Choices = append(f.Choices, choice{"T", step, "tbf", "it must be something"})
	}
	return f
}

func TestOutside(t *testing.T) {
	const step = 5 * ms
	for _, c := range []struct {
		name string
		edit func(f *figures)
		want string // the only one; empty: none
	}{
		{"good", func(*figures) {}, ""},
		{"total", func(f *figures) { f.cell("T", "tbf", 20*ms).Score.Total = -0.006 }, "tbf at 20ms on T: total -0.60 %, the bar is 0.5 %"},
		{"ticks", func(f *figures) { f.cell("T", "pulse", step).Score.WrongTicks = 1 }, "pulse at 5ms on T: 1 of 10 ticks with a wrong number of packets"},
		{"ticks of others", func(f *figures) { f.cell("T", "tbf", step).Score.WrongTicks = 1 }, ""},
		{"ticks of longer steps", func(f *figures) { f.cell("T", "pulse", 10*ms).Score.WrongTicks = 1 }, ""},
		{"drops", func(f *figures) { f.cell("T", "pulse", step).Dropped = 2 }, "2 packets were dropped"},
		{"exact total", func(f *figures) {
			*f.cell("T", "pulse", step) = cell{Trace: "T", Kind: "edt", Step: step, Score: score{Total: 6e-4}}
		}, "edt at 5ms on T: total +0.060 %, the bar is 0.05 %"},
		{"exact curve", func(f *figures) {
			*f.cell("T", "pulse", step) = cell{Trace: "T", Kind: "edt", Step: step, Score: score{CurveRaw: 3001}}
		}, "edt at 5ms on T: the curve is off by up to 3001 bytes without a shift, the bar is 3000"},
		{"auto", func(f *figures) { f.cell("T", "pulse", step).Score.NRMSE = 0.01 }, "auto at 5ms on T: takes tbf with an NRMSE of 0.0200; pulse has 0.0100"},
		{"auto nearly", func(f *figures) { f.cell("T", "pulse", step).Score.NRMSE = 0.0182 }, ""},
		{"auto unmeasured", func(f *figures) { f.Choices[0].Kind = "htb" }, "auto at 100ms on T: takes htb, which was not measured"},
	} {
		f := some()
		c.edit(f)
		got := f.outside()
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	f := some()
	f.Traces, f.Kinds = append(f.Traces, "U"), append(f.Kinds, "htb") // of which nothing was measured
	if got := f.table(); strings.Contains(got, "| `tbf` | 20ms") {
		t.Errorf("a row without all its figures:\n%s", got)
	}
	f = some()
	got := f.table()
	for _, want := range []string{
		"In the order T:",
		"| `tbf` | 20ms | 1s | +0.100 | 0.020 | 2.0 | 4.0 | 5.0 | – |\n",
		"| `pulse` | 5ms | 1s | +0.100 | 0.020 | 2.0 | 4.0 | 5.0 | 0 of 10 |\n",
		"| 5ms | T | `tbf` | 0.020 | `tbf` 0.020 | it must be something |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	f.Field = false
	if got := f.table(); !strings.Contains(got, "no field traces") {
		t.Errorf("it does not say what was measured:\n%s", got)
	}
}

func TestDraw(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.svg")
	if err := some().draw(file); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || !bytes.Contains(data, []byte("pulse")) {
		t.Errorf("%v, %d bytes", err, len(data))
	}
	if err := some().draw("a.pdf"); err == nil {
		t.Error("drew a PDF")
	}
}

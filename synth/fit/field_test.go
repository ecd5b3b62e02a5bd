package fit_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"linktape/synth/fit"
	"linktape/trace"
	"linktape/trace/convert"
)

// fieldTraces is where real recordings lie, beside the checkout; they are no
// part of the project.
const fieldTraces = "../../../shared/fieldtraces"

// field reads a field trace, or skips the test where there are none.
func field(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fieldTraces, name))
	if err != nil {
		t.Skipf("field traces are absent: %v", err)
	}
	return data
}

// imported lays field traces into one timeline.
func imported(t *testing.T, files map[string]string) *trace.Timeline {
	t.Helper()
	var inputs []convert.Input
	for link, file := range files {
		res, err := convert.Import("", bytes.NewReader(field(t, file)), file, convert.ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, convert.Input{LinkDir: trace.LinkDir{Link: link, Dir: trace.Up}, Result: res})
	}
	meta, steps, err := convert.Merge(inputs, convert.MergeOptions{Fit: convert.FitShortest})
	if err != nil {
		t.Fatal(err)
	}
	return &trace.Timeline{Meta: meta, Steps: slices.Collect(steps)}
}

// A bound is what a fit must lie in.
type bound struct{ low, high float64 }

func within(t *testing.T, what string, v float64, b bound) {
	t.Helper()
	if !(v >= b.low && v <= b.high) {
		t.Errorf("%s: got %.4g, want %.4g to %.4g", what, v, b.low, b.high)
	}
}

// The fits of field traces run, their scenarios too, and what they say lies
// where the recordings do: bounds are wide, for they only catch nonsense.
func TestFieldFits(t *testing.T) {
	for name, c := range map[string]struct {
		files   map[string]string
		bin     time.Duration
		mean    map[string]bound // bit/s
		outages map[string]bound
	}{
		"carriers": {
			map[string]string{"att": "mahimahi/ATT-LTE-driving-2016.up", "tmobile": "mahimahi/TMobile-LTE-short.up", "verizon": "mahimahi/Verizon-LTE-short.up"}, 0,
			map[string]bound{"att": {1.2e6, 4e6}, "tmobile": {8e6, 16e6}, "verizon": {4e6, 8e6}},
			map[string]bound{"att": {5, 20}, "tmobile": {0, 5}, "verizon": {0, 5}},
		},
		"buses": {
			map[string]string{"a": "pensieve/norway_bus_1", "b": "pensieve/norway_bus_10", "c": "pensieve/norway_bus_11"}, time.Second,
			map[string]bound{"a": {1e6, 5e6}, "b": {1e6, 3e6}, "c": {0.8e6, 3e6}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tl := imported(t, c.files)
			rep, err := fit.Fit(t.Context(), tl.Meta, stepsOf(tl), fit.Options{Bin: c.bin})
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Correlations) != 3 {
				t.Errorf("%d correlations, want 3: %v", len(rep.Correlations), rep.Warnings)
			}
			for _, d := range rep.Directions {
				within(t, d.Link+" mean", d.Rate.Mean.Value, c.mean[d.Link])
				within(t, d.Link+" cv", d.Rate.CV.Value, bound{0.1, 3})
				within(t, d.Link+" tau", d.Rate.Tau.Value, bound{0.2, 60})
				if o := d.Outages; o != nil {
					within(t, d.Link+" outages", float64(o.Count), c.outages[d.Link])
				}
			}
			alike := timeline(t, parse(t, rep.Scenario(fit.ScenarioOptions{})))
			cmp, err := fit.Compare(t.Context(), fit.Source{Meta: tl.Meta, Steps: stepsOf(tl)}, fit.Source{Meta: alike.Meta, Steps: stepsOf(alike)}, fit.CompareOptions{Bin: c.bin})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range cmp.Directions {
				within(t, p.A+" KS to a lookalike", p.KS, bound{0, 0.5})
			}
		})
	}
}

// The 5G recordings have a sample a second, read here by their column alone.
func TestFieldFit5G(t *testing.T) {
	for _, name := range []string{"B_2019.12.16_12.27.05", "B_2020.02.13_13.57.29"} {
		rows, err := csv.NewReader(bytes.NewReader(field(t, "ucc5g/"+name+".csv"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		column := slices.Index(rows[0], "DL_bitrate")
		tl := &trace.Timeline{Meta: trace.Meta{Links: []trace.Link{{Name: "nr", Down: true}}}}
		last := ""
		for _, r := range rows[1:] {
			kbit, err := strconv.ParseInt(r[column], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if r[0] != last { // repeats are of the same second
				tl.Steps = append(tl.Steps, trace.Step{At: tl.Meta.Duration, Link: "nr", Dir: trace.Down, State: trace.State{Carrier: true, Rate: trace.BitRate(kbit) * trace.Kbit}})
				tl.Meta.Duration += time.Second
			}
			last = r[0]
		}
		d := fitted(t, tl).Directions[0]
		within(t, name+" mean", d.Rate.Mean.Value, bound{10e6, 120e6})
		within(t, name+" cv", d.Rate.CV.Value, bound{0.8, 10})
		within(t, name+" tau", d.Rate.Tau.Value, bound{1, 30})
		// The logger's pauses are no property of any process here.
		if g := d.Rate.Goodness; g.Word != "poor" {
			t.Errorf("%s: goodness %+v, want poor", name, g)
		}
		parse(t, fitted(t, tl).Scenario(fit.ScenarioOptions{}))
	}
}

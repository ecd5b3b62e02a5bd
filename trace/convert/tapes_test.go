package convert_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trace/convert"
)

// hashOf is the hash of a result as a tape of its own.
func hashOf(t testing.TB, res *convert.Result) string {
	t.Helper()
	_, steps, err := convert.Merge([]convert.Input{{LinkDir: attUp, Result: res}}, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := trace.NewHash()
	for s := range steps {
		h.Step(&s)
	}
	return h.Sum(res.Duration)
}

// randomTape draws a tape of two links and three directions in which every
// column is used.
func randomTape(rng *rand.Rand) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{
		Duration: 10 * time.Second, Generator: "test 1", Seed: 7, Scenario: "scenario: x\n",
		Links: []trace.Link{{Name: "att", Up: true, Down: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitTime: 200 * ms}}, {Name: "sat", Up: true}},
	}}
	for _, ld := range tl.Meta.Directions() {
		at := time.Duration(0)
		for at < tl.Meta.Duration {
			s := trace.Step{At: at, Link: ld.Link, Dir: ld.Dir, State: trace.State{
				Rate: trace.BitRate(rng.Int64N(1e9)), Delay: time.Duration(rng.Int64N(1e9)), Jitter: time.Duration(rng.Int64N(1e6)),
				Duplicate: trace.Prob(rng.Float64()), Corrupt: trace.Prob(rng.Float64()), Reorder: trace.Prob(rng.Float64()),
				Carrier: rng.IntN(5) > 0, Label: []string{"", "good", `a "quoted", one`, "Straße", " x "}[rng.IntN(5)],
			}}
			if rng.IntN(2) == 0 {
				s.Loss = trace.Prob(rng.Float64())
			} else {
				s.GE = trace.GE{P: trace.Prob(rng.Float64()), R: trace.Prob(rng.Float64()), LossBad: 1, LossGood: trace.Prob(rng.Float64() / 1e9)}
			}
			tl.Steps = append(tl.Steps, s)
			at += 1 + time.Duration(rng.Int64N(int64(3*time.Second)))
		}
	}
	slices.SortFunc(tl.Steps, trace.Compare)
	return tl
}

func tapeOf(tl *trace.Timeline, keep func(trace.LinkDir) bool) convert.Tape {
	meta := tl.Meta
	return convert.Tape{Meta: meta, Steps: func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			for _, s := range tl.Steps {
				if (keep == nil || keep(s.LinkDir())) && !yield(s, nil) {
					return
				}
			}
		}
	}}
}

// exportTape writes a tape.
func exportTape(t *testing.T, format string, tape convert.Tape, opts convert.ExportOptions) (string, *convert.Exported) {
	t.Helper()
	ex, err := convert.FindExporter(format)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	out, err := ex.(convert.TapeExporter).ExportTape(&buf, tape, opts)
	if err != nil {
		t.Fatal(err)
	}
	return buf.String(), out
}

// importTape reads every direction of a tape in CSV or JSON.
func importTape(t *testing.T, format, text string) (trace.Meta, iter.Seq[trace.Step]) {
	t.Helper()
	im, err := convert.FindImporter(format)
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := im.(convert.Lister).List(strings.NewReader(text), "f", convert.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var inputs []convert.Input
	for _, ld := range dirs {
		inputs = append(inputs, convert.Input{LinkDir: ld, Result: mustImport(t, "", text, convert.ImportOptions{LinkDir: ld})})
	}
	meta, steps, err := convert.Merge(inputs, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return meta, steps
}

// A tape written as CSV, JSON and Parquet is the same tape when it is read.
func TestTapeFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for range 15 {
		tl := randomTape(rng)
		want := tl.Hash()
		for _, format := range []string{"csv", "json"} {
			text, out := exportTape(t, format, tapeOf(tl, nil), convert.ExportOptions{})
			if out.Lines != int64(len(tl.Steps)) || out.Duration != tl.Meta.Duration {
				t.Fatalf("%s: got %d steps in %v, want %d in %v", format, out.Lines, out.Duration, len(tl.Steps), tl.Meta.Duration)
			}
			meta, steps := importTape(t, format, text)
			h := trace.NewHash()
			for s := range steps {
				h.Step(&s)
			}
			if got := h.Sum(meta.Duration); got != want {
				t.Fatalf("%s: got hash %s, want %s\n%s", format, got, want, text)
			}
			if q := meta.Links[0].Queue; (q != nil) != (format == "json") {
				t.Fatalf("%s: got the queue %v", format, q)
			}
			if got := fmt.Sprint(out.Warnings); (format == "csv") != strings.Contains(got, "the queue of att") {
				t.Fatalf("%s: got warnings %s", format, got)
			}
		}
		data, _ := exportTape(t, "parquet", tapeOf(tl, nil), convert.ExportOptions{})
		r, err := trace.NewReader(strings.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if r.SHA256() != want || r.Meta().Scenario != tl.Meta.Scenario {
			t.Fatalf("parquet: got hash %s and scenario %q, want %s and %q", r.SHA256(), r.Meta().Scenario, want, tl.Meta.Scenario)
		}
		r.Close()
	}
}

// Other readers read what is written: encoding/csv and encoding/json give every
// column of every step.
func TestTapeOtherReaders(t *testing.T) {
	tl := randomTape(rand.New(rand.NewPCG(15, 16)))
	value := func(p trace.Prob) string { return strconv.FormatFloat(float64(p), 'g', -1, 64) }
	var want [][]string
	for _, s := range tl.Steps {
		want = append(want, []string{strconv.FormatInt(int64(s.At), 10), s.Link, s.Dir.String(), strconv.FormatInt(int64(s.Rate), 10),
			strconv.FormatInt(int64(s.Delay), 10), strconv.FormatInt(int64(s.Jitter), 10), value(s.Loss), value(s.GE.P), value(s.GE.R), value(s.GE.LossBad),
			value(s.GE.LossGood), value(s.Duplicate), value(s.Corrupt), value(s.Reorder), strconv.FormatBool(s.Carrier), s.Label, "10000000000"})
	}
	text, _ := exportTape(t, "csv", tapeOf(tl, nil), convert.ExportOptions{})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rows[1:]); diff != "" {
		t.Errorf("csv (-want +got):\n%s", diff)
	}
	keys := rows[0][:len(rows[0])-1] // all but duration_ns
	text, _ = exportTape(t, "json", tapeOf(tl, nil), convert.ExportOptions{})
	var doc struct {
		Duration int64            `json:"duration_ns"`
		Links    []trace.Link     `json:"links"`
		Steps    []map[string]any `json:"steps"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Duration != int64(tl.Meta.Duration) || len(doc.Steps) != len(tl.Steps) {
		t.Fatalf("json: got %d steps in %d ns", len(doc.Steps), doc.Duration)
	}
	if diff := cmp.Diff(tl.Meta.Links, doc.Links); diff != "" {
		t.Errorf("json links (-want +got):\n%s", diff)
	}
	for i, step := range doc.Steps {
		var got []string
		for _, k := range keys {
			if v, ok := step[k].(float64); ok {
				got = append(got, strconv.FormatFloat(v, 'g', -1, 64))
			} else {
				got = append(got, fmt.Sprint(step[k]))
			}
		}
		wanted := slices.Clone(want[i][:len(keys)])
		for _, k := range []int{0, 3, 4, 5} { // whole numbers, as encoding/json holds them
			v, err := strconv.ParseFloat(wanted[k], 64)
			if err != nil {
				t.Fatal(err)
			}
			wanted[k] = strconv.FormatFloat(v, 'g', -1, 64)
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("json step %d (-want +got):\n%s", i, diff)
		}
	}
}

// Two loops are the tape twice, without steps that change nothing between.
func TestTapeLoops(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "att", Up: true}}}, Steps: []trace.Step{
		{At: 0, Link: "att", Dir: trace.Up, State: trace.State{Rate: 8, Carrier: true}},
		{At: 500 * ms, Link: "att", Dir: trace.Up, State: trace.State{Rate: 16, Carrier: true}},
	}}
	for _, format := range []string{"csv", "json"} {
		text, out := exportTape(t, format, tapeOf(tl, nil), convert.ExportOptions{Loops: 2})
		meta, steps := importTape(t, format, text)
		if got, want := show(steps), "0s 8bit, 500ms 16bit, 1s 8bit, 1.5s 16bit"; got != want || meta.Duration != 2*time.Second || out.Duration != 2*time.Second {
			t.Errorf("%s: got %s in %v, want %s in 2s", format, got, meta.Duration, want)
		}
	}
	tl.Steps = tl.Steps[:1]
	data, out := exportTape(t, "parquet", tapeOf(tl, nil), convert.ExportOptions{Loops: 3})
	r, err := trace.NewReader(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows() != 1 || r.Meta().Duration != 3*time.Second || out.Lines != 1 {
		t.Errorf("parquet: got %d steps in %v, want 1 in 3s", r.Rows(), r.Meta().Duration)
	}
}

// A tape with faults is not written.
func TestTapeFaults(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "att", Up: true}}}}
	for _, tc := range []struct {
		steps []trace.Step
		opts  convert.ExportOptions
		want  string
	}{
		{nil, convert.ExportOptions{}, "missing: every direction needs a step at instant 0"},
		{[]trace.Step{{Link: "att", Dir: trace.Up, State: trace.State{Rate: -1}}}, convert.ExportOptions{}, "rate -1: outside 0"},
		{nil, convert.ExportOptions{Loops: -1}, "-1 loops: at least one"},
		{nil, convert.ExportOptions{Loops: 1 << 62}, "are longer than"},
	} {
		tl.Steps = tc.steps
		for _, format := range []string{"csv", "json"} {
			ex, _ := convert.FindExporter(format)
			_, err := ex.(convert.TapeExporter).ExportTape(&bytes.Buffer{}, tapeOf(tl, nil), tc.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want it to say %q", format, err, tc.want)
			}
		}
	}
}

// What netem-trace is given comes back, part by part.
func TestNetemTraceExport(t *testing.T) {
	d := steps(1500*ms+7,
		trace.Step{At: 0, State: trace.State{Rate: 1_234_567_890, Delay: 35*ms + 1, Loss: 0.25, Carrier: true}},
		trace.Step{At: 500 * ms, State: trace.State{Rate: 1_234_567_890, Delay: 40 * ms, GE: trace.GE{P: 0.125, R: 0.5, LossBad: 1}, Carrier: true}},
		trace.Step{At: time.Second, State: trace.State{Rate: 5, Delay: 40 * ms, Jitter: ms, Carrier: false}})
	for _, plain := range []bool{false, true} {
		for _, tc := range []struct {
			what     string
			role     convert.Role
			want     string
			first    string // of the two forms
			warnings string
		}{
			{"", convert.RoleAll, "0s 1234567.89kbit, 1s 0bit", `"bw":"1Gbps 234Mbps 567kbps 890bps","duration":"1s"` + `|"bw":{"gbps":1,"bps":234567890},"duration":{"secs":1,"nanos":0}`,
				"[left out, because the file holds the bandwidth only: the delay (--what delay), the jitter, the loss (--what loss) times without carrier are written as times without service]"},
			{"delay", convert.RoleDelay, "0s 0bit delay 35.000001ms, 500ms 0bit delay 40ms", `"delay":"35ms 1ns","duration":"500ms"` + `|"delay":{"secs":0,"nanos":35000001},"duration":{"secs":0,"nanos":500000000}`,
				"[left out, because the file holds the delay only: the rate, the jitter, the loss (--what loss)]"},
			{"loss", convert.RoleLoss, "0s 0bit loss 25%, 500ms 0bit chain 12.5%/50%, 1s 0bit loss 100%", `"loss":[0.25],"duration":"500ms"` + `|"loss":[0.25],"duration":{"secs":0,"nanos":500000000}`,
				"[left out, because the file holds the loss only: the rate, the delay (--what delay), the jitter times without carrier are written as the loss of everything]"},
		} {
			text, out := export(t, "netem-trace", d, convert.ExportOptions{What: tc.what, Plain: plain})
			form, number, _ := strings.Cut(tc.first, "|")
			if plain {
				form = number
			}
			if !strings.Contains(text, form) {
				t.Errorf("%s: got %s, want it to hold %s", tc.what, text, form)
			}
			if got := fmt.Sprint(out.Warnings); got != tc.warnings {
				t.Errorf("%s:\ngot  %s\nwant %s", tc.what, got, tc.warnings)
			}
			res := mustImport(t, "", text, convert.ImportOptions{Role: tc.role})
			if got := showStates(res.Steps); got != tc.want || res.Duration != 1500*ms+7 || res.Lines != out.Lines {
				t.Errorf("%s: got %s in %v\nwant %s", tc.what, got, res.Duration, tc.want)
			}
			if tc.what == "" && (res.Bytes != out.Bytes || out.Bytes != 154_320_986) {
				t.Errorf("got %d bytes written, %d read, want 154320986", out.Bytes, res.Bytes)
			}
		}
	}
	chain := steps(time.Second, trace.Step{State: trace.State{GE: trace.GE{P: 0.25, R: 0.75, LossBad: 0.5}, Carrier: true}})
	text, out := export(t, "netem-trace", chain, convert.ExportOptions{What: "loss"})
	if !strings.Contains(text, `"loss":[0.125]`) || !strings.Contains(fmt.Sprint(out.Warnings), "written as their mean loss") {
		t.Errorf("a chain that loses half: got %s, %v", text, out.Warnings)
	}
	loops, _ := export(t, "netem-trace", steps(time.Second, at(0, trace.Mbit)), convert.ExportOptions{Loops: 3})
	if res := mustImport(t, "", loops, convert.ImportOptions{}); res.Duration != 3*time.Second || res.Lines != 1 {
		t.Errorf("three loops: got %d values in %v, want 1 in 3s", res.Lines, res.Duration)
	}
}

// Several directions of a tape are read at once, each with its own options.
func TestImportAll(t *testing.T) {
	two, err := convert.ParseScale("2")
	if err != nil {
		t.Fatal(err)
	}
	all, err := convert.ImportAll("", strings.NewReader(tapeText), "f", []convert.ImportOptions{{LinkDir: attUp}, {LinkDir: attDown}, {LinkDir: attUp, Scale: two}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"0s 6Mbit, 500ms 3Mbit", "0s 20Mbit", "0s 12Mbit, 500ms 6Mbit",
	} {
		if got := show(all[i].Steps); got != want || all[i].SHA256 != all[0].SHA256 || all[i].Format != "csv" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, tc := range []struct {
		format string
		each   []convert.ImportOptions
		want   string
	}{
		{"", nil, "import: no direction asked for"},
		{"pensieve", make([]convert.ImportOptions, 2), "f: the format pensieve is read for one direction at a time"},
		{"csv", []convert.ImportOptions{{LinkDir: attUp}, {LinkDir: trace.LinkDir{Link: "sat"}}}, "f: the tape has no sat.down: it has att.down, att.up"},
	} {
		if _, err := convert.ImportAll(tc.format, strings.NewReader(tapeText), "f", tc.each); err == nil || err.Error() != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

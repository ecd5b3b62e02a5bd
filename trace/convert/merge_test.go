package convert_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trace/convert"
	"linktape/trace/weave"
)

func input(t *testing.T, name, format, text string) convert.Input {
	t.Helper()
	ld, err := trace.ParseLinkDir(name)
	if err != nil {
		t.Fatal(err)
	}
	return convert.Input{LinkDir: ld, Result: mustImport(t, format, text, convert.ImportOptions{Step: ms})}
}

func showMerged(t *testing.T, inputs []convert.Input, opts convert.MergeOptions) (trace.Meta, string) {
	t.Helper()
	meta, steps, err := convert.Merge(inputs, opts)
	if err != nil {
		t.Fatal(err)
	}
	c, err := trace.NewChecker(meta)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := range steps {
		c.Step(&s)
		out = append(out, fmt.Sprintf("%v %v %v", s.At, s.LinkDir(), s.Rate))
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if again := slices.Collect(steps); len(again) != len(out) {
		t.Errorf("the second pass has %d steps, want %d", len(again), len(out))
	}
	return meta, strings.Join(out, ", ")
}

func TestMerge(t *testing.T) {
	inputs := []convert.Input{
		input(t, "sat.up", "pensieve", "0 0\n0.001 5\n0.004 6\n"),
		input(t, "att.up", "mahimahi", "1\n4\n"),
		input(t, "att.down", "mahimahi", "2\n2\n4\n4\n"),
	}
	meta, got := showMerged(t, inputs, convert.MergeOptions{Queues: map[string]trace.Queue{"att": {Kind: trace.DropTail, LimitBytes: 64000}}})
	want := "0s att.down 0bit, 0s att.up 12Mbit, 0s sat.up 5Mbit, 1ms att.down 24Mbit, 1ms att.up 0bit, 1ms sat.up 6Mbit, 2ms att.down 0bit, 3ms att.down 24Mbit, 3ms att.up 12Mbit"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	choices := map[string]string{"step": "1ms", "interval": "end", "opportunity_bytes": "1500"}
	wantMeta := trace.Meta{
		Duration:  4 * ms,
		Generator: "import 1",
		Links: []trace.Link{
			{Name: "att", Up: true, Down: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 64000}},
			{Name: "sat", Up: true},
		},
		Sources: []trace.Source{
			{Link: "att", Dir: "down", Format: "mahimahi", File: "file", SHA256: inputs[2].SHA256, Choices: choices},
			{Link: "att", Dir: "up", Format: "mahimahi", File: "file", SHA256: inputs[1].SHA256, Choices: choices},
			{Link: "sat", Dir: "up", Format: "pensieve", File: "file", SHA256: inputs[0].SHA256, Choices: map[string]string{"step": "1ms", "interval": "end"}},
		},
	}
	if diff := cmp.Diff(wantMeta, meta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	// printf '1\n4\n' | sha256sum
	if got, want := inputs[1].SHA256, "13432eb819aaa7b3081976be28497739e59a9e89c0e7e9d71764c025eaf9048a"; got != want {
		t.Errorf("sha256: got %s, want %s", got, want)
	}
}

func TestMergeFit(t *testing.T) {
	inputs := []convert.Input{
		input(t, "a.up", "mahimahi", "1\n3\n"),
		input(t, "b.up", "mahimahi", "2\n8\n"),
	}
	_, _, err := convert.Merge(inputs, convert.MergeOptions{})
	var le *weave.LengthError
	if !errors.As(err, &le) {
		t.Fatalf("got %v, want a LengthError", err)
	}
	if want := "the traces differ in length: a.up 3ms, b.up 8ms; choose --fit shortest (cut all at the shortest) or --fit loop (repeat the shorter ones up to the longest)"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for _, tc := range []struct {
		fit      convert.Fit
		duration time.Duration
		choices  string
		want     string
	}{
		{convert.FitShortest, 3 * ms, ", cut from 8ms to 3ms",
			"0s a.up 12Mbit, 0s b.up 0bit, 1ms a.up 0bit, 1ms b.up 12Mbit, 2ms a.up 12Mbit, 2ms b.up 0bit"},
		{convert.FitLoop, 8 * ms, "looped from 3ms to 8ms, ",
			"0s a.up 12Mbit, 0s b.up 0bit, 1ms a.up 0bit, 1ms b.up 12Mbit, 2ms a.up 12Mbit, 2ms b.up 0bit, 4ms a.up 0bit, 5ms a.up 12Mbit, 7ms a.up 0bit, 7ms b.up 12Mbit"},
	} {
		t.Run(string(tc.fit), func(t *testing.T) {
			meta, got := showMerged(t, inputs, convert.MergeOptions{Fit: tc.fit})
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if meta.Duration != tc.duration {
				t.Errorf("duration: got %v, want %v", meta.Duration, tc.duration)
			}
			if got := meta.Sources[0].Choices["fit"] + ", " + meta.Sources[1].Choices["fit"]; got != tc.choices {
				t.Errorf("choices: got %q, want %q", got, tc.choices)
			}
		})
	}
	if _, ok := inputs[0].Choices["fit"]; ok {
		t.Error("Merge changed its input's choices")
	}
}

func TestMergeErrors(t *testing.T) {
	a := input(t, "a.up", "mahimahi", "1\n3\n")
	b := input(t, "b.up", "mahimahi", "4000000000\n")
	for _, tc := range []struct {
		name   string
		inputs []convert.Input
		opts   convert.MergeOptions
		want   string
	}{
		{"nothing", nil, convert.MergeOptions{}, "merge: nothing to merge"},
		{"twice", []convert.Input{a, a}, convert.MergeOptions{}, "a.up is given twice: file and file"},
		{"fit", []convert.Input{a}, convert.MergeOptions{Fit: "stretch"}, `fit "stretch": write shortest or loop`},
		{"queue", []convert.Input{a}, convert.MergeOptions{Queues: map[string]trace.Queue{"c": {}}}, "queue of link c: there is no such link among the imported ones"},
		{"repeats", []convert.Input{a, b}, convert.MergeOptions{Fit: convert.FitLoop}, "merge: repeating a trace of 3ms up to 1111h6m40s takes more than 1000000 repeats; use --fit shortest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := convert.Merge(tc.inputs, tc.opts)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// A caller may stop in the middle.
func TestMergeStop(t *testing.T) {
	_, steps, err := convert.Merge([]convert.Input{input(t, "a.up", "mahimahi", "1\n3\n")}, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		break
	}
}

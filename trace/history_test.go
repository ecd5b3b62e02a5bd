package trace_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

var someSHA = strings.Repeat("0123456789abcdef", 4)

// edited returns a timeline with a history: a cut of a merge of two.
func edited() *trace.Timeline {
	return &trace.Timeline{
		Meta: trace.Meta{
			Duration: time.Second, Links: []trace.Link{{Name: "att", Up: true}}, Generator: "edit 1", Seed: 7,
			Edit: &trace.Edit{Operation: "cut", Arguments: []string{"--from 1s", "--duration 1s"}, Inputs: []trace.Origin{{
				File: "m.tape", SHA256: someSHA, Duration: 2 * time.Second, Generator: "edit 1", Seed: 7,
				Edit: &trace.Edit{Operation: "merge", Inputs: []trace.Origin{
					{File: "a.tape", SHA256: someSHA, Duration: 2 * time.Second, Generator: "synth 1", Seed: 7, Scenario: "scenario: a\n"},
					{File: "b.tape", SHA256: someSHA, Duration: 2 * time.Second, Generator: "import 1", Sources: []trace.Source{
						{Link: "b", Dir: "up", Format: "mahimahi", File: "b.up", SHA256: someSHA, Choices: map[string]string{"step": "100ms"}},
					}},
				}},
			}}},
		},
		Steps: []trace.Step{{Link: "att", Dir: trace.Up, State: trace.State{Rate: trace.Mbit, Carrier: true}}},
	}
}

func TestHistorySurvives(t *testing.T) {
	tl := edited()
	var buf bytes.Buffer
	w, err := trace.NewWriter(&buf, tl.Meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(tl.Steps); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trace.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if d := cmp.Diff(tl.Meta, r.Meta()); d != "" {
		t.Errorf("want - got +\n%s", d)
	}
}

func TestOrigins(t *testing.T) {
	var got []string
	for depth, o := range edited().Meta.Edit.Origins() {
		got = append(got, fmt.Sprint(depth, " ", o.File))
	}
	if want := []string{"0 m.tape", "1 a.tape", "1 b.tape"}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range (*trace.Edit)(nil).Origins() {
		t.Error("no edit has an origin")
	}
	for _, o := range edited().Meta.Edit.Origins() {
		if o.File != "m.tape" {
			t.Errorf("went on to %s", o.File)
		}
		break
	}
	m := edited().Meta
	m.Scenario = "scenario: x\n"
	o := m.Origin("x.tape", someSHA)
	if o.Edit != m.Edit || o.Seed != 7 || o.Scenario != m.Scenario || o.Duration != time.Second || o.File != "x.tape" || o.SHA256 != someSHA || o.Generator != "edit 1" {
		t.Errorf("got %+v", o)
	}
}

func TestHistoryFaults(t *testing.T) {
	deep := func(e *trace.Edit) {
		for range trace.MaxEdits {
			in := *e
			*e = trace.Edit{Operation: "cut", Inputs: []trace.Origin{{File: "x", SHA256: someSHA, Duration: 1, Edit: &in}}}
		}
	}
	for _, c := range []struct {
		name   string
		change func(e *trace.Edit)
		want   string
	}{
		{"none", func(*trace.Edit) {}, ""},
		{"operation", func(e *trace.Edit) { e.Operation = "" }, "edit: name is empty"},
		{"argument", func(e *trace.Edit) { e.Arguments[0] = "\xff" }, `edit argument "\xff": not valid UTF-8`},
		{"no input", func(e *trace.Edit) { e.Inputs = nil }, `edit "cut": without an input`},
		{"checksum", func(e *trace.Edit) { e.Inputs[0].Edit.Inputs[1].SHA256 = "ABC" }, `edit input sha256 "ABC": not 64 hexadecimal digits`},
		{"length", func(e *trace.Edit) { e.Inputs[0].Duration = 0 }, "edit input duration 0s: not above 0"},
		{"file", func(e *trace.Edit) { e.Inputs[0].File = "\xff" }, `edit input file "\xff": not valid UTF-8`},
		{"generator", func(e *trace.Edit) { e.Inputs[0].Generator = "\xff" }, `edit input generator "\xff": not valid UTF-8`},
		{"scenario", func(e *trace.Edit) { e.Inputs[0].Scenario = "\xff" }, `edit input scenario "\xff": not valid UTF-8`},
		{"source", func(e *trace.Edit) { e.Inputs[0].Edit.Inputs[1].Sources[0].File = "\xff" }, `edit input source "\xff": not valid UTF-8`},
		{"choice", func(e *trace.Edit) { e.Inputs[0].Edit.Inputs[1].Sources[0].Choices["x"] = "\xff" }, `edit input source choice "\xff": not valid UTF-8`},
		{"deep", deep, "edit: more than 100 edits of edits: synthesize or import anew"},
		{"wide", func(e *trace.Edit) {
			for range trace.MaxOrigins {
				e.Inputs = append(e.Inputs, trace.Origin{SHA256: someSHA, Duration: 1})
			}
		}, "edit: more than 10000 inputs: synthesize or import anew"},
		{"long", func(e *trace.Edit) { e.Inputs[0].Scenario = strings.Repeat("#", trace.MaxHistory) }, "edit: a history of more than 16777216 bytes: synthesize or import anew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tl := edited()
			c.change(tl.Meta.Edit)
			got := ""
			if err := tl.Check(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

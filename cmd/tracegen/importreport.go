package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/trace/convert"
)

// importReport is what tracegen import --json prints: how each file was read,
// and the statistics of what it makes.
type importReport struct {
	Inputs     []inputReport `json:"inputs"`
	Duration   time.Duration `json:"duration_ns"`
	Directions []trace.Stats `json:"directions"`
}

// inputReport is how one file was read.
type inputReport struct {
	Link     string            `json:"link"`
	Dir      string            `json:"dir"`
	Role     string            `json:"role,omitempty"` // rate, delay or loss where only that was read
	File     string            `json:"file"`
	SHA256   string            `json:"sha256"` // of the file's bytes
	Format   string            `json:"format"`
	How      string            `json:"how"` // whether the format was told or found
	Samples  int64             `json:"samples"`
	Bytes    *int64            `json:"bytes,omitempty"` // of a loop, where there is a rate
	Duration time.Duration     `json:"duration_ns"`
	Start    *time.Time        `json:"start,omitempty"` // where the file has absolute times
	Choices  map[string]string `json:"choices"`
	Warnings []warningReport   `json:"warnings"`
}

type warningReport struct {
	Line int64  `json:"line,omitempty"`
	Text string `json:"text"`
}

// add notes how a file was read, and says it on stderr.
func (r *importReport) add(stderr io.Writer, a importArg, res *convert.Result, how string) {
	in := inputReport{
		Link: a.Link, Dir: a.Dir.String(), Role: string(a.role), File: a.name(), SHA256: res.SHA256,
		Format: res.Format, How: how, Samples: res.Lines, Duration: res.Duration, Choices: res.Choices, Warnings: []warningReport{},
	}
	total := ""
	if res.HasRate {
		in.Bytes = &res.Bytes
		total = fmt.Sprintf(", %d bytes", res.Bytes)
	}
	if !res.Start.IsZero() {
		in.Start = &res.Start
	}
	name := a.name()
	fmt.Fprintf(stderr, "%s: %s is read as %s (%s)%s: %s%s in %v\n", a.what(), name, res.Format, how, choices(res), cli.Count(res.Lines, "sample"), total, res.Duration)
	for _, w := range res.Warnings {
		where := name
		if w.Line > 0 {
			where = fmt.Sprintf("%s:%d", name, w.Line)
		}
		fmt.Fprintf(stderr, "%s: warning: %s: %s\n", a.what(), where, w.Text)
		in.Warnings = append(in.Warnings, warningReport{w.Line, w.Text})
	}
	r.Inputs = append(r.Inputs, in)
}

// sources takes over what joining and fitting have added to the choices.
func (r *importReport) sources(sources []trace.Source) {
	for i := range r.Inputs {
		in := &r.Inputs[i]
		for _, s := range sources {
			if s.Link == in.Link && s.Dir == in.Dir && s.Choices["role"] == in.Role {
				in.Choices = s.Choices
			}
		}
	}
}

// choices writes what the importer decided: the interval, the step and the
// start, and then the rest by name.
func choices(res *convert.Result) string {
	keys := slices.Sorted(maps.Keys(res.Choices))
	first := []string{"interval", "step", "start"}
	keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(first, k) })
	var out string
	for _, key := range append(first, keys...) {
		if v := res.Choices[key]; v != "" {
			out += ", " + strings.ReplaceAll(key, "_", " ") + " " + v
		}
	}
	return out
}

package edit

import (
	"iter"
	"slices"
	"time"

	"linktape/trace"
)

// Generator is what edits write into [trace.Meta]. It changes when the same edit
// of the same timeline gives another one.
const Generator = "edit 1"

// MaxDuration is the longest timeline that an edit makes, about 146 years; it
// keeps sums of instants within a time.Duration.
const MaxDuration = time.Duration(1 << 62)

// Tape is a timeline that streams by, with the name that it goes by in a history.
type Tape struct {
	File   string // base name
	SHA256 string // of its steps, [trace.Hash]; "" for the result of an edit, which is not known before its end
	Meta   trace.Meta
	Steps  iter.Seq2[trace.Step, error] // in canonical order; can be repeated

	Warnings []string // about what is usable but doubtful
}

// Memory makes a Tape of a timeline in memory.
func Memory(file string, t *trace.Timeline) Tape {
	return Tape{File: file, SHA256: t.Hash(), Meta: t.Meta, Steps: func(yield func(trace.Step, error) bool) {
		for _, s := range t.Steps {
			if !yield(s, nil) {
				return
			}
		}
	}}
}

// Timeline reads the whole tape into memory.
func (t Tape) Timeline() (*trace.Timeline, error) {
	out := &trace.Timeline{Meta: t.Meta}
	for s, err := range t.Steps {
		if err != nil {
			return nil, err
		}
		out.Steps = append(out.Steps, s)
	}
	return out, nil
}

// derive starts the metadata of an edit's result: that of the first input, with
// the inputs in its history. The seed stays, because replays draw from it.
func derive(operation string, arguments []string, inputs ...Tape) trace.Meta {
	first := inputs[0].Meta
	e := &trace.Edit{Operation: operation, Arguments: arguments}
	for _, in := range inputs {
		e.Inputs = append(e.Inputs, in.Meta.Origin(in.File, in.SHA256))
	}
	return trace.Meta{
		Duration: first.Duration, Links: slices.Clone(first.Links),
		Generator: Generator, Seed: first.Seed, Edit: e,
	}
}

// instants yields the steps of each instant together. The slice is valid until
// the next one.
func instants(steps iter.Seq2[trace.Step, error]) iter.Seq2[[]trace.Step, error] {
	return func(yield func([]trace.Step, error) bool) {
		var group []trace.Step
		for s, err := range steps {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(group) > 0 && s.At != group[0].At {
				if !yield(group, nil) {
					return
				}
				group = group[:0]
			}
			group = append(group, s)
		}
		if len(group) > 0 {
			yield(group, nil)
		}
	}
}

// coalesce leaves out the steps that change nothing.
func coalesce(steps iter.Seq2[trace.Step, error]) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		var c trace.Coalescer
		for s, err := range steps {
			if err != nil {
				yield(s, err)
				return
			}
			if c.Keep(&s) && !yield(s, nil) {
				return
			}
		}
	}
}

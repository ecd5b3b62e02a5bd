package convert

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"linktape/trace"
	"linktape/trace/weave"
)

// Generator is what [Merge] writes into [trace.Meta]: the importers, with the
// version of their output. It changes when the same file with the same options
// gives another timeline.
const Generator = "import 1"

// Fit says what to do with directions of different length.
type Fit = weave.Fit

// Policies for directions of different length.
const (
	FitNone     = weave.FitNone
	FitShortest = weave.FitShortest
	FitLoop     = weave.FitLoop
)

// ParseFit reads "shortest" or "loop"; "" is FitNone.
func ParseFit(s string) (Fit, error) { return weave.ParseFit(s) }

// Input is one imported direction and the name it gets.
type Input struct {
	trace.LinkDir
	*Result
}

// MergeOptions say how to merge; the zero value refuses directions of
// different length.
type MergeOptions struct {
	Fit    Fit
	Queues map[string]trace.Queue // by link name
}

// Merge lays imported directions into one timeline. The steps come in canonical
// order and can be repeated. Directions of different length are a
// [weave.LengthError], unless opts.Fit says what to do; the metadata then states
// it in the choices of each direction concerned.
func Merge(inputs []Input, opts MergeOptions) (trace.Meta, iter.Seq[trace.Step], error) {
	var meta trace.Meta
	if len(inputs) == 0 {
		return meta, nil, errors.New("merge: nothing to merge")
	}
	if _, err := ParseFit(string(opts.Fit)); err != nil {
		return meta, nil, err
	}
	inputs = slices.Clone(inputs)
	slices.SortStableFunc(inputs, func(a, b Input) int { return a.LinkDir.Compare(b.LinkDir) })
	lengths := make([]weave.Length, len(inputs))
	for i, in := range inputs {
		if i > 0 && in.LinkDir == inputs[i-1].LinkDir {
			return meta, nil, fmt.Errorf("%s is given twice: %s and %s", in.LinkDir, inputs[i-1].File, in.File)
		}
		lengths[i] = weave.Length{Name: in.LinkDir.String(), Duration: in.Duration}
	}
	var err error
	if meta.Duration, err = opts.Fit.Duration("trace", lengths); err != nil {
		return meta, nil, err
	}
	meta.Generator = Generator
	for _, in := range inputs {
		k := len(meta.Links) - 1
		if k < 0 || meta.Links[k].Name != in.Link {
			l := trace.Link{Name: in.Link}
			if q, ok := opts.Queues[in.Link]; ok {
				l.Queue = &q
			}
			meta.Links = append(meta.Links, l)
			k++
		}
		if in.Dir == trace.Up {
			meta.Links[k].Up = true
		} else {
			meta.Links[k].Down = true
		}
		choices := make(map[string]string, len(in.Choices)+1)
		for key, v := range in.Choices {
			choices[key] = v
		}
		if how := weave.Fitted(in.Duration, meta.Duration); how != "" {
			choices["fit"] = how
		}
		meta.Sources = append(meta.Sources, trace.Source{
			Link: in.Link, Dir: in.Dir.String(), Format: in.Format,
			File: in.File, SHA256: in.SHA256, Choices: choices,
		})
	}
	for name := range opts.Queues {
		if !slices.ContainsFunc(meta.Links, func(l trace.Link) bool { return l.Name == name }) {
			return meta, nil, fmt.Errorf("queue of link %s: there is no such link among the imported ones", name)
		}
	}
	streams := make([]iter.Seq2[trace.Step, error], len(inputs))
	for i, in := range inputs {
		streams[i] = weave.Fill(in.steps(), in.Duration, meta.Duration)
	}
	return meta, func(yield func(trace.Step) bool) {
		for s := range weave.Steps(streams) { // the streams have no errors
			if !yield(s) {
				return
			}
		}
	}, nil
}

// steps yields the steps with the name that the direction gets.
func (in Input) steps() iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		for s := range in.Steps {
			s.Link, s.Dir = in.Link, in.Dir
			if !yield(s, nil) {
				return
			}
		}
	}
}

package convert

import (
	"cmp"
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
// order and can be repeated. Inputs of one direction with different roles make
// it together: the delay and jitter of a RoleDelay and the loss of a RoleLoss
// replace those of the input that has the rate. Inputs of different length are a
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
	slices.SortStableFunc(inputs, func(a, b Input) int {
		return cmp.Or(a.LinkDir.Compare(b.LinkDir), cmp.Compare(roleOrder(a.Role), roleOrder(b.Role)))
	})
	lengths := make([]weave.Length, len(inputs))
	for i, in := range inputs {
		first := i == 0 || in.LinkDir != inputs[i-1].LinkDir
		switch {
		case !first && roleOrder(in.Role) == roleOrder(inputs[i-1].Role):
			return meta, nil, fmt.Errorf("%s is given twice: %s and %s", in.LinkDir, inputs[i-1].File, in.File)
		case first && !in.HasRate:
			return meta, nil, fmt.Errorf("%s has no rate: %s holds a %s only; give a file with the rate as %s, and this one as %s.%s", in.LinkDir, in.File, in.holds(), in.LinkDir, in.LinkDir, in.holds())
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
			} else {
				for _, x := range inputs {
					if x.Link == in.Link && x.Queue != nil {
						q := *x.Queue
						l.Queue = &q
						break
					}
				}
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
		if in.Role != RoleAll {
			choices["role"] = string(in.Role)
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
	var streams []iter.Seq2[trace.Step, error]
	for i := 0; i < len(inputs); {
		direction := weave.Fill(inputs[i].steps(), inputs[i].Duration, meta.Duration)
		for first := i; i < len(inputs) && inputs[i].LinkDir == inputs[first].LinkDir; i++ {
			if i > first {
				direction = laid(direction, weave.Fill(inputs[i].steps(), inputs[i].Duration, meta.Duration), inputs[i].Role)
			}
		}
		streams = append(streams, direction)
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

// roleOrder puts the input with the rate first.
func roleOrder(r Role) int {
	switch r {
	case RoleDelay:
		return 1
	case RoleLoss:
		return 2
	}
	return 0
}

// holds names the part of the state that an input without a rate has.
func (r *Result) holds() Role {
	if r.HasDelay {
		return RoleDelay
	}
	return RoleLoss
}

// laid yields the steps of a direction with the part that the role says taken
// from another stream of it. The streams have no errors.
func laid(under, over iter.Seq2[trace.Step, error], role Role) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		nextUnder, stop := iter.Pull2(under)
		defer stop()
		nextOver, stopOver := iter.Pull2(over)
		defer stopOver()
		a, _, moreA := nextUnder()
		b, _, moreB := nextOver()
		var below, above trace.State
		var c trace.Coalescer
		step := a
		for moreA || moreB {
			at := a.At
			if !moreA || moreB && b.At < a.At {
				at = b.At
			}
			if moreA && a.At == at {
				below = a.State
				a, _, moreA = nextUnder()
			}
			if moreB && b.At == at {
				above = b.State
				b, _, moreB = nextOver()
			}
			step.At, step.State = at, below
			if role == RoleDelay {
				step.Delay, step.Jitter = above.Delay, above.Jitter
			} else {
				step.Loss, step.GE = above.Loss, above.GE
			}
			if c.Keep(&step) && !yield(step, nil) {
				return
			}
		}
	}
}

package convert

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"linktape/trace"
)

// Generator is what [Merge] writes into [trace.Meta]: the importers, with the
// version of their output. It changes when the same file with the same options
// gives another timeline.
const Generator = "import 1"

// Fit says what to do with directions of different length.
type Fit string

// Policies for directions of different length.
const (
	FitNone     Fit = ""         // refuse them
	FitShortest Fit = "shortest" // cut all at the shortest one's end
	FitLoop     Fit = "loop"     // repeat the shorter ones up to the longest one's end
)

// ParseFit reads "shortest" or "loop"; "" is FitNone.
func ParseFit(s string) (Fit, error) {
	switch f := Fit(s); f {
	case FitNone, FitShortest, FitLoop:
		return f, nil
	}
	return "", fmt.Errorf("fit %q: write shortest or loop", s)
}

// maxRepeats bounds how often FitLoop repeats a direction.
const maxRepeats = 1_000_000

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

// LengthError says that the directions are of different length.
type LengthError struct{ Inputs []Input }

// Error names the lengths and the ways out.
func (e *LengthError) Error() string {
	var b strings.Builder
	b.WriteString("the traces differ in length:")
	for i, in := range e.Inputs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %v", in.LinkDir, in.Duration)
	}
	b.WriteString("; choose --fit shortest (cut all at the shortest) or --fit loop (repeat the shorter ones up to the longest)")
	return b.String()
}

// Merge lays imported directions into one timeline. The steps come in canonical
// order and can be repeated. Directions of different length are a *LengthError,
// unless opts.Fit says what to do; the metadata then states it in the choices
// of each direction concerned.
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
	shortest, longest := inputs[0].Duration, inputs[0].Duration
	for i, in := range inputs {
		if i > 0 && in.LinkDir == inputs[i-1].LinkDir {
			return meta, nil, fmt.Errorf("%s is given twice: %s and %s", in.LinkDir, inputs[i-1].File, in.File)
		}
		shortest, longest = min(shortest, in.Duration), max(longest, in.Duration)
	}
	meta.Duration = longest
	switch {
	case shortest == longest:
	case opts.Fit == FitShortest:
		meta.Duration = shortest
	case opts.Fit == FitLoop:
		if shortest <= 0 || longest/shortest > maxRepeats {
			return meta, nil, fmt.Errorf("merge: repeating a trace of %v up to %v takes more than %d repeats; use --fit shortest", shortest, longest, maxRepeats)
		}
	default:
		return meta, nil, &LengthError{inputs}
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
		switch {
		case in.Duration > meta.Duration:
			choices["fit"] = fmt.Sprintf("cut from %v to %v", in.Duration, meta.Duration)
		case in.Duration < meta.Duration:
			choices["fit"] = fmt.Sprintf("looped from %v to %v", in.Duration, meta.Duration)
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
	return meta, func(yield func(trace.Step) bool) { mergeSteps(inputs, meta.Duration, yield) }, nil
}

// fitted yields the steps of one input up to end, repeated where it is shorter,
// with equal neighbours joined.
func fitted(in Input, end time.Duration) iter.Seq[trace.Step] {
	return func(yield func(trace.Step) bool) {
		var last trace.State
		any := false
		for base := time.Duration(0); base < end; base += in.Duration {
			for s := range in.Steps {
				s.At += base
				if s.At >= end {
					return
				}
				if any && s.State == last {
					continue
				}
				any, last = true, s.State
				s.Link, s.Dir = in.Link, in.Dir
				if !yield(s) {
					return
				}
			}
		}
	}
}

// mergeSteps merges the inputs, which are ordered by direction.
func mergeSteps(inputs []Input, end time.Duration, yield func(trace.Step) bool) {
	type head struct {
		next func() (trace.Step, bool)
		step trace.Step
	}
	var heads []*head
	for _, in := range inputs {
		next, stop := iter.Pull(fitted(in, end))
		defer stop()
		h := &head{next: next}
		var ok bool
		if h.step, ok = next(); ok {
			heads = append(heads, h)
		}
	}
	for len(heads) > 0 {
		first := 0
		for i := 1; i < len(heads); i++ {
			if heads[i].step.At < heads[first].step.At {
				first = i
			}
		}
		h := heads[first]
		if !yield(h.step) {
			return
		}
		var ok bool
		if h.step, ok = h.next(); !ok {
			heads = slices.Delete(heads, first, first+1)
		}
	}
}

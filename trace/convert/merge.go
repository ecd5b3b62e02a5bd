package convert

import (
	"cmp"
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
// order and can be repeated. Inputs of one direction with different roles make
// it together: the delay and jitter of a RoleDelay and the loss of a RoleLoss
// replace those of the input that has the rate. Inputs of different length are a *LengthError,
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
	slices.SortStableFunc(inputs, func(a, b Input) int {
		return cmp.Or(a.LinkDir.Compare(b.LinkDir), cmp.Compare(roleOrder(a.Role), roleOrder(b.Role)))
	})
	shortest, longest := inputs[0].Duration, inputs[0].Duration
	for i, in := range inputs {
		first := i == 0 || in.LinkDir != inputs[i-1].LinkDir
		switch {
		case !first && roleOrder(in.Role) == roleOrder(inputs[i-1].Role):
			return meta, nil, fmt.Errorf("%s is given twice: %s and %s", in.LinkDir, inputs[i-1].File, in.File)
		case first && !in.HasRate:
			return meta, nil, fmt.Errorf("%s has no rate: %s holds a %s only; give a file with the rate as %s, and this one as %s.%s", in.LinkDir, in.File, in.holds(), in.LinkDir, in.LinkDir, in.holds())
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

// overlaid yields the steps of the inputs of one direction, of which the first
// has the rate.
func overlaid(parts []Input, end time.Duration) iter.Seq[trace.Step] {
	if len(parts) == 1 {
		return fitted(parts[0], end)
	}
	return func(yield func(trace.Step) bool) {
		under, stop := iter.Pull(overlaid(parts[:len(parts)-1], end))
		defer stop()
		over, stopOver := iter.Pull(fitted(parts[len(parts)-1], end))
		defer stopOver()
		role := parts[len(parts)-1].Role
		a, moreA := under()
		b, moreB := over()
		var below, above, last trace.State
		any := false
		step := a
		for moreA || moreB {
			at := a.At
			if !moreA || moreB && b.At < a.At {
				at = b.At
			}
			if moreA && a.At == at {
				below = a.State
				a, moreA = under()
			}
			if moreB && b.At == at {
				above = b.State
				b, moreB = over()
			}
			s := below
			if role == RoleDelay {
				s.Delay, s.Jitter = above.Delay, above.Jitter
			} else {
				s.Loss, s.GE = above.Loss, above.GE
			}
			if any && s == last {
				continue
			}
			any, last = true, s
			step.At, step.State = at, s
			if !yield(step) {
				return
			}
		}
	}
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
	for i := 0; i < len(inputs); {
		k := i + 1
		for k < len(inputs) && inputs[k].LinkDir == inputs[i].LinkDir {
			k++
		}
		next, stop := iter.Pull(overlaid(inputs[i:k], end))
		i = k
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

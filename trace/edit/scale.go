package edit

import (
	"errors"

	"linktape/trace"
)

// Factors multiplies quantities; a zero Change leaves one alone.
type Factors [numQuantities]Change

// NewFactors returns the factors of some quantities.
func NewFactors(of map[Quantity]float64) Factors {
	var out Factors
	for q, f := range of {
		out[q] = Change{Multiply, f}
	}
	return out
}

// Scale changes every state of the directions that the targets name; without a
// target, of all. See [Change.Apply] for rounding and bounds.
func Scale(in Tape, factors Factors, targets []Target) (Tape, error) {
	if factors == (Factors{}) {
		return Tape{}, errors.New("scale: nothing to scale: give a factor, such as --rate 0.5")
	}
	if err := CheckTargets(targets, in.Meta.Links); err != nil {
		return Tape{}, err
	}
	var arguments []string
	for i, c := range factors {
		if q := Quantity(i); c.Op != Keep {
			arguments = append(arguments, q.String()+" "+c.text(q))
		}
	}
	for _, t := range targets {
		arguments = append(arguments, "only "+t.String())
	}
	out := Tape{Meta: derive("scale", arguments, in)}
	out.Steps = coalesce(func(yield func(trace.Step, error) bool) {
		for s, err := range in.Steps {
			if err == nil && (len(targets) == 0 || Selects(targets, s.LinkDir())) {
				for q, c := range factors {
					c.Apply(Quantity(q), &s.State)
				}
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	})
	return out, nil
}

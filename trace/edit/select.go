package edit

import (
	"errors"

	"linktape/trace"
)

// Select keeps the directions that the targets name.
func Select(in Tape, targets []Target) (Tape, error) {
	if len(targets) == 0 {
		return Tape{}, errors.New("select: no link: name what to keep, such as att or att.up")
	}
	if err := CheckTargets(targets, in.Meta.Links); err != nil {
		return Tape{}, err
	}
	arguments := make([]string, len(targets))
	for i, t := range targets {
		arguments[i] = t.String()
	}
	out := Tape{Meta: derive("select", arguments, in)}
	out.Meta.Links = nil
	for _, l := range in.Meta.Links {
		l.Up = l.Up && Selects(targets, trace.LinkDir{Link: l.Name, Dir: trace.Up})
		l.Down = l.Down && Selects(targets, trace.LinkDir{Link: l.Name, Dir: trace.Down})
		if l.Up || l.Down {
			out.Meta.Links = append(out.Meta.Links, l)
		}
	}
	out.Steps = coalesce(func(yield func(trace.Step, error) bool) {
		for s, err := range in.Steps {
			if err == nil && !Selects(targets, s.LinkDir()) {
				continue
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	})
	return out, nil
}

package edit

import (
	"fmt"
	"slices"
	"strings"

	"linktape/trace"
	"linktape/trace/suggest"
)

// All stands for every link where a [Target] is written.
const All = "all"

// Target names directions: those of one link or of every link. The zero Target
// names none.
type Target struct {
	Link     string // [All] = every link
	Up, Down bool
}

// ParseTarget reads LINK, LINK.up, LINK.down, all, all.up or all.down.
func ParseTarget(s string) (Target, error) {
	link, dir, one := strings.Cut(s, ".")
	if err := trace.CheckName(link); err != nil {
		return Target{}, fmt.Errorf("link %q: %w", s, err)
	}
	if !one {
		return Target{link, true, true}, nil
	}
	d, err := trace.ParseDirection(dir)
	if err != nil {
		return Target{}, fmt.Errorf("link %q: %w", s, err)
	}
	return Target{link, d == trace.Up, d == trace.Down}, nil
}

// ParseTargets reads targets of which none may repeat a direction.
func ParseTargets(words []string) ([]Target, error) {
	var out []Target
	for _, w := range words {
		t, err := ParseTarget(w)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.overlaps(t) {
				return nil, fmt.Errorf("%v is within %v: name each direction once", t.narrower(o), t.wider(o))
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// String writes the target as [ParseTarget] reads it.
func (t Target) String() string {
	switch {
	case t.Up && t.Down:
		return t.Link
	case t.Up:
		return t.Link + ".up"
	case t.Down:
		return t.Link + ".down"
	}
	return "none"
}

// Has reports whether the target names the direction.
func (t Target) Has(ld trace.LinkDir) bool {
	return (t.Link == All || t.Link == ld.Link) && (ld.Dir == trace.Up && t.Up || ld.Dir == trace.Down && t.Down)
}

// Check verifies that the links have a direction that the target names.
func (t Target) Check(links []trace.Link) error {
	var names []string
	for _, l := range links {
		if (t.Link == All || t.Link == l.Name) && (t.Up && l.Up || t.Down && l.Down) {
			return nil
		}
		names = append(names, l.Name)
	}
	i := slices.IndexFunc(links, func(l trace.Link) bool { return l.Name == t.Link })
	switch {
	case i >= 0 && links[i].Up:
		return fmt.Errorf("link %v: the timeline has %s.up only", t, t.Link)
	case i >= 0 && links[i].Down:
		return fmt.Errorf("link %v: the timeline has %s.down only", t, t.Link)
	case t.Link == All || i >= 0:
		return fmt.Errorf("link %v: the timeline has no such direction", t)
	}
	if near := suggest.Nearest(t.Link, names); near != "" {
		return fmt.Errorf("link %v: not in the timeline: did you mean %q? It has %s", t, near, suggest.List(names))
	}
	return fmt.Errorf("link %v: not in the timeline, which has %s", t, suggest.List(names))
}

// CheckTargets verifies each target; the faults are joined.
func CheckTargets(targets []Target, links []trace.Link) error {
	var faults faults
	for _, t := range targets {
		if err := t.Check(links); err != nil {
			faults.add("%w", err)
		}
	}
	return faults.err()
}

// Selects reports whether any of the targets names the direction.
func Selects(targets []Target, ld trace.LinkDir) bool {
	return slices.ContainsFunc(targets, func(t Target) bool { return t.Has(ld) })
}

func (t Target) overlaps(o Target) bool {
	return (t.Link == o.Link || t.Link == All || o.Link == All) && (t.Up && o.Up || t.Down && o.Down)
}

// narrower and wider order two targets that overlap.
func (t Target) narrower(o Target) Target {
	if t.Link == All && o.Link != All || t.Link == o.Link && t.Up && t.Down {
		return o
	}
	return t
}

func (t Target) wider(o Target) Target {
	if t.narrower(o) == t {
		return o
	}
	return t
}

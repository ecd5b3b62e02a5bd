package edit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"linktape/trace"
)

// Absent says what a link does in the part of a timeline that lacks it.
type Absent string

// Policies for links that not every timeline has.
const (
	AbsentRefuse Absent = ""      // such timelines are refused
	AbsentDown   Absent = "down"  // no carrier, as when a modem is not plugged in
	AbsentStall  Absent = "stall" // a rate of 0
)

// LabelAbsent labels the part of a timeline that lacks a direction.
const LabelAbsent = "absent"

// ParseAbsent reads "down" or "stall"; "" is AbsentRefuse.
func ParseAbsent(s string) (Absent, error) {
	switch a := Absent(s); a {
	case AbsentRefuse, AbsentDown, AbsentStall:
		return a, nil
	}
	return "", fmt.Errorf("fill %q: write down or stall", s)
}

// Concat plays timelines one after the other. All must have the same links and
// directions unless absent says what a missing one does meanwhile. A link's queue
// is that of the first timeline which states one; another is a warning.
func Concat(inputs []Tape, absent Absent) (Tape, error) {
	if len(inputs) == 0 {
		return Tape{}, errors.New("concat: nothing to put together")
	}
	if _, err := ParseAbsent(string(absent)); err != nil {
		return Tape{}, err
	}
	var arguments []string
	if absent != AbsentRefuse {
		arguments = []string{"fill " + string(absent)}
	}
	out := Tape{Meta: derive("concat", arguments, inputs...)}
	out.Meta.Duration, out.Meta.Links = 0, nil
	for _, in := range inputs {
		if in.Meta.Duration > MaxDuration-out.Meta.Duration {
			return Tape{}, fmt.Errorf("concat: longer than %v", MaxDuration)
		}
		out.Meta.Duration += in.Meta.Duration
		for _, l := range in.Meta.Links {
			i, ok := findLink(out.Meta.Links, l.Name)
			if !ok {
				out.Meta.Links = slices.Insert(out.Meta.Links, i, l)
				continue
			}
			o := &out.Meta.Links[i]
			o.Up, o.Down = o.Up || l.Up, o.Down || l.Down
			switch {
			case o.Queue == nil:
				o.Queue = l.Queue
			case l.Queue != nil && *l.Queue != *o.Queue:
				out.Warnings = append(out.Warnings, fmt.Sprintf("link %s has another queue in %s: the first one is kept", l.Name, in.File))
			}
		}
	}
	dirs := out.Meta.Directions()
	if absent == AbsentRefuse {
		var lacks faults
		for _, in := range inputs {
			if missing := missing(dirs, in.Meta); missing != nil {
				lacks.add("%s lacks %s", in.File, strings.Join(missing, ", "))
			}
		}
		if lacks != nil {
			return Tape{}, fmt.Errorf("concat: the links differ: %w; choose --fill down (no carrier meanwhile) or --fill stall (rate 0), or rename links first", lacks.err())
		}
	}
	out.Steps = coalesce(func(yield func(trace.Step, error) bool) {
		base := time.Duration(0)
		for _, in := range inputs {
			lacking := missingDirs(dirs, in.Meta)
			for group, err := range instants(in.Steps) {
				if err != nil {
					yield(trace.Step{}, err)
					return
				}
				if group[0].At == 0 && len(lacking) > 0 {
					for _, ld := range lacking {
						s := trace.State{Carrier: absent == AbsentStall, Label: LabelAbsent}
						group = append(group, trace.Step{Link: ld.Link, Dir: ld.Dir, State: s})
					}
					slices.SortFunc(group, trace.Compare)
				}
				for _, s := range group {
					s.At += base
					if !yield(s, nil) {
						return
					}
				}
			}
			base += in.Meta.Duration
		}
	})
	return out, nil
}

// findLink finds a link among those ordered by name, or where it belongs.
func findLink(links []trace.Link, name string) (int, bool) {
	return slices.BinarySearchFunc(links, name, func(l trace.Link, name string) int { return strings.Compare(l.Name, name) })
}

// missingDirs lists the directions that a timeline lacks.
func missingDirs(dirs []trace.LinkDir, meta trace.Meta) []trace.LinkDir {
	has := meta.Directions()
	return slices.DeleteFunc(slices.Clone(dirs), func(ld trace.LinkDir) bool { return slices.Contains(has, ld) })
}

func missing(dirs []trace.LinkDir, meta trace.Meta) []string {
	var out []string
	for _, ld := range missingDirs(dirs, meta) {
		out = append(out, ld.String())
	}
	return out
}

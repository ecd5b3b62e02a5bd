package edit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"linktape/trace"
)

// Renaming gives a link or one of its directions another name.
type Renaming struct {
	From, To Target
}

// ParseRenaming reads OLD=NEW, both links or both directions: att=modem1,
// att.up=att.down.
func ParseRenaming(s string) (Renaming, error) {
	old, name, ok := strings.Cut(s, "=")
	if !ok {
		return Renaming{}, fmt.Errorf("%q: write OLD=NEW, such as att=modem1 or att.up=att.down", s)
	}
	from, err := ParseTarget(old)
	if err != nil {
		return Renaming{}, err
	}
	to, err := ParseTarget(name)
	if err != nil {
		return Renaming{}, err
	}
	if from.Link == All || to.Link == All {
		return Renaming{}, fmt.Errorf("%q: name one link, not %s", s, All)
	}
	if (from.Up && from.Down) != (to.Up && to.Down) {
		return Renaming{}, fmt.Errorf("%q: name two links or two directions", s)
	}
	return Renaming{from, to}, nil
}

// String writes the renaming as [ParseRenaming] reads it.
func (r Renaming) String() string { return r.From.String() + "=" + r.To.String() }

// of returns the new name of a direction that r.From names.
func (r Renaming) of(ld trace.LinkDir) trace.LinkDir {
	to := trace.LinkDir{Link: r.To.Link, Dir: ld.Dir}
	if !(r.To.Up && r.To.Down) {
		to.Dir = trace.Down
		if r.To.Up {
			to.Dir = trace.Up
		}
	}
	return to
}

// Rename gives links and directions other names, all at once, so that two may
// swap theirs. A queue goes with its link. Two directions of one name are an
// error.
func Rename(in Tape, renamings []Renaming) (Tape, error) {
	if len(renamings) == 0 {
		return Tape{}, errors.New("rename: nothing to rename: write OLD=NEW, such as att=modem1")
	}
	arguments := make([]string, len(renamings))
	var faults []error
	for i, r := range renamings {
		arguments[i] = r.String()
		if err := r.From.Check(in.Meta.Links); err != nil {
			faults = append(faults, err)
		}
		for _, o := range renamings[:i] {
			if o.From.overlaps(r.From) {
				faults = append(faults, fmt.Errorf("%v is renamed twice: to %v and to %v", o.From.narrower(r.From), o.To, r.To))
			}
		}
	}
	if faults != nil {
		return Tape{}, errors.Join(faults...)
	}
	out := Tape{Meta: derive("rename", arguments, in)}
	out.Meta.Links = nil
	names := make(map[trace.LinkDir]trace.LinkDir)
	taken := make(map[trace.LinkDir]trace.LinkDir)
	for _, ld := range in.Meta.Directions() {
		to := ld
		if i := slices.IndexFunc(renamings, func(r Renaming) bool { return r.From.Has(ld) }); i >= 0 {
			to = renamings[i].of(ld)
		}
		if first, twice := taken[to]; twice {
			faults = append(faults, fmt.Errorf("%v and %v would both be %v: choose another name", first, ld, to))
			continue
		}
		names[ld], taken[to] = to, ld
		k, ok := findLink(out.Meta.Links, to.Link)
		if !ok {
			out.Meta.Links = slices.Insert(out.Meta.Links, k, trace.Link{Name: to.Link})
		}
		l := &out.Meta.Links[k]
		l.Up, l.Down = l.Up || to.Dir == trace.Up, l.Down || to.Dir == trace.Down
		old, _ := findLink(in.Meta.Links, ld.Link)
		switch q := in.Meta.Links[old].Queue; {
		case l.Queue == nil:
			l.Queue = q
		case q != nil && *q != *l.Queue:
			faults = append(faults, fmt.Errorf("the directions of %s would come from links with different queues", to.Link))
		}
	}
	if faults != nil {
		return Tape{}, errors.Join(faults...)
	}
	out.Steps = coalesce(func(yield func(trace.Step, error) bool) {
		for group, err := range instants(in.Steps) {
			if err != nil {
				yield(trace.Step{}, err)
				return
			}
			for i := range group {
				to := names[group[i].LinkDir()]
				group[i].Link, group[i].Dir = to.Link, to.Dir
			}
			slices.SortFunc(group, trace.Compare)
			for _, s := range group {
				if !yield(s, nil) {
					return
				}
			}
		}
	})
	return out, nil
}

package edit

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"linktape/trace"
	"linktape/trace/weave"
)

// Merge plays the links of several timelines on one clock. A direction that two
// of them have is an error, as are two queues of one link. Timelines of different
// length are a [weave.LengthError] unless the policy says what to do.
func Merge(inputs []Tape, fit weave.Fit) (Tape, error) {
	if len(inputs) == 0 {
		return Tape{}, errors.New("merge: nothing to merge")
	}
	if _, err := weave.ParseFit(string(fit)); err != nil {
		return Tape{}, err
	}
	var arguments []string
	if fit != weave.FitNone {
		arguments = []string{"fit " + string(fit)}
	}
	out := Tape{Meta: derive("merge", arguments, inputs...)}
	out.Meta.Links = nil
	var faults []error
	lengths := make([]weave.Length, len(inputs))
	from := make(map[trace.LinkDir]string)
	for i, in := range inputs {
		lengths[i] = weave.Length{Name: in.File, Duration: in.Meta.Duration}
		clash := ""
		for _, ld := range in.Meta.Directions() {
			if first, twice := from[ld]; twice && clash != ld.Link {
				clash = ld.Link
				faults = append(faults, fmt.Errorf("%s is in %s and in %s: rename one first (tracegen rename, %s=…)", ld.Link, first, in.File, ld.Link))
			}
			from[ld] = in.File
		}
		for _, l := range in.Meta.Links {
			k, ok := findLink(out.Meta.Links, l.Name)
			if !ok {
				out.Meta.Links = slices.Insert(out.Meta.Links, k, l)
				continue
			}
			o := &out.Meta.Links[k]
			if o.Queue == nil {
				o.Queue = l.Queue
			} else if l.Queue != nil && *l.Queue != *o.Queue && !(o.Up && l.Up || o.Down && l.Down) {
				faults = append(faults, fmt.Errorf("link %s has another queue in %s: rename one first (tracegen rename, %s=…)", l.Name, in.File, l.Name))
			}
			o.Up, o.Down = o.Up || l.Up, o.Down || l.Down
		}
	}
	if faults != nil {
		return Tape{}, errors.Join(faults...)
	}
	var err error
	if out.Meta.Duration, err = fit.Duration("tape", lengths); err != nil {
		return Tape{}, err
	}
	streams := make([]iter.Seq2[trace.Step, error], len(inputs))
	for i, in := range inputs {
		streams[i] = weave.Fill(in.Steps, in.Meta.Duration, out.Meta.Duration)
		if how := weave.Fitted(in.Meta.Duration, out.Meta.Duration); how != "" {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s: %s", in.File, how))
		}
	}
	out.Steps = weave.Steps(streams)
	return out, nil
}

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

// JoinOptions say how to lay directions on a common clock.
type JoinOptions struct {
	Overlap bool   // keep only the time that all of them have
	Gap     string // what holds where one has no sample: GapHold (also ""), GapZero or GapOutage
}

// Join lays directions that were recorded at the same time on a common clock,
// by the absolute times of their files. The common time is from the first
// beginning to the last end, or with opts.Overlap that which all have. Each
// result is as long as that; its choices say what was added or cut. A direction
// that meets no other one in time, a file without absolute times, and local
// times beside others are errors.
func Join(inputs []Input, opts JoinOptions) ([]Input, error) {
	if err := ParseGap(opts.Gap); err != nil {
		return nil, err
	}
	var faults []error
	locals := 0
	for _, in := range inputs {
		if in.Start.IsZero() {
			faults = append(faults, fmt.Errorf("join %s on time: %s (%s) holds no absolute times", in.LinkDir, in.File, in.Format))
		}
		if in.Local {
			locals++
		}
	}
	if locals > 0 && locals < len(inputs) {
		for _, in := range inputs {
			if in.Local {
				faults = append(faults, fmt.Errorf("join %s on time: the times of %s have no zone and those of others have one: give it with --zone", in.LinkDir, in.File))
			}
		}
	}
	if err := errors.Join(faults...); err != nil || len(inputs) == 0 {
		return nil, err
	}
	end := func(in Input) time.Time { return in.Start.Add(in.Duration) }
	for i, a := range inputs {
		alone := len(inputs) > 1
		for k, b := range inputs {
			if i != k && a.Start.Before(end(b)) && b.Start.Before(end(a)) {
				alone = false
			}
		}
		if alone {
			faults = append(faults, fmt.Errorf("join %s on time: %s, from %s to %s, was recorded when no other one was", a.LinkDir, a.File, clockOf(a.Start), clockOf(end(a))))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	from, to := inputs[0].Start, end(inputs[0])
	for _, in := range inputs[1:] {
		if in.Start.Before(from) != opts.Overlap && !in.Start.Equal(from) {
			from = in.Start
		}
		if end(in).After(to) != opts.Overlap && !end(in).Equal(to) {
			to = end(in)
		}
	}
	if !from.Before(to) {
		var names []string
		for _, in := range inputs {
			names = append(names, fmt.Sprintf("%s %s to %s", in.LinkDir, clockOf(in.Start), clockOf(end(in))))
		}
		return nil, fmt.Errorf("join on time: there is no time that all have: %s", strings.Join(names, ", "))
	}
	if to.Sub(from) > MaxDuration {
		return nil, fmt.Errorf("join on time: longer than %v", MaxDuration)
	}
	gap := opts.Gap
	if gap == "" {
		gap = GapHold
	}
	out := slices.Clone(inputs)
	for i, in := range inputs {
		res := *in.Result
		res.Choices = make(map[string]string, len(in.Choices)+1)
		for k, v := range in.Choices {
			res.Choices[k] = v
		}
		lead, tail := in.Start.Sub(from), to.Sub(end(in))
		text := fmt.Sprintf("on time, from %s to %s", clockOf(from), clockOf(to))
		for _, x := range []struct {
			d           time.Duration
			added, gone string
		}{{lead, "before the first sample", "at the beginning"}, {tail, "after the last sample", "at the end"}} {
			switch {
			case x.d > 0:
				text += fmt.Sprintf("; %v %s: %s", x.d, x.added, gap)
				res.Warnings = append(slices.Clone(res.Warnings), Warning{Text: fmt.Sprintf("%v %s are a gap: %s", x.d, x.added, gap)})
			case x.d < 0:
				text += fmt.Sprintf("; %v cut %s", -x.d, x.gone)
			}
		}
		res.Choices["join"] = text
		res.Duration = to.Sub(from)
		res.Start = from
		res.Steps = shifted(in.Steps, lead, in.Duration, res.Duration, gap)
		var served trace.Service
		last := trace.Step{}
		for s := range res.Steps {
			served.Add(last.Capacity(), s.At-last.At)
			last = s
		}
		served.Add(last.Capacity(), res.Duration-last.At)
		res.Bytes = served.Bytes()
		out[i].Result = &res
	}
	return out, nil
}

func clockOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999Z") }

// shifted moves steps of a duration by lead, which may be negative, into a
// timeline that ends at end; where there are none, gap says what holds.
func shifted(steps iter.Seq[trace.Step], lead, duration, end time.Duration, gap string) iter.Seq[trace.Step] {
	return func(yield func(trace.Step) bool) {
		var last trace.State
		any := false
		emit := func(at time.Duration, s trace.State) bool {
			if any && s == last {
				return true
			}
			any, last = true, s
			return yield(trace.Step{At: at, State: s})
		}
		fill := func(s trace.State) trace.State {
			switch gap {
			case GapZero:
				s.Rate = 0
			case GapOutage:
				s.Rate, s.Carrier, s.Label = 0, false, labelOutage
			}
			return s
		}
		var before trace.State // holds at 0 when steps before it were cut
		pending := lead < 0
		for s := range steps {
			at := s.At + lead
			if at >= end {
				break
			}
			if s.At == 0 && lead > 0 && !emit(0, fill(s.State)) {
				return
			}
			if at < 0 {
				before = s.State
				continue
			}
			if pending && at > 0 && !emit(0, before) {
				return
			}
			pending = false
			if !emit(at, s.State) {
				return
			}
		}
		if pending && !emit(0, before) {
			return
		}
		if after := lead + duration; after < end {
			emit(after, fill(last))
		}
	}
}

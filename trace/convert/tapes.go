package convert

import (
	"fmt"
	"time"

	"linktape/trace"
)

// tapeSteps walks the loops of a tape, verified by the checker of package
// trace, and calls write for each step. From the second loop on, steps at its
// beginning that change nothing are left out.
func tapeSteps(t Tape, opts ExportOptions, write func(s *trace.Step) error) (*Exported, error) {
	loops := max(opts.Loops, 1)
	meta := t.Meta
	switch {
	case opts.Loops < 0:
		return nil, fmt.Errorf("export: %d loops: at least one", opts.Loops)
	case meta.Duration <= 0:
		return nil, fmt.Errorf("export: the tape has no duration")
	case meta.Duration > MaxDuration/time.Duration(loops):
		return nil, fmt.Errorf("export: %d loops of %v are longer than %v", loops, meta.Duration, MaxDuration)
	}
	meta.Duration *= time.Duration(loops)
	out := &Exported{Duration: meta.Duration}
	check, err := trace.NewChecker(meta)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	var served trace.Service
	spans := trace.NewSpanner(meta.Duration, func(s trace.Span) { served.Add(s.Capacity(), s.To-s.From) })
	var keep trace.Coalescer
	for i := range loops {
		for s, err := range t.Steps() {
			if err != nil {
				return nil, err
			}
			changes := keep.Keep(&s)
			if i > 0 && s.At == 0 && !changes {
				continue
			}
			s.At += t.Meta.Duration * time.Duration(i)
			check.Step(&s)
			spans.Step(&s)
			if err := write(&s); err != nil {
				return nil, fmt.Errorf("export: %w", err)
			}
			out.Lines++
			if opts.Progress != nil && out.Lines&0xfff == 0 {
				opts.Progress(float64(s.At) / float64(meta.Duration))
			}
		}
	}
	if err := check.Finish(); err != nil {
		return nil, fmt.Errorf("export: the tape has faults:\n%w", err)
	}
	spans.Finish()
	out.Bytes = served.Bytes()
	return out, nil
}

// tapeTrack collects the steps of one direction of a tape that is read back.
type tapeTrack struct {
	track
	n int64
}

// add takes the next step of the direction; out of order, it says so.
func (t *tapeTrack) add(s trace.Step) error {
	if t.n == 0 && s.At != 0 {
		return fmt.Errorf("the first step of %s is at %v, not at 0", s.LinkDir(), s.At)
	}
	if t.n > 0 && s.At <= t.end {
		return fmt.Errorf("the step of %s at %v follows one at %v: steps must be in order", s.LinkDir(), s.At, t.end)
	}
	t.n++
	t.end = s.At // the latest step, until the duration is known
	if k := len(t.rates) - 1; k < 0 || t.rates[k].rate != s.Rate {
		t.rates = append(t.rates, sample{s.At, s.Rate})
	}
	t.rest(s.At, s.State)
	return nil
}

// result makes the result of the track as a whole tape of this duration.
func (t *tapeTrack) result(name string, duration time.Duration, opts ImportOptions) (*Result, error) {
	res := &Result{
		Lines: t.n, HasRate: opts.wants(RoleRate), HasDelay: opts.wants(RoleDelay), HasLoss: opts.wants(RoleLoss), Gap: opts.Gap,
		Choices: map[string]string{"interval": "steps of a tape", "step": "as in the file"},
	}
	t.end = duration
	if opts.Role != RoleAll {
		t.only(opts)
	}
	if opts.Step > 0 {
		res.Choices["step"] = opts.Step.String()
		t.capacity()
	}
	if err := t.finish(res, opts, opts.Step); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var served trace.Service // without carrier nothing
	var last trace.Step
	for s := range res.Steps {
		served.Add(last.Capacity(), s.At-last.At)
		last = s
	}
	served.Add(last.Capacity(), duration-last.At)
	res.Bytes = served.Bytes()
	return res, nil
}

// only keeps the part of the states that a role asks for, with carrier and
// label; the rest is as the options say.
func (t *tapeTrack) only(opts ImportOptions) {
	rests := t.rests
	t.rests = nil
	for _, r := range rests {
		s := opts.state()
		s.Carrier, s.Label = r.state.Carrier, r.state.Label
		switch opts.Role {
		case RoleDelay:
			s.Delay, s.Jitter = r.state.Delay, r.state.Jitter
		case RoleLoss:
			s.Loss, s.GE = r.state.Loss, r.state.GE
		}
		t.rest(r.at, s)
	}
	if opts.Role != RoleRate {
		t.rates = []sample{{0, 0}}
	}
}

// capacity sets the rates to 0 where there is no carrier: in bins, what is
// served counts.
func (t *tapeTrack) capacity() {
	var out []sample
	i, k := 0, 0
	for at := time.Duration(0); at < t.end; {
		for i+1 < len(t.rates) && t.rates[i+1].at <= at {
			i++
		}
		for k+1 < len(t.rests) && t.rests[k+1].at <= at {
			k++
		}
		rate := t.rates[i].rate
		if !t.rests[k].state.Carrier {
			rate = 0
		}
		if n := len(out) - 1; n < 0 || out[n].rate != rate {
			out = append(out, sample{at, rate})
		}
		next := t.end
		if i+1 < len(t.rates) {
			next = min(next, t.rates[i+1].at)
		}
		if k+1 < len(t.rests) {
			next = min(next, t.rests[k+1].at)
		}
		at = next
	}
	t.rates = out
}

package convert

import (
	"fmt"
	"iter"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// restAt is a state without its rate, from an instant on.
type restAt struct {
	at    time.Duration
	state trace.State
}

// track is an imported direction before its steps are made: rates and the rest
// of the state change apart from each other. Both begin at 0.
type track struct {
	rates []sample
	rests []restAt
	end   time.Duration
}

// rest adds the rest of a state from an instant on, where it differs.
func (t *track) rest(at time.Duration, s trace.State) {
	s.Rate = 0
	if k := len(t.rests) - 1; k >= 0 {
		if t.rests[k].state == s {
			return
		}
		if t.rests[k].at == at {
			t.rests[k].state = s
			return
		}
	}
	t.rests = append(t.rests, restAt{at, s})
}

// finish scales, clips and bins the track as the options ask and makes the
// result's steps, duration and bytes.
func (t *track) finish(res *Result, opts ImportOptions, step time.Duration) error {
	rates, clipped, err := transform(t.rates, t.end, opts.Scale, opts.Clip)
	if err != nil {
		return err
	}
	opts.noteTransform(res, clipped)
	res.Duration = t.end
	var total trace.Service
	for i, s := range rates {
		total.Add(s.rate, spanEnd(rates, i, t.end)-s.at)
	}
	res.Bytes = total.Bytes()
	if res.HasRate && total.IsZero() {
		res.warn(0, "the trace has no capacity at all")
	}
	rests, end := t.rests, t.end
	if step == 0 {
		res.Steps = zipSteps(
			func(yield func(time.Duration, trace.BitRate) bool) {
				for _, s := range rates {
					if !yield(s.at, s.rate) {
						return
					}
				}
			},
			func(yield func(time.Duration, trace.State) bool) {
				for _, r := range rests {
					if !yield(r.at, r.state) {
						return
					}
				}
			})
		return nil
	}
	if err := resample(rates, end, step, func(time.Duration, trace.BitRate) bool { return true }); err != nil {
		return err
	}
	res.Steps = zipSteps(
		func(yield func(time.Duration, trace.BitRate) bool) {
			_ = resample(rates, end, step, yield) // checked above
		},
		func(yield func(time.Duration, trace.State) bool) { binRests(rests, end, step, yield) })
	return nil
}

// noteTransform writes what was done to the rates into a result.
func (o ImportOptions) noteTransform(res *Result, clipped int64) {
	if !o.Scale.IsOne() {
		res.Choices["scale"] = o.Scale.String()
	}
	if o.Clip != nil {
		res.Choices["clip"] = o.Clip.String()
		if clipped > 0 {
			res.warn(0, "%d rates were clipped to %v", clipped, *o.Clip)
		}
	}
}

// warn adds a warning.
func (r *Result) warn(line int64, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{line, fmt.Sprintf(format, args...)})
}

// zipSteps joins rates and the rest of the states, which both begin at 0, into
// steps; equal neighbours are joined.
func zipSteps(rates func(yield func(time.Duration, trace.BitRate) bool), rests func(yield func(time.Duration, trace.State) bool)) iter.Seq[trace.Step] {
	return func(yield func(trace.Step) bool) {
		next, stop := iter.Pull2(iter.Seq2[time.Duration, trace.State](rests))
		defer stop()
		var last, now trace.State
		any := false
		emit := func(at time.Duration) bool {
			if any && now == last {
				return true
			}
			any, last = true, now
			return yield(trace.Step{At: at, State: now})
		}
		restAt, rest, more := next()
		// until brings the rest forward to all its changes before an instant.
		until := func(t time.Duration) bool {
			for more && restAt < t {
				rate := now.Rate
				at := restAt
				now = rest
				now.Rate = rate
				restAt, rest, more = next()
				if !emit(at) {
					return false
				}
			}
			return true
		}
		going := true
		rates(func(at time.Duration, r trace.BitRate) bool {
			if going = until(at); !going {
				return false
			}
			if more && restAt == at {
				now = rest
				restAt, rest, more = next()
			}
			now.Rate = r
			going = emit(at)
			return going
		})
		if going {
			until(1<<63 - 1)
		}
	}
}

// constant is the rest of a state that never changes.
func constant(s trace.State) func(yield func(time.Duration, trace.State) bool) {
	s.Rate = 0
	return func(yield func(time.Duration, trace.State) bool) { yield(0, s) }
}

// rateSteps makes the steps of rates in a state, with equal neighbours joined.
func rateSteps(st trace.State, rates func(yield func(at time.Duration, r trace.BitRate) bool)) iter.Seq[trace.Step] {
	return zipSteps(rates, constant(st))
}

// binRests yields the rest of the state for each bin where it changes. In a bin
// with several, delay, jitter and loss are their means over time; all else is
// of the one that holds longest, the first of equals. A chain is not averaged:
// where the longest has one, it counts. There is carrier in a bin where there
// is any.
func binRests(rests []restAt, end, step time.Duration, yield func(time.Duration, trace.State) bool) {
	till := func(i int) time.Duration {
		if i+1 < len(rests) {
			return rests[i+1].at
		}
		return end
	}
	i := 0 // the state that holds at from, a bin's beginning
	for from := time.Duration(0); from < end; {
		if whole := (till(i) - from) / step; whole > 0 || till(i) == end {
			if !yield(from, rests[i].state) || till(i) == end {
				return
			}
			from += whole * step
		} else {
			to := end
			if step < end-from {
				to = from + step
			}
			var m meanState
			for k := i; k < len(rests) && rests[k].at < to; k++ {
				m.add(rests[k].state, min(till(k), to)-max(rests[k].at, from))
				i = k
			}
			if !yield(from, m.state()) {
				return
			}
			from = to
		}
		if till(i) == from {
			i++
		}
	}
}

// meanState is the mean of states over time.
type meanState struct {
	delay, jitter fill.Amount
	loss          float64
	total         time.Duration
	long          trace.State
	longest       time.Duration
	carrier       bool
}

func (m *meanState) add(s trace.State, d time.Duration) {
	m.delay = m.delay.Add(fill.Mul(uint64(s.Delay), uint64(d)))
	m.jitter = m.jitter.Add(fill.Mul(uint64(s.Jitter), uint64(d)))
	m.loss += float64(s.MeanLoss() * float64(d))
	m.total += d
	m.carrier = m.carrier || s.Carrier
	if d > m.longest {
		m.long, m.longest = s, d
	}
}

func (m *meanState) state() trace.State {
	mean := func(sum fill.Amount) time.Duration {
		q, _, _ := sum.Add(fill.Mul(uint64(m.total)/2, 1)).Div(uint64(m.total))
		return time.Duration(q)
	}
	s := m.long
	s.Delay, s.Jitter, s.Carrier = mean(m.delay), mean(m.jitter), m.carrier
	if !s.GE.Enabled() {
		s.Loss = trace.Prob(min(m.loss/float64(m.total), 1))
	}
	return s
}

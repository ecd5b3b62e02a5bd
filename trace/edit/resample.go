package edit

import (
	"fmt"
	"slices"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// Resample gives a timeline of bins of one length, the last one shorter where the
// length does not divide the duration.
//
// The whole bytes of each direction's capacity are exact over the timeline, by
// [fill.Binner]; a bin's rate is the mean of its capacity, and the last one is
// lower by what the timeline serves beyond whole bytes. Delay, jitter and the
// probabilities are means over time, a chain counting by its stationary loss.
// Chain and label are the pair that holds longest in the bin, the first one of
// equals; with a chain there is no other loss. A bin is without carrier where all
// of it is.
//
// The steps are read twice.
func Resample(in Tape, step time.Duration) (Tape, error) {
	if step <= 0 {
		return Tape{}, fmt.Errorf("resample: step %v: write a duration above 0, such as 100ms", step)
	}
	out := Tape{Meta: derive("resample", []string{fmt.Sprintf("step %v", step)}, in)}
	duration := in.Meta.Duration
	out.Steps = coalesce(func(yield func(trace.Step, error) bool) {
		totals, err := capacities(in)
		if err != nil {
			yield(trace.Step{}, err)
			return
		}
		var dirs []*binned
		byDir := make(map[trace.LinkDir]*binned)
		for _, ld := range in.Meta.Directions() {
			b := newBinned(ld, step, totals[ld])
			dirs = append(dirs, b)
			byDir[ld] = b
		}
		// advance brings all directions to an instant, and yields what is complete
		// by then.
		advance := func(t time.Duration, end bool) bool {
			var steps []trace.Step
			for _, b := range dirs {
				err := b.to(t)
				if err == nil && end {
					err = b.finish()
				}
				if err != nil {
					yield(trace.Step{}, fmt.Errorf("resample %v: %w", b.LinkDir, err))
					return false
				}
				steps = append(steps, b.take()...)
			}
			slices.SortStableFunc(steps, trace.Compare)
			for _, s := range steps {
				if !yield(s, nil) {
					return false
				}
			}
			return true
		}
		bin := time.Duration(0)
		for group, err := range instants(in.Steps) {
			if err != nil {
				yield(trace.Step{}, err)
				return
			}
			t := group[0].At
			if b := t - t%step; b > bin {
				if bin = b; !advance(b, false) {
					return
				}
			}
			for _, s := range group {
				b := byDir[s.LinkDir()]
				if b == nil {
					yield(s, fmt.Errorf("%v at %v: not among the timeline's links", s.LinkDir(), s.At))
					return
				}
				if err := b.to(t); err != nil {
					yield(s, fmt.Errorf("resample %v: %w", b.LinkDir, err))
					return
				}
				b.state = s.State
			}
		}
		advance(duration, true)
	})
	return out, nil
}

// capacities sums the capacity of each direction.
func capacities(in Tape) (map[trace.LinkDir]fill.Amount, error) {
	totals := make(map[trace.LinkDir]fill.Amount)
	spans := trace.NewSpanner(in.Meta.Duration, func(s trace.Span) {
		totals[s.LinkDir] = totals[s.LinkDir].Add(fill.Mul(uint64(s.Capacity()), uint64(s.To-s.From)))
	})
	for s, err := range in.Steps {
		if err != nil {
			return nil, err
		}
		spans.Step(&s)
	}
	spans.Finish()
	return totals, nil
}

// binned is a direction whose spans become bins.
type binned struct {
	trace.LinkDir
	step  time.Duration
	bins  *fill.Binner
	state trace.State   // from at on
	at    time.Duration // the end of the spans so far

	bin   binMean       // the bin that at is in
	rates []trace.Step  // complete bins: their rates
	rest  []trace.Step  // and the rest of their states
	rate  trace.BitRate // the last one of them
	last  trace.State   // and the last rest
}

func newBinned(ld trace.LinkDir, step time.Duration, total fill.Amount) *binned {
	b := &binned{LinkDir: ld, step: step}
	b.bins = fill.NewBinner(step, total, func(at time.Duration, r trace.BitRate) bool {
		b.rates = append(b.rates, trace.Step{At: at, State: trace.State{Rate: r}})
		return true
	})
	return b
}

// to adds the state up to an instant.
func (b *binned) to(t time.Duration) error {
	if t <= b.at {
		return nil
	}
	if _, err := b.bins.Span(b.state.Capacity(), t); err != nil {
		return err
	}
	// The bin that the span begins in.
	if start := b.at - b.at%b.step; start < b.at {
		part := min(t-b.at, b.step-(b.at-start))
		b.bin.add(&b.state, part)
		b.at += part
		if b.at-start == b.step {
			b.complete(start)
		}
	}
	// The whole bins in it.
	if n := (t - b.at) / b.step; n > 0 {
		b.rest = append(b.rest, trace.Step{At: b.at, State: b.state})
		b.at += n * b.step
	}
	if t > b.at {
		b.bin.add(&b.state, t-b.at)
		b.at = t
	}
	return nil
}

// finish ends the last bin.
func (b *binned) finish() error {
	if b.bin.length > 0 {
		b.complete(b.at - b.at%b.step)
	}
	_, err := b.bins.Finish()
	return err
}

func (b *binned) complete(start time.Duration) {
	b.rest = append(b.rest, trace.Step{At: start, State: b.bin.state()})
	b.bin = binMean{}
}

// take returns the steps of the complete bins: at each instant the rate and the
// rest that hold there.
func (b *binned) take() []trace.Step {
	var out []trace.Step
	rates, rest := b.rates, b.rest
	for len(rates) > 0 || len(rest) > 0 {
		at := Forever
		if len(rates) > 0 {
			at = rates[0].At
		}
		if len(rest) > 0 {
			at = min(at, rest[0].At)
		}
		if len(rates) > 0 && rates[0].At == at {
			b.rate, rates = rates[0].Rate, rates[1:]
		}
		if len(rest) > 0 && rest[0].At == at {
			b.last, rest = rest[0].State, rest[1:]
		}
		s := b.last
		if s.Carrier {
			s.Rate = b.rate // without carrier the state's own rate stays: it serves nothing
		}
		out = append(out, trace.Step{At: at, Link: b.Link, Dir: b.Dir, State: s})
	}
	b.rates, b.rest = b.rates[:0], b.rest[:0]
	return out
}

// binMean collects the states of one bin.
type binMean struct {
	length              time.Duration
	rate, delay, jitter fill.Amount
	carrier             bool
	probs               [4]probMean // loss, duplicate, corrupt, reorder
	kinds               []binKind   // in the order of their first state
}

type binKind struct {
	ge    trace.GE
	label string
	held  time.Duration
}

func (m *binMean) add(s *trace.State, d time.Duration) {
	m.length += d
	m.rate = m.rate.Add(fill.Mul(uint64(s.Rate), uint64(d)))
	m.delay = m.delay.Add(fill.Mul(uint64(s.Delay), uint64(d)))
	m.jitter = m.jitter.Add(fill.Mul(uint64(s.Jitter), uint64(d)))
	m.carrier = m.carrier || s.Carrier
	loss := float64(s.Loss)
	if s.GE.Enabled() {
		loss = chainLoss(s.GE)
	}
	for i, p := range [...]float64{loss, float64(s.Duplicate), float64(s.Corrupt), float64(s.Reorder)} {
		m.probs[i].add(p, d)
	}
	i := slices.IndexFunc(m.kinds, func(k binKind) bool { return k.ge == s.GE && k.label == s.Label })
	if i < 0 {
		i = len(m.kinds)
		m.kinds = append(m.kinds, binKind{ge: s.GE, label: s.Label})
	}
	m.kinds[i].held += d
}

func (m *binMean) state() trace.State {
	longest := m.kinds[0]
	for _, k := range m.kinds[1:] {
		if k.held > longest.held {
			longest = k
		}
	}
	s := trace.State{
		Rate:      trace.BitRate(m.mean(m.rate)),
		Delay:     time.Duration(m.mean(m.delay)),
		Jitter:    time.Duration(m.mean(m.jitter)),
		Duplicate: m.probs[1].mean(m.length),
		Corrupt:   m.probs[2].mean(m.length),
		Reorder:   m.probs[3].mean(m.length),
		Carrier:   m.carrier,
		GE:        longest.ge,
		Label:     longest.label,
	}
	if !s.GE.Enabled() {
		s.Loss = m.probs[0].mean(m.length)
	}
	return s
}

// mean returns the mean of a sum over the bin, rounded to the nearest integer.
func (m *binMean) mean(sum fill.Amount) uint64 {
	q, rem, _ := sum.Div(uint64(m.length))
	if rem >= uint64(m.length)-rem {
		q++
	}
	return q
}

// probMean is the mean of a probability over time. Where it stays the same, so
// does its last bit.
type probMean struct {
	first   float64
	sum     float64 // value × ns
	started bool
	varies  bool
}

func (m *probMean) add(p float64, d time.Duration) {
	if !m.started {
		m.first, m.started = p, true
	}
	m.varies = m.varies || p != m.first
	m.sum += float64(p * float64(d))
}

func (m *probMean) mean(length time.Duration) trace.Prob {
	if !m.varies {
		return trace.Prob(m.first)
	}
	return trace.Prob(min(m.sum/float64(length), 1))
}

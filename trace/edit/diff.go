package edit

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
)

// DiffOptions say what counts as a difference; the zero value, everything.
type DiffOptions struct {
	// Tolerance is the share of the larger of two numbers by which they may
	// differ. Chains are compared number by number; carriers and labels are equal
	// or not.
	Tolerance float64
	Spans     int // how many spans are listed for a direction; 0 = 10
}

// Difference is what two timelines do not have in common.
type Difference struct {
	Same       bool                  `json:"same"`        // the conditions are, within the tolerance
	Duration   [2]time.Duration      `json:"duration_ns"` // of both
	Compared   time.Duration         `json:"compared_ns"` // the shorter one
	OnlyA      []string              `json:"only_a,omitempty"`
	OnlyB      []string              `json:"only_b,omitempty"`
	Directions []DirectionDifference `json:"directions"` // those that both have
	Metadata   []string              `json:"metadata,omitempty"`
}

// DirectionDifference says when a direction differs, and in what.
type DirectionDifference struct {
	Link       string          `json:"link"`
	Dir        string          `json:"dir"`
	Differs    time.Duration   `json:"differs_ns"` // in any quantity
	Share      float64         `json:"share"`      // of the time compared
	Quantities []QuantityShare `json:"quantities,omitempty"`
	Spans      []DiffSpan      `json:"spans,omitempty"`      // the first ones
	MoreSpans  int64           `json:"more_spans,omitempty"` // that are not listed
}

// QuantityShare is how long one quantity differs.
type QuantityShare struct {
	Quantity string        `json:"quantity"`
	Differs  time.Duration `json:"differs_ns"`
	Share    float64       `json:"share"`
}

// DiffSpan is a time in which the same quantities differ throughout.
type DiffSpan struct {
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
	Values []DiffValue   `json:"values"` // at its beginning
	Varies bool          `json:"varies"` // there are other values later in it
}

// DiffValue is a quantity with its two values.
type DiffValue struct {
	Quantity string `json:"quantity"`
	A        string `json:"a"`
	B        string `json:"b"`
}

// diffQuantities lists what is compared, in the order of reports.
func diffQuantities() []string {
	return append(Quantities()[:Duplicate:Duplicate], "chain", "duplicate", "corrupt", "reorder", "carrier", "label")
}

// Diff compares two timelines over the time that both have. Metadata differences
// (queues, seeds, where a tape comes from) do not make the conditions differ.
func Diff(a, b Tape, opts DiffOptions) (*Difference, error) {
	if !(opts.Tolerance >= 0 && opts.Tolerance <= 1) {
		return nil, fmt.Errorf("tolerance %v: outside 0 to 1", opts.Tolerance)
	}
	if opts.Spans <= 0 {
		opts.Spans = 10
	}
	d := &Difference{
		Duration: [2]time.Duration{a.Meta.Duration, b.Meta.Duration},
		Compared: min(a.Meta.Duration, b.Meta.Duration),
		Metadata: diffMeta(&a.Meta, &b.Meta),
	}
	d.OnlyA = missing(a.Meta.Directions(), b.Meta)
	d.OnlyB = missing(b.Meta.Directions(), a.Meta)
	byDir := make(map[trace.LinkDir]*differ)
	var list []*differ
	for _, ld := range a.Meta.Directions() {
		if !slices.Contains(b.Meta.Directions(), ld) {
			continue
		}
		x := &differ{opts: opts, total: d.Compared, held: make([]time.Duration, len(diffQuantities()))}
		x.out.Link, x.out.Dir = ld.Link, ld.Dir.String()
		byDir[ld] = x
		list = append(list, x)
	}
	nextA, stopA := iter.Pull2(instants(a.Steps))
	defer stopA()
	nextB, stopB := iter.Pull2(instants(b.Steps))
	defer stopB()
	groupA, errA, okA := nextA()
	groupB, errB, okB := nextB()
	for {
		if errA != nil {
			return nil, errA
		}
		if errB != nil {
			return nil, errB
		}
		at := d.Compared
		if okA {
			at = min(at, groupA[0].At)
		}
		if okB {
			at = min(at, groupB[0].At)
		}
		if at == d.Compared {
			break
		}
		for side, group := range [][]trace.Step{groupA, groupB} {
			if len(group) == 0 || group[0].At != at {
				continue
			}
			for _, s := range group {
				if x := byDir[s.LinkDir()]; x != nil {
					x.to(at)
					x.state[side] = s.State
				}
			}
		}
		if okA && groupA[0].At == at {
			groupA, errA, okA = nextA()
		}
		if okB && groupB[0].At == at {
			groupB, errB, okB = nextB()
		}
	}
	// The rest is read too, so that what it says of itself is verified.
	for ; okA && errA == nil; _, errA, okA = nextA() {
	}
	for ; okB && errB == nil; _, errB, okB = nextB() {
	}
	if errA != nil {
		return nil, errA
	}
	if errB != nil {
		return nil, errB
	}
	d.Same = d.Duration[0] == d.Duration[1] && len(d.OnlyA) == 0 && len(d.OnlyB) == 0
	d.Directions = []DirectionDifference{}
	for _, x := range list {
		x.finish()
		d.Same = d.Same && x.out.Differs == 0
		d.Directions = append(d.Directions, x.out)
	}
	return d, nil
}

// differ compares one direction.
type differ struct {
	opts  DiffOptions
	total time.Duration
	out   DirectionDifference
	at    time.Duration
	state [2]trace.State
	held  []time.Duration // by quantity
	open  *DiffSpan       // that ends at at
}

// to compares the states up to an instant.
func (x *differ) to(t time.Duration) {
	if t <= x.at {
		return
	}
	values := x.compare()
	if len(values) == 0 {
		x.close()
	} else {
		x.out.Differs += t - x.at
		for _, v := range values {
			x.held[slices.Index(diffQuantities(), v.Quantity)] += t - x.at
		}
		sameQuantity := func(a, b DiffValue) bool { return a.Quantity == b.Quantity }
		if x.open != nil && slices.EqualFunc(x.open.Values, values, sameQuantity) {
			x.open.To = t
			x.open.Varies = x.open.Varies || !slices.Equal(x.open.Values, values)
		} else {
			x.close()
			x.open = &DiffSpan{From: x.at, To: t, Values: values}
		}
	}
	x.at = t
}

func (x *differ) close() {
	switch {
	case x.open == nil:
	case len(x.out.Spans) < x.opts.Spans:
		x.out.Spans = append(x.out.Spans, *x.open)
	default:
		x.out.MoreSpans++
	}
	x.open = nil
}

func (x *differ) finish() {
	x.to(x.total)
	x.close()
	x.out.Share = float64(x.out.Differs) / float64(x.total)
	for i, name := range diffQuantities() {
		if x.held[i] > 0 {
			x.out.Quantities = append(x.out.Quantities, QuantityShare{name, x.held[i], float64(x.held[i]) / float64(x.total)})
		}
	}
}

// compare lists what differs between the two states.
func (x *differ) compare() []DiffValue {
	a, b := &x.state[0], &x.state[1]
	if *a == *b {
		return nil
	}
	var out []DiffValue
	add := func(same bool, quantity, a, b string) {
		if !same {
			out = append(out, DiffValue{quantity, a, b})
		}
	}
	near := func(a, b float64) bool {
		return a == b || math.Abs(a-b) <= float64(x.opts.Tolerance*max(math.Abs(a), math.Abs(b)))
	}
	prob := func(p trace.Prob) string { return strconv.FormatFloat(float64(p), 'g', -1, 64) }
	probs := func(quantity string, p, q trace.Prob) { add(near(float64(p), float64(q)), quantity, prob(p), prob(q)) }
	add(near(float64(a.Rate), float64(b.Rate)), "rate", a.Rate.String(), b.Rate.String())
	add(near(float64(a.Delay), float64(b.Delay)), "delay", a.Delay.String(), b.Delay.String())
	add(near(float64(a.Jitter), float64(b.Jitter)), "jitter", a.Jitter.String(), b.Jitter.String())
	probs("loss", a.Loss, b.Loss)
	chain := func(g trace.GE) string {
		if !g.Enabled() {
			return "none"
		}
		return strings.Join([]string{"p " + prob(g.P), "r " + prob(g.R), "bad " + prob(g.LossBad), "good " + prob(g.LossGood)}, " ")
	}
	add(a.GE.Enabled() == b.GE.Enabled() && near(float64(a.GE.P), float64(b.GE.P)) && near(float64(a.GE.R), float64(b.GE.R)) &&
		near(float64(a.GE.LossBad), float64(b.GE.LossBad)) && near(float64(a.GE.LossGood), float64(b.GE.LossGood)), "chain", chain(a.GE), chain(b.GE))
	probs("duplicate", a.Duplicate, b.Duplicate)
	probs("corrupt", a.Corrupt, b.Corrupt)
	probs("reorder", a.Reorder, b.Reorder)
	add(a.Carrier == b.Carrier, "carrier", carrier(a.Carrier), carrier(b.Carrier))
	add(a.Label == b.Label, "label", strconv.Quote(a.Label), strconv.Quote(b.Label))
	return out
}

func carrier(on bool) string {
	if on {
		return "up"
	}
	return "down"
}

// diffMeta says what differs in what two timelines say about themselves.
func diffMeta(a, b *trace.Meta) []string {
	var out []string
	add := func(what, a, b string) {
		if a != b {
			out = append(out, fmt.Sprintf("%s: %s and %s", what, a, b))
		}
	}
	present := func(s string) string {
		if s == "" {
			return "none"
		}
		return fmt.Sprintf("one of %d bytes", len(s))
	}
	for _, l := range a.Links {
		if i, ok := findLink(b.Links, l.Name); ok {
			add("queue of "+l.Name, queueText(l.Queue), queueText(b.Links[i].Queue))
		}
	}
	add("generator", strconv.Quote(a.Generator), strconv.Quote(b.Generator))
	add("seed", strconv.FormatUint(a.Seed, 10), strconv.FormatUint(b.Seed, 10))
	switch {
	case a.Scenario == b.Scenario:
	case present(a.Scenario) != present(b.Scenario):
		add("scenario", present(a.Scenario), present(b.Scenario))
	default:
		out = append(out, "scenario: two of one length")
	}
	add("imported files", sourceText(a.Sources), sourceText(b.Sources))
	add("edit", editText(a.Edit), editText(b.Edit))
	return out
}

func queueText(q *trace.Queue) string {
	switch {
	case q == nil:
		return "none"
	case q.LimitTime > 0:
		return fmt.Sprintf("%s %v", q.Kind, q.LimitTime)
	}
	return fmt.Sprintf("%s %d bytes", q.Kind, q.LimitBytes)
}

func sourceText(list []trace.Source) string {
	if len(list) == 0 {
		return "none"
	}
	var names []string
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s.%s=%s (%.12s)", s.Link, s.Dir, s.File, s.SHA256))
	}
	return strings.Join(names, ", ")
}

func editText(e *trace.Edit) string {
	if e == nil {
		return "none"
	}
	var names []string
	for _, o := range e.Inputs {
		names = append(names, fmt.Sprintf("%s (%.12s)", o.File, o.SHA256))
	}
	text := e.Operation
	if len(e.Arguments) > 0 {
		text += " (" + strings.Join(e.Arguments, "; ") + ")"
	}
	return text + " of " + strings.Join(names, ", ")
}

package edit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trace/edit"
	"linktape/trace/weave"
)

// random makes a valid timeline without steps that change nothing.
func random(r *rand.Rand) *trace.Timeline {
	t := &trace.Timeline{Meta: trace.Meta{Duration: time.Duration(1 + r.Int64N(20e9)), Generator: "test 1", Seed: r.Uint64()}}
	for _, name := range []string{"att", "sat", "verizon"} {
		l := trace.Link{Name: name, Up: r.IntN(4) > 0, Down: r.IntN(4) > 0}
		if r.IntN(2) == 0 {
			l.Queue = &trace.Queue{Kind: trace.DropTail, LimitBytes: 64000}
		}
		if l.Up || l.Down {
			t.Meta.Links = append(t.Meta.Links, l)
		}
	}
	if t.Meta.Links == nil {
		t.Meta.Links = []trace.Link{{Name: "att", Up: true}}
	}
	state := func() trace.State {
		s := trace.State{
			Rate: trace.BitRate(r.Int64N(30e6)), Delay: time.Duration(r.Int64N(1e8)), Jitter: time.Duration(r.Int64N(1e7)),
			Carrier: r.IntN(8) > 0, Label: []string{"", "good", "bad"}[r.IntN(3)],
		}
		switch r.IntN(3) {
		case 0:
			s.Loss = trace.Prob(r.Float64())
		case 1:
			s.GE = trace.GE{P: trace.Prob(r.Float64()), R: trace.Prob(r.Float64()), LossBad: 1}
		}
		if r.IntN(4) == 0 {
			s.Rate = 0
		}
		if r.IntN(4) == 0 {
			s.Duplicate, s.Corrupt, s.Reorder = trace.Prob(r.Float64()), trace.Prob(r.Float64()), trace.Prob(r.Float64())
		}
		return s
	}
	instants := []time.Duration{0}
	for range r.IntN(40) {
		instants = append(instants, time.Duration(r.Int64N(int64(t.Meta.Duration))))
	}
	slices.Sort(instants)
	for _, at := range slices.Compact(instants) {
		for _, ld := range t.Meta.Directions() {
			if at == 0 || r.IntN(2) == 0 {
				t.Steps = append(t.Steps, trace.Step{At: at, Link: ld.Link, Dir: ld.Dir, State: state()})
			}
		}
	}
	t.Steps = trace.Coalesce(t.Steps)
	return t
}

// result reads an edit's result, which must be a valid timeline without steps
// that change nothing, twice the same, and survive in a tape.
func result(t *testing.T, out edit.Tape, err error) *trace.Timeline {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	tl, err := out.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := tl.Check(); err != nil {
		t.Fatalf("%s: %v", tl.Meta.Edit.Operation, err)
	}
	if n := len(trace.Coalesce(slices.Clone(tl.Steps))); n != len(tl.Steps) {
		t.Errorf("%s: %d of %d steps change nothing", tl.Meta.Edit.Operation, len(tl.Steps)-n, len(tl.Steps))
	}
	if again, err := out.Timeline(); err != nil || !cmp.Equal(again, tl) {
		t.Errorf("%s: another result at the second time (%v)", tl.Meta.Edit.Operation, err)
	}
	if tl.Meta.Generator != edit.Generator {
		t.Errorf("generator %q", tl.Meta.Generator)
	}
	return tl
}

// sameConditions compares all but where timelines come from.
func sameConditions(t *testing.T, got, want *trace.Timeline) {
	t.Helper()
	if d := cmp.Diff(want.Meta.Links, got.Meta.Links); d != "" {
		t.Errorf("links (-want +got):\n%s", d)
	}
	if got.Meta.Duration != want.Meta.Duration {
		t.Errorf("lasts %v, want %v", got.Meta.Duration, want.Meta.Duration)
	}
	if d := cmp.Diff(want.Steps, got.Steps); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	if got.Meta.Seed != want.Meta.Seed {
		t.Errorf("seed %d, want %d", got.Meta.Seed, want.Meta.Seed)
	}
}

// each runs a test on random timelines.
func each(t *testing.T, f func(t *testing.T, r *rand.Rand, tl *trace.Timeline)) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		tl := random(r)
		if err := tl.Check(); err != nil {
			t.Fatalf("seed %d: the test's own timeline: %v", seed, err)
		}
		f(t, r, tl)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestCutAndConcat(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		if tl.Meta.Duration < 3 {
			return
		}
		a := 1 + time.Duration(r.Int64N(int64(tl.Meta.Duration)-2))
		b := a + 1 + time.Duration(r.Int64N(int64(tl.Meta.Duration-a-1)))
		if r.IntN(2) == 0 { // at a step
			if at := tl.Steps[r.IntN(len(tl.Steps))].At; at > 0 && at < b {
				a = at
			}
		}
		var parts []edit.Tape
		in := edit.Memory("in.tape", tl)
		for _, p := range [][2]time.Duration{{0, a}, {a, b}, {b, tl.Meta.Duration}} {
			out, err := edit.Cut(in, p[0], p[1])
			parts = append(parts, edit.Memory("part.tape", result(t, out, err)))
		}
		out, err := edit.Concat(parts, edit.AbsentRefuse)
		sameConditions(t, result(t, out, err), tl)
	})
}

func TestSelectAndMerge(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		in := edit.Memory("in.tape", tl)
		var parts []edit.Tape
		for _, ld := range tl.Meta.Directions() {
			out, err := edit.Select(in, []edit.Target{{Link: ld.Link, Up: ld.Dir == trace.Up, Down: ld.Dir == trace.Down}})
			parts = append(parts, edit.Memory("part.tape", result(t, out, err)))
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		out, err := edit.Merge(parts, weave.FitNone)
		sameConditions(t, result(t, out, err), tl)
	})
}

func TestRenameAndBack(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		var there, back []edit.Renaming
		for i, l := range tl.Meta.Links {
			to := edit.Target{Link: fmt.Sprintf("x%d", len(tl.Meta.Links)-i), Up: true, Down: true}
			from := edit.Target{Link: l.Name, Up: true, Down: true}
			there, back = append(there, edit.Renaming{From: from, To: to}), append(back, edit.Renaming{From: to, To: from})
		}
		out, err := edit.Rename(edit.Memory("in.tape", tl), there)
		out, err = edit.Rename(edit.Memory("x.tape", result(t, out, err)), back)
		sameConditions(t, result(t, out, err), tl)
	})
}

func bytesOf(tl *trace.Timeline) map[trace.LinkDir]int64 {
	sums := make(map[trace.LinkDir]trace.Service)
	spans := trace.NewSpanner(tl.Meta.Duration, func(s trace.Span) {
		sum := sums[s.LinkDir]
		sum.Add(s.Capacity(), s.To-s.From)
		sums[s.LinkDir] = sum
	})
	for i := range tl.Steps {
		spans.Step(&tl.Steps[i])
	}
	spans.Finish()
	out := make(map[trace.LinkDir]int64)
	for ld, s := range sums {
		out[ld] = s.Bytes()
	}
	return out
}

func TestResampleBytes(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		step := []time.Duration{tl.Meta.Duration/7 + 1, time.Second, 100 * time.Millisecond, 10 * time.Millisecond, 9 * time.Second, 30 * time.Second, 777777}[r.IntN(7)]
		out, err := edit.Resample(edit.Memory("in.tape", tl), step)
		got := result(t, out, err)
		if d := cmp.Diff(bytesOf(tl), bytesOf(got)); d != "" {
			t.Errorf("bytes in steps of %v (-want +got):\n%s", step, d)
		}
		for _, s := range got.Steps {
			if s.At%step != 0 && step < 8*time.Second && s.At < got.Meta.Duration-step {
				t.Errorf("a step at %v, where bins are %v", s.At, step)
				break
			}
		}
		// Bins of bins are themselves.
		if step < 8*time.Second {
			again, err := edit.Resample(edit.Memory("r.tape", got), step)
			if d := cmp.Diff(bytesOf(got), bytesOf(result(t, again, err))); d != "" {
				t.Errorf("bytes the second time (-want +got):\n%s", d)
			}
		}
	})
}

func TestResample(t *testing.T) {
	const s = time.Second
	step := func(at time.Duration, st trace.State) trace.Step {
		return trace.Step{At: at, Link: "att", Dir: trace.Up, State: st}
	}
	on := func(rate trace.BitRate, st trace.State) trace.State {
		st.Rate, st.Carrier = rate, true
		return st
	}
	chain := trace.GE{P: 0.25, R: 0.25, LossBad: 1}
	tl := &trace.Timeline{
		Meta: trace.Meta{Duration: 11 * s, Links: []trace.Link{{Name: "att", Up: true}}},
		Steps: []trace.Step{
			step(0, on(4*trace.Mbit, trace.State{Delay: 10 * time.Millisecond, Loss: 0.1, Label: "a"})),
			step(s/2, on(2*trace.Mbit, trace.State{Delay: 20 * time.Millisecond, Loss: 0.3, Label: "b"})),
			step(5*s/2, trace.State{Rate: 8 * trace.Mbit, Label: "gone"}),
			step(4*s, on(16, trace.State{GE: chain, Jitter: 3, Label: "c"})),
			step(13*s/2, on(8*trace.Mbit, trace.State{Loss: 0.2, Label: "d"})),
		},
	}
	out, err := edit.Resample(edit.Memory("in.tape", tl), 2*s)
	got := result(t, out, err)
	want := []trace.Step{
		step(0, on(2500*trace.Kbit, trace.State{Delay: 17500 * time.Microsecond, Loss: 0.25, Label: "b"})),
		step(2*s, on(500*trace.Kbit, trace.State{Delay: 5 * time.Millisecond, Loss: 0.075, Label: "gone"})),
		step(4*s, on(16, trace.State{GE: chain, Jitter: 3, Label: "c"})),
		step(6*s, on(6000004, trace.State{Jitter: 1, Loss: 0.275, Label: "d"})),
		step(8*s, on(8*trace.Mbit, trace.State{Loss: 0.2, Label: "d"})),
	}
	for i := range got.Steps {
		if i < len(want) && got.Steps[i].Loss-want[i].Loss < 1e-12 && want[i].Loss-got.Steps[i].Loss < 1e-12 {
			got.Steps[i].Loss = want[i].Loss
		}
	}
	if d := cmp.Diff(want, got.Steps); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// A bin without any carrier keeps the rate that it would have.
	out, err = edit.Resample(edit.Memory("in.tape", tl), s/2)
	got = result(t, out, err)
	if i := slices.IndexFunc(got.Steps, func(s trace.Step) bool { return !s.Carrier }); i < 0 || got.Steps[i] != tl.Steps[2] {
		t.Errorf("got %+v", got.Steps)
	}
	sameConditions(t, got, tl)
}

func TestScaleBack(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		in := edit.Memory("in.tape", tl)
		same, err := edit.Scale(in, edit.NewFactors(map[edit.Quantity]float64{edit.Rate: 1, edit.Delay: 1, edit.Loss: 1}), nil)
		sameConditions(t, result(t, same, err), tl)
		only := []edit.Target{{Link: tl.Meta.Links[0].Name, Up: tl.Meta.Links[0].Up, Down: tl.Meta.Links[0].Down}}
		out, err := edit.Scale(in, edit.NewFactors(map[edit.Quantity]float64{edit.Rate: 2, edit.Delay: 0.5, edit.Loss: 0.5}), only)
		got := result(t, out, err)
		d, err := edit.Diff(in, edit.Memory("out.tape", got), edit.DiffOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range d.Directions {
			if x.Link != only[0].Link && x.Differs > 0 {
				t.Errorf("%s.%s differs", x.Link, x.Dir)
			}
		}
		back, err := edit.Scale(edit.Memory("out.tape", got), edit.NewFactors(map[edit.Quantity]float64{edit.Rate: 0.5}), only)
		for _, s := range result(t, back, err).Steps {
			if i, ok := slices.BinarySearchFunc(tl.Steps, s, trace.Compare); ok && tl.Steps[i].Rate != s.Rate {
				t.Errorf("rate %v, want %v", s.Rate, tl.Steps[i].Rate)
			}
		}
	})
}

// at returns the states at an instant.
func at(tl *trace.Timeline, t time.Duration) map[trace.LinkDir]trace.State {
	out := make(map[trace.LinkDir]trace.State)
	for _, s := range tl.Steps {
		if s.At > t {
			break
		}
		out[s.LinkDir()] = s.State
	}
	return out
}

// checkOverlay compares an overlay with the events applied to each instant by
// itself.
func checkOverlay(t *testing.T, tl, got *trace.Timeline, events []edit.Event) {
	t.Helper()
	instants := []time.Duration{0, tl.Meta.Duration - 1}
	for _, s := range append(slices.Clone(tl.Steps), got.Steps...) {
		instants = append(instants, s.At, max(0, s.At-1))
	}
	for _, e := range events {
		instants = append(instants, e.At, min(e.End(), tl.Meta.Duration-1), max(0, min(e.End(), tl.Meta.Duration)-1))
	}
	slices.Sort(instants)
	for _, x := range slices.Compact(instants) {
		want := at(tl, x)
		for ld, s := range want {
			for _, e := range events {
				if e.Applies(ld) && x >= e.At && x < e.End() {
					e.Apply(ld.Dir, &s)
				}
			}
			want[ld] = s
		}
		if d := cmp.Diff(want, at(got, x)); d != "" {
			t.Fatalf("at %v (-want +got):\n%s", x, d)
		}
	}
}

func TestOverlay(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		var events []edit.Event
		for range 1 + r.IntN(5) {
			ld := tl.Meta.Directions()[r.IntN(len(tl.Meta.Directions()))]
			what := []string{"outage 1s", "outage 300ms, mode stall", "rate x0.5", "delay +80ms, for 2s", "loss x0.5, label y, for 1s", "handover 50ms", "loss 3%, for 1ns", "label x"}[r.IntN(8)]
			at := time.Duration(r.Int64N(int64(tl.Meta.Duration)))
			if r.IntN(3) == 0 {
				at = tl.Steps[r.IntN(len(tl.Steps))].At
			}
			e, err := edit.ParseEvent(fmt.Sprintf("at %v, link %s, %s", at, []string{ld.String(), ld.Link, "all"}[r.IntN(3)], what))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		out, err := edit.Overlay(edit.Memory("in.tape", tl), events)
		checkOverlay(t, tl, result(t, out, err), events)
	})
}

// FuzzOverlay lays any event over any timeline.
func FuzzOverlay(f *testing.F) {
	f.Add(uint64(1), "link all, at 1s, outage 1s", "link att, at 0, rate x2")
	f.Add(uint64(2), "link att.up, at 1ns, handover 3s", "link all.down, at 2s, loss x3, for 1s")
	f.Fuzz(func(t *testing.T, seed uint64, first, second string) {
		tl := random(rand.New(rand.NewPCG(seed, 2)))
		var events []edit.Event
		for _, text := range []string{first, second} {
			if e, err := edit.ParseEvent(text); err == nil {
				events = append(events, e)
			}
		}
		out, err := edit.Overlay(edit.Memory("in.tape", tl), events)
		if err != nil {
			return
		}
		checkOverlay(t, tl, result(t, out, err), events)
	})
}

func TestDiff(t *testing.T) {
	each(t, func(t *testing.T, r *rand.Rand, tl *trace.Timeline) {
		in := edit.Memory("in.tape", tl)
		d, err := edit.Diff(in, in, edit.DiffOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !d.Same || d.Metadata != nil {
			t.Errorf("a timeline differs from itself: %+v", d)
		}
		// More steps, the same conditions.
		more := *tl
		more.Steps = slices.Clone(tl.Steps)
		for ld, s := range at(tl, tl.Meta.Duration-1) {
			if last := tl.Steps[len(tl.Steps)-1].At; last < tl.Meta.Duration-1 {
				more.Steps = append(more.Steps, trace.Step{At: tl.Meta.Duration - 1, Link: ld.Link, Dir: ld.Dir, State: s})
			}
		}
		slices.SortFunc(more.Steps, trace.Compare)
		if d, err := edit.Diff(in, edit.Memory("more.tape", &more), edit.DiffOptions{}); err != nil || !d.Same {
			t.Errorf("steps that change nothing count: %+v, %v", d, err)
		}
		// An event differs exactly while it holds.
		from := time.Duration(r.Int64N(int64(tl.Meta.Duration)))
		e, err := edit.ParseEvent(fmt.Sprintf("at %v, link all, label elsewhere, for 1s", from))
		if err != nil {
			t.Fatal(err)
		}
		out, err := edit.Overlay(in, []edit.Event{e})
		got := edit.Memory("out.tape", result(t, out, err))
		d, err = edit.Diff(in, got, edit.DiffOptions{})
		if err != nil {
			t.Fatal(err)
		}
		length := min(e.End(), tl.Meta.Duration) - from
		for _, x := range d.Directions {
			if x.Differs != length || len(x.Spans) != 1 || x.Spans[0].From != from || len(x.Quantities) != 1 || x.Quantities[0].Quantity != "label" {
				t.Errorf("%+v, want a difference of %v from %v", x, length, from)
			}
		}
	})
}

func TestDiffTolerance(t *testing.T) {
	one := func(rate trace.BitRate, loss trace.Prob) edit.Tape {
		return edit.Memory("x.tape", &trace.Timeline{
			Meta:  trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "att", Up: true}}},
			Steps: []trace.Step{{Link: "att", Dir: trace.Up, State: trace.State{Rate: rate, Loss: loss, Carrier: true}}},
		})
	}
	for _, c := range []struct {
		a, b      edit.Tape
		tolerance float64
		same      bool
	}{
		{one(100, 0), one(101, 0), 0, false},
		{one(99, 0), one(100, 0), 0.01, true},
		{one(98, 0), one(100, 0), 0.01, false},
		{one(0, 0), one(100, 0), 0.99, false},
		{one(0, 0), one(100, 0), 1, true},
		{one(100, 0.099), one(100, 0.1), 0.02, true},
		{one(100, 0.09), one(100, 0.1), 0.02, false},
	} {
		d, err := edit.Diff(c.a, c.b, edit.DiffOptions{Tolerance: c.tolerance})
		if err != nil {
			t.Fatal(err)
		}
		if d.Same != c.same {
			t.Errorf("tolerance %v: same %v, want %v: %+v", c.tolerance, d.Same, c.same, d.Directions)
		}
	}
	if _, err := edit.Diff(one(1, 0), one(1, 0), edit.DiffOptions{Tolerance: 2}); err == nil {
		t.Error("a tolerance of 2 is accepted")
	}
}

func TestMergeLoops(t *testing.T) {
	tape := func(name string, duration time.Duration) edit.Tape {
		return edit.Memory(name+".tape", &trace.Timeline{
			Meta: trace.Meta{Duration: duration, Links: []trace.Link{{Name: name, Up: true}}},
			Steps: []trace.Step{
				{Link: name, Dir: trace.Up, State: trace.State{Rate: 1, Carrier: true}},
				{At: 1, Link: name, Dir: trace.Up, State: trace.State{Rate: 2, Carrier: true}},
			},
		})
	}
	for _, c := range []struct {
		fit  weave.Fit
		want string
	}{
		{weave.FitNone, "the tapes differ in length: a.tape 2ns, b.tape 5ns; choose --fit shortest (cut all at the shortest) or --fit loop (repeat the shorter ones up to the longest)"},
		{weave.FitShortest, "0a1 0b1 1a2 1b2 | b.tape: cut from 5ns to 2ns"},
		{weave.FitLoop, "0a1 0b1 1a2 1b2 2a1 3a2 4a1 | a.tape: looped from 2ns to 5ns"},
	} {
		out, err := edit.Merge([]edit.Tape{tape("a", 2), tape("b", 5)}, c.fit)
		if err != nil {
			if err.Error() != c.want {
				t.Errorf("%s: got %v\nwant %s", c.fit, err, c.want)
			}
			continue
		}
		var got []string
		for _, s := range result(t, out, nil).Steps {
			got = append(got, fmt.Sprintf("%d%s%d", s.At, s.Link, s.Rate))
		}
		if text := strings.Join(got, " ") + " | " + strings.Join(out.Warnings, ", "); text != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.fit, text, c.want)
		}
	}
}

func TestConcatAbsent(t *testing.T) {
	state := trace.State{Rate: 5, Carrier: true}
	a := edit.Memory("a.tape", &trace.Timeline{
		Meta:  trace.Meta{Duration: 10, Links: []trace.Link{{Name: "a", Up: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 1}}}},
		Steps: []trace.Step{{Link: "a", Dir: trace.Up, State: state}},
	})
	b := edit.Memory("b.tape", &trace.Timeline{
		Meta: trace.Meta{Duration: 10, Links: []trace.Link{{Name: "a", Up: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 2}}, {Name: "b", Down: true}}},
		Steps: []trace.Step{
			{Link: "a", Dir: trace.Up, State: state},
			{Link: "b", Dir: trace.Down, State: state},
		},
	})
	if _, err := edit.Concat([]edit.Tape{a, b}, edit.AbsentRefuse); err == nil || err.Error() != "concat: the links differ: a.tape lacks b.down; choose --fill down (no carrier meanwhile) or --fill stall (rate 0), or rename links first" {
		t.Errorf("got %v", err)
	}
	out, err := edit.Concat([]edit.Tape{a, b, a}, edit.AbsentDown)
	got := result(t, out, err)
	absent := trace.State{Label: edit.LabelAbsent}
	want := []trace.Step{
		{Link: "a", Dir: trace.Up, State: state},
		{Link: "b", Dir: trace.Down, State: absent},
		{At: 10, Link: "b", Dir: trace.Down, State: state},
		{At: 20, Link: "b", Dir: trace.Down, State: absent},
	}
	if d := cmp.Diff(want, got.Steps); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if want := []string{"link a has another queue in b.tape: the first one is kept"}; !cmp.Equal(out.Warnings, want) {
		t.Errorf("warnings %q", out.Warnings)
	}
	if n := len(got.Meta.Edit.Inputs); n != 3 || got.Meta.Duration != 30 {
		t.Errorf("%d inputs, %v", n, got.Meta.Duration)
	}
}

func TestRename(t *testing.T) {
	q := &trace.Queue{Kind: trace.DropTail, LimitBytes: 1}
	tl := &trace.Timeline{Meta: trace.Meta{Duration: 10, Links: []trace.Link{{Name: "a", Up: true, Down: true, Queue: q}, {Name: "b", Up: true}}}}
	for i, ld := range tl.Meta.Directions() {
		tl.Steps = append(tl.Steps, trace.Step{Link: ld.Link, Dir: ld.Dir, State: trace.State{Rate: trace.BitRate(i), Carrier: true}})
	}
	for _, c := range []struct{ names, want string }{
		{"a=b,b=a", "a.up 2, b.down 0, b.up 1"},
		{"a.up=a.down,a.down=a.up", "a.down 1, a.up 0, b.up 2"},
		{"b.up=b.down", "a.down 0, a.up 1, b.down 2"},
		{"a=b", "a.up and b.up would both be b.up: choose another name"},
		{"a=x,a.up=y.up", "a.up is renamed twice: to x and to y.up"},
		{"c=x", "link c: not in the timeline, which has a, b"},
		{"b.down=x.up", "link b.down: the timeline has b.up only"},
	} {
		var list []edit.Renaming
		for w := range strings.SplitSeq(c.names, ",") {
			r, err := edit.ParseRenaming(w)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
		out, err := edit.Rename(edit.Memory("in.tape", tl), list)
		if err != nil {
			if err.Error() != c.want {
				t.Errorf("%s:\ngot  %v\nwant %s", c.names, err, c.want)
			}
			continue
		}
		var got []string
		for _, s := range result(t, out, nil).Steps {
			got = append(got, fmt.Sprintf("%v %d", s.LinkDir(), s.Rate))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.names, text, c.want)
		}
		i := slices.IndexFunc(out.Meta.Links, func(l trace.Link) bool { return l.Queue != nil })
		if want := map[bool]string{true: "b", false: "a"}[c.names == "a=b,b=a"]; out.Meta.Links[i].Name != want {
			t.Errorf("%s: the queue is at %s, want %s", c.names, out.Meta.Links[i].Name, want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"a", `"a": write OLD=NEW, such as att=modem1 or att.up=att.down`},
		{"a=b.up", `"a=b.up": name two links or two directions`},
		{"all=b", `"all=b": name one link, not all`},
		{"a=B", `link "B": name "B": use lower-case letters, digits and, after the first character, hyphens`},
	} {
		if _, err := edit.ParseRenaming(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// What an edit was made of is in its history, with its seed, scenario and
// sources; the seed stays the timeline's own.
func TestProvenance(t *testing.T) {
	tl := random(rand.New(rand.NewPCG(1, 3)))
	tl.Meta.Scenario, tl.Meta.Duration = "scenario: x\n", 20*time.Second
	in := edit.Memory("x.tape", tl)
	out, err := edit.Cut(in, time.Second, 3*time.Second)
	cut := result(t, out, err)
	out, err = edit.Scale(edit.Memory("cut.tape", cut), edit.NewFactors(map[edit.Quantity]float64{edit.Rate: 0.5}), nil)
	got := result(t, out, err).Meta
	want := &trace.Edit{Operation: "scale", Arguments: []string{"rate x0.5"}, Inputs: []trace.Origin{{
		File: "cut.tape", SHA256: cut.Hash(), Duration: 2 * time.Second, Generator: "edit 1", Seed: tl.Meta.Seed,
		Edit: &trace.Edit{Operation: "cut", Arguments: []string{"from 1s", "to 3s"}, Inputs: []trace.Origin{{
			File: "x.tape", SHA256: tl.Hash(), Duration: 20 * time.Second, Generator: "test 1", Seed: tl.Meta.Seed, Scenario: "scenario: x\n",
		}}},
	}}}
	if d := cmp.Diff(want, got.Edit); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got.Scenario != "" || got.Seed != tl.Meta.Seed {
		t.Errorf("scenario %q, seed %d", got.Scenario, got.Seed)
	}
}

// A fault of the input ends the result.
func TestInputFault(t *testing.T) {
	tl := random(rand.New(rand.NewPCG(2, 3)))
	in := edit.Memory("x.tape", tl)
	whole := in.Steps
	broken := fmt.Errorf("broken")
	in.Steps = func(yield func(trace.Step, error) bool) {
		for s := range whole {
			if !yield(s, nil) {
				return
			}
		}
		yield(trace.Step{}, broken)
	}
	e, err := edit.ParseEvent("at 0, link all, label x")
	if err != nil {
		t.Fatal(err)
	}
	all := []edit.Target{{Link: edit.All, Up: true, Down: true}}
	name := tl.Meta.Links[0].Name
	for what, f := range map[string]func() (edit.Tape, error){
		"overlay":  func() (edit.Tape, error) { return edit.Overlay(in, []edit.Event{e}) },
		"cut":      func() (edit.Tape, error) { return edit.Cut(in, 0, tl.Meta.Duration) },
		"concat":   func() (edit.Tape, error) { return edit.Concat([]edit.Tape{in}, "") },
		"merge":    func() (edit.Tape, error) { return edit.Merge([]edit.Tape{in}, "") },
		"select":   func() (edit.Tape, error) { return edit.Select(in, all) },
		"resample": func() (edit.Tape, error) { return edit.Resample(in, time.Second) },
		"scale": func() (edit.Tape, error) {
			return edit.Scale(in, edit.NewFactors(map[edit.Quantity]float64{edit.Rate: 2}), nil)
		},
		"rename": func() (edit.Tape, error) {
			return edit.Rename(in, []edit.Renaming{{From: edit.Target{Link: name, Up: true, Down: true}, To: edit.Target{Link: "new", Up: true, Down: true}}})
		},
	} {
		out, err := f()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if _, err := out.Timeline(); err != broken {
			t.Errorf("%s: got %v, want the input's fault", what, err)
		}
	}
	if _, err := edit.Diff(in, edit.Memory("x.tape", tl), edit.DiffOptions{}); err != broken {
		t.Errorf("diff: got %v, want the input's fault", err)
	}
}

package weave_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/weave"
)

func stream(link string, end error, at ...time.Duration) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		for i, t := range at {
			if !yield(trace.Step{At: t, Link: link, State: trace.State{Rate: trace.BitRate(i)}}, nil) {
				return
			}
		}
		if end != nil {
			yield(trace.Step{}, end)
		}
	}
}

func text(steps iter.Seq2[trace.Step, error]) string {
	var out []string
	for s, err := range steps {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		out = append(out, fmt.Sprintf("%d%s%d", s.At, s.Link, s.Rate))
	}
	return strings.Join(out, " ")
}

func TestSteps(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		streams []iter.Seq2[trace.Step, error]
		want    string
	}{
		{nil, ""},
		{[]iter.Seq2[trace.Step, error]{stream("b", nil, 0, 2, 3), stream("a", nil, 0, 3, 9), stream("c", nil)}, "0a0 0b0 2b1 3a1 3b2 9a2"},
		{[]iter.Seq2[trace.Step, error]{stream("b", broken, 0, 2), stream("a", nil, 0, 3)}, "0a0 0b0 2b1 broken"},
		{[]iter.Seq2[trace.Step, error]{stream("b", nil, 0, 2), stream("a", broken)}, "broken"},
	} {
		if got := text(weave.Steps(c.streams)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for s := range weave.Steps([]iter.Seq2[trace.Step, error]{stream("a", nil, 0, 1), stream("b", nil, 0, 1)}) {
		if s.Link == "b" {
			break
		}
	}
}

func TestFill(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		steps       iter.Seq2[trace.Step, error]
		length, end time.Duration
		want        string
	}{
		{stream("a", nil, 0, 2), 5, 5, "0a0 2a1"},
		{stream("a", nil, 0, 2), 5, 2, "0a0"},
		{stream("a", nil, 0, 2), 5, 12, "0a0 2a1 5a0 7a1 10a0"},
		{stream("a", nil, 0), 5, 12, "0a0"},
		{stream("a", broken, 0, 2), 5, 12, "0a0 2a1 broken"},
		{stream("a", nil, 0, 1), 1 << 62, 1<<63 - 1, "0a0 1a1 4611686018427387904a0 4611686018427387905a1"},
	} {
		if got := text(weave.Fill(c.steps, c.length, c.end)); got != c.want {
			t.Errorf("%v in %v: got %s, want %s", c.length, c.end, got, c.want)
		}
	}
}

func TestFit(t *testing.T) {
	lengths := []weave.Length{{Name: "a", Duration: 2}, {Name: "b", Duration: 5}}
	for _, c := range []struct {
		fit     weave.Fit
		lengths []weave.Length
		want    string
	}{
		{weave.FitNone, lengths[:1], "2ns"},
		{weave.FitShortest, lengths, "2ns"},
		{weave.FitLoop, lengths, "5ns"},
		{weave.FitNone, lengths, "the tapes differ in length: a 2ns, b 5ns; choose --fit shortest (cut all at the shortest) or --fit loop (repeat the shorter ones up to the longest)"},
		{weave.FitLoop, []weave.Length{{Duration: 1}, {Duration: time.Second}}, "merge: repeating a tape of 1ns up to 1s takes more than 1000000 repeats; use --fit shortest"},
	} {
		d, err := c.fit.Duration("tape", c.lengths)
		got := d.String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got  %s\nwant %s", c.fit, got, c.want)
		}
	}
	if _, err := weave.ParseFit("stretch"); err == nil || err.Error() != `fit "stretch": write shortest or loop` {
		t.Errorf("got %v", err)
	}
}

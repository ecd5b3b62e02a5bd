package edit_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trace/edit"
)

func TestParseEvent(t *testing.T) {
	both := func(link string) edit.Target { return edit.Target{Link: link, Up: true, Down: true} }
	for _, c := range []struct {
		text, canonical string
		want            edit.Event
	}{
		{"at 30s, link att, outage 5s, mode stall", "at 30s, link att, outage 5s, mode stall",
			edit.Event{At: 30 * time.Second, For: 5 * time.Second, Targets: []edit.Target{both("att")}, Outage: true, Mode: edit.Stall}},
		{"outage 1m , at 0,\tlink att verizon.up", "at 0s, link att verizon.up, outage 1m0s, mode drop-both",
			edit.Event{For: time.Minute, Targets: []edit.Target{both("att"), {Link: "verizon", Up: true}}, Outage: true}},
		{"at 1s, link all.down, handover 50ms", "at 1s, link all.down, outage 50ms, mode stall, label handover",
			edit.Event{At: time.Second, For: 50 * time.Millisecond, Targets: []edit.Target{{Link: "all", Down: true}}, Outage: true, Mode: edit.Stall, Label: "handover"}},
		{"at 1s, link att, handover 50ms, label to 5g", "at 1s, link att, outage 50ms, mode stall, label to 5g",
			edit.Event{At: time.Second, For: 50 * time.Millisecond, Targets: []edit.Target{both("att")}, Outage: true, Mode: edit.Stall, Label: "to 5g"}},
		{"at 1s, link att, rate 500kbit, delay +100ms, jitter x2, loss 10%, duplicate 0.01, corrupt x0.5, reorder 0, for 10s",
			"at 1s, link att, rate 500kbit, delay +100ms, jitter x2, loss 0.1, duplicate 0.01, corrupt x0.5, reorder 0, for 10s",
			edit.Event{At: time.Second, For: 10 * time.Second, Targets: []edit.Target{both("att")}, Changes: [...]edit.Change{
				{edit.Set, 5e5}, {edit.Add, 1e8}, {edit.Multiply, 2}, {edit.Set, 0.1}, {edit.Set, 0.01}, {edit.Multiply, 0.5}, {edit.Set, 0},
			}}},
		{"at 1s, link att, delay -20ms, rate -1Mbit", "at 1s, link att, rate -1Mbit, delay -20ms",
			edit.Event{At: time.Second, Targets: []edit.Target{both("att")}, Changes: [7]edit.Change{edit.Rate: {edit.Add, -1e6}, edit.Delay: {edit.Add, -2e7}}}},
		{"at 1s, link att, label  in the  tunnel ", "at 1s, link att, label in the  tunnel",
			edit.Event{At: time.Second, Targets: []edit.Target{both("att")}, Label: "in the  tunnel"}},
		{"at 1s, link att, outage 2s, mode drop-up, loss 10%", "at 1s, link att, outage 2s, mode drop-up, loss 0.1",
			edit.Event{At: time.Second, For: 2 * time.Second, Targets: []edit.Target{both("att")}, Outage: true, Mode: edit.DropUp, Changes: [7]edit.Change{edit.Loss: {edit.Set, 0.1}}}},
	} {
		got, err := edit.ParseEvent(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, d)
		}
		if got.String() != c.canonical {
			t.Errorf("%s:\ngot  %s\nwant %s", c.text, got.String(), c.canonical)
		}
		if again, err := edit.ParseEvent(c.canonical); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: reads as %v (%v)", c.canonical, again.String(), err)
		}
	}
}

func TestEventFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "a clause is empty: write one between two commas, such as outage 5s; the instant is missing: add at 30s; the links are missing: add link att, link att.up or link all"},
		{"at 30s, link att", "nothing happens: add outage 5s, rate x0.5, delay +100ms, loss 10% or label tunnel"},
		{"at 30s, link att, outge 5s", `clause "outge 5s": unknown: did you mean "outage"?`},
		{"at 30s, link att, 5s", `clause "5s": unknown: begin with one of at, for, link, outage, handover, mode, label, rate, delay, jitter, loss, duplicate, corrupt, reorder`},
		{"at 30s, outage 5s", "the links are missing: add link att, link att.up or link all"},
		{"link att, outage 5s", "the instant is missing: add at 30s"},
		{"at 30s, at 40s, link att, outage 5s", `clause "at 40s": at is given twice, first as "at 30s": leave one out`},
		{"at 30, link att, outage 5s", `clause "at 30": duration "30": write a number with ns, us, ms, s, m or h, such as 100ms or 1.5s`},
		{"at -30s, link att, outage 5s", `clause "at -30s": duration "-30s": negative`},
		{"at, link att, outage 5s", `clause "at": 0 values, not one: write at 30s`},
		{"at 30 s, link att, outage 5s", `clause "at 30 s": 2 values, not one: write at 30s`},
		{"at 30s, link, outage 5s", `clause "link": the links are missing: write link att, link att.up or link all`},
		{"at 30s, link AT&T, outage 5s", `clause "link AT&T": link "AT&T": name "AT&T": use lower-case letters, digits and, after the first character, hyphens`},
		{"at 30s, link att.side, outage 5s", `clause "link att.side": link "att.side": direction "side": write up or down`},
		{"at 30s, link att.up att, outage 5s", `clause "link att.up att": att.up is within att: name each direction once`},
		{"at 30s, link all att.up, outage 5s", `clause "link all att.up": att.up is within all: name each direction once`},
		{"at 30s, link att, outage", `clause "outage": 0 values, not one: write outage 5s`},
		{"at 30s, link att, outage 0s", `clause "outage 0s": lasts no time: write outage 5s`},
		{"at 30s, link att, outage 5s, for 6s", "outage and for: each says how long the event holds: leave one out"},
		{"at 30s, link att, outage 5s, handover 1s", "outage and handover: each says how long the event holds: leave one out"},
		{"at 30s, link att, outage 5s, mode stal", `clause "mode stal": outage mode "stal": write one of drop-both, drop-up, drop-down, stall, carrier-down; did you mean "stall"?`},
		{"at 30s, link att, mode stall", `clause "mode stall": there is no outage: add outage 5s`},
		{"at 30s, link att, handover 50ms, mode stall", `clause "mode stall": a handover is a stall: leave it out, or write outage in place of handover`},
		{"at 30s, link att, outage 5s, mode stall, rate x2", "rate has no effect in a stall, whose rate is 0: leave it out, or choose another mode"},
		{"at 30s, link att, outage 5s, loss 10%", "loss has no effect in an outage of mode drop-both, which loses every packet: leave it out, or choose another mode"},
		{"at 30s, link att.down, outage 5s, mode drop-up", "an outage of mode drop-up does not concern att.down: choose another mode or direction"},
		{"at 30s, link att, rate 500", `clause "rate 500": rate "500": write a number with bit, kbit, Mbit or Gbit, such as 6Mbit`},
		{"at 30s, link att, rate xhalf", `clause "rate xhalf": factor "xhalf": write a number such as 0.5`},
		{"at 30s, link att, rate x-1", `clause "rate x-1": factor "x-1": outside 0 to 1000000`},
		{"at 30s, link att, rate xInf", `clause "rate xInf": factor "xInf": write a number such as 0.5`},
		{"at 30s, link att, delay 2h", `clause "delay 2h": duration "2h": above the longest delay, 1h0m0s`},
		{"at 30s, link att, delay +0s", `clause "delay +0s": difference "+0s" changes nothing: leave the clause out`},
		{"at 30s, link att, delay --1s", `clause "delay --1s": difference "--1s": write one sign`},
		{"at 30s, link att, loss 110%", `clause "loss 110%": probability "110%": outside 0 to 1`},
		{"at 30s, link att, loss NaN", `clause "loss NaN": probability "NaN": outside 0 to 1`},
		{"at 30s, link att, label", `clause "label": the text is missing: write label tunnel`},
		{"at 30s, link att, label \x01", `clause "label \x01": label "\x01": holds a character that cannot be printed`},
		{"at soon, lnk att, outage 5s", `clause "at soon": duration "soon": write a number with ns, us, ms, s, m or h, such as 100ms or 1.5s; clause "lnk att": unknown: did you mean "link"?; the links are missing: add link att, link att.up or link all`},
		{"at 30s, link att, outage 5s, " + strings.Repeat("x", 100), `clause "` + strings.Repeat("x", 60) + `…": unknown: begin with one of at, for, link, outage, handover, mode, label, rate, delay, jitter, loss, duplicate, corrupt, reorder`},
	} {
		_, err := edit.ParseEvent(c.text)
		if err == nil {
			t.Errorf("%s: accepted", c.text)
		} else if err.Error() != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.text, err, c.want)
		}
	}
}

func TestEventApply(t *testing.T) {
	base := trace.State{Rate: 6 * trace.Mbit, Delay: 35 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.02, Carrier: true, Label: "good"}
	with := func(change func(s *trace.State)) trace.State {
		s := base
		change(&s)
		return s
	}
	chain := trace.GE{P: 0.01, R: 0.25, LossBad: 1}
	for _, c := range []struct {
		what     string
		from     trace.State
		up, down trace.State // afterwards
	}{
		{"outage 5s, mode stall", base,
			with(func(s *trace.State) { s.Rate, s.Label = 0, "outage" }),
			with(func(s *trace.State) { s.Rate, s.Label = 0, "outage" })},
		{"outage 5s, mode drop-up, label gone", base,
			with(func(s *trace.State) { s.Loss, s.Label = 1, "gone" }), base},
		{"outage 5s, mode drop-down, delay x2", base,
			with(func(s *trace.State) { s.Delay *= 2 }),
			with(func(s *trace.State) { s.Delay *= 2; s.Loss, s.Label = 1, "outage" })},
		{"outage 5s, mode carrier-down", base,
			with(func(s *trace.State) { s.Carrier, s.Label = false, "outage" }),
			with(func(s *trace.State) { s.Carrier, s.Label = false, "outage" })},
		{"rate 9000Gbit, delay -1s, jitter +1ms, reorder 1%", base,
			with(func(s *trace.State) {
				s.Rate, s.Delay, s.Jitter, s.Reorder = 9000*trace.Gbit, 0, 2*time.Millisecond, 0.01
			}),
			with(func(s *trace.State) {
				s.Rate, s.Delay, s.Jitter, s.Reorder = 9000*trace.Gbit, 0, 2*time.Millisecond, 0.01
			})},
		{"rate +10000Gbit, delay +1h, loss x1000", base,
			with(func(s *trace.State) { s.Rate, s.Delay, s.Loss = trace.MaxRate, trace.MaxDelay, 1 }),
			with(func(s *trace.State) { s.Rate, s.Delay, s.Loss = trace.MaxRate, trace.MaxDelay, 1 })},
		{"rate x0.33333", base,
			with(func(s *trace.State) { s.Rate = 1999980 }),
			with(func(s *trace.State) { s.Rate = 1999980 })},
		{"loss 5%", with(func(s *trace.State) { s.Loss, s.GE = 0, chain }),
			with(func(s *trace.State) { s.Loss = 0.05 }),
			with(func(s *trace.State) { s.Loss = 0.05 })},
	} {
		e, err := edit.ParseEvent("at 1s, link att, " + c.what)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		up, down := c.from, c.from
		e.Apply(trace.Up, &up)
		e.Apply(trace.Down, &down)
		if d := cmp.Diff(c.up, up); d != "" {
			t.Errorf("%s, up (-want +got):\n%s", c.what, d)
		}
		if d := cmp.Diff(c.down, down); d != "" {
			t.Errorf("%s, down (-want +got):\n%s", c.what, d)
		}
	}
}

// A factor of a chain's loss scales the stationary loss and keeps the bursts,
// until there is no room for more.
func TestScaleChain(t *testing.T) {
	base := trace.GE{P: 0.01, R: 0.25, LossBad: 0.9, LossGood: 0.001}
	for _, f := range []float64{0, 1e-3, 0.5, 1, 2, 10, 24, 100} {
		s := trace.State{GE: base}
		edit.Change{Op: edit.Multiply, Value: f}.Apply(edit.Loss, &s)
		want := min(base.Loss()*f, float64(base.LossBad))
		if got := s.MeanLoss(); math.Abs(got-want) > 1e-12 {
			t.Errorf("x%v: loss %v, want %v", f, got, want)
		}
		if f > 0 && f < 20 && s.GE.R != base.R {
			t.Errorf("x%v: the bursts have changed: R is %v", f, s.GE.R)
		}
		if s.Loss != 0 && s.GE.Enabled() {
			t.Errorf("x%v: loss and chain at once", f)
		}
	}
	for _, c := range []struct {
		from, want trace.State
		f          float64
	}{
		{trace.State{GE: trace.GE{P: 1, LossBad: 0.5}}, trace.State{Loss: 0.25}, 0.5},                                                                           // never leaves the bad state
		{trace.State{GE: trace.GE{R: 1, LossGood: 0.5}}, trace.State{GE: trace.GE{R: 1, LossGood: 1}}, 3},                                                       // never leaves the good state
		{trace.State{GE: trace.GE{P: 0.5, R: 0.5, LossBad: 0.2, LossGood: 0.4}}, trace.State{Loss: 0.6}, 2},                                                     // worse in the good state
		{trace.State{GE: trace.GE{P: 0.25, R: 0.25, LossBad: 1}}, trace.State{Loss: 1}, 2},                                                                      // all is lost
		{trace.State{GE: trace.GE{P: 0.5, R: 0.5, LossBad: 1}}, trace.State{GE: trace.GE{P: 1, R: 1.0 / 3, LossBad: 1}}, 1.5},                                   // a burst after every good packet
		{trace.State{GE: trace.GE{P: 0.5, R: 0.5, LossBad: 0.25, LossGood: 0.25}}, trace.State{GE: trace.GE{P: 0.5, R: 0.5, LossBad: 0.25, LossGood: 0.25}}, 1}, // untouched
	} {
		got := c.from
		edit.Change{Op: edit.Multiply, Value: c.f}.Apply(edit.Loss, &got)
		if math.Abs(float64(got.GE.R-c.want.GE.R)) < 1e-12 {
			got.GE.R = c.want.GE.R
		}
		if math.Abs(float64(got.Loss-c.want.Loss)) < 1e-12 {
			got.Loss = c.want.Loss
		}
		if got != c.want {
			t.Errorf("%+v x%v: got %+v, want %+v", c.from, c.f, got, c.want)
		}
	}
}

func TestEventLinks(t *testing.T) {
	links := []trace.Link{{Name: "att", Up: true, Down: true}, {Name: "sat", Up: true}}
	for _, c := range []struct{ event, want string }{
		{"at 1s, link att, outage 1s", ""},
		{"at 1s, link all, outage 1s", ""},
		{"at 1s, link sat, outage 1s", ""},
		{"at 1s, link sat.up att.down, outage 1s", ""},
		{"at 1s, link sats, outage 1s", `link sats: not in the timeline: did you mean "sat"? It has att, sat`},
		{"at 1s, link verizon x, outage 1s", "link verizon: not in the timeline, which has att, sat; link x: not in the timeline, which has att, sat"},
		{"at 1s, link sat.down, outage 1s", "link sat.down: the timeline has sat.up only"},
		{"at 1s, link sat, outage 1s, mode drop-down", "an outage of mode drop-down concerns none of the timeline's directions: choose another mode"},
	} {
		e, err := edit.ParseEvent(c.event)
		if err != nil {
			t.Errorf("%s: %v", c.event, err)
			continue
		}
		got := ""
		if err := e.CheckLinks(links); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.event, got, c.want)
		}
	}
	e, err := edit.ParseEvent("at 1s, link all.down, outage 1s")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.CheckLinks(links[1:]); got == nil || got.Error() != "link all.down: the timeline has no such direction" {
		t.Errorf("got %v", got)
	}
	e, err = edit.ParseEvent("at 1s, link att sat.up, outage 1s, mode drop-up")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ld   trace.LinkDir
		want bool
	}{
		{trace.LinkDir{Link: "att", Dir: trace.Up}, true},
		{trace.LinkDir{Link: "att", Dir: trace.Down}, false},
		{trace.LinkDir{Link: "sat", Dir: trace.Up}, true},
		{trace.LinkDir{Link: "sat", Dir: trace.Down}, false},
		{trace.LinkDir{Link: "x", Dir: trace.Up}, false},
	} {
		if got := e.Applies(c.ld); got != c.want {
			t.Errorf("%v: applies %v, want %v", c.ld, got, c.want)
		}
	}
}

func TestEventEnd(t *testing.T) {
	for _, c := range []struct {
		at, length, want time.Duration
	}{
		{time.Second, time.Second, 2 * time.Second},
		{time.Second, 0, edit.Forever},
		{edit.Forever - 1, 2, edit.Forever},
	} {
		e := edit.Event{At: c.at, For: c.length}
		if got := e.End(); got != c.want {
			t.Errorf("at %v for %v: ends at %v, want %v", c.at, c.length, got, c.want)
		}
	}
}

// What is accepted reads again from its canonical text, and keeps a state
// within what a tape may hold.
func FuzzParseEvent(f *testing.F) {
	f.Add("at 30s, link att, outage 5s, mode stall")
	f.Add("at 0, link att verizon.up all.down, rate x0.5, delay -20ms, loss 1e-3, label a b, for 1ns")
	f.Add("at 9223372036s, link all, handover 1us, corrupt x1000000")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := edit.ParseEvent(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("a message of several lines: %q", err)
			}
			return
		}
		again, err := edit.ParseEvent(e.String())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%q is written %q, which reads as %+v, %v", text, e.String(), again, err)
		}
		s := trace.State{Rate: 12345678, Delay: 35 * time.Millisecond, Jitter: 1, GE: trace.GE{P: 0.1, R: 0.3, LossBad: 0.9}, Corrupt: 1, Carrier: true}
		e.Apply(trace.Up, &s)
		tl := trace.Timeline{
			Meta:  trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "att", Up: true}}},
			Steps: []trace.Step{{Link: "att", Dir: trace.Up, State: s}},
		}
		if err := tl.Check(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

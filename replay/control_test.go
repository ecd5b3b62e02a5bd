package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
	"linktape/trace/edit"
)

// wakingClock is the clock of a bubble whose sleeps can be ended.
type wakingClock struct {
	bubbleClock
	rung chan struct{} // has room for one
}

func (c wakingClock) SleepUntilRung(t time.Duration, b *bell) {
	timer := time.NewTimer(t - c.Now())
	defer timer.Stop()
	for b.Load() == 0 {
		select {
		case <-timer.C:
			return
		case <-c.rung:
		}
	}
}

func (c wakingClock) Ring(*bell) {
	select {
	case c.rung <- struct{}{}:
	default:
	}
}

// told is what an endpoint was told, and when.
type told struct {
	dir trace.LinkDir
	at  time.Duration // since the epoch
	call
}

// driven is a replay that a test drives.
type driven struct {
	*Player
	t     *testing.T
	clock wakingClock
	links *fakeLinks

	mu   sync.Mutex
	told []told
}

// until waits for an instant since the epoch.
func (d *driven) until(t time.Duration) {
	time.Sleep(t + time.Duration(d.epoch.Load()) - d.clock.Now())
}

// must fails the test unless an act was done, at an instant of the replay, from one
// instant of the tape to another.
func (d *driven) must(a Act, err error) func(at, before, tape time.Duration) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return func(at, before, tape time.Duration) {
		d.t.Helper()
		if !a.Changed || a.At != at || a.Before != before || a.Tape != tape {
			d.t.Errorf("%s: got changed %v, at %v, from %v of the tape to %v; want at %v, %v, %v", a.Verb, a.Changed, a.At, a.Before, a.Tape, at, before, tape)
		}
	}
}

// of lists what a direction was told from an instant on: when, and its rate or what
// does not pass.
func (d *driven) of(ld trace.LinkDir, from, until time.Duration) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, c := range d.told {
		if c.dir != ld || c.at < from || c.at >= until {
			continue
		}
		what := WhatPasses(&c.State)
		if what == "" {
			what = fmt.Sprint(int64(c.State.Rate / trace.Kbit))
		}
		if c.Hold == 0 {
			what += "*" // until further notice
		}
		out = append(out, fmt.Sprintf("%v %s", c.at, what))
	}
	return strings.Join(out, ", ")
}

func (d *driven) want(ld trace.LinkDir, from, until time.Duration, want string) {
	d.t.Helper()
	if got := d.of(ld, from, until); got != want {
		d.t.Errorf("%v was told from %v to %v:\ngot  %s\nwant %s", ld, from, until, got, want)
	}
}

// drive plays a tape in virtual time, lets a test give commands once it has begun,
// and returns the summary.
func drive(t *testing.T, tl *trace.Timeline, opts Options, test func(t *testing.T, d *driven)) (sum *Summary) {
	t.Helper()
	inBubble(t, func(t *testing.T, base bubbleClock) {
		d := &driven{t: t, clock: wakingClock{base, make(chan struct{}, 1)}, links: newFakeLinks(tl.Meta.Directions()...)}
		d.Player = mustNew(t, openTape(t, tl), d.links, opts)
		for ld, e := range d.links.endpoints {
			e.apply = func(c call) error {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.told = append(d.told, told{ld, d.elapsed(), c})
				return nil
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			var err error
			if sum, err = d.Run(t.Context(), d.clock, nil); err != nil {
				t.Error(err)
			}
		}()
		<-d.Begun()
		test(t, d)
		<-done
		if _, err := d.Pause(); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: got error %v", err)
		}
	})
	return sum
}

// Of the tape of these tests, a.up has 0.001 Mbit/s more than a.down, which has
// 0.1 Mbit/s more every 100 ms.

func TestPause(t *testing.T) {
	sum := drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		d.until(1050 * ms)
		d.must(d.Pause())(1050*ms, 1050*ms, 1050*ms)
		if a, err := d.Pause(); err != nil || a.Changed {
			t.Errorf("paused twice: got %+v, error %v", a, err)
		}
		d.until(31050 * ms)
		if got := d.Position(); got != 1050*ms {
			t.Errorf("paused: got position %v, want 1.05s", got)
		}
		d.must(d.Resume())(31050*ms, 1050*ms, 1050*ms)
		if a, err := d.Resume(); err != nil || a.Changed {
			t.Errorf("resumed twice: got %+v, error %v", a, err)
		}
		d.until(31250 * ms)
		// The grant of 100 ms goes on as a rate; later steps keep their distance.
		d.want(aDown, 950*ms, 31350*ms, "1s 1000, 1.05s 1000*, 31.1s 1100, 31.2s 1200")
		d.want(aUp, 950*ms, 31350*ms, "1s 1001, 1.05s 1001*, 31.1s 1101, 31.2s 1201")
		// b's step holds for longer than a grant: nothing is to be said.
		d.want(bUp, 0, 31350*ms, "0s 1000*")
	})
	if sum.Played != 34*time.Second || sum.Steps != 82 || sum.Acts != 2 || sum.Retold != 2 || sum.Stopped || sum.Loops != 1 {
		t.Errorf("got %+v", sum)
	}
	if sum.Lateness.Max != 0 || sum.Missed != 0 {
		t.Errorf("got lateness %v, %d missed", sum.Lateness.Max, sum.Missed)
	}
	if !slices.ContainsFunc(sum.Warnings, func(s string) bool { return strings.Contains(s, "2 commands were given by hand") }) {
		t.Errorf("got warnings %q", sum.Warnings)
	}
}

// A command that comes while the next instant's steps are prepared gives those up.
func TestPauseGivesUpWhatIsPrepared(t *testing.T) {
	drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		d.until(1090 * ms) // 10 ms before
		d.must(d.Pause())(1090*ms, 1090*ms, 1090*ms)
		d.until(2 * time.Second)
		d.must(d.Resume())(2*time.Second, 1090*ms, 1090*ms)
		d.until(2050 * ms)
		d.want(aDown, 950*ms, 2050*ms, "1s 1000, 1.09s 1000*, 2.01s 1100")
	})
}

func TestStepOn(t *testing.T) {
	drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		d.until(1050 * ms)
		d.must(d.Step())(1050*ms, 1050*ms, 1100*ms) // pauses first
		d.until(5 * time.Second)
		d.must(d.Step())(5*time.Second, 1100*ms, 1200*ms)
		d.until(6 * time.Second)
		d.must(d.Resume())(6*time.Second, 1200*ms, 1200*ms)
		d.until(6150 * ms)
		d.want(aDown, 950*ms, 6150*ms, "1s 1000, 1.05s 1000*, 1.05s 1100*, 5s 1200*, 6.1s 1300")
	})
	// The next instant may be farther away than the tape is read ahead.
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Hour, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
	for i, at := range []time.Duration{0, 10 * time.Minute, 40 * time.Minute} {
		tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: trace.State{Rate: trace.BitRate(i+1) * trace.Mbit, Carrier: true}})
	}
	drive(t, tl, Options{}, func(t *testing.T, d *driven) {
		d.until(time.Second)
		for _, want := range []time.Duration{10 * time.Minute, 40 * time.Minute} {
			if a, err := d.Step(); err != nil || a.Tape != want || a.At > 2*time.Second {
				t.Errorf("got %+v, error %v; want %v of the tape", a, err, want)
			}
		}
		if _, err := d.Step(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no step is left") {
			t.Errorf("at the end: got error %v", err)
		}
		if got := d.of(aUp, 0, time.Hour); !strings.HasSuffix(got, "2000*, "+got[strings.LastIndex(got, ", ")+2:]) || !strings.HasSuffix(got, " 3000*") {
			t.Errorf("was told %s", got)
		}
		d.must(d.SkipBy(19*time.Minute))(d.lastAct().At, 40*time.Minute, 59*time.Minute)
		d.Resume()
	})
}

// lastAct is what was done last.
func (d *driven) lastAct() Act {
	acts, _ := d.Acts(0)
	return acts[len(acts)-1]
}

func TestSkip(t *testing.T) {
	sum := drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		d.until(1050 * ms)
		a, err := d.SkipTo(3050 * ms) // forwards, over a step of b
		if err != nil || a.Tape != 3050*ms || a.At < 1050*ms || a.At > 1250*ms {
			t.Fatalf("got %+v, error %v", a, err)
		}
		at := a.At
		d.until(at + 60*ms)
		for _, c := range []struct {
			ld          trace.LinkDir
			rate, after int
		}{{aDown, 3000, 3100}, {aUp, 3001, 3101}} {
			d.want(c.ld, at, at+60*ms, fmt.Sprintf("%v %d, %v %d", at, c.rate, at+50*ms, c.after))
			d.want(c.ld, 1001*ms, at, fmt.Sprintf("1.05s %d*", c.rate-2000)) // the grant goes on as a rate until then
		}
		d.want(bUp, at, at+60*ms, fmt.Sprintf("%v %d", at, 1000+2500*1000)) // complete, until the end
		a, err = d.SkipBy(-3 * time.Second)                                 // back
		if err != nil || a.Before != 3110*ms || a.Tape != 110*ms {
			t.Fatalf("got %+v, error %v", a, err)
		}
		d.until(a.At + 10*ms)
		d.want(aDown, a.At, a.At+10*ms, fmt.Sprintf("%v 100", a.At))
		d.want(bUp, a.At, a.At+10*ms, fmt.Sprintf("%v 1000*", a.At))
		// Paused, it stays paused there.
		d.Pause()
		a, err = d.SkipTo(2 * time.Second)
		if err != nil || a.Tape != 2*time.Second {
			t.Fatalf("got %+v, error %v", a, err)
		}
		d.want(aDown, a.At, a.At+ms, fmt.Sprintf("%v 2000*", a.At))
		d.until(a.At + time.Minute)
		if got := d.Position(); got != 2*time.Second {
			t.Errorf("paused: got position %v", got)
		}
		d.want(aDown, a.At+ms, a.At+time.Hour, "")
		a, _ = d.Resume()
		d.until(a.At + 110*ms)
		d.want(aDown, a.At, a.At+150*ms, fmt.Sprintf("%v 2100", a.At+100*ms))
		for _, c := range []struct {
			by   Command
			want string
		}{
			{Command{By: time.Hour}, "the replay would be over: 1.89s are left"},
			{Command{To: new(4 * time.Second)}, "4s is outside the window, which is from 0s to 4s"},
			{Command{Next: true}, "no change of label and no outage is known"},
			{Command{}, "say by how much"},
			{Command{By: time.Second, Next: true}, "say by how much"},
		} {
			c.by.Verb = Skip
			if _, err := d.Do(t.Context(), c.by); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: got error %v, want %q", c.by, err, c.want)
			}
		}
	})
	if sum.Stopped || sum.Lateness.Max > landing {
		t.Errorf("got %+v", sum)
	}
}

// In a loop at another speed, positions are of the replay and skips of the tape.
func TestSkipInALoop(t *testing.T) {
	drive(t, twoLinks(), Options{From: time.Second, Duration: 2 * time.Second, Times: 3, Speed: 2}, func(t *testing.T, d *driven) {
		d.until(1250 * ms) // in the second pass of a second each
		a, err := d.SkipBy(500 * ms)
		if err != nil || a.Before != 1500*ms || a.Tape != 2*time.Second || a.Loop != 1 {
			t.Errorf("got %+v, error %v", a, err)
		}
		if a, err = d.SkipTo(1100 * ms); err != nil || a.Tape != 1100*ms || a.Loop != 1 {
			t.Errorf("got %+v, error %v", a, err)
		}
		d.want(aDown, a.At, a.At+ms, fmt.Sprintf("%v 1100", a.At))
		if a, err = d.SkipBy(2500 * ms); err != nil || a.Tape != 1600*ms || a.Loop != 2 {
			t.Errorf("got %+v, error %v", a, err)
		}
		if a, err = d.SkipBy(-4 * time.Second); err != nil || a.Loop != 0 {
			t.Errorf("got %+v, error %v", a, err)
		}
	})
}

func TestCut(t *testing.T) {
	sum := drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		d.until(1050 * ms)
		a, err := d.Cut("a", edit.DropBoth)
		d.must(a, err)(1050*ms, 1050*ms, 1050*ms)
		if a.Link != "a" || a.Mode != "drop-both" || a.Source != "api" {
			t.Errorf("got %+v", a)
		}
		if a, err := d.Cut("a", edit.DropBoth); err != nil || a.Changed {
			t.Errorf("cut twice: got %+v, error %v", a, err)
		}
		d.until(1250 * ms)
		for _, ld := range []trace.LinkDir{aDown, aUp} {
			d.want(ld, 1050*ms, 1250*ms, "1.05s loses all*, 1.1s loses all, 1.2s loses all")
		}
		d.mu.Lock()
		c := d.told[len(d.told)-1]
		d.mu.Unlock()
		if c.State.Rate < 1200*trace.Kbit || c.State.Label != edit.LabelOutage {
			t.Errorf("the tape does not go on beneath: got %+v", c.State)
		}
		d.must(d.Cut("a", edit.DropUp))(1250*ms, 1250*ms, 1250*ms)
		d.must(d.Cut("b", edit.Stall))(1250*ms, 1250*ms, 1250*ms)
		d.until(1390 * ms) // while the next steps are prepared
		d.want(aUp, 1250*ms, 1390*ms, "1.25s loses all*, 1.3s loses all")
		d.want(aDown, 1250*ms, 1390*ms, "1.25s 1200*, 1.3s 1300")
		d.must(d.Cut("a", edit.CarrierDown))(1390*ms, 1390*ms, 1390*ms)
		d.until(1450 * ms)
		for _, ld := range []trace.LinkDir{aDown, aUp} {
			d.want(ld, 1390*ms, 1450*ms, "1.39s no carrier*, 1.4s no carrier")
		}
		d.must(d.Restore("a"))(1450*ms, 1450*ms, 1450*ms)
		if a, err := d.Restore("a"); err != nil || a.Changed {
			t.Errorf("restored twice: got %+v, error %v", a, err)
		}
		d.until(1550 * ms)
		d.want(aUp, 1450*ms, 1550*ms, "1.45s 1401*, 1.5s 1501")
		d.until(2550 * ms)
		d.want(bUp, 1*ms, 2550*ms, "1.25s stall*, 2.5s stall*")
		if _, err := d.Cut("c", edit.Stall); !errors.Is(err, ErrUnknownLink) {
			t.Errorf("another link: got error %v", err)
		}
		d.links.endpoints[bUp].path = false
		if _, err := d.Cut("b", edit.DropBoth); !errors.Is(err, netsetup.ErrNotSupported) || !strings.Contains(err.Error(), "stall and carrier-down need no path") {
			t.Errorf("without a path: got error %v", err)
		}
		if got := d.of(bUp, 2501*ms, time.Hour); got != "" {
			t.Errorf("a cut that was refused told %s", got)
		}
		if _, err := d.Cut("b", edit.DropDown); err != nil { // has no such direction
			t.Errorf("got error %v", err)
		}
		d.until(2600 * ms)
		d.Cut("b", edit.Stall)
	})
	// A cut ends with the replay.
	if sum.Left != "keep" || sum.Lateness.Max != 0 {
		t.Errorf("got %+v", sum)
	}
}

// What a replay leaves is the tape's state, not a cut's.
func TestCutEndsWithTheReplay(t *testing.T) {
	var links *fakeLinks
	drive(t, twoLinks(), Options{}, func(t *testing.T, d *driven) {
		links = d.links
		d.until(3 * time.Second)
		d.Cut("a", edit.CarrierDown)
	})
	for _, ld := range []trace.LinkDir{aDown, aUp} {
		if s := links.left[ld]; !s.Carrier || s.Rate < 3900*trace.Kbit {
			t.Errorf("%v was left in %+v", ld, s)
		}
		if calls := links.endpoints[ld].calls; calls[len(calls)-1].State != links.left[ld] {
			t.Errorf("%v was told %+v last", ld, calls[len(calls)-1])
		}
	}
}

func TestStopByHand(t *testing.T) {
	sum := drive(t, twoLinks(), Options{Leave: Neutral}, func(t *testing.T, d *driven) {
		d.until(1050 * ms)
		d.Pause()
		d.until(9 * time.Second)
		if a, err := d.Stop(); err != nil || !a.Changed {
			t.Errorf("got %+v, error %v", a, err)
		}
	})
	if !sum.Stopped || sum.Played != 9*time.Second || sum.Left != "neutral" {
		t.Errorf("got %+v", sum)
	}
}

// Before the start there is nothing to pause, and a stop ends the wait.
func TestCommandsBeforeTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		p := mustNew(t, openTape(t, twoLinks()), linksOfTwo(), Options{At: time.Now().Add(time.Hour)})
		if _, err := p.Pause(); !errors.Is(err, ErrNotBegun) {
			t.Errorf("before Run: got error %v", err)
		}
		done := make(chan error)
		go func() {
			_, err := p.Run(t.Context(), clock, nil)
			done <- err
		}()
		time.Sleep(time.Minute)
		for _, c := range []Command{{Verb: Pause}, {Verb: Cut, Link: "a"}} {
			if _, err := p.Do(t.Context(), c); !errors.Is(err, ErrNotBegun) {
				t.Errorf("%s: got error %v", c.Verb, err)
			}
		}
		if _, err := p.Stop(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, errByHand) || !strings.Contains(err.Error(), "before the first step") {
			t.Errorf("got error %v", err)
		}
	})
}

// An error of the kernel ends the replay, and the command says so.
func TestCommandFails(t *testing.T) {
	inBubble(t, func(t *testing.T, base bubbleClock) {
		links := linksOfTwo()
		p := mustNew(t, openTape(t, twoLinks()), links, Options{})
		gone := errors.New("no such device")
		var down atomic.Bool
		links.endpoints[aUp].apply = func(call) error {
			if down.Load() {
				return gone
			}
			return nil
		}
		done := make(chan error)
		go func() {
			_, err := p.Run(t.Context(), wakingClock{base, make(chan struct{}, 1)}, nil)
			done <- err
		}()
		<-p.Begun()
		time.Sleep(time.Second + 50*ms)
		down.Store(true)
		if _, err := p.Cut("a", edit.Stall); !errors.Is(err, gone) {
			t.Errorf("got error %v", err)
		}
		if err := <-done; !errors.Is(err, gone) || !strings.Contains(err.Error(), "by hand at 1s of the tape") {
			t.Errorf("got error %v", err)
		}
	})
}

// A caller that gives up before the loop has taken its command undoes it.
func TestCommandGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		p := mustNew(t, openTape(t, twoLinks()), linksOfTwo(), Options{})
		done := make(chan *Summary)
		go func() {
			sum, _ := p.Run(t.Context(), clock, nil) // whose sleeps nothing ends
			done <- sum
		}()
		<-p.Begun()
		time.Sleep(3110*ms + lead)
		ctx, cancel := context.WithTimeout(t.Context(), ms)
		defer cancel()
		if _, err := p.Do(ctx, Command{Verb: Pause}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not done") {
			t.Errorf("got error %v", err)
		}
		if sum := <-done; sum.Acts != 0 || sum.Played != 4*time.Second {
			t.Errorf("got %+v", sum)
		}
	})
}

func TestNextEvent(t *testing.T) {
	tl := twoWays(4 * time.Second) // an outage from 1 to 1.5 s
	drive(t, tl, Options{Times: 2, Speed: 0.5}, func(t *testing.T, d *driven) {
		d.until(500 * ms)
		e := d.NextEvent()
		if e == nil || *e != (TapeEvent{Tape: time.Second, In: 1500 * ms, Link: "a", Dir: "down", Label: "outage", What: LosesAll}) {
			t.Errorf("got %+v", e)
		}
		a, err := d.Do(t.Context(), Command{Verb: Skip, Next: true})
		if err != nil || a.Tape != time.Second {
			t.Errorf("got %+v, error %v", a, err)
		}
		if e = d.NextEvent(); e == nil || e.Tape != 1500*ms || e.What != "" {
			t.Errorf("got %+v", e)
		}
		d.until(a.At + time.Second + ms)
		if e = d.NextEvent(); e == nil || e.Tape != time.Second || e.In != 7*time.Second-ms { // of the next pass
			t.Errorf("got %+v", e)
		}
		if got := d.labelAt(0, 1200*ms) + d.labelAt(0, 1500*ms); got != "outage" {
			t.Errorf("got labels %q", got)
		}
		if got := d.EventsBetween(999*ms, time.Second); len(got) != 2 {
			t.Errorf("got %+v", got)
		}
		d.Stop()
	})
}

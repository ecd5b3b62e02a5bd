package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/trace"
)

var (
	aUp   = trace.LinkDir{Link: "a", Dir: trace.Up}
	aDown = trace.LinkDir{Link: "a", Dir: trace.Down}
	bUp   = trace.LinkDir{Link: "b", Dir: trace.Up}
)

// twoLinks is a tape of 4 s: a changes every 100 ms, b.up at 0 and 2.5 s.
func twoLinks() *trace.Timeline {
	t := &trace.Timeline{Meta: trace.Meta{
		Duration: 4 * time.Second, Generator: "test 1", Seed: 7,
		Links: []trace.Link{{Name: "a", Up: true, Down: true}, {Name: "b", Up: true}},
	}}
	for i := range 40 {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			t.Steps = append(t.Steps, trace.Step{
				At: time.Duration(i) * 100 * ms, Link: "a", Dir: d,
				State: trace.State{Rate: trace.BitRate(i*100+int(d)) * trace.Kbit, Delay: 20 * ms, Carrier: true},
			})
		}
	}
	for _, at := range []time.Duration{0, 2500 * ms} {
		t.Steps = append(t.Steps, trace.Step{
			At: at, Link: "b", Dir: trace.Up,
			State: trace.State{Rate: trace.Mbit + trace.BitRate(at), Carrier: true},
		})
	}
	slices.SortFunc(t.Steps, trace.Compare)
	return t
}

func linksOfTwo() *fakeLinks { return newFakeLinks(aDown, aUp, bUp) }

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, f func(t *testing.T, clock bubbleClock)) {
	t.Helper()
	// The codecs of Parquet are made at their first use and hold channels, which
	// must not be of a bubble.
	file := filepath.Join(t.TempDir(), "x.parquet")
	var buf bytes.Buffer
	w, err := table.NewWriter[LogRow](&buf)
	if err == nil {
		err = errors.Join(w.Write(&LogRow{}), w.Close(), os.WriteFile(file, buf.Bytes(), 0o600))
	}
	if _, e := ReadLog(file); err != nil || e != nil {
		t.Fatal(err, e)
	}
	synctest.Test(t, func(t *testing.T) { f(t, newBubbleClock()) })
}

func mustNew(t *testing.T, tape *trace.Reader, links Links, opts Options) *Player {
	t.Helper()
	p, err := New(t.Context(), tape, links, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tapeBytes is what a tape allows a direction between two instants of the
// replay, by steps of a millisecond.
func tapeBytes(tl *trace.Timeline, ld trace.LinkDir, from, to, played time.Duration) int64 {
	var sum trace.Service
	for at := time.Duration(0); at < played; at += ms {
		var rate trace.BitRate
		for _, s := range tl.Steps {
			if s.LinkDir() == ld && s.At <= from+at%(to-from) {
				rate = s.Rate
			}
		}
		sum.Add(rate, ms)
	}
	return sum.Bytes()
}

func TestPlayToTheEnd(t *testing.T) {
	for _, c := range []struct {
		name      string
		opts      Options
		steps     int64
		missing   bool // a's path
		last      trace.BitRate
		tapeFirst time.Duration
	}{
		{"whole tape", Options{}, 82, false, 3901 * trace.Kbit, 0},
		{"window", Options{From: 1050 * ms, Duration: 1500 * ms}, 34, false, 2501 * trace.Kbit, 1050 * ms},
		{"rates only", Options{RatesOnly: true}, 82, true, 3901 * trace.Kbit, 0},
		{"a window within one step", Options{From: 10 * ms, Duration: 20 * ms}, 3, false, 1 * trace.Kbit, 10 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				tl, links := twoLinks(), linksOfTwo()
				links.endpoints[aUp].path = !c.missing
				p := mustNew(t, openTape(t, tl), links, c.opts)
				if links.replaying {
					t.Error("New began the replay")
				}
				file := filepath.Join(t.TempDir(), "applied.parquet")
				f, err := os.Create(file)
				if err != nil {
					t.Fatal(err)
				}
				began := clock.Now()
				sum, err := p.Run(t.Context(), clock, f)
				if err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				window := p.Window()
				// The epoch is after the producer's last nap.
				if got := clock.Now() - began; got < window+lead || got > window+lead+2*nap {
					t.Errorf("took %v, want %v", got, window)
				}
				if sum.Played != window || sum.Loops != 1 || sum.Stopped || sum.Steps != c.steps || sum.Missed != 0 || sum.Starved != 0 || len(sum.Warnings) > 0 {
					t.Errorf("got %+v, want %d steps to the end", sum, c.steps)
				}
				if sum.Tape != tl.Hash() || sum.From != c.opts.From || sum.RatesOnly != c.opts.RatesOnly || sum.Left != "keep" {
					t.Errorf("got %+v", sum)
				}

				rows, err := ReadLog(file)
				if err != nil {
					t.Fatal(err)
				}
				want := modelEntries(tl, c.opts.From, c.opts.From+window, 1, c.opts.RatesOnly)
				if len(rows) != len(want) {
					t.Fatalf("got %d rows, want %d", len(rows), len(want))
				}
				for i, e := range want {
					ld := p.Directions()[e.Dir]
					row := LogRow{
						Due: int64(e.At), Sent: int64(e.At), Acked: int64(e.At), Tape: int64(e.Tape), Link: ld.Link, Dir: ld.Dir.String(),
						Hold: int64(e.Hold), Rate: int64(e.State.Rate), Delay: int64(e.State.Delay), Carrier: true,
						Messages: 2, Closed: e.State.Rate == 0,
					}
					if rows[i] != row {
						t.Fatalf("row %d: got %+v, want %+v", i, rows[i], row)
					}
				}
				for i, ld := range p.Directions() {
					if got, want := sum.Links[i].TapeBytes, tapeBytes(tl, ld, c.opts.From, c.opts.From+window, window); got != want {
						t.Errorf("%v: got %d bytes allowed, want %d", ld, got, want)
					}
					e := links.endpoints[ld]
					if e.seed != seedOf(7, ld) {
						t.Errorf("%v: got seed %d", ld, e.seed)
					}
					// The last call leaves the link as it is, until further notice.
					n := len(e.calls)
					if last := e.calls[n-1]; last.Hold != 0 || last.State != e.calls[n-2].State || links.left[ld] != last.State {
						t.Errorf("%v: left with %+v after %+v, recorded %+v", ld, last, e.calls[n-2], links.left[ld])
					}
				}
				if got := links.left[aUp].Rate; got != c.last || links.replaying {
					t.Errorf("got %v left (replaying %v), want %v", got, links.replaying, c.last)
				}
			})
		})
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := make(map[uint64]string)
	for seed := range uint64(3) {
		for _, ld := range []trace.LinkDir{aUp, aDown, bUp} {
			s, name := seedOf(seed, ld), fmt.Sprint(seed, ld)
			if seen[s] != "" {
				t.Errorf("%s has the seed of %s", name, seen[s])
			}
			seen[s] = name
		}
	}
}

func TestPlayLeaves(t *testing.T) {
	before := trace.State{Rate: 3 * trace.Mbit, Carrier: true, Label: "before"}
	initial := trace.State{Rate: 100 * trace.Mbit, Carrier: true, Label: "initial"}
	for _, c := range []struct {
		name   string
		leave  Leave
		cancel time.Duration // 0: never
		want   trace.State   // of b.up
	}{
		{"keep", Keep, 0, trace.State{Rate: trace.Mbit + 2500*1e6, Carrier: true}},
		{"restore", Restore, 0, before},
		{"neutral", Neutral, 0, initial},
		{"keep, stopped", Keep, time.Second, trace.State{Rate: trace.Mbit, Carrier: true}},
		{"restore, stopped", Restore, time.Second, before},
		{"neutral, stopped", Neutral, time.Second, initial},
		{"keep, stopped before the first step", Keep, 1, before},
		{"neutral, stopped before the first step", Neutral, 1, before},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				links := linksOfTwo()
				links.endpoints[bUp].counters = netsetup.Counters{Bytes: 5e6, Packets: 4000, Drops: 3}
				p := mustNew(t, openTape(t, twoLinks()), links, Options{Leave: c.leave})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				sum, err := p.Run(ctx, clock, nil)
				if err != nil {
					t.Fatal(err)
				}
				if sum.Stopped != (c.cancel > 0) || sum.Left != string(c.leave) {
					t.Errorf("got stopped %v, left %s", sum.Stopped, sum.Left)
				}
				if c.cancel > 0 && (sum.Played < 0 || sum.Played > c.cancel+nap) {
					t.Errorf("played %v, stopped at %v", sum.Played, c.cancel)
				}
				if got := links.left[bUp]; got != c.want || links.replaying {
					t.Errorf("got %+v left (replaying %v), want %+v", got, links.replaying, c.want)
				}
				if calls := links.endpoints[bUp].calls; calls[len(calls)-1].State != c.want {
					t.Errorf("got %+v applied, want %+v", calls[len(calls)-1], c.want)
				}
				if r := sum.Links[2]; r.DeliveredBytes != 0 || r.Drops != 0 || r.Packets != 0 {
					t.Errorf("what was delivered before the replay is counted: %+v", r)
				}
			})
		})
	}
}

func TestPlayLoop(t *testing.T) {
	for _, c := range []struct {
		name           string
		tl             *trace.Timeline
		from, duration time.Duration
		played         time.Duration
		loops          int
		steps          int64
	}{
		{"whole tape", twoLinks(), 0, 0, 30 * time.Second, 8, 600 + 15},
		{"window of half a second", twoLinks(), 200 * ms, 500 * ms, 30 * time.Second, 60, 600 + 1},
		{"without changes", constant(), 0, 0, 10 * time.Minute, 2000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				links := newFakeLinks(c.tl.Meta.Directions()...)
				p := mustNew(t, openTape(t, c.tl), links, Options{From: c.from, Duration: c.duration, Loop: true})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				// Half-way between two steps, so that there is one right answer.
				time.AfterFunc(c.played, func() {
					for p.Position() < c.played-50*ms-lead {
						time.Sleep(ms)
					}
					cancel()
				})
				sum, err := p.Run(ctx, clock, nil)
				if err != nil {
					t.Fatal(err)
				}
				if sum.Loops != c.loops || !sum.Stopped || sum.Starved > 0 || sum.Missed > 0 {
					t.Errorf("got %+v, want %d loops", sum, c.loops)
				}
				if d := sum.Steps - c.steps; d < -3 || d > 3 {
					t.Errorf("got %d steps, want %d", sum.Steps, c.steps)
				}
				for i, ld := range p.Directions() {
					to := c.from + p.Window()
					got := sum.Links[i].TapeBytes
					least, most := tapeBytes(c.tl, ld, c.from, to, sum.Played.Truncate(ms)), tapeBytes(c.tl, ld, c.from, to, sum.Played.Truncate(ms)+ms)
					if c.played <= time.Minute && (got < least || got > most) {
						t.Errorf("%v: got %d bytes allowed in %v, want %d to %d", ld, got, sum.Played, least, most)
					}
				}
			})
		})
	}
}

// However long and sparse a tape is, only a few seconds of it are read ahead,
// and no step comes late.
func TestPlayReadsAhead(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		tl := &trace.Timeline{Meta: trace.Meta{Duration: 10 * time.Minute, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
		for i := range 600 {
			tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * time.Second, Link: "a", Dir: trace.Up,
				State: trace.State{Rate: trace.BitRate(i+1) * trace.Kbit, Carrier: true}})
		}
		links := newFakeLinks(aUp)
		p := mustNew(t, openTape(t, tl), links, Options{})
		most := 0
		links.endpoints[aUp].apply = func(call) error {
			most = max(most, int(p.loop.entries.tail.Load()-p.loop.entries.head.Load()))
			return nil
		}
		sum, err := p.Run(t.Context(), clock, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Steps != 600 || sum.Starved > 0 || sum.Lateness.Max > 0 {
			t.Errorf("got %+v", sum)
		}
		if want := int((ahead + nap) / time.Second); most == 0 || most > want+1 { // one is being applied
			t.Errorf("%d steps were read ahead, want at most %d", most, want+1)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.tape")
	if err := trace.WriteFile(good, twoLinks()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged.tape")
	data[len(data)/4]++
	if err := os.WriteFile(damaged, data, 0o600); err != nil {
		t.Fatal(err)
	}
	late := twoLinks() // needs a path only at its end
	for i := range late.Steps {
		late.Steps[i].Delay = 0
	}
	late.Steps[len(late.Steps)-1].Loss = 0.5 // a.up at 3.9 s
	lateFile := filepath.Join(dir, "late.tape")
	if err := trace.WriteFile(lateFile, late); err != nil {
		t.Fatal(err)
	}
	late.Steps[len(late.Steps)-1].Duplicate = 0.5
	doubleFile := filepath.Join(dir, "double.tape")
	if err := trace.WriteFile(doubleFile, late); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()

	for _, c := range []struct {
		name, tape string
		ctx        context.Context
		opts       Options
		change     func(*fakeLinks)
		want       string // "": accepted
		is         error
	}{
		{"good", good, nil, Options{}, nil, "", nil},
		{"negative offset", good, nil, Options{From: -1}, nil, "play 0s from -1ns: the tape lasts 4s", nil},
		{"offset at the end", good, nil, Options{From: 4 * time.Second}, nil, "the tape lasts 4s", nil},
		{"longer than the tape", good, nil, Options{From: time.Second, Duration: 3*time.Second + 1}, nil, "the tape lasts 4s", nil},
		{"longer than any", good, nil, Options{From: 1, Duration: 1<<63 - 1}, nil, "the tape lasts 4s", nil},
		{"negative duration", good, nil, Options{Duration: -1}, nil, "the tape lasts 4s", nil},
		{"unknown leave", good, nil, Options{Leave: "clean"}, nil, `leave the links "clean"`, nil},
		{"missing link", good, nil, Options{}, func(l *fakeLinks) { delete(l.endpoints, bUp) }, "no link b", nil},
		{"damaged", damaged, nil, Options{}, nil, "read tape: ", nil},
		{"damaged, window", damaged, nil, Options{From: time.Second}, nil, "read tape at 1s: ", nil},
		{"no path", good, nil, Options{}, func(l *fakeLinks) { l.endpoints[aDown].path = false }, "a.down at 0s", netsetup.ErrNotSupported},
		{"no path on a link that needs none", good, nil, Options{}, func(l *fakeLinks) { l.endpoints[bUp].path = false }, "", nil},
		{"no path, rates only", good, nil, Options{RatesOnly: true}, func(l *fakeLinks) { l.endpoints[aDown].path = false }, "", nil},
		{"no path at the end", lateFile, nil, Options{}, func(l *fakeLinks) { l.endpoints[aUp].path = false }, "a.up at 3.9s", netsetup.ErrNotSupported},
		{"no path in force before the window", lateFile, nil, Options{From: 3950 * ms}, func(l *fakeLinks) { l.endpoints[aUp].path = false }, "a.up at 3.9s", netsetup.ErrNotSupported},
		{"no path after the window", lateFile, nil, Options{Duration: 3900 * ms}, func(l *fakeLinks) { l.endpoints[aUp].path = false }, "", nil},
		{"duplicates", doubleFile, nil, Options{}, func(l *fakeLinks) { l.endpoints[aUp].single = true }, "the tape has duplicates on a.up at 3.9s: not supported by this kernel: duplicates; play the rates alone with --rates-only, or", netsetup.ErrNotSupported},
		{"duplicates, rates only", doubleFile, nil, Options{RatesOnly: true}, func(l *fakeLinks) { l.endpoints[aUp].single = true }, "", nil},
		{"duplicates after the window", doubleFile, nil, Options{Duration: 3900 * ms}, func(l *fakeLinks) { l.endpoints[aUp].single = true }, "", nil},
		{"duplicates on another link", doubleFile, nil, Options{}, func(l *fakeLinks) { l.endpoints[bUp].single = true }, "", nil},
		{"stopped", good, stopped, Options{}, nil, "stopped before the first step, nothing was changed", context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			tape, err := trace.Open(c.tape)
			if err != nil {
				t.Skipf("the damage shows when the tape is opened: %v", err)
			}
			defer tape.Close()
			links := linksOfTwo()
			if c.change != nil {
				c.change(links)
			}
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, err = New(ctx, tape, links, c.opts)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is)):
				t.Errorf("got error %v, want one with %q that is %v", err, c.want, c.is)
			}
			for ld, e := range links.endpoints {
				if len(e.calls) > 0 || links.replaying {
					t.Errorf("%v was changed", ld)
				}
			}
		})
	}
}

// Every fault of a running replay: what is returned, and what the links are
// left in.
func TestPlayFaults(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name      string
		arrange   func(*fakeLinks, *Player)
		space     int // for the log; 0: no log
		want      string
		steps     int64 // −1: no summary
		left      string
		replaying bool
	}{{
		name:    "the run cannot be marked",
		arrange: func(l *fakeLinks, _ *Player) { l.beginErr = broken },
		want:    "broken", steps: -1,
	}, {
		name: "a change fails",
		arrange: func(l *fakeLinks, _ *Player) {
			l.endpoints[bUp].apply = func(c call) error {
				if c.At > 0 {
					return broken
				}
				return nil
			}
		},
		want: "step at 2.5s of the tape: broken; the replay ended there and the links are left as they are", steps: -1, replaying: true,
	}, {
		name: "the tape cannot be read any more",
		arrange: func(_ *fakeLinks, p *Player) {
			p.sched.tape = &memory{Timeline: twoLinks(), err: broken, fail: 3 * time.Second}
		},
		// What is in the last second before the damage may wait for its hold.
		want: "the replay ended after 2", steps: 53, left: "restore",
	}, {
		name: "counters fail at the end",
		arrange: func(l *fakeLinks, _ *Player) {
			l.endpoints[aUp].count = func() (netsetup.Counters, error) { return netsetup.Counters{}, broken }
		},
		want: "leave the links in a known state: broken", steps: 82, left: "unknown", replaying: true,
	}, {
		name: "a link cannot be restored",
		arrange: func(l *fakeLinks, _ *Player) {
			l.endpoints[aDown].apply = func(c call) error {
				if c.State.Label == "before" {
					return broken
				}
				return nil
			}
		},
		want: "leave the links in a known state: broken", steps: 82, left: "unknown", replaying: true,
	}, {
		name:    "the end cannot be recorded",
		arrange: func(l *fakeLinks, _ *Player) { l.endErr = broken },
		want:    "leave the links in a known state: broken", steps: 82, left: "unknown", replaying: true,
	}, {
		name: "no space for the log at all", space: 1,
		want: "write the applied log: ", steps: 82, left: "restore",
	}, {
		name: "no space for the end of the log", space: 1000,
		want: "write the applied log: ", steps: 82, left: "restore",
	}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				links := linksOfTwo()
				p := mustNew(t, openTape(t, twoLinks()), links, Options{Leave: Restore})
				if c.arrange != nil {
					c.arrange(links, p)
				}
				var sum *Summary
				var err error
				if c.space > 0 {
					sum, err = p.Run(t.Context(), clock, &fullDisk{c.space})
				} else {
					sum, err = p.Run(t.Context(), clock, nil)
				}
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got error %v, want one with %q", err, c.want)
				}
				if c.space > 0 && c.space < 4 && sum == nil && !links.replaying {
					return // refused at once: fine too
				}
				if links.replaying != c.replaying {
					t.Errorf("got replaying %v, want %v", links.replaying, c.replaying)
				}
				if c.steps < 0 {
					if sum != nil {
						t.Errorf("got summary %+v, want none", sum)
					}
					return
				}
				if sum == nil {
					t.Fatal("got no summary")
				}
				if d := sum.Steps - c.steps; sum.Left != c.left || d < 0 || d > 0 && c.steps == 82 {
					t.Errorf("got %d steps, left %q, want %d, %q", sum.Steps, sum.Left, c.steps, c.left)
				}
				// Whatever one link had, the others are restored.
				for _, ld := range p.Directions() {
					calls := links.endpoints[ld].calls
					if last := calls[len(calls)-1].State; last.Label != "before" && !(c.name == "a link cannot be restored" && ld == aDown) {
						t.Errorf("%v is left in %+v", ld, last)
					}
				}
			})
		})
	}
}

// A log on a disk that fills up anywhere does not disturb the replay.
func TestPlayLogOnFullDisk(t *testing.T) {
	var whole bytes.Buffer
	run := func(t *testing.T, clock bubbleClock, space int) (*Summary, error) {
		p := mustNew(t, openTape(t, twoLinks()), linksOfTwo(), Options{})
		if space < 0 {
			return p.Run(t.Context(), clock, &whole)
		}
		return p.Run(t.Context(), clock, &fullDisk{space})
	}
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		if _, err := run(t, clock, -1); err != nil {
			t.Fatal(err)
		}
	})
	r := rand.New(rand.NewPCG(1, 2))
	for space := 0; space < whole.Len(); space += 1 + r.IntN(whole.Len()/8) {
		inBubble(t, func(t *testing.T, clock bubbleClock) {
			sum, err := run(t, clock, space)
			if err == nil || !strings.Contains(err.Error(), "write the applied log: ") || !errors.Is(err, errFull) {
				t.Errorf("%d bytes free of %d: got error %v", space, whole.Len(), err)
			}
			if sum != nil && sum.Steps != 82 {
				t.Errorf("%d bytes free of %d: got %d steps", space, whole.Len(), sum.Steps)
			}
			if sum == nil && space > 3 {
				t.Errorf("%d bytes free of %d: got no summary", space, whole.Len())
			}
		})
	}
}

func TestWarnsAfterAKill(t *testing.T) {
	for _, c := range []struct {
		leave  Leave
		killed bool
		want   int
	}{{Restore, true, 1}, {Restore, false, 0}, {Keep, true, 0}} {
		links := linksOfTwo()
		links.killed = c.killed
		p := mustNew(t, openTape(t, twoLinks()), links, Options{Leave: c.leave})
		if len(p.sum.Warnings) != c.want {
			t.Errorf("%s, killed %v: got warnings %q, want %d", c.leave, c.killed, p.sum.Warnings, c.want)
		}
	}
}

// What links leave to chance is said where the window has chance in it.
func TestWarnsOfChance(t *testing.T) {
	tl := twoLinks() // no chance, until the last step
	tl.Steps[len(tl.Steps)-1].Jitter = ms
	file := filepath.Join(t.TempDir(), "x.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts Options
		want int
	}{
		{"all of it", Options{}, 1},
		{"the end", Options{From: 3950 * ms}, 1},
		{"before it", Options{Duration: time.Second}, 0},
		{"rates only", Options{RatesOnly: true}, 0},
	} {
		tape, err := trace.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		links := linksOfTwo()
		links.warnings = []string{"not the same twice"}
		if p := mustNew(t, tape, links, c.opts); len(p.sum.Warnings) != c.want {
			t.Errorf("%s: got warnings %q, want %d", c.name, p.sum.Warnings, c.want)
		}
		tape.Close()
	}
}

func TestStoppedBeforeRun(t *testing.T) {
	links := linksOfTwo()
	p := mustNew(t, openTape(t, twoLinks()), links, Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("because")
	cancel(because)
	sum, err := p.Run(ctx, &fakeClock{}, nil)
	if sum != nil || !errors.Is(err, because) || links.replaying {
		t.Errorf("got %+v, %v (replaying %v), want the cause and nothing changed", sum, err, links.replaying)
	}
}

func TestProgressOfARun(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		links := linksOfTwo()
		var bytes atomic.Uint64
		e := links.endpoints[bUp]
		e.counters = netsetup.Counters{Bytes: 1000, Drops: 4}
		e.apply = func(c call) error {
			if c.At > 0 {
				e.counters = netsetup.Counters{Bytes: 51_000, Drops: 6, BacklogBytes: 77}
				bytes.Store(50_000)
			}
			return nil
		}
		var checked []float64
		p := mustNew(t, openTape(t, twoLinks()), links, Options{Loop: true, Checking: func(f float64) { checked = append(checked, f) }})
		if len(checked) == 0 || checked[len(checked)-1] > 1 || checked[0] < 0 {
			t.Errorf("got fractions %v", checked)
		}
		if p.Position() != 0 || !p.Looping() || p.Window() != 4*time.Second {
			t.Errorf("before the start: at %v, looping %v, window %v", p.Position(), p.Looping(), p.Window())
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, func() {
			pr := p.Progress(2)
			got := []int64{pr.Steps.Load(), pr.At.Load(), pr.Tape.Load(), pr.Rate.Load(), int64(pr.Bytes.Load()), int64(pr.Drops.Load()), int64(pr.Backlog.Load())}
			want := []int64{2, 2.5e9, 2.5e9, 2501e6, 50_000, 2, 77}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("progress of b.up (-got +want):\n%s", diff)
			}
			if at := p.Position(); at > 3*time.Second || at < 3*time.Second-lead-nap {
				t.Errorf("at %v, want 3s", at)
			}
			cancel()
		})
		if _, err := p.Run(ctx, clock, nil); err != nil {
			t.Fatal(err)
		}
	})
}

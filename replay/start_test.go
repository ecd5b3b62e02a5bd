package replay

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// applied lists when each step of a direction was applied, by a clock.
func applied(e *fakeEndpoint, clock Clock) *[]time.Duration {
	when := new([]time.Duration)
	e.apply = func(call) error {
		*when = append(*when, clock.Now())
		return nil
	}
	return when
}

// However a replay starts, every step comes at its instant from there.
func TestStart(t *testing.T) {
	const wait = 90 * time.Second
	for _, c := range []struct {
		name     string
		options  func(o *Options, now time.Time)
		after    time.Duration // from Run to the epoch, at least
		within   time.Duration // of that
		start    string
		detected time.Duration
		joined   time.Duration
		steps    int64
		warnings int
	}{
		{"now", func(*Options, time.Time) {}, lead, 2 * nap, "now", 0, 0, 82, 0},
		{"at an instant", func(o *Options, now time.Time) { o.At = now.Add(wait) }, wait, 0, "at", 0, 0, 82, 0},
		{"at an instant soon", func(o *Options, now time.Time) { o.At = now.Add(joinLead) }, joinLead, 0, "at", 0, 0, 82, 0},
		{"at an instant that has passed", func(o *Options, now time.Time) { o.At = now.Add(-time.Second) }, -time.Second, 0, "at", 0, time.Second + joinLead, 58, 1},
		{"at an event", func(o *Options, now time.Time) {
			o.Trigger = TriggerFunc(func(context.Context) (Event, error) {
				time.Sleep(wait)
				return Event{What: "bell", Ago: 3 * ms}, nil
			})
		}, wait - 3*ms, 2 * nap, "bell", 3 * ms, 0, 82, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				tl, links := twoLinks(), linksOfTwo()
				when := applied(links.endpoints[aUp], clock)
				opts, told := Options{}, 0
				began := clock.Now()
				opts.Waiting = func() { told++ }
				c.options(&opts, time.Now())
				p := mustNew(t, openTape(t, tl), links, opts)
				wall := time.Now()
				sum, err := p.Run(t.Context(), clock, nil)
				if err != nil {
					t.Fatal(err)
				}
				epoch := time.Duration(p.epoch.Load())
				if got := epoch - began; got < c.after || got > c.after+c.within {
					t.Errorf("the epoch is %v after the start, want %v", got, c.after)
				}
				if got := sum.Epoch.Sub(wall); got != epoch-began {
					t.Errorf("the summary's epoch is %v after the start, want %v", got, epoch-began)
				}
				if sum.Start != c.start || sum.Detected != c.detected || sum.Joined != c.joined || sum.Steps != c.steps || sum.Stopped || sum.Speed != 1 {
					t.Errorf("got %+v", sum)
				}
				if sum.Lateness.Max != c.detected || sum.Played != 4*time.Second || sum.Missed != 0 {
					t.Errorf("got %v late, played %v, %d missed, want %v late", sum.Lateness.Max, sum.Played, sum.Missed, c.detected)
				}
				if got := told == 1; got != (c.start != "now") {
					t.Errorf("told %d times that it waits", told)
				}
				// The clock's discipline is the machine's: said where it matters.
				own := 0
				for _, w := range sum.Warnings {
					if strings.Contains(w, "came 1.25s late and joined") {
						own++
					}
				}
				if own != c.warnings || c.start != "at" && len(sum.Warnings) > 0 {
					t.Errorf("got warnings %q", sum.Warnings)
				}
				n := int(c.joined / (100 * ms)) // the step in force then
				for _, at := range (*when)[:len(*when)-1] {
					want := max(epoch+time.Duration(n)*100*ms, epoch+c.joined)
					if n == 0 {
						want += c.detected
					}
					if at != want {
						t.Fatalf("step %d came %v after the epoch, want %v", n, at-epoch, want-epoch)
					}
					n++
				}
				if n != 40 {
					t.Errorf("got steps up to number %d, want 40", n)
				}
				if w := sum.Wall; w == nil || w.OffsetStart != 0 || w.OffsetEnd != 0 || w.OffsetMax != 0 || w.Drift != 0 {
					t.Errorf("got wall clock %+v, want no offset", w)
				}
			})
		})
	}
}

// While it waits, an armed replay has given the links the tape's first state;
// one that does not begin gives back what they had.
func TestStartStopped(t *testing.T) {
	because := errors.New("because")
	for _, c := range []struct {
		name string
		opts Options
		fail bool // the trigger, by itself
	}{
		{"at an instant", Options{At: time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		{"at an event", Options{}, false},
		{"armed", Options{Arm: true}, false},
		{"the event fails", Options{}, true},
		{"armed, the event fails", Options{Arm: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, clock bubbleClock) {
				links := linksOfTwo()
				ctx, cancel := context.WithCancelCause(t.Context())
				opts := c.opts
				if opts.At.IsZero() {
					opts.Trigger = TriggerFunc(func(ctx context.Context) (Event, error) {
						if c.fail {
							return Event{}, because
						}
						<-ctx.Done()
						return Event{}, context.Cause(ctx)
					})
				}
				waited := false
				opts.Waiting = func() {
					waited = true
					for ld, e := range links.endpoints {
						n := 0
						if opts.Arm {
							n = 1
						}
						if len(e.calls) != n || n > 0 && (e.calls[0].State != firstOf(twoLinks(), ld) || e.calls[0].Hold != 0) {
							t.Errorf("%v: got %+v, armed %v", ld, e.calls, opts.Arm)
						}
					}
				}
				time.AfterFunc(time.Hour, func() { cancel(because) })
				p := mustNew(t, openTape(t, twoLinks()), links, opts)
				sum, err := p.Run(ctx, clock, nil)
				if sum != nil || !errors.Is(err, because) || links.replaying || !waited {
					t.Errorf("got %+v, error %v, replaying %v, waited %v", sum, err, links.replaying, waited)
				}
				for ld, e := range links.endpoints {
					if n := len(e.calls); opts.Arm && e.calls[n-1].State != links.before[ld] || !opts.Arm && n > 0 {
						t.Errorf("%v is left in %+v", ld, e.calls)
					}
				}
				if p.Position() != 0 {
					t.Errorf("at %v", p.Position())
				}
			})
		})
	}
}

func firstOf(tl *trace.Timeline, ld trace.LinkDir) trace.State {
	i := slices.IndexFunc(tl.Steps, func(s trace.Step) bool { return s.LinkDir() == ld })
	return tl.Steps[i].State
}

// An armed replay that begins plays as any other.
func TestStartArmed(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		links := linksOfTwo()
		p := mustNew(t, openTape(t, twoLinks()), links, Options{Arm: true, Trigger: TriggerFunc(func(context.Context) (Event, error) {
			time.Sleep(time.Minute)
			return Event{What: "bell"}, nil
		})})
		sum, err := p.Run(t.Context(), clock, nil)
		if err != nil {
			t.Fatal(err)
		}
		calls := links.endpoints[aUp].calls
		if sum.Steps != 82 || len(calls) != 42 || calls[0].State != calls[1].State || calls[1].Hold != 100*ms {
			t.Errorf("got %d steps, calls %+v", sum.Steps, calls[:2])
		}
	})
}

func TestStartTooLate(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		for _, c := range []struct {
			late time.Duration
			opts Options
			want string // "": it joins
		}{
			{4 * time.Second, Options{}, "that was 4s ago, and the replay lasts 4s"},
			{3900 * ms, Options{}, "that was 3.9s ago, and the replay lasts 4s"}, // too little is left
			{10 * time.Second, Options{}, "that was 10s ago, and the replay lasts 4s"},
			{10 * time.Second, Options{Times: 2}, "that was 10s ago, and the replay lasts 8s"},
			{10 * time.Second, Options{Speed: 0.5}, "that was 10s ago, and the replay lasts 8s"},
			{10 * time.Second, Options{Times: 3}, ""},
			{time.Hour, Options{Loop: true}, ""},
		} {
			links := linksOfTwo()
			c.opts.At = time.Now().Add(-c.late)
			p := mustNew(t, openTape(t, twoLinks()), links, c.opts)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			sum, err := p.Run(ctx, clock, nil)
			cancel()
			switch {
			case c.want == "":
				if err != nil || sum.Joined < c.late || sum.Joined > c.late+time.Second || sum.Lateness.Max != 0 || sum.Steps == 0 {
					t.Errorf("%v late: got %+v, %v", c.late, sum, err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || links.replaying:
				t.Errorf("%v late: got error %v, want %q", c.late, err, c.want)
			}
		}
	})
}

func TestStartOptions(t *testing.T) {
	event := TriggerFunc(func(context.Context) (Event, error) { return Event{}, nil })
	for want, o := range map[string]Options{
		"an instant and at an event": {At: time.Unix(1, 0), Trigger: event},
		"over and over, and":         {Loop: true, Times: 2},
		"play -1 times":              {Times: -1},
		"speed -1":                   {Speed: -1},
		"speed 0.0001":               {Speed: 0.0001},
		"speed 1001":                 {Speed: 1001},
	} {
		if _, err := New(t.Context(), openTape(t, twoLinks()), linksOfTwo(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// The tape's time is scaled, and nothing else.
func TestPlaySpeed(t *testing.T) {
	for _, speed := range []float64{0.25, 0.5, 2, 3, 100} {
		inBubble(t, func(t *testing.T, clock bubbleClock) {
			tl, links := twoLinks(), linksOfTwo()
			p := mustNew(t, openTape(t, tl), links, Options{Speed: speed, Times: 2})
			sum, err := p.Run(t.Context(), clock, nil)
			if err != nil {
				t.Fatal(err)
			}
			window := time.Duration(float64(4*time.Second)/speed + 0.5)
			if sum.Played != 2*window || sum.Loops != 2 || sum.Steps != 164 || sum.Speed != speed || p.Window() != window || !p.Looping() {
				t.Errorf("speed %v: got %+v, want %v played", speed, sum, 2*window)
			}
			for i, c := range links.endpoints[aUp].calls[:80] {
				want := time.Duration(i/40)*window + time.Duration(float64(i%40)*float64(100*ms)/speed+0.5)
				step := tl.Steps[slices.IndexFunc(tl.Steps, func(s trace.Step) bool { return s.LinkDir() == aUp && s.At == time.Duration(i%40)*100*ms })]
				if c.At != want || c.State != step.State {
					t.Fatalf("speed %v: step %d at %v, want %v", speed, i, c.At, want)
				}
			}
		})
	}
}

// The wall clock is followed: what it is set by shows.
func TestWallClock(t *testing.T) {
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		wall, now := bothClocks(clock)
		w := &wallWatch{clock: clock, epoch: now, wall: wall, stop: make(chan struct{})}
		set := time.Duration(0)
		w.offsetHook = func() time.Duration { return set }
		w.begin()
		for _, set = range []time.Duration{3 * ms, -7 * ms, 2 * ms} {
			time.Sleep(10 * time.Second)
			w.look()
		}
		got := w.end()
		if got.OffsetStart != 0 || got.OffsetEnd != 2*ms || got.OffsetMax != -7*ms {
			t.Errorf("got %+v", got)
		}
		if want := 2e-3 / 30 * 1e6; got.Drift < want*0.999 || got.Drift > want*1.001 {
			t.Errorf("got a drift of %v ppm, want %v", got.Drift, want)
		}
	})
	for _, c := range []struct {
		w    WallClock
		want []string
	}{
		{WallClock{Known: true, Synchronised: true, OffsetMax: -tolerated}, nil},
		{WallClock{Known: true, Synchronised: true, OffsetMax: -2 * ms}, []string{"was set by -2ms"}},
		{WallClock{Known: true}, []string{"is not synchronised"}},
		{WallClock{OffsetMax: time.Hour}, []string{"is not known", "was set by 1h0m0s"}},
	} {
		got := c.w.warnings()
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%+v: got warnings %q, want %q", c.w, got, c.want)
		}
	}
}

// A schedule that is entered late goes on as one that was there from the start.
func TestScheduleSkips(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		tl := randomTape(r)
		of := func(skip time.Duration) (out []Entry, length time.Duration) {
			s := &schedule{
				tape: &memory{Timeline: tl}, dirs: indexOf(tl.Meta.Directions()), to: tl.Meta.Duration,
				times: int(1 + seed%4), speed: []float64{0, 0.5, 3, 1000}[seed%16/4], skip: skip,
			}
			s.emit = func(e *Entry) error {
				out = append(out, *e)
				return nil
			}
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			return out, s.length()
		}
		whole, length := of(0)
		skip := time.Duration(r.Int64N(int64(length)))
		got, _ := of(skip)
		states := func(entries []Entry, at time.Duration) map[int]trace.State {
			out := make(map[int]trace.State)
			for _, e := range entries {
				if e.At <= at {
					out[e.Dir] = e.State
				}
			}
			return out
		}
		for range 50 {
			at := skip + time.Duration(r.Int64N(int64(length-skip)))
			want, have := states(whole, at), states(got, at)
			for d, s := range want {
				if have[d] != s {
					t.Fatalf("seed %d: entered at %v, at %v direction %d is in %+v, want %+v", seed, skip, at, d, have[d], s)
				}
			}
		}
		for i, e := range got {
			if e.At < skip || e.Hold < 0 || i > 0 && e.At < got[i-1].At {
				t.Fatalf("seed %d: entered at %v, got %+v", seed, skip, e)
			}
		}
	}
}

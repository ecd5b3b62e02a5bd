package replay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/edt"
	"linktape/edt/bpf"
	"linktape/netsetup"
	"linktape/trace"
	"linktape/trace/edit"
)

// longestWait is how long a packet may wait that fills the queue, of those that come
// at any of some instants, and how many steps of the tape are in force meanwhile: by
// sending one at each to a model of its own.
func longestWait(t *testing.T, q trace.Queue, steps []trace.Step, end time.Duration, instants []time.Duration) (wait time.Duration, most int) {
	t.Helper()
	w := edt.NewWindow(q, 1500)
	for i := range steps {
		if err := w.Set(steps[i].At, &steps[i].State); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Extend(end); err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(w.Steps())
	for _, at := range instants {
		i := len(all) - 1
		for all[i].T > uint64(at) {
			i--
		}
		again := edt.NewWindow(q, 1500)
		again.Back(all, end) // models forget
		left := end
		v := edt.NewModel(again, 1, false).Packet(at, int(all[i].Limit))
		switch v.Fate {
		case edt.Delivered:
			left = v.Left
		case edt.Unknown:
		default:
			t.Fatalf("a packet that fills the queue at %v: %+v", at, v)
		}
		wait = max(wait, left-at)
		n := 0
		for k := i; k < len(all) && all[k].T < uint64(left); k++ {
			n++
		}
		most = max(most, n)
	}
	return wait, most
}

// The foresight is no shorter than the longest wait, and at most a second longer.
func TestForesight(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var waited time.Duration
	for i := range 100 {
		q := trace.Queue{LimitBytes: 3000 + rng.Int64N(2_000_000)}
		if i%2 == 0 {
			q = trace.Queue{LimitTime: time.Duration(1+rng.IntN(2000)) * ms}
		}
		var steps []trace.Step
		var instants []time.Duration
		at := time.Duration(0)
		longest := []time.Duration{10 * ms, time.Second, 20 * time.Second}[rng.IntN(3)]
		for range 1 + rng.IntN(60) {
			s := trace.Step{At: at, State: trace.State{Rate: trace.BitRate(rng.Int64N(int64(20 * trace.Mbit))), Carrier: true}}
			switch rng.IntN(5) {
			case 0:
				s.Rate = 0
			case 1:
				s.Rate %= 100 * trace.Kbit
			}
			steps = append(steps, s)
			d := 1 + time.Duration(rng.Int64N(int64(longest)))
			instants = append(instants, at, at+d/3, at+d-1)
			at += d
		}
		f := foresight{queue: q, mtu: 1500}
		for k := range steps {
			f.add(steps[k].At, &steps[k].State)
		}
		f.finish(at, false)
		want, most := longestWait(t, q, steps, at, instants)
		waited = max(waited, want)
		// The instants are samples, so that the longest wait may be a little longer: by
		// less than the pieces are. What is added are rounding errors.
		if f.need < want-time.Microsecond || f.need > want+piece+longest {
			t.Errorf("%d, %+v: a packet is foreseen to wait %v at most, one waited %v\n%+v", i, q, f.need, want, steps)
		}
		if f.most < most || f.most > len(steps) {
			t.Errorf("%d, %+v: %d steps are foreseen, a packet met %d of %d", i, q, f.most, most, len(steps))
		}
	}
	if waited < 10*time.Second {
		t.Errorf("no packet waited for longer than %v", waited)
	}
}

// Of a tape that is played again, who waits at the end waits on through its beginning.
func TestForesightOfLoops(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	longer := 0
	for i := range 40 {
		q := trace.Queue{LimitBytes: 3000 + rng.Int64N(2_000_000)}
		var once, twice []trace.Step
		var instants []time.Duration
		at, longest := time.Duration(0), []time.Duration{10 * ms, 5 * time.Second}[i%2]
		for k := range 2 + rng.IntN(60) {
			s := trace.Step{At: at, State: trace.State{Rate: trace.BitRate(rng.Int64N(int64(20 * trace.Mbit))), Carrier: true}}
			if k < rng.IntN(8) {
				s.Rate %= 1 + s.Rate%(50*trace.Kbit)
			}
			once = append(once, s)
			d := ms + time.Duration(rng.Int64N(int64(longest)))
			instants = append(instants, at, at+d-1)
			at += d
		}
		rounds, sum := 1, float64(0) // until all that waits at the end has left
		for ; rounds < 100 && sum < float64(8*q.LimitBytes); rounds++ {
			for k, s := range once {
				until := at
				if k+1 < len(once) {
					until = once[k+1].At
				}
				sum += float64(s.Rate) * (until - s.At).Seconds()
			}
		}
		if sum < float64(8*q.LimitBytes) {
			continue // it would take very long
		}
		for n := range rounds {
			for _, s := range once {
				s.At += time.Duration(n) * at
				twice = append(twice, s)
			}
		}
		f := foresight{queue: q, mtu: 1500}
		for k := range once {
			f.add(once[k].At, &once[k].State)
		}
		f.finish(at, true)
		want, most := longestWait(t, q, twice, time.Duration(rounds)*at, instants)
		if f.need < want-time.Microsecond || f.need > want+2*(piece+longest) {
			t.Errorf("%d, %+v: a packet is foreseen to wait %v at most, one waited %v, in loops of %v", i, q, f.need, want, at)
		}
		if f.most < most {
			t.Errorf("%d, %+v: %d steps are foreseen, a packet met %d", i, q, f.most, most)
		}
		if want > at {
			longer++
		}
	}
	if longer < 5 {
		t.Errorf("only %d packets waited for longer than a loop", longer)
	}
}

// However long a tape is, what is kept of it stays small, and errs on the long side.
func TestForesightPassages(t *testing.T) {
	f := foresight{queue: trace.Queue{LimitBytes: 150_000}, mtu: 1500}
	const steps = 100_000
	for k := range steps {
		f.add(time.Duration(k)*10*ms, &trace.State{Rate: trace.BitRate(1+k%7) * trace.Mbit, Carrier: true})
	}
	f.finish(steps*10*ms, true)
	if len(f.head) >= mostPassages || len(f.head) < mostPassages/4 {
		t.Errorf("%d passages", len(f.head))
	}
	for _, share := range []float64{0.001, 0.3, 0.999, 2.5} {
		d, n := f.reach(share * f.served)
		exact := time.Duration(share * float64(f.at))
		if d < exact-100*ms || d > exact+f.at/500 || n < int(share*steps)-10 {
			t.Errorf("%v of it: after %v and %d steps, want %v", share, d, n, exact)
		}
	}
}

// What a packet may wait for, by hand.
func TestForesightByHand(t *testing.T) {
	step := func(at time.Duration, rate trace.BitRate) trace.Step {
		return trace.Step{At: at, State: trace.State{Rate: rate, Carrier: true}}
	}
	for _, c := range []struct {
		name  string
		queue trace.Queue
		steps []trace.Step
		end   time.Duration
		need  time.Duration
		most  int
	}{
		// Two packets of 1500 bytes wait 2 ms at 12 Mbit/s, after the piece of a second.
		{"constant", trace.Queue{LimitBytes: 3000}, []trace.Step{step(0, 12*trace.Mbit)}, time.Hour, piece + 2*ms, 1},
		{"short", trace.Queue{LimitBytes: 3000}, []trace.Step{step(0, 12*trace.Mbit)}, 100 * ms, 100 * ms, 1},
		// Who comes at the end of the first step waits through the stall.
		{"stall", trace.Queue{LimitBytes: 3000}, []trace.Step{step(0, 12*trace.Mbit), step(100*ms, 0), step(30100*ms, 12*trace.Mbit)}, time.Minute, 30100*ms + 2*ms, 3},
		{"stall at the end", trace.Queue{LimitBytes: 3000}, []trace.Step{step(0, 12*trace.Mbit), step(100*ms, 0)}, time.Minute, time.Minute, 2},
		{"all of it a stall", trace.Queue{LimitTime: time.Second}, []trace.Step{step(0, 0)}, time.Minute, time.Minute, 1},
		// 100 ms of 12 Mbit/s take 12 s at 100 kbit/s.
		{"limit in time", trace.Queue{LimitTime: 100 * ms}, []trace.Step{step(0, 12*trace.Mbit), step(10*ms, 100*trace.Kbit)}, time.Minute, 10*ms + 12*time.Second, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := foresight{queue: c.queue, mtu: 1500}
			for i := range c.steps {
				f.add(c.steps[i].At, &c.steps[i].State)
			}
			f.finish(c.end, false)
			if d := f.need - c.need; d < -time.Microsecond || d > time.Microsecond || f.most != c.most {
				t.Errorf("got %v and %d steps, want %v and %d", f.need, f.most, c.need, c.most)
			}
		})
	}
}

// farEndpoint is an endpoint that is told ahead: it notes what it is told as a program
// would obey it, and refuses what one would.
type farEndpoint struct {
	*fakeEndpoint
	t     *testing.T
	clock Clock
	queue trace.Queue

	window  int
	epoch   time.Duration // on the clock
	begun   bool
	spans   []span // in force
	playing bool
	passed  time.Duration
	held    bool
	revised int
	fulls   int

	beyond uint64 // what Beyond says

	// least is the least time by which what is known is ahead, when it is looked at.
	least time.Duration

	prepared *trace.State
	at, hold time.Duration
	commits  []call // what is applied with its instant
}

// span is a state, from an instant since the epoch on.
type span struct {
	at    time.Duration
	state trace.State
}

func newFarEndpoint(t *testing.T, clock Clock, e *fakeEndpoint, q trace.Queue, window int) *farEndpoint {
	return &farEndpoint{fakeEndpoint: e, t: t, clock: clock, queue: q, window: window, least: time.Hour}
}

func (e *farEndpoint) now() time.Duration { return e.clock.Now() - e.epoch }

func (e *farEndpoint) Window() int               { return e.window }
func (e *farEndpoint) Queue() (trace.Queue, int) { return e.queue, 1500 }
func (e *farEndpoint) Beyond() (uint64, error)   { return e.beyond, nil }
func (e *farEndpoint) Begin(epoch time.Duration) {
	e.epoch, e.begun, e.spans, e.held = epoch, true, nil, false
}
func (e *farEndpoint) Pass(at time.Duration) { e.passed = max(e.passed, at) }
func (e *farEndpoint) Cancel()               { e.prepared = nil }
func (e *farEndpoint) known() (until time.Duration) {
	if n := len(e.spans); n > 0 {
		until = e.spans[n-1].at
	}
	return until
}

func (e *farEndpoint) add(at time.Duration, s trace.State) error {
	if !e.begun || e.held || at < e.known() {
		e.t.Errorf("told of %v: begun %v, held %v, known until %v", at, e.begun, e.held, e.known())
	}
	n := 0
	for _, x := range e.spans {
		if x.at >= e.passed {
			n++
		}
	}
	if n >= e.window {
		e.fulls++
		return fmt.Errorf("tell: %w", bpf.ErrFull)
	}
	if n := len(e.spans); n > 0 && e.spans[n-1].at == at {
		e.spans = e.spans[:n-1]
	}
	e.spans = append(e.spans, span{at, s})
	return nil
}

func (e *farEndpoint) Foresee(at time.Duration, s *trace.State) error {
	if e.playing && at < e.now() {
		e.t.Errorf("told at %v of %v, which is over", e.now(), at)
	}
	return e.add(at, *s)
}

func (e *farEndpoint) Until(at time.Duration) error {
	if at <= e.known() || len(e.spans) == 0 {
		return nil
	}
	return e.add(at, e.spans[len(e.spans)-1].state)
}

func (e *farEndpoint) Hold(from time.Duration) error {
	if err := e.Until(from); err != nil {
		return err
	}
	e.held = true
	return nil
}

func (e *farEndpoint) Revise(s *trace.State) (time.Duration, error) {
	e.revised++
	at := e.now()
	n := len(e.spans)
	for n > 0 && e.spans[n-1].at >= at {
		n--
	}
	e.spans, e.held = append(e.spans[:n], span{at, *s}), false
	return at, nil
}

func (e *farEndpoint) Prepare(at, hold time.Duration, s *trace.State) error {
	e.at, e.hold, e.prepared = at, hold, s
	return nil
}

func (e *farEndpoint) Commit() (netsetup.Applied, error) {
	if e.prepared == nil {
		e.t.Error("committed what is not prepared")
		return netsetup.Applied{}, nil
	}
	c := call{e.at, e.hold, *e.prepared}
	e.prepared = nil
	e.playing = true
	e.commits = append(e.commits, c)
	e.look()
	return netsetup.Applied{Counters: e.counters, Closed: c.State.Rate == 0, Foreseen: true}, nil
}

// look notes how far ahead the tape is known.
func (e *farEndpoint) look() {
	if !e.held {
		e.least = min(e.least, e.known()-e.now())
	}
}

func (e *farEndpoint) Apply(at, hold time.Duration, s *trace.State) (netsetup.Applied, error) {
	if e.playing {
		if _, err := e.Revise(s); err != nil {
			return netsetup.Applied{}, err
		}
		e.held = true
	}
	return e.fakeEndpoint.Apply(at, hold, s)
}

// inForce is what is obeyed at an instant since the epoch.
func (e *farEndpoint) inForce(at time.Duration) (s trace.State) {
	for _, x := range e.spans {
		if x.at <= at {
			s = x.state
		}
	}
	return s
}

// farLinks are links of which some are told ahead.
type farLinks struct {
	*fakeLinks
	far map[trace.LinkDir]*farEndpoint
}

func (l *farLinks) Endpoint(ld trace.LinkDir) (Endpoint, error) {
	if e := l.far[ld]; e != nil {
		return e, nil
	}
	return l.fakeLinks.Endpoint(ld)
}

// driveFar plays a tape whose directions of link a are told ahead.
func driveFar(t *testing.T, tl *trace.Timeline, opts Options, q trace.Queue, window int, test func(t *testing.T, d *driven, links *farLinks)) (sum *Summary, err error) {
	t.Helper()
	inBubble(t, func(t *testing.T, base bubbleClock) {
		d := &driven{t: t, clock: wakingClock{base, make(chan struct{}, 1)}, links: newFakeLinks(tl.Meta.Directions()...)}
		links := &farLinks{d.links, make(map[trace.LinkDir]*farEndpoint)}
		for ld, e := range d.links.endpoints {
			if ld.Link == "a" {
				links.far[ld] = newFarEndpoint(t, d.clock, e, q, window)
			}
		}
		d.Player = mustNew(t, openTape(t, tl), links, opts)
		done := make(chan struct{})
		go func() {
			defer close(done)
			sum, err = d.Run(t.Context(), d.clock, nil)
		}()
		<-d.Begun()
		test(t, d, links)
		<-done
	})
	return sum, err
}

var farQueue = trace.Queue{LimitBytes: 15000}

// A whole tape is told ahead, in time, and nothing is said twice; what is in force at
// any time is what the tape says.
func TestFarPlay(t *testing.T) {
	for _, opts := range []Options{{}, {From: 1050 * ms, Duration: 1500 * ms}, {Times: 5}, {Speed: 2}} {
		t.Run(fmt.Sprintf("%+v", opts), func(t *testing.T) {
			var links *farLinks
			tl := twoLinks()
			sum, err := driveFar(t, tl, opts, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) { links = l })
			if err != nil {
				t.Fatal(err)
			}
			if sum.Beyond != 0 || sum.Missed != 0 || sum.Lateness.Max != 0 || sum.Starved != 0 {
				t.Errorf("got %+v", sum)
			}
			to := tl.Meta.Duration
			if opts.Duration > 0 {
				to = opts.From + opts.Duration
			}
			for ld, e := range links.far {
				for at := time.Duration(0); at < sum.Played; at += 7 * ms {
					pos := at
					if opts.Speed > 0 {
						pos = time.Duration(float64(at) * opts.Speed)
					}
					var want trace.BitRate
					for _, s := range tl.Steps {
						if s.LinkDir() == ld && s.At <= opts.From+pos%(to-opts.From) {
							want = s.Rate
						}
					}
					if got := e.inForce(at).Rate; got != want {
						t.Fatalf("%v at %v: %v is in force, want %v", ld, at, got, want)
					}
				}
				if e.revised != 1 || !e.held { // when it was left
					t.Errorf("%v: revised %d times, held %v", ld, e.revised, e.held)
				}
				for _, c := range e.commits {
					if c.State != e.inForce(c.At) {
						t.Errorf("%v: %+v is logged, %+v in force", ld, c, e.inForce(c.At))
					}
				}
				if len(e.commits) == 0 {
					t.Errorf("%v: nothing was logged", ld)
				}
			}
		})
	}
}

// As long as packets may wait for steps, these are known: where a queue takes long to
// empty the tape is read farther ahead.
func TestFarLooksAhead(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: 5 * time.Minute, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
	for at := time.Duration(0); at < tl.Meta.Duration; at += 50 * ms {
		s := trace.State{Rate: 100 * trace.Kbit, Carrier: true}
		if at >= 2*time.Minute && at < 150*time.Second {
			s.Rate = 0
		}
		s.Label = fmt.Sprint(at)
		tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: s})
	}
	q := trace.Queue{LimitBytes: 125_000} // 10 s, and 30 s through the stall
	var links *farLinks
	sum, err := driveFar(t, tl, Options{}, q, 1024, func(t *testing.T, d *driven, l *farLinks) { links = l })
	if err != nil || sum.Beyond != 0 {
		t.Fatalf("%v, %+v", err, sum)
	}
	if e := links.far[aUp]; e.least < 40*time.Second || e.least > 45*time.Second {
		t.Errorf("known %v ahead, want 40 s and a little", e.least)
	}
}

// A tape that the window cannot hold for as long as a packet may wait is refused, with
// the window that can.
func TestFarWindowTooSmall(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Minute, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
	for at := time.Duration(0); at < tl.Meta.Duration; at += 10 * ms {
		tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: trace.State{Rate: 100 * trace.Kbit, Carrier: true, Label: fmt.Sprint(at)}})
	}
	play := func(window int) error {
		links := &farLinks{newFakeLinks(aUp), nil}
		links.far = map[trace.LinkDir]*farEndpoint{aUp: newFarEndpoint(t, nil, links.endpoints[aUp], trace.Queue{LimitBytes: 125_000}, window)}
		_, err := New(t.Context(), openTape(t, tl), links, Options{})
		return err
	}
	err := play(256)
	const want = "a.up: packets may wait for 10.01s, in which the tape has up to 1001 steps; the kernel is told 256 at most: build the link with window: 1085"
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if err := play(1084); err == nil {
		t.Error("one step less than asked for was taken")
	}
	if err := play(1085); err != nil {
		t.Errorf("what was asked for: %v", err)
	}
}

// A pause holds what is in force; after it what was foreseen is told anew, later.
func TestFarPause(t *testing.T) {
	driveFar(t, twoLinks(), Options{}, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) {
		e := l.far[aDown]
		d.until(1050 * ms)
		d.must(d.Pause())(1050*ms, 1050*ms, 1050*ms)
		d.until(31050 * ms)
		if got := e.inForce(31050 * ms).Rate; got != 1000*trace.Kbit {
			t.Errorf("paused: %v is in force", got)
		}
		if e.held || e.known() < 31050*ms {
			t.Errorf("paused: known until %v, held %v", e.known(), e.held)
		}
		d.must(d.Resume())(31050*ms, 1050*ms, 1050*ms)
		d.until(31500 * ms)
		for at, want := range map[time.Duration]trace.BitRate{31050 * ms: 1000, 31099 * ms: 1000, 31100 * ms: 1100, 31200 * ms: 1200, 33900 * ms: 3900} {
			if got := e.inForce(at).Rate; got != want*trace.Kbit {
				t.Errorf("at %v: %v is foreseen, want %d kbit/s", at, got, want)
			}
		}
	})
}

// After a skip the tape goes on from its target, and nothing of what was foreseen
// before it happens.
func TestFarSkip(t *testing.T) {
	driveFar(t, twoLinks(), Options{}, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) {
		d.until(1050 * ms)
		a, err := d.SkipTo(3050 * ms)
		if err != nil {
			t.Fatal(err)
		}
		d.until(a.At + 10*ms)
		for ld, more := range map[trace.LinkDir]trace.BitRate{aDown: 0, aUp: trace.Kbit} {
			e := l.far[ld]
			for after, want := range map[time.Duration]trace.BitRate{-ms: 1000, 0: 3000, 49 * ms: 3000, 50 * ms: 3100, 800 * ms: 3800, time.Hour: 3900} {
				if got := e.inForce(a.At + after).Rate; got != want*trace.Kbit+more {
					t.Errorf("%v, %v after: %v, want %v", ld, after, got, want*trace.Kbit+more)
				}
			}
		}
		if a, err = d.SkipTo(500 * ms); err != nil { // back, behind the end of the reading
			t.Fatal(err)
		}
		d.until(a.At + 10*ms)
		for after, want := range map[time.Duration]trace.BitRate{0: 500, 99 * ms: 500, 100 * ms: 600, 3000 * ms: 3500} {
			if got := l.far[aDown].inForce(a.At + after).Rate; got != want*trace.Kbit {
				t.Errorf("back, %v after: %v, want %d kbit/s", after, got, want)
			}
		}
	})
}

// A cut is foreseen until it ends, while the tape goes on beneath; the other link is not
// told anything.
func TestFarCut(t *testing.T) {
	driveFar(t, twoLinks(), Options{}, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) {
		d.until(1050 * ms)
		a, err := d.Cut("a", edit.DropUp)
		d.must(a, err)(1050*ms, 1050*ms, 1050*ms)
		for at, want := range map[time.Duration]float64{1049 * ms: 0, 1050 * ms: 1, 1300 * ms: 1, 3900 * ms: 1} {
			if got := l.far[aUp].inForce(at).MeanLoss(); got != want {
				t.Errorf("at %v: loss %v, want %v", at, got, want)
			}
			if got := l.far[aDown].inForce(at).MeanLoss(); got != 0 {
				t.Errorf("the other direction at %v: loss %v", at, got)
			}
		}
		if got := l.far[aUp].inForce(3900 * ms).Rate; got != 3901*trace.Kbit {
			t.Errorf("the tape beneath at 3.9s: %v", got)
		}
		if n := l.far[aDown].revised; n != 0 {
			t.Errorf("the other direction was revised %d times", n)
		}
		d.until(2050 * ms)
		a, err = d.Restore("a")
		d.must(a, err)(2050*ms, 2050*ms, 2050*ms)
		for at, want := range map[time.Duration]trace.BitRate{2050 * ms: 2001, 2100 * ms: 2101, 3900 * ms: 3901} {
			if s := l.far[aUp].inForce(at); s.Rate != want*trace.Kbit || s.MeanLoss() != 0 {
				t.Errorf("at %v: %v with loss %v, want %d kbit/s", at, s.Rate, s.MeanLoss(), want)
			}
		}
	})
}

// Packets for which steps were not known in time make the replay fail, with their
// number: those before it do not count.
func TestFarBeyond(t *testing.T) {
	sum, err := driveFar(t, twoLinks(), Options{}, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) {
		d.until(time.Second)
		l.far[aUp].beyond += 3
		l.far[aDown].beyond += 4
	})
	if err == nil || !strings.Contains(err.Error(), "7 packets came before the kernel knew the steps") || sum == nil || sum.Beyond != 7 {
		t.Errorf("got %v, %+v", err, sum)
	}
}

// A ring that is full waits until time has passed, and no step is lost.
func TestFarFull(t *testing.T) {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: 30 * time.Second, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}}}
	for at := time.Duration(0); at < tl.Meta.Duration; at += 5 * ms {
		tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: trace.State{Rate: 50*trace.Mbit + trace.BitRate(at), Carrier: true}})
	}
	var links *farLinks
	sum, err := driveFar(t, tl, Options{}, farQueue, 512, func(t *testing.T, d *driven, l *farLinks) { links = l })
	if err != nil || sum.Steps != 6000 || sum.Beyond != 0 {
		t.Fatalf("%v, %+v", err, sum)
	}
	e := links.far[aUp]
	for _, s := range tl.Steps {
		if got := e.inForce(s.At); got != s.State {
			t.Fatalf("at %v: got %+v", s.At, got)
		}
	}
	if e.fulls == 0 || e.least < 2*time.Second {
		t.Errorf("full %d times, known %v ahead", e.fulls, e.least)
	}
}

// Where a step cannot be applied, nothing of what was foreseen happens after it.
func TestFarHalts(t *testing.T) {
	var links *farLinks
	errCarrier := errors.New("no such device")
	sum, err := driveFar(t, twoLinks(), Options{}, farQueue, 256, func(t *testing.T, d *driven, l *farLinks) {
		links = l
		l.endpoints[bUp].apply = func(c call) error {
			if c.At > 0 {
				return errCarrier
			}
			return nil
		}
	})
	if !errors.Is(err, errCarrier) || sum != nil {
		t.Fatalf("got %v, %+v", err, sum)
	}
	if e := links.far[aDown]; !e.held || e.inForce(time.Hour).Rate > 2500*trace.Kbit || e.inForce(2400*ms).Rate != 2400*trace.Kbit {
		t.Errorf("held %v, %v is left, %v before", e.held, e.inForce(time.Hour).Rate, e.inForce(2400*ms).Rate)
	}
}

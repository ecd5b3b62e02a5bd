package replay

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

const ms = time.Millisecond

// fakeClock jumps to the instant that is waited for. It is for one goroutine.
type fakeClock struct {
	now   time.Duration
	sleep func(t time.Duration) // before each jump; may be nil
}

func (c *fakeClock) Now() time.Duration { return c.now }

func (c *fakeClock) SleepUntil(t time.Duration) {
	if c.sleep != nil {
		c.sleep(t)
	}
	c.now = max(c.now, t)
}

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{ base time.Time }

func newBubbleClock() bubbleClock { return bubbleClock{time.Now().Add(-time.Hour)} }

func (c bubbleClock) Now() time.Duration { return time.Since(c.base) }

func (c bubbleClock) SleepUntil(t time.Duration) { time.Sleep(t - c.Now()) }

// call is one call of an endpoint's Apply.
type call struct {
	At, Hold time.Duration
	State    trace.State
}

// fakeEndpoint notes what is applied to it.
type fakeEndpoint struct {
	path     bool
	single   bool // its path does not duplicate
	least    time.Duration
	seed     uint64
	counters netsetup.Counters
	calls    []call
	apply    func(c call) error                         // may be nil
	count    func() (c netsetup.Counters, failed error) // may be nil
	ready    *call                                      // prepared, where a test does that
}

func (e *fakeEndpoint) Apply(at, hold time.Duration, s *trace.State) (netsetup.Applied, error) {
	c := call{at, hold, *s}
	if e.apply != nil {
		if err := e.apply(c); err != nil {
			return netsetup.Applied{}, err
		}
	}
	e.calls = append(e.calls, c)
	return netsetup.Applied{Counters: e.counters, Messages: 2, Closed: s.Rate == 0}, nil
}

func (e *fakeEndpoint) Counters() (netsetup.Counters, error) {
	if e.count != nil {
		return e.count()
	}
	return e.counters, nil
}

func (e *fakeEndpoint) Supports(s *trace.State) error {
	switch {
	case !e.path && s.NeedsPath():
		return fmt.Errorf("%w: path", netsetup.ErrNotSupported)
	case e.single && s.Duplicate != 0:
		return fmt.Errorf("%w: duplicates", netsetup.ErrNotSupported)
	}
	return nil
}

func (e *fakeEndpoint) LeastStep() time.Duration { return e.least }

func (e *fakeEndpoint) Seed(seed uint64) { e.seed = seed }

// fakeLinks is a run with the links of a tape.
type fakeLinks struct {
	endpoints map[trace.LinkDir]*fakeEndpoint
	before    map[trace.LinkDir]trace.State
	killed    bool // the replay before this one
	warnings  []string
	beginErr  error
	endErr    error
	replaying bool
	left      map[trace.LinkDir]trace.State
}

func newFakeLinks(dirs ...trace.LinkDir) *fakeLinks {
	l := &fakeLinks{endpoints: make(map[trace.LinkDir]*fakeEndpoint), before: make(map[trace.LinkDir]trace.State)}
	for _, ld := range dirs {
		l.endpoints[ld] = &fakeEndpoint{path: true}
		l.before[ld] = trace.State{Rate: 3 * trace.Mbit, Carrier: true, Label: "before"}
	}
	return l
}

func (l *fakeLinks) Endpoint(ld trace.LinkDir) (Endpoint, error) {
	if e := l.endpoints[ld]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("no link %s", ld.Link)
}

func (l *fakeLinks) Before(ld trace.LinkDir) (trace.State, bool) { return l.before[ld], !l.killed }

func (l *fakeLinks) Initial(trace.LinkDir) trace.State {
	return trace.State{Rate: 100 * trace.Mbit, Carrier: true, Label: "initial"}
}

func (l *fakeLinks) Warnings() []string { return l.warnings }

func (l *fakeLinks) BeginReplay() error {
	l.replaying = l.beginErr == nil
	return l.beginErr
}

func (l *fakeLinks) EndReplay(left map[trace.LinkDir]trace.State) error {
	if l.endErr != nil {
		return l.endErr
	}
	l.replaying, l.left = false, left
	return nil
}

// memory is a tape in memory.
type memory struct {
	*trace.Timeline
	next int
	err  error // of reading a step at or after failAt
	fail time.Duration
}

func (m *memory) Meta() trace.Meta { return m.Timeline.Meta }

func (m *memory) Seek(t time.Duration) ([]trace.Step, error) {
	m.next = 0
	inForce := make(map[trace.LinkDir]trace.Step)
	for _, s := range m.Steps {
		if s.At > t {
			break
		}
		inForce[s.LinkDir()] = s
		m.next++
	}
	var out []trace.Step
	for _, s := range inForce {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b trace.Step) int { return a.LinkDir().Compare(b.LinkDir()) })
	return out, nil
}

// Read gives odd numbers of steps, as a tape does at the ends of its batches.
func (m *memory) Read(steps []trace.Step) (int, error) {
	if m.next == len(m.Steps) {
		return 0, io.EOF
	}
	if m.err != nil && m.Steps[m.next].At >= m.fail {
		return 0, m.err
	}
	n := copy(steps[:min(len(steps), 7)], m.Steps[m.next:])
	m.next += n
	return n, nil
}

// randomTape makes a tape of a few directions, some dense and some sparse, with
// few different states, so that steps without a change and steps at the same
// instant occur.
func randomTape(r *rand.Rand) *trace.Timeline {
	duration := time.Duration(50+r.IntN(6000)) * ms
	t := &trace.Timeline{Meta: trace.Meta{Duration: duration, Generator: "test 1"}}
	for i := range 1 + r.IntN(3) {
		link := trace.Link{Name: fmt.Sprintf("l%d", i), Up: true, Down: r.IntN(2) == 0}
		t.Meta.Links = append(t.Meta.Links, link)
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			if d == trace.Down && !link.Down {
				continue
			}
			longest := []int{5, 50, 500, 1000, 4000}[r.IntN(5)]
			for at := time.Duration(0); at < duration; {
				t.Steps = append(t.Steps, trace.Step{At: at, Link: link.Name, Dir: d, State: randomState(r)})
				step := 1 + r.IntN(longest)
				if longest >= 500 {
					step = (step + 99) / 100 * 100 // also holds of exactly a second
				}
				at += time.Duration(step) * ms
			}
		}
	}
	slices.SortFunc(t.Steps, trace.Compare)
	return t
}

func randomState(r *rand.Rand) trace.State {
	return trace.State{
		Rate: trace.BitRate(r.IntN(3)) * trace.Mbit, Carrier: true,
		Delay: time.Duration(r.IntN(2)) * 10 * ms, Label: []string{"", "good"}[r.IntN(2)],
	}
}

func indexOf(dirs []trace.LinkDir) map[trace.LinkDir]int {
	out := make(map[trace.LinkDir]int)
	for i, ld := range dirs {
		out[ld] = i
	}
	return out
}

// openTape writes a timeline to a file and opens it.
func openTape(t testing.TB, tl *trace.Timeline) *trace.Reader {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	r, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

var errFull = errors.New("no space left on device")

// fullDisk takes a number of bytes.
type fullDisk struct{ left int }

func (f *fullDisk) Write(b []byte) (int, error) {
	if len(b) > f.left {
		n := f.left
		f.left = 0
		return n, errFull
	}
	f.left -= len(b)
	return len(b), nil
}

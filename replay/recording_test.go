package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// meteredLinks are fake links that can be read beside a replay: each delivers
// at its rate, and the kernel has what it was told.
type meteredLinks struct {
	*fakeLinks
	mu     sync.Mutex
	told   map[trace.LinkDir]netsetup.Told
	began  time.Time
	change func(ld trace.LinkDir, r *netsetup.Reading) error // of what is read; may be nil
	closed int
}

type toldEndpoint struct {
	*fakeEndpoint
	ld    trace.LinkDir
	links *meteredLinks
}

func (e toldEndpoint) Apply(at, hold time.Duration, s *trace.State) (netsetup.Applied, error) {
	a, err := e.fakeEndpoint.Apply(at, hold, s)
	a.Told = netsetup.Told{Rate: s.Capacity(), BurstBytes: 3000, LimitBytes: 30000, Closed: s.Capacity() == 0, Path: true, Loss: s.Loss, Down: !s.Carrier}
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	e.links.told[e.ld] = a.Told
	return a, err
}

func newMeteredLinks(dirs ...trace.LinkDir) *meteredLinks {
	return &meteredLinks{fakeLinks: newFakeLinks(dirs...), told: make(map[trace.LinkDir]netsetup.Told), began: time.Now()}
}

func (l *meteredLinks) Endpoint(ld trace.LinkDir) (Endpoint, error) {
	e, err := l.fakeLinks.Endpoint(ld)
	if err != nil {
		return nil, err
	}
	return toldEndpoint{e.(*fakeEndpoint), ld, l}, nil
}

func (l *meteredLinks) Meter(dirs []trace.LinkDir) (Meter, error) { return &fakeMeter{l, dirs}, nil }

// fakeMeter reads a link for each direction.
type fakeMeter struct {
	links *meteredLinks
	dirs  []trace.LinkDir
}

func (m *fakeMeter) Links() int { return len(m.dirs) }

func (m *fakeMeter) Read(link int, params bool, each func(int, *netsetup.Reading)) error {
	m.links.mu.Lock()
	defer m.links.mu.Unlock()
	ld := m.dirs[link]
	ms := uint64(time.Since(m.links.began).Milliseconds())
	r := &netsetup.Reading{Counters: netsetup.Counters{Bytes: 1000 * ms, Packets: ms, Drops: ms / 10, BacklogBytes: 5000}, BacklogPackets: 5, PathDrops: ms / 50}
	if params {
		r.Told = m.links.told[ld]
	}
	if m.links.change != nil {
		if err := m.links.change(ld, r); err != nil {
			return err
		}
	}
	each(link, r)
	return nil
}

func (m *fakeMeter) Close() error {
	m.links.closed++
	return nil
}

// twoWays is a tape of a link whose directions change every 100 ms, with a total
// loss from 1 s to 1.5 s.
func twoWays(duration time.Duration) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: duration, Generator: "test 1", Seed: 7, Links: []trace.Link{{Name: "a", Up: true, Down: true}}}}
	for at := time.Duration(0); at < duration; at += 100 * ms {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			s := trace.State{Rate: trace.BitRate(8+at/(100*ms)%2) * trace.Mbit, Carrier: true}
			if at >= time.Second && at < 1500*ms {
				s.Loss, s.Label = 1, "outage"
			}
			tl.Steps = append(tl.Steps, trace.Step{At: at, Link: "a", Dir: d, State: s})
		}
	}
	return tl
}

// recorded plays a tape in a bubble of time and records it.
func recorded(t *testing.T, tl *trace.Timeline, links *meteredLinks, opts Recording) (*Summary, error) {
	t.Helper()
	p, err := New(t.Context(), openTape(t, tl), links, Options{Record: opts})
	if err != nil {
		t.Fatal(err)
	}
	var sum *Summary
	synctest.Test(t, func(t *testing.T) {
		links.began = time.Now()
		sum, err = p.Run(t.Context(), newBubbleClock(), nil)
	})
	return sum, err
}

func TestRecording(t *testing.T) {
	tl := twoWays(3 * time.Second)
	links := newMeteredLinks(tl.Meta.Directions()...)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SummaryFile), []byte("of another replay"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := recorded(t, tl, links, Recording{Dir: dir, Tape: "two ways.tape", Counters: 50 * ms, ReadBack: 250 * ms})
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Warnings) > 0 || links.closed != 1 {
		t.Errorf("got warnings %q, meter closed %d times", sum.Warnings, links.closed)
	}
	// Readings lie 3.7 ms after the multiples of their cadences, and in virtual
	// time nothing is under way then.
	if want := (ReadBackReport{Every: 250 * ms, Readings: 22, Same: 22}); *sum.ReadBack != want {
		t.Errorf("got %+v, want %+v", *sum.ReadBack, want)
	}
	if m := sum.Metering; m.Every != 50*ms || m.Samples != 61 || m.Skipped != 0 || m.Lost != 0 {
		t.Errorf("got %+v", m)
	}
	m, err := ReadManifest(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if m.Tape != "two ways.tape" || m.SHA256 != tl.Hash() || m.Window != 3*time.Second || len(m.Links) != 2 || !m.Epoch.Equal(sum.Epoch) || m.Seed != 7 || m.Version == "" {
		t.Errorf("got manifest %+v, epoch %v", m, sum.Epoch)
	}
	rows, err := ReadLog(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(tl.Steps) || rows[20].Loss != 1 || rows[2].Bucket != int64(9*trace.Mbit) || rows[2].Burst != 3000 {
		t.Errorf("got %d rows, want %d; %+v", len(rows), len(tl.Steps), rows[2])
	}
	counters, err := ReadCounters(filepath.Join(dir, CountersFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(counters) != 2*60 {
		t.Fatalf("got %d rows, want 120", len(counters))
	}
	last := counters[len(counters)-1]
	if last.At != int64(3*time.Second) || last.Bytes != 3002_000 || last.Packets != 3002 || last.QueueDrops != 301 || last.Backlog != 5000 || last.QueueDelay != 4_444_444 {
		t.Errorf("got %+v", last)
	}
	// A packet in 50 ms is lost on the path; from 1.0 s to the reading after 1.5 s
	// they count as the outage's.
	if last.PathDrops+last.OutageDrops != 60 || last.OutageDrops < 10 || last.OutageDrops > 12 {
		t.Errorf("lost on the path: %d, in an outage: %d", last.PathDrops, last.OutageDrops)
	}
	back, err := ReadReadBack(filepath.Join(dir, ReadBackFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(back) != 22 || back[2].At != int64(503700*time.Microsecond) || back[2].Due != int64(500*ms) || back[2].Result != BackSame || back[2].Rate != int64(9*trace.Mbit) {
		t.Errorf("got %d rows, %+v", len(back), back[2])
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 4 {
		t.Errorf("left are %q, %v", files, err)
	}
}

// What the kernel has and was not told is a finding, and so is a link that
// cannot be read any more; the replay goes on in both cases.
func TestFindings(t *testing.T) {
	gone := errors.New("no such device")
	for _, c := range []struct {
		name   string
		change func(at time.Duration, ld trace.LinkDir, r *netsetup.Reading) error
		want   string
	}{
		{"rate", func(at time.Duration, ld trace.LinkDir, r *netsetup.Reading) error {
			if at > 2*time.Second && ld.Dir == trace.Up {
				r.Rate = 5 * trace.Mbit
			}
			return nil
		}, "a.up: 4 of 11 readings have something else than the kernel was told, first at 2.004s: rate is 5Mbit, set 8Mbit"},
		{"down", func(at time.Duration, ld trace.LinkDir, r *netsetup.Reading) error {
			r.Down = ld.Dir == trace.Down && at > 2600*ms
			return nil
		}, "a.down: 1 of 11 readings have something else than the kernel was told, first at 2.754s: the interface is down"},
		{"gone", func(at time.Duration, ld trace.LinkDir, r *netsetup.Reading) error {
			if at > 2600*ms {
				return gone
			}
			return nil
		}, "the links could not be read from 2.604s on: no such device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tl := twoWays(3 * time.Second)
			links := newMeteredLinks(tl.Meta.Directions()...)
			links.change = func(ld trace.LinkDir, r *netsetup.Reading) error {
				return c.change(time.Since(links.began)-lead, ld, r)
			}
			sum, err := recorded(t, tl, links, Recording{Dir: t.TempDir(), Counters: 100 * ms, ReadBack: 250 * ms})
			if err != nil || sum.Steps != 60 || sum.Stopped {
				t.Fatalf("got %+v, %v", sum, err)
			}
			if got := strings.Join(sum.Warnings, "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestResolver(t *testing.T) {
	dirs := []trace.LinkDir{{Link: "a", Dir: trace.Down}, {Link: "a", Dir: trace.Up}, {Link: "b", Dir: trace.Up}}
	told := func(rate trace.BitRate) netsetup.Told { return netsetup.Told{Rate: rate, BurstBytes: 2000} }
	record := func(dir int, sent time.Duration, rate trace.BitRate) *Record {
		return &Record{Entry: Entry{At: sent - ms, Dir: dir}, Sent: sent, Acked: sent + ms, Applied: netsetup.Applied{Told: told(rate)}}
	}
	records := []*Record{record(0, 10*ms, 1e6), record(1, 20*ms, 2e6), record(2, 30*ms, 3e6), record(1, 40*ms, 4e6), record(2, 50*ms, 5e6)}
	for _, c := range []struct {
		name     string
		dir      int
		from, to time.Duration
		rate     trace.BitRate
		want     string
	}{
		{"before the first step", 1, 5 * ms, 6 * ms, 9e6, BackChanging},
		{"before the direction's first step", 1, 15 * ms, 16 * ms, 9e6, BackChanging},
		{"same", 1, 22 * ms, 23 * ms, 2e6, BackSame},
		{"same while another link changes", 1, 30 * ms, 32 * ms, 2e6, BackSame},
		{"differs", 1, 22 * ms, 23 * ms, 4e6, BackDiffers},
		{"old value", 1, 43 * ms, 44 * ms, 2e6, BackDiffers},
		{"begun before the answer", 1, 39 * ms, 42 * ms, 7e6, BackChanging},
		{"sent while it is read", 1, 39 * ms, 40 * ms, 7e6, BackChanging},
		{"read while it is acknowledged", 1, 40*ms + 1, 43 * ms, 7e6, BackChanging},
		{"as soon as it is acknowledged", 1, 41 * ms, 43 * ms, 4e6, BackSame},
		{"at the end", 2, 60 * ms, 61 * ms, 5e6, BackSame},
	} {
		for _, late := range []bool{false, true} { // the records come first, or the sample
			t.Run(fmt.Sprint(c.name, late), func(t *testing.T) {
				r := newResolver(dirs)
				var rows []ReadBackRow
				if late {
					for _, rec := range records {
						r.record(rec)
					}
				}
				r.add([]backSample{{dir: c.dir, from: c.from, to: c.to, told: told(c.rate)}})
				if !late {
					for _, rec := range records {
						r.record(rec)
						rows = append(rows, r.resolve(false)...)
						if len(rows) > 0 && rec.Sent <= c.to {
							t.Errorf("judged at %v, before the records have come to %v", rec.Sent, c.to)
						}
					}
				}
				rows = append(rows, r.resolve(true)...)
				if len(rows) != 1 || rows[0].Result != c.want || (rows[0].Difference != "") != (c.want == BackDiffers) {
					t.Errorf("got %+v, want %s", rows, c.want)
				}
			})
		}
	}
}

// The resolver's memory does not grow with the records.
func TestResolverForgets(t *testing.T) {
	r := newResolver([]trace.LinkDir{{Link: "a", Dir: trace.Up}})
	for i := range 1000 {
		r.record(&Record{Sent: time.Duration(i), Acked: time.Duration(i)})
		if n := len(r.told[0]); n > history || i >= history && n < history/2 {
			t.Fatalf("record %d: %d are kept", i, n)
		}
	}
	if got := r.told[0][len(r.told[0])-1].sent; got != 999 {
		t.Errorf("the latest kept is %d", got)
	}
}

func TestGaugeDir(t *testing.T) {
	reading := func(packets, drops, path uint64, queued uint32) *netsetup.Reading {
		return &netsetup.Reading{Counters: netsetup.Counters{Bytes: 1000 * packets, Packets: packets, Drops: drops, BacklogBytes: 1000 * queued}, BacklogPackets: queued, PathDrops: path}
	}
	shared := func(r *netsetup.Reading) *netsetup.Reading { r.Shared = true; return r }
	for _, c := range []struct {
		name       string
		last, now  *netsetup.Reading
		lost, down [2]bool // at each
		want       CounterRow
	}{
		{"plain", reading(100, 10, 5, 9), reading(150, 13, 9, 2), [2]bool{}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, QueueDrops: 3, PathDrops: 4}},
		{"an outage began", reading(100, 10, 5, 9), reading(150, 13, 9, 2), [2]bool{false, true}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, QueueDrops: 3, OutageDrops: 4}},
		{"an outage ended", reading(100, 10, 5, 9), reading(150, 13, 9, 2), [2]bool{true, false}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, QueueDrops: 3, OutageDrops: 4}},
		{"counts wrap", reading(100, 1<<32-1, 1<<32-3, 0), reading(150, 1, 2, 0), [2]bool{}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, QueueDrops: 2, PathDrops: 5}},
		{"made anew", reading(100, 10, 5, 9), reading(10, 0, 0, 0), [2]bool{}, [2]bool{}, CounterRow{}},
		{"shared", shared(reading(100, 10, 5, 9)), shared(reading(150, 13, 8, 2)), [2]bool{}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, QueueDrops: 3}},
		{"shared in an outage", shared(reading(100, 10, 5, 9)), shared(reading(150, 13, 8, 2)), [2]bool{true, true}, [2]bool{}, CounterRow{Bytes: 50000, Packets: 50, OutageDrops: 3}},
		{"the interface went down", reading(100, 10, 5, 9), reading(103, 10, 5, 0), [2]bool{false, true}, [2]bool{false, true}, CounterRow{Bytes: 3000, Packets: 3, OutageDrops: 6}},
		{"it is down", reading(103, 10, 5, 0), reading(103, 10, 5, 0), [2]bool{true, true}, [2]bool{true, true}, CounterRow{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := gaugeDir{}
			d.add(c.last, c.lost[0], c.down[0])
			if d.sum != (CounterRow{}) {
				t.Errorf("the first reading counts: %+v", d.sum)
			}
			d.begun = true
			d.add(c.now, c.lost[1], c.down[1])
			if d.sum != c.want {
				t.Errorf("got %+v, want %+v", d.sum, c.want)
			}
		})
	}
}

func TestTick(t *testing.T) {
	var k tick
	var skipped int64
	k.start(0)
	if k.due(time.Hour, &skipped) || k.next != never {
		t.Error("no cadence is due")
	}
	k.start(10 * ms)
	for _, c := range []struct {
		now     time.Duration
		due     bool
		next    time.Duration
		skipped int64
	}{
		{10 * ms, false, 10*ms + phase, 0}, {10*ms + phase, true, 20*ms + phase, 0}, {29*ms + phase, true, 30*ms + phase, 0},
		{30*ms + phase, true, 40*ms + phase, 0}, {75*ms + phase, true, 80*ms + phase, 3},
	} {
		if due := k.due(c.now, &skipped); due != c.due || k.next != c.next || skipped != c.skipped {
			t.Errorf("at %v: got %v, next %v, skipped %d; want %+v", c.now, due, k.next, skipped, c)
		}
	}
}

func TestRecordingRefused(t *testing.T) {
	tl := twoWays(time.Second)
	for _, c := range []struct {
		opts Recording
		want string
	}{
		{Recording{Dir: t.TempDir(), Counters: 9 * ms}, "read the counters every 9ms: not 10ms or more"},
		{Recording{Dir: t.TempDir(), Counters: -1}, "read the counters every"},
		{Recording{Dir: t.TempDir(), ReadBack: 10}, "read the parameters back every 10ns"},
	} {
		_, err := New(t.Context(), openTape(t, tl), newMeteredLinks(tl.Meta.Directions()...), Options{Record: c.opts})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
	}
	for _, c := range []struct {
		links Links
		opts  Recording
		want  string
	}{
		{newFakeLinks(tl.Meta.Directions()...), Recording{Dir: t.TempDir(), Counters: time.Second}, "record the replay: read the counters: these links"},
		{newMeteredLinks(tl.Meta.Directions()...), Recording{Dir: filepath.Join(t.TempDir(), "none")}, "record the replay: open "},
	} {
		p, err := New(t.Context(), openTape(t, tl), c.links, Options{Record: c.opts})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t.Context(), &fakeClock{}, nil); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
		if f, ok := c.links.(*meteredLinks); ok && f.replaying {
			t.Error("the replay has begun")
		}
	}
}

// A failure of the log is said once and at once; the replay goes on.
func TestTrouble(t *testing.T) {
	tl := twoWays(5 * time.Second)
	links := newMeteredLinks(tl.Meta.Directions()...)
	dir := t.TempDir()
	var said []string
	p, err := New(t.Context(), openTape(t, tl), links, Options{Record: Recording{
		Dir: dir, Counters: 100 * ms, Trouble: func(err error) { said = append(said, err.Error()) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := newRecorder(p)
	if err != nil {
		t.Fatal(err)
	}
	rec.close() // so that everything written fails
	said = nil
	rec.err = nil
	var none sync.WaitGroup
	records := newRing[Record](64)
	for i := range 50 {
		records.push(&Record{Sent: time.Duration(i)})
	}
	records.close()
	rec.write(records, &none)
	rec.fail(rec.log.Flush())
	rec.fail(rec.log.Flush())
	if len(said) != 1 || rec.err == nil || records.peek() != nil {
		t.Errorf("said %q, error %v", said, rec.err)
	}
}

// killedRun is the environment variable that makes the test binary a replay that
// waits to be killed.
const killedRun = "LINKTAPE_TEST_KILLED_RUN"

// A replay that is killed leaves every row that was flushed.
func TestKilled(t *testing.T) {
	tl := twoWays(2 * time.Second)
	if dir := os.Getenv(killedRun); dir != "" {
		links := newMeteredLinks(tl.Meta.Directions()...)
		p, err := New(t.Context(), openTape(t, tl), links, Options{Loop: true, Record: Recording{Dir: dir, Counters: 10 * ms, ReadBack: 20 * ms}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p.Run(ctx, NewMonotonic(0), nil)
		t.Fatal("nobody has killed it")
	}
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), killedRun+"="+dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	read := func() (n [3]int) {
		log, err1 := ReadLog(filepath.Join(dir, LogFile))
		counters, err2 := ReadCounters(filepath.Join(dir, CountersFile))
		back, err3 := ReadReadBack(filepath.Join(dir, ReadBackFile))
		if err := errors.Join(err1, err2, err3); err != nil {
			return [3]int{}
		}
		return [3]int{len(log), len(counters), len(back)}
	}
	deadline := time.Now().Add(30 * time.Second)
	var seen [3]int
	for slices.Min(seen[:]) < 20 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
		seen = read()
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
	got := read()
	for i := range seen {
		if seen[i] < 20 || got[i] < seen[i] {
			t.Errorf("table %d: %d rows before the kill, %d after it", i, seen[i], got[i])
		}
	}
	rows, err := ReadLog(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows { // those of the tape, in order
		want := tl.Steps[i%len(tl.Steps)]
		if r.Tape != int64(want.At) || r.Link != want.Link || r.Dir != want.Dir.String() || r.Rate != int64(want.Rate) || r.Loop != int64(i/len(tl.Steps)) {
			t.Fatalf("row %d is %+v, want %+v", i, r, want)
		}
	}
	m, err := ReadManifest(filepath.Join(dir, ManifestFile))
	if err != nil || m.SHA256 != tl.Hash() || m.Epoch.IsZero() {
		t.Errorf("got manifest %+v, %v", m, err)
	}
	if _, err := ReadSummary(filepath.Join(dir, SummaryFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("summary: got error %v", err)
	}
}

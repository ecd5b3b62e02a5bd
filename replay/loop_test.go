package replay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// newLoop makes a loop over prepared entries with fake endpoints. Its epoch is
// an hour on the clock.
func newLoop(clock Clock, endpoints []*fakeEndpoint, entries []Entry) *loop {
	l := &loop{clock: clock, epoch: time.Hour, entries: newRing[Entry](max(len(entries), 1))}
	for _, e := range endpoints {
		l.endpoints = append(l.endpoints, e)
	}
	for i := range entries {
		l.entries.push(&entries[i])
	}
	l.entries.close()
	l.progress = make([]Progress, len(endpoints))
	l.last = make([]dirTally, len(endpoints))
	return l
}

// everyTenth are entries 100 ms apart, in turn for each of some directions.
func everyTenth(n, dirs int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		at := time.Duration(i) * 100 * ms
		out[i] = Entry{
			At: at, Hold: 100 * ms * time.Duration(dirs), Tape: at + time.Minute, Dir: i % dirs,
			State: trace.State{Rate: trace.BitRate(i+1) * trace.Mbit, Carrier: true},
		}
	}
	return out
}

// run lets a loop play, and returns when each step was applied.
func runLoop(t *testing.T, l *loop, clock *fakeClock, endpoints []*fakeEndpoint, exchange time.Duration) []time.Duration {
	t.Helper()
	var when []time.Duration
	for _, e := range endpoints {
		e.apply = func(call) error {
			when = append(when, clock.now-l.epoch)
			clock.now += exchange
			return nil
		}
	}
	if err := l.run(); err != nil {
		t.Fatal(err)
	}
	return when
}

func TestLoopAppliesOnTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	endpoints := []*fakeEndpoint{{}, {}, {}}
	var entries []Entry
	want := make([][]call, len(endpoints))
	for at := time.Duration(0); len(entries) < 500; at += time.Duration(r.IntN(3)*r.IntN(1e9)) * 2 {
		e := Entry{At: at, Hold: time.Duration(r.IntN(1000)), Dir: r.IntN(3), State: randomState(r)}
		entries = append(entries, e)
		want[e.Dir] = append(want[e.Dir], call{e.At, e.Hold, e.State})
	}
	clock := &fakeClock{now: time.Hour - lead}
	l := newLoop(clock, endpoints, entries)
	l.end = entries[len(entries)-1].At + 12_345*ms
	when := runLoop(t, l, clock, endpoints, 0)
	for i, e := range entries {
		if when[i] != e.At {
			t.Fatalf("step %d: applied at %v, want %v", i, when[i], e.At)
		}
	}
	for i, e := range endpoints {
		if !slices.Equal(e.calls, want[i]) {
			t.Errorf("endpoint %d: got other steps than planned", i)
		}
	}
	if got := clock.now - l.epoch; got != l.end || !l.finished {
		t.Errorf("returned at %v (finished %v), want the window's end %v", got, l.finished, l.end)
	}
	if l.tally.lateness.max != 0 || l.tally.missed != 0 || l.tally.starved != 0 || l.tally.steps != 500 {
		t.Errorf("got lateness %v, %d missed, %d starved, %d steps", l.tally.lateness.max, l.tally.missed, l.tally.starved, l.tally.steps)
	}
}

// Later deadlines do not move.
func TestLoopLate(t *testing.T) {
	for _, c := range []struct {
		name     string
		start    time.Duration // after the epoch
		slow     int           // this step's exchange takes 250 ms
		want     []time.Duration
		missed   int64
		lateness time.Duration
	}{
		{"on time", -5 * ms, -1, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms, 500 * ms}, 0, 0},
		{"late start", 350 * ms, -1, []time.Duration{350 * ms, 350 * ms, 350 * ms, 350 * ms, 400 * ms, 500 * ms}, 3, 350 * ms},
		{"late by three steps", 300 * ms, -1, []time.Duration{300 * ms, 300 * ms, 300 * ms, 300 * ms, 400 * ms, 500 * ms}, 3, 300 * ms},
		{"slow exchange", 0, 1, []time.Duration{0, 100 * ms, 350 * ms, 350 * ms, 400 * ms, 500 * ms}, 1, 150 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &fakeClock{now: time.Hour + c.start}
			endpoint := &fakeEndpoint{}
			l := newLoop(clock, []*fakeEndpoint{endpoint}, everyTenth(6, 1))
			var when []time.Duration
			endpoint.apply = func(call) error {
				when = append(when, clock.now-l.epoch)
				if len(when)-1 == c.slow {
					clock.now += 250 * ms
				}
				return nil
			}
			if err := l.run(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(when, c.want) {
				t.Errorf("got %v, want %v", when, c.want)
			}
			if l.tally.missed != c.missed || l.tally.lateness.max != c.lateness {
				t.Errorf("got %d missed, lateness %v, want %d, %v", l.tally.missed, l.tally.lateness.max, c.missed, c.lateness)
			}
			if got := l.tally.wake; got.n != 6 || got.max != c.lateness { // one direction: an instant each
				t.Errorf("got %d instants, woken up at most %v late, want 6, %v", got.n, got.max, c.lateness)
			}
			if got := time.Duration(l.progress[0].Lateness.Load()); got != c.lateness {
				t.Errorf("progress: got lateness %v, want %v", got, c.lateness)
			}
		})
	}
}

func TestLoopStops(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
		want int // steps applied
	}{
		{"before the first step", -3 * time.Second, 0},
		{"between steps", 10 * time.Second, 1},
		{"after the last step", 70 * time.Second, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoint := &fakeEndpoint{}
			clock := &fakeClock{now: time.Hour - 5*time.Second}
			l := newLoop(clock, []*fakeEndpoint{endpoint}, []Entry{{At: 0}, {At: time.Minute}})
			l.end = time.Hour
			clock.sleep = func(to time.Duration) {
				if to >= l.epoch+c.at {
					l.stop.Store(true)
				}
			}
			if err := l.run(); err != nil {
				t.Fatal(err)
			}
			if got := clock.now - l.epoch; got < c.at || got > c.at+nap {
				t.Errorf("returned at %v, want at most %v after %v", got, nap, c.at)
			}
			if len(endpoint.calls) != c.want || l.finished {
				t.Errorf("got %d steps, finished %v; want %d, false", len(endpoint.calls), l.finished, c.want)
			}
		})
	}
}

func TestLoopError(t *testing.T) {
	broken := errors.New("no such device")
	endpoints := []*fakeEndpoint{{}, {}}
	endpoints[1].apply = func(c call) error {
		if c.At == 300*ms {
			return broken
		}
		return nil
	}
	l := newLoop(&fakeClock{now: time.Hour}, endpoints, everyTenth(6, 2))
	err := l.run()
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "step at 1m0.3s of the tape: ") {
		t.Errorf("got error %v, want one that names the step at 1m0.3s", err)
	}
	if len(endpoints[0].calls) != 2 || len(endpoints[1].calls) != 1 {
		t.Errorf("got %d and %d steps, want 2 and 1", len(endpoints[0].calls), len(endpoints[1].calls))
	}
}

func TestLoopLacksEntries(t *testing.T) {
	for _, c := range []struct {
		name    string
		covered time.Duration // nothing is due before
		starved int64
	}{
		{"tape read too slowly", 0, 31},
		{"known to have none until then", 110 * ms, 21},
		{"known to have none", 300 * ms, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries := everyTenth(4, 1)
			clock := &fakeClock{now: time.Hour}
			endpoint := &fakeEndpoint{}
			l := newLoop(clock, []*fakeEndpoint{endpoint}, entries)
			l.entries = newRing[Entry](4)
			l.entries.push(&entries[0])
			l.entries.push(&entries[1])
			l.covered.Store(int64(c.covered))
			late := false
			clock.sleep = func(time.Duration) {
				if !late && clock.now >= l.epoch+130*ms { // 30 ms after the last step that there is
					late = true
					l.entries.push(&entries[2])
					l.entries.push(&entries[3])
					l.entries.close()
				}
			}
			when := runLoop(t, l, clock, []*fakeEndpoint{endpoint}, 0)
			if want := []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}; !slices.Equal(when, want) {
				t.Errorf("got %v, want %v", when, want)
			}
			if l.tally.starved != c.starved {
				t.Errorf("starved %d times, want %d", l.tally.starved, c.starved)
			}
		})
	}
}

func TestLoopRecords(t *testing.T) {
	entries := everyTenth(6, 2)
	clock := &fakeClock{now: time.Hour}
	endpoints := []*fakeEndpoint{{}, {}}
	l := newLoop(clock, endpoints, entries)
	l.records = newRing[Record](4) // of six
	runLoop(t, l, clock, endpoints, 3*ms)
	for i := range 4 {
		r := l.records.peek()
		if r.Entry != entries[i] || r.Sent != entries[i].At || r.Acked != entries[i].At+3*ms || r.Messages != 2 {
			t.Errorf("record %d: got %+v of %+v", i, r, entries[i])
		}
		l.records.drop()
	}
	if l.tally.unlogged != 2 {
		t.Errorf("got %d steps that were not logged, want 2", l.tally.unlogged)
	}
	if got := l.tally.exchange.max; got != 3*ms {
		t.Errorf("got exchange %v, want 3ms", got)
	}
}

// Skew is the time between the first and the last acknowledgement of one
// instant.
func TestLoopSkew(t *testing.T) {
	var entries []Entry
	for i := range 10 {
		for d := range 3 {
			if i%2 == 0 || d == 0 { // every other instant has one step
				entries = append(entries, Entry{At: time.Duration(i) * 100 * ms, Dir: d})
			}
		}
	}
	clock := &fakeClock{now: time.Hour}
	endpoints := []*fakeEndpoint{{}, {}, {}}
	l := newLoop(clock, endpoints, entries)
	runLoop(t, l, clock, endpoints, 2*ms)
	l.tally.endGroup()
	if h := &l.tally.skew; h.n != 5 || h.max != 4*ms {
		t.Errorf("got %d instants, largest skew %v, want 5, 4ms", h.n, h.max)
	}
}

// loopOf makes a loop that can play the same entries again and again.
func loopOf(n, dirs int) (again func(steps int) error) {
	clock := &fakeClock{}
	endpoints := make([]*fakeEndpoint, dirs)
	for i := range endpoints {
		endpoints[i] = &fakeEndpoint{}
	}
	l := newLoop(clock, endpoints, everyTenth(n, dirs))
	for i := range l.endpoints {
		l.endpoints[i] = silent{}
	}
	l.records = newRing[Record](n)
	return func(steps int) error {
		clock.now = time.Hour - lead
		l.entries.tail.Store(uint64(steps))
		l.entries.head.Store(0)
		l.records.head.Store(0)
		l.records.tail.Store(0)
		return l.run()
	}
}

// silent is an endpoint that does nothing.
type silent struct{}

func (silent) Apply(time.Duration, time.Duration, *trace.State) (netsetup.Applied, error) {
	return netsetup.Applied{Messages: 2}, nil
}
func (silent) Counters() (netsetup.Counters, error) { return netsetup.Counters{}, nil }
func (silent) Supports(*trace.State) error          { return nil }
func (silent) Seed(uint64)                          {}

func TestLoopAllocatesNothing(t *testing.T) {
	again := loopOf(1024, 4)
	allocs := func(steps int) float64 {
		return testing.AllocsPerRun(20, func() {
			if err := again(steps); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(0), allocs(1024); many != few {
		t.Errorf("got %v allocations for 1024 steps and %v for none", many, few)
	}
}

// The loop's own cost of a step: everything but the clock and the kernel.
func BenchmarkLoop(b *testing.B) {
	for _, dirs := range []int{1, 6, 32} {
		b.Run(fmt.Sprintf("directions=%d", dirs), func(b *testing.B) {
			const steps = 4096
			again := loopOf(steps, dirs)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := again(steps); err != nil {
					b.Fatal(err)
				}
				n += steps
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/step")
		})
	}
}

// The report's sums against the records one by one.
func TestTallyAgainstBruteForce(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		var d dirTally
		var records []Record
		at, c := time.Duration(0), netsetup.Counters{Bytes: 1e6, Packets: 900, Drops: 5}
		for range 1 + r.IntN(40) {
			rec := Record{Entry: Entry{At: at, State: trace.State{Rate: trace.BitRate(r.Int64N(1e9)), Carrier: r.IntN(5) > 0}}}
			rec.Counters, rec.Closed = c, r.IntN(4) == 0
			records = append(records, rec)
			d.add(&rec)
			at += time.Duration(r.Int64N(3e9))
			c.Bytes += uint64(r.IntN(1e6))
			c.Packets += uint64(r.IntN(1000))
			c.Drops += uint64(r.IntN(3))
			c.BacklogBytes = uint32(r.IntN(2) * r.IntN(1e5))
		}
		end := at

		var tape, busyTape trace.Service
		var busy time.Duration
		var busyBytes uint64
		closed, most := int64(0), int64(c.BacklogBytes)
		for i, rec := range records {
			next := Record{Entry: Entry{At: end}}
			next.Counters = c
			if i+1 < len(records) {
				next = records[i+1]
			}
			rate := rec.State.Rate
			if !rec.State.Carrier {
				rate = 0 // nothing leaves an interface that is down
			}
			tape.Add(rate, next.At-rec.At)
			if rec.BacklogBytes > 0 && next.BacklogBytes > 0 {
				busyTape.Add(rate, next.At-rec.At)
				busy += next.At - rec.At
				busyBytes += next.Bytes - rec.Bytes
			}
			if rec.Closed {
				closed++
			}
			most = max(most, int64(rec.BacklogBytes))
		}
		want := LinkReport{
			Link: "a", Dir: "up", Steps: int64(len(records)), TapeBytes: tape.Bytes(),
			DeliveredBytes: int64(c.Bytes - 1e6), Packets: int64(c.Packets - 900), Drops: int64(c.Drops - 5),
			MaxBacklogBytes: most, Closed: closed,
		}
		if want.TapeBytes > 0 {
			want.Use = float64(want.DeliveredBytes) / float64(want.TapeBytes)
		}
		if end > 0 {
			want.Saturated = busy.Seconds() / end.Seconds()
		}
		if n := busyTape.Bytes(); n > 0 {
			want.Deviation = float64(busyBytes)/float64(n) - 1
		}
		if got := d.report(trace.LinkDir{Link: "a", Dir: trace.Up}, end, c); got != want {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
		}
	}
}

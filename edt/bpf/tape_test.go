package bpf

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"linktape/edt"
	"linktape/trace"
)

func rate(r trace.BitRate) *trace.State { return &trace.State{Rate: r, Carrier: true} }

// ring is what the program sees: the steps that count, the run, and whether the last
// one is held.
func ring(t *Tape) (steps []edt.Step, run uint64, hold bool) {
	w := t.head.window
	next := w >> 28
	for i := next - w>>8&0xfffff; i < next; i++ {
		steps = append(steps, t.steps[i%uint64(len(t.steps))])
	}
	return steps, w >> 1 & 0x7f, w&1 != 0
}

func set(t *testing.T, tape *Tape, at time.Duration, s *trace.State) {
	t.Helper()
	if err := tape.Set(at, s); err != nil {
		t.Fatalf("at %v: %v", at, err)
	}
}

var exactly = cmp.AllowUnexported(edt.Step{})

// What is written is what a window has of the same states, with the cuts that it makes.
func TestTapeIsWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		q := trace.Queue{LimitTime: 20 * ms}
		tape, w := plain(1024), edt.NewWindow(q, mtu)
		tape.Begin(q, mtu, 1, false)
		tape.Publish()
		at := time.Duration(rng.Int64N(int64(time.Hour)))
		for range 1 + rng.IntN(60) {
			s := randomState(rng)
			set(t, tape, at, &s)
			if err := w.Set(at, &s); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(5) > 0 { // else another one of the same instant
				at += time.Duration(rng.Int64N(int64(30 * ms)))
			}
			if rng.IntN(5) == 0 {
				if err := errors.Join(tape.Extend(at), w.Extend(at)); err != nil {
					t.Fatal(err)
				}
				w.Cut()
			}
			got, run, hold := ring(tape)
			if d := cmp.Diff(w.Steps(), got, exactly); d != "" || run != 1 || hold {
				t.Fatalf("run %d, held %v, -window +ring\n%s", run, hold, d)
			}
			if tape.End() != w.End() || tape.Room() != 1024-len(got) {
				t.Fatalf("ends at %v with room for %d, want %v and %d", tape.End(), tape.Room(), w.End(), 1024-len(got))
			}
		}
	}
}

// A tape that is begun is not seen until it is published; the one before goes on.
func TestTapeStaging(t *testing.T) {
	tape := plain(256)
	if tape.End() != 0 {
		t.Errorf("ends at %v before it begins", tape.End())
	}
	if err := tape.Set(0, rate(1)); err == nil || !strings.Contains(err.Error(), "has not begun") {
		t.Errorf("got %v", err)
	}
	tape.Begin(trace.Queue{}, mtu, 11, true)
	set(t, tape, 0, rate(trace.Mbit))
	if steps, _, _ := ring(tape); len(steps) != 0 {
		t.Errorf("seen before it is published: %+v", steps)
	}
	tape.Hold()
	tape.Publish()
	first, run, hold := ring(tape)
	if len(first) != 1 || first[0].Rate != uint64(trace.Mbit) || run != 1 || !hold || tape.head.seed[1] != 11 || tape.head.overtake[1] != 1 {
		t.Errorf("run %d, held %v: %+v, seeds %v", run, hold, first, tape.head.seed)
	}
	if err := tape.Set(ms, rate(1)); err == nil || !strings.Contains(err.Error(), "is held") {
		t.Errorf("said of a held tape: got %v", err)
	}
	if err := tape.Extend(ms); err == nil || !strings.Contains(err.Error(), "is held") {
		t.Errorf("extended a held tape: got %v", err)
	}

	tape.Begin(trace.Queue{}, mtu, 22, false)
	for i := range 100 {
		set(t, tape, time.Second+time.Duration(i)*ms, rate(2*trace.Mbit))
	}
	tape.Pass(time.Hour) // nothing of it is written over
	if again, run, hold := ring(tape); cmp.Diff(first, again, exactly) != "" || run != 1 || !hold || tape.head.seed[1] != 11 {
		t.Errorf("changed before the next one is published: run %d, held %v, %+v", run, hold, again)
	}
	tape.Publish()
	next, run, hold := ring(tape)
	if len(next) != 100 || next[0].T != uint64(time.Second) || run != 2 || hold || tape.head.seed != [2]uint64{22, 11} || tape.head.overtake != [2]uint32{0, 1} {
		t.Errorf("%d steps, run %d, held %v, seeds %v, overtaking %v", len(next), run, hold, tape.head.seed, tape.head.overtake)
	}
	if tape.Room() != 256-101 {
		t.Errorf("room for %d: the tape before is still kept", tape.Room())
	}
	if tape.Pass(time.Second); tape.Room() != 256-100 {
		t.Errorf("room for %d when time has passed", tape.Room())
	}
}

// Who opens a tape anew goes on where it was left: nothing that counts is written over.
func TestTapeOpenedAnew(t *testing.T) {
	a := plain(256)
	a.Begin(trace.Queue{}, mtu, 1, false)
	a.Publish()
	for i := range 300 {
		a.Pass(time.Duration(i) * 10 * ms)
		set(t, a, time.Duration(i)*10*ms, rate(trace.BitRate(i)))
	}
	want, _, _ := ring(a)
	b := newTape(unsafe.Slice((*byte)(unsafe.Pointer(a.head)), headBytes+256*stepBytes), 256)
	if b.Room() != 256-len(want) {
		t.Errorf("room for %d, want %d", b.Room(), 256-len(want))
	}
	b.Begin(trace.Queue{}, mtu, 2, false)
	for b.Room() > 2+b.spare() {
		set(t, b, b.End()+ms, rate(5))
	}
	if got, run, _ := ring(a); run != 1 || cmp.Diff(want, got, exactly) != "" {
		t.Errorf("run %d\n%s", run, cmp.Diff(want, got, exactly))
	}
	b.Publish()
	if _, run, _ := ring(a); run != 2 {
		t.Errorf("run %d", run)
	}
	// The run's number comes around.
	for i := range 300 {
		b.Begin(trace.Queue{}, mtu, uint64(i), false)
		set(t, b, b.End(), rate(5))
		b.Publish()
		if _, run, _ := ring(b); run != uint64(3+i)%128 {
			t.Fatalf("run %d, want %d", run, (3+i)%128)
		}
		b.Pass(time.Hour)
	}
}

// A ring that is full says so and takes nothing, until time has passed.
func TestTapeFull(t *testing.T) {
	tape := plain(16)
	tape.Begin(trace.Queue{}, mtu, 1, false)
	tape.Publish()
	for i := range 16 - 1 - tape.spare() {
		set(t, tape, time.Duration(i)*10*ms, rate(trace.BitRate(1+i)))
	}
	before, _, _ := ring(tape)
	if err := tape.Set(150*ms, rate(9)); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	if err := tape.Extend(150 * ms); !errors.Is(err, ErrFull) {
		t.Fatalf("extended: got %v", err)
	}
	if err := tape.Extend(120 * ms); err != nil {
		t.Errorf("extended to where it ends: %v", err)
	}
	if after, _, _ := ring(tape); cmp.Diff(before, after, exactly) != "" || tape.End() != 120*ms {
		t.Errorf("changed all the same: ends at %v\n%s", tape.End(), cmp.Diff(before, after, exactly))
	}
	for _, c := range []struct {
		now  time.Duration
		room int
	}{{-time.Second, 3}, {100 * ms, 3}, {110*ms - 1, 3}, {110 * ms, 4}, {125 * ms, 5}, {125 * ms, 5}, {0, 5}, {time.Hour, 14}} {
		if tape.Pass(c.now); tape.Room() != c.room {
			t.Errorf("at %v: room for %d, want %d", c.now, tape.Room(), c.room)
		}
		if steps, _, _ := ring(tape); cmp.Diff(before[13-len(steps):], steps, exactly) != "" || len(steps) != 16-c.room {
			t.Errorf("at %v: the program sees %d steps", c.now, len(steps))
		}
	}
	set(t, tape, 150*ms, rate(9))
	// An extension needs room for its cuts: 216 in a second of the highest rate.
	set(t, tape, 160*ms, rate(edt.MaxRate))
	if err := tape.Extend(160*ms + time.Second); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	if err := tape.Extend(200 * ms); err != nil {
		t.Error(err)
	}
	if steps, _, _ := ring(tape); len(steps) != 4+8+1 {
		t.Errorf("%d steps", len(steps))
	}
	// What the window refuses is not written either.
	before, _, _ = ring(tape)
	if err := tape.Set(201*ms, &trace.State{Rate: -1}); err == nil {
		t.Error("a negative rate was taken")
	}
	if after, _, _ := ring(tape); cmp.Diff(before, after, exactly) != "" {
		t.Errorf("changed all the same\n%s", cmp.Diff(before, after, exactly))
	}
}

// Through any sequence of calls, what the program sees of the time from now on is what
// was said last of it, by the sum over all that was said.
func TestTapeCurve(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	type said struct {
		at time.Duration
		trace.State
	}
	changed := 0
	for range 60 {
		tape := plain(512)
		tape.Begin(trace.Queue{}, mtu, 1, false)
		now := time.Duration(rng.Int64N(int64(time.Minute)))
		var all []said
		say := func(at time.Duration, s trace.State) {
			for len(all) > 0 && all[len(all)-1].at >= at {
				all = all[:len(all)-1]
			}
			all = append(all, said{at, s})
		}
		s := randomState(rng)
		set(t, tape, now, &s)
		say(now, s)
		tape.Publish()
		for range 400 {
			now += time.Duration(rng.Int64N(int64(5 * ms)))
			tape.Pass(now)
			switch s := randomState(rng); rng.IntN(6) {
			case 0:
				// Where room is left, and not where the tape is not known.
				at := now + time.Duration(rng.Int64N(int64(20*ms)))
				if err := tape.Change(now, at, &s); errors.Is(err, ErrFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				say(at, s)
				changed++
			default:
				at := max(tape.End(), now) + time.Duration(rng.Int64N(int64(10*ms)))
				if err := tape.Set(at, &s); errors.Is(err, ErrFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				say(at, s)
			}
			steps, _, _ := ring(tape)
			if steps[0].T > uint64(now) {
				t.Fatalf("at %v the first step begins at %v", now, time.Duration(steps[0].T))
			}
			if !slices.IsSortedFunc(steps, func(a, b edt.Step) int { return int(int64(a.T - b.T)) }) {
				t.Fatalf("steps are not in order: %+v", steps)
			}
			// The service from one instant to a later one, both known.
			at := func(t uint64) *edt.Step {
				i := len(steps) - 1
				for steps[i].T > t {
					i--
				}
				return &steps[i]
			}
			from := uint64(now)
			to := from + rng.Uint64N(max(uint64(tape.End())-min(from, uint64(tape.End())), 1))
			got := at(to).Served(to) - at(from).Served(from)
			sum, last := new(big.Int), trace.State{}
			for i, x := range all {
				until := to
				if i+1 < len(all) {
					until = min(until, uint64(all[i+1].at))
				}
				if begin := max(uint64(x.at), from); until > begin {
					sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(x.Capacity())), big.NewInt(int64(until-begin))))
				}
				if uint64(x.at) <= to {
					last = x.State
				}
			}
			if d := int64(got - sum.Div(sum, big.NewInt(rateUnits)).Uint64()); d < -1 || d > 1 {
				t.Fatalf("from %d to %d: %d units, want %v", from, to, got, sum)
			}
			x := at(to)
			if x.Rate != uint64(last.Capacity()) || x.Delay != uint64(last.Delay) || x.Outages&down == 0 != last.Carrier {
				t.Fatalf("at %d: got %+v, want %+v", to, x, last)
			}
			if seen, _ := tape.At(time.Duration(to)); seen != *x {
				t.Fatalf("at %d: At says %+v, want %+v", to, seen, *x)
			}
		}
	}
	if changed < 1000 {
		t.Errorf("%d changes", changed)
	}
}

// A change keeps the outages' count, is seen at once, and ends what was held.
func TestTapeChange(t *testing.T) {
	tape := plain(64)
	tape.Begin(trace.Queue{LimitTime: 20 * ms}, mtu, 1, false)
	if err := tape.Change(0, 0, rate(1)); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("changed where nothing is known: %v", err)
	}
	set(t, tape, 10*ms, rate(12*trace.Mbit))
	set(t, tape, 20*ms, &trace.State{})
	set(t, tape, 30*ms, rate(24*trace.Mbit))
	set(t, tape, 40*ms, &trace.State{})
	tape.Publish()
	tape.Hold()
	if err := tape.Change(0, 5*ms, rate(1)); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("changed before the first step: %v", err)
	}
	if err := tape.Change(35*ms, 36*ms, rate(0)); err != nil {
		t.Fatal(err)
	}
	steps, run, hold := ring(tape)
	last := steps[len(steps)-1]
	if run != 1 || hold || last.T != uint64(36*ms) || last.Outages != 1 || last.Rate != 0 || last.Limit != 60_000 || tape.End() != 36*ms {
		t.Errorf("run %d, held %v, ends at %v: %+v", run, hold, tape.End(), last)
	}
	if want := uint64(12*10_000+24*6_000) * 1e6; last.Cum != want {
		t.Errorf("service %d before it, want %d", last.Cum, want)
	}
	set(t, tape, 50*ms, rate(trace.Mbit)) // and it goes on from there

	// It needs room for what is kept besides, and takes nothing where there is none.
	for _, spare := range []int{0, -1} {
		tape := plain(64)
		tape.Begin(trace.Queue{}, mtu, 1, false)
		tape.Publish()
		for i := range 10 {
			set(t, tape, time.Duration(i)*ms, rate(trace.BitRate(i)))
		}
		for tape.Room() > 11+spare {
			set(t, tape, tape.End()+ms, rate(trace.BitRate(tape.Room())))
		}
		before, _, _ := ring(tape)
		err := tape.Change(0, 9*ms+1, rate(1)) // ten steps and one more
		after, _, _ := ring(tape)
		if spare == 0 && (err != nil || len(after) != 11 || tape.End() != 9*ms+1) {
			t.Errorf("with room: %v, %d steps, ends at %v", err, len(after), tape.End())
		}
		if spare < 0 && (!errors.Is(err, ErrFull) || cmp.Diff(before, after, exactly) != "") {
			t.Errorf("without room: %v, %d steps, before %d", err, len(after), len(before))
		}
	}
}

// A tape that is told as far ahead as there is room can be changed all the same, however
// short its steps are.
func TestTapeChangeWhenFull(t *testing.T) {
	tape := plain(MinSteps)
	tape.Begin(trace.Queue{}, mtu, 1, false)
	tape.Publish()
	now, at := time.Second, time.Second
	for change := range 100 {
		for {
			err := tape.Set(at, rate(trace.BitRate(1+change)))
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			at += time.Millisecond
		}
		now += 40 * time.Millisecond
		if err := tape.Change(now, now+20*time.Microsecond, rate(7)); err != nil {
			t.Fatalf("change %d: %v", change, err)
		}
		at = now + time.Millisecond
	}
}

// However much a tape has served, what counts is the part that is kept.
func TestTapeGoesOn(t *testing.T) {
	tape := plain(1024)
	tape.Begin(trace.Queue{}, mtu, 1, false)
	set(t, tape, 0, rate(edt.MaxRate))
	tape.Publish()
	for at := time.Second; at < time.Minute; at += time.Second {
		tape.Pass(at)
		if err := tape.Extend(at + time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// At says what is in force, and what is the last step.
func TestTapeAt(t *testing.T) {
	tape := plain(16)
	if s, last := tape.At(time.Hour); s != (edt.Step{}) || last {
		t.Errorf("of no tape: %+v, %v", s, last)
	}
	tape.Begin(trace.Queue{}, mtu, 1, false)
	for i := range 3 {
		set(t, tape, time.Duration(i+1)*10*ms, rate(trace.BitRate(i+1)))
	}
	tape.Publish()
	for _, c := range []struct {
		at   time.Duration
		rate uint64
		last bool
	}{{0, 0, false}, {10*ms - 1, 0, false}, {10 * ms, 1, false}, {20*ms - 1, 1, false}, {20 * ms, 2, false}, {30 * ms, 3, true}, {time.Hour, 3, true}} {
		if s, last := tape.At(c.at); s.Rate != c.rate || last != c.last {
			t.Errorf("at %v: rate %d, last %v", c.at, s.Rate, last)
		}
	}
}

// What waits is what the curve has not served yet, of packets that were let in.
func TestTapeWaiting(t *testing.T) {
	tape := plain(16)
	tape.Begin(trace.Queue{}, mtu, 1, false)
	set(t, tape, 0, rate(12*trace.Mbit)) // 1500 bytes in a ms
	set(t, tape, 10*ms, rate(0))
	set(t, tape, 20*ms, rate(24*trace.Mbit))
	set(t, tape, 30*ms, &trace.State{})
	set(t, tape, 40*ms, rate(12*trace.Mbit))
	tape.Publish()
	l := &reader{memory: tape}
	waiting := func(at time.Duration) uint64 { return tape.waiting(at, l.v, l.left, l.outages) }
	if n := waiting(0); n != 0 {
		t.Errorf("nothing was sent: %d bytes wait", n)
	}
	for range 12 { // ten of them by 10 ms, two in the ms from 20 ms on
		if v, _ := l.packet(0, 1500); v.Fate != edt.Delivered {
			t.Fatalf("%+v", v)
		}
	}
	for _, c := range []struct {
		at   time.Duration
		want uint64
	}{
		{0, 18000}, {1, 18000}, {time.Microsecond, 17999}, {ms, 16500}, {ms + ms/2, 15750}, {10 * ms, 3000}, {19 * ms, 3000},
		{20*ms + ms/4, 2250}, {21*ms - 1, 1}, {21 * ms, 0}, {30 * ms, 0}, {time.Hour, 0},
	} {
		if got := waiting(c.at); got != c.want {
			t.Errorf("at %v: %d bytes, want %d", c.at, got, c.want)
		}
	}
	// Twenty of them leave from 25 ms on, half of these before the carrier goes.
	for range 20 {
		l.packet(25*ms, 1500)
	}
	if a, b := waiting(29*ms), waiting(30*ms); a != 18000 || b != 0 {
		t.Errorf("%d bytes, and without carrier %d", a, b)
	}
	// On the last step, beyond what is known, by its rate.
	tape.Hold()
	for range 4 {
		l.packet(50*ms, 1500)
	}
	if a, b, c := waiting(50*ms), waiting(52*ms+ms/2), waiting(54*ms); a != 6000 || b != 2250 || c != 0 {
		t.Errorf("beyond: %d, %d and %d bytes", a, b, c)
	}
}

// A packet that comes before its step is known goes by the last state, and counts; one
// that cannot leave by that is unknown. Where the tape goes on, so does the queue.
func TestTapeRunsOut(t *testing.T) {
	tape := plain(16)
	l := &reader{memory: tape}
	if _, ok := l.packet(0, 100); ok {
		t.Error("a packet was held without a tape")
	}
	tape.Begin(trace.Queue{}, mtu, 1, false)
	set(t, tape, 10*ms, rate(12*trace.Mbit))
	tape.Publish()
	if v, _ := l.packet(9*ms, 1500); v.Fate != edt.Unknown || l.beyond != 0 {
		t.Errorf("before the tape: %+v", v)
	}
	for k := range 3 {
		if v, _ := l.packet(20*ms, 1500); v.Left != time.Duration(21+k)*ms || l.beyond != uint64(k+1) {
			t.Errorf("packet %d: %+v, %d beyond", k, v, l.beyond)
		}
	}
	set(t, tape, 22*ms, rate(24*trace.Mbit))
	set(t, tape, 30*ms, rate(0))
	// One of the three has not left by 22 ms: half a ms at twice the rate.
	if v, _ := l.packet(22*ms, 3000); v.Left != 23*ms+ms/2 || v.Backlog != 1500 || l.beyond != 3 {
		t.Errorf("where it goes on: %+v, %d beyond", v, l.beyond)
	}
	if v, _ := l.packet(31*ms, 1500); v.Fate != edt.Unknown || l.beyond != 4 {
		t.Errorf("in a stall without an end: %+v, %d beyond", v, l.beyond)
	}
	tape.Hold() // it is known that it goes on
	if v, _ := l.packet(32*ms, 1500); v.Fate != edt.Full || l.beyond != 4 {
		t.Errorf("in a stall that is held: %+v, %d beyond", v, l.beyond)
	}
}

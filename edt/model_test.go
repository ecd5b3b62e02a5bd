package edt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linktape/trace"
)

const (
	ms  = time.Millisecond
	mtu = 1500
)

// up is a state of a rate.
func up(rate trace.BitRate) trace.State { return trace.State{Rate: rate, Carrier: true} }

// window is a window that ends.
func window(t testing.TB, q trace.Queue, end time.Duration, tape ...change) *Window {
	t.Helper()
	w := NewWindow(q, mtu)
	for _, c := range tape {
		if err := w.Set(c.at, &c.State); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Extend(end); err != nil {
		t.Fatal(err)
	}
	return w
}

func model(t testing.TB, q trace.Queue, end time.Duration, tape ...change) *Model {
	t.Helper()
	return NewModel(window(t, q, end, tape...), 1, false)
}

func TestConstantRate(t *testing.T) {
	s := up(12 * trace.Mbit) // a packet of 1500 bytes in 1 ms
	s.Delay = 20 * ms
	m := model(t, trace.Queue{}, 10*time.Second, change{0, s})
	for k := range 100 { // all at once, 5 ms after the epoch
		want := Verdict{Left: 5*ms + time.Duration(k+1)*ms, Backlog: int64(k * 1500)}
		want.Arrived = want.Left + 20*ms
		if got := m.Packet(5*ms, 1500); got != want {
			t.Fatalf("packet %d: got %+v, want %+v", k, got, want)
		}
	}
	// The queue is empty by 105 ms; afterwards each one waits for nothing.
	for k := range 100 {
		at := 200*ms + time.Duration(k)*3*ms
		if got := m.Packet(at, 750); got.Left != at+ms/2 || got.Backlog != 0 {
			t.Fatalf("packet %d alone: got %+v", k, got)
		}
	}
}

// What leaves by an instant is what the curve allows: never ahead, and behind by
// less than a packet, whatever the rates.
func TestServiceCurve(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var tape []change
	const steps = 2000
	for i := range steps {
		s := up(trace.BitRate(rng.ExpFloat64() * 5e6))
		if rng.IntN(10) == 0 {
			s.Rate = 0
		}
		tape = append(tape, change{time.Duration(i) * 10 * ms, s})
	}
	end := steps * 10 * ms
	m := model(t, trace.Queue{}, end, tape...)
	var sent int64 // bits
	for {
		n := 40 + rng.IntN(1461)
		v := m.Packet(0, n)
		if v.Fate == Unknown {
			break
		}
		sent += int64(n) * 8
		var service trace.Service
		for i, c := range tape {
			to := end
			if i+1 < len(tape) {
				to = tape[i+1].at
			}
			service.Add(c.Rate, min(to, v.Left)-c.at)
		}
		// The instant is the first ns by which the curve allows it, so that the
		// curve is ahead by less than a ns of the highest rate.
		if ahead := service.Bits() - sent; ahead < -1 || ahead > 1 {
			t.Fatalf("at %v the curve allows %d bits, and %d have left", v.Left, service.Bits(), sent)
		}
	}
	var whole trace.Service
	for _, c := range tape {
		whole.Add(c.Rate, 10*ms)
	}
	if left := whole.Bits() - sent; left < 0 || left >= mtu*8 {
		t.Errorf("%d bits of %d were not used", left, whole.Bits())
	}
}

func TestStallAndRecovery(t *testing.T) {
	m := model(t, trace.Queue{}, 10*time.Second,
		change{0, up(50 * trace.Kbit)}, change{time.Second, up(0)}, change{6 * time.Second, up(12 * trace.Mbit)})
	// At 50 kbit/s a packet takes 240 ms: four leave, and 40 ms of the fifth.
	for k := range 4 {
		if got := m.Packet(0, 1500); got.Left != time.Duration(k+1)*240*ms {
			t.Fatalf("packet %d: got %+v", k, got)
		}
	}
	// 10,000 of the fifth's 12,000 bits wait for the end of the stall.
	fifth := 6*time.Second + 10_000*time.Second/12_000_000 + 1 // rounded up
	if got := m.Packet(0, 1500); got.Left != fifth {
		t.Errorf("the fifth: got %v, want %v", got.Left, fifth)
	}
	if got := m.Packet(3*time.Second, 1500); got.Left != fifth+ms || got.Backlog != 1250 {
		t.Errorf("in the stall: got %+v, want %v", got, fifth+ms)
	}
	if got := m.Packet(8*time.Second, 1500); got.Left != 8*time.Second+ms {
		t.Errorf("afterwards: got %+v", got)
	}
}

func TestDropTail(t *testing.T) {
	for _, c := range []struct {
		name  string
		queue trace.Queue
		rate  trace.BitRate
		want  int // packets accepted of a burst of 1500 bytes each
	}{
		{"bytes", trace.Queue{LimitBytes: 15000}, 12 * trace.Mbit, 10},
		{"a byte less", trace.Queue{LimitBytes: 14999}, 12 * trace.Mbit, 9},
		{"time", trace.Queue{LimitTime: 20 * ms}, 12 * trace.Mbit, 20},
		{"time at a higher rate", trace.Queue{LimitTime: 20 * ms}, 24 * trace.Mbit, 40},
		{"time, no less than two packets", trace.Queue{LimitTime: 20 * ms}, 100 * trace.Kbit, 2},
		{"no limit", trace.Queue{}, 12 * trace.Mbit, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := model(t, c.queue, time.Minute*5, change{0, up(c.rate)})
			for range 1000 {
				m.Packet(ms, 1500)
			}
			got := m.Counters()
			if got.Packets[Delivered] != int64(c.want) || got.Packets[Full] != int64(1000-c.want) || got.Backlog != int64(c.want*1500) {
				t.Errorf("got %+v, want %d accepted", got, c.want)
			}
		})
	}
	t.Run("time in a stall", func(t *testing.T) {
		m := model(t, trace.Queue{LimitTime: 20 * ms}, time.Minute, change{0, up(12 * trace.Mbit)}, change{time.Second, up(0)}, change{2 * time.Second, up(trace.Mbit)})
		for range 100 {
			m.Packet(1500*ms, 1500)
		}
		if got := m.Counters().Packets; got[Delivered] != 20 || got[Full] != 80 {
			t.Errorf("got %v, want the 20 of the rate before", got)
		}
	})
}

// An interface that goes down loses its queue and what comes while it is down, and
// nothing of it is waited for afterwards.
func TestCarrier(t *testing.T) {
	gone := trace.State{Rate: 12 * trace.Mbit}
	m := model(t, trace.Queue{}, 10*time.Second,
		change{0, up(12 * trace.Mbit)}, change{100 * ms, gone}, change{150 * ms, up(0)}, change{200 * ms, up(12 * trace.Mbit)}, change{300 * ms, gone}, change{400 * ms, up(12 * trace.Mbit)})
	burst := func(at time.Duration, n int) (out [fates]int) {
		for range n {
			out[m.Packet(at, 1500).Fate]++
		}
		return out
	}
	for _, c := range []struct {
		at   time.Duration
		want [fates]int
	}{
		{95 * ms, [fates]int{Delivered: 5, Outage: 5}},
		{120 * ms, [fates]int{Outage: 10}},
		{160 * ms, [fates]int{Delivered: 10}}, // up again, and stalled
		{299 * ms, [fates]int{Delivered: 1, Outage: 9}},
		{400 * ms, [fates]int{Delivered: 10}},
	} {
		if got := burst(c.at, 10); got != c.want {
			t.Errorf("at %v: got %v, want %v", c.at, got, c.want)
		}
	}
	if got := m.Packet(400*ms, 1500); got.Left != 411*ms {
		t.Errorf("after the second outage: got %+v", got)
	}
}

// Loss and chain against their closed forms. Packets are lost independently of how
// they are spaced. The bounds are five standard deviations; with fixed seeds they
// hold or not.
func TestLoss(t *testing.T) {
	const n = 1_000_000
	for _, c := range []struct {
		name  string
		state trace.State
		sd    float64 // of the share lost
	}{
		{"none", up(trace.Gbit), 0},
		{"all", trace.State{Loss: 1}, 0},
		{"2 %", trace.State{Loss: 0.02}, math.Sqrt(0.02 * 0.98 / n)},
		{"one in a million", trace.State{Loss: 1e-6}, 1e-6},
		{"chain", trace.State{GE: trace.GE{P: 0.02, R: 0.3, LossBad: 0.5, LossGood: 0.001}}, 0.0004},
		{"chain in place of loss", trace.State{Loss: 0.5, GE: trace.GE{P: 0.01, R: 0.5, LossBad: 1}}, 0.0003},
		{"chain that stays bad", trace.State{GE: trace.GE{P: 1, LossBad: 1, LossGood: 1}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.state
			s.Rate, s.Carrier = trace.Gbit, true
			run := func(spacing time.Duration) (lost []int, bursts int) {
				m := model(t, trace.Queue{}, time.Hour, change{0, s})
				last := -2
				for k := range n {
					if m.Packet(time.Duration(k)*spacing, 100).Fate == Lost {
						if k != last+1 {
							bursts++
						}
						lost, last = append(lost, k), k
					}
				}
				return lost, bursts
			}
			lost, bursts := run(0)
			share := float64(len(lost)) / n
			if d := math.Abs(share - s.MeanLoss()); d > 5*c.sd {
				t.Errorf("lost %v, want %v ± %v", share, s.MeanLoss(), 5*c.sd)
			}
			if again, _ := run(3 * time.Microsecond); !slices.Equal(lost, again) {
				t.Error("other packets were lost at another spacing")
			}
			if s.GE.LossBad == 1 && s.GE.R > 0 {
				if got, want := float64(len(lost))/float64(bursts), s.GE.MeanBurst(); math.Abs(got/want-1) > 0.03 {
					t.Errorf("bursts of %v packets, want %v", got, want)
				}
			}
		})
	}
}

func TestJitter(t *testing.T) {
	const n = 400_000
	s := up(trace.Gbit)
	s.Delay, s.Jitter = 100*ms, 5*ms
	m := NewModel(window(t, trace.Queue{}, time.Hour, change{0, s}), 7, true)
	var sum, squares, cubes, fourths float64
	for k := range n {
		v := m.Packet(time.Duration(k)*ms, 125)
		z := float64(v.Arrived-v.Left-s.Delay) / float64(s.Jitter)
		sum += z
		squares += float64(z * z)
		cubes += float64(z * z * z)
		fourths += float64(z * z * z * z)
	}
	// Mean and skewness 0, variance 1, kurtosis 2.9 of twelve uniform numbers;
	// bounds of five standard deviations.
	for _, c := range []struct {
		name             string
		got, want, bound float64
	}{
		{"mean", sum / n, 0, 5 / math.Sqrt(n)},
		{"variance", squares / n, 1, 5 * math.Sqrt(1.9/n)},
		{"third moment", cubes / n, 0, 5 * math.Sqrt(15/float64(n))},
		{"fourth moment", fourths / n, 2.9, 5 * math.Sqrt(96/float64(n))},
	} {
		if math.Abs(c.got-c.want) > c.bound {
			t.Errorf("%s: got %v, want %v ± %v", c.name, c.got, c.want, c.bound)
		}
	}
}

// A jitter above the delay does not let packets arrive before they left, and those
// in order wait for one another.
func TestOrder(t *testing.T) {
	s := up(trace.Gbit)
	s.Delay, s.Jitter = 5*ms, 20*ms
	for _, overtake := range []bool{false, true} {
		m := NewModel(window(t, trace.Queue{}, time.Hour, change{0, s}), 3, overtake)
		var last time.Duration
		overtaken := 0
		for k := range 10_000 {
			v := m.Packet(time.Duration(k)*ms, 100)
			if v.Arrived < v.Left {
				t.Fatalf("packet %d arrived at %v and left at %v", k, v.Arrived, v.Left)
			}
			if v.Arrived < last {
				overtaken++
			}
			last = v.Arrived
		}
		if got := overtaken > 0; got != overtake {
			t.Errorf("overtake %v: %d packets overtook", overtake, overtaken)
		}
	}
}

// scene is a random tape with random traffic.
type scene struct {
	tape     []change
	end      time.Duration
	queue    trace.Queue
	seed     uint64
	overtake bool
	hold     bool
	packets  []arrival
}

type arrival struct {
	at    time.Duration
	bytes int
}

func newScene(rng *rand.Rand) scene {
	s := scene{seed: rng.Uint64(), overtake: rng.IntN(3) == 0}
	switch rng.IntN(3) {
	case 0:
		s.queue.LimitBytes = 1 + rng.Int64N(40_000)
	case 1:
		s.queue.LimitTime = time.Duration(rng.Int64N(int64(time.Second)))
	}
	prob := func() trace.Prob {
		switch rng.IntN(4) {
		case 0:
			return trace.Prob(rng.IntN(2))
		default:
			return trace.Prob(rng.Float64())
		}
	}
	at := time.Duration(rng.IntN(2) * rng.IntN(1e9))
	for range 1 + rng.IntN(12) {
		c := change{at: at}
		c.Carrier = rng.IntN(6) > 0
		if rng.IntN(4) > 0 {
			c.Rate = trace.BitRate(math.Exp(rng.Float64() * math.Log(float64(MaxRate))))
			if rng.IntN(2) == 0 {
				c.Rate = 1 + c.Rate%(20*trace.Mbit)
			}
		}
		if rng.IntN(2) == 0 {
			c.Delay = time.Duration(rng.Int64N(int64(50 * ms)))
			c.Jitter = time.Duration(rng.Int64N(int64(50 * ms)))
		}
		switch rng.IntN(3) {
		case 0:
			c.Loss = prob()
		case 1:
			c.GE = trace.GE{P: prob(), R: prob(), LossBad: prob(), LossGood: prob()}
		}
		s.tape = append(s.tape, c)
		at += 1 + time.Duration(math.Exp(rng.Float64()*math.Log(3e8)))
	}
	s.end = at
	for range 200 {
		a := arrival{time.Duration(rng.Int64N(int64(at + at/10))), 1 + rng.IntN(3000)}
		for range 1 + rng.IntN(4) {
			s.packets = append(s.packets, a)
		}
	}
	slices.SortFunc(s.packets, func(a, b arrival) int { return int(a.at - b.at) })
	for i := range s.packets { // some of an instant before the one before
		if rng.IntN(20) == 0 {
			s.packets[i].at -= time.Duration(rng.IntN(1000))
		}
	}
	return s
}

// compare runs a scene through both models. What is known of the tape grows as the
// model asks for it, where grow is above 0 by so much at once.
func (s *scene) compare(t testing.TB, grow time.Duration) (seen [fates]int) {
	t.Helper()
	book := newNaive(s.tape, s.end, s.queue, mtu, s.seed, s.overtake)
	book.hold = s.hold
	w := NewWindow(s.queue, mtu)
	next := 0
	set := func(until time.Duration) {
		for ; next < len(s.tape) && s.tape[next].at <= until; next++ {
			if err := w.Set(s.tape[next].at, &s.tape[next].State); err != nil {
				t.Fatal(err)
			}
		}
		if next > 0 {
			if err := w.Extend(min(until, s.end)); err != nil {
				t.Fatal(err)
			}
		}
		if s.hold && until >= s.end {
			w.Hold()
		}
	}
	m := NewModel(w, s.seed, s.overtake)
	known := s.tape[0].at
	if grow <= 0 {
		known = s.end
	}
	set(known)
	for k, p := range s.packets {
		m.Pass(min(p.at, known))
		book.lastNow = max(book.lastNow, min(p.at, known))
		got := m.Packet(p.at, p.bytes)
		for got.Fate == Unknown && known < s.end {
			known = min(known+grow, s.end)
			set(known)
			got = m.Packet(p.at, p.bytes)
		}
		want := book.packet(p.at, p.bytes)
		if got != want {
			t.Fatalf("packet %d of %d bytes at %v: got %+v, want %+v\n%+v", k, p.bytes, p.at, got, want, s.tape)
		}
		seen[got.Fate]++
	}
	if got := m.Counters().Packets; got[Delivered]+got[Lost]+got[Full]+got[Outage] != int64(len(s.packets)-seen[Unknown]) {
		t.Errorf("counted %v of %d packets", got, len(s.packets))
	}
	return seen
}

func TestAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var seen [fates]int
	for i := range 400 {
		s := newScene(rng)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			grow := time.Duration(i%3) * max(s.end/time.Duration(5+i%90), 1)
			for f, n := range s.compare(t, grow) {
				seen[f] += n
			}
		})
	}
	for f, n := range seen {
		if n < 1000 {
			t.Errorf("%v: only %d packets of that fate: the scenes do not try it", Fate(f), n)
		}
	}
}

// The same where the last state is held: half of the packets come beyond the end.
func TestHeldAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var seen [fates]int
	for i := range 400 {
		s := newScene(rng)
		s.hold = true
		for k := range s.packets {
			s.packets[k].at *= 2
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			grow := time.Duration(i%3) * max(s.end/time.Duration(5+i%90), 1)
			for f, n := range s.compare(t, grow) {
				seen[f] += n
			}
		})
	}
	for f, n := range seen {
		if n < 1000 && Fate(f) != Unknown {
			t.Errorf("%v: only %d packets of that fate: the scenes do not try it", Fate(f), n)
		}
	}
}

func FuzzAgainstNaive(f *testing.F) {
	f.Add(uint64(1), uint64(2), int64(0), false)
	f.Add(uint64(9), uint64(9), int64(1_000_000), false)
	f.Add(uint64(3), uint64(4), int64(1_000_000), true)
	f.Fuzz(func(t *testing.T, a, b uint64, grow int64, hold bool) {
		s := newScene(rand.New(rand.NewPCG(a, b)))
		s.hold = hold
		if grow > 0 {
			grow = max(grow, int64(s.end)/1000)
		}
		s.compare(t, time.Duration(grow))
	})
}

// A packet that comes in the very instant at which the one before leaves finds an
// empty queue, however the instant was rounded.
func TestArrivalAtDeparture(t *testing.T) {
	m := model(t, trace.Queue{LimitBytes: 1500}, time.Minute, change{0, up(7_000_003)})
	at := time.Duration(0)
	for k := range 1000 {
		v := m.Packet(at, 1500)
		if v.Fate != Delivered || v.Backlog != 0 || v.Left <= at {
			t.Fatalf("packet %d at %v: got %+v", k, at, v)
		}
		at = v.Left
	}
}

// What is still to be sent of a packet counts in the queue, rounded up.
func TestPartOfAByteInTheQueue(t *testing.T) {
	for limit, want := range map[int64]Fate{2998: Full, 2999: Delivered} {
		m := model(t, trace.Queue{LimitBytes: limit}, time.Second, change{0, up(12 * trace.Mbit)})
		m.Packet(0, 1500)
		// After 1 µs, 1.5 bytes of it are sent.
		if v := m.Packet(time.Microsecond, 1500); v.Fate != want || v.Backlog != 1498 {
			t.Errorf("limit %d: got %+v, want %v", limit, v, want)
		}
	}
}

func TestLastBitAtTheEnd(t *testing.T) {
	m := model(t, trace.Queue{}, 10*ms, change{0, up(12 * trace.Mbit)})
	for range 9 {
		m.Packet(0, 1500)
	}
	if v := m.Packet(0, 1501); v.Fate != Unknown {
		t.Errorf("a byte more than is known: got %+v", v)
	}
	if v := m.Packet(0, 1500); v.Fate != Delivered || v.Left != 10*ms {
		t.Errorf("got %+v", v)
	}
	if v := m.Packet(10*ms, 1); v.Fate != Unknown {
		t.Errorf("after the end: got %+v", v)
	}
}

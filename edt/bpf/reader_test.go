package bpf

import (
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"linktape/edt"
	"linktape/trace"
)

const (
	ms  = time.Millisecond
	mtu = 1500
)

// plain is a tape over ordinary memory.
func plain(steps int) *Tape {
	words := make([]uint64, (headBytes+steps*stepBytes)/8)
	return newTape(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words)), steps)
}

// reader reads a ring of steps as edt.c does, line by line.
type reader struct {
	memory *Tape // of which the head and the steps only

	run, outages                                 uint32
	bad                                          bool
	now, cur, passed, v, vcur, left, floor, came uint64
	packets                                      [fates]uint64
	beyond                                       uint64
	waits                                        [waits]uint64
}

const (
	rateUnits = 1000
	down      = 1 << 31
	lifts     = 20
)

func (l *reader) step(i uint64) edt.Step {
	return l.memory.steps[i&uint64(len(l.memory.steps)-1)]
}

// last is the last step of [from, head) for which before is true; it is for from.
func (l *reader) last(from, head uint64, before func(s edt.Step) bool) uint64 {
	if from+1 >= head || !before(l.step(from+1)) {
		return from
	}
	if from+2 >= head || !before(l.step(from+2)) {
		return from + 1
	}
	for k := lifts - 1; k >= 0; k-- {
		if i := from + 1<<k; i < head && before(l.step(i)) {
			from = i
		}
	}
	return from
}

func random(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func deviate(seed, k uint64) (sum int64) {
	for j := uint64(1); j < 4; j++ {
		for w := random(seed, 4*k+j); w > 0; w >>= 16 {
			sum += int64(w & 0xffff)
		}
	}
	return sum - 12*0xffff/2
}

func below(draw, threshold uint32) bool { return draw < threshold || threshold == 1<<32-1 }

func (l *reader) lose(s *edt.Step, draw uint64) bool {
	if s.P|s.R|s.LossGood|s.LossBad == 0 {
		return below(uint32(draw), s.Loss)
	}
	loss, move := s.LossGood, s.P
	if l.bad {
		loss, move = s.LossBad, s.R
	}
	if below(uint32(draw>>32), move) {
		l.bad = !l.bad
	}
	return below(uint32(draw), loss)
}

// packet says what becomes of a packet of so many bytes at an instant. Without a tape
// it is let through: false.
func (l *reader) packet(at time.Duration, bytes int) (out edt.Verdict, ok bool) {
	win := l.memory.head.window
	head := win >> 28
	tail, last := head-win>>8&0xfffff, head-1
	if head == tail {
		return out, false
	}
	run, n := uint32(win>>1&0x7f), uint64(bytes)
	seed, overtake := l.memory.head.seed[run&1], l.memory.head.overtake[run&1] != 0
	count := func(f edt.Fate) (edt.Verdict, bool) {
		out.Fate = f
		l.packets[f]++
		return out, true
	}
	if l.run != run {
		l.run, l.cur, l.vcur = run, tail, tail
		l.passed, l.v, l.left, l.outages, l.bad = 0, 0, 0, 0, false
	}
	now := max(uint64(at), l.now)
	i := max(l.cur, tail)
	if now < l.step(i).T {
		return count(edt.Unknown)
	}
	i = l.last(i, head, func(s edt.Step) bool { return s.T <= now })
	l.now, l.cur = now, i
	s := l.step(i)
	known := i < last
	waits := l.left > now && (s.Outages^l.outages)&^down == 0
	v, backlog, j, total := uint64(0), uint64(0), i, l.step(last).Cum
	if known {
		served := s.Cum + (uint64(s.Rest)+(now-s.T)*s.Rate)/rateUnits
		v = served
		if waits && int64(l.v-served) > 0 {
			v, j = l.v, max(l.vcur, i)
		}
		backlog = v - served
	} else if waits {
		backlog = 1 << 62
		if wait := l.left - now; s.Rate == 0 || wait <= 1<<62/s.Rate {
			backlog = wait * s.Rate / rateUnits
		}
	}
	out.Backlog = int64(backlog / edt.ByteUnits)
	queued := (backlog+edt.ByteUnits-1)/edt.ByteUnits + n
	if s.Outages&down != 0 {
		return count(edt.Outage)
	}
	if queued > s.Limit {
		return count(edt.Full)
	}
	never := edt.Unknown // of what the last rate does not let out
	if win&1 != 0 {
		never = edt.Full
	}
	var left uint64
	if known {
		v += n * edt.ByteUnits
		if over := int64(v - total); over <= 0 {
			j = l.last(j, head, func(s edt.Step) bool { return int64(v-s.Cum) > 0 })
			d := l.step(j)
			left = min(d.T+((v-d.Cum)*rateUnits-uint64(d.Rest)+d.Rate-1)/d.Rate, l.step(j+1).T)
		} else {
			d := l.step(last)
			if win&1 == 0 {
				l.beyond++
			}
			if d.Rate == 0 {
				return count(never)
			}
			j = last
			left = d.T + (uint64(over)*rateUnits+d.Rate-1)/d.Rate
		}
	} else {
		if win&1 == 0 {
			l.beyond++
		}
		if s.Rate == 0 {
			return count(never)
		}
		left = now
		if waits {
			left = l.left
		}
		left += (n*edt.ByteUnits*rateUnits + s.Rate - 1) / s.Rate
		v = total + (left-s.T)*s.Rate/rateUnits
	}
	l.v, l.vcur, l.left, l.outages = v, j, left, s.Outages
	s2 := l.step(j)
	if (s2.Outages^s.Outages)&^down != 0 {
		return count(edt.Outage)
	}
	left = max(left, l.floor)
	l.floor = left
	l.waits[min(bits.Len64(left-now), len(l.waits)-1)]++
	k := l.passed
	l.passed++
	out.Left = time.Duration(left)
	if l.lose(&s2, random(seed, 4*k)) {
		return count(edt.Lost)
	}
	delay := int64(s2.Delay)
	if s2.Jitter > 0 {
		delay += int64(s2.Jitter) * deviate(seed, k) >> 16
	}
	arrived := left + uint64(max(delay, 0))
	if !overtake {
		arrived = max(arrived, l.came)
	}
	l.came = max(l.came, arrived)
	out.Arrived = time.Duration(arrived)
	return count(edt.Delivered)
}

// randomState is a state of all that the program knows.
func randomState(rng *rand.Rand) trace.State {
	s := trace.State{Rate: trace.BitRate(rng.IntN(30)) * trace.Mbit / 2, Carrier: rng.IntN(12) > 0}
	switch rng.IntN(12) {
	case 0:
		s.Rate = 0
	case 1:
		s.Rate = trace.BitRate(rng.Int64N(int64(edt.MaxRate)))
	}
	if rng.IntN(2) == 0 {
		s.Delay, s.Jitter = time.Duration(rng.Int64N(int64(50*ms))), time.Duration(rng.Int64N(int64(20*ms)))
	}
	switch rng.IntN(3) {
	case 0:
		s.Loss = trace.Prob(rng.Float64())
	case 1:
		s.GE = trace.GE{P: 0.2, R: 0.4, LossBad: 0.8, LossGood: 0.05}
	}
	return s
}

// What is read of a small ring, through which long tapes are streamed, says of every
// packet what the model says of a window of the same steps.
func TestReaderAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var seen [fates]uint64
	laps, cuts := 0, 0
	tape := plain(256)
	l := &reader{memory: tape}
	at := 3 * time.Second // of the kernel's clock
	for run := range 40 {
		q := trace.Queue{LimitBytes: 3000 + rng.Int64N(60_000)}
		if rng.IntN(2) == 0 {
			q = trace.Queue{LimitTime: time.Duration(10+rng.IntN(300)) * ms}
		}
		seed, overtake := rng.Uint64(), rng.IntN(3) == 0
		// The model knows nothing of the tape before: who waits is gone with it.
		at = max(at, time.Duration(max(l.floor, l.came)))
		before := tape.next
		tape.Begin(q, mtu, seed, overtake)
		w := edt.NewWindow(q, mtu)
		m := edt.NewModel(w, seed, overtake)
		end := at // of the steps told so far
		longest := time.Duration(1+rng.IntN(40)) * ms
		more := func() bool {
			tape.Pass(at)
			s := randomState(rng)
			err := tape.Set(end, &s)
			if err != nil {
				return false
			}
			if err := w.Set(end, &s); err != nil {
				t.Fatal(err)
			}
			end += 1 + time.Duration(rng.Int64N(int64(longest)))
			return true
		}
		for range 20 {
			more()
		}
		tape.Publish()
		for k := range 2000 {
			at += time.Duration(rng.ExpFloat64() * float64(ms))
			n := 28 + rng.IntN(mtu-27)
			want := m.Packet(at, n)
			for tries := 0; want.Fate == edt.Unknown; tries++ {
				if tries == 100_000 {
					t.Fatalf("run %d: nothing leaves by %v", run, end)
				}
				if !more() {
					at += longest
					m.Pass(at)
				}
				want = m.Packet(at, n)
			}
			if got, ok := l.packet(at, n); !ok || got != want {
				t.Fatalf("run %d, packet %d of %d bytes at %v: got %+v, %v, want %+v", run, k, n, at, got, ok, want)
			}
			seen[want.Fate]++
		}
		// The last state goes on.
		s := trace.State{Rate: trace.BitRate(run%3) * 7 * trace.Mbit, Carrier: true}
		for err := ErrFull; err != nil; at += longest {
			tape.Pass(at)
			err = tape.Set(end, &s)
		}
		if err := w.Set(end, &s); err != nil {
			t.Fatal(err)
		}
		to := end + time.Duration(rng.IntN(2))*20*ms
		for err := tape.Extend(to); err != nil; err = tape.Extend(to) {
			at += longest
			tape.Pass(at)
		}
		if err := w.Extend(to); err != nil {
			t.Fatal(err)
		}
		tape.Hold()
		w.Hold()
		for k := range 300 {
			at += time.Duration(rng.ExpFloat64() * float64(ms))
			n := 28 + rng.IntN(mtu-27)
			want := m.Packet(at, n)
			if got, ok := l.packet(at, n); !ok || got != want {
				t.Fatalf("run %d, held, packet %d of %d bytes at %v: got %+v, %v, want %+v", run, k, n, at, got, ok, want)
			}
		}
		laps += int(tape.next-before) / len(tape.steps)
		for i := tape.first; i+1 < tape.next; i++ {
			if a, b := *tape.at(i), *tape.at(i + 1); a.Rate == b.Rate && a.Limit == b.Limit && a.Delay == b.Delay {
				cuts++
			}
		}
	}
	for f, n := range seen {
		if n < 500 && edt.Fate(f) != edt.Unknown {
			t.Errorf("%v: only %d packets of that fate", edt.Fate(f), n)
		}
	}
	if l.beyond != 0 || l.packets[edt.Unknown] != 0 {
		t.Errorf("%d packets beyond the tape, %d unknown", l.beyond, l.packets[edt.Unknown])
	}
	if laps < 20 || cuts < 20 {
		t.Errorf("the ring was written over %d times, %d cuts were seen: the tapes are too short", laps, cuts)
	}
}

package netsetup

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// arrival is a packet that came.
type arrival struct {
	seq   int
	delay time.Duration // one way
	at    time.Duration // since the first was sent
	tos   byte
}

// over sends n packets of a size up a link, some each tick, and returns what
// arrived, in order. each is called before every tick, with its number; it may
// be nil.
func over(t *testing.T, l Link, n, size, perTick int, tick time.Duration, tos int, each func(e *Endpoint, k int)) []arrival {
	t.Helper()
	up(t, "run", &Topology{Links: []Link{l}})
	r, err := Open("run")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := endpoints(t, r, "a")
	// What the routers say when their devices come up takes draws as well.
	start := (wall() + 3*time.Second).Truncate(time.Millisecond)
	out := make([]arrival, 0, n)
	f := newFlood(t, "run", 0, size, func(seq int, sent, received time.Duration, tos byte) {
		out = append(out, arrival{seq, received - sent, received - start, tos})
	})
	f.tos(tos)
	for k := 0; f.sent < n; k++ {
		f.until(start + time.Duration(k)*tick)
		if each != nil {
			each(e, k)
		}
		f.offer(min(perTick, n-f.sent))
		f.take()
	}
	for k := range 200 { // the path's delay
		f.until(start + time.Duration(n/perTick)*tick + time.Duration(k)*10*time.Millisecond)
		f.take()
	}
	f.close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Down("run", true); err != nil {
		t.Fatal(err)
	}
	return out
}

// lost returns the numbers that did not arrive of n, in order.
func lost(arrivals []arrival, n int) (out []int) {
	came := make([]bool, n)
	for _, a := range arrivals {
		came[a.seq] = true
	}
	for i, ok := range came {
		if !ok {
			out = append(out, i)
		}
	}
	return out
}

// bursts counts the runs of numbers in a row.
func bursts(lost []int) (n int) {
	for i, v := range lost {
		if i == 0 || v != lost[i-1]+1 {
			n++
		}
	}
	return n
}

// overtaken counts the packets that came after one with a higher number.
func overtaken(arrivals []arrival) (n int) {
	highest := -1
	for _, a := range arrivals {
		if a.seq < highest {
			n++
		}
		highest = max(highest, a.seq)
	}
	return n
}

// manyPackets is what a claim about a path is tested with.
const manyPackets = 1_000_000

// Of a million packets over a path with a Gilbert–Elliott chain and jitter, the
// loss and its mean burst are those of the closed forms, and none overtakes
// another. The same seed loses the same ones in a second run, though the rate
// changes every 10 ms: no change of the rate touches the chain or its draws.
func TestPathMillion(t *testing.T) {
	privtest.Require(t, "lab", "ifb", "tbf", "netem", featureSeed)
	const n, perTick = manyPackets, 200
	chain := trace.GE{P: 0.05, R: 0.5, LossBad: 1}
	l := DefaultLink("a")
	l.Path, l.Delay = PathNetem, 20*time.Millisecond
	l.Impair.Jitter = 4 * time.Millisecond
	state := stateOf(l)
	state.GE = chain
	play := func(rates ...trace.BitRate) (lostOnes []int) {
		arrivals := over(t, l, n, 60, perTick, time.Millisecond, 0, func(e *Endpoint, k int) {
			if k == 0 {
				e.Seed(4711)
			}
			if k%10 == 0 && (k == 0 || len(rates) > 1) {
				s := state
				s.Rate = rates[k/10%len(rates)]
				hold := 10 * time.Millisecond
				if len(rates) == 1 {
					hold = 0
				}
				if _, err := e.Apply(time.Duration(k)*time.Millisecond, hold, &s); err != nil {
					t.Fatal(err)
				}
			}
		})
		if over := overtaken(arrivals); over != 0 {
			t.Errorf("%d packets of %d were overtaken", over, len(arrivals))
		}
		var mean, squares float64
		for _, a := range arrivals {
			mean += a.delay.Seconds() / float64(len(arrivals))
		}
		for _, a := range arrivals {
			d := a.delay.Seconds() - mean
			squares += d * d
		}
		t.Logf("delay %.2f ± %.2f ms", 1e3*mean, 1e3*math.Sqrt(squares/float64(len(arrivals))))
		if sd := math.Sqrt(squares / float64(len(arrivals))); sd < 0.5e-3 {
			t.Errorf("the delay varies by %.3f ms: there is no jitter", 1e3*sd)
		}
		return lost(arrivals, n)
	}
	steady := play(trace.Gbit)
	rate, burst := float64(len(steady))/n, float64(len(steady))/float64(bursts(steady))
	t.Logf("loss %.5f, closed form %.5f; mean burst %.4f, closed form %.4f", rate, chain.Loss(), burst, chain.MeanBurst())
	// Of n packets nP/(P+R)·R bursts begin, 45,000: the mean burst has a
	// standard error of 0.3 %, the loss one of 0.5 %.
	if math.Abs(rate/chain.Loss()-1) > 0.02 || math.Abs(burst/chain.MeanBurst()-1) > 0.02 {
		t.Error("further than 2 % from the closed forms")
	}
	changing := play(800*trace.Mbit, 300*trace.Mbit, 2*trace.Gbit)
	if !slices.Equal(steady, changing) {
		t.Errorf("%d packets lost with a steady rate, %d with a changing one, not the same ones", len(steady), len(changing))
	}
}

// Every other form of a path does what it says.
func TestPathForms(t *testing.T) {
	const ms = time.Millisecond
	link := func(edit func(l *Link)) Link {
		l := DefaultLink("a")
		l.Path = PathNetem
		edit(&l)
		return l
	}
	share := func(n, of int, want, tolerance float64) error {
		if got := float64(n) / float64(of); math.Abs(got-want) > tolerance {
			return fmt.Errorf("%d of %d, %.4f, want %.4f ± %.4f", n, of, got, want, tolerance)
		}
		return nil
	}
	// sigmas is the tolerance of a share: five standard errors.
	sigmas := func(p float64, n int) float64 { return 5 * math.Sqrt(p*(1-p)/float64(n)) }
	marked := func(arrivals []arrival) (n int) {
		for _, a := range arrivals {
			if a.tos&3 == 3 {
				n++
			}
		}
		return n
	}
	spread := func(arrivals []arrival) (mean, sd, skew float64) {
		delays := make([]int16, len(arrivals))
		for i, a := range arrivals { // in units of 1/8192 of a millisecond
			delays[i] = int16(math.Round((a.delay - 60*ms).Seconds() * 1e3 * NetemDistScale / 16))
		}
		mean, sd, skew = moments(delays)
		return 16 * mean, 16 * sd, skew
	}
	const many, few = 20000, 1500
	markov := Markov{P13: 0.05, P31: 0.4, P32: 0.3, P23: 0.5, P14: 0.02}
	for _, c := range []struct {
		name    string
		link    Link
		perTick int
		tick    time.Duration
		tos     int
		check   func(a []arrival, n int) error
	}{
		{"loss", link(func(l *Link) { l.Impair.Loss = 0.1 }), 20, ms, 0, func(a []arrival, n int) error {
			return share(n-len(a), n, 0.1, sigmas(0.1, n))
		}},
		{"four states", link(func(l *Link) { l.Impair.Markov = markov }), 20, ms, 0, func(a []arrival, n int) error {
			// Losses come in bursts of about 2.5, which widens the share's error by as much.
			return share(n-len(a), n, markov.Loss(), 2.5*sigmas(markov.Loss(), n))
		}},
		{"ecn, capable", link(func(l *Link) { l.Impair.Loss, l.Impair.ECN = 0.1, true }), 20, ms, 2, func(a []arrival, n int) error {
			if len(a) != n {
				return fmt.Errorf("%d of %d lost in place of being marked", n-len(a), n)
			}
			return share(marked(a), n, 0.1, sigmas(0.1, n))
		}},
		{"ecn, not capable", link(func(l *Link) { l.Impair.Loss, l.Impair.ECN = 0.1, true }), 20, ms, 0, func(a []arrival, n int) error {
			if m := marked(a); m > 0 {
				return fmt.Errorf("%d marked that cannot be", m)
			}
			return share(n-len(a), n, 0.1, sigmas(0.1, n))
		}},
		{"ecn, gemodel", link(func(l *Link) { l.Impair.GE, l.Impair.ECN = trace.GE{P: 0.05, R: 0.5, LossBad: 1}, true }), 20, ms, 2, func(a []arrival, n int) error {
			if len(a) != n {
				return fmt.Errorf("%d of %d lost in place of being marked", n-len(a), n)
			}
			return share(marked(a), n, 1.0/11, 2*sigmas(1.0/11, n))
		}},
		{"duplicate", link(func(l *Link) { l.Impair.Duplicate = 0.1 }), 20, ms, 0, func(a []arrival, n int) error {
			return share(len(a)-n, n, 0.1, sigmas(0.1, n))
		}},
		{"corrupt", link(func(l *Link) { l.Impair.Corrupt = 0.1 }), 20, ms, 0, func(a []arrival, n int) error {
			// A flipped bit in a header is a packet that no socket gets; in the
			// payload it breaks the checksum.
			return share(n-len(a), n, 0.1, sigmas(0.1, n)+0.02)
		}},
		{"reorder all of every fifth", link(func(l *Link) { l.Delay, l.Impair.Reorder, l.Impair.Gap = 10*ms, 1, 5 }), 1, ms, 0, func(a []arrival, n int) error {
			at := make([]time.Duration, n)
			for _, x := range a {
				at[x.seq] = x.delay
			}
			first := slices.IndexFunc(at, func(d time.Duration) bool { return d < ms })
			for i, d := range at {
				// Four with the delay, one without.
				if fast := d < ms; fast != (i%5 == first%5) {
					return fmt.Errorf("packet %d took %v", i, d)
				}
			}
			return share(overtaken(a), n, 0.8, 0.01) // the fast one overtakes four, and comes before nine more
		}},
		{"jitter that reorders", link(func(l *Link) { l.Delay, l.Impair.Jitter, l.Impair.Overtake = 60*ms, 4*ms, true }), 20, ms, 0, func(a []arrival, n int) error {
			if len(a) != n || overtaken(a) < n/2 {
				return fmt.Errorf("%d came, %d were overtaken", len(a), overtaken(a))
			}
			mean, sd, _ := spread(a)
			return errorIf(math.Abs(mean) > 0.2 || math.Abs(sd-4) > 0.1, "delay 60%+.2f ± %.2f ms, want 60 ± 4", mean, sd)
		}},
		{"normal, in order", link(func(l *Link) { l.Delay, l.Impair.Jitter = 60*ms, ms }), 1, 10 * ms, 0, func(a []arrival, n int) error {
			mean, sd, skew := spread(a) // packets far apart do not wait for one another
			return errorIf(math.Abs(mean) > 0.05 || math.Abs(sd-1) > 0.05 || math.Abs(skew) > 0.15, "60%+.3f ± %.3f ms, skewness %.2f", mean, sd, skew)
		}},
		{"pareto", link(func(l *Link) { l.Delay, l.Impair.Jitter, l.Impair.Distribution.Name = 60*ms, ms, Pareto }), 1, 10 * ms, 0, func(a []arrival, n int) error {
			wantMean, wantSD, wantSkew := moments(paretoTable())
			mean, sd, skew := spread(a)
			return errorIf(math.Abs(mean-wantMean) > 0.05 || math.Abs(sd-wantSD) > 0.05 || math.Abs(skew-wantSkew) > 0.3,
				"60%+.3f ± %.3f ms, skewness %.2f: want %+.3f ± %.3f, %.2f", mean, sd, skew, wantMean, wantSD, wantSkew)
		}},
		{"a measured table", link(func(l *Link) {
			l.Delay, l.Impair.Jitter = 60*ms, 5*ms
			l.Impair.Distribution = Distribution{Name: "two delays", Table: []int16{-NetemDistScale, NetemDistScale}}
		}), 1, 20 * ms, 0, func(a []arrival, n int) error {
			slow := 0
			for _, x := range a {
				switch d := x.delay - 60*ms; {
				case (d + 5*ms).Abs() < ms/10:
				case (d - 5*ms).Abs() < ms/10:
					slow++
				default:
					return fmt.Errorf("packet %d took %v", x.seq, x.delay)
				}
			}
			return share(slow, len(a), 0.5, sigmas(0.5, len(a)))
		}},
		{"slots", link(func(l *Link) { l.Impair.Slots = NetemSlots{MinDelay: 5 * ms, MaxDelay: 5 * ms} }), 2, ms, 0, func(a []arrival, n int) error {
			return groups(a, 4*ms, 6*ms)
		}},
		{"slots of few packets", link(func(l *Link) { l.Impair.Slots = NetemSlots{MinDelay: 5 * ms, MaxDelay: 5 * ms, MaxPackets: 7} }), 1, ms, 0, func(a []arrival, n int) error {
			return groups(a, 4*ms, 7*ms)
		}},
		{"slots with a distribution", link(func(l *Link) {
			l.Impair.Slots = NetemSlots{DistDelay: 10 * ms, DistJitter: ms}
		}), 2, ms, 0, func(a []arrival, n int) error { return groups(a, 5*ms, 15*ms) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			privtest.Require(t, "lab", "ifb", "tbf", "netem", featureDuplicate)
			n := many
			if c.perTick < 20 {
				n = few // far apart
			}
			a := over(t, c.link, n, 100, c.perTick, c.tick, c.tos, nil)
			if err := c.check(a, n); err != nil {
				t.Error(err)
			}
		})
	}
}

func errorIf(bad bool, format string, args ...any) error {
	if bad {
		return fmt.Errorf(format, args...)
	}
	return nil
}

// groups checks that packets come in groups, a time apart on average.
func groups(a []arrival, shortest, longest time.Duration) error {
	n, last := 0, time.Duration(math.MinInt64)
	for _, x := range a {
		if x.at-last > time.Millisecond/2 {
			n++
		}
		last = x.at
	}
	if mean := (a[len(a)-1].at - a[0].at) / time.Duration(n); mean < shortest || mean > longest {
		return fmt.Errorf("%d packets in %d groups, %v apart, want %v to %v", len(a), n, mean, shortest, longest)
	}
	return nil
}

// A packet of a saturated link is under way for as long as the queue before it
// takes and the propagation delay besides, within a millisecond: the delay
// begins where the queue ends.
func TestDelayUnderSaturation(t *testing.T) {
	for _, shaper := range []ShaperKind{ShaperTBF, ShaperHTB} {
		for _, delay := range []time.Duration{5 * time.Millisecond, 80 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s/%v", shaper, delay), func(t *testing.T) {
				privtest.Require(t, "lab", "ifb", "tbf", "htb", "netem")
				const n, size, rate = 5000, 1500, 20 * trace.Mbit
				l := DefaultLink("a")
				l.Shaper, l.Path, l.Rate, l.Delay = shaper, PathNetem, rate, delay
				l.Queue.LimitBytes = 100 * size
				wants := make([]time.Duration, 0, n) // by sequence number
				full := 0
				arrivals := over(t, l, n, size, 2, time.Millisecond, 0, func(e *Endpoint, _ int) {
					backlog := float64(counters(t, e).BacklogBytes)
					if backlog > 90*size {
						full++
					}
					for range 2 {
						backlog += size
						wants = append(wants, time.Duration(backlog*8/float64(rate)*1e9)+delay)
					}
				})
				var worst time.Duration
				for _, a := range arrivals {
					// The second of a pair may be the one that found room.
					d := (a.delay - wants[a.seq]).Abs()
					if other := a.seq ^ 1; a.seq&1 == 1 {
						d = min(d, (a.delay - wants[other]).Abs())
					}
					worst = max(worst, d)
				}
				t.Logf("queue and propagation, within %v, over %d packets; the queue was full at %d of %d instants", worst, len(arrivals), full, n/2)
				if worst > time.Millisecond {
					t.Errorf("off by up to %v", worst)
				}
				if len(arrivals) > n*9/10 || full < n/4 {
					t.Errorf("%d of %d packets came, the queue was full %d times: the link was not saturated", len(arrivals), n, full)
				}
			})
		}
	}
}

package netsetup

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// lag plays random rates onto a link that gets a burst of packets now and then and
// is idle between, and returns for each burst how many bytes more the tape has
// allowed than the burst had, until its last packet arrived. always reads the
// counters at every step.
func lag(t *testing.T, every time.Duration, always bool) (out []float64, carried int) {
	t.Helper()
	const (
		size    = 1500
		packets = 24
		step    = 10 * time.Millisecond
		tick    = time.Millisecond
	)
	length := 60 * every
	l := DefaultLink("a")
	l.Path = PathNone
	up(t, "run", &Topology{Links: []Link{l}})
	r, err := Open("run")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e, _ := endpoints(t, r, "a")
	random := rand.New(rand.NewPCG(1, 2))
	rates := make([]trace.BitRate, length/step)
	for i := range rates {
		rates[i] = trace.BitRate(3000+random.IntN(6000)) * trace.Kbit
	}
	start := (wall() + 20*time.Millisecond).Truncate(time.Millisecond)
	var last []time.Duration
	f := newFlood(t, "run", 0, size, func(seq int, _, received time.Duration, _ byte) {
		if i := seq / packets; i < len(last) {
			last[i] = received - start
		}
	})
	s := stateOf(l)
	var begun []time.Duration
	next := every
	for at := time.Duration(0); at < length; at += tick {
		f.until(start + at)
		if at%step == 0 {
			s.Rate = rates[at/step]
			if always {
				e.steps = e.shared.turn // the next one is odd
			}
			a, err := e.Apply(at, step, &s)
			if err != nil {
				t.Fatal(err)
			}
			if a.Carried {
				carried++
			}
		}
		if at == next && at < length-every {
			begun, last = append(begun, at), append(last, -1)
			f.offer(packets)
			next += every + time.Duration(random.IntN(int(step/tick)))*tick
		}
		f.take()
	}
	for i, from := range begun {
		if last[i] < 0 {
			t.Fatalf("nothing of burst %d arrived", i)
		}
		allowed := 0.0
		for at := from; at < last[i]; {
			end := min((at/step+1)*step, last[i])
			allowed += float64(rates[at/step]) * (end - at).Seconds() / 8
			at = end
		}
		out = append(out, allowed-packets*size)
	}
	f.close()
	return out, carried
}

// A burst into a queue that was idle, whose counters were not read at every step,
// is served as one whose counters were, but for what one step may leave over and
// what it sleeps through: in the mean less than a packet. Where bursts come often,
// they are read at every step.
func TestUnreadBursts(t *testing.T) {
	privtest.Require(t, "lab", "ifb", "tbf")
	mean := func(v []float64) (sum float64) {
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	for _, every := range []time.Duration{120 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(every.String(), func(t *testing.T) {
			var means [2]float64
			for i, always := range []bool{false, true} {
				got, carried := lag(t, every, always)
				means[i] = mean(got)
				t.Logf("%d bursts, %d steps without the counters: behind the tape by %.0f bytes in the mean, %.0f to %.0f",
					len(got), carried, means[i], slices.Min(got), slices.Max(got))
				if slices.Max(got) > 5*1500 || slices.Min(got) < -3*1500 {
					t.Errorf("behind the tape by %.0f to %.0f bytes", slices.Min(got), slices.Max(got))
				}
				if want := 60 * int(every/(10*time.Millisecond)) / 10; !always && every > 2*idleFor && carried < want || always && carried > 0 {
					t.Errorf("%d steps without the counters, want %d", carried, want)
				}
				if err := Down("run", true); err != nil {
					t.Fatal(err)
				}
			}
			most := 1500.0
			if every < idleFor {
				most = 100
			}
			if more := means[0] - means[1]; more > most || more < -most {
				t.Errorf("without the counters of every step bursts are behind by %.0f bytes more, want %.0f at most", more, most)
			}
		})
	}
}

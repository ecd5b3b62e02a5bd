package netsetup

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// bottlenecks are every kind of bottleneck and queue.
func bottlenecks() []Link {
	var out []Link
	for _, b := range []struct {
		shaper ShaperKind
		queue  trace.QueueKind
	}{{ShaperTBF, trace.DropTail}, {ShaperHTB, trace.DropTail}, {ShaperTBF, CoDel}, {ShaperHTB, CoDel}, {ShaperCAKE, CAKEQueue},
		{ShaperPulse, trace.DropTail}, {ShaperPulse, CoDel}, {ShaperPulse, CAKEQueue}} {
		l := DefaultLink("a")
		l.Path = PathNone
		l.UseShaper(b.shaper)
		if l.Queue.Kind = b.queue; b.queue == CAKEQueue {
			l.Queue = trace.Queue{Kind: CAKEQueue}
		}
		out = append(out, l)
	}
	return out
}

func shapedName(l Link) string {
	if l.Queue.Kind == CoDel || l.pulsed() && l.Queue.Kind == CAKEQueue {
		return string(l.Shaper) + "+" + string(l.Queue.Kind)
	}
	return string(l.Shaper)
}

// needs are the features that a bottleneck takes.
func needs(l Link) []string {
	out := []string{"lab", "ifb", "tbf"}
	switch l.Shaper {
	case ShaperHTB:
		out = append(out, "htb")
	case ShaperPulse:
		out = append(out, "plug", "prio")
	}
	switch l.Queue.Kind {
	case CAKEQueue:
		out = append(out, "cake")
	case CoDel:
		out = append(out, "fq_codel")
	}
	return out
}

// stepError is how far a bottleneck under saturation is from its tape.
type stepError struct {
	total float64 // delivered / allowed − 1
	fine  float64 // root mean square difference of bins of 20 ms over the mean
}

// measure plays rates, one a step, onto a saturated link, and compares what
// arrives with what they allow.
func measure(t *testing.T, l Link, rates []trace.BitRate, step time.Duration) stepError {
	t.Helper()
	const size = 1500
	const bin = 20 * time.Millisecond
	const tick = time.Millisecond
	topology := &Topology{Links: []Link{l}}
	up(t, "run", topology)
	r, err := Open("run")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := endpoints(t, r, "a")
	length := time.Duration(len(rates)) * step
	hold := step
	if tick := e.Tick(); tick > 0 {
		hold = tick // as the replay cuts it
	}
	start := (wall() + 20*time.Millisecond).Truncate(time.Millisecond)
	got := make([]float64, length/bin)
	f := newFlood(t, "run", 0, size, func(_ int, _, received time.Duration, _ byte) {
		if i := (received - start) / bin; received >= start && int(i) < len(got) {
			got[i] += size
		}
	})
	fastest := trace.BitRate(0)
	for _, r := range rates {
		fastest = max(fastest, r)
	}
	// A sender that keeps the queue long enough for every tick, and lets an AQM
	// mark: one that overruns it is cut down to gaps by CAKE.
	backlog := 4 * (int(float64(fastest)*tick.Seconds()/8/size) + 2)
	f.tos(2) // ECT(0)
	s := stateOf(l)
	s.Rate = 0 // the queue fills before the first step
	if _, err := e.Apply(0, 20*time.Millisecond, &s); err != nil {
		t.Fatal(err)
	}
	f.offer(backlog)
	for at := time.Duration(0); at < length; at += tick {
		f.until(start + at)
		if at%hold == 0 {
			s.Rate = rates[at/step]
			if _, err := e.Apply(20*time.Millisecond+at, hold, &s); err != nil {
				t.Fatal(err)
			}
		}
		f.offer(max(backlog-int(counters(t, e).BacklogBytes/size), 0))
		f.take()
	}
	f.until(start + length + 5*time.Millisecond)
	f.take()
	f.close()
	if err := errors.Join(r.Close(), Down("run", true)); err != nil {
		t.Fatal(err)
	}
	var sum, tape, squares float64
	for i, n := range got {
		var want float64
		for at := time.Duration(i) * bin; at < time.Duration(i+1)*bin; at += tick {
			want += float64(rates[at/step]) * tick.Seconds() / 8
		}
		sum, tape, squares = sum+n, tape+want, squares+(n-want)*(n-want)
	}
	n := float64(len(got))
	// What is owed at any time is less than three packets.
	if d := math.Abs(sum - tape); d > 3*size+1e-3*tape {
		t.Errorf("steps of %v: delivered %.0f bytes, the tape allows %.0f", step, sum, tape)
	}
	return stepError{total: sum/tape - 1, fine: math.Sqrt(squares/n) / (tape / n)}
}

// What each kind of bottleneck delivers under saturation, against tapes of slow
// rates with stalls and of fast ones: the figures of docs/bottlenecks.md, and
// what ChooseShaper goes by.
func TestBottleneckAccuracy(t *testing.T) {
	const length = 4 * time.Second
	const slow, fast = "0.2 to 6 Mbit/s, stalls", "12 to 60 Mbit/s"
	type key struct {
		bottleneck, tape string
		step             time.Duration
	}
	errs := make(map[key]stepError)
	steps := []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 100 * time.Millisecond}
	var table strings.Builder
	for _, l := range bottlenecks() {
		t.Run(shapedName(l), func(t *testing.T) {
			privtest.Require(t, needs(l)...)
			for _, tape := range []struct {
				name            string
				lowest, highest float64
				stalls          bool
			}{{slow, 0.2e6, 6e6, true}, {fast, 12e6, 60e6, false}} {
				for _, step := range steps {
					if l.Queue.Kind == CoDel && step != 20*time.Millisecond {
						continue // the bucket is the same
					}
					rng := rand.New(rand.NewPCG(uint64(step), 5))
					var rates []trace.BitRate
					for range length / step {
						rate := trace.BitRate(tape.lowest * math.Exp(rng.Float64()*math.Log(tape.highest/tape.lowest)))
						if tape.stalls && rng.IntN(8) == 0 {
							rate = 0
						}
						rates = append(rates, rate)
					}
					got := measure(t, l, rates, step)
					errs[key{shapedName(l), tape.name, step}] = got
					fmt.Fprintf(&table, "| %s | %s | %v | %+.2f | %.3f |\n", shapedName(l), tape.name, step, 100*got.total, got.fine)
				}
			}
		})
	}
	for _, step := range steps {
		tbf, htb := errs[key{"tbf", fast, step}], errs[key{"htb", fast, step}]
		if tbf.fine == 0 || htb.fine == 0 {
			continue // not run
		}
		want := ShaperTBF
		if htb.fine < tbf.fine {
			want = ShaperHTB
		}
		d := Demand{ShortestStep: step, LowestRate: 12 * trace.Mbit, HighestRate: 60 * trace.Mbit}
		if got, why := ChooseShaper(&d, 1500, allFeatures); got != want {
			t.Errorf("steps of %v: chosen %s: %s; measured: tbf %.3f, htb %.3f", step, got, why, tbf.fine, htb.fine)
		}
		if tbf, htb := errs[key{"tbf", slow, step}], errs[key{"htb", slow, step}]; math.Abs(tbf.fine-htb.fine) > 0.01 {
			t.Errorf("steps of %v, slow: tbf %.3f, htb %.3f: not alike", step, tbf.fine, htb.fine)
		}
		// Where the tape is told in ticks, pulses are at most a tenth worse.
		for _, tape := range []string{fast, slow} {
			pulse, best := errs[key{"pulse", tape, step}], min(errs[key{"tbf", tape, step}].fine, errs[key{"htb", tape, step}].fine)
			if pulse.fine > 1.1*best+0.001 {
				t.Errorf("steps of %v, %s: pulse %.3f, another kind %.3f", step, tape, pulse.fine, best)
			}
		}
	}
	t.Logf("| bottleneck | rates | step | total, %% | NRMSE, 20 ms bins |\n%s", &table)
}

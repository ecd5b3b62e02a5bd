package netsetup

import (
	"math"
	"testing"
	"time"

	"linktape/trace"
)

// told decodes the requests of a path as the kernel would see them.
func told(t *testing.T, requests []request) (loss, delay *Netem) {
	t.Helper()
	for _, r := range requests {
		b, err := r.append(nil, 1, nlmFRequest, 1)
		if err != nil {
			t.Fatal(err)
		}
		info := decodeRequest(t, b)
		q, err := DecodeNetem(info.Options)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.Handle == handleLoss && info.Parent == parentRoot:
			loss = &q
		case info.Handle == handleDelay && info.Parent == handleLossLeaf:
			delay = &q
		default:
			t.Fatalf("%x below %x is no part of a path", info.Handle, info.Parent)
		}
	}
	return loss, delay
}

func state(edit func(s *trace.State)) *trace.State {
	s := trace.State{Rate: trace.Mbit, Carrier: true}
	if edit != nil {
		edit(&s)
	}
	return &s
}

// defaultPath is a path up a link with every default.
func defaultPath() *path {
	l := DefaultLink("a")
	return newPath(&l, trace.Up)
}

// Each netem is told only what is its own, and only when that changes.
func TestPathChanges(t *testing.T) {
	chain := trace.GE{P: 0.01, R: 0.25, LossBad: 1}
	p := defaultPath()
	if loss, delay := told(t, p.create()); loss == nil || delay == nil || len(delay.DelayDist) != 4096 {
		t.Fatalf("created by %+v, %+v", loss, delay)
	}
	for _, c := range []struct {
		name        string
		state       *trace.State
		loss, delay bool
	}{
		{"the same", state(nil), false, false},
		{"rate", state(func(s *trace.State) { s.Rate = 0 }), false, false},
		{"carrier and label", state(func(s *trace.State) { s.Carrier, s.Label = false, "bad" }), false, false},
		{"delay", state(func(s *trace.State) { s.Delay = time.Millisecond }), false, true},
		{"jitter", state(func(s *trace.State) { s.Delay, s.Jitter = time.Millisecond, time.Microsecond }), false, true},
		{"loss", state(func(s *trace.State) { s.Delay, s.Jitter, s.Loss = time.Millisecond, time.Microsecond, 0.1 }), true, false},
		{"the same again", state(func(s *trace.State) { s.Delay, s.Jitter, s.Loss = time.Millisecond, time.Microsecond, 0.1 }), false, false},
		{"chain", state(func(s *trace.State) { s.Delay, s.Jitter, s.GE = time.Millisecond, time.Microsecond, chain }), true, false},
		{"the same chain", state(func(s *trace.State) { s.Delay, s.Jitter, s.GE = time.Millisecond, time.Microsecond, chain }), false, false},
		{"a chain and another delay", state(func(s *trace.State) { s.Delay, s.GE = 2*time.Millisecond, chain }), false, true},
		{"a chain beside a loss", state(func(s *trace.State) { s.Delay, s.GE, s.Loss = 2*time.Millisecond, chain, 0.5 }), false, false},
		{"all", state(func(s *trace.State) { s.Duplicate, s.Corrupt, s.Reorder = 0.1, 0.2, 0.3 }), true, true},
		{"none", state(nil), true, true},
	} {
		loss, delay := told(t, p.next(c.state))
		if (loss != nil) != c.loss || (delay != nil) != c.delay {
			t.Errorf("%s: loss told: %v, want %v; delay told: %v, want %v", c.name, loss != nil, c.loss, delay != nil, c.delay)
		}
		if loss != nil {
			if loss.Duplicate != c.state.Duplicate && math.Abs(float64(loss.Duplicate-c.state.Duplicate)) > 1e-9 || loss.LimitPackets != pathLimit || loss.Delay != 0 || loss.Rate != 0 || !loss.HasSeed {
				t.Errorf("%s: loss is %+v", c.name, loss)
			}
			if loss.GE.Enabled() != c.state.GE.Enabled() {
				t.Errorf("%s: chain %+v, want %+v", c.name, loss.GE, c.state.GE)
			}
		}
		if delay != nil {
			if delay.Delay != c.state.Delay || delay.Jitter != c.state.Jitter || delay.LimitPackets != pathLimit || delay.Loss != 0 || delay.HasSeed || delay.DelayDist != nil || (delay.Gap > 0) != (c.state.Reorder > 0) || delay.Rate < 30*trace.Gbit {
				t.Errorf("%s: delay is %+v", c.name, delay)
			}
		}
	}
}

// A change from a chain to a plain loss turns the chain off: its message has no
// model, and the loss of 0 still draws one number for each packet.
func TestPathLeavesChain(t *testing.T) {
	p := defaultPath()
	p.next(state(func(s *trace.State) { s.GE = trace.GE{P: 0.1, R: 0.5, LossBad: 1} }))
	for _, want := range []trace.Prob{0.25, 0} {
		requests := p.next(state(func(s *trace.State) { s.Loss = want }))
		b, err := requests[0].append(nil, 1, nlmFRequest, 1)
		if err != nil {
			t.Fatal(err)
		}
		loss := decodeRequest(t, b)
		eachAttr(loss.Options[netemQoptLen:], func(typ uint16, raw []byte) {
			if typ&nlaTypeMask == tcaNetemLoss {
				t.Errorf("loss %v: a model is sent: %x", want, raw)
			}
		})
		q, err := DecodeNetem(loss.Options)
		if err != nil {
			t.Fatal(err)
		}
		if got := prob32(q.Loss); got != max(prob32(want), 1) {
			t.Errorf("loss %v: %d of 2³²−1 sent", want, got)
		}
	}
}

// Each change of the loss brings another seed; two runs bring the same ones;
// another seed brings others; and what does not concern the loss takes none.
func TestPathSeeds(t *testing.T) {
	seeds := func(seed uint64, delays bool) (out []uint64) {
		p := defaultPath()
		p.create()
		p.next(state(func(s *trace.State) { s.Loss = 0.5 })) // of the run before
		p.reseed(seed)
		for i := range 50 {
			loss, _ := told(t, p.next(state(func(s *trace.State) {
				s.Loss = trace.Prob(i/2%7) / 10 // every other step changes it
				if delays {
					s.Delay = time.Duration(i) * time.Millisecond
				}
			})))
			if loss != nil {
				out = append(out, loss.Seed)
			}
		}
		return out
	}
	one, two, other := seeds(1, false), seeds(1, true), seeds(2, false)
	if len(one) != 25 || len(two) != 25 {
		t.Fatalf("%d and %d changes of the loss, want 25", len(one), len(two))
	}
	seen := make(map[uint64]bool)
	for i := range one {
		if one[i] != two[i] {
			t.Errorf("change %d: seeds %x and %x in two runs", i, one[i], two[i])
		}
		for _, s := range []uint64{one[i], other[i]} {
			if seen[s] {
				t.Errorf("change %d: seed %x twice", i, s)
			}
			seen[s] = true
		}
	}
}

// The table is a normal distribution: mean 0, standard deviation 1, symmetric.
func TestNormalTable(t *testing.T) {
	table := normalTable()
	var sum, squares, fourth float64
	for i, v := range table {
		x := float64(v) / NetemDistScale
		sum += x
		squares += x * x
		fourth += x * x * x * x
		if i > 0 && v < table[i-1] || v != -table[len(table)-1-i] {
			t.Fatalf("entry %d is %d", i, v)
		}
	}
	n := float64(len(table))
	if math.Abs(sum/n) > 1e-9 || math.Abs(squares/n-1) > 2e-3 || math.Abs(fourth/n-3) > 0.03 {
		t.Errorf("moments %v, %v, %v: want 0, 1, 3", sum/n, squares/n, fourth/n)
	}
}

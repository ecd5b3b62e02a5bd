package trace

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpanner(t *testing.T) {
	tl := twoLinks()
	var got []Span
	p := NewSpanner(tl.Meta.Duration, func(s Span) { got = append(got, s) })
	for i := range tl.Steps {
		p.Step(&tl.Steps[i])
	}
	p.Finish()
	st := func(i int) State { return tl.Steps[i].State }
	down, up, sat := LinkDir{"att", Down}, LinkDir{"att", Up}, LinkDir{"sat", Up}
	at := 1200 * time.Millisecond
	want := []Span{
		{up, 0, at, st(1)},
		{sat, 0, at, st(2)},
		{down, 0, 9 * time.Second, st(0)},
		{down, 9 * time.Second, 10 * time.Second, st(5)},
		{up, at, 10 * time.Second, st(3)},
		{sat, at, 10 * time.Second, st(4)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCoalesce(t *testing.T) {
	a, b := State{Rate: 1}, State{Rate: 2}
	steps := []Step{
		{0, "x", Down, a}, {0, "x", Up, a},
		{1, "x", Down, a}, {1, "x", Up, b},
		{2, "x", Down, b}, {2, "x", Up, b},
		{3, "x", Down, a}, {3, "x", Up, b},
	}
	want := []Step{{0, "x", Down, a}, {0, "x", Up, a}, {1, "x", Up, b}, {2, "x", Down, b}, {3, "x", Down, a}}
	if d := cmp.Diff(want, Coalesce(steps)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestService(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		var s Service
		want := new(big.Int)
		for range 1 + r.IntN(5) {
			rate := BitRate(r.Uint64N(uint64(MaxRate) + 1))
			d := time.Duration(r.Uint64() >> (1 + r.UintN(60)))
			s.Add(rate, d)
			want.Add(want, new(big.Int).Mul(big.NewInt(int64(rate)), big.NewInt(int64(d))))
		}
		floor := func(by int64) int64 {
			q := new(big.Int).Quo(want, big.NewInt(by))
			if !q.IsInt64() {
				return math.MaxInt64
			}
			return q.Int64()
		}
		if got, want := s.Bits(), floor(1e9); got != want {
			t.Fatalf("Bits got %d, want %d", got, want)
		}
		if got, want := s.Bytes(), floor(8e9); got != want {
			t.Fatalf("Bytes got %d, want %d", got, want)
		}
	}
	for _, tt := range []struct {
		rate BitRate
		d    time.Duration
		want int64
	}{
		{6 * Mbit, time.Second, 6e6},
		{1, time.Second - 1, 0},
		{1, time.Second, 1},
		{-1, time.Second, 0},
		{1, -time.Second, 0},
		{MaxRate, math.MaxInt64, math.MaxInt64},
	} {
		if got := Bits(tt.rate, tt.d); got != tt.want {
			t.Errorf("Bits(%v, %v) got %d, want %d", tt.rate, tt.d, got, tt.want)
		}
	}
	s := Service{math.MaxUint64, math.MaxUint64}
	s.Add(1, 1)
	if s != (Service{math.MaxUint64, math.MaxUint64}) {
		t.Errorf("overflow got %v", s)
	}
	var m Service
	m.Add(6*Mbit, time.Second)
	m.Add(0, 2*time.Second)
	if got := m.Mean(3 * time.Second); got != 2e6 {
		t.Errorf("Mean got %v, want 2e6", got)
	}
}

package synth

import (
	"math"
	"slices"
	"testing"
)

func TestStreamNames(t *testing.T) {
	seen := map[uint64]string{}
	for _, n := range [][3]string{
		{"a", "up", "rate"}, {"a", "down", "rate"}, {"a", "up", "delay"}, {"b", "up", "rate"},
		{"au", "p", "rate"}, {"", "aup", "rate"}, {"a", "uprate", ""},
	} {
		for _, seed := range []uint64{0, 1, 1 << 63} {
			s := newStream(seed, n[0], n[1], n[2])
			v := s.pcg.Uint64()
			if other, ok := seen[v]; ok {
				t.Errorf("%v begins like %s", n, other)
			}
			seen[v] = n[0] + "," + n[1] + "," + n[2]
		}
	}
}

// TestStreamValues pins the first draws: they are part of the tape format.
func TestStreamValues(t *testing.T) {
	s := newStream(1, "att", "up", "rate")
	got := []float64{s.uniform(), s.uniform(), s.normal()}
	want := []float64{0.69788510740612975, 0.88263543974570802, -0.85821429539757799}
	if !slices.Equal(got, want) {
		t.Errorf("got %.17g, want %.17g", got, want)
	}
}

// TestDistribution measures the largest distance between the empirical and the
// true distribution (Kolmogorov–Smirnov). With n draws, √n·D exceeds x with
// probability 2e^(−2x²) at most: 1e-6 at x = 2.69.
func TestDistribution(t *testing.T) {
	const n, limit = 200_000, 2.69
	for name, c := range map[string]struct {
		draw func(*stream) float64
		cdf  func(float64) float64
	}{
		"uniform": {(*stream).uniform, func(x float64) float64 { return x }},
		"normal":  {(*stream).normal, func(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(7, "att", "up", name)
			x := make([]float64, n)
			for i := range x {
				x[i] = c.draw(s)
			}
			slices.Sort(x)
			d := 0.0
			for i, v := range x {
				f := c.cdf(v)
				d = max(d, f-float64(i)/n, float64(i+1)/n-f)
			}
			if got := d * math.Sqrt(n); got > limit {
				t.Errorf("√n·D: got %.3f, want below %v", got, limit)
			} else {
				t.Logf("√n·D = %.3f", got)
			}
		})
	}
	s := newStream(7, "", "", "")
	for range n {
		if u := s.uniform(); u <= 0 || u >= 1 {
			t.Fatalf("uniform: got %v, want inside (0, 1)", u)
		}
	}
}

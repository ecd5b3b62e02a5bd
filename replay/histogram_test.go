package replay

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramAgainstSortedData(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		draw func() time.Duration
	}{
		{"one value", func() time.Duration { return 123_456 }},
		{"zeros", func() time.Duration { return 0 }},
		{"below 64 ns", func() time.Duration { return time.Duration(r.IntN(64)) }},
		{"exponential", func() time.Duration { return time.Duration(r.ExpFloat64() * 1e5) }},
		{"ten octaves", func() time.Duration { return time.Duration(math.Exp2(r.Float64()*40) - 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 10, 1000, 20_000} {
				var h histogram
				data := make([]time.Duration, n)
				for i := range data {
					data[i] = c.draw()
					h.add(data[i])
				}
				slices.Sort(data)
				for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
					want := data[min(int(q*float64(n)), n-1)]
					got := h.quantile(q)
					if got < want || float64(got) > float64(want)*1.016 {
						t.Errorf("%d values, quantile %v: got %v, want %v to 1.6 %% more", n, q, got, want)
					}
				}
				if h.max != data[n-1] {
					t.Errorf("got largest %v, want %v", h.max, data[n-1])
				}
			}
		})
	}
}

func TestHistogramBins(t *testing.T) {
	last := -1
	for d := time.Duration(0); d <= 2*histogramTop; d += 1 + d/200 {
		i := bin(d)
		if i < last || i > last+1 {
			t.Fatalf("%v: bin %d after bin %d", d, i, last)
		}
		last = i
		if d <= histogramTop && (d < lowest(i) || d >= lowest(i+1)) {
			t.Fatalf("%v: bin %d is from %v to %v", d, i, lowest(i), lowest(i+1))
		}
	}
	var h histogram
	if h.distribution() != (Distribution{}) {
		t.Errorf("of nothing: got %+v", h.distribution())
	}
	h.add(-time.Second) // before its time: on time
	h.add(3 * histogramTop)
	if got := h.quantile(0); got != 0 {
		t.Errorf("a negative one: got %v, want 0", got)
	}
	if got := h.quantile(1); got < histogramTop || got > 3*histogramTop {
		t.Errorf("beyond the top: got %v", got)
	}
}

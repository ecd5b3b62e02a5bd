package metrics

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// sample holds durations for their quantiles: each of them up to mostExact, then
// in bins of at most 0.2 % width (512 to the octave). Those below 0 count as 0.
type sample struct {
	exact  []time.Duration
	sorted bool
	counts []int64
	n      int64
	max    time.Duration
}

const mostExact = 1 << 18

const octave = 512 // bins of one; a power of two

func sampleBin(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < octave {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(octave)
	return shift*octave + int(v>>shift)
}

// middle is the duration that stands for a bin.
func middle(bin int) time.Duration {
	if bin < 2*octave {
		return time.Duration(bin)
	}
	shift := bin/octave - 1
	low := uint64(octave+bin%octave) << shift
	return time.Duration(low + 1<<shift/2)
}

func (s *sample) add(d time.Duration) {
	d = max(d, 0)
	s.n++
	s.max = max(s.max, d)
	if s.counts != nil {
		s.counts[sampleBin(d)]++
		return
	}
	s.exact, s.sorted = append(s.exact, d), false
	if len(s.exact) < mostExact {
		return
	}
	s.counts = make([]int64, sampleBin(math.MaxInt64)+1)
	for _, d := range s.exact {
		s.counts[sampleBin(d)]++
	}
	s.exact = nil
}

// quantile is the smallest duration that at least the share q of all reach, or is
// smaller; NaN without any.
func (s *sample) quantile(q float64) float64 {
	if s.n == 0 {
		return math.NaN()
	}
	rank := max(int64(math.Ceil(q*float64(s.n))), 1)
	if s.counts == nil {
		if !s.sorted {
			slices.Sort(s.exact)
			s.sorted = true
		}
		return float64(s.exact[rank-1])
	}
	var seen int64
	for i, c := range s.counts {
		if seen += c; seen >= rank {
			return float64(min(middle(i), s.max))
		}
	}
	return float64(s.max)
}

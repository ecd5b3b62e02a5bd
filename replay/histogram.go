package replay

import (
	"math/bits"
	"time"
)

// histogram counts durations in bins of at most 1.6 % width (64 to the
// octave), from 0 to an hour. It is a fixed array: adding allocates nothing.
type histogram struct {
	counts [39 * 64]int64
	n      int64
	max    time.Duration
}

const histogramTop = time.Hour

func bin(d time.Duration) int {
	v := uint64(min(max(d, 0), histogramTop))
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*64 + int(v>>shift) - 64
}

// lowest returns the smallest duration of a bin.
func lowest(bin int) time.Duration {
	if bin < 64 {
		return time.Duration(bin)
	}
	shift := bin/64 - 1
	return time.Duration(64+bin%64) << shift
}

func (h *histogram) add(d time.Duration) {
	h.counts[bin(d)]++
	h.n++
	h.max = max(h.max, d)
}

// quantile returns the upper edge of the bin that holds the q-th of the
// durations, at most the largest one; 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.n))
	var seen int64
	for i, c := range h.counts {
		if seen += c; c > 0 && seen > rank {
			return min(lowest(i+1)-1, h.max)
		}
	}
	return h.max
}

// Distribution is what a summary says of many durations.
type Distribution struct {
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

func (h *histogram) distribution() Distribution {
	return Distribution{h.quantile(0.5), h.quantile(0.99), h.quantile(0.999), h.max}
}

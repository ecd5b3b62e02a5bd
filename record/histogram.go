package record

import (
	"math/bits"
	"time"
)

// histogram counts durations in bins of at most 1.6 % width (64 to the
// octave), from 0 to an hour.
type histogram struct {
	counts [39 * 64]int64
	n      int64
	min    time.Duration
	max    time.Duration
}

const histogramTop = time.Hour

func slot(d time.Duration) int {
	v := uint64(min(max(d, 0), histogramTop))
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*64 + int(v>>shift) - 64
}

// lowest returns the smallest duration of a slot.
func lowest(slot int) time.Duration {
	if slot < 64 {
		return time.Duration(slot)
	}
	shift := slot/64 - 1
	return time.Duration(64+slot%64) << shift
}

func (h *histogram) add(d time.Duration) {
	if h.n == 0 || d < h.min {
		h.min = d
	}
	if h.n == 0 || d > h.max {
		h.max = d
	}
	h.counts[slot(d)]++
	h.n++
}

// quantile returns the upper edge of the slot that holds the q-th of the
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

// Delays describes the one-way delays of a direction.
type Delays struct {
	Min time.Duration `json:"min_ns"`
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

func (h *histogram) delays() Delays {
	return Delays{h.min, h.quantile(0.5), h.quantile(0.95), h.quantile(0.99), h.max}
}

package stack

import (
	"maps"
	"slices"
)

// sums adds up what a stack counts for each interval, or keeps the highest of what
// it counts from the start.
type sums struct{ of map[sumKey]float64 }

type sumKey struct{ link, name string }

func newSums() *sums { return &sums{make(map[sumKey]float64)} }

func (s *sums) add(link, name string, v float64) float64 {
	k := sumKey{link, name}
	s.of[k] += v
	return s.of[k]
}

// highest is for counters that fall back to 0 when a connection ends.
func (s *sums) highest(link, name string, v float64) float64 {
	k := sumKey{link, name}
	s.of[k] = max(s.of[k], v)
	return s.of[k]
}

// each calls f for the figures of an object in the order of their names, but for
// those that stand for none (2⁶⁴−1).
func each(st map[string]float64, f func(name string, v float64)) {
	for _, name := range slices.Sorted(maps.Keys(st)) {
		if st[name] < 1<<63 {
			f(name, st[name])
		}
	}
}

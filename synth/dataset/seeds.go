package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	// MaxSeed is the largest seed of a data set: a table's seed column is a
	// 64-bit integer with a sign.
	MaxSeed = math.MaxInt64

	// MaxTapes is how many tapes a data set has at most.
	MaxTapes = 1_000_000
)

// Seeds is a set of seeds, in rising order.
type Seeds []seedRange

// seedRange is the seeds from first to last.
type seedRange struct{ first, last uint64 }

func (r seedRange) String() string {
	if r.first == r.last {
		return strconv.FormatUint(r.first, 10)
	}
	return fmt.Sprintf("%d..%d", r.first, r.last)
}

// ParseSeeds reads seeds and ranges of them, separated by commas:
// 1..100,200,300..310. The error names every fault.
func ParseSeeds(text string) (Seeds, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no seeds: write such as 1..100 or 1,2,5..9")
	}
	var out Seeds
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		first, last, isRange := strings.Cut(part, "..")
		if !isRange {
			last = first
		}
		var r seedRange
		var reason string
		if r.first, reason = parseSeed(first); reason == "" {
			r.last, reason = parseSeed(last)
		}
		switch {
		case reason != "":
			fault("%q: %s", part, reason)
		case r.first > r.last:
			fault("%q: runs backwards: write %d..%d", part, r.last, r.first)
		default:
			out = append(out, r)
		}
		if len(faults) >= 10 {
			break
		}
	}
	slices.SortFunc(out, func(a, b seedRange) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
	})
	for i := 1; i < len(out) && len(faults) < 10; i++ {
		if a, b := out[i-1], out[i]; b.first <= a.last {
			fault("seed %d occurs twice, in %v and %v", b.first, a, b)
			out[i].last = max(a.last, b.last) // so that what lies in it is found too
		}
	}
	if n := out.Len(); n > MaxTapes && len(faults) == 0 {
		fault("%d seeds: at most %d", n, MaxTapes)
	}
	if faults != nil {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return out, nil
}

// parseSeed reads a seed, or says why it is none.
func parseSeed(s string) (uint64, string) {
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > MaxSeed:
		return 0, fmt.Sprintf("above the largest seed of a data set, %d", uint64(MaxSeed))
	case strings.HasPrefix(s, "-"):
		return 0, "a seed is not negative"
	case err != nil:
		return 0, "write a seed such as 7, or a range such as 1..100"
	}
	return n, ""
}

// Len returns the number of seeds, at most [math.MaxInt64].
func (s Seeds) Len() int64 {
	n := uint64(0)
	for _, r := range s {
		if d := r.last - r.first; d >= math.MaxInt64-n {
			return math.MaxInt64
		} else {
			n += d + 1
		}
	}
	return int64(n)
}

// All yields the seeds in rising order.
func (s Seeds) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, r := range s {
			for n := r.first; ; n++ {
				if !yield(n) {
					return
				}
				if n == r.last {
					break
				}
			}
		}
	}
}

// Has reports whether a seed is one of them.
func (s Seeds) Has(seed uint64) bool {
	_, ok := slices.BinarySearchFunc(s, seed, func(r seedRange, seed uint64) int {
		switch {
		case r.last < seed:
			return -1
		case r.first > seed:
			return 1
		}
		return 0
	})
	return ok
}

// String returns the seeds as [ParseSeeds] reads them.
func (s Seeds) String() string {
	parts := make([]string, len(s))
	for i, r := range s {
		parts[i] = r.String()
	}
	return strings.Join(parts, ",")
}

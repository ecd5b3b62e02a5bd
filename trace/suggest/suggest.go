package suggest

import (
	"fmt"
	"strings"
)

// Nearest returns the candidate that is most like s, "" when none is near.
func Nearest(s string, candidates []string) string {
	if len(s) < 3 || len(s) > 64 {
		return ""
	}
	best, least := "", (len(s)+2)/3+1
	for _, c := range candidates {
		if d := distance(s, c); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// Among says which of the known names was perhaps meant, or what there is.
func Among(s string, known []string) string {
	if n := Nearest(s, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(known) == 0 {
		return "there are none"
	}
	return "known: " + List(known)
}

// List joins names, at most 24 of them.
func List(names []string) string {
	const most = 24
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and transpositions of neighbours.
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

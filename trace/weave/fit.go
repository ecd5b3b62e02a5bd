package weave

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"linktape/trace"
)

// Fit says what to do with streams of different length.
type Fit string

// Policies for streams of different length.
const (
	FitNone     Fit = ""         // refuse them
	FitShortest Fit = "shortest" // cut all at the shortest one's end
	FitLoop     Fit = "loop"     // repeat the shorter ones up to the longest one's end
)

// ParseFit reads "shortest" or "loop"; "" is FitNone.
func ParseFit(s string) (Fit, error) {
	switch f := Fit(s); f {
	case FitNone, FitShortest, FitLoop:
		return f, nil
	}
	return "", fmt.Errorf("fit %q: write shortest or loop", s)
}

// maxRepeats bounds how often FitLoop repeats a stream.
const maxRepeats = 1_000_000

// Length is how long a stream is.
type Length struct {
	Name string // for messages
	time.Duration
}

// LengthError says that streams are of different length.
type LengthError struct {
	What    string // what the streams are, one of them: "trace"
	Lengths []Length
}

// Error names the lengths and the ways out.
func (e *LengthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the %ss differ in length:", e.What)
	for i, l := range e.Lengths {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %v", l.Name, l.Duration)
	}
	b.WriteString("; choose --fit shortest (cut all at the shortest) or --fit loop (repeat the shorter ones up to the longest)")
	return b.String()
}

// Duration returns how long streams of these lengths, at least one, are
// together; a [*LengthError] where the policy does not say it.
func (f Fit) Duration(what string, lengths []Length) (time.Duration, error) {
	shortest, longest := lengths[0].Duration, lengths[0].Duration
	for _, l := range lengths {
		shortest, longest = min(shortest, l.Duration), max(longest, l.Duration)
	}
	switch {
	case shortest == longest:
		return longest, nil
	case f == FitShortest:
		return shortest, nil
	case f == FitNone:
		return 0, &LengthError{what, lengths}
	}
	if shortest <= 0 || longest/shortest > maxRepeats {
		return 0, fmt.Errorf("merge: repeating a %s of %v up to %v takes more than %d repeats; use --fit shortest", what, shortest, longest, maxRepeats)
	}
	return longest, nil
}

// Fitted says what happens to a stream of a length in one of another; "" when
// nothing does.
func Fitted(length, in time.Duration) string {
	switch {
	case length > in:
		return fmt.Sprintf("cut from %v to %v", length, in)
	case length < in:
		return fmt.Sprintf("looped from %v to %v", length, in)
	}
	return ""
}

// Fill yields the steps of a stream of this length up to end, repeated where it
// is shorter. Steps that change nothing are left out.
func Fill(steps iter.Seq2[trace.Step, error], length, end time.Duration) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		var c trace.Coalescer
		for base := time.Duration(0); ; base += length {
			for s, err := range steps {
				if err != nil {
					yield(s, err)
					return
				}
				if s.At >= end-base {
					return
				}
				s.At += base
				if c.Keep(&s) && !yield(s, nil) {
					return
				}
			}
			if length >= end-base {
				return
			}
		}
	}
}

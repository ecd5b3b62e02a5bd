package convert

import (
	"fmt"
	"strings"
)

// maxFaults bounds the faults that are listed for one file; the rest is
// counted.
const maxFaults = 20

// A Fault is a place in a file that breaks the format's rules.
type Fault struct {
	Line int64  // from 1; 0 concerns the whole file
	Text string // what is wrong, and what to do
}

// Faults are all the faults of one file; the error of a rejected import.
type Faults struct {
	File  string
	First []Fault // the first ones, in the order of lines
	Count int64   // all of them
}

func (f *Faults) add(line int64, format string, args ...any) {
	f.Count++
	if len(f.First) < maxFaults {
		f.First = append(f.First, Fault{line, fmt.Sprintf(format, args...)})
	}
}

// err returns f as an error if it holds any fault.
func (f *Faults) err() error {
	if f.Count == 0 {
		return nil
	}
	return f
}

// Error lists the faults, one to a line, each as file:line: text.
func (f *Faults) Error() string {
	var b strings.Builder
	for i, x := range f.First {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.File)
		if x.Line > 0 {
			fmt.Fprintf(&b, ":%d", x.Line)
		}
		b.WriteString(": " + x.Text)
	}
	if more := f.Count - int64(len(f.First)); more > 0 {
		fmt.Fprintf(&b, "\n%s: and %d more", f.File, more)
	}
	return b.String()
}

// A Warning is about usable but doubtful input, or about what an export cannot
// express.
type Warning struct {
	Line int64 // from 1; 0 concerns the whole file
	Text string
}

// String writes the warning with its line, where it has one.
func (w Warning) String() string {
	if w.Line > 0 {
		return fmt.Sprintf("line %d: %s", w.Line, w.Text)
	}
	return w.Text
}

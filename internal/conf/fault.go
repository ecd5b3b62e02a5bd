package conf

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a file.
type Fault struct {
	File    string // the name given to [Parse], or the override
	Line    int    // from 1; 0 when the fault has no position in a file
	Column  int    // in characters, from 1; 0 when the fault has no position
	Message string
	Excerpt string // the line before, the line itself and a caret, without a final newline
}

func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	b.WriteString(f.Message)
	if f.Excerpt != "" {
		b.WriteByte('\n')
		b.WriteString(f.Excerpt)
	}
	return b.String()
}

// Error holds the faults of one file, in the file's order.
type Error struct {
	Faults []Fault
}

const (
	maxShown    = 20           // faults that a message shows
	maxExcerpts = 3 * maxShown // faults that are recorded with an excerpt
)

func (e *Error) Error() string {
	var b strings.Builder
	for i, f := range e.Faults {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more", len(e.Faults)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
	}
	return b.String()
}

// source is a text that nodes have positions in.
type source struct {
	name   string
	lines  []string
	inline bool // an override: one line, shown without its number
}

func newSource(name, text string) *source {
	return &source{name: name, lines: strings.Split(text, "\n")}
}

// pos is a position in a source, both from 1, Column in characters.
type pos struct{ line, col int }

func (s *source) fault(p pos, message string) Fault {
	f := Fault{File: s.name, Message: message, Excerpt: s.excerpt(p)}
	if !s.inline {
		f.Line, f.Column = p.line, p.col
	}
	return f
}

// maxExcerpt is the longest part of a line that an excerpt shows, in characters.
const maxExcerpt = 96

// excerpt shows the line at p with a caret under its column, after the line
// before it. Long lines are cut around the column.
func (s *source) excerpt(p pos) string {
	if p.line < 1 || p.line > len(s.lines) {
		return ""
	}
	from := 0
	if p.col > maxExcerpt*3/4 {
		from = p.col - maxExcerpt/2
	}
	cut := func(line string) string {
		r := []rune(line)
		if len(r) <= from {
			return ""
		}
		r = r[from:]
		if len(r) > maxExcerpt {
			r = r[:maxExcerpt]
		}
		for i, c := range r {
			if c < ' ' || c == 0x7f {
				r[i] = ' ' // one column each, so that the caret stands right
			}
		}
		return strings.TrimRight(string(r), " ")
	}
	caret := strings.Repeat(" ", max(p.col-1-from, 0)) + "^"
	if s.inline {
		return "    " + cut(s.lines[p.line-1]) + "\n    " + caret
	}
	width := len(fmt.Sprint(p.line))
	var b strings.Builder
	if p.line > 1 {
		if line := cut(s.lines[p.line-2]); strings.TrimSpace(line) != "" {
			fmt.Fprintf(&b, "   %*d | %s\n", width, p.line-1, line)
		}
	}
	fmt.Fprintf(&b, ">  %*d | %s\n", width, p.line, cut(s.lines[p.line-1]))
	fmt.Fprintf(&b, "   %*s   %s", width, "", caret)
	return b.String()
}

func sortFaults(faults []Fault) []Fault {
	out := slices.Clone(faults)
	slices.SortStableFunc(out, func(a, b Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return out
}

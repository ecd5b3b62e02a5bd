package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Size returns the size of the terminal w in characters, 80 × 24 when unknown.
func Size(w io.Writer) (columns, lines int) {
	if f, ok := w.(*os.File); ok {
		if c, l, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && l > 0 {
			return c, l
		}
	}
	return 80, 24
}

// Progress shows how far long work has come, on a terminal only. Its zero
// value and a nil Progress show nothing.
type Progress struct {
	w     io.Writer
	what  string
	start time.Time
	next  time.Time
	shown bool
}

// NewProgress returns a progress line on w, named by what is being done. It
// stays silent where w is no terminal, and for the first half second.
func NewProgress(w io.Writer, what string) *Progress {
	if !IsTerminal(w) {
		return &Progress{}
	}
	now := time.Now()
	return &Progress{w: w, what: what, start: now, next: now.Add(500 * time.Millisecond)}
}

// Set shows the fraction of the work that is done, at most ten times a second.
func (p *Progress) Set(fraction float64) {
	if p == nil || p.w == nil {
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(100 * time.Millisecond)
	p.shown = true
	fraction = min(max(fraction, 0), 1)
	left := ""
	if spent := now.Sub(p.start); fraction > 0.01 {
		rest := time.Duration(float64(spent) * (1 - fraction) / fraction)
		left = fmt.Sprintf(", %v left", rest.Round(time.Second))
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s %3.0f %%%s", p.what, fraction*100, left)
}

// Done removes the line.
func (p *Progress) Done() {
	if p != nil && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

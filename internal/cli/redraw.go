package cli

import (
	"fmt"
	"io"
	"strings"
)

// Redraw puts lines on a terminal in place of the number drawn before, in one
// write and without clearing first, so that nothing flickers. It returns how
// many there are now; no lines clear away what was there.
func Redraw(w io.Writer, lines []string, before int) int {
	if len(lines) == 0 && before == 0 {
		return 0
	}
	var b strings.Builder
	if before > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", before)
	}
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J") // what is left of a longer drawing
	io.WriteString(w, b.String())
	return len(lines)
}

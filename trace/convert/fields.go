package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// fields reads a text table line by line: columns separated by a character, a
// cell that holds it or a quotation mark in double quotes. Line ends may be CR
// LF. Empty lines and lines that are too long or have another number of columns
// than the first one are not given out; they are faults, empty lines at the end
// of the file a warning.
type fields struct {
	t     *table
	in    *lines
	sep   byte // ' ' is any run of blanks and tabs
	width int  // columns of a line; 0 = as the first one has
	cells [][]byte

	crlf, crlfAt   int64
	empty, emptyAt int64 // lines since the last one with content
}

func newFields(t *table, r io.Reader, sep byte) *fields {
	return &fields{t: t, in: newLines(r), sep: sep}
}

// next moves to the next line with content; false at the end of the file.
func (f *fields) next() bool {
	for f.in.next() {
		b := f.in.text
		if f.in.long {
			f.t.fault(f.in.n, "line %s is longer than %d bytes", quote(b), maxLine)
			continue
		}
		if bytes.HasSuffix(b, []byte("\r")) {
			b = b[:len(b)-1]
			if f.crlf++; f.crlf == 1 {
				f.crlfAt = f.in.n
			}
		}
		if len(bytes.TrimSpace(b)) == 0 {
			if f.empty++; f.empty == 1 {
				f.emptyAt = f.in.n
			}
			continue
		}
		for ; f.empty > 0; f.empty-- {
			f.t.fault(f.emptyAt, "the line is empty: remove it")
			f.emptyAt++
		}
		var err error
		if f.cells, err = split(f.cells[:0], b, f.sep); err != nil {
			f.t.fault(f.in.n, "%s: %v", quote(b), err)
			continue
		}
		if f.width == 0 {
			f.width = len(f.cells)
		}
		if len(f.cells) != f.width {
			f.t.fault(f.in.n, "%s in place of %d: %s", columnsText(len(f.cells)), f.width, quote(b))
			continue
		}
		return true
	}
	return false
}

func columnsText(n int) string {
	if n == 1 {
		return "1 column"
	}
	return fmt.Sprintf("%d columns", n)
}

// finish returns the read error and notes what was met on the way.
func (f *fields) finish(name string) error {
	if f.in.err != nil {
		return fmt.Errorf("read %s: %w", name, f.in.err)
	}
	if f.in.n == 0 {
		f.t.fault(0, "the file is empty")
	}
	if f.crlf > 0 {
		f.t.warn(f.crlfAt, "%d of the lines end with CR LF: read as LF", f.crlf)
	}
	if f.empty > 0 {
		f.t.warn(f.emptyAt, "the file ends with empty lines: left out")
	}
	return nil
}

// drain reads to the end, so that a fault of the header does not hide a read
// error.
func (f *fields) drain() {
	for f.in.next() {
	}
}

var errQuote = errors.New("a quotation mark is not closed, or is followed by more than a separator")

// split cuts a line into its cells, without blanks around them.
func split(cells [][]byte, b []byte, sep byte) ([][]byte, error) {
	if sep == ' ' {
		return append(cells, bytes.Fields(b)...), nil
	}
	if bytes.IndexByte(b, '"') < 0 {
		for {
			i := bytes.IndexByte(b, sep)
			if i < 0 {
				return append(cells, bytes.TrimSpace(b)), nil
			}
			cells = append(cells, bytes.TrimSpace(b[:i]))
			b = b[i+1:]
		}
	}
	for {
		if len(b) > 0 && b[0] == '"' {
			var cell []byte
			i := 1
			for ; ; i++ {
				if i >= len(b) {
					return cells, errQuote
				}
				if b[i] == '"' {
					if i+1 < len(b) && b[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				cell = append(cell, b[i])
			}
			cells = append(cells, cell)
			b = b[i+1:]
			if len(b) == 0 {
				return cells, nil
			}
			if b[0] != sep {
				return cells, errQuote
			}
			b = b[1:]
			continue
		}
		i := bytes.IndexByte(b, sep)
		if i < 0 {
			return append(cells, bytes.TrimSpace(b)), nil
		}
		cells = append(cells, bytes.TrimSpace(b[:i]))
		b = b[i+1:]
	}
}

// isMissing reports whether a cell stands for no value.
func isMissing(b []byte) bool {
	switch strings.ToLower(string(b)) {
	case "", "-", "na", "n/a", "nan", "null", "none":
		return true
	}
	return false
}

// number reads a cell as a decimal number ≥ 0 times 10^scale, or adds what is
// wrong. A missing value is missing.
func (t *table) number(line int64, what string, b []byte, scale int, most int64, example string) (int64, bool) {
	if isMissing(b) {
		return missing, true
	}
	v, err := parseScaled(b, scale, most)
	if err != nil {
		t.fault(line, "%s %s is %s: write %s", what, quote(b), numberFault(b, err), example)
		return missing, false
	}
	return v, true
}

// header reads the first line and finds the wanted columns by name. It faults a
// missing column.
func (f *fields) header(want ...string) (map[string]int, bool) {
	at := make(map[string]int)
	if !f.next() {
		if f.in.err == nil && f.in.n > 0 && f.t.faults.Count == 0 {
			f.t.fault(0, "the file holds no header line")
		}
		return nil, false
	}
	for i, c := range f.cells {
		if _, twice := at[string(c)]; !twice {
			at[string(c)] = i
		}
	}
	ok := true
	for _, w := range want {
		if _, found := at[w]; !found {
			f.t.fault(f.in.n, "the header %s has no column %q", quote(f.in.text), w)
			ok = false
		}
	}
	if !ok {
		f.drain()
	}
	return at, ok
}

// label shortens a cell to what a label may hold.
func label(b []byte) string {
	if isMissing(b) {
		return ""
	}
	return cleanLabel(string(b))
}

package convert

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxLine is the longest line in bytes that is kept; formats here need far
// less.
const maxLine = 4096

// lines reads a text file line by line in bounded memory.
type lines struct {
	r    *bufio.Reader
	n    int64  // number of the current line, from 1
	text []byte // the current line without its line feed, valid until next
	long bool   // the line is longer than maxLine; text holds its beginning
	err  error  // the read error that ended the file, not io.EOF
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, maxLine)} }

// next moves to the next line; false at the end of the file or at an error. A
// last line without line feed counts as one.
func (l *lines) next() bool {
	if l.err != nil {
		return false
	}
	b, err := l.r.ReadSlice('\n')
	l.long = errors.Is(err, bufio.ErrBufferFull)
	if l.long {
		l.text = append([]byte(nil), b[:80]...)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
		b = l.text
	}
	if err != nil && err != io.EOF {
		l.err = err
		return false
	}
	if len(b) == 0 {
		return false
	}
	if b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	if len(b) > maxLine { // the reader given had a larger buffer
		b, l.long = b[:80], true
	}
	l.n++
	l.text = b
	return true
}

// more reports whether another byte follows the current line.
func (l *lines) more() bool {
	_, err := l.r.Peek(1)
	return err == nil
}

// quote shows the beginning of a line in a message.
func quote(b []byte) string {
	const most = 40
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}

var (
	errNumber   = errors.New("not a number")
	errNegative = errors.New("negative")
	errRange    = errors.New("too large")
)

// parseInt reads a base-10 integer of digits only; no sign, blank or prefix.
func parseInt(b []byte, most int64) (int64, error) {
	if len(b) == 0 {
		return 0, errNumber
	}
	var v int64
	large := false
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errNumber
		}
		if d := int64(c - '0'); large || v > (most-d)/10 {
			large = true
		} else {
			v = v*10 + d
		}
	}
	if large {
		return 0, errRange
	}
	return v, nil
}

// parseScaled reads a decimal number ≥ 0, such as 12, 0.55 or 9.1e-05, and
// returns it times 10^scale, rounded half up to an integer. It computes in
// decimal, so that a time of 1521500000.123456789 s keeps its nanoseconds.
func parseScaled(b []byte, scale int, most int64) (int64, error) {
	i, negative := 0, false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		negative = b[i] == '-'
		i++
	}
	var digits []byte // without leading zeros
	point, seen := 0, false
	for dot := false; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '.' && !dot:
			dot = true
			continue
		case c >= '0' && c <= '9':
			seen = true
			if dot {
				point--
			}
			if c != '0' || len(digits) > 0 {
				digits = append(digits, c)
			}
			continue
		}
		break
	}
	if !seen {
		return 0, errNumber
	}
	if i < len(b) {
		if b[i] != 'e' && b[i] != 'E' {
			return 0, errNumber
		}
		e, err := strconv.Atoi(string(b[i+1:]))
		if err != nil {
			if !errors.Is(err, strconv.ErrRange) {
				return 0, errNumber
			}
			e = 1 << 20
			if b[i+1] == '-' {
				e = -e
			}
		}
		point += min(max(e, -1<<20), 1<<20)
	}
	if len(digits) == 0 {
		return 0, nil
	}
	if negative {
		return 0, errNegative
	}
	// The value is digits · 10^(point+scale).
	whole := len(digits) + point + scale
	switch {
	case whole < 0:
		return 0, nil
	case whole > 19:
		return 0, errRange
	}
	var v int64
	for k := range whole {
		d := int64(0)
		if k < len(digits) {
			d = int64(digits[k] - '0')
		}
		if v > (most-d)/10 {
			return 0, errRange
		}
		v = v*10 + d
	}
	if whole < len(digits) && digits[whole] >= '5' {
		if v >= most {
			return 0, errRange
		}
		v++
	}
	return v, nil
}

// checkText finds what no text format holds; the answer says what to do.
func checkText(head []byte) error {
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return errors.New("the file is compressed with gzip: decompress it first (gzip -d)")
	case len(head) >= 6 && string(head[:6]) == "\xfd7zXZ\x00":
		return errors.New("the file is compressed with xz: decompress it first (xz -d)")
	case len(head) >= 4 && string(head[:4]) == "\x28\xb5\x2f\xfd":
		return errors.New("the file is compressed with zstd: decompress it first (zstd -d)")
	case len(head) >= 4 && string(head[:4]) == "PAR1":
		return errors.New("the file is a Parquet file, not a foreign trace: if it is a tape, use it as it is")
	case len(head) >= 3 && string(head[:3]) == "\xef\xbb\xbf":
		return errors.New("the file begins with a byte order mark: save it as plain ASCII")
	}
	for i, c := range head {
		if c == 0 {
			return fmt.Errorf("the file is not text: byte %d is 0", i)
		}
	}
	return nil
}

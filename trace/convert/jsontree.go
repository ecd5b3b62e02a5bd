package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is a value of a JSON document with the line that it ends on.
type node struct {
	line  int64
	value any // nil, bool, json.Number, string, []node or []member
}

// member is a key of an object with its value, in the order of the file.
type member struct {
	key string
	node
}

const (
	maxJSON  = 256 << 20 // bytes of a document that is read whole
	maxDepth = 64        // of nested values
)

// lineReader remembers where the lines of a stream begin and the error that
// ended it, if that was not its end.
type lineReader struct {
	r      io.Reader
	at     int64
	breaks []int64 // offsets of line feeds
	err    error
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i := 0; i < n; {
		k := bytes.IndexByte(p[i:n], '\n')
		if k < 0 {
			break
		}
		i += k
		l.breaks = append(l.breaks, l.at+int64(i))
		i++
	}
	l.at += int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// line returns the line of an offset, from 1.
func (l *lineReader) line(offset int64) int64 {
	lo, hi := 0, len(l.breaks)
	for lo < hi {
		if mid := (lo + hi) / 2; l.breaks[mid] < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return int64(lo) + 1
}

// jsonFault turns an error of package json into a fault with its line, or
// returns a read error.
func jsonFault(l *lineReader, faults *Faults, name string, at int64, err error) error {
	if l.err != nil {
		return fmt.Errorf("read %s: %w", name, l.err)
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		faults.add(l.line(at), "the key %q holds a %s that does not fit", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		faults.add(l.line(syntax.Offset), "not JSON: %v", err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		faults.add(l.line(at), "not JSON: the file ends too early")
	default:
		faults.add(l.line(at), "%s", strings.Replace(strings.TrimPrefix(err.Error(), "json: "), "unknown field", "unknown key", 1))
	}
	return faults.err()
}

// readJSON reads a whole document.
func readJSON(r io.Reader, name string, faults *Faults) (node, error) {
	l := &lineReader{r: io.LimitReader(r, maxJSON+1)}
	dec := json.NewDecoder(l)
	dec.UseNumber()
	root, err := readNode(dec, l, 0)
	if err == nil && l.at > maxJSON {
		err = fmt.Errorf("the document is longer than %d bytes", maxJSON)
	}
	if err != nil {
		return root, jsonFault(l, faults, name, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		_, _ = io.Copy(io.Discard, l) // a read error comes first
		if l.err != nil {
			return root, fmt.Errorf("read %s: %w", name, l.err)
		}
		faults.add(l.line(dec.InputOffset()), "more follows the document: one is read")
	}
	return root, faults.err()
}

func readNode(dec *json.Decoder, l *lineReader, depth int) (node, error) {
	tok, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	if depth > maxDepth {
		return node{}, fmt.Errorf("nested deeper than %d values", maxDepth)
	}
	n := node{value: tok}
	switch tok {
	case json.Delim('['):
		list := []node{}
		for dec.More() {
			x, err := readNode(dec, l, depth+1)
			if err != nil {
				return n, err
			}
			list = append(list, x)
		}
		n.value = list
		_, err = dec.Token()
	case json.Delim('{'):
		list := []member{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return n, err
			}
			x, err := readNode(dec, l, depth+1)
			if err != nil {
				return n, err
			}
			k, _ := key.(string)
			list = append(list, member{k, x})
		}
		n.value = list
		_, err = dec.Token()
	}
	n.line = l.line(dec.InputOffset())
	return n, err
}

// kind names what a value is, for messages.
func (n node) kind() string {
	switch n.value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []node:
		return "a list"
	}
	return "an object"
}

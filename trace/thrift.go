package trace

import (
	"encoding/binary"
	"errors"
)

// thriftReader walks over a value in Thrift's compact protocol. The Parquet
// library's own reader believes every length that it reads and allocates for
// it; what this one has walked over holds no such length.
// Source: thrift/doc/specs/thrift-compact-protocol.md.
type thriftReader struct {
	b   []byte
	pos int
}

// Types of fields and elements.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

const thriftDepth = 16 // deepest nesting; Parquet's is 6

var (
	errThrift    = errors.New("damaged")
	errThriftEnd = errors.New("ends early")
)

// fields calls field for each field of the struct at the current position;
// field moves past the field's value, most simply by skip.
func (t *thriftReader) fields(depth int, field func(id int, typ byte) error) error {
	if depth > thriftDepth {
		return errThrift
	}
	id := 0
	for {
		head, err := t.byte()
		if err != nil {
			return err
		}
		if head == 0 {
			return nil
		}
		typ := head & 15
		if delta := int(head >> 4); delta != 0 {
			id += delta
		} else {
			v, err := t.zigzag()
			if err != nil {
				return err
			}
			id = int(int16(v))
		}
		if err := field(id, typ); err != nil {
			return err
		}
	}
}

// skip moves past a value of this type.
func (t *thriftReader) skip(typ byte, depth int) error {
	if depth > thriftDepth {
		return errThrift
	}
	switch typ {
	case thriftTrue, thriftFalse:
		return nil // the value is in the type
	case thriftByte:
		return t.advance(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := t.uvarint()
		return err
	case thriftDouble:
		return t.advance(8)
	case thriftBinary:
		n, err := t.uvarint()
		if err != nil {
			return err
		}
		return t.advance(n)
	case thriftList, thriftSet:
		elem, n, err := t.list()
		if err != nil {
			return err
		}
		for range n {
			if elem == thriftTrue || elem == thriftFalse {
				err = t.advance(1) // in a list each has its byte
			} else {
				err = t.skip(elem, depth+1)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case thriftStruct:
		return t.fields(depth+1, func(_ int, typ byte) error { return t.skip(typ, depth+1) })
	}
	return errThrift // no map occurs in Parquet
}

// list reads the head of a list: the type and number of its elements, of which
// each takes at least a byte, and a struct with a field at least three.
func (t *thriftReader) list() (elem byte, n uint64, err error) {
	head, err := t.byte()
	if err != nil {
		return 0, 0, err
	}
	if n = uint64(head >> 4); n == 15 {
		if n, err = t.uvarint(); err != nil {
			return 0, 0, err
		}
	}
	elem = head & 15
	least := uint64(1)
	if elem == thriftStruct {
		least = 3
	}
	if n > uint64(len(t.b)-t.pos)/least {
		return 0, 0, errThriftEnd
	}
	return elem, n, nil
}

// int reads an integer of 32 bits.
func (t *thriftReader) int(typ byte, to *int) error {
	if typ != thriftI32 && typ != thriftI16 {
		return errThrift
	}
	v, err := t.zigzag()
	if err != nil {
		return err
	}
	if v != int64(int32(v)) {
		return errThrift
	}
	*to = int(v)
	return nil
}

func (t *thriftReader) zigzag() (int64, error) {
	v, err := t.uvarint()
	return int64(v>>1) ^ -int64(v&1), err
}

func (t *thriftReader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(t.b[t.pos:])
	switch {
	case n == 0:
		return 0, errThriftEnd
	case n < 0:
		return 0, errThrift
	}
	t.pos += n
	return v, nil
}

func (t *thriftReader) byte() (byte, error) {
	if t.pos >= len(t.b) {
		return 0, errThriftEnd
	}
	t.pos++
	return t.b[t.pos-1], nil
}

func (t *thriftReader) advance(n uint64) error {
	if n > uint64(len(t.b)-t.pos) {
		return errThriftEnd
	}
	t.pos += int(n)
	return nil
}

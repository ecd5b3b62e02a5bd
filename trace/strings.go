package trace

import (
	"encoding/binary"
	"errors"
	"io"
)

// stringReader reads a column of strings. Unlike the library's column reader
// it converts a dictionary once and allocates nothing for a row.
type stringReader struct {
	pages *chunkPages
	names *interner
	dict  []string
	runs  runReader
	plain []byte // rest of a page without dictionary; nil: runs
	left  int    // values of the page
}

// read fills dst with the next values.
func (r *stringReader) read(dst []string) error {
	var ids [256]uint32
	for len(dst) > 0 {
		if r.left == 0 {
			if err := r.nextPage(); err != nil {
				return err
			}
			continue
		}
		n := min(len(dst), r.left)
		if r.plain != nil {
			for i := range n { // verified by checkPlain
				size := binary.LittleEndian.Uint32(r.plain)
				dst[i] = r.names.get(r.plain[4 : 4+size])
				r.plain = r.plain[4+size:]
			}
		} else {
			n = min(n, len(ids))
			r.runs.read(ids[:n])
			for i, id := range ids[:n] {
				if uint64(id) >= uint64(len(r.dict)) {
					return errors.New("index outside the dictionary")
				}
				dst[i] = r.dict[id]
			}
		}
		r.left -= n
		dst = dst[n:]
	}
	return nil
}

func (r *stringReader) nextPage() error {
	if !r.pages.Next() {
		if err := r.pages.Err(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	}
	data, n := r.pages.page.Data(), int(r.pages.page.NumValues())
	switch {
	case r.pages.header.typ == pageDictionary:
		r.dict = r.dict[:0]
		for range n { // verified by checkPlain
			size := binary.LittleEndian.Uint32(data)
			r.dict = append(r.dict, r.names.get(data[4:4+size]))
			data = data[4+size:]
		}
	case r.pages.header.encoding == encPlain:
		r.plain, r.left = data, n
	default: // verified by checkRuns
		r.plain, r.left = nil, n
		r.runs = runReader{data: data[1:], width: int(data[0])}
	}
	return nil
}

// runReader reads the hybrid of run lengths and bit packing (Parquet's
// Encodings.md: RLE = 3) that checkRuns has verified.
type runReader struct {
	data   []byte
	width  int // bits
	left   int // values of the run
	value  uint32
	packed []byte // of a bit-packed run; nil: value repeats
	bit    int    // position in packed
}

// read fills dst.
func (r *runReader) read(dst []uint32) {
	for len(dst) > 0 {
		if r.left == 0 {
			r.next()
		}
		n := min(r.left, len(dst))
		if r.packed == nil {
			for i := range dst[:n] {
				dst[i] = r.value
			}
		} else {
			mask := uint64(1)<<r.width - 1
			for i := range dst[:n] {
				var word uint64
				if b := r.packed[r.bit/8:]; len(b) >= 8 {
					word = binary.LittleEndian.Uint64(b)
				} else {
					var w [8]byte
					copy(w[:], b)
					word = binary.LittleEndian.Uint64(w[:])
				}
				dst[i] = uint32(word >> (r.bit % 8) & mask)
				r.bit += r.width
			}
		}
		r.left -= n
		dst = dst[n:]
	}
}

func (r *runReader) next() {
	head, k := binary.Uvarint(r.data)
	r.data = r.data[k:]
	r.left = int(head >> 1)
	size := (r.width + 7) / 8
	if head&1 == 1 {
		size = r.left * r.width
		r.left *= 8
		r.packed, r.bit = r.data[:size:size], 0
	} else {
		var w [4]byte
		copy(w[:], r.data[:size])
		r.packed, r.value = nil, binary.LittleEndian.Uint32(w[:])
	}
	r.data = r.data[size:]
}

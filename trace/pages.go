package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/klauspost/compress/zstd"
)

// maxPage is the largest page that is read, in bytes before compression. Tapes
// have pages of 1 MiB and, with as many labels as rows, dictionaries of 9 MB.
const maxPage = 16 << 20

// chunkPages reads the pages of one column chunk for the library's column
// readers, in the place of its own page reader. It takes nothing from
// a damaged file on trust: what a page claims about its size, its number of
// values and the layout of its encoding is checked before anything is
// allocated or decoded, because the library's decoders then allocate, loop or
// panic.
type chunkPages struct {
	r        io.ReaderAt
	pos, end int64 // what is left of the chunk
	kind     parquet.Type
	codec    compress.Compression
	left     int64 // values that are still to come
	dict     int   // entries of the dictionary; −1: none yet

	unzstd     *zstd.Decoder // shared by the columns of a reader
	compressed []byte
	data       []byte     // of the data page, which is gone when the next one is read
	header     pageHeader // of page
	page       file.Page
	err        error
}

// The interface file.PageReader.
func (p *chunkPages) SetMaxPageHeaderSize(int) {}
func (p *chunkPages) Page() file.Page          { return p.page }
func (p *chunkPages) Err() error               { return p.err }
func (p *chunkPages) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errors.New("cannot be reset")
}

// Next reads the next page.
func (p *chunkPages) Next() bool {
	p.page = nil
	for p.err == nil && p.left > 0 {
		if p.err = p.next(); p.page != nil {
			return p.err == nil
		}
	}
	return false
}

func (p *chunkPages) next() error {
	h, err := p.readHeader()
	if err != nil {
		return fmt.Errorf("page header at byte %d: %w", p.pos, err)
	}
	if h.compressed < 0 || int64(h.compressed) > p.end-p.pos || h.compressed > maxPage+maxPage/8 {
		return fmt.Errorf("page of %d bytes in a chunk of %d", h.compressed, p.end-p.pos)
	}
	if h.size < 0 || h.size > maxPage {
		return fmt.Errorf("page of %d bytes: more than %d", h.size, maxPage)
	}
	p.compressed = grow(p.compressed, h.compressed)
	if err := readFull(p.r, p.compressed, p.pos); err != nil {
		return err
	}
	p.pos += int64(h.compressed)
	p.header = h

	dst := p.data
	if h.typ == pageDictionary {
		dst = nil // the library's column reader keeps it
	}
	switch h.typ {
	case pageDictionary:
		if dst, err = p.decompress(dst, h); err != nil {
			return err
		}
		return p.dictionary(h, dst)
	case pageData, pageDataV2:
		if dst, err = p.decompress(dst, h); err != nil {
			return err
		}
		if cap(dst) <= 2*pageBytes { // rare large ones are not kept
			p.data = dst
		}
		return p.values(h, dst)
	}
	return nil // index pages and unknown ones are skipped
}

func (p *chunkPages) dictionary(h pageHeader, data []byte) error {
	switch {
	case p.dict >= 0:
		return errors.New("second dictionary")
	case h.encoding != encPlain && h.encoding != encPlainDictionary:
		return fmt.Errorf("dictionary in encoding %d", h.encoding)
	}
	if err := checkPlain(p.kind, h.values, data); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	p.dict = h.values
	p.page = file.NewDictionaryPage(memory.NewBufferBytes(data), int32(h.values), parquet.Encodings.Plain)
	return nil
}

func (p *chunkPages) values(h pageHeader, data []byte) error {
	if h.values <= 0 || int64(h.values) > p.left {
		return fmt.Errorf("page with %d values where %d are left", h.values, p.left)
	}
	if h.levels != 0 {
		return errors.New("page with levels in a required column")
	}
	enc := parquet.Encodings.Plain
	var err error
	switch {
	case h.encoding == encPlain:
		err = checkPlain(p.kind, h.values, data)
	case h.encoding == encPlainDictionary, h.encoding == encRLEDictionary:
		enc = parquet.Encodings.RLEDict
		switch {
		case p.dict < 0:
			err = errors.New("no dictionary")
		case len(data) == 0:
			err = errors.New("empty page")
		default:
			err = checkRuns(data[1:], int(data[0]), h.values)
		}
	case h.encoding == encRLE && p.kind == parquet.Types.Boolean:
		enc = parquet.Encodings.RLE
		if len(data) < 4 || int64(binary.LittleEndian.Uint32(data)) > int64(len(data)-4) {
			err = errors.New("page too short")
		} else {
			err = checkRuns(data[4:4+binary.LittleEndian.Uint32(data)], 1, h.values)
		}
	case h.encoding == encDelta && p.kind == parquet.Types.Int64:
		enc = parquet.Encodings.DeltaBinaryPacked
		err = checkDelta(data, h.values)
	default:
		err = fmt.Errorf("encoding %d is not supported", h.encoding)
	}
	if err != nil {
		return err
	}
	p.left -= int64(h.values)
	p.page = file.NewDataPageV1(memory.NewBufferBytes(data), int32(h.values), enc,
		parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(data)))
	return nil
}

// decompress returns the content of the page just read, in dst where it fits.
func (p *chunkPages) decompress(dst []byte, h pageHeader) ([]byte, error) {
	dst = grow(dst, h.size)
	src := p.compressed
	codec := p.codec
	if h.uncompressed {
		codec = compress.Codecs.Uncompressed
	}
	switch codec {
	case compress.Codecs.Uncompressed:
		if len(src) != h.size {
			return nil, errors.New("page size does not fit")
		}
		copy(dst, src)
	case compress.Codecs.Zstd:
		out, err := p.unzstd.DecodeAll(src, dst[:0:h.size])
		if err != nil {
			return nil, err
		}
		dst = out
	case compress.Codecs.Snappy:
		if n, k := binary.Uvarint(src); k <= 0 || n != uint64(h.size) {
			return nil, errors.New("page size does not fit")
		}
		c, err := compress.GetCodec(codec)
		if err != nil {
			return nil, err
		}
		dst = c.Decode(dst, src)
	default:
		return nil, fmt.Errorf("compression %v is not supported: write the file with zstd or snappy", codec)
	}
	if len(dst) != h.size {
		return nil, fmt.Errorf("page of %d bytes where %d were announced", len(dst), h.size)
	}
	return dst, nil
}

// Page types and encodings of parquet.thrift.
const (
	pageData       = 0
	pageDictionary = 2
	pageDataV2     = 3

	encPlain           = 0
	encPlainDictionary = 2
	encRLE             = 3
	encDelta           = 5
	encRLEDictionary   = 8
)

// pageHeader is what a page says about itself (parquet.thrift: PageHeader).
type pageHeader struct {
	typ          int
	size         int // bytes before compression
	compressed   int // bytes in the file
	values       int
	encoding     int
	levels       int  // bytes of levels, version 2
	uncompressed bool // stored as is, version 2
}

// readHeader reads the page header at p.pos and moves past it.
func (p *chunkPages) readHeader() (pageHeader, error) {
	for size := int64(256); ; size *= 4 {
		size = min(size, p.end-p.pos)
		if size <= 0 {
			return pageHeader{}, io.ErrUnexpectedEOF
		}
		p.compressed = grow(p.compressed, int(size))
		if err := readFull(p.r, p.compressed, p.pos); err != nil {
			return pageHeader{}, err
		}
		h, n, err := parsePageHeader(p.compressed)
		if errors.Is(err, errThriftEnd) && size < p.end-p.pos && size < 64<<10 {
			continue
		}
		if err == nil {
			p.pos += int64(n)
		}
		return h, err
	}
}

func parsePageHeader(b []byte) (h pageHeader, n int, err error) {
	h.typ = -1
	t := thriftReader{b: b}
	err = t.fields(0, func(id int, typ byte) error {
		switch id {
		case 1:
			return t.int(typ, &h.typ)
		case 2:
			return t.int(typ, &h.size)
		case 3:
			return t.int(typ, &h.compressed)
		case 5, 7, 8: // DataPageHeader, DictionaryPageHeader, DataPageHeaderV2
			if typ != thriftStruct {
				return errThrift
			}
			return t.fields(1, func(sub int, typ byte) error {
				switch {
				case sub == 1:
					return t.int(typ, &h.values)
				case id != 8 && sub == 2 || id == 8 && sub == 4:
					return t.int(typ, &h.encoding)
				case id == 8 && (sub == 5 || sub == 6):
					var n int
					err := t.int(typ, &n)
					h.levels |= n
					return err
				case id == 8 && sub == 7:
					h.uncompressed = typ == thriftFalse
				}
				return t.skip(typ, 1)
			})
		}
		return t.skip(typ, 0)
	})
	return h, t.pos, err
}

// checkPlain verifies that data holds n values in the plain encoding.
func checkPlain(kind parquet.Type, n int, data []byte) error {
	need := 0
	switch kind {
	case parquet.Types.Int64, parquet.Types.Double:
		need = 8 * n
	case parquet.Types.Boolean:
		need = (n + 7) / 8
	case parquet.Types.ByteArray:
		if n < 0 || n > len(data)/4 {
			return errors.New("page too short")
		}
		for range n {
			if len(data) < 4 {
				return errors.New("page too short")
			}
			size := binary.LittleEndian.Uint32(data)
			if data = data[4:]; int64(size) > int64(len(data)) {
				return errors.New("page too short")
			}
			data = data[size:]
		}
	}
	if n < 0 || len(data) < need {
		return errors.New("page too short")
	}
	return nil
}

// checkRuns verifies that data holds n values in the hybrid of run lengths and
// bit packing.
func checkRuns(data []byte, width, n int) error {
	if width > 32 {
		return fmt.Errorf("values of %d bits", width)
	}
	for n > 0 {
		head, k := binary.Uvarint(data)
		if k <= 0 || head>>1 == 0 || head>>1 > 1<<24 {
			return errors.New("run damaged")
		}
		data = data[k:]
		size, values := (width+7)/8, int(head>>1)
		if head&1 == 1 {
			values *= 8
			size = values / 8 * width
		}
		if size > len(data) {
			return errors.New("page too short")
		}
		data = data[size:]
		n -= values
	}
	return nil
}

// checkDelta verifies the header of n delta-packed values: a sane block size
// and the right number.
func checkDelta(data []byte, n int) error {
	var head [3]uint64 // block size, miniblocks in a block, values
	for i := range head {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return errors.New("page too short")
		}
		head[i], data = v, data[k:]
	}
	block, minis, values := head[0], head[1], head[2]
	if block == 0 || block > 64<<10 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 {
		return errors.New("block size damaged")
	}
	if values != uint64(n) {
		return fmt.Errorf("%d values where %d were announced", values, n)
	}
	return nil
}

// grow returns a slice of n bytes, b itself where it is large enough.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

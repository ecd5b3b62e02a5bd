package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/klauspost/compress/zstd"
)

// ErrNotTape is the error for a file that is not a tape: no Parquet file, or
// one without Linktape's metadata.
var ErrNotTape = errors.New("not a tape")

// ErrDamaged is the error for a tape whose content does not fit its own
// description.
var ErrDamaged = errors.New("damaged tape")

// Reader reads a tape in bounded memory. It is for one goroutine.
type Reader struct {
	r     io.ReaderAt
	close func() error
	doc   *document
	meta  Meta

	parquet *metadata.FileMetaData
	columns [numColumns]int // index in the file
	groups  []groupInfo
	unzstd  *zstd.Decoder
	pool    sync.Pool // demanded by the library

	group int // row group being read
	cols  *groupReader
	batch batch
	pos   int // next row of the batch
	check *Checker
	hash  *Hash // nil after Seek
	rows  int64 // given out or verified, from the start
	names interner
	err   error
}

// groupInfo describes a row group.
type groupInfo struct {
	rows        int64
	first, last int64 // instants of the first and last row, ns
	known       bool  // first and last are
	meta        *metadata.RowGroupMetaData
}

// Open opens the tape at path.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open tape: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open tape: %w", err)
	}
	if !fi.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("open %s: %w: it is no regular file; copy a stream into a file first", path, ErrNotTape)
	}
	r, err := NewReader(f, fi.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	r.close = f.Close
	return r, nil
}

// NewReader opens a tape of this many bytes. Close does not close r.
func NewReader(r io.ReaderAt, size int64) (_ *Reader, err error) {
	defer recoverDamaged(&err)
	t := &Reader{r: r, close: func() error { return nil }}
	footer, end, err := readFooter(r, size)
	if err != nil {
		return nil, err
	}
	if t.parquet, err = metadata.NewFileMetaData(footer, nil); err != nil {
		return nil, fmt.Errorf("%w: footer: %w", ErrDamaged, err)
	}
	text := t.parquet.KeyValueMetadata().FindValue(metadataKey)
	if text == nil {
		return nil, fmt.Errorf("%w: a Parquet file without the metadata key %q; make a tape with tracegen import", ErrNotTape, metadataKey)
	}
	if t.doc, err = parseDocument(*text); err != nil {
		return nil, err
	}
	t.meta = t.doc.meta()
	if t.check, err = NewChecker(t.meta); err != nil {
		return nil, err
	}
	t.hash = NewHash()
	if err := t.findColumns(); err != nil {
		return nil, err
	}
	if err := t.findGroups(end); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	t.unzstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	t.pool.New = func() any { return memory.NewResizableBuffer(memory.DefaultAllocator) }
	return t, nil
}

// maxFooter is the largest footer that is read, in bytes. A row group takes
// about 1.5 kB.
const maxFooter = 64 << 20

// readFooter returns the footer, once nothing in it can mislead the library,
// and the offset where the data ends.
func readFooter(r io.ReaderAt, size int64) ([]byte, int64, error) {
	const magic = "PAR1"
	var head [4]byte
	var tail [8]byte
	if size < int64(len(head)+len(tail)) {
		return nil, 0, fmt.Errorf("%w: no Parquet file", ErrNotTape)
	}
	if err := readFull(r, head[:], 0); err != nil {
		return nil, 0, fmt.Errorf("read tape: %w", err)
	}
	if string(head[:]) != magic {
		return nil, 0, fmt.Errorf("%w: no Parquet file", ErrNotTape)
	}
	if err := readFull(r, tail[:], size-int64(len(tail))); err != nil {
		return nil, 0, fmt.Errorf("read tape: %w", err)
	}
	if string(tail[4:]) != magic {
		return nil, 0, fmt.Errorf("%w: the end of the Parquet file is missing; copy it again", ErrDamaged)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	end := size - int64(len(tail)) - n
	if end < int64(len(head)) || n > maxFooter {
		return nil, 0, fmt.Errorf("%w: footer of %d bytes in a file of %d", ErrDamaged, n, size)
	}
	footer := make([]byte, n)
	if err := readFull(r, footer, end); err != nil {
		return nil, 0, fmt.Errorf("read tape: %w", err)
	}
	if err := checkFooter(footer); err != nil {
		return nil, 0, fmt.Errorf("%w: footer: %w", ErrDamaged, err)
	}
	return footer, end, nil
}

// maxSchema is the largest number of elements in a schema. The library
// descends into it, and allocates as many children as an element claims.
const maxSchema = 1000

// checkFooter walks over the footer (parquet.thrift: FileMetaData).
func checkFooter(b []byte) error {
	t := thriftReader{b: b}
	return t.fields(0, func(id int, typ byte) error {
		if id != 2 { // schema
			return t.skip(typ, 0)
		}
		if typ != thriftList {
			return errThrift
		}
		elem, n, err := t.list()
		if err != nil {
			return err
		}
		if elem != thriftStruct || n > maxSchema {
			return fmt.Errorf("schema of %d elements", n)
		}
		for range n {
			err := t.fields(1, func(id int, typ byte) error {
				if id != 5 { // num_children
					return t.skip(typ, 1)
				}
				children := 0
				if err := t.int(typ, &children); err != nil {
					return err
				}
				if children < 0 || children > int(n) {
					return fmt.Errorf("schema element with %d children", children)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// readFull reads all of b at an offset. An error with the last byte, which
// [io.ReaderAt] allows, is none.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// findColumns finds the columns of a tape in the file's schema.
func (t *Reader) findColumns() error {
	sc := t.parquet.Schema
	byName := make(map[string]int, sc.NumColumns())
	for i := range sc.NumColumns() {
		c := sc.Column(i)
		if _, ok := byName[c.Path()]; ok {
			return fmt.Errorf("column %s: occurs twice", clip(c.Path()))
		}
		byName[c.Path()] = i
	}
	var faults []string
	for n, c := range columns() {
		i, ok := byName[c.name]
		if !ok {
			faults = append(faults, fmt.Sprintf("column %s: missing", c.name))
			continue
		}
		delete(byName, c.name)
		col := sc.Column(i)
		switch {
		case col.PhysicalType() != c.kind:
			faults = append(faults, fmt.Sprintf("column %s: type %v: write it as %v", c.name, col.PhysicalType(), c.kind))
		case col.MaxRepetitionLevel() != 0:
			faults = append(faults, fmt.Sprintf("column %s: repeated: write one value a row", c.name))
		case col.MaxDefinitionLevel() != 0:
			faults = append(faults, fmt.Sprintf("column %s: nullable: write it as required (pyarrow: pa.field(%q, …, nullable=False))", c.name, c.name))
		}
		t.columns[n] = i
	}
	for i := range sc.NumColumns() {
		if name := sc.Column(i).Path(); len(faults) < MaxFaults {
			if _, unknown := byName[name]; unknown {
				faults = append(faults, fmt.Sprintf("column %s: unknown: remove it", clip(name)))
			}
		}
	}
	if faults != nil {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// findGroups verifies what the footer says about the row groups.
func (t *Reader) findGroups(end int64) error {
	total, prev := int64(0), int64(0)
	for i := range t.parquet.RowGroups {
		m := t.parquet.RowGroup(i)
		g := groupInfo{rows: m.NumRows(), meta: m}
		if m.NumColumns() != numColumns {
			return fmt.Errorf("row group %d: %d columns", i, m.NumColumns())
		}
		if g.rows < 0 || g.rows > t.doc.Rows-total {
			return fmt.Errorf("row group %d: %d rows, where %d of %d are left", i, g.rows, t.doc.Rows-total, t.doc.Rows)
		}
		total += g.rows
		for n, c := range columns() {
			chunk, err := m.ColumnChunk(t.columns[n])
			if err != nil {
				return fmt.Errorf("row group %d: column %s: %w", i, c.name, err)
			}
			start, size := chunkRange(chunk)
			switch {
			case chunk.Type() != c.kind:
				return fmt.Errorf("row group %d: column %s: type %v", i, c.name, chunk.Type())
			case chunk.NumValues() != g.rows:
				return fmt.Errorf("row group %d: column %s: %d values for %d rows", i, c.name, chunk.NumValues(), g.rows)
			case start < 0 || size < 0 || start > end || size > end-start:
				return fmt.Errorf("row group %d: column %s: lies outside the file", i, c.name)
			case chunk.FilePath() != "":
				return fmt.Errorf("row group %d: column %s: lies in another file", i, c.name)
			}
			if n != 0 {
				continue
			}
			if set, err := chunk.StatsSet(); err == nil && set {
				st, err := chunk.Statistics()
				if err != nil {
					return fmt.Errorf("row group %d: column %s: %w", i, c.name, err)
				}
				if s, ok := st.(*metadata.Int64Statistics); ok && s.HasMinMax() {
					g.first, g.last, g.known = s.Min(), s.Max(), true
					if g.first < prev || g.last < g.first {
						return fmt.Errorf("row group %d: instants from %v to %v after %v", i, time.Duration(g.first), time.Duration(g.last), time.Duration(prev))
					}
					prev = g.last
				}
			}
		}
		if g.rows > 0 {
			t.groups = append(t.groups, g)
		}
	}
	if total != t.doc.Rows || total != t.parquet.NumRows {
		return fmt.Errorf("%d rows where %d were announced", total, t.doc.Rows)
	}
	return nil
}

// chunkRange returns where a column chunk lies in the file.
func chunkRange(c *metadata.ColumnChunkMetaData) (start, size int64) {
	start = c.DataPageOffset()
	if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 && c.DictionaryPageOffset() < start {
		start = c.DictionaryPageOffset()
	}
	return start, c.TotalCompressedSize()
}

// Meta returns what the tape says about itself.
func (t *Reader) Meta() Meta { return t.meta }

// Rows returns the number of steps.
func (t *Reader) Rows() int64 { return t.doc.Rows }

// SHA256 returns the tape's [Hash] as its metadata states it. Reading all
// steps from the start verifies it.
func (t *Reader) SHA256() string { return t.doc.SHA256 }

// Close closes the file.
func (t *Reader) Close() error {
	if t.err == nil {
		t.err = errClosed
	}
	if t.unzstd != nil {
		t.unzstd.Close()
		t.unzstd = nil
	}
	t.cols = nil
	return t.close()
}

// Read fills steps with the next ones and returns how many; 0 and io.EOF at
// the end. Every step is verified. When the steps were read from the start
// without a Seek, the end is only reached if the timeline is complete and its
// checksum right. A timeline's faults are returned together as a
// [*FaultsError].
func (t *Reader) Read(steps []Step) (n int, err error) {
	if t.err != nil {
		return 0, t.err
	}
	if len(steps) == 0 {
		return 0, nil
	}
	defer func() {
		if err != nil {
			n, t.err = 0, err
		}
	}()
	defer recoverDamaged(&err)
	if t.pos == t.batch.n {
		if err := t.nextBatch(); err == io.EOF {
			return 0, t.finish()
		} else if err != nil {
			return 0, err
		}
	}
	for n < len(steps) && t.pos < t.batch.n {
		s := &steps[n]
		t.batch.step(t.pos, s)
		t.pos++
		n++
		t.verify(s)
	}
	if len(t.check.faults.Faults) > 0 {
		return 0, t.allFaults()
	}
	return n, nil
}

func (t *Reader) verify(s *Step) {
	t.check.Step(s)
	if t.hash != nil {
		t.hash.Step(s)
		t.rows++
	}
}

// allFaults reads on, after a fault, to report the others with it.
func (t *Reader) allFaults() error {
	var s Step
	for !t.check.full() {
		if t.pos == t.batch.n {
			if err := t.nextBatch(); err == io.EOF {
				break
			} else if err != nil {
				return errors.Join(t.check.Finish(), err)
			}
		}
		t.batch.step(t.pos, &s)
		t.pos++
		t.check.Step(&s)
	}
	return t.check.Finish()
}

// finish verifies the whole timeline at its end.
func (t *Reader) finish() error {
	if err := t.check.Finish(); err != nil {
		return err
	}
	if t.hash == nil {
		return io.EOF
	}
	if t.rows != t.doc.Rows {
		return fmt.Errorf("%w: %d rows where %d were announced", ErrDamaged, t.rows, t.doc.Rows)
	}
	if sum := t.hash.Sum(t.meta.Duration); sum != t.doc.SHA256 {
		return fmt.Errorf("%w: the steps have the SHA-256 %s, the metadata says %s; fetch the tape again, or write it again if it was edited", ErrDamaged, sum, clip(t.doc.SHA256))
	}
	return io.EOF
}

// nextBatch decodes the next rows, of the next row group where one ends.
func (t *Reader) nextBatch() (err error) {
	if t.cols == nil || t.cols.left == 0 {
		if t.cols != nil {
			t.group++
		}
		if t.group >= len(t.groups) {
			return io.EOF
		}
		if t.cols, err = t.openGroup(t.group, allColumns); err != nil {
			return err
		}
	}
	t.pos = 0
	return t.cols.read(&t.batch)
}

// Seek moves to an instant of the timeline. It returns, in canonical order,
// for each direction the step in force at t, with the instant that it had; the
// next Read continues with the first step after t. The checksum is not
// verified any more, but each step is.
func (t *Reader) Seek(at time.Duration) (state []Step, err error) {
	if t.err != nil && t.err != io.EOF {
		return nil, t.err
	}
	if at < 0 || at >= t.meta.Duration {
		return nil, fmt.Errorf("seek to %v: outside the timeline, which lasts from 0 to %v", at, t.meta.Duration)
	}
	defer func() {
		if err != nil {
			state, t.err = nil, err
		}
	}()
	defer recoverDamaged(&err)
	t.err, t.hash = nil, nil

	g, err := t.groupAt(at)
	if err != nil {
		return nil, err
	}
	s := newSeek(t.meta.Directions())
	if t.cols != nil {
		t.cols.left = 0 // given up
	}
	// The last group with steps up to t, and there on to the first step after.
	t.group, t.pos, t.batch.n = g, 0, 0
	if t.cols, err = t.openGroup(g, allColumns); err != nil {
		return nil, err
	}
scan:
	for {
		for t.pos < t.batch.n {
			if t.batch.ints[slotAt][t.pos] > int64(at) {
				break scan
			}
			if err := s.add(&t.batch, t.pos); err != nil {
				return nil, err
			}
			t.pos++
		}
		if t.cols.left == 0 {
			break
		}
		t.pos = 0
		if err := t.cols.read(&t.batch); err != nil {
			return nil, err
		}
	}
	// Directions without a step there: earlier groups, by name first.
	for g--; s.missing > 0 && g >= 0; g-- {
		if err := t.seekGroup(g, s); err != nil {
			return nil, err
		}
	}
	if s.missing > 0 {
		return nil, fmt.Errorf("%w: no step at instant 0 for %v", ErrDamaged, s.lacking())
	}
	// The steps found take the place of those that were not read.
	if t.check, err = NewChecker(t.meta); err != nil {
		return nil, err
	}
	slices.SortFunc(s.steps, Compare)
	for i := range s.steps {
		t.check.Step(&s.steps[i])
	}
	t.check.seenAll = true
	if err := t.check.faults.err(); err != nil {
		return nil, err
	}
	slices.SortFunc(s.steps, func(a, b Step) int { return a.LinkDir().Compare(b.LinkDir()) })
	return s.steps, nil
}

// groupAt returns the last row group that begins at or before t, or the first.
func (t *Reader) groupAt(at time.Duration) (int, error) {
	if len(t.groups) == 0 {
		return 0, fmt.Errorf("%w: no rows", ErrDamaged)
	}
	lo, hi := 0, len(t.groups) // the answer is in [lo, hi)
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		g := &t.groups[mid]
		if !g.known {
			// Written by something that keeps no statistics: look at the row.
			cols, err := t.openGroup(mid, func(c column) bool { return c.name == "t_ns" })
			if err != nil {
				return 0, err
			}
			var b batch
			if err := cols.read(&b); err != nil {
				return 0, err
			}
			g.first = b.ints[slotAt][0]
		}
		if g.first <= int64(at) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// seekGroup looks for the directions that s misses in one row group: for their
// names in two columns and, when there are any, for the steps in all.
func (t *Reader) seekGroup(g int, s *seek) error {
	names, err := t.openGroup(g, func(c column) bool { return c.name == "link" || c.name == "dir" })
	if err != nil {
		return err
	}
	var b batch
	last, row := int64(-1), int64(0) // last row with a direction that is missing
	for names.left > 0 {
		if err := names.read(&b); err != nil {
			return err
		}
		for i := range b.n {
			if s.misses(b.strings[slotLink][i], b.dirs[i]) {
				last = row + int64(i)
			}
		}
		row += int64(b.n)
	}
	if last < 0 {
		return nil
	}
	cols, err := t.openGroup(g, allColumns)
	if err != nil {
		return err
	}
	found := newSeek(s.dirs.list)
	for row = 0; row <= last; row += int64(b.n) {
		if err := cols.read(&b); err != nil {
			return err
		}
		for i := range b.n {
			if s.misses(b.strings[slotLink][i], b.dirs[i]) {
				if err := found.add(&b, i); err != nil {
					return err
				}
			}
		}
	}
	s.merge(found)
	return nil
}

// seek collects the last step of each direction.
type seek struct {
	dirs    directions
	steps   []Step // by direction
	have    []bool
	missing int
}

func newSeek(dirs []LinkDir) *seek {
	return &seek{dirs: newDirections(dirs), steps: make([]Step, len(dirs)), have: make([]bool, len(dirs)), missing: len(dirs)}
}

func (s *seek) misses(link string, dir Direction) bool {
	i := s.dirs.index(LinkDir{link, dir})
	return i >= 0 && !s.have[i]
}

func (s *seek) add(b *batch, row int) error {
	ld := LinkDir{b.strings[slotLink][row], b.dirs[row]}
	i := s.dirs.index(ld)
	if i < 0 {
		return fmt.Errorf("%w: step for %q, which is not among the timeline's links", ErrDamaged, clip(ld.String()))
	}
	b.step(row, &s.steps[i])
	if !s.have[i] {
		s.have[i] = true
		s.missing--
	}
	return nil
}

func (s *seek) merge(o *seek) {
	for i, ok := range o.have {
		if ok && !s.have[i] {
			s.steps[i], s.have[i] = o.steps[i], true
			s.missing--
		}
	}
}

func (s *seek) lacking() (out []LinkDir) {
	for i, ok := range s.have {
		if !ok {
			out = append(out, s.dirs.list[i])
		}
	}
	return out
}

// groupReader reads the columns of a row group together.
type groupReader struct {
	info    *groupInfo
	index   int
	left    int64 // rows
	names   [numColumns]column
	pages   [numColumns]*chunkPages // nil: not wanted
	columns [numColumns]file.ColumnChunkReader
	strings [stringSlots]stringReader // in place of columns
}

func allColumns(column) bool { return true }

// openGroup prepares the columns of a row group that want names.
func (t *Reader) openGroup(index int, want func(column) bool) (*groupReader, error) {
	info := &t.groups[index]
	g := &groupReader{info: info, index: index, left: info.rows, names: columns()}
	for n, c := range g.names {
		if !want(c) {
			continue
		}
		chunk, err := info.meta.ColumnChunk(t.columns[n])
		if err != nil {
			return nil, g.damaged(c, err)
		}
		start, size := chunkRange(chunk)
		p := &chunkPages{
			r: t.r, pos: start, end: start + size,
			kind: c.kind, codec: chunk.Compression(), left: info.rows, dict: -1, unzstd: t.unzstd,
		}
		if old := t.cols; old != nil && old.left == 0 && old.pages[n] != nil {
			p.compressed, p.data = old.pages[n].compressed, old.pages[n].data // decoded to the end
			old.pages[n] = nil
		}
		g.pages[n] = p
		if c.kind == parquet.Types.ByteArray {
			g.strings[c.slot] = stringReader{pages: p, names: &t.names}
			continue
		}
		g.columns[n] = file.NewColumnReader(t.parquet.Schema.Column(t.columns[n]), p, memory.DefaultAllocator, &t.pool)
	}
	return g, nil
}

func (g *groupReader) damaged(c column, err error) error {
	return fmt.Errorf("%w: row group %d, column %s: %w; fetch the tape again", ErrDamaged, g.index, c.name, err)
}

// batch holds decoded rows by column.
type batch struct {
	n       int
	ints    [intSlots][]int64
	doubles [doubleSlots][]float64
	carrier []bool
	strings [stringSlots][]string
	dirs    []Direction
}

// read decodes the next rows of the group into b.
func (g *groupReader) read(b *batch) error {
	n := int(min(g.left, batchRows))
	begin := g.left == g.info.rows
	b.n = 0
	for i, c := range g.names {
		if g.pages[i] == nil {
			continue
		}
		total, err := int64(n), error(nil)
		switch cr := g.columns[i].(type) {
		case *file.Int64ColumnChunkReader:
			total, _, err = cr.ReadBatch(int64(n), sized(&b.ints[c.slot], n), nil, nil)
		case *file.Float64ColumnChunkReader:
			total, _, err = cr.ReadBatch(int64(n), sized(&b.doubles[c.slot], n), nil, nil)
		case *file.BooleanColumnChunkReader:
			total, _, err = cr.ReadBatch(int64(n), sized(&b.carrier, n), nil, nil)
		case nil:
			err = g.strings[c.slot].read(sized(&b.strings[c.slot], n))
			if err == nil && c.slot == slotDir {
				err = b.directions()
			}
		}
		if err == nil && total != int64(n) {
			if err = g.columns[i].Err(); err == nil {
				err = io.ErrUnexpectedEOF
			}
		}
		if err != nil {
			return g.damaged(c, err)
		}
	}
	b.n = n
	g.left -= int64(n)
	if g.info.known && g.pages[0] != nil {
		at := b.ints[slotAt]
		if begin && at[0] != g.info.first || g.left == 0 && at[n-1] != g.info.last {
			return g.damaged(g.names[0], errors.New("its statistics do not fit its values"))
		}
	}
	return nil
}

// directions converts the direction names.
func (b *batch) directions() error {
	dst := sized(&b.dirs, len(b.strings[slotDir]))
	for i, s := range b.strings[slotDir] {
		switch s {
		case "up":
			dst[i] = Up
		case "down":
			dst[i] = Down
		default:
			return fmt.Errorf("direction %s: not up or down", strconv.Quote(clip(s)))
		}
	}
	return nil
}

// step writes a row to s.
func (b *batch) step(i int, s *Step) {
	s.At = time.Duration(b.ints[slotAt][i])
	s.Link = b.strings[slotLink][i]
	s.Dir = b.dirs[i]
	s.Rate = BitRate(b.ints[slotRate][i])
	s.Delay = time.Duration(b.ints[slotDelay][i])
	s.Jitter = time.Duration(b.ints[slotJitter][i])
	s.Loss = Prob(b.doubles[slotLoss][i])
	s.GE.P = Prob(b.doubles[slotGEP][i])
	s.GE.R = Prob(b.doubles[slotGER][i])
	s.GE.LossBad = Prob(b.doubles[slotGELossBad][i])
	s.GE.LossGood = Prob(b.doubles[slotGELossGood][i])
	s.Duplicate = Prob(b.doubles[slotDuplicate][i])
	s.Corrupt = Prob(b.doubles[slotCorrupt][i])
	s.Reorder = Prob(b.doubles[slotReorder][i])
	s.Carrier = b.carrier[i]
	s.Label = b.strings[slotLabel][i]
}

func sized[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

// interner returns the same string for the same bytes, without an allocation
// for those it has met. It forgets when there are many.
type interner struct {
	recent [64]string // by a hash of the bytes
	all    map[string]string
}

func (n *interner) get(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	slot := &n.recent[(uint(b[0])*7+uint(b[len(b)-1])*31+uint(len(b))*3)%64]
	if *slot == string(b) {
		return *slot
	}
	s, ok := n.all[string(b)]
	if !ok {
		if len(n.all) >= 4096 || n.all == nil {
			n.all = make(map[string]string)
		}
		s = string(b)
		n.all[s] = s
	}
	*slot = s
	return s
}

// ReadFile reads and verifies the whole tape at path.
func ReadFile(path string) (*Timeline, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tl, err := r.readAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return tl, nil
}

func (t *Reader) readAll() (*Timeline, error) {
	tl := &Timeline{Meta: t.Meta()}
	for {
		// Grown as rows arrive, not by what the metadata claims.
		tl.Steps = slices.Grow(tl.Steps, int(min(t.Rows()-int64(len(tl.Steps))+1, batchRows)))
		n, err := t.Read(tl.Steps[len(tl.Steps):cap(tl.Steps)])
		tl.Steps = tl.Steps[:len(tl.Steps)+n]
		if err == io.EOF {
			return tl, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// recoverDamaged turns a panic of the Parquet library, which is how some of
// its decoders meet damage, into an error.
func recoverDamaged(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, r)
	}
}

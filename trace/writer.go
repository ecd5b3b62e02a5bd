package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
)

var errClosed = errors.New("tape is closed")

// Writer writes a tape. An invalid timeline never becomes a file: Close fails
// with every fault, and without Close the file cannot be read.
type Writer struct {
	meta  Meta
	check *Checker
	hash  *Hash
	rows  int64

	sink  *bufio.Writer
	pw    *file.Writer
	buf   writeBuffer
	group int // rows in a row group

	file *os.File // nil when the caller holds the stream
	path string   // where the file goes in the end
	temp string   // where it is until then; empty when written in place

	err  error
	done bool
	sha  string
}

// Create starts a tape that appears at path, replacing what is there, when
// [Writer.Close] succeeds. Until then it is a temporary file beside it. The
// metadata must not change before Close.
func Create(path string, meta Meta) (*Writer, error) {
	check, err := NewChecker(meta)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	target := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		target = resolved
	}
	var f *os.File
	temp := ""
	if fi, err := os.Stat(target); err == nil && !fi.Mode().IsRegular() {
		if fi.IsDir() {
			return nil, fmt.Errorf("create %s: is a directory", path)
		}
		f, err = os.OpenFile(target, os.O_WRONLY, 0) // a device or a pipe: nothing to rename
		if err != nil {
			return nil, fmt.Errorf("create tape: %w", err)
		}
	} else if f, err = createBeside(target); err != nil {
		return nil, fmt.Errorf("create tape: %w", err)
	} else {
		temp = f.Name()
	}
	w, err := newWriter(f, meta, check)
	if err != nil {
		f.Close()
		if temp != "" {
			os.Remove(temp)
		}
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	w.file, w.path, w.temp = f, target, temp
	return w, nil
}

// createBeside makes a new hidden file in the directory of path, with the
// permissions that an ordinary new file gets.
func createBeside(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

// NewWriter starts a tape on a stream, which the caller closes after
// [Writer.Close]. When Close fails, what the stream got is not a tape.
func NewWriter(w io.Writer, meta Meta) (*Writer, error) {
	check, err := NewChecker(meta)
	if err != nil {
		return nil, err
	}
	return newWriter(w, meta, check)
}

func newWriter(w io.Writer, meta Meta, check *Checker) (_ *Writer, err error) {
	defer recoverTo(&err)
	// bufio keeps the first write error and hides Close from the library.
	sink := bufio.NewWriterSize(w, 256<<10)
	return &Writer{
		meta:  meta,
		check: check,
		hash:  NewHash(),
		sink:  sink,
		pw:    file.NewParquetWriter(sink, tapeSchema(), file.WithWriterProps(writerProperties())),
		group: defaultGroupRows,
	}, nil
}

// Write appends steps, which must come in canonical order ([Compare]) through
// all calls. Faults of the timeline are collected and returned by Close, or by
// Write as soon as there are [MaxFaults].
func (w *Writer) Write(steps []Step) error {
	if w.done {
		return errClosed
	}
	if w.err != nil {
		return w.err
	}
	for i := range steps {
		s := &steps[i]
		w.check.Step(s)
		if len(w.check.faults.Faults) > 0 {
			if w.check.full() {
				w.err = w.check.Finish()
				return w.err
			}
			continue // it will not become a file
		}
		w.hash.Step(s)
		w.buf.add(s)
		w.rows++
		if w.buf.len() >= w.group {
			if w.err = w.flush(); w.err != nil {
				return w.err
			}
		}
	}
	return nil
}

// Close completes the tape. It returns the timeline's faults as a
// [*FaultsError], and leaves no file then. A second Close does nothing.
func (w *Writer) Close() error {
	if w.done {
		return w.err
	}
	err := w.finish()
	w.done = true
	if w.file != nil {
		if cerr := w.file.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write tape: %w", cerr)
		}
		if w.temp != "" {
			if err == nil {
				if rerr := os.Rename(w.temp, w.path); rerr != nil {
					err = fmt.Errorf("write tape: %w", rerr)
				}
			}
			if err != nil {
				os.Remove(w.temp)
			}
		}
	}
	w.release()
	if err != nil {
		w.err, w.sha = err, ""
	}
	return err
}

func (w *Writer) finish() (err error) {
	defer w.preferSink(&err)
	defer recoverTo(&err)
	if w.err != nil {
		return w.err
	}
	if err := w.check.Finish(); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.sha = w.hash.Sum(w.meta.Duration)
	d := document{
		Format:    FormatVersion,
		Duration:  int64(w.meta.Duration),
		Generator: w.meta.Generator,
		Seed:      w.meta.Seed,
		Scenario:  w.meta.Scenario,
		Sources:   w.meta.Sources,
		Edit:      w.meta.Edit,
		Links:     w.meta.Links,
		Rows:      w.rows,
		SHA256:    w.sha,
	}
	text, err := d.marshal()
	if err != nil {
		return fmt.Errorf("write tape: %w", err)
	}
	if err := w.pw.AppendKeyValueMetadata(metadataKey, text); err != nil {
		return fmt.Errorf("write tape: %w", err)
	}
	// Not pw.Close, which loses the error.
	if err := w.pw.FlushWithFooter(); err != nil {
		return fmt.Errorf("write tape: %w", err)
	}
	if err := w.sink.Flush(); err != nil {
		return fmt.Errorf("write tape: %w", err)
	}
	if w.temp != "" {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("write tape: %w", err)
		}
	}
	return nil
}

// Abort gives the tape up and removes its temporary file. After Close it does
// nothing, so that it can be deferred.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done, w.err = true, errClosed
	if w.file != nil {
		w.file.Close()
		if w.temp != "" {
			os.Remove(w.temp)
		}
	}
	w.release()
}

func (w *Writer) release() { w.buf, w.pw, w.sink, w.check, w.hash = writeBuffer{}, nil, nil, nil, nil }

// SHA256 returns the tape's [Hash] in hexadecimal, after a successful Close.
func (w *Writer) SHA256() string { return w.sha }

// flush writes the buffered rows as a row group.
func (w *Writer) flush() (err error) {
	defer w.preferSink(&err)
	defer recoverTo(&err)
	if w.buf.len() == 0 {
		return nil
	}
	if err := w.buf.write(w.pw); err != nil {
		return err
	}
	w.buf.reset()
	// The sink keeps its first error; show it before more is computed.
	if err := w.sink.Flush(); err != nil {
		return fmt.Errorf("write tape: %w", err)
	}
	return nil
}

// preferSink puts the stream's own error, where it has failed, in place of what
// the library has made of it, which is no longer the system's error.
func (w *Writer) preferSink(err *error) {
	if *err == nil {
		return
	}
	if _, serr := w.sink.Write(nil); serr != nil {
		*err = fmt.Errorf("write tape: %w", serr)
	}
}

// writeBuffer holds the rows of a row group by column.
type writeBuffer struct {
	ints    [intSlots][]int64
	doubles [doubleSlots][]float64
	carrier []bool
	strings [stringSlots]stringColumn
}

func (b *writeBuffer) len() int { return len(b.carrier) }

func (b *writeBuffer) add(s *Step) {
	for slot, v := range [...]int64{
		slotAt:     int64(s.At),
		slotRate:   int64(s.Rate),
		slotDelay:  int64(s.Delay),
		slotJitter: int64(s.Jitter),
	} {
		b.ints[slot] = append(b.ints[slot], v)
	}
	for slot, v := range [...]Prob{
		slotLoss:       s.Loss,
		slotGEP:        s.GE.P,
		slotGER:        s.GE.R,
		slotGELossBad:  s.GE.LossBad,
		slotGELossGood: s.GE.LossGood,
		slotDuplicate:  s.Duplicate,
		slotCorrupt:    s.Corrupt,
		slotReorder:    s.Reorder,
	} {
		b.doubles[slot] = append(b.doubles[slot], float64(v)+0) // −0 becomes 0, as in Hash
	}
	b.carrier = append(b.carrier, s.Carrier)
	b.strings[slotLink].add(s.Link)
	b.strings[slotDir].add(s.Dir.String())
	b.strings[slotLabel].add(s.Label)
}

// write writes the rows as a row group.
func (b *writeBuffer) write(pw *file.Writer) error {
	rg := pw.AppendRowGroup()
	for _, c := range columns() {
		cw, err := rg.NextColumn()
		if err != nil {
			return fmt.Errorf("write column %s: %w", c.name, err)
		}
		switch cw := cw.(type) {
		case *file.Int64ColumnChunkWriter:
			_, err = cw.WriteBatch(b.ints[c.slot], nil, nil)
		case *file.Float64ColumnChunkWriter:
			_, err = cw.WriteBatch(b.doubles[c.slot], nil, nil)
		case *file.BooleanColumnChunkWriter:
			_, err = cw.WriteBatch(b.carrier, nil, nil)
		case *file.ByteArrayColumnChunkWriter:
			err = b.strings[c.slot].write(cw)
		}
		if err != nil {
			return fmt.Errorf("write column %s: %w", c.name, err)
		}
	}
	if err := rg.Close(); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	return nil
}

func (b *writeBuffer) reset() {
	for i := range b.ints {
		b.ints[i] = b.ints[i][:0]
	}
	for i := range b.doubles {
		b.doubles[i] = b.doubles[i][:0]
	}
	b.carrier = b.carrier[:0]
	for i := range b.strings {
		b.strings[i].reset()
	}
}

// stringColumn holds strings as indices into a table, which lasts for one row
// group and so stays small.
type stringColumn struct {
	ids   []uint32
	table []parquet.ByteArray
	index map[string]uint32
	last  string // the string added last, with its id
	id    uint32
}

func (c *stringColumn) add(s string) {
	if len(c.ids) == 0 || s != c.last {
		id, ok := c.index[s]
		if !ok {
			if c.index == nil {
				c.index = make(map[string]uint32)
			}
			id = uint32(len(c.table))
			c.table = append(c.table, parquet.ByteArray(s))
			c.index[s] = id
		}
		c.last, c.id = s, id
	}
	c.ids = append(c.ids, c.id)
}

// write hands the table over as the column's dictionary and then the indices,
// which spares the library to look every value up. What it writes is the same.
func (c *stringColumn) write(cw *file.ByteArrayColumnChunkWriter) error {
	dictionary := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for _, s := range c.table {
		dictionary.Append(s)
	}
	enc, ok := cw.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		return errors.New("the column has no dictionary")
	}
	if err := enc.PutDictionary(dictionary.NewArray()); err != nil {
		return err
	}
	// Indices leave the column's smallest and largest value to the caller.
	if stats, ok := cw.PageStatistics().(*metadata.ByteArrayStatistics); ok {
		stats.Update(c.table, 0)
	}
	ids := array.NewData(arrow.PrimitiveTypes.Uint32, len(c.ids),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Uint32Traits.CastToBytes(c.ids))}, nil, 0, 0)
	return cw.WriteDictIndices(array.NewUint32Data(ids), nil, nil)
}

func (c *stringColumn) reset() {
	c.ids, c.table, c.last = c.ids[:0], c.table[:0], ""
	clear(c.index)
}

// WriteFile writes a timeline as a tape at path.
func WriteFile(path string, t *Timeline) error {
	w, err := Create(path, t.Meta)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.Write(t.Steps); err != nil {
		return err
	}
	return w.Close()
}

// recoverTo turns a panic of the Parquet library, which is how it reports some
// failed writes, into an error.
func recoverTo(err *error) {
	if r := recover(); r != nil {
		if e, ok := r.(error); ok {
			*err = fmt.Errorf("parquet: %w", e)
		} else {
			*err = fmt.Errorf("parquet: %v", r)
		}
	}
}

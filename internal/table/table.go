// Package table writes and reads rows of plain structs as Parquet files: logs
// and counters. A [Writer] writes to a stream, a [File] to a file that can be read
// while it grows and after its writer was killed. Tapes have a format of their own, in package trace.
//
// Each exported field of the struct is a required column, named by its
// `parquet` tag. Fields are of the kinds int64 (and named types of it),
// float64, bool and string.
package table

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// groupRows is the number of rows in a row group: what is collected in memory
// before it is written.
const groupRows = 16 << 10

// columnsOf lists the columns of a row type.
func columnsOf(t reflect.Type) ([]*schema.PrimitiveNode, error) {
	var cols []*schema.PrimitiveNode
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("parquet")
		if name == "" {
			return nil, fmt.Errorf("table of %v: field %s has no parquet tag", t, f.Name)
		}
		var n *schema.PrimitiveNode
		switch f.Type.Kind() {
		case reflect.Int64:
			n = schema.NewInt64Node(name, parquet.Repetitions.Required, -1)
		case reflect.Float64:
			n = schema.NewFloat64Node(name, parquet.Repetitions.Required, -1)
		case reflect.Bool:
			n = schema.NewBooleanNode(name, parquet.Repetitions.Required, -1)
		case reflect.String:
			var err error
			n, err = schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, -1)
			if err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("table of %v: field %s: no column kind for %v", t, f.Name, f.Type)
		}
		cols = append(cols, n)
	}
	return cols, nil
}

// Writer writes rows to a file.
type Writer[T any] struct {
	sink *sink
	w    *file.Writer
	rows []T
}

// NewWriter starts a file on w. The caller closes w after Close.
func NewWriter[T any](w io.Writer) (_ *Writer[T], err error) {
	s := &sink{w: w}
	defer s.settle(&err)
	cols, err := columnsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	nodes := make(schema.FieldList, len(cols))
	for i, c := range cols {
		nodes[i] = c
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
	if err != nil {
		return nil, err
	}
	props := parquet.NewWriterProperties(
		parquet.WithCreatedBy("linktape"),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
	)
	return &Writer[T]{
		sink: s,
		w:    file.NewParquetWriter(s, root, file.WithWriterProps(props)),
		rows: make([]T, 0, groupRows),
	}, nil
}

// settle is deferred around the library's writing. The error of the file comes
// first; a panic becomes one, as the library panics where the file does not take
// its first bytes.
func (s *sink) settle(err *error) {
	r := recover()
	switch {
	case s.err != nil:
		*err = s.err
	case r != nil:
		*err = fmt.Errorf("write table: %v", r)
	}
}

// sink keeps the library from closing the caller's writer, and keeps the first
// error, some of which the library drops.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}

func (s *sink) Close() error { return nil }

// Write adds a row.
func (w *Writer[T]) Write(row *T) error {
	w.rows = append(w.rows, *row)
	if len(w.rows) == cap(w.rows) {
		return w.flush()
	}
	return nil
}

// Close writes what is left and the file's footer.
func (w *Writer[T]) Close() (err error) {
	defer w.sink.settle(&err)
	return errors.Join(w.flush(), w.w.Close())
}

// footer writes what is collected and a footer, so that the file up to here is
// complete. More rows may follow; a later footer covers them all.
func (w *Writer[T]) footer() (err error) {
	defer w.sink.settle(&err)
	return errors.Join(w.flush(), w.w.FlushWithFooter())
}

func (w *Writer[T]) flush() (err error) {
	defer w.sink.settle(&err)
	if len(w.rows) == 0 {
		return nil
	}
	g := w.w.AppendRowGroup()
	rows := reflect.ValueOf(w.rows)
	for i := range rows.Type().Elem().NumField() {
		c, err := g.NextColumn()
		if err != nil {
			return err
		}
		if err := writeColumn(c, rows, i); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	w.rows = w.rows[:0]
	return g.Close()
}

// column collects a field of every row.
func column[V any](rows reflect.Value, field int, get func(reflect.Value) V) []V {
	out := make([]V, rows.Len())
	for i := range out {
		out[i] = get(rows.Index(i).Field(field))
	}
	return out
}

func writeColumn(c file.ColumnChunkWriter, rows reflect.Value, field int) (err error) {
	switch c := c.(type) {
	case *file.Int64ColumnChunkWriter:
		_, err = c.WriteBatch(column(rows, field, reflect.Value.Int), nil, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = c.WriteBatch(column(rows, field, reflect.Value.Float), nil, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = c.WriteBatch(column(rows, field, reflect.Value.Bool), nil, nil)
	case *file.ByteArrayColumnChunkWriter:
		_, err = c.WriteBatch(column(rows, field, func(v reflect.Value) parquet.ByteArray {
			return parquet.ByteArray(v.String())
		}), nil, nil)
	default:
		err = fmt.Errorf("no writer for column %d", field)
	}
	return err
}

// ReadFile reads every row of a file that a Writer of the same row type wrote,
// or that a [File] has begun: with the rows of its journal, where the process that
// wrote it was killed or still writes.
func ReadFile[T any](name string) (rows []T, err error) {
	for row, err := range Rows[T](name) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, *row)
	}
	return rows, nil
}

// Rows reads a file as ReadFile does, a row at a time and in bounded memory. An
// error ends it. A row is valid until the next one.
func Rows[T any](name string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		stopped := errors.New("stopped")
		err := scan(name, func(rows []T) error {
			for i := range rows {
				if !yield(&rows[i], nil) {
					return stopped
				}
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(nil, err)
		}
	}
}

// scan reads a file in parts.
func scan[T any](name string, part func([]T) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var tail []T
	journal, err := os.ReadFile(name + JournalSuffix)
	// After the journal: the file may be growing.
	size, failed := f.Seek(0, io.SeekEnd)
	switch {
	case failed != nil:
		return failed
	case err == nil:
		var offset int64
		if tail, offset, err = readJournal[T](journal); err != nil {
			return fmt.Errorf("read %s%s: %w: remove it to read %s alone", name, JournalSuffix, err, name)
		}
		if offset > size {
			return fmt.Errorf("read %s: %d bytes of the %d that its journal goes on from", name, size, offset)
		}
		size = offset
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	want, err := columnsOf(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	r, err := open(name, io.NewSectionReader(f, 0, size), want)
	if err != nil {
		return err
	}
	for g := range r.NumRowGroups() {
		rows, err := readGroup[T](name, r, g, want)
		if err != nil {
			return err
		}
		if err := part(rows); err != nil {
			return err
		}
	}
	return part(tail)
}

// damaged is deferred around the library's reading, which panics at some damage.
func damaged(name string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("read %s: damaged: %v", name, r)
	}
}

// open opens a Parquet file, whose name is only said in errors, and checks its
// columns.
func open(name string, in parquet.ReaderAtSeeker, want []*schema.PrimitiveNode) (r *file.Reader, err error) {
	defer damaged(name, &err)
	if r, err = file.NewParquetReader(in); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	s := r.MetaData().Schema
	if s.NumColumns() != len(want) {
		return nil, fmt.Errorf("read %s: %d columns, want %d", name, s.NumColumns(), len(want))
	}
	for i, w := range want {
		if c := s.Column(i); c.Name() != w.Name() || c.PhysicalType() != w.PhysicalType() || c.MaxDefinitionLevel() != 0 {
			return nil, fmt.Errorf("read %s: column %d is %s %v, want %s %v, required", name, i, c.Name(), c.PhysicalType(), w.Name(), w.PhysicalType())
		}
	}
	return r, nil
}

func readGroup[T any](name string, r *file.Reader, g int, want []*schema.PrimitiveNode) (rows []T, err error) {
	defer damaged(name, &err)
	group := r.RowGroup(g)
	rows = make([]T, group.NumRows())
	for i := range want {
		c, err := group.Column(i)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if err := readColumn(c, reflect.ValueOf(rows), i); err != nil {
			return nil, fmt.Errorf("read %s: column %s: %w", name, want[i].Name(), err)
		}
	}
	return rows, nil
}

func readColumn(c file.ColumnChunkReader, rows reflect.Value, field int) error {
	n := rows.Len()
	var got int
	var err error
	set := func(i int) reflect.Value { return rows.Index(i).Field(field) }
	switch c := c.(type) {
	case *file.Int64ColumnChunkReader:
		v := make([]int64, n)
		_, got, err = c.ReadBatch(int64(n), v, nil, nil)
		for i := range got {
			set(i).SetInt(v[i])
		}
	case *file.Float64ColumnChunkReader:
		v := make([]float64, n)
		_, got, err = c.ReadBatch(int64(n), v, nil, nil)
		for i := range got {
			set(i).SetFloat(v[i])
		}
	case *file.BooleanColumnChunkReader:
		v := make([]bool, n)
		_, got, err = c.ReadBatch(int64(n), v, nil, nil)
		for i := range got {
			set(i).SetBool(v[i])
		}
	case *file.ByteArrayColumnChunkReader:
		v := make([]parquet.ByteArray, n)
		_, got, err = c.ReadBatch(int64(n), v, nil, nil)
		for i := range got {
			set(i).SetString(string(v[i]))
		}
	default:
		return errors.New("no reader for its type")
	}
	if err == nil && got != n {
		err = fmt.Errorf("%d values for %d rows", got, n)
	}
	return err
}

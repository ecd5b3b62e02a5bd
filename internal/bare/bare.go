package bare

import (
	"io"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"linktape/trace"
)

// GroupRows is how many rows a row group of a tape has.
const GroupRows = 128 << 10

// Rows holds rows by column, as the library takes them.
type Rows struct {
	ints    [4][]int64
	doubles [8][]float64
	carrier []bool
	strings [3][]parquet.ByteArray
	texts   map[string]parquet.ByteArray
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.carrier) }

// Reset takes all rows out.
func (r *Rows) Reset() {
	for i := range r.ints {
		r.ints[i] = r.ints[i][:0]
	}
	for i := range r.doubles {
		r.doubles[i] = r.doubles[i][:0]
	}
	for i := range r.strings {
		r.strings[i] = r.strings[i][:0]
	}
	r.carrier = r.carrier[:0]
}

// Add appends a row.
func (r *Rows) Add(s *trace.Step) {
	for i, v := range [...]int64{int64(s.At), int64(s.Rate), int64(s.Delay), int64(s.Jitter)} {
		r.ints[i] = append(r.ints[i], v)
	}
	for i, v := range [...]trace.Prob{s.Loss, s.GE.P, s.GE.R, s.GE.LossBad, s.GE.LossGood, s.Duplicate, s.Corrupt, s.Reorder} {
		r.doubles[i] = append(r.doubles[i], float64(v))
	}
	for i, v := range [...]string{s.Link, s.Dir.String(), s.Label} {
		text, ok := r.texts[v]
		if !ok {
			if r.texts == nil {
				r.texts = make(map[string]parquet.ByteArray)
			}
			text = parquet.ByteArray(v)
			r.texts[v] = text
		}
		r.strings[i] = append(r.strings[i], text)
	}
	r.carrier = append(r.carrier, s.Carrier)
}

// Writer writes row groups to a stream.
type Writer struct{ pw *file.Writer }

// NewWriter starts a file with the schema and the encodings of a tape (package
// trace, parquet.go).
func NewWriter(w io.Writer) *Writer {
	var fields schema.FieldList
	for _, name := range []string{"t_ns", "link", "dir", "rate_bit_s", "delay_ns", "jitter_ns", "loss", "ge_p", "ge_r", "ge_loss_bad", "ge_loss_good", "duplicate", "corrupt", "reorder", "carrier", "label"} {
		var node *schema.PrimitiveNode
		switch name {
		case "t_ns", "rate_bit_s", "delay_ns", "jitter_ns":
			node = schema.NewInt64Node(name, parquet.Repetitions.Required, -1)
		case "link", "dir", "label":
			node = schema.MustPrimitive(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1))
		case "carrier":
			node = schema.NewBooleanNode(name, parquet.Repetitions.Required, -1)
		default:
			node = schema.NewFloat64Node(name, parquet.Repetitions.Required, -1)
		}
		fields = append(fields, node)
	}
	root := schema.MustGroup(schema.NewGroupNode("tape", parquet.Repetitions.Required, fields, -1))
	props := parquet.NewWriterProperties(
		parquet.WithVersion(parquet.V2_LATEST), parquet.WithDataPageVersion(parquet.DataPageV1), parquet.WithDataPageSize(1<<20),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false), parquet.WithDictionaryPageSizeLimit(1<<30),
		parquet.WithDictionaryFor("link", true), parquet.WithDictionaryFor("dir", true), parquet.WithDictionaryFor("label", true),
		parquet.WithStats(false), parquet.WithStatsFor("t_ns", true), parquet.WithStatsFor("rate_bit_s", true),
		parquet.WithStatsFor("link", true), parquet.WithStatsFor("dir", true), parquet.WithStatsFor("label", true),
		parquet.WithEncodingFor("t_ns", parquet.Encodings.DeltaBinaryPacked),
	)
	return &Writer{file.NewParquetWriter(w, root, file.WithWriterProps(props))}
}

// Write writes the rows as one row group.
func (w *Writer) Write(r *Rows) error {
	group := w.pw.AppendRowGroup()
	ints, doubles, strings := r.ints[:], r.doubles[:], r.strings[:]
	for range group.NumColumns() {
		column, err := group.NextColumn()
		if err != nil {
			return err
		}
		switch c := column.(type) {
		case *file.Int64ColumnChunkWriter:
			_, err = c.WriteBatch(ints[0], nil, nil)
			ints = ints[1:]
		case *file.Float64ColumnChunkWriter:
			_, err = c.WriteBatch(doubles[0], nil, nil)
			doubles = doubles[1:]
		case *file.BooleanColumnChunkWriter:
			_, err = c.WriteBatch(r.carrier, nil, nil)
		case *file.ByteArrayColumnChunkWriter:
			_, err = c.WriteBatch(strings[0], nil, nil)
			strings = strings[1:]
		}
		if err != nil {
			return err
		}
	}
	return group.Close()
}

// Close completes the file.
func (w *Writer) Close() error { return w.pw.FlushWithFooter() }

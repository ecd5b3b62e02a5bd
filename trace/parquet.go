package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// FormatVersion is the version of the tape format that this package writes
// and reads.
const FormatVersion = 1

const (
	metadataKey = "linktape" // key of the JSON document in the file's metadata
	createdBy   = "linktape version 1.0.0"

	// defaultGroupRows is the number of rows in a row group. A group's columns
	// are collected in memory before they are written: 112 bytes a row.
	defaultGroupRows = 128 << 10
	pageBytes        = 1 << 20 // size of a data page before compression; the library sets up a compressor for each
	batchRows        = 8 << 10 // rows decoded at a time
)

// column is a column of a tape. All are required (never null).
type column struct {
	name string
	kind parquet.Type
	slot int // index among the columns of the same kind in a rowBuffer
}

// Slots of the columns, by kind.
const (
	slotAt, slotRate, slotDelay, slotJitter, intSlots = 0, 1, 2, 3, 4 // int64

	slotLoss, slotGEP, slotGER, slotGELossBad, slotGELossGood, slotDuplicate, slotCorrupt, slotReorder, doubleSlots = 0, 1, 2, 3, 4, 5, 6, 7, 8

	slotLink, slotDir, slotLabel, stringSlots = 0, 1, 2, 3
)

const numColumns = intSlots + doubleSlots + stringSlots + 1

// columns returns the columns in the order of the file.
func columns() [numColumns]column {
	i64, f64, str := parquet.Types.Int64, parquet.Types.Double, parquet.Types.ByteArray
	return [...]column{
		{"t_ns", i64, slotAt},
		{"link", str, slotLink},
		{"dir", str, slotDir},
		{"rate_bit_s", i64, slotRate},
		{"delay_ns", i64, slotDelay},
		{"jitter_ns", i64, slotJitter},
		{"loss", f64, slotLoss},
		{"ge_p", f64, slotGEP},
		{"ge_r", f64, slotGER},
		{"ge_loss_bad", f64, slotGELossBad},
		{"ge_loss_good", f64, slotGELossGood},
		{"duplicate", f64, slotDuplicate},
		{"corrupt", f64, slotCorrupt},
		{"reorder", f64, slotReorder},
		{"carrier", parquet.Types.Boolean, 0},
		{"label", str, slotLabel},
	}
}

func tapeSchema() *schema.GroupNode {
	var fields schema.FieldList
	for _, c := range columns() {
		if c.kind == parquet.Types.ByteArray {
			fields = append(fields, schema.MustPrimitive(schema.NewPrimitiveNodeLogical(
				c.name, parquet.Repetitions.Required, schema.StringLogicalType{}, c.kind, 0, -1)))
			continue
		}
		fields = append(fields, schema.MustPrimitive(schema.NewPrimitiveNode(
			c.name, parquet.Repetitions.Required, c.kind, -1, -1)))
	}
	return schema.MustGroup(schema.NewGroupNode("tape", parquet.Repetitions.Required, fields, -1))
}

// writerProperties fixes everything that the bytes of a file depend on.
func writerProperties() *parquet.WriterProperties {
	props := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithDataPageVersion(parquet.DataPageV1), // read everywhere
		parquet.WithDataPageSize(pageBytes),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		// No fallback from a dictionary: it would write encoding statistics in
		// an order that changes from run to run.
		parquet.WithDictionaryPageSizeLimit(1 << 30),
		parquet.WithStats(false),
		parquet.WithEncodingFor("t_ns", parquet.Encodings.DeltaBinaryPacked),
	}
	for _, name := range []string{"link", "dir", "label"} {
		props = append(props, parquet.WithDictionaryFor(name, true))
	}
	for _, name := range []string{"t_ns", "link", "dir", "rate_bit_s", "label"} {
		props = append(props, parquet.WithStatsFor(name, true))
	}
	return parquet.NewWriterProperties(props...)
}

// document is the JSON document that a tape carries about itself.
type document struct {
	Format    int      `json:"format"`
	Duration  int64    `json:"duration_ns"`
	Generator string   `json:"generator"`
	Seed      uint64   `json:"seed"`
	Scenario  string   `json:"scenario"`
	Sources   []Source `json:"sources"`
	Edit      *Edit    `json:"edit,omitempty"`
	Links     []Link   `json:"links"`
	Rows      int64    `json:"rows"`
	SHA256    string   `json:"sha256"`
}

func (d *document) marshal() (string, error) {
	if d.Sources == nil {
		d.Sources = []Source{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func parseDocument(s string) (*document, error) {
	var v struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", metadataKey, err)
	}
	if v.Format != FormatVersion {
		return nil, fmt.Errorf("tape format %d: this version of Linktape reads format %d", v.Format, FormatVersion)
	}
	d := new(document)
	if err := json.Unmarshal([]byte(s), d); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", metadataKey, err)
	}
	// Empty and absent are the same; keep one form.
	d.Sources = normalSources(d.Sources)
	d.Edit.normalize()
	return d, nil
}

func (d *document) meta() Meta {
	return Meta{
		Duration:  time.Duration(d.Duration),
		Links:     d.Links,
		Generator: d.Generator,
		Scenario:  d.Scenario,
		Seed:      d.Seed,
		Sources:   d.Sources,
		Edit:      d.Edit,
	}
}

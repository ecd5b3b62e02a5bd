package convert

import (
	"fmt"
	"io"
	"time"

	"linktape/trace"
)

// parquetTape writes a tape, which is a Parquet file as it is: the whole one, or
// some of its directions.
type parquetTape struct{}

func (parquetTape) Name() string { return "parquet" }

func (parquetTape) Description() string {
	return "Parquet: a tape, whole or with some of its directions"
}

// Export writes one direction.
func (p parquetTape) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	return p.ExportTape(w, d.tape(), opts)
}

// ExportTape writes the steps with the tape's metadata.
func (parquetTape) ExportTape(w io.Writer, t Tape, opts ExportOptions) (*Exported, error) {
	meta := t.Meta
	if opts.Loops > 1 { // tapeSteps verifies the product
		meta.Duration *= time.Duration(opts.Loops)
	}
	pw, err := trace.NewWriter(w, meta)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	defer pw.Abort()
	batch := make([]trace.Step, 0, 4096)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := pw.Write(batch)
		batch = batch[:0]
		return err
	}
	out, err := tapeSteps(t, opts, func(s *trace.Step) error {
		if batch = append(batch, *s); len(batch) == cap(batch) {
			return flush()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := flush(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if err := pw.Close(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return out, nil
}

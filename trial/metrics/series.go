package metrics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"linktape/internal/table"
)

// Files of [Result.WriteTables].
const (
	LinksTable  = "metrics-links.parquet"
	OutputTable = "metrics-output.parquet"
	ValuesTable = "metrics.parquet"
)

// LinkRow is a link's bin as a row of a table. NaN: not measured.
type LinkRow struct {
	At         int64   `parquet:"t_ns"`
	Link       string  `parquet:"link"`
	Capacity   float64 `parquet:"capacity_bit_s"`
	Sent       float64 `parquet:"sent_bit_s"`
	Throughput float64 `parquet:"throughput_bit_s"`
	Effective  float64 `parquet:"effective_throughput_bit_s"`
	Loss       float64 `parquet:"loss"`
	RTT        float64 `parquet:"rtt_ms"`
	StackRTT   float64 `parquet:"stack_rtt_ms"`
	QueueDelay float64 `parquet:"queue_delay_ms"`
}

// OutputRow is a bin of source and sink as a row of a table. NaN: not measured.
type OutputRow struct {
	At     int64   `parquet:"t_ns"`
	Source float64 `parquet:"source_bit_s"`
	Output float64 `parquet:"output_bit_s"`
	Gap    float64 `parquet:"gap_ms"`
}

// ValueRow is a metric as a row of a table. Those not measured have none.
type ValueRow struct {
	Name   string  `parquet:"name"`
	Link   string  `parquet:"link"`
	Unit   string  `parquet:"unit"`
	Value  float64 `parquet:"value"`
	Source string  `parquet:"source"`
}

// WriteTables writes metrics and series as Parquet files into a folder.
func (r *Result) WriteTables(dir string) error {
	return errors.Join(
		writeTable(filepath.Join(dir, ValuesTable), func(yield func(*ValueRow) error) error {
			for i := range r.Metrics {
				v := &r.Metrics[i]
				if v.Value == nil {
					continue
				}
				if err := yield(&ValueRow{v.Name, v.Link, v.Unit, *v.Value, v.Source}); err != nil {
					return err
				}
			}
			return nil
		}),
		writeTable(filepath.Join(dir, LinksTable), func(yield func(*LinkRow) error) error {
			for i := range r.Series.Output.Output {
				for k := range r.Series.Links {
					s := &r.Series.Links[k]
					row := LinkRow{int64(i) * int64(r.Bin), s.Link, s.Capacity[i], s.Sent[i], s.Throughput[i], s.Effective[i], s.Loss[i], s.RTT[i], s.StackRTT[i], s.QueueDelay[i]}
					if err := yield(&row); err != nil {
						return err
					}
				}
			}
			return nil
		}),
		writeTable(filepath.Join(dir, OutputTable), func(yield func(*OutputRow) error) error {
			s := &r.Series.Output
			for i := range s.Output {
				if err := yield(&OutputRow{int64(i) * int64(r.Bin), s.Source[i], s.Output[i], s.Gap[i]}); err != nil {
					return err
				}
			}
			return nil
		}),
	)
}

func writeTable[T any](name string, rows func(yield func(*T) error) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	w, err := table.NewWriter[T](f)
	if err != nil {
		return err
	}
	return errors.Join(rows(w.Write), w.Close())
}

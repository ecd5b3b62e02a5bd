package suite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"linktape/internal/table"
)

// ValueRow is a metric of a trial. Those not measured have none.
type ValueRow struct {
	Case   string  `parquet:"case"`
	Seed   int64   `parquet:"seed"`
	Tape   string  `parquet:"tape_sha256"`
	Metric string  `parquet:"metric"`
	Link   string  `parquet:"link"`
	Unit   string  `parquet:"unit"`
	Value  float64 `parquet:"value"`
}

// SpreadRow is a metric of a case over its seeds.
type SpreadRow struct {
	Case   string  `parquet:"case"`
	Metric string  `parquet:"metric"`
	Link   string  `parquet:"link"`
	Unit   string  `parquet:"unit"`
	N      int64   `parquet:"n"`
	Median float64 `parquet:"median"`
	Q1     float64 `parquet:"q1"`
	Q3     float64 `parquet:"q3"`
	Min    float64 `parquet:"min"`
	Max    float64 `parquet:"max"`
}

// Write writes everything that results are told by into the suite's folder: JSON,
// JUnit, tables and the page.
func (r *Results) Write(dir string) error {
	return errors.Join(
		writeJSON(filepath.Join(dir, ResultsFile), r),
		writeFile(filepath.Join(dir, JUnitFile), r.JUnit),
		writeFile(filepath.Join(dir, ReportFile), func(w io.Writer) error { return r.Page(w, dir) }),
		writeTable(filepath.Join(dir, RunsTable), func(yield func(*ValueRow) error) error {
			for i := range r.Cases {
				c := &r.Cases[i]
				for k := range c.Runs {
					o := &c.Runs[k]
					for _, s := range c.Metrics {
						if s.Values[k] == nil {
							continue
						}
						if err := yield(&ValueRow{c.Name, int64(o.Seed), o.Tape, s.Metric, s.Link, s.Unit, *s.Values[k]}); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}),
		writeTable(filepath.Join(dir, CasesTable), func(yield func(*SpreadRow) error) error {
			for i := range r.Cases {
				for _, s := range r.Cases[i].Metrics {
					if s.N == 0 {
						continue
					}
					if err := yield(&SpreadRow{r.Cases[i].Name, s.Metric, s.Link, s.Unit, int64(s.N), s.Median, s.Q1, s.Q3, s.Min, s.Max}); err != nil {
						return err
					}
				}
			}
			return nil
		}),
	)
}

func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	return write(f)
}

func writeTable[T any](name string, rows func(yield func(*T) error) error) error {
	return writeFile(name, func(w io.Writer) error {
		t, err := table.NewWriter[T](w)
		if err != nil {
			return err
		}
		return errors.Join(rows(t.Write), t.Close())
	})
}

package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"linktape/trial"
	"linktape/trial/metrics"
)

// Files that [Make] writes into a trial's folder, besides the tables of
// [metrics.Result.WriteTables].
const (
	JSONFile = "metrics.json"
	PageFile = "report.html"
)

const format = 1

// Make measures the trial in a folder and writes what it has shown beside it.
func Make(dir string) (*metrics.Result, error) {
	m, err := trial.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	r, err := metrics.Compute(dir)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the metrics of %s: %w", dir, err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, JSONFile), append(b, '\n'), 0o666),
		r.WriteTables(dir),
		writePage(dir, m, r),
	); err != nil {
		return nil, err
	}
	return r, nil
}

func writePage(dir string, m *trial.Manifest, r *metrics.Result) (err error) {
	f, err := os.Create(filepath.Join(dir, PageFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return Page(f, dir, m, r)
}

// Read reads what [Make] has written. The error of a folder without it is an
// [fs.ErrNotExist].
func Read(dir string) (*metrics.Result, error) {
	file := filepath.Join(dir, JSONFile)
	data, err := os.ReadFile(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: measure the trial first: trial report %s", err, dir)
		}
		return nil, err
	}
	r := new(metrics.Result)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if r.Format != format {
		return nil, fmt.Errorf("read %s: format %d, not %d: measure the trial again: trial report %s", file, r.Format, format, dir)
	}
	return r, nil
}

// Open reads the metrics of a trial, and measures it first where that has not been
// done.
func Open(dir string) (*metrics.Result, error) {
	r, err := Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Make(dir)
	}
	return r, err
}

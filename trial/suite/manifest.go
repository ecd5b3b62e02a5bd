package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"linktape/trial"
)

// Files of a suite's folder.
const (
	ManifestFile = "suite.json"
	ResultsFile  = "results.json"
	JUnitFile    = "junit.xml"
	ReportFile   = "report.html"
	RunsTable    = "runs.parquet"
	CasesTable   = "cases.parquet"
	CaseFile     = "case.yaml" // in a case's folder
	RunFile      = "run.json"  // in a trial's folder
)

const format = 1

// Manifest says what a suite was asked for: the file suite.json.
type Manifest struct {
	Format      int        `json:"format"` // 1
	Suite       string     `json:"suite"`
	Description string     `json:"description,omitempty"`
	Judge       string     `json:"judge"`
	Seeds       []uint64   `json:"seeds"`
	Change      Change     `json:"change"`
	Time        string     `json:"time"`
	Shard       string     `json:"shard,omitempty"` // K/N
	Cases       []CaseInfo `json:"cases"`
}

// CaseInfo is a case of a manifest.
type CaseInfo struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Source      string            `json:"source"`        // scenario or tape
	Sum         string            `json:"source_sha256"` // of the scenario's text, or of the tape's steps
	Duration    time.Duration     `json:"duration_ns"`
	Seeds       []uint64          `json:"seeds"`          // that are run here; of a tape: 0
	Tape        bool              `json:"tape,omitempty"` // it plays a tape: one trial, with the tape's own seed
	Thresholds  []trial.Threshold `json:"thresholds,omitempty"`
}

// manifest describes a plan.
func (p *Plan) manifest() *Manifest {
	m := &Manifest{Format: format, Suite: p.Suite.Name, Description: p.Suite.Description, Judge: p.Suite.Judge, Seeds: p.Suite.Seeds, Change: p.Change, Time: p.Time, Shard: p.Shard.String()}
	for i := range p.Suite.Cases {
		c := &p.Suite.Cases[i]
		info := CaseInfo{Name: c.Name, Description: c.Description, Source: filepath.Base(c.Source), Sum: c.Sum, Duration: p.Length(&Job{Case: c}), Seeds: []uint64{}, Tape: c.Tape, Thresholds: c.Trial.Thresholds}
		for _, j := range p.Jobs {
			if j.Case == c {
				info.Seeds = append(info.Seeds, j.Seed)
			}
		}
		m.Cases = append(m.Cases, info)
	}
	return m
}

// ReadManifest reads what a suite's folder says of itself. Where there is none, the
// error is an [fs.ErrNotExist].
func ReadManifest(dir string) (*Manifest, error) {
	m := new(Manifest)
	file := filepath.Join(dir, ManifestFile)
	if err := readJSON(file, m); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is not the folder of a suite; trial suite --out DIR writes one", err, dir)
		}
		return nil, err
	}
	if m.Format != format {
		return nil, fmt.Errorf("read %s: format %d, not %d: use the version of trial that wrote it", file, m.Format, format)
	}
	return m, nil
}

// Run says how a trial of a suite went: the file run.json.
type Run struct {
	Format int           `json:"format"` // 1
	Case   string        `json:"case"`
	Seed   uint64        `json:"seed"`
	Inputs string        `json:"inputs_sha256"`
	Failed string        `json:"failed,omitempty"` // why it did not give a result
	Wall   time.Duration `json:"wall_ns"`          // that it took on the host
	Begun  time.Time     `json:"begun"`
}

// runDir is a trial's folder in a suite's.
func runDir(name string, seed uint64) string {
	return filepath.Join(name, fmt.Sprintf("seed-%d", seed))
}

func readRun(dir string) (*Run, error) {
	r := new(Run)
	if err := readJSON(filepath.Join(dir, RunFile), r); err != nil {
		return nil, err
	}
	if r.Format != format {
		return nil, fmt.Errorf("read %s: format %d, not %d", filepath.Join(dir, RunFile), r.Format, format)
	}
	return r, nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// writeJSON puts a file in place at once.
func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// RunDir is the folder of a trial in a suite's folder.
func RunDir(dir, name string, seed uint64) string { return filepath.Join(dir, runDir(name, seed)) }

// ReadRun reads how a trial of a suite went. Of one that was not finished, the error
// is an [fs.ErrNotExist].
func ReadRun(dir string) (*Run, error) { return readRun(dir) }

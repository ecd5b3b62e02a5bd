package suite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"linktape/trial"
	"linktape/trial/report"
)

// Event is told while a suite runs.
type Event struct {
	Job    *Job
	Done   int  // trials finished so far, this one included
	Of     int  // of the plan
	Kept   bool // it had been run with the same inputs before
	Failed string
	Wall   time.Duration
}

// Runner runs a plan.
type Runner struct {
	Dir      string // of the suite
	Tool     string // file of the program that runs a trial; it is one of the inputs
	Parallel int    // trials at once; at least 1
	// Start runs "trial" with arguments and returns when it has ended. What the trial
	// has shown is measured afterwards, once. An error
	// is the end of what it said.
	Start func(ctx context.Context, args []string) error
	// Measure measures the trial in a folder; nil: [report.Make].
	Measure func(dir string) error
	// Say is told of every trial, one at a time; may be nil.
	Say func(Event)
}

// Run runs what has not been run with the same inputs before. A trial that fails
// does not keep the others from running: [Summarize] counts it. What has been
// finished stays when ctx ends.
func (r *Runner) Run(ctx context.Context, p *Plan) error {
	if err := r.prepare(p); err != nil {
		return err
	}
	sums := make(hasher)
	wanted := make([]string, len(p.Jobs))
	for i := range p.Jobs {
		var err error
		if wanted[i], err = p.sum(&p.Jobs[i], r.Tool, sums); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	done := 0
	next := make(chan int)
	var all sync.WaitGroup
	for range max(r.Parallel, 1) {
		all.Go(func() {
			for i := range next {
				e, err := r.job(ctx, p, &p.Jobs[i], wanted[i])
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				done++
				e.Done, e.Of = done, len(p.Jobs)
				if r.Say != nil {
					r.Say(e)
				}
				mu.Unlock()
			}
		})
	}
feed:
	for i := range p.Jobs {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

// prepare makes the suite's folder, or finds the same suite in it.
func (r *Runner) prepare(p *Plan) error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := ReadManifest(r.Dir); err != nil {
			return fmt.Errorf("%s is neither empty nor the folder of a suite: name another one with --out", r.Dir)
		}
	}
	for i := range p.Suite.Cases {
		c := &p.Suite.Cases[i]
		if err := os.MkdirAll(filepath.Join(r.Dir, c.Name), 0o777); err != nil {
			return err
		}
		if c.Data == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(r.Dir, c.Name, CaseFile), c.Data, 0o666); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(r.Dir, ManifestFile), p.manifest())
}

// job runs one trial, unless it has been.
func (r *Runner) job(ctx context.Context, p *Plan, j *Job, sum string) (e Event, err error) {
	e.Job = j
	dir := filepath.Join(r.Dir, j.dir())
	if old, err := readRun(dir); err == nil && old.Inputs == sum && old.Failed == "" {
		e.Kept, e.Wall = true, old.Wall
		return e, nil
	}
	if err := clear(dir); err != nil {
		return e, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return e, err
	}
	run := Run{Format: format, Case: j.Case.Name, Seed: j.Seed, Inputs: sum, Begun: time.Now().Round(time.Millisecond)}
	err = r.Start(ctx, p.args(j, r.Dir))
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	switch {
	case err != nil:
	case r.Measure != nil:
		err = r.Measure(dir)
	default:
		_, err = report.Make(dir)
	}
	run.Wall = time.Since(run.Begun).Round(time.Millisecond)
	if err != nil {
		run.Failed = err.Error()
	}
	e.Wall, e.Failed = run.Wall, run.Failed
	return e, writeJSON(filepath.Join(dir, RunFile), &run)
}

// clear removes what a trial that was stopped, or had other inputs, has left; it
// removes nothing else.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, mark := range []string{trial.TapeFile, trial.ManifestFile, RunFile} {
		if _, err := os.Stat(filepath.Join(dir, mark)); err == nil {
			return os.RemoveAll(dir)
		}
	}
	return fmt.Errorf("%s is not empty, and holds no trial: remove it", dir)
}

// args are those of trial that run a job.
func (p *Plan) args(j *Job, dir string) []string {
	file := j.Case.Path
	if file == "" {
		file = filepath.Join(dir, j.Case.Name, CaseFile)
		if !filepath.IsAbs(file) {
			file = "." + string(filepath.Separator) + file
		}
	}
	out := []string{"run", "--quiet", "--time", p.Time, "--out", filepath.Join(dir, j.dir())}
	if !j.Case.Tape {
		out = append(out, "--seed", strconv.FormatUint(j.Seed, 10))
	}
	return append(append(out, p.Change.flags()...), file)
}

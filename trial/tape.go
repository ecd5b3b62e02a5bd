package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linktape/synth"
	"linktape/trace"
	"linktape/trace/edit"
	"linktape/traces"
)

// TapeOptions say which tape a trial plays.
type TapeOptions struct {
	Set      []string      // KEY=VALUE of a scenario
	Seed     *uint64       // of a scenario; nil: its own
	Duration time.Duration // 0: all of it
	Links    []string      // to keep; none: all of them
}

// maxScenario bounds a scenario that is read, in bytes.
const maxScenario = 16 << 20

// Read reads a scenario by its name in the library or from a file. A tape gives
// isTape and no data.
func Read(source string) (name string, data []byte, isTape bool, err error) {
	if !strings.ContainsRune(source, filepath.Separator) {
		data, err := traces.Get(source)
		if err == nil {
			return source + ".yaml", data, false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, false, err
		}
	}
	f, err := os.Open(source)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, false, fmt.Errorf("%s: neither a file nor in the library of scenarios; tracegen list shows the library", source)
	}
	if err != nil {
		return "", nil, false, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxScenario+1))
	if err != nil {
		return "", nil, false, fmt.Errorf("read %s: %w", source, err)
	}
	const parquet = "PAR1"
	if len(data) >= len(parquet) && string(data[:len(parquet)]) == parquet {
		return source, nil, true, nil
	}
	if len(data) > maxScenario {
		return "", nil, false, fmt.Errorf("read %s: longer than %d bytes: not a scenario", source, maxScenario)
	}
	return source, data, false, nil
}

// MakeTape writes the tape of a trial into its folder: synthesized from a scenario,
// or taken from a tape. Warnings are about the scenario. progress may be nil.
func MakeTape(ctx context.Context, source, dir string, o TapeOptions, progress func(float64)) (warnings []string, err error) {
	name, data, isTape, err := Read(source)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, TapeFile)
	if !isTape {
		sc, err := synth.Parse(name, data, synth.Options{Set: o.Set, Seed: o.Seed, Duration: o.Duration})
		if err != nil {
			return nil, err
		}
		warnings = sc.Warnings()
		whole := file
		if len(o.Links) > 0 { // an edit names the whole tape that it was made of
			whole += ".whole"
			defer os.Remove(whole)
		}
		if err := write(whole, edit.Tape{Meta: sc.Meta(), Steps: synthesized(ctx, sc)}, progress); err != nil || whole == file {
			return warnings, err
		}
		source, o.Duration = whole, 0
	} else if o.Seed != nil || len(o.Set) > 0 {
		return nil, fmt.Errorf("%s is a tape: a seed and settings are for scenarios", source)
	}
	in, err := open(ctx, source)
	if err != nil {
		return warnings, err
	}
	in.File = filepath.Base(name)
	if err := shorten(&in, o); err != nil {
		return warnings, err
	}
	return warnings, write(file, in, progress)
}

// shorten leaves out what is not to be played.
func shorten(t *edit.Tape, o TapeOptions) (err error) {
	if o.Duration > 0 {
		if o.Duration > t.Meta.Duration {
			return fmt.Errorf("play %v: the tape lasts %v", o.Duration, t.Meta.Duration)
		}
		if *t, err = edit.Cut(*t, 0, o.Duration); err != nil {
			return err
		}
	}
	if len(o.Links) == 0 {
		return nil
	}
	keep, err := edit.ParseTargets(o.Links)
	if err != nil {
		return err
	}
	*t, err = edit.Select(*t, keep)
	return err
}

// open makes a tape the input of an edit. Each reading of the steps opens the file
// anew.
func open(ctx context.Context, file string) (edit.Tape, error) {
	r, err := trace.Open(file)
	if err != nil {
		return edit.Tape{}, err
	}
	defer r.Close()
	return edit.Tape{File: file, SHA256: r.SHA256(), Meta: r.Meta(), Steps: func(yield func(trace.Step, error) bool) {
		r, err := trace.Open(file)
		if err != nil {
			yield(trace.Step{}, err)
			return
		}
		defer r.Close()
		buf := make([]trace.Step, 1024)
		for {
			n, err := r.Read(buf)
			for i := range n {
				if !yield(buf[i], nil) {
					return
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(trace.Step{}, err)
				return
			}
		}
	}}, nil
}

// errEnough ends a synthesis whose reader has seen enough.
var errEnough = errors.New("enough")

func synthesized(ctx context.Context, sc *synth.Scenario) func(func(trace.Step, error) bool) {
	return func(yield func(trace.Step, error) bool) {
		err := sc.Synthesize(ctx, func(steps []trace.Step) error {
			for _, s := range steps {
				if !yield(s, nil) {
					return errEnough
				}
			}
			return nil
		}, nil)
		if err != nil && !errors.Is(err, errEnough) {
			yield(trace.Step{}, err)
		}
	}
}

func write(file string, t edit.Tape, progress func(float64)) error {
	w, err := trace.Create(file, t.Meta)
	if err != nil {
		return err
	}
	defer w.Abort()
	batch := make([]trace.Step, 0, 1024)
	flush := func() error {
		if progress != nil && len(batch) > 0 {
			progress(float64(batch[len(batch)-1].At) / float64(t.Meta.Duration))
		}
		err := w.Write(batch)
		batch = batch[:0]
		return err
	}
	for s, err := range t.Steps {
		if err != nil {
			return err
		}
		if batch = append(batch, s); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return w.Close()
}

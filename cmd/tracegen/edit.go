package main

import (
	"context"
	"fmt"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/trace/edit"
)

// editTapes runs an edit of tapes: it opens the inputs, of which one may be
// standard input, and writes what make makes of them where -o says.
func editTapes(c *ucli.Context, inputs []string, make func([]edit.Tape) (edit.Tape, error)) error {
	path, err := outputPath(c, inputs...)
	if err != nil {
		return err
	}
	tapes, done, err := openInputs(c, inputs)
	defer done()
	if err != nil {
		return err
	}
	result, err := make(tapes)
	if err != nil {
		return err
	}
	stderr := c.App.ErrWriter
	for _, w := range result.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	progress := cli.NewProgress(stderr, c.Command.Name)
	defer progress.Done()
	tape, err := cli.WriteTape(c.Context, path, c.App.Writer, result.Meta, func(write func([]trace.Step) error) error {
		return writeSteps(result, write, progress)
	})
	progress.Done()
	if err != nil {
		return err
	}
	tape.Remark(stderr, path)
	return nil
}

// writeSteps passes the steps on in batches.
func writeSteps(t edit.Tape, write func([]trace.Step) error, progress *cli.Progress) error {
	batch := slices.Grow([]trace.Step(nil), readBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		progress.Set(float64(batch[len(batch)-1].At) / float64(t.Meta.Duration))
		err := write(batch)
		batch = batch[:0]
		return err
	}
	for s, err := range t.Steps {
		if err != nil {
			return err
		}
		if batch = append(batch, s); len(batch) == readBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// openInputs opens the inputs of an edit. done, which is never nil, removes what
// was copied of standard input.
func openInputs(c *ucli.Context, paths []string) (tapes []edit.Tape, done func(), err error) {
	var close []func()
	done = func() {
		for _, f := range close {
			f()
		}
	}
	if err := oneStdin(paths); err != nil {
		return nil, done, err
	}
	for _, path := range paths {
		t, err := openTape(path, c.App.Reader)
		if err != nil {
			return nil, done, err
		}
		close = append(close, func() { t.Close() })
		tapes = append(tapes, t.input(c.Context))
		// Each reading of the steps opens the file anew.
		if err := t.Reader.Close(); err != nil {
			return nil, done, err
		}
	}
	return tapes, done, nil
}

// oneStdin refuses standard input as two inputs.
func oneStdin(paths []string) error {
	n := 0
	for _, path := range paths {
		if path == cli.StdStream {
			n++
		}
	}
	if n > 1 {
		return cli.Usagef("standard input is given twice: give a file for one")
	}
	return nil
}

// input makes the tape the input of an edit.
func (t *tape) input(ctx context.Context) edit.Tape {
	return edit.Tape{
		File: t.name(), SHA256: t.SHA256(), Meta: t.Meta(),
		Steps: func(yield func(trace.Step, error) bool) {
			r, err := trace.Open(t.path)
			if err != nil {
				yield(trace.Step{}, err)
				return
			}
			defer r.Close()
			again := *t
			again.Reader = r
			for s, err := range again.steps(ctx, nil) {
				if !yield(s, err) {
					return
				}
			}
		},
	}
}

// tapeOutput is -o of the commands that make a tape.
func tapeOutput() ucli.Flag { return outputFlag("write the tape to `FILE`; - is standard output") }

// targetsFlag is --only of the commands that change some directions.
func targetsFlag(usage string) ucli.Flag {
	return &ucli.StringSliceFlag{Name: "only", Usage: usage}
}

func parseTargets(words []string) ([]edit.Target, error) {
	targets, err := edit.ParseTargets(words)
	if err != nil {
		return nil, cli.Usagef("%w", err)
	}
	return targets, nil
}

// usage makes an error of what the caller wrote one of usage.
func usage(t edit.Tape, err error) (edit.Tape, error) {
	if err != nil {
		err = cli.Usagef("%w", err)
	}
	return t, err
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
)

// outputFlag is -o of every command that writes a file.
func outputFlag(usage string) ucli.Flag {
	return &ucli.StringFlag{Name: "o", Usage: usage}
}

// outputPath returns the value of -o. It must not be one of the inputs.
func outputPath(c *ucli.Context, inputs ...string) (string, error) {
	path := c.String("o")
	if path == "" {
		return "", cli.Usagef("say where to write: -o FILE, or -o - for standard output")
	}
	if path == cli.StdStream {
		return path, nil
	}
	if dir := filepath.Dir(path); dir != "." {
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("write %s: %w; make the folder first", path, err)
		}
	}
	out, err := os.Stat(path)
	if err != nil {
		return path, nil // new, or the fault shows when it is created
	}
	for _, in := range inputs {
		if fi, err := os.Stat(in); err == nil && os.SameFile(out, fi) {
			return "", cli.Usagef("the output %s is the input: choose another name", path)
		}
	}
	return path, nil
}

// writeFile writes a file that appears at path, replacing what is there, when
// write has succeeded; cli.StdStream is standard output.
func writeFile(ctx context.Context, path string, stdout io.Writer, write func(w io.Writer) error) error {
	if path == cli.StdStream {
		return writeStream(ctx, stdout, write)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		if fi.IsDir() {
			return fmt.Errorf("write %s: is a directory", path)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // a device or a pipe: nothing to rename
		if err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		return errors.Join(writeStream(ctx, f, write), f.Close())
	}
	dir, base := filepath.Split(path)
	temp := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	err = writeStream(ctx, f, write)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

func writeStream(ctx context.Context, w io.Writer, write func(w io.Writer) error) error {
	buf := bufio.NewWriterSize(cli.ContextWriter(ctx, w), 64<<10)
	if err := write(buf); err != nil {
		return err
	}
	return buf.Flush()
}

// tape is an opened tape that can be read from the start again.
type tape struct {
	*trace.Reader
	spool string // temporary copy of standard input
	path  string
}

// openTape opens a tape; cli.StdStream is standard input, which is copied to a
// temporary file, because a tape is read from its end.
func openTape(path string, stdin io.Reader) (_ *tape, err error) {
	t := &tape{path: path}
	if path == cli.StdStream {
		f, err := os.CreateTemp("", "linktape-*.tape")
		if err != nil {
			return nil, fmt.Errorf("copy standard input: %w", err)
		}
		t.spool, t.path = f.Name(), f.Name()
		_, err = io.Copy(f, stdin)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(t.spool)
			return nil, fmt.Errorf("copy standard input: %w", err)
		}
	}
	t.Reader, err = trace.Open(t.path)
	if err != nil {
		if t.spool != "" {
			os.Remove(t.spool)
			err = fmt.Errorf("standard input: %w", err)
		}
		if errors.Is(err, trace.ErrNotTape) {
			err = fmt.Errorf("%w; make a tape with tracegen synth or tracegen import", err)
		}
		return nil, err
	}
	return t, nil
}

// Close closes the tape and removes the copy of standard input.
func (t *tape) Close() error {
	err := t.Reader.Close()
	if t.spool != "" {
		os.Remove(t.spool)
	}
	return err
}

// name is how the tape is called in a title or a message.
func (t *tape) name() string {
	if t.spool != "" {
		return "standard input"
	}
	return filepath.Base(t.path)
}

// readBatch is how many steps are read at once.
const readBatch = 4096

// steps yields the steps from the reader's position on. Progress, if not nil,
// is told the fraction of the timeline that is done.
func (t *tape) steps(ctx context.Context, progress func(float64)) iter.Seq2[trace.Step, error] {
	return func(yield func(trace.Step, error) bool) {
		total := t.Meta().Duration
		batch := make([]trace.Step, readBatch)
		for {
			if err := ctx.Err(); err != nil {
				yield(trace.Step{}, err)
				return
			}
			n, err := t.Read(batch)
			for i := range n {
				if !yield(batch[i], nil) {
					return
				}
			}
			if progress != nil && n > 0 {
				progress(float64(batch[n-1].At) / float64(total))
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(trace.Step{}, fmt.Errorf("read %s: %w", t.name(), err))
				return
			}
		}
	}
}

// reopen starts again from the first step.
func (t *tape) reopen() error {
	r, err := trace.Open(t.path)
	if err != nil {
		return err
	}
	t.Reader.Close()
	t.Reader = r
	return nil
}

// durationFlag returns a flag's duration, which must be above 0 where it is set.
func durationFlag(c *ucli.Context, name string) (time.Duration, error) {
	d := c.Duration(name)
	if c.IsSet(name) && d <= 0 {
		return 0, cli.Usagef("--%s %v: write a duration above 0, such as 100ms", name, d)
	}
	return d, nil
}

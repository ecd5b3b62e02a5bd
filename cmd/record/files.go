package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/table"
	"linktape/trace"
)

// stdStream stands for standard output in place of a file name.
const stdStream = "-"

// outputFlag is -o of every command that writes a tape.
func outputFlag(usage string) ucli.Flag {
	return &ucli.StringFlag{Name: "o", Usage: usage}
}

// outputPath returns the value of a flag that names an output. It must not be one
// of the inputs.
func outputPath(c *ucli.Context, flag string, inputs []string) (string, error) {
	path := c.String(flag)
	if path == "" {
		return "", cli.Usagef("say where to write: -o FILE, or -o - for standard output")
	}
	if path == stdStream {
		return path, nil
	}
	if dir := filepath.Dir(path); dir != "." {
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("write %s: %w; make the folder first", path, err)
		}
	}
	out, statErr := os.Stat(path)
	for _, in := range inputs {
		fi, err := os.Stat(in)
		if in == path || err == nil && statErr == nil && os.SameFile(out, fi) {
			return "", cli.Usagef("the output %s is used for something else: choose another name", path)
		}
	}
	return path, nil
}

// outputName is how an output is called in messages.
func outputName(path string) string {
	if path == stdStream {
		return "standard output"
	}
	return path
}

// written says what a tape that was written holds.
type written struct {
	meta  trace.Meta
	steps int64
	sha   string
}

// writeTape writes the steps that make passes on as a tape at path, or to
// stdout.
func writeTape(ctx context.Context, path string, stdout io.Writer, meta trace.Meta, make func(write func([]trace.Step) error) error) (*written, error) {
	if path == stdStream && cli.IsTerminal(stdout) {
		return nil, cli.Usagef("a tape is binary: write it to a file (-o FILE) or into a pipe, not to a terminal")
	}
	var w *trace.Writer
	var buf *bufio.Writer
	var err error
	if path == stdStream {
		buf = bufio.NewWriterSize(stdout, 64<<10)
		w, err = trace.NewWriter(buf, meta)
	} else {
		w, err = trace.Create(path, meta)
	}
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	out := &written{meta: meta}
	err = make(func(steps []trace.Step) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		out.steps += int64(len(steps))
		return w.Write(steps)
	})
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if buf != nil {
		if err := buf.Flush(); err != nil {
			return nil, err
		}
	}
	out.sha = w.SHA256()
	return out, nil
}

// remark says on stderr what was written.
func (t *written) remark(stderr io.Writer, path string) {
	fmt.Fprintf(stderr, "wrote %s: %s, %s, %v, sha256 %s\n", outputName(path), count(t.steps, "step"), count(int64(len(t.meta.Links)), "link"), t.meta.Duration, t.sha)
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// rows is a table that is written; nil when none is wanted.
type rows[T any] struct {
	file  *os.File // nil on standard output
	temp  string
	path  string
	table *table.Writer[T]
}

// newRows starts a table that appears at path when it is closed.
func newRows[T any](path string, stdout io.Writer) (*rows[T], error) {
	if path == "" {
		return nil, nil
	}
	b := &rows[T]{path: path}
	out := stdout
	if path != stdStream {
		dir, base := filepath.Split(path)
		// Beside the file, so that it can be renamed; no folder would be that of
		// temporary files.
		f, err := os.CreateTemp(filepath.Clean(dir), "."+base+".*.tmp")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		b.file, b.temp, out = f, f.Name(), f
	}
	t, err := table.NewWriter[T](out)
	if err != nil {
		b.abort()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	b.table = t
	return b, nil
}

func (b *rows[T]) write(row *T) error {
	if b == nil {
		return nil
	}
	if err := b.table.Write(row); err != nil {
		return fmt.Errorf("write %s: %w", b.path, err)
	}
	return nil
}

func (b *rows[T]) close() error {
	if b == nil {
		return nil
	}
	err := b.table.Close()
	if b.file != nil {
		err = errors.Join(err, b.file.Chmod(0o644), b.file.Close())
		if err == nil {
			err = os.Rename(b.temp, b.path)
		}
		if err == nil {
			b.file = nil
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", b.path, err)
	}
	return nil
}

// abort removes what was not closed.
func (b *rows[T]) abort() {
	if b == nil || b.file == nil {
		return
	}
	b.file.Close()
	os.Remove(b.temp)
}

// spool keeps the steps of a recording whose length is not known before its end.
type spool struct {
	w    *trace.Writer
	path string
	meta trace.Meta
}

// newSpool starts a spool beside the output.
func newSpool(output string, meta trace.Meta) (*spool, error) {
	dir := filepath.Dir(output)
	if output == stdStream {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, ".record.*.tmp")
	if err != nil {
		return nil, fmt.Errorf("keep the recording: %w", err)
	}
	f.Close()
	s := &spool{path: f.Name(), meta: meta}
	meta.Duration = 1 << 62 // longer than any
	if s.w, err = trace.Create(s.path, meta); err != nil {
		os.Remove(s.path)
		return nil, err
	}
	return s, nil
}

// tape writes what was kept as a tape of a length.
func (s *spool) tape(ctx context.Context, output string, stdout io.Writer, duration time.Duration) (*written, error) {
	if err := s.w.Close(); err != nil {
		return nil, err
	}
	r, err := trace.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	meta := s.meta
	meta.Duration = duration
	return writeTape(ctx, output, stdout, meta, func(write func([]trace.Step) error) error {
		batch := make([]trace.Step, 4096)
		for {
			n, err := r.Read(batch)
			if n > 0 {
				if err := write(batch[:n]); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// close removes the spool.
func (s *spool) close() {
	s.w.Abort()
	os.Remove(s.path)
}

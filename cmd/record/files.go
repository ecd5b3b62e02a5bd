package main

import (
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
	if path == cli.StdStream {
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
	if path != cli.StdStream {
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
	if output == cli.StdStream {
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
func (s *spool) tape(ctx context.Context, output string, stdout io.Writer, duration time.Duration) (*cli.Written, error) {
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
	return cli.WriteTape(ctx, output, stdout, meta, func(write func([]trace.Step) error) error {
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

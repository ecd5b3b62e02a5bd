package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"linktape/trace"
)

// StdStream stands for standard input or output in place of a file name.
const StdStream = "-"

// OutputName is how an output is called in messages.
func OutputName(path string) string {
	if path == StdStream {
		return "standard output"
	}
	return path
}

// ContextWriter returns a writer that fails once the context has ended, so that
// long work that only writes can be interrupted.
func ContextWriter(ctx context.Context, w io.Writer) io.Writer { return &contextWriter{ctx, w} }

type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w *contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// Written says what a tape that was written holds.
type Written struct {
	Meta  trace.Meta
	Steps int64
	SHA   string
}

// WriteTape writes the steps that make passes on as a tape at path, or to
// stdout.
func WriteTape(ctx context.Context, path string, stdout io.Writer, meta trace.Meta, make func(write func([]trace.Step) error) error) (*Written, error) {
	if path == StdStream && IsTerminal(stdout) {
		return nil, Usagef("a tape is binary: write it to a file (-o FILE) or into a pipe, not to a terminal")
	}
	var w *trace.Writer
	var buf *bufio.Writer
	var err error
	if path == StdStream {
		buf = bufio.NewWriterSize(ContextWriter(ctx, stdout), 64<<10)
		w, err = trace.NewWriter(buf, meta)
	} else {
		w, err = trace.Create(path, meta)
	}
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	out := &Written{Meta: meta}
	err = make(func(steps []trace.Step) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		out.Steps += int64(len(steps))
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
	out.SHA = w.SHA256()
	return out, nil
}

// Remark says on stderr what was written.
func (t *Written) Remark(stderr io.Writer, path string) {
	fmt.Fprintf(stderr, "wrote %s: %s, %s, %v, sha256 %s\n", OutputName(path), Count(t.Steps, "step"), Count(int64(len(t.Meta.Links)), "link"), t.Meta.Duration, t.SHA)
}

// Count writes a number of things: 1 step, 2 steps.
func Count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

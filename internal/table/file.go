package table

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
)

// JournalSuffix is what the name of a table's journal ends in.
const JournalSuffix = ".journal"

// File writes a table to a file so that what was flushed outlives the process:
// rows go to a journal beside it and, many at a time, into the Parquet file. From
// time to time that gets a footer, so that up to there it is complete, and the
// journal begins anew. [ReadFile] puts the two together. Close leaves the Parquet
// file alone.
//
// What the machine loses when it is cut from its power is up to the file system:
// nothing is synced.
type File[T any] struct {
	name    string
	file    *os.File
	journal *os.File
	count   *counter
	w       *Writer[T]
	groups  int    // written
	covered int    // of them by a footer
	pending []byte // encoded rows that the journal does not have yet
	block   []byte
	failed  error
}

// A file's row groups are larger than a stream's, and a footer, which tells of
// all of them anew, is written when there is another footerEvery-th of them, so
// that a day's footers stay a small part of its rows.
const (
	fileGroupRows = 4 * groupRows
	footerEvery   = 64
)

// counter knows how far a file has been written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Create starts a table in a file, in place of what the name had before.
func Create[T any](name string) (_ *File[T], err error) {
	f := &File[T]{name: name}
	if err := os.Remove(name + JournalSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if f.file, err = os.Create(name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.file.Close()
		}
	}()
	f.count = &counter{w: f.file}
	if f.w, err = NewWriter[T](f.count); err != nil {
		return nil, f.fail(err)
	}
	if err := f.w.footer(); err != nil {
		return nil, f.fail(err)
	}
	return f, f.restart()
}

// restart begins a new journal after what the Parquet file holds. The old one
// stays in force until the new one takes its name.
func (f *File[T]) restart() error {
	const fresh = ".new"
	j, err := os.Create(f.name + JournalSuffix + fresh)
	if err != nil {
		return err
	}
	if _, err = j.Write(appendJournalHeader(nil, reflect.TypeFor[T](), f.count.n)); err == nil {
		err = os.Rename(j.Name(), f.name+JournalSuffix)
	}
	if err != nil {
		return errors.Join(err, j.Close(), os.Remove(j.Name()))
	}
	if f.journal != nil {
		f.journal.Close()
	}
	f.journal = j
	return nil
}

// Write adds a row, which is safe after the next Flush. The first error of any
// method is that of all later ones, and what was flushed before it is kept.
func (f *File[T]) Write(row *T) error {
	if f.failed != nil {
		return f.failed
	}
	f.w.rows = append(f.w.rows, *row)
	f.pending = appendRow(f.pending, reflect.ValueOf(row).Elem())
	if len(f.w.rows) < fileGroupRows {
		return nil
	}
	// The journal first: where the disk fills up in the middle of a group, its
	// rows are kept there.
	if err := f.Flush(); err != nil {
		return err
	}
	f.groups++
	if f.groups-f.covered < f.groups/footerEvery {
		if err := f.w.flush(); err != nil {
			return f.fail(err)
		}
		return nil
	}
	f.covered = f.groups
	if err := f.w.footer(); err != nil {
		return f.fail(err)
	}
	if err := f.restart(); err != nil {
		return f.fail(err)
	}
	return nil
}

// Flush hands what was written to the system.
func (f *File[T]) Flush() error {
	if f.failed != nil || len(f.pending) == 0 {
		return f.failed
	}
	f.block = appendBlock(f.block[:0], f.pending)
	f.pending = f.pending[:0]
	if _, err := f.journal.Write(f.block); err != nil {
		return f.fail(err)
	}
	return nil
}

func (f *File[T]) fail(err error) error {
	f.failed = err
	if named := new(os.PathError); !errors.As(err, &named) {
		f.failed = fmt.Errorf("write %s: %w", f.name, err)
	}
	return f.failed
}

// Close completes the Parquet file and removes the journal. After an error both
// stay, for ReadFile.
func (f *File[T]) Close() error {
	err := f.Flush()
	if err == nil {
		if err = f.w.Close(); err != nil {
			err = f.fail(err)
		}
	}
	if closed := errors.Join(f.file.Close(), f.journal.Close()); err == nil && closed != nil {
		err = f.fail(closed)
	}
	if err != nil {
		return err
	}
	return os.Remove(f.name + JournalSuffix)
}

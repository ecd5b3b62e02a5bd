package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"linktape/synth"
	"linktape/trace"
)

// tape is a tape that is there.
type tape struct {
	steps, bytes int64
}

// otherError is the error for what stands under the name of a tape and is
// another one, or none; it can be replaced.
type otherError struct {
	why string
	err error // nil where the tape is whole
}

func (e *otherError) Error() string { return tapeName + " is not the tape asked for: " + e.why }

func (e *otherError) Unwrap() error { return e.err }

// tempName is what [trace.Create] calls a tape that is not complete yet.
var tempName = regexp.MustCompile(`^\.` + regexp.QuoteMeta(tapeName) + `\.[0-9a-f]{8}\.tmp$`)

// look reports the tape of a seed; nil where there is none. Where something else
// has its name the error is an [*otherError].
func (s *Set) look(ctx context.Context, sc *scenario, seed uint64) (*tape, error) {
	path := filepath.Join(s.tapeDir(sc, seed), tapeName)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		return nil, fmt.Errorf("%s is a folder: move it away", path)
	}
	made, alike, err := s.withSeed(sc, seed)
	if err != nil {
		return nil, err
	}
	r, err := trace.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer r.Close()
	if why := differsFromAll(r.Meta(), made, alike); why != "" {
		return nil, &otherError{why, nil}
	}
	if s.opts.Verify {
		if err := readAll(ctx, r); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, unreadable(path, err)
		}
	}
	if fi, err = os.Stat(path); err != nil {
		return nil, err
	}
	return &tape{r.Rows(), fi.Size()}, nil
}

// unreadable is the error for a tape that cannot be read. What the system
// refuses to read is not there to be replaced.
func unreadable(path string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	why := strings.TrimPrefix(err.Error(), "open "+path+": ") // which the failure names
	return &otherError{why, err}
}

// differsFromAll says how a tape differs from the one to be made; it is empty
// where it is that one or one like it.
func differsFromAll(have trace.Meta, made *synth.Scenario, alike []*synth.Scenario) string {
	why := differs(have, made.Meta())
	for _, a := range alike {
		if why != "" && differs(have, a.Meta()) == "" {
			return ""
		}
	}
	return why
}

// readAll reads a tape to its end, which verifies it.
func readAll(ctx context.Context, r *trace.Reader) error {
	batch := make([]trace.Step, 4096)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := r.Read(batch); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// others lists the seeds of a scenario that have a folder and are not asked for,
// and what is there besides, for warnings.
func (s *Set) others(sc *scenario) (seeds []uint64, foreign []string, err error) {
	dir := s.scenarioDir(sc)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "seed=")
		seed, perr := strconv.ParseUint(text, 10, 64)
		switch {
		case !ok || perr != nil || seed > MaxSeed || strconv.FormatUint(seed, 10) != text:
			if ok || isParquet(e) {
				foreign = append(foreign, filepath.Join(dir, e.Name()))
			}
		case !sc.seeds.Has(seed):
			seeds = append(seeds, seed)
		}
	}
	return seeds, foreign, nil
}

// foreignTables lists the Parquet files beside the folders of the scenarios.
func (s *Set) foreignTables() []string {
	var out []string
	entries, _ := os.ReadDir(s.dir) // a fault shows when a tape is written
	for _, e := range entries {
		if isParquet(e) {
			out = append(out, filepath.Join(s.dir, e.Name()))
		}
	}
	return out
}

func isParquet(e fs.DirEntry) bool { return !e.IsDir() && filepath.Ext(e.Name()) == ".parquet" }

// clean removes what a killed run has left in the folder of a tape. Where
// another run is at work it leaves all as it is. foreign lists other tables that
// are there.
func clean(dir string) (foreign []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		switch name := filepath.Join(dir, e.Name()); {
		case e.Type().IsRegular() && tempName.MatchString(e.Name()):
			left = append(left, name)
		case isParquet(e) && e.Name() != tapeName:
			foreign = append(foreign, name)
		}
	}
	if left == nil {
		return foreign, nil
	}
	unlock, err := lock(dir)
	if errors.Is(err, errBusy) {
		return foreign, nil
	}
	if err != nil {
		return foreign, err
	}
	defer unlock()
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return foreign, err
		}
	}
	if len(left) == len(entries) {
		os.Remove(dir)
	}
	return foreign, nil
}

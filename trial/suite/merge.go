package suite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// Merge puts the shards of a suite together in a folder that is empty or not there.
// They have to be of the same suite, run in the same way. Files are linked where the
// file system allows, and copied where not. A trial that is in several is taken from
// the first, and has to have had the same inputs in all of them. What no shard holds
// is missing in the results.
func Merge(to string, shards []string) error {
	if len(shards) == 0 {
		return errors.New("merge: name the folders of shards")
	}
	entries, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: remove it, or name another folder with --out", to)
	}
	var all *Manifest
	from := make(map[string]string) // trial → its folder
	inputs := make(map[string]string)
	var order []string
	var errs []error
	for _, dir := range shards {
		m, err := ReadManifest(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if all == nil {
			whole := *m
			whole.Shard, whole.Cases = "", slices.Clone(m.Cases)
			all = &whole
		} else if what := differ(all, m); what != "" {
			errs = append(errs, fmt.Errorf("%s and %s are not of the same suite: their %s differ", shards[0], dir, what))
			continue
		}
		for i := range m.Cases {
			c := &m.Cases[i]
			for _, seed := range c.Seeds {
				name := runDir(c.Name, seed)
				run, err := readRun(filepath.Join(dir, name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				if first, ok := from[name]; ok {
					if run.Inputs != inputs[name] {
						errs = append(errs, fmt.Errorf("%s is in %s and in %s, with other inputs: the programs, or linktape itself, were not the same", name, first, dir))
					}
					continue
				}
				from[name], inputs[name] = dir, run.Inputs
				order = append(order, name)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range all.Cases {
		c := &all.Cases[i]
		c.Seeds = slices.Clone(all.Seeds)
		if c.Tape {
			c.Seeds = []uint64{0}
		}
		for _, dir := range shards {
			file := filepath.Join(dir, c.Name, CaseFile)
			if _, err := os.Stat(file); err != nil {
				continue
			}
			if err := take(file, filepath.Join(to, c.Name, CaseFile)); err != nil {
				return err
			}
			break
		}
	}
	for _, name := range order {
		if err := takeAll(filepath.Join(from[name], name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	return writeJSON(filepath.Join(to, ManifestFile), all)
}

// differ says in what two shards are not of the same suite.
func differ(a, b *Manifest) string {
	switch {
	case a.Suite != b.Suite:
		return "names"
	case a.Judge != b.Judge || a.Time != b.Time:
		return "judges or kinds of time"
	case !slices.Equal(a.Seeds, b.Seeds):
		return "seeds"
	case !reflect.DeepEqual(a.Change, b.Change):
		return "stacks or settings"
	case len(a.Cases) != len(b.Cases):
		return "cases"
	}
	for i := range a.Cases {
		x, y := a.Cases[i], b.Cases[i]
		x.Seeds, y.Seeds = nil, nil
		if !reflect.DeepEqual(x, y) {
			return "cases " + x.Name + " and " + y.Name
		}
	}
	return ""
}

// takeAll takes a folder.
func takeAll(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o777)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return take(path, filepath.Join(to, rel))
	})
}

// take links a file, or copies it.
func take(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

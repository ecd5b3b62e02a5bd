package suite

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"linktape/internal/conf"
	"linktape/trace/suggest"
	"linktape/trial"
)

// Judges of thresholds.
const (
	Median = "median" // the median of the seeds' values has to be within
	Every  = "every"  // each seed's value has to be
)

// suiteKey is the key that tells a suite file from others.
const suiteKey = "suite"

// Bounds of a suite.
const (
	DefaultSeeds = 5
	MaxSeeds     = 1000
	MaxCases     = 1000
)

// maxFile bounds a file that is read, in bytes.
const maxFile = conf.MaxBytes

// Suite is what a suite file says.
type Suite struct {
	Name        string
	Description string
	Judge       string // Median or Every
	Seeds       []uint64
	Cases       []Case
}

// Open reads a suite: by its name in the library, from a file, or a case or a
// scenario as a suite of one. Faults of a file are a [conf.Error] that names them
// all; those of cases come with it.
func Open(name string) (*Suite, error) {
	if data, err := files.ReadFile("suites/" + name + ".yaml"); err == nil {
		return Parse(name+".yaml", data, ".")
	}
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() && info.Size() <= maxFile {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		if isSuite(name, data) {
			return Parse(name, data, filepath.Dir(name))
		}
	}
	c, err := find(name, ".")
	if err != nil {
		known := slices.Concat(names("suites"), names("cases"))
		return nil, fmt.Errorf("%w; suites and cases of the library (trial list): %s", err, suggest.Among(name, known))
	}
	return &Suite{Name: c.Name, Description: c.Description, Judge: Median, Seeds: Seeds(DefaultSeeds), Cases: []Case{*c}}, nil
}

// isSuite tells a suite file from a trial file or a scenario.
func isSuite(name string, data []byte) bool {
	doc, err := conf.Parse(name, data)
	if err != nil || !doc.Root().IsMap() {
		return false
	}
	_, ok := doc.Root().Map().Get(suiteKey)
	return ok
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: longer than %d bytes", name, maxFile)
	}
	return data, nil
}

// Seeds are the seeds from 1 to n.
func Seeds(n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i) + 1
	}
	return out
}

// Parse reads a suite file. dir is where files are that it names.
func Parse(name string, data []byte, dir string) (*Suite, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	s := &Suite{Judge: Median, Seeds: Seeds(DefaultSeeds)}
	m := doc.Root().Map()
	s.Name = m.Require(suiteKey).Name()
	if n, ok := m.Get("description"); ok {
		s.Description = strings.Join(strings.Fields(n.String()), " ")
	}
	if n, ok := m.Get("judge"); ok {
		s.Judge = n.OneOf(Median, Every)
	}
	if n, ok := m.Get("seeds"); ok {
		s.Seeds = parseSeeds(n)
	}
	lines := make(map[string]int)
	list := m.Require("cases")
	for _, n := range list.List() {
		entry := n.String()
		if n.Failed() || entry == "" {
			continue
		}
		c, err := find(entry, dir)
		if err != nil {
			n.Errorf("%v", err)
			continue
		}
		if at := lines[c.Name]; at > 0 {
			n.Errorf("the case %s is in line %d already: a folder is made for each", c.Name, at)
			continue
		}
		lines[c.Name] = n.Line()
		s.Cases = append(s.Cases, *c)
	}
	if len(s.Cases) == 0 {
		list.Errorf("name at least one case")
	}
	if len(s.Cases) > MaxCases {
		list.Errorf("%d cases: at most %d", len(s.Cases), MaxCases)
	}
	m.Done()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// parseSeeds reads how many, or which.
func parseSeeds(n conf.Node) (out []uint64) {
	if !n.IsList() {
		v := n.Int()
		if !n.Failed() && (v < 1 || v > MaxSeeds) {
			n.Errorf("%d seeds: from 1 to %d", v, MaxSeeds)
			return nil
		}
		return Seeds(int(v))
	}
	for _, e := range n.List() {
		v := e.Uint64()
		if !e.Failed() && slices.Contains(out, v) {
			e.Errorf("seed %d is there twice", v)
		}
		out = append(out, v)
	}
	if len(out) == 0 || len(out) > MaxSeeds {
		n.Errorf("%d seeds: from 1 to %d", len(out), MaxSeeds)
	}
	return out
}

// find returns the case that an entry names: of the library, a file from dir, or a
// scenario of the library.
func find(entry, dir string) (*Case, error) {
	if data, err := files.ReadFile("cases/" + entry + ".yaml"); err == nil {
		return newCase(entry+".yaml", "", data, ".")
	}
	path := entry
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if _, err := os.Stat(path); err != nil {
		if strings.ContainsAny(entry, `/.`) {
			return nil, err
		}
		path = entry // a scenario of the library
	} else if !strings.ContainsRune(path, filepath.Separator) {
		path = "." + string(filepath.Separator) + path
	}
	label, data, tape, err := trial.Read(path)
	if err != nil {
		return nil, err
	}
	if tape {
		return newTape(path)
	}
	return newCase(label, path, data, filepath.Dir(path))
}

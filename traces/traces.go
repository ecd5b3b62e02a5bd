// Package traces is the library of scenarios that the commands carry with
// them. [List] names them and [Get] returns one as its YAML file, which package
// synth turns into a timeline:
//
//	data, err := traces.Get("three-carrier-drive")
//	…
//	sc, err := synth.Parse("three-carrier-drive.yaml", data, synth.Options{})
//
// A scenario's parameters name their source in comments; what has none is
// labelled an engineering choice.
package traces

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"linktape/synth"
)

//go:embed *.yaml
var files embed.FS

// Entry is one scenario of the library.
type Entry struct {
	Name        string
	Description string
}

// List returns the scenarios, ordered by name.
func List() []Entry {
	var out []Entry
	for _, name := range names() {
		e := Entry{Name: name}
		// A file that does not parse is listed without a description; a test
		// parses them all.
		if data, err := Get(name); err == nil {
			if sc, err := synth.Parse(name+".yaml", data, synth.Options{}); err == nil {
				e.Description = sc.Description()
			}
		}
		out = append(out, e)
	}
	return out
}

// Get returns the YAML file of a scenario. The error for an unknown name is an
// [fs.ErrNotExist] and lists the names that there are.
func Get(name string) ([]byte, error) {
	for _, n := range names() {
		if n == name {
			return files.ReadFile(name + ".yaml")
		}
	}
	return nil, fmt.Errorf("scenario %q: %w: the library has %s", name, fs.ErrNotExist, strings.Join(names(), ", "))
}

// names lists the files without their extension; embed orders them by name.
func names() []string {
	entries, _ := files.ReadDir(".") // an embedded directory always reads
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

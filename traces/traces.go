// Package traces is the library of scenarios that the commands carry with
// them. [List] names them and [Get] returns one as its YAML file, which package
// synth turns into a timeline:
//
//	data, err := traces.Get("three-carrier-drive")
//	…
//	sc, err := synth.Parse("three-carrier-drive.yaml", data, synth.Options{})
//
// A scenario's parameters name their source in comments; what has none is
// labelled an engineering choice. Each group of scenarios is a folder of files;
// a new scenario is a file in one of them.
package traces

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"linktape/synth"
	"linktape/trace/suggest"
)

//go:embed */*.yaml
var files embed.FS

// Group is a part of the library.
type Group struct {
	Name  string // its folder
	Title string // what its scenarios are, in a line
}

// Groups returns the groups in the order in which they are shown.
func Groups() []Group {
	return []Group{
		{"first-steps", "to begin with"},
		{"profiles", "one link each, cellular, satellite and Wi-Fi, with their sources"},
		{"drives", "several links at once over minutes and hours"},
		{"strategy", "the five of the test strategy, for a 4 to 5 Mbit/s stream over three or four links"},
		{"acceptance", "tests A1 to A10, for a 4 Mbit/s stream; the file says what to expect"},
		{"congestion", "cells shared with other users"},
	}
}

// Entry is one scenario of the library.
type Entry struct {
	Group       string // its name
	Name        string
	Description string
	Duration    time.Duration
	Links       []string // in order
}

// List returns the scenarios in the order of [Groups], and by number and name
// within each.
func List() []Entry {
	var out []Entry
	for _, g := range Groups() {
		entries, _ := files.ReadDir(g.Name) // an embedded directory always reads
		var group []Entry
		for _, f := range entries {
			e := Entry{Group: g.Name, Name: strings.TrimSuffix(f.Name(), ".yaml")}
			// A file that does not parse is listed without a description; a test
			// parses them all.
			if data, err := files.ReadFile(g.Name + "/" + f.Name()); err == nil {
				if sc, err := synth.Parse(f.Name(), data, synth.Options{}); err == nil {
					meta := sc.Meta()
					e.Description, e.Duration = strings.Join(strings.Fields(sc.Description()), " "), meta.Duration
					for _, l := range meta.Links {
						e.Links = append(e.Links, l.Name)
					}
				}
			}
			group = append(group, e)
		}
		slices.SortFunc(group, func(a, b Entry) int { return compareNames(a.Name, b.Name) })
		out = append(out, group...)
	}
	return out
}

// compareNames orders names, with the numbers in them by their value: a2 comes
// before a10.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			x, y := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if c := len(x) - len(y); c != 0 {
				return c
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits returns how many digits a text begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// Get returns the YAML file of a scenario. The error for an unknown name is an
// [fs.ErrNotExist] and names the one that was probably meant.
func Get(name string) ([]byte, error) {
	var names []string
	for _, g := range Groups() {
		entries, _ := files.ReadDir(g.Name)
		for _, f := range entries {
			if f.Name() == name+".yaml" {
				return files.ReadFile(g.Name + "/" + f.Name())
			}
			names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
		}
	}
	if near := suggest.Nearest(name, names); near != "" {
		return nil, fmt.Errorf("scenario %q: %w in the library; did you mean %q?", name, fs.ErrNotExist, near)
	}
	return nil, fmt.Errorf("scenario %q: %w in the library", name, fs.ErrNotExist)
}

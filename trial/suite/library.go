package suite

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed cases/*.yaml suites/*.yaml
var files embed.FS

// Entry is a suite or a case that the program carries with it.
type Entry struct {
	Name        string
	Description string
	Cases       []string // of a suite
}

// Suites lists the library's suites.
func Suites() []Entry {
	var out []Entry
	for _, name := range names("suites") {
		s, err := Open(name)
		if err != nil {
			continue // a test opens them all
		}
		e := Entry{Name: name, Description: s.Description}
		for _, c := range s.Cases {
			e.Cases = append(e.Cases, c.Name)
		}
		out = append(out, e)
	}
	return out
}

// Cases lists the library's cases, in the order of its suites.
func Cases() []Entry {
	var out []Entry
	for _, s := range []string{"strategy", "acceptance", "soak"} {
		opened, err := Open(s)
		if err != nil {
			continue
		}
		for _, c := range opened.Cases {
			out = append(out, Entry{Name: c.Name, Description: c.Description})
		}
	}
	return out
}

// Text is the file of a suite or of a case of the library.
func Text(name string) ([]byte, bool) {
	for _, dir := range []string{"cases", "suites"} {
		if data, err := files.ReadFile(dir + "/" + name + ".yaml"); err == nil {
			return data, true
		}
	}
	return nil, false
}

// names lists a folder's files without their ending.
func names(dir string) (out []string) {
	entries, _ := fs.ReadDir(files, dir) // an embedded folder always reads
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(out)
	return out
}

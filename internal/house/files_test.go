package house

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// moduleRoot returns the folder with go.mod above the test's own.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}

// skipDir reports whether a folder, by its path from the module's root, holds
// no sources of ours.
func skipDir(name string) bool {
	switch name {
	case "bin", "out":
		return true
	}
	return path.Base(name) == ".git"
}

// machinePath finds absolute names in folders that differ between machines. A
// longer path with such a part, as in /proc/1, or an address is none. The slash
// is apart so that this file passes.
var machinePath = regexp.MustCompile(`(?:^|[^\w.\-/])` + `/(?:work|root|home|Users)` + `/`)

// checkFiles returns what is wrong with the files of the repository.
func checkFiles(fsys fs.FS) ([]string, error) {
	var faults []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(name) {
				return fs.SkipDir
			}
			return nil
		}
		switch path.Ext(name) {
		case ".test", ".prof": // what go test leaves; never committed
			return nil
		}
		if !d.Type().IsRegular() || d.Name() == ".git" { // a file in a linked worktree
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) { // a temporary file of an editor
			return nil
		}
		if err != nil {
			return err
		}
		faults = append(faults, checkFile(name, data)...)
		return nil
	})
	return faults, err
}

func checkFile(name string, data []byte) []string {
	if bytes.HasPrefix(data, []byte("\x7fELF")) { // built by hand
		return nil
	}
	var faults []string
	binary := bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0
	foreign := strings.Contains("/"+name, "/testdata/") // as others write it
	for i, line := range bytes.Split(data, []byte("\n")) {
		if m := machinePath.Find(line); m != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: names a folder of one machine: %q", name, i+1, m))
		}
		if !binary && !foreign && bytes.HasSuffix(line, []byte("\r")) {
			faults = append(faults, fmt.Sprintf("%s:%d: ends in CRLF; use LF", name, i+1))
			break
		}
	}
	return faults
}

func TestFiles(t *testing.T) {
	faults, err := checkFiles(os.DirFS(moduleRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func TestFileChecker(t *testing.T) {
	for _, c := range []struct {
		name, file, data string
		want             string
	}{
		{"plain", "README.md", "read cmd/root/x and https://example.org/" + "work/x\n", ""},
		{"work", "a.go", "x\nopen \"/" + "work/main\"\n", "a.go:2: names a folder of one machine"},
		{"root at the start", "a", "/" + "root/x", "a:1: names"},
		{"home", "a", "PATH=/" + "home/me/bin", "names"},
		{"namespace", "a.go", "/proc/1/" + "root/etc", ""},
		{"relative", "a.go", "./" + "work/x ../" + "root/y", ""},
		{"CRLF", "a.txt", "one\r\ntwo\r\n", "a.txt:1: ends in CRLF"},
		{"carriage return inside", "a.txt", "one\rtwo\n", ""},
		{"CRLF of a foreign format", "trace/convert/testdata/a.log", "1\r\n2\r\n", ""},
		{"path in a foreign format", "trace/convert/testdata/a.log", "# /" + "home/me/x\n", "names"},
		{"binary", "a.parquet", "PAR1\x00\r\n", ""},
		{"path in a binary", "a.parquet", "PAR1\x00 /" + "root/x", "names"},
		{"built", "bin/lab", "/" + "root/x", ""},
		{"git", ".git/config", "/" + "root/x", ""},
		{"git worktree", ".git", "gitdir: /" + "root/x", ""},
		{"profile", "cpu.prof", "/" + "root/x", ""},
		{"program", "lab", "\x7fELF /" + "root/x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults, err := checkFiles(fstest.MapFS{c.file: {Data: []byte(c.data)}})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("got %q, want no fault", faults)
			case c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)):
				t.Errorf("got %q, want one fault with %q", faults, c.want)
			}
		})
	}
}

package lab

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestImageTree(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir, "a/b/c", "a/empty/")
	if err := os.Symlink("b/c", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	m := &image{nodes: make(map[string]node)}
	if err := m.tree(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"a": fs.ModeDir, "a/b": fs.ModeDir, "a/b/c": 0, "a/empty": fs.ModeDir, "a/link": fs.ModeSymlink} {
		n, ok := m.nodes[filepath.Join(dir, name)]
		if !ok || n.mode.Type() != want {
			t.Errorf("%s: got %v (there: %v), want %v", name, n.mode, ok, want)
		}
	}
	// Every directory is there, before what is in it.
	var b bytes.Buffer
	if err := m.write(&b); err != nil {
		t.Fatal(err)
	}
	archive := b.String()
	for name := range m.nodes {
		at := strings.Index(archive, strings.TrimPrefix(name, "/")+"\x00")
		above := strings.Index(archive, strings.TrimPrefix(path.Dir(name), "/")+"\x00")
		if at < 0 || path.Dir(name) != "/" && (above < 0 || above > at) {
			t.Errorf("%s is at %d, its directory at %d", name, at, above)
		}
	}
}

// A script brings its interpreter, and a program its libraries.
func TestImageProgram(t *testing.T) {
	shell := "/bin/sh"
	if _, err := os.Stat(shell); err != nil {
		t.Skip("needs " + shell)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#! "+shell+" -e\ntrue\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := newImage()
	if err := m.program(script); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{script, shell} {
		if n, ok := m.nodes[m.real(name)]; !ok || n.mode.Perm()&0o111 == 0 {
			t.Errorf("%s: got %+v (there: %v), want an executable", name, n, ok)
		}
	}
	if target, err := os.Readlink("/bin"); err == nil {
		if n := m.nodes["/bin"]; string(n.data) != target || n.mode != fs.ModeSymlink {
			t.Errorf("/bin: got %+v, want a link to %s as on the host", n, target)
		}
		if real := path.Join("/", target, "sh"); m.real(shell) != real || !m.has(shell) || !m.has(real) {
			t.Errorf("%s: got %s, there by both names: %v, %v; want %s and true", shell, m.real(shell), m.has(shell), m.has(real), real)
		}
	}
	if err := m.program(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a program that is not there: got no error")
	}
}

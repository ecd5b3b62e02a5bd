package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"linktape/internal/privtest"
)

// edt.o is what the compiler makes of edt.c, byte by byte, wherever that lies.
func TestObject(t *testing.T) {
	privtest.RequireUser(t, "clang")
	dir := t.TempDir()
	for from, to := range map[string]string{"edt.c": "edt/bpf/edt.c", "../../tools/bpf.sh": "tools/bpf.sh"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "tools/bpf.sh")).CombinedOutput(); err != nil {
		t.Fatalf("compile edt.c: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "edt/bpf/edt.o"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("edt.o")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("edt.o has %d bytes, the compiler's %d, and they differ: run make bpf", len(want), len(got))
	}
}

// No name of a folder of the machine that compiled it is in the object.
func TestObjectNamesNoMachine(t *testing.T) {
	data, err := os.ReadFile("edt.o")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("\x00./edt.c\x00")) {
		t.Error("the object does not name its source as ./edt.c: it has no lines for the verifier's log")
	}
	if path := regexp.MustCompile(`\x00/[\w.-]+/[\w./-]*\x00`).Find(data); path != nil {
		t.Errorf("the object names %q", path)
	}
}

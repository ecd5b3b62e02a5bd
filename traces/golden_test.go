package traces_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"linktape/synth"
	"linktape/trace"
	"linktape/traces"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt and the table in docs/library.md")

// fileHash is the SHA-256 and the length of what is written to it.
type fileHash struct {
	sum   [sha256.Size]byte
	bytes int64
}

// tapeHash synthesizes a scenario into a tape that is not kept, and returns the
// hash of its rows and that of the file.
func tapeHash(t *testing.T, name string) (rows string, file fileHash) {
	t.Helper()
	sc := parse(t, name, synth.Options{})
	h := sha256.New()
	n := &countingWriter{}
	w, err := trace.NewWriter(io.MultiWriter(h, n), sc.Meta())
	if err != nil {
		t.Fatal(err)
	}
	if err := sc.Synthesize(context.Background(), w.Write, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h.Sum(file.sum[:0])
	file.bytes = n.n
	return w.SHA256(), file
}

type countingWriter struct{ n int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

func parse(t *testing.T, name string, opts synth.Options) *synth.Scenario {
	t.Helper()
	data, err := traces.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := synth.Parse(name+".yaml", data, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// The tape of every scenario has the same rows and the same bytes on every
// machine and architecture: make portable runs this with other instructions of
// amd64 and on arm64. A change of any line is a change of what users replay.
func TestGolden(t *testing.T) {
	const path = "testdata/golden.txt"
	var got strings.Builder
	got.WriteString("# scenario, SHA-256 of the rows, SHA-256 of the file, bytes\n")
	for _, e := range traces.List() {
		rows, file := tapeHash(t, e.Name)
		fmt.Fprintf(&got, "%s %s %s %d\n", e.Name, rows, hex.EncodeToString(file.sum[:]), file.bytes)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(none)"
		}
		if g, w := line(gotLines), line(wantLines); g != w {
			t.Errorf("%s:%d:\ngot  %s\nwant %s", path, i+1, g, w)
		}
	}
}

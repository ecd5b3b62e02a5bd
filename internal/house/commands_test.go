package house

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linktape/internal/privtest"
)

// block is a fenced block of a document.
type block struct {
	line  int
	lines []string
}

// commands returns the blocks of a document that are marked as sh: what a
// reader types.
func commands(document string) []block {
	var out []block
	var inside, sh bool
	for i, line := range strings.Split(document, "\n") {
		fence, info := strings.CutPrefix(line, "```")
		switch {
		case !info && sh && inside:
			out[len(out)-1].lines = append(out[len(out)-1].lines, line)
		case info && inside:
			inside = false
		case info:
			inside, sh = true, fence == "sh"
			if sh {
				out = append(out, block{line: i + 2})
			}
		}
	}
	return out
}

func TestCommands(t *testing.T) {
	got := commands("a\n```sh\nls\nps\n```\nb\n```text\nno\n```\n```sh\nid\n```\n")
	want := []block{{3, []string{"ls", "ps"}}, {11, []string{"id"}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// needs are the features that a document's commands need: links on this machine,
// or a lab and the programs that run in it.
func needs(document string) []string {
	switch document {
	case "docs/trial.md", "docs/quickstart.md":
		return []string{"lab-kernel", "librist", "gstreamer"}
	case "docs/edt.md":
		return []string{"lab-kernel"}
	}
	return []string{"root", "ifb", "tbf", "htb"}
}

// Every command of the documents works, in order, document by document, in an
// empty folder with the commands on the path. "make test" is what runs this
// test; "make demo" runs in the project's root as the reader's would.
func TestDocuments(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := sync.OnceValues(func() ([]byte, error) {
		c := exec.Command("go", "build", "-o", bin, "./cmd/...")
		c.Dir = root
		return c.CombinedOutput()
	})
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran, all := 0, true
	for _, file := range append(documents, filepath.Join(root, "README.md")) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, file)
		blocks := commands(string(data))
		if len(blocks) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			defer func() { all = all && !t.Skipped() }()
			privtest.RequireUser(t, needs(filepath.ToSlash(name))...)
			if out, err := build(); err != nil {
				t.Fatalf("build the commands: %v\n%s", err, out)
			}
			dir := t.TempDir()
			for _, b := range blocks {
				for i, line := range b.lines {
					if line == "make test" {
						continue
					}
					ran++
					at := dir
					if strings.HasPrefix(line, "make ") {
						at = root
					}
					if out, err := sh(t.Context(), at, bin, line); err != nil {
						t.Fatalf("%s:%d: %s: %v\n%s", name, b.line+i, line, err, out)
					}
				}
			}
		})
	}
	if all && ran < 20 {
		t.Errorf("ran %d commands: the documents have more", ran)
	}
}

// sh runs one line as a reader would type it, with an end in sight.
func sh(ctx context.Context, dir, bin, line string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

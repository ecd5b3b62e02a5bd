// Package example holds the program of docs/go-api.md, as the document has it.
package example

import (
	"os"
	"strings"
	"testing"

	"linktape/internal/privtest"
)

func TestMain(m *testing.M) { privtest.Main(m) }

// The document's program works.
func TestStall(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	testStall(t)
}

// The document's program is the one that is tested: only the test's own name and
// the package's differ.
func TestSameText(t *testing.T) {
	doc, err := os.ReadFile("../../docs/go-api.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("stall_linux_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(doc), "```go\npackage ")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatal("docs/go-api.md has no program")
	}
	want := strings.NewReplacer("func testStall(", "func TestStall(", "package example\n", "package drive\n").Replace(string(file))
	if got := "package " + block; got != want {
		t.Errorf("docs/go-api.md has another program than replay/example: got\n%s\nwant\n%s", got, want)
	}
}

package traces_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"linktape/traces"
)

// The table of the document is the library.
func TestDocument(t *testing.T) {
	const (
		path  = "../docs/library.md"
		begin = "<!-- This table is written by go test ./traces -update. -->\n"
		end   = "<!-- The end of the table. -->\n"
	)
	var table strings.Builder
	for _, g := range traces.Groups() {
		fmt.Fprintf(&table, "\n### %s: %s\n\n| scenario | length | links | what it is |\n|---|---|---|---|\n", g.Name, g.Title)
		for _, e := range traces.List() {
			if e.Group == g.Name {
				length := strings.TrimSuffix(strings.TrimSuffix(e.Duration.String()+"|", "0s|"), "|")
				if length = strings.Replace(length, "h0m", "h", 1); e.Duration%60e9 != 0 {
					length = e.Duration.String()
				}
				fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", e.Name, length, strings.Join(e.Links, ", "), e.Description)
			}
		}
	}
	table.WriteString("\n")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has not the lines\n%s%s", path, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+table.String()+end+tail), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != table.String() {
		t.Errorf("%s: the table is not the library's: run go test ./traces -update\ngot:\n%s\nwant:\n%s", path, got, table.String())
	}
}

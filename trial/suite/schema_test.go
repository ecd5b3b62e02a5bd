package suite

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/schema/schematest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The schema takes every suite file that there is.
func TestSchema(t *testing.T) {
	v, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("suites/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, file := range append(files, documents...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{string(data)}
		if filepath.Ext(file) == ".md" {
			texts = strings.Split(string(data), "```yaml\n")[1:]
		}
		for _, text := range texts {
			text, _, _ := strings.Cut(text, "```")
			if !strings.HasPrefix(text, suiteKey+":") {
				continue
			}
			shown++
			if err := v.YAML(file, []byte(text)); err != nil {
				t.Error(err)
			}
		}
	}
	if shown < len(files)+1 {
		t.Errorf("the documents show no suite")
	}
	for _, text := range []string{"suite: s\nseeds: 1\ncases: [a1-clean]", "suite: s\nseeds: [0, 18446744073709551615]\njudge: every\ncases: [a1-clean]"} {
		if err := v.YAML("s.yaml", []byte(text)); err != nil {
			t.Error(err)
		}
		if _, err := Parse("s.yaml", []byte(text), "."); err != nil {
			t.Error(err)
		}
	}
}

// What the parser refuses, the schema does, except for what it cannot know.
func TestSchemaRefuses(t *testing.T) {
	v, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text   string
		passes bool // the schema
	}{
		{"cases: [a1-clean]", false},
		{"suite: S\ncases: [a1-clean]", false},
		{"suite: s", false},
		{"suite: s\ncases: []", false},
		{"suite: s\ncases: a1-clean", false},
		{"suite: s\ncases: [{trial: x}]", false},
		{"suite: s\ncases: [no-such-case]", true},
		{"suite: s\ncases: [a1-clean, a1-clean]", true},
		{"suite: s\nseeds: 0\ncases: [a1-clean]", false},
		{"suite: s\nseeds: 1001\ncases: [a1-clean]", false},
		{"suite: s\nseeds: []\ncases: [a1-clean]", false},
		{"suite: s\nseeds: [-1]\ncases: [a1-clean]", false},
		{"suite: s\nseeds: [1, 1]\ncases: [a1-clean]", true},
		{"suite: s\njudge: mean\ncases: [a1-clean]", false},
		{"suite: s\ncase: [a1-clean]", false},
	} {
		if _, err := Parse("s.yaml", []byte(c.text), "."); err == nil {
			t.Errorf("%s: the parser takes it", c.text)
		}
		if err := v.YAML("s.yaml", []byte(c.text)); (err == nil) != c.passes {
			t.Errorf("%s: the schema says %v", c.text, err)
		}
	}
}

// Schema and parser know the same keys.
func TestSchemaKeys(t *testing.T) {
	_, err := Parse("s", []byte("suite: s\ncases: [a1-clean]\nzzzzzzzz: 1"), ".")
	if err == nil {
		t.Fatal("accepted")
	}
	_, list, _ := strings.Cut(err.Error(), `unknown key "zzzzzzzz": known: `)
	list, _, _ = strings.Cut(list, "\n")
	got := strings.Split(list, ", ")
	slices.Sort(got)
	var want []string
	for _, k := range suiteKeys() {
		want = append(want, k.Name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-schema +parser)\n%s", diff)
	}
}

// The reference is what the keys say.
func TestReference(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "trial-files.md")
	if *update {
		if err := os.WriteFile(file, []byte(Reference()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), Reference()); diff != "" {
		t.Errorf("make golden rewrites it (-file +keys):\n%s", diff)
	}
}

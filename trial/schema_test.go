package trial

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/schema"
	"linktape/internal/schema/schematest"
)

// The schema takes every trial file that there is.
func TestSchema(t *testing.T) {
	v, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("suite/cases/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	texts := map[string]string{
		"whole": whole, "exec": "trial: x\ntape: drive.tape\nstack: exec\nsender: a {{.In}}\nreceiver: b\n",
		"values": "trial: x\nscenario: a\nset: {links.a.up.loss: 0.01, links.a.queue: 500KB, n: 3}\noptions: {a: 1, b: yes, c: true, d: 1.5}\nthresholds: {a.loss: {min: 1%, max: 0.05}, loss-1.rtt_p50_ms: 4}\n",
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(data)
	}
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, file := range documents {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(data), "```yaml\n")[1:] {
			if text, _, _ := strings.Cut(block, "```"); strings.HasPrefix(text, trialKey+":") {
				texts[file+": "+text] = text
				shown++
			}
		}
	}
	if shown < 2 {
		t.Errorf("%d trial files in the documents: there are more", shown)
	}
	for name, text := range texts {
		if err := v.YAML(name, []byte(text)); err != nil {
			t.Error(err)
		}
		if _, err := Parse(name, []byte(text), "."); err != nil {
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
		{"scenario: a", false},
		{"trial: x", false},
		{"trial: X!\nscenario: a", false},
		{"trial: x\nscenario: a\ntape: b", false},
		{"trial: x\nscenario: a\nstack: rist", false},
		{"trial: x\nscenario: a\nsender: y", false},
		{"trial: x\nscenario: a\nstack: librist\nsender: y", true},
		{"trial: x\nscenario: a\nrate: 4", false},
		{"trial: x\nscenario: a\nrate: 1kbit", true},
		{"trial: x\nscenario: a\nbuffer: 1000", false},
		{"trial: x\nscenario: a\nbuffer: 1ms", true},
		{"trial: x\nscenario: a\nduration: -1s", false},
		{"trial: x\nscenario: a\nseed: -1", false},
		{"trial: x\nscenario: a\nlinks: a", false},
		{"trial: x\nscenario: a\nlinks: [A]", false},
		{"trial: x\nscenario: a\nlinkz: [a]", false},
		{"trial: x\nscenario: a\nset: {links: {a: {}}}", false},
		{"trial: x\nscenario: a\noptions: [a=b]", false},
		{"trial: x\nscenario: a\ncross: {link: a, kind: tcp}", false},
		{"trial: x\nscenario: a\ncross: [{kind: tcp}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: tcp, rate: 1Mbit}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: tcp, congestion: vegas}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: udp}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: udp, rate: 1Mbit, on: 1s}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: udp, rate: 1Mbit, dir: both}]", false},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: udp, rate: 0}]", true},
		{"trial: x\nscenario: a\ncross: [{link: a, kind: udp, rate: 11Gbit}]", true},
		{"trial: x\nscenario: a\nthresholds: {loss: 1%}", false},
		{"trial: x\nscenario: a\nthresholds: {a.overhead: 1}", false},
		{"trial: x\nscenario: a\nthresholds: {overhead: {}}", false},
		{"trial: x\nscenario: a\nthresholds: {overhead: lots}", false},
		{"trial: x\nscenario: a\nthresholds: {overhead: {least: 1}}", false},
	} {
		if _, err := Parse("t.yaml", []byte(c.text), "."); err == nil {
			t.Errorf("%s: the parser takes it", c.text)
		}
		if err := v.YAML("t.yaml", []byte(c.text)); (err == nil) != c.passes {
			t.Errorf("%s: the schema says %v", c.text, err)
		}
	}
}

// Schema and parser know the same keys at every level.
func TestSchemaKeys(t *testing.T) {
	names := func(lists ...[]schema.Key) (out []string) {
		for _, keys := range lists {
			for _, k := range keys {
				if !slices.Contains(out, k.Name) {
					out = append(out, k.Name)
				}
			}
		}
		slices.Sort(out)
		return out
	}
	forms := crossForms()
	thresholds := fileKeys()[len(fileKeys())-1]
	for text, want := range map[string][]string{
		"trial: x\nscenario: a\nzzzzzzzz: 1":                                   names(fileKeys()),
		"trial: x\nscenario: a\ncross: [{link: a, kind: tcp, zzzzzzzz: 1}]":    names(forms[0].Keys, forms[1].Keys),
		"trial: x\nscenario: a\nthresholds: {overhead: {max: 2, zzzzzzzz: 1}}": names(thresholds.Item.Forms[0].Keys),
	} {
		_, err := Parse("t", []byte(text), ".")
		if err == nil {
			t.Fatalf("%s: accepted", text)
		}
		_, list, ok := strings.Cut(err.Error(), `unknown key "zzzzzzzz": known: `)
		if !ok {
			t.Fatal(err)
		}
		list, _, _ = strings.Cut(list, "\n")
		got := strings.Split(list, ", ")
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-schema +parser)\n%s", text, diff)
		}
	}
}

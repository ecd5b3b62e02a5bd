package conf_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/conf"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// car is what the tests decode.
type car struct {
	Name  string
	Rate  trace.BitRate
	Wait  time.Duration
	Limit int64
	Loss  trace.Prob
	Count int64
	Seed  uint64
	Gain  float64
	On    bool
	Mode  string
	Parts []string
	Sub   []string
}

func decode(doc *conf.Doc) (car, error) {
	var c car
	m := doc.Root().Map()
	c.Name = m.Require("name").Name()
	get := func(key string, f func(conf.Node)) {
		if n, ok := m.Get(key); ok {
			f(n)
		}
	}
	get("rate", func(n conf.Node) { c.Rate = n.Rate() })
	get("wait", func(n conf.Node) { c.Wait = n.Duration() })
	get("limit", func(n conf.Node) { c.Limit = n.Bytes() })
	get("loss", func(n conf.Node) { c.Loss = n.Prob() })
	get("count", func(n conf.Node) { c.Count = n.Int() })
	get("seed", func(n conf.Node) { c.Seed = n.Uint64() })
	get("gain", func(n conf.Node) { c.Gain = n.Float() })
	get("on", func(n conf.Node) { c.On = n.Bool() })
	get("mode", func(n conf.Node) { c.Mode = n.OneOf("auto", "manual") })
	get("parts", func(n conf.Node) {
		for _, p := range n.List() {
			c.Parts = append(c.Parts, p.String())
		}
	})
	get("sub", func(n conf.Node) {
		n.Map().Each(func(k, v conf.Node) { c.Sub = append(c.Sub, k.Name()+"="+v.String()) })
	})
	m.Done()
	return c, doc.Err()
}

const good = `# A car.
name: red-car   # its name
rate: 1.5Mbit
wait: 250ms
limit: "64KB"
loss: 2%
count: -3
seed: 18446744073709551615
gain: 1e-3
on: true
mode: manual
parts: [wheel, 'the door', 5, ü]
sub:
  b: "x: y"
  a: |
    two
    lines
`

func TestDecode(t *testing.T) {
	for name, text := range map[string]string{
		"as written":          good,
		"carriage returns":    strings.ReplaceAll(good, "\n", "\r\n"),
		"byte order mark":     "\ufeff" + good,
		"document start":      "---\n" + good,
		"no final line break": strings.TrimSuffix(good, "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := conf.Parse("car.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(doc)
			if err != nil {
				t.Fatal(err)
			}
			lines := "two\nlines\n"
			if name == "no final line break" {
				lines = "two\nlines"
			}
			want := car{
				"red-car", 1500 * trace.Kbit, 250 * time.Millisecond, 64000, 0.02, -3, 1<<64 - 1, 1e-3, true, "manual",
				[]string{"wheel", "the door", "5", "ü"},
				[]string{"b=x: y", "a=" + lines},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("want - got +\n%s", d)
			}
		})
	}
}

// TestFaults compares the messages for the files in testdata/bad with those
// beside them.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files in testdata/bad", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := conf.Parse(filepath.Base(file), data)
			if err == nil {
				_, err = decode(doc)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err)
		})
	}
}

func golden(t *testing.T, file string, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	if e := (*conf.Error)(nil); !errors.As(err, &e) {
		t.Errorf("got an error of type %T, want *conf.Error", err)
	}
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestBounds makes the files that are too large to keep.
func TestBounds(t *testing.T) {
	var keys, dashes strings.Builder
	for i := range conf.MaxKeys + 1 {
		fmt.Fprintf(&keys, "k%d:\n- x\n", i)
	}
	for i := range 100 {
		fmt.Fprintf(&dashes, "%sk:\n", strings.Repeat(" ", i))
	}
	for name, c := range map[string]struct{ text, want string }{
		"size":          {strings.Repeat("x", conf.MaxBytes+1), "f: 4194305 bytes: a file holds at most 4194304"},
		"brackets":      {strings.Repeat("[", 100000), "f:1:65: nested more than 64 deep"},
		"dashes":        {strings.Repeat("- ", 100000), "f:1:129: nested more than 64 deep"},
		"indentation":   {dashes.String(), "f:65:65: nested more than 64 deep"},
		"keys":          {keys.String(), "f:2049:1: more than 1024 keys in one mapping"},
		"one long line": {"a: " + strings.Repeat("{a: [", 50), "f:1:163: nested more than 64 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conf.Parse("f", []byte(c.text))
			if err == nil {
				t.Fatal("got no error")
			}
			if got, _, _ := strings.Cut(err.Error(), "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestSet(t *testing.T) {
	const base = "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"
	for name, c := range map[string]struct{ path, value, want string }{
		"scalar":          {"name", "bus", "# top\nname: bus # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"},
		"nested":          {"sub.a", "2 # two", "# top\nname: car # its name\nsub:\n  a: 2 # two # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"},
		"in braces":       {"sub.b.x", `"q, r"`, "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: \"q, r\", y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"},
		"in brackets":     {"sub.b.y.1", "{z: 1}", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, {z: 1}]}\nlist:\n  - p: 1\n  - q\n"},
		"braces":          {"sub.b", "7", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: 7\nlist:\n  - p: 1\n  - q\n"},
		"new in braces":   {"sub.b.z", "4", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3], z: 4}\nlist:\n  - p: 1\n  - q\n"},
		"new in lines":    {"sub.c", "4", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\n  c: 4\nlist:\n  - p: 1\n  - q\n"},
		"lines":           {"sub", "{a: 1}", "name: car\nsub: {a: 1}\nlist: [{p: 1}, q]\n"},
		"new at the top":  {"seed", "4", "# top\nname: car # its name\nseed: 4\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"},
		"in a list":       {"list.0.p", "2", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 2\n  - q\n"},
		"new in a list":   {"list.0.r", "2", "# top\nname: car # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n    r: 2\n  - q\n"},
		"needs its quote": {"name", `"a: b"`, "# top\nname: \"a: b\" # its name\nsub:\n  a: 1 # one\n  b: {x: 1, y: [2, 3]}\nlist:\n  - p: 1\n  - q\n"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := conf.Parse("f", []byte(base))
			if err != nil {
				t.Fatal(err)
			}
			if err := doc.Set(c.path, c.value); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, doc.Text()); d != "" {
				t.Errorf("want - got +\n%s", d)
			}
		})
	}
}

func TestSetFaults(t *testing.T) {
	const base = "name: car\nrate: 6Mbit\nsub:\n  alpha: 1\n  beta: {x: 1}\nlist: [a, b]\nnone:\n"
	for file, set := range map[string][2]string{
		"unknown-part":     {"sbu.alpha", "1"},
		"unknown-part-far": {"wheels.alpha", "1"},
		"into-a-value":     {"rate.mean", "6Mbit"},
		"into-nothing":     {"none.mean", "6Mbit"},
		"list-position":    {"list.2", "6Mbit"},
		"no-value":         {"rate", " "},
		"no-key":           {"", "1"},
		"empty-part":       {"sub.", "1"},
		"lines":            {"rate", "a\nb"},
		"block-mapping":    {"rate", "a: b"},
		"syntax":           {"rate", "[1, 2"},
		"decoded-value":    {"rate", "6Mbitt"},
		"decoded-new-key":  {"rote", "6Mbit"},
		"anchor":           {"rate", "*x"},
	} {
		t.Run(file, func(t *testing.T) {
			doc, err := conf.Parse("car.yaml", []byte(base))
			if err != nil {
				t.Fatal(err)
			}
			err = doc.Set(set[0], set[1])
			if strings.HasPrefix(file, "decoded-") {
				if err != nil {
					t.Fatal(err)
				}
				m := doc.Root().Map()
				m.Require("rate").Rate()
				for _, k := range []string{"name", "sub", "list", "none"} {
					m.Get(k)
				}
				m.Done()
				err = doc.Err()
			}
			golden(t, "testdata/set/"+file+".txt", err)
		})
	}
}

// FuzzParse looks for panics, and verifies that a document with an override
// reads as itself.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good), "sub.b", "{x: 1}")
	f.Add([]byte("a: [1, {b: c}]\n"), "a.1.b", "'q'")
	f.Add([]byte("{a: 1}"), "b", "[1]")
	f.Fuzz(func(t *testing.T, data []byte, path, value string) {
		if len(data) > 1<<14 || len(path)+len(value) > 1<<10 {
			return
		}
		doc, err := conf.Parse("f", data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		_, _ = decode(doc)
		if doc.Set(path, value) != nil {
			return
		}
		if _, err := conf.Parse("f", []byte(doc.Text())); err != nil {
			t.Errorf("after an override the text is\n%s\nwhich does not read: %v", doc.Text(), err)
		}
	})
}

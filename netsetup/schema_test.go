package netsetup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/schema"
	"linktape/internal/schema/schematest"
)

// onlyParser are the bad topologies that no schema can refuse: what is wrong
// lies between parts, in arithmetic, or in the text of the file.
var onlyParser = []string{
	"address-automatic", "address-bridge-one", "address-bridge-two", "address-broadcast", "address-network", "address-twice", "anchor",
	"cross-bridge", "cross-nested", "delay-without-path", "edt-bridge", "edt-cake", "edt-path", "edt-queue", "edt-shaper", "edt-tree", "edt-window-alone",
	"end-host-false", "end-same", "gateway-bridge", "gateway-outside",
	"hops-bridge", "interface-and-vlan", "interface-twice", "network-host-bits", "network-small",
	"one-address-bridge", "one-address-clash", "one-address-loopback", "queue-mtu", "two-documents",
}

// The schema takes every topology that the parser takes, and refuses the bad
// ones that a schema can refuse.
func TestSchema(t *testing.T) {
	validator, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) < 3 {
		t.Fatalf("%d files, %v", len(good), err)
	}
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validator.YAML(file, data); err != nil {
			t.Error(err)
		}
	}
	// The topologies in the documents: they are read and mean something, too.
	t.Run("documents", func(t *testing.T) {
		dir := t.TempDir()
		writeDelays(t, filepath.Join(dir, "field.tape"), 0, 20*time.Millisecond, 40*time.Millisecond)
		files, err := filepath.Glob(filepath.Join(documents(t), "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, part := range strings.Split(string(data), "```yaml\n")[1:] {
				text, _, _ := strings.Cut(part, "```")
				if !regexp.MustCompile(`(?m)^links:`).MatchString(text) || strings.Contains(text, "duration:") {
					continue // a scenario
				}
				found++
				name := fmt.Sprintf("%s, block %d", filepath.Base(file), i+1)
				if err := validator.YAML(name, []byte(text)); err != nil {
					t.Error(err)
				}
				topology, err := ParseTopology(filepath.Join(dir, name), []byte(text))
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := NewPlan("doc", topology, allFeatures); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if found < 7 {
			t.Errorf("%d topologies in the documents: there are more", found)
		}
	})
	var missed []string
	bad, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(bad) < 60 {
		t.Fatalf("%d files, %v", len(bad), err)
	}
	for _, file := range bad {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if validator.YAML(file, data) == nil {
			missed = append(missed, strings.TrimSuffix(filepath.Base(file), ".yaml"))
		}
	}
	if d := cmp.Diff(onlyParser, missed); d != "" {
		t.Errorf("bad topologies that the schema takes (-known +found)\n%s", d)
	}
}

// formOf returns the keys of one form of a key.
func formOf(keys []schema.Key, name string, form int) []schema.Key {
	return keys[slices.IndexFunc(keys, func(k schema.Key) bool { return k.Name == name })].Forms[form].Keys
}

// Schema and parser know the same keys at every level.
func TestSchemaKeys(t *testing.T) {
	known := func(text string) []string {
		_, err := ParseTopology("t", []byte(text))
		if err == nil {
			t.Fatalf("%s: accepted", text)
		}
		_, list, ok := strings.Cut(err.Error(), `unknown key "zzzzzzzz": known: `)
		if !ok {
			t.Fatal(err)
		}
		list, _, _ = strings.Cut(list, "\n")
		keys := strings.Split(list, ", ")
		slices.Sort(keys)
		return keys
	}
	names := func(keys []schema.Key) (out []string) {
		for _, k := range keys {
			out = append(out, k.Name)
		}
		slices.Sort(out)
		return out
	}
	top := topologyKeys()
	link := top[len(top)-1].Item.Keys
	for text, keys := range map[string][]schema.Key{
		"links: {a: {}}\nzzzzzzzz: 1":                                                              top,
		"links: {a: {}}\nsender: {zzzzzzzz: 1}":                                                    top[0].Keys,
		"links: {a: {}}\nreceiver: {zzzzzzzz: 1}":                                                  top[1].Keys,
		"links: {a: {zzzzzzzz: 1}}":                                                                link,
		"links: {a: {shaper: cake, cake: {zzzzzzzz: 1}}}":                                          cakeKeys(),
		"links: {a: {queue: {limit: 1s, zzzzzzzz: 1}}}":                                            formOf(link, "queue", 0),
		"links: {a: {path: {zzzzzzzz: 1}}}":                                                        pathKeys(),
		"links: {a: {path: {loss: {model: ge-packet, p: 1%, r: 1%, zzzzzzzz: 1}}}}":                formOf(pathKeys(), "loss", 0),
		"links: {a: {path: {loss: {model: markov, p13: 1%, zzzzzzzz: 1}}}}":                        formOf(pathKeys(), "loss", 1),
		"links: {a: {path: {slot: {min: 1ms, zzzzzzzz: 1}}}}":                                      append(formOf(pathKeys(), "slot", 0), schema.Key{Name: "distribution"}), // the other form
		"links: {a: {path: {slot: {distribution: normal, delay: 1ms, jitter: 1ms, zzzzzzzz: 1}}}}": formOf(pathKeys(), "slot", 1),
		"links: {a: {path: {distribution: {tape: x, of: a.up, zzzzzzzz: 1}}}}":                     formOf(pathKeys(), "distribution", 0),
		"links: {a: {sender: {zzzzzzzz: 1}}}":                                                      link[len(link)-2].Keys,
		"links: {a: {receiver: {zzzzzzzz: 1}}}":                                                    link[len(link)-1].Keys,
	} {
		if d := cmp.Diff(names(keys), known(text)); d != "" {
			t.Errorf("%s (-schema +parser)\n%s", text, d)
		}
	}
}

// The reference is what the keys say.
func TestReference(t *testing.T) {
	checkGolden(t, filepath.Join(documents(t), "topology.md"), Reference())
}

// documents is the folder of the documents. A kernel in a machine of its own
// has the files of the package alone.
func documents(t *testing.T) string {
	t.Helper()
	const dir = "../docs"
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		t.Skip("needs the documents beside the package: this machine has its files alone")
	}
	return dir
}

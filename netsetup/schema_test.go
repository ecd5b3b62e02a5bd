package netsetup

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// validate says where a value is not what a schema asks for; it knows the words
// that ours uses and fails on any other.
func validate(schema map[string]any, v any, at string) error {
	list := func(x any) []any {
		out, _ := x.([]any)
		return out
	}
	for word, x := range schema {
		ok := true
		switch word {
		case "$schema", "title", "description", "properties":
		case "type":
			types := list(x)
			if types == nil {
				types = []any{x}
			}
			ok = slices.ContainsFunc(types, func(t any) bool { return typeOf(v) == t })
		case "enum":
			ok = slices.ContainsFunc(list(x), func(e any) bool { return reflect.DeepEqual(e, v) })
		case "pattern":
			if s, is := v.(string); is {
				ok = regexp.MustCompile(x.(string)).MatchString(s)
			}
		case "maxLength":
			if s, is := v.(string); is {
				ok = len(s) <= int(x.(float64))
			}
		case "minimum":
			n, is := v.(float64)
			ok = !is || n >= x.(float64)
		case "maximum":
			n, is := v.(float64)
			ok = !is || n <= x.(float64)
		case "minProperties", "maxProperties":
			m, is := v.(map[string]any)
			ok = !is || word == "minProperties" && len(m) >= int(x.(float64)) || word == "maxProperties" && len(m) <= int(x.(float64))
		case "required":
			if m, is := v.(map[string]any); is {
				for _, k := range list(x) {
					_, there := m[k.(string)]
					ok = ok && there
				}
			}
		case "dependentRequired":
			if m, is := v.(map[string]any); is {
				for k, needs := range x.(map[string]any) {
					for _, n := range list(needs) {
						_, has := m[k]
						_, there := m[n.(string)]
						ok = ok && (!has || there)
					}
				}
			}
		case "not":
			ok = validate(x.(map[string]any), v, at) != nil
		case "allOf":
			for _, s := range list(x) {
				if err := validate(s.(map[string]any), v, at); err != nil {
					return err
				}
			}
		case "anyOf":
			ok = slices.ContainsFunc(list(x), func(s any) bool { return validate(s.(map[string]any), v, at) == nil })
		case "propertyNames":
			if m, is := v.(map[string]any); is {
				for k := range m {
					if err := validate(x.(map[string]any), k, at+"."+k); err != nil {
						return err
					}
				}
			}
		case "additionalProperties":
			m, is := v.(map[string]any)
			if !is {
				break
			}
			known, _ := schema["properties"].(map[string]any)
			for k, value := range m {
				s, listed := known[k].(map[string]any)
				if !listed {
					if s, listed = x.(map[string]any); !listed {
						return fmt.Errorf("%s: unknown key %s", at, k)
					}
				}
				if err := validate(s, value, at+"."+k); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("%s: the schema says %s, which this test does not know", at, word)
		}
		if !ok {
			return fmt.Errorf("%s: %v: against %s %v", at, v, word, x)
		}
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
	}
	return "number"
}

// asJSON turns YAML into what encoding/json makes of the same.
func asJSON(t *testing.T, data []byte) (v any, err error) {
	t.Helper()
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	v = nil
	return v, json.Unmarshal(b, &v)
}

// onlyParser are the bad topologies that no schema can refuse: what is wrong
// lies between parts, in arithmetic, or in the text of the file.
var onlyParser = []string{
	"address-automatic", "address-bridge-one", "address-bridge-two", "address-broadcast", "address-network", "address-twice", "anchor",
	"cross-bridge", "cross-nested", "delay-without-path", "end-host-false", "end-same", "gateway-bridge", "gateway-outside",
	"hops-bridge", "interface-and-vlan", "interface-twice", "network-host-bits", "network-small",
	"one-address-bridge", "one-address-clash", "one-address-loopback", "queue-mtu", "two-documents",
}

// The schema takes every topology that the parser takes, and refuses the bad
// ones that a schema can refuse.
func TestSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) < 3 {
		t.Fatalf("%d files, %v", len(good), err)
	}
	check := func(name string, data []byte) error {
		v, err := asJSON(t, data)
		if err != nil {
			return err
		}
		return validate(schema, v, name)
	}
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(file, data); err != nil {
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
				if err := check(name, []byte(text)); err != nil {
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
		if check(file, data) == nil {
			missed = append(missed, strings.TrimSuffix(filepath.Base(file), ".yaml"))
		}
	}
	if d := cmp.Diff(onlyParser, missed); d != "" {
		t.Errorf("bad topologies that the schema takes (-known +found)\n%s", d)
	}
}

// formOf returns the keys of one form of a key.
func formOf(keys []schemaKey, name string, form int) []schemaKey {
	return keys[slices.IndexFunc(keys, func(k schemaKey) bool { return k.name == name })].forms[form].keys
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
	names := func(keys []schemaKey) (out []string) {
		for _, k := range keys {
			out = append(out, k.name)
		}
		slices.Sort(out)
		return out
	}
	top := topologyKeys()
	link := top[len(top)-1].keys
	for text, keys := range map[string][]schemaKey{
		"links: {a: {}}\nzzzzzzzz: 1":                                                              top,
		"links: {a: {}}\nsender: {zzzzzzzz: 1}":                                                    top[0].keys,
		"links: {a: {}}\nreceiver: {zzzzzzzz: 1}":                                                  top[1].keys,
		"links: {a: {zzzzzzzz: 1}}":                                                                link,
		"links: {a: {shaper: cake, cake: {zzzzzzzz: 1}}}":                                          cakeKeys(),
		"links: {a: {queue: {limit: 1s, zzzzzzzz: 1}}}":                                            formOf(link, "queue", 0),
		"links: {a: {path: {zzzzzzzz: 1}}}":                                                        pathKeys(),
		"links: {a: {path: {loss: {model: ge-packet, p: 1%, r: 1%, zzzzzzzz: 1}}}}":                formOf(pathKeys(), "loss", 0),
		"links: {a: {path: {loss: {model: markov, p13: 1%, zzzzzzzz: 1}}}}":                        formOf(pathKeys(), "loss", 1),
		"links: {a: {path: {slot: {min: 1ms, zzzzzzzz: 1}}}}":                                      append(formOf(pathKeys(), "slot", 0), schemaKey{name: "distribution"}), // the other form
		"links: {a: {path: {slot: {distribution: normal, delay: 1ms, jitter: 1ms, zzzzzzzz: 1}}}}": formOf(pathKeys(), "slot", 1),
		"links: {a: {path: {distribution: {tape: x, of: a.up, zzzzzzzz: 1}}}}":                     formOf(pathKeys(), "distribution", 0),
		"links: {a: {sender: {zzzzzzzz: 1}}}":                                                      link[len(link)-2].keys,
		"links: {a: {receiver: {zzzzzzzz: 1}}}":                                                    link[len(link)-1].keys,
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

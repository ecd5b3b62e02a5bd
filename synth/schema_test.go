package synth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"linktape/internal/conf"
	"linktape/internal/schema"
	"linktape/internal/schema/schematest"
)

// The schema takes what the parser takes: the scenarios of the tests, of the
// library and of the documents.
func TestSchema(t *testing.T) {
	validator, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"testdata/*.yaml", "../traces/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := validator.YAML(file, data); err != nil {
				t.Error(err)
			}
		}
	}
	files, err := filepath.Glob("../docs/*.md")
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
			if !regexp.MustCompile(`(?m)^scenario:`).MatchString(text) || regexp.MustCompile(`(?m)^trial:`).MatchString(text) { // a trial names one
				continue
			}
			found++
			name := fmt.Sprintf("%s, block %d", filepath.Base(file), i+1)
			if err := validator.YAML(name, []byte(text)); err != nil {
				t.Error(err)
			}
			if _, err := Parse(name, []byte(text), Options{}); err != nil {
				t.Error(err)
			}
		}
	}
	if found == 0 {
		t.Error("no scenario in the documents")
	}
}

// The schema refuses what has a key or a word that it does not know, as the
// parser does.
func TestSchemaRefuses(t *testing.T) {
	validator, err := schematest.NewValidator(Schema())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range files {
		message, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(message), "unknown ") && !strings.Contains(string(message), "is missing: add") {
			continue // what only the parser refuses, perhaps
		}
		if filepath.Base(file) == "no-rate.yaml" {
			continue // the rate may be missing where every regime has one
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		refused++
		if validator.YAML(file, data) == nil {
			t.Errorf("%s: accepted", file)
		}
	}
	if refused < 5 {
		t.Errorf("%d files refused", refused)
	}
}

// Each mapping of the schema has the keys that its decoder asks for. The decoder
// is asked by giving it a key that there is not: the message lists the others.
func TestSchemaHasTheDecodersKeys(t *testing.T) {
	d := document()
	defs := make(map[string]schema.Key)
	for _, def := range d.Definitions {
		defs[def.Name] = def.Key
	}
	find := func(keys []schema.Key, name string) schema.Key {
		i := slices.IndexFunc(keys, func(k schema.Key) bool { return k.Name == name })
		if i < 0 {
			t.Fatalf("no key %s", name)
		}
		return keys[i]
	}
	link := find(d.Keys, "links").Item.Keys
	cell := find(d.Keys, "cells").Item.Keys
	// What the schema has, and a scenario with the mapping at MAP.
	type place struct {
		what, text string
		keys       []schema.Key
	}
	const head = "scenario: s\nduration: 1m\n"
	places := []place{
		{"the scenario", head + "links: {a: {up: {rate: 0}}}\nMAP: 0\n", d.Keys},
		{"a link", head + "links: {a: {up: {rate: 0}, MAP: 0}}\n", link},
		{"up", head + "links: {a: {up: {rate: 0, MAP: 0}}}\n", find(link, "up").Keys},
		{"down", head + "links: {a: {down: {rate: 0, MAP: 0}}}\n", find(link, "down").Keys},
		{"slot", head + "links: {a: {up: {rate: 0}, slot: {MAP: 0}}}\n", find(link, "slot").Keys},
		{"handovers", head + "links: {a: {up: {rate: 0}, handovers: {arrivals: periodic, MAP: 0}}}\n", find(link, "handovers").Keys},
		{"outages", head + "links: {a: {up: {rate: 0}, outages: [{MAP: 0}]}}\n", find(link, "outages").Item.Keys},
		{"a regime", head + "links: {a: {up: {rate: 0}, down: {rate: 0}, regimes: {x: {MAP: 0}, y: {}}}}\n", find(link, "regimes").Item.Keys},
		{"up of a regime", head + "links: {a: {up: {rate: 0}, regimes: {x: {up: {MAP: 0}}, y: {}}}}\n", find(find(link, "regimes").Item.Keys, "up").Keys},
		{"correlation", head + "links: {a: {up: {rate: 0}}}\ncorrelation: [{MAP: 0}]\n", find(d.Keys, "correlation").Item.Keys},
		{"shared outages", head + "links: {a: {up: {rate: 0}}}\nshared_outages: {x: {MAP: 0}}\n", find(d.Keys, "shared_outages").Item.Keys},
		{"size", head + "links: {a: {up: {rate: 0}}}\ncells: {x: {load: 0, size: {MAP: 0}}}\n", find(cell, "size").Keys},
		{"flows", head + "links: {a: {up: {rate: 0}}}\ncells: {x: {flows: [{MAP: 0}]}}\n", find(cell, "flows").Item.Keys},
		// Its keys depend on one another; all of them are asked for in one of the two.
		{"a cell", head + "links: {a: {up: {rate: 0}}}\ncells: {x: {load: 0, MAP: 0}, y: {flows: [{at: 0s, flows: 0}], MAP: 0}}\n", cell},
		{"durations", head + "links: {a: {up: {rate: 0}, outages: [{duration: {MAP: 0}}]}}\n", func() (keys []schema.Key) {
			for _, f := range defs["span"].Forms {
				for _, k := range f.Keys {
					if !slices.ContainsFunc(keys, func(x schema.Key) bool { return x.Name == k.Name }) {
						keys = append(keys, k)
					}
				}
			}
			return keys
		}()},
	}
	for name, key := range map[string]string{"rate": "rate", "time": "delay", "loss": "loss", "probability": "reorder", "factor": "rate"} {
		for _, f := range defs[name].Forms {
			value := "{model: " + f.Model + ", MAP: 0}"
			if name == "factor" {
				value = "{model: product, of: [1Mbit, " + value + "]}"
			}
			if key != "rate" {
				key = "rate: 0, " + strings.TrimPrefix(key, "rate: 0, ")
			}
			keys := append([]schema.Key{{Name: "model"}}, f.Keys...)
			places = append(places, place{name + " " + f.Model, head + "links: {a: {up: {" + key + ": " + value + "}}}\n", keys})
			for _, k := range f.Keys {
				if k.Kind == schema.List && k.Item.Kind == schema.Mapping {
					places = append(places, place{name + " " + f.Model + " item", strings.Replace(head+"links: {a: {up: {"+key+": "+value+"}}}\n", "MAP: 0", k.Name+": [{MAP: 0}]", 1), k.Item.Keys})
				}
			}
		}
	}
	// None of the known keys is near it, so that the message lists them.
	const stranger = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
	listed := regexp.MustCompile(`unknown key "` + stranger + `": known: (.*)`)
	for _, p := range places {
		_, err := Parse("f", []byte(strings.ReplaceAll(p.text, "MAP", stranger)), Options{})
		var e *conf.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", p.what, err)
			continue
		}
		got := make(map[string]bool)
		for _, f := range e.Faults {
			if m := listed.FindStringSubmatch(f.Message); m != nil {
				for _, k := range strings.Split(m[1], ", ") {
					got[k] = true
				}
			}
		}
		for _, k := range p.keys {
			if !got[k.Name] {
				t.Errorf("%s: the parser does not know %s: %v", p.what, k.Name, err)
			}
			delete(got, k.Name)
		}
		for k := range got {
			t.Errorf("%s: the schema lacks %s", p.what, k)
		}
	}
}

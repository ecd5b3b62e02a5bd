package schema_test

import (
	"flag"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/schema"
	"linktape/internal/schema/schematest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// drive describes a small scenario with quantities that are plain values,
// models, or sums of quantities.
func drive() schema.Document {
	quantity := func(name string, kind schema.Kind, example string) schema.Definition {
		const unit = "in the unit of what is driven"
		value := func(name, doc, fallback string) schema.Key {
			return schema.Key{Name: name, Kind: kind, Value: unit, Doc: doc, Default: fallback, Required: fallback == ""}
		}
		return schema.Definition{Name: name, Title: "A " + name, Key: schema.Key{
			Kind: kind, Example: example, Doc: "What drives a " + name + ".",
			Forms: []schema.Form{
				{Title: "`steps`", Model: "steps", Doc: "Values at instants.", Keys: []schema.Key{
					{Name: "steps", Kind: schema.List, Min: 1, Required: true, Doc: "From `0s` on.", Item: &schema.Key{
						Kind: schema.Mapping, Title: "One of the `steps`", Keys: []schema.Key{
							{Name: "at", Kind: schema.Duration, Example: "20s", Required: true},
							value("value", "", ""),
						}}},
					{Name: "repeat", Kind: schema.Duration, Doc: "The period.", Default: "once", Example: "60s"},
				}},
				{Title: "`ou`", Model: "ou", Doc: "Ornstein–Uhlenbeck.", Rules: schema.Rules{
					Apart: [][]string{{"cv", "sigma"}},
					Some:  [][]string{{"cv", "sigma"}},
					Needs: map[string][]string{"noise": {"tau"}},
				}, Keys: []schema.Key{
					value("mean", "", ""),
					{Name: "cv", Kind: schema.Number, Max: 10, Doc: "Standard deviation | mean.", Example: "0.3"},
					value("sigma", "Standard deviation.", "from `cv`"),
					{Name: "tau", Kind: schema.Duration, Example: "5s"},
					{Name: "noise", Kind: schema.Probability, Default: "0"},
					{Name: "drift", Kind: schema.Number, Default: "0"},
					{Name: "power", Kind: schema.Number, Min: 1, Max: math.Inf(1), Default: "1"},
					{Name: "least", Kind: schema.Number, Min: math.Inf(-1), Max: -1, Default: "−1"},
				}},
				{Title: "`sum`", Model: "sum", Doc: "Of quantities.", Keys: []schema.Key{
					{Name: "of", Kind: schema.List, Min: 2, Max: 8, Required: true, Item: &schema.Key{Ref: name, Value: "a quantity of the same kind"}},
				}},
			},
		}}
	}
	length := []schema.Form{
		{Title: "A log-normal length", Keys: []schema.Key{
			{Name: "median", Kind: schema.Duration, Required: true, Example: "8s"},
			{Name: "p90", Kind: schema.Duration, Required: true, Example: "20s"},
		}},
	}
	direction := schema.Key{Kind: schema.Mapping, Title: "One direction", Keys: []schema.Key{
		{Name: "rate", Ref: "rate", Doc: "Of IP packets.", Required: true, Example: "6Mbit"},
		{Name: "delay", Ref: "delay", Default: "0s"},
	}}
	up, down := direction, direction
	up.Name, down.Name = "up", "down"
	return schema.Document{
		Title: "A drive",
		Rules: schema.Rules{Some: [][]string{{"links", "cells"}}},
		Definitions: []schema.Definition{
			quantity("rate", schema.Rate, "6Mbit"),
			quantity("delay", schema.Duration, "35ms"),
			{Name: "burst", Title: "A burst", Key: schema.Key{Kind: schema.Mapping, Rules: schema.Rules{Apart: [][]string{{"size", "time"}}}, Keys: []schema.Key{
				{Name: "size", Kind: schema.Size, Example: "64KB"},
				{Name: "time", Kind: schema.Duration},
			}}},
		},
		Keys: []schema.Key{
			{Name: "drive", Kind: schema.Name, Required: true, Example: "three-links"},
			{Name: "seed", Kind: schema.Seed, Default: "1"},
			{Name: "mode", Kind: schema.Text, Words: []string{"stall", "drop"}, Default: "stall"},
			{Name: "remark", Kind: schema.Text},
			{Name: "device", Kind: schema.Text, Digits: true, Pattern: `^[^/]+$`},
			{Name: "tries", Kind: schema.Integer, Min: 1, Max: 9},
			{Name: "quiet", Kind: schema.Boolean},
			{Name: "burst", Ref: "burst"},
			{Name: "outage", Kind: schema.Duration, Example: "5s", Forms: length, Or: []schema.Key{{Kind: schema.List, Item: &schema.Key{Kind: schema.Duration}}}},
			{Name: "matrix", Kind: schema.List, Item: &schema.Key{Kind: schema.List, Item: &schema.Key{Kind: schema.Number, Min: -1, Max: 1}}},
			{Name: "cells", Kind: schema.Named, Item: &schema.Key{Kind: schema.Queue}, Pattern: `^[a-z]+\.(up|down)$`},
			{Name: "links", Kind: schema.Named, Min: 1, Max: 2, Reserved: []string{"snd"}, Item: &schema.Key{
				Kind: schema.Mapping, Title: "One link", Keys: []schema.Key{up, down}, Rules: schema.Rules{Some: [][]string{{"up", "down"}}},
			}},
		},
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got)\n%s", file, d)
	}
}

func TestJSON(t *testing.T) { golden(t, "testdata/drive.json", string(drive().JSON())) }

// The reference, in which every link leads to a heading and no heading is there
// twice.
func TestReference(t *testing.T) {
	d := drive()
	r := schema.NewReference(d)
	r.Text("# Drives\n")
	r.Section("A drive", d.Keys)
	r.Below(d.Keys)
	text := r.String()
	golden(t, "testdata/drive.md", text)
	anchors := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^##? (.*)$`).FindAllStringSubmatch(text, -1) {
		a := schema.Anchor(m[1])
		if anchors[a] {
			t.Errorf("two headings are #%s", a)
		}
		anchors[a] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 10 {
		t.Errorf("%d links: there are more", len(links))
	}
	for _, m := range links {
		if !anchors[m[1]] {
			t.Errorf("no heading is #%s", m[1])
		}
	}
}

func TestAnchor(t *testing.T) {
	for title, want := range map[string]string{
		"The topology":      "the-topology",
		"`links`: one link": "links-one-link",
		"`loss`: a Gilbert–Elliott chain, once_a packet": "loss-a-gilbertelliott-chain-once_a-packet",
	} {
		if got := schema.Anchor(title); got != want {
			t.Errorf("%s: got %s, want %s", title, got, want)
		}
	}
}

// What the schema takes and refuses, with a part of why.
func TestSchema(t *testing.T) {
	v, err := schematest.NewValidator(drive().JSON())
	if err != nil {
		t.Fatal(err)
	}
	rate := func(s string) string { return "drive: a\nlinks: {a: {up: {rate: " + s + "}}}" }
	delay := func(s string) string { return "drive: a\nlinks: {a: {up: {rate: 0, delay: " + s + "}}}" }
	key := func(s string) string { return "drive: a\nlinks: {a: {up: {rate: 1Mbit}}}\n" + s }
	for _, c := range []struct{ text, want string }{
		{rate("6Mbit"), ""},
		{rate("0"), ""},
		{rate("6"), "none of"},
		{rate("35ms"), "none of"},
		{delay("35ms"), ""},
		{delay("{model: sum, of: [35ms, {model: ou, mean: 5ms, sigma: 2ms}]}"), ""},
		{delay("{model: sum, of: [1ms, {model: sum, of: [1ms, {model: sum, of: [2ms, 3ms]}]}]}"), ""},
		{delay("{model: sum, of: [1ms, {model: sum, of: [1ms, {model: sum, of: [2ms, 3Mbit]}]}]}"), "delay.of.1.of.1.of.1"},
		{delay("{model: sum, of: [1ms]}"), "minItems"},
		{delay("{model: sum, of: [0, 0, 0, 0, 0, 0, 0, 0, 0]}"), "maxItems"},
		{delay("{model: sum}"), "required"},
		{delay("{model: product, of: [1ms, 1ms]}"), "const sum"},
		{delay("{of: [1ms, 1ms]}"), "required [model of]"},
		{rate("{model: steps, steps: [{at: 0s, value: 1Mbit}, {at: 5s, value: 0}], repeat: 1m}"), ""},
		{rate("{model: steps, steps: []}"), "minItems"},
		{rate("{model: steps, steps: [{at: 0s}]}"), "required"},
		{rate("{model: steps, steps: [{at: 0s, value: 1Mbit, x: 1}]}"), "unknown key x"},
		{rate("{model: ou, mean: 1Mbit, cv: 1}"), ""},
		{rate("{model: ou, mean: 1Mbit}"), "required [cv]"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, sigma: 1Mbit}"), "not"},
		{rate("{model: ou, mean: 1Mbit, cv: 11}"), "maximum"},
		{rate("{model: ou, mean: 1Mbit, cv: -1}"), "minimum"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, noise: 0.5}"), "dependentRequired"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, tau: 1s, noise: 50%}"), ""},
		{rate("{model: ou, mean: 1Mbit, cv: 1, tau: 1s, noise: 1.5}"), "none of"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, drift: -1e9, power: 1e9, least: -1e9}"), ""},
		{rate("{model: ou, mean: 1Mbit, cv: 1, power: 0.5}"), "minimum"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, least: 0}"), "maximum"},
		{rate("{model: ou, mean: 1Mbit, cv: 1, drift: 1Mbit}"), "pattern"},
		{key("seed: 18446744073709551615"), ""},
		{key("seed: -1"), "minimum"},
		{key("mode: drop"), ""},
		{key("mode: dorp"), "enum"},
		{key("device: 5"), ""},
		{key("device: a/b"), "pattern"},
		{key("tries: 10"), "maximum"},
		{key("tries: 1.5"), "type"},
		{key("quiet: 1"), "type"},
		{key("burst: {size: 64KB}"), ""},
		{key("burst: {size: 64}"), "type"},
		{key("burst: {size: 64KB, time: 1s}"), "not"},
		{key("outage: 5s"), ""},
		{key("outage: [5s, 7s]"), ""},
		{key("outage: [5s, 7]"), "none of"},
		{key("outage: {median: 8s, p90: 20s}"), ""},
		{key("outage: {median: 8s}"), "required"},
		{key("matrix: [[1, 0.5], [-.5, 1]]"), ""},
		{key("matrix: [[1, 1.5]]"), "matrix.0.1: 1.5: against maximum"},
		{key("cells: {a.up: 300KB, b.down: 1s}"), ""},
		{key("cells: {a: 300KB}"), "cells.a: a: against pattern"},
		{"drive: 5\ncells: {}", ""},
		{"drive: A\ncells: {}", "pattern"},
		{"drive: " + strings.Repeat("a", 33) + "\ncells: {}", "maxLength"},
		{"drive: a", "none of"},
		{"drive: a\nlinks: {}", "minProperties"},
		{"drive: a\nlinks: {a: {up: {rate: 0}}, b: {up: {rate: 0}}, c: {up: {rate: 0}}}", "maxProperties"},
		{"drive: a\nlinks: {snd: {up: {rate: 0}}}", "not"},
		{"drive: a\nlinks: {a: {}}", "none of"},
		{"links: {a: {up: {rate: 0}}}", "required"},
		{"- a", "type"},
	} {
		err := v.YAML("drive", []byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s\n%v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s\ngot %v, want %s", c.text, err, c.want)
		}
	}
}

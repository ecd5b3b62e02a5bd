package schematest_test

import (
	"strings"
	"testing"

	"linktape/internal/schema/schematest"
)

// Each word of a schema by a value that it takes and one that it refuses.
func TestWords(t *testing.T) {
	for _, c := range []struct{ schema, good, bad string }{
		{`{"type": "string"}`, "a", "1"},
		{`{"type": "integer"}`, "1", "1.5"},
		{`{"type": "number"}`, "1", "a"},
		{`{"type": "number"}`, "1.5", "true"},
		{`{"type": ["string", "boolean"]}`, "true", "1"},
		{`{"type": "object"}`, "{}", "[]"},
		{`{"type": "array"}`, "[]", "{}"},
		{`{"type": "null"}`, "null", "0"},
		{`{"enum": ["a", 1]}`, "1", "b"},
		{`{"const": "a"}`, "a", "b"},
		{`{"pattern": "^a+$"}`, "aa", "ab"},
		{`{"maxLength": 2}`, "üü", "aaa"},
		{`{"minimum": 1}`, "1", "0.5"},
		{`{"maximum": 1}`, "1", "1.5"},
		{`{"minProperties": 1}`, "{a: 1}", "{}"},
		{`{"maxProperties": 1}`, "{a: 1}", "{a: 1, b: 1}"},
		{`{"minItems": 1}`, "[1]", "[]"},
		{`{"maxItems": 1}`, "[1]", "[1, 2]"},
		{`{"required": ["a"]}`, "{a: 1}", "{b: 1}"},
		{`{"dependentRequired": {"a": ["b"]}}`, "{a: 1, b: 1}", "{a: 1}"},
		{`{"not": {"const": "a"}}`, "b", "a"},
		{`{"allOf": [{"minimum": 1}, {"maximum": 2}]}`, "1.5", "3"},
		{`{"anyOf": [{"const": 1}, {"const": 2}]}`, "2", "3"},
		{`{"items": {"type": "string"}}`, "[a, b]", "[a, 1]"},
		{`{"propertyNames": {"maxLength": 1}}`, "{a: 1}", "{ab: 1}"},
		{`{"properties": {"a": {"const": 1}}, "additionalProperties": false}`, "{a: 1}", "{a: 2}"},
		{`{"properties": {"a": {"const": 1}}, "additionalProperties": false}`, "{}", "{b: 1}"},
		{`{"additionalProperties": {"const": 1}}`, "{a: 1}", "{a: 2}"},
		{`{"$defs": {"n": {"anyOf": [{"const": 1}, {"type": "array", "items": {"$ref": "#/$defs/n"}}]}}, "$ref": "#/$defs/n"}`, "[1, [1, [1]]]", "[1, [1, [2]]]"},
	} {
		v, err := schematest.NewValidator([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if err := v.YAML("good", []byte(c.good)); err != nil {
			t.Errorf("%s: %v", c.schema, err)
		}
		if err := v.YAML("bad", []byte(c.bad)); err == nil {
			t.Errorf("%s takes %s", c.schema, c.bad)
		}
	}
}

// A schema that cannot be checked against is refused.
func TestNewValidator(t *testing.T) {
	for schema, want := range map[string]string{
		`{`:                "read schema",
		`{"minimun": 1}`:   "#/minimun: unknown word",
		`{"pattern": "["}`: "#/pattern",
		`{"properties": {"a": {"$ref": "#/$defs/b"}}}`:                "#/properties/a/$ref: no definition #/$defs/b",
		`{"anyOf": [{}, {"items": {"oneOf": []}}]}`:                   "#/anyOf/1/items/oneOf: unknown word",
		`{"$defs": {"a": {"not": 5}}, "additionalProperties": false}`: "#/$defs/a/not: 5 is no schema",
	} {
		if _, err := schematest.NewValidator([]byte(schema)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", schema, err, want)
		}
	}
}

// A file that is not YAML is refused with its name.
func TestSyntax(t *testing.T) {
	v, err := schematest.NewValidator([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.YAML("x.yaml", []byte("a: [")); err == nil || !strings.HasPrefix(err.Error(), "x.yaml: ") {
		t.Errorf("got %v", err)
	}
}

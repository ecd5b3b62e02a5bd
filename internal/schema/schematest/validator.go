package schematest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

type object = map[string]any

// Validator holds a JSON Schema to check files against. It knows the words that
// package schema uses and refuses any other, so that none is passed over in
// silence.
type Validator struct {
	root object
	defs object
}

// NewValidator reads a JSON Schema. A reference to a definition that is not
// there, a pattern that does not read and an unknown word are errors.
func NewValidator(document []byte) (*Validator, error) {
	v := &Validator{}
	if err := json.Unmarshal(document, &v.root); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	v.defs, _ = v.root["$defs"].(object)
	if err := v.check(v.root, "#"); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return v, nil
}

// check looks at every schema within a schema.
func (v *Validator) check(s object, at string) error {
	var errs []error
	sub := func(x any, at string) {
		switch x := x.(type) {
		case object:
			errs = append(errs, v.check(x, at))
		case bool:
		default:
			errs = append(errs, fmt.Errorf("%s: %v is no schema", at, x))
		}
	}
	for _, word := range slices.Sorted(maps.Keys(s)) {
		x, at := s[word], at+"/"+word
		switch word {
		case "$schema", "title", "description", "type", "enum", "const", "minimum", "maximum", "maxLength",
			"minProperties", "maxProperties", "minItems", "maxItems", "required", "dependentRequired":
		case "pattern":
			text, _ := x.(string)
			if _, err := regexp.Compile(text); err != nil || text == "" {
				errs = append(errs, fmt.Errorf("%s: %q: %w", at, text, err))
			}
		case "$ref":
			if _, err := v.resolve(x); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		case "$defs", "properties":
			m, _ := x.(object)
			for _, k := range slices.Sorted(maps.Keys(m)) {
				sub(m[k], at+"/"+k)
			}
		case "not", "items", "propertyNames", "additionalProperties":
			sub(x, at)
		case "allOf", "anyOf":
			for i, one := range list(x) {
				sub(one, fmt.Sprintf("%s/%d", at, i))
			}
		default:
			errs = append(errs, fmt.Errorf("%s: unknown word", at))
		}
	}
	return errors.Join(errs...)
}

// resolve finds what a $ref names.
func (v *Validator) resolve(ref any) (object, error) {
	name, _ := strings.CutPrefix(fmt.Sprint(ref), "#/$defs/")
	if def, ok := v.defs[name].(object); ok {
		return def, nil
	}
	return nil, fmt.Errorf("no definition %v", ref)
}

// YAML checks a YAML file, called name in the error. The error says the first
// place where the file is not what the schema asks for.
func (v *Validator) YAML(name string, data []byte) error {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b, err := json.Marshal(value) // values as encoding/json has them
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return v.validate(v.root, plain, name)
}

func list(x any) []any {
	out, _ := x.([]any)
	return out
}

// within reports whether a count or a value is on the right side of a bound.
func within(n float64, bound any, least bool) bool {
	b, ok := bound.(float64)
	return ok && (least && n >= b || !least && n <= b)
}

// validate checks a value, which at names, against a schema.
func (v *Validator) validate(schema object, value any, at string) error {
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		if err := v.word(schema, word, value, at); err != nil {
			return err
		}
	}
	return nil
}

// word checks a value against one word of a schema.
func (v *Validator) word(schema object, word string, value any, at string) error {
	x := schema[word]
	text, isText := value.(string)
	number, isNumber := value.(float64)
	m, isObject := value.(object)
	items, isList := value.([]any)
	ok := true
	switch word {
	case "$schema", "$defs", "title", "description", "properties": // properties: see additionalProperties
	case "$ref":
		def, err := v.resolve(x)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		return v.validate(def, value, at)
	case "type":
		types := list(x)
		if types == nil {
			types = []any{x}
		}
		is := typeOf(value)
		ok = slices.ContainsFunc(types, func(t any) bool { return t == is || t == "number" && is == "integer" })
	case "enum":
		ok = slices.ContainsFunc(list(x), func(e any) bool { return reflect.DeepEqual(e, value) })
	case "const":
		ok = reflect.DeepEqual(x, value)
	case "pattern":
		ok = !isText || regexp.MustCompile(x.(string)).MatchString(text)
	case "maxLength":
		ok = !isText || within(float64(len([]rune(text))), x, false)
	case "minimum", "maximum":
		ok = !isNumber || within(number, x, word == "minimum")
	case "minProperties", "maxProperties":
		ok = !isObject || within(float64(len(m)), x, word == "minProperties")
	case "minItems", "maxItems":
		ok = !isList || within(float64(len(items)), x, word == "minItems")
	case "required":
		for _, k := range list(x) {
			_, there := m[k.(string)]
			ok = ok && (!isObject || there)
		}
	case "dependentRequired":
		for k, needs := range x.(object) {
			_, has := m[k]
			for _, n := range list(needs) {
				_, there := m[n.(string)]
				ok = ok && (!has || there)
			}
		}
	case "not":
		ok = v.validate(x.(object), value, at) != nil
	case "allOf":
		for _, s := range list(x) {
			if err := v.validate(s.(object), value, at); err != nil {
				return err
			}
		}
	case "anyOf":
		var errs []string
		for _, s := range list(x) {
			err := v.validate(s.(object), value, at)
			if err == nil {
				return nil
			}
			errs = append(errs, err.Error())
		}
		return fmt.Errorf("%s: none of: %s", at, strings.Join(errs, "; "))
	case "items":
		for i, item := range items {
			if err := v.validate(x.(object), item, fmt.Sprintf("%s.%d", at, i)); err != nil {
				return err
			}
		}
	case "propertyNames":
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if err := v.validate(x.(object), k, at+"."+k); err != nil {
				return err
			}
		}
	case "additionalProperties":
		known, _ := schema["properties"].(object)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			s, listed := known[k].(object)
			if !listed {
				if s, listed = x.(object); !listed {
					return fmt.Errorf("%s: unknown key %s", at, k)
				}
			}
			if err := v.validate(s, m[k], at+"."+k); err != nil {
				return err
			}
		}
	default: // NewValidator has refused it
		ok = false
	}
	if !ok {
		return fmt.Errorf("%s: %v: against %s %v", at, value, word, x)
	}
	return nil
}

// typeOf is JSON Schema's type of a value.
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
	case object:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
	}
	return "number"
}

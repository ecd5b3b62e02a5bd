package schema

import (
	"encoding/json"
	"math"
)

type object = map[string]any

// JSON returns the document as a JSON Schema, draft 2020-12.
func (d Document) JSON() []byte {
	s := mapping(d.Keys, d.Rules)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = d.Title
	if len(d.Definitions) > 0 {
		defs := object{}
		for _, def := range d.Definitions {
			defs[def.Name] = def.Key.schema()
		}
		s["$defs"] = defs
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // a bound that is no number: it holds nothing else but maps and texts
	}
	return append(out, '\n')
}

// schema returns the JSON Schema of the key's value.
func (k Key) schema() object {
	s := object{}
	switch {
	case k.Ref != "":
		s["$ref"] = "#/$defs/" + k.Ref
	case len(k.Forms) > 0 || len(k.Or) > 0:
		var anyOf []any
		if k.Kind != Forms {
			anyOf = append(anyOf, k.plain())
		}
		for _, o := range k.Or {
			anyOf = append(anyOf, o.schema())
		}
		for _, f := range k.Forms {
			anyOf = append(anyOf, f.schema())
		}
		s["anyOf"] = anyOf
	default:
		s = k.plain()
	}
	if k.Doc != "" || len(k.Forms) > 0 {
		s["description"] = k.Doc
	}
	return s
}

// schema returns the JSON Schema of a form. The word of its model is a const,
// by which editors know the form and which they complete.
func (f Form) schema() object {
	s := mapping(f.Keys, f.Rules)
	if f.Doc != "" {
		s["description"] = f.Doc
	}
	if f.Model != "" {
		s["properties"].(object)["model"] = object{"const": f.Model}
		required, _ := s["required"].([]string)
		s["required"] = append([]string{"model"}, required...)
	}
	return s
}

// plain is the schema of a value of the key's kind.
func (k Key) plain() object {
	zero := object{"type": "integer", "enum": []int{0}}
	s := object{}
	switch k.Kind {
	case Text:
		if s["type"] = "string"; k.Words != nil {
			s["enum"] = k.Words
		} else if k.Digits {
			s["type"] = []string{"string", "integer"}
		}
		if k.Pattern != "" {
			s["pattern"] = k.Pattern
		}
	case Name:
		s["type"], s["pattern"], s["maxLength"] = []string{"string", "number"}, PatternName, maxName
	case Boolean:
		s["type"] = "boolean"
	case Integer:
		s["type"], s["minimum"], s["maximum"] = "integer", k.Min, k.Max
	case Seed:
		s["type"], s["minimum"] = "integer", 0
	case Number:
		s["type"], s["pattern"] = []string{"number", "string"}, patternExponent
		if k.Min == 0 && k.Max == 0 {
			break
		}
		if !math.IsInf(k.Min, -1) {
			s["minimum"] = k.Min
		}
		if !math.IsInf(k.Max, 1) {
			s["maximum"] = k.Max
		}
	case Probability:
		s["anyOf"] = []any{
			object{"type": "string", "pattern": PatternShare},
			object{"type": []string{"number", "integer"}, "minimum": 0, "maximum": 1},
		}
	case Size:
		s["type"], s["pattern"] = "string", PatternSize
	case Rate:
		s["anyOf"] = []any{object{"type": "string", "pattern": PatternRate}, zero}
	case Duration:
		s["anyOf"] = []any{object{"type": "string", "pattern": PatternDuration}, zero}
	case Queue:
		s["type"], s["pattern"] = "string", PatternDuration+"|"+PatternSize
	case Mapping:
		s = mapping(k.Keys, k.Rules)
	case Named:
		names := object{"pattern": k.Pattern}
		if k.Pattern == "" {
			names = object{"pattern": PatternName, "maxLength": maxName}
		}
		if k.Reserved != nil {
			names["not"] = object{"enum": k.Reserved}
		}
		s["type"], s["propertyNames"], s["additionalProperties"] = "object", names, k.Item.schema()
		k.bound(s, "minProperties", "maxProperties")
	case List:
		s["type"], s["items"] = "array", k.Item.schema()
		k.bound(s, "minItems", "maxItems")
	default:
		panic("schema: key " + k.Name + ": unknown kind " + string(k.Kind))
	}
	return s
}

// bound writes how many things there may be.
func (k Key) bound(s object, least, most string) {
	if k.Min > 0 {
		s[least] = k.Min
	}
	if k.Max > 0 {
		s[most] = k.Max
	}
}

// mapping is the schema of a mapping.
func mapping(keys []Key, rules Rules) object {
	properties, required := object{}, []string{}
	for _, k := range keys {
		properties[k.Name] = k.schema()
		if k.Required {
			required = append(required, k.Name)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if len(rules.Needs) > 0 {
		s["dependentRequired"] = rules.Needs
	}
	var all []any
	for _, group := range rules.Apart {
		for i, a := range group {
			for _, b := range group[:i] {
				all = append(all, object{"not": object{"required": []string{b, a}}})
			}
		}
	}
	for _, group := range rules.Some {
		var anyOf []any
		for _, k := range group {
			anyOf = append(anyOf, object{"required": []string{k}})
		}
		all = append(all, object{"anyOf": anyOf})
	}
	if all != nil {
		s["allOf"] = all
	}
	return s
}

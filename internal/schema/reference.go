package schema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Reference collects a reference in Markdown: text and sections with a table
// each. A section with a title that has been written already is left out, so
// that what several keys share stands there once.
type Reference struct {
	defs    map[string]Definition
	written map[string]bool
	b       strings.Builder
}

// NewReference starts the reference of a document.
func NewReference(d Document) *Reference {
	r := &Reference{defs: make(map[string]Definition), written: make(map[string]bool)}
	for _, def := range d.Definitions {
		r.defs[def.Name] = def
	}
	return r
}

// String returns the reference so far.
func (r *Reference) String() string { return r.b.String() }

// Text adds text as it is.
func (r *Reference) Text(markdown string) { r.b.WriteString(markdown) }

// heading begins a section, unless it is there.
func (r *Reference) heading(title, doc string) bool {
	if r.written[title] {
		return false
	}
	r.written[title] = true
	fmt.Fprintf(&r.b, "\n## %s\n", title)
	if doc != "" {
		fmt.Fprintf(&r.b, "\n%s\n", doc)
	}
	return true
}

// Section adds a section with a table of keys.
func (r *Reference) Section(title string, keys []Key) {
	if r.heading(title, "") {
		r.table(keys)
	}
}

func (r *Reference) table(keys []Key) {
	r.b.WriteString("\n| key | value | without it | |\n|---|---|---|---|\n")
	for _, k := range keys {
		fallback := k.Default
		if k.Required {
			fallback = "an error"
		}
		fmt.Fprintf(&r.b, "| `%s` | %s | %s | %s |\n", k.Name, cell(r.value(k)), cell(fallback), cell(k.Doc))
	}
}

// Below adds the sections of everything below the keys that has a title:
// mappings, forms and definitions, each followed by what is below it.
func (r *Reference) Below(keys []Key) {
	for _, k := range keys {
		r.below(k)
	}
}

func (r *Reference) below(k Key) {
	if k.Ref != "" {
		r.definition(r.def(k.Ref))
		return
	}
	if k.Item != nil {
		r.below(*k.Item)
	}
	if k.Kind == Mapping && (k.Title == "" || r.mapping(k.Title, k.Doc, k.Keys, k.Rules)) {
		r.Below(k.Keys)
	}
	for _, o := range k.Or {
		r.below(o)
	}
	for _, f := range k.Forms {
		if f.Title == "" || r.mapping(f.Title, f.Doc, f.keys(), f.Rules) {
			r.Below(f.Keys)
		}
	}
}

func (r *Reference) mapping(title, doc string, keys []Key, rules Rules) bool {
	if !r.heading(title, doc) {
		return false
	}
	r.table(keys)
	if text := rules.String(); text != "" {
		fmt.Fprintf(&r.b, "\n%s\n", text)
	}
	return true
}

// definition adds the section of a definition: what may be written, the models,
// and what is below.
func (r *Reference) definition(d Definition) {
	if !r.heading(d.Title, d.Key.Doc) {
		return
	}
	k := d.Key
	if k.Kind == Mapping {
		r.table(k.Keys)
		if text := k.Rules.String(); text != "" {
			fmt.Fprintf(&r.b, "\n%s\n", text)
		}
	} else {
		value := r.value(k)
		fmt.Fprintf(&r.b, "\n%s.\n", strings.ToUpper(value[:1])+value[1:])
	}
	header := "\n| `model` | |\n|---|---|\n"
	for _, f := range k.Forms {
		if f.Model != "" {
			fmt.Fprintf(&r.b, "%s| %s | %s |\n", header, link("`"+f.Model+"`", f.Title), cell(f.Doc))
			header = ""
		}
	}
	k.Title = "" // its table is written
	r.below(k)
}

func (r *Reference) def(name string) Definition {
	d, ok := r.defs[name]
	if !ok {
		panic("schema: no definition " + name)
	}
	return d
}

// value is what may be written, for people.
func (r *Reference) value(k Key) string {
	example := func(s string) string {
		if k.Example == "" {
			return s
		}
		return s + ", such as `" + k.Example + "`"
	}
	var parts []string
	if k.Value != "" {
		parts = append(parts, k.Value)
	} else if k.Ref != "" {
		parts = append(parts, example(link(k.Ref, r.def(k.Ref).Title)))
	} else if k.Kind != Forms {
		parts = append(parts, r.plain(k, example))
	}
	for _, o := range k.Or {
		parts = append(parts, r.value(o))
	}
	var models []string
	below := false
	for _, f := range k.Forms {
		switch {
		case f.Model != "":
			models = append(models, link("`"+f.Model+"`", f.Title))
		default:
			below = true
		}
	}
	if models != nil {
		parts = append(parts, "keys by `model`: "+strings.Join(models, ", "))
	}
	if below {
		parts = append(parts, "keys below")
	}
	return strings.Join(parts, "; or ")
}

func (r *Reference) plain(k Key, example func(string) string) string {
	switch k.Kind {
	case Text:
		switch {
		case k.Words != nil:
			return "`" + strings.Join(k.Words, "`, `") + "`"
		case k.Example != "":
			return "`" + k.Example + "`"
		}
		return "a text"
	case Boolean:
		return "true or false"
	case Integer:
		return example(decimal(k.Min) + " to " + decimal(k.Max))
	case Seed:
		return example("a whole number")
	case Number:
		low, high := !math.IsInf(k.Min, -1), !math.IsInf(k.Max, 1)
		switch {
		case k.Min == 0 && k.Max == 0 || !low && !high:
			return example("a number")
		case !high:
			return example("a number from " + decimal(k.Min))
		case !low:
			return example("a number up to " + decimal(k.Max))
		}
		return example(decimal(k.Min) + " to " + decimal(k.Max))
	case Probability:
		if k.Example == "" {
			return "0 to 1, or a percentage"
		}
		return "0 to 1, or a percentage such as `" + k.Example + "`"
	case Queue:
		if k.Example == "" {
			return "a size or a duration"
		}
		return "a size such as `300KB`, or a duration such as `" + k.Example + "`"
	case Mapping:
		if k.Title != "" {
			return link("keys", k.Title)
		}
		return "keys below"
	case Named:
		return example("a name and " + r.value(*k.Item) + " for each")
	case List:
		each := r.value(*k.Item)
		if strings.HasPrefix(each, "keys ") || strings.HasPrefix(each, "[keys]") {
			each = "with " + each
		}
		count := ""
		switch {
		case k.Min > 0 && k.Max > 0:
			count = " of " + decimal(k.Min) + " to " + decimal(k.Max)
		case k.Min > 0:
			count = " of " + decimal(k.Min) + " or more"
		case k.Max > 0:
			count = " of up to " + decimal(k.Max)
		}
		return example("a list" + count + ", each " + each)
	}
	return example("a " + string(k.Kind)) // name, rate, duration, size
}

// decimal writes a bound without an exponent.
func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// cell is text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// link leads to the section with the title; without one it is the text alone.
func link(text, title string) string {
	if title == "" {
		return text
	}
	return "[" + text + "](#" + Anchor(title) + ")"
}

// Anchor is how GitHub names the heading with this title in an address.
func Anchor(title string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsLetter(c), unicode.IsDigit(c), c == '-', c == '_':
			return unicode.ToLower(c)
		case c == ' ':
			return '-'
		}
		return -1
	}, title)
}

// String says the rules in sentences.
func (r Rules) String() string {
	var out []string
	for _, group := range r.Apart {
		text := "At most one of " + and(group) + "."
		for i, some := range r.Some {
			if fmt.Sprint(some) == fmt.Sprint(group) {
				text = "Exactly one of " + and(group) + "."
				r.Some = append(r.Some[:i:i], r.Some[i+1:]...)
				break
			}
		}
		out = append(out, text)
	}
	for _, group := range r.Some {
		out = append(out, "At least one of "+and(group)+".")
	}
	for _, k := range slices.Sorted(maps.Keys(r.Needs)) {
		out = append(out, "`"+k+"` needs "+and(r.Needs[k])+".")
	}
	return strings.Join(out, " ")
}

// and joins names of keys.
func and(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + n + "`"
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " and " + quoted[last]
}

package schema

import "linktape/trace"

// Kind is what a value is, apart from the mappings ([Form]) that may stand in
// its place.
type Kind string

// The kinds of values.
const (
	Text        Kind = "text"        // one of Words where there are any, else what Pattern matches
	Name        Kind = "name"        // of a link, run or scenario: trace.CheckName
	Boolean     Kind = "boolean"     //
	Integer     Kind = "integer"     // from Min to Max
	Seed        Kind = "seed"        // an integer from 0 to 2⁶⁴−1
	Number      Kind = "number"      // from Min to Max; any where both are 0
	Probability Kind = "probability" // 0 to 1, or a percentage
	Rate        Kind = "rate"        // 6Mbit, or 0
	Duration    Kind = "duration"    // 100ms, or 0
	Size        Kind = "size"        // 64KB
	Queue       Kind = "queue"       // a size or a duration
	Mapping     Kind = "mapping"     // of Keys
	Named       Kind = "named"       // a mapping of Min to Max names that the file chooses, to an Item each
	List        Kind = "list"        // of Min to Max Items
	Forms       Kind = ""            // nothing but Forms and Or
)

// Key describes a key and its value, or a value without a key: an item of a list.
type Key struct {
	Name     string
	Kind     Kind
	Doc      string
	Default  string // what holds without the key, in the reference
	Example  string
	Value    string // what may be written, in the reference; empty: the kind says it
	Required bool

	Words    []string // all that a text may be
	Pattern  string   // of a text, or of the names of a Named; by default a Named has names as in trace.CheckName
	Digits   bool     // a text may be of digits alone, which YAML reads as a number
	Reserved []string // no names of a Named
	// Bounds of a number, or of how many things a Named or a List has. Max 0 is
	// no bound for those two; ±Inf is none for a Number.
	Min, Max float64

	Item *Key // of a List or Named

	Title string // heading of the reference's section with the mapping's keys; empty: it is none by itself
	Keys  []Key  // of a Mapping
	Rules        // of a Mapping

	Forms []Form // mappings that may stand in place of the value
	Or    []Key  // other values that may
	Ref   string // a Definition by its name, in place of Kind and all that describes a value
}

// Form is a mapping that may stand in place of a value.
type Form struct {
	Title string // heading of its section in the reference
	Model string // the word of its key model, which tells forms apart; empty: it has no such key
	Doc   string
	Keys  []Key // beside model
	Rules
}

// Rules say which keys of a mapping go together.
type Rules struct {
	Apart [][]string          // of each group one key at most may be there
	Some  [][]string          // of each group one at least must be
	Needs map[string][]string // keys that need others
}

// Definition is a value that several keys refer to ([Key].Ref), also from
// within itself.
type Definition struct {
	Name  string
	Title string // heading of its section in the reference
	Key   Key    // without Name; its Doc opens the section
}

// Document describes a file.
type Document struct {
	Title string // of the JSON Schema
	Keys  []Key
	Rules
	Definitions []Definition
}

// Patterns of values. They are a little wider than what the parser takes, save
// that units are written as the documents do: the parser does not mind case.
const (
	PatternName     = `^[a-z0-9][a-z0-9-]*$`
	PatternDuration = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)([0-9.]+(ns|us|µs|ms|s|m|h))*$|^0$`
	PatternRate     = `^[0-9.]+ ?(bit|kbit|Mbit|Gbit)$|^0$`
	PatternShare    = `^[0-9.]+([eE][-+]?[0-9]+)? ?%?$`
	PatternSize     = `^[0-9.]+ ?(B|KB|MB|GB|KiB|MiB|GiB)$`
)

// patternExponent is of numbers that some readers of YAML take for texts.
const patternExponent = `^[-+]?[0-9.]+[eE][-+]?[0-9]+$`

// maxName is the longest name, in bytes.
const maxName = trace.MaxName

// modelKey is the key of a form's word.
func (f Form) modelKey() Key {
	return Key{Name: "model", Kind: Text, Words: []string{f.Model}, Required: true}
}

// keys returns all keys of a form.
func (f Form) keys() []Key {
	if f.Model == "" {
		return f.Keys
	}
	return append([]Key{f.modelKey()}, f.Keys...)
}

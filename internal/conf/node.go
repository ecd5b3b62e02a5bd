package conf

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"linktape/trace"
	"linktape/trace/suggest"
)

// Doc is one parsed file with the faults that its decoder found.
type Doc struct {
	root   *node
	faults []Fault

	text     string // the file with the overrides in it
	textRoot *node  // the tree of text, whose positions are in text; nil before the first override
	set      []string
}

// Root returns the document's value.
func (d *Doc) Root() Node { return Node{d, d.root} }

// Err returns the recorded faults as an [*Error], nil when there are none.
func (d *Doc) Err() error {
	if len(d.faults) == 0 {
		return nil
	}
	return &Error{sortFaults(d.faults)}
}

// Node is one value of a document. The zero Node is absent.
type Node struct {
	doc *Doc
	n   *node
}

// Present reports whether the node is there.
func (n Node) Present() bool { return n.n != nil }

// IsMap reports whether the node is a mapping.
func (n Node) IsMap() bool { return n.n != nil && n.n.kind == kindMap }

// IsList reports whether the node is a list.
func (n Node) IsList() bool { return n.n != nil && n.n.kind == kindList }

// Failed reports whether a fault was recorded at this node; true for an absent
// node too. A decoder that compares values checks it first.
func (n Node) Failed() bool { return n.n == nil || n.n.failed }

// Line returns the node's line, from 1.
func (n Node) Line() int {
	if n.n == nil {
		return 0
	}
	return n.n.at.line
}

// Errorf records a fault at the node, unless it has one already.
func (n Node) Errorf(format string, args ...any) {
	if n.n == nil || n.n.failed {
		return
	}
	n.n.failed = true
	src := n.n.src
	if len(n.doc.faults) >= maxExcerpts { // more are counted, not shown
		src = &source{name: src.name, inline: src.inline}
	}
	n.doc.faults = append(n.doc.faults, src.fault(n.n.at, fmt.Sprintf(format, args...)))
}

// Map returns the node as a mapping. Anything else is a fault, and gives a
// mapping that is empty and reports nothing.
func (n Node) Map() *Map {
	if n.n != nil && n.n.kind != kindMap {
		n.Errorf("write a mapping, key: value, not %s", n.n.describe())
		return &Map{}
	}
	return &Map{node: n}
}

// List returns the elements of a list. Anything else is a fault.
func (n Node) List() []Node {
	if n.n == nil {
		return nil
	}
	if n.n.kind != kindList {
		n.Errorf("write a list, [a, b, …], not %s", n.n.describe())
		return nil
	}
	out := make([]Node, len(n.n.values))
	for i, v := range n.n.values {
		out[i] = Node{n.doc, v}
	}
	return out
}

// scalar returns the text of a scalar; what names the wanted value.
func (n Node) scalar(what string) (string, bool) {
	switch {
	case n.n == nil || n.n.failed:
		return "", false
	case n.n.kind == kindNull:
		n.Errorf("the value is missing: write %s", what)
		return "", false
	case n.n.kind != kindScalar:
		n.Errorf("write %s, not %s", what, n.n.describe())
		return "", false
	}
	return n.n.text, true
}

// number returns the text of an unquoted scalar.
func (n Node) number(what string) (string, bool) {
	s, ok := n.scalar(what)
	if ok && n.n.quoted {
		n.Errorf("write %s, without the quotes", what)
		return "", false
	}
	return s, ok
}

// String returns a scalar's text as written; numbers and true or false are text
// too. An empty value is a fault.
func (n Node) String() string {
	s, _ := n.scalar("a text")
	return s
}

// Int returns a decimal integer.
func (n Node) Int() int64 {
	const what = "an integer, such as 3"
	s, ok := n.number(what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n.Errorf("write %s, not %s", what, n.n.describe())
		return 0
	}
	return v
}

// Uint64 returns a decimal integer from 0 to 2⁶⁴−1.
func (n Node) Uint64() uint64 {
	const what = "an integer from 0 to 18446744073709551615"
	s, ok := n.number(what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		n.Errorf("write %s, not %s", what, n.n.describe())
		return 0
	}
	return v
}

// Float returns a finite number.
func (n Node) Float() float64 {
	const what = "a number, such as 0.5"
	s, ok := n.number(what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		n.Errorf("write %s, not %s", what, n.n.describe())
		return 0
	}
	return v
}

// Bool returns true or false.
func (n Node) Bool() bool {
	s, ok := n.number("true or false")
	if ok && s != "true" && s != "false" {
		n.Errorf("write true or false, not %s", n.n.describe())
	}
	return s == "true"
}

// Duration returns a duration ≥ 0 in Go's syntax, such as 100ms or 1.5s; 0
// needs no unit.
func (n Node) Duration() time.Duration {
	s, ok := n.scalar("a duration, such as 100ms")
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		n.Errorf("duration %q: write a number with ns, us, ms, s, m or h, such as 100ms or 1.5s", s)
		return 0
	case d < 0:
		n.Errorf("duration %q: negative: write 0s or more", s)
		return 0
	}
	return d
}

// Rate returns a rate such as 6Mbit; 0 needs no unit.
func (n Node) Rate() trace.BitRate {
	return parsed(n, "a rate, such as 6Mbit", trace.ParseBitRate)
}

// Bytes returns a size in bytes, such as 64KB.
func (n Node) Bytes() int64 {
	return parsed(n, "a size, such as 64KB", trace.ParseBytes)
}

// Prob returns a probability such as 0.02 or 2%.
func (n Node) Prob() trace.Prob {
	return parsed(n, "a probability, such as 0.02 or 2%", trace.ParseProb)
}

// Name returns the name of a link, run or scenario; see [trace.CheckName].
func (n Node) Name() string {
	return parsed(n, "a name", func(s string) (string, error) { return s, trace.CheckName(s) })
}

// OneOf returns a text that is one of the words.
func (n Node) OneOf(words ...string) string {
	s, ok := n.scalar("one of " + suggest.List(words))
	if !ok {
		return ""
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	if near := suggest.Nearest(s, words); near != "" {
		n.Errorf("unknown %q: did you mean %q? One of %s", s, near, suggest.List(words))
	} else {
		n.Errorf("unknown %q: write one of %s", s, suggest.List(words))
	}
	return ""
}

func parsed[T any](n Node, what string, parse func(string) (T, error)) T {
	var zero T
	s, ok := n.scalar(what)
	if !ok {
		return zero
	}
	v, err := parse(s)
	if err != nil {
		n.Errorf("%v", err)
		return zero
	}
	return v
}

// Map is a mapping whose known keys are those that were asked for.
type Map struct {
	node  Node
	known []string
}

// Node returns the mapping's node; absent after a fault.
func (m *Map) Node() Node { return m.node }

// Get returns the value of an optional key.
func (m *Map) Get(key string) (Node, bool) {
	m.know(key)
	if m.node.n == nil {
		return Node{}, false
	}
	i, ok := m.node.n.child(key)
	if !ok {
		return Node{}, false
	}
	return Node{m.node.doc, m.node.n.values[i]}, true
}

// Require returns the value of a key that must be there.
func (m *Map) Require(key string) Node {
	n, ok := m.Get(key)
	if !ok && m.node.n != nil {
		// Each missing key is a fault of its own, at the mapping.
		failed := m.node.n.failed
		m.node.n.failed = false
		m.node.Errorf("key %q is missing: add %s: …", key, key)
		m.node.n.failed = failed
	}
	return n
}

// Key returns the node of a key, for faults about the key itself.
func (m *Map) Key(key string) Node {
	if m.node.n == nil {
		return Node{}
	}
	if i, ok := m.node.n.child(key); ok {
		return Node{m.node.doc, m.node.n.keys[i]}
	}
	return Node{}
}

// Each calls f for every key in the file's order. All keys become known.
func (m *Map) Each(f func(key, value Node)) {
	if m.node.n == nil {
		return
	}
	for i, k := range m.node.n.keys {
		m.know(k.text)
		f(Node{m.node.doc, k}, Node{m.node.doc, m.node.n.values[i]})
	}
}

// Len returns the number of keys.
func (m *Map) Len() int {
	if m.node.n == nil {
		return 0
	}
	return len(m.node.n.keys)
}

// Done records a fault for every key that was not asked for.
func (m *Map) Done() {
	if m.node.n == nil {
		return
	}
	for _, k := range m.node.n.keys {
		known := false
		for _, name := range m.known {
			known = known || name == k.text
		}
		if !known {
			Node{m.node.doc, k}.Errorf("unknown key %q: %s", k.text, suggest.Among(k.text, m.known))
		}
	}
}

func (m *Map) know(key string) {
	for _, k := range m.known {
		if k == key {
			return
		}
	}
	m.known = append(m.known, key)
}

package conf

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file.
const (
	MaxBytes = 4 << 20 // size of a file
	MaxDepth = 64      // nesting
	MaxKeys  = 1024    // keys of one mapping that is not in braces (its parser takes quadratic time)
)

type kind uint8

const (
	kindNull kind = iota
	kindScalar
	kindMap
	kindList
)

// node is one value of a document. It is ours, not the YAML library's, so that
// overrides can replace it and positions stay with it.
type node struct {
	kind   kind
	src    *source
	at     pos
	end    pos    // of the closing bracket of a flow mapping or list
	flow   bool   // in braces or brackets
	quoted bool   // a quoted or block scalar
	text   string // a scalar's text
	raw    string // a scalar as written
	keys   []*node
	values []*node // of a mapping (with keys) or a list
	failed bool    // a fault was recorded
}

func (n *node) child(key string) (int, bool) {
	for i, k := range n.keys {
		if k.text == key {
			return i, true
		}
	}
	return 0, false
}

func (n *node) keyNames() []string {
	var out []string
	for _, k := range n.keys {
		out = append(out, k.text)
	}
	return out
}

// sameTree reports whether two trees hold the same values.
func sameTree(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || a.quoted != b.quoted ||
		len(a.keys) != len(b.keys) || len(a.values) != len(b.values) {
		return false
	}
	for i := range a.keys {
		if a.keys[i].text != b.keys[i].text {
			return false
		}
	}
	for i := range a.values {
		if !sameTree(a.values[i], b.values[i]) {
			return false
		}
	}
	return true
}

// describe names the kind of a value, for messages.
func (n *node) describe() string {
	switch n.kind {
	case kindMap:
		return "a mapping"
	case kindList:
		return "a list"
	case kindScalar:
		text := n.text
		if utf8.RuneCountInString(text) > 40 {
			text = string([]rune(text)[:40]) + "…"
		}
		return fmt.Sprintf("%q", text)
	}
	return "an empty value"
}

// Parse reads one YAML document. The error is an [*Error] with every fault of
// form: syntax, duplicate keys, what the package refuses, and its bounds.
func Parse(name string, data []byte) (*Doc, error) {
	text, err := clean(name, data)
	if err != nil {
		return nil, err
	}
	src := newSource(name, text)
	root, faults := parseTree(src, text)
	if len(faults) > 0 {
		return nil, &Error{sortFaults(faults)}
	}
	return &Doc{root: root, text: text}, nil
}

// clean checks size and characters and turns CRLF into LF.
func clean(name string, data []byte) (string, error) {
	if len(data) > MaxBytes {
		return "", &Error{[]Fault{{File: name, Message: fmt.Sprintf("%d bytes: a file holds at most %d", len(data), MaxBytes)}}}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	line, col := 1, 1
	for i, c := range text {
		bad := ""
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			bad = "not UTF-8: save the file as UTF-8"
		case c < ' ' && c != '\n' && c != '\t' || c == 0x7f:
			bad = fmt.Sprintf("control character %U: remove it", c)
		}
		if bad != "" {
			src := newSource(name, strings.ToValidUTF8(text, "\ufffd"))
			return "", &Error{[]Fault{src.fault(pos{line, col}, bad)}}
		}
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	return text, nil
}

// parseTree parses text, whose positions are in src.
func parseTree(src *source, text string) (root *node, faults []Fault) {
	defer func() {
		if r := recover(); r != nil {
			root = nil
			faults = []Fault{src.fault(pos{1, 1}, "not readable as YAML: use plain mappings, lists and values")}
		}
	}()
	tokens := lexer.Tokenize(text)
	if faults = scan(src, tokens); len(faults) > 0 {
		return nil, faults
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, []Fault{syntaxFault(src, err)}
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			return nil, []Fault{src.fault(position(d.Body.GetToken()), "a second document: a file holds one; remove what follows the line ---")}
		}
		body = d.Body
	}
	if body == nil {
		return nil, []Fault{{File: src.name, Message: "empty: there is nothing to read"}}
	}
	b := builder{src: src}
	root = b.build(body, 0)
	return root, b.faults
}

func position(tk *token.Token) pos {
	if tk == nil || tk.Position == nil {
		return pos{1, 1}
	}
	return pos{max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}

// scan refuses what this package does not read and bounds what the parser, which
// is recursive, has to do.
func scan(src *source, tokens token.Tokens) []Fault {
	var faults []Fault
	add := func(tk *token.Token, format string, args ...any) {
		faults = append(faults, src.fault(position(tk), fmt.Sprintf(format, args...)))
	}
	type level struct{ col, keys int }
	var levels []level // the open block mappings and lists by column
	flow := 0
	headers := 0
	for i, tk := range tokens {
		if len(faults) >= maxShown {
			break
		}
		switch tk.Type {
		case token.InvalidType:
			add(tk, "%s", hint(tk.Error))
			return faults
		case token.AnchorType:
			add(tk, "anchors (&name) are not supported: write the value where it is used")
		case token.AliasType:
			add(tk, "aliases (*name) are not supported: write the value out; a text that begins with * needs quotes")
		case token.MergeKeyType:
			add(tk, "merge keys (<<) are not supported: write the keys out")
		case token.TagType:
			add(tk, "tags (!name) are not supported: remove it; a text that begins with ! needs quotes")
		case token.DirectiveType:
			add(tk, "directives (%%name) are not supported: remove the line")
		case token.MappingKeyType:
			add(tk, "complex keys (? key) are not supported: write key: value")
		case token.DocumentHeaderType:
			if headers++; headers > 1 || i > 0 && hasContent(tokens[:i]) {
				add(tk, "a second document: a file holds one; remove the line --- and what follows")
				return faults
			}
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(flow-1, 0)
		}
		isKey := tk.Next != nil && tk.Next.Type == token.MappingValueType
		if flow == 0 && (isKey || tk.Type == token.SequenceEntryType) {
			col := tk.Position.Column
			for len(levels) > 0 && levels[len(levels)-1].col > col {
				levels = levels[:len(levels)-1]
			}
			if len(levels) == 0 || levels[len(levels)-1].col < col {
				levels = append(levels, level{col: col})
			}
			top := &levels[len(levels)-1]
			if isKey {
				top.keys++
			}
			if top.keys > MaxKeys {
				add(tk, "more than %d keys in one mapping", MaxKeys)
				return faults
			}
		}
		if len(levels)+flow > MaxDepth {
			add(tk, "nested more than %d deep", MaxDepth)
			return faults
		}
	}
	return faults
}

func hasContent(tokens token.Tokens) bool {
	for _, tk := range tokens {
		if tk.Type != token.CommentType && tk.Type != token.DirectiveType {
			return true
		}
	}
	return false
}

// syntaxFault takes message and position from the library's error.
func syntaxFault(src *source, err error) Fault {
	var e interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &e) {
		return src.fault(position(e.GetToken()), hint(e.GetMessage()))
	}
	return src.fault(pos{1, 1}, err.Error())
}

// hint adds to a message of the YAML library what to write instead.
func hint(message string) string {
	if strings.Contains(message, "tab character") || strings.Contains(message, "'\t'") {
		return "a tab in the indentation: indent with spaces"
	}
	for _, h := range []struct{ part, hint string }{
		{"mapping value is not allowed in this context", "a value that contains \": \" needs quotes; a nested mapping goes on its own, indented lines"},
		{"end character of", "close the quotes"},
		{"reserved character", "put the text in quotes"},
		{"non-map value is specified", "write key: value"},
		{"value is not allowed in this context", "check the indentation"},
		{"',' or ']' must be specified", "close the bracket or add a comma"},
		{"',' or '}' must be specified", "close the brace or add a comma"},
		{"sequence end token ']' not found", "close the bracket"},
		{"could not find flow mapping end token", "close the brace"},
		{"could not find flow map content", "write {key: value}"},
	} {
		if strings.Contains(message, h.part) {
			return message + ": " + h.hint
		}
	}
	return message
}

type builder struct {
	src    *source
	faults []Fault
}

func (b *builder) fail(at pos, format string, args ...any) {
	if len(b.faults) < maxExcerpts {
		b.faults = append(b.faults, b.src.fault(at, fmt.Sprintf(format, args...)))
	}
}

func (b *builder) build(n ast.Node, depth int) *node {
	out := &node{kind: kindScalar, src: b.src, at: position(n.GetToken())}
	if depth > 2*MaxDepth {
		b.fail(out.at, "nested more than %d deep", MaxDepth)
		return out
	}
	if s, ok := n.(ast.ScalarNode); ok {
		b.scalar(out, s)
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind, out.flow = kindMap, n.IsFlowStyle
		out.at = position(n.Start)
		if n.IsFlowStyle {
			if n.End == nil {
				b.fail(out.at, "the brace is never closed: add a }")
				return out
			}
			out.end = position(n.End)
		}
		seen := make(map[string]int, len(n.Values))
		for _, v := range n.Values {
			b.pair(out, seen, v, depth)
		}
		if !n.IsFlowStyle && len(out.keys) > 0 {
			out.at = out.keys[0].at
		}
	case *ast.MappingValueNode:
		out.kind, out.flow = kindMap, n.IsFlowStyle
		b.pair(out, map[string]int{}, n, depth)
		if len(out.keys) > 0 {
			out.at = out.keys[0].at
		}
		out.flow = false
	case *ast.SequenceNode:
		out.kind, out.flow = kindList, n.IsFlowStyle
		out.at = position(n.Start)
		if n.IsFlowStyle {
			if n.End == nil {
				b.fail(out.at, "the bracket is never closed: add a ]")
				return out
			}
			out.end = position(n.End)
		}
		for _, v := range n.Values {
			out.values = append(out.values, b.build(v, depth+1))
		}
	default:
		b.fail(out.at, "not supported here: use mappings, lists and values")
	}
	return out
}

// pair adds a key and its value to out; seen has the lines of the keys so far.
func (b *builder) pair(out *node, seen map[string]int, v *ast.MappingValueNode, depth int) {
	key := &node{kind: kindScalar, src: b.src, at: position(v.Key.GetToken())}
	s, ok := v.Key.(ast.ScalarNode)
	if !ok {
		b.fail(key.at, "a key must be a plain word")
		return
	}
	b.scalar(key, s)
	if key.kind != kindScalar || key.text == "" {
		b.fail(key.at, "a key is missing before the colon")
		return
	}
	value := b.build(v.Value, depth+1)
	if line, ok := seen[key.text]; ok {
		b.fail(key.at, "key %q appears twice, first in line %d: remove one", key.text, line)
		return
	}
	seen[key.text] = key.at.line
	if value.kind == kindNull {
		value.at = key.at // an empty value has no place of its own
	}
	out.keys = append(out.keys, key)
	out.values = append(out.values, value)
}

func (b *builder) scalar(out *node, s ast.ScalarNode) {
	tk := s.GetToken()
	out.raw = strings.TrimSpace(tk.Origin)
	switch s := s.(type) {
	case *ast.NullNode:
		out.kind = kindNull
		return
	case *ast.LiteralNode:
		out.quoted = true
		out.at = position(s.Start)
		out.raw = ""
		if s.Value != nil {
			out.text = s.Value.Value
		}
		return
	case *ast.StringNode:
		out.text = s.Value
		out.quoted = tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.text = strings.TrimSpace(tk.Value)
	default:
		b.fail(out.at, "not supported here: use mappings, lists and values")
	}
}

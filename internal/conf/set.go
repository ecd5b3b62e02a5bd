package conf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"linktape/trace/suggest"
)

// Set replaces or adds a value before decoding. The path is dotted: mapping
// keys, and positions in lists from 0 ("links.att.up.rate.mean",
// "links.att.down.rate.steps.0.at"). The mapping that holds the last key must
// exist. The value is YAML on one line: a scalar, {…} or […]. Faults in it are
// shown with the override in place of a file. The error is an [*Error].
func (d *Doc) Set(path, value string) error {
	expr := path + "=" + value
	src := &source{name: strings.TrimSpace("override " + path), lines: []string{expr}, inline: true}
	fail := func(col int, format string, args ...any) error {
		return &Error{[]Fault{src.fault(pos{1, col}, fmt.Sprintf(format, args...))}}
	}
	pathLen := utf8.RuneCountInString(path)
	if strings.ContainsRune(expr, '\n') || strings.ContainsRune(expr, '\r') {
		return fail(1, "write the value on one line, with {key: value} or [a, b] where it has parts")
	}
	if strings.TrimSpace(value) == "" {
		return fail(pathLen+2, "the value is missing: write KEY=VALUE, such as links.att.up.delay=35ms")
	}
	text, err := clean(src.name, []byte(value))
	if err != nil {
		return err
	}
	// The value stands behind KEY=; its nodes are moved there.
	fresh, faults := parseTree(&source{name: src.name, lines: []string{text}, inline: true}, text)
	if len(faults) > 0 {
		return &Error{faults}
	}
	if fresh.kind == kindMap && !fresh.flow {
		return fail(pathLen+2, "write a mapping in braces: %s={%s}", path, text)
	}
	move(fresh, src, pathLen+1)

	at, col := d.root, 1
	if path == "" {
		return fail(1, "the key is missing: write KEY=VALUE, such as links.att.up.delay=35ms")
	}
	parts := strings.Split(path, ".")
	where := "the file" // names what at is
	var parent *node
	index := -1
	for i, part := range parts {
		last := i == len(parts)-1
		parent, index = at, -1
		switch at.kind {
		case kindMap:
			j, ok := at.child(part)
			if !ok && !last {
				return fail(col, "%s has no key %q: %s", where, part, suggestKeys(part, at.keyNames()))
			}
			if ok {
				index = j
			} else if part == "" {
				return fail(col, "a part of the path is empty: keys are separated by one dot")
			} else if !plain(part) {
				return fail(col, "key %q: use letters, digits, hyphens and underscores", part)
			}
		case kindList:
			j, err := strconv.Atoi(part)
			if err != nil || j < 0 || j >= len(at.values) {
				return fail(col, "%s is a list of %d: write a position from 0 to %d in place of %q", where, len(at.values), len(at.values)-1, part)
			}
			index = j
		default:
			return fail(col, "%s is %s, not a mapping: set %s as a whole", where, at.describe(), where)
		}
		if index >= 0 {
			at = at.values[index]
		}
		where = strings.Join(parts[:i+1], ".")
		col += utf8.RuneCountInString(part) + 1
	}
	key := parts[len(parts)-1]
	if index >= 0 {
		old := parent.values[index]
		parent.values[index] = fresh
		if err := d.retext(parts, text); err != nil {
			parent.values[index] = old
			return fail(1, "%v", err)
		}
	} else {
		j := parent.room()
		parent.keys = slices.Insert(parent.keys, j, &node{kind: kindScalar, src: src, at: pos{1, pathLen - utf8.RuneCountInString(key) + 1}, text: key})
		parent.values = slices.Insert(parent.values, j, fresh)
		if err := d.retext(parts, text); err != nil {
			parent.keys = slices.Delete(parent.keys, j, j+1)
			parent.values = slices.Delete(parent.values, j, j+1)
			return fail(1, "%v", err)
		}
	}
	d.set = append(d.set, expr)
	return nil
}

func suggestKeys(part string, keys []string) string {
	if near := suggest.Nearest(part, keys); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(keys) == 0 {
		return "it is empty"
	}
	return "it has " + suggest.List(keys)
}

func move(n *node, src *source, by int) {
	n.src = src
	n.at.col += by
	for _, k := range n.keys {
		k.src = src
		k.at.col += by
	}
	for _, v := range n.values {
		move(v, src, by)
	}
}

// Text returns the file with the overrides in it; reading it again gives the
// same document. Without overrides it is the file as it was, but for line ends
// and a byte order mark.
func (d *Doc) Text() string { return d.text }

// Overrides returns what was set, as KEY=VALUE.
func (d *Doc) Overrides() []string { return d.set }

// room returns where a new key goes: in braces last; in lines after the last
// value that is written on the line of its key, so that text can be put there.
func (n *node) room() int {
	if !n.flow {
		for j := len(n.values) - 1; j >= 0; j-- {
			if v := n.values[j]; v.flow || v.kind == kindScalar && v.raw != "" {
				return j + 1
			}
		}
	}
	return len(n.values)
}

// retext brings the text up to date with the tree after one override: in place
// where that gives the same document, so that comments stay, otherwise by
// writing the whole document anew.
func (d *Doc) retext(parts []string, value string) error {
	if d.textRoot == nil {
		d.textRoot, _ = parseTree(newSource("", d.text), d.text) // it was read before
	}
	if text, ok := splice(d.text, d.textRoot, parts, strings.TrimSpace(value)); ok && d.adopt(text) {
		return nil
	}
	var b strings.Builder
	encodeBlock(&b, d.root, 0)
	if d.adopt(b.String()) {
		return nil
	}
	return fmt.Errorf("the document is too large or too deep with this value in it")
}

// adopt takes text when it reads as the document.
func (d *Doc) adopt(text string) bool {
	if cleaned, err := clean("", []byte(text)); err != nil || cleaned != text {
		return false
	}
	root, faults := parseTree(newSource("", text), text)
	if len(faults) > 0 || !sameTree(root, d.root) {
		return false
	}
	d.text, d.textRoot = text, root
	return true
}

// splice replaces or adds one value in text, whose tree is root.
func splice(text string, root *node, parts []string, value string) (string, bool) {
	at := root
	for i, part := range parts {
		last := i == len(parts)-1
		index := -1
		if at.kind == kindList {
			index, _ = strconv.Atoi(part)
		} else if j, ok := at.child(part); ok {
			index = j
		}
		switch {
		case index >= len(at.values):
			return "", false
		case index < 0 && (!last || len(at.keys) == 0):
			return "", false
		case index < 0 && at.flow:
			end := offset(text, at.end)
			if end < 0 {
				return "", false
			}
			return text[:end] + ", " + part + ": " + value + text[end:], true
		case index < 0:
			// A new line after the value before it.
			j := at.room() - 1
			if j < 0 {
				return "", false
			}
			key, old := at.keys[j], at.values[j]
			_, end, ok := span(text, old)
			if !ok {
				return "", false
			}
			if nl := strings.IndexByte(text[end:], '\n'); nl >= 0 {
				end += nl
			} else {
				end = len(text)
			}
			return text[:end] + "\n" + strings.Repeat(" ", key.at.col-1) + part + ": " + value + text[end:], true
		}
		at = at.values[index]
	}
	start, end, ok := span(text, at)
	if !ok {
		return "", false
	}
	return text[:start] + value + text[end:], true
}

// span returns the bytes that a scalar or a flow mapping or list takes in text.
func span(text string, n *node) (start, end int, ok bool) {
	start = offset(text, n.at)
	if start < 0 {
		return 0, 0, false
	}
	switch {
	case n.kind == kindScalar && n.raw != "" && strings.HasPrefix(text[start:], n.raw):
		return start, start + len(n.raw), true
	case n.kind >= kindMap && n.flow:
		end = offset(text, n.end)
		return start, end + 1, end >= start
	}
	return 0, 0, false
}

// offset returns the byte at p, -1 when text has no such place.
func offset(text string, p pos) int {
	at := 0
	for l := 1; l < p.line; l++ {
		nl := strings.IndexByte(text[at:], '\n')
		if nl < 0 {
			return -1
		}
		at += nl + 1
	}
	for c := 1; c < p.col; c++ {
		if at >= len(text) || text[at] == '\n' {
			return -1
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	if at >= len(text) {
		return -1
	}
	return at
}

// encodeBlock writes a document anew: mappings in lines, everything else and
// what was in braces on one line.
func encodeBlock(b *strings.Builder, n *node, indent int) {
	if n.kind != kindMap || n.flow && indent > 0 || len(n.keys) == 0 {
		encodeFlow(b, n)
		b.WriteByte('\n')
		return
	}
	for i, k := range n.keys {
		b.WriteString(strings.Repeat(" ", indent))
		encodeFlow(b, k)
		b.WriteByte(':')
		v := n.values[i]
		if v.kind == kindMap && !v.flow && len(v.keys) > 0 {
			b.WriteByte('\n')
			encodeBlock(b, v, indent+2)
			continue
		}
		b.WriteByte(' ')
		encodeFlow(b, v)
		b.WriteByte('\n')
	}
}

func encodeFlow(b *strings.Builder, n *node) {
	switch n.kind {
	case kindNull:
		b.WriteString("null")
	case kindMap:
		b.WriteByte('{')
		for i, k := range n.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			encodeFlow(b, k)
			b.WriteString(": ")
			encodeFlow(b, n.values[i])
		}
		b.WriteByte('}')
	case kindList:
		b.WriteByte('[')
		for i, v := range n.values {
			if i > 0 {
				b.WriteString(", ")
			}
			encodeFlow(b, v)
		}
		b.WriteByte(']')
	default:
		if !n.quoted && plain(n.text) {
			b.WriteString(n.text)
			return
		}
		// A JSON string is a YAML double-quoted scalar.
		var q strings.Builder
		enc := json.NewEncoder(&q)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(n.text) // a string always encodes
		b.WriteString(strings.ReplaceAll(strings.TrimSuffix(q.String(), "\n"), "\x7f", `\u007f`))
	}
}

// plain reports whether text may stand without quotes anywhere.
func plain(text string) bool {
	for i, c := range text {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c > 0xa0:
		case i > 0 && strings.ContainsRune("-_.+/%() ", c):
		case i == 0 && strings.ContainsRune("-.+/~", c):
		default:
			return false
		}
	}
	return text != "" && strings.TrimSpace(text) == text
}

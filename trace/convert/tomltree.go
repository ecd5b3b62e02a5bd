package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlName returns the first name in a TOML document, "" where it does not
// begin like one.
func tomlName(head []byte) string {
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name := bytes.TrimLeft(line, "[ \t")
		if i := bytes.IndexAny(name, "]. \t="); i > 0 {
			return string(bytes.Trim(name[:i], `"'`))
		}
		break
	}
	return ""
}

// tomlTable is an object while it is put together.
type tomlTable struct {
	line    int64
	keys    []string // in the order of the file
	members map[string]any
}

func (t *tomlTable) set(key string, value any) {
	if _, ok := t.members[key]; !ok {
		t.keys = append(t.keys, key)
	}
	t.members[key] = value
}

// below returns the table of a key, made where there is none; of a list of
// tables, the last one. The library has verified that no other value stands there.
func (t *tomlTable) below(key string, line int64) *tomlTable {
	switch v := t.members[key].(type) {
	case *tomlTable:
		return v
	case []*tomlTable:
		return v[len(v)-1]
	}
	next := &tomlTable{line: line, members: map[string]any{}}
	t.set(key, next)
	return next
}

// node returns the table, and what is in it, as a JSON document has it.
func (t *tomlTable) node() node {
	list := []member{}
	for _, key := range t.keys {
		switch v := t.members[key].(type) {
		case *tomlTable:
			list = append(list, member{key, v.node()})
		case []*tomlTable:
			items := make([]node, len(v))
			for i, x := range v {
				items[i] = x.node()
			}
			list = append(list, member{key, node{v[0].line, items}})
		case node:
			list = append(list, member{key, v})
		}
	}
	return node{t.line, list}
}

// tomlReader builds the tree of a document.
type tomlReader struct {
	parser unstable.Parser
	faults *Faults
	line   int64 // of the present expression, for values without a place
}

// readTOML reads a whole document into the tree of a JSON document.
func readTOML(r io.Reader, name string, faults *Faults) (node, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	switch {
	case err != nil:
		return node{}, fmt.Errorf("read %s: %w", name, err)
	case len(data) > maxJSON:
		faults.add(0, "the document is longer than %d bytes", maxJSON)
		return node{}, faults.err()
	}
	// The library verifies syntax and that no key stands twice.
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil {
		line := int64(0)
		if e := (*toml.DecodeError)(nil); errors.As(err, &e) {
			row, _ := e.Position()
			line = int64(row)
		}
		faults.add(line, "not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return node{}, faults.err()
	}
	t := &tomlReader{faults: faults}
	t.parser.Reset(data)
	root := &tomlTable{line: 1, members: map[string]any{}}
	at := root
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		path := t.path(e.Key())
		switch e.Kind {
		case unstable.Table:
			at = root
			for _, key := range path {
				at = at.below(key, t.line)
			}
		case unstable.ArrayTable:
			at = root
			last := len(path) - 1
			for _, key := range path[:last] {
				at = at.below(key, t.line)
			}
			next := &tomlTable{line: t.line, members: map[string]any{}}
			list, _ := at.members[path[last]].([]*tomlTable)
			at.set(path[last], append(list, next))
			at = next
		case unstable.KeyValue:
			t.put(at, path, e.Value(), 0)
		}
	}
	return root.node(), faults.err()
}

// path returns the parts of a key, and notes its line.
func (t *tomlReader) path(it unstable.Iterator) (out []string) {
	for it.Next() {
		n := it.Node()
		t.line = int64(t.parser.Shape(n.Raw).Start.Line)
		out = append(out, string(n.Data))
	}
	return out
}

// put sets a value under a dotted key.
func (t *tomlReader) put(at *tomlTable, path []string, n *unstable.Node, depth int) {
	last := len(path) - 1
	for _, key := range path[:last] {
		at = at.below(key, t.line)
	}
	if n.Kind != unstable.InlineTable {
		at.set(path[last], t.value(n, depth))
		return
	}
	if depth > maxDepth {
		t.faults.add(t.line, "nested deeper than %d values", maxDepth)
		return
	}
	table := &tomlTable{line: t.line, members: map[string]any{}}
	at.set(path[last], table)
	for it := n.Children(); it.Next(); {
		e := it.Node()
		t.put(table, t.path(e.Key()), e.Value(), depth+1)
	}
}

// value returns a value that is no table by itself.
func (t *tomlReader) value(n *unstable.Node, depth int) node {
	out := node{line: t.line}
	if depth > maxDepth {
		t.faults.add(t.line, "nested deeper than %d values", maxDepth)
		return out
	}
	plain := strings.ReplaceAll(string(n.Data), "_", "")
	switch n.Kind {
	case unstable.String:
		out.value = string(n.Data)
	case unstable.Bool:
		out.value = plain == "true"
	case unstable.Integer:
		v, err := strconv.ParseInt(plain, 0, 64) // also 0x, 0o and 0b
		if err != nil {
			t.faults.add(t.line, "the number %s is too large", plain)
		}
		out.value = json.Number(strconv.FormatInt(v, 10))
	case unstable.Float:
		plain = strings.TrimPrefix(plain, "+")
		if strings.Trim(plain, "-0123456789.eE+") != "" {
			t.faults.add(t.line, "the number %s is none that a trace can hold", plain)
		}
		out.value = json.Number(plain)
	case unstable.Array:
		list := []node{}
		for it := n.Children(); it.Next(); {
			x := it.Node()
			if x.Kind == unstable.InlineTable {
				holder := &tomlTable{line: t.line, members: map[string]any{}}
				t.put(holder, []string{""}, x, depth+1)
				if table, ok := holder.members[""].(*tomlTable); ok {
					list = append(list, table.node())
				}
				continue
			}
			list = append(list, t.value(x, depth+1))
		}
		out.value = list
	default:
		t.faults.add(t.line, "a date or a time does not belong here: write a duration, such as \"1s\"")
	}
	return out
}

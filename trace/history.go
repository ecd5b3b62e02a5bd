package trace

import (
	"fmt"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"
)

// Edit says what made a timeline of others.
type Edit struct {
	Operation string   `json:"operation"`           // such as cut
	Arguments []string `json:"arguments,omitempty"` // that it was given, as on the command line
	Inputs    []Origin `json:"inputs"`              // what it was made of, at least one
}

// Origin is a timeline that an [Edit] was made of, with where it came from in its
// turn.
type Origin struct {
	File      string        `json:"file"`   // base name
	SHA256    string        `json:"sha256"` // its [Hash], hexadecimal
	Duration  time.Duration `json:"duration_ns"`
	Generator string        `json:"generator"`
	Seed      uint64        `json:"seed,omitempty"`
	Scenario  string        `json:"scenario,omitempty"`
	Sources   []Source      `json:"sources,omitempty"`
	Edit      *Edit         `json:"edit,omitempty"`
}

// Limits of a history of edits, which lies in the metadata.
const (
	MaxEdits   = 100      // edits of edits
	MaxOrigins = 10_000   // inputs of all of them together
	MaxHistory = 16 << 20 // bytes of text
)

// Origin returns what an edit says of a timeline with this metadata as its input.
func (m *Meta) Origin(file, sha256 string) Origin {
	return Origin{
		File: file, SHA256: sha256, Duration: m.Duration,
		Generator: m.Generator, Seed: m.Seed, Scenario: m.Scenario, Sources: m.Sources, Edit: m.Edit,
	}
}

// Origins yields every timeline of the history with its depth, 0 for the direct
// inputs, each one before those that it was made of. A nil Edit has none.
func (e *Edit) Origins() iter.Seq2[int, *Origin] {
	return func(yield func(int, *Origin) bool) { e.walk(0, yield) }
}

func (e *Edit) walk(depth int, yield func(int, *Origin) bool) bool {
	if e == nil {
		return true
	}
	for i := range e.Inputs {
		if o := &e.Inputs[i]; !yield(depth, o) || !o.Edit.walk(depth+1, yield) {
			return false
		}
	}
	return true
}

// normalize gives empty and absent lists one form.
func (e *Edit) normalize() {
	if e == nil {
		return
	}
	if len(e.Arguments) == 0 {
		e.Arguments = nil
	}
	for i := range e.Inputs {
		o := &e.Inputs[i]
		o.Sources = normalSources(o.Sources)
		o.Edit.normalize()
	}
}

func normalSources(list []Source) []Source {
	if len(list) == 0 {
		return nil
	}
	for i := range list {
		if len(list[i].Choices) == 0 {
			list[i].Choices = nil
		}
	}
	return list
}

// historyChecker verifies a history of edits.
type historyChecker struct {
	add     func(field, value, problem string)
	origins int
	bytes   int
}

// edit returns false once a limit is exceeded.
func (c *historyChecker) edit(e *Edit, depth int) bool {
	if depth >= MaxEdits {
		c.add("edit", "", fmt.Sprintf("more than %d edits of edits: synthesize or import anew", MaxEdits))
		return false
	}
	if err := CheckName(e.Operation); err != nil {
		c.add("edit", "", err.Error())
	}
	for _, a := range e.Arguments {
		c.text("edit argument", a)
	}
	if len(e.Inputs) == 0 {
		c.add("edit", strconv.Quote(clip(e.Operation)), "without an input")
	}
	for i := range e.Inputs {
		o := &e.Inputs[i]
		if c.origins++; c.origins > MaxOrigins {
			c.add("edit", "", fmt.Sprintf("more than %d inputs: synthesize or import anew", MaxOrigins))
			return false
		}
		c.text("edit input file", o.File)
		if !isSHA256(o.SHA256) {
			c.add("edit input sha256", strconv.Quote(clip(o.SHA256)), "not 64 hexadecimal digits")
		}
		if o.Duration <= 0 {
			c.add("edit input duration", o.Duration.String(), "not above 0")
		}
		c.text("edit input generator", o.Generator)
		c.text("edit input scenario", o.Scenario)
		for _, s := range o.Sources {
			for _, t := range []string{s.Link, s.Dir, s.Format, s.File, s.SHA256} {
				c.text("edit input source", t)
			}
			for k, v := range s.Choices {
				c.text("edit input source choice", k)
				c.text("edit input source choice", v)
			}
		}
		if c.bytes > MaxHistory {
			c.add("edit", "", fmt.Sprintf("a history of more than %d bytes: synthesize or import anew", MaxHistory))
			return false
		}
		if o.Edit != nil && !c.edit(o.Edit, depth+1) {
			return false
		}
	}
	return true
}

func (c *historyChecker) text(field, s string) {
	c.bytes += len(s)
	if !utf8.ValidString(s) {
		c.add(field, strconv.Quote(clip(s)), "not valid UTF-8")
	}
}

func isSHA256(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return len(s) == 64
}

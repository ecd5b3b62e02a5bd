package report

import (
	"strings"

	"linktape/trial/metrics"
)

// Texts are the definitions of metrics by scope (link or bond) and name, each so
// that it can be read alone: those that say "the same" or "of them" have what they
// speak of in parentheses.
func Texts(definitions []metrics.Definition) map[[2]string]string {
	out := make(map[[2]string]string)
	// The last text of each kind.
	var first, of string // stands alone; stands alone, or "of them"
	scope := ""
	for _, d := range definitions {
		if d.Scope != scope {
			scope, first, of = d.Scope, "", ""
		}
		text := d.Text
		switch {
		case strings.HasPrefix(text, "The same"):
			text = within(text, of)
		case strings.HasPrefix(text, "Of them"):
			text = within(text, first)
			of = text
		default:
			first, of = text, text
		}
		out[[2]string{d.Scope, d.Name}] = text
	}
	return out
}

func within(text, of string) string {
	if of == "" {
		return text
	}
	return text + " (" + of + ")"
}

package convert

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"linktape/trace"
)

// cleanLabel makes a label of text from a file: characters that cannot be
// printed become '?', and it is cut to the longest label.
func cleanLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	for len(s) > trace.MaxLabel {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

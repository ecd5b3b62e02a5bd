package plot

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
)

// svgSize is the size that a picture asks for, in points.
var svgSize = regexp.MustCompile(`<svg width="[^"]*" height="[^"]*"`)

// Inline draws an SVG for a page, as wide as its place; nothing where nothing is
// drawn.
func Inline(draw func(io.Writer) error) (template.HTML, error) {
	var b bytes.Buffer
	if err := draw(&b); err != nil || b.Len() == 0 {
		return "", err
	}
	s := b.String()
	i := strings.Index(s, "<svg")
	if i < 0 {
		return "", fmt.Errorf("draw a picture: %d bytes without an svg", len(s))
	}
	return template.HTML(svgSize.ReplaceAllString(s[i:], `<svg width="100%"`)), nil
}

package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
)

//go:embed style.html page.html
var files embed.FS

// Render writes a page from a template that begins with {{template "head" TITLE}}
// and ends with {{template "foot"}}. Nothing is written when the template fails.
func Render(w io.Writer, name, text string, data any) error {
	t, err := template.New(name).Funcs(template.FuncMap{"figure": Figure}).ParseFS(files, "style.html")
	if err == nil {
		t, err = t.New("body").Parse(text)
	}
	if err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// Figure writes a value with its unit as metrics have it: shares ("1") as
// percentages, rates in Mbit/s. NaN is a dash.
func Figure(v float64, unit string) string {
	if math.IsNaN(v) {
		return "–"
	}
	short := func(x float64) string {
		switch a := math.Abs(x); {
		case a == math.Trunc(a) && a < 1e9 || a >= 1000:
			return strconv.FormatFloat(x, 'f', 0, 64)
		case a >= 100:
			return strconv.FormatFloat(x, 'f', 1, 64)
		case a < 0.0005:
			return strconv.FormatFloat(x, 'g', 2, 64)
		}
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	switch unit {
	case "1":
		return short(100*v) + " %"
	case "bit/s":
		return short(v/1e6) + " Mbit/s"
	case "":
		return short(v)
	}
	return short(v) + " " + unit
}

package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// FormatOf returns the picture format that a file name asks for, "png" or
// "svg"; any other ending is an error.
func FormatOf(name string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".png", ".svg":
		return ext[1:], nil
	}
	return "", fmt.Errorf("picture %q: name a file that ends in .png or .svg", name)
}

func checkFormat(format string) error {
	if format != "png" && format != "svg" {
		return fmt.Errorf("picture format %q: use png or svg", format)
	}
	return nil
}

const dpi = 96 // one pixel is 0.75 pt in both formats

// The fonts of a picture; sizes in pixels.
var (
	small = textStyle{12, xfont.WeightNormal, ink}
	bold  = textStyle{13, xfont.WeightBold, ink}
	head  = textStyle{16, xfont.WeightBold, ink}
	note  = textStyle{12, xfont.WeightNormal, color.NRGBA{0x59, 0x59, 0x59, 0xff}}
)

// Colours: Okabe and Ito, "Color Universal Design" (2008), which people with
// any of the common colour-vision deficiencies can tell apart.
var (
	ink      = color.NRGBA{0x22, 0x22, 0x22, 0xff}
	frame    = color.NRGBA{0x9a, 0x9a, 0x9a, 0xff}
	grid     = color.NRGBA{0xe4, 0xe4, 0xe4, 0xff}
	white    = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	blue     = color.NRGBA{0x00, 0x72, 0xb2, 0xff}
	vermil   = color.NRGBA{0xd5, 0x5e, 0x00, 0xff}
	green    = color.NRGBA{0x00, 0x9e, 0x73, 0xff}
	tapeArea = color.NRGBA{0xdd, 0xdd, 0xdd, 0xff}
	tapeEdge = color.NRGBA{0x9a, 0x9a, 0x9a, 0xff}
)

// fade returns c with opacity a in [0, 1].
func fade(c color.NRGBA, a float64) color.NRGBA {
	c.A = uint8(math.Round(255 * a))
	return c
}

type textStyle struct {
	size   float64 // px
	weight xfont.Weight
	col    color.NRGBA
}

type point struct{ x, y float64 }

// A shape is a set of open lines or closed areas; in a file it is one path.
type shape [][]point

// A canvas draws in pixels from the upper left corner.
type canvas struct {
	c     vg.Canvas
	to    io.WriterTo
	w, h  float64
	svg   bool
	fonts *font.Cache
}

func newCanvas(format string, w, h float64) *canvas {
	s := &canvas{w: w, h: h, svg: format == "svg", fonts: font.NewCache(liberation.Collection())}
	if s.svg {
		c := vgsvg.New(length(w), length(h))
		s.c, s.to = c, c
	} else {
		c := vgimg.NewWith(vgimg.UseWH(length(w), length(h)), vgimg.UseDPI(dpi))
		s.c, s.to = c, vgimg.PngCanvas{Canvas: c}
	}
	s.rect(0, 0, w, h, white)
	return s
}

func length(px float64) vg.Length { return vg.Length(px) * 72 / dpi }

func (s *canvas) at(p point) vg.Point { return vg.Point{X: length(p.x), Y: length(s.h - p.y)} }

func (s *canvas) path(sh shape, closed bool) vg.Path {
	var p vg.Path
	for _, line := range sh {
		for i, pt := range line {
			if i == 0 {
				p.Move(s.at(pt))
			} else {
				p.Line(s.at(pt))
			}
		}
		if closed && len(line) > 0 {
			p.Close()
		}
	}
	return p
}

// color returns what the backend wants: vgsvg divides the components of RGBA by
// the opacity, and cuts off what is behind the point.
func (s *canvas) color(c color.NRGBA) color.Color {
	if s.svg {
		return cut(c)
	}
	return c
}

// cut is a colour whose components are rounded up when the opacity is multiplied
// in, so that vgsvg gets them back.
type cut color.NRGBA

func (c cut) RGBA() (r, g, b, a uint32) {
	a = uint32(c.A) * 0x101
	up := func(v uint8) uint32 { return (uint32(v)*a + 254) / 255 }
	return up(c.R), up(c.G), up(c.B), a
}

func (s *canvas) fill(sh shape, c color.NRGBA) {
	if len(sh) == 0 {
		return
	}
	s.c.SetColor(s.color(c))
	s.c.Fill(s.path(sh, true))
}

// stroke draws lines of the given width in pixels.
func (s *canvas) stroke(sh shape, c color.NRGBA, width float64) {
	if len(sh) == 0 {
		return
	}
	s.c.SetColor(s.color(c))
	s.c.SetLineWidth(length(width))
	s.c.Stroke(s.path(sh, false))
}

// dash draws dashes of dashLength px with gaps of the same length.
func (s *canvas) dash(sh shape, c color.NRGBA, width float64) {
	const d = dashLength * 72.0 / dpi
	s.c.SetLineDash([]vg.Length{d, d}, 0)
	s.stroke(sh, c, width)
	s.c.SetLineDash(nil, 0)
}

const dashLength = 6

func (s *canvas) rect(x, y, w, h float64, c color.NRGBA) { s.fill(shape{box(x, y, w, h)}, c) }

func box(x, y, w, h float64) []point {
	return []point{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}
}

func (s *canvas) face(st textStyle) font.Face {
	return s.fonts.Lookup(font.Font{Typeface: "Liberation", Variant: "Sans", Weight: st.weight}, length(st.size))
}

// width of a text in pixels.
func (s *canvas) width(text string, st textStyle) float64 {
	f := s.face(st)
	return f.Width(text).Points() * dpi / 72
}

// text writes on the baseline y; align is 0 for text that begins at x, 0.5 for
// text around x, 1 for text that ends at x.
func (s *canvas) text(x, y float64, text string, st textStyle, align float64) {
	if text == "" {
		return
	}
	x -= float64(align * s.width(text, st))
	s.c.SetColor(s.color(st.col))
	s.c.FillString(s.face(st), s.at(point{x, y}), text)
}

// upward writes text that runs from bottom to top, centred on (x, y), x being
// its baseline.
func (s *canvas) upward(x, y float64, text string, st textStyle) {
	s.c.Push()
	s.c.Translate(s.at(point{x, y + s.width(text, st)/2}))
	s.c.Rotate(math.Pi / 2)
	s.c.SetColor(s.color(st.col))
	s.c.FillString(s.face(st), vg.Point{}, text)
	s.c.Pop()
}

// fit shortens a text with an ellipsis to at most w pixels.
func (s *canvas) fit(text string, st textStyle, w float64) string {
	if s.width(text, st) <= w {
		return text
	}
	r := []rune(text)
	for len(r) > 0 && s.width(string(r)+"…", st) > w {
		r = r[:len(r)-1]
	}
	if len(r) == 0 {
		return ""
	}
	return string(r) + "…"
}

func (s *canvas) write(w io.Writer) error {
	var buf bytes.Buffer
	if _, err := s.to.WriteTo(&buf); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	out := buf.Bytes()
	if s.svg {
		// Name fonts of the same widths for readers without Liberation.
		out = bytes.ReplaceAll(out, []byte("font-family:Liberation Sans;"),
			[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// printable replaces control characters, which no picture can show and XML
// does not allow.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"
	"testing"
)

// A picture's colours are those that were asked for, however opaque.
func TestColoursOfSVG(t *testing.T) {
	for _, c := range []color.NRGBA{ink, frame, grid, white, blue, vermil, green, tapeArea} {
		for _, a := range []float64{1, 0.75, envelopeFade, bandFade, shadeFade, shadeFade / 2, 0.02} {
			s := newCanvas("svg", 10, 10)
			s.rect(1, 1, 2, 2, fade(c, a))
			var b bytes.Buffer
			if err := s.write(&b); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("fill:#%02X%02X%02X", c.R, c.G, c.B); !strings.Contains(b.String(), want+";") && !strings.Contains(b.String(), want+`"`) {
				t.Errorf("%v at %v: no %s in %s", c, a, want, b.String())
			}
		}
	}
}

package plot

import (
	"math"
	"strings"
	"testing"
	"time"
)

func labels(ticks []tick) string {
	var out []string
	for _, t := range ticks {
		out = append(out, t.label)
	}
	return strings.Join(out, " ")
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		name  string
		scale scale
		most  int
		want  string
	}{
		{"zero", linearScale(0, 0, 1), 6, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{"nothing", linearScale(math.Inf(1), 0, 1), 3, "0.0 0.5 1.0"},
		{"from zero", linearScale(0, 25, 1), 6, "0 10 20"},
		{"constant", linearScale(20, 20, 1), 6, "0 5 10 15 20"},
		{"far from zero", linearScale(300, 320, 1), 5, "280 300 320 340"},
		{"negative", linearScale(-250, 0, 1), 5, "−200 −100 0"},
		{"both signs", linearScale(-50, 50, 1), 5, "−50 0 50"},
		{"tiny", linearScale(0, 3e-7, 1), 4, "0 2e-07"},
		{"large", linearScale(0, 8e6, 1), 4, "0 5e+06"},
		{"log", logScale(1.5, 240), 6, "1 3 10 30 100"},
		{"log, few decades", logScale(2.5, 60), 8, "2 5 10 20 50"},
		{"log, five decades", logScale(1e-9, 1000), 4, "0.01 1 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.scale.ticks(c.most)
			if s := labels(got); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
			for _, k := range got {
				if k.frac < 0 || k.frac > 1 {
					t.Errorf("label %s at %v", k.label, k.frac)
				}
			}
		})
	}
	if f := logScale(1, 100).frac(0); f != 0 {
		t.Errorf("a stall on a logarithmic scale is at %v, want 0", f)
	}
}

func TestTimeAxis(t *testing.T) {
	measure := func(s string) float64 { return 7 * float64(len(s)) }
	for _, c := range []struct {
		name     string
		from, to time.Duration
		width    float64
		title    string
		want     string
	}{
		{"minute", 0, time.Minute, 432, "time (s)", "0 5 10 15 20 25 30 35 40 45 50 55 60"},
		{"ten minutes", 0, 10 * time.Minute, 432, "time (min:s)", "0:00 2:00 4:00 6:00 8:00 10:00"},
		{"day", 0, 24 * time.Hour, 432, "time (h:min)", "0:00 6:00 12:00 18:00 24:00"},
		{"week", 0, 7 * day, 432, "time (days)", "0 1 2 3 4 5 6 7"},
		{"late", 100 * time.Hour, 100*time.Hour + 30*time.Second, 432, "time (h:min:s)", "100:00:00 100:00:10 100:00:20 100:00:30"},
		{"ms", 0, 100 * time.Millisecond, 432, "time (ms)", "0 10 20 30 40 50 60 70 80 90 100"},
		{"µs", 0, 9, 300, "time (µs)", "0.000 0.002 0.004 0.006 0.008"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newTimeAxis(c.from, c.to, c.width, measure)
			if a.title != c.title || labels(a.ticks) != c.want {
				t.Errorf("got %q %s, want %q %s", a.title, labels(a.ticks), c.title, c.want)
			}
		})
	}
}

// Labels stay apart for every window.
func TestTimeAxisSpacing(t *testing.T) {
	measure := func(s string) float64 { return 7 * float64(len(s)) }
	for d := time.Duration(1); d < math.MaxInt64/4; d = d*3/2 + 1 {
		for _, from := range []time.Duration{0, 17 * time.Second, 1000*time.Hour + 1} {
			if from > math.MaxInt64-d || d < from/1e12 { // finer than a float64
				continue
			}
			a := newTimeAxis(from, from+d, 432, measure)
			for i, k := range a.ticks {
				if k.frac < 0 || k.frac > 1 {
					t.Fatalf("%v from %v: label %q at %v", d, from, k.label, k.frac)
				}
				if i == 0 {
					continue
				}
				j := a.ticks[i-1]
				if gap := (k.frac-j.frac)*432 - (measure(j.label)+measure(k.label))/2; gap < 5 {
					t.Fatalf("%v from %v: labels %q and %q are %v px apart", d, from, j.label, k.label, gap)
				}
				if j.label == k.label {
					t.Fatalf("%v from %v: label %q twice", d, from, k.label)
				}
			}
		}
	}
}

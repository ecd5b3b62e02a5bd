package plot

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func seriesOf(n, bins int) []DeliverySeries {
	r := rand.New(rand.NewPCG(5, 6))
	var out []DeliverySeries
	for i := range n {
		s := DeliverySeries{Name: fmt.Sprintf("link%d up", i), Note: fmt.Sprintf("total −0.%d %%", i)}
		for range bins {
			v := 6 + r.NormFloat64()
			s.Tape = append(s.Tape, max(0, v))
			s.Delivered = append(s.Delivered, max(0, v-0.1*r.Float64()))
			if i%2 == 0 {
				s.Backlog = append(s.Backlog, 60*r.Float64())
			}
		}
		out = append(out, s)
	}
	return out
}

func TestDelivery(t *testing.T) {
	for _, c := range []struct{ n, bins int }{{1, 1}, {3, 100}, {16, 2000}} {
		for _, format := range []string{"png", "svg"} {
			var a, b bytes.Buffer
			for _, w := range []io.Writer{&a, &b} {
				if err := Delivery(w, format, "replay", 100*time.Millisecond, seriesOf(c.n, c.bins)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("%d series: %s differs between runs", c.n, format)
			}
			if format == "png" {
				continue
			}
			pic := parseSVG(t, a.Bytes())
			for i := range c.n {
				for _, want := range []string{fmt.Sprintf("link%d up", i), fmt.Sprintf("total −0.%d %%", i)} {
					if !pic.has(want) {
						t.Errorf("%d series: no text %q", c.n, want)
					}
				}
			}
			for _, want := range []string{"replay", "Mbit/s", "kB", "tape", "delivered", "delivered − tape", "backlog", "Cumulative difference, delivered − tape"} {
				if !pic.has(want) {
					t.Errorf("%d series: no text %q", c.n, want)
				}
			}
			for _, color := range []string{blueHex, vermilHex} {
				if n := pic.lines(color); n != c.n {
					t.Errorf("%d series: got %d curves of colour %s", c.n, n, color)
				}
			}
		}
	}
}

func TestDifference(t *testing.T) {
	// 1 Mbit/s for 100 ms is 12.5 kB.
	got := difference(100*time.Millisecond, []float64{1, 2, 0}, []float64{2, 1, 3})
	want := []float64{12.5, 0, 37.5}
	for i := range want {
		if !near(got[i], want[i]) {
			t.Errorf("bin %d: got %v kB, want %v", i, got[i], want[i])
		}
	}
}

// A series that ends earlier than the others leaves the rest of its row empty.
func TestDeliveryUnequalLengths(t *testing.T) {
	s := append(seriesOf(1, 10), seriesOf(1, 40)...)
	rows, err := deliveryRows(time.Second, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0.25, 1} {
		c := rows[i].delivered.curve(deliveryWidth)
		if got := c.edge[len(c.edge)-1]; got != want {
			t.Errorf("series %d ends at %v of the axis, want %v", i, got, want)
		}
	}
}

func TestDeliveryErrors(t *testing.T) {
	one := []float64{1}
	for _, c := range []struct {
		name   string
		format string
		bin    time.Duration
		series []DeliverySeries
		wants  string
	}{
		{"format", "gif", 1, seriesOf(1, 1), "gif"},
		{"bin", "png", 0, seriesOf(1, 1), "bin"},
		{"no series", "png", 1, nil, "no series"},
		{"too many", "png", 1, seriesOf(MaxRows+1, 1), "at most"},
		{"no bins", "png", 1, []DeliverySeries{{Name: "a up"}}, `"a up": no bins`},
		{"lengths", "png", 1, []DeliverySeries{{Tape: one}}, "0 bins delivered"},
		{"backlog", "png", 1, []DeliverySeries{{Tape: one, Delivered: one, Backlog: []float64{}}}, "0 bins of backlog"},
		{"not a number", "png", 1, []DeliverySeries{{Tape: one, Delivered: []float64{math.NaN()}}}, "bin 0 is NaN"},
		{"infinite", "png", 1, []DeliverySeries{{Tape: []float64{math.Inf(1)}, Delivered: one}}, "bin 0 is +Inf"},
		{"negative", "png", 1, []DeliverySeries{{Tape: one, Delivered: []float64{-1}}}, "bin 0 is -1"},
		{"too long", "png", math.MaxInt64, seriesOf(1, 2), "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Delivery(io.Discard, c.format, "", c.bin, c.series)
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("got error %v, want one with %q", err, c.wants)
			}
		})
	}
}

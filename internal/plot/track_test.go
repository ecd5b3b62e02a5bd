package plot

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

type piece struct {
	a, b time.Duration
	v    float64
}

// brute returns the mean and the extremes of the pieces in [a, b).
func brute(pieces []piece, a, b time.Duration) (mean, lo, hi float64) {
	sum, weight := 0.0, 0.0
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, p := range pieces {
		x, y := max(a, p.a), min(b, p.b)
		if x >= y || math.IsNaN(p.v) {
			continue
		}
		sum += p.v * float64(y-x)
		weight += float64(y - x)
		lo, hi = min(lo, p.v), max(hi, p.v)
	}
	if weight == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	return sum / weight, lo, hi
}

func near(a, b float64) bool {
	return same(a, b) || math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b))
}

func TestTrackDecimation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const cols = 20
	for _, n := range []int{150, 5000} {
		from, to := 7*time.Second, 7*time.Second+100_003*time.Microsecond
		tr := newTrack(from, to, 3*cols)
		var pieces []piece
		at := from - 5*time.Millisecond // begins before the window and ends after it
		for at < to {
			next := at + time.Duration(1+r.Int64N(int64(2*(to-from))/int64(n)))
			v := 10 * r.Float64()
			if r.IntN(10) == 0 {
				v = math.NaN()
			}
			pieces = append(pieces, piece{at, next, v})
			tr.add(at, next, v)
			at = next
		}
		c := tr.curve(cols)
		if c.exact {
			t.Fatalf("%d pieces in %d columns are exact", len(pieces), cols)
		}
		if len(c.mean) != cols {
			t.Fatalf("got %d columns, want %d", len(c.mean), cols)
		}
		for i := range cols {
			a, b := tr.edge(3*i), tr.edge(3*i+3)
			mean, lo, hi := brute(pieces, a, b)
			if !near(c.mean[i], mean) || !near(c.min[i], lo) || !near(c.max[i], hi) {
				t.Errorf("%d pieces: column %d: got mean %v, %v to %v, want %v, %v to %v",
					len(pieces), i, c.mean[i], c.min[i], c.max[i], mean, lo, hi)
			}
			if !near(c.edge[i], float64(i)/cols) && math.Abs(c.edge[i]-float64(i)/cols) > 1e-5 {
				t.Errorf("column %d begins at %v", i, c.edge[i])
			}
		}
		total := tr.total()
		mean, lo, hi := brute(pieces, from, to)
		if !near(total.mean(), mean) || total.min != lo || total.max != hi {
			t.Errorf("total: got %v, %v to %v, want %v, %v to %v", total.mean(), total.min, total.max, mean, lo, hi)
		}
	}
}

func TestTrackExact(t *testing.T) {
	tr := newTrack(10*time.Second, 20*time.Second, 12)
	tr.add(0, 12*time.Second, 1)
	tr.add(12*time.Second, 14*time.Second, 1) // no change
	tr.add(14*time.Second, 15*time.Second, 2)
	tr.add(15*time.Second, 17*time.Second, math.NaN())
	tr.add(17*time.Second, 40*time.Second, 0)
	tr.add(17*time.Second, 40*time.Second, 5) // after the window's end: nothing
	c := tr.curve(12)
	if !c.exact {
		t.Fatal("four changes in twelve columns are not exact")
	}
	edges, values := []float64{0, 0.4, 0.5, 0.7, 1}, []float64{1, 2, math.NaN(), 0}
	if len(c.mean) != len(values) {
		t.Fatalf("got %d segments %v, want %d", len(c.mean), c.mean, len(values))
	}
	for i, v := range values {
		if !same(c.mean[i], v) || c.edge[i] != edges[i] || c.edge[i+1] != edges[i+1] {
			t.Errorf("segment %d: got %v from %v to %v, want %v from %v to %v",
				i, c.mean[i], c.edge[i], c.edge[i+1], v, edges[i], edges[i+1])
		}
	}
	if c := tr.curve(3); c.exact {
		t.Error("four changes in three columns are exact")
	}
}

func TestTrackMemory(t *testing.T) {
	tr := newTrack(0, time.Hour, 50)
	for i := range 100_000 {
		tr.add(time.Duration(i)*time.Millisecond, time.Duration(i+1)*time.Millisecond, float64(i%7))
	}
	if len(tr.cells) != 50 || len(tr.changes) != 0 {
		t.Errorf("got %d cells and %d changes, want 50 and 0", len(tr.cells), len(tr.changes))
	}
}

func TestTrackEdges(t *testing.T) {
	for _, d := range []time.Duration{1, 5, 1296, 1297, time.Second, math.MaxInt64 - 3} {
		tr := newTrack(3, 3+d, 1296)
		if tr.edge(0) != 3 || tr.edge(1296) != 3+d {
			t.Errorf("%d ns: edges from %d to %d", d, tr.edge(0), tr.edge(1296))
		}
		for _, at := range []time.Duration{3, 3 + d/3, 3 + d/2, 3 + d - 1} {
			if i := tr.index(at); tr.edge(i) > at || tr.edge(i+1) <= at {
				t.Errorf("%d ns: instant %d is in cell %d, from %d to %d", d, at, i, tr.edge(i), tr.edge(i+1))
			}
		}
		tr.add(3, 3+d, 2)
		if c := tr.total(); c.weight != float64(d) && math.Abs(c.weight-float64(d)) > 1e-9*float64(d) || c.mean() != 2 {
			t.Errorf("%d ns: weight %v, mean %v", d, c.weight, c.mean())
		}
	}
}

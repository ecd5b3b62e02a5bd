package plot

import (
	"math"
	"time"
)

// A track collects a piecewise-constant quantity over the window [from, to) in
// bounded memory: a fixed number of cells with time-weighted sums and extremes,
// and, as long as there are few of them, the changes themselves.
type track struct {
	from, to time.Duration
	cells    []cell
	changes  []change // of the value, in time order; NaN = gap
	overflow bool     // there were more changes than cells: only the cells hold
	end      time.Duration
}

// A cell sums up one slice of the window.
type cell struct {
	sum      float64 // ∫ value dt, in value × ns
	weight   float64 // time with a value, ns
	min, max float64 // defined where weight > 0
}

type change struct {
	at time.Duration
	v  float64
}

// newTrack needs from < to and n > 0.
func newTrack(from, to time.Duration, n int) *track {
	return &track{from: from, to: to, cells: make([]cell, n), end: from}
}

// edge returns where cell i begins; edge(len(cells)) is the window's end.
// Written so that no product leaves 64 bits.
func (t *track) edge(i int) time.Duration {
	n, d := time.Duration(len(t.cells)), t.to-t.from
	return t.from + d/n*time.Duration(i) + d%n*time.Duration(i)/n
}

// index returns the cell that holds instant at, from ≤ at < to.
func (t *track) index(at time.Duration) int {
	n := len(t.cells)
	i := int(float64(at-t.from) / float64(t.to-t.from) * float64(n))
	i = min(max(i, 0), n-1)
	for i > 0 && t.edge(i) > at {
		i--
	}
	for i < n-1 && t.edge(i+1) <= at {
		i++
	}
	return i
}

// add states that the quantity was v from a to b, clipped to the window. Calls
// come in time order; NaN leaves a gap.
func (t *track) add(a, b time.Duration, v float64) {
	a, b = max(a, t.end), min(b, t.to)
	if a >= b {
		return
	}
	if a > t.end {
		t.mark(t.end, math.NaN())
	}
	t.mark(a, v)
	t.end = b
	if math.IsNaN(v) {
		return
	}
	for i := t.index(a); a < b; i++ {
		e := b
		if i < len(t.cells)-1 {
			e = min(b, t.edge(i+1))
		}
		t.cells[i].add(v, float64(e-a))
		a = e
	}
}

// mark notes that the value is v from instant at on.
func (t *track) mark(at time.Duration, v float64) {
	if t.overflow {
		return
	}
	if n := len(t.changes); n > 0 && same(t.changes[n-1].v, v) {
		return
	}
	if len(t.changes) == len(t.cells) {
		t.overflow, t.changes = true, nil
		return
	}
	t.changes = append(t.changes, change{at, v})
}

func (c *cell) add(v, weight float64) {
	if weight <= 0 {
		return
	}
	if c.weight == 0 {
		c.min, c.max = v, v
	}
	c.min, c.max = min(c.min, v), max(c.max, v)
	c.sum += float64(v * weight)
	c.weight += weight
}

func (c *cell) merge(o cell) {
	if o.weight == 0 {
		return
	}
	if c.weight == 0 {
		*c = o
		return
	}
	c.min, c.max = min(c.min, o.min), max(c.max, o.max)
	c.sum += o.sum
	c.weight += o.weight
}

// mean is NaN for a cell without a value. Rounding never takes it out of the
// cell's extremes.
func (c *cell) mean() float64 {
	if c.weight == 0 {
		return math.NaN()
	}
	return min(max(c.sum/c.weight, c.min), c.max)
}

// total is the whole window in one cell.
func (t *track) total() cell {
	var out cell
	for _, c := range t.cells {
		out.merge(c)
	}
	return out
}

// A curve is a track made ready to draw: segment i runs from edge[i] to
// edge[i+1], as fractions of the window, NaN values are gaps.
type curve struct {
	edge           []float64 // one more than the values
	mean, min, max []float64
	exact          bool // the track's own steps; min and max equal mean
}

// curve returns the track's own steps when there are no more than cols of
// them, else the mean and the extremes for each of cols columns. The number of
// cells has to be a multiple of cols.
func (t *track) curve(cols int) curve {
	var c curve
	if !t.overflow && len(t.changes) <= cols {
		c.exact = true
		for i, ch := range t.changes {
			// A change that the next one overwrites at the same instant, and
			// what lies after the end of the data, has no width.
			end := t.end
			if i+1 < len(t.changes) {
				end = t.changes[i+1].at
			}
			if ch.at < end {
				c.push(t.frac(ch.at), t.frac(end), ch.v, ch.v, ch.v)
			}
		}
		return c
	}
	k := len(t.cells) / cols
	for i := range cols {
		var m cell
		for _, o := range t.cells[i*k : (i+1)*k] {
			m.merge(o)
		}
		v, lo, hi := m.mean(), m.min, m.max
		if m.weight == 0 {
			lo, hi = v, v
		}
		c.push(t.frac(t.edge(i*k)), t.frac(t.edge((i+1)*k)), v, lo, hi)
	}
	return c
}

func (t *track) frac(at time.Duration) float64 {
	return float64(at-t.from) / float64(t.to-t.from)
}

// push appends a segment, or lengthens the last one when nothing changes.
func (c *curve) push(a, b, mean, lo, hi float64) {
	if a >= b {
		return
	}
	n := len(c.mean)
	if n == 0 {
		c.edge = append(c.edge, a)
	}
	if n > 0 && same(c.mean[n-1], mean) && same(c.min[n-1], lo) && same(c.max[n-1], hi) {
		c.edge[n] = b
		return
	}
	c.edge = append(c.edge, b)
	c.mean = append(c.mean, mean)
	c.min = append(c.min, lo)
	c.max = append(c.max, hi)
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

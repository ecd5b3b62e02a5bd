package fit

import (
	"math"
	"slices"
)

// minimise finds a minimum of f near start by the simplex of Nelder and Mead
// (1965), whose first vertices lie step apart, and returns the place and the
// value there. It stops when the values differ by less than tol, or after most
// steps.
func minimise(f func([]float64) float64, start, step []float64, tol float64, most int) ([]float64, float64) {
	type vertex struct {
		x []float64
		v float64
	}
	n := len(start)
	at := func(x []float64) vertex {
		v := f(x)
		if math.IsNaN(v) {
			v = math.Inf(1)
		}
		return vertex{x, v}
	}
	simplex := []vertex{at(slices.Clone(start))}
	for i := range n {
		x := slices.Clone(start)
		x[i] += step[i]
		simplex = append(simplex, at(x))
	}
	centre := make([]float64, n)
	along := func(k float64) vertex { // from the centre away from the worst
		x := make([]float64, n)
		for i := range x {
			x[i] = centre[i] + k*(centre[i]-simplex[n].x[i])
		}
		return at(x)
	}
	for range most {
		slices.SortStableFunc(simplex, func(a, b vertex) int {
			switch {
			case a.v < b.v:
				return -1
			case a.v > b.v:
				return 1
			}
			return 0
		})
		if simplex[n].v-simplex[0].v < tol {
			break
		}
		clear(centre)
		for _, p := range simplex[:n] {
			for i := range centre {
				centre[i] += p.x[i] / float64(n)
			}
		}
		r := along(1)
		switch {
		case r.v < simplex[0].v:
			if e := along(2); e.v < r.v {
				r = e
			}
			simplex[n] = r
			continue
		case r.v < simplex[n-1].v:
			simplex[n] = r
			continue
		case r.v < simplex[n].v:
			simplex[n] = r
		}
		if c := along(-0.5); c.v < simplex[n].v {
			simplex[n] = c
			continue
		}
		for k := 1; k <= n; k++ {
			x := simplex[k].x
			for i := range x {
				x[i] = simplex[0].x[i] + 0.5*(x[i]-simplex[0].x[i])
			}
			simplex[k] = at(x)
		}
	}
	best := simplex[0]
	for _, p := range simplex {
		if p.v < best.v {
			best = p
		}
	}
	return best.x, best.v
}

// hessian is the matrix of second derivatives of f at x by central differences
// with the given steps.
func hessian(f func([]float64) float64, x, h []float64) [][]float64 {
	n := len(x)
	at := func(i int, di float64, k int, dk float64) float64 {
		y := slices.Clone(x)
		y[i] += di * h[i]
		y[k] += dk * h[k]
		return f(y)
	}
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
	}
	mid := f(x)
	for i := range n {
		out[i][i] = (at(i, 1, i, 0) - 2*mid + at(i, -1, i, 0)) / (h[i] * h[i])
		for k := range i {
			v := (at(i, 1, k, 1) - at(i, 1, k, -1) - at(i, -1, k, 1) + at(i, -1, k, -1)) / (4 * h[i] * h[k])
			out[i][k], out[k][i] = v, v
		}
	}
	return out
}

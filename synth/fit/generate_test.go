package fit

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linktape/trace"
)

// The processes of these tests are their own, so that no error of package synth
// hides one here.

const testBin = 100 * time.Millisecond

// ouPath returns n samples of a process.
func ouPath(rng *rand.Rand, m process, n int) []float64 {
	a := math.Exp(-testBin.Seconds() / m.tau)
	b := math.Sqrt(1 - a*a)
	x := rng.NormFloat64()
	out := make([]float64, n)
	for i := range out {
		out[i] = m.mu + m.sigma*(math.Sqrt(1-m.noise)*x+math.Sqrt(m.noise)*rng.NormFloat64())
		x = a*x + b*rng.NormFloat64()
	}
	return out
}

// logOf returns the parameters of the logarithm of a log-normal value.
func logOf(mean, cv, tau, noise float64) process {
	s2 := math.Log1p(cv * cv)
	return process{math.Log(mean) - s2/2, math.Sqrt(s2), tau, noise}
}

func exps(x []float64) []float64 {
	for i := range x {
		x[i] = math.Exp(x[i])
	}
	return x
}

// made collects a timeline's states on the grid of testBin.
type made struct {
	meta  trace.Meta
	steps []trace.Step

	sorted bool
}

func newMade(n int) *made {
	return &made{meta: trace.Meta{Duration: time.Duration(n) * testBin, Generator: "test"}}
}

// add gives a link an uplink whose states set fills, by bin.
func (m *made) add(link string, set func(i int, s *trace.State)) {
	m.meta.Links = append(m.meta.Links, trace.Link{Name: link, Up: true})
	for i := range int(m.meta.Duration / testBin) {
		s := trace.Step{At: time.Duration(i) * testBin, Link: link, Dir: trace.Up, State: trace.State{Rate: 10e6, Carrier: true}}
		set(i, &s.State)
		m.steps = append(m.steps, s)
	}
}

func (m *made) all() iter.Seq2[trace.Step, error] {
	if !m.sorted {
		slices.SortStableFunc(m.steps, trace.Compare)
		m.steps, m.sorted = trace.Coalesce(m.steps), true
	}
	return func(yield func(trace.Step, error) bool) {
		for _, s := range m.steps {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (m *made) fit(t testing.TB, opts Options) *Report {
	t.Helper()
	rep, err := Fit(t.Context(), m.meta, m.all, opts)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// A tally counts how often intervals hold the true values.
type tally struct {
	names []string
	hits  map[string]int
	width map[string]float64
}

func (a *tally) see(name string, e Estimate, want float64) {
	if a.hits == nil {
		a.hits, a.width = map[string]int{}, map[string]float64{}
	}
	if !slices.Contains(a.names, name) {
		a.names = append(a.names, name)
	}
	if e.Contains(want) {
		a.hits[name]++
	}
	w := e.High - e.Low
	if want != 0 {
		w /= want
	}
	a.width[name] += w
}

// seeds is how many runs each estimator gets, and enough how many of them its
// interval has to hold.
const seeds, enough = 100, 93

// check logs the counts. Widths are relative to the value, or absolute where
// that is 0; none may be wider than the test says is useful.
func (a *tally) check(t *testing.T, widest map[string]float64) {
	t.Helper()
	for _, name := range a.names {
		width := a.width[name] / seeds
		t.Logf("%-12s %3d of %d intervals hold it, mean width %.3g", name, a.hits[name], seeds, width)
		if a.hits[name] < enough {
			t.Errorf("%s: %d of %d intervals hold the true value, want at least %d", name, a.hits[name], seeds, enough)
		}
		limit, ok := widest[name]
		if !ok {
			t.Errorf("%s: no limit for its width", name)
		}
		if !(width <= limit) {
			t.Errorf("%s: intervals are %.3g wide in the mean, want at most %.3g", name, width, limit)
		}
	}
}

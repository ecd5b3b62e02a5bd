package synth

import (
	"slices"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/suggest"
)

// regimes switch a link between sets of processes, as when a modem changes
// between LTE and 5G: a semi-Markov chain in continuous time (a Markov one where
// the dwell times are exponential). The processes of every regime run all the
// time, and those of one quantity draw from the same stream in every regime: a
// switch changes parameters, and keeps the place in the distribution.
type regimes struct {
	link  string
	names []string
	dwell []spread
	next  [][]float64 // probability of the regime after this one
	first int         // the regime to start in; -1: drawn
}

// decodeRegimes reads all but the processes, which are under up and down in the
// mappings that it returns, one for each regime.
func decodeRegimes(link string, n conf.Node) (*regimes, []*conf.Map) {
	out := &regimes{link: link, first: -1}
	m := n.Map()
	if n.IsMap() && m.Len() < 2 {
		n.Errorf("write two or more regimes, or leave regimes out")
	}
	if m.Len() > maxRegimes {
		n.Errorf("%d regimes: at most %d", m.Len(), maxRegimes)
		return nil, nil
	}
	var nodes []*conf.Map
	m.Each(func(key, value conf.Node) {
		out.names = append(out.names, key.Name())
		nodes = append(nodes, value.Map())
	})
	for i, m := range nodes {
		dwellNode := m.Require("dwell")
		switch {
		case !dwellNode.Present():
			out.dwell = append(out.dwell, spread{})
		case dwellNode.IsMap():
			out.dwell = append(out.dwell, readLasting(dwellNode))
		default:
			out.dwell = append(out.dwell, exponential(readEvery(dwellNode)))
		}
		out.next = append(out.next, out.readNext(m, i))
		if k, ok := m.Get("start"); ok && k.Bool() {
			if out.first >= 0 {
				k.Errorf("%s is the start already: keep one", out.names[out.first])
			}
			out.first = i
		}
	}
	return out, nodes
}

// maxRegimes bounds the regimes of a link.
const maxRegimes = 16

// readNext reads the weights of the regimes that may follow; without them all
// others are as likely.
func (r *regimes) readNext(m *conf.Map, from int) []float64 {
	out := make([]float64, len(r.names))
	n, ok := m.Get("next")
	if !ok {
		for i := range out {
			if i != from {
				out[i] = 1 / float64(len(out)-1)
			}
		}
		return out
	}
	sum, failed := 0.0, false
	n.Map().Each(func(key, value conf.Node) {
		w := value.Float()
		if !value.Failed() && (w < 0 || w > 1e9) {
			value.Errorf("weight %v: outside 0 to 1e9", w)
		}
		i := slices.Index(r.names, key.String())
		switch {
		case i < 0:
			key.Errorf("no regime %q: %s", key.String(), suggest.Among(key.String(), r.names))
		case i == from:
			key.Errorf("a regime does not follow itself: write a longer dwell")
		default:
			out[i] = w + 0
			sum += out[i]
		}
		failed = failed || key.Failed() || value.Failed()
	})
	if !failed && n.IsMap() && !(sum > 0) {
		n.Errorf("no regime follows: write {REGIME: WEIGHT, …}")
		return out
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// stationary returns the share of time in each regime, for exponential dwell
// times: the embedded chain's stationary distribution, times the mean dwell.
func (r *regimes) stationary() []float64 {
	n := len(r.names)
	v := make([]float64, n)
	for i := range v {
		v[i] = 1 / float64(n)
	}
	w := make([]float64, n)
	for range 4096 { // of the lazy chain, which has no period
		for j := range w {
			w[j] = float64(v[j] / 2)
			for i := range v {
				w[j] += float64(float64(v[i]*r.next[i][j]) / 2)
			}
		}
		v, w = w, v
	}
	sum := 0.0
	for i := range v {
		v[i] = float64(v[i] * r.dwell[i].mean())
		sum += v[i]
	}
	for i := range v {
		v[i] /= sum
	}
	return v
}

func (r *regimes) concerns(ld trace.LinkDir) bool { return ld.Link == r.link }

func (r *regimes) start(run *run) running {
	return &runningRegimes{regimes: r, stream: newStream(run.seed, r.link, "", "regimes"), active: -1}
}

func (r *regimes) changes(duration, _ time.Duration) (n uint64, sampled bool) {
	for i := range r.dwell { // a regime comes at most as often as if there were no other
		n = saturatingAdd(n, r.dwell[i].renewals(duration))
	}
	return n, false
}

type runningRegimes struct {
	*regimes
	*stream
	active int
}

func (r *runningRegimes) advance(t time.Duration) time.Duration {
	u := r.uniform()
	switch {
	case r.active >= 0:
		r.active = pick(r.next[r.active], u)
	case r.first >= 0:
		r.active = r.first
	default:
		r.active = pick(r.stationary(), u)
	}
	return t + r.dwell[r.active].draw(r.stream)
}

// pick returns the index at which the weights, whose sum is 1, pass u.
func pick(weights []float64, u float64) int {
	last := 0
	for i, w := range weights {
		if w == 0 {
			continue
		}
		if u < w {
			return i
		}
		u -= w
		last = i // by rounding
	}
	return last
}

// apply does nothing: a direction looks up the active regime.
func (r *runningRegimes) apply(trace.LinkDir, *trace.State) {}

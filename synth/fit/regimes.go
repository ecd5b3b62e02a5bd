package fit

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Regimes is a direction's rate as a chain of regimes, each with a process of
// its own.
type Regimes struct {
	From    string   `json:"from"` // "labels" of the tape, or "rate": found in it
	Regimes []Regime `json:"regimes"`
	// Gain is the difference of the Bayesian information criterion (Schwarz
	// 1978) to one process for everything; above 0 speaks for regimes.
	Gain float64 `json:"bic_gain"`
}

// Regime is one of them.
type Regime struct {
	Name   string             `json:"name"`
	Dwell  Estimate           `json:"dwell_s"` // mean time in it, exponential
	Visits int                `json:"visits"`
	Share  float64            `json:"share"`
	Next   map[string]float64 `json:"next"`
	Rate   *Process           `json:"rate"`
}

// maxRegimes is how many regimes are looked for.
const maxRegimes = 3

// Limits that keep noise from becoming regimes: a visit lasts five bins in the
// mean, and each regime is left at least twice.
const (
	leastDwell  = 5
	leastVisits = 2
)

// switching is a Markov chain whose states have autoregressive values: while it
// stays in state j the next value is c_j + a_j·(the last) with variance q_j,
// after a change to j it has mean m_j and variance v_j (Hamilton 1989, "A new
// approach to the economic analysis of nonstationary time series"; here a state
// does not carry its past over a change).
type switching struct {
	p          [][]float64 // from, to
	m, v       []float64
	c, a, q    []float64
	first      []float64
	leastNoise float64

	logV, halfV, logQ, halfQ []float64
}

// densities fills stay[j] and come[j] with the log densities of y_t. Constants
// are what prepare left.
func (h *switching) densities(y []float64, t int, stay, come []float64) {
	v := y[t]
	known := t > 0 && !math.IsNaN(y[t-1])
	for j := range h.m {
		if math.IsNaN(v) {
			stay[j], come[j] = 0, 0
			continue
		}
		d := v - h.m[j]
		come[j] = h.logV[j] - d*d*h.halfV[j]
		stay[j] = come[j]
		if known {
			d = v - h.c[j] - h.a[j]*y[t-1]
			stay[j] = h.logQ[j] - d*d*h.halfQ[j]
		}
	}
}

func (h *switching) prepare() {
	k := len(h.m)
	h.logV, h.halfV, h.logQ, h.halfQ = make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k)
	for j := range k {
		h.logV[j], h.halfV[j] = -0.5*math.Log(2*math.Pi*h.v[j]), 0.5/h.v[j]
		h.logQ[j], h.halfQ[j] = -0.5*math.Log(2*math.Pi*h.q[j]), 0.5/h.q[j]
	}
}

// iterate does one step of the EM algorithm (Dempster, Laird and Rubin 1977) and
// returns the log likelihood before it.
func (h *switching) iterate(y []float64, forward []float64, moments *switchMoments) float64 {
	k, n := len(h.m), len(y)
	stay, come := make([]float64, k), make([]float64, k)
	h.prepare()
	like := 0.0
	dense := moments.density[:2*k*n] // of stay and come, relative to the largest
	for t := range n {
		h.densities(y, t, stay, come)
		top := math.Inf(-1)
		for j := range k {
			top = max(top, stay[j], come[j])
		}
		density := dense[2*k*t : 2*k*(t+1)]
		for j := range k {
			density[j], density[k+j] = math.Exp(stay[j]-top), math.Exp(come[j]-top)
		}
		sum := 0.0
		for j := range k {
			f := 0.0
			if t == 0 {
				f = h.first[j] * density[k+j]
			} else {
				for i := range k {
					d := density[k+j]
					if i == j {
						d = density[j]
					}
					f += forward[(t-1)*k+i] * h.p[i][j] * d
				}
			}
			forward[t*k+j] = f
			sum += f
		}
		if sum <= 0 {
			sum = 1e-300
		}
		for j := range k {
			forward[t*k+j] /= sum
		}
		like += math.Log(sum) + top
	}
	// Backward, with the moments of the M step on the way.
	moments.reset(k)
	beta, next := make([]float64, k), make([]float64, k)
	for j := range beta {
		beta[j] = 1
	}
	for t := n - 1; t >= 0; t-- {
		norm := 0.0
		for j := range k {
			norm += forward[t*k+j] * beta[j]
		}
		for j := range k {
			g := forward[t*k+j] * beta[j] / norm
			if !math.IsNaN(y[t]) {
				moments.w[j] += g
				moments.wy[j] += g * y[t]
				moments.wyy[j] += g * y[t] * y[t]
			}
			if t == 0 {
				moments.first[j] = g
			}
		}
		if t == 0 {
			break
		}
		density := dense[2*k*t : 2*k*(t+1)]
		total := 0.0
		clear(next)
		for i := range k {
			for j := range k {
				d := density[k+j]
				if i == j {
					d = density[j]
				}
				x := h.p[i][j] * d * beta[j]
				next[i] += x
				moments.pair[i][j] = forward[(t-1)*k+i] * x
				total += moments.pair[i][j]
			}
		}
		if total > 0 {
			for i := range k {
				for j := range k {
					x := moments.pair[i][j] / total
					moments.p[i][j] += x
					if i == j && !math.IsNaN(y[t]) && !math.IsNaN(y[t-1]) {
						moments.s[j] += x
						moments.sx[j] += x * y[t-1]
						moments.sy[j] += x * y[t]
						moments.sxx[j] += x * y[t-1] * y[t-1]
						moments.sxy[j] += x * y[t-1] * y[t]
						moments.syy[j] += x * y[t] * y[t]
					}
				}
			}
		}
		norm = 0
		for _, b := range next {
			norm += b
		}
		if norm <= 0 {
			norm = 1
		}
		for j := range k {
			beta[j] = next[j] / norm
		}
	}
	h.update(moments)
	return like
}

type switchMoments struct {
	first, w, wy, wyy        []float64
	s, sx, sy, sxx, sxy, syy []float64
	p, pair                  [][]float64
	density                  []float64 // kept between iterations
}

func (m *switchMoments) reset(k int) {
	for _, v := range []*[]float64{&m.first, &m.w, &m.wy, &m.wyy, &m.s, &m.sx, &m.sy, &m.sxx, &m.sxy, &m.syy} {
		*v = make([]float64, k)
	}
	m.p, m.pair = make([][]float64, k), make([][]float64, k)
	for i := range k {
		m.p[i], m.pair[i] = make([]float64, k), make([]float64, k)
	}
}

func (h *switching) update(m *switchMoments) {
	for j := range h.m {
		if m.w[j] > 2 {
			h.m[j] = m.wy[j] / m.w[j]
			h.v[j] = max(m.wyy[j]/m.w[j]-sq(h.m[j]), h.leastNoise)
		}
		if m.s[j] > 3 {
			mx, my := m.sx[j]/m.s[j], m.sy[j]/m.s[j]
			xx, xy := m.sxx[j]/m.s[j]-mx*mx, m.sxy[j]/m.s[j]-mx*my
			h.a[j] = 0
			if xx > h.leastNoise {
				h.a[j] = min(max(xy/xx, -0.5), 0.9999)
			}
			h.c[j] = my - h.a[j]*mx
			h.q[j] = max(m.syy[j]/m.s[j]-my*my-2*h.a[j]*xy+sq(h.a[j])*xx, h.leastNoise)
		}
		h.first[j] = max(m.first[j], 1e-6)
		sum := 0.0
		for _, v := range m.p[j] {
			sum += v
		}
		if sum > 0 {
			for i := range h.p[j] {
				h.p[j][i] = max(m.p[j][i]/sum, 1e-8)
			}
		}
	}
}

// path returns the most likely states (Viterbi 1967).
func (h *switching) path(y []float64) []int {
	h.prepare()
	k, n := len(h.m), len(y)
	logP := make([]float64, k*k)
	for i := range k {
		for j := range k {
			logP[i*k+j] = math.Log(max(h.p[i][j], 1e-300))
		}
	}
	from := make([]uint8, n*k)
	score, next := make([]float64, k), make([]float64, k)
	stay, come := make([]float64, k), make([]float64, k)
	for t := range n {
		h.densities(y, t, stay, come)
		for j := range k {
			if t == 0 {
				next[j] = math.Log(h.first[j]) + come[j]
				continue
			}
			best, arg := math.Inf(-1), 0
			for i := range k {
				d := come[j]
				if i == j {
					d = stay[j]
				}
				if v := score[i] + logP[i*k+j] + d; v > best {
					best, arg = v, i
				}
			}
			next[j], from[t*k+j] = best, uint8(arg)
		}
		copy(score, next)
	}
	out := make([]int, n)
	state := 0
	for j := range k {
		if score[j] > score[state] {
			state = j
		}
	}
	for t := n - 1; t >= 0; t-- {
		out[t] = state
		state = int(from[t*k+state])
	}
	return out
}

// guess starts from k groups of the values, smoothed by a running median over
// width samples.
func guess(y []float64, k, width int) *switching {
	smooth := make([]float64, len(y))
	var window []float64
	for t := range y {
		window = window[:0]
		for u := max(0, t-width/2); u <= min(len(y)-1, t+width/2); u++ {
			if !math.IsNaN(y[u]) {
				window = append(window, y[u])
			}
		}
		smooth[t] = math.NaN()
		if len(window) > 0 && !math.IsNaN(y[t]) {
			slices.Sort(window)
			smooth[t] = window[len(window)/2]
		}
	}
	var v []float64
	for _, x := range smooth {
		if !math.IsNaN(x) {
			v = append(v, x)
		}
	}
	slices.Sort(v)
	centres := make([]float64, k)
	for j := range centres {
		centres[j] = v[(2*j+1)*len(v)/(2*k)]
	}
	nearest := func(x float64) int {
		best := 0
		for j := range centres {
			if math.Abs(x-centres[j]) < math.Abs(x-centres[best]) {
				best = j
			}
		}
		return best
	}
	for range 30 {
		sum, n := make([]float64, k), make([]float64, k)
		for _, x := range v {
			j := nearest(x)
			sum[j] += x
			n[j]++
		}
		for j := range centres {
			if n[j] > 0 {
				centres[j] = sum[j] / n[j]
			}
		}
	}
	_, sd := meanSD(v)
	h := &switching{leastNoise: sq(1e-3 * sd)}
	var m switchMoments
	m.reset(k)
	last := -1
	for t, x := range smooth {
		if math.IsNaN(x) {
			last = -1
			continue
		}
		j := nearest(x)
		m.w[j]++
		m.wy[j] += y[t]
		m.wyy[j] += y[t] * y[t]
		m.first[j] = 1 / float64(k)
		if last >= 0 {
			m.p[last][j]++
			if last == j {
				m.s[j]++
				m.sx[j] += y[t-1]
				m.sy[j] += y[t]
				m.sxx[j] += y[t-1] * y[t-1]
				m.sxy[j] += y[t-1] * y[t]
				m.syy[j] += y[t] * y[t]
			}
		}
		last = j
	}
	mean := 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for range k {
		h.m, h.v = append(h.m, mean), append(h.v, sd*sd+h.leastNoise)
		h.c, h.a, h.q = append(h.c, mean), append(h.a, 0), append(h.q, sd*sd+h.leastNoise)
		h.first = append(h.first, 1/float64(k))
		row := make([]float64, k)
		for i := range row {
			row[i] = 0.02 / float64(k)
		}
		row[len(h.p)] = 1 - 0.02*float64(k-1)/float64(k)
		h.p = append(h.p, row)
	}
	h.update(&m)
	return h
}

// splitting is a candidate: the values parted among regimes.
type splitting struct {
	path   []int
	k      int
	form   Model
	series []*series
	g      []gaussian
	score  float64 // ln likelihood of values and path, less the penalty
}

// evaluate scores a path: the likelihood of the values given the path, each
// regime with a process of its own, times that of the path. It is not above
// the likelihood of the values under the regimes, so that it does not favour
// them. nil where a regime is visited too seldom or too shortly.
func evaluate(x []float64, path []int, k int, form Model, clip clipping, delta float64) *splitting {
	out := &splitting{path: path, k: k, form: form}
	counts := make([][]float64, k)
	for i := range counts {
		counts[i] = make([]float64, k)
	}
	exits, size := make([]float64, k), make([]float64, k)
	for t, j := range path {
		size[j]++
		if t > 0 {
			counts[path[t-1]][j]++
			if path[t-1] != j {
				exits[path[t-1]]++
			}
		}
	}
	n := 0.0
	for j := range k {
		if exits[j] < leastVisits || size[j]/exits[j] < leastDwell {
			return nil
		}
		total := 0.0
		for _, c := range counts[j] {
			total += c
		}
		for _, c := range counts[j] {
			if c > 0 {
				out.score += c * math.Log(c/total)
			}
		}
		part, start := pick(x, path, j)
		s := scaled(part, form == LogOU, clip.floor, clip.ceiling, clip.low, clip.high, start, delta)
		g, ok := fitGaussian(s)
		if !ok || g.tau > size[j]/exits[j]*delta {
			return nil // a process that is slower than its regime has no mean to tell
		}
		out.score += g.ml
		if form == LogOU {
			out.score += s.jacobian()
		}
		n += float64(s.exact + s.clipped)
		out.series, out.g = append(out.series, s), append(out.g, g)
	}
	out.score -= 0.5 * float64(4*k+k*(k-1)) * math.Log(n)
	return out
}

// restrict blanks the samples of other regimes and marks where the process of
// this one starts anew.
func restrict(x []float64, path []int, j int) (part []float64, start []bool) {
	part, start = make([]float64, len(x)), make([]bool, len(x))
	for t := range x {
		part[t] = math.NaN()
		if path[t] == j {
			part[t] = x[t]
			start[t] = t == 0 || path[t-1] != j
		}
	}
	return part, start
}

// pick is restrict without the samples in between.
func pick(x []float64, path []int, j int) (part []float64, start []bool) {
	for t := range x {
		if path[t] == j {
			part = append(part, x[t])
			start = append(start, t == 0 || path[t-1] != j)
		}
	}
	return part, start
}

type clipping struct {
	floor, ceiling float64
	low, high      int
}

// findRegimes looks for two or three regimes in a rate, and returns nil where
// one process explains it better.
func findRegimes(x []float64, one *Process, bin time.Duration) *Regimes {
	if levels := distinct(x, maxRegimes); levels != nil {
		path := make([]int, len(x))
		last := 0
		for t, v := range x {
			if i, ok := slices.BinarySearch(levels, v); ok {
				last = i
			}
			path[t] = last
		}
		if len(levels) < 2 {
			return nil
		}
		return describe(x, path, len(levels), names(len(levels)), "rate", bin)
	}
	known := 0
	for _, v := range x {
		if !math.IsNaN(v) {
			known++
		}
	}
	if one == nil || one.series == nil || known < 100 {
		return nil
	}
	var clip clipping
	clip.floor, clip.ceiling, clip.low, clip.high = atoms(x)
	single := -0.5*(one.AIC-8) - 0.5*4*math.Log(float64(known))
	var best *splitting
	limit := single
	forward := make([]float64, maxRegimes*len(x))
	moments := switchMoments{density: make([]float64, 2*maxRegimes*len(x))}
	for k := 2; k <= maxRegimes; k++ {
		if k > 2 && best == nil {
			break // what has three levels shows as two as well
		}
		forms := []Model{one.Model, other(one.Model)}
		if best != nil {
			forms = []Model{best.form}
		}
		for _, form := range forms {
			s := scaled(x, form == LogOU, 0, 0, 0, 0, nil, bin.Seconds())
			y := make([]float64, len(x))
			for t := range y {
				y[t] = s.y[t]
				if s.known[t] == missing {
					y[t] = math.NaN()
				}
			}
			for _, width := range []int{5, 15} {
				h := guess(y, k, width)
				last := math.Inf(-1)
				for range 30 {
					like := h.iterate(y, forward, &moments)
					if like-last < 0.3 {
						break
					}
					last = like
				}
				sp := evaluate(x, h.path(y), k, form, clip, bin.Seconds())
				if sp != nil && sp.score > limit {
					best, limit = sp, sp.score
				}
			}
		}
	}
	if best == nil {
		return nil
	}
	out := describe(x, best.path, best.k, names(best.k), "rate", bin)
	if out != nil {
		out.Gain = 2 * (limit - single)
	}
	return out
}

func other(m Model) Model {
	if m == OU {
		return LogOU
	}
	return OU
}

func names(k int) []string {
	out := make([]string, k)
	for j := range out {
		out[j] = "r" + strconv.Itoa(j+1)
	}
	return out
}

// labelledRegimes takes the regimes from the labels of a tape, where it has
// several.
func labelledRegimes(x []float64, labels []string, bin time.Duration) *Regimes {
	var known []string
	path := make([]int, len(x))
	last := -1
	x = slices.Clone(x)
	for t := range x {
		l := ""
		if labels != nil {
			l = labels[t]
		}
		if l == mixed { // of several regimes
			x[t] = math.NaN()
		} else if l != "" {
			if last = slices.Index(known, l); last < 0 {
				last = len(known)
				known = append(known, l)
			}
		}
		path[t] = max(last, 0)
	}
	if len(known) < 2 || len(known) > 16 {
		return nil
	}
	return describe(x, path, len(known), known, "labels", bin)
}

// describe estimates each regime of a path.
func describe(x []float64, path []int, k int, names []string, from string, bin time.Duration) *Regimes {
	out := &Regimes{From: from}
	type visit struct{ exits, size int }
	seen := make([]visit, k)
	next := make([][]int, k)
	for j := range next {
		next[j] = make([]int, k)
	}
	for t, j := range path {
		seen[j].size++
		if t > 0 && path[t-1] != j {
			seen[path[t-1]].exits++
			next[path[t-1]][j]++
		}
	}
	order := make([]int, 0, k)
	for j := range k {
		if seen[j].size == 0 || seen[j].exits == 0 {
			return nil
		}
		order = append(order, j)
	}
	regimes := make([]Regime, k)
	if from == "rate" { // the bin at a switch may hold something of both
		levels := distinct(x, maxRegimes) != nil
		x = slices.Clone(x)
		for t := 1; t < len(path); t++ {
			if path[t] == path[t-1] {
				continue
			}
			for _, u := range []int{t - 1, t} {
				if j := path[u]; seen[j].size >= 2*leastDwell*seen[j].exits && !levels {
					x[u] = math.NaN()
				}
			}
		}
	}
	for j := range k {
		part, start := restrict(x, path, j)
		p, err := fitProcess(part, start, bin)
		if err != nil {
			return nil
		}
		p.Share = 0
		for _, v := range part {
			if !math.IsNaN(v) {
				p.Share += 1 / float64(len(part))
			}
		}
		regimes[j] = Regime{
			Dwell:  geometricMean(float64(seen[j].size)*bin.Seconds(), bin.Seconds(), seen[j].exits),
			Visits: seen[j].exits, Share: float64(seen[j].size) / float64(len(x)), Rate: p,
		}
	}
	if from == "rate" { // by mean, and named so
		slices.SortFunc(order, func(a, b int) int {
			if regimes[a].Rate.Mean.Value < regimes[b].Rate.Mean.Value {
				return -1
			}
			return 1
		})
	}
	renamed := make([]string, k)
	for place, j := range order {
		renamed[j] = names[place]
	}
	for _, j := range order {
		r := regimes[j]
		r.Name, r.Next = renamed[j], map[string]float64{}
		for i, n := range next[j] {
			if n > 0 {
				r.Next[renamed[i]] = float64(n) / float64(seen[j].exits)
			}
		}
		out.Regimes = append(out.Regimes, r)
	}
	return out
}

package synth

import (
	"math"
	"slices"
	"strings"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/suggest"
)

// correlation makes the Ornstein–Uhlenbeck processes of several directions move
// together: a Gaussian copula, since each value is a monotone function of its
// process z, whose marginal stays N(0,1). matrix holds the stationary
// correlation of the z. For processes of different tau the innovations need the
// covariance Q_ij = ρ_ij·(1 − a_i·a_j) (from P = A·P·Aᵀ + Q with P_ij = ρ_ij,
// A = diag(a)), which is not positive definite where taus differ too much for a
// correlation.
type correlation struct {
	q       quantity
	members []trace.LinkDir // in canonical order
	names   []string        // of their random streams
	matrix  [][]float64
	factors [2][][]float64 // lower triangles: of the first instant, of the others; rows of norm 1
}

// decodeCorrelations reads the scenario's list, once its links are known.
func (sc *Scenario) decodeCorrelations(n conf.Node) {
	taken := make(map[quantity]map[trace.LinkDir]bool)
	for _, item := range n.List() {
		m := item.Map()
		of := "rate"
		ofNode, hasOf := m.Get("of")
		if hasOf {
			of = ofNode.OneOf("rate", "delay", "jitter")
		}
		var q quantity
		for _, x := range quantities() {
			if x.name == of {
				q = x.q
			}
		}
		linksNode := m.Require("links")
		rows, nodes := sc.readMembers(linksNode)
		matrix := readMatrix(m, len(nodes), rows != nil)
		m.Done()
		if rows == nil || matrix == nil || hasOf && ofNode.Failed() {
			continue
		}
		if taken[q] == nil {
			taken[q] = make(map[trace.LinkDir]bool)
		}
		// Links stand for their up directions, and for their down ones.
		constant, pairs := make([]int, len(nodes)), false
		for _, members := range rows {
			pairs = sc.correlate(q, members, nodes, matrix, taken[q], constant) || pairs
		}
		for i, x := range nodes {
			if constant[i] == len(rows) {
				x.Errorf("%s has no ou or log-ou process that drives its %s: write one, or leave it out here", x.String(), of)
				pairs = true
			}
		}
		if !pairs {
			linksNode.Errorf("no two of these have an ou or log-ou process that drives their %s in the same direction: name directions, such as att.up", of)
		}
	}
}

// readMembers reads what a correlation names: directions, which are one row; or
// links, which are a row for each direction.
func (sc *Scenario) readMembers(n conf.Node) (rows [][]trace.LinkDir, nodes []conf.Node) {
	nodes = n.List()
	switch {
	case n.IsList() && len(nodes) < 2:
		n.Errorf("a correlation is between two or more: write their names")
	case len(nodes) > 2*MaxLinks:
		n.Errorf("%d names: at most %d, the directions of %d links", len(nodes), 2*MaxLinks, MaxLinks)
		return nil, nil
	}
	var links, directions []trace.LinkDir
	for _, x := range nodes {
		name := x.String()
		if x.Failed() {
			continue
		}
		if !strings.Contains(name, ".") {
			if i := slices.IndexFunc(sc.links, func(l trace.Link) bool { return l.Name == name }); i < 0 {
				x.Errorf("no link %q: %s", name, sc.linkNames(name))
			}
			links = append(links, trace.LinkDir{Link: name})
			continue
		}
		ld, err := trace.ParseLinkDir(name)
		switch {
		case err != nil:
			x.Errorf("%v", err)
		case !slices.ContainsFunc(sc.links, func(l trace.Link) bool { return l.Name == ld.Link }):
			x.Errorf("no link %q: %s", ld.Link, sc.linkNames(ld.Link))
		case sc.direction(ld) == nil:
			x.Errorf("link %q has no %v: add it to the link, or leave it out here", ld.Link, ld.Dir)
		}
		directions = append(directions, ld)
	}
	switch {
	case n.Failed():
	case len(links) > 0 && len(directions) > 0:
		n.Errorf("links and directions: write names of one kind, att or att.up")
	case len(directions) > 0:
		rows = append(rows, directions)
	default:
		for _, dir := range []trace.Direction{trace.Up, trace.Down} {
			row := slices.Clone(links)
			for i := range row {
				row[i].Dir = dir
			}
			rows = append(rows, row)
		}
	}
	for i, x := range nodes {
		if x.Failed() {
			return nil, nodes
		}
		for _, y := range nodes[:i] {
			if y.String() == x.String() {
				x.Errorf("%s is named twice", x.String())
				return nil, nodes
			}
		}
	}
	return rows, nodes
}

// linkNames is the end of a message about a link that there is not.
func (sc *Scenario) linkNames(name string) string {
	var names []string
	for _, l := range sc.links {
		names = append(names, l.Name)
	}
	return suggest.Among(name, names)
}

// direction returns a direction of the scenario, nil when there is none.
func (sc *Scenario) direction(ld trace.LinkDir) *direction {
	for i := range sc.directions {
		if sc.directions[i].LinkDir == ld {
			return &sc.directions[i]
		}
	}
	return nil
}

// readMatrix reads rho, one correlation for all pairs, or a whole matrix; nil
// after a fault. Without names it reads nothing.
func readMatrix(m *conf.Map, n int, names bool) [][]float64 {
	rhoNode, hasRho := m.Get("rho")
	matrixNode, hasMatrix := m.Get("matrix")
	if !names {
		return nil
	}
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
		out[i][i] = 1
	}
	coefficient := func(x conf.Node) float64 {
		v := x.Float()
		if !x.Failed() && !(v >= -1 && v <= 1) {
			x.Errorf("%v: a correlation lies from -1 to 1", v)
		}
		return v + 0
	}
	switch {
	case hasRho && hasMatrix:
		matrixNode.Errorf("rho and matrix are both given: keep one")
		return nil
	case hasRho:
		rho := coefficient(rhoNode)
		if rhoNode.Failed() {
			return nil
		}
		for i := range out {
			for j := range out {
				if i != j {
					out[i][j] = rho
				}
			}
		}
	case hasMatrix:
		rows := matrixNode.List()
		if !matrixNode.Failed() && len(rows) != n {
			matrixNode.Errorf("rows: %d, for %d names: write one for each", len(rows), n)
			return nil
		}
		for i, row := range rows {
			cells := row.List()
			if !row.Failed() && len(cells) != n {
				row.Errorf("numbers: %d, for %d names: write one for each", len(cells), n)
			}
			if row.Failed() {
				return nil
			}
			for j, x := range cells {
				v := coefficient(x)
				switch {
				case x.Failed():
					return nil
				case i == j && v != 1:
					x.Errorf("%v: what is correlated with itself has 1: write 1", v)
					return nil
				case j < i && v != out[j][i]:
					x.Errorf("%v: the matrix has %v across the diagonal: write the same twice", v, out[j][i])
					return nil
				}
				out[i][j] = v
			}
		}
		if matrixNode.Failed() {
			return nil
		}
	default:
		m.Node().Errorf("the correlation is missing: write rho, or matrix")
		return nil
	}
	return out
}

// correlate adds a correlation of directions, those of them that there are and
// that have a process; constant counts the others. It reports whether that was a
// correlation, or a fault.
func (sc *Scenario) correlate(q quantity, members []trace.LinkDir, nodes []conf.Node, matrix [][]float64, taken map[trace.LinkDir]bool, constant []int) bool {
	type member struct {
		trace.LinkDir
		at int // in members
		*ou
		node conf.Node
	}
	var found []member
	for i, ld := range members {
		d := sc.direction(ld)
		if d == nil {
			constant[i]++ // the link has no such direction
			continue
		}
		ous, ok := d.processes(q)
		switch {
		case !ok:
			return true // decoding it failed
		case len(ous) == 0:
			constant[i]++
			continue
		case taken[ld]:
			nodes[i].Errorf("the %s of %v is in another correlation already: write one matrix for all of them", quantities()[q].name, ld)
			return true
		}
		for _, x := range ous {
			if x == nil {
				nodes[i].Errorf("the %s of %v has more than one ou or log-ou process: keep one, a correlation is of one", quantities()[q].name, ld)
				return true
			}
			if x.tau != ous[0].tau {
				sc.warnings = append(sc.warnings, ld.String()+": its regimes have different taus: the correlation is exact for the first one's")
				break
			}
		}
		taken[ld] = true
		found = append(found, member{ld, i, ous[0], nodes[i]})
	}
	if len(found) < 2 {
		return false
	}
	slices.SortFunc(found, func(a, b member) int { return a.Compare(b.LinkDir) })
	c := correlation{q: q}
	n := len(found)
	later := make([][]float64, n)
	u := make([]float64, n) // 1 − a, which keeps the digits of a long tau
	for i, f := range found {
		c.members = append(c.members, f.LinkDir)
		c.names = append(c.names, f.name)
		c.matrix = append(c.matrix, make([]float64, n))
		later[i] = make([]float64, n)
		u[i] = 1 - exp(-float64(sc.step)/float64(f.tau))
		for j := range i + 1 {
			rho := matrix[f.at][found[j].at]
			c.matrix[i][j], c.matrix[j][i] = rho, rho
			x := math.Sqrt(float64(float64(u[i]*(2-u[i])) * float64(u[j]*(2-u[j]))))
			later[i][j] = float64(rho*(u[i]+u[j]-float64(u[i]*u[j]))) / x
		}
		later[i][i] = 1
	}
	var ok bool
	if c.factors[0], ok = cholesky(c.matrix); !ok {
		nodes[0].Errorf("no numbers have these correlations with one another: the matrix is not positive definite: write correlations closer to 0")
		return true
	}
	if c.factors[1], ok = cholesky(later); !ok {
		nodes[0].Errorf("the taus differ too much for this correlation: a process cannot follow one that is so much slower; write a lower correlation, or taus closer together")
		return true
	}
	sc.correlations = append(sc.correlations, c)
	return true
}

// processes returns the Ornstein–Uhlenbeck processes that drive a quantity, one
// for each regime, nil for one with several; false after a fault.
func (d *direction) processes(q quantity) (out []*ou, ok bool) {
	ok = true
	add := func(models []namedModel) {
		for _, m := range models {
			if m.q != q {
				continue
			}
			switch {
			case m.model == nil:
				ok = false
			case len(m.ous) == 1 && m.ous[0].tau > 0:
				out = append(out, m.ous[0])
			case len(m.ous) == 1:
				ok = false
			case len(m.ous) > 1:
				out = append(out, nil)
			}
		}
	}
	add(d.models)
	for _, r := range d.regimes {
		add(r.models)
	}
	return out, ok
}

// cholesky returns the lower triangle L with L·Lᵀ = m; false where m is not
// positive semidefinite.
func cholesky(m [][]float64) ([][]float64, bool) {
	const rounding = 1e-12
	l := make([][]float64, len(m))
	for i := range m {
		l[i] = make([]float64, i+1)
		for j := range i + 1 {
			sum := m[max(i, j)][min(i, j)]
			for k := range j {
				sum -= float64(l[i][k] * l[j][k])
			}
			switch {
			case i == j && sum < -rounding:
				return nil, false
			case i == j:
				l[i][i] = math.Sqrt(max(sum, 0))
			case l[j][j] > 0:
				l[i][j] = sum / l[j][j]
			case math.Abs(sum) > 1e-6:
				return nil, false
			}
		}
	}
	return l, true
}

// noiseSet draws the innovations of a correlation. The first member's are those
// that it has without the correlation.
type noiseSet struct {
	*correlation
	streams []*stream
	drawn   time.Duration // the instant that normals is of
	normals []float64
	values  []float64
}

func newNoiseSet(c *correlation, seed uint64) *noiseSet {
	s := &noiseSet{correlation: c, drawn: -1, normals: make([]float64, len(c.members)), values: make([]float64, len(c.members))}
	for i, ld := range c.members {
		s.streams = append(s.streams, newStream(seed, ld.Link, ld.Dir.String(), c.names[i]))
	}
	return s
}

// noise is one member's part of a set.
type noise struct {
	set *noiseSet
	i   int
}

// at returns the member's deviate of a sampling instant. Instants come in order.
func (n noise) at(t time.Duration) float64 {
	s := n.set
	if t != s.drawn {
		factor := s.factors[1]
		if t == 0 {
			factor = s.factors[0]
		}
		for i, r := range s.streams {
			s.normals[i] = r.normal()
		}
		for i, row := range factor {
			sum := 0.0
			for j, x := range row {
				sum += float64(x * s.normals[j])
			}
			s.values[i] = sum
		}
		s.drawn = t
	}
	return s.values[n.i]
}

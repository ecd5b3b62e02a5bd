package synth

import (
	"math"
	"slices"
	"strings"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
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
	matrix  [][]float64
	factors [2][][]float64 // lower triangles: of the first instant, of the others; rows of norm 1
}

// decodeCorrelations reads the scenario's list, once its links are known.
func (sc *Scenario) decodeCorrelations(n conf.Node) {
	taken := make(map[quantity]map[trace.LinkDir]bool)
	for _, item := range n.List() {
		m := item.Map()
		of := "rate"
		if k, ok := m.Get("of"); ok {
			of = k.OneOf("rate", "delay", "jitter")
		}
		var q quantity
		for _, x := range quantities() {
			if x.name == of {
				q = x.q
			}
		}
		rows, nodes := sc.readMembers(m.Require("links"))
		matrix := readMatrix(m, len(nodes))
		m.Done()
		if taken[q] == nil {
			taken[q] = make(map[trace.LinkDir]bool)
		}
		// Links stand for their up directions, and for their down ones.
		for _, members := range rows {
			sc.correlate(q, members, nodes, matrix, taken[q])
		}
	}
}

// readMembers reads what a correlation names: directions, which are one row; or
// links, which are a row for each direction.
func (sc *Scenario) readMembers(n conf.Node) (rows [][]trace.LinkDir, nodes []conf.Node) {
	nodes = n.List()
	if n.IsList() && len(nodes) < 2 {
		n.Errorf("%d names: a correlation is between two or more", len(nodes))
	}
	var links, directions []trace.LinkDir
	for _, x := range nodes {
		name := x.String()
		if x.Failed() {
			continue
		}
		if !strings.Contains(name, ".") {
			if i := slices.IndexFunc(sc.links, func(l trace.Link) bool { return l.Name == name }); i < 0 {
				x.Errorf("no link %q: %s", name, sc.linkNames())
			}
			links = append(links, trace.LinkDir{Link: name})
			continue
		}
		ld, err := trace.ParseLinkDir(name)
		switch {
		case err != nil:
			x.Errorf("%v", err)
		case sc.direction(ld) == nil:
			x.Errorf("no direction %v: the links are %s", ld, sc.linkNames())
		}
		directions = append(directions, ld)
	}
	switch {
	case n.Failed():
	case len(links) > 0 && len(directions) > 0:
		n.Errorf("links and directions: write names of one kind")
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

func (sc *Scenario) linkNames() string {
	var names []string
	for _, l := range sc.links {
		names = append(names, l.Name)
	}
	return "there are " + strings.Join(names, ", ")
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
// after a fault.
func readMatrix(m *conf.Map, n int) [][]float64 {
	rhoNode, hasRho := m.Get("rho")
	matrixNode, hasMatrix := m.Get("matrix")
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
			matrixNode.Errorf("%d rows for %d names: write a row for each", len(rows), n)
			return nil
		}
		for i, row := range rows {
			cells := row.List()
			if !row.Failed() && len(cells) != n {
				row.Errorf("%d numbers for %d names: write one for each", len(cells), n)
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
					x.Errorf("%v: what is correlated with itself has 1", v)
					return nil
				case j < i && v != out[j][i]:
					x.Errorf("%v: the matrix has %v across the diagonal: it must be symmetric", v, out[j][i])
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

// correlate adds a correlation of directions, those of them that there are.
func (sc *Scenario) correlate(q quantity, members []trace.LinkDir, nodes []conf.Node, matrix [][]float64, taken map[trace.LinkDir]bool) {
	if matrix == nil {
		return
	}
	type member struct {
		trace.LinkDir
		at   int // in members
		tau  time.Duration
		node conf.Node
	}
	var found []member
	for i, ld := range members {
		d := sc.direction(ld)
		if d == nil {
			continue // the link has no such direction
		}
		taus, ok := d.taus(q)
		switch {
		case !ok:
			continue // decoding it failed
		case len(taus) == 0 && ld.Dir == trace.Down && len(members) == len(nodes) && !strings.Contains(nodes[i].String(), "."):
			continue // named as a link, and constant this way
		case len(taus) == 0:
			nodes[i].Errorf("%v has no ou or log-ou process that drives its %s", ld, quantities()[q].name)
			return
		case taken[ld]:
			nodes[i].Errorf("the %s of %v is in another correlation already: write one matrix", quantities()[q].name, ld)
			return
		}
		for _, tau := range taus {
			if tau < 0 {
				nodes[i].Errorf("the %s of %v has more than one ou or log-ou process: a correlation is of one", quantities()[q].name, ld)
				return
			}
			if tau != taus[0] {
				sc.warnings = append(sc.warnings, ld.String()+": its regimes have different taus: the correlation is exact for the first one's")
				break
			}
		}
		taken[ld] = true
		found = append(found, member{ld, i, taus[0], nodes[i]})
	}
	if len(found) < 2 {
		return
	}
	slices.SortFunc(found, func(a, b member) int { return a.Compare(b.LinkDir) })
	c := correlation{q: q}
	n := len(found)
	later := make([][]float64, n)
	a := make([]float64, n)
	for i, f := range found {
		c.members = append(c.members, f.LinkDir)
		c.matrix = append(c.matrix, make([]float64, n))
		later[i] = make([]float64, n)
		a[i] = exp(-float64(sc.step) / float64(f.tau))
		for j := range i + 1 {
			rho := matrix[f.at][found[j].at]
			c.matrix[i][j], c.matrix[j][i] = rho, rho
			x := math.Sqrt(float64(float64((1-a[i])*(1+a[i])) * float64((1-a[j])*(1+a[j]))))
			later[i][j] = float64(rho*(1-float64(a[i]*a[j]))) / x
		}
		later[i][i] = 1
	}
	var ok bool
	if c.factors[0], ok = cholesky(c.matrix); !ok {
		nodes[0].Errorf("no numbers have these correlations with one another: the matrix is not positive definite")
		return
	}
	if c.factors[1], ok = cholesky(later); !ok {
		nodes[0].Errorf("the taus differ too much for this correlation: a process cannot follow one that is so much slower; write a lower correlation, or taus closer together")
		return
	}
	sc.correlations = append(sc.correlations, c)
}

// taus returns the correlation times of the processes that drive a quantity, one
// for each regime, -1 for one with several; false after a fault.
func (d *direction) taus(q quantity) (out []time.Duration, ok bool) {
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
				out = append(out, m.ous[0].tau)
			case len(m.ous) == 1:
				ok = false
			case len(m.ous) > 1:
				out = append(out, -1)
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
	for _, ld := range c.members {
		s.streams = append(s.streams, newStream(seed, ld.Link, ld.Dir.String(), quantities()[c.q].name))
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

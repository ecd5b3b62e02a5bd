package fit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/gonum/mat"

	"linktape/trace"
)

// ScenarioOptions says what a scenario of a report is called.
type ScenarioOptions struct {
	Name string // "" = lookalike
	Of   string // what it was fitted to, for the description; may be empty
}

// Scenario writes a scenario for package synth that makes lookalikes of the
// timeline: as long, with the estimates as parameters, rounded to four digits,
// and their intervals and the goodness of fit as comments.
func (rep *Report) Scenario(opts ScenarioOptions) string {
	y := &yaml{rep: rep, step: rep.step()}
	name := opts.Name
	if name == "" {
		name = "lookalike"
	}
	y.linef(0, "scenario: %s", name)
	if opts.Of != "" {
		y.linef(0, "description: %s", strconv.Quote("fitted to "+plain(opts.Of)))
	}
	y.linef(0, "duration: %v", rep.Duration)
	y.linef(0, "step: %v", y.step)
	if rep.seed != 0 {
		y.linef(0, "seed: %d # another than the tape's, which would draw the same again", rep.seed)
	}
	for _, w := range rep.Warnings {
		y.linef(0, "# %s", plain(w))
	}
	y.correlations()
	y.linef(0, "links:")
	for _, l := range rep.links {
		y.link(l)
	}
	return y.b.String()
}

// plain keeps a text on one line.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfffd {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

// step is the shortest bin among the directions that vary.
func (rep *Report) step() time.Duration {
	step := time.Duration(0)
	for _, d := range rep.Directions {
		varies := d.Rate != nil && d.Rate.Model != Constant || d.Delay != nil && d.Delay.Model != Constant || d.Jitter != nil && d.Jitter.Model != Constant
		if varies && (step == 0 || d.Bin < step) {
			step = d.Bin
		}
	}
	if step == 0 {
		step = DefaultBin
	}
	return step
}

// digits rounds to four significant digits.
func digits(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return r
}

func yamlRate(v float64) string {
	return trace.BitRate(math.Round(digits(min(max(v, 1), float64(trace.MaxRate))))).String()
}

// yamlDuration writes seconds.
func yamlDuration(v float64) string {
	const most = 100 * 365 * 24 * 3600 // seconds
	v = digits(min(v, most))
	return (time.Duration(math.Round(v*1e6)) * time.Microsecond).String()
}

func yamlNumber(v float64) string { return strconv.FormatFloat(digits(v), 'f', -1, 64) }

type yaml struct {
	b    strings.Builder
	rep  *Report
	step time.Duration
}

func (y *yaml) linef(indent int, format string, args ...any) {
	y.b.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&y.b, format, args...)
	y.b.WriteByte('\n')
}

// interval writes the ends of an interval for a comment.
func interval(e Estimate, write func(float64) string) string {
	end := func(v float64) string {
		switch {
		case math.IsNaN(v):
			return "?"
		case math.IsInf(v, 1):
			return "∞"
		case math.IsInf(v, -1):
			return "−∞"
		}
		return write(v)
	}
	return end(e.Low) + " to " + end(e.High)
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

func (y *yaml) correlations() {
	index := map[string]int{}
	var names []string
	for _, c := range y.rep.Correlations {
		for _, n := range []string{c.A, c.B} {
			if _, ok := index[n]; !ok {
				index[n] = len(names)
				names = append(names, n)
			}
		}
	}
	// All pairs, or none: a matrix needs each.
	n := len(names)
	if n < 2 || len(y.rep.Correlations) != n*(n-1)/2 {
		return
	}
	m := make([][]float64, n)
	steps := make([][]float64, n) // covariance of the steps that drive the processes
	factor := make([]float64, n)
	for i, name := range names {
		m[i], steps[i] = make([]float64, n), make([]float64, n)
		m[i][i] = 1
		for _, d := range y.rep.Directions {
			if d.ld.String() == name {
				factor[i] = math.Exp(-y.step.Seconds() / y.rep.normalTau(d))
			}
		}
	}
	for _, c := range y.rep.Correlations {
		i, k := index[c.A], index[c.B]
		m[i][k], m[k][i] = c.Rho.Value, c.Rho.Value
	}
	// Estimates of pairs need not belong to any joint distribution: they are
	// drawn towards 0 until they do, for the values and for the steps.
	shrink := 1.0
	for ; shrink > 0; shrink -= 0.02 {
		for i := range m {
			for k := range m {
				v := digits(shrink * m[i][k])
				if i == k {
					v = 1
				}
				steps[i][k] = v * (1 - factor[i]*factor[k])
			}
		}
		if definite(steps) && definiteCorrelation(m, shrink) {
			break
		}
	}
	y.linef(0, "correlation:")
	for _, c := range y.rep.Correlations {
		y.linef(1, "# %s and %s: %s; of the rates themselves, with noise: %s (%s)", c.A, c.B, interval(c.Rho, short), short(c.Plain.Value), interval(c.Plain, short))
	}
	if shrink < 1 {
		y.linef(1, "# drawn towards 0 by %.0f %%, so that they go together", 100*(1-shrink))
	}
	var rows []string
	for i := range m {
		var row []string
		for k := range m {
			v := shrink * m[i][k]
			if i == k {
				v = 1
			}
			row = append(row, strconv.FormatFloat(digits(v), 'f', -1, 64))
		}
		rows = append(rows, "["+strings.Join(row, ", ")+"]")
	}
	y.linef(1, "- {of: rate, links: [%s], matrix: [%s]}", strings.Join(names, ", "), strings.Join(rows, ", "))
}

func definiteCorrelation(m [][]float64, shrink float64) bool {
	c := make([][]float64, len(m))
	for i := range m {
		c[i] = make([]float64, len(m))
		for k := range m {
			c[i][k] = digits(shrink * m[i][k])
		}
		c[i][i] = 1
	}
	return definite(c)
}

func definite(m [][]float64) bool {
	s := mat.NewSymDense(len(m), nil)
	for i := range m {
		for k := range i + 1 {
			s.SetSym(i, k, m[i][k]/math.Sqrt(m[i][i]*m[k][k]))
		}
	}
	var e mat.EigenSym
	return e.Factorize(s, false) && slices.Min(e.Values(nil)) > 1e-3
}

// normalTau is the τ that the scenario gives the direction's rate; with regimes,
// that of the first one, which is what a correlation goes by.
func (rep *Report) normalTau(d *Direction) float64 {
	var dirs []*Direction
	for _, o := range rep.Directions {
		if o.Link == d.Link {
			dirs = append(dirs, o)
		}
	}
	if leader := regimesOf(dirs); leader != nil && d.follows(leader) {
		for _, r := range leader.Regimes.Regimes {
			for _, own := range d.Regimes.Regimes {
				if own.Name == r.Name && own.Rate.series != nil {
					return own.Rate.scenarioTau()
				}
			}
		}
	}
	return d.Rate.scenarioTau()
}

// follows reports whether the direction has a rate for each regime of the one
// that leads the link.
func (d *Direction) follows(leader *Direction) bool {
	if d == leader {
		return true
	}
	if d.Regimes == nil || d.Regimes.From != "labels" || leader.Regimes.From != "labels" {
		return false
	}
	for _, r := range leader.Regimes.Regimes {
		if !slices.ContainsFunc(d.Regimes.Regimes, func(o Regime) bool { return o.Name == r.Name }) {
			return false
		}
	}
	return true
}

// scenarioTau is τ in seconds as a scenario has it: a rate without memory gets
// one that is forgotten within a step.
func (p *Process) scenarioTau() float64 {
	if p.White {
		return p.Bin.Seconds() / 5
	}
	return digits(p.Tau.Value)
}

func (y *yaml) link(l trace.Link) {
	y.linef(1, "%s:", l.Name)
	if q := l.Queue; q != nil {
		if q.LimitTime > 0 {
			y.linef(2, "queue: %v", q.LimitTime)
		} else if q.LimitBytes > 0 {
			y.linef(2, "queue: %dB", q.LimitBytes)
		}
	}
	var dirs []*Direction
	for _, d := range y.rep.Directions {
		if d.Link == l.Name {
			dirs = append(dirs, d)
		}
	}
	leader := regimesOf(dirs)
	for _, d := range dirs {
		head := y.b.String()
		y.b.Reset()
		if leader != nil && d.follows(leader) {
			if p := d.Rate; p.Model != Constant {
				y.linef(3, "# as one process in place of regimes: rate: {%s}", y.process(p, true, yamlRate))
			}
		} else {
			y.rate(3, d.Rate)
		}
		y.delay(3, "delay", d.Delay)
		y.delay(3, "jitter", d.Jitter)
		y.loss(3, d.Loss)
		body := y.b.String()
		y.b.Reset()
		y.b.WriteString(head)
		empty := ""
		if !hasKeys(body) {
			empty = " {}"
		}
		y.linef(2, "%s:%s", d.Dir, empty)
		y.b.WriteString(body)
	}
	if leader != nil {
		y.regimes(leader, dirs)
	}
	y.outages(dirs)
}

// hasKeys reports whether a text has lines that are no comments.
func hasKeys(text string) bool {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			return true
		}
	}
	return false
}

// regimesOf returns the direction whose regimes are the link's: up's, if it has
// any.
func regimesOf(dirs []*Direction) *Direction {
	var out *Direction
	for _, d := range dirs {
		if d.Regimes != nil && (out == nil || d.ld.Dir == trace.Up) {
			out = d
		}
	}
	return out
}

func (y *yaml) rate(indent int, p *Process) {
	if p == nil {
		y.linef(indent, "rate: 0 # it could not be estimated")
		return
	}
	if p.Model == Constant {
		note := ""
		if math.IsNaN(p.Mean.Low) {
			note = " # the mean of one that varies"
		}
		y.linef(indent, "rate: %s%s", trace.BitRate(math.Round(p.Mean.Value)), note)
		return
	}
	y.linef(indent, "# mean %s, cv %s, tau %s, noise %s", interval(p.Mean, yamlRate), interval(p.CV, short), interval(p.Tau, yamlDuration), interval(p.Noise, short))
	y.goodness(indent, p.Goodness)
	y.linef(indent, "rate: {%s}", y.process(p, true, yamlRate))
}

func (y *yaml) goodness(indent int, g *Goodness) {
	if g != nil {
		y.linef(indent, "# fit %s: KS %s (p %s), largest autocorrelation of what is left %s", g.Word, short(g.KS), short(g.KSP), short(g.Largest))
	}
}

// process writes the keys of an ou or log-ou; one that is floored does not go
// below the lowest value seen.
func (y *yaml) process(p *Process, floored bool, value func(float64) string) string {
	noise := min(digits(p.Noise.Value), 0.9999)
	if p.White {
		noise = 0
	}
	s := fmt.Sprintf("model: %s, mean: %s, cv: %s, tau: %s", p.Model, value(p.Mean.Value), yamlNumber(min(p.CV.Value, 10)), yamlDuration(p.scenarioTau()))
	if noise > 0 {
		s += ", noise: " + yamlNumber(noise)
	}
	// Bounds at the wrong side of the mean, which only a clipped process with its
	// mean outside has, are refused.
	if p.FloorShare > 0 && p.Floor > 0 && p.Floor < 0.999*p.Mean.Value {
		s += ", floor: " + value(p.Floor)
	} else if floored && p.Model == OU && p.Lowest > 0 && p.Lowest < 0.999*p.Mean.Value {
		s += ", floor: " + value(p.Lowest) // where the data are never 0, nor is what looks like them
	}
	if p.CeilingShare > 0 && p.Ceiling > 1.001*p.Mean.Value {
		s += ", ceiling: " + value(p.Ceiling)
	}
	return s
}

func nanoseconds(v float64) string { return yamlDuration(min(v, float64(trace.MaxDelay)) / 1e9) }

func (y *yaml) delay(indent int, name string, d *Delay) {
	if d == nil {
		return
	}
	p := d.Process
	whole := nanoseconds(p.Mean.Value)
	if p.Model != Constant {
		y.linef(indent, "# mean %s, cv %s, tau %s, noise %s", interval(p.Mean, nanoseconds), interval(p.CV, short), interval(p.Tau, yamlDuration), interval(p.Noise, short))
		y.goodness(indent, p.Goodness)
		whole = "{" + y.process(p, d.Spikes == nil, nanoseconds) + "}"
	}
	if s := d.Spikes; s != nil {
		y.linef(indent, "# %d spikes: every %s, median height %s, p90 %s", s.Count, interval(s.Every, yamlDuration), interval(s.Height.Median, nanoseconds), interval(s.Height.P90, nanoseconds))
		hold := ""
		if s.Duration > y.step.Seconds() {
			hold = ", hold: " + yamlDuration(s.Duration)
		}
		spikes := fmt.Sprintf("{model: spikes, every: %s, height: %s%s}", yamlDuration(max(s.Every.Value, 0.001)), spread(s.Height.scaled(1e-9)), hold)
		whole = "{model: sum, of: [" + whole + ", " + spikes + "]}"
	}
	y.linef(indent, "%s: %s", name, whole)
}

func (l LogNormal) scaled(k float64) LogNormal { return LogNormal{l.Median.scale(k), l.P90.scale(k)} }

// spread writes a log-normal distribution of durations, in seconds; one without
// any spread is a plain duration.
func spread(l LogNormal) string {
	median, p90 := yamlDuration(l.Median.Value), yamlDuration(l.P90.Value)
	if median == p90 {
		return median
	}
	return fmt.Sprintf("{median: %s, p90: %s}", median, p90)
}

func yamlProb(v float64) string { return strconv.FormatFloat(digits(min(max(v, 0), 1)), 'f', -1, 64) }

func (y *yaml) loss(indent int, l *Loss) {
	if l == nil {
		return
	}
	switch l.Model {
	case "none":
	case "constant":
		y.linef(indent, "loss: %s", yamlProb(l.Mean.Value))
	case "varying":
		y.linef(indent, "loss: %s # the mean of one that varies", yamlProb(l.Mean.Value))
	case "ge-packet":
		g := l.GE
		if g.R == 0 && g.P > 0 {
			y.linef(indent, "loss: %s", yamlProb(g.Loss()))
			return
		}
		y.linef(indent, "loss: {model: ge-packet, p: %s, r: %s, loss_bad: %s, loss_good: %s}", yamlProb(float64(g.P)), yamlProb(float64(g.R)), yamlProb(float64(g.LossBad)), yamlProb(float64(g.LossGood)))
	default:
		y.linef(indent, "# %d bursts: mean_good %s, mean_bad %s, loss_bad %s, loss_good %s", l.Bursts, interval(l.MeanGood, yamlDuration), interval(l.MeanBad, yamlDuration), interval(l.LossBad, short), interval(l.LossGood, short))
		losses := fmt.Sprintf("loss_bad: %s, loss_good: %s", yamlProb(l.LossBad.Value), yamlProb(l.LossGood.Value))
		short := y.step.Seconds()
		switch {
		case l.Model == "bursts":
			y.linef(indent, "# heavy tail: alpha %s over %d lengths", interval(l.Tail.Alpha, yamlNumber), l.Tail.N)
			y.linef(indent, "loss: {model: bursts, every: %s, duration: {min: %s, alpha: %s, max: %s}, %s}",
				yamlDuration(max(l.MeanGood.Value, 0.001)), yamlDuration(l.Tail.Min), yamlNumber(max(l.Tail.Alpha.Value, 0.1)), yamlDuration(max(l.Tail.Max, 1.01*l.Tail.Min)), losses)
		case digits(l.MeanBad.Value) < short || digits(l.MeanGood.Value) < short: // the chain is stepped once a step
			y.linef(indent, "loss: {model: bursts, every: %s, duration: %s, %s}", yamlDuration(max(l.MeanGood.Value, 0.001)), yamlDuration(max(l.MeanBad.Value, 1e-6)), losses)
		default:
			y.linef(indent, "loss: {model: ge, mean_good: %s, mean_bad: %s, %s}", yamlDuration(l.MeanGood.Value), yamlDuration(l.MeanBad.Value), losses)
		}
	}
}

func (y *yaml) regimes(leader *Direction, dirs []*Direction) {
	y.linef(2, "regimes: # from the %s of %s", leader.Regimes.From, leader.ld)
	for i, r := range leader.Regimes.Regimes {
		y.linef(3, "%s:", regimeName(r.Name, i))
		y.linef(4, "dwell: %s # %s, left %d times", yamlDuration(max(r.Dwell.Value, 0.001)), interval(r.Dwell, yamlDuration), r.Visits)
		var next []string
		for k, other := range leader.Regimes.Regimes {
			if w := r.Next[other.Name]; w > 0 {
				next = append(next, regimeName(other.Name, k)+": "+yamlNumber(w))
			}
		}
		y.linef(4, "next: {%s}", strings.Join(next, ", "))
		for _, d := range dirs {
			if !d.follows(leader) {
				continue
			}
			for _, own := range d.Regimes.Regimes {
				if own.Name == r.Name {
					y.linef(4, "%s:", d.Dir)
					y.rate(5, own.Rate)
				}
			}
		}
	}
}

// regimeName makes a label a name.
func regimeName(label string, i int) string {
	if trace.CheckName(label) == nil {
		return label
	}
	return "r" + strconv.Itoa(i+1)
}

func (y *yaml) outages(dirs []*Direction) {
	type entry struct {
		o    *Outages
		mode string
		note string
	}
	var list []entry
	add := func(d *Direction, mode, note string) {
		if d.Outages != nil && d.Outages.Count > 0 {
			list = append(list, entry{d.Outages, mode, note})
		}
	}
	both := func(k OutageKind) string {
		if k == Drop {
			return "drop-both"
		}
		return string(k)
	}
	switch {
	case len(dirs) == 1 && dirs[0].Outages != nil:
		add(dirs[0], both(dirs[0].Outages.Kind), "")
	case len(dirs) == 2 && dirs[0].Outages != nil && dirs[1].Outages != nil && together(dirs[0].runs, dirs[1].runs):
		add(dirs[1], both(dirs[1].Outages.Kind), "both directions together")
	default:
		for _, d := range dirs {
			if d.Outages == nil {
				continue
			}
			note := ""
			if d.Outages.Kind != Drop {
				note = fmt.Sprintf("a %s of one direction: packets are lost instead", d.Outages.Kind)
			}
			add(d, "drop-"+d.Dir, note)
		}
	}
	if list == nil {
		return
	}
	y.linef(2, "outages:")
	for _, e := range list {
		if e.note != "" {
			y.linef(3, "# %s", e.note)
		}
		duration := ""
		if d := e.o.Duration; d != nil {
			y.linef(3, "# %d: every %s, median %s, p90 %s", e.o.Count, interval(e.o.Every, yamlDuration), interval(d.Median, yamlDuration), interval(d.P90, yamlDuration))
			duration = spread(*d)
		} else {
			mean := e.o.Share * y.rep.Duration.Seconds() / float64(e.o.Count)
			y.linef(3, "# %d: every %s; too few for the distribution of durations", e.o.Count, interval(e.o.Every, yamlDuration))
			duration = yamlDuration(max(mean, 0.001))
		}
		y.linef(3, "- {every: %s, duration: %s, mode: %s}", yamlDuration(max(e.o.Every.Value, 0.001)), duration, e.mode)
	}
}

// together reports whether outages of two directions are the same: four in five
// of each begin in one of the other.
func together(a, b []run) bool {
	within := func(a, b []run) bool {
		hits, k := 0, 0
		for _, r := range a {
			for k < len(b) && b[k].to <= r.from {
				k++
			}
			if k < len(b) && b[k].from < r.to {
				hits++
			}
		}
		return 5*hits >= 4*len(a)
	}
	return within(a, b) && within(b, a)
}

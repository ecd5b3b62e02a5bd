package synth

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// quantity is what a process drives. Values are float64: bit/s, nanoseconds or
// probabilities; all integers within the limits of a timeline are exact.
type quantity int

const (
	rate quantity = iota
	delay
	jitter
	loss
	duplicate
	corrupt
	reorder
	factor // of a product: a plain number
)

// quantities lists every quantity with its key in a scenario, which also names
// its random stream.
func quantities() []struct {
	q    quantity
	name string
} {
	return []struct {
		q    quantity
		name string
	}{
		{rate, "rate"}, {delay, "delay"}, {jitter, "jitter"}, {loss, "loss"},
		{duplicate, "duplicate"}, {corrupt, "corrupt"}, {reorder, "reorder"},
	}
}

func (q quantity) isTime() bool { return q == delay || q == jitter }
func (q quantity) isProb() bool { return q >= loss && q <= reorder }

// most is the largest value that a timeline holds.
func (q quantity) most() float64 {
	switch {
	case q == rate:
		return float64(trace.MaxRate)
	case q.isTime():
		return float64(trace.MaxDelay)
	case q == factor:
		return maxFactor
	}
	return 1
}

// read decodes a value of the quantity.
func (q quantity) read(n conf.Node) float64 {
	switch {
	case q == rate:
		return float64(n.Rate())
	case q.isTime():
		return float64(readDelay(n))
	case q == factor:
		f := n.Float()
		if f < 0 || f > maxFactor {
			n.Errorf("factor %v: outside 0 to %d", f, int(maxFactor))
			return 1
		}
		return f + 0 // −0 becomes 0
	}
	return float64(readProb(n))
}

// maxFactor is the largest factor of a product.
const maxFactor = 1e6

func readDelay(n conf.Node) time.Duration {
	d := n.Duration()
	if d > trace.MaxDelay {
		n.Errorf("%v: above the longest delay, %v", d, trace.MaxDelay)
		return 0
	}
	return d
}

// readProb decodes a probability; −0 becomes 0, so that equal states are equal.
func readProb(n conf.Node) trace.Prob {
	if p := n.Prob(); p != 0 {
		return p
	}
	return 0
}

// quantise rounds a value of a random process to what a tape holds: whole
// bit/s, whole microseconds; negative terms of a sum like positive ones.
func (q quantity) quantise(v float64) float64 {
	half := 0.5
	if v < 0 {
		half = -0.5
	}
	switch {
	case q == rate:
		return float64(int64(v + half))
	case q.isTime():
		return float64(int64(v/1000+half) * 1000)
	}
	return v
}

// copy takes the quantity from another state. Loss brings its chain and label.
func (q quantity) copy(to, from *trace.State) {
	switch q {
	case rate:
		to.Rate = from.Rate
	case delay:
		to.Delay = from.Delay
	case jitter:
		to.Jitter = from.Jitter
	case loss:
		to.Loss, to.GE, to.Label = from.Loss, from.GE, from.Label
	case duplicate:
		to.Duplicate = from.Duplicate
	case corrupt:
		to.Corrupt = from.Corrupt
	case reorder:
		to.Reorder = from.Reorder
	}
}

// set puts a value into a state.
func (q quantity) set(s *trace.State, v float64) {
	switch q {
	case rate:
		s.Rate = trace.BitRate(v)
	case delay:
		s.Delay = time.Duration(v)
	case jitter:
		s.Jitter = time.Duration(v)
	case loss:
		s.Loss = trace.Prob(v)
	case duplicate:
		s.Duplicate = trace.Prob(v)
	case corrupt:
		s.Corrupt = trace.Prob(v)
	case reorder:
		s.Reorder = trace.Prob(v)
	}
}

// env is what a process starts with: the run's seed and sampling interval, and
// the direction that it is for. Processes of a whole link have a zero Dir and
// say so in the name of their stream; those of the scenario have no link either.
type env struct {
	trace.LinkDir
	seed  uint64
	step  time.Duration
	noise *noise // of the Ornstein–Uhlenbeck process, where it is correlated with others; else nil
}

// stream returns the random stream of one process.
func (e *env) stream(name string) *stream {
	return newStream(e.seed, e.Link, e.Dir.String(), name)
}

// model is a process as the scenario describes it.
type model interface {
	// start makes the process at instant 0. name is that of its random stream.
	// Processes that sample do so every step.
	start(e *env, name string) process
	// changes is how often, at the most, the process changes a state at instants
	// of its own after 0, and whether it also does at the sampling instants, which
	// all processes share.
	changes(duration, step time.Duration) (own uint64, sampled bool)
}

// process is a running process.
type process interface {
	// advance puts the value of instant t into the state and returns the
	// instant of the next call; never when the value stays. The first call has
	// t = 0, each other one the instant that the call before returned.
	advance(t time.Duration, s *trace.State) (next time.Duration)
}

// scalarModel is a model of one number, which may be a term of another.
type scalarModel interface {
	scalar(e *env, name string) scalar
	changes(duration, step time.Duration) (own uint64, sampled bool)
}

// scalar is a running process of one number, in the quantity's unit; like a
// [process] otherwise.
type scalar interface {
	value(t time.Duration) (v float64, next time.Duration)
}

// never is an instant after every timeline.
const never = time.Duration(math.MaxInt64)

// driven is a scalar model that drives a quantity.
type driven struct {
	scalarModel
	q quantity
}

func (m driven) start(e *env, name string) process { return &drivenProcess{m.scalar(e, name), m.q} }

type drivenProcess struct {
	scalar
	q quantity
}

func (p *drivenProcess) advance(t time.Duration, s *trace.State) time.Duration {
	v, next := p.value(t)
	p.q.set(s, v)
	return next
}

// decoder is the state of decoding one process.
type decoder struct {
	sc   *Scenario
	q    quantity
	path string // such as links.att.up.rate
	term bool   // of a sum: its mean may be 0, and its values below
	name string // of its random stream
	ous  *[]*ou // where Ornstein–Uhlenbeck processes are listed
}

func (d *decoder) warnf(format string, args ...any) {
	d.sc.warnings = append(d.sc.warnings, d.path+": "+fmt.Sprintf(format, args...))
}

// kind is a model by name. One of the two functions is set.
type kind struct {
	name   string
	scalar func(*decoder, *conf.Map) scalarModel
	loss   func(*decoder, *conf.Map) model
}

// kinds lists the models that can drive a quantity. A new process is one file,
// one line here, and its keys in schema.go.
func (q quantity) kinds() []kind {
	out := []kind{{name: "constant", scalar: decodeConstant}, {name: "steps", scalar: decodeSteps}}
	if !q.isProb() {
		out = append(out, kind{name: "ou", scalar: decodeOU}, kind{name: "log-ou", scalar: decodeLogOU})
	}
	if q.isTime() {
		out = append(out, kind{name: "spikes", scalar: decodeSpikes})
	}
	if q == loss {
		out = append(out, kind{name: "ge", loss: decodeGE}, kind{name: "ge-packet", loss: decodeGEPacket},
			kind{name: "markov", loss: decodeMarkov}, kind{name: "bursts", loss: decodeBursts})
	}
	return append(out, kind{name: "ramp", scalar: decodeRamp}, kind{name: "diurnal", scalar: decodeDiurnal},
		kind{name: "sum", scalar: decodeSum}, kind{name: "product", scalar: decodeProduct})
}

// decode reads a value or a model. It returns nil after a fault.
func (d *decoder) decode(n conf.Node) model {
	k, m := d.kind(n, func(kind) bool { return true })
	switch {
	case m == nil && n.IsMap():
		return nil
	case m == nil:
		return driven{constant(d.q.read(n)), d.q}
	case k.loss != nil:
		out := k.loss(d, m)
		m.Done()
		return out
	}
	out := k.scalar(d, m)
	m.Done()
	return driven{out, d.q}
}

// decodeScalar reads a value or a model of one number. It returns nil after a
// fault.
func (d *decoder) decodeScalar(n conf.Node) scalarModel {
	k, m := d.kind(n, func(k kind) bool { return k.scalar != nil })
	switch {
	case m == nil && n.IsMap():
		return nil
	case m == nil:
		return constant(d.q.read(n))
	}
	out := k.scalar(d, m)
	m.Done()
	return out
}

// kind returns the model that a mapping names; no mapping after a fault and for
// a plain value.
func (d *decoder) kind(n conf.Node, want func(kind) bool) (kind, *conf.Map) {
	if !n.IsMap() {
		return kind{}, nil
	}
	m := n.Map()
	kinds := slices.DeleteFunc(d.q.kinds(), func(k kind) bool { return !want(k) })
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	modelNode := m.Require("model")
	name := modelNode.String()
	if others := drivenBy(name); others != nil && !slices.Contains(names, name) {
		modelNode.Errorf("model %q drives %s: write one of %s", name, strings.Join(others, ", "), strings.Join(names, ", "))
		return kind{}, nil
	}
	modelNode.OneOf(names...)
	for _, k := range kinds {
		if k.name == name {
			return k, m
		}
	}
	return kind{}, nil
}

// drivenBy lists the quantities that a model can drive.
func drivenBy(name string) (out []string) {
	for _, q := range quantities() {
		if slices.ContainsFunc(q.q.kinds(), func(k kind) bool { return k.name == name }) {
			out = append(out, q.name)
		}
	}
	return out
}

// samples is how many instants k·step lie in [0, duration).
func samples(duration, step time.Duration) uint64 {
	return uint64((duration-1)/step) + 1
}

// saturatingMul multiplies, with 2⁶⁴−1 for everything above.
func saturatingMul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

func saturatingAdd(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

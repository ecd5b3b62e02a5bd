package synth

import (
	"fmt"
	"math"
	"math/bits"
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
func (q quantity) isProb() bool { return q >= loss }

// most is the largest value that a timeline holds.
func (q quantity) most() float64 {
	switch {
	case q == rate:
		return float64(trace.MaxRate)
	case q.isTime():
		return float64(trace.MaxDelay)
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
	}
	return float64(readProb(n))
}

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
// bit/s, whole microseconds.
func (q quantity) quantise(v float64) float64 {
	switch {
	case q == rate:
		return float64(int64(v + 0.5))
	case q.isTime():
		return float64(int64(v/1000+0.5) * 1000)
	}
	return v
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

// model is a process as the scenario describes it.
type model interface {
	// start makes the process at instant 0 with the draws of s. Processes that
	// sample do so every step.
	start(s *stream, step time.Duration) process
	// changes is how often the process may change a state within duration,
	// instant 0 included. A sampled process changes at the sampling instants,
	// which all of them share.
	changes(duration time.Duration) (n uint64, sampled bool)
}

// process is a running process.
type process interface {
	// advance puts the value of instant t into the state and returns the
	// instant of the next call; never when the value stays. The first call has
	// t = 0, each other one the instant that the call before returned.
	advance(t time.Duration, s *trace.State) (next time.Duration)
}

// never is an instant after every timeline.
const never = time.Duration(math.MaxInt64)

// decoder is the state of decoding one process.
type decoder struct {
	sc   *Scenario
	q    quantity
	path string // such as links.att.up.rate
}

func (d *decoder) warnf(format string, args ...any) {
	d.sc.warnings = append(d.sc.warnings, d.path+": "+fmt.Sprintf(format, args...))
}

// kinds lists the models that can drive a quantity. A new process is one file
// and one line here.
func (q quantity) kinds() []struct {
	name   string
	decode func(*decoder, *conf.Map) model
} {
	type kind = struct {
		name   string
		decode func(*decoder, *conf.Map) model
	}
	out := []kind{{"constant", decodeConstant}, {"steps", decodeSteps}}
	switch {
	case !q.isProb():
		out = append(out, kind{"ou", decodeOU}, kind{"log-ou", decodeLogOU})
	case q == loss:
		out = append(out, kind{"ge", decodeGE}, kind{"ge-packet", decodeGEPacket})
	}
	return out
}

// decode reads a value or a model. It returns nil after a fault.
func (d *decoder) decode(n conf.Node) model {
	if !n.IsMap() {
		return constant{d.q, d.q.read(n)}
	}
	m := n.Map()
	kinds := d.q.kinds()
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	name := m.Require("model").OneOf(names...)
	for _, k := range kinds {
		if k.name == name {
			out := k.decode(d, m)
			m.Done()
			return out
		}
	}
	return nil
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

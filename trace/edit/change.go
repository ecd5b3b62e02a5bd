package edit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
)

// Quantity is one of the numbers of a state.
type Quantity uint8

// The quantities, in the order in which changes are written.
const (
	Rate Quantity = iota
	Delay
	Jitter
	Loss
	Duplicate
	Corrupt
	Reorder
	numQuantities
)

// Quantities lists the quantities by name, in the order of their constants.
func Quantities() []string {
	return []string{"rate", "delay", "jitter", "loss", "duplicate", "corrupt", "reorder"}
}

// String returns the quantity's name, such as "rate".
func (q Quantity) String() string {
	if q < numQuantities {
		return Quantities()[q]
	}
	return fmt.Sprintf("Quantity(%d)", uint8(q))
}

func (q Quantity) isTime() bool { return q == Delay || q == Jitter }
func (q Quantity) isProb() bool { return q >= Loss }

// most is the largest value that a tape may hold.
func (q Quantity) most() float64 {
	switch {
	case q == Rate:
		return float64(trace.MaxRate)
	case q.isTime():
		return float64(trace.MaxDelay)
	}
	return 1
}

// Op says how a [Change] makes a new value of the old one.
type Op uint8

// The operations.
const (
	Keep     Op = iota // leaves the value alone; the zero Change
	Set                // puts the value in its place
	Add                // adds the value, which may be negative
	Multiply           // multiplies by the value
)

// MaxFactor is the largest factor of a [Change].
const MaxFactor = 1_000_000

// Change is what happens to one quantity.
type Change struct {
	Op    Op
	Value float64 // bit/s, ns, a probability or a factor; rates and times are whole
}

// ParseChange reads a change of a quantity: a value ("500kbit", "80ms", "2%"),
// a factor ("x0.5"), or, for rates and times, a difference ("+100ms").
func ParseChange(q Quantity, s string) (Change, error) {
	if factor, ok := strings.CutPrefix(s, "x"); ok {
		f, err := ParseFactor(factor)
		if err != nil {
			return Change{}, fmt.Errorf("factor %q: %w", s, err)
		}
		return Change{Multiply, f}, nil
	}
	op, text := Set, s
	if !q.isProb() && (strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-")) {
		op, text = Add, s[1:]
		if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
			return Change{}, fmt.Errorf("difference %q: write one sign", s)
		}
	}
	var v float64
	var err error
	switch {
	case q == Rate:
		var r trace.BitRate
		r, err = trace.ParseBitRate(text)
		v = float64(r)
	case q.isTime():
		var d time.Duration
		d, err = parseTime(text)
		if err == nil && d > trace.MaxDelay {
			err = fmt.Errorf("duration %q: above the longest delay, %v", text, trace.MaxDelay)
		}
		v = float64(d)
	default:
		var p trace.Prob
		p, err = trace.ParseProb(text)
		v = float64(p)
	}
	if err != nil {
		return Change{}, err
	}
	if v == 0 {
		v = 0 // −0 becomes 0
	}
	if op == Add && s[0] == '-' {
		v = -v
	}
	if op == Add && v == 0 {
		return Change{}, fmt.Errorf("difference %q changes nothing: leave the clause out", s)
	}
	return Change{op, v}, nil
}

// ParseFactor reads a factor from 0 to [MaxFactor], such as "0.5".
func ParseFactor(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.Trim(s, "0123456789.eE+-") != "" || strings.Contains(s, "_") {
		return 0, fmt.Errorf("write a number such as 0.5")
	}
	if !(f >= 0 && f <= MaxFactor) {
		return 0, fmt.Errorf("outside 0 to %d", MaxFactor)
	}
	return f + 0, nil // −0 becomes 0
}

// parseTime reads a duration ≥ 0; 0 needs no unit.
func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("duration %q: write a number with ns, us, ms, s, m or h, such as 100ms or 1.5s", s)
	case d < 0:
		return 0, fmt.Errorf("duration %q: negative", s)
	}
	return d, nil
}

// text writes the change of a quantity as [ParseChange] reads it.
func (c Change) text(q Quantity) string {
	if c.Op == Multiply {
		return "x" + strconv.FormatFloat(c.Value, 'g', -1, 64)
	}
	sign, v := "", c.Value
	if c.Op == Add {
		sign = "+"
		if v < 0 {
			sign, v = "-", -v
		}
	}
	switch {
	case q == Rate:
		return sign + trace.BitRate(v).String()
	case q.isTime():
		return sign + time.Duration(v).String()
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Apply changes a quantity of a state. Results are rounded to whole bit/s and
// nanoseconds, and stay within what a tape may hold. A loss that is set replaces
// a chain of losses; a factor changes how often its bursts begin.
func (c Change) Apply(q Quantity, s *trace.State) {
	if c.Op == Keep || c.Op == Multiply && c.Value == 1 {
		return
	}
	switch q {
	case Rate:
		s.Rate = trace.BitRate(c.value(q, float64(s.Rate)))
	case Delay:
		s.Delay = time.Duration(c.value(q, float64(s.Delay)))
	case Jitter:
		s.Jitter = time.Duration(c.value(q, float64(s.Jitter)))
	case Loss:
		if c.Op == Multiply && s.GE.Enabled() {
			scaleChain(s, c.Value)
			return
		}
		s.Loss, s.GE = trace.Prob(c.value(q, float64(s.Loss))), trace.GE{}
	case Duplicate:
		s.Duplicate = trace.Prob(c.value(q, float64(s.Duplicate)))
	case Corrupt:
		s.Corrupt = trace.Prob(c.value(q, float64(s.Corrupt)))
	case Reorder:
		s.Reorder = trace.Prob(c.value(q, float64(s.Reorder)))
	}
}

// value makes the new value of a quantity. Rates and times in a tape are below
// 2^53, so that a float64 holds them exactly.
func (c Change) value(q Quantity, v float64) float64 {
	switch c.Op {
	case Set:
		v = c.Value
	case Add:
		v += c.Value
	case Multiply:
		v = float64(v * c.Value)
	}
	if !q.isProb() {
		v = math.Round(v)
	}
	return max(0, min(v, q.most()))
}

// scaleChain multiplies the stationary loss of a chain: bursts come more or less
// often and keep their mean length. Only where they would have to begin at every
// good packet do they grow longer, and the loss does not exceed that of the bad
// state.
func scaleChain(s *trace.State, f float64) {
	g := s.GE
	good := min(float64(float64(g.LossGood)*f), 1)
	bad := float64(g.LossBad)
	want := float64(chainLoss(g) * f)
	constant := func(loss float64) { s.Loss, s.GE = trace.Prob(loss), trace.GE{} }
	switch {
	case want <= 0:
		constant(0)
	case g.P == 0: // never leaves the good state
		s.GE.LossGood = trace.Prob(good)
	case g.R == 0: // stays in the bad state
		constant(min(want, 1))
	case bad <= good: // no bursts that stand out
		constant(min(want, good))
	case want <= good:
		constant(good)
	case want >= bad:
		constant(bad)
	default:
		share := (want - good) / (bad - good) // of the bad state, π = P/(P+R)
		odds := share / (1 - share)
		p, r := float64(float64(g.R)*odds), float64(g.R)
		if p > 1 {
			p, r = 1, 1/odds
		}
		s.GE = trace.GE{P: trace.Prob(p), R: trace.Prob(r), LossBad: g.LossBad, LossGood: trace.Prob(good)}
	}
}

// chainLoss is [trace.GE.Loss] with the same bits on every machine.
func chainLoss(g trace.GE) float64 {
	if g.P == 0 {
		return float64(g.LossGood)
	}
	bad := float64(g.P) / (float64(g.P) + float64(g.R))
	return float64(bad*float64(g.LossBad)) + float64((1-bad)*float64(g.LossGood))
}

package synth

import (
	"time"

	"linktape/internal/conf"
)

// ramp goes from one value to another in a straight line, sampled every step,
// and stays there; or begins again.
type ramp struct {
	q           quantity
	from, to    float64
	start, over time.Duration
	repeat      time.Duration // 0: none
}

func decodeRamp(d *decoder, m *conf.Map) scalarModel {
	out := &ramp{q: d.q}
	out.from, out.to = d.q.read(m.Require("from")), d.q.read(m.Require("to"))
	if n, ok := m.Get("start"); ok {
		out.start = readInstant(n)
	}
	overNode := m.Require("over")
	out.over = readInstant(overNode)
	if !overNode.Failed() && out.over < d.sc.step {
		overNode.Errorf("%v: shorter than the step, %v: write a longer time, or use steps", out.over, d.sc.step)
	}
	if n, ok := m.Get("repeat"); ok {
		if out.repeat = readInstant(n); !n.Failed() && out.repeat < out.start+out.over {
			n.Errorf("period %v: ends before the ramp, at %v: write a longer one", out.repeat, out.start+out.over)
		}
	}
	return out
}

// readInstant reads a duration up to the longest timeline.
func readInstant(n conf.Node) time.Duration {
	d := n.Duration()
	if d > MaxDuration {
		n.Errorf("%v: above the longest duration, %v", d, MaxDuration)
		return 0
	}
	return d
}

func (m *ramp) scalar(e *env, _ string) scalar                   { return &rampProcess{m, e.step} }
func (m *ramp) changes(_, _ time.Duration) (own uint64, on bool) { return 0, true }

type rampProcess struct {
	*ramp
	step time.Duration
}

func (p *rampProcess) value(t time.Duration) (float64, time.Duration) {
	next := t + p.step
	if p.repeat > 0 {
		t %= p.repeat
	}
	switch x := t - p.start; {
	case x <= 0:
		return p.from, next
	case x < p.over:
		return p.q.quantise(p.from + float64(float64(p.to-p.from)*(float64(x)/float64(p.over)))), next
	case p.repeat == 0:
		return p.to, never
	}
	return p.to, next
}

package synth

import (
	"time"

	"linktape/internal/conf"
)

// steps is a list of instants and values. A value holds until the next instant;
// with a period the list begins again there, without one the last value stays.
type steps struct {
	at     []time.Duration // from 0, rising
	to     []float64
	repeat time.Duration // 0: none
}

func decodeSteps(d *decoder, m *conf.Map) scalarModel {
	return decodeList(m, m.Require("steps"), "value", d.q.read)
}

// decodeList reads a list of {at, KEY}, and the period beside it.
func decodeList(m *conf.Map, listNode conf.Node, key string, read func(conf.Node) float64) *steps {
	out := &steps{}
	list := listNode.List()
	if listNode.IsList() && len(list) == 0 {
		listNode.Errorf("the list is empty: write [{at: 0s, %s: …}, …]", key)
	}
	rising := true
	for i, n := range list {
		step := n.Map()
		atNode := step.Require("at")
		at := atNode.Duration()
		value := read(step.Require(key))
		step.Done()
		switch ok := !atNode.Failed(); {
		case ok && i == 0 && at != 0:
			atNode.Errorf("the first step is at %v: begin with one at 0s", at)
		case ok && rising && i > 0 && at <= out.at[i-1]:
			atNode.Errorf("step at %v follows one at %v: write the steps in order of time", at, out.at[i-1])
		}
		rising = rising && !atNode.Failed()
		out.at = append(out.at, at)
		out.to = append(out.to, value)
	}
	if n, ok := m.Get("repeat"); ok {
		out.repeat = n.Duration()
		switch last := len(out.at) - 1; {
		case n.Failed() || last < 0 || !rising:
		case out.repeat == 0:
			n.Errorf("period 0s: write how long one round takes, such as 60s, or leave repeat out")
		case out.repeat <= out.at[last]:
			n.Errorf("period %v: not above the last step, at %v", out.repeat, out.at[last])
		case out.repeat > MaxDuration:
			n.Errorf("period %v: above the longest duration, %v", out.repeat, MaxDuration)
		}
	}
	return out
}

func (m *steps) scalar(*env, string) scalar { return &stepsProcess{steps: m} }

func (m *steps) changes(duration, _ time.Duration) (uint64, bool) {
	n := uint64(len(m.at))
	if m.repeat != 0 {
		n = saturatingMul(n, samples(duration, m.repeat))
	}
	return n - 1, false
}

type stepsProcess struct {
	*steps
	i     int           // the step to come
	round time.Duration // start of its round
}

func (p *stepsProcess) value(time.Duration) (float64, time.Duration) {
	v := p.to[p.i]
	p.i++
	if p.i == len(p.at) {
		if p.repeat == 0 || p.round > never-2*p.repeat {
			return v, never
		}
		p.i, p.round = 0, p.round+p.repeat
	}
	return v, p.round + p.at[p.i]
}

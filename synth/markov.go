package synth

import (
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// markov is the four-state loss chain of Salsano, Ludovici and Ordine 2012
// ("Definition of a general and intuitive loss model for packet networks and
// its implementation in the Netem module in the Linux kernel"), which netem
// calls "loss state", with their names: state 1 receives outside of bursts, 3
// loses in a burst, 2 receives within a burst, 4 loses one packet by itself.
// Here the chain is stepped in time, once every spacing, and a step of the tape
// loses the share of the instants in it that were lost.
type markov struct {
	p13, p31, p32, p23, p14 float64
	spacing                 time.Duration
}

func decodeMarkov(d *decoder, m *conf.Map) model {
	out := &markov{p23: 1, spacing: d.sc.step}
	p13Node := m.Require("p13")
	out.p13 = float64(readProb(p13Node))
	out.p31 = 1 - out.p13 // netem's default, as tc(8) has it
	p31Node, hasP31 := m.Get("p31")
	if hasP31 {
		out.p31 = float64(readProb(p31Node))
	}
	p32Node, hasP32 := m.Get("p32")
	if hasP32 {
		out.p32 = float64(readProb(p32Node))
	}
	if n, ok := m.Get("p23"); ok {
		if out.p23 = float64(readProb(n)); !n.Failed() && out.p23 == 0 && out.p32 > 0 {
			n.Errorf("p23 0: the state is never left: write a probability above 0")
		}
	}
	p14Node, hasP14 := m.Get("p14")
	if hasP14 {
		out.p14 = float64(readProb(p14Node))
	}
	switch {
	case p13Node.Failed() || hasP31 && p31Node.Failed() || hasP32 && p32Node.Failed() || hasP14 && p14Node.Failed():
	case out.p13+out.p14 > 1:
		p14Node.Errorf("p13 and p14 leave the same state: together they are %.4g, above 1: lower one", out.p13+out.p14)
	case out.p31+out.p32 > 1 && hasP31:
		p32Node.Errorf("p31 and p32 leave the same state: together they are %.4g, above 1: lower one", out.p31+out.p32)
	case out.p31+out.p32 > 1 && hasP32:
		p32Node.Errorf("p31 and p32 leave the same state: p31, 1 − p13 = %.4g when left out, and p32 are %.4g, above 1: write p31", out.p31, out.p31+out.p32)
	case out.p13 > 0 && out.p31 == 0 && hasP31:
		p31Node.Errorf("p31 0: a burst never ends: write a probability above 0")
	case out.p13 > 0 && out.p31 == 0:
		p13Node.Errorf("p13 1: p31, 1 − p13 when left out, is 0, so that a burst never ends: write p31")
	}
	if n, ok := m.Get("spacing"); ok {
		switch out.spacing = n.Duration(); {
		case n.Failed():
		case out.spacing < MinStep:
			n.Errorf("spacing %v: below the shortest, %v", out.spacing, MinStep)
		case out.spacing > d.sc.step:
			n.Errorf("spacing %v: above the step, %v: write a shorter one", out.spacing, d.sc.step)
		case d.sc.step%out.spacing != 0:
			n.Errorf("spacing %v: does not divide the step, %v: write a whole fraction of it", out.spacing, d.sc.step)
		case d.sc.step/out.spacing > maxSpacings:
			n.Errorf("spacing %v: more than %d of it in a step of %v: write a longer one, or a shorter step", out.spacing, maxSpacings, d.sc.step)
		}
	}
	return out
}

// maxSpacings bounds the transitions of a chain in one step.
const maxSpacings = 100_000

// stationary returns the probabilities of the states 1, 3, 2 and 4:
// π3 = π1·p13/p31, π2 = π3·p32/p23, π4 = π1·p14.
func (m *markov) stationary() [4]float64 {
	w := [4]float64{1}
	if m.p13 > 0 {
		w[1] = m.p13 / m.p31
	}
	if m.p32 > 0 {
		w[2] = float64(w[1]*m.p32) / m.p23
	}
	w[3] = m.p14
	sum := w[0] + w[1] + w[2] + w[3]
	for i := range w {
		w[i] /= sum
	}
	return w
}

func (m *markov) start(e *env, name string) process {
	return &markovProcess{markov: m, stream: e.stream(name), step: e.step, state: -1}
}

func (m *markov) changes(_, _ time.Duration) (uint64, bool) { return 0, true }

type markovProcess struct {
	*markov
	*stream
	step  time.Duration
	state int // 0 received, 1 lost in a burst, 2 received in a burst, 3 lost by itself; -1 before the first
}

func (p *markovProcess) advance(t time.Duration, s *trace.State) time.Duration {
	lost, n := 0, int(p.step/p.spacing)
	for range n {
		p.move(p.uniform())
		if p.state == 1 || p.state == 3 {
			lost++
		}
	}
	s.Loss, s.Label = trace.Prob(float64(lost)/float64(n)), labelGood
	if lost > 0 {
		s.Label = labelBad
	}
	return t + p.step
}

// move takes the next state (net/sched/sch_netem.c, loss_4state).
func (p *markovProcess) move(u float64) {
	switch p.state {
	case -1:
		for i, w := range p.stationary() {
			if p.state = i; u < w {
				return
			}
			u -= w
		}
		p.state = 0 // by rounding
	case 0:
		switch {
		case u < p.p14:
			p.state = 3
		case u < p.p14+p.p13:
			p.state = 1
		}
	case 1:
		switch {
		case u < p.p32:
			p.state = 2
		case u < p.p32+p.p31:
			p.state = 0
		}
	case 2:
		if u < p.p23 {
			p.state = 1
		}
	case 3:
		p.state = 0
	}
}

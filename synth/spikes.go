package synth

import (
	"time"

	"linktape/internal/conf"
)

// spikes are delays that come on top at random, independent of any queue, as
// when a radio repeats a block or leaves a cell for a measurement: a spike rises
// at once to its height, holds it, and falls as fast as time passes, which is
// how what was held back arrives, in order, all at once. Between the end of one
// and the start of the next the time is exponential.
type spikes struct {
	gap    spread
	height spread // ns
	hold   spread
}

func decodeSpikes(d *decoder, m *conf.Map) scalarModel {
	out := &spikes{gap: exponential(readEvery(m.Require("every")))}
	heightNode := m.Require("height")
	if heightNode.Present() {
		if out.height = readSpread(heightNode, time.Duration(d.q.most())); !heightNode.Failed() && out.height.always0() {
			heightNode.Errorf("height 0s: write a duration above 0")
		}
	}
	if n, ok := m.Get("hold"); ok {
		out.hold = readSpread(n, MaxDuration)
	}
	return out
}

func (m *spikes) scalar(e *env, name string) scalar {
	return &spikesProcess{spikes: m, stream: e.stream(name), step: e.step}
}

// fallSteps bounds the steps in which a spike falls.
const fallSteps = 64

func (m *spikes) changes(duration, _ time.Duration) (uint64, bool) {
	return saturatingMul(often(duration, time.Duration(m.gap.value)), fallSteps+3), false
}

type spikesProcess struct {
	*spikes
	*stream
	step  time.Duration
	phase int           // 0 before the first, 1 waiting, 2 holding, 3 falling
	left  time.Duration // of the height
	fall  time.Duration // how long each part of the fall takes
}

func (p *spikesProcess) value(t time.Duration) (float64, time.Duration) {
	switch p.phase {
	case 1:
		p.left = p.height.draw(p.stream)
		p.fall = (max(p.step, p.left/fallSteps) + 999) / 1000 * 1000 // whole µs
		hold := p.hold.draw(p.stream)
		p.phase = 2
		if hold > 0 {
			return float64(p.left), t + hold
		}
		fallthrough
	case 2, 3:
		p.phase = 3
		if v := p.left; v > 0 {
			part := min(v, p.fall)
			p.left -= part
			return float64(v), t + part
		}
	}
	p.phase = 1
	return 0, t + p.gap.draw(p.stream)
}

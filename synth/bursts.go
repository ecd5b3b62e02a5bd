package synth

import (
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// bursts are spells of loss with any distribution of their durations, such as a
// heavy tail (Pareto with an alpha below 2: no variance), at instants of their
// own. Between the end of one and the start of the next the time is exponential.
type bursts struct {
	gap               spread
	duration          spread
	lossBad, lossGood trace.Prob
}

func decodeBursts(_ *decoder, m *conf.Map) model {
	out := &bursts{gap: exponential(readEvery(m.Require("every"))), duration: readLasting(m.Require("duration"))}
	readGELoss(m, &out.lossBad, &out.lossGood)
	return out
}

// readLasting reads a distribution of durations that are not always 0.
func readLasting(n conf.Node) (out spread) {
	if n.Present() {
		if out = readSpread(n, MaxDuration); !n.Failed() && out.always0() {
			n.Errorf("duration 0s: write a duration above 0")
		}
	}
	return out
}

func (m *bursts) start(e *env, name string) process {
	return &burstsProcess{bursts: m, stream: e.stream(name), bad: true}
}

func (m *bursts) changes(duration, _ time.Duration) (uint64, bool) {
	return 2 * often(duration, time.Duration(m.gap.value)), false
}

type burstsProcess struct {
	*bursts
	*stream
	bad bool
}

func (p *burstsProcess) advance(t time.Duration, s *trace.State) time.Duration {
	if p.bad = !p.bad; p.bad {
		s.Loss, s.Label = p.lossBad, labelBad
		return t + p.duration.draw(p.stream)
	}
	s.Loss, s.Label = p.lossGood, labelGood
	return t + p.gap.draw(p.stream)
}

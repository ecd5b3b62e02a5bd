package synth

import (
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// Labels of the states of a loss process.
const (
	labelGood = "good"
	labelBad  = "bad"
)

// ge is a Gilbert–Elliott chain in time (Elliott 1963, "Estimates of error rates
// for codes on burst-noise channels", Bell Syst. Tech. J. 42): once a step the
// good state turns bad with probability p = Δ/mean_good, the bad state good with
// r = Δ/mean_bad. The times in the states are geometric with exactly these
// means. It starts from the stationary distribution, π_bad = p/(p+r), and sets
// the state's loss and its label, good or bad.
type ge struct {
	meanGood, meanBad time.Duration
	lossBad, lossGood trace.Prob
}

func decodeGE(d *decoder, m *conf.Map) model {
	out := &ge{lossBad: 1}
	for _, mean := range []struct {
		key string
		to  *time.Duration
	}{{"mean_good", &out.meanGood}, {"mean_bad", &out.meanBad}} {
		n := m.Require(mean.key)
		*mean.to = n.Duration()
		if !n.Failed() && *mean.to < d.sc.step {
			n.Errorf("%s %v: shorter than the step, %v: the chain changes at most once a step", mean.key, *mean.to, d.sc.step)
		}
	}
	readGELoss(m, &out.lossBad, &out.lossGood)
	return out
}

// readGELoss reads the loss in the two states; by default all and nothing.
func readGELoss(m *conf.Map, bad, good *trace.Prob) {
	*bad, *good = 1, 0
	badNode, hasBad := m.Get("loss_bad")
	if hasBad {
		*bad = readProb(badNode)
	}
	goodNode, hasGood := m.Get("loss_good")
	if hasGood {
		*good = readProb(goodNode)
	}
	switch {
	case hasBad && badNode.Failed() || hasGood && goodNode.Failed() || *bad >= *good:
	case hasBad:
		badNode.Errorf("loss_bad %v: below loss_good, %v: exchange them", float64(*bad), float64(*good))
	}
}

func (m *ge) start(e *env, name string) process {
	p := float64(e.step) / float64(m.meanGood)
	r := float64(e.step) / float64(m.meanBad)
	return &geProcess{ge: m, stream: e.stream(name), step: e.step, p: p, stay: 1 - r, bad: p / (p + r)}
}

func (m *ge) changes(_, _ time.Duration) (uint64, bool) { return 0, true }

type geProcess struct {
	*ge
	*stream
	step    time.Duration
	p, stay float64 // probability of being bad next, when good and when bad
	bad     float64 // the probability that applies now
}

func (p *geProcess) advance(t time.Duration, s *trace.State) time.Duration {
	if p.uniform() < p.bad {
		p.bad, s.Loss, s.Label = p.stay, p.lossBad, labelBad
	} else {
		p.bad, s.Loss, s.Label = p.p, p.lossGood, labelGood
	}
	return t + p.step
}

// gePacket is a Gilbert–Elliott chain that the kernel steps once per packet
// ([trace.GE]); it draws nothing here. From a mean loss L and a mean burst B,
// with nothing lost in the good state and everything in the bad one:
// r = 1/B, p = L·r/(1−L).
type gePacket struct {
	trace.GE
}

func decodeGEPacket(_ *decoder, m *conf.Map) model {
	var out gePacket
	meanNode, hasMean := m.Get("mean")
	burstNode, hasBurst := m.Get("burst")
	if hasMean || hasBurst {
		if !hasMean || !hasBurst {
			m.Node().Errorf("mean and burst belong together: write both, or p and r")
		}
		for _, key := range []string{"p", "r", "loss_bad", "loss_good"} {
			if n, ok := m.Get(key); ok {
				n.Errorf("%s is given beside mean and burst, which set it: keep one form", key)
			}
		}
		mean, burst := float64(readProb(meanNode)), burstNode.Float()
		if hasMean && !meanNode.Failed() && mean >= 1 {
			meanNode.Errorf("mean %v: a chain that leaves the bad state loses less than everything", mean)
		}
		if hasBurst && !burstNode.Failed() && burst < 1 {
			burstNode.Errorf("burst %v: a burst has at least 1 packet", burst)
		}
		if meanNode.Failed() || burstNode.Failed() {
			return out
		}
		r := 1 / burst
		p := float64(mean*r) / (1 - mean)
		if p > 1 {
			burstNode.Errorf("burst %v: too short for a mean loss of %v, which needs at least %.4g", burst, mean, mean/(1-mean))
			return out
		}
		out.GE = trace.GE{P: trace.Prob(p), R: trace.Prob(r), LossBad: 1}
		return out
	}
	out.P = readProb(m.Require("p"))
	rNode := m.Require("r")
	out.R = readProb(rNode)
	readGELoss(m, &out.LossBad, &out.LossGood)
	if !rNode.Failed() && out.R == 0 && out.P > 0 {
		rNode.Errorf("r 0: the bad state is never left: write a probability above 0")
	}
	return out
}

func (g gePacket) start(*env, string) process                { return g }
func (g gePacket) changes(_, _ time.Duration) (uint64, bool) { return 0, false }

func (g gePacket) advance(_ time.Duration, s *trace.State) time.Duration {
	s.GE = g.GE
	return never
}

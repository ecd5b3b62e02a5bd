package synth

import (
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trace/edit"
)

// handovers move a link from one cell or satellite to another: an interruption,
// then another path, whose delay is a normal variable away from the scenario's,
// and, where asked for, another place in the distribution of the rate.
type handovers struct {
	link         string
	arrivals     arrivals
	probability  trace.Prob // that one happens when its time has come
	interruption spread
	mode         edit.Mode
	delayStep    time.Duration // standard deviation
	redraw       bool
}

// Starlink assigns satellites anew every 15 s (Mohan et al. 2024, "A Multifaceted
// Look at Starlink Performance", WWW '24), everywhere at 12, 27, 42 and 57 s past
// the minute (Tanveer et al. 2023, "Making Sense of Constellations", CoNEXT '23
// companion). A timeline begins with a minute.
const (
	starlinkPeriod = 15 * time.Second
	starlinkOffset = 12 * time.Second
)

func (sc *Scenario) decodeHandovers(link *trace.Link, n conf.Node) {
	out := &handovers{link: link.Name, probability: 1}
	m := n.Map()
	form := "poisson"
	if k, ok := m.Get("arrivals"); ok {
		form = k.OneOf("poisson", "periodic", "starlink")
	}
	var offsetNode conf.Node
	hasOffset := false
	if form != "poisson" {
		offsetNode, hasOffset = m.Get("offset")
	}
	switch form {
	case "starlink":
		out.arrivals.period, out.arrivals.offset = starlinkPeriod, starlinkOffset
	case "periodic":
		out.arrivals.period = readEvery(m.Require("every"))
		out.arrivals.offset = out.arrivals.period
	default:
		out.arrivals.every = exponential(readEvery(m.Require("every")))
	}
	if hasOffset {
		if at := readInstant(offsetNode); !offsetNode.Failed() && at == 0 {
			offsetNode.Errorf("offset 0s: the timeline begins there: write the instant of the first handover")
		} else if !offsetNode.Failed() {
			out.arrivals.offset = at
		}
	}
	if k, ok := m.Get("probability"); ok {
		out.probability = readProb(k)
	}
	effects := false
	if k, ok := m.Get("interruption"); ok {
		out.interruption = readSpread(k, MaxDuration)
		effects = k.Failed() || !out.interruption.always0()
		if p := out.arrivals.period; !k.Failed() && p > 0 && out.interruption.form == fixedSpread && time.Duration(out.interruption.value) >= p {
			k.Errorf("interruption %v: not below the period, %v: write a shorter one", time.Duration(out.interruption.value), p)
		}
	}
	out.mode = readMode(m, edit.Stall, *link)
	if k, ok := m.Get("delay_step"); ok {
		out.delayStep = readDelay(k)
		effects = effects || k.Failed() || out.delayStep > 0
	}
	if k, ok := m.Get("redraw"); ok {
		out.redraw = k.Bool()
		effects = effects || k.Failed() || out.redraw
	}
	if n.IsMap() && !effects {
		n.Errorf("a handover without effect: write interruption, delay_step or redraw")
	}
	m.Done()
	sc.layers = append(sc.layers, out)
}

func (h *handovers) concerns(ld trace.LinkDir) bool { return ld.Link == h.link }

func (h *handovers) start(r *run) running {
	out := &runningHandovers{handovers: h, stream: newStream(r.seed, h.link, "", "handovers"), over: true}
	for i := range r.runners {
		if d := &r.runners[i]; d.Link == h.link {
			out.runners = append(out.runners, d)
		}
	}
	return out
}

func (h *handovers) changes(duration, _ time.Duration) (uint64, bool) {
	return saturatingMul(2, h.arrivals.most(duration)), false
}

type runningHandovers struct {
	*handovers
	*stream
	runners []*runner
	started bool
	over    bool          // no interruption goes on
	shift   time.Duration // of the delay since the last one
	redraws [2]float64    // by direction, when this one is over
}

// advance draws the same for each handover that may happen, whether it does.
func (h *runningHandovers) advance(t time.Duration) time.Duration {
	switch {
	case !h.started:
		h.started = true
	case h.over: // its time has come
		happens := h.uniform() < float64(h.probability)
		length, step := h.interruption.draw(h.stream), h.normal()
		for i := range h.redraws { // also of a direction that the link does not have
			h.redraws[i] = h.normal()
		}
		if !happens {
			break
		}
		h.shift = time.Duration(float64(float64(h.delayStep)*step)/1000) * 1000
		if length > 0 {
			h.over = false
			return t + length
		}
		h.finish()
	default:
		h.finish()
	}
	return h.arrivals.next(new(int), t, h.stream)
}

func (h *runningHandovers) finish() {
	h.over = true
	if h.redraw {
		for _, r := range h.runners {
			r.redraw(h.redraws[r.Dir])
		}
	}
}

func (h *runningHandovers) apply(ld trace.LinkDir, s *trace.State) {
	s.Delay = min(max(s.Delay+h.shift, 0), trace.MaxDelay)
	if !h.over && h.mode.Concerns(ld.Dir) {
		h.mode.Apply(ld.Dir, s)
		s.Label = edit.LabelHandover
	}
}

package convert

import (
	"fmt"
	"strings"
	"time"

	"linktape/trace"
)

// runs walks the loops of a direction and calls write for each run of states
// whose part is the same; see is called with each state of the first loop.
func runs(d Direction, loops int, part func(trace.State) trace.State, progress func(float64), total time.Duration,
	see func(trace.State), write func(s trace.State, from, to time.Duration) error) error {
	var now trace.State
	var from time.Duration
	any := false
	for i := range loops {
		base := d.Duration * time.Duration(i)
		started := false
		for s, err := range d.Steps() {
			if err != nil {
				return err
			}
			switch {
			case !started && s.At != 0:
				return fmt.Errorf("the first step is at %v, not at 0", s.At)
			case s.At >= d.Duration || base+s.At < from:
				return fmt.Errorf("step at %v: out of order or not before the end at %v", s.At, d.Duration)
			case s.Rate < 0 || s.Rate > trace.MaxRate:
				return fmt.Errorf("step at %v: rate %d bit/s outside 0 to %v", s.At, s.Rate, trace.MaxRate)
			}
			started = true
			if i == 0 {
				see(s.State)
			}
			p := part(s.State)
			if any && p == now {
				continue
			}
			if any {
				if err := write(now, from, base+s.At); err != nil {
					return err
				}
			}
			any, now, from = true, p, base+s.At
			if progress != nil {
				progress(float64(from) / float64(total))
			}
		}
		if !started {
			return fmt.Errorf("the tape has no steps for it")
		}
	}
	return write(now, from, total)
}

// droppedParts remembers what of a direction's states a file that holds one
// part leaves out.
type droppedParts struct {
	dropped droppedStates
	rate    bool
	chain   bool // a chain that loses other than all or nothing
}

func (d *droppedParts) add(s trace.State) {
	d.dropped.add(s)
	d.rate = d.rate || s.Rate != 0
	d.chain = d.chain || s.GE.Enabled() && (s.GE.LossBad != 1 || s.GE.LossGood != 0)
}

// warnings says what a file of one part leaves out.
func (d *droppedParts) warnings(what string) []Warning {
	var parts, out []string
	x := d.dropped
	if what != "bandwidth" && d.rate {
		parts = append(parts, "the rate")
	}
	if what != "delay" && x.delayMax > 0 {
		parts = append(parts, "the delay (--what delay)")
	}
	if x.jitter {
		parts = append(parts, "the jitter")
	}
	if what != "loss" && x.lossMax > 0 {
		parts = append(parts, "the loss (--what loss)")
	}
	if x.other {
		parts = append(parts, "duplication, corruption or reordering")
	}
	if len(parts) > 0 {
		out = append(out, "left out, because the file holds the "+what+" only: "+strings.Join(parts, ", "))
	}
	if x.down {
		switch what {
		case "bandwidth":
			out = append(out, "times without carrier are written as times without service")
		case "loss":
			out = append(out, "times without carrier are written as the loss of everything")
		}
	}
	if what == "loss" && d.chain {
		out = append(out, "chains that lose other than all or nothing are written as their mean loss, without bursts")
	}
	var warnings []Warning
	for _, t := range out {
		warnings = append(warnings, Warning{Text: t})
	}
	return warnings
}

package netsetup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"linktape/trace"
)

// Impairments are what a link's path does besides its delay, in each direction.
type Impairments struct {
	// Until a tape says otherwise, as a tape's states hold all of them.
	Jitter    time.Duration `json:"jitter_ns,omitempty"`
	Loss      trace.Prob    `json:"loss,omitempty"`
	GE        trace.GE      `json:"ge,omitzero"` // in place of Loss
	Duplicate trace.Prob    `json:"duplicate,omitempty"`
	Corrupt   trace.Prob    `json:"corrupt,omitempty"`
	Reorder   trace.Prob    `json:"reorder,omitempty"`

	// Whatever a tape says.
	Markov       Markov       `json:"markov,omitzero"`       // while the state has no loss of its own
	ECN          bool         `json:"ecn,omitempty"`         // mark in place of losing, where the packet allows it
	Gap          uint32       `json:"gap,omitempty"`         // packets from one candidate for Reorder to the next; 0: 1
	Overtake     bool         `json:"overtake,omitempty"`    // jitter lets packets overtake one another; else they stay in order
	Distribution Distribution `json:"distribution,omitzero"` // of the jitter
	Slots        NetemSlots   `json:"slots,omitzero"`
	SlotShape    Distribution `json:"slot_distribution,omitzero"` // of Slots.DistDelay and DistJitter
	Seed         uint64       `json:"seed,omitempty"`             // of losses and jitter until a tape brings its own
}

// none reports whether nothing is set.
func (m *Impairments) none() bool {
	return m.Jitter == 0 && m.Loss == 0 && !m.GE.Enabled() && m.Duplicate == 0 && m.Corrupt == 0 && m.Reorder == 0 &&
		!m.Markov.Enabled() && !m.ECN && m.Gap == 0 && !m.Overtake && m.Distribution.Name == "" && len(m.Distribution.Table) == 0 &&
		m.Slots == (NetemSlots{}) && m.SlotShape.Name == "" && len(m.SlotShape.Table) == 0 && m.Seed == 0
}

// checkPath verifies that netem can do what the path is to do, and would not do
// something else.
func (l *Link) checkPath() error {
	m := &l.Impair
	switch {
	case m.GE.Enabled() && (m.Loss != 0 || m.Markov.Enabled()), m.Loss != 0 && m.Markov.Enabled():
		return errors.New("loss: more than one model")
	case m.Reorder > 0 && l.Delay == 0:
		return errors.New("reorder: a packet that skips the delay needs one: set a delay")
	case m.Distribution.table() == nil:
		return fmt.Errorf("unknown distribution %q: set %s, %s or %s, or a table", m.Distribution.Name, Normal, Pareto, ParetoNormal)
	case m.SlotShape.table() == nil:
		return fmt.Errorf("unknown slot distribution %q: set %s, %s or %s, or a table", m.SlotShape.Name, Normal, Pareto, ParetoNormal)
	case m.Slots.DistDelay != 0 && m.Slots.DistJitter == 0:
		return errors.New("slots: a distribution needs a jitter")
	case m.Slots.DistJitter != 0 && m.Slots.MaxDelay != 0:
		return errors.New("slots: both an interval and a distribution")
	}
	p := newPath(l, trace.Up)
	if err := p.loss.check(); err != nil {
		return err
	}
	delay := p.delayWithTables()
	return delay.check()
}

// pathSeed is the seed of a direction's losses until a tape brings its own.
func pathSeed(l *Link, d trace.Direction) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "linktape path %d %s %v", l.Impair.Seed, l.Name, d))
	return binary.LittleEndian.Uint64(sum[:])
}

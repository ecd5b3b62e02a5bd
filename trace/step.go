package trace

import (
	"cmp"
	"math"
	"time"
)

// State is the complete condition of one direction of a link.
type State struct {
	Rate      BitRate       // capacity in bit/s of IP packets; 0 = stalled: nothing leaves, the queue stays
	Delay     time.Duration // one-way propagation delay after the bottleneck
	Jitter    time.Duration // standard deviation of Delay
	Loss      Prob          // probability that a packet is lost, independently of the others
	GE        GE            // chain stepped per packet in the kernel, in place of Loss; zero = none
	Duplicate Prob          // probability that a packet arrives twice
	Corrupt   Prob          // probability that a packet has one bit flipped
	Reorder   Prob          // probability that a packet overtakes, skipping Delay
	Carrier   bool          // false: the interface is down (modem gone)
	Label     string        // what the model or the field says: good, bad, outage, handover, 5g, …
}

// GE holds the parameters of a Gilbert–Elliott chain that is stepped once per
// packet (Elliott 1963, in the form of the kernel's net/sched/sch_netem.c,
// loss_gilb_ell): in the good state the chain turns bad with probability P, in
// the bad state it turns good with probability R.
type GE struct {
	P        Prob // good → bad, per packet
	R        Prob // bad → good, per packet
	LossBad  Prob // loss in the bad state
	LossGood Prob // loss in the good state
}

// Enabled reports whether the chain replaces [State.Loss].
func (g GE) Enabled() bool { return g != GE{} }

// Loss is the stationary loss probability: π_bad·LossBad + π_good·LossGood
// with π_bad = P/(P+R). A chain that never leaves the good state has LossGood.
func (g GE) Loss() float64 {
	if g.P == 0 {
		return float64(g.LossGood)
	}
	bad := float64(g.P) / (float64(g.P) + float64(g.R))
	return bad*float64(g.LossBad) + (1-bad)*float64(g.LossGood)
}

// MeanBurst is the mean number of consecutive packets lost in the bad state,
// 1/(1−(1−R)·LossBad); 0 when the bad state loses nothing, +Inf when it is
// never left.
func (g GE) MeanBurst() float64 {
	if g.LossBad == 0 || g.P == 0 {
		return 0
	}
	return 1 / (1 - (1-float64(g.R))*float64(g.LossBad))
}

// MeanLoss is the probability that a packet is lost in this state.
func (s State) MeanLoss() float64 {
	if s.GE.Enabled() {
		return s.GE.Loss()
	}
	return float64(s.Loss)
}

// Capacity is the rate at which packets can leave: none without carrier.
func (s State) Capacity() BitRate {
	if !s.Carrier {
		return 0
	}
	return s.Rate
}

// Outage reports whether no packet passes: stalled, without carrier, or losing
// every packet.
func (s State) Outage() bool {
	return s.Capacity() == 0 || s.MeanLoss() >= 1
}

// NeedsPath reports whether the state holds anything that only a path qdisc
// (netem) can do: delay, jitter, loss, duplication, corruption or reordering.
func (s State) NeedsPath() bool {
	return s.Delay != 0 || s.Jitter != 0 || s.Loss != 0 || s.GE.Enabled() ||
		s.Duplicate != 0 || s.Corrupt != 0 || s.Reorder != 0
}

// Step is the state of one direction of one link from instant At until that
// direction's next step.
type Step struct {
	At   time.Duration // offset from the timeline's start
	Link string
	Dir  Direction
	State
}

// LinkDir returns the direction that the step belongs to.
func (s *Step) LinkDir() LinkDir { return LinkDir{s.Link, s.Dir} }

// Compare orders steps by instant, link name and direction name: the canonical
// order of a timeline.
func Compare(a, b Step) int {
	if c := cmp.Compare(a.At, b.At); c != 0 {
		return c
	}
	return a.LinkDir().Compare(b.LinkDir())
}

// QueueKind says how a bottleneck's queue drops.
type QueueKind string

// DropTail drops what arrives at a full queue.
const DropTail QueueKind = "droptail"

// Queue is the bounded queue of a bottleneck. Exactly one of the limits is
// set; the zero Queue leaves the choice to whoever builds the link.
type Queue struct {
	Kind       QueueKind     `json:"kind"`
	LimitBytes int64         `json:"limit_bytes,omitempty"` // bytes of IP packets
	LimitTime  time.Duration `json:"limit_ns,omitempty"`    // waiting time at the current rate
}

// Link describes one link of a timeline.
type Link struct {
	Name  string `json:"name"`
	Up    bool   `json:"up"`   // the timeline has steps for sender → receiver
	Down  bool   `json:"down"` // the timeline has steps for receiver → sender
	Queue *Queue `json:"queue,omitempty"`
	Slot  *Slot  `json:"slot,omitempty"`

	// Overtake lets packets overtake one another where the delay falls or has
	// jitter; otherwise they arrive in the order in which they were sent.
	Overtake bool `json:"overtake,omitempty"`
}

// Slot says that a link's packets leave in bursts, as a radio scheduler grants
// them: from one opportunity to the next passes a time drawn evenly from Min to
// Max (netem's slot; net/sched/sch_netem.c, get_slot_next).
type Slot struct {
	Min     time.Duration `json:"min_ns"`
	Max     time.Duration `json:"max_ns"`
	Packets int64         `json:"packets,omitempty"` // at most in one burst; 0: no limit
	Bytes   int64         `json:"bytes,omitempty"`   // likewise, overshot by up to one packet
}

// Limits of what a [Slot] holds: what the kernel's attributes do.
const (
	MaxSlotPackets = math.MaxInt32
	MaxSlotBytes   = math.MaxInt32
)

// Source says where an imported direction came from and how it was read.
type Source struct {
	Link    string            `json:"link"`
	Dir     string            `json:"dir"`
	Format  string            `json:"format"`
	File    string            `json:"file"`              // base name
	SHA256  string            `json:"sha256"`            // of the file's bytes, hexadecimal
	Choices map[string]string `json:"choices,omitempty"` // what the importer decided: interval, step, …
}

// Meta is what a timeline says about itself.
type Meta struct {
	Duration  time.Duration // the timeline ends, or wraps, here
	Links     []Link        // ordered by name
	Generator string        // what made it, with the version of its output: "synth 1"
	Scenario  string        // the whole scenario file, when synthesized
	Seed      uint64        // the seed that was used, when synthesized; an edit keeps that of its first input
	Sources   []Source      // the imported files, ordered by link and direction
	Edit      *Edit         // how it was made of other timelines; nil when it was not
}

// Directions lists the directions that the timeline has steps for, in
// canonical order.
func (m *Meta) Directions() []LinkDir {
	var out []LinkDir
	for _, l := range m.Links {
		if l.Down {
			out = append(out, LinkDir{l.Name, Down})
		}
		if l.Up {
			out = append(out, LinkDir{l.Name, Up})
		}
	}
	return out
}

// Timeline is a timeline held in memory. Long ones are better streamed with
// [Reader] and [Writer].
type Timeline struct {
	Meta  Meta
	Steps []Step
}

package netsetup

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"linktape/edt"
	"linktape/edt/bpf"
	"linktape/trace"
)

// exact reports whether a link's departures are computed by arithmetic.
func (l *Link) exact() bool { return l.Shaper == ShaperEDT }

// DefaultWindow is the number of steps of a tape that the kernel holds at once of each
// direction of a link with [ShaperEDT].
const DefaultWindow = bpf.DefaultSteps

// Bounds of [Link.Window].
const (
	MinWindow = bpf.MinSteps
	MaxWindow = bpf.MaxSteps
)

// window is the size of the kernel's ring of steps.
func (l *Link) window() int {
	if l.Window == 0 {
		return DefaultWindow
	}
	return 1 << bits.Len(uint(l.Window-1))
}

// checkExact verifies what a link with departures by arithmetic is asked for.
func (l *Link) checkExact() error {
	_, err := l.unfit()
	return err
}

// unfit is checkExact, with the key of a topology that is at fault.
func (l *Link) unfit() (key string, err error) {
	m := &l.Impair
	switch {
	case !l.exact() && l.Window != 0:
		return "window", fmt.Errorf("a window with shaper %s: only %s has one", l.Shaper, ShaperEDT)
	case !l.exact():
		return "", nil
	case l.Window != 0 && (l.Window < MinWindow || l.Window > MaxWindow):
		return "window", fmt.Errorf("window outside %d to %d steps", MinWindow, MaxWindow)
	case l.Queue.Kind != trace.DropTail:
		return "queue", fmt.Errorf("departures are decided when a packet arrives, so that no queue of kind %s can decide later: leave the kind out, or write backend: qdisc", l.Queue.Kind)
	case l.Tree != TreeSeparated:
		return "tree", fmt.Errorf("backend %s has no tree of qdiscs: leave tree out, or write backend: qdisc", ShaperEDT)
	case l.Bridge:
		return "bridge", errors.New("on a bridge, packets belong to their sender until they leave, which then waits for its queue: leave bridge out, or write backend: qdisc")
	case l.Rate > edt.MaxRate:
		return "rate", fmt.Errorf("rate %v: above %v, the most that backend: edt counts", l.Rate, edt.MaxRate)
	}
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"duplicate", m.Duplicate != 0}, {"corrupt", m.Corrupt != 0}, {"reorder", m.Reorder != 0}, {"gap", m.Gap != 0}, {"ecn", m.ECN},
		{"loss of model markov", m.Markov.Enabled()}, {"distribution", m.Distribution.Name != "" || len(m.Distribution.Table) > 0},
		{"slot", m.Slots != (NetemSlots{}) || m.SlotShape.Name != "" || len(m.SlotShape.Table) > 0},
	} {
		if x.set {
			return "path", fmt.Errorf("%s is netem's alone: leave it out, or write backend: qdisc", x.name)
		}
	}
	return "", nil
}

// departures is the fq that lets packets go at the times that the program stamps. What
// it may hold is no limit: the program has dropped what does not fit.
func (l *Link) departures() request {
	turn := uint32(l.MTU + headerBytes)
	q := FQ{
		LimitPackets: pathLimit, FlowLimitPackets: pathLimit, QuantumBytes: turn, InitialQuantumBytes: turn,
		OrphanMask: 0xffff, Horizon: (1<<32 - 1) * time.Microsecond,
	}
	return request{kind: setFQ, handle: handleBottleneck, parent: parentRoot, fq: &q}
}

// AddDepartures lets a program decide what becomes of each packet that leaves by a
// device towards one end of the link, and fq let it go in time. Devices that share a
// direction share the program, and with it the bottleneck.
type AddDepartures struct {
	inNamespace
	Devices []string
	Link    Link
	Dir     trace.Direction // of the packets that leave by the devices
}

func (o AddDepartures) String() string {
	var s string
	fq := o.Link.departures()
	for i, dev := range o.Devices {
		if i > 0 {
			s += "\n"
		}
		s += o.tc("%s", fq.command(dev)) + "\n" + o.tc("qdisc add dev %s clsact", dev) + "\n" +
			o.tc("filter add dev %s egress protocol all prio 1 handle 1 bpf direct-action object-file edt.o section tc", dev)
	}
	return s
}

// exactDevices are the devices of a direction; the first one tells for all.
func (l *Link) exactDevices(d trace.Direction) []string {
	switch {
	case d == trace.Up:
		return []string{receiverSide}
	case l.Cross:
		return []string{senderSide, crossSide}
	}
	return []string{senderSide}
}

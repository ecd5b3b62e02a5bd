package netsetup

import (
	"fmt"
	"strings"
	"time"

	"linktape/trace"
)

// Handles of the qdiscs and classes that a link is made of.
const (
	parentRoot       = 0xffffffff // include/uapi/linux/pkt_sched.h: TC_H_ROOT
	handleBottleneck = 1 << 16    // 1: on the IFB
	handleClass      = 1<<16 | 1  // 1:1 the HTB class
	handleGate       = 2 << 16    // 2: the TBF leaf below the HTB class
	handleQueue      = 3 << 16    // 3: the queue below the bucket, where it is no plain one
	handlePlug       = 4 << 16    // 4: the plug of a pulse
	handleBands      = 5 << 16    // 5: the bands of a pulse, where the plug is not the queue
	handleLoss       = 16 << 16   // 10: the path's loss, root of the device behind the bottleneck
	handleLossLeaf   = 16<<16 | 1 // 10:1 its only class
	handleDelay      = 17 << 16   // 11: the path's delay, below
)

type requestKind uint8

const (
	setTBF requestKind = iota + 1
	setHTB
	setHTBClass
	setNetem
	setCAKE
	setFQCoDel
	setPlug
	setPrio
	setFQ
)

// request is one qdisc or class to create or change. It is a value without
// pointers to the heap, so that the hot loop can make one for every step.
type request struct {
	kind           requestKind
	handle, parent uint32
	change         bool // it is there already, whatever the others do
	sizeTable      bool // count the bytes of IP packets; a change that does not repeat it counts Ethernet headers again
	tbf            TBF
	htb            HTB
	class          HTBClass
	netem          *Netem
	cake           CAKE
	codel          FQCoDel
	plug           Plug
	prio           Prio
	fq             *FQ

	dist, slotDist string // names of netem's tables, for tc
}

// messageType is the rtnetlink message that carries the request.
func (r *request) messageType() uint16 {
	if r.kind == setHTBClass {
		return rtmNewTClass
	}
	return rtmNewQdisc
}

// append writes the request as one netlink message for a device.
func (r *request) append(b []byte, ifindex int32, flags uint16, seq uint32) ([]byte, error) {
	b, start := AppendTC(b, Message{Type: r.messageType(), Flags: flags, Seq: seq},
		TC{Ifindex: ifindex, Handle: r.handle, Parent: r.parent})
	var err error
	switch r.kind {
	case setTBF:
		b, err = AppendTBF(b, r.tbf)
	case setHTB:
		b, err = AppendHTB(b, r.htb)
	case setHTBClass:
		b, err = AppendHTBClass(b, r.class)
	case setNetem:
		b, err = AppendNetem(b, *r.netem)
	case setCAKE:
		b, err = AppendCAKE(b, r.cake)
	case setFQCoDel:
		b, err = AppendFQCoDel(b, r.codel)
	case setPlug:
		b, err = AppendPlug(b, r.plug)
	case setPrio:
		b, err = AppendPrio(b, r.prio)
	case setFQ:
		b, err = AppendFQ(b, *r.fq)
	}
	if err == nil && r.sizeTable {
		b, err = AppendSizeTable(b, SizeTable{OverheadBytes: -headerBytes})
	}
	return FinishMessage(b, start), err
}

// command is the tc command, without "tc", that does the same.
func (r *request) command(dev string) string {
	id := func(h uint32) string {
		if h == parentRoot {
			return "root"
		}
		return fmt.Sprintf("parent %x:%x", h>>16, h&0xffff)
	}
	stab := ""
	if r.sizeTable {
		stab = " stab overhead -14 linklayer ethernet"
	}
	if r.kind == setHTBClass {
		c := r.class
		return fmt.Sprintf("class add dev %s %s classid %x:%x htb rate %dbit ceil %dbit burst %d cburst %d quantum %d",
			dev, id(r.parent), r.handle>>16, r.handle&0xffff, c.Rate, c.Ceil, c.BurstBytes, c.CeilBurstBytes, c.QuantumBytes)
	}
	verb := "add"
	if r.change {
		verb = "change"
	}
	head := fmt.Sprintf("qdisc "+verb+" dev %s %s handle %x:%s ", dev, id(r.parent), r.handle>>16, stab)
	switch r.kind {
	case setTBF:
		return head + fmt.Sprintf("tbf rate %dbit burst %d limit %d", r.tbf.Rate, r.tbf.BurstBytes, r.tbf.LimitBytes)
	case setHTB:
		return head + fmt.Sprintf("htb default %x", r.htb.Default)
	case setCAKE:
		return head + cakeCommand(&r.cake)
	case setFQCoDel:
		return head + fqCoDelCommand(&r.codel)
	case setPlug:
		return head + plugCommand(&r.plug)
	case setPrio:
		return head + prioCommand(&r.prio)
	case setFQ:
		return head + fqCommand(r.fq)
	}
	return head + netemCommand(r.netem, r.dist, r.slotDist)
}

// netemCommand writes the parameters that a path sets, as tc does; dist and
// slotDist name its tables. tc before 6.6 has no word for the seed.
func netemCommand(q *Netem, dist, slotDist string) string {
	us := func(d time.Duration) string { return fmt.Sprintf("%dus", d/time.Microsecond) }
	s := fmt.Sprintf("netem limit %d", q.LimitPackets)
	if q.Delay > 0 || q.Jitter > 0 {
		s += " delay " + us(q.Delay)
		if q.Jitter > 0 {
			s += " " + us(q.Jitter) + " distribution " + tableWord(dist)
		}
	}
	switch m := q.Markov; {
	case q.GE.Enabled():
		s += fmt.Sprintf(" loss gemodel %v %v %v %v", q.GE.P, q.GE.R, q.GE.LossBad, q.GE.LossGood)
	case m.Enabled():
		s += fmt.Sprintf(" loss state %v %v %v %v %v", m.P13, m.P31, m.P32, m.P23, m.P14)
	case q.Loss > 0:
		s += fmt.Sprintf(" loss %v", q.Loss)
	}
	if q.ECN {
		s += " ecn"
	}
	for _, p := range []struct {
		name string
		prob trace.Prob
	}{{"duplicate", q.Duplicate}, {"corrupt", q.Corrupt}, {"reorder", q.Reorder}} {
		if p.prob > 0 {
			s += fmt.Sprintf(" %s %v", p.name, p.prob)
		}
	}
	if q.Gap > 1 {
		s += fmt.Sprintf(" gap %d", q.Gap)
	}
	if q.Rate > 0 {
		s += fmt.Sprintf(" rate %dbit", q.Rate)
	}
	if o := q.Slot; o.DistJitter > 0 {
		s += " slot distribution " + tableWord(slotDist) + " " + us(o.DistDelay) + " " + us(o.DistJitter)
	} else if o != (NetemSlots{}) {
		s += " slot " + us(o.MinDelay) + " " + us(o.MaxDelay)
	}
	if q.Slot.MaxPackets > 0 {
		s += fmt.Sprintf(" packets %d", q.Slot.MaxPackets)
	}
	if q.Slot.MaxBytes > 0 {
		s += fmt.Sprintf(" bytes %d", q.Slot.MaxBytes)
	}
	return s
}

// tableWord names a distribution as tc does, by its file; a table of our own
// has none there, and its name goes in as one word that says so.
func tableWord(name string) string {
	switch name {
	case Normal, Pareto, ParetoNormal:
		return name
	}
	return strings.ReplaceAll(name, " ", "-")
}

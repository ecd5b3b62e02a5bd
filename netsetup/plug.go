package netsetup

import (
	"encoding/binary"
	"fmt"
)

// PlugAction is what a plug is told to do; include/uapi/linux/pkt_sched.h,
// TCQ_PLUG_*.
type PlugAction int32

// The actions of a plug.
const (
	PlugBuffer            PlugAction = iota // TCQ_PLUG_BUFFER: what comes in from now on is held
	PlugReleaseOne                          // TCQ_PLUG_RELEASE_ONE: what came in before the last PlugBuffer goes
	PlugReleaseIndefinite                   // TCQ_PLUG_RELEASE_INDEFINITE: everything goes, until a PlugBuffer
	PlugLimit                               // TCQ_PLUG_LIMIT: the limit becomes LimitBytes
	plugActions
)

// Plug holds one order to a plug qdisc, net/sched/sch_plug.c: a first-in
// first-out queue with a gate. At creation only the limit counts, and the gate
// is closed. A release makes the device look at its queue at once
// (plug_change: netif_schedule_queue), which no change of another qdisc does.
//
// The kernel tells nothing of a plug but its statistics: there is no decoder.
type Plug struct {
	Action PlugAction

	// LimitBytes is what the queue holds, 0 to 2³²−1. What a size table makes of
	// the packets in the queue is compared with it together with the plain length
	// of the next one (plug_enqueue), so that the last packet counts its
	// link-layer header.
	LimitBytes int64
}

// AppendPlug appends TCA_KIND and TCA_OPTIONS of a plug, for a message that
// creates it or gives it an order; net/sched/sch_plug.c, plug_init, plug_change.
// It fails, leaving b as it was, when a value is outside its field.
func AppendPlug(b []byte, q Plug) ([]byte, error) {
	if q.Action < 0 || q.Action >= plugActions {
		return b, fmt.Errorf("encode plug: action %d: outside 0 to %d", q.Action, plugActions-1)
	}
	limit, err := size32("limit", q.LimitBytes)
	if err != nil {
		return b, fmt.Errorf("encode plug: %w", err)
	}
	b = appendKind(b, "plug")
	b = appendAttrHeader(b, tcaOptions, 8) // struct tc_plug_qopt
	b = binary.NativeEndian.AppendUint32(b, uint32(q.Action))
	return binary.NativeEndian.AppendUint32(b, limit), nil
}

// plugCommand writes an order as tc does. What creates a plug is its limit.
func plugCommand(q *Plug) string {
	switch q.Action {
	case PlugBuffer:
		return "plug block"
	case PlugReleaseOne:
		return "plug release"
	case PlugReleaseIndefinite:
		return "plug release_indefinite"
	}
	return fmt.Sprintf("plug limit %d", q.LimitBytes)
}

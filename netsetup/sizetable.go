package netsetup

import (
	"encoding/binary"
	"fmt"
)

// Attributes of TCA_STAB; include/uapi/linux/pkt_sched.h.
const (
	tcaStabBase = 1 // TCA_STAB_BASE

	sizeSpecLen = 24 // sizeof(struct tc_sizespec)
)

// maxOverhead bounds a size table's overhead; the kernel has no need of more
// and cuts lengths at QDISC_PKT_LEN_MAX.
const maxOverhead = 65535

// SizeTable corrects the length of every packet that a qdisc counts:
// net/sched/sch_api.c, __qdisc_calculate_pkt_len. An overhead of −14 leaves out
// the Ethernet header, so that rates count IP bytes.
//
// The kernel takes the overhead from TCA_STAB_BASE and everything else
// (minimum size, ATM cells) from a table in TCA_STAB_DATA; none is sent here.
type SizeTable struct {
	OverheadBytes int32 // added to each packet's length; −65535 to 65535
}

// AppendSizeTable appends TCA_STAB, which belongs to a qdisc's message beside
// its kind and options. A change of the qdisc without TCA_STAB removes the
// table (net/sched/sch_api.c: qdisc_change), so each change sends it again.
// It mirrors qdisc_get_stab in net/sched/sch_api.c.
func AppendSizeTable(b []byte, s SizeTable) ([]byte, error) {
	if s.OverheadBytes < -maxOverhead || s.OverheadBytes > maxOverhead {
		return b, fmt.Errorf("encode size table: overhead %d bytes: outside ±%d", s.OverheadBytes, maxOverhead)
	}
	ne := binary.NativeEndian
	b = appendAttrHeader(b, tcaStab, nlaHeaderLen+sizeSpecLen)
	b = appendAttrHeader(b, tcaStabBase, sizeSpecLen)
	b = append(b, 0, 0)       // cell_log, size_log
	b = ne.AppendUint16(b, 0) // cell_align
	b = ne.AppendUint32(b, uint32(s.OverheadBytes))
	b = ne.AppendUint32(b, linklayerEthernet)
	b = ne.AppendUint32(b, 0)         // mpu, used by tc alone
	b = ne.AppendUint32(b, 0)         // mtu, used by tc alone
	return ne.AppendUint32(b, 0), nil // tsize: no table
}

package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"linktape/trace"
)

// Messages walks over the netlink messages in a receive buffer, without
// allocating. The zero value holds none.
//
//	m := Messages{Buf: buf[:n]}
//	for m.Next() {
//		…
//	}
//	err := m.Err()
type Messages struct {
	Buf []byte // what has not been read yet

	// Of the current message, after Next has returned true.
	Type    uint16
	Flags   uint16
	Seq     uint32
	PID     uint32 // port number of the socket that it answers
	Payload []byte // a part of the buffer

	err error
}

// Next steps to the next message. It returns false at the end of the buffer
// and at a message that does not fit into it, which [Messages.Err] tells apart.
func (m *Messages) Next() bool {
	if m.err != nil || len(m.Buf) == 0 {
		return false
	}
	if len(m.Buf) < nlmsgHeaderLen {
		m.err = fmt.Errorf("decode netlink message: header of %d bytes: %w", len(m.Buf), errTruncated)
		return false
	}
	ne := binary.NativeEndian
	n := ne.Uint32(m.Buf)
	if n < nlmsgHeaderLen || uint64(n) > uint64(len(m.Buf)) {
		m.err = fmt.Errorf("decode netlink message: length %d with %d bytes left: %w", n, len(m.Buf), errTruncated)
		return false
	}
	m.Type = ne.Uint16(m.Buf[4:])
	m.Flags = ne.Uint16(m.Buf[6:])
	m.Seq = ne.Uint32(m.Buf[8:])
	m.PID = ne.Uint32(m.Buf[12:])
	m.Payload = m.Buf[nlmsgHeaderLen:n]
	m.Buf = m.Buf[min(alignLen(int(n)), len(m.Buf)):]
	return true
}

// Err returns what stopped [Messages.Next], nil at the end of the buffer.
func (m *Messages) Err() error { return m.err }

// Errno returns the result that an NLMSG_ERROR carries; see [ParseError].
func (m *Messages) Errno() (errno int32, extack string) { return ParseError(m.Flags, m.Payload) }

// Attributes of NLMSG_ERROR; include/uapi/linux/netlink.h.
const (
	nlmsgerrAttrMsg = 1 // NLMSGERR_ATTR_MSG

	errnoBadMessage = 74 // EBADMSG, for an acknowledgement that cannot be read
)

// ParseError reads an NLMSG_ERROR, given its header's flags and its payload:
// net/netlink/af_netlink.c, netlink_ack. It returns the error number, positive,
// or 0 for a success, and the kernel's text (NLMSGERR_ATTR_MSG), which with
// success is a warning; "" when there is none. The text comes only on a socket
// with NETLINK_EXT_ACK. The request that precedes it is quoted in full, or, as
// the flags say, capped to its header (NETLINK_CAP_ACK, and every success). A
// payload without an error number gives 74, EBADMSG.
func ParseError(flags uint16, payload []byte) (errno int32, extack string) {
	if len(payload) < 4 {
		return errnoBadMessage, "truncated acknowledgement"
	}
	ne := binary.NativeEndian
	errno = int32(ne.Uint32(payload))
	if errno == math.MinInt32 {
		return errnoBadMessage, "acknowledgement without an error number"
	}
	errno = max(errno, -errno)
	payload = payload[4:]
	if flags&nlmFAckTLVs == 0 || len(payload) < nlmsgHeaderLen {
		return errno, ""
	}
	quoted := nlmsgHeaderLen
	if flags&nlmFCapped == 0 {
		quoted = alignLen(int(min(ne.Uint32(payload), math.MaxInt32-4)))
	}
	if quoted > len(payload) {
		return errno, ""
	}
	for a := (attrs{buf: payload[quoted:]}); a.next(); {
		if a.typ == nlmsgerrAttrMsg {
			msg, _, _ := strings.Cut(string(a.payload), "\x00")
			return errno, msg
		}
	}
	return errno, ""
}

// attrs walks over netlink attributes, without allocating.
type attrs struct {
	buf     []byte
	typ     uint16
	payload []byte
	err     error
}

func (a *attrs) next() bool {
	if a.err != nil || len(a.buf) == 0 {
		return false
	}
	if len(a.buf) < nlaHeaderLen {
		a.err = fmt.Errorf("attribute header of %d bytes: %w", len(a.buf), errTruncated)
		return false
	}
	n := int(binary.NativeEndian.Uint16(a.buf))
	a.typ = binary.NativeEndian.Uint16(a.buf[2:]) & nlaTypeMask
	if n < nlaHeaderLen || n > len(a.buf) {
		a.err = fmt.Errorf("attribute %d: length %d with %d bytes left: %w", a.typ, n, len(a.buf), errTruncated)
		return false
	}
	a.payload = a.buf[nlaHeaderLen:n]
	a.buf = a.buf[min(alignLen(n), len(a.buf)):]
	return true
}

// need reports whether the payload holds n bytes, and otherwise sets the error.
func (a *attrs) need(n int) bool {
	if len(a.payload) < n {
		a.err = fmt.Errorf("attribute %d: %d bytes of %d: %w", a.typ, len(a.payload), n, errTruncated)
		return false
	}
	return true
}

func (a *attrs) u32() uint32 {
	if !a.need(4) {
		return 0
	}
	return binary.NativeEndian.Uint32(a.payload)
}

func (a *attrs) u64() uint64 {
	if !a.need(8) {
		return 0
	}
	return binary.NativeEndian.Uint64(a.payload)
}

// u32At is the 32-bit field at an offset that is known to lie in the payload.
func (a *attrs) u32At(off int) uint32 { return binary.NativeEndian.Uint32(a.payload[off:]) }

// alignLen is NLMSG_ALIGN and NLA_ALIGN.
func alignLen(n int) int { return (n + 3) &^ 3 }

// QdiscInfo is what the kernel tells about a qdisc or a class: RTM_NEWQDISC and
// RTM_NEWTCLASS as answers (net/sched/sch_api.c: tc_fill_qdisc,
// tc_fill_tclass). Counts wrap where the kernel's do.
type QdiscInfo struct {
	TC
	Kind         string    // "tbf"
	Options      []byte    // TCA_OPTIONS, for the decoder of the kind; a part of the message
	SizeTable    SizeTable // when HasSizeTable; the message does not tell a table's data
	HasSizeTable bool

	// TCA_STATS2 (include/uapi/linux/gen_stats.h).
	Bytes        uint64 // sent, link-layer headers included or as the size table counts
	Packets      uint64 // sent; a GSO packet counts its segments
	Drops        uint32 // lost here or in a child
	Overlimits   uint32
	Requeues     uint32
	Qlen         uint32 // packets in the queue, now
	BacklogBytes uint32 // bytes in the queue, now

	AppStats []byte // TCA_STATS_APP, for the decoder of the kind; a part of the message
}

// Attributes of TCA_STATS2; include/uapi/linux/gen_stats.h.
const (
	tcaStatsBasic = 1 // TCA_STATS_BASIC
	tcaStatsQueue = 3 // TCA_STATS_QUEUE
	tcaStatsApp   = 4 // TCA_STATS_APP
	tcaStatsPkt64 = 8 // TCA_STATS_PKT64

	statsBasicLen = 12 // struct gnet_stats_basic without its padding
	statsQueueLen = 20 // sizeof(struct gnet_stats_queue)
)

// DecodeQdisc reads the payload of an RTM_NEWQDISC or RTM_NEWTCLASS into q,
// all of whose fields it sets. It skips attributes that it does not know and
// allocates nothing for the kinds that Linktape uses.
func DecodeQdisc(payload []byte, q *QdiscInfo) error {
	kind := q.Kind
	*q = QdiscInfo{}
	if len(payload) < tcmsgLen {
		return fmt.Errorf("decode qdisc: header of %d bytes: %w", len(payload), errTruncated)
	}
	ne := binary.NativeEndian
	q.Ifindex = int32(ne.Uint32(payload[4:]))
	q.Handle = ne.Uint32(payload[8:])
	q.Parent = ne.Uint32(payload[12:])
	q.Info = ne.Uint32(payload[16:])
	a := attrs{buf: payload[tcmsgLen:]}
	for a.next() {
		switch a.typ {
		case tcaKind:
			q.Kind = kindName(a.payload, kind)
		case tcaOptions:
			q.Options = a.payload
		case tcaStab:
			if q.SizeTable, a.err = decodeSizeTable(a.payload); a.err == nil {
				q.HasSizeTable = true
			}
		case tcaStats2:
			a.err = q.decodeStats(a.payload)
		}
	}
	if a.err != nil {
		return fmt.Errorf("decode qdisc: %w", a.err)
	}
	return nil
}

// decodeCounters decodes of the payload of an RTM_NEWQDISC its TCA_STATS2 alone.
func (q *QdiscInfo) decodeCounters(payload []byte) error {
	if len(payload) < tcmsgLen {
		return fmt.Errorf("decode qdisc: header of %d bytes: %w", len(payload), errTruncated)
	}
	a := attrs{buf: payload[tcmsgLen:]}
	for a.next() {
		if a.typ == tcaStats2 {
			a.err = q.decodeStats(a.payload)
		}
	}
	if a.err != nil {
		return fmt.Errorf("decode qdisc: %w", a.err)
	}
	return nil
}

func (q *QdiscInfo) decodeStats(b []byte) error {
	a := attrs{buf: b}
	pkt64 := false
	for a.next() {
		switch a.typ {
		case tcaStatsBasic:
			if a.need(statsBasicLen) {
				q.Bytes = a.u64()
				if !pkt64 {
					q.Packets = uint64(a.u32At(8))
				}
			}
		case tcaStatsPkt64:
			q.Packets, pkt64 = a.u64(), true
		case tcaStatsApp:
			q.AppStats = a.payload
		case tcaStatsQueue:
			if a.need(statsQueueLen) {
				q.Qlen = a.u32At(0)
				q.BacklogBytes = a.u32At(4)
				q.Drops = a.u32At(8)
				q.Requeues = a.u32At(12)
				q.Overlimits = a.u32At(16)
			}
		}
	}
	return a.err
}

// kindName returns the name in a TCA_KIND. Only a name that is neither known
// nor the last one read is allocated.
func kindName(b []byte, last string) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	switch string(b) {
	case "tbf":
		return "tbf"
	case "htb":
		return "htb"
	case "netem":
		return "netem"
	case "plug":
		return "plug"
	case "cake":
		return "cake"
	case "fq":
		return "fq"
	case "fq_codel":
		return "fq_codel"
	case "prio":
		return "prio"
	case "pfifo_fast":
		return "pfifo_fast"
	case "pfifo":
		return "pfifo"
	case "bfifo":
		return "bfifo"
	case "noqueue":
		return "noqueue"
	case "mq":
		return "mq"
	case "ingress":
		return "ingress"
	case "clsact":
		return "clsact"
	case last:
		return last
	}
	return string(b)
}

func decodeSizeTable(b []byte) (s SizeTable, err error) {
	a := attrs{buf: b}
	for a.next() {
		if a.typ == tcaStabBase && a.need(sizeSpecLen) {
			s.OverheadBytes = int32(a.u32At(4))
		}
	}
	return s, a.err
}

// DecodeTBF reads the TCA_OPTIONS of a tbf: net/sched/sch_tbf.c, tbf_change
// and tbf_dump. The kernel tells buckets as time alone, in the lower 32 bits of
// the 64 ns ticks, so what it dumps has Buffer and no BurstBytes, and a bucket
// of more than 274 s comes out wrong.
func DecodeTBF(options []byte) (TBF, error) {
	q, err := decodeTBF(options)
	if err != nil {
		return TBF{}, fmt.Errorf("decode tbf: %w", err)
	}
	return q, nil
}

func decodeTBF(options []byte) (q TBF, err error) {
	var rate, peak, rate64, peak64 uint64
	var buffer, mtu, burst, pburst uint32
	found := false
	a := attrs{buf: options}
	for a.next() {
		switch a.typ {
		case tcaTBFParms:
			if a.need(tbfQoptLen) {
				found = true
				rate, q.OverheadBytes, q.MPUBytes = rateSpec(a.payload)
				peak, _, _ = rateSpec(a.payload[rateSpecLen:])
				q.LimitBytes = int64(a.u32At(2 * rateSpecLen))
				buffer = a.u32At(2*rateSpecLen + 4)
				mtu = a.u32At(2*rateSpecLen + 8)
			}
		case tcaTBFRate64:
			rate64 = a.u64()
		case tcaTBFPRate64:
			peak64 = a.u64()
		case tcaTBFBurst:
			burst = a.u32()
		case tcaTBFPBurst:
			pburst = a.u32()
		}
	}
	if a.err != nil {
		return q, a.err
	}
	if !found {
		return q, errors.New("TCA_TBF_PARMS is missing")
	}
	if q.Rate, err = bitRate(max(rate, rate64)); err != nil {
		return q, err
	}
	q.BurstBytes = int64(burst)
	if burst == 0 {
		q.Buffer = time.Duration(buffer) * tickNs
	}
	if peak == 0 {
		return q, nil
	}
	if q.PeakRate, err = bitRate(max(peak, peak64)); err != nil {
		return q, err
	}
	q.PeakBurstBytes = int64(pburst)
	if pburst == 0 {
		q.PeakBuffer = time.Duration(mtu) * tickNs
	}
	return q, nil
}

// rateSpec reads struct tc_ratespec, which b is known to hold.
func rateSpec(b []byte) (rate uint64, overhead, mpu uint16) {
	ne := binary.NativeEndian
	return uint64(ne.Uint32(b[8:])), ne.Uint16(b[2:]), ne.Uint16(b[6:])
}

// DecodeHTB reads the TCA_OPTIONS of an htb qdisc: net/sched/sch_htb.c,
// htb_init and htb_dump.
func DecodeHTB(options []byte) (HTB, error) {
	var q HTB
	found := false
	a := attrs{buf: options}
	for a.next() {
		switch a.typ {
		case tcaHTBInit:
			if a.need(htbGlobLen) {
				found = true
				q.R2Q = a.u32At(4)
				q.Default = uint16(a.u32At(8)) // htb_classify: TC_H_MAKE
			}
		case tcaHTBDirectQlen:
			q.DirectQlen, q.HasDirectQlen = a.u32(), true
		}
	}
	if a.err != nil {
		return HTB{}, fmt.Errorf("decode htb: %w", a.err)
	}
	if !found {
		return HTB{}, errors.New("decode htb: TCA_HTB_INIT is missing")
	}
	q.R2Q = max(q.R2Q, 1) // htb_init
	return q, nil
}

// DecodeHTBClass reads the TCA_OPTIONS of an htb class: net/sched/sch_htb.c,
// htb_change_class and htb_dump_class. Buckets are time, as the kernel keeps
// them; [HTBClass.BucketBytes] says them in bytes.
func DecodeHTBClass(options []byte) (HTBClass, error) {
	c, err := decodeHTBClass(options)
	if err != nil {
		return HTBClass{}, fmt.Errorf("decode htb class: %w", err)
	}
	return c, nil
}

func decodeHTBClass(options []byte) (c HTBClass, err error) {
	var rate, ceil, rate64, ceil64 uint64
	found := false
	a := attrs{buf: options}
	for a.next() {
		switch a.typ {
		case tcaHTBParms:
			if a.need(htbOptLen) {
				found = true
				rate, c.OverheadBytes, c.MPUBytes = rateSpec(a.payload)
				ceil, _, _ = rateSpec(a.payload[rateSpecLen:])
				c.Buffer = time.Duration(a.u32At(2*rateSpecLen)) * tickNs
				c.CeilBuffer = time.Duration(a.u32At(2*rateSpecLen+4)) * tickNs
				c.QuantumBytes = int64(a.u32At(2*rateSpecLen + 8))
				c.Prio = min(a.u32At(2*rateSpecLen+16), htbMaxPrio)
			}
		case tcaHTBRate64:
			rate64 = a.u64()
		case tcaHTBCeil64:
			ceil64 = a.u64()
		}
	}
	if a.err != nil {
		return c, a.err
	}
	if !found {
		return c, errors.New("TCA_HTB_PARMS is missing")
	}
	if c.Rate, err = bitRate(max(rate, rate64)); err != nil {
		return c, err
	}
	c.Ceil, err = bitRate(max(ceil, ceil64))
	return c, err
}

// DecodeNetem reads the TCA_OPTIONS of a netem: net/sched/sch_netem.c,
// netem_change and netem_dump. What the options do not mention is zero; Omit is
// set for nothing but a loss model that is kept. Correlations, chains and
// tables come back as parameters: the kernel does not tell their state, nor
// the tables at all.
func DecodeNetem(options []byte) (Netem, error) {
	q, err := decodeNetem(options)
	if err != nil {
		return Netem{}, fmt.Errorf("decode netem: %w", err)
	}
	return q, nil
}

func decodeNetem(options []byte) (q Netem, err error) {
	a := attrs{payload: options}
	if !a.need(netemQoptLen) {
		return q, fmt.Errorf("struct tc_netem_qopt: %d bytes of %d: %w", len(options), netemQoptLen, errTruncated)
	}
	q.Delay = time.Duration(a.u32At(0)) * tickNs
	q.LimitPackets = a.u32At(4)
	q.Loss = prob(a.u32At(8))
	q.Gap = a.u32At(12)
	q.Duplicate = prob(a.u32At(16))
	q.Jitter = time.Duration(a.u32At(20)) * tickNs
	if q.Gap > 0 {
		q.Reorder = 1 // netem_change, unless TCA_NETEM_REORDER says otherwise
	}
	a = attrs{buf: options[netemQoptLen:]}
	var rate, rate64 uint64
	for a.next() {
		switch a.typ {
		case tcaNetemLatency64:
			q.Delay = time.Duration(a.u64())
		case tcaNetemJitter64:
			q.Jitter = time.Duration(a.u64())
		case tcaNetemCorr:
			if a.need(netemCorrLen) {
				q.DelayCorr, q.LossCorr, q.DuplicateCorr = prob(a.u32At(0)), prob(a.u32At(4)), prob(a.u32At(8))
			}
		case tcaNetemReorder:
			if a.need(netemPairLen) {
				q.Reorder, q.ReorderCorr = prob(a.u32At(0)), prob(a.u32At(4))
			}
		case tcaNetemCorrupt:
			if a.need(netemPairLen) {
				q.Corrupt, q.CorruptCorr = prob(a.u32At(0)), prob(a.u32At(4))
			}
		case tcaNetemECN:
			q.ECN = a.u32() != 0
		case tcaNetemLoss:
			a.err = q.decodeLoss(a.payload)
		case tcaNetemRate:
			if a.need(netemRateLen) {
				rate = uint64(a.u32At(0))
				q.PacketOverheadBytes = int32(a.u32At(4))
				q.CellSizeBytes = a.u32At(8)
				q.CellOverheadBytes = int32(a.u32At(12))
			}
		case tcaNetemRate64:
			rate64 = a.u64()
		case tcaNetemSlot:
			if a.need(netemSlotLen) {
				ne := binary.NativeEndian
				q.Slot = NetemSlots{
					MinDelay:   time.Duration(ne.Uint64(a.payload)),
					MaxDelay:   time.Duration(ne.Uint64(a.payload[8:])),
					MaxPackets: int32(a.u32At(16)),
					MaxBytes:   int32(a.u32At(20)),
					DistDelay:  time.Duration(ne.Uint64(a.payload[24:])),
					DistJitter: time.Duration(ne.Uint64(a.payload[32:])),
				}
			}
		case tcaNetemDelayDist:
			q.DelayDist, a.err = decodeDist(a.payload)
		case tcaNetemSlotDist:
			q.SlotDist, a.err = decodeDist(a.payload)
		case tcaNetemPRNGSeed:
			q.Seed, q.HasSeed = a.u64(), true
		}
	}
	if a.err != nil {
		return q, a.err
	}
	q.Rate, err = bitRate(max(rate, rate64))
	return q, err
}

// decodeLoss reads TCA_NETEM_LOSS: net/sched/sch_netem.c, get_loss_clg. A
// model that can lose nothing is as good as none, and as none it is told.
func (q *Netem) decodeLoss(b []byte) error {
	q.GE, q.Markov = trace.GE{}, Markov{}
	if len(b) == 0 {
		q.Omit |= NetemLoss
		return nil
	}
	q.Omit &^= NetemLoss
	a := attrs{buf: b}
	for a.next() {
		switch a.typ {
		case netemLossGI:
			if a.need(netemGILen) {
				q.GE = trace.GE{}
				q.Markov = Markov{
					P13: prob(a.u32At(0)), P31: prob(a.u32At(4)), P32: prob(a.u32At(8)),
					P14: prob(a.u32At(12)), P23: prob(a.u32At(16)),
				}
			}
		case netemLossGE:
			if a.need(netemGELen) {
				q.Markov = Markov{}
				q.GE = trace.GE{
					P: prob(a.u32At(0)), R: prob(a.u32At(4)),
					LossBad: prob(math.MaxUint32 - a.u32At(8)), LossGood: prob(a.u32At(12)),
				}
			}
		}
	}
	return a.err
}

func decodeDist(b []byte) ([]int16, error) {
	n := len(b) / 2
	if n == 0 || n > NetemDistMax {
		return nil, fmt.Errorf("distribution of %d entries: outside 1 to %d", n, NetemDistMax) // get_dist_table
	}
	t := make([]int16, n)
	for i := range t {
		t[i] = int16(binary.NativeEndian.Uint16(b[2*i:]))
	}
	return t, nil
}

package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Message types; include/uapi/linux/netlink.h and rtnetlink.h.
const (
	nlmsgError   = 2  // NLMSG_ERROR, also the acknowledgement
	rtmNewQdisc  = 36 // RTM_NEWQDISC
	rtmDelQdisc  = 37 // RTM_DELQDISC
	rtmGetQdisc  = 38 // RTM_GETQDISC
	rtmNewTClass = 40 // RTM_NEWTCLASS
	rtmGetTClass = 42 // RTM_GETTCLASS
)

// Flags of an acknowledgement; include/uapi/linux/netlink.h.
const (
	nlmFCapped  = 0x100 // NLM_F_CAPPED: it quotes only the request's header
	nlmFAckTLVs = 0x200 // NLM_F_ACK_TLVS: attributes follow
)

// Attributes of struct tcmsg; include/uapi/linux/rtnetlink.h.
const (
	tcaKind    = 1 // TCA_KIND
	tcaOptions = 2 // TCA_OPTIONS
	tcaStats2  = 7 // TCA_STATS2
	tcaStab    = 8 // TCA_STAB
)

const (
	nlmsgHeaderLen = 16     // sizeof(struct nlmsghdr)
	tcmsgLen       = 20     // sizeof(struct tcmsg)
	nlaHeaderLen   = 4      // NLA_HDRLEN
	nlaNested      = 0x8000 // NLA_F_NESTED
	nlaTypeMask    = 0x3FFF // NLA_TYPE_MASK
	maxAttrLen     = math.MaxUint16

	linklayerEthernet = 1 // TC_LINKLAYER_ETHERNET: no rate table is needed
)

// tickNs is one tick of traffic control's clock, in nanoseconds:
// include/net/pkt_sched.h, PSCHED_SHIFT 6.
const tickNs = 64

// Message holds the fields of struct nlmsghdr that a sender chooses. The port
// number stays 0, which the kernel takes as "from this socket".
type Message struct {
	Type  uint16
	Flags uint16
	Seq   uint32
}

// TC is struct tcmsg (include/uapi/linux/rtnetlink.h): which qdisc or class of
// which interface. The address family stays AF_UNSPEC.
type TC struct {
	Ifindex int32
	Handle  uint32 // of the qdisc or class itself; see [Handle]
	Parent  uint32 // handle of the parent, or TC_H_ROOT, 2³²−1
	Info    uint32 // 0 in requests
}

// Handle returns the handle MAJOR:MINOR (TC_H_MAKE). A qdisc has minor 0, a
// class has the major number of its qdisc.
func Handle(major, minor uint16) uint32 { return uint32(major)<<16 | uint32(minor) }

// AppendTC appends the header of a request and its struct tcmsg, and returns
// the offset at which the message starts, for [FinishMessage]. A message
// starts at a multiple of 4 bytes, which FinishMessage keeps up in a batch.
func AppendTC(b []byte, m Message, tc TC) (out []byte, start int) {
	start = len(b)
	ne := binary.NativeEndian
	b = ne.AppendUint32(b, 0) // nlmsg_len, by FinishMessage
	b = ne.AppendUint16(b, m.Type)
	b = ne.AppendUint16(b, m.Flags)
	b = ne.AppendUint32(b, m.Seq)
	b = ne.AppendUint32(b, 0) // nlmsg_pid
	b = ne.AppendUint32(b, 0) // tcm_family and padding
	b = ne.AppendUint32(b, uint32(tc.Ifindex))
	b = ne.AppendUint32(b, tc.Handle)
	b = ne.AppendUint32(b, tc.Parent)
	b = ne.AppendUint32(b, tc.Info)
	return b, start
}

// FinishMessage sets the length of the message that starts at start and pads
// it to NLMSG_ALIGN, so that another one may follow in the same buffer.
func FinishMessage(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return appendPad(b, len(b)-start)
}

// appendPad appends what brings n to a multiple of 4 (NLA_ALIGN, NLMSG_ALIGN).
func appendPad(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

// beginNest appends the header of an attribute whose payload follows, and
// returns its offset for endNest.
func beginNest(b []byte, typ uint16) (out []byte, start int) {
	start = len(b)
	b = binary.NativeEndian.AppendUint16(b, 0)
	return binary.NativeEndian.AppendUint16(b, typ), start
}

// endNest sets the length of the attribute that starts at start and pads it.
// The length includes the attribute's header and has 16 bits.
func endNest(b []byte, start int) ([]byte, error) {
	n := len(b) - start
	if n > maxAttrLen {
		return b, fmt.Errorf("attribute of %d bytes: more than the %d of its length field", n, maxAttrLen)
	}
	binary.NativeEndian.PutUint16(b[start:], uint16(n))
	return appendPad(b, n), nil
}

// appendAttrHeader appends the header of an attribute with n bytes of payload.
func appendAttrHeader(b []byte, typ uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(nlaHeaderLen+n))
	return binary.NativeEndian.AppendUint16(b, typ)
}

func appendAttrU32(b []byte, typ uint16, v uint32) []byte {
	return binary.NativeEndian.AppendUint32(appendAttrHeader(b, typ, 4), v)
}

func appendAttrU64(b []byte, typ uint16, v uint64) []byte {
	return binary.NativeEndian.AppendUint64(appendAttrHeader(b, typ, 8), v)
}

// appendKind appends TCA_KIND with its terminating zero.
func appendKind(b []byte, kind string) []byte {
	b = appendAttrHeader(b, tcaKind, len(kind)+1)
	b = append(b, kind...)
	b = append(b, 0)
	return appendPad(b, len(kind)+1)
}

// appendRateSpec appends struct tc_ratespec. The kernel reads linklayer,
// overhead, mpu and rate (net/sched/sch_generic.c: psched_ratecfg_precompute);
// cell_log and cell_align served the rate tables, and are sent as tc does.
func appendRateSpec(b []byte, rate uint64, cellLog uint8, overhead, mpu uint16) []byte {
	ne := binary.NativeEndian
	b = append(b, cellLog, linklayerEthernet)
	b = ne.AppendUint16(b, overhead)
	b = ne.AppendUint16(b, 0xFFFF) // cell_align −1
	b = ne.AppendUint16(b, mpu)
	return ne.AppendUint32(b, rate32(rate))
}

// rateSpecLen is sizeof(struct tc_ratespec).
const rateSpecLen = 12

// cellLog is the logarithm of a rate table's cell: iproute2 tc/tc_core.c,
// tc_calc_rtable. The kernel ignores it for linklayer ethernet.
func cellLog(mtu uint64) uint8 {
	var n uint8
	for mtu>>n > 255 {
		n++
	}
	return n
}

// bytesPerSecond turns a rate above 0 into the wire's bytes per second,
// rounded down but never to 0, which the kernel would take as unlimited.
func bytesPerSecond(r trace.BitRate) uint64 { return max(uint64(r)/8, 1) }

// rate32 is the 32-bit rate field; a 64-bit attribute beside it says more.
func rate32(bytesPerSecond uint64) uint32 { return uint32(min(bytesPerSecond, math.MaxUint32)) }

// bitRate is the inverse of bytesPerSecond.
func bitRate(bytesPerSecond uint64) (trace.BitRate, error) {
	if bytesPerSecond > math.MaxInt64/8 {
		return 0, fmt.Errorf("rate %d bytes/s: too large", bytesPerSecond)
	}
	return trace.BitRate(bytesPerSecond * 8), nil
}

// prob32 scales a valid probability to 32 bits: iproute2 tc/q_netem.c,
// set_percent, rint(p·(2³²−1)).
func prob32(p trace.Prob) uint32 { return uint32(math.RoundToEven(float64(p) * math.MaxUint32)) }

// prob is the inverse of prob32, exact to its 32 bits.
func prob(v uint32) trace.Prob { return trace.Prob(float64(v) / math.MaxUint32) }

// size32 checks a size of 0 to 2³²−1 bytes.
func size32(name string, n int64) (uint32, error) {
	if n < 0 || n > math.MaxUint32 {
		return 0, fmt.Errorf("%s %d bytes: outside 0 to %d", name, n, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

// ticks32 checks a bucket given as time and returns it in 64 ns ticks, rounded
// down.
func ticks32(name string, d, limit time.Duration) (uint32, error) {
	if d < tickNs || d > limit {
		return 0, fmt.Errorf("%s %v: outside %v to %v", name, d, time.Duration(tickNs), limit)
	}
	return uint32(d / tickNs), nil
}

// maxTicks is the longest time that 32 bits of 64 ns ticks hold, about 275 s.
const maxTicks = time.Duration(math.MaxUint32 * tickNs)

// xmitTicks is the time to send size bytes at rate bytes per second, in 64 ns
// ticks, as tc computes it (iproute2 6.1 tc/tc_core.c, tc_calc_xmittime): in
// double precision, cut to whole microseconds and then to whole ticks. A time
// below one microsecond, of which tc 6.1 makes 0, is rounded up to a tick
// instead, as iproute2 does since 6.14.
func xmitTicks(rate, size uint64) float64 {
	us := 1e6 * (float64(size) / float64(rate))
	t := math.Floor(math.Floor(us) * (1000.0 / tickNs))
	if t == 0 {
		t = math.Ceil(us * (1000.0 / tickNs))
	}
	return t
}

// xmitTicks32 is xmitTicks of a bucket that must fit the kernel's 32 bits.
func xmitTicks32(name string, rate, size uint64) (uint32, error) {
	t := xmitTicks(rate, size)
	if t > math.MaxUint32 {
		return 0, fmt.Errorf("%s %d bytes: takes %.0f s at %d bytes/s, more than the %.0f s that the kernel's clock holds",
			name, size, float64(size)/float64(rate), rate, maxTicks.Seconds())
	}
	return uint32(t), nil
}

// bytesIn is the number of bytes that d covers at rate bytes per second,
// rounded down: net/sched/sch_tbf.c, psched_ns_t2l.
func bytesIn(d time.Duration, rate uint64) int64 {
	return int64(math.Floor(float64(rate) * float64(d) / 1e9))
}

var errTruncated = errors.New("truncated")

package netsetup

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"linktape/trace"

	"github.com/google/go-cmp/cmp"
)

// What tc sends decodes to the parameters that it was told.
func TestDecodeGolden(t *testing.T) {
	for _, g := range readGolden(t) {
		t.Run(g.name, func(t *testing.T) {
			info := decodeRequest(t, g.bytes)
			room, spec, _ := strings.Cut(g.name, "/")
			size, ok := goldenSizeTable[g.name]
			if info.HasSizeTable != ok || info.SizeTable != size {
				t.Errorf("size table: got %v %+v, want %v %+v", info.HasSizeTable, info.SizeTable, ok, size)
			}
			var got, want any
			var err error
			switch room {
			case "netem":
				q := goldenNetem[spec]
				q.Omit = 0
				if spec == "duplicate-corr" {
					q.DuplicateCorr = 0 // tc does not send it
				}
				q.Rate = q.Rate / 8 * 8
				q.Delay, q.Jitter = q.Delay/tickNs*tickNs, q.Jitter/tickNs*tickNs
				want = q
				got, err = DecodeNetem(info.Options)
			case "tbf":
				q := goldenTBF[spec]
				q.Rate = q.Rate / 8 * 8
				want = q
				got, err = DecodeTBF(info.Options)
			case "htb":
				q := goldenHTB[spec]
				if q.R2Q == 0 {
					q.R2Q = DefaultR2Q
				}
				want = q
				got, err = DecodeHTB(info.Options)
			case "cake":
				q := goldenCAKE[spec]
				q.Rate = q.Rate / 8 * 8
				want = q
				got, err = DecodeCAKE(info.Options)
			case "fq_codel":
				want = goldenFQCoDel[spec]
				got, err = DecodeFQCoDel(info.Options)
			case "fq":
				want = goldenFQ[spec]
				got, err = DecodeFQ(info.Options)
			case "class":
				want := inTicks(goldenClass[spec])
				if spec == "below-1us" {
					want.Buffer, want.CeilBuffer = 0, 0 // tc 6.1 sends 0 ticks
				}
				got, err := DecodeHTBClass(info.Options)
				if d := cmp.Diff(want, got); d != "" || err != nil {
					t.Errorf("%v\n(-want +got)\n%s", err, d)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, approxProb); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// inTicks returns a class as it decodes: rates in whole bytes per second, and
// the buckets as time.
func inTicks(c HTBClass) HTBClass {
	p, err := c.params()
	if err != nil {
		panic(err)
	}
	c.Rate, c.Ceil = trace.BitRate(8*p.rate), trace.BitRate(8*p.ceil)
	c.Buffer, c.CeilBuffer = time.Duration(p.buffer)*tickNs, time.Duration(p.cbuffer)*tickNs
	c.BurstBytes, c.CeilBurstBytes = 0, 0
	return c
}

// approxProb takes probabilities as equal that are one number on the wire.
var approxProb = cmp.Comparer(func(a, b trace.Prob) bool { return prob32(a) == prob32(b) })

func decodeRequest(t testing.TB, b []byte) QdiscInfo {
	t.Helper()
	m := Messages{Buf: b}
	if !m.Next() {
		t.Fatal(m.Err())
	}
	var info QdiscInfo
	if err := DecodeQdisc(m.Payload, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

// Every request, cut at every length, is an error or the same with less in it,
// never a panic.
func TestDecodeTruncated(t *testing.T) {
	for _, g := range readGolden(t) {
		info := decodeRequest(t, g.bytes)
		room, _, _ := strings.Cut(g.name, "/")
		payload := g.bytes[nlmsgHeaderLen:]
		for n := range payload {
			var q QdiscInfo
			err := DecodeQdisc(payload[:n], &q)
			if n < tcmsgLen && !errors.Is(err, errTruncated) {
				t.Errorf("%s: %d bytes: %v, want %v", g.name, n, err, errTruncated)
			}
		}
		for n := range info.Options {
			cut := info.Options[:n]
			for kind, decode := range map[string]func([]byte) error{
				"tbf":      func(b []byte) error { _, err := DecodeTBF(b); return err },
				"htb":      func(b []byte) error { _, err := DecodeHTB(b); return err },
				"class":    func(b []byte) error { _, err := DecodeHTBClass(b); return err },
				"netem":    func(b []byte) error { _, err := DecodeNetem(b); return err },
				"cake":     func(b []byte) error { _, err := DecodeCAKE(b); return err },
				"fq_codel": func(b []byte) error { _, err := DecodeFQCoDel(b); return err },
				"fq":       func(b []byte) error { _, err := DecodeFQ(b); return err },
			} {
				padding := kind == "fq" && n > len(info.Options)-4 // is all that is cut off
				if err := decode(cut); kind == room && n%4 != 0 && !padding && err == nil {
					t.Errorf("%s: options of %d bytes: no error", g.name, n)
				}
			}
		}
	}
}

func TestMessagesTruncated(t *testing.T) {
	b, start := AppendTC(nil, Message{Type: rtmNewQdisc}, TC{})
	b = FinishMessage(b, start)
	for _, c := range []struct {
		name string
		buf  []byte
		want string
	}{
		{"half a header", b[:8], "decode netlink message: header of 8 bytes: truncated"},
		{"half a message", b[:20], "decode netlink message: length 36 with 20 bytes left: truncated"},
		{"length 0", make([]byte, 16), "decode netlink message: length 0 with 16 bytes left: truncated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Messages{Buf: c.buf}
			if m.Next() {
				t.Fatalf("got %+v", m)
			}
			wantError(t, m.Err(), c.want)
			if m.Next() {
				t.Error("goes on after an error")
			}
		})
	}
	m := Messages{}
	if m.Next() || m.Err() != nil {
		t.Errorf("empty buffer: %v", m.Err())
	}
}

func TestParseError(t *testing.T) {
	ne := binary.NativeEndian
	request, start := AppendTC(nil, Message{Type: rtmNewQdisc, Flags: 5, Seq: 9}, TC{Ifindex: 1})
	request, err := AppendTBF(request, TBF{Rate: trace.Mbit, BurstBytes: 3028})
	if err != nil {
		t.Fatal(err)
	}
	request = FinishMessage(request, start)
	text := appendPad(append(appendAttrHeader(nil, nlmsgerrAttrMsg, 13), "no such thing"...), 13)
	text = append(appendAttrU32(nil, 2, 40), text...) // NLMSGERR_ATTR_OFFS
	payload := func(errno int32, parts ...[]byte) []byte {
		b := ne.AppendUint32(nil, uint32(errno))
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	for _, c := range []struct {
		name    string
		flags   uint16
		payload []byte
		errno   int32
		extack  string
	}{
		{"success", nlmFCapped, payload(0, request[:16]), 0, ""},
		{"success, warning", nlmFCapped | nlmFAckTLVs, payload(0, request[:16], text), 0, "no such thing"},
		{"refused, whole request", 0, payload(-22, request), 22, ""},
		{"refused, whole request, text", nlmFAckTLVs, payload(-22, request, text), 22, "no such thing"},
		{"refused, capped", nlmFCapped, payload(-22, request[:16]), 22, ""},
		{"refused, capped, text", nlmFCapped | nlmFAckTLVs, payload(-22, request[:16], text), 22, "no such thing"},
		{"text with its zero", nlmFCapped | nlmFAckTLVs, payload(-2, request[:16], []byte("\x08\x00\x01\x00abc\x00")), 2, "abc"},
		{"text cut off", nlmFCapped | nlmFAckTLVs, payload(-22, request[:16], text[:len(text)-8]), 22, ""},
		{"request cut off", nlmFAckTLVs, payload(-22, request[:40]), 22, ""},
		{"request without end", nlmFAckTLVs, payload(-22, []byte("\xff\xff\xff\xff"), make([]byte, 12)), 22, ""},
		{"no request", nlmFAckTLVs, payload(-1), 1, ""},
		{"nothing", 0, []byte{1, 2}, errnoBadMessage, "truncated acknowledgement"},
		{"no error number", 0, payload(math.MinInt32), errnoBadMessage, "acknowledgement without an error number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if errno, extack := ParseError(c.flags, c.payload); errno != c.errno || extack != c.extack {
				t.Errorf("got %d %q, want %d %q", errno, extack, c.errno, c.extack)
			}
		})
	}
}

// dump is an answer of the kernel about a tbf, as net/sched/sch_api.c,
// tc_fill_qdisc, writes it, with attributes that the decoder does not know.
func dump(t testing.TB) []byte {
	t.Helper()
	ne := binary.NativeEndian
	b, _ := AppendTC(nil, Message{Type: rtmNewQdisc}, TC{Ifindex: 3, Handle: Handle(1, 0), Parent: parentRoot, Info: 2})
	b, err := AppendTBF(b, TBF{Rate: trace.Mbit, Buffer: 24224 * time.Microsecond, LimitBytes: 64000})
	if err != nil {
		t.Fatal(err)
	}
	b, _ = AppendSizeTable(b, SizeTable{OverheadBytes: -14})
	b = append(b, 5, 0, 12, 0, 0, 0, 0, 0) // TCA_HW_OFFLOAD
	b, nest := beginNest(b, tcaStats2)
	b = appendAttrHeader(b, tcaStatsPkt64, 8)
	b = ne.AppendUint64(b, 1<<32+7)
	b = appendAttrHeader(b, tcaStatsBasic, 16)
	b = ne.AppendUint64(b, 1<<40)
	b = ne.AppendUint32(b, 7)
	b = ne.AppendUint32(b, 0)
	b = appendAttrHeader(b, tcaStatsQueue, statsQueueLen)
	for _, v := range []uint32{11, 22, 33, 44, 55} {
		b = ne.AppendUint32(b, v)
	}
	b, err = endNest(b, nest)
	if err != nil {
		t.Fatal(err)
	}
	return b[nlmsgHeaderLen:]
}

func TestDecodeQdisc(t *testing.T) {
	var got QdiscInfo
	if err := DecodeQdisc(dump(t), &got); err != nil {
		t.Fatal(err)
	}
	options := got.Options
	got.Options = nil
	want := QdiscInfo{
		TC: TC{Ifindex: 3, Handle: 0x10000, Parent: 0xFFFFFFFF, Info: 2}, Kind: "tbf",
		SizeTable: SizeTable{OverheadBytes: -14}, HasSizeTable: true,
		Bytes: 1 << 40, Packets: 1<<32 + 7,
		Qlen: 11, BacklogBytes: 22, Drops: 33, Requeues: 44, Overlimits: 55,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	q, err := DecodeTBF(options)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(TBF{Rate: trace.Mbit, Buffer: 24224 * time.Microsecond, LimitBytes: 64000}, q); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got, want := q.BucketBytes(), int64(3028); got != want {
		t.Errorf("bucket of %d bytes, want %d", got, want)
	}
}

func TestDecodeQdiscAllocs(t *testing.T) {
	b, start := AppendTC(nil, Message{}, TC{})
	b = append(b, dump(t)[tcmsgLen:]...)
	b = FinishMessage(b, start)
	ack, start := AppendTC(nil, Message{Type: nlmsgError}, TC{})
	ack = FinishMessage(ack, start)
	b = append(b, ack...)
	var q QdiscInfo
	allocs := testing.AllocsPerRun(100, func() {
		m := Messages{Buf: b}
		for m.Next() {
			if m.Type == nlmsgError {
				m.Errno()
			} else if err := DecodeQdisc(m.Payload, &q); err != nil {
				t.Fatal(err)
			} else if _, err := DecodeTBF(q.Options); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// A kind that is not known is allocated once and then kept.
func TestKindName(t *testing.T) {
	q := QdiscInfo{Kind: "theaterq"}
	payload := append(make([]byte, tcmsgLen), appendKind(nil, "theaterq")...)
	if allocs := testing.AllocsPerRun(10, func() { _ = DecodeQdisc(payload, &q) }); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
	if q.Kind != "theaterq" {
		t.Errorf("kind %q", q.Kind)
	}
	for _, k := range []string{"tbf", "htb", "netem", "plug", "cake", "fq", "fq_codel", "prio", "pfifo_fast", "pfifo", "bfifo", "noqueue", "mq", "ingress", "clsact", "", "x"} {
		if got := kindName([]byte(k+"\x00\x00"), ""); got != k {
			t.Errorf("got %q, want %q", got, k)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tooFast := appendAttrU64(nil, tcaTBFRate64, math.MaxUint64)
	parms := append(appendAttrHeader(nil, tcaTBFParms, tbfQoptLen), make([]byte, tbfQoptLen)...)
	for _, c := range []struct {
		name   string
		decode func() error
		want   string
	}{
		{"tbf without parameters", func() error { _, err := DecodeTBF(nil); return err }, "decode tbf: TCA_TBF_PARMS is missing"},
		{"tbf cut off", func() error { _, err := DecodeTBF(parms[:8]); return err }, "decode tbf: attribute 1: length 40 with 8 bytes left: truncated"},
		{"tbf too fast", func() error { _, err := DecodeTBF(append(parms, tooFast...)); return err }, "decode tbf: rate 18446744073709551615 bytes/s: too large"},
		{"htb without parameters", func() error { _, err := DecodeHTB(nil); return err }, "decode htb: TCA_HTB_INIT is missing"},
		{"htb short", func() error { _, err := DecodeHTB([]byte{5, 0, 2, 0, 3, 0, 0, 0}); return err }, "decode htb: attribute 2: 1 bytes of 20: truncated"},
		{"class without parameters", func() error { _, err := DecodeHTBClass(nil); return err }, "decode htb class: TCA_HTB_PARMS is missing"},
		{"netem short", func() error { _, err := DecodeNetem(make([]byte, 23)); return err }, "decode netem: struct tc_netem_qopt: 23 bytes of 24: truncated"},
		{"netem header", func() error { _, err := DecodeNetem(make([]byte, 26)); return err }, "decode netem: attribute header of 2 bytes: truncated"},
		{"netem attribute", func() error { _, err := DecodeNetem(make([]byte, 28)); return err }, "decode netem: attribute 0: length 0 with 4 bytes left: truncated"},
		{"netem table", func() error { _, err := DecodeNetem(append(make([]byte, 24), 4, 0, 2, 0)); return err }, "decode netem: distribution of 0 entries: outside 1 to 16384"},
		{"cake short", func() error { _, err := DecodeCAKE([]byte{6, 0, 2, 0, 3, 0}); return err }, "decode cake: attribute 2: 2 bytes of 8: truncated"},
		{"cake too fast", func() error {
			_, err := DecodeCAKE(appendAttrU64(nil, tcaCAKEBaseRate64, math.MaxUint64))
			return err
		}, "decode cake: rate 18446744073709551615 bytes/s: too large"},
		{"fq_codel short", func() error { _, err := DecodeFQCoDel([]byte{6, 0, 2, 0, 3, 0}); return err }, "decode fq_codel: attribute 2: 2 bytes of 4: truncated"},
		{"fq short", func() error { _, err := DecodeFQ([]byte{7, 0, 14, 0, 3, 0, 0, 0}); return err }, "decode fq: attribute 14: 3 bytes of 4: truncated"},
		{"fq's horizon short", func() error { _, err := DecodeFQ([]byte{4, 0, 15, 0}); return err }, "decode fq: attribute 15: 0 bytes of 1: truncated"},
		{"fq_codel's statistics short", func() error { _, err := DecodeFQCoDelStats(make([]byte, 12)); return err }, "decode fq_codel's statistics: 12 bytes of 40: truncated"},
		{"fq_codel's class", func() error {
			_, err := DecodeFQCoDelStats(append([]byte{1, 0, 0, 0}, make([]byte, 36)...))
			return err
		}, "decode fq_codel's statistics: of type 1, not of a qdisc"},
		{"cake's tin short", func() error {
			_, err := DecodeCAKEStats([]byte{14, 0, 10, 0, 10, 0, 1, 0, 6, 0, 2, 0, 0, 0})
			return err
		}, "decode cake's statistics: attribute 2: 2 bytes of 4: truncated"},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.decode(), c.want) })
	}
}

package netsetup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode feeds a buffer to everything that reads what the kernel sends: as
// messages, as a qdisc's description, and as the options of each kind. Nothing
// panics, and parameters that decode and are in range survive encoding and
// decoding unchanged.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.bytes)
	}
	f.Add(append(make([]byte, nlmsgHeaderLen), dump(f)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Messages{Buf: b}
		for m.Next() {
			m.Errno()
			ParseError(0, m.Payload)
			ParseError(nlmFAckTLVs, m.Payload)
			ParseError(nlmFAckTLVs|nlmFCapped, m.Payload)
			var q QdiscInfo
			if err := DecodeQdisc(m.Payload, &q); err == nil {
				fuzzOptions(t, q.Options)
				_, _ = DecodeCAKEStats(q.AppStats)
				_, _ = DecodeFQCoDelStats(q.AppStats)
			}
		}
		if m.Err() == nil && len(m.Buf) != 0 {
			t.Errorf("%d bytes left without an error", len(m.Buf))
		}
		var q QdiscInfo
		_ = DecodeQdisc(b, &q)
		fuzzOptions(t, b)
		_, _ = DecodeCAKEStats(b)
		_, _ = DecodeFQCoDelStats(b)
	})
}

func fuzzOptions(t *testing.T, b []byte) {
	if q, err := DecodeTBF(b); err == nil {
		again(t, q, AppendTBF, DecodeTBF)
	}
	if q, err := DecodeHTB(b); err == nil {
		again(t, q, AppendHTB, DecodeHTB)
	}
	// The parameters have no words for a ceil or a bucket of 0 beside others
	// that are not: there 0 means "like those of the rate".
	if c, err := DecodeHTBClass(b); err == nil && c.Ceil != 0 && c.CeilBuffer != 0 {
		again(t, c, AppendHTBClass, DecodeHTBClass)
	}
	if q, err := DecodeNetem(b); err == nil {
		again(t, q, AppendNetem, DecodeNetem)
	}
	if q, err := DecodeCAKE(b); err == nil {
		again(t, q, AppendCAKE, DecodeCAKE)
	}
	if q, err := DecodePrio(b); err == nil {
		again(t, q, AppendPrio, DecodePrio)
	}
	if q, err := DecodeFQ(b); err == nil {
		again(t, q, AppendFQ, DecodeFQ)
	}
	if q, err := DecodeFQCoDel(b); err == nil {
		again(t, q, AppendFQCoDel, DecodeFQCoDel)
	}
}

// again encodes what was decoded and decodes it again. What the kernel may hold
// but the encoder refuses, such as a limit of 0, ends there.
func again[T any](t *testing.T, want T, encode func([]byte, T) ([]byte, error), decode func([]byte) (T, error)) {
	b, err := encode(nil, want)
	if err != nil {
		if len(b) != 0 {
			t.Fatalf("%+v: %d bytes beside the error %v", want, len(b), err)
		}
		return
	}
	var info QdiscInfo
	if err := DecodeQdisc(append(make([]byte, tcmsgLen), b...), &info); err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	got, err := decode(info.Options)
	if err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%+v (-want +got)\n%s", want, d)
	}
}

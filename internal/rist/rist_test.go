package rist_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/rist"
)

// text are bytes in hexadecimal, with spaces.
func text(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Headers that librist 0.2.7 and GStreamer 1.22 sent, and those of TR-06-2 that
// they do not use.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      string
		length int
		want   rist.Packet
	}{
		{"GStreamer, media", "8021 35ca de3186c0 a5ea179a 471fff10", 1328,
			rist.Packet{Kind: rist.Media, SSRC: 0xa5ea179a, Seq: 0x35ca, Timestamp: 0xde3186c0, PayloadType: 33, MediaBytes: 1316}},
		{"GStreamer, retransmission", "8021 35ca de3186c0 a5ea179b 471fff10", 1328,
			rist.Packet{Kind: rist.Retransmission, SSRC: 0xa5ea179a, Seq: 0x35ca, Timestamp: 0xde3186c0, PayloadType: 33, MediaBytes: 1316}},
		{"librist, echo request", "000088b6 800007b1 80c90001 4ada8882 81ca0003 4ada8882 01026c31 00000000 82cc0005 4ada8882 52495354 83aa7e81 82af1c62 00000000", 56,
			rist.Packet{Kind: rist.RTCP, Tunnel: true, SSRC: 0x4ada8882, SourcePort: 0x8000, DestinationPort: 0x7b1,
				Feedback: rist.Feedback{Echo: true, EchoTime: 0x83aa7e8182af1c62}}},
		{"librist, echo reply", "000088b6 07b18000 80c90001 4ada8882 81ca0003 4ada8882 01037263 76000000 83cc0005 4ada8882 52495354 83aa7e81 82af1c62 00000102", 56,
			rist.Packet{Kind: rist.RTCP, Tunnel: true, SSRC: 0x4ada8882, SourcePort: 0x7b1, DestinationPort: 0x8000,
				Feedback: rist.Feedback{EchoReply: true, EchoTime: 0x83aa7e8182af1c62, EchoDelay: 0x102}}},
		{"librist, requests by range", "000088b6 07b18000 80c90001 4ada8882 80cc0004 4ada8882 52495354 00100000 00200003", 36,
			rist.Packet{Kind: rist.RTCP, Tunnel: true, SSRC: 0x4ada8882, SourcePort: 0x7b1, DestinationPort: 0x8000,
				Feedback: rist.Feedback{Requests: 1, Requested: 5}}},
		{"requests by bits", "80c90001 00000001 81cd0003 00000001 00000002 00108001", 24,
			rist.Packet{Kind: rist.RTCP, SSRC: 1, Feedback: rist.Feedback{Requests: 1, Requested: 3}}},
		{"requests, cut off", "80c90001 00000001 81cd0063 00000001 00000002 00100000", 408,
			rist.Packet{Kind: rist.RTCP, SSRC: 1, Feedback: rist.Feedback{Requests: 1, Requested: 1, CutOff: true}}},
		{"librist, authentication in full IP", "00000800 45000037 d4314000 40fc30d6 0a4d0001 0a4d0006 61757468", 59,
			rist.Packet{Kind: rist.Control, Tunnel: true}},
		{"full IP with media", "00000800 45000548 d4314000 401130d6 0a4d0001 0a4d0006 04d21f40 05340000 8021 0007 00000009 00000010", 1356,
			rist.Packet{Kind: rist.Media, Tunnel: true, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1356 - 4 - 28 - 12, SourcePort: 1234, DestinationPort: 8000}},
		{"reduced, media", "000088b6 800007b0 8021 0007 00000009 00000011", 1336,
			rist.Packet{Kind: rist.Retransmission, Tunnel: true, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1316, SourcePort: 0x8000, DestinationPort: 0x7b0}},
		{"reduced with a sequence number", "100888b6 00000001 800007b0 8021 0007 00000009 00000010", 1340,
			rist.Packet{Kind: rist.Media, Tunnel: true, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1316, SourcePort: 0x8000, DestinationPort: 0x7b0}},
		{"VSF, reduced", "1010cce0 00000001 00000000 800007b0 8021 0007 00000009 00000010", 1344,
			rist.Packet{Kind: rist.Media, Tunnel: true, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1316, SourcePort: 0x8000, DestinationPort: 0x7b0}},
		{"VSF, keep-alive", "1010cce0 00000001 00008000 0102030405060000", 20, rist.Packet{Kind: rist.KeepAlive, Tunnel: true}},
		{"VSF, negotiation", "1010cce0 00000001 00008002 000100020000", 18, rist.Packet{Kind: rist.Control, Tunnel: true}},
		{"keep-alive", "000088b5 0102030405062100", 12, rist.Packet{Kind: rist.KeepAlive, Tunnel: true}},
		{"EAPOL with a key", "3000888e 00000001 00000002 02000000", 16, rist.Packet{Kind: rist.Control, Tunnel: true}},
		{"encrypted", "300088b6 00000001 00000002 deadbeef", 1344, rist.Packet{Kind: rist.Encrypted, Tunnel: true, MediaBytes: 1332}},
		{"DTLS", "17fefd 0001 000000000001 0540", 1357, rist.Packet{Kind: rist.Encrypted, MediaBytes: 1357}},
		{"sequence extension", "9021 0007 00000009 00000010 52490001 40000102 47", 1336,
			rist.Packet{Kind: rist.Media, SSRC: 0x10, Seq: 7, SeqHigh: 0x102, HasHigh: true, Timestamp: 9, PayloadType: 33, MediaBytes: 1316}},
		{"contributing sources", "8221 0007 00000009 00000010 00000001 00000002 47", 1336,
			rist.Packet{Kind: rist.Media, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1316}},
		{"padding", "a021 0007 00000009 00000010 47 000003", 16,
			rist.Packet{Kind: rist.Media, SSRC: 0x10, Seq: 7, Timestamp: 9, PayloadType: 33, MediaBytes: 1}},
		{"another protocol in GRE", "00006558 00000000", 100, rist.Packet{MediaBytes: 100}},
		{"text", "47455420 2f", 100, rist.Packet{MediaBytes: 100}},
		{"nothing", "", 0, rist.Packet{}},
		{"RTP that was cut off", "8021 0007 00000009", 1328, rist.Packet{MediaBytes: 1328}},
		{"tunnel that was cut off", "000088b6 8000", 1336, rist.Packet{Tunnel: true, MediaBytes: 1336}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got rist.Packet
			rist.Parse(text(c.b), c.length, &got)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestUnwrapper(t *testing.T) {
	var u rist.Unwrapper
	for i, c := range []struct {
		seq  uint16
		want uint64
	}{
		{65534, 1<<16 + 65534}, {0, 2 << 16}, {65535, 1<<16 + 65535}, {1, 2<<16 + 1}, // reordered at the wrap
		{32768, 2<<16 + 32768}, {65000, 2<<16 + 65000}, {100, 3<<16 + 100}, {64000, 2<<16 + 64000},
	} {
		if got := u.Extend(c.seq); got != c.want {
			t.Errorf("number %d, %d: got %d, want %d", i, c.seq, got, c.want)
		}
	}
	// Three times round, every number once.
	u = rist.Unwrapper{}
	first := u.Extend(5)
	for i := uint64(1); i < 200_000; i++ {
		if got := u.Extend(uint16(5 + i)); got != first+i {
			t.Fatalf("number %d: got %d, want %d", i, got, first+i)
		}
	}
}

// What is read of the first bytes of a datagram is what is read of all of it,
// where that is more than not knowing; sizes are never more than there is.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"8021 35ca de3186c0 a5ea179a 471fff10",
		"000088b6 800007b1 80c90001 4ada8882 81ca0003 4ada8882 01026c31 00000000 82cc0005 4ada8882 52495354 83aa7e81 82af1c62 00000000",
		"1010cce0 00000001 00000000 800007b0 8021 0007 00000009 00000010",
		"00000800 45000548 d4314000 401130d6 0a4d0001 0a4d0006 04d21f40 05340000 8021 0007 00000009 00000010",
		"9021 0007 00000009 00000010 52490001 40000102 47",
		"80c90001 00000001 81cd0003 00000001 00000002 00108001",
	} {
		f.Add(text(s), uint16(1300))
	}
	f.Fuzz(func(t *testing.T, b []byte, more uint16) {
		length := len(b) + int(more)
		var p, short rist.Packet
		rist.Parse(b, length, &p)
		if p.MediaBytes < 0 || p.MediaBytes > length {
			t.Fatalf("%d bytes of media in %d", p.MediaBytes, length)
		}
		if p.Kind == rist.Media || p.Kind == rist.Retransmission {
			if p.SSRC&1 != 0 {
				t.Fatalf("flow %x has the lowest bit set", p.SSRC)
			}
			// Write it again as plain RTP: it is read the same.
			out := make([]byte, 12, 12+p.MediaBytes)
			out[0], out[1] = 0x80, p.PayloadType
			binary.BigEndian.PutUint16(out[2:], p.Seq)
			binary.BigEndian.PutUint32(out[4:], p.Timestamp)
			binary.BigEndian.PutUint32(out[8:], p.SSRC)
			if p.Kind == rist.Retransmission {
				out[11] |= 1
			}
			var again rist.Packet
			rist.Parse(out, 12+p.MediaBytes, &again)
			want := rist.Packet{Kind: p.Kind, SSRC: p.SSRC, Seq: p.Seq, Timestamp: p.Timestamp, PayloadType: p.PayloadType, MediaBytes: p.MediaBytes}
			if again != want && !(p.PayloadType >= 64 && p.PayloadType <= 95) {
				t.Fatalf("got %+v, want %+v", again, want)
			}
		}
		if len(b) > 0 {
			rist.Parse(b[:len(b)-1], length, &short)
			if short.Kind != rist.Unknown && p.Kind != rist.Unknown && short.Kind != p.Kind && p.Kind != rist.Control && short.Kind != rist.Control {
				t.Fatalf("with a byte less %v, with it %v", short.Kind, p.Kind)
			}
		}
	})
}

package netsetup

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// link is an RTM_NEWLINK of Ethernet.
func linkMessage(name string, flags uint32, stats ...uint64) []byte {
	ne := binary.NativeEndian
	b := make([]byte, ifInfoLen)
	ne.PutUint16(b[2:], arphrdEther)
	ne.PutUint32(b[4:], 7)
	ne.PutUint32(b[8:], flags)
	attr := func(typ uint16, data []byte) {
		b = ne.AppendUint16(b, uint16(4+len(data)))
		b = append(ne.AppendUint16(b, typ), data...)
		b = append(b, make([]byte, alignLen(len(data))-len(data))...)
	}
	attr(iflaIfname, append([]byte(name), 0))
	attr(99, []byte{1, 2, 3})
	var s []byte
	for _, v := range stats {
		s = ne.AppendUint64(s, v)
	}
	attr(iflaStats64, s)
	return b
}

func TestDecodeCounters(t *testing.T) {
	index, got, err := decodeCounters(linkMessage("wwan0", iffUp|iffLowerUp, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	want := DeviceCounters{Name: "wwan0", Up: true, Header: 14, RxPackets: 1, TxPackets: 2, RxBytes: 3, TxBytes: 4, RxErrors: 5, TxErrors: 6, RxDropped: 7, TxDropped: 8}
	if diff := cmp.Diff(want, got); diff != "" || index != 7 || err != nil {
		t.Errorf("index %d, %v (-want +got):\n%s", index, err, diff)
	}
	if _, got, _ := decodeCounters(linkMessage("wwan0", iffUp, 1, 2, 3, 4, 5, 6, 7, 8)); got.Up {
		t.Error("without carrier: up")
	}
	if _, _, err := decodeCounters(linkMessage("wwan0", 0, 1, 2)); err == nil {
		t.Error("short statistics: no error")
	}
}

func FuzzDecodeCounters(f *testing.F) {
	f.Add(linkMessage("wwan0", iffUp, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, c, err := decodeCounters(b); err == nil && c.Header != 0 && c.Header != etherBytes {
			t.Errorf("header of %d bytes", c.Header)
		}
	})
}

package netsetup

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"linktape/internal/privtest"
	"linktape/trace"
)

// The counters of a part's interface count what passes, and are read there alone.
func TestCounters(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	topology := links("a")
	topology.Links[0].Rate = 100 * trace.Mbit
	up(t, "run", topology)
	var r *CounterReader
	var conn net.Conn
	err := Within("run", SenderEnd, func() (err error) {
		if r, err = OpenCounters(); err != nil {
			return err
		}
		conn, err = net.Dial("udp4", net.JoinHostPort(topology.Addresses(0).Receiver[0].Addr().String(), strconv.Itoa(7310)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer conn.Close()
	before, err := r.Read([]string{EndDevice(0), "lo"})
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 50, 1000
	for range n {
		conn.Write(make([]byte, size-28)) // refused once the other end has answered that nobody listens
	}
	after, err := r.Read([]string{EndDevice(0), "lo"})
	if err != nil {
		t.Fatal(err)
	}
	packets := after[0].TxPackets - before[0].TxPackets
	if packets < n/2 || after[0].TxBytes-before[0].TxBytes < packets*(size+14)*9/10 || !after[0].Up || after[0].Header != 14 || after[1].Name != "lo" {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if _, err := r.Read([]string{"nothing"}); err == nil || !strings.Contains(err.Error(), "interface nothing is not there; there are lo, "+EndDevice(0)) {
		t.Errorf("got %v", err)
	}
	if err := Within("run", "b", func() error { return nil }); err == nil || !strings.Contains(err.Error(), "run has no b") {
		t.Errorf("got %v", err)
	}
}

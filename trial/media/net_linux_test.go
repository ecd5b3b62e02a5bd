package media

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"linktape/replay"
	"linktape/trace"
)

// A source and a sink over loopback: everything that is sent is there, in order,
// with the kernel's stamps.
func TestSourceToSink(t *testing.T) {
	sink, err := ListenSink(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	conn, err := DialSource(sink.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	epoch := time.Now().UnixNano()
	ctx, cancel := context.WithCancel(t.Context())
	const n = 100
	var arrived []SinkRow
	counts := make(chan Counts)
	go func() {
		s := Sink{Epoch: epoch, Arrived: func(r *SinkRow) {
			if arrived = append(arrived, *r); len(arrived) == n {
				cancel()
			}
		}}
		c, err := s.Run(ctx, sink)
		if err != nil {
			t.Error(err)
		}
		counts <- c
	}()
	var sent []SourceRow
	const rate = 50 * trace.Mbit
	s := Source{Rate: rate, Duration: Due(rate, n), Start: replay.NewMonotonic(0).Now(), Epoch: epoch, Sent: func(r *SourceRow) { sent = append(sent, *r) }}
	report, err := s.Run(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	c := <-counts
	if report.Datagrams != n || report.Refused != 0 || len(sent) != n || c.Unique != n || c.Received != n || c.SocketDrops != 0 || len(arrived) != n {
		t.Fatalf("got %+v, %+v, %d sent, %d arrived", report, c, len(sent), len(arrived))
	}
	for i, r := range arrived {
		if r.Seq != int64(i) || r.Sent != sent[i].Sent || r.Arrived < r.Sent || sent[i].Seq != int64(i) {
			t.Errorf("datagram %d: got %+v, sent %+v", i, r, sent[i])
		}
	}
}

// A source that is told to stop does.
func TestSourceStops(t *testing.T) {
	sink, err := ListenSink(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	conn, err := DialSource(sink.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	s := Source{Rate: trace.Mbit, Duration: time.Hour, Start: replay.NewMonotonic(0).Now(), Sent: func(*SourceRow) { cancel() }}
	if r, err := s.Run(ctx, conn); err != nil || r.Datagrams != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

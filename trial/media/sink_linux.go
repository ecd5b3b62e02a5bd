package media

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sinkBuffer is the receive buffer of a sink, in bytes of the kernel's memory:
// what arrives in a second at some 30 Mbit/s.
const sinkBuffer = 8 << 20

// ListenSink opens the socket of a sink, in the namespace of the calling thread.
// The kernel stamps what arrives and counts what it has no room for.
func ListenSink(at netip.AddrPort) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("open the sink's socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var set error
		err = raw.Control(func(fd uintptr) {
			set = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, sinkBuffer) != nil {
				set = errors.Join(set, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, sinkBuffer))
			}
		})
		err = errors.Join(err, set)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("set the sink's socket up: %w", err)
	}
	return conn, nil
}

// Sink receives a stream and checks it.
type Sink struct {
	Epoch int64 // ns since 1970, what stamps count from

	// Arrived gets every whole datagram, in order of arrival, on the sink's
	// goroutine.
	Arrived func(*SinkRow)
}

// Run receives until ctx ends, and returns what came.
func (s *Sink) Run(ctx context.Context, conn *net.UDPConn) (Counts, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c := NewChecker()
	buf, control := make([]byte, 64<<10), make([]byte, 256)
	var row SinkRow
	for {
		n, cn, _, _, err := conn.ReadMsgUDPAddrPort(buf, control)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.Close()
			return c.Counts, nil
		}
		if err != nil {
			return c.Counts, fmt.Errorf("receive the stream: %w", err)
		}
		stamp, drops := readControl(control[:cn])
		if drops > 0 {
			c.Counts.SocketDrops = drops
		}
		c.Check(buf[:n], func(a Arrival) {
			row = SinkRow{Seq: int64(a.Seq), Sent: a.Sent, Arrived: stamp - s.Epoch}
			if s.Arrived != nil {
				s.Arrived(&row)
			}
		})
	}
}

// readControl reads what the kernel says of a datagram: when it came, ns since
// 1970, and how many it had no room for so far. socket(7).
func readControl(b []byte) (stamp, drops int64) {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		b = rest
		switch {
		case h.Level != unix.SOL_SOCKET:
		case h.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16:
			stamp = int64(ne.Uint64(data))*1e9 + int64(ne.Uint64(data[8:]))
		case h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			drops = int64(ne.Uint32(data))
		}
	}
	return stamp, drops
}

package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linktape/replay"
	"linktape/trace"
)

// Source sends a stream to one address.
type Source struct {
	Rate     trace.BitRate
	Duration time.Duration
	Start    time.Duration // on CLOCK_MONOTONIC, when the first datagram is due
	Epoch    int64         // ns since 1970, what stamps count from

	// Sent gets every datagram that was sent, in order, on the source's thread.
	Sent func(*SourceRow)
}

// DialSource opens the socket of a source, in the namespace of the calling
// thread.
func DialSource(to netip.AddrPort) (*net.UDPConn, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, fmt.Errorf("open the source's socket: %w", err)
	}
	return conn, nil
}

// Run sends datagrams when they are due until the duration is over or ctx ends. A
// late one is sent at once; those after it are not moved. It occupies a thread.
func (s *Source) Run(ctx context.Context, conn *net.UDPConn) (*SourceReport, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	restore, realtime := punctual()
	defer restore()
	clock := replay.NewMonotonic(0)
	stream := NewStream(s.Rate)
	r := &SourceReport{Realtime: realtime}
	var lateness replay.Histogram
	for {
		due := Due(s.Rate, stream.Seq())
		if due >= s.Duration {
			break
		}
		clock.SleepUntil(s.Start + due)
		if ctx.Err() != nil {
			break
		}
		lateness.Add(max(clock.Now()-s.Start-due, 0))
		row := SourceRow{Seq: int64(stream.Seq()), Sent: time.Now().UnixNano() - s.Epoch}
		_, err := conn.Write(stream.Next(row.Sent))
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			r.Refused++ // what the datagram before this one met
		case err != nil:
			return r, fmt.Errorf("send datagram %d: %w", row.Seq, err)
		}
		r.Datagrams++
		if s.Sent != nil {
			s.Sent(&row)
		}
	}
	r.Lateness = lateness.Distribution()
	return r, nil
}

// priority of a source's thread under SCHED_FIFO: below a replay's.
const priority = 5

// punctual gives the calling thread exact timers, and real-time scheduling where
// the system allows it, until restore.
func punctual() (restore func(), realtime bool) {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	attr := &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	realtime = unix.SchedSetAttr(0, attr, 0) == nil
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // its own again
		if realtime {
			unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
		}
	}, realtime
}

package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linktape/netsetup"
	"linktape/trace"
)

// Cross traffic runs between a link's own namespace for it, at the router, and the
// receiver's end: it shares the link's bottlenecks and nothing else.
const (
	crossPart      = ".x" // after the link's name, the part of the run
	crossPort      = 9000 // of the first flow; the next ones count up
	crossEvery     = 100 * time.Millisecond
	crossPayload   = 1400 // of UDP datagrams, bytes
	crossIPPayload = crossPayload + 28
	crossWrite     = 64 << 10
	crossDial      = 10 * time.Second
)

// flow is one flow of cross traffic under way.
type flow struct {
	Cross
	number int
	run    string
	from   string // part of the run
	to     string
	at     netip.AddrPort // where it is received
	begin  time.Duration  // on the clock
	end    time.Duration

	bytes atomic.Int64 // of payload, that arrived
	err   error
}

// openCross opens what receives cross traffic, before anything is played, and finds
// out whether the kernel has what the flows ask for.
func (r *runner) openCross() (sinks []io.Closer, err error) {
	defer func() {
		if err != nil {
			for _, s := range sinks {
				s.Close()
			}
		}
	}()
	for i, x := range r.Cross {
		f := &flow{Cross: x, number: i, run: r.Run, from: x.Link + crossPart, to: netsetup.ReceiverEnd}
		for n, l := range r.topology.Links {
			if l.Name != x.Link {
				continue
			}
			a := r.topology.Addresses(n)
			to := a.Receiver[0].Addr()
			if x.Dir == trace.Down.String() {
				f.from, f.to, to = f.to, f.from, a.Cross[0].Addr()
			}
			f.at = netip.AddrPortFrom(to, uint16(crossPort+i))
		}
		var sink io.Closer
		err := netsetup.Within(r.Run, f.to, func() (err error) {
			sink, err = f.listen()
			return err
		})
		if err == nil && x.Kind == CrossTCP {
			err = netsetup.Within(r.Run, f.from, func() error { return tryCongestion(x.Congestion) })
		}
		if sink != nil {
			sinks = append(sinks, sink)
		}
		if err != nil {
			return sinks, fmt.Errorf("cross traffic %d on %s.%s: %w", i+1, x.Link, x.Dir, err)
		}
		r.flows = append(r.flows, f)
	}
	return sinks, nil
}

// listen opens what receives the flow, and counts what comes.
func (f *flow) listen() (io.Closer, error) {
	if f.Kind == CrossUDP {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(f.at))
		if err != nil {
			return nil, err
		}
		go f.count(conn)
		return conn, nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(f.at))
	if err != nil {
		return nil, err
	}
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			f.count(conn)
		}
	}()
	return l, nil
}

func (f *flow) count(r io.Reader) {
	buf := make([]byte, crossWrite)
	for {
		n, err := r.Read(buf)
		f.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// tryCongestion finds out whether the kernel has a congestion control.
func tryCongestion(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return setCongestion(fd, name)
}

func setCongestion(fd int, name string) error {
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name); err != nil {
		return fmt.Errorf("congestion control %s: %w: the kernel needs it, built in or as module (modprobe tcp_%s)", name, err, name)
	}
	return nil
}

// startCross starts the flows of cross traffic, which are opened; what it returns
// waits for their end.
func (r *runner) startCross(ctx context.Context, epoch time.Duration) (wait func() error) {
	if len(r.flows) == 0 {
		return func() error { return nil }
	}
	var work sync.WaitGroup
	for _, f := range r.flows {
		f.begin, f.end = epoch+f.At, epoch+f.At+f.Duration
		if f.Duration == 0 {
			f.end = epoch + r.m.Duration
		}
		work.Go(func() { f.err = r.send(ctx, f) })
	}
	log := startRows[CrossRow](filepath.Join(r.dir, CrossFile))
	over := make(chan struct{})
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		tick := time.NewTicker(crossEvery)
		defer tick.Stop()
		for more := true; more; {
			select {
			case <-tick.C:
			case <-over:
				more = false
			}
			at := r.clock.Now()
			for _, f := range r.flows {
				if at >= f.begin {
					log.add(&CrossRow{At: int64(at - epoch), Flow: int64(f.number), Link: f.Link, Dir: f.Dir, Kind: f.Kind, Bytes: f.bytes.Load()})
				}
			}
		}
	}()
	return func() error {
		work.Wait()
		close(over)
		<-logged
		for _, f := range r.flows {
			switch {
			case f.err != nil:
				r.find("cross traffic %d on %s.%s: %v", f.number+1, f.Link, f.Dir, f.err)
			case f.bytes.Load() == 0 && ctx.Err() == nil:
				r.find("cross traffic %d on %s.%s delivered nothing", f.number+1, f.Link, f.Dir)
			}
		}
		return log.close()
	}
}

// send waits for the flow's time and sends.
func (r *runner) send(ctx context.Context, f *flow) error {
	t := time.NewTimer(f.begin - r.clock.Now())
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.end-r.clock.Now())
	defer cancel()
	var conn net.Conn
	err := netsetup.Within(f.run, f.from, func() (err error) {
		d := net.Dialer{Timeout: crossDial}
		if f.Kind == CrossUDP {
			conn, err = d.DialContext(ctx, "udp", f.at.String())
			return err
		}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) { set = setCongestion(int(fd), f.Congestion) })
			return errors.Join(err, set)
		}
		conn, err = d.DialContext(ctx, "tcp", f.at.String())
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // it never got through; what it delivered says so
		}
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if f.Kind == CrossUDP {
		return r.sendUDP(ctx, f, conn)
	}
	defer conn.(*net.TCPConn).SetLinger(0) // what waits in its buffer is not to follow
	buf := make([]byte, crossWrite)
	for {
		if _, err := conn.Write(buf); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
	}
}

// sendUDP sends at a constant rate, on and off.
func (r *runner) sendUDP(ctx context.Context, f *flow, conn net.Conn) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buf := make([]byte, crossPayload)
	for n := uint64(0); ctx.Err() == nil; n++ {
		at := f.begin + f.due(n)
		if at >= f.end {
			return nil
		}
		r.clock.SleepUntil(at)
		copy(buf, strconv.FormatUint(n, 10))
		if _, err := conn.Write(buf); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOBUFS) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
	}
	return nil
}

// due is when a datagram is due after the flow's begin: on and off in turns.
func (x *Cross) due(n uint64) time.Duration {
	on := time.Duration(float64(n) * crossIPPayload * 8 / float64(x.Rate) * 1e9)
	if x.Off == 0 {
		return on
	}
	return on/x.On*(x.On+x.Off) + on%x.On
}

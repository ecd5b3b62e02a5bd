package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"linktape/record/stamp"
)

// Port is the one that the server listens on unless told otherwise, UDP and TCP.
const Port = 7311

const (
	flushEvery = 20 * time.Millisecond
	beatBehind = 200 * time.Millisecond // what may wait in the socket's buffer
	maxPending = 64 << 20               // bytes of reports that a client does not read
)

// Server answers and reports probes.
type Server struct {
	udp *net.UDPConn
	tcp net.Listener

	mu       sync.Mutex
	sessions map[uint64]*serverSession
}

type serverSession struct {
	mu      sync.Mutex
	pending []byte
	full    bool
}

// Listen opens a server on an address, "" for all, and a port, of UDP and TCP.
func Listen(address string) (*Server, error) {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	udpAddress, err := net.ResolveUDPAddr("udp", tcp.Addr().String())
	if err == nil {
		var udp *net.UDPConn
		if udp, err = net.ListenUDP("udp", udpAddress); err == nil {
			if err = prepare(udp, ""); err == nil {
				return &Server{udp: udp, tcp: tcp, sessions: map[uint64]*serverSession{}}, nil
			}
			udp.Close()
		}
	}
	tcp.Close()
	return nil, fmt.Errorf("listen for probes: %w", err)
}

func prepare(c *net.UDPConn, device string) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = stamp.Prepare(int(fd), device) })
	return errors.Join(err, inner)
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.tcp.Addr() }

// Serve works until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.tcp.Close()
		s.udp.Close()
	})
	defer stop()
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { s.receive() })
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.udp.Close()
			return fmt.Errorf("serve probes: %w", err)
		}
		wait.Go(func() {
			defer c.Close()
			s.session(ctx, c)
		})
	}
}

// receive notes and answers probes.
func (s *Server) receive() {
	buf, control, out := make([]byte, 64<<10), make([]byte, stamp.Room), make([]byte, headerBytes)
	for {
		n, c, _, from, err := s.udp.ReadMsgUDPAddrPort(buf, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var m message
		if err != nil || m.parse(buf[:n]) != nil || m.kind != kindProbe {
			continue
		}
		s.mu.Lock()
		x := s.sessions[m.session]
		s.mu.Unlock()
		if x == nil {
			continue
		}
		now := time.Now().UnixNano()
		r := report{kind: kindReport, link: m.link, number: m.number, received: now}
		if at, ok := stamp.Of(control[:c]); ok {
			r.received = at
		}
		if m.echo {
			r.replied = now
			m.kind, m.echo, m.received, m.replied = kindEcho, false, r.received, now
			m.put(out)
			s.udp.WriteToUDPAddrPort(out, from) // refused: the echo is lost
		}
		x.add(&r)
	}
}

func (x *serverSession) add(r *report) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.pending) > maxPending {
		x.full = true
		return
	}
	var b [reportBytes]byte
	r.put(b[:])
	x.pending = append(x.pending, b[:]...)
}

// session reports to a client until it goes.
func (s *Server) session(ctx context.Context, c net.Conn) {
	var hello [helloBytes]byte
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, hello[:]); err != nil || binary.BigEndian.Uint32(hello[:]) != magic {
		return
	}
	id := binary.BigEndian.Uint64(hello[4:])
	x := new(serverSession)
	s.mu.Lock()
	_, taken := s.sessions[id]
	if !taken {
		s.sessions[id] = x
	}
	s.mu.Unlock()
	if taken {
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.sessions, id)
		s.mu.Unlock()
	}()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		beat := report{kind: kindBeat, received: time.Now().Add(-beatBehind).UnixNano()}
		x.mu.Lock()
		out, full := x.pending, x.full
		x.pending = spare[:0]
		x.mu.Unlock()
		if full {
			return // the client misses reports: better none than wrong ones
		}
		var b [reportBytes]byte
		beat.put(b[:])
		out = append(out, b[:]...)
		if _, err := c.Write(out); err != nil {
			return
		}
		spare = out
	}
}

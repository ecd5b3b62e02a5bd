//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linktape/trace"
)

const (
	headersBytes = 28 // IPv4 and UDP
	minPacket    = headersBytes + 8
	port         = 7300
)

// send is the source of the load: "send DURATION PACKET ADDRESS=RATE…" sends
// numbered UDP packets at constant rates to several addresses, for a time.
func send(ctx context.Context, args []string) error {
	duration, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	errs := make([]error, len(args)-2)
	for i, a := range args[2:] {
		work.Go(func() { errs[i] = sendTo(ctx, a, duration, size) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// sendTo sends to one address: as many packets as are due, once a millisecond.
func sendTo(ctx context.Context, target string, duration time.Duration, size int) error {
	addr, text, _ := strings.Cut(target, "=")
	rate, err := trace.ParseBitRate(text)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp4", net.JoinHostPort(addr, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, size-headersBytes)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var number uint64
	for start := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		since := time.Since(start)
		if since > duration {
			return nil
		}
		for due := uint64(since.Seconds() * float64(rate) / 8 / float64(size)); number < due; number++ {
			binary.BigEndian.PutUint64(packet, number)
			if _, err := conn.Write(packet); err != nil && !errors.Is(err, syscall.ENOBUFS) {
				return err
			}
		}
	}
}

// arrivals is what arrived at one address: bytes of IP packets by millisecond
// of the wall clock.
type arrivals struct {
	Address string  `json:"address"`
	StartMs int64   `json:"start_unix_ms"`
	Bytes   []int64 `json:"bytes"`
	Packets int64   `json:"packets"`
}

// receive is the sink of the load: "receive DURATION ADDRESS…" listens on
// several addresses for a time, or until standard input closes, and writes
// what arrived, as JSON. It prints a line when it is ready.
func receive(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	duration, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	go func() {
		io.Copy(io.Discard, stdin)
		cancel()
	}()
	all := make([]arrivals, len(args)-1)
	var work sync.WaitGroup
	errs := make([]error, len(all))
	for i, a := range args[1:] {
		conn, err := listen(a)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })
		all[i] = arrivals{Address: a, StartMs: time.Now().UnixMilli()}
		work.Go(func() {
			defer conn.Close()
			errs[i] = all[i].collect(conn)
		})
	}
	fmt.Fprintln(stdout, "ready")
	work.Wait()
	return errors.Join(append(errs, json.NewEncoder(stdout).Encode(all))...)
}

// listen opens a socket that stamps packets when they come out of the link,
// not when this process gets to run.
func listen(addr string) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr), Port: port})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	err = errors.Join(raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20))
	}), err)
	return conn, err
}

// collect counts packets until the connection's deadline.
func (a *arrivals) collect(conn *net.UDPConn) error {
	buf, control := make([]byte, 2048), make([]byte, 128)
	for {
		n, c, _, _, err := conn.ReadMsgUDP(buf, control)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		at, err := stamp(control[:c])
		if err != nil {
			return err
		}
		ms := int(max(at/1e6-a.StartMs, 0))
		for len(a.Bytes) <= ms {
			a.Bytes = append(a.Bytes, 0)
		}
		a.Bytes[ms] += int64(n + headersBytes)
		a.Packets++
	}
}

// stamp reads the time stamp of a packet, ns since 1970.
func stamp(control []byte) (int64, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			ne := binary.NativeEndian
			return int64(ne.Uint64(m.Data))*1e9 + int64(ne.Uint64(m.Data[8:])), nil
		}
	}
	return 0, errors.New("a packet came without a time stamp")
}

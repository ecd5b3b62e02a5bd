package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"linktape/netsetup"
)

const headersBytes = 28 // of IPv4 and UDP

// load keeps a window of packets on their way up a link, and notes when the
// kernel received each.
type load struct {
	out, in  int // sockets
	size     int // of an IP packet
	window   int
	sent     int
	next     int     // number of the packet expected next
	lost     int     // packets that did not come before a later one
	arrivals []int64 // ns since 1970
	idle     int     // wake-ups so late that the queue may have run dry

	send, receive batch
}

// batch is the memory of one call of sendmmsg or recvmmsg.
type batch struct {
	msgs    [64]mmsghdr
	iovs    [64]unix.Iovec
	data    [64][packetBytes]byte
	control [64][64]byte
}

// mmsghdr is struct mmsghdr of Linux (linux/socket.h).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

func newLoad(r *netsetup.Run, size, window int) (*load, error) {
	f := &load{size: size, window: window, out: -1, in: -1}
	a := r.Topology.Addresses(0)
	const port = 7300
	open := func(part string, fd *int, addr netip.Addr) error {
		return r.Within(part, func() (err error) {
			if *fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			return unix.Bind(*fd, &unix.SockaddrInet4{Port: port, Addr: addr.As4()})
		})
	}
	err := errors.Join(
		open(netsetup.SenderEnd, &f.out, a.Sender[0].Addr()),
		open(netsetup.ReceiverEnd, &f.in, a.Receiver[0].Addr()),
	)
	if err != nil {
		f.close()
		return nil, err
	}
	err = errors.Join(
		unix.Connect(f.out, &unix.SockaddrInet4{Port: port, Addr: a.Receiver[0].Addr().As4()}),
		unix.SetsockoptInt(f.out, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20),
		unix.SetsockoptInt(f.in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(f.in, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(f.out, unix.IPPROTO_IP, unix.IP_TOS, 2), // ECT(0): an AQM marks, and drops none
	)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("open the load's sockets: %w", err)
	}
	return f, nil
}

func (f *load) close() {
	for _, fd := range []*int{&f.out, &f.in} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// run fills the window at an instant of the wall clock and then once a
// millisecond until another, a phase after its beginnings.
func (f *load) run(phase time.Duration, from, to time.Time) error {
	at := from.Truncate(time.Millisecond).Add(phase)
	for ; at.Before(to); at = at.Add(time.Millisecond) {
		ts := unix.NsecToTimespec(at.UnixNano())
		for {
			err := unix.ClockNanosleep(unix.CLOCK_REALTIME, unix.TIMER_ABSTIME, &ts, nil)
			if err == nil {
				break
			}
			if err != unix.EINTR {
				return fmt.Errorf("wait for the next packets: %w", err)
			}
		}
		if time.Since(at) > 4*time.Millisecond {
			f.idle++
		}
		if err := f.take(); err != nil {
			return err
		}
		if err := f.offer(f.window - (f.sent - f.next)); err != nil {
			return err
		}
	}
	return f.take()
}

// offer sends n packets at once.
func (f *load) offer(n int) error {
	b := &f.send
	for n > 0 {
		k := min(n, len(b.msgs))
		for i := range k {
			data := b.data[i][:f.size-headersBytes]
			binary.NativeEndian.PutUint64(data, uint64(f.sent+i))
			b.iovs[i].Base = &data[0]
			b.iovs[i].SetLen(len(data))
			b.msgs[i].Iov, b.msgs[i].Iovlen = &b.iovs[i], 1
		}
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.out), uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(k), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("send packets: %w", errno)
		}
		f.sent += int(sent)
		n -= int(sent)
	}
	return nil
}

// take reads what has arrived.
func (f *load) take() error {
	b := &f.receive
	for {
		for i := range b.msgs {
			b.iovs[i].Base = &b.data[i][0]
			b.iovs[i].SetLen(len(b.data[i]))
			m := &b.msgs[i]
			m.Iov, m.Iovlen, m.Control = &b.iovs[i], 1, &b.control[i][0]
			m.SetControllen(len(b.control[i]))
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(f.in), uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(len(b.msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN {
			return nil
		}
		if errno != 0 {
			return fmt.Errorf("receive packets: %w", errno)
		}
		for i := range int(n) {
			if int(b.msgs[i].n) != f.size-headersBytes {
				return fmt.Errorf("a packet of %d bytes arrived that was not sent", b.msgs[i].n+headersBytes)
			}
			at, err := stamp(b.control[i][:b.msgs[i].Controllen])
			if err != nil {
				return err
			}
			seq := int(binary.NativeEndian.Uint64(b.data[i][:]))
			if seq < f.next || seq >= f.sent {
				return fmt.Errorf("packet %d arrived out of order: %d was expected", seq, f.next)
			}
			f.lost += seq - f.next
			f.next = seq + 1
			f.arrivals = append(f.arrivals, at)
		}
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

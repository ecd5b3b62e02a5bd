package netsetup

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is an rtnetlink socket in one namespace, and, once dialKicks was called,
// a packet socket to kick sleeping queues with. It is not safe for concurrent
// use.
type conn struct {
	fd     int
	packet int
	to     unix.SockaddrLinklayer
	frame  [headerBytes + kickBytes]byte
	seq    uint32
	buf    []byte
	rbuf   []byte
}

// kickBuffer is how many bytes of kicks may wait in queues, about a kilobyte
// of the kernel's memory each.
const kickBuffer = 8 << 20

// timeout of an exchange with the kernel; rtnetlink answers in microseconds
// unless another process holds its lock.
const timeoutSeconds = 5

// dialThread opens the rtnetlink socket in the thread's namespace.
func dialThread() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	c := &conn{fd: fd, packet: -1, buf: make([]byte, 0, 64<<10), rbuf: make([]byte, 64<<10)}
	tv := unix.Timeval{Sec: timeoutSeconds}
	for _, err := range []error{
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
	} {
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("prepare rtnetlink socket: %w", err)
		}
	}
	return c, nil
}

// dialKicks opens the packet socket in the thread's namespace, which is the
// connection's, once. Whoever builds or looks does without: the kernel takes
// some 10 ms to close one (net/packet/af_packet.c: packet_release waits in
// synchronize_net).
func (c *conn) dialKicks() error {
	if c.packet >= 0 {
		return nil
	}
	// No protocol has this type (IEEE 802: local experimental).
	c.frame[12], c.frame[13] = 0x88, 0xb5
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	c.packet = fd
	// In a user namespace the buffer stays as large as anybody's, and kicks are
	// refused earlier.
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, kickBuffer)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, kickBuffer)
	}
	if err != nil {
		return fmt.Errorf("prepare packet socket: %w", err)
	}
	return nil
}

// Close closes the sockets.
func (c *conn) Close() error {
	if c.packet >= 0 {
		unix.Close(c.packet)
	}
	return unix.Close(c.fd)
}

// Send sends netlink messages in one system call. When it returns, rtnetlink has
// worked through them and its answers are there.
func (c *conn) Send(b []byte) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// Receive reads one datagram of replies.
func (c *conn) Receive(b []byte) (int, error) {
	n, err := c.Poll(b)
	for n == 0 && err == nil {
		switch n, err = unix.Read(c.fd, b); err {
		case unix.EINTR:
			n, err = 0, nil
		case unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		}
	}
	return n, err
}

// Poll reads one datagram of replies; 0: there is none. The call does not wait, so
// that the runtime need not be told of it.
func (c *conn) Poll(b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Kick makes a device's qdisc look at its queue: it enqueues a frame that the
// IFB throws away because it was not redirected there (drivers/net/ifb.c:
// ifb_xmit). A full queue drops it and is run all the same (net/core/dev.c:
// __dev_xmit_skb). Frames in the queue count against the socket's buffer: when
// that is full the kick is refused, so that Kick never waits.
func (c *conn) Kick(ifindex int32) (kickOutcome, error) {
	c.to.Ifindex = int(ifindex)
	for {
		switch err := unix.Sendto(c.packet, c.frame[:], unix.MSG_DONTWAIT, &c.to); err {
		case nil:
			return kickQueued, nil
		case unix.ENOBUFS:
			return kickDropped, nil
		case unix.EAGAIN:
			return kickRefused, nil
		case unix.EINTR:
		default:
			return kickRefused, err
		}
	}
}

// execute sends one message that was appended to an empty buffer with the
// connection's next sequence number, and waits for its acknowledgement.
func (c *conn) execute(build func(b []byte, seq uint32) ([]byte, error)) error {
	c.seq++
	b, err := build(c.buf[:0], c.seq)
	if err != nil {
		return err
	}
	c.buf = b[:0]
	if err := c.Send(b); err != nil {
		return err
	}
	return await(c, c.rbuf, c.seq, c.seq, nil)
}

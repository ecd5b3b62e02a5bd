package watch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"linktape/record/stamp"
)

// Pinger sends ICMP echo requests to one address by one interface.
type Pinger struct {
	*tracker
	fd     int
	to     unix.Sockaddr
	six    bool
	raw    bool
	id     uint16
	cookie uint64
	buf    []byte
	stop   chan struct{}
	done   sync.WaitGroup
}

// OpenPinger opens a socket in the thread's namespace, bound to the interface where
// one is named. An unprivileged one serves where net.ipv4.ping_group_range allows
// it; a raw one otherwise. A ping that is not answered within the timeout is lost.
func OpenPinger(device string, to netip.Addr, timeout time.Duration) (*Pinger, error) {
	p := &Pinger{tracker: newTracker(timeout), six: to.Is6(), id: uint16(rand.Uint32()), cookie: rand.Uint64(), stop: make(chan struct{})}
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if p.six {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
		a := &unix.SockaddrInet6{Addr: to.As16()}
		p.to = a
	} else {
		p.to = &unix.SockaddrInet4{Addr: to.As4()}
	}
	var err error
	p.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		p.raw = true
		p.fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("open ping socket: %w; run as root, or allow it: sysctl net.ipv4.ping_group_range='0 2147483647'", err)
	}
	tv := unix.Timeval{Usec: 100_000} // so that the reader sees when to stop
	err = errors.Join(
		stamp.Enable(p.fd),
		unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	if device != "" && err == nil {
		if err = unix.BindToDevice(p.fd, device); err != nil {
			err = fmt.Errorf("bind to %s: %w", device, err)
		}
	}
	if err != nil {
		unix.Close(p.fd)
		return nil, fmt.Errorf("prepare ping socket: %w", err)
	}
	p.done.Go(p.receive)
	return p, nil
}

// Send sends a ping. That the link takes none is a loss, not an error.
func (p *Pinger) Send() {
	now := time.Now().UnixNano()
	n := p.sent(now)
	p.buf = appendEcho(p.buf[:0], p.six, p.id, p.cookie, n)
	unix.Sendto(p.fd, p.buf, unix.MSG_DONTWAIT, p.to)
}

// Take returns what the pings did since it was called last.
func (p *Pinger) Take() Echo { return p.take(time.Now().UnixNano()) }

// receive reads answers, with the time at which the kernel got them.
func (p *Pinger) receive() {
	buf, control := make([]byte, 512), make([]byte, stamp.Room)
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		n, c, _, _, err := unix.Recvmsg(p.fd, buf, control, 0)
		if err != nil {
			if errors.Is(err, unix.EBADF) {
				return
			}
			continue // nothing in time, or an ICMP error about a ping
		}
		number, ok := parseReply(buf[:n], p.six, p.raw && !p.six, p.cookie)
		if !ok {
			continue
		}
		at := time.Now().UnixNano()
		if v, ok := stamp.Of(control[:c]); ok {
			at = v
		}
		p.answered(number, at)
	}
}

// Close closes the socket.
func (p *Pinger) Close() error {
	close(p.stop)
	p.done.Wait()
	return os.NewSyscallError("close", unix.Close(p.fd))
}

package netsetup

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"linktape/trace"

	"golang.org/x/sys/unix"
)

// flood sends numbered packets of one size over a link, many in a system call,
// and takes what arrives. It is for labs, where time stands still meanwhile.
type flood struct {
	t        testing.TB
	out, in  int // sockets
	size     int // of an IP packet
	sent     int
	send     batch
	receive  batch
	arrived  func(seq int, sent, received time.Duration, tos byte) // instants on the wall clock
	received int
}

// batch is the memory of one call of sendmmsg or recvmmsg.
type batch struct {
	msgs    [64]mmsghdr
	iovs    [64]unix.Iovec
	data    [64][2048]byte
	control [64][128]byte
}

// mmsghdr is struct mmsghdr of Linux (linux/socket.h).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

const floodHeaders = 28 // of IPv4 and UDP

// newFlood opens sockets in both ends of a run, at the addresses of a link, to
// send upwards.
func newFlood(t testing.TB, run string, index, size int, arrived func(seq int, sent, received time.Duration, tos byte)) *flood {
	t.Helper()
	return newFloodTowards(t, trace.Up, run, index, size, arrived)
}

// newFloodTowards is newFlood to send in a direction.
func newFloodTowards(t testing.TB, d trace.Direction, run string, index, size int, arrived func(seq int, sent, received time.Duration, tos byte)) *flood {
	t.Helper()
	f := &flood{t: t, size: size, arrived: arrived}
	a := LinkAddresses(index)
	port := 5005 + int(d)
	open := func(part string, addr netip.Addr) (fd int) {
		err := withNamespace(Namespace(run, part), func() (err error) {
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			return unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: addr.As4()})
		})
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	from, to := a.Sender[0].Addr(), a.Receiver[0].Addr()
	source, sink := SenderEnd, ReceiverEnd
	if d == trace.Down {
		from, to, source, sink = to, from, sink, source
	}
	f.out, f.in = open(source, from), open(sink, to)
	t.Cleanup(f.close)
	for _, err := range []error{
		unix.Connect(f.out, &unix.SockaddrInet4{Port: port, Addr: to.As4()}),
		unix.SetsockoptInt(f.out, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64<<20),
		unix.SetsockoptInt(f.in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20),
		unix.SetsockoptInt(f.in, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(f.in, unix.IPPROTO_IP, unix.IP_RECVTOS, 1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *flood) close() {
	for _, fd := range []*int{&f.out, &f.in} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// tos sets the type-of-service byte of what is sent from now on.
func (f *flood) tos(v int) {
	f.t.Helper()
	if err := unix.SetsockoptInt(f.out, unix.IPPROTO_IP, unix.IP_TOS, v); err != nil {
		f.t.Fatal(err)
	}
}

func wall() time.Duration { return time.Duration(time.Now().UnixNano()) }

// offer sends n packets at once.
func (f *flood) offer(n int) {
	f.t.Helper()
	for n > 0 {
		now, k := wall(), min(n, len(f.send.msgs))
		for i := range k {
			b := f.send.data[i][:f.size-floodHeaders]
			binary.NativeEndian.PutUint64(b, uint64(f.sent+i))
			binary.NativeEndian.PutUint64(b[8:], uint64(now))
			f.send.iovs[i].Base = &b[0]
			f.send.iovs[i].SetLen(len(b))
			f.send.msgs[i].Iov, f.send.msgs[i].Iovlen = &f.send.iovs[i], 1
		}
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.out), uintptr(unsafe.Pointer(&f.send.msgs[0])), uintptr(k), 0, 0, 0)
		if errno != 0 {
			f.t.Fatalf("sendmmsg: %v", errno)
		}
		f.sent += int(sent)
		n -= int(sent)
	}
}

// take reads what has arrived.
func (f *flood) take() {
	f.t.Helper()
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
			return
		}
		if errno != 0 {
			f.t.Fatalf("recvmmsg: %v", errno)
		}
		for i := range int(n) {
			data := b.data[i][:b.msgs[i].n]
			if len(data) < 16 {
				f.t.Fatalf("a packet of %d bytes arrived", len(data))
			}
			var received time.Duration
			var tos byte
			control := b.control[i][:b.msgs[i].Controllen]
			for len(control) >= unix.SizeofCmsghdr {
				h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
				body := control[unix.CmsgLen(0):h.Len]
				switch {
				case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS:
					ts := (*unix.Timespec)(unsafe.Pointer(&body[0]))
					received = time.Duration(ts.Nano())
				case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS:
					tos = body[0]
				}
				control = control[min(unix.CmsgSpace(len(body)), len(control)):]
			}
			f.received++
			f.arrived(int(binary.NativeEndian.Uint64(data)), time.Duration(binary.NativeEndian.Uint64(data[8:])), received, tos)
		}
	}
}

// until sleeps to an instant of the wall clock.
func (f *flood) until(at time.Duration) {
	f.t.Helper()
	ts := unix.NsecToTimespec(int64(at))
	for {
		switch err := unix.ClockNanosleep(unix.CLOCK_REALTIME, unix.TIMER_ABSTIME, &ts, nil); err {
		case nil:
			return
		case unix.EINTR:
		default:
			f.t.Fatal(err)
		}
	}
}

package netsetup

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"linktape/trace"
)

// Arrivals waits for packets that come into links of a run, at either end,
// before anything of the link has seen them.
type Arrivals struct {
	links []arrivalLink
	poll  []unix.PollFd
	buf   [128]byte // enough of a packet to know what it is
	oob   [128]byte
}

type arrivalLink struct {
	name     string
	up, down int // interfaces that packets of a direction come in by
}

// Arrivals begins to look for packets in links of the run. [Arrivals.Close] ends
// it.
func (r *Run) Arrivals(links []string) (*Arrivals, error) {
	a := new(Arrivals)
	for _, name := range links {
		l, fd, err := r.watchArrivals(name)
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("wait for packets on link %s of run %s: %w", name, r.Name, err)
		}
		a.links = append(a.links, l)
		a.poll = append(a.poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return a, nil
}

func (r *Run) watchArrivals(name string) (l arrivalLink, fd int, err error) {
	l.name = name
	room, err := r.kernel.room(Namespace(r.Name, name))
	if err != nil {
		return l, -1, err
	}
	if l.up, err = room.device(senderSide); err != nil {
		return l, -1, err
	}
	if l.down, err = room.device(receiverSide); err != nil {
		return l, -1, err
	}
	err = withNamespace(room.path, func() error {
		// Nothing comes before the socket is bound to a protocol.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open packet socket: %w", err)
		}
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL)})
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("prepare packet socket: %w", err)
		}
		return nil
	})
	return l, fd, err
}

// Next waits for a packet of an application. What hosts send of themselves
// (neighbour discovery, group membership) does not count.
func (a *Arrivals) Next(ctx context.Context) (Arrival, error) {
	const patience = 50 // ms, after which ctx is looked at
	for ctx.Err() == nil {
		n, err := unix.Poll(a.poll, patience)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return Arrival{}, fmt.Errorf("wait for packets: %w", err)
		}
		if n <= 0 {
			continue
		}
		var first Arrival
		for i := range a.poll {
			if a.poll[i].Revents == 0 {
				continue
			}
			got, err := a.read(i)
			if err != nil {
				return Arrival{}, fmt.Errorf("wait for packets on link %s: %w", a.links[i].name, err)
			}
			if got.Link != "" && (first.Link == "" || got.Ago > first.Ago) {
				first = got
			}
		}
		if first.Link != "" {
			return first, nil
		}
	}
	return Arrival{}, context.Cause(ctx)
}

// read takes what has come on one link, until there is traffic or no more.
func (a *Arrivals) read(i int) (Arrival, error) {
	for {
		n, oobn, _, from, err := unix.Recvmsg(int(a.poll[i].Fd), a.buf[:], a.oob[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENETDOWN):
			return Arrival{}, nil // a device that goes down says so here
		case err != nil:
			return Arrival{}, err
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || !isTraffic(networkOrder(ll.Protocol), a.buf[:n]) {
			continue
		}
		got := Arrival{LinkDir: trace.LinkDir{Link: a.links[i].name}}
		switch ll.Ifindex {
		case a.links[i].up:
			got.Dir = trace.Up
		case a.links[i].down:
			got.Dir = trace.Down
		default:
			continue // on its way inside
		}
		got.Ago = since(a.oob[:oobn])
		return got, nil
	}
}

// since is how long ago a message was received by its time stamp; 0 without one.
func since(oob []byte) time.Duration {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS || len(m.Data) < int(unsafe.Sizeof(unix.Timespec{})) {
			continue
		}
		then := *(*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
		return max(time.Since(time.Unix(then.Unix())), 0)
	}
	return 0
}

// Close ends the search. The kernel takes some 10 ms for each link.
func (a *Arrivals) Close() error {
	for _, p := range a.poll {
		unix.Close(int(p.Fd))
	}
	a.poll = nil
	return nil
}

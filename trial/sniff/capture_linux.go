package sniff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Capture is a capture under way.
type Capture struct {
	device string
	socket *os.File
	raw    syscall.RawConn
	ring   []byte
	file   *os.File
	out    *pcapWriter
	next   int // block
	report Report
	done   chan struct{}
	failed error
}

// Start captures a device of the calling thread's namespace into a file, until
// [Capture.Stop].
func Start(device, file string) (_ *Capture, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("capture %s: %w", device, err)
		}
	}()
	iface, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	// Without a protocol it catches nothing until it is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: run as root", err)
	}
	c := &Capture{device: device, socket: os.NewFile(uintptr(fd), "capture of "+device), done: make(chan struct{})}
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	// "Accept so many bytes": what a filter returns is the snap length.
	keep := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: SnapLen}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &keep[0]}); err != nil {
		return nil, fmt.Errorf("keep the first bytes alone: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("choose the ring's version: %w", err)
	}
	ring := &unix.TpacketReq3{
		Block_size: blockBytes, Block_nr: blocks, Frame_size: frameBytes, Frame_nr: blockBytes / frameBytes * blocks, Retire_blk_tov: retire,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, ring); err != nil {
		return nil, fmt.Errorf("make the ring: %w", err)
	}
	if c.ring, err = unix.Mmap(fd, 0, blockBytes*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	if c.raw, err = c.socket.SyscallConn(); err != nil {
		return nil, err
	}
	if c.file, err = os.Create(file); err != nil {
		return nil, err
	}
	c.out = newPcapWriter(c.file)
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in the network's byte order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index}); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	go c.run()
	return c, nil
}

func (c *Capture) release() {
	if c.ring != nil {
		unix.Munmap(c.ring)
	}
	if c.socket != nil {
		c.socket.Close()
	}
	if c.file != nil {
		c.file.Close()
	}
}

// status is the word that says whose a block is. The kernel writes it last.
func (c *Capture) status(n int) *atomic.Uint32 { return wordAt(c.ring, n*blockBytes+blockStatus) }

// run writes blocks until the capture is stopped.
func (c *Capture) run() {
	defer close(c.done)
	for {
		// Woken when a block is ready, or by the deadline.
		err := c.raw.Read(func(uintptr) bool { return c.status(c.next).Load()&unix.TP_STATUS_USER != 0 })
		c.drain()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.failed = err
			}
			return
		}
	}
}

// drain writes the blocks that are ready and gives them back.
func (c *Capture) drain() {
	for c.status(c.next).Load()&unix.TP_STATUS_USER != 0 {
		whole := packets(c.ring[c.next*blockBytes:(c.next+1)*blockBytes], func(seconds, ns uint32, data []byte, length uint32) {
			c.report.Packets++
			c.report.Bytes += int64(length)
			c.out.packet(seconds, ns, data, length)
		})
		if !whole && c.failed == nil {
			c.failed = errors.New("the kernel's ring cannot be read: another version of it?")
		}
		c.status(c.next).Store(unix.TP_STATUS_KERNEL)
		c.next = (c.next + 1) % blocks
	}
	c.out.flush()
}

// Settle is how long the kernel may keep packets that a capture has not seen:
// wait for it between the last packet and [Capture.Stop].
const Settle = 2 * retire * time.Millisecond

// Stop ends the capture and completes the file.
func (c *Capture) Stop() (Report, error) {
	c.socket.SetReadDeadline(time.Unix(1, 0))
	<-c.done
	err := c.failed
	if c.out.flush() != nil {
		err = errors.Join(err, c.out.err)
	}
	var stats *unix.TpacketStatsV3
	if e := c.raw.Control(func(fd uintptr) {
		var e error
		if stats, e = unix.GetsockoptTpacketStatsV3(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); e != nil {
			err = errors.Join(err, fmt.Errorf("count drops: %w", e))
		}
	}); e != nil {
		err = errors.Join(err, e)
	}
	if stats != nil {
		c.report.Drops = int64(stats.Drops)
	}
	file := c.file
	c.file = nil
	err = errors.Join(err, file.Close())
	c.release()
	if err != nil {
		err = fmt.Errorf("capture %s: %w", c.device, err)
	}
	return c.report, err
}

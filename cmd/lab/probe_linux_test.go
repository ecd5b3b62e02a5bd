package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"linktape/netsetup"
)

// Sizes of the headers around a probe's payload, bytes.
const (
	ipUDPBytes  = 28
	probePort   = 7310
	probeHeader = 16 // number and time of sending
)

// enter is the role "inside RUN PART ROLE ARGUMENT…": a role in a part of a run.
func enter(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{self}, args[2:]...)
	if _, ok := roles()[args[2]]; !ok {
		argv = args[2:] // a program, by its path
	}
	return netsetup.Exec(args[0], args[1], argv, os.Environ())
}

// onTime gives the calling goroutine a thread of its own with exact timers,
// under SCHED_FIFO.
func onTime() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 5, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
}

func clock(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// sleepUntil sleeps until an instant of CLOCK_MONOTONIC, ns.
func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// send is the role "send ADDRESS BYTES INTERVAL COUNT": numbered UDP packets,
// each with its time of sending, at absolute instants.
func send(args []string) error {
	size, err1 := strconv.Atoi(args[1])
	interval, err2 := time.ParseDuration(args[2])
	count, err3 := strconv.Atoi(args[3])
	if err := errors.Join(err1, err2, err3, onTime()); err != nil {
		return err
	}
	conn, err := net.Dial("udp4", net.JoinHostPort(args[0], strconv.Itoa(probePort)))
	if err != nil {
		return err
	}
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	packet := make([]byte, size-ipUDPBytes)
	return raw.Control(func(fd uintptr) {
		start := clock(unix.CLOCK_MONOTONIC)
		for i := range count {
			sleepUntil(start + int64(i)*int64(interval))
			binary.BigEndian.PutUint64(packet, uint64(i))
			binary.BigEndian.PutUint64(packet[8:], uint64(clock(unix.CLOCK_REALTIME)))
			// A queue that is full or an interface that is down costs the packet.
			unix.Write(int(fd), packet)
		}
	})
}

// receive is the role "receive ADDRESS": a line "NUMBER SENT RECEIVED" for each
// probe, ns since 1970, the time of receiving being the kernel's. It says ready
// when it is, and ends when standard input does.
func receive(args []string) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(args[0]), Port: probePort})
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	err = errors.Join(raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
	}), err)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		conn.SetReadDeadline(time.Now())
	}()
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(w, "ready")
	w.Flush()
	buf, control := make([]byte, 2048), make([]byte, 128)
	for {
		n, c, _, _, err := conn.ReadMsgUDP(buf, control)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		messages, err := unix.ParseSocketControlMessage(control[:c])
		if err != nil || len(messages) != 1 || n < probeHeader {
			return fmt.Errorf("a probe of %d bytes with %d control messages: %v", n, len(messages), err)
		}
		ne := binary.NativeEndian
		at := int64(ne.Uint64(messages[0].Data))*1e9 + int64(ne.Uint64(messages[0].Data[8:]))
		fmt.Fprintln(w, binary.BigEndian.Uint64(buf), binary.BigEndian.Uint64(buf[8:]), at)
	}
}

// lateness is the role "lateness COUNT": how late clock_nanosleep returns under
// SCHED_FIFO, one line of ns for each sleep of a millisecond.
func lateness(args []string) error {
	count, err := strconv.Atoi(args[0])
	if err := errors.Join(err, onTime()); err != nil {
		return err
	}
	late := make([]int64, count)
	start := clock(unix.CLOCK_MONOTONIC)
	for i := range late {
		due := start + int64(i+1)*1e6
		sleepUntil(due)
		late[i] = clock(unix.CLOCK_MONOTONIC) - due
	}
	for _, l := range late {
		fmt.Println(l)
	}
	return nil
}

package stamp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Room is the space for control messages that [Of] reads.
const Room = 128

// Enable makes a socket tell the time of receiving of each packet.
func Enable(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }

// Of finds the time of receiving in the control messages of a packet, ns since
// 1970.
func Of(control []byte) (int64, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS || len(m.Data) < int(unsafe.Sizeof(unix.Timespec{})) {
			continue
		}
		if unsafe.Sizeof(unix.Timespec{}) == 16 {
			ne := binary.NativeEndian
			return int64(ne.Uint64(m.Data))*1e9 + int64(ne.Uint64(m.Data[8:])), true
		}
	}
	return 0, false
}

// Prepare makes a socket tell times of receiving, gives it a large buffer where
// that is allowed, and binds it to an interface where one is named.
func Prepare(fd int, device string) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
	}
	if device != "" {
		if err := unix.BindToDevice(fd, device); err != nil {
			return err
		}
	}
	return Enable(fd)
}

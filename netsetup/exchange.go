package netsetup

import (
	"fmt"
	"syscall"
)

// rtnetlink messages about links and neighbours (include/uapi/linux/rtnetlink.h).
const (
	rtmNewLink  = 16 // RTM_NEWLINK
	rtmNewNeigh = 28 // RTM_NEWNEIGH
)

// Flags of a request (include/uapi/linux/netlink.h).
const (
	nlmFRequest = 0x1   // NLM_F_REQUEST
	nlmFAck     = 0x4   // NLM_F_ACK: answer on success too
	nlmFEcho    = 0x8   // NLM_F_ECHO: send what was read or changed back
	nlmFReplace = 0x100 // NLM_F_REPLACE
	nlmFExcl    = 0x200 // NLM_F_EXCL
	nlmFCreate  = 0x400 // NLM_F_CREATE
)

// transport carries netlink messages to the kernel and back.
type transport interface {
	Send(b []byte) error
	Receive(b []byte) (int, error) // waits for a datagram
	Poll(b []byte) (int, error)    // 0 where there is none
}

// KernelError is a refusal by the kernel, with the text of its extended
// acknowledgement where it gave one.
type KernelError struct {
	Errno syscall.Errno
	Text  string
}

func (e *KernelError) Error() string {
	if e.Text != "" {
		return e.Errno.Error() + ": " + e.Text
	}
	return e.Errno.Error()
}

// Unwrap returns the error number, for errors.Is.
func (e *KernelError) Unwrap() error { return e.Errno }

// await reads replies to the messages from sequence number first to last until
// the last one is answered, by an acknowledgement or, where info is given, by
// the qdisc that it asked for. The kernel works through them in order and
// answers a refused message in any case, so that the last answer speaks for
// all. The first refusal is returned. It allocates only for a refusal.
func await(t transport, rbuf []byte, first, last uint32, info *QdiscInfo) error {
	var refused error
	for done := false; !done; {
		n, err := t.Receive(rbuf)
		if err != nil {
			return fmt.Errorf("await acknowledgement: %w", err)
		}
		m := Messages{Buf: rbuf[:n]}
		for m.Next() {
			switch {
			case m.Seq-first > last-first:
				// The late answer to an exchange that was given up.
			case m.Type == nlmsgError:
				done = done || m.Seq == last
				if errno, text := m.Errno(); errno != 0 && refused == nil {
					refused = &KernelError{syscall.Errno(errno), text}
				}
			case m.Type == rtmNewQdisc && info != nil:
				done = done || m.Seq == last
				if err := DecodeQdisc(m.Payload, info); err != nil {
					return err
				}
			}
		}
		if err := m.Err(); err != nil {
			return err
		}
	}
	return refused
}

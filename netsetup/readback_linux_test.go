package netsetup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// scratch is a network namespace with an interface ifb0 and a netlink socket.
// It lives as long as the thread that made it.
type scratch struct {
	t       *testing.T
	fd      int
	ifindex int32
	seq     uint32
}

// inScratch runs f in a namespace of its own, of which nothing is left.
func inScratch(t *testing.T, f func(s *scratch) error) {
	t.Helper()
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		// Without an address of its own, IPv6 sends no packets that tests would count.
		for _, args := range []string{"link add ifb0 type ifb", "link set ifb0 addrgenmode none", "link set ifb0 up"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, out)
			}
		}
		ifb, err := net.InterfaceByName("ifb0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("netlink socket: %w", err)
		}
		defer unix.Close(fd)
		for _, opt := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK} {
			if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, opt, 1); err != nil {
				return fmt.Errorf("netlink socket: %w", err)
			}
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
			return err
		}
		return f(&scratch{t: t, fd: fd, ifindex: int32(ifb.Index)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// request sends one message and returns its result, and the qdisc that was
// echoed, if any.
func (s *scratch) request(m Message, tc TC, encode func(b []byte) ([]byte, error)) (info QdiscInfo, err error) {
	s.seq++
	m.Seq, tc.Ifindex = s.seq, s.ifindex
	m.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_ACK
	b, start := AppendTC(nil, m, tc)
	if b, err = encode(b); err != nil {
		return info, err
	}
	if err := unix.Sendto(s.fd, FinishMessage(b, start), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return info, fmt.Errorf("send: %w", err)
	}
	for {
		buf := make([]byte, 1<<16)
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			return info, fmt.Errorf("receive: %w", err)
		}
		msgs := Messages{Buf: buf[:n]}
		for msgs.Next() {
			switch {
			case msgs.Seq != s.seq:
				return info, fmt.Errorf("answer to message %d, want %d", msgs.Seq, s.seq)
			case msgs.Type == nlmsgError:
				if errno, text := msgs.Errno(); errno != 0 {
					return info, fmt.Errorf("%w (%s)", syscall.Errno(errno), text)
				}
				return info, nil
			default:
				if err := DecodeQdisc(msgs.Payload, &info); err != nil {
					return info, err
				}
			}
		}
		if msgs.Err() != nil {
			return info, msgs.Err()
		}
	}
}

// replace creates or changes the root qdisc.
func (s *scratch) replace(encode func(b []byte) ([]byte, error)) error {
	_, err := s.request(Message{Type: rtmNewQdisc, Flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE},
		TC{Handle: Handle(1, 0), Parent: 0xffffffff}, encode)
	return err
}

func (s *scratch) delete() error {
	_, err := s.request(Message{Type: rtmDelQdisc}, TC{Parent: 0xffffffff}, func(b []byte) ([]byte, error) { return b, nil })
	return err
}

// get reads the root qdisc.
func (s *scratch) get() (QdiscInfo, error) {
	return s.request(Message{Type: rtmGetQdisc, Flags: unix.NLM_F_ECHO}, TC{Handle: Handle(1, 0), Parent: 0xffffffff},
		func(b []byte) ([]byte, error) { return b, nil })
}

func tcOutput(args string) (string, error) {
	out, err := exec.Command("tc", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tc %s: %w: %s", args, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// tcQdisc is what tc -j -d -r qdisc show says about ifb0's root.
type tcQdisc struct {
	Kind    string `json:"kind"`
	Options struct {
		Rate       uint64 `json:"rate"`
		Burst      string `json:"burst"` // computed back from ticks
		MPU        uint32 `json:"mpu"`
		MTU        string `json:"mtu"`
		Limit      uint32 `json:"limit"`
		R2Q        uint32 `json:"r2q"`
		Default    string `json:"default"`
		DirectQlen uint32 `json:"direct_qlen"`
	} `json:"options"`
	Stab struct {
		Overhead int32 `json:"overhead"`
	} `json:"stab"`
}

func showQdisc() (q tcQdisc, err error) {
	out, err := tcOutput("-j -d -r qdisc show dev ifb0")
	if err != nil {
		return q, err
	}
	var all []tcQdisc
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		return q, fmt.Errorf("tc qdisc show: %v: %s", err, out)
	}
	return all[0], nil
}

// The kernel takes what the encoders send, and tells tc and the decoder the
// same.
func TestReadBackTBF(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	inScratch(t, func(s *scratch) error {
		for _, c := range []struct {
			name  string
			q     TBF
			stab  bool
			burst string // as tc shows it, from ticks
		}{
			{"plain", TBF{Rate: 5 * trace.Mbit, BurstBytes: 1600, LimitBytes: 30000}, true, "1600b/1"},
			{"changed", TBF{Rate: trace.Mbit, BurstBytes: 3028, LimitBytes: 12345}, false, "3028b/1"},
			{"slow", TBF{Rate: 8 * trace.Kbit, BurstBytes: 2000, LimitBytes: 30000}, true, "2000b/1"},
			{"64-bit", TBF{Rate: 40 * trace.Gbit, BurstBytes: 5_000_000, LimitBytes: 30000}, false, "4995000b/1"}, // tc reads ticks as whole microseconds,
			{"peakrate", TBF{Rate: 5 * trace.Mbit, BurstBytes: 16000, LimitBytes: 30000, PeakRate: 10 * trace.Mbit, PeakBurstBytes: 2000}, false, "16000b/1"},
			{"mpu", TBF{Rate: 5 * trace.Mbit, BurstBytes: 1600, LimitBytes: 30000, MPUBytes: 64}, false, "1600b/1"},
			{"closed", TBF{Rate: 8 * 4096, Buffer: 750 * time.Millisecond, LimitBytes: 30000, MPUBytes: 65535}, true, "3Kb/1"},
		} {
			err := s.replace(func(b []byte) ([]byte, error) {
				b, err := AppendTBF(b, c.q)
				if err == nil && c.stab {
					b, err = AppendSizeTable(b, SizeTable{OverheadBytes: -14})
				}
				return b, err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			shown, err := showQdisc()
			if err != nil {
				return err
			}
			overhead := int32(0)
			if c.stab {
				overhead = -14
			}
			o := shown.Options
			if shown.Kind != "tbf" || o.Rate != uint64(c.q.Rate/8) || o.Limit != uint32(c.q.LimitBytes) || o.Burst != c.burst ||
				o.MPU != uint32(c.q.MPUBytes) || shown.Stab.Overhead != overhead {
				t.Errorf("%s: tc shows %+v\nwant %+v, burst %s, overhead %d", c.name, shown, c.q, c.burst, overhead)
			}
			info, err := s.get()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			got, err := DecodeTBF(info.Options)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			// A tick of 64 ns, and below one more of the kernel's arithmetic.
			slack := 2*bytesIn(tickNs, uint64(c.q.Rate/8)) + 2
			if d := got.BucketBytes() - c.q.BucketBytes(); d < -slack || d > slack {
				t.Errorf("%s: bucket of %d bytes read back, want %d", c.name, got.BucketBytes(), c.q.BucketBytes())
			}
			if got.Rate != c.q.Rate || got.LimitBytes != c.q.LimitBytes || got.PeakRate != c.q.PeakRate || got.MPUBytes != c.q.MPUBytes {
				t.Errorf("%s: read back %+v, want %+v", c.name, got, c.q)
			}
			if info.Kind != "tbf" || info.Handle != Handle(1, 0) || info.SizeTable.OverheadBytes != overhead || info.HasSizeTable != c.stab {
				t.Errorf("%s: read back %+v", c.name, info)
			}
		}
		return nil
	})
}

func TestReadBackHTB(t *testing.T) {
	privtest.Require(t, "ifb", "htb")
	inScratch(t, func(s *scratch) error {
		err := s.replace(func(b []byte) ([]byte, error) {
			b, err := AppendHTB(b, HTB{Default: 1, R2Q: 5, DirectQlen: 77, HasDirectQlen: true})
			if err != nil {
				return b, err
			}
			return AppendSizeTable(b, SizeTable{OverheadBytes: -14})
		})
		if err != nil {
			return err
		}
		shown, err := showQdisc()
		if err != nil {
			return err
		}
		if o := shown.Options; shown.Kind != "htb" || o.R2Q != 5 || o.Default != "0x1" || o.DirectQlen != 77 || shown.Stab.Overhead != -14 {
			t.Errorf("tc shows %+v", shown)
		}
		info, err := s.get()
		if err != nil {
			return err
		}
		q, err := DecodeHTB(info.Options)
		if want := (HTB{Default: 1, R2Q: 5, DirectQlen: 77, HasDirectQlen: true}); err != nil || q != want {
			t.Errorf("read back %+v, %v, want %+v", q, err, want)
		}
		for _, c := range []struct {
			class HTBClass
			want  string
		}{
			{HTBClass{Rate: 5 * trace.Mbit, BurstBytes: 3028, QuantumBytes: 1514}, "quantum 1514 rate 5Mbit ceil 5Mbit linklayer ethernet burst 3026b/1 mpu 0b cburst 3026b/1"},
			{HTBClass{Rate: 5 * trace.Mbit, Ceil: 6 * trace.Mbit, BurstBytes: 3000, CeilBurstBytes: 6000, QuantumBytes: 1500, Prio: 3, MPUBytes: 64, OverheadBytes: 4}, "prio 3 quantum 1500 rate 5Mbit overhead 4 ceil 6Mbit linklayer ethernet burst 3000b/1 mpu 64b cburst 6000b/1 mpu 64b"},
			{HTBClass{Rate: 40 * trace.Gbit, Ceil: 50 * trace.Gbit, BurstBytes: 5_000_000, CeilBurstBytes: 6_250_000, QuantumBytes: 60000}, "quantum 60000 rate 40Gbit ceil 50Gbit linklayer ethernet burst 5000000b/1 mpu 0b cburst 6250000b/1"},
		} {
			_, err := s.request(Message{Type: rtmNewTClass, Flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE}, TC{Handle: Handle(1, 1), Parent: Handle(1, 0)},
				func(b []byte) ([]byte, error) { return AppendHTBClass(b, c.class) })
			if err != nil {
				return fmt.Errorf("class %+v: %w", c.class, err)
			}
			out, err := tcOutput("-d class show dev ifb0")
			if err != nil {
				return err
			}
			if !strings.Contains(out, c.want) {
				t.Errorf("class %+v\ntc shows %s\nwant     %s", c.class, out, c.want)
			}
			info, err := s.request(Message{Type: rtmGetTClass, Flags: unix.NLM_F_ECHO}, TC{Handle: Handle(1, 1), Parent: Handle(1, 0)},
				func(b []byte) ([]byte, error) { return b, nil })
			if err != nil {
				return err
			}
			got, err := DecodeHTBClass(info.Options)
			if want := inTicks(c.class); err != nil || got != want {
				t.Errorf("read back %+v, %v, want %+v", got, err, want)
			}
		}
		return s.delete()
	})
}

// A refusal arrives as its error number, and with the kernel's words where it
// has some.
func TestReadBackRefusal(t *testing.T) {
	privtest.Require(t, "ifb", "htb")
	inScratch(t, func(s *scratch) error {
		htb := func(b []byte) ([]byte, error) { return AppendHTB(b, HTB{}) }
		if err := s.replace(htb); err != nil {
			return err
		}
		err := s.replace(htb) // htb has no change operation
		if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "Change operation not supported") {
			t.Errorf("change of an htb: %v", err)
		}
		return nil
	})
}

// A closed bucket takes packets in and lets none out, whatever their size;
// the change that opens it and one more packet let all of them out.
func TestReadBackClosedTBF(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	inScratch(t, func(s *scratch) error {
		set := func(q TBF) error {
			return s.replace(func(b []byte) ([]byte, error) { return AppendTBF(b, q) })
		}
		send, closeSocket, err := s.ethernet()
		if err != nil {
			return err
		}
		defer closeSocket()
		if err := set(TBF{Rate: 8 * 4096, Buffer: 750 * time.Millisecond, MPUBytes: 65535, LimitBytes: 30000}); err != nil {
			return err
		}
		var bytes int
		for _, size := range []int{60, 1514, 60, 1000, 14} {
			if err := send(size); err != nil {
				return err
			}
			bytes += size
		}
		before, err := s.get()
		if err != nil {
			return err
		}
		if before.Bytes != 0 || before.Packets != 0 || before.Drops != 0 || before.Qlen != 5 || before.BacklogBytes != uint32(bytes) {
			t.Errorf("closed: %+v\nwant 5 packets of %d bytes held", before, bytes)
		}
		if err := set(TBF{Rate: trace.Gbit, BurstBytes: 20000, LimitBytes: 30000}); err != nil {
			return err
		}
		if err := send(60); err != nil {
			return err
		}
		after, err := s.get()
		if err != nil {
			return err
		}
		if after.Packets != 6 || after.Bytes != uint64(bytes+60) || after.Qlen != 0 {
			t.Errorf("open: %+v\nwant 6 packets of %d bytes sent", after, bytes+60)
		}
		return nil
	})
}

// ethernet opens a socket that sends frames out of ifb0, of zeros and a size.
func (s *scratch) ethernet() (send func(size int) error, closeSocket func() error, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("packet socket: %w", err)
	}
	send = func(size int) error {
		return unix.Sendto(fd, make([]byte, size), 0, &unix.SockaddrLinklayer{Ifindex: int(s.ifindex)})
	}
	return send, func() error { return unix.Close(fd) }, nil
}

func TestReadBackNetem(t *testing.T) {
	privtest.Require(t, "ifb", "netem")
	inScratch(t, func(s *scratch) error {
		for name, q := range goldenNetem {
			q.Omit = 0
			// The qdisc is made anew, because tables cannot be removed.
			if err := s.replace(func(b []byte) ([]byte, error) { return AppendNetem(b, q) }); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			info, err := s.get()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			got, err := DecodeNetem(info.Options)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			q.DelayDist, q.SlotDist = nil, nil
			got.Seed, got.HasSeed = 0, false // newer kernels draw one: TestReadBackNetemSeed
			q.Rate = wireRate(q.Rate)
			if d := cmp.Diff(q, got, approxProb); d != "" {
				t.Errorf("%s: read back (-sent +got)\n%s", name, d)
			}
			out, err := tcOutput("-j -d qdisc show dev ifb0")
			if err != nil {
				return err
			}
			var shown []struct {
				Options struct {
					Limit uint32 `json:"limit"`
					Delay struct {
						Delay  float64 `json:"delay"`
						Jitter float64 `json:"jitter"`
					} `json:"delay"`
				} `json:"options"`
			}
			if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown) != 1 {
				return fmt.Errorf("tc qdisc show: %v: %s", err, out)
			}
			o := shown[0].Options
			if o.Limit != q.LimitPackets || math.Abs(o.Delay.Delay-q.Delay.Seconds()) > 1e-6 || math.Abs(o.Delay.Jitter-q.Jitter.Seconds()) > 1e-6 {
				t.Errorf("%s: tc shows %s\nwant limit %d, delay %v, jitter %v", name, out, q.LimitPackets, q.Delay, q.Jitter)
			}
			if err := s.delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

// A chain that turns bad at its first packet and stays there tells what a
// change does to its state: sent again, it starts anew and passes one packet;
// kept (an empty TCA_NETEM_LOSS), it goes on losing.
func TestReadBackNetemLossKept(t *testing.T) {
	privtest.Require(t, "ifb", "netem")
	inScratch(t, func(s *scratch) error {
		send, closeSocket, err := s.ethernet()
		if err != nil {
			return err
		}
		defer closeSocket()
		q := Netem{LimitPackets: 1000, GE: trace.GE{P: 1, LossBad: 1}}
		var passed uint64
		for _, c := range []struct {
			name   string
			omit   NetemAttr
			passes uint64
		}{
			{"created", 0, 1},
			{"kept", NetemLoss, 0},
			{"sent again", 0, 1},
			{"kept with all that a change leaves out", NetemKeep, 0},
		} {
			q.Omit = c.omit
			if err := s.replace(func(b []byte) ([]byte, error) { return AppendNetem(b, q) }); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			for range 4 {
				if err := send(100); err != nil {
					return err
				}
			}
			info, err := s.get()
			if err != nil {
				return err
			}
			if got := info.Packets - passed; got != c.passes {
				t.Errorf("%s: %d packets of 4 passed, want %d", c.name, got, c.passes)
			}
			passed = info.Packets
			got, err := DecodeNetem(info.Options)
			if err != nil || got.GE != q.GE {
				t.Errorf("%s: read back %+v, %v, want %+v", c.name, got.GE, err, q.GE)
			}
		}
		return nil
	})
}

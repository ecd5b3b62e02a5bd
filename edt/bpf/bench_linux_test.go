package bpf

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"linktape/edt"
	"linktape/internal/privtest"
	"linktape/trace"
)

// skb is struct __sk_buff up to what the test says of a packet.
type skb struct {
	_       [160]byte
	WireLen uint32
	_       [5]uint32
}

// BenchmarkProgram is what the program itself takes for a packet of 1500 bytes, without
// fq: by a state that goes on, and by a tape of many steps.
func BenchmarkProgram(b *testing.B) {
	privtest.Require(b, "root", "bpf")
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		b.Fatal(err)
	}
	at := time.Duration(ts.Nano())
	for _, c := range []struct {
		name string
		lay  func(t *Tape, s *trace.State) error
	}{
		{"constant", func(t *Tape, s *trace.State) error {
			err := t.Set(at, s)
			t.Hold()
			return err
		}},
		{"steps of 1ms", func(t *Tape, s *trace.State) error {
			for i := range DefaultSteps - 8 {
				s.Rate -= trace.Kbit
				if err := t.Set(at+time.Duration(i)*time.Millisecond, s); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := Load(DefaultSteps)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			t := p.Tape()
			t.Begin(trace.Queue{Kind: trace.DropTail, LimitBytes: 1 << 30}, 1500, 1, false)
			s := trace.State{Rate: 200 * trace.Gbit, Delay: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.01, Carrier: true}
			if err := c.lay(t, &s); err != nil {
				b.Fatal(err)
			}
			t.Publish()
			packet := make([]byte, 14+1500)
			packet[12], packet[13] = 0x08, 0x00 // IPv4
			packet[14] = 0x45
			if _, err = p.prog.Run(&ebpf.RunOptions{Data: packet, Context: skb{WireLen: uint32(len(packet))}, Repeat: uint32(b.N)}); err != nil {
				b.Fatal(err)
			}
			got, err := p.Counters(nil, 0)
			if err != nil {
				b.Fatal(err)
			}
			if n := got.Packets[edt.Delivered] + got.Packets[edt.Lost]; n != uint64(b.N) {
				b.Fatalf("%d of %d packets passed: %+v", n, b.N, got.Packets)
			}
		})
	}
}

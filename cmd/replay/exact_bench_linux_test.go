package main

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trace"
)

// BenchmarkPacket is what a packet of 1500 bytes costs from a sender's socket over a
// link to its receiver's, all on one processor: without a bottleneck of note (a bucket
// of HTB's class alone), and with departures computed by a program. The rate is above
// what the processor can do, so that it is never idle.
func BenchmarkPacket(b *testing.B) {
	privtest.Require(b, "edt", "htb")
	for _, c := range []struct {
		name string
		link func(l *netsetup.Link)
	}{
		{"htb", func(l *netsetup.Link) { l.Shaper, l.Tree = netsetup.ShaperHTB, netsetup.TreeNested }},
		{"edt", func(l *netsetup.Link) { l.UseShaper(netsetup.ShaperEDT) }},
		{"htb again", func(l *netsetup.Link) { l.Shaper, l.Tree = netsetup.ShaperHTB, netsetup.TreeNested }},
		{"edt again", func(l *netsetup.Link) { l.UseShaper(netsetup.ShaperEDT) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := netsetup.DefaultLink(exactLink)
			l.Path, l.Rate = netsetup.PathNone, 30*trace.Gbit
			l.Queue = trace.Queue{Kind: trace.DropTail, LimitBytes: 64 << 20}
			c.link(&l)
			features, _, err := netsetup.Probe()
			if err != nil {
				b.Fatal(err)
			}
			plan, err := netsetup.NewPlan(exactRun, &netsetup.Topology{Links: []netsetup.Link{l}}, features)
			if err != nil {
				b.Fatal(err)
			}
			if err := netsetup.Up(context.Background(), plan, nil); err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := netsetup.Down(exactRun, true); err != nil {
					b.Error(err)
				}
			}()
			var only unix.CPUSet
			only.Set(0)
			if err := unix.SchedSetaffinity(0, &only); err != nil {
				b.Fatal(err)
			}
			f := new(flow)
			got, err := f.throughput(b.N)
			if err != nil {
				b.Fatal(err)
			}
			if got < b.N*99/100 {
				b.Fatalf("%d of %d packets arrived", got, b.N)
			}
		})
	}
}

// throughput sends packets as fast as it can, taking what arrives in between, and
// returns how many arrived.
func (f *flow) throughput(packets int) (int, error) {
	out, in, to, err := sockets(trace.Up, false)
	if err != nil {
		return 0, err
	}
	defer unix.Close(out)
	defer unix.Close(in)
	buf := make([]byte, 1500-28)
	got := 0
	take := func() error {
		for {
			_, _, err := unix.Recvfrom(in, buf, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return nil
			}
			if err != nil {
				return err
			}
			got++
		}
	}
	for i := range packets {
		if err := unix.Sendto(out, buf, 0, to); err != nil {
			return got, err
		}
		if i%32 == 31 {
			if err := take(); err != nil {
				return got, err
			}
		}
	}
	for end := clock(unix.CLOCK_MONOTONIC) + time.Second; got < packets && clock(unix.CLOCK_MONOTONIC) < end; {
		if err := take(); err != nil {
			return got, err
		}
	}
	return got, nil
}

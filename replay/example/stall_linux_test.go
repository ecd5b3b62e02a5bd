package example

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

// A stall of 400 ms holds packets back and loses none.
func testStall(t *testing.T) {
	// The tape: 6 Mbit/s on the way up, with a stall in it.
	state := func(at time.Duration, rate trace.BitRate) trace.Step {
		return trace.Step{At: at, Link: "att", Dir: trace.Up, State: trace.State{Rate: rate, Carrier: true}}
	}
	tape := filepath.Join(t.TempDir(), "stall.tape")
	err := trace.WriteFile(tape, &trace.Timeline{
		Meta: trace.Meta{Duration: time.Second, Generator: "test", Links: []trace.Link{{Name: "att", Up: true}}},
		Steps: []trace.Step{
			state(0, 6*trace.Mbit),
			state(300*time.Millisecond, 0),
			state(700*time.Millisecond, 6*trace.Mbit),
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	// The code under test: here a sender of 90 packets, one every 10 ms, and a
	// receiver, each in its end of the link.
	const packets = 90
	var received []byte
	code := func(ctx context.Context, s *replay.Session) error {
		var in, out *net.UDPConn
		to := netip.AddrPortFrom(s.Receiver("att"), 5000)
		err := s.In(netsetup.ReceiverEnd, func() (err error) {
			in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(to))
			return err
		})
		if err != nil {
			return err
		}
		defer in.Close()
		err = s.In(netsetup.SenderEnd, func() (err error) {
			out, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
			return err
		})
		if err != nil {
			return err
		}
		defer out.Close()
		context.AfterFunc(ctx, func() { in.Close() }) // the replay has failed

		s.Begin()
		go func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := range byte(packets) {
				out.Write(append(make([]byte, 999), n))
				<-tick.C
			}
		}()
		for buf := make([]byte, 2000); len(received) < packets; {
			n, err := in.Read(buf)
			if err != nil {
				return err
			}
			received = append(received, buf[n-1])
		}
		<-s.Done()
		return nil
	}

	// The links stand while Do runs.
	result, err := replay.Do(t.Context(), replay.Job{
		Run: "stall", Tape: tape,
		Options: replay.Options{Record: replay.Recording{Counters: 100 * time.Millisecond}},
	}, code)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range received {
		if int(n) != i {
			t.Errorf("packet %d arrived in place %d", n, i)
		}
	}
	if up := result.Summary.Links[0]; up.Packets < packets || up.Drops != 0 { // hosts send some of themselves
		t.Errorf("the link delivered %d packets and dropped %d", up.Packets, up.Drops)
	}
	for _, step := range result.Log {
		t.Logf("%v late by %v: %v", time.Duration(step.Due), time.Duration(step.Sent-step.Due), trace.BitRate(step.Rate))
		if stalled := step.Rate == 0; step.Closed != stalled {
			t.Errorf("step %v: %+v", time.Duration(step.Due), step)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"linktape/internal/lab"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

var long = flag.Duration("long", 10*time.Minute, "of the tape that is replayed to look for drift and memory, up to 24h")

// Of the long tape.
const (
	longStep    = 500 * time.Millisecond // of both directions
	longPackets = time.Second            // from one packet to the next
	longBytes   = 1000                   // of an IP packet
)

// longRate is the rate of a step of the long tape. 800 kbit/s and each further
// 16 kbit/s are whole bytes in a step.
func longRate(i int) trace.BitRate { return 800*trace.Kbit + trace.BitRate(i%7)*16*trace.Kbit }

// longResult is what the role "long" prints.
type longResult struct {
	Summary        *replay.Summary
	Rows           int64
	First, Last    time.Duration // the largest lateness of the first and the last tenth's steps
	Most           time.Duration // of all
	Early          int64         // steps sent before they were due
	End            time.Duration // the last step's instant
	Elapsed        time.Duration // on the lab's own clock, from the first instant until the tape had been played
	Sent, Received int64         // packets
	Delivered      int64         // bytes, of Received
	Resident       []int64       // bytes, at equal distances
	Heap           []int64       // bytes, the same
}

// playLong is the role "long DURATION": it replays a tape of that length, with a
// packet a second in the link, and prints a longResult.
func playLong(args []string) error {
	length, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	const tape = "long.tape"
	if err := writeLong(tape, length); err != nil {
		return err
	}
	if err := os.Mkdir("run", 0o777); err != nil {
		return err
	}
	var r longResult
	job := replay.Job{Run: "long", Tape: tape, Options: replay.Options{Record: replay.Recording{Dir: "run", Counters: 10 * time.Second, ReadBack: time.Minute}}}
	result, err := replay.Do(context.Background(), job, func(ctx context.Context, s *replay.Session) error { return r.beside(ctx, s, length) })
	if err != nil {
		return err
	}
	r.Summary = result.Summary
	for row, err := range replay.LogRows("run/" + replay.LogFile) {
		if err != nil {
			return err
		}
		late := time.Duration(row.Sent - row.Due)
		if late < 0 {
			r.Early++
		}
		r.Most = max(r.Most, late)
		switch due := time.Duration(row.Due); {
		case due < length/10:
			r.First = max(r.First, late)
		case due >= length*9/10:
			r.Last = max(r.Last, late)
		}
		r.End = time.Duration(row.Due)
		r.Rows++
	}
	return json.NewEncoder(os.Stdout).Encode(&r)
}

func writeLong(tape string, length time.Duration) error {
	w, err := trace.Create(tape, trace.Meta{Duration: length, Generator: "long 1", Links: []trace.Link{{Name: "a", Up: true, Down: true}}})
	if err != nil {
		return err
	}
	for i := range int(length / longStep) {
		state := trace.State{Rate: longRate(i), Carrier: true}
		at := time.Duration(i) * longStep
		if err := w.Write([]trace.Step{{At: at, Link: "a", Dir: trace.Down, State: state}, {At: at, Link: "a", Dir: trace.Up, State: state}}); err != nil {
			return err
		}
	}
	return w.Close()
}

// beside sends and receives, and looks at the process's memory.
func (r *longResult) beside(ctx context.Context, s *replay.Session, length time.Duration) error {
	var in, out *net.UDPConn
	to := netip.AddrPortFrom(s.Receiver("a"), 5000)
	if err := s.In(netsetup.ReceiverEnd, func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(to))
		return err
	}); err != nil {
		return err
	}
	if err := s.In(netsetup.SenderEnd, func() (err error) {
		out, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	}); err != nil {
		return err
	}
	defer out.Close()
	received := make(chan struct{})
	go func() {
		defer close(received)
		for buf := make([]byte, 2*longBytes); ; r.Received++ {
			n, err := in.Read(buf)
			if err != nil {
				return
			}
			r.Delivered += int64(n) + 28
		}
	}()
	defer func() { in.Close(); <-received }()
	s.Begin()
	begun := time.Now().Add(-s.Position())
	packet := make([]byte, longBytes-28) // IPv4, UDP
	tick := time.NewTicker(longPackets)
	defer tick.Stop()
	look := time.NewTicker(length / 24)
	defer look.Stop()
	for {
		select {
		case <-s.Done():
			r.Elapsed = time.Since(begun)
			return ctx.Err()
		case <-look.C:
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			r.Heap = append(r.Heap, int64(m.HeapAlloc))
			r.Resident = append(r.Resident, residentBytes())
		case <-tick.C:
			if _, err := out.Write(packet); err != nil {
				return err
			}
			r.Sent++
		}
	}
}

// residentBytes is the memory that this process has (proc_pid_statm(5)).
func residentBytes() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}

// A replay of hours does not drift: its last steps are as punctual as its first,
// and it ends when the tape does. Its memory does not grow, every step is in the
// log, and every packet in the counters. make soak does so with 24 hours.
func TestLongTape(t *testing.T) {
	_, stdout, run := labOf(t, lab.Virtual, "long", long.String())
	var r longResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	t.Logf("%v of tape took %v; lateness of the first tenth %v, of the last %v, of all %v; memory %s MiB, heap %s MiB",
		*long, run.Wall.Round(time.Second), r.First, r.Last, r.Most, mebibytes(r.Resident), mebibytes(r.Heap))
	s := r.Summary
	steps := 2 * int64(*long/longStep)
	if s.Steps != steps || r.Rows != steps || s.Missed != 0 || s.Starved != 0 || s.Unlogged != 0 || s.Stopped || s.Played != *long || r.End != *long-longStep {
		t.Errorf("%d steps, %d rows, the last at %v, want %d; %d missed, %d starved, %d unlogged, played %v", s.Steps, r.Rows, r.End, steps, s.Missed, s.Starved, s.Unlogged, s.Played)
	}
	const most = 20 * time.Microsecond
	if r.Most > most || r.Early != 0 || s.Lateness.Max > most {
		t.Errorf("steps late by up to %v, %d of them early: want %v at most", r.Most, r.Early, most)
	}
	if late := r.Elapsed - *long; late < 0 || late > 100*time.Millisecond {
		t.Errorf("the replay ended %v after the tape", late)
	}
	if w := s.Wall; w == nil || w.Drift < -1 || w.Drift > 1 {
		t.Errorf("against the wall clock: %+v", w)
	}
	// What the tape allows, to the byte, and what was sent.
	var tape int64
	for i := range int(*long / longStep) {
		tape += int64(longRate(i)) * int64(longStep/time.Millisecond) / 8000
	}
	for _, l := range s.Links {
		if l.TapeBytes != tape || l.Drops != 0 {
			t.Errorf("%s.%s: the tape allowed %d bytes, want %d; %d dropped", l.Link, l.Dir, l.TapeBytes, tape, l.Drops)
		}
	}
	up := s.Links[1]
	if want := int64(*long / longPackets); r.Sent < want-1 || r.Sent > want || r.Received != r.Sent || r.Delivered != longBytes*r.Sent {
		t.Errorf("sent %d packets, want %d; received %d with %d bytes", r.Sent, want, r.Received, r.Delivered)
	}
	// Hosts send some of themselves.
	if more := up.DeliveredBytes - r.Delivered; more < 0 || more > 5000 {
		t.Errorf("the bottleneck counted %d bytes, of which %d were not ours", up.DeliveredBytes, more)
	}
	if b := s.ReadBack; b == nil || b.Readings == 0 || b.Differ != 0 {
		t.Errorf("read back: %+v", b)
	}
	if len(r.Resident) < 20 {
		t.Fatalf("%d looks at the memory", len(r.Resident))
	}
	// From the first quarter on.
	settled := r.Resident[6:]
	for i, n := range settled {
		if n > settled[0]+4<<20 {
			t.Errorf("after %d/24 of the tape the process has %d bytes, %d more than at a quarter", i+7, n, n-settled[0])
		}
	}
}

func mebibytes(v []int64) string {
	var out []string
	for _, n := range v {
		out = append(out, fmt.Sprintf("%.1f", float64(n)/(1<<20)))
	}
	return strings.Join(out, " ")
}

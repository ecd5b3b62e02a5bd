package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/record"
	prober "linktape/record/probe"
	"linktape/replay"
	"linktape/trace"
)

// Spans of the tape that is probed. Link a has a rate that changes each second, link
// b a delay that changes, and losses.
const (
	probedFar   = 4 * time.Second
	probedLossy = 8 * time.Second
	probedOver  = 20 * time.Second
)

func probedRates() []trace.BitRate {
	return []trace.BitRate{4 * trace.Mbit, 8 * trace.Mbit, 3 * trace.Mbit, 6 * trace.Mbit}
}

func probedScript() *trace.Timeline {
	queue := &trace.Queue{Kind: trace.DropTail, LimitBytes: 1_000_000}
	t := &trace.Timeline{Meta: trace.Meta{Duration: probedOver, Seed: 9, Generator: "test",
		Links: []trace.Link{{Name: "a", Up: true, Queue: queue}, {Name: "b", Up: true, Queue: queue}}}}
	rates := probedRates()
	for at := time.Duration(0); at < probedOver; at += time.Second {
		s := trace.State{Rate: rates[int(at/time.Second)%len(rates)], Delay: 20 * time.Millisecond, Carrier: true}
		t.Steps = append(t.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: s})
		b := trace.State{Rate: 10 * trace.Mbit, Delay: 20 * time.Millisecond, Carrier: true}
		switch at {
		case 0:
		case probedFar:
			b.Delay = 50 * time.Millisecond
		case probedLossy:
			b.Loss = 0.05
		default:
			continue
		}
		t.Steps = append(t.Steps, trace.Step{At: at, Link: "b", Dir: trace.Up, State: b})
	}
	return t
}

// probeServe is the role "probe-serve": a server until standard input ends.
func probeServe([]string) error {
	s, err := prober.Listen(":7311")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	os.Stdout.WriteString("ready\n")
	return s.Serve(ctx)
}

// probeRun is the role "probe-run LINK DEVICE:ADDRESS": link a loaded, link b
// sparsely. It leaves LINK.json and LINK.parquet.
func probeRun(args []string) error {
	spec, err := prober.ParseLink(args[0] + "=" + args[1])
	if err != nil {
		return err
	}
	same := time.Duration(0)
	opts := prober.Options{
		Links: []prober.LinkSpec{spec}, Duration: probedOver + 2*time.Second, Max: 20 * trace.Mbit, Unknown: trace.Gbit,
		Bytes: probeBytes, Echo: 20 * time.Millisecond, Timeout: 2 * time.Second, Offset: &same, Sparse: args[0] == "b",
	}
	if opts.Sparse {
		opts.Echo = 2 * time.Millisecond
	}
	if opts.Record, err = (record.Options{}).Defaults(); err != nil {
		return err
	}
	f, err := create(args[0] + ".parquet")
	if err != nil {
		return err
	}
	rows, err := table.NewWriter[record.Bin](f)
	if err != nil {
		return err
	}
	res, err := prober.Run(context.Background(), opts, prober.Sinks{
		Begin: func(*prober.Result, map[trace.LinkDir]time.Duration) error { return nil },
		Steps: func([]trace.Step) error { return nil },
		Bins:  rows.Write,
	})
	if err := errors.Join(err, rows.Close(), f.Close()); err != nil {
		return err
	}
	data, err := json.Marshal(res)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0]+".json", data, 0o666)
}

// probeTape is the role "probe-tape": it replays the tape while both links are
// probed.
func probeTape([]string) error {
	ctx := context.Background()
	const tape = "script.tape"
	if err := trace.WriteFile(tape, probedScript()); err != nil {
		return err
	}
	reader, err := trace.Open(tape)
	if err != nil {
		return err
	}
	defer reader.Close()
	topology := netsetup.LinksOf(reader.Meta())
	for i := range topology.Links {
		topology.Links[i].Delay = 20 * time.Millisecond // before and after the tape too
	}
	return links(ctx, topology, func(run string, in func(string, ...string) *exec.Cmd) error {
		server, err := begin(in(netsetup.ReceiverEnd, "probe-serve"), nil)
		if err != nil {
			return err
		}
		var clients []*exec.Cmd
		for i, name := range []string{"a", "b"} {
			c := in(netsetup.SenderEnd, "probe-run", name, netsetup.EndDevice(i)+":"+netsetup.LinkAddresses(i).Receiver[0].Addr().String())
			c.Stderr = os.Stderr
			if err := c.Start(); err != nil {
				return err
			}
			clients = append(clients, c)
		}
		time.Sleep(2 * time.Second) // the second without load, and one to begin
		open, err := netsetup.Open(run)
		if err != nil {
			return err
		}
		player, err := replay.New(ctx, reader, replay.OnRun(open), replay.Options{})
		if err != nil {
			return err
		}
		summary, err := player.Run(ctx, replay.NewMonotonic(replay.DefaultSpin), nil)
		err = errors.Join(err, open.Close())
		for _, c := range clients {
			err = errors.Join(err, c.Wait())
		}
		if err := errors.Join(err, server.end()); err != nil {
			return err
		}
		data, err := json.Marshal(summary)
		if err != nil {
			return err
		}
		return os.WriteFile("summary.json", data, 0o666)
	})
}

// A tape that is replayed and probed is measured as it is: where the load fills the
// link each 100 ms of it carry the tape's rate within 2 % and a packet, delays agree
// within a millisecond, losses within five standard errors.
func TestProbedTape(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel")
	dir, _ := inLab(t, "probe-tape")
	read := func(name string, v any) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var summary replay.Summary
	read("summary.json", &summary)
	const bin = 100 * time.Millisecond
	bins := func(link string) (up, down []record.Bin, start time.Duration) {
		t.Helper()
		var res prober.Result
		read(link+".json", &res)
		rows, err := table.ReadFile[record.Bin](filepath.Join(dir, link+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Dir == "up" {
				up = append(up, r)
			} else {
				down = append(down, r)
			}
		}
		return up, down, res.Start.Sub(summary.Epoch)
	}

	up, _, start := bins("a")
	rates := probedRates()
	var tape, got float64
	queued, all := 0, 0
	for _, b := range up {
		at := start + time.Duration(b.At)
		if at < time.Second || at+bin > probedOver {
			continue
		}
		all++
		if b.Label != record.LabelQueued {
			continue
		}
		queued++
		want := 0.0
		for ms := range 100 {
			want += float64(rates[int((at+time.Duration(ms)*time.Millisecond)/time.Second)%len(rates)]) / 8000
		}
		packets := 1.0
		if at/time.Second != (at+bin-1)/time.Second {
			packets = 2
		}
		if d := float64(b.DeliveredBytes) - want; math.Abs(d) > 0.02*want+packets*probeBytes {
			t.Errorf("a at %v: %d bytes, want %.0f", at, b.DeliveredBytes, want)
		}
		tape += want
		got += float64(b.DeliveredBytes)
	}
	if queued*10 < all*8 {
		t.Errorf("a queue stands in %d of %d bins, want 80 %%", queued, all)
	}
	if math.Abs(got/tape-1) > 0.01 {
		t.Errorf("where a queue stands %.0f bytes were delivered, %.0f on the tape", got, tape)
	}

	up, down, start := bins("b")
	var lost, sent float64
	for _, b := range up {
		at := start + time.Duration(b.At)
		want := 20.0
		switch {
		case at < bin || at+2*bin > probedOver:
			continue
		case at >= probedFar && at < probedLossy:
			want = 50
		}
		if changing := at-bin < probedFar && at+2*bin > probedFar || at-bin < probedLossy && at+2*bin > probedLossy; changing {
			continue
		}
		if d := float64(b.DelayMedian)/1e6 - want; math.Abs(d) > 1 {
			t.Errorf("b at %v: delay %v, want %v ms", at, time.Duration(b.DelayMedian), want)
		}
		if at < probedLossy {
			if b.Lost > 0 {
				t.Errorf("b at %v: %d lost of %d, before there is any loss", at, b.Lost, b.Sent)
			}
			continue
		}
		lost += float64(b.Lost)
		sent += float64(b.Sent)
	}
	if sent < 4000 || math.Abs(lost/sent-0.05) > 5*math.Sqrt(0.05*0.95/sent) {
		t.Errorf("b: %v of %v lost, want 5 %%", lost, sent)
	}
	answered := 0
	for _, b := range down {
		if b.Delivered > 0 {
			answered++
			if d := float64(b.DelayMedian) / 1e6; math.Abs(d-20) > 1 {
				t.Errorf("b down at %v: delay %v ms, want 20", time.Duration(b.At), d)
			}
		}
		if b.Lost > 0 {
			t.Errorf("b down at %v: %d lost", time.Duration(b.At), b.Lost)
		}
	}
	if answered < 190 {
		t.Errorf("%d bins with answers, want at least 190", answered)
	}
	t.Logf("a: a queue in %d of %d bins, %+.2f %% of the tape there; b: %.2f %% lost of 5", queued, all, 100*(got/tape-1), 100*lost/sent)
}

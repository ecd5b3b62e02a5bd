package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/record"
	"linktape/record/pcap"
	"linktape/replay"
	"linktape/trace"
)

// Spans of the tape that is recorded again, by their starts. The load is 4 Mbit/s.
const (
	recordNear   = 0 * time.Second // 10 Mbit/s, 20 ms
	recordFar    = 2 * time.Second // 50 ms
	recordNarrow = 4 * time.Second // rates below the load, another each 500 ms
	recordDrain  = 14 * time.Second
	recordLossy  = 16 * time.Second // 5 % lost, each by itself
	recordBursty = 26 * time.Second
	recordOver   = 46 * time.Second
)

// narrowRates are what a link that is recorded can do while it is narrow.
func narrowRates() []trace.BitRate {
	return []trace.BitRate{1 * trace.Mbit, 3 * trace.Mbit, 1500 * trace.Kbit, 2200 * trace.Kbit}
}

func recordScript() *trace.Timeline {
	base := trace.State{Rate: 10 * trace.Mbit, Delay: 20 * time.Millisecond, Carrier: true}
	t := &trace.Timeline{Meta: trace.Meta{Duration: recordOver, Seed: 3, Generator: "test",
		Links: []trace.Link{{Name: "a", Up: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 100_000}}}}}
	add := func(at time.Duration, change func(s *trace.State)) {
		s := base
		change(&s)
		t.Steps = append(t.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: s})
	}
	add(recordNear, func(s *trace.State) {})
	add(recordFar, func(s *trace.State) { s.Delay = 50 * time.Millisecond })
	rates := narrowRates()
	for i := 0; recordNarrow+time.Duration(i)*500*time.Millisecond < recordDrain; i++ {
		add(recordNarrow+time.Duration(i)*500*time.Millisecond, func(s *trace.State) { s.Rate = rates[i%len(rates)] })
	}
	add(recordDrain, func(s *trace.State) {})
	add(recordLossy, func(s *trace.State) { s.Loss = 0.05 })
	add(recordBursty, func(s *trace.State) { s.GE = burstyChain() })
	return t
}

// recordTape replays a tape under probes and captures both sides of the link.
func recordTape(ctx context.Context) error {
	const tape = "script.tape"
	if err := trace.WriteFile(tape, recordScript()); err != nil {
		return err
	}
	reader, err := trace.Open(tape)
	if err != nil {
		return err
	}
	defer reader.Close()
	topology := netsetup.LinksOf(reader.Meta())
	topology.Links[0].Delay = 20 * time.Millisecond // before and after the tape too
	return links(ctx, topology, func(run string, in func(string, ...string) *exec.Cmd) error {
		address := netsetup.LinkAddresses(0).Receiver[0].Addr().String()
		// The sender's side is where its packets come into the router.
		before, err := capture("s0", func(argv ...string) *exec.Cmd { return in("a", argv...) })
		if err != nil {
			return err
		}
		after, err := capture(netsetup.EndDevice(0), func(argv ...string) *exec.Cmd { return in(netsetup.ReceiverEnd, argv...) })
		if err != nil {
			return err
		}
		sink, err := begin(in(netsetup.ReceiverEnd, "receive", address), nil)
		if err != nil {
			return err
		}
		count := int((recordOver + time.Second) / probeInterval)
		source := in(netsetup.SenderEnd, "send", address, strconv.Itoa(probeBytes), probeInterval.String(), strconv.Itoa(count))
		source.Stderr = os.Stderr
		open, err := netsetup.Open(run)
		if err != nil {
			return err
		}
		player, err := replay.New(ctx, reader, replay.OnRun(open), replay.Options{})
		if err != nil {
			return err
		}
		if err := source.Start(); err != nil {
			return err
		}
		summary, err := player.Run(ctx, replay.NewMonotonic(replay.DefaultSpin), nil)
		err = errors.Join(err, open.Close(), source.Wait())
		time.Sleep(handOver)
		err = errors.Join(err, sink.end(), before.end(), after.end())
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(summary, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile("summary.json", data, 0o666)
	})
}

// recorded is a recording of a tape that was replayed.
type recorded struct {
	start time.Duration // of the recording, on the tape
	bins  []record.Bin
	stats record.Stats
}

// checkRecord makes a tape of the captures and compares it with the one that was
// replayed.
func checkRecord(t *testing.T, dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary replay.Summary
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	survey, err := pcap.Look(ctx, []string{filepath.Join(dir, "s0.pcap")}, []string{filepath.Join(dir, "w0.pcap")}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := pcap.ParseSpec("a=" + netsetup.LinkAddresses(0).Receiver[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	links, err := survey.Resolve([]pcap.Spec{spec})
	if err != nil {
		t.Fatal(err)
	}
	same := time.Duration(0)
	timing, err := survey.Time(links, pcap.ClockOptions{Offset: &same})
	if err != nil {
		t.Fatal(err)
	}
	job, err := pcap.NewJob(survey, links, timing, record.Options{}, pcap.DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	meta := job.Meta()
	start, err := time.Parse(time.RFC3339Nano, meta.Sources[0].Choices["start"])
	if err != nil {
		t.Fatal(err)
	}
	again := &recorded{start: start.Sub(summary.Epoch)}
	result, err := job.Run(ctx, func([]trace.Step) error { return nil }, func(b *record.Bin) error {
		again.bins = append(again.bins, *b)
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.stats = result.Directions[0].Stats
	if n := result.Directions[0].Strays; n != 0 {
		t.Errorf("%d arrivals were not seen to be sent", n)
	}
	again.compare(t)
}

// between are the bins that lie wholly within a span of the tape.
func (r *recorded) between(from, to time.Duration) []record.Bin {
	var out []record.Bin
	for _, b := range r.bins {
		if at := r.start + time.Duration(b.At); at >= from && at+100*time.Millisecond <= to {
			out = append(out, b)
		}
	}
	return out
}

// compare checks delays within a millisecond, the rate of each bin within 2 % and
// a packet for each rate in it, and losses and bursts within five standard errors.
func (r *recorded) compare(t *testing.T) {
	t.Helper()
	near := func(what string, got, want, within float64) {
		t.Helper()
		if !(math.Abs(got-want) <= within) {
			t.Errorf("%s: got %v, want %v ± %v", what, got, want, within)
		}
	}
	const settle = 100 * time.Millisecond
	for _, c := range []struct {
		name     string
		from, to time.Duration
		delay    float64 // ms
	}{{"near", recordNear + settle, recordFar, 20}, {"far", recordFar + settle, recordNarrow - settle, 50}, {"lossy", recordLossy + settle, recordBursty, 20}, {"bursty", recordBursty + settle, recordOver - settle, 20}} {
		bins := r.between(c.from, c.to)
		if want := int((c.to-c.from)/(100*time.Millisecond)) - 1; len(bins) < want {
			t.Errorf("%s: %d bins, want %d", c.name, len(bins), want)
		}
		for _, b := range bins {
			near(c.name+" at "+time.Duration(b.At).String()+": median delay, ms", float64(b.DelayMedian)/1e6, c.delay, 1)
		}
	}

	// The rates, where a queue stands.
	var tape, got float64
	queued := 0
	rates := narrowRates()
	for _, b := range r.between(recordNarrow+500*time.Millisecond, recordDrain) {
		at := r.start + time.Duration(b.At) - recordNarrow
		want := 0.0 // bytes
		for ms := range 100 {
			i := int((at + time.Duration(ms)*time.Millisecond) / (500 * time.Millisecond))
			want += float64(rates[i%len(rates)]) / 8000
		}
		packets := 1.0
		if at/(500*time.Millisecond) != (at+99*time.Millisecond)/(500*time.Millisecond) {
			packets = 2 // one each for the end and the beginning of a rate
		}
		near("bytes at "+time.Duration(b.At).String(), float64(b.DeliveredBytes), want, 0.02*want+packets*probeBytes)
		tape += want
		got += float64(b.DeliveredBytes)
		if b.Label == record.LabelQueued {
			queued++
		}
	}
	near("bytes while narrow", got, tape, 0.005*tape)
	if queued < 90 {
		t.Errorf("%d bins are labelled queued, want at least 90 of 95", queued)
	}

	losses := func(from, to time.Duration) (lost, sent float64) {
		for _, b := range r.between(from, to) {
			lost += float64(b.Lost)
			sent += float64(b.Sent)
		}
		return lost, sent
	}
	lost, sent := losses(recordLossy, recordBursty)
	near("loss", lost/sent, 0.05, 5*math.Sqrt(0.05*0.95/sent))
	chain := burstyChain()
	independent := lost / sent
	lost, sent = losses(recordBursty, recordOver)
	factor := (2 - float64(chain.P) - float64(chain.R)) / (float64(chain.P) + float64(chain.R)) // see checkTape
	near("bursty loss", lost/sent, chain.Loss(), 5*math.Sqrt(chain.Loss()*(1-chain.Loss())*factor/sent))
	if r.stats.Bursts.Max < 8 {
		t.Errorf("longest burst %d packets, want some of 8 and more with a mean of 5", r.stats.Bursts.Max)
	}
	t.Logf("while narrow %+.3f %%, loss %.4f of 0.05, bursty loss %.4f of %.4f, delays %+v", 100*(got/tape-1), independent, lost/sent, chain.Loss(), r.stats.Delay)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

const (
	packetBytes = 1500

	// window is the number of packets that the source keeps on their way: less
	// than the queue holds, so that none is dropped, and more than any 5 ms of a
	// field trace deliver, so that the queue never runs dry.
	window = 128

	// settle is when a link has said all that it says of itself (IGMP, MLD):
	// those packets would take the place of others.
	settle = 3 * time.Second

	// early is how long before the tape the link is stalled, so that the queue
	// is full when it begins.
	early = 500 * time.Millisecond
)

// measure plays a tape onto a link of a kind that is saturated, and judges what
// arrives. It needs root.
func measure(ctx context.Context, k kind, tl *trace.Timeline, step time.Duration) (c *cell, err error) {
	dir, err := os.MkdirTemp("", "accuracy")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "cell.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		return nil, err
	}
	tape, err := trace.Open(file)
	if err != nil {
		return nil, err
	}
	defer tape.Close()

	features, _, err := netsetup.Probe()
	if err != nil {
		return nil, err
	}
	l := netsetup.DefaultLink(link)
	l.Path = netsetup.PathNone
	k.apply(&l, step)
	const run = "accuracy"
	plan, err := netsetup.NewPlan(run, &netsetup.Topology{Links: []netsetup.Link{l}}, features)
	if err != nil {
		return nil, err
	}
	if err := netsetup.Up(ctx, plan, nil); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, netsetup.Down(run, true)) }()
	r, err := netsetup.Open(run)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	time.Sleep(settle)
	// In the middle between the ticks, from before the tape on.
	phase, before := 500*time.Microsecond, 100*time.Millisecond
	if r.Exact(link) {
		// Just after the tape has begun: what comes before passes by the link's own state.
		phase, before = 50*time.Microsecond, 0
	} else {
		e, err := r.Endpoint(trace.LinkDir{Link: link, Dir: trace.Up})
		if err != nil {
			return nil, err
		}
		if _, err := e.Apply(0, early, &trace.State{Carrier: true}); err != nil {
			return nil, err
		}
	}
	at := time.Now().Add(early).Truncate(10 * time.Millisecond)
	player, err := replay.New(ctx, tape, replay.OnRun(r), replay.Options{At: at})
	if err != nil {
		return nil, err
	}
	load, err := newLoad(r, packetBytes, window)
	if err != nil {
		return nil, err
	}
	defer load.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan error, 1)
	go func() {
		err := load.run(phase, at.Add(-before), at.Add(tl.Meta.Duration+50*time.Millisecond))
		if err != nil {
			stop()
		}
		loaded <- err
	}()
	sum, err := player.Run(ctx, replay.NewMonotonic(replay.DefaultSpin), nil)
	if err := errors.Join(err, <-loaded); err != nil {
		return nil, err
	}
	switch {
	case sum.Joined > 0:
		return nil, fmt.Errorf("the replay began %v late", sum.Joined)
	case sum.Stopped:
		return nil, errors.New("the replay was stopped")
	case load.idle > 0:
		return nil, fmt.Errorf("the source was late %d times and may have let the queue run dry", load.idle)
	}
	arrivals := make([]time.Duration, len(load.arrivals))
	for i, t := range load.arrivals {
		arrivals[i] = time.Duration(t - sum.Epoch.UnixNano())
	}
	return &cell{
		Kind: k.name, Step: step, Length: tl.Meta.Duration,
		Score:   judge(serviceOf(tl, tl.Meta.Duration), arrivals, packetBytes, step),
		Dropped: load.lost, Lateness: sum.Lateness.Max,
	}, nil
}

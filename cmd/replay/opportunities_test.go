package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/edt"
	"linktape/replay"
	"linktape/trace"
	"linktape/trace/convert"
)

// opportunitiesTape imports a Mahimahi trace with its opportunities as x.up.
func opportunitiesTape(t *testing.T, schedule []int64) *trace.Timeline {
	t.Helper()
	var text strings.Builder
	for _, ms := range schedule {
		fmt.Fprintln(&text, ms)
	}
	res, err := convert.Import("mahimahi", strings.NewReader(text.String()), "x.up", convert.ImportOptions{Opportunities: true})
	if err != nil {
		t.Fatal(err)
	}
	meta, steps, err := convert.Merge([]convert.Input{{LinkDir: trace.LinkDir{Link: "x", Dir: trace.Up}, Result: res}}, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tl := &trace.Timeline{Meta: meta}
	for s := range steps {
		tl.Steps = append(tl.Steps, s)
	}
	return tl
}

// never is when a packet leaves that still waits at the end.
const never = -1

// departures is what Mahimahi's LinkQueue does (src/frontend/link_queue.cc): it
// burns every opportunity that has come, each of so many bytes, before it takes a
// packet in; its clock counts whole ms. Every packet has so many bytes of header.
// It returns for each packet the ms at which it leaves.
func departures(schedule []int64, loops int, arrivals []replay.Arrival, opportunity, header int) []int64 {
	out := make([]int64, len(arrivals))
	for i := range out {
		out[i] = never
	}
	period := schedule[len(schedule)-1]
	end := period * int64(loops)
	var queue []int // packets
	left := 0       // bytes of the packet in transit, queue[0]; 0: none is
	next, base := 0, int64(0)
	burn := func(now int64) {
		for base+schedule[next] <= now {
			at := base + schedule[next]
			if next++; next == len(schedule) {
				next, base = 0, base+period
			}
			for room := opportunity; room > 0 && len(queue) > 0; {
				if left == 0 {
					left = arrivals[queue[0]].Bytes + header
				}
				sent := min(room, left)
				room, left = room-sent, left-sent
				if left == 0 {
					out[queue[0]] = at
					queue = queue[1:]
				}
			}
		}
	}
	for i, a := range arrivals {
		burn(int64(a.At / time.Millisecond))
		queue = append(queue, i)
	}
	burn(end)
	return out
}

// simulated is when Simulate lets each packet leave.
func simulated(t *testing.T, tl *trace.Timeline, loops int, arrivals []replay.Arrival) []time.Duration {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	tape, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	i := 0
	next := func() (replay.Arrival, error) {
		if i == len(arrivals) {
			return replay.Arrival{}, io.EOF
		}
		i++
		return arrivals[i-1], nil
	}
	var out []time.Duration
	_, err = replay.Simulate(t.Context(), tape, next, replay.SimulateOptions{
		Times: loops, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 1 << 40},
		Each: func(_ trace.LinkDir, _ int64, _ replay.Arrival, v edt.Verdict) error {
			left := v.Left
			if v.Fate == edt.Unknown {
				left = never
			}
			out = append(out, left)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(arrivals) {
		t.Fatalf("%d packets of %d were decided", len(out), len(arrivals))
	}
	return out
}

// randomSchedule draws opportunities with bursts of up to so many in a ms, with
// gaps, and with some at 0.
func randomSchedule(rng *rand.Rand, burst int) []int64 {
	var out []int64
	at := int64(rng.IntN(2))
	for range 30 + rng.IntN(60) {
		for range 1 + rng.IntN(burst) {
			out = append(out, at)
		}
		at += 1 + int64(rng.IntN(6))
		if rng.IntN(12) == 0 {
			at += int64(rng.IntN(400))
		}
	}
	return append(out, at)
}

// randomArrivals draws packets at whole µs, no closer than so many before the next
// ms, until a little before the end of what is played.
func randomArrivals(rng *rand.Rand, end, spacing time.Duration, keepOff, least int) []replay.Arrival {
	var out []replay.Arrival
	for at := time.Duration(0); at < end; {
		us := at / time.Microsecond
		if off := us % 1000; off > time.Duration(1000-keepOff) {
			us += time.Duration(1000) - off
		}
		if us*time.Microsecond < end {
			out = append(out, replay.Arrival{At: us * time.Microsecond, Bytes: least + rng.IntN(1500-least+1)})
		}
		at = us*time.Microsecond + time.Duration(rng.Int64N(int64(2*spacing)))
	}
	return out
}

// Packet by packet, a tape of opportunities does what Mahimahi does: each packet
// leaves within a pulse before the ms at which it leaves there. That counts 1500
// bytes of IP where Mahimahi has 1504 with its device's header (see below).
func TestOpportunitiesAsMahimahi(t *testing.T) {
	for _, tc := range []struct {
		name           string
		burst          int           // opportunities in a ms, at most
		spacing        time.Duration // of packets, in the mean
		least          int           // bytes of a packet
		keepOff        int           // µs before a ms at which none comes: the length of a pulse
		pulse          time.Duration
		waiting, idles bool // what must be seen: packets that wait at the end, opportunities unused
	}{
		{"saturated", 3, 150 * time.Microsecond, 1500, 1, time.Microsecond, true, false},
		{"saturated, of any size", 3, 100 * time.Microsecond, 1, 1, time.Microsecond, true, false},
		{"sparse", 3, 40 * time.Millisecond, 1500, 1, time.Microsecond, false, true},
		{"sparse, of any size", 2, 15 * time.Millisecond, 1, 1, time.Microsecond, false, true},
		{"lengthened pulses", 400, 200 * time.Microsecond, 1, 5, 5 * time.Microsecond, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			waiting, compared := false, 0
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 8))
				schedule := randomSchedule(rng, tc.burst)
				tl := opportunitiesTape(t, schedule)
				const loops = 3
				end := loops * tl.Meta.Duration
				arrivals := randomArrivals(rng, end, tc.spacing, tc.keepOff, tc.least)
				want := departures(schedule, loops, arrivals, 1500, 0)
				for i, got := range simulated(t, tl, loops, arrivals) {
					compared++
					waiting = waiting || want[i] == never
					at := time.Duration(want[i]) * time.Millisecond
					if want[i] == never && got != never || want[i] != never && (got > at || got <= at-tc.pulse) {
						t.Fatalf("seed %d, packet %d of %d bytes at %v: leaves at %v, in Mahimahi at %d ms", seed, i, arrivals[i].Bytes, arrivals[i].At, got, want[i])
					}
				}
				sent := int64(0)
				for i, a := range arrivals {
					if want[i] != never {
						sent += int64(a.Bytes)
					}
				}
				if all := int64(loops*len(schedule)) * 1500; tc.idles && sent > all*9/10 || !tc.idles && sent < all*8/10 {
					t.Errorf("seed %d: %d bytes sent of %d: not the load that was meant", seed, sent, all)
				}
			}
			if tc.waiting && !waiting || compared < 1000 {
				t.Errorf("%d packets, some waiting at the end: %v", compared, waiting)
			}
		})
	}
}

// With its device's headers Mahimahi does the same to full packets; small ones
// leave no earlier there, and some later.
func TestOpportunitiesHeaders(t *testing.T) {
	later := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		schedule := randomSchedule(rng, 3)
		tl := opportunitiesTape(t, schedule)
		full := randomArrivals(rng, 2*tl.Meta.Duration, 300*time.Microsecond, 1, 1500)
		small := randomArrivals(rng, 2*tl.Meta.Duration, 30*time.Microsecond, 1, 1)
		want := departures(schedule, 2, full, 1504, 4)
		for i, got := range simulated(t, tl, 2, full) {
			if ms := ceilMs(got); ms != want[i] {
				t.Fatalf("seed %d, packet %d: leaves at %v, in Mahimahi at %d ms", seed, i, got, want[i])
			}
		}
		want = departures(schedule, 2, small, 1504, 4)
		for i, got := range simulated(t, tl, 2, small) {
			ms := ceilMs(got)
			if want[i] != never && (ms == never || ms > want[i]) {
				t.Fatalf("seed %d, packet %d of %d bytes: leaves at %v, in Mahimahi earlier, at %d ms", seed, i, small[i].Bytes, got, want[i])
			}
			if ms != want[i] {
				later++
			}
		}
	}
	if later == 0 {
		t.Error("no small packet left later in Mahimahi")
	}
}

func ceilMs(d time.Duration) int64 {
	if d == never {
		return never
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// Pulses are no faster than what package edt plays, and use all of it.
func TestOpportunitiesRates(t *testing.T) {
	most := trace.BitRate(0)
	var schedule []int64
	for range 500 {
		schedule = append(schedule, 1)
	}
	for _, s := range opportunitiesTape(t, schedule).Steps {
		most = max(most, s.Rate)
	}
	if most != edt.MaxRate {
		t.Errorf("the highest rate is %v, want %v", most, edt.MaxRate)
	}
}

package pcap

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"linktape/record/capture"
	"linktape/trace"
)

// Key says what of a mark identifies a packet, beside the payload.
type Key struct{ ID, Ports bool }

// String is how a remark names it.
func (k Key) String() string {
	text := "payload"
	if k.ID {
		text += ", IP identification"
	}
	if k.Ports {
		text += ", UDP ports"
	}
	return text
}

// of leaves of a mark what identifies the packet.
func (k Key) of(m capture.Mark) capture.Mark {
	if !k.ID {
		m.ID = 0
	}
	if !k.Ports {
		m.Ports = 0
	}
	m.RTP = false
	return m
}

// Clock turns the receiver's time into the sender's.
type Clock struct {
	Offset time.Duration // the receiver's clock is ahead by this at Ref
	Drift  int64         // and gains this on it, ns per s
	Ref    int64         // ns since 1970, by the receiver's clock
}

// sender returns an instant of the receiver's clock by the sender's.
func (c Clock) sender(t int64) int64 {
	d := t - c.Ref
	return t - int64(c.Offset) - d/1e9*c.Drift - d%1e9*c.Drift/1e9
}

// ClockOptions say how to find the clocks' difference. The zero value estimates
// the offset where there are packets in both directions and takes the clocks for
// the same otherwise.
type ClockOptions struct {
	Offset        *time.Duration // given
	Drift         int64          // given, ns per s
	EstimateDrift bool
	MinDelay      *time.Duration // of the quickest packet from sender to receiver, given, in place of an offset
}

// Timing is what a survey says of clocks and delays.
type Timing struct {
	Clock
	Key     Key
	How     string          // where the offset is from
	Bound   [2]int64        // of the offset, ns; equal where nothing bounds it
	Base    []time.Duration // smallest delay by channel, by the sender's clock
	Last    []int64         // latest arrival by channel, ns since 1970 by the sender's clock
	Matched []int           // sampled packets found on both sides, by channel
	Trend   int64           // estimated drift, ns per s; 0 where it cannot be known

	Warnings []string
}

// crossing is a sampled packet that each side saw once: when, by its own clock.
type crossing struct{ sent, received int64 }

// crossings finds them, by channel.
func (s *Survey) crossings(channels int, up []bool, key Key) [][]crossing {
	type id struct {
		channel int
		mark    capture.Mark
	}
	type seen struct {
		at [2]int64
		n  [2]int
	}
	all := make(map[id]*seen, len(s.samples[Sender]))
	for side := range s.samples {
		for _, x := range s.samples[side] {
			way := 0
			if !x.forward {
				way = 1
			}
			c := s.Flows[side][x.flow].channels[way]
			if c < 0 {
				continue
			}
			k := id{c, key.of(x.mark)}
			v := all[k]
			if v == nil {
				v = new(seen)
				all[k] = v
			}
			v.at[side] = x.at
			v.n[side]++
		}
	}
	out := make([][]crossing, channels)
	for k, v := range all {
		if v.n != [2]int{1, 1} {
			continue
		}
		x := crossing{v.at[Sender], v.at[Receiver]}
		if !up[k.channel] {
			x = crossing{v.at[Receiver], v.at[Sender]}
		}
		out[k.channel] = append(out[k.channel], x)
	}
	for _, x := range out {
		slices.SortFunc(x, func(a, b crossing) int {
			if a.sent != b.sent {
				return int(max(-1, min(1, a.sent-b.sent)))
			}
			return int(max(-1, min(1, a.received-b.received)))
		})
	}
	return out
}

// Time works out what identifies packets, how the clocks differ, and the smallest
// delay of each channel.
func (s *Survey) Time(l *Links, opts ClockOptions) (*Timing, error) {
	up := make([]bool, len(l.Channels))
	for i, c := range l.Channels {
		up[i] = c.Dir == trace.Up
	}
	t := &Timing{}
	// The most that identifies, as long as it loses few packets.
	var crossings [][]crossing
	best := -1
	for _, k := range []Key{{}, {Ports: true}, {ID: true}, {ID: true, Ports: true}} {
		x := s.crossings(len(l.Channels), up, k)
		n := 0
		for _, c := range x {
			n += len(c)
		}
		if float64(n) >= 0.9*float64(best) {
			t.Key, crossings, best = k, x, max(best, n)
		}
	}
	if best <= 0 {
		return nil, errors.New("no packet of the one capture is in the other: are they of the same time and the same traffic, and not changed on the way (a tunnel, encryption)?")
	}
	t.Matched = make([]int, len(crossings))
	for i, x := range crossings {
		t.Matched[i] = len(x)
	}
	t.Clock = Clock{Ref: s.First[Receiver], Drift: opts.Drift}
	t.Trend = trend(l, crossings)
	if opts.EstimateDrift {
		if t.Trend == 0 {
			t.Warnings = append(t.Warnings, "the drift of the clocks cannot be known: it takes packets in both directions of a link for 10 s or more; taken to be none")
		}
		t.Clock.Drift = t.Trend
	} else if lost := math.Abs(float64(t.Trend-opts.Drift)) * float64(s.Last[Receiver]-s.First[Receiver]) / 1e9; lost > 1e6 {
		t.Warnings = append(t.Warnings, fmt.Sprintf("the clocks seem to drift by %.1f ppm, %v over the captures: --drift estimate takes it out",
			float64(t.Trend)/1000, time.Duration(lost).Round(10*time.Microsecond)))
	}
	s.offset(t, l, crossings, opts)
	t.Base = make([]time.Duration, len(crossings))
	t.Last = make([]int64, len(crossings))
	for i, x := range crossings {
		if len(x) == 0 {
			continue
		}
		least := int64(math.MaxInt64)
		for _, c := range x {
			least = min(least, t.delay(up[i], c))
			at := c.received
			if up[i] {
				at = t.sender(at)
			}
			t.Last[i] = max(t.Last[i], at)
		}
		t.Base[i] = time.Duration(least)
		if least < 0 {
			t.Warnings = append(t.Warnings, fmt.Sprintf("%v: the quickest packet arrives %v before it is sent, so the clocks differ by more than was taken; its delays below 0 are 0 on the tape", l.Channels[i], time.Duration(-least)))
		}
	}
	return t, nil
}

// delay is the delay of a packet by the sender's clock.
func (c Clock) delay(up bool, x crossing) int64 {
	if up {
		return c.sender(x.received) - x.sent
	}
	return x.received - c.sender(x.sent)
}

// offset fills in the offset, with t's drift.
func (s *Survey) offset(t *Timing, l *Links, crossings [][]crossing, opts ClockOptions) {
	// By the clocks as they are (but for the drift), what bounds the offset.
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	link := ""
	quickest := int64(math.MaxInt64) // upwards
	for i, c := range l.Channels {
		if c.Dir != trace.Up || len(crossings[i]) == 0 {
			continue
		}
		least := func(x []crossing, up bool) int64 {
			m := int64(math.MaxInt64)
			for _, c := range x {
				m = min(m, t.delay(up, c))
			}
			return m
		}
		u := least(crossings[i], true)
		quickest = min(quickest, u)
		k := slices.Index(l.Channels, trace.LinkDir{Link: c.Link, Dir: trace.Down})
		if k < 0 || len(crossings[k]) == 0 {
			continue
		}
		d := least(crossings[k], false)
		if link == "" || u+d < high-low {
			link, low, high = c.Link, -d, u
		}
	}
	if link != "" {
		t.Bound = [2]int64{low, high}
	}
	switch {
	case opts.Offset != nil:
		t.Offset, t.How = *opts.Offset, "given"
	case opts.MinDelay != nil && quickest != math.MaxInt64:
		t.Offset = time.Duration(quickest) - *opts.MinDelay
		t.How = fmt.Sprintf("from the smallest delay upwards, given as %v", *opts.MinDelay)
	case opts.MinDelay != nil:
		t.How = "0: no packet from sender to receiver by which to tell"
		t.Warnings = append(t.Warnings, "no packet from sender to receiver was found: the clocks are taken for the same")
	case link != "":
		t.Offset = time.Duration(low + (high-low)/2)
		t.How = fmt.Sprintf("estimated from the smallest delays of both directions of %s, taken to be the same", link)
	default:
		t.How = "0: packets in one direction only, clocks taken for the same"
		t.Warnings = append(t.Warnings, "there are packets in one direction only, so that the clocks' offset cannot be known; they are taken for the same: give --offset or --min-delay if they are not")
	}
	if link != "" && high < low {
		t.Warnings = append(t.Warnings, fmt.Sprintf("no constant offset fits both directions of %s (off by %v): a clock was set or drifts", link, time.Duration(low-high)))
	}
}

// trend estimates the drift of the receiver's clock in ns per s, on the link whose
// packets fit a straight line best; 0 where it cannot be known.
func trend(l *Links, crossings [][]crossing) int64 {
	best, residual := int64(0), math.Inf(1)
	for i, c := range l.Channels {
		k := slices.Index(l.Channels, trace.LinkDir{Link: c.Link, Dir: trace.Down})
		if c.Dir != trace.Up || k < 0 || len(crossings[i]) < driftWindows || len(crossings[k]) < driftWindows {
			continue
		}
		slope, rest, ok := drift(crossings[i], crossings[k])
		if ok && rest < residual {
			best, residual = slope, rest
		}
	}
	return best
}

// driftWindows is into how many windows the time is cut to see a drift.
const driftWindows = 32

// drift fits a line to the offsets of windows, by the smallest delays of both
// directions in each: the slope is the median of those between any two of them
// (Theil 1950). residual is the median distance from the line, in ns. A path that
// becomes longer in one direction looks like a clock that is set, so that a line
// that fits badly counts for nothing.
func drift(up, down []crossing) (slope int64, residual float64, ok bool) {
	// Windows by the receiver's clock, as the drift is against it.
	first := min(up[0].received, down[0].sent)
	last := max(up[len(up)-1].received, down[len(down)-1].sent)
	length := (last-first)/driftWindows + 1
	if length < int64(10*time.Second/driftWindows) {
		return 0, 0, false
	}
	var least [2][driftWindows]int64
	for i := range least {
		for w := range least[i] {
			least[i][w] = math.MaxInt64
		}
	}
	put := func(way int, at, v int64) {
		w := min(max((at-first)/length, 0), driftWindows-1)
		least[way][w] = min(least[way][w], v)
	}
	for _, c := range up {
		put(0, c.received, c.received-c.sent)
	}
	for _, c := range down {
		put(1, c.sent, c.received-c.sent)
	}
	var at, offset []float64 // s, ns
	base := int64(0)
	for w := range driftWindows {
		u, d := least[0][w], least[1][w]
		if u == math.MaxInt64 || d == math.MaxInt64 {
			continue
		}
		if len(at) == 0 {
			base = (u - d) / 2
		}
		at = append(at, float64(int64(w)*length)/1e9)
		offset = append(offset, float64((u-d)/2-base))
	}
	if len(at) < driftWindows/4 {
		return 0, 0, false
	}
	var slopes []float64
	for i := range at {
		for j := range i {
			slopes = append(slopes, (offset[i]-offset[j])/(at[i]-at[j]))
		}
	}
	slices.Sort(slopes)
	s := slopes[len(slopes)/2]
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	rest := make([]float64, len(at))
	for i := range at {
		rest[i] = offset[i] - float64(s*at[i])
	}
	middle := median(slices.Clone(rest))
	for i := range rest {
		rest[i] = math.Abs(rest[i] - middle)
	}
	residual = median(rest)
	grown := math.Abs(s) * (at[len(at)-1] - at[0])
	return int64(math.Round(s)), residual, residual <= grown/8 || residual < 10e3
}

package pcap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/record"
	"linktape/record/capture"
	"linktape/trace"
)

// Generator is what [Job.Meta] says made the tape. It changes when the same
// captures with the same options give another tape.
const Generator = "record pcap 1"

// Job is a recording that is ready to be made.
type Job struct {
	Survey  *Survey
	Links   *Links
	Timing  *Timing
	Options record.Options // with its defaults
	Timeout time.Duration  // a packet that took longer was lost

	start    int64   // of the tape, ns since 1970, by the sender's clock
	from, to []int64 // by channel, the instants at which a packet counts that was sent
	Duration time.Duration
}

// DefaultTimeout is the longest delay that is looked for.
const DefaultTimeout = 10 * time.Second

// NewJob works out the time that both sides cover: a packet counts if the other
// side's capture would hold it, had it been as quick as the quickest.
func NewJob(s *Survey, l *Links, t *Timing, opts record.Options, timeout time.Duration) (*Job, error) {
	opts, err := opts.Defaults()
	if err != nil {
		return nil, err
	}
	j := &Job{Survey: s, Links: l, Timing: t, Options: opts, Timeout: timeout}
	end := int64(0)
	sFirst, sLast := s.First[Sender], s.Last[Sender]
	rFirst, rLast := t.sender(s.First[Receiver]), t.sender(s.Last[Receiver])
	for i, c := range l.Channels {
		base := int64(t.Base[i])
		from, to := max(sFirst, rFirst-base), min(sLast, rLast-base)
		if c.Dir == trace.Down {
			from, to = max(rFirst, sFirst-base), min(rLast, sLast-base)
		}
		j.from, j.to = append(j.from, from), append(j.to, to)
		if i == 0 || from < j.start {
			j.start = from
		}
		end = max(end, to)
		if t.Last[i] > 0 {
			end = max(end, t.Last[i]-base)
		}
	}
	if end <= j.start {
		return nil, errors.New("the captures do not overlap in time, by these clocks: see the offset")
	}
	j.Duration = time.Duration(record.Bins(time.Duration(end-j.start+1), opts.Step)) * opts.Step
	return j, nil
}

// Meta is the metadata of the tape.
func (j *Job) Meta() trace.Meta {
	m := trace.Meta{Duration: j.Duration, Generator: Generator}
	for i, c := range j.Links.Channels {
		k := len(m.Links) - 1
		if k < 0 || m.Links[k].Name != c.Link {
			m.Links = append(m.Links, trace.Link{Name: c.Link})
			k++
		}
		if c.Dir == trace.Up {
			m.Links[k].Up = true
		} else {
			m.Links[k].Down = true
		}
		choices := j.Options.Choices()
		maps.Copy(choices, j.choices(i))
		for side, files := range j.Survey.Files {
			for n, f := range files {
				choices := maps.Clone(choices)
				choices["side"] = Side(side).String()
				m.Sources = append(m.Sources, trace.Source{
					Link: c.Link, Dir: c.Dir.String(), Format: "pcap", File: filepath.Base(f), SHA256: j.Survey.SHA256[side][n], Choices: choices,
				})
			}
		}
	}
	return m
}

func (j *Job) choices(i int) map[string]string {
	t := j.Timing
	out := map[string]string{
		"packets":      j.Links.Ends[i],
		"matched_by":   fmt.Sprintf("%v (first %d bytes)", t.Key, j.Survey.Hash),
		"clock_offset": fmt.Sprintf("%v, %s", t.Offset, t.How),
		"base_delay":   t.Base[i].String(),
		"timeout":      j.Timeout.String(),
		"start":        time.Unix(0, j.start).UTC().Format(time.RFC3339Nano),
	}
	if t.Drift != 0 {
		out["clock_drift"] = strconv.FormatFloat(float64(t.Drift)/1000, 'f', -1, 64) + " ppm"
	}
	if j.Links.Found {
		out["links"] = "pairs of addresses, found"
	}
	return out
}

// Result is what a run found.
type Result struct {
	Directions []Direction `json:"directions"`
	Twice      int64       `json:"captured_twice"` // packets of a sender that its capture holds twice
}

// Direction sums up one direction.
type Direction struct {
	record.Stats
	Base   time.Duration `json:"base_delay_ns"`
	Strays int64         `json:"strays"` // arrivals of packets that were not seen to be sent, or too long ago
}

// Run reads the captures again and passes on steps and, where rows is not nil,
// bins.
func (j *Job) Run(ctx context.Context, steps func([]trace.Step) error, rows func(*record.Bin) error, progress func(float64)) (*Result, error) {
	var channels []record.Channel
	for i, c := range j.Links.Channels {
		channels = append(channels, record.Channel{LinkDir: c, Base: j.Timing.Base[i]})
	}
	rec := record.New(channels, j.Duration, j.Options, steps, rows)
	strays := make([]int64, len(channels))
	matchers := make([]*matcher, len(channels))
	for i := range channels {
		matchers[i] = newMatcher(j.Timing.Key, j.Timeout, func(d *departure) {
			if d.sent < j.from[i] || !d.arrived && d.sent > j.to[i] {
				return
			}
			rec.Flight(i, d.flight(j.start))
		}, func(at int64) {
			if d := at - int64(j.Timing.Base[i]); d >= j.from[i] && d <= j.to[i] {
				strays[i]++
			}
		})
	}

	var sides [2]*merged
	var heads [2]capture.Packet
	var live [2]bool
	for side, files := range j.Survey.Files {
		m, err := openSide(ctx, files, j.Survey.Hash)
		if err != nil {
			return nil, err
		}
		defer m.close()
		if err := m.start(); err != nil {
			return nil, err
		}
		if live[side], err = m.next(&heads[side]); err != nil {
			return nil, err
		}
		sides[side] = m
	}
	settled := int64(0)
	for live[Sender] || live[Receiver] {
		at := [2]int64{heads[Sender].At, j.Timing.sender(heads[Receiver].At)}
		side := Sender
		if !live[Sender] || live[Receiver] && at[Receiver] < at[Sender] {
			side = Receiver
		}
		p, now := &heads[side], at[side]
		if i := j.Survey.channelOf(side, p); i >= 0 {
			m := matchers[i]
			if sends := side == Sender; sends == (channels[i].Dir == trace.Up) {
				m.send(p.Mark, now, p.Bytes)
			} else {
				m.receive(p.Mark, now)
			}
		}
		if k := (now - j.start) / int64(j.Options.Step); k > settled {
			settled = k
			for _, m := range matchers {
				m.advance(now)
			}
			if err := rec.Settled(time.Duration(now - j.start - int64(j.Timeout+early))); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(float64(now-j.start) / float64(j.Duration))
			}
		}
		var err error
		if live[side], err = sides[side].next(&heads[side]); err != nil {
			return nil, err
		}
	}
	res := &Result{}
	for _, m := range matchers {
		m.finish()
		res.Twice += m.Twice
	}
	stats, err := rec.Finish()
	if err != nil {
		return nil, err
	}
	for i, s := range stats {
		res.Directions = append(res.Directions, Direction{s, channels[i].Base, strays[i]})
	}
	return res, nil
}

// Remarks says what was assumed and found before the run, a line each.
func (j *Job) Remarks() []string {
	s, t := j.Survey, j.Timing
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for side := range s.Files {
		c := s.Counts[side]
		say("%s's side: %s: %d UDP packets in %v; left out: %d other frames, %d fragments, %d cut too short", Side(side), names(s.Files[side]),
			c.UDP, time.Duration(s.Last[side]-s.First[side]).Round(time.Millisecond), c.Other, c.Fragments, c.Short)
		if c.CutOff {
			say("warning: a capture of the %s's side ends within a packet", Side(side))
		}
	}
	if s.Large > 0 {
		say("warning: %d packets of the sender's side are above 9000 bytes: its card cuts them up after the capture, so they match nothing; turn that off (ethtool -K DEVICE tso off gso off) and capture again", s.Large)
	}
	how := "as told"
	if j.Links.Found {
		how = "by itself: each pair of addresses is a link, up is from the end that sent more; --link says it otherwise"
	}
	for i, c := range j.Links.Channels {
		say("%v: %s (%s)", c, j.Links.Ends[i], how)
	}
	if n := len(j.Links.Unused); n > 0 {
		say("belongs to no link: %s", strings.Join(j.Links.Unused[:min(n, 4)], "; ")+more(n-4))
	}
	say("packets are matched by: %v (first %d bytes; of RTP the header)", t.Key, s.Hash)
	say("clock of the receiver's side: ahead by %v (%s)", t.Offset, t.How)
	if t.Bound[0] != t.Bound[1] {
		say("no delay is negative only for an offset from %v to %v", time.Duration(t.Bound[0]), time.Duration(t.Bound[1]))
	}
	if t.Drift != 0 {
		say("and gaining %.3f ppm", float64(t.Drift)/1000)
	}
	for _, w := range t.Warnings {
		say("warning: %s", w)
	}
	for i, c := range j.Links.Channels {
		if t.Matched[i] == 0 {
			say("warning: %v: no packet of it is on both sides", c)
		}
	}
	say("bins of %v; a packet counts when it left the bottleneck: at its arrival less the smallest delay", j.Options.Step)
	c := j.Options.Choices()
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if k != "step" {
			say("%s: %s", k, c[k])
		}
	}
	say("a packet is lost that does not arrive within %v", j.Timeout)
	return out
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("; %d more", n)
}

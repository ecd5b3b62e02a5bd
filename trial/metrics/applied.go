package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"linktape/replay"
	"linktape/trace"
)

// shortest is the shortest time in which nothing passes that is an event, ns.
const shortest = int64(bin)

// outage is a time in which nothing passes in one direction.
type outage struct {
	from, to int64 // applied, ns since the epoch
	open     bool  // it goes on at the end
	dir      trace.Direction
	what     string // how nothing passes: [replay.LogRow.WhatPasses]
	label    string
}

// applied is what the log says of one direction.
type applied struct {
	dir     trace.Direction
	begun   bool
	row     replay.LogRow // in force
	from    int64         // since when
	outages []outage
}

// appliedAt is the instant from which the kernel had a state: that of its
// acknowledgement.
func appliedAt(row *replay.LogRow) int64 {
	if row.Acked > row.Due {
		return row.Acked
	}
	return max(row.Sent, row.Due)
}

// readApplied reads the applied log: what each link allowed upwards, bin by bin,
// and when nothing passed.
func (a *analysis) readApplied() error {
	file := filepath.Join(a.dir, replayDir, replay.LogFile)
	dirs := make(map[trace.LinkDir]*applied)
	var stray string
	for row, err := range replay.LogRows(file) {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: the applied log is missing; play the tape with replay run --out", err)
		}
		if err != nil {
			return err
		}
		l := a.byName[row.Link]
		dir, err := trace.ParseDirection(row.Dir)
		if l == nil || err != nil {
			stray = row.Link + "." + row.Dir
			continue
		}
		ld := trace.LinkDir{Link: row.Link, Dir: dir}
		d := dirs[ld]
		if d == nil {
			d = &applied{dir: dir}
			dirs[ld] = d
		}
		at := appliedAt(row)
		if !d.begun {
			at = 0 // what was there before the first step is not known
		}
		a.hold(l, d, at)
		if d.begun && dir == trace.Up && row.Rate < d.row.Rate {
			if i := a.binOf(at); i >= 0 && l.fell[i] == 0 {
				l.fell[i] = at
			}
		}
		d.begun, d.row, d.from = true, *row, at
	}
	if stray != "" {
		a.find("the applied log has rows of %s, which is none of the trial's links", stray)
	}
	for _, l := range a.links {
		for _, dir := range []trace.Direction{trace.Up, trace.Down} {
			d := dirs[trace.LinkDir{Link: l.name, Dir: dir}]
			if d == nil {
				if dir == trace.Up {
					return fmt.Errorf("read %s: nothing of %s.up: the tape that was played has another link's name than %s", file, l.name, trialFile)
				}
				continue
			}
			a.hold(l, d, a.duration)
			if n := len(d.outages); n > 0 && d.outages[n-1].to >= a.duration {
				d.outages[n-1].open = true
			}
			l.outages = append(l.outages, d.outages...)
		}
		a.events = append(a.events, l.events()...)
	}
	slices.SortStableFunc(a.events, func(x, y *event) int { return cmp.Compare(x.failure, y.failure) })
	return nil
}

// hold settles the state in force until an instant.
func (a *analysis) hold(l *link, d *applied, to int64) {
	to = min(to, a.duration)
	if !d.begun || to <= d.from {
		return
	}
	what := d.row.WhatPasses()
	if d.dir == trace.Up {
		rate := float64(d.row.Rate)
		if what == replay.NoCarrier {
			rate = 0
		}
		a.spread(l.capacity, d.from, to, float64(rate*float64(to-d.from)/1e9))
		l.allowed += float64(rate * float64(overlap(d.from, to, a.from, a.to)) / 1e9)
	}
	if what == "" {
		return
	}
	if n := len(d.outages); n > 0 {
		if o := &d.outages[n-1]; o.to == d.from && o.what == what {
			o.to = to
			return
		}
	}
	d.outages = append(d.outages, outage{from: d.from, to: to, dir: d.dir, what: what, label: d.row.Label})
}

func overlap(from, to, a, b int64) int64 { return max(min(to, b)-max(from, a), 0) }

// spread adds an amount to the bins, in proportion to the time from one instant to
// another that falls into each.
func (a *analysis) spread(bins []float64, from, to int64, amount float64) {
	for at := max(from, 0); at < to; {
		i := at / int64(bin)
		if i >= int64(len(bins)) {
			return
		}
		next := min((i+1)*int64(bin), to)
		bins[i] += float64(amount * float64(next-at) / float64(to-from))
		at = next
	}
}

// events puts the outages of a link's directions together: those that overlap are
// one event.
func (l *link) events() []*event {
	var all []outage
	for _, o := range l.outages {
		if o.to-o.from >= shortest {
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(x, y outage) int { return cmp.Compare(x.from, y.from) })
	var events []*event
	var up, down, carrier, stall bool
	for _, o := range all {
		e := (*event)(nil)
		if n := len(events); n > 0 && o.from < events[n-1].restore {
			e = events[n-1]
			e.restore = max(e.restore, o.to)
			e.open = e.open || o.open
			if e.label == "" {
				e.label = o.label
			}
		} else {
			e = &event{link: l, failure: o.from, restore: o.to, open: o.open, label: o.label, last: -1, first: -1}
			events = append(events, e)
			up, down, carrier, stall = false, false, false, false
		}
		up, down = up || o.dir == trace.Up, down || o.dir == trace.Down
		carrier, stall = carrier || o.what == replay.NoCarrier, stall || o.what == replay.Stalled
		switch {
		case carrier:
			e.mode = carrierDown
		case stall && up:
			e.mode = "stall"
		case stall:
			e.mode = "stall-down"
		case up && down:
			e.mode = "drop-both"
		case up:
			e.mode = "drop-up"
		default:
			e.mode = "drop-down"
		}
	}
	return events
}

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"linktape/internal/cli"
	"linktape/replay"
	"linktape/trace"
)

// liveView redraws a table of the directions on a terminal while a replay
// runs. Where there is no terminal it does nothing.
type liveView struct {
	w     io.Writer
	lines int // drawn last
	stop  chan struct{}
	done  sync.WaitGroup
}

// refresh is the time between two drawings.
const refresh = 250 * time.Millisecond

func watch(p watched, w io.Writer) *liveView {
	v := &liveView{w: w, stop: make(chan struct{})}
	if !cli.IsTerminal(w) {
		return v
	}
	v.done.Go(func() {
		look := newLook(p)
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look.take(p)
				columns, lines := cli.Size(w)
				v.draw(look.text(columns, lines-1)) // one for the cursor
			case <-v.stop:
				v.draw(nil)
				return
			}
		}
	})
	return v
}

// end stops the view, if there is one, and clears it away.
func (v *liveView) end() {
	if v == nil {
		return
	}
	close(v.stop)
	v.done.Wait()
}

// draw puts lines in place of those drawn before.
func (v *liveView) draw(lines []string) { v.lines = cli.Redraw(v.w, lines, v.lines) }

// watched is a replay that is looked at: a [replay.Player].
type watched interface {
	Directions() []trace.LinkDir
	Window() time.Duration
	Looping() bool
	Position() time.Duration
	Progress(dir int) *replay.Progress
}

// look is what a replay looks like at one instant.
type look struct {
	position, window time.Duration
	looping          bool
	lateness         time.Duration // the largest
	rows             []lookRow
}

type lookRow struct {
	trace.LinkDir
	begun     bool          // a step has been applied
	at        time.Duration // of that step
	rate      trace.BitRate
	bytes     uint64 // delivered until at
	measured  bool   // delivered is known
	delivered float64
	backlog   uint32
	drops     uint64
}

func newLook(p watched) *look {
	l := &look{window: p.Window(), looping: p.Looping()}
	for _, ld := range p.Directions() {
		l.rows = append(l.rows, lookRow{LinkDir: ld})
	}
	return l
}

// take looks at the player anew. What was delivered is known at the steps, so
// its rate is that between the latest one and the one seen before.
func (l *look) take(p watched) {
	l.position = p.Position()
	for i := range l.rows {
		r, seen := &l.rows[i], p.Progress(i)
		if seen.Steps.Load() == 0 {
			continue
		}
		at, bytes := time.Duration(seen.At.Load()), seen.Bytes.Load()
		if span := at - r.at; r.begun && span > 0 && bytes >= r.bytes {
			r.measured, r.delivered = true, float64(bytes-r.bytes)*8/span.Seconds()
		}
		r.begun, r.at, r.bytes = true, at, bytes
		r.rate, r.backlog, r.drops = trace.BitRate(seen.Rate.Load()), seen.Backlog.Load(), seen.Drops.Load()
		l.lateness = max(l.lateness, time.Duration(seen.Lateness.Load()))
	}
}

// text draws at most so many lines, each of at most so many columns. Where
// there are more directions than lines, the last ones are only counted.
func (l *look) text(columns, lines int) []string {
	const frame = 3 // the head, how many are left out, the foot
	rows := l.rows
	if len(rows) > lines-frame+1 {
		rows = rows[:max(lines-frame, 0)]
	}
	name := len("LINK")
	for _, r := range rows {
		name = max(name, len(r.String()))
	}
	out := []string{fmt.Sprintf("%-*s %12s %12s %10s %8s", name, "LINK", "TAPE Mbit/s", "LINK Mbit/s", "QUEUE kB", "DROPS")}
	for _, r := range rows {
		if !r.begun {
			out = append(out, fmt.Sprintf("%-*s %12s %12s %10s %8s", name, r, "-", "-", "-", "-"))
			continue
		}
		delivered := "-"
		if r.measured {
			delivered = fmt.Sprintf("%.2f", r.delivered/1e6)
		}
		out = append(out, fmt.Sprintf("%-*s %12.2f %12s %10.1f %8d", name, r, r.rate.Mbits(), delivered, float64(r.backlog)/1e3, r.drops))
	}
	if n := len(l.rows) - len(rows); n > 0 {
		out = append(out, fmt.Sprintf("and %d more directions", n))
	}
	at := fmt.Sprintf("%v of %v", tenths(min(l.position, l.window)), l.window)
	if l.looping {
		at = fmt.Sprintf("loop %d, %v of %v", 1+l.position/l.window, tenths(l.position%l.window), l.window)
	}
	out = append(out, fmt.Sprintf("%s; largest lateness %v", at, short(l.lateness)))
	for i, s := range out {
		out[i] = clip(s, columns)
	}
	return out[len(out)-min(len(out), max(lines, 1)):]
}

// tenths writes a duration so that its width does not jump: 12.0s.
func tenths(d time.Duration) string {
	d = d.Truncate(100 * time.Millisecond)
	whole, tenth := d.Truncate(time.Second), d%time.Second/(100*time.Millisecond)
	return strings.TrimSuffix(whole.String(), "s") + fmt.Sprintf(".%ds", tenth)
}

// clip cuts a line to a width.
func clip(s string, columns int) string {
	for i := range s {
		if columns == 0 {
			return s[:i]
		}
		columns--
	}
	return s
}

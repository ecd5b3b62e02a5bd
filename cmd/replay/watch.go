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
	w      io.Writer
	player *replay.Player
	lines  int // drawn last
	bytes  []uint64
	drawn  time.Time
	stop   chan struct{}
	done   sync.WaitGroup
}

// refresh is the time between two drawings.
const refresh = 250 * time.Millisecond

func watch(p *replay.Player, w io.Writer) *liveView {
	v := &liveView{w: w, player: p, bytes: make([]uint64, len(p.Directions())), stop: make(chan struct{})}
	if !cli.IsTerminal(w) {
		return v
	}
	v.done.Go(func() {
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				v.draw(now)
			case <-v.stop:
				v.clear()
				return
			}
		}
	})
	return v
}

// end stops the view and clears it away.
func (v *liveView) end() {
	close(v.stop)
	v.done.Wait()
}

func (v *liveView) clear() {
	if v.lines > 0 {
		fmt.Fprintf(v.w, "\x1b[%dA\x1b[J", v.lines)
	}
	v.lines = 0
}

func (v *liveView) draw(now time.Time) {
	var b strings.Builder
	width := cli.Width(v.w)
	line := func(format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		if len(s) > width {
			s = s[:width]
		}
		b.WriteString(s + "\n")
	}
	var position, late time.Duration
	for i := range v.player.Directions() {
		p := v.player.Progress(i)
		position = max(position, time.Duration(p.At.Load()))
		late = max(late, time.Duration(p.Lateness.Load()))
	}
	line("%-16s %14s %14s %12s %8s", "LINK", "TAPE Mbit/s", "LINK Mbit/s", "BACKLOG kB", "DROPS")
	span := now.Sub(v.drawn).Seconds()
	for i, ld := range v.player.Directions() {
		p := v.player.Progress(i)
		bytes := p.Bytes.Load()
		delivered := "-"
		if !v.drawn.IsZero() && bytes >= v.bytes[i] {
			delivered = fmt.Sprintf("%.2f", float64(bytes-v.bytes[i])*8/span/1e6)
		}
		v.bytes[i] = bytes
		line("%-16s %14.2f %14s %12.1f %8d", ld, trace.BitRate(p.Rate.Load()).Mbits(), delivered,
			float64(p.Backlog.Load())/1e3, p.Drops.Load())
	}
	line("at %v of %v, largest lateness %v", position.Truncate(100*time.Millisecond), v.player.Window(), late.Round(time.Microsecond))
	v.drawn = now
	v.clear()
	v.lines = strings.Count(b.String(), "\n")
	io.WriteString(v.w, b.String())
}

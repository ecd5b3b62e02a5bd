package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"linktape/internal/cli"
	"linktape/replay"
	"linktape/trace/edit"
)

// liveView redraws what a replay does on a terminal while it runs, and takes keys.
// Where there is no terminal it does nothing.
type liveView struct {
	w    io.Writer
	keys *cli.Keys // nil: none are taken
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup

	drawn   []int // widths of the lines that stand there
	columns int   // of the terminal they were drawn on
}

// refresh is the time between two drawings.
const refresh = 250 * time.Millisecond

// watched is a replay that is looked at and driven: a [replay.Player].
type watched interface {
	Status() replay.Status
	Do(ctx context.Context, c replay.Command) (replay.Act, error)
}

// watch shows a replay on w. Keys come from a terminal stdin, which is given back
// when ctx or the view ends.
func watch(ctx context.Context, p watched, stdin io.Reader, w io.Writer) *liveView {
	v := &liveView{w: w, stop: make(chan struct{})}
	if !cli.IsTerminal(w) {
		return v
	}
	v.keys = cli.OpenKeys(stdin)
	context.AfterFunc(ctx, v.keys.Close)
	v.done.Go(func() {
		defer v.keys.Close()
		look := newLook(v.keys != nil, plainTerminal(os.Getenv))
		var keys <-chan string
		if v.keys != nil {
			keys = v.keys.C
		}
		resized := make(chan os.Signal, 1)
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look.take(p.Status())
			case k := <-keys:
				look.key(ctx, p, k)
				look.status = p.Status()
			case <-resized:
			case <-v.stop:
				v.draw(nil, v.columns, 2)
				return
			}
			columns, lines := cli.Size(w)
			v.draw(look.text(columns-1, lines-1), columns, lines) // one for the cursor
		}
	})
	return v
}

// end stops the view, if there is one, clears it away and gives the terminal back.
func (v *liveView) end() {
	if v == nil {
		return
	}
	v.once.Do(func() { close(v.stop) })
	v.done.Wait()
	v.keys.Close()
}

// draw puts lines in place of those drawn before. On a terminal that has become
// narrower, those take more rows than they did.
func (v *liveView) draw(lines []string, columns, rows int) {
	before := 0
	for _, n := range v.drawn {
		before++
		if columns > 0 && columns < v.columns {
			before += (max(n, 1) - 1) / columns
		}
	}
	cli.Redraw(v.w, lines, min(before, max(rows-1, len(v.drawn))))
	v.drawn, v.columns = v.drawn[:0], columns
	for _, l := range lines {
		v.drawn = append(v.drawn, utf8.RuneCountInString(l))
	}
}

// plainTerminal reports whether the locale has no block characters.
func plainTerminal(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}

// look is what a replay looks like at one instant.
type look struct {
	status replay.Status
	rows   []lookRow // by direction
	now    time.Time // of tests; zero: the clock's
	keys   bool
	ramp   []rune // of sparklines

	selected int // link
	mode     edit.Mode
	help     bool
	said     string
}

// lookRow is what has been seen of one direction.
type lookRow struct {
	tape, link []float64 // Mbit/s at each drawing, the latest one last; NaN-free
	read       time.Duration
	bytes      uint64
	begun      bool
	measured   bool
	delivered  float64 // Mbit/s
}

// mostTicks are kept for sparklines.
const mostTicks = 400

var (
	blocks = []rune("▁▂▃▄▅▆▇█")
	ascii  = []rune("_.-=+*%#")
)

func newLook(keys, plain bool) *look {
	l := &look{keys: keys, ramp: blocks}
	if plain {
		l.ramp = ascii
	}
	return l
}

// take looks anew. What was delivered is known when the counters were read, so that
// its rate is that between the two latest readings.
func (l *look) take(s replay.Status) {
	l.status = s
	if l.rows == nil {
		l.rows = make([]lookRow, len(s.Links))
	}
	for i := range s.Links {
		r, seen := &l.rows[i], &s.Links[i]
		if !seen.Begun {
			continue
		}
		if span := seen.Read - r.read; r.begun && span > 0 && seen.Bytes >= r.bytes {
			r.measured, r.delivered = true, float64(seen.Bytes-r.bytes)*8/1e6/span.Seconds()
		}
		if !r.begun || seen.Read > r.read {
			r.read, r.bytes = seen.Read, seen.Bytes
		}
		r.begun = true
		rate := float64(seen.Rate) / 1e6
		if !seen.Carrier || seen.Loss >= 1 {
			rate = 0
		}
		r.tape, r.link = push(r.tape, rate), push(r.link, r.delivered)
	}
}

func push(v []float64, x float64) []float64 {
	if len(v) == mostTicks {
		v = v[:copy(v, v[1:])]
	}
	return append(v, x)
}

// spark draws the last values, each as a part of most.
func (l *look) spark(v []float64, width int, most float64) string {
	out := make([]rune, width)
	for i := range out {
		out[i] = ' '
		if k := len(v) - width + i; k >= 0 && most > 0 {
			n := int(v[k]/most*float64(len(l.ramp)-1) + 0.5)
			out[i] = l.ramp[min(max(n, 0), len(l.ramp)-1)]
		}
	}
	return string(out)
}

// links are the links' names, in the order of the directions.
func (l *look) links() (out []string) {
	for _, s := range l.status.Links {
		if len(out) == 0 || out[len(out)-1] != s.Link {
			out = append(out, s.Link)
		}
	}
	return out
}

const keysText = "space pause  . step  n next event  <- -> 10s  1-9 up down link  c cut  m mode  ? help  q stop"

var helpText = []string{
	"space or p  pause, and go on           r      go on",
	"s or .      the next instant's steps   n      skip to the next event",
	"-> and <-   10 s of the tape           q      stop",
	"1-9, up, down  choose a link           m      choose how to cut it",
	"c           cut the link, and give it the tape's state again",
	"A pause keeps the states in force. The tape goes on beneath a cut.",
}

// key does what a key asks for.
func (l *look) key(ctx context.Context, p watched, k string) {
	links := l.links()
	c := replay.Command{From: "key"}
	switch k {
	case " ", "p":
		c.Verb = replay.Pause
		if l.status.State == replay.Paused {
			c.Verb = replay.Resume
		}
	case "r":
		c.Verb = replay.Resume
	case "s", ".":
		c.Verb = replay.StepOn
	case "n":
		c.Verb, c.Next = replay.Skip, true
	case "right":
		c.Verb, c.By = replay.Skip, 10*time.Second
	case "left":
		c.Verb, c.By = replay.Skip, -10*time.Second
	case "q":
		c.Verb = replay.StopNow
	case "up":
		l.selected = max(l.selected-1, 0)
	case "down":
		l.selected = max(min(l.selected+1, len(links)-1), 0)
	case "1", "2", "3", "4", "5", "6", "7", "8", "9":
		if n := int(k[0] - '1'); n < len(links) {
			l.selected = n
		}
	case "m":
		l.mode = (l.mode + 1) % edit.Mode(len(edit.Modes()))
		l.said = fmt.Sprintf("a cut is %s", l.mode)
	case "?":
		l.help = !l.help
	case "c":
		if l.selected >= len(links) {
			return
		}
		c.Verb, c.Link, c.Mode = replay.Cut, links[l.selected], l.mode
		for _, s := range l.status.Links {
			if s.Link == c.Link && s.Cut != "" {
				c.Verb = replay.RestoreLink
			}
		}
	}
	if c.Verb == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	act, err := p.Do(ctx, c)
	if l.said = actText(&act); err != nil {
		l.said = err.Error()
	}
}

// text draws at most so many lines, each of at most so many columns. Where there are
// more directions than lines, the last ones are only counted; on a short terminal
// what is least needed is left out.
func (l *look) text(columns, lines int) []string {
	s := &l.status
	out := []string{stateText(s)}
	switch {
	case s.State == replay.Waiting && s.At != nil:
		now := l.now
		if now.IsZero() {
			now = time.Now()
		}
		out = append(out, fmt.Sprintf("in %s", tenths(max(s.At.Sub(now), 0))))
	case s.State == replay.Ended:
	case s.Next != nil:
		out = append(out, fmt.Sprintf("next: %s in %s", tapeEventText(s.Next), tenths(s.Next.In)))
	default:
		out = append(out, "next: no event is known to come")
	}
	var foot []string
	switch {
	case l.said != "":
		foot = []string{l.said}
	case l.keys:
		foot = []string{keysText}
	}
	if l.help {
		foot = append(append([]string{}, helpText...), foot...)
	}
	if room := lines - len(out) - 2; len(foot) > max(room, 0) { // a header and a row go first
		foot = foot[:max(room, 0)]
	}
	out = append(out, l.table(columns, lines-len(out)-len(foot))...)
	out = append(out, foot...)
	for i := range out {
		out[i] = clip(strings.TrimRight(out[i], " "), max(columns, 0))
	}
	return out[:min(len(out), max(lines, 1))]
}

// table draws the directions in so many lines.
func (l *look) table(columns, lines int) []string {
	s := &l.status
	links := s.Links
	if lines < 1 {
		return nil
	}
	if len(links) > lines-1 {
		links = links[:max(lines-2, 0)] // the header, and how many are left out
	}
	name := len("LINK")
	for _, r := range links {
		name = max(name, len(r.Link)+1+len(r.Dir))
	}
	const numbers = 2 + 4*10 + 16 // the mark, four numbers, the label
	width := max((columns-name-numbers-4)/2, 0)
	if width < 6 {
		width = 0
	}
	width = min(width, mostTicks)
	cell := func(title string) string {
		if width == 0 {
			return ""
		}
		return "  " + fmt.Sprintf("%-*s", width, title)
	}
	if width > 0 {
		width = min(width, 60)
	}
	head := fmt.Sprintf("  %-*s%10s%s%10s%s%10s%10s  %s", name, "LINK", "TAPE Mb/s", cell(""), "LINK Mb/s", cell(""), "QUEUE kB", "DROPS", "STATE")
	out := []string{head}
	chosen := ""
	if all := l.links(); l.keys && l.selected < len(all) {
		chosen = all[l.selected]
	}
	for i, r := range links {
		mark := "  "
		if r.Link == chosen {
			mark = "> "
		}
		label := mark + fmt.Sprintf("%-*s", name, r.Link+"."+r.Dir)
		if !r.Begun || i >= len(l.rows) {
			out = append(out, label+fmt.Sprintf("%10s%s%10s%s%10s%10s", "-", cell(""), "-", cell(""), "-", "-"))
			continue
		}
		seen := &l.rows[i]
		most := 0.0
		for _, v := range [][]float64{seen.tape, seen.link} {
			for _, x := range v[max(len(v)-width, 0):] {
				most = max(most, x)
			}
		}
		delivered := "-"
		if seen.measured {
			delivered = fmt.Sprintf("%.2f", seen.delivered)
		}
		state := r.Label
		if r.Cut != "" {
			state = "CUT " + r.Cut
		}
		out = append(out, label+fmt.Sprintf("%10.2f%s%10s%s%10.1f%10d  %s", float64(r.Rate)/1e6, cell(l.spark(seen.tape, width, most)),
			delivered, cell(l.spark(seen.link, width, most)), float64(r.Backlog)/1e3, r.Drops, state))
	}
	if n := len(s.Links) - len(links); n > 0 {
		out = append(out, fmt.Sprintf("  and %d more directions", n))
	}
	return out[:min(len(out), lines)]
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

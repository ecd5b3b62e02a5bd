package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"linktape/replay"
	"linktape/trace"
	"linktape/trace/edit"
)

// still is a replay that stands still, and notes what it is told.
type still struct {
	status replay.Status
	told   []replay.Command
	err    error
}

func (s *still) Status() replay.Status { return s.status }

func (s *still) Do(_ context.Context, c replay.Command) (replay.Act, error) {
	s.told = append(s.told, c)
	return replay.Act{Verb: c.Verb, Changed: true, Link: c.Link, Tape: time.Minute}, s.err
}

func links(n int) *still {
	s := &still{status: replay.Status{State: replay.Playing, To: 5 * time.Minute, Tape: 12 * time.Second, Loops: 1, Speed: 1, Lateness: 907_000}}
	for i := range n {
		s.status.Links = append(s.status.Links, replay.LinkStatus{Link: fmt.Sprintf("link%d", i/2), Dir: trace.Direction(1 - i%2).String()})
	}
	return s
}

// play lets a look see so many readings, a quarter of a second apart, of a tape that
// goes up and down.
func (s *still) play(l *look, readings int) {
	for n := range readings {
		for i := range s.status.Links {
			r := &s.status.Links[i]
			r.Begun, r.Carrier, r.Label = true, true, "good"
			r.Rate = int64(1+(n+i)%8) * 1_000_000
			r.Read += refresh
			r.Bytes += uint64(r.Rate / 8 / 4 * int64(i%3) / 2)
			r.Backlog, r.Drops = uint32(1000*i), uint64(i*i)
		}
		l.take(s.status)
	}
}

func TestLook(t *testing.T) {
	event := &replay.TapeEvent{In: 3400 * time.Millisecond, Link: "link0", Dir: "up", Label: "outage", What: replay.LosesAll}
	for _, c := range []struct {
		name           string
		directions     int
		columns, lines int
		keys           bool
		change         func(*still, *look)
	}{
		{"before the first step", 4, 80, 24, false, func(s *still, l *look) { l.take(s.status) }},
		{"plain", 4, 120, 24, true, nil},
		{"eighty columns", 4, 80, 24, true, nil},
		{"wide", 2, 200, 24, true, nil},
		{"no unicode", 2, 120, 24, false, func(s *still, l *look) { *l = *newLook(false, true); s.play(l, 20) }},
		{"loop", 2, 100, 24, false, func(s *still, l *look) { l.status.Loops, l.status.Loop, l.status.Speed = 0, 4, 2 }},
		{"waiting", 2, 100, 24, true, func(s *still, l *look) {
			*l = *newLook(true, false)
			l.now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			at := l.now.Add(65500 * time.Millisecond)
			s.status.State, s.status.WaitsFor, s.status.At = replay.Waiting, at.Format(time.RFC3339Nano), &at
			l.take(s.status)
		}},
		{"paused and cut", 4, 120, 24, true, func(s *still, l *look) {
			l.status.State, l.status.Acts, l.selected, l.said = replay.Paused, 2, 1, "cut link1 (stall): at 12s of the tape"
			l.status.Links[2].Cut, l.status.Links[3].Cut = "stall", "stall"
		}},
		{"help", 4, 120, 24, true, func(_ *still, l *look) { l.help = true }},
		{"help without room", 4, 120, 9, true, func(_ *still, l *look) { l.help = true }},
		{"sixteen directions", 16, 80, 24, false, nil},
		{"more directions than lines", 40, 80, 23, true, nil},
		{"as many as fit", 8, 80, 11, false, nil},
		{"one too many", 9, 80, 11, false, nil},
		{"two lines", 9, 80, 2, true, nil},
		{"no room", 9, 20, 1, true, nil},
		{"narrow", 4, 30, 24, true, nil},
		{"long name", 2, 100, 24, false, func(_ *still, l *look) { l.status.Links[0].Link = strings.Repeat("x", trace.MaxName) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l := links(c.directions), newLook(c.keys, false)
			s.status.Next = event
			if c.name != "before the first step" && c.name != "waiting" {
				s.play(l, 30)
			}
			if c.change != nil {
				c.change(s, l)
			}
			lines := l.text(c.columns, c.lines)
			if len(lines) > c.lines {
				t.Errorf("got %d lines, want at most %d", len(lines), c.lines)
			}
			for _, s := range lines {
				if n := utf8.RuneCountInString(s); n > c.columns {
					t.Errorf("got %d columns, want at most %d: %q", n, c.columns, s)
				}
			}
			checkGolden(t, "look-"+strings.ReplaceAll(c.name, " ", "-"), strings.Join(lines, "\n")+"\n")
		})
	}
}

// No size of a terminal makes it panic, or draws beyond it.
func TestLookFits(t *testing.T) {
	s, l := links(7), newLook(true, false)
	s.play(l, 3)
	l.help, l.said = true, strings.Repeat("said ", 30)
	for columns := 0; columns < 160; columns += 3 {
		for lines := range 30 {
			out := l.text(columns, lines)
			if len(out) > max(lines, 1) {
				t.Fatalf("%d × %d: got %d lines", columns, lines, len(out))
			}
			for _, s := range out {
				if utf8.RuneCountInString(s) > columns {
					t.Fatalf("%d × %d: got %q", columns, lines, s)
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		keys   string
		paused bool
		want   replay.Command
	}{
		{"p", false, replay.Command{Verb: replay.Pause}},
		{" ", true, replay.Command{Verb: replay.Resume}},
		{"r", false, replay.Command{Verb: replay.Resume}},
		{".", true, replay.Command{Verb: replay.StepOn}},
		{"s", true, replay.Command{Verb: replay.StepOn}},
		{"n", false, replay.Command{Verb: replay.Skip, Next: true}},
		{"right", false, replay.Command{Verb: replay.Skip, By: 10 * time.Second}},
		{"left", false, replay.Command{Verb: replay.Skip, By: -10 * time.Second}},
		{"q", false, replay.Command{Verb: replay.StopNow}},
		{"c", false, replay.Command{Verb: replay.Cut, Link: "link0"}},
		{"2 c", false, replay.Command{Verb: replay.Cut, Link: "link1"}},
		{"9 down down down down up c", false, replay.Command{Verb: replay.Cut, Link: "link1"}},
		{"m m m c", false, replay.Command{Verb: replay.Cut, Link: "link0", Mode: edit.Stall}},
		{"m m m m m c", false, replay.Command{Verb: replay.Cut, Link: "link0"}},
		{"3 c", false, replay.Command{Verb: replay.RestoreLink, Link: "link2"}},
	} {
		s, l := links(6), newLook(true, false)
		s.status.Links[5].Cut = "stall"
		if c.paused {
			s.status.State = replay.Paused
		}
		l.take(s.status)
		keys := strings.Fields(c.keys)
		if c.keys == " " {
			keys = []string{" "}
		}
		for _, k := range append(keys, "x", "?") {
			l.key(t.Context(), s, k)
		}
		c.want.From = "key"
		if c.want.Verb == replay.RestoreLink {
			s.told[0].Mode = 0
		}
		if len(s.told) != 1 || s.told[0] != c.want || !l.help {
			t.Errorf("%q: got %+v, want %+v", c.keys, s.told, c.want)
		}
	}
	s, l := links(2), newLook(true, false)
	s.err = errors.New("no path")
	l.take(s.status)
	if l.key(t.Context(), s, "c"); l.said != "no path" {
		t.Errorf("an error is not shown: %q", l.said)
	}
}

// A drawing replaces the one before it, whatever their lengths, and goes out in one
// write. On a terminal that has become narrower the old one takes more rows.
func TestDraw(t *testing.T) {
	var w writes
	v := liveView{w: &w}
	v.draw(nil, 10, 24) // nothing was drawn: nothing to clear
	v.draw([]string{"a", "123456789"}, 10, 24)
	v.draw([]string{"c"}, 4, 24)
	v.draw(nil, 4, 24)
	want := []string{"a\x1b[K\r\n123456789\x1b[K\r\n\x1b[J", "\r\x1b[4Ac\x1b[K\r\n\x1b[J", "\r\x1b[1A\x1b[J"}
	if strings.Join(w, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", w, want)
	}
}

type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestNoViewWithoutTerminal(t *testing.T) {
	var buf bytes.Buffer
	v := watch(t.Context(), links(1), nil, &buf)
	v.end()
	v.end()
	if buf.Len() > 0 {
		t.Errorf("got %q", buf.String())
	}
}

func TestPlainTerminal(t *testing.T) {
	for _, c := range []struct {
		all, lang string
		want      bool
	}{{"", "", false}, {"", "de_DE.UTF-8", false}, {"C", "de_DE.UTF-8", true}, {"C.utf8", "C", false}, {"", "POSIX", true}} {
		if got := plainTerminal(func(name string) string { return map[string]string{"LC_ALL": c.all, "LANG": c.lang}[name] }); got != c.want {
			t.Errorf("%q, %q: got %v, want %v", c.all, c.lang, got, c.want)
		}
	}
}

func TestTenths(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", 99 * time.Millisecond: "0.0s", 1950 * time.Millisecond: "1.9s", time.Minute: "1m0.0s",
		time.Hour + 2*time.Second + 300*time.Millisecond: "1h0m2.3s",
	} {
		if got := tenths(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

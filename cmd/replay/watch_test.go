package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"linktape/replay"
	"linktape/trace"
)

// still is a replay that stands still.
type still struct {
	dirs     []trace.LinkDir
	window   time.Duration
	looping  bool
	position time.Duration
	progress []replay.Progress
}

func (s *still) Directions() []trace.LinkDir       { return s.dirs }
func (s *still) Window() time.Duration             { return s.window }
func (s *still) Looping() bool                     { return s.looping }
func (s *still) Position() time.Duration           { return s.position }
func (s *still) Progress(dir int) *replay.Progress { return &s.progress[dir] }

// step is a step of a direction, with what was delivered until then.
func (s *still) step(dir int, at time.Duration, rate trace.BitRate, bytes uint64) {
	p := &s.progress[dir]
	p.At.Store(int64(at))
	p.Rate.Store(int64(rate))
	p.Bytes.Store(bytes)
	p.Backlog.Store(uint32(bytes / 7))
	p.Drops.Store(bytes / 5000)
	p.Lateness.Store(max(p.Lateness.Load(), int64(at)/12345))
	p.Steps.Add(1)
}

func links(n int) *still {
	s := &still{window: 5 * time.Minute, progress: make([]replay.Progress, n)}
	for i := range n {
		s.dirs = append(s.dirs, trace.LinkDir{Link: fmt.Sprintf("link%d", i/2), Dir: trace.Direction(i % 2)})
	}
	return s
}

func TestLook(t *testing.T) {
	const start = "before the first step"
	for _, c := range []struct {
		name           string
		directions     int
		columns, lines int
		change         func(*still)
	}{
		{start, 4, 80, 24, nil},
		{"plain", 4, 80, 24, func(*still) {}},
		{"loop", 2, 80, 24, func(s *still) { s.looping, s.window = true, 2*time.Second+500*time.Millisecond }},
		{"over the end", 1, 80, 24, func(s *still) { s.window = 10 * time.Second }},
		{"sixteen directions", 16, 80, 24, func(*still) {}},
		{"more directions than lines", 40, 80, 23, func(*still) {}},
		{"as many as fit", 8, 80, 10, func(*still) {}},
		{"one too many", 9, 80, 10, func(*still) {}},
		{"no room", 9, 20, 1, func(*still) {}},
		{"narrow", 4, 30, 24, func(*still) {}},
		{"long name", 2, 80, 24, func(s *still) { s.dirs[0].Link = strings.Repeat("x", trace.MaxName) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := links(c.directions)
			l := newLook(s)
			if c.change != nil {
				c.change(s)
				l = newLook(s)
				s.position = 12 * time.Second
				for i := range s.dirs {
					s.step(i, 11*time.Second, 6*trace.Mbit, 1e6)
				}
				l.take(s)
				s.position += 250 * time.Millisecond
				for i := range s.dirs {
					if i != 1 { // no new step
						s.step(i, 11200*time.Millisecond, trace.BitRate(i*7)*trace.Mbit, 1e6+uint64(i)*12_345)
					}
				}
			}
			l.take(s)
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

// A drawing replaces the one before it, whatever their lengths, and goes out
// in one write.
func TestDraw(t *testing.T) {
	var w writes
	v := liveView{w: &w}
	v.draw(nil) // nothing was drawn: nothing to clear
	v.draw([]string{"a", "b"})
	v.draw([]string{"c"})
	v.draw(nil)
	want := []string{"a\x1b[K\r\nb\x1b[K\r\n\x1b[J", "\r\x1b[2Ac\x1b[K\r\n\x1b[J", "\r\x1b[1A\x1b[J"}
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
	watch(links(1), &buf).end()
	if buf.Len() > 0 {
		t.Errorf("got %q", buf.String())
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

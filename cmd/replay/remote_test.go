package main

import (
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/replay"
	"linktape/replay/remote"
)

func TestCtlRequest(t *testing.T) {
	for _, c := range []struct {
		args string
		verb replay.Verb
		want remote.Request
		err  string
	}{
		{"status", "status", remote.Request{}, ""},
		{"pause", replay.Pause, remote.Request{}, ""},
		{"skip 10s", replay.Skip, remote.Request{By: "10s"}, ""},
		{"skip -10s", replay.Skip, remote.Request{By: "-10s"}, ""},
		{"skip to 1m", replay.Skip, remote.Request{To: "1m"}, ""},
		{"skip next", replay.Skip, remote.Request{To: "next"}, ""},
		{"cut a", replay.Cut, remote.Request{Link: "a"}, ""},
		{"cut a stall", replay.Cut, remote.Request{Link: "a", Mode: "stall"}, ""},
		{"restore a", replay.RestoreLink, remote.Request{Link: "a"}, ""},
		{"stop", replay.StopNow, remote.Request{}, ""},
		{"pause now", "", remote.Request{}, "pause now: write pause alone"},
		{"skip", "", remote.Request{}, "write skip 10s, skip to 1m30s or skip next"},
		{"skip soon", "", remote.Request{}, `by "soon": write a time`},
		{"cut", "", remote.Request{}, "write cut LINK"},
		{"cut a axe", "", remote.Request{}, "write one of drop-both"},
		{"restore", "", remote.Request{}, "write restore LINK"},
		{"fly", "", remote.Request{}, "fly: no such command: one of status, "},
	} {
		v, r, err := ctlRequest(strings.Fields(c.args))
		switch {
		case c.err != "":
			if cli.Status(err) != 2 || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want %q", c.args, err, c.err)
			}
		case err != nil || v != c.verb || r != c.want:
			t.Errorf("%s: got %s %+v, error %v", c.args, v, r, err)
		}
	}
}

func TestCtlUsage(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"ctl pause", 2, "pause what? write --control PATH"},
		{"ctl --control x", 2, "usage: replay ctl VERB"},
		{"ctl --control x cut a --json", 2, "flag --json stands after cut"},
		{"ctl --control x --wait -1s pause", 2, "--wait -1s: negative"},
		{"ctl --control no/such/socket pause", 1, "control socket no/such/socket: no replay listens there"},
		{"ctl --control no/such/socket --wait 30ms pause", 1, "waited 30ms: "},
		{"run --control . tape", 1, "there is a file that is no socket"},
		{"run --http 8080 tape", 1, "write host:port"},
	} {
		stdout, _, err := invoke(t.Context(), strings.Fields(c.args)...)
		if err == nil || cli.Status(err) != c.status || !strings.Contains(err.Error(), c.want) || stdout != "" {
			t.Errorf("%s: got status %d, error %v; want %d, %q", c.args, cli.Status(err), err, c.status, c.want)
		}
	}
}

// shown is a replay's status that every test sees the same.
func shown() replay.Status {
	return replay.Status{
		State: replay.Paused, Elapsed: 99 * time.Second, Position: 72345 * time.Millisecond, Tape: 82345 * time.Millisecond,
		Length: 400 * time.Second, From: 10 * time.Second, To: 5 * time.Minute, Loops: 1, Speed: 1, Lateness: 87654, Acts: 2,
		Next: &replay.TapeEvent{Tape: 90 * time.Second, In: 7655 * time.Millisecond, Link: "att", Dir: "up", Label: "outage", What: replay.LosesAll},
		Links: []replay.LinkStatus{
			{Link: "att", Dir: "down", Begun: true, Carrier: true, Label: "good", Rate: 52_300_000, Delay: 23 * time.Millisecond, Loss: 0.0012, Bytes: 123_456_789, Backlog: 64_000, Drops: 12},
			{Link: "att", Dir: "up", Begun: true, Carrier: true, Label: "good", Rate: 6_000_000, Cut: "drop-up", Loss: 1},
			{Link: "t", Dir: "up"},
		},
	}
}

func TestPrintStatus(t *testing.T) {
	var all strings.Builder
	for _, change := range []func(*replay.Status){
		func(*replay.Status) {},
		func(s *replay.Status) {
			s.State, s.Loops, s.Loop, s.Speed, s.Acts, s.Next = replay.Playing, 3, 1, 2, 0, nil
		},
		func(s *replay.Status) { s.State, s.Loops, s.Loop = replay.Playing, 0, 41 },
		func(s *replay.Status) {
			s.State, s.WaitsFor, s.Links = replay.Waiting, "the first packet", nil
			s.Next = nil
		},
	} {
		s := shown()
		change(&s)
		if err := printStatus(&all, &s); err != nil {
			t.Fatal(err)
		}
		all.WriteString("\n")
	}
	for _, a := range []replay.Act{
		{Verb: replay.Pause, Changed: true, Before: time.Second, Tape: time.Second},
		{Verb: replay.Pause, Tape: time.Second},
		{Verb: replay.Skip, Changed: true, Before: time.Second, Tape: 11 * time.Second},
		{Verb: replay.Cut, Changed: true, Link: "att", Mode: "stall"},
	} {
		all.WriteString(eventText(&remote.Event{Act: &a}) + "\n")
	}
	for _, e := range []replay.TapeEvent{{Link: "a", Dir: "up", Label: "bad"}, {Link: "a", Dir: "up", What: replay.Stalled}, {Link: "a", Dir: "up"}} {
		all.WriteString(eventText(&remote.Event{Tape: &e}) + "\n")
	}
	checkGolden(t, "status", all.String())
	if err := printStatus(broken{}, new(replay.Status)); err == nil {
		t.Error("the table was lost without an error")
	}
}

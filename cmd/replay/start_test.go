package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/replay"
)

func TestParseInstant(t *testing.T) {
	now := time.Date(2026, 11, 27, 9, 59, 30, 250, time.FixedZone("", 3600))
	for _, c := range []struct{ text, want, fault string }{
		{"2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z", ""},
		{"2026-11-27T10:00:00.123456789+01:00", "2026-11-27T09:00:00.123456789Z", ""},
		{"+5s", "2026-11-27T08:59:35.00000025Z", ""},
		{"+0s", "2026-11-27T08:59:30.00000025Z", ""},
		{"+1h30m", "2026-11-27T10:29:30.00000025Z", ""},
		{"+5", "", "missing unit"},
		{"+-5s", "", "negative"},
		{"5s", "", "an instant is written as 2026-11-27T09:00:30Z"},
		{"10:00", "", "an instant is written as"},
		{"2026-11-27 10:00:00", "", "an instant is written as"},
		{"", "", "an instant is written as"},
	} {
		got, err := parseInstant(c.text, now)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: got %v, error %v, want %q", c.text, got, err, c.fault)
			}
		case err != nil || got.Format(time.RFC3339Nano) != c.want:
			t.Errorf("%q: got %v, error %v, want %s", c.text, got, err, c.want)
		}
	}
}

func FuzzParseInstant(f *testing.F) {
	now := time.Unix(1.8e9, 0)
	f.Add("+5s")
	f.Add("2026-11-27T10:00:00.5Z")
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseInstant(s, now)
		if err != nil {
			return
		}
		text := at.Format(time.RFC3339Nano)
		if again, err := parseInstant(text, now); at.Year() < 10000 && (err != nil || !again.Equal(at)) {
			t.Errorf("%q is %v, and %q %v, %v", s, at, text, again, err)
		}
	})
}

func TestJoinLoop(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"run --loop x.tape", "run --loop x.tape"},
		{"run --loop 3 x.tape", "run --loop=3 x.tape"},
		{"run --loop forever x.tape", "run --loop=forever x.tape"},
		{"run -loop 3 --json x.tape", "run -loop=3 --json x.tape"},
		{"run --loop -2 x.tape", "run --loop=-2 x.tape"},
		{"run --loop=3 x.tape", "run --loop=3 x.tape"},
		{"run --loop 3", "run --loop 3"}, // the tape is called 3
		{"run --loop --json x.tape", "run --loop --json x.tape"},
		{"run -- --loop 3 x", "run -- --loop 3 x"},
		{"run --loop", "run --loop"},
		{"", ""},
	} {
		args := strings.Fields(c.args)
		kept := slices.Clone(args)
		if got := joinLoop(args); !slices.Equal(got, strings.Fields(c.want)) || !slices.Equal(args, kept) {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

// Usage errors of what begins a replay, and how often it plays.
func TestStartUsage(t *testing.T) {
	tape, _ := shortTape(t)
	for _, c := range []struct{ args, want string }{
		{"--at now", "--at now: "},
		{"--at +5s --start-on stdin", "--at and --start-on exclude each other"},
		{"--start-on hup", "--start-on hup: one of usr1, usr2, stdin, packet"},
		{"--loop 0", `invalid boolean value "0" for -loop: neither a number from 1 on nor forever`},
		{"--loop=often", "neither a number from 1 on nor forever"},
		{"--speed 0", "--speed 0: outside 0.001 to 1000"},
		{"--speed nan", "--speed NaN: outside"},
		{"--speed 2000", "--speed 2000: outside 0.001 to 1000"},
		{"--hold --neutral", "--hold and --neutral exclude each other"},
	} {
		_, _, err := invoke(t.Context(), append(append([]string{"run"}, strings.Fields(c.args)...), tape)...)
		if cli.Status(err) != cli.ExitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", c.args, err, c.want)
		}
	}
}

func TestOnLine(t *testing.T) {
	for _, c := range []struct{ name, text, fault string }{
		{"a line", "go\n", ""},
		{"an empty line", "\n", ""},
		{"without its end", "go", ""},
		{"a long line", strings.Repeat("x", 1000), ""},
		{"nothing", "", "standard input ended before a line came"},
	} {
		e, err := onLine(strings.NewReader(c.text)).Wait(t.Context())
		switch {
		case c.fault != "":
			if err == nil || err.Error() != c.fault {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.fault)
			}
		case err != nil || e != (replay.Event{What: "stdin"}):
			t.Errorf("%s: got %+v, %v", c.name, e, err)
		}
	}
}

func TestPrintStart(t *testing.T) {
	s := fixed()
	s.Wall = &replay.WallClock{OffsetStart: -1234, OffsetEnd: 2_345_678, Drift: 117.345, Known: true, Synchronised: true, MaxError: 12345678}
	var all strings.Builder
	for _, change := range []func(){
		func() {},
		func() { s.Start = "now" },
		func() { s.Start = "at" },
		func() { s.Joined = 7100 * time.Millisecond },
		func() { s.Wall.Synchronised = false },
		func() { s.Wall.Known = false },
		func() { s.Start, s.Joined = "usr1", 0 },
		func() { s.Start, s.Detected = "packet on att.up", 81234 },
	} {
		change()
		var text bytes.Buffer
		if err := printStart(&text, s); err != nil {
			t.Fatal(err)
		}
		all.WriteString(text.String() + "--\n")
		for line := range strings.Lines(text.String()) {
			if len([]rune(line)) > 130 {
				t.Errorf("%d columns: %s", len([]rune(line)), line)
			}
		}
	}
	if err := printStart(broken{}, s); err == nil {
		t.Error("the lines were lost without an error")
	}
	checkGolden(t, "start", all.String())
}

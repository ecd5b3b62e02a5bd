package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

// start is what --at and --start-on say.
type start struct {
	waits   bool
	what    string // is waited for
	at      time.Time
	trigger replay.Trigger
	packet  bool
	close   func()
}

func atFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "at", Usage: "start at `TIME` of the wall clock, as 2026-11-27T10:00:00Z or, from now, +5s"}
}

func startOnFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "start-on", Usage: "start at an `EVENT`: usr1 or usr2 (a signal), stdin (a line), packet (the first one of any link)"}
}

// newStart reads the flags. A signal is caught from here on.
func newStart(c *ucli.Context, stdin io.Reader, now time.Time) (*start, error) {
	s := &start{close: func() {}}
	at, on := c.String("at"), c.String("start-on")
	s.waits = at != "" || on != ""
	switch {
	case at != "" && on != "":
		return nil, cli.Usagef("--at and --start-on exclude each other")
	case at != "":
		var err error
		if s.at, err = parseInstant(at, now); err != nil {
			return nil, cli.Usagef("--at %s: %w", at, err)
		}
		s.what = s.at.Format(time.RFC3339Nano)
		return s, nil
	}
	signals := map[string]os.Signal{"usr1": syscall.SIGUSR1, "usr2": syscall.SIGUSR2}
	switch on {
	case "":
	case "usr1", "usr2":
		got := make(chan os.Signal, 1)
		signal.Notify(got, signals[on])
		s.close = func() { signal.Stop(got) }
		s.what = fmt.Sprintf("SIG%s: kill -%s %d", strings.ToUpper(on), strings.ToUpper(on), os.Getpid())
		s.trigger = onSignal(got, on)
	case "stdin":
		s.what, s.trigger = "a line on standard input", onLine(stdin)
	case "packet":
		s.what, s.packet = "the first packet", true
	default:
		return nil, cli.Usagef("--start-on %s: one of usr1, usr2, stdin, packet", on)
	}
	return s, nil
}

// parseInstant reads an instant of the wall clock, or a time from now.
func parseInstant(s string, now time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		d, err := time.ParseDuration(rest)
		if err == nil && d < 0 {
			err = errors.New("negative")
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: a time from now is written as +5s", err)
		}
		return now.Add(d).Round(0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: an instant is written as %s", err, now.UTC().Add(time.Minute).Format(time.RFC3339))
	}
	return t.UTC(), nil
}

// options hands the start over.
func (s *start) options(o *replay.Options, run *netsetup.Run, tape *trace.Reader) {
	o.At, o.Trigger = s.at, s.trigger
	if s.packet {
		var links []string
		for _, l := range tape.Meta().Links {
			links = append(links, l.Name)
		}
		// The packet itself is to meet the tape's first state.
		o.Trigger, o.Arm = replay.OnPacket(run, links), true
	}
}

// onSignal is the trigger of a signal.
func onSignal(got <-chan os.Signal, name string) replay.Trigger {
	return replay.TriggerFunc(func(ctx context.Context) (replay.Event, error) {
		select {
		case <-got:
			return replay.Event{What: name}, nil
		case <-ctx.Done():
			return replay.Event{}, context.Cause(ctx)
		}
	})
}

// onLine is the trigger of a line.
func onLine(r io.Reader) replay.Trigger {
	return replay.TriggerFunc(func(ctx context.Context) (replay.Event, error) {
		result := make(chan error, 1)
		go func() { // for as long as the read takes: it cannot be stopped
			line, err := bufio.NewReaderSize(r, 16).ReadSlice('\n')
			if len(line) > 0 { // a long line is one, and so is a last one
				err = nil
			}
			result <- err
		}()
		select {
		case err := <-result:
			if errors.Is(err, io.EOF) {
				err = errors.New("standard input ended before a line came")
			}
			return replay.Event{What: "stdin"}, err
		case <-ctx.Done():
			return replay.Event{}, context.Cause(ctx)
		}
	})
}

// printStart says what began a replay that waited, and how the clocks went.
func printStart(w io.Writer, s *replay.Summary) error {
	var b strings.Builder
	switch {
	case s.Start == "" || s.Start == "now":
		return nil
	case s.Start == "at":
		fmt.Fprintf(&b, "started at %s", s.Epoch.Format(time.RFC3339Nano))
		if s.Joined > 0 {
			fmt.Fprintf(&b, ", joined after %v", s.Joined.Round(time.Millisecond))
		}
	default:
		fmt.Fprintf(&b, "started by %s at %s", s.Start, s.Epoch.Format(time.RFC3339Nano))
		if s.Detected > 0 {
			fmt.Fprintf(&b, ", seen %v later", short(s.Detected))
		}
	}
	b.WriteByte('\n')
	if c := s.Wall; c != nil && s.Start == "at" {
		fmt.Fprintf(&b, "wall clock against the replay: %v at the start, %v at the end (%+.3f ppm); ", short(c.OffsetStart), short(c.OffsetEnd), c.Drift)
		switch {
		case !c.Known:
			b.WriteString("whether it is synchronised is not known\n")
		case !c.Synchronised:
			b.WriteString("not synchronised\n")
		default:
			fmt.Fprintf(&b, "synchronised within %v\n", short(c.MaxError))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/replay"
	"linktape/replay/remote"
)

func controlFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "control", Usage: "take commands on a Unix socket at `PATH`: replay ctl, or curl --unix-socket"}
}

func httpFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "http", Usage: "take the same commands at `HOST:PORT`; :PORT is for this machine alone"}
}

// doors are the ways in which a replay takes commands.
type doors struct {
	unix, tcp net.Listener // nil: not this way
	host      string
	servers   []*remote.Server
}

// openDoors listens where the flags say.
func openDoors(c *ucli.Context) (d *doors, err error) {
	d = new(doors)
	if path := c.String("control"); path != "" {
		if d.unix, err = remote.ListenUnix(path); err != nil {
			return nil, err
		}
	}
	if address := c.String("http"); address != "" {
		if d.tcp, d.host, err = remote.ListenTCP(address); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func (d *doors) any() bool { return d.unix != nil || d.tcp != nil }

// serve answers from here on.
func (d *doors) serve(p remote.Player, stderr io.Writer) {
	if d.unix != nil {
		d.servers = append(d.servers, remote.Serve(d.unix, remote.Handler(p, "socket", "")))
		d.unix = nil
	}
	if d.tcp != nil {
		fmt.Fprintf(stderr, "replay: takes commands at http://%v\n", d.tcp.Addr())
		d.servers = append(d.servers, remote.Serve(d.tcp, remote.Handler(p, "http", d.host)))
		d.tcp = nil
	}
}

// close may be called more than once.
func (d *doors) close() error {
	var errs []error
	for _, l := range []net.Listener{d.unix, d.tcp} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	for _, s := range d.servers {
		errs = append(errs, s.Close())
	}
	*d = doors{}
	return errors.Join(errs...)
}

const ctlVerbs = "status, events, pause, resume, step, skip, cut, restore or stop"

func ctlCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "ctl", ArgsUsage: "VERB …",
		Usage: "drive a replay that was started with --control",
		Description: "status | events               how it stands; what happens, until it ends\n" +
			"pause | resume | step         stop the tape's time, let it go on, play the next instant\n" +
			"skip 10s | -10s               move the tape's time by this\n" +
			"skip to 1m30s | next          to an instant of the tape; to its next event\n" +
			"cut LINK [MODE]               drop-both (without it), drop-up, drop-down, stall, carrier-down\n" +
			"restore LINK                  give a link the tape's state again\n" +
			"stop                          end the replay, and wait until it has ended",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "control", Usage: "the replay's socket, `PATH`"},
			&ucli.DurationFlag{Name: "wait", Usage: "wait this long for the replay to begin"},
			&ucli.BoolFlag{Name: "json", Usage: "print the answer as JSON"},
		},
		Action: func(c *ucli.Context) error { return ctl(c, stdout) },
	}
}

// ctlRequest reads what is to be done; a status and events are no request.
func ctlRequest(args []string) (v replay.Verb, r remote.Request, err error) {
	v = replay.Verb(args[0])
	rest := args[1:]
	usage := func(want string) error { return cli.Usagef("%s: write %s", strings.Join(args, " "), want) }
	switch v {
	case "status", "events", replay.Pause, replay.Resume, replay.StepOn, replay.StopNow:
		if len(rest) > 0 {
			return v, r, usage(string(v) + " alone")
		}
		return v, r, nil
	case replay.Skip:
		switch {
		case len(rest) == 1 && rest[0] == remote.Next:
			r.To = remote.Next
		case len(rest) == 2 && rest[0] == "to":
			r.To = rest[1]
		case len(rest) == 1:
			r.By = rest[0]
		default:
			return v, r, usage("skip 10s, skip to 1m30s or skip next")
		}
	case replay.Cut:
		switch len(rest) {
		case 2:
			r.Mode = rest[1]
			fallthrough
		case 1:
			r.Link = rest[0]
		default:
			return v, r, usage("cut LINK, or cut LINK MODE")
		}
	case replay.RestoreLink:
		if len(rest) != 1 {
			return v, r, usage("restore LINK")
		}
		r.Link = rest[0]
	default:
		return v, r, cli.Usagef("%s: no such command: one of %s", v, ctlVerbs)
	}
	if _, err := r.Command(v); err != nil {
		return v, r, cli.Usagef("%s: %w", strings.Join(args, " "), err)
	}
	return v, r, nil
}

func ctl(c *ucli.Context, stdout io.Writer) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		return cli.Usagef("usage: %s %s: one of %s", c.Command.HelpName, c.Command.ArgsUsage, ctlVerbs)
	}
	if c.String("control") == "" {
		return cli.Usagef("%s what? write --control PATH, the one that the replay was started with", args[0])
	}
	if i := slices.IndexFunc(args[1:], func(s string) bool { return strings.HasPrefix(s, "--") }); i >= 0 {
		return cli.Usagef("flag %s stands after %s: flags come before it", args[i+1], args[0])
	}
	v, r, err := ctlRequest(args)
	if err != nil {
		return err
	}
	wait := c.Duration("wait")
	if wait < 0 {
		return cli.Usagef("--wait %v: negative", wait)
	}
	client := remote.NewClient(c.String("control"))
	if wait > 0 {
		ctx, cancel := context.WithTimeout(c.Context, wait)
		defer cancel()
		if err := client.Await(ctx, v != "status" && v != "events" && v != replay.StopNow); err != nil {
			return fmt.Errorf("waited %v: %w", wait, err)
		}
	}
	switch v {
	case "status":
		s, err := client.Status(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return cli.PrintJSON(stdout, s)
		}
		return printStatus(stdout, &s)
	case "events":
		out := json.NewEncoder(stdout)
		out.SetEscapeHTML(false)
		return client.Events(c.Context, func(e remote.Event) error {
			if c.Bool("json") {
				return out.Encode(e)
			}
			_, err := fmt.Fprintln(stdout, eventText(&e))
			return err
		})
	}
	act, err := client.Do(c.Context, v, r)
	if err != nil {
		return err
	}
	if v == replay.StopNow {
		if err := client.AwaitEnd(c.Context); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return cli.PrintJSON(stdout, act)
	}
	_, err = fmt.Fprintln(stdout, actText(&act))
	return err
}

// actText says what was done by hand.
func actText(a *replay.Act) string {
	s := string(a.Verb)
	if a.Link != "" {
		s += " " + a.Link
	}
	if a.Mode != "" {
		s += " (" + a.Mode + ")"
	}
	switch {
	case !a.Changed:
		return fmt.Sprintf("%s: it is so already, at %v of the tape", s, a.Tape.Round(time.Millisecond))
	case a.Before.Round(time.Millisecond) != a.Tape.Round(time.Millisecond):
		return fmt.Sprintf("%s: from %v of the tape to %v", s, a.Before.Round(time.Millisecond), a.Tape.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s: at %v of the tape", s, a.Tape.Round(time.Millisecond))
}

// eventText says what happened.
func eventText(e *remote.Event) string {
	switch {
	case e.Act != nil:
		return "by hand: " + actText(e.Act)
	case e.Tape != nil:
		return fmt.Sprintf("tape: %s, at %v", tapeEventText(e.Tape), e.Tape.Tape.Round(time.Millisecond))
	}
	return e.State
}

// tapeEventText says what changes: "att.up outage (loses all)".
func tapeEventText(e *replay.TapeEvent) string {
	s := e.Link + "." + e.Dir
	switch {
	case e.Label != "" && e.What != "" && e.Label != e.What:
		return s + " " + e.Label + " (" + e.What + ")"
	case e.Label != "":
		return s + " " + e.Label
	case e.What != "":
		return s + " " + e.What
	}
	return s + " passes packets, no label"
}

// printStatus says how a replay stands.
func printStatus(w io.Writer, s *replay.Status) error {
	var b strings.Builder
	b.WriteString(stateText(s) + "\n")
	if s.Next != nil && s.State != replay.Ended {
		fmt.Fprintf(&b, "next: %s in %s\n", tapeEventText(s.Next), tenths(s.Next.In))
	}
	rows := [][]string{{"LINK", "Mbit/s", "DELAY ms", "LOSS %", "QUEUE kB", "DROPS", "MB", "LABEL", "CUT"}}
	for _, l := range s.Links {
		row := []string{l.Link + "." + l.Dir, "-", "-", "-", "-", "-", "-", "-", "-"}
		if l.Begun {
			row = []string{row[0], cli.Mbits(float64(l.Rate)), cli.Millis(l.Delay), cli.Percent(l.Loss), cli.Number(float64(l.Backlog) / 1e3),
				fmt.Sprint(l.Drops), fmt.Sprintf("%.3f", float64(l.Bytes)/1e6), orDash(l.Label), orDash(l.Cut)}
		}
		rows = append(rows, row)
	}
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// stateText says in one line where a replay is.
func stateText(s *replay.Status) string {
	if s.State == replay.Waiting {
		out := "waits for its start"
		if s.WaitsFor != "" {
			out = "waits for " + s.WaitsFor
		}
		return out
	}
	out := fmt.Sprintf("%s at %s of %v", s.State, tenths(s.Tape), s.To)
	if s.Loops != 1 {
		out += fmt.Sprintf(", pass %d", s.Loop+1)
		if s.Loops > 0 {
			out += fmt.Sprintf(" of %d", s.Loops)
		}
	}
	if s.Speed != 1 {
		out += fmt.Sprintf(", speed %v", s.Speed)
	}
	out += fmt.Sprintf("; largest lateness %v", short(s.Lateness))
	if s.Acts > 0 {
		out += fmt.Sprintf("; by hand: %d", s.Acts)
	}
	return out
}

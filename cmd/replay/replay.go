package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	app := cli.App(&ucli.App{
		Name:  "replay",
		Usage: "play a tape onto the links of a run, on time",
		Description: "linkup up --name demo --tape drive.tape\n" +
			"replay run --on demo --out result drive.tape",
		Commands: []*ucli.Command{{
			Name: "run", ArgsUsage: "TAPE",
			Usage: "play a tape; exit status 3 if a step was later than --max-lateness",
			Flags: []ucli.Flag{
				&ucli.StringFlag{Name: "on", Value: "main", Usage: "the `RUN` whose links are changed"},
				atFlag(), startOnFlag(), loopFlag(),
				&ucli.DurationFlag{Name: "from", Usage: "begin at `OFFSET` of the tape"},
				&ucli.DurationFlag{Name: "duration", Usage: "play this much of the tape; with --loop the length of the window"},
				&ucli.Float64Flag{Name: "speed", Value: 1, Usage: "play the tape `F` times as fast; rates and delays stay"},
				&ucli.StringFlag{Name: "out", Usage: "write the applied log, the counters and the summary into `DIR`"},
				&ucli.DurationFlag{Name: "counters", Value: 100 * time.Millisecond, Usage: "with --out: read the links' counters this often, down to 10ms; 0: never"},
				&ucli.StringFlag{Name: "read-back", Value: "1s", Usage: "with --out: ask the kernel what it was told, every `TIME`, or so often as in 10/s; 0: never"},
				controlFlag(), httpFlag(),
				&ucli.BoolFlag{Name: "json", Usage: "print the summary as JSON"},
				&ucli.DurationFlag{Name: "max-lateness", Usage: "exit with status 3 if a step is later than this; 0: no bound"},
				&ucli.BoolFlag{Name: "rates-only", Usage: "leave delay, jitter and loss out"},
				&ucli.BoolFlag{Name: "hold", Usage: "leave the links in the last state, as without --restore and --neutral"},
				&ucli.BoolFlag{Name: "restore", Usage: "leave the links in the state before the replay, not in the last one"},
				&ucli.BoolFlag{Name: "neutral", Usage: "leave the links in the topology's state"},
				&ucli.DurationFlag{Name: "spin", Value: replay.DefaultSpin, Usage: "read the clock for this long before each step"},
			},
			Action: func(c *ucli.Context) error { return play(ctx, c, stdin, stdout, stderr) },
		}, ctlCommand(stdout), reportCommand(stdout, stderr), diffCommand(stdout), simulateCommand(ctx, stdin, stdout, stderr)},
	}, stdin, stdout, stderr)
	return app.RunContext(ctx, append([]string{"replay"}, joinLoop(args)...))
}

func play(ctx context.Context, c *ucli.Context, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	opts := replay.Options{
		From: c.Duration("from"), Duration: c.Duration("duration"), RatesOnly: c.Bool("rates-only"), Speed: c.Float64("speed"),
	}
	setLoop(c, &opts)
	if opts.Speed < replay.MinSpeed || opts.Speed > replay.MaxSpeed || math.IsNaN(opts.Speed) {
		return cli.Usagef("--speed %v: outside %v to %v", opts.Speed, replay.MinSpeed, replay.MaxSpeed)
	}
	if err := exclusive(c, "hold", "restore", "neutral"); err != nil {
		return err
	}
	start, err := newStart(c, stdin, time.Now())
	if err != nil {
		return err
	}
	defer start.close()
	switch {
	case c.Bool("restore"):
		opts.Leave = replay.Restore
	case c.Bool("neutral"):
		opts.Leave = replay.Neutral
	}
	for _, f := range []string{"from", "duration", "max-lateness", "spin"} {
		if c.Duration(f) < 0 {
			return cli.Usagef("--%s %v: negative", f, c.Duration(f))
		}
	}
	if opts.Record, err = recording(c, args[0], stderr); err != nil {
		return err
	}
	doors, err := openDoors(c)
	if err != nil {
		return err
	}
	// The last thing: who waits for the end may take the links down then.
	defer func() { err = errors.Join(err, doors.close()) }()
	tape, err := trace.Open(args[0])
	if err != nil {
		return err
	}
	defer tape.Close()
	links, err := netsetup.Open(c.String("on"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, links.Close()) }()

	progress := cli.NewProgress(stderr, "checking "+args[0])
	opts.Checking = progress.Set
	start.options(&opts, links, tape)
	opts.WaitsFor = start.what
	if doors.any() || cli.IsTerminal(stderr) {
		opts.Watch = refresh
	}
	var player *replay.Player
	var view *liveView
	keys := stdin
	if c.String("start-on") == "stdin" {
		keys = nil // it is read for something else
	}
	opts.Waiting = func() {
		fmt.Fprintf(stderr, "replay: ready, waits for %s\n", start.what)
		view = watch(ctx, player, keys, stderr)
	}
	player, err = replay.New(ctx, tape, replay.OnRun(links), opts)
	progress.Done()
	if err != nil {
		return err
	}
	if dir := opts.Record.Dir; dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	doors.serve(player, stderr)
	if !start.waits {
		view = watch(ctx, player, keys, stderr)
	}
	defer func() { view.end() }() // also of a panic: the terminal is given back
	sum, err := player.Run(ctx, replay.NewMonotonic(c.Duration("spin")), nil)
	view.end()
	if sum == nil {
		return err
	}
	// A replay that had a fault has been played all the same.
	if out := c.String("out"); out != "" {
		err = errors.Join(err, writeJSON(filepath.Join(out, replay.SummaryFile), sum))
	}
	if c.Bool("json") {
		err = errors.Join(err, cli.PrintJSON(stdout, sum))
	} else {
		err = errors.Join(err, printSummary(stdout, sum))
	}
	for _, w := range sum.Warnings {
		fmt.Fprintln(stderr, "replay:", w)
	}
	if bound := c.Duration("max-lateness"); err == nil && bound > 0 && sum.Lateness.Max > bound {
		return cli.Boundsf("a step was %v late, more than --max-lateness %v", sum.Lateness.Max, bound)
	}
	return err
}

func writeJSON(file string, v any) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(cli.PrintJSON(f, v), f.Close())
}

func printSummary(stdout io.Writer, s *replay.Summary) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LINK\tSTEPS\tTAPE MB\tLINK MB\tUSE %\tBUSY %\tDEV %\tDROPS\tQUEUE kB\t")
	for _, l := range s.Links {
		deviation := "-"
		if l.Saturated > 0 {
			deviation = fmt.Sprintf("%+.2f", 100*l.Deviation)
		}
		fmt.Fprintf(w, "%s.%s\t%d\t%.3f\t%.3f\t%.1f\t%.0f\t%s\t%d\t%.1f\t\n", l.Link, l.Dir, l.Steps,
			float64(l.TapeBytes)/1e6, float64(l.DeliveredBytes)/1e6, 100*l.Use, 100*l.Saturated, deviation, l.Drops, float64(l.MaxBacklogBytes)/1e3)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tP50\tP99\tP99.9\tMAX\t")
	for _, d := range []struct {
		name string
		replay.Distribution
	}{{"lateness", s.Lateness}, {"exchange", s.Exchange}, {"skew", s.Skew}} {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%v\t\n", d.name, short(d.P50), short(d.P99), short(d.P999), short(d.Max))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	scheduling := "real-time scheduling"
	if !s.Realtime {
		scheduling = "ordinary scheduling (real-time needs CAP_SYS_NICE)"
	}
	if !s.Locked {
		scheduling += "\nmemory not locked (needs CAP_IPC_LOCK)"
	}
	how := "to the end"
	if s.Stopped {
		how = "until stopped"
	}
	if s.Loops > 1 {
		how += fmt.Sprintf(" in loop %d", s.Loops)
	}
	if s.Speed != 0 && s.Speed != 1 {
		how += fmt.Sprintf(" at speed %v", s.Speed)
	}
	if s.RatesOnly {
		how += ", rates only"
	}
	said := ""
	for _, l := range s.Links {
		if l.ShaperWhy == "" {
			continue
		}
		if line := fmt.Sprintf("shaper of %s: %s: %s\n", l.Link, l.Shaper, l.ShaperWhy); !strings.Contains(said, line) {
			said += line
		}
	}
	if _, err := io.WriteString(stdout, said); err != nil {
		return err
	}
	if err := printStart(stdout, s); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "played %v from %v %s: %d steps, %d missed\n%s; links left: %s\n",
		s.Played.Round(time.Millisecond), s.From, how, s.Steps, s.Missed, scheduling, s.Left)
	return err
}

// short rounds a duration to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d.Abs()/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

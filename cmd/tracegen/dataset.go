package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/synth/dataset"
)

// dataSetFlags are the flags of synth that ask for a data set.
func dataSetFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "out", Usage: "write a data set into the folder `DIR`, in place of one tape"},
		&ucli.StringFlag{Name: "seeds", Usage: "with --out: make a tape for each of `SEEDS`, such as 1..100,200", DefaultText: "as in each scenario"},
		&ucli.IntFlag{Name: "jobs", Usage: "with --out: make `N` tapes at the same time", DefaultText: "one for each processor"},
		&ucli.BoolFlag{Name: "verify", Usage: "with --out: read tapes that are there to their end before they are kept"},
		&ucli.BoolFlag{Name: "force", Usage: "with --out: replace tapes that are there and differ from what is asked for"},
		&ucli.BoolFlag{Name: "json", Usage: "with --out: print the summary as JSON"},
	}
}

// dataSetFlag returns the first flag that was given and needs --out.
func dataSetFlag(c *ucli.Context) string {
	for _, f := range dataSetFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return name
		}
	}
	return ""
}

// maxFailures is how many failures are printed; --json has them all.
const maxFailures = 20

func doSynthDataSet(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	dir := c.String("out")
	switch {
	case c.IsSet("o"):
		return cli.Usagef("-o and --out: choose one: -o writes one tape, --out a data set")
	case dir == "":
		return cli.Usagef("--out: name a folder for the data set")
	case dir == cli.StdStream:
		return cli.Usagef("--out -: a data set is a folder of files: name one")
	case c.IsSet("seed"):
		return cli.Usagef("--seed and --out: write --seeds %d", c.Uint64("seed"))
	}
	var opts dataset.Options
	if opts.Synth, err = synthOptions(c); err != nil {
		return err
	}
	if c.IsSet("seeds") {
		for _, s := range opts.Synth.Set {
			if key, _, _ := strings.Cut(s, "="); strings.TrimSpace(key) == "seed" {
				return cli.Usagef("--set %s and --seeds: choose one", s)
			}
		}
		if opts.Seeds, err = dataset.ParseSeeds(c.String("seeds")); err != nil {
			return cli.Usagef("--seeds: %w", err)
		}
	}
	if opts.Jobs = c.Int("jobs"); c.IsSet("jobs") && (opts.Jobs < 1 || opts.Jobs > 1024) {
		return cli.Usagef("--jobs %d: write a number from 1 to 1024", opts.Jobs)
	}
	opts.Verify, opts.Force = c.Bool("verify"), c.Bool("force")

	var sources []dataset.Source
	given := make(map[string]bool)
	for _, arg := range args {
		if given[arg] {
			return cli.Usagef("scenario %s: given twice", arg)
		}
		given[arg] = true
		var src dataset.Source
		if src.Name, src.Data, src.Err = readScenario(arg, c.App.Reader); src.Name == "" {
			src.Name = arg
		}
		sources = append(sources, src)
	}
	set, err := dataset.New(dir, sources, opts)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	stderr := c.App.ErrWriter
	for _, w := range set.Warnings() {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	report := makeDataSet(c.Context, set, stderr)
	for _, w := range report.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if c.Bool("json") {
		err = cli.PrintJSON(c.App.Writer, report)
	} else {
		err = printDataSet(c.App.Writer, report)
	}
	if err != nil {
		return err
	}
	t := report.Total()
	fmt.Fprintf(stderr, "%s has %d of %s: %d made, %d kept; %s, %s\n", dir, t.Made+t.Kept, cli.Count(set.Tapes(), "tape"), t.Made, t.Kept, cli.Count(t.Steps, "step"), cli.Count(t.Bytes, "byte"))
	return dataSetError(report, set.Tapes())
}

// makeDataSet makes a data set and shows on a terminal how far it is.
func makeDataSet(ctx context.Context, set *dataset.Set, stderr io.Writer) *dataset.Report {
	var progress *cli.Progress
	shown := ""
	report := set.Make(ctx, func(phase string, fraction float64) {
		if phase != shown {
			progress.Done()
			progress, shown = cli.NewProgress(stderr, phase+" ("+cli.Count(set.Tapes(), "tape")+")"), phase
		}
		progress.Set(fraction)
	})
	progress.Done()
	return report
}

// printDataSet prints a line for each scenario.
func printDataSet(w io.Writer, report *dataset.Report) error {
	rows := [][]string{{"scenario", "tapes", "made", "kept", "failed", "steps", "bytes"}}
	line := func(name string, s dataset.Summary) {
		row := []string{name}
		for _, n := range []int64{s.Tapes, s.Made, s.Kept, s.Failed, s.Steps, s.Bytes} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, row)
	}
	for _, s := range report.Scenarios {
		line(s.Scenario, s)
	}
	if len(report.Scenarios) > 1 {
		line("total", report.Total())
	}
	var b strings.Builder
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// dataSetError says what is missing of a data set, and what to do.
func dataSetError(report *dataset.Report, tapes int64) error {
	var b strings.Builder
	if len(report.Failures) > 0 {
		fmt.Fprintf(&b, "%d of %s failed:", report.Failed, cli.Count(tapes, "tape"))
		for i := range report.Failures {
			if i == maxFailures {
				fmt.Fprintf(&b, "\n  and %d more; --json lists them all", len(report.Failures)-i)
				break
			}
			b.WriteString("\n  " + strings.ReplaceAll(report.Failures[i].String(), "\n", "\n    "))
		}
	}
	if report.Left > 0 {
		reason := report.Stop.Error()
		if errors.Is(report.Stop, context.Canceled) {
			reason = "interrupted"
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s not made; what is there is whole, and the same command makes the rest", reason, cli.Count(report.Left, "tape"))
	}
	if b.Len() == 0 {
		return nil
	}
	return errors.New(b.String())
}

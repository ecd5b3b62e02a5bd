package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/replay/report"
)

func diffCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "diff", ArgsUsage: "DIR_A DIR_B",
		Usage: "say whether two replays applied the same conditions; exit status 3 if not",
		Flags: []ucli.Flag{
			&ucli.DurationFlag{Name: "tolerance", Value: report.DefaultTolerance, Usage: "that the instants of a step may lie apart"},
			&ucli.BoolFlag{Name: "json", Usage: "print the comparison as JSON"},
		},
		Action: func(c *ucli.Context) error { return diff(c, stdout) },
	}
}

func diff(c *ucli.Context, stdout io.Writer) error {
	args, err := cli.Args(c, 2, 2)
	if err != nil {
		return err
	}
	if d := c.Duration("tolerance"); d < 0 {
		return cli.Usagef("--tolerance %v: negative", d)
	}
	r, err := report.Compare(args[0], args[1], c.Duration("tolerance"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = cli.PrintJSON(stdout, r)
	} else {
		err = printComparison(stdout, r)
	}
	if err == nil && !r.Same {
		return cli.Boundsf("%s and %s did not apply the same conditions", args[0], args[1])
	}
	return err
}

func printComparison(stdout io.Writer, r *report.Comparison) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LINK\tSTEPS\tONLY A\tONLY B\tVALUES\tTIMING\tAPART\tLOST A\tLOST B\tOF A\tOF B\t")
	for _, l := range r.Links {
		lost := func(n int64) string {
			if n < 0 {
				return "-"
			}
			return fmt.Sprint(n)
		}
		fmt.Fprintf(w, "%s.%s\t%d\t%d\t%d\t%d\t%d\t%v\t%s\t%s\t%d\t%d\t\n", l.Link, l.Dir, l.Steps, l.OnlyA, l.OnlyB, l.Values, l.Timing,
			short(l.Apart), lost(l.LostA), lost(l.LostB), l.PacketsA, l.PacketsB)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range r.Settings {
		if _, err := fmt.Fprintf(stdout, "%s: A %s, B %s\n", s.Name, s.A, s.B); err != nil {
			return err
		}
	}
	for _, e := range r.Examples {
		if _, err := fmt.Fprintf(stdout, "%s.%s at %v: %s\n", e.Link, e.Dir, e.Due.Round(time.Microsecond), e.What); err != nil {
			return err
		}
	}
	for _, s := range r.Remarks {
		if _, err := fmt.Fprintf(stdout, "(%s)\n", s); err != nil {
			return err
		}
	}
	said := "the same conditions"
	if !r.Same {
		said = "not the same conditions"
	}
	_, err := fmt.Fprintln(stdout, said)
	return err
}

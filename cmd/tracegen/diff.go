package main

import (
	"fmt"
	"io"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/trace/edit"
)

func diffCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "diff",
		Usage:     "compare the conditions of two tapes",
		ArgsUsage: "[--json] [--tolerance P] [--spans N] A B",
		Description: `Compares duration, links and, for each direction that both have, every instant of
the time that both last. How the steps are written does not count. Exit status 0:
the same conditions; 3: others. Metadata (queues, seed, scenario, where a tape
comes from) is listed apart and does not count.

   tracegen diff drive.tape edited.tape`,
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
			&ucli.StringFlag{Name: "tolerance", Usage: "let numbers differ by the share `P` of the larger one", Value: "0"},
			&ucli.IntFlag{Name: "spans", Usage: "list the first `N` spans of a direction", Value: 10},
		},
		Action: doDiff,
	}
}

// tapeDiff is what tracegen diff --json prints.
type tapeDiff struct {
	A diffedTape `json:"a"`
	B diffedTape `json:"b"`
	*edit.Difference
}

type diffedTape struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

func doDiff(c *ucli.Context) error {
	args, err := cli.Args(c, 2, 2)
	if err != nil {
		return err
	}
	tolerance, err := trace.ParseProb(c.String("tolerance"))
	if err != nil {
		return cli.Usagef("--tolerance: %w", err)
	}
	if c.Int("spans") < 1 {
		return cli.Usagef("--spans %d: at least one", c.Int("spans"))
	}
	tapes, done, err := openInputs(c, args)
	defer done()
	if err != nil {
		return err
	}
	d, err := edit.Diff(tapes[0], tapes[1], edit.DiffOptions{Tolerance: float64(tolerance), Spans: c.Int("spans")})
	if err != nil {
		return err
	}
	out := tapeDiff{diffedTape{tapes[0].File, tapes[0].SHA256}, diffedTape{tapes[1].File, tapes[1].SHA256}, d}
	if c.Bool("json") {
		err = cli.PrintJSON(c.App.Writer, out)
	} else {
		err = out.print(c.App.Writer)
	}
	if err == nil && !d.Same {
		err = &cli.Error{Status: cli.ExitBounds}
	}
	return err
}

func (d *tapeDiff) print(w io.Writer) error {
	var b strings.Builder
	switch {
	case d.Same && d.A.SHA256 == d.B.SHA256:
		fmt.Fprintf(&b, "%s and %s: the same conditions, sha256 %s\n", d.A.File, d.B.File, d.A.SHA256)
	case d.Same:
		fmt.Fprintf(&b, "%s and %s: the same conditions within the tolerance, or in other steps\n", d.A.File, d.B.File)
	default:
		fmt.Fprintf(&b, "%s and %s: other conditions\n", d.A.File, d.B.File)
	}
	if d.Duration[0] != d.Duration[1] {
		fmt.Fprintf(&b, "duration: %v and %v; the first %v are compared\n", d.Duration[0], d.Duration[1], d.Compared)
	}
	if len(d.OnlyA) > 0 {
		fmt.Fprintf(&b, "only in %s: %s\n", d.A.File, strings.Join(d.OnlyA, ", "))
	}
	if len(d.OnlyB) > 0 {
		fmt.Fprintf(&b, "only in %s: %s\n", d.B.File, strings.Join(d.OnlyB, ", "))
	}
	for _, x := range d.Directions {
		if x.Differs == 0 {
			fmt.Fprintf(&b, "%s.%s: the same\n", x.Link, x.Dir)
			continue
		}
		fmt.Fprintf(&b, "%s.%s: differs for %v of %v (%s %%)", x.Link, x.Dir, x.Differs, d.Compared, cli.Percent(x.Share))
		for i, q := range x.Quantities {
			sep := ", "
			if i == 0 {
				sep = ": "
			}
			fmt.Fprintf(&b, "%s%s %s %%", sep, q.Quantity, cli.Percent(q.Share))
		}
		b.WriteByte('\n')
		for _, s := range x.Spans {
			fmt.Fprintf(&b, "   %v to %v:", s.From, s.To)
			for i, v := range s.Values {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, " %s %s → %s", v.Quantity, v.A, v.B)
			}
			if s.Varies {
				b.WriteString(", at first")
			}
			b.WriteByte('\n')
		}
		if x.MoreSpans > 0 {
			fmt.Fprintf(&b, "   and %s more (--spans)\n", cli.Count(x.MoreSpans, "span"))
		}
	}
	for _, m := range d.Metadata {
		fmt.Fprintf(&b, "metadata, %s\n", m)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

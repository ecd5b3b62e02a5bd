package main

import (
	"fmt"
	"io"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trial/compare"
	"linktape/trial/metrics"
	"linktape/trial/report"
)

const compareHelp = `A and B are the folders of two suites, or of two trials, such as of two builds. Trials are paired
by case and seed. The two of a pair have to have met the same network: the same tape, and the same
steps applied; where not, nothing is compared, or with --skip-other the others are.

   trial compare old new
   trial compare --rules ours.yaml --json old new

A metric is worse when its mean difference is worse by more than is tolerated, and the whole
confidence interval (bootstrap over the pairs) is on the worse side of 0. Then the exit status is 3.`

func compareCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "compare", ArgsUsage: "A B", Description: compareHelp,
		Usage: "say what has become worse or better from one build to another",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "rules", Usage: "what is tolerated, from `FILE` (docs/trials.md)", DefaultText: "built in"},
			&ucli.Float64Flag{Name: "confidence", Value: 0.95, Usage: "of the intervals"},
			&ucli.Uint64Flag{Name: "bootstrap-seed", Value: 1, Usage: "of the draws for the intervals"},
			&ucli.BoolFlag{Name: "skip-other", Usage: "leave out pairs that have not met the same conditions"},
			&ucli.BoolFlag{Name: "all", Usage: "list every metric that has a direction, not only those that changed"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON, with every metric"},
		},
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 2, 2)
			if err != nil {
				return err
			}
			o := compare.Options{Confidence: c.Float64("confidence"), Seed: c.Uint64("bootstrap-seed"), SkipOther: c.Bool("skip-other")}
			if o.Confidence < 0.5 || o.Confidence >= 1 {
				return cli.Usagef("--confidence %v: from 0.5 to below 1", o.Confidence)
			}
			if file := c.String("rules"); file != "" {
				if o.Rules, err = compare.ReadRules(file); err != nil {
					return err
				}
			}
			r, err := compare.Compare(args[0], args[1], o)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = cli.PrintJSON(stdout, r)
			} else {
				err = printComparison(stdout, r, c.Bool("all"))
			}
			if err == nil && r.Regressions > 0 {
				err = cli.Boundsf("%s worse in %s than in %s", cli.Count(int64(r.Regressions), "metric"), r.B, r.A)
			}
			return err
		},
	}
}

func printComparison(stdout io.Writer, r *compare.Result, all bool) error {
	var b strings.Builder
	rows := [][]string{{"CASE", "METRIC", "A", "B", "B − A", fmt.Sprintf("%g %% INTERVAL", 100*r.Confidence), "TOLERATED", "PAIRS", "VERDICT"}}
	list := r.Notable()
	if all {
		list = nil
		for _, d := range r.Differences {
			if d.Verdict != "" {
				list = append(list, d)
			}
		}
	}
	for _, d := range list {
		name := d.Case
		if name == "" {
			name = "(all)"
		}
		f := func(x float64) string { return report.Figure(x, d.Unit) }
		interval := "–"
		if d.Low != nil {
			interval = f(*d.Low) + " to " + f(*d.High)
		}
		rows = append(rows, []string{name, metrics.JoinName(d.Metric, d.Link), f(d.A), f(d.B), f(d.Mean), interval, f(d.Allowed), fmt.Sprint(d.N), d.Verdict})
	}
	if len(list) > 0 {
		cli.Table(&b, rows)
	}
	for _, s := range r.Remarks {
		fmt.Fprintln(&b, "remark:", s)
	}
	equal, drops := 0, 0
	for _, p := range r.Pairs {
		if p.Unequal == "" {
			equal++
		}
		if p.Drops == "same" {
			drops++
		}
	}
	fmt.Fprintf(&b, "A %s, B %s: %s under the same conditions, %d of them with the same packets and drops; %d worse, %d better\n",
		r.A, r.B, cli.Count(int64(equal), "pair"), drops, r.Regressions, r.Better)
	_, err := io.WriteString(stdout, b.String())
	return err
}

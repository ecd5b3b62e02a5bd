package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/plot"
	"linktape/synth/fit"
	"linktape/trace"
)

func compareCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "compare",
		Usage:     "set two tapes side by side",
		ArgsUsage: "[--json] [-o FILE.png|FILE.svg] [--map LINK.DIR=LINK.DIR]… A B",
		Description: `Prints, for each direction that both tapes have, what A and B are like: rates in
bins without outages, their autocorrelation, outages, loss and delay. Distances:

   KS            largest difference of the two distributions of the rate
   Wasserstein   how far rates have to move from one distribution to the other,
                 relative to the mean of A
   ACF           largest difference of the autocorrelations at the lags shown

Directions have the same name in both, unless --map says which one of B goes with
one of A. -o draws distributions, autocorrelations and outages.

   tracegen compare -o compare.png drive.tape lookalike.tape
   tracegen compare --map att.up=verizon.up drive.tape drive.tape`,
		Flags: []ucli.Flag{
			outputFlag("draw to `FILE`, which ends in .png or .svg"),
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
			&ucli.StringSliceFlag{Name: "map", Usage: "compare a direction of A with another one of B, `LINK.DIR=LINK.DIR`; may be repeated"},
			&ucli.DurationFlag{Name: "bin", Usage: "take rates over bins of `DURATION`", DefaultText: "the longer median step of both directions"},
			&ucli.DurationFlag{Name: "outage", Value: fit.DefaultOutage, Usage: "count stalls from `DURATION` on as outages"},
		},
		Action: doCompare,
	}
}

// comparison is what tracegen compare --json prints.
type comparison struct {
	A string `json:"a"`
	B string `json:"b"`
	*fit.Comparison
}

func doCompare(c *ucli.Context) error {
	args, err := cli.Args(c, 2, 2)
	if err != nil {
		return err
	}
	if args[0] == cli.StdStream && args[1] == cli.StdStream {
		return cli.Usagef("A and B both read standard input: give a file for one")
	}
	picture, format := "", ""
	if c.String("o") != "" {
		if picture, err = outputPath(c, args...); err != nil {
			return err
		}
		if picture == cli.StdStream {
			return cli.Usagef("-o -: the table is written to standard output: give the picture a file")
		}
		if picture, format, err = pictureFlag(c, "o"); err != nil {
			return err
		}
	}
	opts := fit.CompareOptions{Outage: c.Duration("outage"), Map: map[trace.LinkDir]trace.LinkDir{}}
	if opts.Bin, err = durationFlag(c, "bin"); err != nil {
		return err
	}
	if _, err = durationFlag(c, "outage"); err != nil {
		return err
	}
	for _, m := range c.StringSlice("map") {
		from, to, ok := strings.Cut(m, "=")
		if !ok {
			return cli.Usagef("--map %q: write LINK.DIR=LINK.DIR, such as att.up=verizon.up", m)
		}
		a, err := trace.ParseLinkDir(from)
		if err != nil {
			return cli.Usagef("--map: %w", err)
		}
		b, err := trace.ParseLinkDir(to)
		if err != nil {
			return cli.Usagef("--map: %w", err)
		}
		if old, twice := opts.Map[a]; twice {
			return cli.Usagef("--map: %v is given twice: %v and %v", a, old, b)
		}
		opts.Map[a] = b
	}
	var sources [2]fit.Source
	var names [2]string
	for i, path := range args {
		t, err := openTape(path, c.App.Reader)
		if err != nil {
			return err
		}
		defer t.Close()
		sources[i] = fit.Source{Meta: t.Meta(), Steps: t.again(c.Context, nil)}
		names[i] = t.name()
	}
	cmp, err := fit.Compare(c.Context, sources[0], sources[1], opts)
	if err != nil {
		return err
	}
	for _, o := range cmp.Only {
		fmt.Fprintf(c.App.ErrWriter, "warning: without a partner: %s\n", o)
	}
	if c.Bool("json") {
		err = cli.PrintJSON(c.App.Writer, comparison{names[0], names[1], cmp})
	} else {
		err = printComparison(c.App.Writer, names, cmp)
	}
	if err != nil || picture == "" {
		return err
	}
	return drawComparison(c, picture, format, names, cmp)
}

func drawComparison(c *ucli.Context, path, format string, names [2]string, cmp *fit.Comparison) error {
	var rows []plot.ComparisonRow
	for _, p := range cmp.Directions {
		name := p.A
		if p.B != p.A {
			name += " and " + p.B
		}
		r := plot.ComparisonRow{Name: name, Bin: p.Bin, Note: fmt.Sprintf("mean %s and %s Mbit/s · KS %s · autocorrelations differ by up to %s · bins of %v",
			cli.Mbits(p.Sides[0].Mean), cli.Mbits(p.Sides[1].Mean), cli.Number(p.KS), cli.Number(p.ACF), p.Bin)}
		for i := range p.Sides {
			s := &p.Sides[i]
			for _, v := range s.Rates() {
				r.Sides[i].Rates = append(r.Sides[i].Rates, v/1e6)
			}
			r.Sides[i].Autocorrelation, r.Sides[i].Outages = s.Autocorrelation(), s.Durations()
		}
		rows = append(rows, r)
	}
	title := names[0] + " and " + names[1]
	err := writeFile(c.Context, path, c.App.Writer, func(w io.Writer) error { return plot.Comparison(w, format, title, names, rows) })
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s: %s\n", cli.OutputName(path), cli.Count(int64(len(rows)), "direction"))
	return nil
}

func printComparison(w io.Writer, names [2]string, cmp *fit.Comparison) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A  %s\nB  %s\n\n", names[0], names[1])
	rows := [][]string{{"direction", "what", "A", "B", ""}}
	for _, p := range cmp.Directions {
		name := p.A
		if p.B != p.A {
			name += " = " + p.B
		}
		x, y := &p.Sides[0], &p.Sides[1]
		add := func(what, unit string, write func(s *fit.Side) string) {
			rows = append(rows, []string{name, what, write(x), write(y), unit})
		}
		add("mean", "Mbit/s", func(s *fit.Side) string { return cli.Mbits(s.Mean) })
		add("cv", "", func(s *fit.Side) string { return cli.Number(s.CV) })
		for i, q := range []string{"p5", "p25", "p50", "p75", "p95"} {
			add(q, "Mbit/s", func(s *fit.Side) string { return cli.Mbits(s.Quantiles[i]) })
		}
		lags := p.Lags
		if x.CV+y.CV == 0 { // constant rates have no autocorrelation
			lags = nil
		} else {
			add("autocorrelation below 1/e", "s", func(s *fit.Side) string {
				if s.Memory == 0 {
					return "-"
				}
				return cli.Seconds(s.Memory)
			})
		}
		for i, lag := range lags {
			if i%2 == 0 {
				add("autocorrelation at "+lag.Round(time.Millisecond).String(), "", func(s *fit.Side) string { return cli.Number(s.ACF[i]) })
			}
		}
		if x.Outages+y.Outages > 0 {
			add("outages", "", func(s *fit.Side) string { return strconv.Itoa(s.Outages) })
			add("outage share", "%", func(s *fit.Side) string { return cli.Percent(s.Share) })
			add("outage median", "s", func(s *fit.Side) string { return cli.Number(s.Median) })
			add("outage longest", "s", func(s *fit.Side) string { return cli.Number(s.Longest) })
		}
		if x.Loss+y.Loss > 0 {
			add("loss", "%", func(s *fit.Side) string { return cli.Percent(s.Loss) })
		}
		if x.Delay+y.Delay > 0 {
			add("delay mean", "ms", func(s *fit.Side) string { return cli.Number(s.Delay / 1e6) })
			add("delay p95", "ms", func(s *fit.Side) string { return cli.Number(s.DelayP95 / 1e6) })
		}
		rows = append(rows,
			[]string{name, "KS", cli.Number(p.KS), "", ""},
			[]string{name, "Wasserstein", cli.Percent(p.Wasserstein), "", "%"},
			[]string{name, "ACF", cli.Number(p.ACF), "", ""})
	}
	flushLeft(rows, 1)
	flushLeft(rows, 4)
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
)

func infoCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "info",
		Usage:     "show what a tape holds, with statistics for each direction",
		ArgsUsage: "[--json | --scenario [--input N]] [--bin DURATION] TAPE",
		Description: `Reads the whole tape, verifies it and prints where it comes from and a table.
TAPE - is standard input. Rates are in IP packets, over bins of --bin:

   mean, p5, p50, p95   rate; mean over the whole duration, percentiles of bins
   CV                   standard deviation of the bins over their mean
   empty                bins with no capacity at all
   gap                  longest time at rate 0 or without carrier
   autocorr             first lag at which the bins' autocorrelation is below 1/e
   delay, jitter, loss  means over time; delay is one way
   burst                mean burst of losses: of the chain, in packets, or else
                        the mean time with a loss above the mean

--json prints the same and more. Names end in their unit: _bit_s, _ns, _bytes.
--scenario prints the scenario that the tape was synthesized from, with all that
was set on the command line; tracegen synth makes the same tape from it. A tape
that was edited holds the scenarios of the tapes that it was made of, by the
numbers of the inputs in the table: --scenario --input N.

   tracegen info drive.tape
   tracegen info --json drive.tape | jq '.directions[] | .rate_mean_bit_s'`,
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
			&ucli.BoolFlag{Name: "scenario", Usage: "print the scenario only"},
			&ucli.IntFlag{Name: "input", Usage: "with --scenario: that of input `N` of an edited tape"},
			&ucli.DurationFlag{Name: "bin", Value: 100 * time.Millisecond, Usage: "take rates over bins of `DURATION`"},
		},
		Action: doInfo,
	}
}

// info is what tracegen info --json prints.
type info struct {
	File       string         `json:"file"`
	SHA256     string         `json:"sha256"` // over the canonical rows
	Duration   time.Duration  `json:"duration_ns"`
	Steps      int64          `json:"steps"`
	Generator  string         `json:"generator"`
	Seed       *uint64        `json:"seed,omitempty"`     // of a synthesized tape
	Scenario   string         `json:"scenario,omitempty"` // of a synthesized tape
	Links      []trace.Link   `json:"links"`
	Sources    []trace.Source `json:"sources,omitempty"` // of an imported tape
	Edit       *trace.Edit    `json:"edit,omitempty"`    // of an edited tape
	Directions []trace.Stats  `json:"directions"`
}

func doInfo(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	bin, err := durationFlag(c, "bin")
	if err != nil {
		return err
	}
	if c.Bool("json") && c.Bool("scenario") {
		return cli.Usagef("--json and --scenario: choose one; --json holds the scenario")
	}
	t, err := openTape(args[0], c.App.Reader)
	if err != nil {
		return err
	}
	defer t.Close()
	meta := t.Meta()
	if c.Bool("scenario") {
		text, err := scenarioOf(c, t)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.App.Writer, text)
		return err
	}
	if c.IsSet("input") {
		return cli.Usagef("--input %d is for --scenario", c.Int("input"))
	}
	in := info{
		File: t.name(), SHA256: t.SHA256(), Duration: meta.Duration, Steps: t.Rows(),
		Generator: meta.Generator, Scenario: meta.Scenario, Links: meta.Links, Sources: meta.Sources, Edit: meta.Edit,
	}
	if meta.Scenario != "" {
		in.Seed = &meta.Seed
	}
	progress := cli.NewProgress(c.App.ErrWriter, "read")
	defer progress.Done()
	stats := trace.NewStatsCollector(meta, trace.StatsOptions{Bin: bin})
	for s, err := range t.steps(c.Context, progress.Set) {
		if err != nil {
			return err
		}
		stats.Step(&s)
	}
	progress.Done()
	in.Directions = stats.Finish()
	if c.Bool("json") {
		return cli.PrintJSON(c.App.Writer, in)
	}
	return in.print(c.App.Writer)
}

// print writes the table.
func (in *info) print(w io.Writer) error {
	var b strings.Builder
	head := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", key, fmt.Sprintf(format, args...))
	}
	head("tape", "%s", in.File)
	head("sha256", "%s", in.SHA256)
	head("duration", "%v, %s", in.Duration, cli.Count(in.Steps, "step"))
	if in.Seed != nil {
		head("generator", "%s, seed %d, scenario of %s (--scenario prints it)", in.Generator, *in.Seed, cli.Count(int64(strings.Count(strings.TrimSuffix(in.Scenario, "\n"), "\n")+1), "line"))
	} else {
		head("generator", "%s", in.Generator)
	}
	for _, l := range in.Links {
		var dirs []string
		if l.Up {
			dirs = append(dirs, "up")
		}
		if l.Down {
			dirs = append(dirs, "down")
		}
		queue := ""
		switch {
		case l.Queue == nil:
		case l.Queue.LimitTime > 0:
			queue = fmt.Sprintf(", queue %s %v", l.Queue.Kind, l.Queue.LimitTime)
		case l.Queue.LimitBytes > 0:
			queue = fmt.Sprintf(", queue %s %d bytes", l.Queue.Kind, l.Queue.LimitBytes)
		}
		head("link", "%s (%s)%s", l.Name, strings.Join(dirs, ", "), queue)
	}
	for _, s := range in.Sources {
		head("source", "%s", sourceText(s))
	}
	in.printEdit(head)
	bin := time.Duration(0)
	if len(in.Directions) > 0 {
		bin = in.Directions[0].Bin
	}
	head("bins", "%v", bin)
	b.WriteByte('\n')
	rows := [][]string{
		{"direction", "steps", "mean", "p5", "p50", "p95", "CV", "empty", "gap", "autocorr", "delay", "jitter", "loss", "burst"},
		{"", "", "Mbit/s", "Mbit/s", "Mbit/s", "Mbit/s", "", "%", "s", "s", "ms", "ms", "%", ""},
	}
	for _, s := range in.Directions {
		rows = append(rows, []string{
			s.Link + "." + s.Dir, strconv.FormatInt(s.Steps, 10),
			cli.Mbits(s.RateMean), cli.Mbits(s.RateP5), cli.Mbits(s.RateP50), cli.Mbits(s.RateP95),
			strconv.FormatFloat(s.RateCV, 'f', 2, 64), cli.Percent(s.EmptyFraction), cli.Seconds(s.LongestGap), cli.Seconds(s.AutocorrelationTime),
			cli.Millis(s.DelayMean), cli.Millis(s.JitterMean), cli.Percent(s.LossMean), burst(s),
		})
	}
	cli.Table(&b, rows)
	for _, s := range in.Directions {
		if len(s.Labels) == 0 || len(s.Labels) == 1 && s.Labels[0].Label == "" {
			continue
		}
		var parts []string
		for _, l := range s.Labels {
			name := l.Label
			if name == "" {
				name = "(none)"
			}
			parts = append(parts, fmt.Sprintf("%s %s %%", name, cli.Percent(l.Share)))
		}
		if s.OtherLabels > 0 {
			parts = append(parts, fmt.Sprintf("others %s %%", cli.Percent(s.OtherLabels)))
		}
		fmt.Fprintf(&b, "\n%s.%s labels: %s", s.Link, s.Dir, strings.Join(parts, ", "))
	}
	if s := b.String(); !strings.HasSuffix(s, "\n") {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sourceText(s trace.Source) string {
	text := fmt.Sprintf("%s.%s from %s (%s", s.Link, s.Dir, s.File, s.Format)
	for _, key := range slices.Sorted(maps.Keys(s.Choices)) {
		text += fmt.Sprintf("; %s %s", strings.ReplaceAll(key, "_", " "), s.Choices[key])
	}
	return text + ")"
}

// burst writes the mean burst of losses.
func burst(s trace.Stats) string {
	switch {
	case s.GEBurstPackets > 0:
		return cli.Number(s.GEBurstPackets) + " packets"
	case s.LossBurstMean > 0:
		return s.LossBurstMean.Round(time.Millisecond).String()
	}
	return "-"
}

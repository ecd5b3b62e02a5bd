package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/plot"
	"linktape/synth"
	"linktape/synth/fit"
	"linktape/trace"
)

func fitCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "fit",
		Usage:     "estimate the processes of a tape, and write a scenario that makes lookalikes",
		ArgsUsage: "[--json] [-o SCENARIO.yaml] [--plot FILE.png|FILE.svg] (TAPE | LINK.DIR=FILE…)",
		Description: `Prints, for each direction, what was estimated with its 95 % confidence interval:

   rate      an Ornstein-Uhlenbeck process (ou) or the exponential of one (log-ou),
             whichever is likelier: mean, cv, correlation time tau and the share of
             white noise; or two or three regimes of such processes
   outages   how often and how long
   loss      constant, a Gilbert-Elliott chain in time, or heavy-tailed bursts
   delay     mean, cv, tau; spikes on top
   rho       the correlation of the rates of two directions

Each fit is judged: good, fair or poor. What cannot be estimated is said on
standard error, with the reason.

Rates are means over bins of --bin. Without it they are as long as the median
step of the direction, or 100ms where that is below 10ms or there are few steps.
Times without capacity count as outages from --outage on, or where the tape
labels them so; they are left out of the rate. A shorter stall is a rate at its
floor.

-o writes a scenario for tracegen synth, - to standard output in place of the
table. --plot draws the tape beside a lookalike. Foreign traces are imported
first, as tracegen import --fit shortest does. TAPE - is standard input.

   tracegen fit -o lookalike.yaml --plot fit.png drive.tape
   tracegen synth -o lookalike.tape ./lookalike.yaml
   tracegen compare drive.tape lookalike.tape`,
		Flags: []ucli.Flag{
			outputFlag("write a scenario to `FILE`; - is standard output"),
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
			&ucli.StringFlag{Name: "name", Value: "lookalike", Usage: "call the scenario `NAME`"},
			&ucli.StringFlag{Name: "plot", Usage: "draw the tape and a lookalike to `FILE`, which ends in .png or .svg"},
			&ucli.DurationFlag{Name: "bin", Usage: "take rates over bins of `DURATION`", DefaultText: "the direction's median step"},
			&ucli.DurationFlag{Name: "outage", Value: fit.DefaultOutage, Usage: "count stalls from `DURATION` on as outages"},
			&ucli.BoolFlag{Name: "one-regime", Usage: "do not look for regimes"},
			&ucli.StringFlag{Name: "format", Usage: "`FORMAT` of the files to import", DefaultText: "by their content"},
			&ucli.DurationFlag{Name: "step", Usage: "bin the rates of the files to import into steps of `DURATION`", DefaultText: "as tracegen import"},
		},
		Action: doFit,
	}
}

// fitReport is what tracegen fit --json prints.
type fitReport struct {
	File string `json:"file"`
	*fit.Report
}

func doFit(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	foreign := strings.Contains(args[0], "=")
	if !foreign && len(args) > 1 {
		return cli.Usagef("%d tapes: name one, or LINK.DIR=FILE… to import traces first", len(args))
	}
	if !foreign && (c.IsSet("format") || c.IsSet("step")) {
		return cli.Usagef("--format and --step are for traces to import: write LINK.DIR=FILE")
	}
	inputs := args
	if foreign {
		inputs = nil
		for _, a := range args {
			_, file, _ := strings.Cut(a, "=")
			inputs = append(inputs, file)
		}
	}
	out := c.String("o")
	if out != "" {
		if out, err = outputPath(c, inputs...); err != nil {
			return err
		}
		if out == cli.StdStream && c.Bool("json") {
			return cli.Usagef("-o - and --json both write to standard output: give -o a file")
		}
	}
	if err := trace.CheckName(c.String("name")); err != nil {
		return cli.Usagef("--name: %w", err)
	}
	picture, format, err := pictureFlag(c, "plot")
	if err != nil {
		return err
	}
	opts := fit.Options{NoRegimes: c.Bool("one-regime")}
	if opts.Bin, err = durationFlag(c, "bin"); err != nil {
		return err
	}
	if opts.Outage, err = durationFlag(c, "outage"); err != nil {
		return err
	}
	opts.Outage = c.Duration("outage")

	path, what := args[0], ""
	if foreign {
		temp, err := importFirst(c, args)
		if err != nil {
			return err
		}
		defer os.Remove(temp)
		path = temp
		var names []string
		for _, f := range inputs {
			names = append(names, filepath.Base(f))
		}
		what = strings.Join(names, ", ")
	}
	t, err := openTape(path, c.App.Reader)
	if err != nil {
		return err
	}
	defer t.Close()
	if what == "" {
		what = t.name()
	}
	meta := t.Meta()
	progress := cli.NewProgress(c.App.ErrWriter, "fit")
	defer progress.Done()
	steps := t.again(c.Context, progress.Set)
	rep, err := fit.Fit(c.Context, meta, steps, opts)
	progress.Done()
	if err != nil {
		return err
	}
	for _, w := range rep.Warnings {
		fmt.Fprintf(c.App.ErrWriter, "warning: %s\n", w)
	}
	scenario := rep.Scenario(fit.ScenarioOptions{Name: c.String("name"), Of: what})
	if out != cli.StdStream {
		if c.Bool("json") {
			err = cli.PrintJSON(c.App.Writer, fitReport{what, rep})
		} else {
			err = printFit(c.App.Writer, what, rep)
		}
		if err != nil {
			return err
		}
	}
	if out != "" {
		if _, err := synth.Parse(cli.OutputName(out), []byte(scenario), synth.Options{}); err != nil {
			return fmt.Errorf("the estimates make no valid scenario; look at them with --json:\n%w", err)
		}
		write := func(w io.Writer) error { _, err := io.WriteString(w, scenario); return err }
		if err := writeFile(c.Context, out, c.App.Writer, write); err != nil {
			return err
		}
		if out != cli.StdStream {
			fmt.Fprintf(c.App.ErrWriter, "wrote %s: make a lookalike with tracegen synth -o TAPE %s\n", out, out)
		}
	}
	if picture == "" {
		return nil
	}
	sc, err := synth.Parse("lookalike", []byte(scenario), synth.Options{})
	if err != nil {
		return fmt.Errorf("the estimates make no valid scenario; look at them with --json:\n%w", err)
	}
	cmp, err := fit.Compare(c.Context, fit.Source{Meta: meta, Steps: steps}, fit.Source{Meta: sc.Meta(), Steps: synthesized(c.Context, sc)},
		fit.CompareOptions{Bin: opts.Bin, Outage: opts.Outage})
	if err != nil {
		return err
	}
	return drawComparison(c, picture, format, [2]string{what, "lookalike"}, cmp)
}

// importFirst imports traces into a temporary tape.
func importFirst(c *ucli.Context, args []string) (string, error) {
	f, err := os.CreateTemp("", "linktape-*.tape")
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	f.Close()
	line := []string{"import", "-o", f.Name(), "--fit", "shortest"}
	if c.IsSet("format") {
		line = append(line, "--format", c.String("format"))
	}
	if c.IsSet("step") {
		line = append(line, "--step", c.Duration("step").String())
	}
	var remarks strings.Builder
	if err := run(c.Context, append(line, args...), c.App.Reader, io.Discard, &remarks); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	for _, l := range strings.SplitAfter(remarks.String(), "\n") {
		if !strings.Contains(l, f.Name()) { // the temporary tape is nobody's concern
			io.WriteString(c.App.ErrWriter, l)
		}
	}
	return f.Name(), nil
}

// pictureFlag returns a flag's file and its format.
func pictureFlag(c *ucli.Context, name string) (path, format string, err error) {
	path = c.String(name)
	if path == "" {
		return "", "", nil
	}
	if format, err = plot.FormatOf(path); err != nil {
		return "", "", cli.Usagef("--%s: %w", name, err)
	}
	return path, format, nil
}

// again yields the tape's steps from the start, each time it is called.
func (t *tape) again(ctx context.Context, progress func(float64)) fit.Steps {
	return func() iter.Seq2[trace.Step, error] {
		if err := t.reopen(); err != nil {
			return func(yield func(trace.Step, error) bool) { yield(trace.Step{}, err) }
		}
		return t.steps(ctx, progress)
	}
}

// errEnough stops a synthesis.
var errEnough = errors.New("enough")

// synthesized yields the steps of a scenario.
func synthesized(ctx context.Context, sc *synth.Scenario) fit.Steps {
	return func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			err := sc.Synthesize(ctx, func(steps []trace.Step) error {
				for _, s := range steps {
					if !yield(s, nil) {
						return errEnough
					}
				}
				return nil
			}, nil)
			if err != nil && !errors.Is(err, errEnough) {
				yield(trace.Step{}, err)
			}
		}
	}
}

// fitTable collects the rows of a report.
type fitTable [][]string

func (t *fitTable) add(name, what string, e fit.Estimate, scale float64, unit string) {
	cell := func(v float64) string {
		switch {
		case math.IsNaN(v):
			return "?"
		case math.IsInf(v, 1):
			return "unbounded"
		case math.IsInf(v, -1):
			return "-unbounded"
		}
		return cli.Number(v / scale)
	}
	*t = append(*t, []string{name, what, cell(e.Value), cell(e.Low), cell(e.High), unit})
}

func (t *fitTable) say(name, what, value, unit string) {
	*t = append(*t, []string{name, what, value, "", "", unit})
}

func (t *fitTable) process(name, prefix string, p *fit.Process, scale float64, unit string) {
	if p == nil {
		return
	}
	t.say(name, prefix+" model", string(p.Model), "")
	t.add(name, prefix+" mean", p.Mean, scale, unit)
	if p.Model == fit.Constant {
		return
	}
	t.add(name, prefix+" cv", p.CV, 1, "")
	t.add(name, prefix+" tau", p.Tau, 1, "s")
	t.add(name, prefix+" noise", p.Noise, 0.01, "%")
	if p.FloorShare > 0 {
		t.say(name, prefix+" at floor "+cli.Number(p.Floor/scale), cli.Percent(p.FloorShare), "% of bins")
	}
	if p.CeilingShare > 0 {
		t.say(name, prefix+" at ceiling "+cli.Number(p.Ceiling/scale), cli.Percent(p.CeilingShare), "% of bins")
	}
	if g := p.Goodness; g != nil {
		t.say(name, prefix+" fit", g.Word, "")
		t.say(name, prefix+" KS of innovations", cli.Number(g.KS), "p "+cli.Number(g.KSP))
		t.say(name, prefix+" Ljung-Box, "+strconv.Itoa(g.Lags)+" lags", cli.Number(g.LjungBox), "p "+cli.Number(g.LjungBoxP))
		t.say(name, prefix+" marginal KS", cli.Number(g.Marginal), "")
		t.say(name, prefix+" autocorrelation off by", cli.Number(g.ACF), "")
	}
}

func printFit(w io.Writer, what string, rep *fit.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %s\n%-10s %v\n", "tape", what, "duration", rep.Duration)
	for _, d := range rep.Directions {
		fmt.Fprintf(&b, "%-10s %s.%s %v\n", "bins", d.Link, d.Dir, d.Bin)
	}
	b.WriteByte('\n')
	t := fitTable{{"direction", "what", "estimate", "95 % from", "to", ""}}
	for _, d := range rep.Directions {
		name := d.Link + "." + d.Dir
		t.process(name, "rate", d.Rate, 1e6, "Mbit/s")
		if r := d.Regimes; r != nil {
			t.say(name, "regimes, from the "+r.From, strconv.Itoa(len(r.Regimes)), "")
			for _, g := range r.Regimes {
				t.add(name, g.Name+" dwell", g.Dwell, 1, "s")
				t.process(name, g.Name, g.Rate, 1e6, "Mbit/s")
			}
		}
		if o := d.Outages; o != nil {
			t.say(name, "outages", strconv.Itoa(o.Count), string(o.Kind))
			t.say(name, "outage share", cli.Percent(o.Share), "%")
			t.add(name, "outage every", o.Every, 1, "s")
			if o.Duration != nil {
				t.add(name, "outage median", o.Duration.Median, 1, "s")
				t.add(name, "outage p90", o.Duration.P90, 1, "s")
			}
		}
		if l := d.Loss; l != nil && l.Model != "none" {
			t.say(name, "loss model", l.Model, "")
			t.add(name, "loss mean", l.Mean, 0.01, "%")
			if l.GE == nil && l.Bursts > 0 {
				t.add(name, "loss mean_good", l.MeanGood, 1, "s")
				t.add(name, "loss mean_bad", l.MeanBad, 1, "s")
				t.add(name, "loss loss_good", l.LossGood, 0.01, "%")
				t.add(name, "loss loss_bad", l.LossBad, 0.01, "%")
			}
			if l.Tail != nil && l.Tail.Heavy {
				t.add(name, "loss tail alpha", l.Tail.Alpha, 1, "")
			}
		}
		for _, q := range []struct {
			name string
			d    *fit.Delay
		}{{"delay", d.Delay}, {"jitter", d.Jitter}} {
			if q.d == nil {
				continue
			}
			t.process(name, q.name, q.d.Process, 1e6, "ms")
			if q.d.Model != fit.Constant {
				t.say(name, q.name+" base", cli.Millis(time.Duration(q.d.Base)), "ms")
			}
			if s := q.d.Spikes; s != nil {
				t.add(name, q.name+" spikes every", s.Every, 1, "s")
				t.add(name, q.name+" spikes median", s.Height.Median, 1e6, "ms")
				t.add(name, q.name+" spikes p90", s.Height.P90, 1e6, "ms")
			}
		}
	}
	for _, c := range rep.Correlations {
		t.add(c.A, "rho with "+c.B, c.Rho, 1, "")
		t.add(c.A, "plain, with noise", c.Plain, 1, "")
	}
	flushLeft(t, 1)
	flushLeft(t, 5)
	cli.Table(&b, t)
	_, err := io.WriteString(w, b.String())
	return err
}

// flushLeft pads the cells of a column, which table writes to the right.
func flushLeft(rows [][]string, column int) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[column]))
	}
	for _, r := range rows {
		r[column] += strings.Repeat(" ", width-utf8.RuneCountInString(r[column]))
	}
}

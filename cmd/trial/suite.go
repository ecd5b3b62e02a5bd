package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/trial/report"
	"linktape/trial/stack"
	"linktape/trial/suite"
)

const suiteHelp = `SUITE is strategy (the five of the test strategy), acceptance (A1 to A10), soak, or a file that
lists cases (docs/trials.md); a case, a trial file, a scenario or a tape is a suite of one. Each
case is run with each seed, and the medians are judged by the cases' thresholds.

   trial suite --stack librist --out result strategy
   trial suite --stack exec --sender './send {{join .Targets ","}}' --receiver ./receive --seeds 3 acceptance
   trial suite --shard 2/8 --out shard-2 acceptance

What has been run with the same inputs (case, scenario, seed, settings, programs) is kept, so that
a suite that was stopped goes on. The exit status is 1 where a trial gave no result, 3 where a
threshold was missed. A shard is not judged; trial merge puts shards together and judges them.`

func suiteCommand(ctx context.Context, stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "suite", ArgsUsage: "SUITE", Description: suiteHelp,
		Usage: "run many trials, with several seeds each, and judge them",
		Flags: append(trialFlags(true),
			&ucli.StringFlag{Name: "seeds", Usage: "how many (1 to `N`), or which (3,14,15)", DefaultText: "those of the suite, 5"},
			&ucli.StringFlag{Name: "shard", Usage: "run the `K/N`-th part alone"},
			&ucli.IntFlag{Name: "parallel", Usage: "trials at once", DefaultText: "virtual time: one for each processor; real time: 1"},
			&ucli.StringFlag{Name: "out", Usage: "the suite's `DIR`; one that holds the same suite is continued", DefaultText: "out/suite/SUITE"},
			&ucli.StringFlag{Name: "time", Value: string(lab.Virtual), Usage: "virtual: in labs; real: on this machine, as root"},
			&ucli.BoolFlag{Name: "dry-run", Usage: "list the trials and run none"},
			&ucli.BoolFlag{Name: "json", Usage: "print the results as JSON"},
		),
		Action: func(c *ucli.Context) error { return runSuite(ctx, c, stdout, stderr) },
	}
}

func runSuite(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	p, err := suitePlan(c, args[0])
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		for i := range p.Jobs {
			if _, err := fmt.Fprintln(stdout, p.Jobs[i].String()); err != nil {
				return err
			}
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := c.String("out")
	if dir == "" {
		dir = filepath.Join("out", "suite", p.Suite.Name)
	}
	r := suite.Runner{Dir: dir, Tool: self, Parallel: c.Int("parallel"), Say: func(e suite.Event) { sayTrial(stderr, e) }}
	if r.Parallel == 0 {
		r.Parallel = 1
		if p.Time == string(lab.Virtual) {
			r.Parallel = runtime.NumCPU()
		}
	}
	if r.Parallel < 0 {
		return cli.Usagef("--parallel %d: at least 1", r.Parallel)
	}
	r.Start = func(ctx context.Context, args []string) error { return startSelf(ctx, self, args) }
	if err := r.Run(ctx, p); err != nil {
		return err
	}
	return finishSuite(dir, c.Bool("json"), stdout)
}

// suitePlan is what flags and suite ask for.
func suitePlan(c *ucli.Context, name string) (*suite.Plan, error) {
	kind := lab.Time(c.String("time"))
	if kind != lab.Virtual && kind != lab.Real {
		return nil, cli.Usagef("--time %s: need %s or %s", kind, lab.Virtual, lab.Real)
	}
	s, err := suite.Open(name)
	if err != nil {
		return nil, err
	}
	seeds, err := parseSeeds(c.String("seeds"))
	if err != nil {
		return nil, err
	}
	change := suite.Change{
		Stack: c.String("stack"), Options: c.StringSlice("option"), Sender: c.String("sender"), Receiver: c.String("receiver"),
		Rate: c.String("rate"), Links: c.String("links"), Set: c.StringSlice("set"), RatesOnly: c.Bool("rates-only"),
	}
	for _, x := range []struct {
		flag string
		to   *string
	}{{"buffer", &change.Buffer}, {"duration", &change.Duration}} {
		if c.IsSet(x.flag) {
			*x.to = c.Duration(x.flag).String()
		}
	}
	if change.Stack != "" && change.Stack != stack.None {
		if _, err := stack.New(change.Stack, change.Options, stack.Pair{Sender: change.Sender, Receiver: change.Receiver}); err != nil {
			return nil, cli.Usagef("%w", err)
		}
	}
	p, err := suite.New(s, seeds, change, string(kind))
	if err != nil {
		return nil, cli.Usagef("%w", err)
	}
	if text := c.String("shard"); text != "" {
		shard, err := suite.ParseShard(text)
		if err != nil {
			return nil, cli.Usagef("--%w", err)
		}
		p = shard.Of(p)
	}
	return p, nil
}

// parseSeeds reads how many seeds, or which: a comma makes a list.
func parseSeeds(text string) ([]uint64, error) {
	if text == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > suite.MaxSeeds {
			return nil, cli.Usagef("--seeds %d: from 1 to %d; a single one is written with a comma (7,)", n, suite.MaxSeeds)
		}
		return suite.Seeds(n), nil
	}
	var out []uint64
	seen := make(map[uint64]bool)
	for _, w := range list(text) {
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil || seen[n] {
			return nil, cli.Usagef("--seeds %q: how many, or different numbers with commas between them", text)
		}
		seen[n], out = true, append(out, n)
	}
	if len(out) == 0 || len(out) > suite.MaxSeeds {
		return nil, cli.Usagef("--seeds %q: from 1 to %d of them", text, suite.MaxSeeds)
	}
	return out, nil
}

// sayTrial remarks that a trial has ended.
func sayTrial(stderr io.Writer, e suite.Event) {
	how := "done in " + e.Wall.Round(100*time.Millisecond).String()
	switch {
	case e.Kept:
		how = "kept"
	case e.Failed != "":
		how = "failed: " + e.Failed
	}
	fmt.Fprintf(stderr, "%d of %d: %v: %s\n", e.Done, e.Of, e.Job, how)
}

// mostSaid is how much of the end of a trial's words is kept, in bytes.
const mostSaid = 4 << 10

// startSelf runs trial as a process of its own. What it says counts only where it
// fails.
func startSelf(ctx context.Context, self string, args []string) error {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	said := bytes.TrimSpace(out.Bytes())
	if len(said) > mostSaid {
		said = append([]byte("…"), said[len(said)-mostSaid:]...)
	}
	if len(said) == 0 {
		return fmt.Errorf("trial %s: %w", strings.Join(args, " "), err)
	}
	return fmt.Errorf("%s (%w)", said, err)
}

// finishSuite judges what a suite's folder holds.
func finishSuite(dir string, asJSON bool, stdout io.Writer) error {
	r, err := suite.Summarize(dir)
	if err != nil {
		return err
	}
	if err := r.Write(dir); err != nil {
		return err
	}
	if asJSON {
		err = cli.PrintJSON(stdout, r)
	} else {
		err = printSuite(stdout, dir, r)
	}
	switch {
	case err != nil:
		return err
	case r.Failed > 0:
		return fmt.Errorf("%d of %d trials gave no result: %s says why", r.Failed, r.Failed+r.Trials+r.Missing, filepath.Join(dir, suite.ReportFile))
	case r.Missing > 0:
		return fmt.Errorf("%s not run: run the same suite again with --out %s, or merge all of its shards", cli.Count(int64(r.Missing), "trial"), dir)
	case r.Missed > 0:
		return cli.Boundsf("%s missed", cli.Count(int64(r.Missed), "threshold"))
	}
	return nil
}

func printSuite(stdout io.Writer, dir string, r *suite.Results) error {
	var b strings.Builder
	rows := [][]string{{"CASE", "TRIALS", "UNRECOVERED", "RETRANSMITTED", "SPURIOUS", "LATENCY P99", "LONGEST GAP", "THRESHOLDS"}}
	for i := range r.Cases {
		c := &r.Cases[i]
		if len(c.Runs) == 0 { // another shard runs it
			continue
		}
		good, kept := 0, 0
		for k := range c.Runs {
			if c.Runs[k].OK() {
				good++
			}
		}
		for k := range c.Verdicts {
			if c.Verdicts[k].Passed {
				kept++
			}
		}
		row := []string{c.Name, fmt.Sprintf("%d of %d", good, len(c.Runs))}
		for _, name := range []string{"unrecovered", "retransmission_rate", "retransmission_rate_spurious", "latency_p99_ms", "output_gap_max_ms"} {
			text := "–"
			for _, s := range c.Metrics {
				if s.Metric == name && s.Link == "" && s.N > 0 {
					text = report.Figure(s.Median, s.Unit)
				}
			}
			row = append(row, text)
		}
		verdict := fmt.Sprintf("%d of %d", kept, len(c.Verdicts))
		if !r.Judged {
			verdict = "–"
		}
		rows = append(rows, append(row, verdict))
	}
	cli.Table(&b, rows)
	for i := range r.Cases {
		c := &r.Cases[i]
		for k := range c.Verdicts {
			if v := &c.Verdicts[k]; !v.Passed {
				fmt.Fprintf(&b, "missed: %s: %s %s: %s\n", c.Name, v.Metric, v.Bounds(), v.Why())
			}
		}
	}
	fmt.Fprintf(&b, "%s: %s; %s\n", r.Manifest.Suite, r.Verdict(), filepath.Join(dir, suite.ReportFile))
	_, err := io.WriteString(stdout, b.String())
	return err
}

func listCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "list", ArgsUsage: " ",
		Usage: "list the suites and cases that trial carries with it",
		Flags: []ucli.Flag{&ucli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: func(c *ucli.Context) error {
			if _, err := cli.Args(c, 0, 0); err != nil {
				return err
			}
			suites, cases := suite.Suites(), suite.Cases()
			if c.Bool("json") {
				return cli.PrintJSON(stdout, map[string][]suite.Entry{"suites": suites, "cases": cases})
			}
			var b strings.Builder
			width := 0
			for _, e := range append(suites, cases...) {
				width = max(width, len(e.Name))
			}
			fmt.Fprintln(&b, "SUITES")
			for _, e := range suites {
				fmt.Fprintf(&b, "%-*s  %s, %s\n", width, e.Name, e.Description, cli.Count(int64(len(e.Cases)), "case"))
			}
			fmt.Fprintln(&b, "CASES")
			for _, e := range cases {
				fmt.Fprintf(&b, "%-*s  %s\n", width, e.Name, e.Description)
			}
			_, err := io.WriteString(stdout, b.String())
			return err
		},
	}
}

// showCase prints the file of a suite or case of the library where the argument is
// one, and no folder.
func showCase(name string, stdout io.Writer) (done bool, err error) {
	if _, err := os.Stat(name); err == nil {
		return false, nil
	}
	text, ok := suite.Text(name)
	if !ok {
		return false, nil
	}
	_, err = stdout.Write(text)
	return true, err
}

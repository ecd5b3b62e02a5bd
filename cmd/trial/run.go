package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/netsetup"
	"linktape/trace"
	"linktape/trial"
	"linktape/trial/stack"
)

const runHelp = `SCENARIO is a YAML file or the name of one in the library (tracegen list), TAPE a tape,
TRIAL a file that says all of it (docs/trial.md); flags change what the file says. The links of
the tape are built, the stack's receiver and sender are started in their ends between a source
and a sink of ours, the tape is played, and everything is stopped and removed.

   trial run --stack librist --time virtual --out result strategy-baseline
   trial run --stack gstreamer --links att,vzw --rate 3Mbit --duration 20s --out result three-carrier-drive
   trial run --stack exec --sender './send {{join .Targets ","}}' --receiver ./receive --out result drive.tape

--time virtual runs the same in the lab: without root, faster than real time, and with the same
result every time.`

func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "run", ArgsUsage: "SCENARIO|TAPE|TRIAL", Description: runHelp,
		Usage: "run one trial; its folder is what all figures are computed from",
		Flags: append(trialFlags(false),
			&ucli.StringFlag{Name: "topology", Usage: "build the links of a topology `FILE`, which has those of the tape, instead of the tape's"},
			&ucli.Uint64Flag{Name: "seed", Usage: "of the scenario", DefaultText: "its own"},
			&ucli.StringFlag{Name: "out", Usage: "write the trial into `DIR`, which is made, or is empty", DefaultText: "out/trial/NAME"},
			&ucli.StringFlag{Name: "time", Value: string(lab.Real), Usage: "virtual: in the lab; real: on this machine, as root"},
			&ucli.StringFlag{Name: "name", Usage: "name of the run of links", DefaultText: "trial-PID"},
			&ucli.BoolFlag{Name: "json", Usage: "print the summary as JSON"},
			&ucli.BoolFlag{Name: "quiet", Usage: "neither measure the trial nor print its summary"},
			&ucli.BoolFlag{Name: inLab, Hidden: true},
		),
		Action: func(c *ucli.Context) error { return runTrial(ctx, c, args, stdout, stderr) },
	}
}

func runTrial(ctx context.Context, c *ucli.Context, args []string, stdout, stderr io.Writer) error {
	arg, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	kind := lab.Time(c.String("time"))
	if kind != lab.Virtual && kind != lab.Real {
		return cli.Usagef("--time %s: need %s or %s", kind, lab.Virtual, lab.Real)
	}
	p, err := planned(c, arg[0])
	if err != nil {
		return err
	}
	// What is missing is said before anything is made.
	if p.config.Stack != nil {
		if err := stack.Check(p.config.Stack); err != nil {
			return err
		}
	}
	dir, err := outDir(c, p)
	if err != nil {
		return err
	}
	if kind == lab.Virtual && !c.Bool(inLab) {
		err = again(ctx, args, dir, stdout, stderr)
	} else {
		err = carryOut(ctx, c, p, dir, stderr)
	}
	if err != nil || c.Bool("quiet") || c.Bool(inLab) { // who started the lab shows the result
		return err
	}
	return show(c, dir, stdout)
}

// plan is what flags and file ask for.
type plan struct {
	config trial.Config
	source string
	tape   trial.TapeOptions
}

// planned reads the file that the argument may name, and what flags change of it.
func planned(c *ucli.Context, arg string) (*plan, error) {
	f, err := trial.Open(arg)
	if err != nil {
		return nil, err
	}
	if c.IsSet("stack") && c.String("stack") != f.Stack {
		f.Stack, f.Options, f.Pair = c.String("stack"), nil, stack.Pair{}
	}
	f.Options = append(f.Options, c.StringSlice("option")...)
	for _, x := range []struct {
		flag string
		to   *string
	}{{"sender", &f.Pair.Sender}, {"receiver", &f.Pair.Receiver}, {"topology", &f.Topology}} {
		if c.IsSet(x.flag) {
			*x.to = c.String(x.flag)
		}
	}
	if c.IsSet("rate") {
		if f.Rate, err = trace.ParseBitRate(c.String("rate")); err != nil {
			return nil, cli.Usagef("--rate: %w", err)
		}
	}
	if c.IsSet("buffer") {
		f.Buffer = c.Duration("buffer")
	}
	if c.IsSet("links") {
		if f.Links = list(c.String("links")); len(f.Links) == 0 {
			return nil, cli.Usagef("--links: name links, such as att,vzw")
		}
	}
	if c.IsSet("seed") {
		seed := c.Uint64("seed")
		f.Seed = &seed
	}
	if c.IsSet("duration") {
		if f.Duration = c.Duration("duration"); f.Duration <= 0 {
			return nil, cli.Usagef("--duration %v: longer than nothing", f.Duration)
		}
	}
	f.Set = append(f.Set, c.StringSlice("set")...)
	for _, s := range f.Set {
		if key, _, ok := strings.Cut(s, "="); !ok || key == "" {
			return nil, cli.Usagef("--set %q: write KEY=VALUE, such as links.att.up.rate.mean=6Mbit; options of the stack go with --option", s)
		}
	}
	p := &plan{source: f.Source, tape: trial.TapeOptions{Set: f.Set, Seed: f.Seed, Duration: f.Duration, Links: f.Links}}
	p.config = trial.Config{
		Name: f.Name, Source: f.Source, Rate: f.Rate, Buffer: f.Buffer, Cross: f.Cross, Thresholds: f.Thresholds,
		Virtual: c.Bool(inLab), Run: c.String("name"), RatesOnly: c.Bool("rates-only"),
	}
	if f.Stack != stack.None {
		if p.config.Stack, err = stack.New(f.Stack, f.Options, f.Pair); err != nil {
			return nil, cli.Usagef("%w", err)
		}
	}
	if f.Topology != "" {
		if p.config.Topology, err = netsetup.ReadTopology(f.Topology); err != nil {
			return nil, err
		}
	}
	if p.config.Run == "" {
		p.config.Run = fmt.Sprintf("trial-%d", os.Getpid())
		if p.config.Virtual { // hardware addresses follow from it
			p.config.Run = "trial"
		}
	}
	if err := p.config.Check(); err != nil {
		return nil, cli.Usagef("%w", err)
	}
	return p, nil
}

// outDir is where the trial goes: a folder without anything in it.
func outDir(c *ucli.Context, p *plan) (string, error) {
	dir := c.String("out")
	if dir == "" {
		name := p.config.Name
		if name == "" {
			name = strings.TrimSuffix(filepath.Base(p.source), filepath.Ext(p.source))
		}
		dir = filepath.Join("out", "trial", name)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty: remove it, or name another folder with --out", dir)
	}
	return dir, os.MkdirAll(dir, 0o777)
}

// carryOut makes the tape and runs the trial.
func carryOut(ctx context.Context, c *ucli.Context, p *plan, dir string, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	progress := cli.NewProgress(stderr, "tape")
	warnings, err := trial.MakeTape(ctx, p.source, dir, p.tape, progress.Set)
	progress.Done()
	for _, w := range warnings {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if err != nil {
		return err
	}
	p.config.Inside = []string{self, insideName}
	progress = cli.NewProgress(stderr, "trial")
	p.config.Progress = progress.Set
	_, err = trial.Run(ctx, &p.config, dir)
	progress.Done()
	return err
}

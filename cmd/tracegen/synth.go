package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/synth"
	"linktape/trace"
	"linktape/traces"
)

func synthCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "synth",
		Usage:     "synthesize a tape from a scenario, or a data set of many",
		ArgsUsage: "(-o TAPE | --out DIR) SCENARIO…",
		Description: `SCENARIO is a YAML file, the name of one in the library (tracegen list), or - for
standard input. A name without slash and ending is looked up in the library
first; write ./NAME for a file of that name. The same scenario and seed give the
same bytes on every machine. The tape holds the whole scenario, with what was
set here (tracegen info --scenario).

   tracegen synth -o drive.tape --seed 7 --duration 10m three-carrier-drive
   tracegen synth -o fast.tape --set links.att.up.rate.mean=6Mbit my.yaml

With --out it makes a library of tapes, on all processors: a tape for each of
one or more scenarios and each of --seeds, as DIR/scenario=NAME/seed=N/tape.parquet,
which DuckDB, Spark and polars query as one table. The same command makes what is
missing after an interruption. A tape that is there and is the same is kept; one
that differs is an error, unless --force replaces it.

   tracegen synth --seeds 1..100,200 --out library quickstart three-carrier-drive`,
		Flags: append([]ucli.Flag{
			outputFlag("write the tape to `FILE`; - is standard output"),
			&ucli.Uint64Flag{Name: "seed", Usage: "draw from seed `N`", DefaultText: "as in the scenario"},
			&ucli.DurationFlag{Name: "duration", Usage: "make the tape `DURATION` long", DefaultText: "as in the scenario"},
			&ucli.DurationFlag{Name: "step", Usage: "sample random processes every `DURATION`", DefaultText: "as in the scenario"},
			&ucli.StringSliceFlag{Name: "set", Usage: "change the scenario, `KEY=VALUE` with a dotted key; may be repeated"},
		}, dataSetFlags()...),
		Action: doSynth,
	}
}

func doSynth(c *ucli.Context) error {
	if c.IsSet("out") {
		return doSynthDataSet(c)
	}
	if name := dataSetFlag(c); name != "" {
		return cli.Usagef("--%s is for data sets: name a folder with --out DIR", name)
	}
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	if len(args) > 1 {
		return cli.Usagef("%d scenarios: -o writes the tape of one; write those of several with --out DIR", len(args))
	}
	path, err := outputPath(c, args[0])
	if err != nil {
		return err
	}
	opts, err := synthOptions(c)
	if err != nil {
		return err
	}
	if c.IsSet("seed") {
		seed := c.Uint64("seed")
		opts.Seed = &seed
	}
	name, data, err := readScenario(args[0], c.App.Reader)
	if err != nil {
		return err
	}
	sc, err := synth.Parse(name, data, opts)
	if err != nil {
		return err
	}
	stderr := c.App.ErrWriter
	for _, w := range sc.Warnings() {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	progress := cli.NewProgress(stderr, "synth")
	tape, err := cli.WriteTape(c.Context, path, c.App.Writer, sc.Meta(), func(write func([]trace.Step) error) error {
		return sc.Synthesize(c.Context, write, progress.Set)
	})
	progress.Done()
	if err != nil {
		return err
	}
	tape.Remark(stderr, path)
	return nil
}

// synthOptions reads the flags that change a scenario, but the seed.
func synthOptions(c *ucli.Context) (opts synth.Options, err error) {
	if opts.Duration, err = durationFlag(c, "duration"); err != nil {
		return opts, err
	}
	if opts.Step, err = durationFlag(c, "step"); err != nil {
		return opts, err
	}
	opts.Set = c.StringSlice("set")
	for _, s := range opts.Set {
		if key, _, ok := strings.Cut(s, "="); !ok || key == "" {
			return opts, cli.Usagef("--set %q: write KEY=VALUE, such as links.att.up.rate.mean=6Mbit", s)
		}
	}
	return opts, nil
}

// maxScenario bounds a scenario that is read, in bytes.
const maxScenario = 16 << 20

// readScenario reads a scenario from the library, a file or standard input,
// and returns its name for messages.
func readScenario(arg string, stdin io.Reader) (string, []byte, error) {
	if arg == cli.StdStream {
		data, err := readBounded(stdin)
		if err != nil {
			return "", nil, fmt.Errorf("read standard input: %w", err)
		}
		return "standard input", data, nil
	}
	if !strings.ContainsRune(arg, filepath.Separator) {
		data, err := traces.Get(arg)
		if err == nil {
			return arg + ".yaml", data, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	f, err := os.Open(arg)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("scenario %s: neither a file nor in the library; tracegen list shows the library", arg)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read scenario: %w", err)
	}
	defer f.Close()
	data, err := readBounded(f)
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", arg, err)
	}
	return arg, data, nil
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxScenario+1))
	if err == nil && len(data) > maxScenario {
		err = fmt.Errorf("longer than %d bytes: not a scenario", maxScenario)
	}
	return data, err
}

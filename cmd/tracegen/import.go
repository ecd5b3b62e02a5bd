package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/trace/convert"
)

// formatList describes formats for a help text, one to a line.
func formatList[T interface {
	Name() string
	Description() string
}](formats []T) string {
	var b strings.Builder
	for _, f := range formats {
		fmt.Fprintf(&b, "\n   %-9s %s", f.Name(), f.Description())
	}
	return b.String()
}

func importCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "import",
		Usage:     "make a tape from traces in foreign formats",
		ArgsUsage: "-o TAPE LINK.DIR=FILE…",
		Description: `Reads one trace for each LINK.DIR and lays them into one tape. FILE - is standard
input. Without --format the format is taken from the content where that is
unambiguous; what was chosen is said. All faults of a file are listed with their
lines. Rates are in IP packets; the bytes of a loop are kept exactly, whatever
the step.

The formats:` + formatList(convert.Importers()) + `

Traces carry no delay, loss or queue: --delay, --loss and --queue lay constant
ones under all directions, or under one link or direction (--delay att=35ms
--delay att.up=50ms); the most specific one counts.

Traces of different length are refused unless --fit says what to do: shortest
cuts all at the shortest one's end, loop repeats the shorter ones up to the
longest one's end.

   tracegen import -o drive.tape --delay 35ms --queue 200ms --fit shortest \
       att.up=ATT-LTE-driving-2016.up verizon.up=Verizon-LTE-short.up`,
		Flags: []ucli.Flag{
			outputFlag("write the tape to `FILE`; - is standard output"),
			&ucli.StringFlag{Name: "format", Usage: "`FORMAT` of the files", DefaultText: "by their content"},
			&ucli.DurationFlag{Name: "step", Usage: "bin the rates into steps of `DURATION`", DefaultText: "mahimahi 100ms, pensieve as in the file"},
			&ucli.StringFlag{Name: "interval", Usage: "a sample stands for the interval that it is the `start|end` of", DefaultText: "end"},
			&ucli.StringFlag{Name: "fit", Usage: "make traces of different length equal: `shortest|loop`"},
			&ucli.StringSliceFlag{Name: "delay", Usage: "constant one-way delay, `DURATION` or LINK=DURATION or LINK.DIR=DURATION"},
			&ucli.StringSliceFlag{Name: "loss", Usage: "constant loss, `PROBABILITY` or LINK=… or LINK.DIR=…"},
			&ucli.StringSliceFlag{Name: "queue", Usage: "drop-tail queue of the bottleneck, `SIZE` or waiting time, or LINK=…"},
		},
		Action: doImport,
	}
}

// importArg is one LINK.DIR=FILE.
type importArg struct {
	trace.LinkDir
	file string
}

// name is how the file is called in messages.
func (a importArg) name() string {
	if a.file == stdStream {
		return "standard input"
	}
	return a.file
}

func parseImportArgs(args []string) ([]importArg, error) {
	var out []importArg
	for _, a := range args {
		name, file, ok := strings.Cut(a, "=")
		if !ok || file == "" {
			return nil, cli.Usagef("%q: write LINK.DIR=FILE, such as att.up=trace.up", a)
		}
		ld, err := trace.ParseLinkDir(name)
		if err != nil {
			return nil, cli.Usagef("%w", err)
		}
		for _, o := range out {
			switch {
			case o.LinkDir == ld:
				return nil, cli.Usagef("%s is given twice: %s and %s", ld, o.file, file)
			case o.file == stdStream && file == stdStream:
				return nil, cli.Usagef("%s and %s both read standard input: give a file for one", o.LinkDir, ld)
			}
		}
		out = append(out, importArg{ld, file})
	}
	return out, nil
}

// scoped holds the values of a flag written [LINK[.DIR]=]VALUE; the key "" is
// for all directions.
type scoped map[string]string

func parseScoped(c *ucli.Context, flag string, args []importArg, links bool) (scoped, error) {
	out := scoped{}
	for _, v := range c.StringSlice(flag) {
		scope, value, ok := strings.Cut(v, "=")
		if !ok {
			scope, value = "", v
		} else if !slices.ContainsFunc(args, func(a importArg) bool { return scope == a.Link || !links && scope == a.LinkDir.String() }) {
			return nil, cli.Usagef("--%s %s: %q is not among the imported ones", flag, v, scope)
		}
		if old, twice := out[scope]; twice {
			return nil, cli.Usagef("--%s is given twice for the same: %s and %s", flag, old, value)
		}
		out[scope] = value
	}
	return out, nil
}

// of returns the most specific value for a direction, or "".
func (s scoped) of(ld trace.LinkDir) string {
	for _, key := range []string{ld.String(), ld.Link, ""} {
		if v, ok := s[key]; ok {
			return v
		}
	}
	return ""
}

// parseQueue reads a queue limit: a size in bytes or a waiting time.
func parseQueue(s string) (trace.Queue, error) {
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return trace.Queue{Kind: trace.DropTail, LimitTime: d}, nil
	}
	if n, err := trace.ParseBytes(s); err == nil && n > 0 {
		return trace.Queue{Kind: trace.DropTail, LimitBytes: n}, nil
	}
	return trace.Queue{}, cli.Usagef("--queue %q: write a size such as 64KB or a waiting time such as 200ms", s)
}

func doImport(c *ucli.Context) error {
	rawArgs, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	args, err := parseImportArgs(rawArgs)
	if err != nil {
		return err
	}
	var files []string
	for _, a := range args {
		files = append(files, a.file)
	}
	path, err := outputPath(c, files...)
	if err != nil {
		return err
	}
	step, err := durationFlag(c, "step")
	if err != nil {
		return err
	}
	if f := c.String("format"); f != "" {
		if _, err := convert.FindImporter(f); err != nil {
			return cli.Usagef("%w", err)
		}
	}
	interval := c.String("interval")
	if interval != "" && interval != convert.IntervalStart && interval != convert.IntervalEnd {
		return cli.Usagef("--interval %q: write start or end", interval)
	}
	var opts convert.MergeOptions
	if opts.Fit, err = convert.ParseFit(c.String("fit")); err != nil {
		return cli.Usagef("--%w", err)
	}
	delays, err := parseScoped(c, "delay", args, false)
	if err != nil {
		return err
	}
	losses, err := parseScoped(c, "loss", args, false)
	if err != nil {
		return err
	}
	queues, err := parseScoped(c, "queue", args, true)
	if err != nil {
		return err
	}
	opts.Queues = map[string]trace.Queue{}
	each := make([]convert.ImportOptions, len(args)) // all flags are checked before a file is read
	for i, a := range args {
		each[i] = convert.ImportOptions{Step: step, Interval: interval}
		if v := delays.of(a.LinkDir); v != "" {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 || d > trace.MaxDelay {
				return cli.Usagef("--delay %q: write a duration up to %v, such as 35ms", v, trace.MaxDelay)
			}
			each[i].Delay = d
		}
		if v := losses.of(a.LinkDir); v != "" {
			if each[i].Loss, err = trace.ParseProb(v); err != nil {
				return cli.Usagef("--loss: %w", err)
			}
		}
		if v := queues.of(a.LinkDir); v != "" {
			if opts.Queues[a.Link], err = parseQueue(v); err != nil {
				return err
			}
		}
	}

	stderr := c.App.ErrWriter
	var inputs []convert.Input
	var faults []error
	for i, a := range args {
		res, err := importFile(c, a, each[i])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		how := "as told"
		if c.String("format") == "" {
			how = "by its content"
		}
		name := a.name()
		fmt.Fprintf(stderr, "%s: %s is read as %s (%s)%s: %s, %d bytes in %v\n", a.LinkDir, name, res.Format, how, choices(res), count(res.Lines, "sample"), res.Bytes, res.Duration)
		for _, w := range res.Warnings {
			where := name
			if w.Line > 0 {
				where = fmt.Sprintf("%s:%d", name, w.Line)
			}
			fmt.Fprintf(stderr, "%s: warning: %s: %s\n", a.LinkDir, where, w.Text)
		}
		inputs = append(inputs, convert.Input{LinkDir: a.LinkDir, Result: res})
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	meta, steps, err := convert.Merge(inputs, opts)
	if err != nil {
		return err
	}
	for _, s := range meta.Sources {
		if fit := s.Choices["fit"]; fit != "" {
			fmt.Fprintf(stderr, "%s.%s: %s\n", s.Link, s.Dir, fit)
		}
	}
	progress := cli.NewProgress(stderr, "import")
	stats := trace.NewStatsCollector(meta, trace.StatsOptions{})
	tape, err := writeTape(c.Context, path, c.App.Writer, meta, func(write func([]trace.Step) error) error {
		return batches(steps, func(b []trace.Step) error {
			progress.Set(float64(b[0].At) / float64(meta.Duration))
			for i := range b {
				stats.Step(&b[i])
			}
			return write(b)
		})
	})
	progress.Done()
	if err != nil {
		return err
	}
	for _, s := range stats.Finish() {
		fmt.Fprintf(stderr, "%s.%s: mean %s, p5 %s, p50 %s, p95 %s Mbit/s, %s %% empty, longest gap %v\n", s.Link, s.Dir,
			mbits(s.RateMean), mbits(s.RateP5), mbits(s.RateP50), mbits(s.RateP95), percent(s.EmptyFraction), s.LongestGap)
	}
	tape.remark(stderr, path)
	return nil
}

func importFile(c *ucli.Context, a importArg, opts convert.ImportOptions) (*convert.Result, error) {
	var r io.Reader = c.App.Reader
	if a.file != stdStream {
		f, err := os.Open(a.file)
		if err != nil {
			return nil, fmt.Errorf("import %s: %w", a.LinkDir, err)
		}
		defer f.Close()
		r = f
	}
	res, err := convert.Import(c.String("format"), &contextReader{c.Context, r}, a.name(), opts)
	var faults *convert.Faults
	switch {
	case errors.As(err, &faults):
		return nil, fmt.Errorf("import %s: %s:\n%w", a.LinkDir, count(faults.Count, "fault"), err)
	case errors.Is(err, convert.ErrUnknownFormat):
		return nil, fmt.Errorf("import %s: %w; say it with --format FORMAT, if it is one of%s", a.LinkDir, err, formatList(convert.Importers()))
	case err != nil:
		return nil, fmt.Errorf("import %s: %w", a.LinkDir, err)
	}
	return res, nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// choices writes what the importer decided, in a fixed order.
func choices(res *convert.Result) string {
	var out string
	for _, key := range []string{"interval", "step", "start"} {
		if v := res.Choices[key]; v != "" {
			out += ", " + key + " " + v
		}
	}
	return out
}

// batches passes steps on in slices, which are valid until write returns.
func batches(steps iter.Seq[trace.Step], write func([]trace.Step) error) error {
	batch := make([]trace.Step, 0, readBatch)
	for s := range steps {
		if batch = append(batch, s); len(batch) == cap(batch) {
			if err := write(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		return write(batch)
	}
	return nil
}

package main

import (
	"bytes"
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
		fmt.Fprintf(&b, "\n   %-15s %s", f.Name(), f.Description())
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
unambiguous (--detect FILE says why); what was chosen is said. All faults of a
file are listed with their lines. Rates are in IP packets; the bytes of a loop
are kept exactly, whatever the step.

   LINK.DIR=FILE        what the file holds for this direction
   LINK.DIR.delay=FILE  its delays only, under the rate of another file; also
                        .loss and .rate
   LINK=FILE            both directions of a file that holds both
   FILE                 every direction of a tape in csv or json

The formats:` + formatList(convert.Importers()) + `

Before anything is written the report says for each file what was chosen, what
is doubtful with its line, and the statistics; --dry-run stops there, --json
prints it as JSON.

Traces carry mostly no delay, loss or queue: --delay, --loss and --queue lay
constant ones under all directions, or under one link or direction (--delay
att=35ms --delay att.up=50ms); the most specific one counts. --format, --scale
and --clip can be given so, too. Other tables in CSV are read by --columns.

Traces of different length are refused unless --fit says what to do: shortest
cuts all at the shortest one's end, loop repeats the shorter ones up to the
longest one's end. --join time lays files with absolute times on one clock, from
the first beginning to the last end, or with --fit shortest where all overlap.

   tracegen import -o drive.tape --delay 35ms --queue 200ms --fit shortest \
       att.up=ATT-LTE-driving-2016.up verizon.up=Verizon-LTE-short.up
   tracegen import -o day.tape --join time --gap outage \
       att.down=att.csv starlink.down=mobility.csv
   tracegen import -o probe.tape --interval end \
       --columns time=ts:unix-s,rate=dl:kbit,delay=rtt:ms/2,loss=loss:% lte.down=probe.csv`,
		Flags: []ucli.Flag{
			outputFlag("write the tape to `FILE`; - is standard output"),
			&ucli.StringSliceFlag{Name: "format", Usage: "`FORMAT` of the files, or LINK=… or LINK.DIR=…", DefaultText: "by their content"},
			&ucli.DurationFlag{Name: "step", Usage: "bin the rates into steps of `DURATION`", DefaultText: "mahimahi and saturator 100ms, else as in the file"},
			&ucli.BoolFlag{Name: "opportunities", Usage: "of mahimahi keep each delivery opportunity, as a pulse of 1µs, in place of steps"},
			&ucli.StringFlag{Name: "interval", Usage: "a sample stands for the interval that it is the `start|end` of", DefaultText: "cellreplay start, else end; csv needs it"},
			&ucli.StringFlag{Name: "fit", Usage: "make traces of different length equal: `shortest|loop`"},
			&ucli.StringFlag{Name: "join", Usage: "lay files on a common clock: `time`"},
			&ucli.StringSliceFlag{Name: "delay", Usage: "constant one-way delay, `DURATION` or LINK=DURATION or LINK.DIR=DURATION"},
			&ucli.StringSliceFlag{Name: "loss", Usage: "constant loss, `PROBABILITY` or LINK=… or LINK.DIR=…"},
			&ucli.StringSliceFlag{Name: "queue", Usage: "drop-tail queue of the bottleneck, `SIZE` or waiting time, or LINK=…"},
			&ucli.BoolFlag{Name: "sort", Usage: "sort samples that are out of order"},
			&ucli.StringFlag{Name: "same", Usage: "of samples of the same instant take `mean|first|last`", DefaultText: "ucc mean, else refuse"},
			&ucli.StringFlag{Name: "gap", Usage: "where there is no sample: `hold|zero|outage`", DefaultText: "hold"},
			&ucli.DurationFlag{Name: "gap-after", Usage: "a `DURATION` without a sample above this is a gap", DefaultText: "three times the median; pensieve none"},
			&ucli.StringSliceFlag{Name: "scale", Usage: "multiply rates by `FACTOR`, or LINK=… or LINK.DIR=…"},
			&ucli.StringSliceFlag{Name: "clip", Usage: "keep rates within `MIN,MAX`, or LINK=… or LINK.DIR=…"},
			&ucli.StringFlag{Name: "zone", Usage: "`ZONE` of times that have none, such as -05:00 or CDT", DefaultText: "UTC"},
			&ucli.Int64Flag{Name: "run", Usage: "run `N` of a file that holds several", DefaultText: "the only one"},
			&ucli.StringFlag{Name: "columns", Usage: "read tables in CSV by a `MAPPING` ROLE=COLUMN:UNIT,…; see docs/formats.md"},
			&ucli.StringFlag{Name: "separator", Usage: "for csv: `SEPARATOR` of columns: \",\", \";\", tab or space", DefaultText: "\",\""},
			&ucli.StringFlag{Name: "header", Usage: "for csv: whether there is a header line, `yes|no`", DefaultText: "yes if a column is named"},
			&ucli.BoolFlag{Name: "dry-run", Usage: "report only, write nothing"},
			&ucli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			&ucli.BoolFlag{Name: "detect", Usage: "only say what format each FILE has, and why"},
		},
		Action: doImport,
	}
}

// importArg is one LINK.DIR[.ROLE]=FILE.
type importArg struct {
	trace.LinkDir
	role  convert.Role
	file  string
	open  bool   // the direction is not said: LINK=FILE or FILE
	tape  bool   // one of several directions of a tape in CSV or JSON, which is read once
	stdin []byte // what standard input holds, where it is read more than once
}

// name is how the file is called in messages.
func (a importArg) name() string {
	if a.file == cli.StdStream {
		return "standard input"
	}
	return a.file
}

// what is how the argument is called in messages.
func (a importArg) what() string {
	if a.role == convert.RoleAll {
		return a.LinkDir.String()
	}
	return a.LinkDir.String() + "." + string(a.role)
}

func badArgument(a string) error {
	return cli.Usagef("%q: write LINK.DIR=FILE, such as att.up=trace.up", a)
}

func parseImportArgs(args []string) ([]importArg, error) {
	var out []importArg
	for _, a := range args {
		name, file, ok := strings.Cut(a, "=")
		switch {
		case !ok && a != "":
			out = append(out, importArg{file: a, open: true})
			continue
		case file == "":
			return nil, badArgument(a)
		}
		if trace.CheckName(name) == nil {
			out = append(out, importArg{LinkDir: trace.LinkDir{Link: name}, file: file, open: true})
			continue
		}
		x := importArg{file: file}
		if parts := strings.Split(name, "."); len(parts) == 3 {
			role, err := convert.ParseRole(parts[2])
			if err != nil || role == convert.RoleAll {
				return nil, cli.Usagef("%q: role %q: write rate, delay or loss", name, parts[2])
			}
			x.role, name = role, parts[0]+"."+parts[1]
		}
		var err error
		if x.LinkDir, err = trace.ParseLinkDir(name); err != nil {
			return nil, cli.Usagef("%w", err)
		}
		out = append(out, x)
	}
	return out, nil
}

// checkTwice refuses what cannot be read together.
func checkTwice(args []importArg) error {
	for i, a := range args {
		for _, o := range args[:i] {
			same := o.role == a.role || o.role+a.role == convert.RoleRate
			switch {
			case o.LinkDir == a.LinkDir && same && !a.open && !o.open:
				return cli.Usagef("%s is given twice: %s and %s", a.what(), o.file, a.file)
			case o.file == cli.StdStream && a.file == cli.StdStream && o.stdin == nil:
				return cli.Usagef("%s and %s both read standard input: give a file for one", o.what(), a.what())
			}
		}
	}
	return nil
}

// expand finds the directions of the arguments that do not say them.
func expand(c *ucli.Context, args []importArg, opts convert.ImportOptions, formats func(importArg) string) ([]importArg, error) {
	var out []importArg
	for _, a := range args {
		if !a.open {
			out = append(out, a)
			continue
		}
		raw := a.file
		if a.Link != "" {
			raw = a.Link + "=" + a.file
		}
		if a.file == cli.StdStream {
			data, err := io.ReadAll(&contextReader{c.Context, c.App.Reader})
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			a.stdin = append(make([]byte, 0, len(data)+1), data...)
		}
		var im convert.Importer
		err := a.read(c, func(r io.Reader) (err error) {
			if f := formats(a); f != "" {
				im, err = convert.FindImporter(f)
				return err
			}
			head, err := convert.Head(r, a.name())
			if err != nil {
				return err
			}
			im, err = convert.Detect(head)
			return err
		})
		if err != nil {
			if a.Link == "" {
				return nil, badArgument(raw)
			}
			return nil, importError(a, err)
		}
		lister, ok := im.(convert.Lister)
		if !ok {
			if a.Link == "" {
				return nil, badArgument(raw)
			}
			return nil, cli.Usagef("%s: the format %s holds one direction: write %s.up=%s or %s.down=%s", raw, im.Name(), a.Link, a.file, a.Link, a.file)
		}
		var dirs []trace.LinkDir
		err = a.read(c, func(r io.Reader) (err error) {
			dirs, err = lister.List(r, a.name(), opts)
			return err
		})
		if err != nil {
			return nil, importError(a, err)
		}
		found := false
		for _, ld := range dirs {
			switch {
			case a.Link == "" && ld.Link == "":
				return nil, cli.Usagef("%s: the format %s names no links: write LINK=%s", raw, im.Name(), a.file)
			case a.Link != "" && ld.Link == "":
				ld.Link = a.Link
			case a.Link != "" && ld.Link != a.Link:
				continue
			}
			found = true
			out = append(out, importArg{LinkDir: ld, file: a.file, stdin: a.stdin, tape: dirs[0].Link != "" && opts.CSV.Columns == ""})
		}
		if !found {
			var names []string
			for _, ld := range dirs {
				names = append(names, ld.String())
			}
			if len(names) == 0 {
				return nil, cli.Usagef("%s: the columns name no direction: write %s.up=%s or %s.down=%s", raw, a.Link, a.file, a.Link, a.file)
			}
			return nil, cli.Usagef("%s: the file has no link %s: it has %s", raw, a.Link, strings.Join(names, ", "))
		}
	}
	return out, nil
}

// read opens the file for f.
func (a importArg) read(c *ucli.Context, f func(r io.Reader) error) error {
	var r io.Reader = c.App.Reader
	switch {
	case a.stdin != nil:
		r = bytes.NewReader(a.stdin)
	case a.file != cli.StdStream:
		file, err := os.Open(a.file)
		if err != nil {
			return err
		}
		defer file.Close()
		r = file
	}
	return f(&contextReader{c.Context, r})
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
		} else if !slices.ContainsFunc(args, func(a importArg) bool {
			return scope == a.Link || !links && (scope == a.LinkDir.String() || scope == a.what())
		}) {
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
func (s scoped) of(a importArg) string {
	for _, key := range []string{a.what(), a.LinkDir.String(), a.Link, ""} {
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
	if c.Bool("detect") {
		return doDetect(c, rawArgs)
	}
	args, err := parseImportArgs(rawArgs)
	if err != nil {
		return err
	}
	if err := checkTwice(args); err != nil {
		return err
	}
	var files []string
	for _, a := range args {
		files = append(files, a.file)
	}
	path := ""
	if !c.Bool("dry-run") {
		if path, err = outputPath(c, files...); err != nil {
			return err
		}
		if path == cli.StdStream && c.Bool("json") {
			return cli.Usagef("--json and -o -: both are for standard output; write the tape to a file")
		}
	}
	common, err := importFlags(c)
	if err != nil {
		return err
	}
	var opts convert.MergeOptions
	if opts.Fit, err = convert.ParseFit(c.String("fit")); err != nil {
		return cli.Usagef("--%w", err)
	}
	switch join := c.String("join"); {
	case join != "" && join != "time":
		return cli.Usagef("--join %q: write time", join)
	case join != "" && opts.Fit == convert.FitLoop:
		return cli.Usagef("--join time and --fit loop: what was recorded together is not repeated; use --fit shortest or --gap")
	}
	// Formats may be said for arguments whose directions are still open.
	formats := func(a importArg) string {
		out := formatOfColumns(common)
		for _, v := range c.StringSlice("format") {
			if _, _, ok := strings.Cut(v, "="); !ok {
				out = v
			}
		}
		for _, v := range c.StringSlice("format") {
			if scope, f, ok := strings.Cut(v, "="); ok && scope == a.Link {
				out = f
			}
		}
		return out
	}
	for _, v := range c.StringSlice("format") {
		if _, f, ok := strings.Cut(v, "="); ok {
			v = f
		}
		if _, err := convert.FindImporter(v); err != nil {
			return cli.Usagef("%w", err)
		}
	}
	if args, err = expand(c, args, common, formats); err != nil {
		return err
	}
	if err := checkTwice(args); err != nil {
		return err
	}
	each, format, err := directionFlags(c, args, common, &opts) // all flags are checked before a file is read
	if err != nil {
		return err
	}

	stderr := c.App.ErrWriter
	report := importReport{Inputs: []inputReport{}}
	var inputs []convert.Input
	var faults []error
	for i := 0; i < len(args); {
		k := i + 1 // directions of one tape are read together
		for k < len(args) && args[i].tape && args[k].tape && args[k].file == args[i].file && format[k] == format[i] {
			k++
		}
		all, err := importFile(c, args[i], format[i], each[i:k])
		if err != nil {
			faults = append(faults, err)
		}
		for n, res := range all {
			how := "as told"
			if format[i] == "" {
				how = "by its content"
			}
			report.add(stderr, args[i+n], res, how)
			inputs = append(inputs, convert.Input{LinkDir: args[i+n].LinkDir, Result: res})
		}
		i = k
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if c.String("join") != "" {
		if inputs, err = convert.Join(inputs, convert.JoinOptions{Overlap: opts.Fit == convert.FitShortest, Gap: c.String("gap")}); err != nil {
			return err
		}
		for i, in := range inputs {
			fmt.Fprintf(stderr, "%s: joined %s\n", args[i].what(), in.Choices["join"])
		}
	}
	meta, steps, err := convert.Merge(inputs, opts)
	if err != nil {
		return err
	}
	for _, s := range meta.Sources {
		if fit := s.Choices["fit"]; fit != "" {
			role := s.Choices["role"]
			if role != "" {
				role = "." + role
			}
			fmt.Fprintf(stderr, "%s.%s%s: %s\n", s.Link, s.Dir, role, fit)
		}
	}
	collector := trace.NewStatsCollector(meta, trace.StatsOptions{})
	for s := range steps {
		if err := c.Context.Err(); err != nil {
			return err
		}
		collector.Step(&s)
	}
	report.Duration, report.Directions = meta.Duration, collector.Finish()
	report.sources(meta.Sources)
	for _, s := range report.Directions {
		fmt.Fprintf(stderr, "%s.%s: mean %s, p5 %s, p50 %s, p95 %s Mbit/s, %s %% empty, longest gap %v\n", s.Link, s.Dir,
			cli.Mbits(s.RateMean), cli.Mbits(s.RateP5), cli.Mbits(s.RateP50), cli.Mbits(s.RateP95), cli.Percent(s.EmptyFraction), s.LongestGap)
	}
	if c.Bool("json") {
		if err := cli.PrintJSON(c.App.Writer, report); err != nil {
			return err
		}
	}
	if c.Bool("dry-run") {
		return nil
	}
	progress := cli.NewProgress(stderr, "import")
	tape, err := cli.WriteTape(c.Context, path, c.App.Writer, meta, func(write func([]trace.Step) error) error {
		return batches(steps, func(b []trace.Step) error {
			progress.Set(float64(b[0].At) / float64(meta.Duration))
			return write(b)
		})
	})
	progress.Done()
	if err != nil {
		return err
	}
	tape.Remark(stderr, path)
	return nil
}

// importFlags reads the flags that are the same for all files.
func importFlags(c *ucli.Context) (opts convert.ImportOptions, err error) {
	if opts.Step, err = durationFlag(c, "step"); err != nil {
		return opts, err
	}
	if opts.GapAfter, err = durationFlag(c, "gap-after"); err != nil {
		return opts, err
	}
	if opts.Opportunities = c.Bool("opportunities"); opts.Opportunities {
		for _, f := range []string{"step", "clip"} {
			if c.IsSet(f) {
				return opts, cli.Usagef("--opportunities and --%s: choose one; opportunities are pulses, which have no bins and no rate to bound", f)
			}
		}
	}
	opts.Interval = c.String("interval")
	if opts.Interval != "" && opts.Interval != convert.IntervalStart && opts.Interval != convert.IntervalEnd {
		return opts, cli.Usagef("--interval %q: write start or end", opts.Interval)
	}
	opts.Sort, opts.Same, opts.Gap, opts.Run = c.Bool("sort"), c.String("same"), c.String("gap"), c.Int64("run")
	if err := convert.ParseSame(opts.Same); err != nil {
		return opts, cli.Usagef("--%w", err)
	}
	if err := convert.ParseGap(opts.Gap); err != nil {
		return opts, cli.Usagef("--%w", err)
	}
	if c.IsSet("run") && opts.Run < 1 {
		return opts, cli.Usagef("--run %d: write a number from 1", opts.Run)
	}
	if v := c.String("zone"); v != "" {
		z, err := convert.ParseZone(v)
		if err != nil {
			return opts, cli.Usagef("--zone: %w", err)
		}
		opts.Zone = &z
	}
	opts.CSV = convert.CSVOptions{Columns: c.String("columns"), Separator: c.String("separator"), Header: c.String("header")}
	if opts.CSV.Columns != "" {
		if err := opts.CSV.Check(); err != nil {
			return opts, cli.Usagef("--%w", err)
		}
	} else if c.IsSet("separator") || c.IsSet("header") {
		return opts, cli.Usagef("--separator and --header are for --columns")
	}
	return opts, nil
}

// formatOfColumns is the format that --columns says where --format does not.
func formatOfColumns(opts convert.ImportOptions) string {
	if opts.CSV.Columns != "" {
		return "csv"
	}
	return ""
}

// directionFlags reads the flags that can be given for a link or a direction.
func directionFlags(c *ucli.Context, args []importArg, common convert.ImportOptions, opts *convert.MergeOptions) ([]convert.ImportOptions, []string, error) {
	flags := map[string]scoped{}
	for _, name := range []string{"format", "delay", "loss", "queue", "scale", "clip"} {
		var err error
		if flags[name], err = parseScoped(c, name, args, name == "queue"); err != nil {
			return nil, nil, err
		}
	}
	opts.Queues = map[string]trace.Queue{}
	each := make([]convert.ImportOptions, len(args))
	format := make([]string, len(args))
	for i, a := range args {
		o := common
		o.LinkDir, o.Role = a.LinkDir, a.role
		if format[i] = flags["format"].of(a); format[i] == "" {
			format[i] = formatOfColumns(common)
		}
		var err error
		if v := flags["delay"].of(a); v != "" && a.role != convert.RoleDelay {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 || d > trace.MaxDelay {
				return nil, nil, cli.Usagef("--delay %q: write a duration up to %v, such as 35ms", v, trace.MaxDelay)
			}
			o.Delay = d
		}
		if v := flags["loss"].of(a); v != "" && a.role != convert.RoleLoss {
			if o.Loss, err = trace.ParseProb(v); err != nil {
				return nil, nil, cli.Usagef("--loss: %w", err)
			}
		}
		if v := flags["scale"].of(a); v != "" {
			if o.Scale, err = convert.ParseScale(v); err != nil {
				return nil, nil, cli.Usagef("--%w", err)
			}
		}
		if v := flags["clip"].of(a); v != "" {
			r, err := convert.ParseRateRange(v)
			if err != nil {
				return nil, nil, cli.Usagef("--%w", err)
			}
			o.Clip = &r
		}
		if v := flags["queue"].of(a); v != "" {
			if opts.Queues[a.Link], err = parseQueue(v); err != nil {
				return nil, nil, err
			}
		}
		if a.role == convert.RoleDelay || a.role == convert.RoleLoss {
			o.Scale, o.Clip, o.Opportunities = convert.Scale{}, nil, false // they are of rates
		}
		each[i] = o
	}
	return each, format, nil
}

// importFile reads a file for the directions that the options name.
func importFile(c *ucli.Context, a importArg, format string, each []convert.ImportOptions) (all []*convert.Result, err error) {
	err = a.read(c, func(r io.Reader) (err error) {
		all, err = convert.ImportAll(format, r, a.name(), each)
		return err
	})
	if err != nil {
		return nil, importError(a, err)
	}
	return all, nil
}

// importError says what an argument's import failed with.
func importError(a importArg, err error) error {
	what := a.what()
	if a.open {
		if what = a.Link; what == "" {
			what = a.name()
		}
	}
	var faults *convert.Faults
	switch {
	case errors.As(err, &faults):
		return fmt.Errorf("import %s: %s:\n%w", what, cli.Count(faults.Count, "fault"), err)
	case errors.Is(err, convert.ErrUnknownFormat):
		return fmt.Errorf("import %s: %w; say it with --format FORMAT, if it is one of%s", what, err, formatList(convert.Importers()))
	}
	return fmt.Errorf("import %s: %w", what, err)
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

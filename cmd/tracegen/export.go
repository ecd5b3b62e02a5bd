package main

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
	"linktape/trace/convert"
)

func exportCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "export",
		Usage:     "write a tape, or one direction of it, in a foreign format",
		ArgsUsage: "--format FORMAT -o FILE TAPE [LINK[.DIR]]…",
		Description: `Writes the rate of one direction, so that the tape can be played in another
emulator. TAPE - is standard input. What the format cannot express, such as
delay and loss, is left out with a warning.

The formats:` + formatList(convert.Exporters()) + `

csv, json and parquet hold every column and all directions, or those of the
links and directions that are given; importing them again gives the same tape.

mahimahi counts opportunities of 1500 bytes: what is left below one at the end
is left out in every loop of the file; --loops 4 writes the tape four times and
carries it on.

netem-trace holds one part of the state for each file: --what bandwidth, delay
or loss. Texts such as "12Mbps" are for netem-trace with its feature human, as
Rattan has it; --plain writes numbers for netem-trace without it.

   tracegen export --format mahimahi -o att.up drive.tape att.up
   mm-link att.up att.down -- COMMAND
   tracegen export --format csv -o drive.csv drive.tape`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "format", Usage: "`FORMAT` of the file"},
			outputFlag("write to `FILE`; - is standard output"),
			&ucli.IntFlag{Name: "loops", Value: 1, Usage: "write the tape `N` times in a row"},
			&ucli.StringFlag{Name: "what", Usage: "for netem-trace: write the `bandwidth|delay|loss`", DefaultText: "bandwidth"},
			&ucli.BoolFlag{Name: "plain", Usage: "for netem-trace: numbers in place of texts"},
		},
		Action: doExport,
	}
}

// pickDirections returns the directions of a tape that names such as att or
// att.up ask for; without names, all.
func pickDirections(t *tape, names []string) ([]trace.LinkDir, error) {
	meta := t.Meta()
	all := meta.Directions()
	if len(names) == 0 {
		return all, nil
	}
	var picked []trace.LinkDir
	for _, name := range names {
		n := len(picked)
		for _, ld := range all {
			if (ld.String() == name || ld.Link == name) && !slices.Contains(picked, ld) {
				picked = append(picked, ld)
			}
		}
		if n == len(picked) {
			if ld, err := trace.ParseLinkDir(name); err == nil && slices.Contains(picked, ld) {
				continue
			}
			var have []string
			for _, d := range all {
				have = append(have, d.String())
			}
			return nil, cli.Usagef("%s has no %s: it has %s", t.name(), name, strings.Join(have, ", "))
		}
	}
	return picked, nil
}

// selection is the metadata of a tape with these directions only.
func selection(meta trace.Meta, dirs []trace.LinkDir) trace.Meta {
	all := meta.Directions()
	if len(dirs) == len(all) {
		return meta
	}
	has := func(link string, d trace.Direction) bool {
		return slices.Contains(dirs, trace.LinkDir{Link: link, Dir: d})
	}
	var links []trace.Link
	for _, l := range meta.Links {
		l.Up, l.Down = has(l.Name, trace.Up), has(l.Name, trace.Down)
		if l.Up || l.Down {
			links = append(links, l)
		}
	}
	var sources []trace.Source
	for _, s := range meta.Sources {
		if d, err := trace.ParseDirection(s.Dir); err == nil && has(s.Link, d) {
			sources = append(sources, s)
		}
	}
	meta.Links, meta.Sources = links, sources
	meta.Scenario, meta.Seed = "", 0 // it would make the whole tape
	return meta
}

func doExport(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	path, err := outputPath(c, args[0])
	if err != nil {
		return err
	}
	if c.String("format") == "" {
		return cli.Usagef("say in which format: --format FORMAT; one of%s", formatList(convert.Exporters()))
	}
	exporter, err := convert.FindExporter(c.String("format"))
	if err != nil {
		return cli.Usagef("%w", err)
	}
	if c.Int("loops") < 1 {
		return cli.Usagef("--loops %d: at least 1", c.Int("loops"))
	}
	tapes, whole := exporter.(convert.TapeExporter)
	if !whole {
		if _, err := cli.Args(c, 2, 2); err != nil {
			return err
		}
		if _, err := trace.ParseLinkDir(args[1]); err != nil {
			return cli.Usagef("%w", err)
		}
	}
	if what := c.String("what"); what != "" || c.Bool("plain") {
		switch {
		case exporter.Name() != "netem-trace":
			return cli.Usagef("--what and --plain are for the format netem-trace")
		case what != "" && what != "bandwidth" && what != "delay" && what != "loss":
			return cli.Usagef("--what %q: write bandwidth, delay or loss", what)
		}
	}
	t, err := openTape(args[0], c.App.Reader)
	if err != nil {
		return err
	}
	defer t.Close()
	dirs, err := pickDirections(t, args[1:])
	if err != nil {
		return err
	}
	progress := cli.NewProgress(c.App.ErrWriter, "export")
	defer progress.Done()
	opts := convert.ExportOptions{Loops: c.Int("loops"), What: c.String("what"), Plain: c.Bool("plain"), Progress: progress.Set}
	first := true
	steps := func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			if !first {
				if err := t.reopen(); err != nil {
					yield(trace.Step{}, err)
					return
				}
			}
			first = false
			for s, err := range t.steps(c.Context, nil) {
				if err != nil || slices.Contains(dirs, s.LinkDir()) {
					if !yield(s, err) {
						return
					}
				}
			}
		}
	}
	if whole && path == cli.StdStream && exporter.Name() == "parquet" && cli.IsTerminal(c.App.Writer) {
		return cli.Usagef("a tape is binary: write it to a file (-o FILE) or into a pipe, not to a terminal")
	}
	var out *convert.Exported
	err = writeFile(c.Context, path, c.App.Writer, func(w io.Writer) (err error) {
		if whole {
			out, err = tapes.ExportTape(w, convert.Tape{Meta: selection(t.Meta(), dirs), Steps: steps}, opts)
		} else {
			out, err = exporter.Export(w, convert.Direction{LinkDir: dirs[0], Duration: t.Meta().Duration, Steps: steps}, opts)
		}
		return err
	})
	if err != nil {
		return err
	}
	progress.Done()
	name := cli.OutputName(path)
	for _, w := range out.Warnings {
		fmt.Fprintf(c.App.ErrWriter, "warning: %s: %s\n", name, w)
	}
	var what []string
	for _, ld := range dirs {
		what = append(what, ld.String())
	}
	if whole && len(args) == 1 {
		what = []string{cli.Count(int64(len(dirs)), "direction")}
	}
	unit := "line"
	switch {
	case whole:
		unit = "step"
	case exporter.Name() == "netem-trace":
		unit = "value"
	}
	total := fmt.Sprintf("%d bytes in %v", out.Bytes, out.Duration)
	if w := c.String("what"); w == "delay" || w == "loss" {
		total = fmt.Sprintf("the %s over %v", w, out.Duration)
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s: %s of %s as %s: %s, %s\n", name, strings.Join(what, ", "), t.name(), exporter.Name(), cli.Count(out.Lines, unit), total)
	return nil
}

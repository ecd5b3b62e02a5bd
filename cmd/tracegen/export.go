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
		Usage:     "write one direction of a tape in a foreign format",
		ArgsUsage: "--format FORMAT -o FILE TAPE LINK.DIR",
		Description: `Writes the rate of one direction, so that the tape can be played in another
emulator. TAPE - is standard input. What the format cannot express, such as
delay and loss, is left out with a warning.

The formats:` + formatList(convert.Exporters()) + `

mahimahi counts opportunities of 1500 bytes: what is left below one at the end
is left out in every loop of the file; --loops 4 writes the tape four times and
carries it on.

   tracegen export --format mahimahi -o att.up drive.tape att.up
   mm-link att.up att.down -- COMMAND`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "format", Usage: "`FORMAT` of the file"},
			outputFlag("write to `FILE`; - is standard output"),
			&ucli.IntFlag{Name: "loops", Value: 1, Usage: "write the tape `N` times in a row"},
		},
		Action: doExport,
	}
}

func doExport(c *ucli.Context) error {
	args, err := cli.Args(c, 2, 2)
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
	ld, err := trace.ParseLinkDir(args[1])
	if err != nil {
		return cli.Usagef("%w", err)
	}
	t, err := openTape(args[0], c.App.Reader)
	if err != nil {
		return err
	}
	defer t.Close()
	meta := t.Meta()
	if dirs := meta.Directions(); !slices.Contains(dirs, ld) {
		var names []string
		for _, d := range dirs {
			names = append(names, d.String())
		}
		return cli.Usagef("%s has no %s: it has %s", t.name(), ld, strings.Join(names, ", "))
	}
	first := true
	progress := cli.NewProgress(c.App.ErrWriter, "export")
	defer progress.Done()
	var out *convert.Exported
	err = writeFile(c.Context, path, c.App.Writer, func(w io.Writer) error {
		out, err = exporter.Export(w, convert.Direction{
			LinkDir:  ld,
			Duration: meta.Duration,
			Steps: func() iter.Seq2[trace.Step, error] {
				return func(yield func(trace.Step, error) bool) {
					if !first {
						if err := t.reopen(); err != nil {
							yield(trace.Step{}, err)
							return
						}
					}
					first = false
					for s, err := range t.steps(c.Context, nil) {
						if err != nil || s.LinkDir() == ld {
							if !yield(s, err) {
								return
							}
						}
					}
				}
			},
		}, convert.ExportOptions{Loops: c.Int("loops"), Progress: progress.Set})
		return err
	})
	if err != nil {
		return err
	}
	progress.Done()
	name := outputName(path)
	for _, w := range out.Warnings {
		fmt.Fprintf(c.App.ErrWriter, "warning: %s: %s\n", name, w)
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s: %s of %s as %s: %s, %d bytes in %v\n", name, ld, t.name(), exporter.Name(), count(out.Lines, "line"), out.Bytes, out.Duration)
	return nil
}

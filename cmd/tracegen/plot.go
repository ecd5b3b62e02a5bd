package main

import (
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/plot"
)

func plotCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "plot",
		Usage:     "draw a tape as PNG or SVG",
		ArgsUsage: "-o FILE.png|FILE.svg [--from DURATION] [--duration DURATION] TAPE",
		Description: `Draws a row for each link: rate, one-way delay with jitter, loss, and outages as
shades. The name of the output says the format; -o - writes SVG to standard
output. TAPE - is standard input. The same tape gives the same bytes.

   tracegen plot -o drive.png drive.tape
   tracegen plot -o start.svg --from 10s --duration 30s drive.tape`,
		Flags: []ucli.Flag{
			outputFlag("write the picture to `FILE`, which ends in .png or .svg"),
			&ucli.DurationFlag{Name: "from", Usage: "begin at `DURATION` from the tape's start", DefaultText: "0s"},
			&ucli.DurationFlag{Name: "duration", Usage: "draw `DURATION`", DefaultText: "up to the tape's end"},
		},
		Action: doPlot,
	}
}

func doPlot(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	path, err := outputPath(c, args[0])
	if err != nil {
		return err
	}
	format := "svg"
	if path != cli.StdStream {
		if format, err = plot.FormatOf(path); err != nil {
			return cli.Usagef("%w", err)
		}
	}
	from := c.Duration("from")
	if from < 0 {
		return cli.Usagef("--from %v: write an offset from the tape's start, such as 10s", from)
	}
	duration, err := durationFlag(c, "duration")
	if err != nil {
		return err
	}
	t, err := openTape(args[0], c.App.Reader)
	if err != nil {
		return err
	}
	defer t.Close()
	meta := t.Meta()
	if from >= meta.Duration {
		return cli.Usagef("--from %v: the tape ends at %v", from, meta.Duration)
	}
	end := meta.Duration
	if duration > 0 && duration < end-from {
		end = from + duration
	}
	p := plot.NewTimeline(meta, plot.TimelineOptions{Title: t.name(), From: from, Duration: duration})
	if from > 0 {
		state, err := t.Seek(from)
		if err != nil {
			return fmt.Errorf("seek to %v in %s: %w", from, t.name(), err)
		}
		for i := range state {
			p.Step(&state[i])
		}
	}
	progress := cli.NewProgress(c.App.ErrWriter, "read")
	defer progress.Done()
	for s, err := range t.steps(c.Context, progress.Set) {
		if err != nil {
			return err
		}
		if s.At >= end && from > 0 { // from the start the whole tape is read, and so verified
			break
		}
		p.Step(&s)
	}
	progress.Done()
	if err := writeFile(c.Context, path, c.App.Writer, func(w io.Writer) error { return p.Write(w, format) }); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s: %v to %v of %s\n", cli.OutputName(path), from, end, t.name())
	return nil
}

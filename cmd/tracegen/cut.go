package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

func cutCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "cut",
		Usage:     "keep a part of a tape",
		ArgsUsage: "[--from D] [--duration D] -o OUT TAPE",
		Description: `The part begins with the conditions that hold at --from. TAPE - is standard input.

   tracegen cut --from 2m --duration 30s -o part.tape drive.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.DurationFlag{Name: "from", Usage: "begin at `INSTANT`", DefaultText: "0s"},
			&ucli.DurationFlag{Name: "duration", Usage: "keep `DURATION`", DefaultText: "to the end"},
		},
		Action: doCut,
	}
}

func doCut(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	duration, err := durationFlag(c, "duration")
	if err != nil {
		return err
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) {
		from, to := c.Duration("from"), in[0].Meta.Duration
		if duration > 0 {
			if to = from + duration; to < from {
				to = edit.Forever
			}
		}
		return usage(edit.Cut(in[0], from, to))
	})
}

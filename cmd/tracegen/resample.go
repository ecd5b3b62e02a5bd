package main

import (
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

func resampleCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "resample",
		Usage:     "bin a tape into steps of one length",
		ArgsUsage: "--step D -o OUT TAPE",
		Description: `Each direction keeps the bytes of its capacity exactly. Delay, jitter and
probabilities become means over time; of chains and labels the one that holds
longest in a bin counts, and a bin is without carrier where all of it is.

   tracegen resample --step 1s -o coarse.tape drive.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.DurationFlag{Name: "step", Usage: "length of a bin, `DURATION`"},
		},
		Action: doResample,
	}
}

func doResample(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	step, err := durationFlag(c, "step")
	if err != nil {
		return err
	}
	if step == time.Duration(0) {
		return cli.Usagef("say how long a bin is: --step 100ms")
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) { return edit.Resample(in[0], step) })
}

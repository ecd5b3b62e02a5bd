package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

func concatCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "concat",
		Usage:     "play tapes one after the other",
		ArgsUsage: "[--fill down|stall] -o OUT TAPE…",
		Description: `All tapes need the same links and directions, unless --fill says what one does
where its tape lacks it: down is without carrier, stall has the rate 0; both with
the label absent. A tape may be given more than once.

   tracegen concat -o both.tape city.tape highway.tape city.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.StringFlag{Name: "fill", Usage: "what a link does in a tape that lacks it: `down|stall`"},
		},
		Action: doConcat,
	}
}

func doConcat(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	fill, err := edit.ParseAbsent(c.String("fill"))
	if err != nil {
		return cli.Usagef("--%w", err)
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) { return edit.Concat(in, fill) })
}

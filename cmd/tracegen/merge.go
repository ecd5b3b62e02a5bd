package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
	"linktape/trace/weave"
)

func mergeCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "merge",
		Usage:     "play the links of several tapes at once",
		ArgsUsage: "[--fit shortest|loop] -o OUT TAPE…",
		Description: `Tapes of different length are refused unless --fit says what to do: shortest cuts
all at the shortest one's end, loop repeats the shorter ones up to the longest
one's end. Links of one name are refused: tracegen rename gives them others.

   tracegen merge --fit loop -o all.tape lte.tape satellite.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.StringFlag{Name: "fit", Usage: "make tapes of different length equal: `shortest|loop`"},
		},
		Action: doMerge,
	}
}

func doMerge(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	fit, err := weave.ParseFit(c.String("fit"))
	if err != nil {
		return cli.Usagef("--%w", err)
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) { return edit.Merge(in, fit) })
}

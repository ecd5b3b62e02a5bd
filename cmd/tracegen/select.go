package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

func selectCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "select",
		Usage:     "keep some links or directions of a tape",
		ArgsUsage: "-o OUT TAPE LINK[.DIR]…",
		Description: `all.up and all.down keep one direction of every link.

   tracegen select -o two.tape drive.tape att verizon.up`,
		Flags:  []ucli.Flag{tapeOutput()},
		Action: doSelect,
	}
}

func doSelect(c *ucli.Context) error {
	args, err := cli.Args(c, 2, -1)
	if err != nil {
		return err
	}
	targets, err := parseTargets(args[1:])
	if err != nil {
		return err
	}
	return editTapes(c, args[:1], func(in []edit.Tape) (edit.Tape, error) { return usage(edit.Select(in[0], targets)) })
}

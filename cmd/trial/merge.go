package main

import (
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trial/suite"
)

func mergeCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "merge", ArgsUsage: "DIR…",
		Usage: "put the shards of a suite together, and judge it",
		Description: `DIR are the folders that trial suite --shard K/N wrote, of the same suite, run in the same way.

   trial merge --out result shard-1 shard-2 shard-3`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "out", Usage: "write the suite into `DIR`, which is made, or is empty", Required: true},
			&ucli.BoolFlag{Name: "json", Usage: "print the results as JSON"},
		},
		Action: func(c *ucli.Context) error {
			dirs, err := cli.Args(c, 1, -1)
			if err != nil {
				return err
			}
			if err := suite.Merge(c.String("out"), dirs); err != nil {
				return err
			}
			return finishSuite(c.String("out"), c.Bool("json"), stdout)
		},
	}
}

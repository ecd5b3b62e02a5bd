package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/synth"
)

func schemaCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of scenarios",
		Description: `Prints a JSON Schema (draft 2020-12) of scenario files, with which editors complete
and check them. Editors with the YAML language server find it by a first line of
the scenario:

   # yaml-language-server: $schema=scenario.schema.json

   tracegen schema > scenario.schema.json`,
		Action: func(c *ucli.Context) error {
			if _, err := cli.Args(c, 0, 0); err != nil {
				return err
			}
			_, err := c.App.Writer.Write(synth.Schema())
			return err
		},
	}
}

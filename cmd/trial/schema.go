package main

import (
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trial"
	"linktape/trial/suite"
)

func schemaCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "schema", ArgsUsage: "[trial|suite]",
		Usage: "print the JSON Schema of trial files or of suite files",
		Description: `Prints a JSON Schema (draft 2020-12) of trial files, or of suite files, with which editors complete
and check them. Editors with the YAML language server find it by a first line of the file:

   # yaml-language-server: $schema=trial.schema.json

   trial schema > trial.schema.json
   trial schema suite > suite.schema.json`,
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 0, 1)
			if err != nil {
				return err
			}
			document := trial.Schema
			if len(args) > 0 {
				switch args[0] {
				case "trial":
				case "suite":
					document = suite.Schema
				default:
					return cli.Usagef("schema %s: of what? trial or suite", args[0])
				}
			}
			_, err = stdout.Write(document())
			return err
		},
	}
}

package main

import (
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/traces"
)

func listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list the scenarios of the library",
		Description: `Prints the name and the description of each scenario that tracegen synth knows by
name.

   tracegen list
   tracegen show three-carrier-drive > my.yaml`,
		Action: func(c *ucli.Context) error {
			if _, err := cli.Args(c, 0, 0); err != nil {
				return err
			}
			entries := traces.List()
			width := 0
			for _, e := range entries {
				width = max(width, len(e.Name))
			}
			for _, e := range entries {
				// A description may be several lines in the file.
				line := fmt.Sprintf("%-*s  %s", width, e.Name, strings.Join(strings.Fields(e.Description), " "))
				if _, err := fmt.Fprintln(c.App.Writer, strings.TrimRight(line, " ")); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func showCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "print a scenario of the library",
		ArgsUsage: "NAME",
		Description: `Prints the scenario's YAML file, with the sources of its parameters, to look at or
to start from. To change single values, tracegen synth --set is shorter.

   tracegen show three-carrier-drive > my.yaml`,
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 1, 1)
			if err != nil {
				return err
			}
			data, err := traces.Get(args[0])
			if err != nil {
				return fmt.Errorf("%w; tracegen list describes them", err)
			}
			_, err = c.App.Writer.Write(data)
			return err
		},
	}
}

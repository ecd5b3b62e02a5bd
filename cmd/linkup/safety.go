package main

import (
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
)

// killFlag is what down and gc do with processes inside a run.
func killFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "kill", Usage: "kill the processes inside it first"}
}

func downCommand() *ucli.Command {
	return &ucli.Command{
		Name: "down", ArgsUsage: "[RUN]",
		Usage:  "remove exactly what a run made, also after a crash",
		Flags:  []ucli.Flag{killFlag(), &ucli.BoolFlag{Name: "all", Usage: "remove every run"}},
		Action: down,
	}
}

func down(c *ucli.Context) error {
	if c.Bool("all") {
		if _, err := cli.Args(c, 0, 0); err != nil {
			return cli.Usagef("--all means every run: name none")
		}
		return netsetup.DownAll(c.Bool("kill"))
	}
	name, err := runArg(c)
	if err != nil {
		return err
	}
	return netsetup.Down(name, c.Bool("kill"))
}

func gcCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name:  "gc",
		Usage: "remove the runs that nobody will take down: left half-built, owned by a process that has ended, or of a former boot",
		Flags: []ucli.Flag{
			killFlag(), &ucli.BoolFlag{Name: "dry-run", Usage: "only say what would be removed"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: func(c *ucli.Context) error { return gc(c, stdout) },
	}
}

func gc(c *ucli.Context, stdout io.Writer) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	dry := c.Bool("dry-run")
	found, err := netsetup.GC(c.Bool("kill"), dry)
	if err != nil {
		return err
	}
	left := 0
	for _, g := range found {
		if g.Left != "" {
			left++
		}
	}
	if c.Bool("json") {
		err = cli.PrintJSON(stdout, append([]netsetup.Garbage{}, found...))
	} else {
		err = printGarbage(stdout, found, dry)
	}
	if err == nil && left > 0 {
		err = fmt.Errorf("%d of %d runs are left", left, len(found))
	}
	return err
}

func printGarbage(stdout io.Writer, found []netsetup.Garbage, dry bool) error {
	done := "removed"
	if dry {
		done = "would remove"
	}
	for _, g := range found {
		line := fmt.Sprintf("%s run %s: %s", done, g.Run, g.Why)
		if g.Left != "" {
			line = fmt.Sprintf("left run %s: %s: %s", g.Run, g.Why, g.Left)
		}
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return err
		}
	}
	return nil
}

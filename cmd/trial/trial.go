package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	app := cli.App(&ucli.App{
		Name:  "trial",
		Usage: "run a bonding sender and receiver over a scenario and measure them",
		Description: "trial run --stack librist --time virtual --out result strategy-baseline\n" +
			"trial show result",
		Commands: append([]*ucli.Command{runCommand(ctx, args, stdout, stderr), showCommand(stdout), insideCommand()},
			suiteCommand(ctx, stdout, stderr), mergeCommand(stdout), reportCommand(stdout, stderr), listCommand(stdout), compareCommand(stdout), schemaCommand(stdout)),
	}, stdin, stdout, stderr)
	return app.RunContext(ctx, append([]string{"trial"}, args...))
}

// insideName is what trial calls itself by for a program in a part of a run.
const insideName = "inside"

// insideCommand is "trial inside RUN PART -- COMMAND [ARGUMENT…]": it becomes the
// command.
func insideCommand() *ucli.Command {
	return &ucli.Command{
		Name: insideName, Hidden: true, SkipFlagParsing: true,
		Action: func(c *ucli.Context) error {
			args := c.Args().Slice()
			if len(args) < 4 || args[2] != "--" {
				return cli.Usagef("usage: trial %s RUN PART -- COMMAND [ARGUMENT…]", insideName)
			}
			file, err := exec.LookPath(args[3])
			if err != nil {
				return err
			}
			return netsetup.Exec(args[0], args[1], append([]string{file}, args[4:]...), os.Environ())
		},
	}
}

// list splits a flag's comma-separated words.
func list(s string) (out []string) {
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

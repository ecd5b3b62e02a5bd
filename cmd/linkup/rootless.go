package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
)

// insideCommand is what linkup calls itself by in the namespaces of exec
// --rootless.
const insideCommand = "inside"

const rootlessUsage = "exec --rootless (TOPOLOGY | --links a,b,c | --tape TAPE) -- COMMAND [ARGUMENT…]"

// rootlessHelp says what is different, a line each.
const rootlessHelp = `--rootless builds the links in namespaces of their own, without root, daemon or
setuid, runs a command there and vanishes with it. Inside, the run is there for
linkup and replay as usual; --name names it. What that cannot do:

  no way to the outside: the links end in the namespaces, not on the host
  no interface of the host can be moved in, and no namespace of it used
  real-time scheduling and locked memory only as far as your limits allow
  (ulimit -r, -l): else steps are later on a busy machine
  no settings of the whole machine changed, such as net.core.netdev_max_backlog
  no BPF programs
  no user but you: inside you are root, outside everything is yours
  no run that outlives its command`

func shellCommand(source []ucli.Flag) *ucli.Command {
	return &ucli.Command{
		Name: "shell", ArgsUsage: "(TOPOLOGY | --links a,b,c | --tape TAPE)", Flags: source,
		Usage:       "start a shell beside links of its own, without root; they end with it",
		Description: rootlessHelp,
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 0, 1)
			if err != nil {
				return err
			}
			shell := os.Getenv("SHELL")
			if shell == "" {
				shell = "/bin/sh"
			}
			return rootless(c, args, []string{shell})
		},
	}
}

// execRootless is exec with --rootless: the topology's file, where there is
// one, comes before the command.
func execRootless(c *ucli.Context) error {
	file, command, err := splitRootless(c)
	if err != nil {
		return err
	}
	return rootless(c, file, command)
}

// splitRootless tells the topology's file from the command.
func splitRootless(c *ucli.Context) (file, command []string, err error) {
	command = c.Args().Slice()
	if c.String("links") == "" && c.String("tape") == "" && len(command) > 0 {
		file, command = command[:1], command[1:]
	}
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return nil, nil, cli.Usagef("usage: linkup %s", rootlessUsage)
	}
	return file, command, nil
}

// rootless checks what can be checked and calls linkup again, inside.
func rootless(c *ucli.Context, file, command []string) error {
	if _, err := topologyOf(c, file); err != nil {
		return err
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return err
	}
	args := []string{insideCommand}
	for _, f := range []string{"name", "links", "tape", "shaper", "for"} {
		if c.IsSet(f) {
			args = append(args, "--"+f+"="+c.String(f))
		}
	}
	status, err := netsetup.Rootless(slices.Concat(args, file, []string{"--"}, command))
	if err == nil && status != 0 {
		err = &cli.Error{Status: status}
	}
	return err
}

// inside is the other half: it builds the run and runs the command.
func inside(ctx context.Context, source []ucli.Flag, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: insideCommand, Hidden: true, Flags: source,
		Action: func(c *ucli.Context) error {
			if err := netsetup.EnterRootless(); err != nil {
				return err
			}
			file, command, err := splitRootless(c)
			if err != nil {
				return err
			}
			t, err := topologyOf(c, file)
			if err != nil {
				return err
			}
			if _, err := build(ctx, c, t, stderr); err != nil {
				return err
			}
			path, err := exec.LookPath(command[0])
			if err != nil {
				return err
			}
			status, err := netsetup.RunAsInit(append([]string{path}, command[1:]...), os.Environ())
			if err == nil && status != 0 {
				err = &cli.Error{Status: status}
			}
			return err
		},
	}
}

// printWarnings says what was chosen for a run's links, and what they cannot do
// on this kernel.
func printWarnings(stderr io.Writer, t *netsetup.Topology, f netsetup.Features) {
	if !f.Netem && wantsPath(t) {
		fmt.Fprintln(stderr, "linkup: this kernel has no netem: the links have rates and queues, but no delay, jitter or loss")
	}
	for _, x := range t.Choices() {
		fmt.Fprintln(stderr, "linkup: shaper", x)
	}
	for _, x := range f.Warnings(t) {
		fmt.Fprintln(stderr, "linkup:", x)
	}
}

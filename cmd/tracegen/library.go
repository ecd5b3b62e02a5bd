package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/traces"
)

func listCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "list",
		Usage:     "list the scenarios of the library",
		ArgsUsage: "[--json] [GROUP|NAME]",
		Description: `Prints, group by group, the name of each scenario that tracegen synth knows, how
long it is, how many links it has, and what it is. GROUP or the beginning of a
NAME prints those only.

   tracegen list
   tracegen list profiles
   tracegen list a5
   tracegen list --json | jq -r '.[].name'
   tracegen show three-carrier-drive > my.yaml`,
		Flags:  []ucli.Flag{&ucli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: doList,
	}
}

// listed is what tracegen list --json prints of a scenario.
type listed struct {
	Group       string        `json:"group"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Duration    time.Duration `json:"duration_ns"`
	Links       []string      `json:"links"`
}

func doList(c *ucli.Context) error {
	args, err := cli.Args(c, 0, 1)
	if err != nil {
		return err
	}
	entries := traces.List()
	if len(args) == 1 {
		entries = slices.DeleteFunc(entries, func(e traces.Entry) bool {
			return e.Group != args[0] && !strings.HasPrefix(e.Name, args[0])
		})
		if len(entries) == 0 {
			return fmt.Errorf("list %s: neither a group nor the beginning of a scenario's name: the groups are %s", args[0], strings.Join(groupNames(), ", "))
		}
	}
	if c.Bool("json") {
		out := make([]listed, len(entries))
		for i, e := range entries {
			out[i] = listed(e)
		}
		return cli.PrintJSON(c.App.Writer, out)
	}
	width := 0
	for _, e := range entries {
		width = max(width, len(e.Name))
	}
	var text strings.Builder
	for _, g := range traces.Groups() {
		first := true
		for _, e := range entries {
			if e.Group != g.Name {
				continue
			}
			if first {
				if text.Len() > 0 {
					text.WriteByte('\n')
				}
				fmt.Fprintf(&text, "%s: %s\n", g.Name, g.Title)
				first = false
			}
			fmt.Fprintf(&text, "  %-*s  %6s  %-7s  %s\n", width, e.Name, shortDuration(e.Duration), cli.Count(int64(len(e.Links)), "link"), e.Description)
		}
	}
	_, err = io.WriteString(c.App.Writer, text.String())
	return err
}

func groupNames() []string {
	var out []string
	for _, g := range traces.Groups() {
		out = append(out, g.Name)
	}
	return out
}

// shortDuration writes 5m for 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
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

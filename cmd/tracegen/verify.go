package main

import (
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
)

func verifyCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "verify",
		Usage:     "check tapes from beginning to end",
		ArgsUsage: "[--json | --quiet] TAPE…",
		Description: `Reads every tape and checks its metadata, columns, order, every value and the
checksum. All faults of all tapes are listed. Exit status 0: all are sound; 1: one
is not.

   tracegen verify drive.tape
   tracegen verify --quiet *.tape && echo sound`,
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
			&ucli.BoolFlag{Name: "quiet", Usage: "print faults only"},
		},
		Action: doVerify,
	}
}

// verified is what tracegen verify --json prints for each tape.
type verified struct {
	File     string        `json:"file"`
	Sound    bool          `json:"sound"`
	Steps    int64         `json:"steps,omitempty"`
	Links    int           `json:"links,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
	SHA256   string        `json:"sha256,omitempty"`
	Faults   []string      `json:"faults,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
}

func doVerify(c *ucli.Context) error {
	args, err := cli.Args(c, 1, -1)
	if err != nil {
		return err
	}
	if c.Bool("json") && c.Bool("quiet") {
		return cli.Usagef("--json and --quiet: choose one")
	}
	results := []verified{}
	if err := oneStdin(args); err != nil {
		return err
	}
	bad := 0
	for _, path := range args {
		v, err := verify(c, path)
		if err != nil {
			return err
		}
		results = append(results, v)
		if !v.Sound {
			bad++
		}
	}
	if c.Bool("json") {
		err = cli.PrintJSON(c.App.Writer, results)
	} else {
		err = printVerified(c, results)
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %s not sound", bad, cli.Count(int64(len(results)), "tape"))
	}
	return err
}

// verify reads a whole tape. Its error is that of the context: faults of the
// tape are in the result.
func verify(c *ucli.Context, path string) (verified, error) {
	v := verified{File: path}
	if path == cli.StdStream {
		v.File = "standard input"
	}
	fault := func(err error) (verified, error) {
		if cerr := c.Context.Err(); cerr != nil {
			return v, cerr
		}
		v.Faults = strings.Split(err.Error(), "\n")
		return v, nil
	}
	t, err := openTape(path, c.App.Reader)
	if err != nil {
		return fault(err)
	}
	defer t.Close()
	meta := t.Meta()
	v.Steps, v.Links, v.Duration, v.SHA256 = t.Rows(), len(meta.Links), meta.Duration, t.SHA256()
	progress := cli.NewProgress(c.App.ErrWriter, "verify "+t.name())
	defer progress.Done()
	var changes trace.Coalescer
	idle := int64(0)
	for s, err := range t.steps(c.Context, progress.Set) {
		if err != nil {
			return fault(err)
		}
		if !changes.Keep(&s) {
			idle++
		}
	}
	if idle > 0 {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%s without a change: an edit (tracegen cut -o …) leaves them out", cli.Count(idle, "step")))
	}
	v.Sound = true
	return v, nil
}

func printVerified(c *ucli.Context, results []verified) error {
	for _, v := range results {
		var err error
		if v.Sound && !c.Bool("quiet") {
			_, err = fmt.Fprintf(c.App.Writer, "%s: sound, %s, %s, %v, sha256 %s\n", v.File, cli.Count(v.Steps, "step"), cli.Count(int64(v.Links), "link"), v.Duration, v.SHA256)
			for _, w := range v.Warnings {
				fmt.Fprintf(c.App.ErrWriter, "warning: %s: %s\n", v.File, w)
			}
		}
		for _, f := range v.Faults {
			if _, err = fmt.Fprintf(c.App.Writer, "%s: %s\n", v.File, f); err != nil {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

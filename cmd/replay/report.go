package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/replay"
	"linktape/replay/report"
)

func reportCommand(stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "report", ArgsUsage: "DIR",
		Usage: "say what a replay did, as one HTML page, from what run --out DIR wrote",
		Description: "The page needs no network and no scripts. A replay that was killed is\n" +
			"reported as far as it had flushed what it wrote.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "o", Usage: "write to `FILE`; - is standard output; DIR/report.html without it"},
			&ucli.BoolFlag{Name: "json", Usage: "print the figures as JSON, and no page"},
		},
		Action: func(c *ucli.Context) error { return makeReport(c, stdout, stderr) },
	}
}

func makeReport(c *ucli.Context, stdout, stderr io.Writer) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	r, err := report.Read(args[0])
	if err != nil {
		return err
	}
	out := c.String("o")
	write := r.Page
	if c.Bool("json") {
		write = func(w io.Writer) error { return cli.PrintJSON(w, r) }
		if out == "" {
			out = "-"
		}
	}
	switch out {
	case "-":
		return write(stdout)
	case "":
		out = filepath.Join(args[0], replay.ReportFile)
	}
	if err := writeWhole(out, write); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %s: %d findings\n", out, len(r.Findings))
	return nil
}

// writeWhole writes a file that is whole or not there. What is no regular file, such
// as a device, stays.
func writeWhole(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	b := bufio.NewWriter(f)
	if err = errors.Join(write(b), b.Flush(), f.Close()); err != nil && info.Mode().IsRegular() {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

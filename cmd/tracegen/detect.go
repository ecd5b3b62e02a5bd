package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/convert"
)

// detection is what tracegen import --detect --json prints for one file.
type detection struct {
	File       string              `json:"file"`
	Format     string              `json:"format,omitempty"` // empty where the content does not tell
	Error      string              `json:"error,omitempty"`  // why it cannot be a trace at all
	Candidates []convert.Candidate `json:"candidates"`
}

// doDetect says what format each file has, and why.
func doDetect(c *ucli.Context, files []string) error {
	out := []detection{}
	var unknown []error
	for _, file := range files {
		a := importArg{file: file}
		d := detection{File: a.name(), Candidates: []convert.Candidate{}}
		err := a.read(c, func(r io.Reader) error {
			head, err := convert.Head(r, a.name())
			if err != nil {
				d.Error = strings.TrimPrefix(err.Error(), a.name()+": ")
				return nil
			}
			d.Candidates = convert.Candidates(head)
			return nil
		})
		if err != nil {
			return fmt.Errorf("detect: %w", err)
		}
		matches := 0
		for _, x := range d.Candidates {
			if x.Match {
				matches++
				d.Format = x.Format
			}
		}
		if matches != 1 {
			d.Format = ""
			unknown = append(unknown, fmt.Errorf("detect %s: %w: say it with --format FORMAT", a.name(), convert.ErrUnknownFormat))
		}
		out = append(out, d)
	}
	if c.Bool("json") {
		if err := cli.PrintJSON(c.App.Writer, out); err != nil {
			return err
		}
		return errors.Join(unknown...)
	}
	var b strings.Builder
	for i, d := range out {
		if i > 0 {
			b.WriteByte('\n')
		}
		format := d.Format
		if format == "" {
			format = "not known"
		}
		fmt.Fprintf(&b, "%s: %s\n", d.File, format)
		if d.Error != "" {
			fmt.Fprintf(&b, "   %s\n", d.Error)
		}
		for _, match := range []bool{true, false} {
			for _, x := range d.Candidates {
				is := "not"
				if x.Match {
					is = "is"
				}
				if x.Match == match {
					fmt.Fprintf(&b, "   %-3s %-15s %s\n", is, x.Format, x.Why)
				}
			}
		}
	}
	if _, err := io.WriteString(c.App.Writer, b.String()); err != nil {
		return err
	}
	return errors.Join(unknown...)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
)

func check(c *ucli.Context, stdout io.Writer) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	e, err := netsetup.Examine()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return errors.Join(cli.PrintJSON(stdout, e), e.Err())
	}
	return errors.Join(printExamination(stdout, e), e.Err())
}

// printExamination prints a line for each finding, which ends in "works" where
// it does (make reads that), and then what does not, what that costs, and what
// helps.
func printExamination(stdout io.Writer, e *netsetup.Examination) error {
	fmt.Fprintf(stdout, "%s, %d processors\n", e.Kernel, e.Processors)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	var not []netsetup.Finding
	for _, f := range e.Findings {
		use, state := "for "+f.What, "works"
		if f.Value != "" {
			use += " (" + f.Value + ")"
		}
		switch {
		case f.Works():
		case f.Need != "":
			state = "missing: " + f.Err
		default:
			state = "limited: " + f.Err
		}
		if !f.Works() {
			not = append(not, f)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, use, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(not) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(stdout, "\nWhat does not work, what that costs, and what helps:"); err != nil {
		return err
	}
	said := make(map[string]bool)
	for _, f := range not {
		if said[f.Mend] {
			continue
		}
		said[f.Mend] = true
		for _, g := range not { // one remedy may help several
			if g.Mend == f.Mend {
				fmt.Fprintf(stdout, "%s: %s\n", g.Name, g.Cost)
			}
		}
		if _, err := fmt.Fprintf(stdout, "    %s\n", f.Mend); err != nil {
			return err
		}
	}
	return nil
}

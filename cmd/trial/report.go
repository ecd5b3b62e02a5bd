package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
	"linktape/trial/suite"
)

func reportCommand(stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "report", ArgsUsage: "DIR",
		Usage: "measure a trial, or judge a suite again, and write its page, JSON and tables into its folder",
		Flags: []ucli.Flag{&ucli.BoolFlag{Name: "json", Usage: "print the JSON as well"}},
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 1, 1)
			if err != nil {
				return err
			}
			dir := args[0]
			if _, err := os.Stat(filepath.Join(dir, suite.ManifestFile)); err == nil {
				if err := suite.Remeasure(dir); err != nil {
					return err
				}
				return finishSuite(dir, c.Bool("json"), stdout)
			}
			r, err := report.Make(dir)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return cli.PrintJSON(stdout, r)
			}
			m, err := trial.ReadManifest(dir)
			if err != nil {
				return err
			}
			var b strings.Builder
			rows := [][]string{{"METRIC", "VALUE", "FROM"}}
			for _, v := range r.Metrics {
				if v.Value != nil {
					rows = append(rows, []string{metrics.JoinName(v.Name, v.Link), report.Figure(*v.Value, v.Unit), v.Source})
				}
			}
			cli.Table(&b, rows)
			for _, f := range m.Findings {
				fmt.Fprintln(&b, "finding:", f)
			}
			for _, f := range r.Findings {
				fmt.Fprintln(&b, "finding:", f.Text)
			}
			fmt.Fprintf(stderr, "trial: wrote %s\n", filepath.Join(dir, report.PageFile))
			_, err = io.WriteString(stdout, b.String())
			return err
		},
	}
}

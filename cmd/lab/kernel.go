package main

import (
	"context"
	"fmt"
	"io"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
)

func kernelBuild(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	began := time.Now()
	phase, since := "", began
	var progress *cli.Progress
	finish := func() {
		progress.Done()
		if phase != "" {
			fmt.Fprintf(stderr, "lab: %s: %v\n", phase, time.Since(since).Round(time.Second))
		}
	}
	file, built, err := lab.BuildKernel(ctx, lab.BuildOptions{
		Source: c.String("source"), Jobs: c.Int("jobs"), Force: c.Bool("force"),
		Phase: func(what string) func(float64) {
			if phase == "" {
				fmt.Fprintln(stderr, "lab: building the kernel, which takes some minutes and is kept for the next time")
			}
			finish()
			phase, since = what, time.Now()
			progress = cli.NewProgress(stderr, what)
			return progress.Set
		},
	})
	if err != nil {
		progress.Done()
		return err
	}
	finish()
	if built {
		fmt.Fprintf(stderr, "lab: built the kernel in %v\n", time.Since(began).Round(time.Second))
	}
	_, err = fmt.Fprintln(stdout, file)
	return err
}

func kernelPath(c *ucli.Context, stdout io.Writer) error {
	args, err := cli.Args(c, 0, 1)
	if err != nil {
		return err
	}
	name := lab.KernelBuilt
	if len(args) > 0 {
		name = args[0]
	}
	k, err := lab.FindKernel(name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, k.File)
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"linktape/internal/cli"
	"linktape/internal/lab"
)

// inLab is the hidden flag of the process inside a lab.
const inLab = "in-lab"

// kernelVariable names another kernel than the one that lab kernel build made.
const kernelVariable = "LINKTAPE_LAB_KERNEL"

// again runs the same command in a lab, which may write into the trial's folder.
func again(ctx context.Context, args []string, dir string, stdout, stderr io.Writer) error {
	kernel := os.Getenv(kernelVariable)
	if kernel == "" {
		var err error
		if kernel, err = lab.KernelPath(); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	at, err := os.Getwd()
	if err != nil {
		return err
	}
	// The lab's kernel knows the folder by the name without links.
	if dir, err = filepath.Abs(dir); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return fmt.Errorf("open %s to the lab: %w", dir, err)
	}
	argv := append([]string{self, args[0], "--" + inLab, "--out", dir}, withoutOut(args[1:])...)
	r, err := lab.Run(ctx, lab.Options{
		Kernel: kernel, Time: lab.Virtual, Seed: lab.DefaultSeed, Argv: argv, Dir: at, Writable: []string{dir},
		Env: os.Environ(), Stdout: stdout, Stderr: stderr,
	})
	if err != nil {
		return err
	}
	if r.OOM {
		fmt.Fprintln(stderr, "trial: the lab ran out of memory and killed a process: use fewer links, or a lower rate")
	}
	if status := r.Status(); status != 0 {
		return &cli.Error{Status: status}
	}
	return nil
}

// withoutOut leaves --out and its value out of arguments: they are said already.
func withoutOut(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--out" || a == "-out":
			i++
		case len(a) > 6 && a[:6] == "--out=", len(a) > 5 && a[:5] == "-out=":
		default:
			out = append(out, a)
		}
	}
	return out
}

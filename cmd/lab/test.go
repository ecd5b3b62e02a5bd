package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/privtest"
)

// test runs go test with lab run as its -exec program: go test builds the
// binaries, runs each from its package's directory and reports.
func test(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	own, rest := splitFlags(runFlags(), args)
	if slices.ContainsFunc(rest, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		fmt.Fprintln(stdout, "usage: lab test [FLAGS OF lab run] [FLAGS OF go test] [PACKAGE…]\n\n"+
			"Flags that lab run and lab test share:")
		for _, f := range runFlags() {
			fmt.Fprintf(stdout, "   %v\n", f)
		}
		fmt.Fprintln(stdout, "\nAll others are go test's: see go help test and go help testflag. Its -timeout counts time in the lab.")
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	through := []string{self, "run"}
	through = append(append(through, own...), "--")
	for i, a := range through {
		if through[i], err = quoteExec(a); err != nil {
			return err
		}
	}
	argv := []string{"test", "-exec", strings.Join(through, " ")}
	if !slices.ContainsFunc(rest, isCount) {
		argv = append(argv, "-count=1") // a lab's result is not the host's to remember
	}
	cmd := exec.CommandContext(ctx, "go", append(argv, rest...)...)
	promised, err := promisesOf(ctx, own)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), privtest.Variable+"="+promised)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	// go test leaves an interrupt to the tests: all of its group get it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit):
		return &cli.Error{Status: exit.ExitCode()} // go test has said what there is
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: lab test builds tests with the go command", err)
	}
	return err
}

func isCount(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return strings.HasPrefix(arg, "-") && (name == "count" || name == "test.count")
}

// splitFlags separates the flags that are defined from all others, of which it
// knows nothing.
func splitFlags(defined []ucli.Flag, args []string) (own, rest []string) {
	for i := 0; i < len(args); i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := slices.IndexFunc(defined, func(f ucli.Flag) bool { return slices.Contains(f.Names(), name) })
		if !strings.HasPrefix(args[i], "-") || f < 0 {
			rest = append(rest, args[i])
			continue
		}
		own = append(own, args[i])
		if _, toggle := defined[f].(*ucli.BoolFlag); !toggle && !inline && i+1 < len(args) {
			i++
			own = append(own, args[i])
		}
	}
	return own, rest
}

// quoteExec quotes an argument for go test -exec, which knows quotes but no way
// to write one inside its own kind (cmd/internal/quoted).
func quoteExec(arg string) (string, error) {
	switch {
	case !strings.ContainsAny(arg, " \t\r\n'\""):
		return arg, nil
	case !strings.Contains(arg, "'"):
		return "'" + arg + "'", nil
	case !strings.Contains(arg, `"`):
		return `"` + arg + `"`, nil
	}
	return "", fmt.Errorf("go test cannot be told %q: both kinds of quotes are in it", arg)
}

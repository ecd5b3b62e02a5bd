package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/trace"
)

// Exit statuses of lab run besides the command's own, which are those of
// timeout(1) and env(1).
const (
	exitTimeout  = 124
	exitLab      = 125 // the lab itself failed
	exitNoStart  = 126 // the command could not be started
	exitNotFound = 127 // there is no such command
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	app := cli.App(&ucli.App{
		Name:  "lab",
		Usage: "run commands in virtual time: real packets and qdiscs, no noise, the same result every time",
		Description: "lab kernel build\n" +
			"lab run -- ping -c 3 127.0.0.1\n" +
			"lab test ./netsetup",
		Commands: []*ucli.Command{{
			Name: "run", ArgsUsage: "-- COMMAND [ARGUMENT…]",
			Usage: "run a command as root of a fresh lab; its exit status is the command's",
			Flags: append(runFlags(),
				&ucli.DurationFlag{Name: "timeout", Usage: "end the lab after this time on the host, with exit status 124"},
				&ucli.BoolFlag{Name: "console", Usage: "print the kernel's messages at the end"},
				&ucli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say how much time passed in the lab and on the host"},
			),
			Action: func(c *ucli.Context) error { return runIn(ctx, c, stdin, stdout, stderr) },
		}, {
			Name: "test", ArgsUsage: "[FLAGS OF lab run] [FLAGS OF go test] [PACKAGE…]",
			Usage:           "run packages' tests in labs, with everything promised that tests can require",
			SkipFlagParsing: true,
			Action:          func(c *ucli.Context) error { return test(ctx, c.Args().Slice(), stdin, stdout, stderr) },
		}, matrixCommand(ctx, stdout, stderr), promisesCommand(stdout), {
			Name: "kernel", Usage: "the kernels that labs run",
			Subcommands: []*ucli.Command{fetchCommand(ctx, stdout), {
				Name:  "build",
				Usage: "build it from Debian's kernel source; does nothing where it is built already",
				Flags: []ucli.Flag{
					&ucli.StringFlag{Name: "source", Usage: "`TARBALL` of the kernel source; default: the newest " + lab.SourcePattern},
					&ucli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "compile `N` files at once; default: as many as there are CPUs"},
					&ucli.BoolFlag{Name: "force", Usage: "build it again"},
				},
				Action: func(c *ucli.Context) error { return kernelBuild(ctx, c, stdout, stderr) },
			}, {
				Name: "path", ArgsUsage: "[KERNEL]",
				Usage:  "print the file of the built kernel, or of another one; exit status 1 if there is none",
				Action: func(c *ucli.Context) error { return kernelPath(c, stdout) },
			}},
		}},
	}, stdin, stdout, stderr)
	return app.RunContext(ctx, append([]string{"lab"}, args...))
}

// runFlags are the flags of a lab that run and test share.
func runFlags() []ucli.Flag {
	return []ucli.Flag{
		kernelFlag(),
		copyFlag(),
		&ucli.StringFlag{Name: "time", Value: string(lab.Virtual), Usage: "how time passes: virtual or real"},
		&ucli.StringFlag{Name: "mem", Value: "512MiB", Usage: "memory of the lab, as a `SIZE`"},
		&ucli.StringFlag{Name: "start", Usage: "wall clock at the command's start in virtual time, as an RFC 3339 `INSTANT`", DefaultText: lab.DefaultStart().Format(time.RFC3339)},
		&ucli.StringSliceFlag{Name: "bind", Usage: "open another `DIR` of the host for writing; may be repeated"},
		&ucli.StringFlag{Name: "out", Usage: "open `DIR`, made where it is missing, for writing instead of the working directory"},
		&ucli.Uint64Flag{Name: "seed", Value: lab.DefaultSeed, Usage: "seed of the lab's randomness in virtual time"},
		&ucli.BoolFlag{Name: "random", Usage: "draw a new seed, and say which"},
	}
}

// options is what the flags that run and test share describe.
func options(c *ucli.Context, stderr io.Writer) (o lab.Options, err error) {
	o.Time = lab.Time(c.String("time"))
	if o.Time != lab.Virtual && o.Time != lab.Real {
		return o, cli.Usagef("--time %s: need %s or %s", o.Time, lab.Virtual, lab.Real)
	}
	if o.Memory, err = trace.ParseBytes(c.String("mem")); err != nil {
		return o, cli.Usagef("--mem: %w", err)
	}
	if o.Time == lab.Real {
		for _, f := range []string{"start", "seed", "random"} {
			if c.IsSet(f) {
				return o, cli.Usagef("--%s goes with virtual time: a lab in real time has the host's clock and randomness", f)
			}
		}
	}
	if s := c.String("start"); s != "" {
		if o.Start, err = time.Parse(time.RFC3339, s); err != nil {
			return o, cli.Usagef("--start: %w", err)
		}
	}
	o.Seed = c.Uint64("seed")
	if c.Bool("random") {
		if c.IsSet("seed") {
			return o, cli.Usagef("--seed and --random exclude each other")
		}
		var b [8]byte
		rand.Read(b[:])
		o.Seed = binary.NativeEndian.Uint64(b[:])
		fmt.Fprintf(stderr, "lab: --seed %d\n", o.Seed)
	}
	if o.Dir, err = os.Getwd(); err != nil {
		return o, err
	}
	if out := c.String("out"); out != "" {
		if err := os.MkdirAll(out, 0o777); err != nil {
			return o, err
		}
		o.Writable = append(o.Writable, out)
	} else if o.Dir != "/" {
		o.Writable = append(o.Writable, o.Dir)
	}
	o.Writable = append(o.Writable, c.StringSlice("bind")...)
	for i, d := range o.Writable {
		// The lab's kernel knows the directory by the name without links.
		if d, err = filepath.Abs(d); err == nil {
			d, err = filepath.EvalSymlinks(d)
		}
		if err != nil {
			return o, fmt.Errorf("open %s to the lab: %w", o.Writable[i], err)
		}
		o.Writable[i] = d
	}
	return o, nil
}

var errTimeout = errors.New("timeout")

func runIn(ctx context.Context, c *ucli.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	argv := c.Args().Slice()
	if len(argv) == 0 {
		return cli.Usagef("usage: %s [FLAGS] %s", c.Command.HelpName, c.Command.ArgsUsage)
	}
	o, err := options(c, stderr)
	if err != nil {
		return err
	}
	file, err := exec.LookPath(argv[0])
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if errors.Is(err, fs.ErrPermission) {
		return &cli.Error{Status: exitNoStart, Err: err}
	}
	if err != nil {
		return &cli.Error{Status: exitNotFound, Err: err}
	}
	o.Argv = append([]string{file}, argv[1:]...)
	if strings.HasSuffix(file, ".test") {
		// go test reads what its binary leaves there: coverage, profiles.
		o.Writable = append(o.Writable, filepath.Dir(file))
	}
	if err := chooseKernel(c, &o); err != nil {
		return err
	}
	o.Env, o.Stdin, o.Stdout, o.Stderr = os.Environ(), stdin, stdout, stderr
	if c.Bool("console") {
		o.Console = stderr
	}
	ctx, stop := cli.Notify(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a closed output ends the lab in order
	if d := c.Duration("timeout"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errTimeout)
		defer cancel()
	}
	r, err := lab.Run(ctx, o)
	if err != nil {
		return runError(ctx, err, c.Duration("timeout"))
	}
	if c.Bool("verbose") {
		fmt.Fprintf(stderr, "lab: %v in the lab, %v on the host\n", r.Elapsed, r.Wall.Round(time.Millisecond))
	}
	if r.OOM {
		fmt.Fprintf(stderr, "lab: the lab ran out of memory and killed a process: give it more than --mem %s\n", c.String("mem"))
	}
	if status := r.Status(); status != 0 {
		return &cli.Error{Status: status}
	}
	return nil
}

// runError gives the error of a run the exit status that a shell would.
func runError(ctx context.Context, err error, timeout time.Duration) error {
	var start *lab.StartError
	var stopped *cli.Stopped
	status := exitLab
	switch {
	case errors.Is(err, errTimeout):
		status = exitTimeout
		err = fmt.Errorf("ended after --timeout %v; if virtual time stood still, a process may be spinning on the clock: see docs/lab.md", timeout)
	case errors.As(context.Cause(ctx), &stopped):
		status = 128 + int(stopped.Signal)
	case errors.Is(err, syscall.EPIPE):
		return &cli.Error{Status: 128 + int(syscall.SIGPIPE)}
	case errors.As(err, &start):
		status = exitNoStart
	}
	return &cli.Error{Status: status, Err: err}
}

//go:build linux

// Command demo runs the main job as a user would, with the commands in bin/:
// it makes a tape, builds the links, replays the tape while UDP saturates each
// link, and shows what the tape allowed and what arrived.
//
//	demo [--bin DIR] [--out DIR] [--shaper auto|tbf|htb|pulse|cake] [--tape TAPE] [--duration D]
//
// Without --tape it synthesizes the library's three-carrier drive. The load
// is bounded: it runs inside the run's namespaces and stops by itself. Exit
// status 3: a link delivered something else than the tape allowed, by more
// than --within.
package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"linktape/internal/cli"
)

func main() { cli.Main("demo", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch {
		case args[0] == "send" && len(args) > 3:
			return send(ctx, args[1:])
		case args[0] == "receive" && len(args) > 2:
			return receive(ctx, args[1:], stdin, stdout)
		}
	}
	d := demo{stdout: stdout, stderr: stderr}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors are returned
	f.StringVar(&d.bin, "bin", "bin", "directory of the commands")
	f.StringVar(&d.out, "out", "out/demo", "directory of the results")
	f.StringVar(&d.tape, "tape", "", "tape to replay; empty: synthesize a three-carrier drive")
	f.StringVar(&d.shaper, "shaper", "tbf", "bottleneck of the links: auto, tbf, htb, pulse, cake or edt")
	f.StringVar(&d.name, "name", "demo", "name of the run")
	f.DurationVar(&d.duration, "duration", defaultDuration, "how long to replay")
	f.DurationVar(&d.from, "from", 0, "where on the tape to begin")
	f.IntVar(&d.packetBytes, "packet", 1500, "bytes of the load's IP packets")
	f.Float64Var(&d.within, "within", 0.01, "exit with status 3 if a link's total differs from the tape by more than this part")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(stdout)
		f.Usage()
		return nil
	case err != nil:
		return cli.Usagef("%w; see demo --help", err)
	case f.NArg() > 0:
		return cli.Usagef("unknown argument %q; see demo --help", f.Arg(0))
	case d.packetBytes < minPacket || d.packetBytes > 1500:
		return cli.Usagef("--packet %d: outside %d to 1500", d.packetBytes, minPacket)
	case d.duration < binWidth:
		return cli.Usagef("--duration %v: less than %v", d.duration, binWidth)
	case d.from < 0:
		return cli.Usagef("--from %v: negative", d.from)
	case !(d.within > 0):
		return cli.Usagef("--within %v: not above 0", d.within)
	}
	return d.run(ctx)
}

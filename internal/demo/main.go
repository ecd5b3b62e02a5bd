// Command demo runs the main job as a user would, with the commands in bin/:
// it makes a tape, builds the links, replays the tape while UDP saturates each
// link, and shows what the tape allowed and what arrived.
//
//	demo [--bin DIR] [--out DIR] [--shaper tbf|htb] [--tape TAPE] [--duration D]
//
// Without --tape it synthesizes the library's three-carrier drive. The load
// is bounded: it runs inside the run's namespaces and stops by itself. Exit
// status 3: a link delivered something else than the tape allowed, by more
// than --within.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"linktape/internal/cli"
)

func main() { cli.Main("demo", run) }

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "send":
			return send(ctx, args[1:])
		case "receive":
			return receive(ctx, args[1:], stdout)
		}
	}
	d := demo{stdout: stdout, stderr: stderr}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&d.bin, "bin", "bin", "directory of the commands")
	f.StringVar(&d.out, "out", "out/demo", "directory of the results")
	f.StringVar(&d.tape, "tape", "", "tape to replay; empty: synthesize a three-carrier drive")
	f.StringVar(&d.shaper, "shaper", "tbf", "bottleneck of the links: tbf or htb")
	f.StringVar(&d.name, "name", "demo", "name of the run")
	f.DurationVar(&d.duration, "duration", defaultDuration, "how long to replay")
	f.DurationVar(&d.from, "from", 0, "where on the tape to begin")
	f.IntVar(&d.packetBytes, "packet", 1500, "bytes of the load's IP packets")
	f.Float64Var(&d.within, "within", 0.01, "exit with status 3 if a link's total differs from the tape by more than this part")
	if err := f.Parse(args); err != nil {
		return &cli.Error{Status: cli.ExitUsage, Err: err}
	}
	if f.NArg() > 0 || d.packetBytes < minPacket || d.packetBytes > 1500 {
		return cli.Usagef("usage: demo [flags], packets of %d to 1500 bytes", minPacket)
	}
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

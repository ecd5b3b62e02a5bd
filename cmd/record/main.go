// Command record makes tapes of real links: of packet captures of both ends, of what
// interfaces count, and of probes.
package main

import (
	"context"
	"errors"
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
)

func main() { cli.Main("record", run) }

// run is the command without its process; see [cli.Run].
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	app := cli.App(&ucli.App{
		Name:  "record",
		Usage: "make tapes of real links",
		Description: `A tape holds, for each link and direction, the rate, delay, jitter and loss from
one instant to the next. Flags come before arguments.

   record pcap -o field.tape --link att=10.77.0.6 sender.pcap receiver.pcap
   record watch -o field.tape --if att=wwan0 --ping att=203.0.113.5 --duration 1m
   record probe run -o field.tape --link att=wwan0:203.0.113.5 --duration 1m`,
		DisableSliceFlagSeparator: true,
		Commands:                  []*ucli.Command{pcapCommand(), watchCommand(), probeCommand()},
	}, stdin, stdout, stderr)
	err := app.RunContext(ctx, append([]string{app.Name}, args...))
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errors.New("interrupted: no file was written")
	}
	return err
}

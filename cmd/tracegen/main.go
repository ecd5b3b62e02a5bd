// Command tracegen makes, reads, shows and converts tapes: timelines of the
// conditions of several links.
package main

import (
	"context"
	"errors"
	"io"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
)

func main() { cli.Main("tracegen", run) }

// run is the command without its process; see [cli.Run].
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	app := cli.App(&ucli.App{
		Name:  "tracegen",
		Usage: "make, read and convert tapes: the conditions of several links over time",
		Description: `A tape holds, for each link and direction, the rate, delay, jitter and loss from
one instant to the next. Flags come before arguments. LINK.DIR names one
direction: att.up is sender to receiver, att.down the way back. Durations are
written 100ms or 2m, rates 6Mbit, sizes 64KB, probabilities 0.02 or 2%.

   tracegen list
   tracegen synth -o drive.tape --seed 7 three-carrier-drive
   tracegen info drive.tape`,
		// A value may hold commas: --set links.att.up.rate=[1Mbit,2Mbit].
		DisableSliceFlagSeparator: true,
		Commands: []*ucli.Command{
			synthCommand(), importCommand(), exportCommand(),
			infoCommand(), plotCommand(), diffCommand(), verifyCommand(),
			fitCommand(), compareCommand(),
			cutCommand(), concatCommand(), mergeCommand(), overlayCommand(),
			scaleCommand(), resampleCommand(), selectCommand(), renameCommand(),
			listCommand(), showCommand(), schemaCommand(),
		},
	}, stdin, stdout, stderr)
	err := app.RunContext(ctx, append([]string{app.Name}, args...))
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errors.New("interrupted: no file was written")
	}
	return err
}

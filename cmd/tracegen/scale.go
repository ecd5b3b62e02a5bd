package main

import (
	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

// scaled lists the quantities that tracegen scale has a flag for.
func scaled() []edit.Quantity {
	return []edit.Quantity{edit.Rate, edit.Delay, edit.Jitter, edit.Loss}
}

func scaleCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "scale",
		Usage:     "multiply rates, delays or losses",
		ArgsUsage: "[--rate F] [--delay F] [--jitter F] [--loss F] [--only LINK[.DIR]]… -o OUT TAPE",
		Description: `Factors are from 0 to 1000000. Rates are rounded to whole bit/s, times to ns, and
stay within what a tape may hold. Bursty losses (chains) come more or less often;
the bursts keep their length as long as that gives the loss asked for.

   tracegen scale --rate 0.5 --delay 2 --only att -o half.tape drive.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.StringFlag{Name: "rate", Usage: "multiply rates by `FACTOR`"},
			&ucli.StringFlag{Name: "delay", Usage: "multiply delays by `FACTOR`"},
			&ucli.StringFlag{Name: "jitter", Usage: "multiply jitters by `FACTOR`"},
			&ucli.StringFlag{Name: "loss", Usage: "multiply losses by `FACTOR`"},
			targetsFlag("scale one link or direction only, `LINK[.DIR]`; may be repeated"),
		},
		Action: doScale,
	}
}

func doScale(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	factors := make(map[edit.Quantity]float64)
	for _, q := range scaled() {
		if !c.IsSet(q.String()) {
			continue
		}
		if factors[q], err = edit.ParseFactor(c.String(q.String())); err != nil {
			return cli.Usagef("--%v %s: %w", q, c.String(q.String()), err)
		}
	}
	only, err := parseTargets(c.StringSlice("only"))
	if err != nil {
		return err
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) {
		return usage(edit.Scale(in[0], edit.NewFactors(factors), only))
	})
}

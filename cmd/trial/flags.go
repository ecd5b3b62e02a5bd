package main

import (
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/trial/stack"
)

// trialFlags are those that say what a trial is. trial run has them, and trial
// suite, which hands them on to each of its trials: their defaults are then what
// the case says.
func trialFlags(ofCases bool) []ucli.Flag {
	otherwise := func(s string) string {
		if ofCases {
			return "that of each case"
		}
		return s
	}
	return []ucli.Flag{
		&ucli.StringFlag{Name: "stack", Usage: "what is tried: " + strings.Join(stack.Names(), ", "), DefaultText: otherwise("librist")},
		&ucli.StringSliceFlag{Name: "option", Usage: "an option of the stack, `KEY=VALUE`; may be repeated"},
		&ucli.StringFlag{Name: "sender", Usage: "with --stack exec: the sender's `COMMAND`, a template"},
		&ucli.StringFlag{Name: "receiver", Usage: "with --stack exec: the receiver's `COMMAND`, a template"},
		&ucli.StringFlag{Name: "rate", Usage: "of the source's transport stream", DefaultText: otherwise("4Mbit")},
		&ucli.DurationFlag{Name: "buffer", Usage: "for recovery, in sender and receiver", DefaultText: otherwise("1s")},
		&ucli.StringFlag{Name: "links", Usage: "use these `LINKS` of the tape alone (a,b,c)", DefaultText: otherwise("all")},
		&ucli.DurationFlag{Name: "duration", Usage: "play this much", DefaultText: otherwise("all of it")},
		&ucli.StringSliceFlag{Name: "set", Usage: "change the scenario, `KEY=VALUE` with a dotted key; may be repeated"},
		&ucli.BoolFlag{Name: "rates-only", Usage: "leave delay, jitter and loss of the tape out, for a kernel without netem"},
	}
}

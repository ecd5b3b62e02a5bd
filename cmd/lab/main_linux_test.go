package main

import (
	"fmt"
	"os"
	"testing"

	"linktape/internal/lab"
)

// The test binary is also what its tests run in labs and in namespaces: its
// first argument names the role.
func TestMain(m *testing.M) {
	lab.Stages()
	if len(os.Args) > 1 {
		if role, ok := roles()[os.Args[1]]; ok {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func roles() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"inside":     enter,
		"true":       func([]string) error { return nil },
		"send":       send,
		"receive":    receive,
		"lateness":   lateness,
		"long":       playLong,
		"experiment": experiment,
		"as-lab":     asLab,
		"clock":      readClock,
		"sums":       sums,

		"probe-serve": probeServe,
		"probe-run":   probeRun,
		"probe-tape":  probeTape,
	}
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/replay"
)

const forever = "forever"

// loopValue is the value of --loop: alone it means forever.
type loopValue struct{ times int } // −1: forever; 0: once

func (v *loopValue) IsBoolFlag() bool { return true }

func (v *loopValue) String() string { return "" }

func (v *loopValue) Set(s string) error {
	if s == forever || s == "true" { // the flag alone
		v.times = -1
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return fmt.Errorf("neither a number from 1 on nor %s", forever)
	}
	v.times = n
	return nil
}

func loopFlag() ucli.Flag {
	return &ucli.GenericFlag{Name: "loop", Value: new(loopValue), Usage: "play the window `N` times, or forever: over and over, until a signal, as --loop alone"}
}

// setLoop takes the flag over.
func setLoop(c *ucli.Context, opts *replay.Options) {
	v := c.Generic("loop").(*loopValue)
	opts.Loop, opts.Times = v.times < 0, max(v.times, 0)
}

// joinLoop joins --loop and the word after it, where that is a value: the flag
// may stand alone, so that the flag package takes a value after = only. The
// last word is the tape, whatever it is called.
func joinLoop(args []string) []string {
	out := slices.Clone(args)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == "--" {
			break
		}
		if out[i] != "--loop" && out[i] != "-loop" {
			continue
		}
		if _, err := strconv.Atoi(out[i+1]); err == nil || out[i+1] == forever {
			out[i] += "=" + out[i+1]
			out = slices.Delete(out, i+1, i+2)
		}
	}
	return out
}

// exclusive refuses more than one of some flags.
func exclusive(c *ucli.Context, names ...string) error {
	var set []string
	for _, n := range names {
		if c.Bool(n) {
			set = append(set, "--"+n)
		}
	}
	if len(set) > 1 {
		return cli.Usagef("%s exclude each other", strings.Join(set, " and "))
	}
	return nil
}

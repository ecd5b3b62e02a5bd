package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/replay"
)

// recording reads what --out is to get.
func recording(c *ucli.Context, tape string, stderr io.Writer) (replay.Recording, error) {
	r := replay.Recording{Dir: c.String("out"), Tape: tape, Counters: c.Duration("counters")}
	if r.Dir == "" {
		for _, f := range []string{"counters", "read-back"} {
			if c.IsSet(f) {
				return r, cli.Usagef("--%s: only with --out", f)
			}
		}
		return replay.Recording{}, nil
	}
	if r.Counters != 0 && r.Counters < replay.LeastCounters {
		return r, cli.Usagef("--counters %v: write %v or more, or 0", r.Counters, replay.LeastCounters)
	}
	var err error
	if r.ReadBack, err = cadence(c.String("read-back")); err != nil {
		return r, cli.Usagef("--read-back %q: %v", c.String("read-back"), err)
	}
	r.Trouble = func(err error) {
		fmt.Fprintf(stderr, "replay: %v; the replay goes on without it\n", err)
	}
	return r, nil
}

// cadence reads a time, such as 1s, or how often a second, such as 10/s.
func cadence(s string) (time.Duration, error) {
	const want = "write a time of a millisecond or more such as 1s, how often such as 10/s, or 0"
	var d time.Duration
	if n, ok := strings.CutSuffix(s, "/s"); ok {
		f, err := strconv.ParseFloat(n, 64)
		if err != nil || !(f > 0) || f > 1000 {
			return 0, fmt.Errorf("%s", want)
		}
		d = time.Duration(float64(time.Second) / f)
	} else {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			return 0, fmt.Errorf("%s", want)
		}
	}
	if d != 0 && d < time.Millisecond {
		return 0, fmt.Errorf("%s", want)
	}
	return d, nil
}

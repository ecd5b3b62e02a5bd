package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/record"
	"linktape/record/probe"
	"linktape/trace"
)

func probeCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "probe",
		Usage: "make a tape of links by sending over them",
		Description: `"record probe serve" runs at the receiver's end, "record probe run" at the
sender's.`,
		Action: func(c *ucli.Context) error {
			if c.Args().Present() {
				return cli.Usagef("unknown command %q: one of serve, run", c.Args().First())
			}
			return ucli.ShowSubcommandHelp(c)
		},
		Subcommands: []*ucli.Command{probeServeCommand(), probeRunCommand()},
	}
}

func probeServeCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "serve",
		Usage: "receive and answer probes until SIGINT or SIGTERM",
		Description: `Listens on a port, UDP and TCP, and sends to whoever probes what it received.
Anybody who reaches it may use it: run it while you measure.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "listen", Value: fmt.Sprintf(":%d", probe.Port), Usage: "listen on `ADDRESS:PORT`"},
			&ucli.DurationFlag{Name: "duration", Usage: "end after `TIME`"},
		},
		Action: func(c *ucli.Context) error {
			if _, err := cli.Args(c, 0, 0); err != nil {
				return err
			}
			if _, _, err := net.SplitHostPort(c.String("listen")); err != nil {
				return cli.Usagef("--listen %q: write ADDRESS:PORT, such as :%d", c.String("listen"), probe.Port)
			}
			s, err := probe.Listen(c.String("listen"))
			if err != nil {
				return err
			}
			ctx := c.Context
			if d := c.Duration("duration"); d > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			fmt.Fprintf(c.App.ErrWriter, "listening on %v\n", s.Addr())
			return s.Serve(ctx)
		},
	}
}

func probeRunCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "run",
		Usage:     "probe all links at once and make a tape",
		ArgsUsage: "-o TAPE --link NAME=[DEVICE:|SOURCE:]ADDRESS[:PORT]…",
		Description: `Sends numbered packets over every link to "record probe serve" at the address.
A link's packets leave by its interface (needs root or CAP_NET_RAW on old kernels)
or from its source address, where one is named.

   --load adaptive   fills each link: just more than it delivers, with a queue of
                     30 to 120 ms before it. The rate delivered is the capacity.
   --load 4Mbit      sends at this rate: throughput, delay and loss under it
   --load none       sends a small packet each --echo only: delay and loss

Down is measured by the answers to those small packets: delay and loss. Where no
load was sent the tape's rate is --unknown-rate.

A second without load, before and after, shows how the clocks differ: the quickest
exchange is taken to be equally quick both ways. --offset 0s if both ends are one
machine. Times of receiving are the kernel's. Measuring uses up the links' volume.

   record probe serve                                                  # at the receiver
   record probe run -o field.tape --link att=wwan0:203.0.113.5 --link sat=eth1:203.0.113.5 --duration 1m`,
		Flags: []ucli.Flag{
			outputFlag("write the tape to `TAPE`"),
			&ucli.StringSliceFlag{Name: "link", Usage: "link NAME reaches the server at ADDRESS: `NAME=DEVICE:ADDRESS`; repeat it for each link"},
			&ucli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "record for `TIME`"},
			&ucli.StringFlag{Name: "load", Value: "adaptive", Usage: "adaptive, none, or a `RATE`"},
			&ucli.StringFlag{Name: "max", Value: "1Gbit", Usage: "send no more than `RATE` on any link"},
			&ucli.StringFlag{Name: "unknown-rate", Value: "1Gbit", Usage: "the tape's rate where none was measured: `RATE`"},
			&ucli.IntFlag{Name: "bytes", Value: 1228, Usage: "a packet of the load has `N` bytes, of IP"},
			&ucli.DurationFlag{Name: "echo", Value: 20 * time.Millisecond, Usage: "`TIME` from one small packet to the next"},
			&ucli.DurationFlag{Name: "timeout", Value: 2 * time.Second, Usage: "a packet is lost that takes longer than `TIME`"},
			&ucli.StringFlag{Name: "offset", Usage: "the server's clock is ahead by `DURATION`"},
			&ucli.DurationFlag{Name: "step", Value: 100 * time.Millisecond, Usage: "length of a bin: a `DURATION` from 1ms to 5s"},
			&ucli.StringFlag{Name: "delay", Value: "min", Usage: "the tape's delay is the min or the median of each bin: `WHICH`"},
			&ucli.StringFlag{Name: "losses", Value: "as-is", Usage: "what losses mean: as-is, path or queue: `WHICH`"},
			&ucli.StringFlag{Name: "bins", Usage: "write what was measured in each bin to `FILE`, as Parquet"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: doProbe,
	}
}

// parseProbe reads the flags of record probe run.
func parseProbe(c *ucli.Context) (o probe.Options, err error) {
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	for _, text := range c.StringSlice("link") {
		l, err := probe.ParseLink(text)
		if err != nil {
			fault(fmt.Errorf("--link %w", err))
			continue
		}
		if slices.ContainsFunc(o.Links, func(x probe.LinkSpec) bool { return x.Name == l.Name }) {
			fault(fmt.Errorf("--link %s: given twice", l.Name))
		}
		o.Links = append(o.Links, l)
	}
	slices.SortFunc(o.Links, func(a, b probe.LinkSpec) int { return strings.Compare(a.Name, b.Name) })
	rate := func(name string) trace.BitRate {
		r, err := trace.ParseBitRate(c.String(name))
		if err != nil || r <= 0 || r > trace.MaxRate {
			fault(fmt.Errorf("--%s %q: write a rate such as 4Mbit", name, c.String(name)))
		}
		return r
	}
	switch c.String("load") {
	case "adaptive":
	case "none":
		o.Sparse = true
	default:
		o.Load = rate("load")
	}
	o.Max, o.Unknown = rate("max"), rate("unknown-rate")
	o.Bytes, o.Echo, o.Timeout, o.Duration = c.Int("bytes"), c.Duration("echo"), c.Duration("timeout"), c.Duration("duration")
	if text := c.String("offset"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			fault(fmt.Errorf("--offset %q: write a duration such as 20ms", text))
		}
		o.Offset = &d
	}
	o.Record = record.Options{Step: c.Duration("step"), Delay: record.Delay(c.String("delay")), Losses: record.Losses(c.String("losses"))}
	if o.Record.Step <= 0 {
		fault(fmt.Errorf("--step %v: write a duration from %v to %v", o.Record.Step, record.MinStep, record.MaxStep))
	} else if o.Record, err = o.Record.Defaults(); err != nil {
		fault(fmt.Errorf("--%w", err))
	}
	if len(faults) == 0 {
		fault(o.Check())
	}
	if len(faults) > 0 {
		return o, cli.Usagef("%w", errors.Join(faults...))
	}
	return o, nil
}

// probeReport is what record probe run --json prints.
type probeReport struct {
	Tape   string `json:"tape"`
	SHA256 string `json:"sha256"`
	*probe.Result
}

func doProbe(c *ucli.Context) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	o, err := parseProbe(c)
	if err != nil {
		return err
	}
	output, err := outputPath(c, "o", nil)
	if err != nil {
		return err
	}
	binFile := c.String("bins")
	if binFile != "" {
		if binFile, err = outputPath(c, "bins", []string{output}); err != nil {
			return err
		}
	}
	if output == cli.StdStream || binFile == cli.StdStream {
		return cli.Usagef("standard output is for the report: write the tape and the bins to files")
	}
	bins, err := newRows[record.Bin](binFile, c.App.Writer)
	if err != nil {
		return err
	}
	defer bins.abort()
	stderr := c.App.ErrWriter
	progress := cli.NewProgress(stderr, "record")
	defer progress.Done()
	var kept *spool
	defer func() {
		if kept != nil {
			kept.close()
		}
	}()
	res, err := probe.Run(c.Context, o, probe.Sinks{
		Begin: func(r *probe.Result, base map[trace.LinkDir]time.Duration) (err error) {
			fmt.Fprintf(stderr, "clock of the server: ahead by %v (%s), known to %v\n", r.Offset, r.How, r.Bound)
			for _, l := range o.Links {
				fmt.Fprintf(stderr, "%s: smallest delay up %v, down %v\n", l.Name, base[trace.LinkDir{Link: l.Name, Dir: trace.Up}], base[trace.LinkDir{Link: l.Name, Dir: trace.Down}])
			}
			kept, err = newSpool(output, o.Meta(r, base))
			return err
		},
		Steps:    func(s []trace.Step) error { return kept.w.Write(s) },
		Bins:     bins.write,
		Progress: progress.Set,
	})
	progress.Done()
	if err != nil {
		return err
	}
	if err := bins.close(); err != nil {
		return err
	}
	ctx := context.WithoutCancel(c.Context)
	tape, err := kept.tape(ctx, output, c.App.Writer, res.Length)
	if err != nil {
		return err
	}
	if res.Unsent > 0 {
		fmt.Fprintf(stderr, "warning: %d packets were refused where they were sent, and count as lost\n", res.Unsent)
	}
	if drift := res.Drift; drift > 20 || drift < -20 {
		fmt.Fprintf(stderr, "warning: the server's clock seems to gain %.1f ppm: delays change by %v over the recording\n", drift, time.Duration(drift*1e3*res.Length.Seconds()))
	}
	if c.Bool("json") {
		err = cli.PrintJSON(c.App.Writer, probeReport{cli.OutputName(output), tape.SHA, res})
	} else {
		err = printProbe(c.App.Writer, res.Stats)
	}
	if err != nil {
		return err
	}
	tape.Remark(stderr, output)
	return nil
}

func printProbe(w io.Writer, stats []record.Stats) error {
	rows := [][]string{
		{"direction", "sent", "lost", "bursts", "mean", "longest", "delivered", "queued", "min", "p50", "p95", "max", "jitter"},
		{"", "packets", "%", "", "packets", "packets", "Mbit/s", "Mbit/s", "ms", "ms", "ms", "ms", "ms"},
	}
	for _, d := range stats {
		queued := "-"
		if d.Queued > 0 {
			queued = fmt.Sprintf("%s (%s %%)", cli.Mbits(d.QueuedRate), cli.Percent(float64(d.Queued)/float64(d.Bins)))
		}
		rows = append(rows, []string{
			d.Link + "." + d.Dir, strconv.FormatInt(d.Sent, 10), cli.Percent(d.Loss),
			strconv.FormatInt(d.Bursts.Count, 10), cli.Number(d.Bursts.Mean), strconv.FormatInt(d.Bursts.Max, 10),
			cli.Mbits(d.Throughput), queued,
			cli.Millis(d.Delay.Min), cli.Millis(d.Delay.P50), cli.Millis(d.Delay.P95), cli.Millis(d.Delay.Max), cli.Millis(d.Jitter),
		})
	}
	var b strings.Builder
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

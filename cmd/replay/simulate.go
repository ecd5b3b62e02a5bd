package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/edt"
	"linktape/internal/cli"
	"linktape/record/capture"
	"linktape/replay"
	"linktape/trace"
)

func simulateCommand(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "simulate", ArgsUsage: "TAPE",
		Usage: "say what a tape does to given traffic, without links or kernel",
		Description: "Every direction of the tape meets the same packets. They come at a constant\n" +
			"RATE, or as the IP packets of a capture (pcap, pcapng, also with gzip; ./FILE where\n" +
			"its name looks like a rate), the first one at the window's first instant. Packets\n" +
			"come as they came, whatever the tape does to them: nobody answers or slows down.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "arrivals", Usage: "the traffic: a capture's `FILE`, - for standard input, or a rate such as 6Mbit"},
			&ucli.IntFlag{Name: "packet", Value: 1500, Usage: "with a rate: `BYTES` of IP of each packet"},
			&ucli.StringFlag{Name: "source", Usage: "of a capture only packets from `ADDRESS`, or from a network such as 10.0.0.0/8"},
			&ucli.StringSliceFlag{Name: "link", Usage: "only `LINK.DIR`; may be repeated"},
			&ucli.StringFlag{Name: "queue", Usage: "of every link, in place of the tape's: a `SIZE` such as 64KB, or a time at the tape's rate such as 100ms"},
			loopFlag(),
			&ucli.DurationFlag{Name: "from", Usage: "begin at `OFFSET` of the tape"},
			&ucli.DurationFlag{Name: "duration", Usage: "play this much of the tape; with --loop the length of the window"},
			&ucli.Float64Flag{Name: "speed", Value: 1, Usage: "play the tape `F` times as fast; rates and delays stay"},
			&ucli.BoolFlag{Name: "rates-only", Usage: "leave delay, jitter and loss out"},
			&ucli.StringFlag{Name: "o", Usage: "write a line of CSV for each packet and direction to `FILE`; - is standard output, in place of the table"},
			&ucli.BoolFlag{Name: "json", Usage: "print the figures as JSON"},
		},
		Action: func(c *ucli.Context) error { return simulate(ctx, c, stdin, stdout, stderr) },
	}
}

func simulate(ctx context.Context, c *ucli.Context, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	opts, err := simulateOptions(c)
	if err != nil {
		return err
	}
	traffic, err := newTraffic(c, stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, traffic.close()) }()
	tape, err := trace.Open(args[0])
	if err != nil {
		return err
	}
	defer tape.Close()

	out := c.String("o")
	if out == "-" && c.Bool("json") {
		return cli.Usagef("-o - and --json exclude each other: both are for standard output")
	}
	var sum *replay.Simulation
	progress := cli.NewProgress(stderr, "playing "+args[0])
	opts.Progress = progress.Set
	work := func(w io.Writer) (err error) {
		if w != nil {
			opts.Each = packetLines(w)
			if _, err := io.WriteString(w, packetHeader); err != nil {
				return err
			}
		}
		sum, err = replay.Simulate(ctx, tape, traffic.next, opts)
		return err
	}
	switch out {
	case "":
		err = work(nil)
	case "-":
		b := bufio.NewWriter(stdout)
		err = errors.Join(work(b), b.Flush())
	default:
		err = writeWhole(out, work)
	}
	progress.Done()
	if err != nil {
		return err
	}
	for _, w := range sum.Warnings {
		fmt.Fprintln(stderr, "replay:", w)
	}
	traffic.remark(stderr)
	switch {
	case c.Bool("json"):
		return cli.PrintJSON(stdout, sum)
	case out == "-":
		return nil
	}
	return printSimulation(stdout, sum)
}

func simulateOptions(c *ucli.Context) (opts replay.SimulateOptions, err error) {
	opts = replay.SimulateOptions{From: c.Duration("from"), Duration: c.Duration("duration"), RatesOnly: c.Bool("rates-only"), Speed: c.Float64("speed")}
	loops := new(replay.Options)
	setLoop(c, loops)
	if opts.Times = loops.Times; loops.Loop {
		return opts, cli.Usagef("--loop forever: a simulation needs an end; write how many times, such as --loop 10")
	}
	if opts.Speed < replay.MinSpeed || opts.Speed > replay.MaxSpeed || math.IsNaN(opts.Speed) {
		return opts, cli.Usagef("--speed %v: outside %v to %v", opts.Speed, replay.MinSpeed, replay.MaxSpeed)
	}
	for _, f := range []string{"from", "duration"} {
		if c.Duration(f) < 0 {
			return opts, cli.Usagef("--%s %v: negative", f, c.Duration(f))
		}
	}
	for _, s := range c.StringSlice("link") {
		ld, err := trace.ParseLinkDir(s)
		if err != nil {
			return opts, cli.Usagef("--link %v", err)
		}
		opts.Only = append(opts.Only, ld)
	}
	if s := c.String("queue"); s != "" {
		q := trace.Queue{Kind: trace.DropTail}
		d, timeErr := time.ParseDuration(s)
		n, sizeErr := trace.ParseBytes(s)
		switch {
		case timeErr == nil && d > 0 && d <= trace.MaxDelay:
			q.LimitTime = d
		case sizeErr == nil && n > 0:
			q.LimitBytes = n
		default:
			return opts, cli.Usagef("--queue %q: write a size such as 64KB, or a time above 0 and up to %v such as 100ms", s, trace.MaxDelay)
		}
		opts.Queue = &q
	}
	return opts, nil
}

// traffic is where packets come from.
type traffic struct {
	next   func() (replay.Arrival, error)
	reader *capture.Reader // nil for a rate
	other  int64           // packets of other sources
	late   int64           // packets of an instant before the one before
}

func newTraffic(c *ucli.Context, stdin io.Reader) (*traffic, error) {
	what, packet := c.String("arrivals"), c.Int("packet")
	if what == "" {
		return nil, cli.Usagef("--arrivals is missing: the traffic, such as --arrivals 6Mbit or --arrivals sent.pcap")
	}
	if rate, err := trace.ParseBitRate(what); err == nil {
		switch {
		case rate == 0:
			return nil, cli.Usagef("--arrivals %s: no packets", what)
		case packet < 1 || packet > math.MaxUint16:
			return nil, cli.Usagef("--packet %d: outside 1 to %d", packet, math.MaxUint16)
		case c.IsSet("source"):
			return nil, cli.Usagef("--source is for captures, and --arrivals %s is a rate", what)
		}
		next, err := replay.ConstantRate(rate, packet)
		return &traffic{next: next}, err
	}
	if c.IsSet("packet") {
		return nil, cli.Usagef("--packet is for rates, and --arrivals %s is a capture", what)
	}
	var only netip.Prefix
	if s := c.String("source"); s != "" {
		var err error
		if only, err = parseSource(s); err != nil {
			return nil, err
		}
	}
	var r *capture.Reader
	var err error
	if what == "-" {
		r, err = capture.NewReader(stdin, "standard input")
	} else {
		r, err = capture.Open(what)
	}
	if err != nil {
		return nil, err
	}
	r.Hash, r.Others = 0, true
	t := &traffic{reader: r}
	t.next = t.capture(only)
	return t, nil
}

func parseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, cli.Usagef("--source %q: write an address such as 10.0.0.1, or a network such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// capture returns the packets of a capture, from one source if it is valid.
func (t *traffic) capture(only netip.Prefix) func() (replay.Arrival, error) {
	var p capture.Packet
	var first, last int64
	begun := false
	return func() (replay.Arrival, error) {
		for {
			if err := t.reader.Next(&p); err != nil {
				return replay.Arrival{}, err
			}
			if only.IsValid() && !only.Contains(p.Src.Addr().Unmap()) {
				t.other++
				continue
			}
			if !begun {
				first, last, begun = p.At, p.At, true
			}
			if p.At < last {
				t.late++
			}
			last = max(last, p.At) // as a link meets them: one after the other
			return replay.Arrival{At: time.Duration(last - first), Bytes: p.Bytes}, nil
		}
	}
}

func (t *traffic) remark(stderr io.Writer) {
	if t.reader == nil {
		return
	}
	n := t.reader.Counts()
	if n.Short > 0 {
		fmt.Fprintf(stderr, "replay: %s of which too little was captured\n", cli.Count(n.Short, "packet"))
	}
	if t.other > 0 {
		fmt.Fprintf(stderr, "replay: %s of other sources left out\n", cli.Count(t.other, "packet"))
	}
	if t.late > 0 {
		fmt.Fprintf(stderr, "replay: %s captured with an instant before the one before, taken as coming together with it\n", cli.Count(t.late, "packet"))
	}
	if n.CutOff {
		fmt.Fprintln(stderr, "replay: the capture ends within a packet")
	}
}

func (t *traffic) close() error {
	if t.reader == nil {
		return nil
	}
	return t.reader.Close()
}

const packetHeader = "link,dir,packet,sent_ns,bytes,fate,left_ns,arrived_ns,backlog_bytes\n"

// packetLines writes a line for each packet: the instants that it does not have are
// empty, and what waited at the end is "waiting".
func packetLines(w io.Writer) func(trace.LinkDir, int64, replay.Arrival, edt.Verdict) error {
	var b []byte
	return func(ld trace.LinkDir, number int64, a replay.Arrival, v edt.Verdict) error {
		b = append(append(b[:0], ld.Link...), ',')
		b = append(append(b, ld.Dir.String()...), ',')
		for _, n := range []int64{number, int64(a.At), int64(a.Bytes)} {
			b = append(strconv.AppendInt(b, n, 10), ',')
		}
		fate := v.Fate.String()
		if v.Fate == edt.Unknown {
			fate = "waiting"
		}
		b = append(append(b, fate...), ',')
		if v.Fate == edt.Delivered || v.Fate == edt.Lost {
			b = strconv.AppendInt(b, int64(v.Left), 10)
		}
		b = append(b, ',')
		if v.Fate == edt.Delivered {
			b = strconv.AppendInt(b, int64(v.Arrived), 10)
		}
		b = append(strconv.AppendInt(append(b, ','), v.Backlog, 10), '\n')
		_, err := w.Write(b)
		return err
	}
}

func printSimulation(stdout io.Writer, s *replay.Simulation) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LINK\tPACKETS\tDELIVERED\tMB\tUSE %\tFULL\tLOST\tOUTAGE\tWAITING\tQUEUE kB\t")
	for _, l := range s.Links {
		fmt.Fprintf(w, "%s.%s\t%d\t%d\t%.3f\t%.1f\t%d\t%d\t%d\t%d\t%.1f\t\n", l.Link, l.Dir, l.Packets, l.Delivered,
			float64(l.DeliveredBytes)/1e6, 100*l.Use, l.QueueDrops, l.PathDrops, l.OutageDrops, l.Waiting, float64(l.MaxBacklog)/1e3)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tQUEUE P50\tP99\tP99.9\tMAX\tONE WAY P50\tP99\tP99.9\tMAX\t")
	for _, l := range s.Links {
		fmt.Fprintf(w, "%s.%s\t", l.Link, l.Dir)
		for _, d := range []replay.Distribution{l.QueueDelay, l.OneWay} {
			fmt.Fprintf(w, "%v\t%v\t%v\t%v\t", short(d.P50), short(d.P99), short(d.P999), short(d.Max))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "played %v of the tape from %v, %s, at speed %v\n", s.Length, s.From, cli.Count(int64(s.Times), "time"), s.Speed)
	return err
}

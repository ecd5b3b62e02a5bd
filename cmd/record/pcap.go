package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/record"
	"linktape/record/pcap"
	"linktape/trace"
)

func pcapCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "pcap",
		Usage:     "make a tape of two packet captures, of the sender's side and the receiver's",
		ArgsUsage: "-o TAPE [--link NAME=PART[+PART]…]… SENDER[,FILE…] RECEIVER[,FILE…]",
		Description: `Finds the packets of each capture in the other: UDP, such as RTP or RIST. Reads
pcap and pcapng, also gzipped; Ethernet, raw IP and Linux cooked frames, VLAN,
PPPoE, IPv4 and IPv6. The sender's side is where the media comes from; its
packets go up. Several captures of one side are separated by commas.

--link says which packets are a link's. A PART is

   10.77.0.6  10.77.0.6:5004  :5004  10.77.0.0/30   the receiver's end
   snd:10.77.0.2                                    the sender's end
   if:wwan0        the interface (in pcap, the file's name: wwan0.pcap)

Without it each pair of addresses that both sides saw becomes a link.

The rate is the throughput: what was delivered. It is the link's capacity only
while a queue stands before the bottleneck: in steps labelled "queued", where
every packet took longer than the quickest of all by --queued. Losses:

   --losses as-is   the rate is what was delivered, the loss what was lost
   --losses path    packets were lost after the bottleneck: the rate counts them
   --losses queue   packets were lost at a full queue: no loss on the tape

The clocks of both sides differ; --offset says by how much the receiver's is
ahead, 0s where one machine made both captures. Without it the offset is
estimated: the quickest packets of both directions took equally long.

--bins writes what was measured in each bin as a Parquet table: packets sent,
delivered, lost, duplicate and reordered, delays, jitter.

   tcpdump -i any -s 128 -w sender.pcap udp           # at the sender
   tcpdump -i any -s 128 -w receiver.pcap udp         # at the receiver
   record pcap -o field.tape --link att=203.0.113.5:5004 --link sat=203.0.113.5:5006 sender.pcap receiver.pcap`,
		Flags: []ucli.Flag{
			outputFlag("write the tape to `TAPE`"),
			&ucli.StringSliceFlag{Name: "link", Usage: "the packets of link NAME are those of `NAME=PART`; repeat it for each link"},
			&ucli.DurationFlag{Name: "step", Value: 100 * time.Millisecond, Usage: "length of a bin: a `DURATION` from 1ms to 5s"},
			&ucli.StringFlag{Name: "offset", Usage: "the receiver's clock is ahead of the sender's by `DURATION`"},
			&ucli.StringFlag{Name: "min-delay", Usage: "the quickest packet from sender to receiver took `DURATION`, in place of --offset"},
			&ucli.StringFlag{Name: "drift", Usage: "the receiver's clock gains `PPM` millionths on the sender's, or estimate"},
			&ucli.StringFlag{Name: "delay", Value: "min", Usage: "the tape's delay is the min or the median of each bin: `WHICH`"},
			&ucli.StringFlag{Name: "losses", Value: "as-is", Usage: "what losses mean: as-is, path or queue: `WHICH`"},
			&ucli.StringFlag{Name: "idle", Value: "zero", Usage: "the rate where nothing was sent: zero, or hold the last: `WHICH`"},
			&ucli.DurationFlag{Name: "queued", Value: 5 * time.Millisecond, Usage: "a queue stands where every packet takes `DURATION` longer than the quickest"},
			&ucli.DurationFlag{Name: "timeout", Value: pcap.DefaultTimeout, Usage: "a packet is lost that takes longer than `DURATION`"},
			&ucli.IntFlag{Name: "hash", Usage: "tell packets apart by the first `BYTES` of their payload (default: as many as the captures hold, up to 512)"},
			&ucli.StringFlag{Name: "bins", Usage: "write what was measured in each bin to `FILE`, as Parquet"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: doPcap,
	}
}

// pcapOptions are the flags of record pcap.
type pcapOptions struct {
	output           string
	sender, receiver []string
	specs            []pcap.Spec
	clock            pcap.ClockOptions
	record           record.Options
	timeout          time.Duration
	hash             int
	bins             string
	json             bool
}

func parsePcap(c *ucli.Context) (o pcapOptions, err error) {
	args, err := cli.Args(c, 2, 2)
	if err != nil {
		return o, err
	}
	o.sender, o.receiver = strings.Split(args[0], ","), strings.Split(args[1], ",")
	inputs := slices.Concat(o.sender, o.receiver)
	if slices.Contains(inputs, cli.StdStream) {
		return o, cli.Usagef("captures are read twice: give files, not standard input")
	}
	if o.output, err = outputPath(c, "o", inputs); err != nil {
		return o, err
	}
	if o.bins = c.String("bins"); o.bins != "" {
		if o.bins, err = outputPath(c, "bins", append(inputs, o.output)); err != nil {
			return o, err
		}
	}
	o.json = c.Bool("json")
	if o.json && (o.output == cli.StdStream || o.bins == cli.StdStream) || o.output == cli.StdStream && o.bins == cli.StdStream {
		return o, cli.Usagef("standard output is for one of the tape, the bins and --json: write the others to files")
	}
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	for _, s := range c.StringSlice("link") {
		spec, err := pcap.ParseSpec(s)
		if err != nil {
			fault(fmt.Errorf("--link %w", err))
			continue
		}
		if slices.ContainsFunc(o.specs, func(x pcap.Spec) bool { return x.Name == spec.Name }) {
			fault(fmt.Errorf("--link %s: given twice; write its parts as one, %s=PART+PART", spec.Name, spec.Name))
		}
		o.specs = append(o.specs, spec)
	}
	duration := func(name string, least time.Duration) *time.Duration {
		text := c.String(name)
		if text == "" {
			return nil
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < least {
			fault(fmt.Errorf("--%s %q: write a duration such as 20ms", name, text))
			return nil
		}
		return &d
	}
	o.clock.Offset = duration("offset", math.MinInt64)
	o.clock.MinDelay = duration("min-delay", 0)
	if o.clock.Offset != nil && o.clock.MinDelay != nil {
		fault(errors.New("--offset and --min-delay: choose one"))
	}
	switch text := c.String("drift"); text {
	case "":
	case "estimate":
		o.clock.EstimateDrift = true
	default:
		ppm, err := strconv.ParseFloat(text, 64)
		if err != nil || !(math.Abs(ppm) <= 1000) {
			fault(fmt.Errorf("--drift %q: write millionths from -1000 to 1000, or estimate", text))
			break
		}
		o.clock.Drift = int64(math.Round(ppm * 1000))
	}
	o.record = record.Options{
		Step: c.Duration("step"), Delay: record.Delay(c.String("delay")), Losses: record.Losses(c.String("losses")),
		Idle: record.Idle(c.String("idle")), Queued: c.Duration("queued"),
	}
	if o.record.Step <= 0 {
		fault(fmt.Errorf("--step %v: write a duration from %v to %v", o.record.Step, record.MinStep, record.MaxStep))
	} else if o.record, err = o.record.Defaults(); err != nil {
		fault(fmt.Errorf("--%w", err))
	}
	o.timeout = c.Duration("timeout")
	if o.timeout <= 0 || o.timeout > time.Minute {
		fault(fmt.Errorf("--timeout %v: write a duration up to %v", o.timeout, time.Minute))
	}
	o.hash = c.Int("hash")
	if c.IsSet("hash") && (o.hash < 16 || o.hash > 512) {
		fault(fmt.Errorf("--hash %d: write a number of bytes from 16 to 512", o.hash))
	}
	if len(faults) > 0 {
		return o, cli.Usagef("%w", errors.Join(faults...))
	}
	return o, nil
}

func doPcap(c *ucli.Context) error {
	o, err := parsePcap(c)
	if err != nil {
		return err
	}
	stderr := c.App.ErrWriter
	progress := cli.NewProgress(stderr, "survey")
	defer progress.Done()
	survey, err := pcap.Look(c.Context, o.sender, o.receiver, o.hash, progress.Set)
	progress.Done()
	if err != nil {
		return err
	}
	links, err := survey.Resolve(o.specs)
	if err != nil {
		return err
	}
	timing, err := survey.Time(links, o.clock)
	if err != nil {
		return err
	}
	job, err := pcap.NewJob(survey, links, timing, o.record, o.timeout)
	if err != nil {
		return err
	}
	for _, r := range job.Remarks() {
		fmt.Fprintln(stderr, r)
	}
	bins, err := newRows[record.Bin](o.bins, c.App.Writer)
	if err != nil {
		return err
	}
	defer bins.abort()
	progress = cli.NewProgress(stderr, "record")
	var result *pcap.Result
	tape, err := cli.WriteTape(c.Context, o.output, c.App.Writer, job.Meta(), func(write func([]trace.Step) error) error {
		result, err = job.Run(c.Context, write, bins.write, progress.Set)
		return err
	})
	progress.Done()
	if err != nil {
		return err
	}
	if err := bins.close(); err != nil {
		return err
	}
	if result.Twice > 0 {
		fmt.Fprintf(stderr, "warning: %d packets were captured twice where they were sent (tcpdump -i any?); the first counts\n", result.Twice)
	}
	out := c.App.Writer
	if o.output == cli.StdStream || o.bins == cli.StdStream {
		out = stderr
	}
	if o.json {
		err = cli.PrintJSON(out, pcapReport{
			Tape: cli.OutputName(o.output), SHA256: tape.SHA, Duration: job.Duration, Step: o.record.Step,
			Offset: timing.Offset, OffsetHow: timing.How, OffsetBound: timing.Bound, Drift: timing.Drift, MatchedBy: timing.Key.String(),
			Found: links.Found, Warnings: timing.Warnings, Result: result,
		})
	} else {
		err = printDirections(out, result.Directions)
	}
	if err != nil {
		return err
	}
	tape.Remark(stderr, o.output)
	return nil
}

// pcapReport is what record pcap --json prints.
type pcapReport struct {
	Tape        string        `json:"tape"`
	SHA256      string        `json:"sha256"`
	Duration    time.Duration `json:"duration_ns"`
	Step        time.Duration `json:"step_ns"`
	Offset      time.Duration `json:"clock_offset_ns"`
	OffsetHow   string        `json:"clock_offset_how"`
	OffsetBound [2]int64      `json:"clock_offset_bounds_ns"` // equal: unknown
	Drift       int64         `json:"clock_drift_ppb"`
	MatchedBy   string        `json:"matched_by"`
	Found       bool          `json:"links_found"` // by itself
	Warnings    []string      `json:"warnings,omitempty"`
	*pcap.Result
}

// printDirections writes a table of what was measured.
func printDirections(w io.Writer, directions []pcap.Direction) error {
	rows := [][]string{
		{"direction", "sent", "lost", "bursts", "mean", "longest", "twice", "reordered", "strays", "delivered", "queued", "min", "p50", "p95", "max", "jitter"},
		{"", "packets", "%", "", "packets", "packets", "%", "%", "packets", "Mbit/s", "Mbit/s", "ms", "ms", "ms", "ms", "ms"},
	}
	for _, d := range directions {
		share := func(n int64) string { return cli.Percent(float64(n) / float64(cmp.Or(d.Delivered, 1))) }
		queued := "-"
		if d.Queued > 0 {
			queued = fmt.Sprintf("%s (%s %%)", cli.Mbits(d.QueuedRate), cli.Percent(float64(d.Queued)/float64(d.Bins)))
		}
		rows = append(rows, []string{
			d.Link + "." + d.Dir, strconv.FormatInt(d.Sent, 10), cli.Percent(d.Loss),
			strconv.FormatInt(d.Bursts.Count, 10), cli.Number(d.Bursts.Mean), strconv.FormatInt(d.Bursts.Max, 10),
			share(d.Duplicates), share(d.Reordered), strconv.FormatInt(d.Strays, 10),
			cli.Mbits(d.Throughput), queued,
			cli.Millis(d.Delay.Min), cli.Millis(d.Delay.P50), cli.Millis(d.Delay.P95), cli.Millis(d.Delay.Max), cli.Millis(d.Jitter),
		})
	}
	var b strings.Builder
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/record/watch"
	"linktape/trace"
)

func watchCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "watch",
		Usage:     "make a tape of what interfaces count and how long pings take",
		ArgsUsage: "-o TAPE (--run RUN | --if NAME=DEVICE…) [--ping NAME=ADDRESS]…",
		Description: `Reads the counters of several interfaces at one instant, ten times a second or
more often, and pings over each. Up is what an interface sends.

   --if att=wwan0            link att is interface wwan0 (--if wwan0: its own name)
   --ping att=203.0.113.5    pings to this address by the link's interface, one a step
   --run lane                the links of a run of linkup: what left their bottlenecks,
                             and pings from the sender's end to the receiver's

The rate is the throughput of IP packets: the capacity only where the traffic
filled the link. The delay is half the round trip of the quickest ping between
two readings, for both directions. There is no loss on the tape: drops in the
queue before a link and pings without an answer are in the table (--table) and
the summary. Labels: "down" without carrier, "silent" where no ping was answered.

The table has the signal of Wi-Fi in dBm. Of modems the kernel knows none; ask
the modem beside it (mmcli, AT commands).

Ends after --duration or at SIGINT or SIGTERM; what was recorded until then is
written.

   record watch -o field.tape --if att=wwan0 --if sat=eth1 --ping att=203.0.113.5 --ping sat=203.0.113.5 --duration 10m`,
		Flags: []ucli.Flag{
			outputFlag("write the tape to `TAPE`"),
			&ucli.StringSliceFlag{Name: "if", Usage: "link NAME is interface DEVICE: `NAME=DEVICE`; repeat it for each link"},
			&ucli.StringFlag{Name: "run", Usage: "watch the links of run `RUN`"},
			&ucli.StringSliceFlag{Name: "ping", Usage: "ping an address over a link: `NAME=ADDRESS`"},
			&ucli.BoolFlag{Name: "no-ping", Usage: "with --run: send no pings"},
			&ucli.DurationFlag{Name: "step", Value: 100 * time.Millisecond, Usage: "`TIME` from one reading to the next, 10ms to 100ms"},
			&ucli.DurationFlag{Name: "duration", Usage: "end after `TIME`"},
			&ucli.DurationFlag{Name: "timeout", Value: time.Second, Usage: "a ping is lost that takes longer than `TIME`"},
			&ucli.StringFlag{Name: "table", Usage: "write each reading to `FILE`, as Parquet"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: doWatch,
	}
}

// watched is a link that is watched.
type watched struct {
	name   string
	device string
	ping   netip.Addr // invalid: none
}

// source reads all links at once, in the order of their names.
type source interface {
	read() ([]watch.Reading, error)
	Close() error
}

// deviceSource reads interfaces of this namespace.
type deviceSource struct {
	*netsetup.CounterReader
	devices []string
}

func (s *deviceSource) read() ([]watch.Reading, error) {
	counters, err := s.Read(s.devices)
	if err != nil {
		return nil, err
	}
	signal := watch.Wireless()
	out := make([]watch.Reading, len(counters))
	for i, c := range counters {
		ip := func(bytes, packets uint64) int64 { return int64(bytes) - int64(packets)*int64(c.Header) }
		out[i] = watch.Reading{
			Up:      watch.Count{Bytes: ip(c.TxBytes, c.TxPackets), Packets: int64(c.TxPackets), Drops: int64(c.TxDropped + c.QueueDrops), Backlog: c.Backlog},
			Down:    watch.Count{Bytes: ip(c.RxBytes, c.RxPackets), Packets: int64(c.RxPackets), Drops: int64(c.RxDropped)},
			Carrier: c.Up, Signal: signal[c.Name],
		}
	}
	return out, nil
}

// runSource reads the bottlenecks of a run.
type runSource struct {
	*netsetup.Watcher
	links []watched
}

func (s *runSource) read() ([]watch.Reading, error) {
	samples, err := s.Sample()
	if err != nil {
		return nil, err
	}
	out := make([]watch.Reading, len(s.links))
	for _, x := range samples {
		i := slices.IndexFunc(s.links, func(w watched) bool { return w.name == x.Link })
		count := watch.Count{Bytes: int64(x.Bytes), Packets: int64(x.Packets), Drops: int64(x.Drops), Backlog: int64(x.BacklogBytes)}
		out[i].Carrier = x.Carrier
		if x.Dir == trace.Up.String() {
			out[i].Up = count
		} else {
			out[i].Down = count
		}
	}
	return out, nil
}

// watchedLinks reads the flags that name links.
func watchedLinks(c *ucli.Context) (links []watched, err error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	run := c.String("run")
	for _, text := range c.StringSlice("if") {
		name, device, ok := strings.Cut(text, "=")
		if !ok {
			device = name
		}
		if err := trace.CheckName(name); err != nil {
			fault("--if %q: %w; write NAME=DEVICE, such as att=wwan0", text, err)
			continue
		}
		if device == "" || slices.ContainsFunc(links, func(w watched) bool { return w.name == name || w.device == device }) {
			fault("--if %q: no device, or one or a name that is there already", text)
			continue
		}
		links = append(links, watched{name: name, device: device})
	}
	switch {
	case run != "" && len(c.StringSlice("if")) > 0:
		fault("--run and --if: choose one")
	case run == "" && len(c.StringSlice("if")) == 0:
		fault("say what to watch: --if NAME=DEVICE, or --run RUN")
	case run == "" && c.Bool("no-ping"):
		fault("--no-ping is for --run")
	}
	if run != "" && len(faults) == 0 {
		status, err := netsetup.Status(run)
		if err != nil {
			return nil, err
		}
		for _, l := range status.Links {
			w := watched{name: l.Name, device: l.Device}
			if !c.Bool("no-ping") && len(l.ReceiverAddr) > 0 {
				text, _, _ := strings.Cut(l.ReceiverAddr[0], "/")
				if a, err := netip.ParseAddr(text); err == nil {
					w.ping = a
				}
			}
			links = append(links, w)
		}
	}
	for _, text := range c.StringSlice("ping") {
		name, address, _ := strings.Cut(text, "=")
		a, err := netip.ParseAddr(address)
		i := slices.IndexFunc(links, func(w watched) bool { return w.name == name })
		switch {
		case err != nil:
			fault("--ping %q: write NAME=ADDRESS, such as att=203.0.113.5", text)
		case i < 0:
			fault("--ping %q: there is no link %q", text, name)
		default:
			links[i].ping = a.Unmap()
		}
	}
	if len(faults) > 0 {
		return nil, cli.Usagef("%w", errors.Join(faults...))
	}
	slices.SortFunc(links, func(a, b watched) int { return strings.Compare(a.name, b.name) })
	return links, nil
}

// openSource opens what is read, and a pinger for each link that has an address.
func openSource(run string, links []watched, timeout time.Duration) (src source, pingers []*watch.Pinger, err error) {
	defer func() {
		if err != nil && src != nil {
			src.Close()
		}
	}()
	pingers = make([]*watch.Pinger, len(links))
	open := func() error {
		for i, l := range links {
			if !l.ping.IsValid() {
				continue
			}
			p, err := watch.OpenPinger(l.device, l.ping, timeout)
			if err != nil {
				return fmt.Errorf("ping over %s: %w", l.name, err)
			}
			pingers[i] = p
		}
		return nil
	}
	if run != "" {
		w, err := netsetup.Watch(run)
		if err != nil {
			return nil, nil, err
		}
		src = &runSource{w, links}
		err = netsetup.Within(run, netsetup.SenderEnd, open)
		return src, pingers, err
	}
	r, err := netsetup.OpenCounters()
	if err != nil {
		return nil, nil, err
	}
	s := &deviceSource{CounterReader: r}
	for _, l := range links {
		s.devices = append(s.devices, l.device)
	}
	return s, pingers, open()
}

func doWatch(c *ucli.Context) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	step, duration := c.Duration("step"), c.Duration("duration")
	switch {
	case step < 10*time.Millisecond || step > 100*time.Millisecond:
		return cli.Usagef("--step %v: write a time from 10ms to 100ms", step)
	case duration < 0 || duration > 0 && duration < step:
		return cli.Usagef("--duration %v: write a time of at least a step", duration)
	case c.Duration("timeout") < time.Millisecond || c.Duration("timeout") > time.Minute:
		return cli.Usagef("--timeout %v: write a time from 1ms to 1m", c.Duration("timeout"))
	}
	output, err := outputPath(c, "o", nil)
	if err != nil {
		return err
	}
	tableFile := c.String("table")
	if tableFile != "" {
		if tableFile, err = outputPath(c, "table", []string{output}); err != nil {
			return err
		}
	}
	if c.Bool("json") && (output == cli.StdStream || tableFile == cli.StdStream) {
		return cli.Usagef("standard output is for one of the tape, the table and --json: write the others to files")
	}
	links, err := watchedLinks(c)
	if err != nil {
		return err
	}
	run := c.String("run")
	src, pingers, err := openSource(run, links, c.Duration("timeout"))
	defer func() {
		for _, p := range pingers {
			if p != nil {
				p.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	defer src.Close()

	meta := watchMeta(run, links, step)
	var names []string
	stderr := c.App.ErrWriter
	for _, l := range links {
		names = append(names, l.name)
		how := "no pings: its delay is unknown, 0 on the tape"
		if l.ping.IsValid() {
			how = "pings to " + l.ping.String() + ": the delay is half of the quickest's time in each step"
		}
		fmt.Fprintf(stderr, "%s: %s, %s\n", l.name, l.device, how)
	}
	fmt.Fprintln(stderr, "the rate is the throughput: the capacity only where the traffic filled the link; no loss on the tape")
	kept, err := newSpool(output, meta)
	if err != nil {
		return err
	}
	defer kept.close()
	table, err := newRows[watch.Row](tableFile, c.App.Writer)
	if err != nil {
		return err
	}
	defer table.abort()
	collector := watch.NewCollector(names, kept.w.Write, table.write)
	if err := watchLoop(c.Context, src, pingers, collector, step, duration, cli.NewProgress(stderr, "record")); err != nil {
		return err
	}
	length, stats := collector.Finish()
	if length == 0 {
		return errors.New("ended before the second reading: nothing was recorded")
	}
	if err := table.close(); err != nil {
		return err
	}
	tape, err := kept.tape(context.WithoutCancel(c.Context), output, c.App.Writer, length)
	if err != nil {
		return err
	}
	out := c.App.Writer
	if output == cli.StdStream || tableFile == cli.StdStream {
		out = stderr
	}
	if c.Bool("json") {
		err = cli.PrintJSON(out, watchReport{cli.OutputName(output), tape.SHA, length, stats})
	} else {
		err = printWatch(out, stats)
	}
	if err != nil {
		return err
	}
	tape.Remark(stderr, output)
	return nil
}

// watchLoop reads until the time is over or the context ends, at absolute
// instants; a reading that comes late is counted at its own.
func watchLoop(ctx context.Context, src source, pingers []*watch.Pinger, collector *watch.Collector, step, duration time.Duration, progress *cli.Progress) error {
	defer progress.Done()
	var start time.Time
	echoes := make([]watch.Echo, len(pingers))
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := time.Duration(-1)
	for k := int64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		readings, err := src.read()
		if err != nil {
			if k > 0 && errors.Is(err, netsetup.ErrGone) {
				return nil
			}
			return err
		}
		if k == 0 {
			start = time.Now()
		}
		at := time.Since(start)
		if k == 0 {
			at = 0
		}
		for i, p := range pingers {
			if p == nil {
				continue
			}
			echoes[i] = p.Take()
			p.Send()
		}
		if at > last {
			if err := collector.Take(at, readings, echoes); err != nil {
				return err
			}
			last = at
		}
		if duration > 0 {
			if at >= duration {
				return nil
			}
			progress.Set(float64(at) / float64(duration))
		}
		// The next instant that is still to come.
		k = max(k+1, int64(at/step)+1)
		timer.Reset(time.Until(start.Add(time.Duration(k) * step)))
	}
}

// watchMeta is the metadata of the tape.
func watchMeta(run string, links []watched, step time.Duration) trace.Meta {
	m := trace.Meta{Generator: watch.Generator}
	for _, l := range links {
		m.Links = append(m.Links, trace.Link{Name: l.name, Up: true, Down: true})
		choices := map[string]string{
			"device": l.device,
			"step":   step.String(),
			"rate":   "throughput of IP packets (the capacity only where the traffic filled the link)",
			"delay":  "unknown",
			"loss":   "unknown",
			"start":  time.Now().UTC().Format(time.RFC3339Nano),
		}
		if run != "" {
			choices["run"] = run
		}
		if l.ping.IsValid() {
			choices["delay"] = "half of the round trip of pings to " + l.ping.String()
		}
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			m.Sources = append(m.Sources, trace.Source{Link: l.name, Dir: d.String(), Format: "interface", Choices: choices})
		}
	}
	return m
}

// watchReport is what record watch --json prints.
type watchReport struct {
	Tape       string        `json:"tape"`
	SHA256     string        `json:"sha256"`
	Duration   time.Duration `json:"duration_ns"`
	Directions []watch.Stats `json:"directions"`
}

func printWatch(w io.Writer, stats []watch.Stats) error {
	rows := [][]string{
		{"direction", "mean", "peak", "packets", "drops", "pings", "lost", "RTT"},
		{"", "Mbit/s", "Mbit/s", "", "", "", "", "ms"},
	}
	for _, s := range stats {
		rtt := "-"
		if s.Answered > 0 {
			rtt = cli.Millis(s.Quickest)
		}
		rows = append(rows, []string{
			s.Link + "." + s.Dir, cli.Mbits(s.Throughput), cli.Mbits(float64(s.Peak)), strconv.FormatInt(s.Packets, 10), strconv.FormatInt(s.Drops, 10),
			strconv.FormatInt(s.Answered+s.Lost, 10), strconv.FormatInt(s.Lost, 10), rtt,
		})
	}
	var b strings.Builder
	cli.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

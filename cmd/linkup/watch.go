package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/trace"
)

// Bounds of --interval.
const (
	minInterval     = 10 * time.Millisecond
	defaultInterval = time.Second

	// goneInterval is how often a watcher looks whether the run is still
	// there, so that it does not keep it in the kernel for long.
	goneInterval = 100 * time.Millisecond
)

func watchFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.BoolFlag{Name: "watch", Usage: "go on: what each direction has and does, again and again; a table on a terminal, else lines, with --json JSON lines"},
		&ucli.DurationFlag{Name: "interval", Value: defaultInterval, Usage: "with --watch: from one look to the next"},
		&ucli.IntFlag{Name: "count", Usage: "with --watch: end after so many looks; 0: when the run is taken down"},
		&ucli.StringFlag{Name: "prometheus", Usage: "with --watch: serve the figures to Prometheus at `ADDRESS`, such as :9560 (this machine only) or 0.0.0.0:9560"},
	}
}

// sampler is what is watched: a [netsetup.Watcher].
type sampler interface {
	Sample() ([]netsetup.Sample, error)
	Gone() bool
}

func watch(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	name, err := runArg(c)
	if err != nil {
		return err
	}
	interval, count := c.Duration("interval"), c.Int("count")
	switch {
	case interval < minInterval:
		return cli.Usagef("--interval %v: below %v", interval, minInterval)
	case count < 0:
		return cli.Usagef("--count %d: negative", count)
	case c.IsSet("prometheus") && (c.IsSet("interval") || c.IsSet("count") || c.Bool("json")):
		return cli.Usagef("--prometheus: each request is a look: leave --interval, --count and --json out")
	}
	address := ""
	if c.IsSet("prometheus") {
		if address, err = listenAddress(c.String("prometheus")); err != nil {
			return err
		}
	}
	w, err := netsetup.Watch(name)
	if err != nil {
		return err
	}
	defer w.Close()
	switch {
	case address != "":
		err = serve(ctx, w, address, stderr)
	case c.Bool("json"):
		err = watchLines(ctx, w, interval, count, jsonLines(stdout))
	case cli.IsTerminal(stdout):
		drawn := 0
		err = watchLines(ctx, w, interval, count, func(s []netsetup.Sample) error {
			columns, lines := cli.Size(stdout)
			drawn = cli.Redraw(stdout, fit(watchTable(s), columns, lines-1), drawn) // one for the cursor
			return nil
		})
	default:
		err = watchLines(ctx, w, interval, count, func(s []netsetup.Sample) error {
			_, err := io.WriteString(stdout, watchText(s))
			return err
		})
	}
	if errors.Is(err, netsetup.ErrGone) {
		fmt.Fprintf(stderr, "linkup: run %s was taken down\n", name)
		return nil
	}
	return err
}

// watchLines takes samples until the context ends, and prints each but the
// first, which is what the second is compared with. A line is late where the
// machine is; the next is not, for it has its own instant.
func watchLines(ctx context.Context, w sampler, interval time.Duration, count int, print func([]netsetup.Sample) error) error {
	if _, err := w.Sample(); err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	look := time.NewTicker(min(interval, goneInterval))
	defer look.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if w.Gone() {
				return netsetup.ErrGone
			}
		case <-tick.C:
			s, err := w.Sample()
			if err != nil {
				return err
			}
			if err := print(s); err != nil {
				return err
			}
			if n++; n == count {
				return nil
			}
		}
	}
}

func jsonLines(w io.Writer) func([]netsetup.Sample) error {
	return func(samples []netsetup.Sample) error {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for i := range samples {
			if err := e.Encode(&samples[i]); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}

// figures are the words of one sample.
type figures struct {
	rate, throughput, delay, loss, queueDelay string
}

func figuresOf(s *netsetup.Sample) figures {
	f := figures{rate: "closed", throughput: rate(s.Throughput), delay: s.Delay.String(), loss: s.Loss.String(), queueDelay: "-"}
	if s.Rate > 0 {
		f.rate = rate(s.Rate)
	}
	if s.Pulsed {
		f.rate = "pulses"
	}
	if !s.Carrier {
		f.rate = "no carrier"
	}
	if s.QueueDelay != nil {
		f.queueDelay = round(*s.QueueDelay).String()
	}
	return f
}

// rate shows a rate with four digits.
func rate(r trace.BitRate) string {
	unit, name := trace.BitRate(1), "bit"
	switch {
	case r >= trace.Gbit:
		unit, name = trace.Gbit, "Gbit"
	case r >= trace.Mbit:
		unit, name = trace.Mbit, "Mbit"
	case r >= trace.Kbit:
		unit, name = trace.Kbit, "kbit"
	}
	return fmt.Sprintf("%.4g%s", float64(r)/float64(unit), name)
}

// round cuts a duration to a hundredth of a millisecond.
func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// watchText is a look as lines: one for each direction, each with all it needs.
func watchText(samples []netsetup.Sample) string {
	var b strings.Builder
	for i := range samples {
		s := &samples[i]
		f := figuresOf(s)
		fmt.Fprintf(&b, "%s %s.%s rate=%s delay=%s loss=%s throughput=%s drops=%d path_drops=%d backlog=%dB queue_delay=%s\n",
			s.Time.UTC().Format("2006-01-02T15:04:05.000Z"), s.Link, s.Dir, strings.ReplaceAll(f.rate, " ", "-"), f.delay, f.loss, f.throughput,
			s.Drops, s.PathDrops, s.BacklogBytes, f.queueDelay)
	}
	return b.String()
}

// watchTable is a look as a table.
func watchTable(samples []netsetup.Sample) []string {
	if len(samples) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "run %s, %s", samples[0].Run, samples[0].Time.UTC().Format("2006-01-02 15:04:05"))
	if samples[0].Replaying {
		b.WriteString(", a replay is on")
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINK\tDIR\tBUCKET\tDELAY\tLOSS\tTHROUGHPUT\tBACKLOG\tQUEUE DELAY\tQUEUE DROPS\tPATH DROPS")
	for i := range samples {
		s := &samples[i]
		f := figuresOf(s)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d B\t%s\t%d\t%d\n", s.Link, s.Dir, f.rate, f.delay, f.loss, f.throughput,
			s.BacklogBytes, f.queueDelay, s.Drops, s.PathDrops)
	}
	w.Flush()
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// fit cuts a table to a terminal, and says what it leaves out.
func fit(table []string, columns, lines int) []string {
	if lines = max(lines, 1); len(table) > lines {
		left := len(table) - lines + 1
		table = append(table[:lines-1:lines-1], fmt.Sprintf("… %d more: make the terminal larger, or use --json", left))
	}
	for i, l := range table {
		if r := []rune(l); len(r) > columns {
			table[i] = string(r[:columns])
		}
	}
	return table
}

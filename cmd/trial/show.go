package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trial"
	"linktape/trial/metrics"
	"linktape/trial/report"
)

func showCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "show", ArgsUsage: "DIR",
		Usage: "print what a trial's folder says",
		Flags: []ucli.Flag{&ucli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 1, 1)
			if err != nil {
				return err
			}
			if done, err := showCase(args[0], stdout); done {
				return err
			}
			return show(c, args[0], stdout)
		},
	}
}

// result is what --json prints.
type result struct {
	Trial   *trial.Manifest `json:"trial"`
	Summary *trial.Summary  `json:"summary,omitempty"` // none where the devices under test are outside
	Metrics *metrics.Result `json:"metrics,omitempty"`
	Why     string          `json:"not_measured,omitempty"` // why there are no metrics
}

// show prints a trial's figures.
func show(c *ucli.Context, dir string, stdout io.Writer) error {
	m, err := trial.ReadManifest(dir)
	if err != nil {
		return err
	}
	r := result{Trial: m}
	if m.Sink != nil {
		if r.Summary, err = trial.Summarize(dir); err != nil {
			return err
		}
	}
	if r.Metrics, err = metrics.Compute(dir); err != nil { // of a trial that was stopped soon, for example
		r.Why = err.Error()
	}
	if c.Bool("json") {
		return cli.PrintJSON(stdout, &r)
	}
	return printResult(stdout, dir, &r)
}

func printResult(stdout io.Writer, dir string, r *result) error {
	m := r.Trial
	var b strings.Builder
	names := make([]string, len(m.Links))
	for i, l := range m.Links {
		names[i] = l.Name
	}
	fmt.Fprintf(&b, "%s: %s over %s (%s), seed %d, %v, %s time\n", dir, m.Stack, m.Scenario, strings.Join(names, ", "), m.Seed, m.Duration, m.Time)
	if s := r.Summary; s != nil {
		fmt.Fprintf(&b, "%d bit/s in datagrams of %d bytes, recovery buffer %v; from %v on, without the last %v:\n", m.Rate, m.Datagram, m.Buffer, m.WarmUp, m.CoolDown)
		cli.Table(&b, [][]string{
			{"", "SENT", "RECEIVED", "LOST", "DUPLICATES", "OUT OF ORDER"},
			{"datagrams", fmt.Sprint(s.Sent), fmt.Sprint(s.Received), fmt.Sprint(s.Lost), fmt.Sprint(s.Duplicates), fmt.Sprint(s.OutOfOrder)},
		})
		cli.Table(&b, [][]string{
			{"ms", "P50", "P95", "P99", "MAX"},
			{"latency", ms(s.Latency.P50), ms(s.Latency.P95), ms(s.Latency.P99), ms(s.Latency.Max)},
		})
		fmt.Fprintf(&b, "longest gap at the output: %s ms; lost at the start: %d datagrams\n", ms(s.LongestGap), s.StartupLoss)
	}
	if x := r.Metrics; x != nil {
		printMetrics(&b, x)
	} else {
		fmt.Fprintln(&b, "not measured:", r.Why)
	}
	if !m.Complete {
		fmt.Fprintln(&b, "not complete: the trial was stopped before its end")
	}
	for _, f := range m.Findings {
		fmt.Fprintln(&b, "finding:", f)
	}
	if r.Metrics != nil {
		for _, f := range r.Metrics.Findings {
			fmt.Fprintln(&b, "finding:", f.Text)
		}
	}
	_, err := io.WriteString(stdout, b.String())
	return err
}

// printMetrics prints some metrics of each link and of the bond; trial report has all
// of them.
func printMetrics(b *strings.Builder, r *metrics.Result) {
	figure := func(name, link, unit string) string { return report.Figure(r.Get(name, link), unit) }
	rows := [][]string{{"LINK", "SHARE", "FIRST COPIES", "LOSS", "RETRANSMITTED", "RTT P50", "RTT P99", "QUEUE MAX"}}
	for _, l := range r.Links {
		rows = append(rows, []string{l, figure("share", l, "1"), figure("effective_throughput_bit_s", l, "bit/s"), figure("loss", l, "1"),
			figure("retransmissions_packets", l, ""), figure("rtt_p50_ms", l, "ms"), figure("rtt_p99_ms", l, "ms"), figure("queue_delay_max_ms", l, "ms")})
	}
	cli.Table(b, rows)
	fmt.Fprintf(b, "retransmission rate %s: necessary %s, spurious %s, lost %s; unrecovered %s\n", figure("retransmission_rate", "", "1"),
		figure("retransmission_rate_necessary", "", "1"), figure("retransmission_rate_spurious", "", "1"), figure("retransmission_rate_lost", "", "1"), figure("unrecovered", "", "1"))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }

//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"linktape/internal/cli"
	"linktape/internal/plot"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

const (
	defaultDuration = 20 * time.Second
	binWidth        = 100 * time.Millisecond
	overload        = 1.2              // the load's rate, in terms of the tape's highest
	spare           = 10 * time.Second // after which load that nobody stops stops by itself
)

type demo struct {
	bin, out, tape, shaper, name string
	duration, from               time.Duration
	packetBytes                  int
	within                       float64
	stdout, stderr               io.Writer
}

// command prepares one of the commands, and shows it as a user would type it.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	file := filepath.Join(d.bin, name)
	fmt.Fprintln(d.stdout, "$", file, strings.Join(args, " "))
	c := exec.CommandContext(ctx, file, args...)
	c.Stdout, c.Stderr = d.stdout, d.stderr
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	// An interrupt at the terminal comes through Cancel alone: a second one
	// would kill the command before it has tidied up.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

func (d *demo) run(ctx context.Context) (err error) {
	if err := os.MkdirAll(d.out, 0o777); err != nil {
		return err
	}
	if d.tape == "" {
		d.tape = filepath.Join(d.out, "drive.tape")
		if err := d.command(ctx, "tracegen", "synth", "--seed", "1", "-o", d.tape, "three-carrier-drive").Run(); err != nil {
			return fmt.Errorf("make the tape: %w", err)
		}
	}
	tape, err := trace.ReadFile(d.tape)
	if err != nil {
		return err
	}
	if d.from+d.duration > tape.Meta.Duration {
		return cli.Usagef("play %v from %v: the tape lasts %v; see --duration and --from", d.duration, d.from, tape.Meta.Duration)
	}
	idle := true
	for _, l := range tape.Meta.Links {
		idle = idle && d.busiest(tape, l.Name) == 0
	}
	if idle {
		return errors.New("the tape lets nothing through upwards in that time: there is nothing to compare")
	}
	if err := d.command(ctx, "linkup", "up", "--name", d.name, "--shaper", d.shaper, "--tape", d.tape).Run(); err != nil {
		return fmt.Errorf("build the links: %w", err)
	}
	defer func() {
		// Also when ctx has ended: nothing may be left behind.
		down := d.command(context.WithoutCancel(ctx), "linkup", "down", "--kill", d.name)
		if e := down.Run(); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the links: %w", e))
		}
	}()
	status, err := d.status(ctx)
	if err != nil {
		return err
	}
	args := []string{"run", "--on", d.name, "--from", d.from.String(), "--duration", d.duration.String(), "--out", d.out,
		"--counters", "0", "--read-back", "0"} // nothing else asks the kernel while it is measured
	ratesOnly := false
	for _, l := range status.Links {
		ratesOnly = ratesOnly || !l.Netem
	}
	if ratesOnly {
		fmt.Fprintln(d.stdout, "This kernel has no netem: the demo plays the rates; delay and loss need netem.")
		args = append(args, "--rates-only")
	}
	arrived, err := d.load(ctx, status, tape, append(args, d.tape))
	if err != nil {
		return err
	}
	return d.report(tape, status, arrived, ratesOnly)
}

func (d *demo) status(ctx context.Context) (*netsetup.RunStatus, error) {
	c := exec.CommandContext(ctx, filepath.Join(d.bin, "linkup"), "status", "--json", d.name)
	c.Stderr = d.stderr
	data, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("read the links' status: %w", err)
	}
	s := new(netsetup.RunStatus)
	return s, json.Unmarshal(data, s)
}

// load runs the replay between a source and a sink that saturate every
// uplink, and returns what arrived, in the order of the links.
func (d *demo) load(ctx context.Context, status *netsetup.RunStatus, tape *trace.Timeline, args []string) ([]arrivals, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	inside := func(end, verb string, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, filepath.Join(d.bin, "linkup"), append([]string{"exec", d.name, end, "--", self, verb}, args...)...)
		c.Stderr = d.stderr
		return c
	}
	total := d.duration + spare
	sink := inside(netsetup.ReceiverEnd, "receive", total.String())
	source := inside(netsetup.SenderEnd, "send", total.String(), fmt.Sprint(d.packetBytes))
	for _, l := range status.Links {
		rate := trace.BitRate(overload * float64(d.busiest(tape, l.Name)))
		sink.Args = append(sink.Args, l.ReceiverAddr[0])
		if rate == 0 {
			continue // the tape has no uplink
		}
		source.Args = append(source.Args, fmt.Sprintf("%s=%dbit", l.ReceiverAddr[0], rate))
		fmt.Fprintf(d.stdout, "load: %v of UDP to %s over %s\n", rate, l.ReceiverAddr[0], l.Name)
	}
	stop, err := sink.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := sink.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := sink.Start(); err != nil {
		return nil, err
	}
	defer sink.Wait()
	defer stop.Close()
	r := bufio.NewReader(output)
	if line, err := r.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, fmt.Errorf("start the sink: got %q, %v", line, err)
	}
	if err := source.Start(); err != nil {
		return nil, err
	}
	err = d.command(ctx, "replay", args...).Run()
	source.Process.Kill()
	source.Wait()
	if err != nil {
		return nil, fmt.Errorf("replay the tape: %w", err)
	}
	stop.Close()
	var all []arrivals
	if err := json.NewDecoder(r).Decode(&all); err != nil || len(all) != len(status.Links) {
		return nil, fmt.Errorf("read what arrived: %d of %d links: %v", len(all), len(status.Links), err)
	}
	return all, nil
}

// busiest is the highest rate of an uplink in what is played.
func (d *demo) busiest(tape *trace.Timeline, link string) trace.BitRate {
	var most trace.BitRate
	for _, s := range tape.Steps {
		if s.Link == link && s.Dir == trace.Up && s.At < d.from+d.duration {
			most = max(most, s.Rate)
		}
	}
	return most
}

// allowed is what should arrive of an uplink's tape by millisecond of the
// window: its rate, less what it loses, shifted by its delay. Bytes.
func (d *demo) allowed(tape *trace.Timeline, link string, ratesOnly bool) []float64 {
	out := make([]float64, d.duration.Milliseconds())
	spans := trace.NewSpanner(tape.Meta.Duration, func(s trace.Span) {
		if s.Link != link || s.Dir != trace.Up {
			return
		}
		delay, loss := s.Delay, s.MeanLoss()
		if ratesOnly {
			delay, loss = 0, 0
		}
		rate := float64(s.Capacity()) / 8 * (1 - loss) / 1e9 // bytes per ns
		for at := max(s.From, d.from); at < min(s.To, d.from+d.duration); {
			end := min(at.Truncate(time.Millisecond)+time.Millisecond, s.To, d.from+d.duration)
			if ms := int((at - d.from + delay).Milliseconds()); ms < len(out) {
				out[ms] += rate * float64(end-at)
			}
			at = end
		}
	})
	for i := range tape.Steps {
		spans.Step(&tape.Steps[i])
	}
	spans.Finish()
	return out
}

// window cuts what arrived to the replay's window, by millisecond.
func (a *arrivals) window(epoch time.Time, n int) []float64 {
	out := make([]float64, n)
	first := epoch.UnixMilli() - a.StartMs
	for i := range out {
		if ms := first + int64(i); ms >= 0 && ms < int64(len(a.Bytes)) {
			out[i] = float64(a.Bytes[ms])
		}
	}
	return out
}

// binned sums milliseconds up to bins, in Mbit/s.
func binned(ms []float64) []float64 {
	n := int(binWidth.Milliseconds())
	out := make([]float64, 0, len(ms)/n)
	for ; len(ms) >= n; ms = ms[n:] {
		out = append(out, sum(ms[:n])*8/binWidth.Seconds()/1e6)
	}
	return out
}

func sum(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

// nrmse is the root mean square difference of two series in terms of the mean
// of the first.
func nrmse(want, got []float64) float64 {
	s := 0.0
	for i := range want {
		s += (got[i] - want[i]) * (got[i] - want[i])
	}
	return math.Sqrt(s/float64(len(want))) / (sum(want) / float64(len(want)))
}

func (d *demo) report(tape *trace.Timeline, status *netsetup.RunStatus, all []arrivals, ratesOnly bool) error {
	data, err := os.ReadFile(filepath.Join(d.out, "summary.json"))
	if err != nil {
		return err
	}
	var s replay.Summary
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	var series []plot.DeliverySeries
	var outside []string
	w := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(d.stdout)
	fmt.Fprintln(w, "LINK\tTAPE ALLOWED\tARRIVED\tDIFFERENCE\tNRMSE 100 ms\t")
	for i, l := range status.Links {
		want := d.allowed(tape, l.Name, ratesOnly)
		got := all[i].window(s.Epoch, len(want))
		if sum(want) == 0 {
			fmt.Fprintf(w, "%s\t-\t%.3f MB\t-\t-\t\n", l.Name, sum(got)/1e6)
			continue
		}
		difference := sum(got)/sum(want) - 1
		e := nrmse(binned(want), binned(got))
		fmt.Fprintf(w, "%s\t%.3f MB\t%.3f MB\t%+.2f %%\t%.3f\t\n", l.Name, sum(want)/1e6, sum(got)/1e6, 100*difference, e)
		series = append(series, plot.DeliverySeries{
			Name: l.Name + " up", Tape: binned(want), Delivered: binned(got),
			Note: fmt.Sprintf("total %+.2f %%, NRMSE %.3f", 100*difference, e),
		})
		if math.Abs(difference) > d.within {
			outside = append(outside, fmt.Sprintf("%s %+.2f %%", l.Name, 100*difference))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "lateness of a step: p50 %v, p99 %v, max %v\n", s.Lateness.P50, s.Lateness.P99, s.Lateness.Max)
	picture := filepath.Join(d.out, "delivery.png")
	f, err := os.Create(picture)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s, %v from %v, saturated, %s", filepath.Base(d.tape), d.duration, d.from, d.shaper)
	if err := errors.Join(plot.Delivery(f, "png", title, binWidth, series), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "plot: %s\n", picture)
	if len(outside) > 0 {
		return cli.Boundsf("outside %.0f %% of the tape: %s", 100*d.within, strings.Join(outside, ", "))
	}
	return nil
}

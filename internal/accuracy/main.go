//go:build linux

// Command accuracy measures what each kind of bottleneck delivers of a tape
// under saturation, in the lab, and writes the table of docs/accuracy.md.
//
//	accuracy [--traces DIR] [--duration D] [--kinds KINDS] [--jobs N]
//	accuracy --from FILE
//	accuracy cell [--kind KIND] [--step D] [--duration D] TRACE
//
// DIR holds the three Mahimahi field traces; where they are absent, the uplinks
// of the library's three-carrier drive are measured in their place. Each cell of
// the table is a lab of its own: "accuracy cell" runs in it. The figures are also
// written as JSON, from which --from makes the document again without
// measuring. Exit status 3: a figure is outside its bar.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"linktape/internal/cli"
)

func main() { cli.Main("accuracy", run) }

type options struct {
	lab, traces, out, document, picture, from string
	kinds                                     []kind
	duration                                  time.Duration
	jobs                                      int
}

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "cell" {
		return runCell(ctx, args[1:], stdout)
	}
	var o options
	var names string
	f := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors are returned
	f.StringVar(&o.lab, "lab", "bin/lab", "the lab's command")
	f.StringVar(&o.traces, "traces", "../shared/fieldtraces/mahimahi", "directory of the field traces")
	f.StringVar(&o.out, "out", "out/accuracy", "directory of the figures as JSON")
	f.StringVar(&o.document, "document", "docs/accuracy.md", "document whose table is written; empty: none")
	f.StringVar(&o.picture, "picture", "docs/accuracy.svg", "picture of the curves; empty: none")
	f.StringVar(&o.from, "from", "", "write the document from figures measured before")
	f.StringVar(&names, "kinds", "", "kinds of bottleneck, separated by commas; empty: "+kindNames())
	f.DurationVar(&o.duration, "duration", 0, "how much of each trace to measure, where no bar is of the whole trace; 0: all of it")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "labs at the same time")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(stdout)
		f.Usage()
		return nil
	case err != nil:
		return cli.Usagef("%w; see accuracy --help", err)
	case f.NArg() > 0:
		return cli.Usagef("unknown argument %q; see accuracy --help", f.Arg(0))
	case o.duration < 0:
		return cli.Usagef("--duration %v: negative", o.duration)
	case o.duration%scoreBin != 0:
		return cli.Usagef("--duration %v: not a multiple of %v", o.duration, scoreBin)
	case o.jobs < 1:
		return cli.Usagef("--jobs %d: less than 1", o.jobs)
	}
	o.kinds = kinds()
	if names != "" {
		o.kinds = nil
		for _, name := range strings.Split(names, ",") {
			k, err := kindNamed(name)
			if err != nil {
				return cli.Usagef("--kinds: %w", err)
			}
			o.kinds = append(o.kinds, k)
		}
	}
	var fig *figures
	var err error
	if o.from != "" {
		fig, err = readFigures(o.from)
	} else {
		fig, err = o.measureAll(ctx, stderr)
	}
	if err != nil {
		return err
	}
	if err := o.write(fig); err != nil {
		return err
	}
	fmt.Fprint(stdout, fig.table())
	if outside := fig.outside(); len(outside) > 0 {
		return cli.Boundsf("outside the bars:\n%s", strings.Join(outside, "\n"))
	}
	return nil
}

// runCell measures one cell and prints it as JSON. It runs in a lab, or as root
// on any machine that has what the kind needs.
func runCell(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("accuracy cell", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	name := f.String("kind", "tbf", "kind of the bottleneck: "+kindNames())
	step := f.Duration("step", 100*time.Millisecond, "step of the tape; 0: a trace's own delivery opportunities")
	duration := f.Duration("duration", 0, "how much of the trace to play; 0: all of it")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(stdout)
		f.Usage()
		return nil
	case err != nil:
		return cli.Usagef("%w; see accuracy cell --help", err)
	case f.NArg() != 1:
		return cli.Usagef("%d arguments, want a trace or a link of the scenario; see accuracy cell --help", f.NArg())
	case *step < 0:
		return cli.Usagef("--step %v: negative", *step)
	}
	k, err := kindNamed(*name)
	if err != nil {
		return cli.Usagef("--kind: %w", err)
	}
	tl, err := sourceNamed(f.Arg(0)).tape(*step, *duration)
	if err != nil {
		return err
	}
	c, err := measure(ctx, k, tl, *step)
	if err != nil {
		return fmt.Errorf("measure %s at %v on %s: %w", k.name, *step, f.Arg(0), err)
	}
	return json.NewEncoder(stdout).Encode(c)
}

// measureAll measures every cell, each in a lab of its own.
func (o *options) measureAll(ctx context.Context, stderr io.Writer) (*figures, error) {
	all, field, err := sourcesIn(o.traces)
	if err != nil {
		return nil, err
	}
	if !field {
		fmt.Fprintf(stderr, "accuracy: there are no field traces in %s: the uplinks of %s are measured in their place; --traces names another directory\n", o.traces, scenario)
	}
	fig := &figures{Field: field}
	for _, s := range all {
		fig.Traces = append(fig.Traces, s.Name)
	}
	for _, k := range o.kinds {
		fig.Kinds = append(fig.Kinds, k.name)
	}
	if fig.Choices, err = choices(all, o.duration); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type job struct {
		source source
		kind   kind
		step   time.Duration
	}
	var jobs []job
	for _, k := range o.kinds {
		for _, step := range steps() {
			if !k.follows(step) {
				continue
			}
			for _, s := range all {
				if step > grain || s.grained() {
					jobs = append(jobs, job{s, k, step})
				}
			}
		}
	}
	fig.Cells = make([]cell, len(jobs))
	progress := cli.NewProgress(stderr, "measure")
	defer progress.Done()
	var mu sync.Mutex
	done := 0
	next := make(chan int)
	var work sync.WaitGroup
	for range min(o.jobs, len(jobs)) {
		work.Go(func() {
			for i := range next {
				j := jobs[i]
				duration := o.duration
				if j.kind.whole(j.step) {
					duration = 0
				}
				c := exec.CommandContext(ctx, o.lab, "run", "--", self, "cell", "--kind", j.kind.name, "--step", j.step.String(), "--duration", duration.String(), j.source.arg())
				c.Stderr = stderr
				c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
				c.WaitDelay = 10 * time.Second
				c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal at the terminal comes through Cancel alone
				text, err := c.Output()
				if err == nil {
					err = json.Unmarshal(text, &fig.Cells[i])
				}
				if err != nil {
					stop(fmt.Errorf("%s at %v on %s: %w", j.kind.name, j.step, j.source.Name, err))
					return
				}
				fig.Cells[i].Trace = j.source.Name
				mu.Lock()
				done++
				progress.Set(float64(done) / float64(len(jobs)))
				mu.Unlock()
			}
		})
	}
	for i := range jobs {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	work.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return fig, nil
}

// write leaves the figures as JSON, in the document and as a picture.
func (o *options) write(fig *figures) error {
	if o.from == "" {
		if err := os.MkdirAll(o.out, 0o777); err != nil {
			return err
		}
		data, err := json.Marshal(fig)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.out, "figures.json"), data, 0o666); err != nil {
			return err
		}
	}
	if o.document != "" {
		data, err := os.ReadFile(o.document)
		if err != nil {
			return err
		}
		if data, err = replaceTable(data, fig.table()); err != nil {
			return fmt.Errorf("%s: %w", o.document, err)
		}
		if err := os.WriteFile(o.document, data, 0o666); err != nil {
			return err
		}
	}
	if o.picture != "" {
		return fig.draw(o.picture)
	}
	return nil
}

func readFigures(file string) (*figures, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fig := new(figures)
	if err := json.Unmarshal(data, fig); err != nil {
		return nil, fmt.Errorf("%s: %w: it is not what accuracy wrote", file, err)
	}
	return fig, nil
}

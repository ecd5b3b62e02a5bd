package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/internal/privtest"
)

func matrixCommand(ctx context.Context, stdout, stderr io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "matrix", ArgsUsage: "PACKAGE…",
		Usage: "run packages' tests on several kernels and say which ran what; exit status 1 if a kernel did not boot, ran nothing, or a test failed",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "kernels", Value: strings.Join(lab.KernelNames(), ","), Usage: "`KERNELS` to run, separated by commas"},
			&ucli.StringFlag{Name: "run", Usage: "only tests that match `PATTERN`, as go test -run"},
			&ucli.BoolFlag{Name: "short", Usage: "run go test -short on kernels in real time, where system calls cost it"},
			&ucli.DurationFlag{Name: "timeout", Value: 30 * time.Minute, Usage: "end a package's tests after this time in the lab, as go test -timeout"},
			&ucli.BoolFlag{Name: "skips", Usage: "list the tests that were skipped, and why"},
			&ucli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: func(c *ucli.Context) error { return matrix(ctx, c, stdout, stderr) },
	}
}

// kernelReport is what one kernel of a matrix did.
type kernelReport struct {
	Kernel   string          `json:"kernel"`
	Err      string          `json:"error,omitempty"` // why it ran nothing
	Boot     time.Duration   `json:"boot_ns"`         // from the start to the end of a run that does nothing else
	Probed   *probed         `json:"probed,omitempty"`
	Packages []packageReport `json:"packages"`
}

// packageReport is what the tests of one package did on one kernel.
type packageReport struct {
	Package    string            `json:"package"`
	Passed     int               `json:"passed"` // tests with their subtests
	Failed     []string          `json:"failed,omitempty"`
	Skipped    map[string]string `json:"skipped,omitempty"`    // why, by test
	Broken     bool              `json:"broken,omitempty"`     // it failed besides its tests: not built, killed
	Unfinished []string          `json:"unfinished,omitempty"` // tests that began and had no end
	Elapsed    float64           `json:"elapsed_s"`            // as go test measured it, boot included
}

func matrix(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	if c.NArg() == 0 {
		return cli.Usagef("usage: %s %s", c.Command.HelpName, c.Command.ArgsUsage)
	}
	args := append([]string{"-timeout", c.Duration("timeout").String()}, c.Args().Slice()...)
	if p := c.String("run"); p != "" {
		args = append([]string{"-run", p}, args...)
	}
	var reports []kernelReport
	for name := range strings.SplitSeq(c.String("kernels"), ",") {
		fmt.Fprintf(stderr, "lab: kernel %s\n", name)
		r := kernelReport{Kernel: name}
		own := args
		if k, err := findKernel(name); c.Bool("short") && err == nil && !k.Virtual() {
			own = append([]string{"-short"}, args...)
		}
		if err := r.fill(ctx, own, stderr); err != nil {
			r.Err = err.Error()
			fmt.Fprintf(stderr, "lab: kernel %s: %v\n", name, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		reports = append(reports, r)
	}
	var err error
	if c.Bool("json") {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(reports)
	} else {
		err = printMatrix(stdout, reports, c.Bool("skips"))
	}
	return errors.Join(err, verdict(reports))
}

// fill boots the kernel, asks it, and runs the tests on it.
func (r *kernelReport) fill(ctx context.Context, args []string, stderr io.Writer) error {
	began := time.Now()
	var err error
	flags := []string{"--kernel", r.Kernel}
	if r.Probed, err = ask(ctx, flags); err != nil {
		return err
	}
	r.Boot = time.Since(began)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, append(append([]string{"test"}, flags...), append([]string{"-json"}, args...)...)...)
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.Packages, err = tally(out, stderr)
	io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if werr := cmd.Wait(); werr != nil && !errors.As(werr, &exit) || err != nil {
		return errors.Join(err, werr)
	} else if werr != nil && len(r.Packages) == 0 {
		return fmt.Errorf("lab test: %w", werr)
	}
	return nil
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

// skipReason is how the testing package reports t.Skip: file, line, text.
var skipReason = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

// tally counts the events of go test -json. The output of what fails goes to
// failures.
func tally(r io.Reader, failures io.Writer) ([]packageReport, error) {
	type key struct{ pkg, test string }
	packages := make(map[string]*packageReport)
	output := make(map[key]*bytes.Buffer)
	running := make(map[key]bool)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Package == "" {
			fmt.Fprintf(failures, "%s\n", lines.Bytes()) // a build that failed says so in its own words
			continue
		}
		k := key{e.Package, e.Test}
		p := packages[e.Package]
		if p == nil {
			p = &packageReport{Package: e.Package, Skipped: make(map[string]string)}
			packages[e.Package] = p
		}
		if e.Action == "output" {
			if output[k] == nil {
				output[k] = new(bytes.Buffer)
			}
			output[k].WriteString(e.Output)
			continue
		}
		said := ""
		if output[k] != nil {
			said = output[k].String()
		}
		switch {
		case e.Test != "" && e.Action == "run":
			running[k] = true
			continue
		case e.Test == "" && e.Action == "fail":
			p.Elapsed = e.Elapsed
			// Tests without an end: the program was killed, or its kernel died.
			for r := range running {
				if r.pkg == e.Package {
					p.Unfinished = append(p.Unfinished, r.test)
				}
			}
			slices.Sort(p.Unfinished)
			// A time limit ends the program in the middle of a test, which fails
			// by it; those after it never begin.
			p.Broken = len(p.Failed) == 0 || len(p.Unfinished) > 0 || strings.Contains(said, "panic: ") || strings.Contains(said, "lab: ")
			if p.Broken {
				io.WriteString(failures, said)
			}
		case e.Test == "" && e.Action == "pass", e.Test == "" && e.Action == "skip":
			p.Elapsed = e.Elapsed
		case e.Action == "pass":
			p.Passed++
		case e.Action == "fail":
			p.Failed = append(p.Failed, e.Test)
			io.WriteString(failures, said)
		case e.Action == "skip":
			p.Skipped[e.Test] = reason(said)
		default:
			continue
		}
		delete(output, k)
		delete(running, k)
	}
	var out []packageReport
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		out = append(out, *packages[name])
	}
	return out, lines.Err()
}

// reason finds why a test was skipped in what it said.
func reason(said string) string {
	for line := range strings.Lines(said) {
		if m := skipReason.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

func printMatrix(stdout io.Writer, reports []kernelReport, skips bool) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KERNEL\tRELEASE\tCPUS\tBOOT\tPACKAGE\tPASSED\tFAILED\tSKIPPED\tTIME")
	for _, r := range reports {
		if r.Probed == nil {
			fmt.Fprintf(w, "%s\tdid not boot\n", r.Kernel)
			continue
		}
		head := fmt.Sprintf("%s\t%s\t%d\t%.1f s", r.Kernel, r.Probed.Release, r.Probed.CPUs, r.Boot.Seconds())
		if r.Err != "" {
			fmt.Fprintf(w, "%s\tran no tests\n", head)
		}
		for _, p := range r.Packages {
			failed := fmt.Sprint(len(p.Failed))
			if p.Broken {
				failed += ", broken"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%.1f s\n", head, p.Package, p.Passed, failed, len(p.Skipped), p.Elapsed)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		if r.Err != "" {
			fmt.Fprintf(stdout, "%s: %s\n", r.Kernel, r.Err)
			continue
		}
		fmt.Fprintf(stdout, "%s: promised to tests: %s\n", r.Kernel, r.Probed.promises(r.Kernel, os.Getenv(privtest.Variable)))
		for _, f := range r.Probed.Features {
			if f.Err != "" {
				fmt.Fprintf(stdout, "%s lacks %s, for %s: %s; needs %s\n", r.Kernel, f.Name, f.What, f.Err, f.Need)
			}
		}
		for _, p := range r.Packages {
			for _, t := range p.Unfinished {
				fmt.Fprintf(stdout, "%s: %s: %s did not end\n", r.Kernel, p.Package, t)
			}
			for _, t := range p.Failed {
				fmt.Fprintf(stdout, "%s: %s: %s failed\n", r.Kernel, p.Package, t)
			}
			if skips {
				for _, t := range slices.Sorted(maps.Keys(p.Skipped)) {
					fmt.Fprintf(stdout, "%s: %s: %s skipped: %s\n", r.Kernel, p.Package, t, p.Skipped[t])
				}
			}
		}
	}
	return nil
}

// verdict is the error of a matrix that is not as it should be. A package
// without tests is fine, a kernel without any is not.
func verdict(reports []kernelReport) error {
	var errs []error
	for _, r := range reports {
		ran, failed, broken := 0, 0, 0
		for _, p := range r.Packages {
			ran += p.Passed + len(p.Failed)
			failed += len(p.Failed)
			if p.Broken {
				broken++
			}
		}
		switch {
		case r.Err != "":
			errs = append(errs, fmt.Errorf("kernel %s ran nothing", r.Kernel))
		case failed > 0 || broken > 0:
			errs = append(errs, fmt.Errorf("kernel %s: %d of %d tests failed, and %d packages outside their tests", r.Kernel, failed, ran, broken))
		case ran == 0:
			errs = append(errs, fmt.Errorf("kernel %s: every test was skipped", r.Kernel))
		}
	}
	return errors.Join(errs...)
}

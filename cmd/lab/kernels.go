package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/internal/privtest"
	"linktape/netsetup"
)

// kernelVariable names the kernel where --kernel does not.
const kernelVariable = "LINKTAPE_LAB_KERNEL"

func kernelFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "kernel", EnvVars: []string{kernelVariable}, Value: lab.KernelBuilt,
		Usage: "`KERNEL` to run: " + strings.Join(lab.KernelNames(), ", ") + ", or the file of a User-Mode-Linux kernel"}
}

func copyFlag() ucli.Flag {
	return &ucli.StringSliceFlag{Name: "copy", Usage: "give an emulated computer a `FILE` or directory of the host; may be repeated"}
}

// findKernel finds what --kernel means: a name, or else a file.
func findKernel(name string) (lab.Kernel, error) {
	if slices.Contains(lab.KernelNames(), name) {
		return lab.FindKernel(name)
	}
	if _, err := os.Stat(name); err != nil {
		return lab.Kernel{}, cli.Usagef("--kernel %s: neither a file nor one of %s", name, strings.Join(lab.KernelNames(), ", "))
	}
	return lab.Kernel{File: name, Machine: lab.UML}, nil
}

// chooseKernel makes a run with the kernel of the flags, and with what that
// kernel cannot do left out or refused.
func chooseKernel(c *ucli.Context, o *lab.Options) error {
	k, err := findKernel(c.String("kernel"))
	if cli.Status(err) == 2 {
		return err
	}
	if err == nil {
		err = k.Use(o)
	}
	if err != nil {
		return &cli.Error{Status: exitLab, Err: err}
	}
	if !k.Virtual() {
		for _, f := range []string{"start", "seed", "random"} {
			if c.IsSet(f) {
				return cli.Usagef("--%s goes with virtual time, which kernel %s does not have", f, k.Name)
			}
		}
		if c.IsSet("time") && o.Time == lab.Virtual {
			return cli.Usagef("--time virtual: kernel %s runs in real time only", k.Name)
		}
		o.Time = lab.Real
	}
	if k.Machine != lab.QEMU {
		if c.IsSet("copy") {
			return cli.Usagef("--copy: kernel %s sees the host's files as it is", c.String("kernel"))
		}
		return nil
	}
	for _, f := range []string{"bind", "out"} {
		if c.IsSet(f) {
			return cli.Usagef("--%s: nothing but its output comes back from the emulated computer of kernel %s", f, k.Name)
		}
	}
	o.Writable = nil
	for _, name := range c.StringSlice("copy") {
		abs, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		o.Copy = append(o.Copy, abs)
	}
	if strings.HasSuffix(o.Argv[0], ".test") {
		return copyPackage(o)
	}
	return nil
}

// copyPackage copies what a package's tests find in their working directory:
// its files and its testdata, not the packages below.
func copyPackage(o *lab.Options) error {
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() || e.IsDir() && e.Name() == "testdata" {
			o.Copy = append(o.Copy, filepath.Join(o.Dir, e.Name()))
		}
	}
	return nil
}

func fetchCommand(ctx context.Context, stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "fetch", ArgsUsage: "KERNEL",
		Usage: "unpack Debian's package of a kernel into the cache, without installing it",
		Action: func(c *ucli.Context) error {
			args, err := cli.Args(c, 1, 1)
			if err != nil {
				return err
			}
			version, err := lab.FetchKernel(ctx, args[0])
			if err != nil {
				return err
			}
			k, err := lab.FindKernel(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(stdout, version, k.File)
			return err
		},
	}
}

// promisesCommand is what a lab is asked for what its kernel can do.
func promisesCommand(stdout io.Writer) *ucli.Command {
	return &ucli.Command{
		Name: "promises", Hidden: true,
		Action: func(*ucli.Context) error {
			p, err := probeKernel()
			if err != nil {
				return err
			}
			return json.NewEncoder(stdout).Encode(p)
		},
	}
}

// probed is a kernel as seen from inside.
type probed struct {
	Release  string             `json:"release"`
	CPUs     int                `json:"cpus"`
	Features []netsetup.Feature `json:"features"`
}

func probeKernel() (*probed, error) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	e, err := netsetup.Examine()
	if err != nil {
		return nil, err
	}
	p := &probed{Release: strings.TrimSpace(string(release)), CPUs: e.Processors}
	for _, f := range e.Findings {
		p.Features = append(p.Features, f.Feature)
	}
	return p, nil
}

// promises are what tests can require in a lab with this kernel; see package
// privtest. Only a kernel with virtual time is the lab that they mean. What the
// caller promises besides, such as an installed program, is kept; what it says
// of its own kernel is not.
func (p *probed) promises(kernel, caller string) string {
	have := []string{"root"}
	if k, err := findKernel(kernel); err == nil && k.Virtual() {
		have = append(have, "lab")
	}
	if p.CPUs > 1 {
		have = append(have, "smp")
	}
	own := []string{"root", "lab", "smp", ""}
	for _, f := range p.Features {
		own = append(own, f.Name)
		if f.Err == "" {
			have = append(have, f.Name)
		}
	}
	for name := range strings.SplitSeq(caller, ",") {
		if !slices.Contains(own, name) {
			have = append(have, name)
		}
	}
	return strings.Join(have, ",")
}

// bootLimit is how long a kernel may take to boot and answer: an emulated
// computer on a slow, busy machine.
const bootLimit = 3 * time.Minute

// ask boots a kernel and lets it say what it can do.
func ask(ctx context.Context, flags []string) (*probed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"run", "--timeout", bootLimit.String()}, flags...)
	cmd := exec.CommandContext(ctx, self, append(args, "--", self, "promises")...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("find out what the kernel can do: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	p := new(probed)
	if err := json.Unmarshal(stdout.Bytes(), p); err != nil {
		return nil, fmt.Errorf("find out what the kernel can do: %w: it said %q", err, stdout.Bytes())
	}
	return p, nil
}

// promisesOf is what the kernel that the flags name has for tests to require.
func promisesOf(ctx context.Context, flags []string) (string, error) {
	p, err := ask(ctx, flags)
	if err != nil {
		return "", err
	}
	return p.promises(kernelOf(flags), os.Getenv(privtest.Variable)), nil
}

// kernelOf is the kernel that flags name, as splitFlags returns them.
func kernelOf(flags []string) string {
	name := lab.KernelBuilt
	if v := os.Getenv(kernelVariable); v != "" {
		name = v
	}
	for i, f := range flags {
		switch key, value, inline := strings.Cut(strings.TrimLeft(f, "-"), "="); {
		case key == "kernel" && inline:
			name = value
		case key == "kernel" && i+1 < len(flags):
			name = flags[i+1]
		}
	}
	return name
}

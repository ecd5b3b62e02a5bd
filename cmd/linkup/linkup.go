package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/netsetup"
	"linktape/trace"
)

// defaultRun is the run that is meant when none is named.
const defaultRun = "main"

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	source := []ucli.Flag{
		&ucli.StringFlag{Name: "name", Value: defaultRun, Usage: "name of the run; several live side by side"},
		&ucli.StringFlag{Name: "links", Usage: "build the named `LINKS` (a,b,c) with every default, without a file"},
		&ucli.StringFlag{Name: "tape", Usage: "build the links of a `TAPE`, with its queues"},
		&ucli.StringFlag{Name: "shaper", Usage: "bottleneck of --links and --tape: auto, tbf, htb, pulse, cake or edt", Value: string(netsetup.ShaperAuto)},
		&ucli.StringFlag{Name: "for", Usage: "where the shaper is auto, choose it for `TAPE`; default: that of --tape"},
	}
	asJSON := &ucli.BoolFlag{Name: "json", Usage: "print JSON"}
	app := cli.App(&ucli.App{
		Name:  "linkup",
		Usage: "build the links between a sender and a receiver, in network namespaces",
		Description: "linkup up --name demo --links att,vzw,tmo\n" +
			"linkup exec demo snd -- ping -c 3 10.77.0.6\n" +
			"linkup down demo",
		Commands: []*ucli.Command{{
			Name: "plan", ArgsUsage: "(TOPOLOGY | --links a,b,c | --tape TAPE)",
			Flags:  append(slices.Clone(source), &ucli.StringFlag{Name: "format", Value: "text", Usage: "text, or tc: a shell script that does the same by hand"}),
			Usage:  "print what up would create, in order, as ip and tc commands",
			Action: func(c *ucli.Context) error { return plan(c, stdout) },
		}, {
			Name:  "schema",
			Usage: "print the JSON Schema of topology files",
			Action: func(c *ucli.Context) error {
				if _, err := cli.Args(c, 0, 0); err != nil {
					return err
				}
				_, err := stdout.Write(netsetup.Schema())
				return err
			},
		}, {
			Name: "up", ArgsUsage: "(TOPOLOGY | --links a,b,c | --tape TAPE)",
			Flags:  append(slices.Clone(source), &ucli.IntFlag{Name: "owner", Usage: "process `PID` that the run belongs to: gc removes the run when that has ended"}),
			Usage:  "build the links: all of them, or nothing",
			Action: func(c *ucli.Context) error { return up(ctx, c, stdout, stderr) },
		}, downCommand(), gcCommand(stdout), {
			Name: "status", ArgsUsage: "[RUN]", Flags: append([]ucli.Flag{asJSON}, watchFlags()...),
			Usage:  "read back what the kernel has and compare it with the plan; exit status 3 if they differ",
			Action: func(c *ucli.Context) error { return status(ctx, c, stdout, stderr) },
		}, {
			Name: "list", Flags: []ucli.Flag{asJSON},
			Usage:  "list the runs",
			Action: func(c *ucli.Context) error { return list(c, stdout) },
		}, {
			Name: "exec", ArgsUsage: "(RUN snd|rcv|LINK | --rootless (TOPOLOGY | --links a,b,c | --tape TAPE)) -- COMMAND [ARGUMENT…]",
			Usage:       "run a command in the sender's end, the receiver's end or a link's router; or, without root, beside links of its own",
			Description: rootlessHelp,
			Flags:       append([]ucli.Flag{&ucli.BoolFlag{Name: "rootless", Usage: "build the links for the command, without root; they end with it"}}, source...),
			Action:      execIn,
		}, shellCommand(source), inside(ctx, source, stderr), {
			Name: "check", Flags: []ucli.Flag{asJSON},
			Usage:  "find out what this kernel and machine can do, by trying; exit status 1 if links cannot be built",
			Action: func(c *ucli.Context) error { return check(c, stdout) },
		}},
	}, stdin, stdout, stderr)
	return app.RunContext(ctx, append([]string{"linkup"}, args...))
}

// runArg is the run that the only argument names.
func runArg(c *ucli.Context) (string, error) {
	args, err := cli.Args(c, 0, 1)
	if err != nil {
		return "", err
	}
	if len(args) == 0 {
		return defaultRun, nil
	}
	return args[0], nil
}

// topology is what the flags and the argument of plan and up describe.
func topology(c *ucli.Context) (*netsetup.Topology, error) {
	args, err := cli.Args(c, 0, 1)
	if err != nil {
		return nil, err
	}
	return topologyOf(c, args)
}

// topologyOf is what the flags describe, or the file that the only argument
// names.
func topologyOf(c *ucli.Context, args []string) (*netsetup.Topology, error) {
	given := len(args)
	for _, f := range []string{"links", "tape"} {
		if c.String(f) != "" {
			given++
		}
	}
	if given != 1 {
		return nil, cli.Usagef("name one of a TOPOLOGY file, --links or --tape")
	}
	if len(args) == 1 {
		if c.IsSet("shaper") {
			return nil, cli.Usagef("--shaper goes with --links and --tape; a TOPOLOGY file has a shaper for each link")
		}
		return netsetup.ReadTopology(args[0])
	}
	t := new(netsetup.Topology)
	if tape := c.String("tape"); tape != "" {
		r, err := trace.Open(tape)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		t = netsetup.LinksOf(r.Meta())
	} else {
		for _, name := range strings.Split(c.String("links"), ",") {
			t.Links = append(t.Links, netsetup.DefaultLink(strings.TrimSpace(name)))
		}
	}
	for i := range t.Links {
		t.Links[i].UseShaper(netsetup.ShaperKind(c.String("shaper")))
	}
	if err := t.Check(); err != nil {
		return nil, cli.Usagef("%w", err)
	}
	return t, nil
}

// choose settles what --shaper auto leaves open, by the tape if there is one.
func choose(c *ucli.Context, t *netsetup.Topology, f netsetup.Features) error {
	file := c.String("for")
	if file == "" {
		file = c.String("tape")
	}
	var demands map[string]netsetup.Demand
	if file != "" {
		r, err := trace.Open(file)
		if err != nil {
			return err
		}
		defer r.Close()
		if demands, err = netsetup.DemandsOf(r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	t.Choose(demands, f)
	return nil
}

func plan(c *ucli.Context, stdout io.Writer) error {
	if f := c.String("format"); f != "text" && f != "tc" {
		return cli.Usagef("unknown --format %q: write text or tc", f)
	}
	t, err := topology(c)
	if err != nil {
		return err
	}
	// A plan can be looked at without root and on any system: it is then made
	// for a kernel that has everything.
	f, _, err := netsetup.Probe()
	if err != nil {
		f = netsetup.AllFeatures()
	}
	if err := choose(c, t, f); err != nil {
		return err
	}
	p, err := netsetup.NewPlan(c.String("name"), t, f)
	if err != nil {
		return err
	}
	if c.String("format") == "tc" {
		script, err := p.Script()
		if err != nil {
			return err
		}
		_, err = io.WriteString(stdout, script)
		return err
	}
	return printPlan(stdout, p)
}

func printPlan(stdout io.Writer, p *netsetup.Plan) error {
	w := bufio.NewWriter(stdout)
	for _, x := range p.Topology.Choices() {
		fmt.Fprintln(w, "# shaper", x)
	}
	for _, op := range p.Ops {
		fmt.Fprintln(w, op)
	}
	fmt.Fprintf(w, "# linkup down %s:\n", p.Run)
	for _, op := range slices.Backward(p.Ops) {
		if undo := op.Undo(); undo != "" {
			fmt.Fprintln(w, "# "+undo)
		}
	}
	return w.Flush()
}

func up(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	if c.IsSet("owner") && c.Int("owner") < 1 {
		return cli.Usagef("--owner %d: name a process by its number", c.Int("owner"))
	}
	t, err := topology(c)
	if err != nil {
		return err
	}
	p, err := build(ctx, c, t, stderr)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINK\tDEVICE\tSENDER\tRECEIVER\tSHAPER\tQUEUE\tPATH")
	for i, l := range t.Links {
		a := t.Addresses(i)
		device, far := t.LinkDevices(p.Run, i)
		if far != device {
			device += " " + far
		}
		path := "none"
		switch {
		case l.Path == netsetup.PathNone:
		case l.Shaper == netsetup.ShaperEDT:
			path = string(netsetup.ShaperEDT)
		case p.Features.Netem:
			path = "netem"
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%s\t%s\t%s\n", l.Name, device,
			a.Sender[0].Addr(), a.Receiver[0].Addr(), l.Shaper, queue(l.Queue), path)
	}
	return w.Flush()
}

// build builds a run of a topology as the flags ask for it, and says what is to
// be known of it.
func build(ctx context.Context, c *ucli.Context, t *netsetup.Topology, stderr io.Writer) (*netsetup.Plan, error) {
	f, _, err := netsetup.Probe()
	if err != nil {
		return nil, err
	}
	if err := choose(c, t, f); err != nil {
		return nil, err
	}
	p, err := netsetup.NewPlan(c.String("name"), t, f)
	if err != nil {
		return nil, err
	}
	p.Owner = c.Int("owner")
	progress := cli.NewProgress(stderr, "building run "+p.Run)
	err = netsetup.Up(ctx, p, progress.Set)
	progress.Done()
	if err != nil {
		return nil, err
	}
	printWarnings(stderr, t, f)
	return p, nil
}

func wantsPath(t *netsetup.Topology) bool {
	for _, l := range t.Links {
		if l.Path != netsetup.PathNone && l.Shaper != netsetup.ShaperEDT {
			return true
		}
	}
	return false
}

func queue(q trace.Queue) string {
	limit := fmt.Sprintf("%d B", q.LimitBytes)
	switch {
	case q.LimitTime > 0:
		limit = q.LimitTime.String()
	case q.LimitBytes == 0:
		return string(q.Kind)
	}
	if q.Kind != trace.DropTail {
		limit += " " + string(q.Kind)
	}
	return limit
}

func status(ctx context.Context, c *ucli.Context, stdout, stderr io.Writer) error {
	if c.Bool("watch") {
		return watch(ctx, c, stdout, stderr)
	}
	for _, f := range []string{"interval", "count", "prometheus"} {
		if c.IsSet(f) {
			return cli.Usagef("--%s goes with --watch", f)
		}
	}
	name, err := runArg(c)
	if err != nil {
		return err
	}
	s, err := netsetup.Status(name)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = cli.PrintJSON(stdout, s)
	} else {
		err = printStatus(stdout, s)
	}
	switch {
	case err != nil:
		return err
	case !s.Complete:
		return cli.Boundsf("run %s was left half-built: remove it with linkup down %s", name, name)
	case len(s.Differences) > 0:
		return cli.Boundsf("run %s differs from its plan in %d places: rebuild it with linkup down and up", name, len(s.Differences))
	}
	return nil
}

func printStatus(stdout io.Writer, s *netsetup.RunStatus) error {
	fmt.Fprintf(stdout, "run %s, built %s\n", s.Run, s.Created.Format(time.RFC3339))
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINK\tDIR\tFROM\tTO\tSHAPER\tBUCKET\tDELAY\tLOSS\tBACKLOG\tLIMIT\tDELIVERED\tQUEUE DROPS\tPATH DROPS")
	for _, l := range s.Links {
		for _, d := range []struct {
			name     string
			from, to []string
			netsetup.DirStatus
		}{{"up", l.SenderAddr, l.ReceiverAddr, l.Up}, {"down", l.ReceiverAddr, l.SenderAddr, l.Down}} {
			rate, delay, loss := "closed", "-", "-"
			if d.Rate > 0 {
				rate = d.Rate.String()
			}
			if d.Pulsed {
				rate = "pulses"
			}
			if l.Netem {
				delay, loss = d.Delay.String(), d.Loss.String()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d B\t%d B\t%d B\t%d\t%d\n", l.Name, d.name, d.from[0], d.to[0], l.Shaper,
				rate, delay, loss, d.BacklogBytes, d.LimitBytes, d.Bytes, d.Drops, d.PathDrops)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range s.Links {
		printExact(stdout, l.Name+" up", l.Up.Exact)
		printExact(stdout, l.Name+" down", l.Down.Exact)
	}
	if s.Owner != 0 {
		fmt.Fprintf(stdout, "owner: process %d\n", s.Owner)
	}
	for _, x := range s.Warnings {
		fmt.Fprintln(stdout, "warning:", x)
	}
	for _, p := range s.Processes {
		fmt.Fprintf(stdout, "process %d %s in %s\n", p.PID, p.Command, p.Namespace)
	}
	for _, d := range s.Differences {
		fmt.Fprintln(stdout, "differs:", d)
	}
	return nil
}

// printExact prints what backend: edt counts of a direction besides: packets that met no
// carrier, or whose steps were not known, where there are some, and how long packets
// spent in the queue.
func printExact(stdout io.Writer, name string, x *netsetup.ExactStats) {
	if x == nil {
		return
	}
	var said []string
	if len(x.QueueTimes) > 0 {
		said = append(said, fmt.Sprintf("half of the packets in the queue for less than %v, 99%% less than %v, all less than %v",
			x.QueueTime(0.5), x.QueueTime(0.99), x.QueueTime(1)))
	}
	for _, n := range []struct {
		packets uint64
		what    string
	}{
		{x.OutageDrops, "met no carrier"}, {x.Beyond, "came before their steps were known"},
		{x.Segmented, "stood for several on the wire"}, {x.Unstamped, "could not be held"},
	} {
		if n.packets > 0 {
			said = append(said, fmt.Sprintf("%d %s", n.packets, n.what))
		}
	}
	if len(said) > 0 {
		fmt.Fprintf(stdout, "%s: %s\n", name, strings.Join(said, "; "))
	}
}

func list(c *ucli.Context, stdout io.Writer) error {
	if _, err := cli.Args(c, 0, 0); err != nil {
		return err
	}
	runs, err := netsetup.Runs()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return cli.PrintJSON(stdout, append([]string{}, runs...))
	}
	for _, r := range runs {
		fmt.Fprintln(stdout, r)
	}
	return nil
}

func execIn(c *ucli.Context) error {
	if c.Bool("rootless") {
		return execRootless(c)
	}
	for _, f := range []string{"name", "links", "tape", "shaper"} {
		if c.IsSet(f) {
			return cli.Usagef("--%s goes with --rootless", f)
		}
	}
	args := c.Args().Slice()
	if len(args) > 2 && args[2] == "--" {
		args = append(args[:2:2], args[3:]...)
	}
	if len(args) < 3 {
		return cli.Usagef("usage: %s %s", c.Command.HelpName, c.Command.ArgsUsage)
	}
	argv := args[2:]
	file, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return netsetup.Exec(args[0], args[1], append([]string{file}, argv[1:]...), os.Environ())
}

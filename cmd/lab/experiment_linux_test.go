package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
)

// experiment is the role "experiment NAME [DURATION]": one of those below, which
// runs as root of a lab and leaves its results in the working directory. The
// duration is of the bonding ones.
func experiment(args []string) error {
	if len(args) > 1 {
		d, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		bondedTime = d
	}
	for _, e := range experiments() {
		if e.name == args[0] {
			return e.run(context.Background())
		}
	}
	return fmt.Errorf("no experiment %q", args[0])
}

type experimentCase struct {
	name  string
	needs []string // features besides a lab and tcpdump
	run   func(context.Context) error
	check func(t *testing.T, dir string) // what it left; may be nil
}

func experiments() []experimentCase {
	return []experimentCase{
		{"netem", nil, qdisc("root netem delay 20ms 5ms loss gemodel 2% 20% 100% 0.1% limit 100000"), nil},
		{"tbf", nil, qdisc("root tbf rate 3mbit burst 3028 limit 60000"), nil},
		{"htb", nil, qdisc("root handle 1: htb default 1", "class add dev v0 parent 1: classid 1:1 htb rate 3mbit quantum 1514"), nil},
		{"cake", nil, qdisc("root cake bandwidth 3mbit besteffort"), nil},
		{"tape", nil, playTape, checkTape},
		{"record", nil, recordTape, checkRecord},
		{"librist", []string{"librist"}, librist, nil},
		{"gstreamer", []string{"gstreamer"}, gstreamer, nil},
	}
}

// qdisc is the experiment that sends 5000 packets of 1000 bytes at 4 Mbit/s
// through a root qdisc of a veth, set up with tc, and captures both ends.
func qdisc(root string, more ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		setup := []string{
			"ip netns add far",
			"ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02 netns far",
			"ip address add 10.0.0.1/24 dev v0",
			"ip link set v0 up",
			"ip -n far address add 10.0.0.2/24 dev v1",
			"ip -n far link set v1 up",
			"tc qdisc add dev v0 " + root,
		}
		for _, m := range more {
			setup = append(setup, "tc "+m)
		}
		for _, s := range setup {
			words := strings.Fields(s)
			if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", s, err, out)
			}
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		far := func(args ...string) *exec.Cmd {
			return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", "far", self}, args...)...)
		}
		catch, err := capture("v1", func(argv ...string) *exec.Cmd {
			return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", "far"}, argv...)...)
		})
		if err != nil {
			return err
		}
		rows, err := create("rows.txt")
		if err != nil {
			return err
		}
		sink, err := begin(far("receive", "10.0.0.2"), rows)
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, self, "send", "10.0.0.2", "1000", "2ms", "5000").CombinedOutput(); err != nil {
			return fmt.Errorf("send: %w: %s", err, out)
		}
		time.Sleep(handOver)
		return errors.Join(sink.end(), catch.end(), rows.Close())
	}
}

func create(name string) (*os.File, error) { return os.Create(name) }

// helper is a role that runs until its standard input is closed.
type helper struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	copied chan error
}

// begin starts a helper and waits until it says ready; what it prints further
// goes to w.
func begin(cmd *exec.Cmd, w io.Writer) (*helper, error) {
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	r := bufio.NewReader(stdout)
	if line, err := r.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, fmt.Errorf("%v: got %q, %v", cmd, line, err)
	}
	h := &helper{cmd, stdin, make(chan error, 1)}
	if w == nil {
		w = io.Discard
	}
	go func() {
		_, err := io.Copy(w, r)
		h.copied <- err
	}()
	return h, nil
}

func (h *helper) end() error {
	h.stdin.Close()
	return errors.Join(<-h.copied, h.cmd.Wait())
}

// catcher is a tcpdump that runs until it is interrupted.
type catcher struct {
	cmd    *exec.Cmd
	stderr *bufio.Reader
}

// handOver is the time to wait after the last packet: the kernel gives tcpdump
// its packets by blocks, a second after the first of a block at the latest, and
// tcpdump leaves what it was not given when it ends.
const handOver = 2 * time.Second

// capture runs tcpdump on a device, where and as far as in says, and returns
// when it listens. What it catches is in DEVICE.pcap: the first 96 bytes of each
// packet, with nanoseconds.
func capture(device string, in func(argv ...string) *exec.Cmd) (*catcher, error) {
	file, err := exec.LookPath("tcpdump")
	if err != nil {
		return nil, err
	}
	// It would become a user who may not write here: -Z root.
	cmd := in(file, "-i", device, "-w", device+".pcap", "-s", "96", "-n", "-Z", "root", "--time-stamp-precision", "nano")
	stderr, err := cmd.StderrPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		return nil, err
	}
	c := &catcher{cmd, bufio.NewReader(stderr)}
	var said strings.Builder
	for {
		line, err := c.stderr.ReadString('\n')
		said.WriteString(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%v: %w: %s", cmd, errors.Join(err, cmd.Wait()), said.String())
		case strings.Contains(line, "listening on"):
			return c, nil
		}
	}
}

// end ends the capture. It is an error if packets were lost to it.
func (c *catcher) end() error {
	err := c.cmd.Process.Signal(os.Interrupt)
	said, readErr := io.ReadAll(c.stderr)
	if err := errors.Join(err, readErr, c.cmd.Wait()); err != nil {
		return fmt.Errorf("%v: %w: %s", c.cmd, err, said)
	}
	if !strings.Contains(string(said), "\n0 packets dropped by kernel\n") {
		return fmt.Errorf("%v: it lost packets: %s", c.cmd, said)
	}
	return nil
}

// links builds links, calls f with a way to run roles and programs in their
// parts, and removes them.
func links(ctx context.Context, t *netsetup.Topology, f func(run string, in func(part string, argv ...string) *exec.Cmd) error) (err error) {
	const run = "x"
	features, _, err := netsetup.Probe()
	if err != nil {
		return err
	}
	plan, err := netsetup.NewPlan(run, t, features)
	if err != nil {
		return err
	}
	if err := netsetup.Up(ctx, plan, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, netsetup.Down(run, true)) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return f(run, func(part string, argv ...string) *exec.Cmd {
		return exec.CommandContext(ctx, self, append([]string{"inside", run, part}, argv...)...)
	})
}

// Spans of the scripted tape, by their starts.
const (
	clean   = 0 * time.Second // 10 Mbit/s, 20 ms
	far     = 1 * time.Second // 50 ms
	lossy   = 2 * time.Second // 10 % lost, each by itself
	bursty  = 12 * time.Second
	stalled = 32 * time.Second
	slow    = 33 * time.Second // 1 Mbit/s: a quarter of the load
	gone    = 37 * time.Second // no carrier
	back    = 38 * time.Second
	over    = 39 * time.Second
)

// burstyChain is the loss of the bursty span: 1/11 on average, in bursts of 5.
func burstyChain() trace.GE { return trace.GE{P: 0.02, R: 0.2, LossBad: 1} }

func scriptedTape() *trace.Timeline {
	base := trace.State{Rate: 10 * trace.Mbit, Delay: 20 * time.Millisecond, Carrier: true}
	t := &trace.Timeline{Meta: trace.Meta{Duration: over, Seed: 11, Generator: "test",
		Links: []trace.Link{{Name: "a", Up: true}}}}
	add := func(at time.Duration, change func(s *trace.State)) {
		s := base
		change(&s)
		t.Steps = append(t.Steps, trace.Step{At: at, Link: "a", Dir: trace.Up, State: s})
	}
	add(clean, func(s *trace.State) {})
	add(far, func(s *trace.State) { s.Delay = 50 * time.Millisecond })
	add(lossy, func(s *trace.State) { s.Loss = 0.1 })
	add(bursty, func(s *trace.State) { s.GE = burstyChain() })
	add(stalled, func(s *trace.State) { s.Rate = 0 })
	add(slow, func(s *trace.State) { s.Rate = 1 * trace.Mbit })
	add(gone, func(s *trace.State) { s.Carrier = false })
	add(back, func(s *trace.State) {})
	return t
}

// probeBytes and probeInterval are the load of the tape: 4 Mbit/s.
const (
	probeBytes    = 1000
	probeInterval = 2 * time.Millisecond
)

// playTape replays the scripted tape under probes.
func playTape(ctx context.Context) error {
	const tape = "script.tape"
	if err := trace.WriteFile(tape, scriptedTape()); err != nil {
		return err
	}
	reader, err := trace.Open(tape)
	if err != nil {
		return err
	}
	defer reader.Close()
	return links(ctx, netsetup.LinksOf(reader.Meta()), func(run string, in func(string, ...string) *exec.Cmd) error {
		rows, err := create("rows.txt")
		if err != nil {
			return err
		}
		address := netsetup.LinkAddresses(0).Receiver[0].Addr().String()
		catch, err := capture(netsetup.EndDevice(0), func(argv ...string) *exec.Cmd { return in(netsetup.ReceiverEnd, argv...) })
		if err != nil {
			return err
		}
		sink, err := begin(in(netsetup.ReceiverEnd, "receive", address), rows)
		if err != nil {
			return err
		}
		count := int((over + time.Second) / probeInterval)
		source := in(netsetup.SenderEnd, "send", address, strconv.Itoa(probeBytes), probeInterval.String(), strconv.Itoa(count))
		source.Stderr = os.Stderr
		open, err := netsetup.Open(run)
		if err != nil {
			return err
		}
		log, err := create("applied.parquet")
		if err != nil {
			return err
		}
		player, err := replay.New(ctx, reader, replay.OnRun(open), replay.Options{})
		if err != nil {
			return err
		}
		if err := source.Start(); err != nil {
			return err
		}
		summary, err := player.Run(ctx, replay.NewMonotonic(replay.DefaultSpin), log)
		err = errors.Join(err, open.Close(), source.Wait())
		time.Sleep(handOver)
		err = errors.Join(err, sink.end(), catch.end(), rows.Close(), log.Close())
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(summary, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile("summary.json", data, 0o666)
	})
}

// bonded is four links of 5 Mbit/s that delay and lose in different ways.
func bonded() *netsetup.Topology {
	t := new(netsetup.Topology)
	for i, name := range []string{"a", "b", "c", "d"} {
		l := netsetup.DefaultLink(name)
		l.Rate, l.Delay = 5*trace.Mbit, time.Duration(20+10*i)*time.Millisecond
		t.Links = append(t.Links, l)
	}
	return t
}

// impair replays losses onto the bonded links for a time.
func impair(ctx context.Context, run string, d time.Duration) (*replay.Summary, error) {
	t := &trace.Timeline{Meta: trace.Meta{Duration: d, Seed: 5, Generator: "test"}}
	topology := bonded()
	for i, l := range topology.Links {
		t.Meta.Links = append(t.Meta.Links, trace.Link{Name: l.Name, Up: true})
		s := trace.State{Rate: l.Rate, Delay: l.Delay, Jitter: 3 * time.Millisecond, Carrier: true}
		if i%2 == 0 {
			s.GE = trace.GE{P: 0.004, R: 0.2, LossBad: 1}
		} else {
			s.Loss = 0.01
		}
		t.Steps = append(t.Steps, trace.Step{Link: l.Name, Dir: trace.Up, State: s})
	}
	const tape = "impaired.tape"
	if err := trace.WriteFile(tape, t); err != nil {
		return nil, err
	}
	reader, err := trace.Open(tape)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	open, err := netsetup.Open(run)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	player, err := replay.New(ctx, reader, replay.OnRun(open), replay.Options{})
	if err != nil {
		return nil, err
	}
	return player.Run(ctx, replay.NewMonotonic(replay.DefaultSpin), nil)
}

// bondedTime is how long the bonding experiments play.
var bondedTime = 8 * time.Second

// overBonded runs a receiver and a sender over the bonded links while these
// lose packets, and captures every link at the receiver.
func overBonded(ctx context.Context, receiver, sender func(addresses []string) []string) error {
	return links(ctx, bonded(), func(run string, in func(string, ...string) *exec.Cmd) error {
		var addresses []string
		var catches []*catcher
		for i := range bonded().Links {
			addresses = append(addresses, netsetup.LinkAddresses(i).Receiver[0].Addr().String())
			catch, err := capture(netsetup.EndDevice(i), func(argv ...string) *exec.Cmd { return in(netsetup.ReceiverEnd, argv...) })
			if err != nil {
				return err
			}
			catches = append(catches, catch)
		}
		up := exec.CommandContext(ctx, "ip", "-n", netsetup.Namespace(run, netsetup.ReceiverEnd), "link", "set", "lo", "up")
		upToo := exec.CommandContext(ctx, "ip", "-n", netsetup.Namespace(run, netsetup.SenderEnd), "link", "set", "lo", "up")
		if err := errors.Join(up.Run(), upToo.Run()); err != nil {
			return err
		}
		var programs []*exec.Cmd
		start := func(part, log string, argv []string) error {
			file, err := exec.LookPath(argv[0])
			if err != nil {
				return err
			}
			w, err := create(log)
			if err != nil {
				return err
			}
			c := in(part, append([]string{file}, argv[1:]...)...)
			c.Stdout, c.Stderr = w, w
			programs = append(programs, c)
			return c.Start()
		}
		if err := start(netsetup.ReceiverEnd, "receiver.log", receiver(addresses)); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		if err := start(netsetup.SenderEnd, "sender.log", sender(addresses)); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		// Seven cells of a transport stream in each packet, 15 Mbit/s.
		source := in(netsetup.SenderEnd, "send", "127.0.0.1", strconv.Itoa(ipUDPBytes+1316), "700us", strconv.Itoa(int(bondedTime/(700*time.Microsecond))))
		programs = append(programs, source)
		if err := source.Start(); err != nil {
			return err
		}
		summary, err := impair(ctx, run, bondedTime)
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(summary, "", "  ")
		if err != nil {
			return err
		}
		for _, p := range slices.Backward(programs) {
			p.Process.Signal(os.Interrupt)
			p.Wait()
		}
		time.Sleep(handOver)
		for _, c := range catches {
			err = errors.Join(err, c.end())
		}
		return errors.Join(err, os.WriteFile("summary.json", data, 0o666))
	})
}

// librist bonds over four links with the tools of librist (Debian: rist-tools).
func librist(ctx context.Context) error {
	peers := func(addresses []string, prefix string, port int) string {
		var urls []string
		for _, a := range addresses {
			urls = append(urls, fmt.Sprintf("rist://%s%s:%d", prefix, a, port))
		}
		return strings.Join(urls, ",")
	}
	return overBonded(ctx,
		func(a []string) []string {
			return []string{"ristreceiver", "-p", "1", "-i", peers(a, "@", 8000), "-o", "udp://127.0.0.1:9000"}
		},
		func(a []string) []string {
			return []string{"ristsender", "-p", "1", "-i", fmt.Sprintf("udp://@127.0.0.1:%d", probePort), "-o", peers(a, "", 8000)}
		})
}

// gstreamer bonds over four links with GStreamer's RIST elements (Debian:
// gstreamer1.0-tools, gstreamer1.0-plugins-good and gstreamer1.0-plugins-bad).
func gstreamer(ctx context.Context) error {
	peers := func(addresses []string) string {
		var all []string
		for _, a := range addresses {
			all = append(all, a+":8000")
		}
		return "bonding-addresses=" + strings.Join(all, ",")
	}
	return overBonded(ctx,
		func(a []string) []string {
			return strings.Fields("gst-launch-1.0 -q ristsrc " + peers(a) + " ! rtpmp2tdepay ! fakesink sync=false")
		},
		func(a []string) []string {
			return strings.Fields(fmt.Sprintf("gst-launch-1.0 -q udpsrc address=127.0.0.1 port=%d caps=video/mpegts,systemstream=(boolean)true,packetsize=(int)188"+
				" ! rtpmp2tpay ! ristsink %s", probePort, peers(a)))
		})
}

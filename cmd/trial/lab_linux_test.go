package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/cli"
	"linktape/internal/lab"
	"linktape/internal/privtest"
	"linktape/internal/table"
	"linktape/trial"
	"linktape/trial/stack"
)

// The test binary is also trial itself, which starts itself in a lab and in ends of
// links, and the sender and receiver of a stack of its own.
func TestMain(m *testing.M) {
	lab.Stages()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "run", "show", insideName:
			main()
		case "relay":
			if err := relay(os.Args[2], os.Args[3:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	privtest.Main(m)
}

// relay is a bonding stack without any of its virtues: it passes datagrams from one
// address on to others in turn.
func relay(from string, to []string) error {
	in, err := net.ListenPacket("udp", from)
	if err != nil {
		return err
	}
	var out []net.Conn
	for _, t := range to {
		c, err := net.Dial("udp", t)
		if err != nil {
			return err
		}
		out = append(out, c)
	}
	buf := make([]byte, 2048)
	for i := 0; ; i++ {
		n, _, err := in.ReadFrom(buf)
		if err != nil {
			return err
		}
		if i%100 == 0 {
			fmt.Printf("linktape - relayed %d\n", i)
		}
		out[i%len(out)].Write(buf[:n])
	}
}

// virtual runs a trial in virtual time and returns its folder and what it printed.
func virtual(t *testing.T, args ...string) (dir string, r result) {
	t.Helper()
	privtest.RequireUser(t, "lab-kernel")
	dir = filepath.Join(t.TempDir(), "out")
	stdout, stderr, err := invoke(t.Context(), append([]string{"run", "--time", "virtual", "--json", "--out", dir}, args...)...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if !r.Trial.Complete || r.Trial.Time != "virtual" {
		t.Errorf("got %+v", r.Trial)
	}
	return dir, r
}

// clean fails the test unless everything arrived, once, in order, and there is
// nothing that a reader would have to know.
func clean(t *testing.T, r result) {
	t.Helper()
	if s := r.Summary; s.Sent == 0 || s.Lost != 0 || s.Received != s.Sent || s.Duplicates != 0 || s.OutOfOrder != 0 {
		t.Errorf("got %+v", s)
	}
	if len(r.Trial.Findings) > 0 {
		t.Errorf("findings: %q", r.Trial.Findings)
	}
}

// sums are the SHA-256 of a trial's files.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	twoClean = []string{"--links", "att,tmobile", "--duration", "6s", "strategy-baseline"}
	twoLossy = []string{"--duration", "8s", "a2-loss-5"}
)

// The same command gives the same bytes, captures included, and a folder holds what
// the package says.
func TestLibrist(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	first, r := virtual(t, twoClean...)
	clean(t, r)
	want := []string{
		"capture/att.rcv.pcap", "capture/att.snd.pcap", "capture/tmobile.rcv.pcap", "capture/tmobile.snd.pcap",
		"log/receiver.stderr", "log/receiver.stdout", "log/sender.stderr", "log/sender.stdout",
		"replay/applied.parquet", "replay/counters.parquet", "replay/readback.parquet", "replay/run.json", "replay/summary.json",
		"sink.parquet", "source.parquet", "stack.parquet", "tape.parquet", "trial.json",
	}
	a := sums(t, first)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(a))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	second, _ := virtual(t, twoClean...)
	if diff := cmp.Diff(a, sums(t, second)); diff != "" {
		t.Errorf("SHA-256 (-first +second):\n%s", diff)
	}
	for file, c := range r.Trial.Captures {
		// Half of the stream is 1139 datagrams.
		if c.Packets < 1139 || c.Drops != 0 {
			t.Errorf("%s: got %+v", file, c)
		}
	}
	// What the stack says of itself was read, from both sides and of both links.
	seen := make(map[string]bool)
	for row, err := range table.Rows[stack.Row](filepath.Join(first, trial.StackFile)) {
		if err != nil {
			t.Fatal(err)
		}
		seen[row.Side+" "+row.Link+" "+row.Name] = true
	}
	for _, key := range []string{
		"sender att " + stack.SumSent, "sender tmobile " + stack.SumRetransmitted, "sender att " + stack.RTT,
		"receiver  " + stack.SumReceived, "receiver tmobile " + stack.SumReceived, "receiver att " + stack.RTT,
	} {
		if !seen[key] {
			t.Errorf("no figure %s", key)
		}
	}
}

func TestLibristRecovers(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	_, r := virtual(t, twoLossy...)
	clean(t, r)
}

// Nothing is lost, and half of the stream is sent again: paths whose lengths differ
// by more than librist waits for order, and GStreamer does.
func TestPathsDiffer(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist", "gstreamer")
	for _, c := range []struct {
		name        string
		args        []string
		least, most float64
	}{
		{"librist, 15 ms", []string{"a4-path-15"}, 0, 0},
		{"librist, 100 ms", []string{"a4-path-100"}, 0.4, 0.6},
		{"librist that waits 150 ms, 100 ms", []string{"--option", "reorder-buffer=150ms", "a4-path-100"}, 0, 0},
		{"gstreamer, 15 ms", []string{"--stack", "gstreamer", "a4-path-15"}, 0.35, 0.65},
	} {
		_, r := virtual(t, append([]string{"--duration", "6s"}, c.args...)...)
		if got := r.Metrics.Get("retransmission_rate", ""); !(got >= c.least && got <= c.most) {
			t.Errorf("%s: a retransmission rate of %v, want %v to %v", c.name, got, c.least, c.most)
		}
	}
}

func TestGStreamer(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "gstreamer")
	// Equal paths: a difference of 15 ms makes it retransmit half of the stream.
	_, r := virtual(t, "--stack", "gstreamer", "--duration", "6s", "a1-clean")
	clean(t, r)
	_, r = virtual(t, append([]string{"--stack", "gstreamer"}, twoLossy...)...)
	if s := r.Summary; s.Sent == 0 || float64(s.Lost) > 0.01*float64(s.Sent) || s.Duplicates != 0 {
		t.Errorf("got %+v of a stream that 5 %% are lost of", s)
	}
}

// ristsink's own way of waiting for the clock keeps retransmissions back.
func TestGStreamerStarves(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "gstreamer")
	_, r := virtual(t, append([]string{"--stack", "gstreamer", "--option", "sender-sync=yes"}, twoLossy...)...)
	if s := r.Summary; float64(s.Lost) < 0.02*float64(s.Sent) {
		t.Errorf("lost %d of %d: GStreamer has changed; so may the default of sender-sync", s.Lost, s.Sent)
	}
}

// Any two commands are a stack.
func TestExec(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, r := virtual(t, append([]string{"--stack", "exec",
		"--sender", fmt.Sprintf(`exec %s relay {{.In}} {{join .Targets " "}}`, self),
		// Each link's receiver is a process of its own.
		"--receiver", fmt.Sprintf(`%s relay $LINKTAPE_ATT_RCV:$LINKTAPE_ATT_PORT $LINKTAPE_OUTPUT & exec %[1]s relay $LINKTAPE_TMOBILE_RCV:8000 {{.Out}}`, self),
	}, twoClean...)...)
	s := r.Summary
	if s.Sent == 0 || s.Lost != 0 || s.Duplicates != 0 || s.OutOfOrder == 0 { // the links' delays differ by 15 ms
		t.Errorf("got %+v", s)
	}
	relayed := 0.0
	for row, err := range table.Rows[stack.Row](filepath.Join(dir, trial.StackFile)) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Side == "sender" && row.Name == "relayed" {
			relayed = row.Value
		}
	}
	if relayed != 2200 { // of 2280
		t.Errorf("the sender said that it relayed %v, want 2200", relayed)
	}
}

// A stack that stops, or does not listen, is an error that says what it said.
func TestExecFails(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel")
	for _, c := range []struct{ name, sender, receiver, want string }{
		{"stops", "sleep 1000", "echo no licence >&2; exit 3", "the receiver stopped before the trial's end (exit status 3): sh -c echo no licence >&2; exit 3\nit said:\n  no licence\n"},
		{"does not listen", "echo hello; sleep 1000", "sleep 1000", "the sender does not listen on 127.0.0.1:7000, where the stream goes, after 10s: it said:\n  hello\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			_, stderr, err := invoke(t.Context(), "run", "--time", "virtual", "--stack", "exec", "--sender", c.sender, "--receiver", c.receiver, "--out", dir, "quickstart")
			if cli.Status(err) != cli.ExitFailed || !strings.Contains(stderr, c.want) {
				t.Errorf("got %v, %q, want %q", err, stderr, c.want)
			}
		})
	}
}

// Cross traffic shares a link's bottleneck in its direction, in its time.
func TestCross(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	dir, r := virtual(t, file(t, "cross.yaml", `
trial: cross
scenario: a1-clean
duration: 10s
cross:
  - {link: a, kind: tcp, congestion: cubic, at: 2s, duration: 4s}
  - {link: b, kind: tcp, congestion: bbr, dir: down, at: 3s, duration: 4s}
  - {link: b, kind: udp, rate: 1Mbit, on: 1s, off: 1s, at: 1s, duration: 8s}
`))
	if s := r.Summary; s.Lost != 0 {
		t.Errorf("got %+v", s)
	}
	if len(r.Trial.Cross) != 3 || len(r.Trial.Findings) > 0 {
		t.Errorf("got %+v, findings %q", r.Trial.Cross, r.Trial.Findings)
	}
	type total struct {
		first, last time.Duration // when it grew
		bytes       int64
	}
	var totals [3]total
	for row, err := range table.Rows[trial.CrossRow](filepath.Join(dir, trial.CrossFile)) {
		if err != nil {
			t.Fatal(err)
		}
		x := &totals[row.Flow]
		if row.Bytes > x.bytes {
			if x.bytes == 0 {
				x.first = time.Duration(row.At)
			}
			x.last, x.bytes = time.Duration(row.At), row.Bytes
		}
	}
	// TCP fills what the stream leaves: of 6 Mbit/s up 2 carry the stream; 20 Mbit/s
	// down carry acknowledgements alone. UDP has 1 Mbit/s of IP packets in 4 of 8 s.
	for i, want := range []struct {
		least, most int64
		from, to    time.Duration
	}{
		{1_000_000, 2_500_000, 2 * time.Second, 7 * time.Second},
		{5_000_000, 10_000_000, 3 * time.Second, 8 * time.Second},
		{487_000, 491_500, 1 * time.Second, 8200 * time.Millisecond},
	} {
		if x := totals[i]; x.bytes < want.least || x.bytes > want.most || x.first < want.from || x.last > want.to {
			t.Errorf("flow %d: got %d bytes from %v to %v, want %d to %d from %v to %v", i, x.bytes, x.first, x.last, want.least, want.most, want.from, want.to)
		}
	}
}

// inLabShell runs a script in a lab, with the test binary as $TRIAL.
func inLabShell(t *testing.T, script string) (dir, stdout, stderr string) {
	t.Helper()
	privtest.RequireUser(t, "lab-kernel", "librist")
	kernel, err := lab.KernelPath()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if _, err = lab.Run(t.Context(), lab.Options{
		Kernel: kernel, Argv: []string{"/bin/sh", "-c", script}, Dir: dir, Writable: []string{dir}, Seed: lab.DefaultSeed,
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TRIAL=" + self}, Stdout: &out, Stderr: &errs,
	}); err != nil {
		t.Fatal(err)
	}
	return dir, out.String(), errs.String()
}

// Where the receiver has one address, GStreamer's links are told apart by the
// sender's, and librist goes over the first alone.
func TestOneReceiverAddress(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist", "gstreamer")
	topology := file(t, "one.yaml", "receiver: {address: 10.99.0.1}\nlinks:\n  a: {}\n  b: {}\n")
	for _, c := range []struct {
		stack string
		least int64 // packets on link b
		want  string
	}{
		{"gstreamer", 600, "RTCP is bound to none of the sender's"},
		{"librist", 0, "all its peers go over the first link"},
	} {
		_, r := virtual(t, "--stack", c.stack, "--topology", topology, "--duration", "4s", "a1-clean")
		if got := r.Trial.Captures[trial.CaptureFile("b", false)].Packets; got < c.least || c.least == 0 && got > 100 {
			t.Errorf("%s: got %d packets on the second link, want %d", c.stack, got, c.least)
		}
		if r.Summary.Lost != 0 || len(r.Trial.Findings) != 1 || !strings.Contains(r.Trial.Findings[0], c.want) {
			t.Errorf("%s: got %+v, findings %q", c.stack, r.Summary, r.Trial.Findings)
		}
		if a, b := r.Trial.Links[0], r.Trial.Links[1]; a.ReceiverAddr != "10.99.0.1" || b.ReceiverAddr != "10.99.0.1" || a.ReceiverPorts[0] == b.ReceiverPorts[0] {
			t.Errorf("got %+v, %+v", a, b)
		}
	}
}

// With devices on cables a trial is links, tape and captures.
func TestCables(t *testing.T) {
	dir, stdout, stderr := inLabShell(t, `set -e
ip netns add left
ip netns add right
for x in left right; do
	ip link add cable-$x type veth peer name eth0 netns $x
	ip link set cable-$x up
	ip -n $x link set eth0 up
done
ip -n left address add 10.77.0.1/30 dev eth0
ip -n left route add default via 10.77.0.2
ip -n right address add 10.77.0.6/30 dev eth0
ip -n right route add default via 10.77.0.5
cat >cables.yaml <<END
ipv6: false
links:
  a: {sender: {interface: cable-left}, receiver: {interface: cable-right}}
END
(sleep 2; ip netns exec left ping -c 20 -i 0.1 -q 10.77.0.6 >ping.txt) &
$TRIAL run --in-lab --stack none --topology cables.yaml --links a --duration 5s --out out a1-clean
wait
ip link show cable-left >/dev/null && echo back
ip netns del left; ip netns del right
`+left)
	if stdout != "back\n" {
		t.Errorf("got %q; standard error %q", stdout, stderr)
	}
	data, _, err := invoke(t.Context(), "show", "--json", filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal([]byte(data), &r); err != nil {
		t.Fatal(err)
	}
	if r.Summary != nil || !r.Trial.Complete || r.Trial.Stack != "none" || r.Trial.Links[0].SenderDevice != "cable-left" {
		t.Errorf("got %+v", r.Trial)
	}
	ping, err := os.ReadFile(filepath.Join(dir, "ping.txt"))
	if err != nil || !strings.Contains(string(ping), "20 packets transmitted, 20 received, 0% packet loss") || !strings.Contains(string(ping), "min/avg/max/mdev = 40.") {
		t.Errorf("got %s, %v", ping, err)
	}
	for _, sender := range []bool{true, false} {
		// Twenty questions, twenty answers, and some ARP.
		if c := r.Trial.Captures[trial.CaptureFile("a", sender)]; c.Packets < 40 || c.Packets > 60 || c.Drops != 0 {
			t.Errorf("captures: got %+v", r.Trial.Captures)
		}
	}
}

// left is what a shell says of what a trial may leave behind.
const left = `ip netns list; ls /run/linktape 2>/dev/null; for p in /proc/[0-9]*; do case $(cat $p/comm) in ristsender|ristreceiver) echo $p;; esac; done`

// An interrupted trial leaves nothing but its folder, which says so.
func TestInterrupted(t *testing.T) {
	dir, stdout, stderr := inLabShell(t, `
$TRIAL run --in-lab --out out strategy-baseline & sleep 5
kill -INT $!; wait $!; echo status $?
`+left)
	if stdout != "status 1\n" {
		t.Errorf("got %q, want the status alone; standard error %q", stdout, stderr)
	}
	m, err := trial.ReadManifest(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Complete || m.Source == nil || m.Source.Datagrams < 1000 || m.EpochWall == 0 {
		t.Errorf("got %+v", m)
	}
	out, _, err := invoke(t.Context(), "show", filepath.Join(dir, "out"))
	if err != nil || !strings.Contains(out, "not complete: the trial was stopped before its end") {
		t.Errorf("got %v, %q", err, out)
	}
}

// A trial that was killed takes its programs with it, and the next one removes its
// links.
func TestKilled(t *testing.T) {
	_, stdout, stderr := inLabShell(t, `
$TRIAL run --in-lab --name first --out a strategy-baseline & sleep 3
kill -KILL $!; wait $!; sleep 1
for p in /proc/[0-9]*; do case $(cat $p/comm) in ristsender|ristreceiver) echo $p;; esac; done
ls /run/linktape/*.json
$TRIAL run --in-lab --name second --duration 4s --out b strategy-baseline >/dev/null && echo done
`+left)
	if stdout != "/run/linktape/first.json\ndone\n" {
		t.Errorf("got %q; standard error %q", stdout, stderr)
	}
}

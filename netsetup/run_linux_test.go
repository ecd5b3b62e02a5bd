package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { privtest.Main(m) }

// patience is how long a test waits for what must come; a wait that ends by it
// is a failure.
const patience = 10 * time.Second

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	const pause = 5 * time.Millisecond // in virtual time nothing moves while everybody only looks
	for end := time.Now().Add(patience); !f(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// command runs a command and returns what it says.
func command(t testing.TB, line string) string {
	t.Helper()
	args := strings.Fields(line)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// machine lists everything that a run could leave behind, outside its own
// namespaces.
func machine(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, c := range []string{
		"ip -d -j -p link", "ip -d -j -p addr", "ip -d -j -p route show table all", "ip -d -j -p -6 route show table all",
		"ip -d -j -p rule", "ip -d -j -p -6 rule", "ip -d -j -p neigh", "ip netns", "tc -d -j -p qdisc", "tc -d -j -p action list action mirred",
		"find /run", "cat /proc/self/mounts",
	} {
		fmt.Fprintf(&b, "# %s\n%s", c, command(t, c))
	}
	return b.String()
}

// holdings is what a run could leave behind in the process that built it.
type holdings struct{ files, goroutines, threadsAway int }

// beyond reports whether there is more of anything than before. There may be
// less: what an earlier test held may have ended meanwhile.
func (h holdings) beyond(before holdings) bool {
	return h.files > before.files || h.goroutines > before.goroutines || h.threadsAway > before.threadsAway
}

// process counts them: open files, goroutines, and threads that are in another
// namespace than the process.
func process(t testing.TB) holdings {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	away := 0
	for _, file := range threads {
		if ns, err := os.Readlink(file); err == nil && ns != home {
			away++
		}
	}
	return holdings{len(fds), runtime.NumGoroutine(), away}
}

// unchanged takes stock now and, at the test's end, again.
func unchanged(t testing.TB) {
	t.Helper()
	if err := prepareNamespaceDir(); err != nil { // it stays, as after ip-netns(8)
		t.Fatal(err)
	}
	before := machine(t)
	proc := process(t)
	t.Cleanup(func() {
		if d := cmp.Diff(before, machine(t)); d != "" {
			t.Errorf("left behind (-before +after)\n%s", d)
		}
		var after holdings
		for end := time.Now().Add(patience); ; runtime.Gosched() { // threads take an instant to end
			if after = process(t); !after.beyond(proc) || time.Now().After(end) {
				break
			}
		}
		if after.beyond(proc) {
			t.Errorf("left behind in the process: %+v, before %+v", after, proc)
		}
	})
}

// links returns a topology of default links without a path.
func links(names ...string) *Topology {
	topology := new(Topology)
	for _, name := range names {
		l := DefaultLink(name)
		l.Path = PathNone
		topology.Links = append(topology.Links, l)
	}
	return topology
}

func newPlan(t testing.TB, run string, topology *Topology) *Plan {
	t.Helper()
	f, _, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(run, topology, f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// up builds a run that goes with the test.
func up(t testing.TB, run string, topology *Topology) *Plan {
	t.Helper()
	p := newPlan(t, run, topology)
	if err := Up(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(recordFile(run)); err != nil {
			return
		}
		if err := Down(run, true); err != nil {
			t.Error(err)
		}
	})
	return p
}

func status(t testing.TB, run string) *RunStatus {
	t.Helper()
	s, err := Status(run)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Three links of every kind come and go; two runs live side by side; what is
// there afterwards is what was there before.
func TestUpDown(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	topology := links("a", "b", "c")
	topology.Links[1].Shaper = ShaperHTB
	topology.Links[2].MTU = 9000
	topology.Links[2].Queue = trace.Queue{Kind: trace.DropTail, LimitTime: time.Second}
	var fractions []float64
	p := newPlan(t, "one", topology)
	if err := Up(t.Context(), p, func(f float64) { fractions = append(fractions, f) }); err != nil {
		t.Fatal(err)
	}
	if n := len(fractions); n != len(p.Ops) || fractions[n-1] != 1 {
		t.Errorf("progress: %d calls for %d steps", n, len(p.Ops))
	}
	up(t, "two", links("a", "x"))
	for run, want := range map[string]int{"one": 3, "two": 2} {
		s := status(t, run)
		if len(s.Differences) > 0 || !s.Complete || len(s.Links) != want || len(s.Processes) > 0 {
			t.Errorf("%s: %+v", run, s)
		}
		for _, l := range s.Links {
			for _, d := range []DirStatus{l.Up, l.Down} {
				if l.Shaper == ShaperTBF && d.Rate != DefaultRate || d.LimitBytes == 0 || d.Drops > 0 || d.BacklogBytes > 0 {
					t.Errorf("%s: link %s: %+v", run, l.Name, d)
				}
			}
		}
	}
	if runs, err := Runs(); err != nil || fmt.Sprint(runs) != "[one two]" {
		t.Errorf("runs: %v, %v", runs, err)
	}
	err := Up(t.Context(), p, nil)
	wantError(t, err, "run one exists: remove it with linkup down one, or choose another --name")
	if _, err := Status("three"); err == nil || err.Error() != "there is no run three: there are one, two" {
		t.Errorf("status of no run: %v", err)
	}
	if err := Down("one", false); err != nil {
		t.Fatal(err)
	}
	if s := status(t, "two"); len(s.Differences) > 0 {
		t.Errorf("after the other run went: %q", s.Differences)
	}
	if err := Down("two", false); err != nil {
		t.Fatal(err)
	}
	wantError(t, Down("two", false), "there is no run two, nor any other: build one with linkup up")
	if _, err := Open("two"); err == nil {
		t.Error("opened a run that is gone")
	}
}

// What is not ours stays.
func TestUpForeignNamespace(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	command(t, "ip netns add lt.mine.a")
	t.Cleanup(func() { command(t, "ip netns del lt.mine.a") })
	command(t, "ip -n lt.mine.a link add precious type ifb")
	before := machine(t)
	err := Up(t.Context(), newPlan(t, "mine", links("a")), nil)
	wantError(t, err, "namespace lt.mine.a exists and is not of any run: remove it with ip netns del lt.mine.a, or choose another --name")
	if d := cmp.Diff(before, machine(t)); d != "" {
		t.Errorf("touched (-before +after)\n%s", d)
	}
	command(t, "ip -n lt.mine.a link show precious")
}

// The first "ip netns add" of somebody else mounts its folder over itself. A
// run from before that still comes down.
func TestDownAfterIPNetns(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	for unix.Unmount(namespaceDir, unix.MNT_DETACH) == nil { // as after a boot
	}
	up(t, "early", links("a"))
	command(t, "ip netns add other")
	command(t, "ip netns del other")
	if err := Down("early", false); err != nil {
		t.Error(err)
	}
}

// badOp is a step that no kernel can do.
type badOp struct{ inNamespace }

func (badOp) String() string { return "do the impossible\nand more" }

// passedOver says which of the steps up to the last one go test -short leaves
// out: most.
func passedOver(step, last int) bool { return testing.Short() && step%7 != 1 && step != last }

// A step that fails leaves nothing, wherever it stands in the plan.
func TestUpFails(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	topology := links("a", "b")
	topology.Links[1].Shaper = ShaperHTB
	good := newPlan(t, "bad", topology)
	before := machine(t)
	for n := range len(good.Ops) + 1 {
		if passedOver(n, len(good.Ops)) {
			continue
		}
		p := *good
		p.Ops = append(append(append([]Op{}, good.Ops[:n]...), badOp{}), good.Ops[n:]...)
		err := Up(t.Context(), &p, nil)
		want := fmt.Sprintf("build run bad: step %d of %d: do the impossible; and more: unknown step netsetup.badOp; nothing is left of it", n+1, len(p.Ops))
		wantError(t, err, want)
		if n%10 == 0 || n == len(good.Ops) {
			if d := cmp.Diff(before, machine(t)); d != "" {
				t.Fatalf("step %d (-before +after)\n%s", n, d)
			}
		}
		if left, _ := os.ReadDir("/run/netns"); len(left) > 0 {
			t.Fatalf("step %d: left %v", n, left)
		}
	}
	// A kernel's refusal names the step.
	p := *good
	p.Ops = append(append([]Op{}, good.Ops...), SetUp{inNamespace{"lt.bad.a"}, "gone"})
	if err := Up(t.Context(), &p, nil); err == nil || !strings.Contains(err.Error(), "ip -n lt.bad.a link set gone up: find device gone in lt.bad.a: ") {
		t.Error(err)
	}
}

// A context that ends stops the work between two steps and undoes it.
func TestUpStopped(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	p := newPlan(t, "stop", links("a"))
	before := machine(t)
	for n := range len(p.Ops) {
		if passedOver(n, len(p.Ops)-1) {
			continue
		}
		ctx, stop := context.WithCancelCause(t.Context())
		done := 0
		if n == 0 {
			stop(errors.New("enough"))
		}
		err := Up(ctx, p, func(float64) {
			if done++; done == n {
				stop(errors.New("enough"))
			}
		})
		wantError(t, err, fmt.Sprintf("build run stop: stopped after %d of %d steps: enough; nothing is left of it", n, len(p.Ops)))
		stop(nil)
	}
	if d := cmp.Diff(before, machine(t)); d != "" {
		t.Errorf("left behind (-before +after)\n%s", d)
	}
}

// A run that was built before links had trees comes down all the same.
func TestOldRecord(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "old", links("a"))
	data, err := os.ReadFile(recordFile("old"))
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(data), `"tree": "separated"`, `"bridge": false`, 1)
	if old == string(data) {
		t.Fatal("the record does not name a tree")
	}
	if err := os.WriteFile(recordFile("old"), []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	if d := status(t, "old").Differences; len(d) > 0 {
		t.Errorf("%q", d)
	}
	if err := Down("old", false); err != nil {
		t.Error(err)
	}
}

const crashVariable = "LINKTAPE_TEST_CRASH"

// crashHere builds a plan in a child of crashAfter and dies after the step that
// it names; anywhere else it does nothing.
func crashHere(t *testing.T, p *Plan) {
	t.Helper()
	at := os.Getenv(crashVariable)
	if at == "" {
		return
	}
	n, err := strconv.Atoi(at)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	err = Up(t.Context(), p, func(float64) {
		if done++; done == n {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	})
	t.Fatalf("survived: %v", err)
}

// crashAfter runs the same test in a child that dies after step n.
func crashAfter(t *testing.T, n int) {
	t.Helper()
	child := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), crashVariable+"="+strconv.Itoa(n))
	out, err := child.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("step %d: the child ended with %v\n%s", n, err, out)
	}
}

// A builder that is killed after any of its steps leaves what Status can look
// at and Down removes.
func TestCrash(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	topology := links("a", "b")
	topology.Links[1].Shaper = ShaperHTB
	p := newPlan(t, "crash", topology)
	crashHere(t, p)
	unchanged(t)
	before := machine(t)
	for n := 1; n <= len(p.Ops); n++ {
		if passedOver(n, len(p.Ops)) {
			continue
		}
		crashAfter(t, n)
		s := status(t, "crash")
		if s.Complete || (n < len(p.Ops)) != (len(s.Differences) > 0) {
			t.Errorf("step %d: complete %v, %d differences", n, s.Complete, len(s.Differences))
		}
		_, err := Open("crash")
		wantError(t, err, "run crash was left half-built: remove it with linkup down crash")
		if err := Up(t.Context(), p, nil); err == nil || !strings.HasPrefix(err.Error(), "run crash exists: ") {
			t.Errorf("step %d: up again: %v", n, err)
		}
		if err := Down("crash", false); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		if n%10 == 0 || n == len(p.Ops) {
			if d := cmp.Diff(before, machine(t)); d != "" {
				t.Fatalf("step %d (-before +after)\n%s", n, d)
			}
		}
	}
}

// A run with a process inside stays, unless the process may be killed.
func TestDownInUse(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "busy", links("a"))
	child := exec.Command("sleep", "1000")
	if err := withNamespace("lt.busy.rcv", child.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	eventually(t, "the child becomes sleep", func() bool {
		p := status(t, "busy").Processes
		return len(p) == 1 && p[0] == Process{child.Process.Pid, "sleep", "lt.busy.rcv"}
	})
	wantError(t, Down("busy", false), fmt.Sprintf("run busy is in use by sleep (process %d): stop it first, or use --kill", child.Process.Pid))
	if s := status(t, "busy"); len(s.Differences) > 0 {
		t.Errorf("a refused down changed the run: %q", s.Differences)
	}
	// Another command holds the run.
	r, err := Open("busy")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, Down("busy", true), "run busy is in use by another linkup or replay: wait for it to end")
	r.Close()
	if err := Down("busy", true); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Errorf("the child ended with %v", err)
	}
}

// Status finds whatever was tampered with.
func TestStatusDifferences(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	for _, c := range []struct{ tamper, want string }{
		{"ip -n lt.run.snd addr del 10.77.0.1/30 dev w0", "missing: ip -n lt.run.snd addr add 10.77.0.1/30 dev w0 brd +"},
		{"ip -n lt.run.rcv addr del fd77:6c74:0:1::2/64 dev w0", "missing: ip -n lt.run.rcv addr add fd77:6c74:0:1::2/64 dev w0 nodad"},
		{"ip -n lt.run.snd route del 10.77.0.4/30", "missing: ip -n lt.run.snd route add 10.77.0.4/30 via 10.77.0.2 dev w0"},
		{"ip -n lt.run.snd -6 route del fd77:6c74:0:1::/64", "missing: ip -n lt.run.snd route add fd77:6c74:0:1::/64 via fd77:6c74::2 dev w0"},
		{"ip -n lt.run.a neigh del 10.77.0.1 dev s0", "missing: ip -n lt.run.a neigh replace 10.77.0.1 lladdr 02:ac:ba:25:00:01 dev s0 nud permanent"},
		{"ip -n lt.run.a link set r0 down", "r0 in lt.run.a: is down"},
		{"ip -n lt.run.a link set s0 mtu 1400", "s0 in lt.run.a: mtu is 1400, planned 1500"},
		{"ip -n lt.run.a link set s0 address 02:00:00:00:00:01", "s0 in lt.run.a: address is 02:00:00:00:00:01, planned 02:ac:ba:25:00:02"},
		{"ip -n lt.run.a link set s0 gso_max_segs 64", "s0 in lt.run.a: gso_max_segs is 64, planned 1"},
		{"ip -n lt.run.a link del ifb-up", "missing: ifb ifb-up in lt.run.a"},
		{"ip -n lt.run.snd link del w0", "missing: veth w0 in lt.run.snd"},
		{"tc -n lt.run.a qdisc del dev ifb-up root", "missing: tc -n lt.run.a qdisc add dev ifb-up root handle 1: stab"},
		{"tc -n lt.run.b qdisc del dev ifb-down root", "missing: tc -n lt.run.b qdisc add dev ifb-down root handle 1: stab"},
		{"tc -n lt.run.b qdisc del dev ifb-down parent 1:1", "missing: tc -n lt.run.b qdisc add dev ifb-down root handle 1: stab"},
		{"tc -n lt.run.a qdisc change dev ifb-up root handle 1: stab overhead -14 linklayer ethernet tbf rate 5mbit burst 126500 limit 225000",
			"tbf 1: on ifb-up in lt.run.a: rate is 5Mbit, set 1Gbit"},
		{"tc -n lt.run.a qdisc change dev ifb-up root handle 1: stab overhead -14 linklayer ethernet tbf rate 1gbit burst 126500 limit 224999",
			"tbf 1: on ifb-up in lt.run.a: limit is 224999, set 225000"},
		{"tc -n lt.run.a qdisc change dev ifb-down root handle 1: stab overhead -14 linklayer ethernet tbf rate 1gbit burst 136500 limit 225000",
			"tbf 1: on ifb-down in lt.run.a: burst is 136496, set 126500"},
		{"tc -n lt.run.a qdisc change dev ifb-up root handle 1: tbf rate 1gbit burst 126500 limit 225000",
			"tbf 1: on ifb-up in lt.run.a: size table is 0, set -14"},
		{"tc -n lt.run.b class change dev ifb-up parent 1: classid 1:1 htb rate 5mbit", "htb 1: on ifb-up in lt.run.b: rate is 5Mbit, set 1Gbit"},
		{"tc -n lt.run.b qdisc change dev ifb-up parent 1:1 handle 2: tbf rate 100gbit burst 1048576 limit 5000",
			"tbf 2: on ifb-up in lt.run.b: limit is 5000, set 225000"},
		{"tc -n lt.run.a qdisc del dev s0 clsact", "missing: tc -n lt.run.a qdisc add dev s0 clsact; tc -n lt.run.a filter add dev s0 egress"},
		{"tc -n lt.run.a filter del dev r0 egress", "missing: tc -n lt.run.a qdisc add dev r0 clsact"},
		{"ip netns exec lt.run.a sysctl -qw net.ipv4.ip_forward=0", "net/ipv4/ip_forward in lt.run.a: is 0, planned 1"},
		{"ip netns del lt.run.b", "missing: ip netns add lt.run.b"},
	} {
		t.Run(c.tamper, func(t *testing.T) {
			topology := links("a", "b")
			topology.Links[1].Shaper = ShaperHTB
			up(t, "run", topology)
			command(t, c.tamper)
			got := status(t, "run").Differences
			for _, d := range got {
				if strings.HasPrefix(d, c.want) {
					return
				}
			}
			t.Errorf("got  %q\nwant %s", got, c.want)
		})
	}
}

// socket is one end of a link with a UDP socket in it.
type socket struct {
	*net.UDPConn
	t    testing.TB
	peer *net.UDPAddr
}

// sockets opens a UDP socket in both ends, at a link's addresses of a family.
func sockets(t testing.TB, run string, index, family int) (snd, rcv socket) {
	t.Helper()
	a := LinkAddresses(index)
	open := func(part string, addr net.IP) socket {
		s := socket{t: t}
		err := withNamespace(Namespace(run, part), func() (err error) {
			s.UDPConn, err = net.ListenUDP("udp", &net.UDPAddr{IP: addr})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetReadBuffer(8 << 20); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	snd = open(SenderEnd, a.Sender[family].Addr().AsSlice())
	rcv = open(ReceiverEnd, a.Receiver[family].Addr().AsSlice())
	snd.peer, rcv.peer = rcv.LocalAddr().(*net.UDPAddr), snd.LocalAddr().(*net.UDPAddr)
	return snd, rcv
}

// send sends n numbered packets of a size on the wire's IP layer.
func (s socket) send(from, n, size int) {
	s.t.Helper()
	// On one processor: each has a backlog of its own between two namespaces
	// (net/core/dev.c: enqueue_to_backlog), and what a sender that moves leaves in
	// one comes after what it puts into the next.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		s.t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		s.t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &all)
	b := make([]byte, size-28)
	if s.peer.IP.To4() == nil {
		b = make([]byte, size-48)
	}
	for i := from; i < from+n; i++ {
		b[0], b[1] = byte(i>>8), byte(i)
		if _, err := s.WriteTo(b, s.peer); err != nil {
			s.t.Fatal(err)
		}
	}
}

// want reads n packets numbered in order.
func (s socket) want(from, n int) {
	s.t.Helper()
	b := make([]byte, 10000)
	s.SetReadDeadline(time.Now().Add(patience))
	for i := from; i < from+n; i++ {
		if _, _, err := s.ReadFrom(b); err != nil {
			s.t.Fatalf("packet %d of %d to %d: %v", i, from, from+n-1, err)
		}
		if got := int(b[0])<<8 | int(b[1]); got != i {
			s.t.Fatalf("packet %d came, want %d", got, i)
		}
	}
}

// nothing checks that no packet has come.
func (s socket) nothing() {
	s.t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		var b [2]byte
		if n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT|unix.MSG_PEEK); err != unix.EAGAIN {
			s.t.Errorf("packet %d came (%d bytes, %v)", int(b[0])<<8|int(b[1]), n, err)
		}
	})
}

// opened is a run opened for change.
func opened(t testing.TB, run string) *Run {
	t.Helper()
	r, err := Open(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// endpoints are the two directions of a link.
func endpoints(t testing.TB, r *Run, link string) (up, down *Endpoint) {
	t.Helper()
	up, err1 := r.Endpoint(trace.LinkDir{Link: link, Dir: trace.Up})
	down, err2 := r.Endpoint(trace.LinkDir{Link: link, Dir: trace.Down})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return up, down
}

func counters(t testing.TB, e *Endpoint) Counters {
	t.Helper()
	c, err := e.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// strays bounds the bytes of what the routers say by themselves when their
// devices come up (IGMP, MLD), some of it up to a second later.
const strays = 1000

// Packets pass both ways over IPv4 and IPv6, are counted by their IP length
// and leave the sender one by one.
func TestTraffic(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	topology := links("a", "b")
	topology.Links[1].Shaper = ShaperHTB
	up(t, "run", topology)
	r := opened(t, "run")
	for i, link := range []string{"a", "b"} {
		up, down := endpoints(t, r, link)
		for family := range 2 {
			snd, rcv := sockets(t, "run", i, family)
			for _, d := range []struct {
				e        *Endpoint
				from, to socket
			}{{up, snd, rcv}, {down, rcv, snd}} {
				for _, size := range []int{100, 1028, 1500} {
					const n = 100
					before := counters(t, d.e)
					d.from.send(0, n, size)
					d.to.want(0, n)
					after := counters(t, d.e)
					if got := int(after.Bytes-before.Bytes) - n*size; got < 0 || got > strays {
						t.Errorf("link %s, family %d, %d packets of %d bytes: counted %d bytes too many", link, family, n, size, got)
					}
					if got := int(after.Packets-before.Packets) - n; got < 0 || got > strays/40 {
						t.Errorf("link %s: counted %d packets too many", link, got)
					}
				}
			}
		}
	}
}

// A stall holds the queue and leaks nothing; the step that ends it wakes the
// queue, though the sender is silent by then.
func TestStall(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		t.Run(string(kind), func(t *testing.T) {
			unchanged(t)
			topology := links("a")
			topology.Links[0].Shaper = kind
			up(t, "run", topology)
			e, _ := endpoints(t, opened(t, "run"), "a")
			snd, rcv := sockets(t, "run", 0, 0)
			stalls(t, e, snd, rcv, stateOf(topology.Links[0]))
		})
	}
}

// stalls stalls a direction again and again while packets come: each stall holds
// them all, leaks none, and the step that ends it wakes the queue.
func stalls(t *testing.T, e *Endpoint, snd, rcv socket, s trace.State) {
	t.Helper()
	at := time.Duration(0)
	const n, size = 60, 1028
	for i := range 10 {
		at += 100 * time.Millisecond
		s.Rate = 0
		a, err := e.Apply(at, 100*time.Millisecond, &s)
		if err != nil || !a.Closed || a.BacklogBytes > strays {
			t.Fatalf("%+v, %v", a, err)
		}
		snd.send(i*n, n, size)
		eventually(t, "the packets reach the queue", func() bool { return counters(t, e).BacklogBytes >= n*size })
		// More stalled steps leak nothing either.
		for range 5 {
			at += 100 * time.Millisecond
			if a, err = e.Apply(at, 100*time.Millisecond, &s); err != nil {
				t.Fatal(err)
			}
		}
		if c := counters(t, e); c.Bytes != a.Bytes || c.Drops != a.Drops || c.BacklogBytes > n*size+strays {
			t.Errorf("stalled: %+v, then %+v", a.Counters, c)
		}
		rcv.nothing()
		at += 100 * time.Millisecond
		s.Rate = []trace.BitRate{trace.Mbit, 8 * trace.Mbit, 100 * trace.Mbit}[i%3]
		if a, err = e.Apply(at, time.Second, &s); err != nil || a.Closed || !a.Kicked {
			t.Fatalf("opened: %+v, %v", a, err)
		}
		rcv.want(i*n, n)
		if c := counters(t, e); c.BacklogBytes > strays || c.Drops > 0 {
			t.Errorf("opened: %+v", c)
		}
	}
}

// The queue takes packets up to its limit in bytes and drops what comes then.
func TestDropTail(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		t.Run(string(kind), func(t *testing.T) {
			unchanged(t)
			topology := links("a")
			topology.Links[0].Shaper = kind
			topology.Links[0].Queue.LimitBytes = 30000
			up(t, "run", topology)
			e, _ := endpoints(t, opened(t, "run"), "a")
			snd, rcv := sockets(t, "run", 0, 0)
			// The router's own IGMP and MLD packets come in the first second
			// (net/ipv4/igmp.c: igmp_group_added, IGMP_INITIAL_REPORT_DELAY).
			time.Sleep(1500 * time.Millisecond)
			s := stateOf(topology.Links[0])
			s.Rate = 0
			a, err := e.Apply(0, time.Second, &s)
			if err != nil {
				t.Fatal(err)
			}
			const n, size, fit = 40, 1000, 30
			snd.send(0, n, size)
			var c Counters
			eventually(t, "the packets meet the queue", func() bool {
				c = counters(t, e)
				return int(c.BacklogBytes)/size+int(c.Drops-a.Drops) >= n
			})
			if c.BacklogBytes > 30000 || c.BacklogBytes < 30000-size-strays || c.Drops-a.Drops < n-fit || c.Drops-a.Drops > n-fit+strays/40 {
				t.Errorf("%+v", c)
			}
			s.Rate = 10 * trace.Mbit
			if _, err := e.Apply(time.Second, time.Second, &s); err != nil {
				t.Fatal(err)
			}
			rcv.want(0, int(c.BacklogBytes)/size) // the first ones
			eventually(t, "the queue runs empty", func() bool { return counters(t, e).BacklogBytes == 0 })
			rcv.nothing()
			if after := counters(t, e); after.Drops != c.Drops {
				t.Errorf("drops: %d, then %d: kicks are no drops", c.Drops, after.Drops)
			}
		})
	}
}

// Without carrier the sender's device knows it; with it again traffic passes,
// both ways and in both families.
func TestCarrier(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "run", links("a"))
	upward, downward := endpoints(t, opened(t, "run"), "a")
	running := func() bool {
		var l netlink.Link
		err := withNamespace("lt.run.snd", func() (err error) {
			l, err = netlink.LinkByName("w0")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().RawFlags&unix.IFF_RUNNING != 0
	}
	s := stateOf(DefaultLink("a"))
	set := func(up, down bool) {
		t.Helper()
		for _, d := range []struct {
			e       *Endpoint
			present bool
		}{{upward, up}, {downward, down}} {
			s.Carrier = d.present
			if _, err := d.e.Apply(0, 0, &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(true, true)
	for round := range 3 {
		eventually(t, "the carrier is there", running)
		set(round%2 == 0, round%2 == 1) // either direction takes it
		eventually(t, "the carrier goes", func() bool { return !running() })
		if d := status(t, "run").Differences; len(d) == 0 {
			t.Error("status does not see that the device is down")
		}
		set(true, true)
		eventually(t, "the carrier comes back", running)
		for family := range 2 {
			snd, rcv := sockets(t, "run", 0, family)
			snd.send(0, 10, 1000)
			rcv.want(0, 10)
			rcv.send(0, 10, 1000)
			snd.want(0, 10)
		}
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Errorf("after the carrier came back: %q", d)
		}
	}
}

// A sender's super-packet is split before it comes to the link.
func TestOffloadsOff(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "run", links("a"))
	e, _ := endpoints(t, opened(t, "run"), "a")
	snd, rcv := sockets(t, "run", 0, 0)
	s := stateOf(DefaultLink("a"))
	s.Rate = 0
	if _, err := e.Apply(0, 0, &s); err != nil {
		t.Fatal(err)
	}
	raw, err := snd.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 20, 1000
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size-28) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snd.WriteTo(make([]byte, n*(size-28)), snd.peer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the packets reach the queue", func() bool { return counters(t, e).BacklogBytes >= n*size })
	if got := int(e.info.Qlen); got < n || got > n+strays/40 {
		t.Errorf("%d bytes in %d packets, want %d packets", e.info.BacklogBytes, got, n)
	}
	s.Rate = trace.Gbit
	if _, err := e.Apply(0, 0, &s); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	rcv.SetReadDeadline(time.Now().Add(patience))
	for range n {
		if got, _, err := rcv.ReadFrom(b); err != nil || got != size-28 {
			t.Fatalf("%d bytes, %v", got, err)
		}
	}
}

// The path of a link takes each state, and says so to Status and to tc.
func TestPathReadBack(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "netem")
	unchanged(t)
	topology := &Topology{Links: []Link{DefaultLink("a")}}
	topology.Links[0].Path, topology.Links[0].Delay = PathNetem, 35*time.Millisecond
	up(t, "run", topology)
	check := func(what string, want DirStatus) {
		t.Helper()
		got := status(t, "run")
		if len(got.Differences) > 0 {
			t.Errorf("%s: %q", what, got.Differences)
		}
		d := got.Links[0].Up
		if d.Delay != want.Delay || d.Jitter != want.Jitter || float64(d.Loss-want.Loss) > 1e-6 || float64(want.Loss-d.Loss) > 1e-6 {
			t.Errorf("%s: delay %v, jitter %v, loss %v: want %v, %v, %v", what, d.Delay, d.Jitter, d.Loss, want.Delay, want.Jitter, want.Loss)
		}
	}
	check("as built", DirStatus{Delay: 35 * time.Millisecond})
	r := opened(t, "run")
	e, _ := endpoints(t, r, "a")
	e.Seed(1)
	chain := trace.GE{P: 0.01, R: 0.25, LossBad: 1}
	for _, c := range []struct {
		name string
		edit func(s *trace.State)
		tc   []string // in tc's words
		need string   // a feature besides netem
	}{
		{"nothing", func(*trace.State) {}, nil, ""},
		{"delay", func(s *trace.State) { s.Delay = 20 * time.Millisecond }, []string{`"delay":0.02`}, ""},
		{"jitter", func(s *trace.State) { s.Delay, s.Jitter = 20*time.Millisecond, 3*time.Millisecond }, []string{`"jitter":0.003`}, ""},
		{"loss", func(s *trace.State) { s.Delay, s.Loss = 20*time.Millisecond, 0.25 }, []string{`"loss-random":{"loss":0.25`}, ""},
		{"chain", func(s *trace.State) { s.GE = chain }, []string{`"loss-gemodel":{"p":0.01`}, ""},
		{"loss after a chain", func(s *trace.State) { s.Loss = 0.5 }, []string{`"loss-random":{"loss":0.5`}, ""},
		{"corruption", func(s *trace.State) { s.Corrupt = 0.0625 }, []string{`"corrupt":{"corrupt":0.0625`}, ""},
		{"duplicates", func(s *trace.State) { s.Duplicate = 0.125 }, []string{`"duplicate":{"duplicate":0.125`}, featureDuplicate},
		{"reorder", func(s *trace.State) { s.Delay, s.Reorder = 20*time.Millisecond, 0.125 }, []string{`"reorder":{"reorder":0.125`, `"gap":1`}, ""},
		{"nothing again", func(*trace.State) {}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.need != "" {
				privtest.Require(t, c.need)
			}
			s := trace.State{Rate: 10 * trace.Mbit, Carrier: true}
			c.edit(&s)
			if _, err := e.Apply(0, 0, &s); err != nil {
				t.Fatal(err)
			}
			if err := r.EndReplay(map[trace.LinkDir]trace.State{{Link: "a", Dir: trace.Up}: s}); err != nil {
				t.Fatal(err)
			}
			check(c.name, DirStatus{Delay: s.Delay, Jitter: s.Jitter, Loss: trace.Prob(s.MeanLoss())})
			said := strings.ReplaceAll(command(t, "tc -n lt.run.a -j qdisc show dev r0"), " ", "")
			for _, want := range c.tc {
				if !strings.Contains(said, want) {
					t.Errorf("tc does not say %s: %s", want, said)
				}
			}
			if !s.GE.Enabled() && strings.Contains(said, "gemodel") {
				t.Errorf("the chain is left: %s", said)
			}
		})
	}
	// Packets pass the path, and a loss of everything stops them there.
	snd, rcv := sockets(t, "run", 0, 0)
	s := trace.State{Rate: 10 * trace.Mbit, Delay: 10 * time.Millisecond, Carrier: true}
	if _, err := e.Apply(0, time.Second, &s); err != nil {
		t.Fatal(err)
	}
	snd.send(0, 20, 1000)
	rcv.want(0, 20)
	s.Loss = 1
	if _, err := e.Apply(0, time.Second, &s); err != nil {
		t.Fatal(err)
	}
	before := status(t, "run").Links[0].Up.PathDrops
	snd.send(20, 20, 1000)
	eventually(t, "the path loses every packet", func() bool { return status(t, "run").Links[0].Up.PathDrops >= before+20 })
	rcv.nothing()
}

// Exec passes the exit status on and shows the namespace's devices in /sys.
func TestExec(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	const variable = "LINKTAPE_TEST_EXEC"
	if at := os.Getenv(variable); at != "" { // the child
		args := strings.Split(at, "|")
		t.Fatal(Exec(args[0], args[1], args[2:], os.Environ()))
	}
	unchanged(t)
	up(t, "run", links("a"))
	for _, c := range []struct {
		name, args string
		status     int
		want       string
	}{
		{"devices", "run|snd|/bin/ls|/sys/class/net", 0, "lo\nw0\n"},
		{"router", "run|a|/bin/ls|/sys/class/net", 0, "ifb-down\nifb-up\nlo\nr0\ns0\n"},
		{"exit status", "run|rcv|/bin/sh|-c|exit 7", 7, ""},
		{"no part", "run|b|/bin/true", 1, "run run has no b: it has snd, rcv, a"},
		{"no run", "ran|snd|/bin/true", 1, "there is no run ran: there are run"},
		{"bad part", "run|../../../proc/self/ns/net|/bin/true", 1, "run run has no ../../../proc/self/ns/net"},
		{"no program", "run|snd|/no/such/program", 1, "run /no/such/program: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := exec.Command("/proc/self/exe", "-test.run=^TestExec$")
			child.Env = append(os.Environ(), variable+"="+c.args)
			out, _ := child.CombinedOutput()
			if got := child.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
			if c.status == 1 && strings.Contains(string(out), c.want) {
				return
			}
			if string(out) != c.want {
				t.Errorf("got  %q\nwant %q", out, c.want)
			}
		})
	}
}

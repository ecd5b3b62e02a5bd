package netsetup

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"linktape/internal/privtest"

	"github.com/google/go-cmp/cmp"
	"github.com/safchain/ethtool"
)

// listings is everything that can be seen of a namespace, for a comparison: a
// prefix such as "ip netns exec lab" leads into it.
func listings(t testing.TB, prefix string) string {
	t.Helper()
	var b strings.Builder
	for _, c := range []string{
		"ip -d -j -p link show", "ip -d -j -p addr show",
		"ip -j -p rule", "ip -j -p -6 rule", "tc -j -p qdisc",
	} {
		fmt.Fprintf(&b, "# %s\n%s\n", c, command(t, strings.TrimSpace(prefix+" "+c)))
	}
	for _, c := range []string{"ip -d route show table all", "ip -d -6 route show table all", "ip maddr", "ip neigh show nud permanent", "ip neigh show proxy"} {
		lines := strings.Split(command(t, strings.TrimSpace(prefix+" "+c)), "\n")
		for i := range lines { // the index of a device, which ip link shows too
			if index, rest, ok := strings.Cut(lines[i], ":\t"); ok && c == "ip maddr" && strings.Trim(index, "0123456789") == "" {
				lines[i] = rest
			}
		}
		slices.Sort(lines) // in no order
		fmt.Fprintf(&b, "# %s\n%s\n", c, strings.Join(lines, "\n"))
	}
	return b.String()
}

// deviceListings is everything that can be seen of a device of the host, with
// its kernel parameters and its offloads.
func deviceListings(t testing.TB, device string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(listings(t, ""))
	for _, pattern := range []string{"ipv4/conf/", "ipv6/conf/", "ipv4/neigh/", "ipv6/neigh/"} {
		files, err := filepath.Glob("/proc/sys/net/" + pattern + device + "/*")
		if err != nil || len(files) == 0 {
			t.Fatalf("no parameters of %s: %v", device, err)
		}
		for _, f := range files {
			data, _ := os.ReadFile(f) // stable_secret is not to be read until it is set
			fmt.Fprintf(&b, "%s = %s", f, data)
		}
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	have, err := e.Features(device)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range offloads {
		fmt.Fprintf(&b, "%s: %v\n", f, have[f])
	}
	return b.String()
}

// settled is listings once no address is being checked any more.
func settled(t testing.TB, list func() string) string {
	t.Helper()
	var s string
	eventually(t, "no address is tentative", func() bool {
		if s = list(); !strings.Contains(s, `"tentative"`) {
			return true
		}
		command(t, "sleep 0.1") // virtual time stands still while we only look
		return false
	})
	return s
}

// addressed waits until a device has its link-local address: it gets it some time
// after its peer has come up (net/core/link_watch.c), and joins a group with it.
func addressed(t testing.TB, prefix, device string) {
	t.Helper()
	eventually(t, device+" has its link-local address", func() bool {
		if strings.Contains(command(t, strings.TrimSpace(prefix+" ip -6 addr show dev "+device)), "inet6 fe80:") {
			return true
		}
		command(t, "sleep 0.1")
		return false
	})
}

// theirNamespace makes a namespace that belongs to somebody else.
func theirNamespace(t testing.TB, name string) {
	t.Helper()
	command(t, "ip netns add "+name)
	t.Cleanup(func() { command(t, "ip netns del "+name) })
	command(t, "ip -n "+name+" link set lo up")
}

// exchange sends packets both ways between two addresses, each in a namespace.
func exchange(t testing.TB, from, to string, a, b netip.Addr) {
	t.Helper()
	open := func(ns string, addr netip.Addr) socket {
		s := socket{t: t}
		err := withNamespace(ns, func() (err error) {
			s.UDPConn, err = net.ListenUDP("udp", &net.UDPAddr{IP: addr.AsSlice()})
			return err
		})
		if err != nil {
			t.Fatalf("%v in %s: %v", addr, ns, err)
		}
		return s
	}
	snd, rcv := open(from, a), open(to, b)
	defer snd.Close()
	defer rcv.Close()
	snd.peer, rcv.peer = rcv.LocalAddr().(*net.UDPAddr), snd.LocalAddr().(*net.UDPAddr)
	snd.send(0, 10, 1000)
	rcv.want(0, 10)
	rcv.send(0, 10, 1000)
	snd.want(0, 10)
}

// Ends live in namespaces of others, which are as before when the run is gone.
func TestForeignEnds(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	for _, c := range []struct {
		name string
		end  func(t *testing.T) (End, string) // and the prefix that leads into it
	}{
		{"name", func(t *testing.T) (End, string) { return End{Namespace: "theirs"}, "ip netns exec theirs" }},
		{"path", func(t *testing.T) (End, string) {
			return End{Path: "/run/netns/theirs"}, "ip netns exec theirs"
		}},
		{"process", func(t *testing.T) (End, string) {
			child := exec.Command("sleep", "1000")
			if err := withNamespace("theirs", child.Start); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { child.Process.Kill(); child.Wait() })
			return End{Process: child.Process.Pid}, "ip netns exec theirs"
		}},
		{"host", func(t *testing.T) (End, string) { return End{Host: true}, "" }},
	} {
		for side, part := range []string{SenderEnd, ReceiverEnd} {
			t.Run(c.name+" as "+part, func(t *testing.T) {
				unchanged(t)
				theirNamespace(t, "theirs")
				end, prefix := c.end(t)
				command(t, "ip -n theirs link add lt-run type bridge") // a name like ours, and not ours
				before := settled(t, func() string { return listings(t, prefix) })
				topology := links("a", "b")
				*[]*End{&topology.Sender, &topology.Receiver}[side] = end
				up(t, "run", topology)
				s := status(t, "run")
				if len(s.Differences) > 0 {
					t.Errorf("%q", s.Differences)
				}
				if got := [2]string{s.Links[1].Device, s.Links[1].FarDevice}; got[side] != "lt-run-1" || got[1-side] != "w1" {
					t.Errorf("devices %v", got)
				}
				where := []string{Namespace("run", SenderEnd), Namespace("run", ReceiverEnd)}
				where[side] = end.reference("run", part)
				for i := range topology.Links {
					a := topology.Addresses(i)
					for f := range 2 {
						exchange(t, where[0], where[1], a.Sender[f].Addr(), a.Receiver[f].Addr())
					}
				}
				if namespaceExists(Namespace("run", part)) {
					t.Errorf("there is a namespace for %s too", part)
				}
				command(t, strings.TrimSpace(prefix+" ip link del lt-run-0"))
				if s := status(t, "run"); len(s.Differences) == 0 || !strings.HasPrefix(s.Differences[0], "missing: veth lt-run-0 in ") {
					t.Errorf("without its device: %q", s.Differences)
				}
				if err := Down("run", false); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(before, settled(t, func() string { return listings(t, prefix) })); d != "" {
					t.Errorf("left behind (-before +after)\n%s", d)
				}
			})
		}
	}
}

// A process that was named is gone, and another has its number; what was made
// in its namespace is found all the same, by those that are still in it. When
// nobody is left, there is nothing to find.
func TestForeignEndByIdentity(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	theirNamespace(t, "theirs")
	sleeper := func() *exec.Cmd {
		child := exec.Command("sleep", "1000")
		if err := withNamespace("theirs", child.Start); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { child.Process.Kill(); child.Wait() })
		return child
	}
	named, other := sleeper(), sleeper()
	before := listings(t, "ip netns exec theirs")
	topology := links("a")
	topology.Sender.Process = named.Process.Pid
	up(t, "run", topology)
	named.Process.Kill()
	named.Wait()
	if d := status(t, "run").Differences; len(d) > 0 {
		t.Errorf("with another process inside: %q", d)
	}
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, listings(t, "ip netns exec theirs")); d != "" {
		t.Errorf("left behind (-before +after)\n%s", d)
	}
	// The namespace's own name does not help: the topology has not said it.
	topology.Sender.Process = other.Process.Pid
	up(t, "run", topology)
	other.Process.Kill()
	other.Wait()
	if d := status(t, "run").Differences; len(d) != 1 || !strings.HasSuffix(d[0], "the namespace is gone: no name, file or process leads to it") {
		t.Errorf("with nobody inside: %q", d)
	}
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device goes with its peer", func() bool {
		return listings(t, "ip netns exec theirs") == before
	})
}

// cable makes a veth pair: "cable0" for an interface of the host, with
// everything that an interface can have, and "far0" in a namespace, for the
// device under test at its other end.
func cable(t testing.TB, dut string) {
	t.Helper()
	theirNamespace(t, dut)
	command(t, "ip link add cable0 mtu 1480 txqueuelen 700 type veth peer name far0 netns "+dut)
	t.Cleanup(func() { command(t, "ip link del cable0") })
	command(t, "ip addr add 10.250.0.1/32 dev lo") // the host has another address
	t.Cleanup(func() { command(t, "ip addr del 10.250.0.1/32 dev lo") })
	for _, c := range []string{
		"sysctl -qw net/ipv4/conf/cable0/rp_filter=2", "sysctl -qw net/ipv4/neigh/cable0/gc_stale_time=77",
		"sysctl -qw net/ipv6/conf/cable0/hop_limit=33", "sysctl -qw net/ipv6/conf/cable0/accept_ra=0",
		"ip link set cable0 gso_max_segs 1000",
		"ip link set cable0 alias uplink",
		"ip addr add 192.168.7.1/24 brd + dev cable0 label cable0:x",
		"ip addr add 192.168.7.9/24 dev cable0",
		"ip addr add 172.30.1.1 peer 172.30.1.2/32 dev cable0 metric 50",
		"ip addr add fd33::1/64 dev cable0 nodad",
		"ip addr add fd34::1/64 dev cable0 noprefixroute nodad",
		"ip link set cable0 up",
		"ip -n " + dut + " link set far0 up",
		"ip route add 10.200.0.0/16 via 192.168.7.254 dev cable0 src 192.168.7.9 metric 3",
		"ip route add 10.201.0.0/16 via 10.200.0.1 dev cable0 onlink table 100 mtu 1300",
		"ip route add blackhole 10.202.0.0/16",
		"ip -6 route add fd35::/48 via fd33::2 dev cable0 metric 5",
		"ip neigh add 192.168.7.254 lladdr 02:00:00:00:00:99 dev cable0 nud permanent",
		"ip -6 neigh add fd33::2 lladdr 02:00:00:00:00:99 dev cable0 nud permanent",
		"tc qdisc add dev cable0 root handle 5: tbf rate 50mbit burst 20k limit 30k",
	} {
		command(t, c)
	}
	t.Cleanup(func() { command(t, "ip route del blackhole 10.202.0.0/16") })
	addressed(t, "", "cable0")
}

// dut gives the device under test the addresses of a link's sender.
func dut(t testing.TB, ns string, a Addresses) {
	t.Helper()
	for f := range 2 {
		nodad := []string{"", " nodad"}[f]
		command(t, fmt.Sprintf("ip -n %s addr add %v dev far0%s", ns, a.Sender[f], nodad))
		command(t, fmt.Sprintf("ip -n %s route add %v via %v", ns, a.Receiver[f].Masked(), a.SenderGateway[f].Addr()))
	}
}

// withCable is a topology whose first link begins at the interface cable0.
func withCable() *Topology {
	topology := links("a", "b")
	topology.Links[0].Sender.Interface = "cable0"
	return topology
}

// An interface moves into a link, carries it, and comes back as it was.
func TestInterface(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	cable(t, "dut")
	before := settled(t, func() string { return deviceListings(t, "cable0") })
	topology := withCable()
	p := newPlan(t, "run", topology)
	if err := Up(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	a := topology.Addresses(0)
	dut(t, "dut", a)
	for f := range 2 { // the router is the first who must find the device
		exchange(t, "lt.run.rcv", "dut", a.Receiver[f].Addr(), a.Sender[f].Addr())
	}
	s := status(t, "run")
	if len(s.Differences) > 0 || s.Links[0].Device != "cable0" || s.Links[1].Device != "w1" {
		t.Errorf("%q, device %s", s.Differences, s.Links[0].Device)
	}
	if c := s.Links[0].Up; c.Packets < 20 {
		t.Errorf("the bottleneck has seen %d packets", c.Packets)
	}
	if strings.Contains(command(t, "ip link"), "cable0") {
		t.Error("the interface is still there")
	}
	err := Up(t.Context(), newPlan(t, "other", withCable()), nil)
	wantError(t, err, "build run other: link a: interface cable0: is in use by run run: remove that with linkup down run")
	// Somebody else's device has taken its name: nothing is lost.
	command(t, "ip link add cable0 type bridge")
	err = Down("run", false)
	if err == nil || !strings.Contains(err.Error(), "give cable0 back: another device has its name") {
		t.Fatalf("down: %v", err)
	}
	command(t, "ip link del cable0")
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, settled(t, func() string { return deviceListings(t, "cable0") })); d != "" {
		t.Errorf("not as before (-before +after)\n%s", d)
	}
}

// An interface that is down, without anything, comes back so.
func TestInterfaceDown(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	command(t, "ip link add cable0 type veth peer name far0")
	t.Cleanup(func() { command(t, "ip link del cable0") })
	command(t, "ip addr add 192.168.7.1/24 dev cable0")
	command(t, "ip link add name filler type bridge") // takes no index that is to come back
	t.Cleanup(func() { command(t, "ip link del filler") })
	before := deviceListings(t, "cable0")
	topology := links("a")
	topology.Links[0].Receiver.Interface, topology.Links[0].Receiver.Force = "cable0", true
	up(t, "run", topology)
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, deviceListings(t, "cable0")); d != "" {
		t.Errorf("not as before (-before +after)\n%s", d)
	}
}

// A builder that is killed after any step leaves what Down gives back, and so
// does a Down that is killed itself; ends and interfaces are as before.
func TestCrashEnds(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	topology := withCable()
	topology.Sender.Host = true
	topology.Receiver.Namespace = "theirs"
	topology.Receiver.Address = netip.MustParseAddr("10.99.0.1")
	p := newPlan(t, "crash", topology)
	crashHere(t, p)
	unchanged(t)
	theirNamespace(t, "theirs")
	cable(t, "dut")
	list := func() string { return deviceListings(t, "cable0") + listings(t, "ip netns exec theirs") }
	before := settled(t, list)
	stride := 1
	if testing.Short() {
		stride = 9
	}
	for n := 1; n <= len(p.Ops); n += stride {
		crashAfter(t, n)
		if s := status(t, "crash"); s.Complete || (n < len(p.Ops)) != (len(s.Differences) > 0) {
			t.Errorf("step %d: complete %v, differences %q", n, s.Complete, s.Differences)
		}
		if err := Down("crash", false); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		// Most steps only touch what is the run's own.
		if outside := p.Ops[n-1].Undo() != ""; !outside && n%20 != 0 && n != len(p.Ops) {
			continue
		}
		if d := cmp.Diff(before, settled(t, list)); d != "" {
			t.Fatalf("step %d (-before +after)\n%s", n, d)
		}
	}
}

// Inside the step that takes a device, and inside its undo, any prefix can have
// happened.
func TestCrashInsideTake(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	cable(t, "dut")
	list := func() string { return deviceListings(t, "cable0") }
	before := settled(t, list)
	p := newPlan(t, "crash", withCable())
	i := slices.IndexFunc(p.Ops, func(op Op) bool { _, ok := op.(TakeDevice); return ok })
	mark := p.Ops[i].(TakeDevice).Mark
	for name, spoil := range map[string][]string{
		"marked only":     {"ip link set cable0 alias MARK"},
		"moved":           {"ip link set cable0 alias MARK", "ip link set cable0 netns lt.crash.a"},
		"moved and named": {"ip link set cable0 alias MARK", "ip link set cable0 netns lt.crash.a name s0", "ip -n lt.crash.a link set s0 mtu 1300"},
		"back, and bare":  {"ip link set cable0 alias MARK", "ip link set cable0 netns lt.crash.a name s0", "ip -n lt.crash.a link set s0 netns HOST name cable0"},
		"back, half-way":  {"ip link set cable0 alias MARK", "ip link set cable0 netns lt.crash.a", "ip -n lt.crash.a link set cable0 netns HOST", "ip link set cable0 up", "ip addr add 192.168.7.9/24 dev cable0"},
	} {
		t.Run(name, func(t *testing.T) {
			q := *p
			q.Ops = append(append([]Op{}, p.Ops[:i]...), badOp{})
			if err := Up(t.Context(), &q, nil); err == nil {
				t.Fatal("the bad step was carried out")
			}
			// What Up leaves when it is killed there: its record and the steps before.
			found, err := survey(p)
			if err != nil {
				t.Fatal(err)
			}
			unlock, err := lockRun("crash")
			if err != nil {
				t.Fatal(err)
			}
			r, err := newRecord(p)
			if err != nil {
				t.Fatal(err)
			}
			r.Found = found
			if err := writeRecord(r); err != nil {
				t.Fatal(err)
			}
			unlock()
			k := newKernel()
			for _, op := range p.Ops[:i] {
				if err := k.do(op); err != nil {
					t.Fatal(err)
				}
			}
			k.Close()
			for _, c := range spoil {
				args := strings.Fields(c)
				for j := range args {
					args[j] = strings.ReplaceAll(strings.ReplaceAll(args[j], "MARK", mark), "HOST", strconv.Itoa(os.Getpid()))
				}
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", c, err, out)
				}
			}
			if err := Down("crash", false); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before, settled(t, list)); d != "" {
				t.Errorf("(-before +after)\n%s", d)
			}
		})
	}
}

// What would be dangerous is refused, with nothing touched.
func TestEndsRefused(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	theirNamespace(t, "theirs")
	for _, c := range []struct {
		name  string
		setup []string
		clean []string
		edit  func(t *Topology)
		want  string
	}{
		{"no namespace", nil, nil, func(t *Topology) { t.Sender.Namespace = "nobodys" }, "namespace nobodys: there is none: see ip netns list"},
		{"no process", nil, nil, func(t *Topology) { t.Sender.Process = 1 << 22 }, "namespace /proc/4194304/ns/net: there is none: see ip netns list"},
		{"no namespace's file", nil, nil, func(t *Topology) { t.Sender.Path = "/dev/null" }, "namespace /dev/null: enter namespace /dev/null: invalid argument"},
		{"one namespace twice", nil, nil, func(t *Topology) { t.Sender.Namespace, t.Receiver.Path = "theirs", "/run/netns/theirs" },
			"namespaces theirs and /run/netns/theirs are the same, where packets between sender and receiver would not pass any link: choose another for one of them"},
		{"device's name", []string{"ip -n theirs link add lt-run-0 type bridge"}, []string{"ip -n theirs link del lt-run-0"},
			func(t *Topology) { t.Sender.Namespace = "theirs" }, "namespace theirs: has a device lt-run-0 already, and not from this run: remove it, or choose another --name"},
		{"address", []string{"ip -n theirs addr add 10.77.0.200/24 dev lo"}, []string{"ip -n theirs addr del 10.77.0.200/24 dev lo"},
			func(t *Topology) { t.Sender.Namespace = "theirs" }, "namespace theirs: 10.77.0.0/30, which the run needs, overlaps with 10.77.0.0/24 on lo: write another network: (or address:) in the topology"},
		{"route", []string{"ip -n theirs route add fd77:6c74::/32 dev lo"}, []string{"ip -n theirs -6 route del fd77:6c74::/32 dev lo"},
			func(t *Topology) { t.Receiver.Namespace = "theirs" }, "namespace theirs: fd77:6c74:0:1::/64, which the run needs, overlaps with fd77:6c74::/32 on lo: write another network: (or address:) in the topology"},
		{"no interface", nil, nil, func(t *Topology) { t.Links[0].Sender.Interface = "eth99" }, "link a: interface eth99: the host has none of that name: it has "},
		{"loopback", nil, nil, func(t *Topology) { t.Links[0].Sender.Interface = "lo" }, "link a: interface lo: is no Ethernet device: choose one that a cable goes out of"},
		{"default route", []string{"ip addr add 192.168.7.1/24 dev cable1", "ip link set cable1 up", "ip route add default via 192.168.7.2 dev cable1"}, []string{"ip route del default", "ip addr del 192.168.7.1/24 dev cable1"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: the host's default route goes through it: choose another, or write force: true if the host can do without"},
		{"default route, IPv6", []string{"ip addr add fd33::1/64 dev cable1 nodad", "ip link set cable1 up", "ip route add default via fd33::2 dev cable1"}, []string{"ip -6 route del default", "ip addr del fd33::1/64 dev cable1"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: the host's default route goes through it"},
		{"only address", []string{"ip addr add 192.168.7.1/24 dev cable1"}, []string{"ip addr del 192.168.7.1/24 dev cable1"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: the host's only address is on it: choose another, or write force: true if the host can do without"},
		{"port of a bridge", []string{"ip link add bridge9 type bridge", "ip link set cable1 master bridge9"}, []string{"ip link del bridge9"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: is a port of bridge9: take it out first with ip link set cable1 nomaster"},
		{"tree of qdiscs", []string{"tc qdisc add dev cable1 root handle 1: htb"}, []string{"tc qdisc del dev cable1 root"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: has a htb qdisc, which could not be given back as it is: remove it first with tc qdisc del dev cable1"},
		{"filters", []string{"tc qdisc add dev cable1 clsact"}, []string{"tc qdisc del dev cable1 clsact"},
			func(t *Topology) { t.Links[0].Sender.Interface = "cable1" }, "link a: interface cable1: has a clsact qdisc"},
		{"nexthop object", []string{"sysctl -qw net/ipv6/conf/cable1/disable_ipv6=1", "sysctl -qw net/ipv6/conf/far1/disable_ipv6=1", "ip link set cable1 up", "ip link set far1 up", "ip nexthop add id 7 dev cable1", "ip route add 10.210.0.0/16 nhid 7"}, []string{"ip nexthop del id 7"},
			func(t *Topology) { t.Links[0].Sender.Interface, t.Links[0].Sender.Force = "cable1", true }, "link a: interface cable1: has the route 10.210.0.0/16 table 254 over several ways or a nexthop object, which could not be given back: remove it first"},
		{"VLAN on a device that is down", nil, nil, func(t *Topology) { t.Links[0].Sender = LinkEnd{Interface: "cable1", VLAN: 5} },
			"link a: interface cable1: is down, and so would be its VLAN: bring it up first with ip link set cable1 up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			command(t, "ip link add cable1 type veth peer name far1")
			defer command(t, "ip link del cable1")
			for _, x := range c.setup {
				command(t, x)
			}
			// The kernel goes on with what was set up for an instant.
			var before string
			eventually(t, "the set-up settles", func() bool {
				last := before
				command(t, "sleep 0.1") // virtual time stands still while we only look
				before = listings(t, "") + listings(t, "ip netns exec theirs")
				return before == last
			})
			topology := links("a")
			c.edit(topology)
			err := Up(t.Context(), newPlan(t, "run", topology), nil)
			if want := "build run run: " + c.want; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if d := cmp.Diff(before, listings(t, "")+listings(t, "ip netns exec theirs")); d != "" {
				t.Errorf("touched (-before +after)\n%s", d)
			}
			if namespaceExists("lt.run.a") {
				t.Error("a namespace was made")
			}
			for _, x := range c.clean {
				command(t, x)
			}
		})
	}
}

// A bridged link is one wire: devices on cables bring addresses of their own,
// and their frames pass the bottleneck of their direction.
func TestBridge(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	topology := links("a", "b")
	for i := range topology.Links {
		topology.Links[i].Bridge = true
	}
	topology.Links[0].Sender.Interface, topology.Links[0].Receiver.Interface = "cable1", "cable2"
	for i, ns := range []string{"left", "right"} {
		theirNamespace(t, ns)
		near := fmt.Sprintf("cable%d", i+1)
		command(t, fmt.Sprintf("ip link add %s type veth peer name far0 netns %s", near, ns))
		t.Cleanup(func() { command(t, "ip link del "+near) })
		command(t, fmt.Sprintf("ip -n %s addr add 192.168.50.%d/24 dev far0", ns, i+1))
		command(t, fmt.Sprintf("ip -n %s addr add fd50::%d/64 dev far0 nodad", ns, i+1))
		command(t, "ip -n "+ns+" link set far0 up")
	}
	before := settled(t, func() string { return listings(t, "") })
	up(t, "run", topology)
	exchange(t, "left", "right", netip.MustParseAddr("192.168.50.1"), netip.MustParseAddr("192.168.50.2"))
	exchange(t, "left", "right", netip.MustParseAddr("fd50::1"), netip.MustParseAddr("fd50::2"))
	a := topology.Addresses(1)
	for f := range 2 {
		exchange(t, "lt.run.snd", "lt.run.rcv", a.Sender[f].Addr(), a.Receiver[f].Addr())
	}
	s := status(t, "run")
	if len(s.Differences) > 0 {
		t.Errorf("%q", s.Differences)
	}
	for _, l := range s.Links {
		if l.Up.Packets < 20 || l.Down.Packets < 20 {
			t.Errorf("link %s: bottlenecks have seen %d and %d packets", l.Name, l.Up.Packets, l.Down.Packets)
		}
	}
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, settled(t, func() string { return listings(t, "") })); d != "" {
		t.Errorf("not as before (-before +after)\n%s", d)
	}
}

// Two links share an interface by their VLANs.
func TestVLAN(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "lab") // the lab's kernel has VLANs
	unchanged(t)
	theirNamespace(t, "dut")
	command(t, "ip link add cable0 type veth peer name far0 netns dut")
	t.Cleanup(func() { command(t, "ip link del cable0") })
	command(t, "ip link set cable0 up")
	command(t, "ip -n dut link set far0 up")
	addressed(t, "", "cable0")
	topology := links("a", "b")
	before := settled(t, func() string { return listings(t, "") })
	for i := range topology.Links {
		topology.Links[i].Sender = LinkEnd{Interface: "cable0", VLAN: 100 + i}
		a := topology.Addresses(i)
		command(t, fmt.Sprintf("ip -n dut link add link far0 name v%d type vlan id %d", i, 100+i))
		for f := range 2 {
			command(t, fmt.Sprintf("ip -n dut addr add %v dev v%d%s", a.Sender[f], i, []string{"", " nodad"}[f]))
		}
		command(t, fmt.Sprintf("ip -n dut link set v%d up", i))
		for f := range 2 {
			command(t, fmt.Sprintf("ip -n dut route add %v via %v", a.Receiver[f].Masked(), a.SenderGateway[f].Addr()))
		}
	}
	for range 2 { // at once again: the VLANs are free
		up(t, "run", topology)
		for i := range topology.Links {
			a := topology.Addresses(i)
			for f := range 2 {
				exchange(t, "dut", "lt.run.rcv", a.Sender[f].Addr(), a.Receiver[f].Addr())
			}
		}
		if d := status(t, "run").Differences; len(d) > 0 {
			t.Errorf("%q", d)
		}
		if err := Down("run", false); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, settled(t, func() string { return listings(t, "") })); d != "" {
			t.Errorf("not as before (-before +after)\n%s", d)
		}
	}
}

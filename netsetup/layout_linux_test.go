package netsetup

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"linktape/internal/privtest"

	"github.com/google/go-cmp/cmp"
)

// passed reads how many packets a link's bottlenecks have let through.
func passed(t testing.TB, run string, link int) (up, down uint64) {
	t.Helper()
	l := status(t, run).Links[link]
	return l.Up.Packets, l.Down.Packets
}

// All links lead to one receiver address: the sender's address chooses the
// link, also for the answers, in both families, and also where sender and
// receiver are somebody else's.
func TestOneAddress(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	for _, foreign := range []bool{false, true} {
		t.Run(map[bool]string{false: "own ends", true: "others' ends"}[foreign], func(t *testing.T) {
			unchanged(t)
			theirNamespace(t, "theirs")
			topology := links("a", "b", "c")
			topology.Links[2].Hops = 1
			topology.Receiver.Address, topology.Receiver.Address6 = netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("fd99::1")
			if foreign {
				topology.Sender.Host, topology.Receiver.Namespace = true, "theirs"
			}
			before := settled(t, func() string { return listings(t, "") + listings(t, "ip netns exec theirs") })
			up(t, "run", topology)
			if d := status(t, "run").Differences; len(d) > 0 {
				t.Errorf("%q", d)
			}
			snd, rcv := topology.reference("run", SenderEnd), topology.reference("run", ReceiverEnd)
			for i := range topology.Links {
				for f, one := range topology.Receiver.addresses() {
					up, down := passed(t, "run", i)
					exchange(t, snd, rcv, topology.Addresses(i).Sender[f].Addr(), one)
					if u, d := passed(t, "run", i); u < up+10 || d < down+10 {
						t.Errorf("link %d, family %d: %d packets went up and %d down it", i, f, u-up, d-down)
					}
				}
			}
			// A sender that has no address yet takes the first link.
			prefix := "ip netns exec lt.run.snd "
			if foreign {
				prefix = ""
			}
			if got := command(t, prefix+"ip route get 10.99.0.1"); !strings.Contains(got, "src 10.77.0.1 ") {
				t.Errorf("without an address: %s", got)
			}
			if foreign {
				command(t, "ip rule del from 10.77.1.1")
				if d := status(t, "run").Differences; len(d) != 1 || !strings.Contains(d[0], "ip rule add from 10.77.1.1 lookup ") {
					t.Errorf("without a rule: %q", d)
				}
			}
			if err := Down("run", false); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before, settled(t, func() string { return listings(t, "") + listings(t, "ip netns exec theirs") })); d != "" {
				t.Errorf("left behind (-before +after)\n%s", d)
			}
		})
	}
}

// Hops lie on the way and show themselves; cross traffic shares the
// bottlenecks, both ways; addresses are those that the topology says.
func TestHopsAndCross(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	topology := links("a", "b")
	topology.Network, topology.Network6 = netip.MustParsePrefix("10.80.0.0/16"), netip.MustParsePrefix("fd80::/32")
	topology.Links[0].Hops, topology.Links[0].Cross = 3, true
	topology.Links[1].Sender = LinkEnd{Address: netip.MustParsePrefix("192.168.1.2/24"), Gateway: netip.MustParseAddr("192.168.1.254"), MAC: "02:00:00:00:00:aa"}
	topology.Links[1].Receiver.Address6 = netip.MustParsePrefix("fd01::2/64")
	up(t, "run", topology)
	if d := status(t, "run").Differences; len(d) > 0 {
		t.Errorf("%q", d)
	}
	a := topology.Addresses(0)
	if got := a.Sender[0].String() + " " + a.Sender[1].String(); got != "10.80.0.1/30 fd80::1/64" {
		t.Errorf("addresses %s", got)
	}
	for i := range 2 {
		x := topology.Addresses(i)
		for f := range 2 {
			exchange(t, "lt.run.snd", "lt.run.rcv", x.Sender[f].Addr(), x.Receiver[f].Addr())
		}
	}
	for f := range 2 {
		up, down := passed(t, "run", 0)
		exchange(t, "lt.run.a.x", "lt.run.rcv", a.Cross[f].Addr(), a.Receiver[f].Addr())
		if u, d := passed(t, "run", 0); u < up+10 || d < down+10 {
			t.Errorf("family %d: %d packets went up and %d down", f, u-up, d-down)
		}
	}
	if got := command(t, "ip -n lt.run.snd -j addr show dev w1"); !strings.Contains(got, `"192.168.1.2"`) || !strings.Contains(got, `"02:00:00:00:00:aa"`) {
		t.Errorf("w1: %s", got)
	}
	// Each router takes one off the time to live: the link's, and three hops.
	for ttl, reached := range map[string]bool{"4": false, "5": true} {
		// ping fails where nothing answers, which is what is asked.
		b, _ := exec.Command("ip", "netns", "exec", "lt.run.snd", "ping", "-c1", "-W1", "-t"+ttl, a.Receiver[0].Addr().String()).CombinedOutput()
		out := string(b)
		if strings.Contains(out, " 0% packet loss") != reached {
			t.Errorf("time to live %s: %s", ttl, out)
		}
	}
}

package netsetup

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/google/go-cmp/cmp"
	"github.com/safchain/ethtool"
)

const ethtoolVariable = "LINKTAPE_TEST_ETHTOOL"

// TestMainEthtool stands in for ethtool(8), which the machine may not have: it
// understands -K DEVICE FEATURE off…, with ethtool's short names.
func TestMainEthtool(t *testing.T) {
	line := os.Getenv(ethtoolVariable)
	if line == "" {
		t.Skip("needs to be called as ethtool, by TestScript")
	}
	args := strings.Fields(line)
	if len(args) < 4 || args[0] != "-K" {
		t.Fatalf("ethtool %q", args)
	}
	short := map[string][]string{
		"tso": {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation"},
		"gso": {"tx-generic-segmentation"}, "gro": {"rx-gro"},
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	have, err := e.Features(args[1])
	if err != nil {
		t.Fatal(err)
	}
	change := make(map[string]bool)
	for i := 2; i+1 < len(args); i += 2 {
		names, ok := short[args[i]]
		if !ok {
			names = args[i : i+1]
		}
		for _, n := range names {
			if _, ok := have[n]; ok {
				change[n] = args[i+1] == "on"
			}
		}
	}
	if err := e.Change(args[1], change); err != nil {
		t.Fatal(err)
	}
}

// kernelState is what can be seen of all of a run's namespaces.
func kernelState(t *testing.T, p *Plan) string {
	t.Helper()
	var b strings.Builder
	random := regexp.MustCompile(`"address": "[0-9a-f:]*"`)
	for _, ns := range append(p.Namespaces(), p.foreign()...) {
		prefix := "ip netns exec " + ns
		if ns == hostNamespace {
			prefix = ""
		}
		eventually(t, "every device has its carrier", func() bool {
			if !strings.Contains(command(t, strings.TrimSpace(prefix+" ip link")), "NO-CARRIER") {
				return true
			}
			command(t, "sleep 0.25") // virtual time stands still while we only look
			return false
		})
		s := listings(t, prefix)
		var ask strings.Builder
		for _, link := range strings.Fields(command(t, strings.TrimSpace(prefix+" ls /proc/sys/net/ipv4/conf"))) {
			if link == "all" || link == "default" {
				continue
			}
			fmt.Fprintf(&ask, "class show dev %s\nfilter show dev %s egress\n", link, link)
			have, err := features(prefix, link)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range offloads {
				s += fmt.Sprintf("%s %s: %v\n", link, f, have[f])
			}
		}
		args := strings.Fields(prefix + " tc -d -force -batch -")
		tc := exec.Command(args[0], args[1:]...)
		tc.Stdin = strings.NewReader(ask.String())
		out, _ := tc.Output() // a device without clsact has no filters, which is an error to tc
		if !strings.Contains(string(out), "mirred") && strings.Contains(s, `"clsact"`) {
			t.Fatalf("tc does not list filters: %s", out)
		}
		s += string(out)
		// What counts time or devices differs from one moment to the next.
		s = regexp.MustCompile(`(_timer"): [0-9.]+`).ReplaceAllString(s, "$1")
		// A device's state follows its carrier some time later (net/core/link_watch.c).
		s = regexp.MustCompile(`("operstate"): "(UP|UNKNOWN)"`).ReplaceAllString(s, "$1")
		if ns == hostNamespace || len(p.foreign()) > 0 {
			s = regexp.MustCompile(`("(if|link_)index"): [0-9]+|(?m:^[0-9]+:)`).ReplaceAllString(s, "$1")
		}
		// An IFB has a random address, which nothing ever sees.
		lines := strings.Split(s, "\n")
		for i := range lines {
			if i >= 12 && random.MatchString(lines[i]) && strings.Contains(strings.Join(lines[max(i-14, 0):i], "\n"), `"ifname": "ifb-`) {
				lines[i] = random.ReplaceAllString(lines[i], `"address": "random"`)
			}
		}
		fmt.Fprintf(&b, "## %s\n%s\n", ns, strings.Join(lines, "\n"))
	}
	for _, op := range p.Ops {
		o, ok := op.(SetSysctls)
		if !ok {
			continue
		}
		for _, s := range o.Settings {
			fmt.Fprintf(&b, "%s %s = %s", o.Namespace, s.Key, command(t, o.exec("cat /proc/sys/net/%s", s.Key)))
		}
	}
	return b.String()
}

// features reads a device's offloads in a namespace that a prefix leads into.
func features(prefix, device string) (have map[string]bool, err error) {
	read := func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		have, err = e.Features(device)
		return err
	}
	if prefix == "" {
		return have, read()
	}
	err = withNamespace(strings.TrimPrefix(prefix, "ip netns exec "), read)
	return have, err
}

// The script of a plan, run by hand, leaves the kernel in the state that Up
// leaves it in.
func TestScript(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	netem := PathNone
	if strings.Contains(os.Getenv(privtest.Variable), "netem") {
		netem = PathNetem
	}
	dir := t.TempDir()
	shim := "#!/bin/sh\n" + ethtoolVariable + `="$*" exec ` + testBinary(t) + " -test.run='^TestMainEthtool$'\n"
	if err := os.WriteFile(filepath.Join(dir, "ethtool"), []byte(shim), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name string
		edit func(t *Topology)
	}{
		{"plain", func(*Topology) {}},
		{"htb", func(t *Topology) { t.Links[0].Shaper, t.Links[0].Rate = ShaperHTB, 20*trace.Mbit }},
		{"slow htb", func(t *Topology) { t.Links[0].Shaper, t.Links[0].Rate = ShaperHTB, 300*trace.Kbit }},
		{"queue in time", func(t *Topology) {
			t.Links[0].Queue = trace.Queue{Kind: trace.DropTail, LimitTime: 200 * time.Millisecond}
			t.Links[0].Rate, t.Links[0].MTU = 7*trace.Mbit, 1400
		}},
		{"delay", func(t *Topology) {
			if t.Links[0].Path != PathNone {
				t.Links[0].Delay = 35 * time.Millisecond
			}
		}},
		{"pulse", func(t *Topology) {
			if f, _, err := Probe(); err == nil && f.Plug && f.Prio && f.CAKE {
				t.Links[0].Shaper, t.Links[1].Shaper = ShaperPulse, ShaperPulse
				t.Links[1].Queue = trace.Queue{Kind: CAKEQueue}
			}
		}},
		{"nested", func(t *Topology) {
			t.Links[0].Tree, t.Links[1].Tree, t.Links[1].Shaper = TreeNested, TreeEgress, ShaperHTB
		}},
		{"hops and cross", func(t *Topology) { t.Links[0].Hops, t.Links[1].Cross = 2, true }},
		{"bridge", func(t *Topology) { t.Links[0].Bridge = true }},
		{"one address, in the host", func(t *Topology) {
			t.Sender.Host = true
			t.Receiver.Address = netip.MustParseAddr("10.99.0.1")
		}},
		{"IPv4 only", func(t *Topology) { off := false; t.IPv6 = &off }},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Each runs some hundred programs, which slow kernels take long for.
			inLab := privtest.Promised("lab")
			if testing.Short() && i > 1 || inLab && c.name != "delay" && c.name != "nested" && c.name != "pulse" {
				t.Skip("on kernels that start programs quickly only")
			}
			unchanged(t)
			topology := links("a", "b")
			for i := range topology.Links {
				topology.Links[i].Path = netem
			}
			c.edit(topology)
			p := up(t, "run", topology)
			want := kernelState(t, p)
			if err := Down("run", false); err != nil {
				t.Fatal(err)
			}
			var undo strings.Builder
			t.Cleanup(func() {
				cmd := exec.Command("sh")
				cmd.Stdin = strings.NewReader(undo.String())
				cmd.Run()
			})
			for i := len(p.Ops) - 1; i >= 0; i-- {
				if u := p.Ops[i].Undo(); u != "" {
					fmt.Fprintln(&undo, u)
				}
			}
			script, err := p.Script()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh")
			cmd.Stdin = strings.NewReader(script)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 && !strings.Contains(string(out), "PASS") {
				t.Fatalf("%v\n%s", err, out)
			}
			if d := cmp.Diff(want, kernelState(t, p)); d != "" {
				t.Errorf("the script leaves another state (-up +script)\n%s", d)
			}
		})
	}
}

func testBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

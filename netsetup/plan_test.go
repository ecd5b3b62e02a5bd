package netsetup

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

var allFeatures = AllFeatures()

// planText writes a plan as it is carried out, and how it is taken back.
func planText(p *Plan) string {
	var b strings.Builder
	for _, op := range p.Ops {
		fmt.Fprintf(&b, "%v\n", op)
	}
	for i := len(p.Ops) - 1; i >= 0; i-- {
		if undo := p.Ops[i].Undo(); undo != "" {
			fmt.Fprintf(&b, "undo: %s\n", undo)
		}
	}
	return b.String()
}

// The whole plan of two links, for kernels that can more or less.
func TestPlanGolden(t *testing.T) {
	read := func(file string) *Topology {
		topology, err := ReadTopology(file)
		if err != nil {
			t.Fatal(err)
		}
		return topology
	}
	topology := read("testdata/good/two.yaml")
	ratesOnly := &Topology{Links: []Link{topology.Links[0], topology.Links[1]}}
	ratesOnly.Links[1].Path, ratesOnly.Links[1].Delay = PathNone, 0
	for _, c := range []struct {
		file     string
		topology *Topology
		features Features
	}{
		{"plan.txt", topology, allFeatures},
		{"plan-ipv4.txt", topology, Features{HTB: true, Netem: true}},
		{"plan-no-netem.txt", ratesOnly, Features{IPv6: true, HTB: true}},
		{"plan-ends.txt", read("testdata/good/ends.yaml"), allFeatures},
		{"plan-shapes.txt", read("testdata/good/shapes.yaml"), allFeatures},
		{"plan-exact.txt", read("testdata/good/exact.yaml"), allFeatures},
	} {
		t.Run(c.file, func(t *testing.T) {
			p, err := NewPlan("demo", c.topology, c.features)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, "testdata/"+c.file, planText(p))
		})
	}
}

// A plan is data: the same input gives the same plan.
func TestPlanRepeats(t *testing.T) {
	topology := &Topology{Links: []Link{DefaultLink("a"), DefaultLink("b")}}
	one, err1 := NewPlan("r", topology, allFeatures)
	two, err2 := NewPlan("r", topology, allFeatures)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if planText(one) != planText(two) {
		t.Error("two plans of one topology differ")
	}
}

// Every step says its commands. Each namespace is undone, and nothing is made
// in one that is not of the plan, before it is made, or outside of any.
func TestPlanComplete(t *testing.T) {
	topology, err := ReadTopology("testdata/good/two.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan("demo", topology, allFeatures)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"lt.demo.snd", "lt.demo.rcv", "lt.demo.att", "lt.demo.vzw"}
	if got := p.Namespaces(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("namespaces: got %v, want %v", got, want)
	}
	made := make(map[string]bool)
	for i, op := range p.Ops {
		if ns, ok := op.(AddNamespace); ok {
			made[ns.Name] = true
			if got, want := op.Undo(), "ip netns del "+ns.Name; got != want {
				t.Errorf("step %d: undo %q, want %q", i, got, want)
			}
			continue
		}
		if op.Undo() != "" {
			t.Errorf("step %d: %v: undo %q, but it goes with its namespace", i, op, op.Undo())
		}
		for _, line := range strings.Split(op.String(), "\n") {
			var ns string
			if _, err := fmt.Sscanf(line, "ip netns exec %s", &ns); err != nil {
				if _, err := fmt.Sscanf(line, "ip -n %s", &ns); err != nil {
					if _, err := fmt.Sscanf(line, "tc -n %s", &ns); err != nil {
						t.Errorf("step %d: %q is in no namespace", i, line)
					}
				}
			}
			if !made[ns] {
				t.Errorf("step %d: %q is in %s, which is not made yet", i, line, ns)
			}
			if strings.Contains(line, "%!") {
				t.Errorf("step %d: %q is badly formatted", i, line)
			}
		}
	}
}

func TestPlanErrors(t *testing.T) {
	netem, htb, delayed := DefaultLink("a"), DefaultLink("a"), DefaultLink("a")
	netem.Path, htb.Shaper, delayed.Delay = PathNetem, ShaperHTB, time.Millisecond
	cake, codel, doubled := DefaultLink("a"), DefaultLink("a"), DefaultLink("a")
	cake.UseShaper(ShaperCAKE)
	exact := DefaultLink("a")
	exact.UseShaper(ShaperEDT)
	exact.Delay = time.Millisecond
	codel.Queue.Kind = CoDel
	doubled.Path, doubled.Impair.Duplicate = PathNetem, 0.1
	for _, c := range []struct {
		name, run string
		link      Link
		features  Features
		notHere   bool
		want      string
	}{
		{"run's name", "Demo", DefaultLink("a"), allFeatures, false, `run: name "Demo": use lower-case letters, digits and, after the first character, hyphens`},
		{"no run", "", DefaultLink("a"), allFeatures, false, "run: name is empty"},
		{"topology", "demo", Link{Name: "a"}, allFeatures, false, `topology: link a: unknown shaper ""`},
		{"netem", "demo", netem, Features{HTB: true}, true, "link a: not supported by this kernel: netem (CONFIG_NET_SCH_NETEM, module sch_netem); write path: none"},
		{"delay", "demo", delayed, Features{HTB: true}, true, "link a: not supported by this kernel: netem"},
		{"cake", "demo", cake, Features{HTB: true, Netem: true}, true, "link a: not supported by this kernel: cake (CONFIG_NET_SCH_CAKE, module sch_cake); choose another shaper"},
		{"codel", "demo", codel, Features{HTB: true, Netem: true}, true, "link a: not supported by this kernel: fq_codel (CONFIG_NET_SCH_FQ_CODEL, module sch_fq_codel); leave the queue's kind out"},
		{"duplicates", "demo", doubled, Features{HTB: true, Netem: true}, true, "link a: not supported by this kernel: duplication in a path"},
		{"edt", "demo", exact, Features{HTB: true, Netem: true}, true, "link a: not supported by this kernel: backend: edt (root on the machine itself, not in a user namespace as --rootless has it; CONFIG_BPF_SYSCALL, CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_FQ, modules sch_ingress, cls_bpf, sch_fq): linkup check says what is missing; write backend: qdisc"},
		{"htb", "demo", htb, Features{Netem: true}, true, "link a: not supported by this kernel: htb (CONFIG_NET_SCH_HTB, module sch_htb); write shaper: tbf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewPlan(c.run, &Topology{Links: []Link{c.link}}, c.features)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || errors.Is(err, ErrNotSupported) != c.notHere {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// A link with departures by arithmetic needs no netem for its delay, no IFB and none of
// the other shapers.
func TestPlanExactNeeds(t *testing.T) {
	l := DefaultLink("a")
	l.UseShaper(ShaperEDT)
	l.Path, l.Delay, l.Impair.Loss = PathNetem, time.Millisecond, 0.1
	p, err := NewPlan("demo", &Topology{Links: []Link{l}}, Features{EDT: true})
	if err != nil {
		t.Fatal(err)
	}
	text := planText(p)
	for _, no := range []string{"ifb", "netem", "tbf", "htb", "mirred"} {
		if strings.Contains(text, no) {
			t.Errorf("the plan has %s:\n%s", no, text)
		}
	}
}

// Names of runs and links never run together.
func TestNamespace(t *testing.T) {
	names := []string{"a", "b", "c", "a-b", "b-c", "a-b-c", "snd", "rcv"}
	seen := make(map[string]string)
	for _, run := range names {
		for _, part := range names {
			ns := Namespace(run, part)
			if other, ok := seen[ns]; ok {
				t.Errorf("%s/%s and %s are both %s", run, part, other, ns)
			}
			seen[ns] = run + "/" + part
		}
	}
	longest := strings.Repeat("a", trace.MaxName)
	if n := len(Namespace(longest, longest)); n > 255 {
		t.Errorf("a name of %d bytes is no file name", n)
	}
}

// No two links of a run share an address, a network, a MAC or a device.
func TestLinkAddresses(t *testing.T) {
	addrs := make(map[netip.Addr]int)
	networks := make(map[netip.Prefix]int)
	others := make(map[string]int)
	for i := range MaxLinks {
		a := LinkAddresses(i)
		for _, side := range [][2][2]netip.Prefix{{a.Sender, a.SenderGateway}, {a.Receiver, a.ReceiverGateway}} {
			for f := range 2 {
				near, far := side[0][f], side[1][f]
				if near.Masked() != far.Masked() || near == far {
					t.Fatalf("link %d: %v and %v do not share a network", i, near, far)
				}
				if last, ok := networks[near.Masked()]; ok {
					t.Fatalf("links %d and %d: both have %v", last, i, near.Masked())
				}
				networks[near.Masked()] = i
				for _, p := range []netip.Prefix{near, far} {
					if last, ok := addrs[p.Addr()]; ok {
						t.Fatalf("links %d and %d: both have %v", last, i, p.Addr())
					}
					addrs[p.Addr()] = i
					if !p.Addr().IsPrivate() {
						t.Fatalf("link %d: %v is not private", i, p.Addr())
					}
					if f == 0 && (p.Addr() == p.Masked().Addr() || p.Addr().As4()[3]&3 == 3) {
						t.Fatalf("link %d: %v is its network's own or broadcast address", i, p)
					}
				}
			}
		}
		m1, m2, m3, m4 := mac("r", i, macSender), mac("r", i, macSenderGateway), mac("r", i, macReceiverGateway), mac("r", i, macReceiver)
		for _, name := range []string{m1.String(), m2.String(), m3.String(), m4.String(), EndDevice(i)} {
			if last, ok := others[name]; ok {
				t.Fatalf("links %d and %d: both have %s", last, i, name)
			}
			others[name] = i
		}
		for _, m := range [][]byte{m1, m2, m3, m4} {
			if m[0]&3 != 2 {
				t.Fatalf("link %d: %x is not a local unicast address", i, m)
			}
		}
	}
}

// A script is the plan's commands between a head and what takes them back.
func TestScriptText(t *testing.T) {
	p, err := NewPlan("demo", &Topology{Links: []Link{DefaultLink("a")}}, allFeatures)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Script()
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, op := range p.Ops {
		i := strings.Index(got[at:], op.String()+"\n")
		if i < 0 {
			t.Fatalf("%v is missing after byte %d of\n%s", op, at, got)
		}
		at += i
	}
	if !strings.HasPrefix(got, "#!/bin/sh\n# Run demo ") || !strings.HasSuffix(got, "\n# ip netns del lt.demo.rcv\n# ip netns del lt.demo.snd\n") {
		t.Errorf("%s", got)
	}
	p.Topology.Links[0].Rate = 0
	_, err = p.Script()
	wantError(t, err, "link a: tc has no words for rate: 0: write a rate above 0")
	p.Topology.Links[0].UseShaper(ShaperEDT)
	_, err = p.Script()
	wantError(t, err, "link a: tc cannot tell the program of backend: edt its tape: write backend: qdisc, or let linkup up build it")
}

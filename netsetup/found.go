package netsetup

import (
	"fmt"
	"slices"
)

// Found is what [Up] finds on the machine before it touches anything: which
// namespaces are meant that are not the run's own, and the state of each device
// that is moved. The run's record keeps it, so that everything can be given
// back as it was.
type Found struct {
	Namespaces map[string]NamespaceID  `json:"namespaces,omitempty"` // by reference
	Devices    map[string]*DeviceState `json:"devices,omitempty"`    // by name in the host's namespace
}

// NamespaceID identifies a namespace for as long as the machine is up.
type NamespaceID struct {
	Device uint64 `json:"device"` // of its file
	Inode  uint64 `json:"inode"`  // of its file; used again when the namespace is gone
	Cookie uint64 `json:"cookie"` // never used again; 0 before Linux 5.14 (net/core/sock.c: SO_NETNS_COOKIE)
}

// DeviceState is what a device loses when it moves to another namespace
// (net/core/dev.c: __dev_change_net_namespace), and what a link changes of it.
type DeviceState struct {
	Name       string            `json:"name"`
	Index      int               `json:"index"`
	Alias      string            `json:"alias,omitempty"`
	Up         bool              `json:"up"`
	MTU        int               `json:"mtu_bytes"`
	TxQueueLen int               `json:"tx_queue_packets"`
	GSOMaxSegs uint32            `json:"gso_max_segs"`
	Features   map[string]bool   `json:"features,omitempty"` // offloads that a link switches off
	Addresses  []RawMessage      `json:"addresses,omitempty"`
	Routes     []RawMessage      `json:"routes,omitempty"`
	Neighbours []RawMessage      `json:"neighbours,omitempty"` // permanent ones; others are learnt again
	Qdisc      *RawMessage       `json:"qdisc,omitempty"`      // the root, where it is not the default
	Sysctls    map[string]string `json:"sysctls,omitempty"`    // by path below /proc/sys/net
}

// RawMessage is what the kernel said of an address, a route, a neighbour or a
// qdisc, and takes back as it is.
type RawMessage struct {
	Text string `json:"text"` // for people
	Raw  []byte `json:"raw"`  // the payload of its rtnetlink message
}

// commands are those that bring the state back, for people.
func (d *DeviceState) commands() []string {
	out := []string{fmt.Sprintf("ip link set %s mtu %d txqueuelen %d gso_max_segs %d", d.Name, d.MTU, d.TxQueueLen, d.GSOMaxSegs)}
	if d.Up {
		out = append(out, fmt.Sprintf("ip link set %s up", d.Name))
	}
	for _, a := range d.Addresses {
		out = append(out, fmt.Sprintf("ip addr replace %s dev %s", a.Text, d.Name))
	}
	for _, r := range d.Routes {
		out = append(out, fmt.Sprintf("ip route replace %s dev %s", r.Text, d.Name))
	}
	for _, n := range d.Neighbours {
		out = append(out, fmt.Sprintf("ip neigh replace %s dev %s nud permanent", n.Text, d.Name))
	}
	if d.Qdisc != nil {
		out = append(out, fmt.Sprintf("tc qdisc replace dev %s root %s", d.Name, d.Qdisc.Text))
	}
	return append(out, fmt.Sprintf("ip link set %s alias %q", d.Name, d.Alias))
}

// with returns the plan with what was found on the machine.
func (p *Plan) with(found *Found) *Plan {
	q := *p
	q.Found = found
	if found == nil {
		return &q
	}
	q.Ops = slices.Clone(p.Ops)
	for i, op := range q.Ops {
		if o, ok := op.(TakeDevice); ok {
			o.Was = found.Devices[o.Device]
			q.Ops[i] = o
		}
	}
	return &q
}

// foreign lists the references of the namespaces that the plan works in and
// that are not the run's own.
func (p *Plan) foreign() []string {
	var out []string
	add := func(ref string) {
		if !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	for side, e := range []End{p.Topology.Sender, p.Topology.Receiver} {
		if !e.Own() && p.Topology.hasEnd(side) {
			add(e.reference("", ""))
		}
	}
	for _, l := range p.Topology.Links {
		if l.Sender.Interface != "" || l.Receiver.Interface != "" {
			add(hostNamespace)
		}
	}
	return out
}

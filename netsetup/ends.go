package netsetup

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"linktape/internal/conf"
)

// hostNamespace refers to the network namespace of the command itself.
const hostNamespace = "/proc/thread-self/ns/net"

// End says where the sender or the receiver of a run lives. The zero End is a
// namespace of the run's own; at most one of the four fields names another.
type End struct {
	Host      bool   `json:"host,omitempty"`      // the namespace that linkup is called in
	Namespace string `json:"namespace,omitempty"` // an existing one, by its name for ip-netns(8)
	Path      string `json:"path,omitempty"`      // an existing one, by its file
	Process   int    `json:"process,omitempty"`   // the one that a process is in, such as a container's

	// One address, of each family or of one, that every link leads to. Only a
	// receiver can have it.
	Address  netip.Addr `json:"address,omitzero"`
	Address6 netip.Addr `json:"address6,omitzero"`
}

// Own reports whether the end is a namespace of the run's own.
func (e End) Own() bool { return !e.Host && e.Namespace == "" && e.Path == "" && e.Process == 0 }

// reference is how steps refer to the end's namespace: its name or its file.
func (e End) reference(run, part string) string {
	switch {
	case e.Host:
		return hostNamespace
	case e.Namespace != "":
		return e.Namespace
	case e.Path != "":
		return e.Path
	case e.Process != 0:
		return "/proc/" + strconv.Itoa(e.Process) + "/ns/net"
	}
	return Namespace(run, part)
}

func (e End) addresses() [2]netip.Addr { return [2]netip.Addr{e.Address, e.Address6} }

// LinkEnd is one end of one link. The zero LinkEnd is a veth device in the
// run's end, with automatic addresses.
type LinkEnd struct {
	// A device of the host, which carries this end of the link out of the
	// machine: it is moved into the link's router and given back by [Down].
	// With VLAN it stays, and the router gets a VLAN device on top of it.
	Interface string `json:"interface,omitempty"`
	VLAN      int    `json:"vlan,omitempty"`
	Force     bool   `json:"force,omitempty"` // move it though the host's default route or only address is on it

	Address  netip.Prefix `json:"address,omitzero"` // of the end's device, or of the device on the cable
	Address6 netip.Prefix `json:"address6,omitzero"`
	Gateway  netip.Addr   `json:"gateway,omitzero"` // of the router's device
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
	MAC      string       `json:"mac,omitempty"` // of the end's device, or of the device on the cable, which is asked for it where it is not said
}

func (e LinkEnd) addresses() [2]netip.Prefix { return [2]netip.Prefix{e.Address, e.Address6} }
func (e LinkEnd) gateways() [2]netip.Addr    { return [2]netip.Addr{e.Gateway, e.Gateway6} }

// cable names the interface and the VLAN on it.
func (e LinkEnd) cable() string {
	if e.VLAN != 0 {
		return fmt.Sprintf("%s, VLAN %d", e.Interface, e.VLAN)
	}
	return e.Interface
}

// maxDeviceName is the longest name of a device, IFNAMSIZ − 1 (include/uapi/linux/if.h).
const maxDeviceName = 15

// checkDeviceName says what is wrong with the name of a device
// (net/core/dev.c: dev_valid_name); a percent sign would make the kernel count.
func checkDeviceName(s string) error {
	if s == "" || s == "." || s == ".." || len(s) > maxDeviceName || strings.ContainsAny(s, "/:% \t\n\v\f\r") {
		return fmt.Errorf("interface %q: write the name of a device, 1 to %d characters, such as eth1", s, maxDeviceName)
	}
	return nil
}

// checkEnd says what is wrong with a sender or receiver.
func checkEnd(e End, receiver bool) error {
	named := 0
	for _, is := range []bool{e.Host, e.Namespace != "", e.Path != "", e.Process != 0} {
		if is {
			named++
		}
	}
	switch {
	case named > 1:
		return fmt.Errorf("host, namespace, path and process name one namespace each: write one of them")
	case strings.ContainsAny(e.Namespace, "/\x00") || e.Namespace == "." || e.Namespace == ".." || len(e.Namespace) > 255:
		return fmt.Errorf("namespace %q: write its name as ip netns shows it, or path: with its file", e.Namespace)
	case e.Path != "" && (!strings.HasPrefix(e.Path, "/") || filepath.Clean(e.Path) != e.Path || strings.ContainsAny(e.Path, "\x00 \t\n'\"\\$`")):
		return fmt.Errorf("path %q: write the whole path of a namespace's file, such as /run/netns/lab, without blanks and quotes", e.Path)
	case e.Process < 0 || e.Process > 1<<22:
		return fmt.Errorf("process %d: write a process id, 1 to %d", e.Process, 1<<22)
	}
	for f, a := range e.addresses() {
		if !a.IsValid() {
			continue
		}
		if !receiver {
			return fmt.Errorf("one address for all links: only a receiver can have it")
		}
		if err := checkHostAddress(a, f); err != nil {
			return err
		}
	}
	return nil
}

// checkHostAddress says what is wrong with a host's address of a family, 0 for
// IPv4 and 1 for IPv6.
func checkHostAddress(a netip.Addr, family int) error {
	if want := [...]string{"IPv4", "IPv6"}[family]; a.Is4() != (family == 0) || a.Is4In6() || a.Zone() != "" {
		return fmt.Errorf("address %v: not an %s address", a, want)
	}
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4() && a.As4()[0] >= 240 || a.Is4() && a.As4()[0] == 0 {
		return fmt.Errorf("address %v: not an address that a host can be reached at from another network", a)
	}
	return nil
}

// checkNetworkAddress says what is wrong with an address and its network.
func checkNetworkAddress(p netip.Prefix, family int) error {
	if err := checkHostAddress(p.Addr(), family); err != nil {
		return err
	}
	most := p.Addr().BitLen() - 2
	if p.Bits() < 8 || p.Bits() > most {
		return fmt.Errorf("address %v: the network needs room for the device and its router: write a prefix length of 8 to %d", p, most)
	}
	if p.Addr() == p.Masked().Addr() || p.Addr().Is4() && p.Addr() == lastOf(p) {
		return fmt.Errorf("address %v: that is the network's own or broadcast address: write a host's", p)
	}
	return nil
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// otherOf is the first address of a network for hosts that is not the given one.
func otherOf(p netip.Prefix) netip.Addr {
	first := p.Masked().Addr().Next()
	if first == p.Addr() {
		first = first.Next()
	}
	return first
}

// checkGateway says what is wrong with a gateway for an address.
func checkGateway(gateway netip.Addr, p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return fmt.Errorf("gateway %v: needs an address: beside it: write that too", gateway)
	case !p.Contains(gateway) || gateway == p.Addr() || gateway == p.Masked().Addr() || gateway.Is4() && gateway == lastOf(p):
		return fmt.Errorf("gateway %v: write another host of the network %v than %v", gateway, p.Masked(), p.Addr())
	}
	return nil
}

// checkMAC says what is wrong with a hardware address.
func checkMAC(s string) error {
	if m, err := net.ParseMAC(s); err != nil || len(m) != 6 || m[0]&1 != 0 || len(s) != 17 {
		return fmt.Errorf("mac %q: write a device's address, such as 02:00:00:00:00:01", s)
	}
	return nil
}

// parseEnd decodes a run's sender or receiver.
func parseEnd(n conf.Node, receiver bool) End {
	var e End
	m := n.Map()
	if v, ok := m.Get("host"); ok {
		if e.Host = v.Bool(); !e.Host {
			v.Errorf("write host: true, or leave it out for a namespace of the run's own")
		}
	}
	if v, ok := m.Get("namespace"); ok {
		e.Namespace = v.String()
		if !v.Failed() && e.Namespace == "" {
			v.Errorf("namespace: write its name as ip netns shows it")
		}
	}
	if v, ok := m.Get("path"); ok {
		e.Path = v.String()
		if !v.Failed() && e.Path == "" {
			v.Errorf("path: write the path of a namespace's file, such as /run/netns/lab")
		}
	}
	if v, ok := m.Get("process"); ok {
		e.Process = int(min(v.Int(), 1<<30))
		if !v.Failed() && e.Process < 1 {
			v.Errorf("process %d: write a process id, 1 to %d", e.Process, 1<<22)
		}
	}
	if receiver {
		e.Address, e.Address6 = parseAddr(m, "address", 0), parseAddr(m, "address6", 1)
	}
	m.Done()
	if err := checkEnd(e, receiver); err != nil && !m.Node().Failed() {
		m.Node().Errorf("%v", err)
	}
	return e
}

// parseAddr decodes an optional address of a family.
func parseAddr(m *conf.Map, key string, family int) netip.Addr {
	v, ok := m.Get(key)
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(v.String())
	if err != nil {
		v.Errorf("%s: write an address without a prefix length, such as %s", key, [...]string{"10.99.0.1", "fd99::1"}[family])
		return netip.Addr{}
	}
	if err := checkHostAddress(a, family); err != nil {
		v.Errorf("%v", err)
		return netip.Addr{}
	}
	return a
}

// parsePrefix decodes an optional address with its network.
func parsePrefix(m *conf.Map, key string, family int) netip.Prefix {
	v, ok := m.Get(key)
	if !ok {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(v.String())
	if err != nil {
		v.Errorf("%s: write an address with its prefix length, such as %s", key, [...]string{"192.168.1.2/24", "fd01::2/64"}[family])
		return netip.Prefix{}
	}
	if err := checkNetworkAddress(p, family); err != nil {
		v.Errorf("%v", err)
		return netip.Prefix{}
	}
	return p
}

// parseLinkEnd decodes one end of a link.
func parseLinkEnd(n conf.Node, bridge bool) LinkEnd {
	var e LinkEnd
	m := n.Map()
	if v, ok := m.Get("interface"); ok {
		e.Interface = v.String()
		if err := checkDeviceName(e.Interface); err != nil {
			v.Errorf("%v", err)
		}
	}
	if v, ok := m.Get("vlan"); ok {
		e.VLAN = int(min(max(v.Int(), -1), 1<<16))
		if !v.Failed() && (e.VLAN < 1 || e.VLAN > 4094) {
			v.Errorf("vlan outside 1 to 4094")
		}
		if e.Interface == "" {
			v.Errorf("a VLAN needs an interface: beside it: write that too")
		}
	}
	if v, ok := m.Get("force"); ok {
		e.Force = v.Bool()
		if e.Interface == "" || e.VLAN != 0 {
			v.Errorf("force is for an interface that is moved: leave it out")
		}
	}
	e.Address, e.Address6 = parsePrefix(m, "address", 0), parsePrefix(m, "address6", 1)
	for f, key := range []string{"gateway", "gateway6"} {
		a := parseAddr(m, key, f)
		v, ok := m.Get(key)
		if !ok || !a.IsValid() {
			continue
		}
		if bridge {
			v.Errorf("a bridged link has no router: leave the gateway out")
		} else if err := checkGateway(a, e.addresses()[f]); err != nil {
			v.Errorf("%v", err)
		}
		if f == 0 {
			e.Gateway = a
		} else {
			e.Gateway6 = a
		}
	}
	if v, ok := m.Get("mac"); ok {
		e.MAC = strings.ToLower(v.String())
		if err := checkMAC(e.MAC); err != nil {
			v.Errorf("%v", err)
		}
	}
	m.Done()
	return e
}

// check verifies a link's end that was made in code.
func (e LinkEnd) check(bridge bool) error {
	if e.Interface != "" {
		if err := checkDeviceName(e.Interface); err != nil {
			return err
		}
	}
	switch {
	case e.VLAN != 0 && (e.VLAN < 1 || e.VLAN > 4094):
		return fmt.Errorf("vlan %d: outside 1 to 4094", e.VLAN)
	case e.VLAN != 0 && e.Interface == "":
		return fmt.Errorf("vlan %d: needs an interface", e.VLAN)
	case e.Force && (e.Interface == "" || e.VLAN != 0):
		return fmt.Errorf("force is for an interface that is moved")
	}
	for f, p := range e.addresses() {
		if p.IsValid() {
			if err := checkNetworkAddress(p, f); err != nil {
				return err
			}
		}
		if g := e.gateways()[f]; g.IsValid() {
			if bridge {
				return fmt.Errorf("gateway %v: a bridged link has no router", g)
			}
			if err := checkGateway(g, p); err != nil {
				return err
			}
		}
	}
	if e.MAC != "" {
		return checkMAC(e.MAC)
	}
	return nil
}

package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const rtaNhID = 30 // RTA_NH_ID (include/uapi/linux/rtnetlink.h)

// errGone says that a namespace is not to be found any more.
var errGone = errors.New("the namespace is gone")

// identifyNamespace reads the identity of a namespace.
func identifyNamespace(path string) (NamespaceID, error) {
	var id NamespaceID
	err := withNamespace(path, func() error {
		var st unix.Stat_t
		if err := unix.Stat(hostNamespace, &st); err != nil {
			return err
		}
		id.Device, id.Inode = uint64(st.Dev), st.Ino
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			id.Cookie = c
		}
		return nil
	})
	return id, err
}

// file is the file by which a namespace is entered now. One that is not the
// run's own is known by its identity: where its name or process means another
// one by now, a process that is still in it is looked for.
func (k *kernel) file(ref string) (string, error) {
	if k.found == nil {
		return ref, nil
	}
	want, ok := k.found.Namespaces[ref]
	if !ok {
		return ref, nil
	}
	if id, err := identifyNamespace(ref); err == nil && id == want {
		return ref, nil
	}
	entries, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return "", err
	}
	for _, path := range entries {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || uint64(st.Dev) != want.Device || st.Ino != want.Inode {
			continue
		}
		if id, err := identifyNamespace(path); err == nil && id == want {
			return path, nil
		}
	}
	return "", fmt.Errorf("namespace %s: %w: no name, file or process leads to it", describe(ref), errGone)
}

// describe names a namespace for people.
func describe(ref string) string {
	if ref == hostNamespace {
		return "of the host"
	}
	return ref
}

// survey looks at what a plan will touch outside of the run's own namespaces,
// and refuses what would be dangerous or could not be given back.
func survey(p *Plan) (*Found, error) {
	refs := p.foreign()
	if len(refs) == 0 {
		return nil, nil
	}
	f := &Found{Namespaces: make(map[string]NamespaceID), Devices: make(map[string]*DeviceState)}
	for _, ref := range refs {
		id, err := identifyNamespace(ref)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("namespace %s: there is none: see ip netns list", describe(ref))
		}
		if err != nil {
			return nil, fmt.Errorf("namespace %s: %w", describe(ref), err)
		}
		for other, x := range f.Namespaces {
			if x == id && !p.onlyInterfaces(ref, other) {
				return nil, fmt.Errorf("namespaces %s and %s are the same, where packets between sender and receiver would not pass any link: choose another for one of them", describe(other), describe(ref))
			}
		}
		f.Namespaces[ref] = id
	}
	k := newKernel()
	defer k.Close()
	for _, ref := range refs {
		if err := k.surveyNamespace(p, ref); err != nil {
			return nil, err
		}
	}
	for i, l := range p.Topology.Links {
		for _, e := range []LinkEnd{l.Sender, l.Receiver} {
			if e.Interface == "" {
				continue
			}
			s, err := k.surveyInterface(p.Run, e, p.Topology.Links[i].MTU)
			if err != nil {
				return nil, fmt.Errorf("link %s: %w", l.Name, err)
			}
			if s != nil {
				f.Devices[e.Interface] = s
			}
		}
	}
	return f, nil
}

// onlyInterfaces reports whether one of two references is there only because
// interfaces are taken from it, and none for an end.
func (p *Plan) onlyInterfaces(a, b string) bool {
	ends := 0
	for side, e := range []End{p.Topology.Sender, p.Topology.Receiver} {
		if ref := e.reference("", ""); !e.Own() && p.Topology.hasEnd(side) && (ref == a || ref == b) {
			ends++
		}
	}
	return ends < 2
}

// surveyNamespace refuses what clashes with what a namespace has: names of
// devices, networks, rules and routing tables.
func (k *kernel) surveyNamespace(p *Plan, ref string) error {
	r, err := k.room(ref)
	if err != nil {
		return err
	}
	in := "namespace " + describe(ref)
	links, err := r.links.LinkList()
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	names := make(map[int]string)
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	taken := make(map[string]bool) // interfaces that leave it before
	for _, op := range p.Ops {
		if o, ok := op.(TakeDevice); ok && ref == hostNamespace {
			taken[o.Device] = true
		}
	}
	nets, err := r.networks(names)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	rules, err := r.links.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("%s: list rules: %w", in, err)
	}
	overlap := func(n netip.Prefix) error {
		for _, x := range nets {
			if !taken[x.device] && x.net.Overlaps(n) {
				return fmt.Errorf("%s: %v, which the run needs, overlaps with %v on %s: write another network: (or address:) in the topology", in, n, x.net, x.device)
			}
		}
		return nil
	}
	for _, op := range p.Ops {
		switch o := op.(type) {
		case AddVeth:
			if o.A.Namespace == ref {
				for _, name := range names {
					if name == o.A.Device {
						return fmt.Errorf("%s: has a device %s already, and not from this run: remove it, or choose another --name", in, name)
					}
				}
			}
		case AddAddress:
			if o.Namespace == ref {
				if err := overlap(o.Prefix.Masked()); err != nil {
					return err
				}
			}
		case AddRoute:
			if o.Namespace == ref && o.Table == 0 {
				if err := overlap(o.To); err != nil {
					return err
				}
			}
		case AddRule:
			if o.Namespace == ref {
				if slices.ContainsFunc(rules, func(x netlink.Rule) bool { return x.Table == o.Table }) {
					return fmt.Errorf("%s: has a rule for table %d already: choose another --name", in, o.Table)
				}
			}
		}
	}
	return nil
}

// network is an address's network or a route's destination in a namespace.
type network struct {
	net    netip.Prefix
	device string
}

// networks lists what a namespace reaches, but for default routes.
func (r *room) networks(names map[int]string) ([]network, error) {
	var out []network
	add := func(bits int, addr []byte, ifindex int) {
		if a, ok := netip.AddrFromSlice(addr); ok && bits > 0 && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsLoopback() {
			out = append(out, network{netip.PrefixFrom(a, bits).Masked(), names[ifindex]})
		}
	}
	addresses, routes := addressKind(), routeKind()
	err := r.conn.dump(addresses.get, make([]byte, addresses.header), func(p []byte) {
		if d, ok := rawAttrOf(p[addresses.header:], unix.IFA_ADDRESS); ok {
			add(int(p[1]), d, addresses.ifindex(p))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	err = r.conn.dump(routes.get, make([]byte, routes.header), func(p []byte) {
		if d, ok := rawAttrOf(p[routes.header:], unix.RTA_DST); ok && (p[7] == unix.RTN_UNICAST || p[7] == unix.RTN_LOCAL) {
			add(int(p[1]), d, routes.ifindex(p))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return out, nil
}

// surveyInterface looks at an interface that a link is to have, and returns
// what moving it loses; nil where it stays, because only a VLAN on it is used.
func (k *kernel) surveyInterface(run string, e LinkEnd, mtu int) (*DeviceState, error) {
	r, err := k.room(hostNamespace)
	if err != nil {
		return nil, err
	}
	links, err := r.links.LinkList()
	if err != nil {
		return nil, err
	}
	var l netlink.Link
	var names []string
	for _, x := range links {
		names = append(names, x.Attrs().Name)
		if x.Attrs().Name == e.Interface {
			l = x
		}
	}
	if l == nil {
		if other := userOf(e.Interface); other != "" {
			return nil, fmt.Errorf("interface %s: is in use by run %s: remove that with linkup down %s", e.Interface, other, other)
		}
		return nil, fmt.Errorf("interface %s: the host has none of that name: it has %s", e.Interface, strings.Join(names, ", "))
	}
	a := l.Attrs()
	switch {
	case strings.HasPrefix(a.Alias, "linktape "):
		return nil, fmt.Errorf("interface %s: a run left it half-moved (%s): remove that with linkup down", e.Interface, strings.TrimPrefix(a.Alias, "linktape "))
	case a.RawFlags&unix.IFF_LOOPBACK != 0 || len(a.HardwareAddr) != 6:
		return nil, fmt.Errorf("interface %s: is no Ethernet device: choose one that a cable goes out of", e.Interface)
	}
	for _, x := range links {
		if x.Attrs().Index == a.MasterIndex && a.MasterIndex != 0 {
			return nil, fmt.Errorf("interface %s: is a port of %s: take it out first with ip link set %s nomaster", e.Interface, x.Attrs().Name, e.Interface)
		}
	}
	if e.VLAN != 0 {
		for _, x := range links {
			if v, ok := x.(*netlink.Vlan); ok && x.Attrs().ParentIndex == a.Index && v.VlanId == e.VLAN {
				return nil, fmt.Errorf("interface %s: VLAN %d is in use by %s: remove that, or choose another", e.Interface, e.VLAN, x.Attrs().Name)
			}
		}
		switch {
		case a.RawFlags&unix.IFF_UP == 0:
			return nil, fmt.Errorf("interface %s: is down, and so would be its VLAN: bring it up first with ip link set %s up", e.Interface, e.Interface)
		case a.MTU < mtu:
			return nil, fmt.Errorf("interface %s: its mtu of %d is less than the link's %d: write a lower mtu: for the link", e.Interface, a.MTU, mtu)
		}
		return nil, nil
	}
	for _, x := range links {
		if x.Attrs().ParentIndex == a.Index && x.Attrs().NetNsID < 0 && x.Type() != "veth" {
			return nil, fmt.Errorf("interface %s: carries %s, which would be lost: remove that first", e.Interface, x.Attrs().Name)
		}
	}
	if err := r.surveyRoutes(a.Index, e.Interface, e.Force); err != nil {
		return nil, err
	}
	return r.stateOfDevice(l)
}

// surveyRoutes refuses an interface that the host needs, unless it is forced,
// and one whose routes could not be given back.
func (r *room) surveyRoutes(ifindex int, name string, force bool) error {
	routes, addresses := routeKind(), addressKind()
	var refused error
	err := r.conn.dump(routes.get, make([]byte, routes.header), func(p []byte) {
		body := p[routes.header:]
		hops, multi := rawAttrOf(body, unix.RTA_MULTIPATH)
		on := routes.ifindex(p) == ifindex
		for len(hops) >= unix.SizeofRtNexthop {
			on = on || int(binary.NativeEndian.Uint32(hops[4:])) == ifindex
			n := alignLen(int(binary.NativeEndian.Uint16(hops)))
			hops = hops[min(max(n, unix.SizeofRtNexthop), len(hops)):]
		}
		_, object := rawAttrOf(body, rtaNhID)
		if on && (multi || object) && binary.NativeEndian.Uint32(p[8:])&unix.RTM_F_CLONED == 0 {
			refused = fmt.Errorf("interface %s: has the route %s over several ways or a nexthop object, which could not be given back: remove it first", name, routes.text(p))
		}
		if _, to := rawAttrOf(body, unix.RTA_DST); on && !to && p[1] == 0 && p[7] == unix.RTN_UNICAST && !force {
			refused = fmt.Errorf("interface %s: the host's default route goes through it: choose another, or write force: true if the host can do without", name)
		}
	})
	if err != nil || refused != nil || force {
		return errors.Join(err, refused)
	}
	here, elsewhere := 0, 0
	err = r.conn.dump(addresses.get, make([]byte, addresses.header), func(p []byte) {
		switch scope := p[3]; {
		case scope != unix.RT_SCOPE_UNIVERSE:
		case addresses.ifindex(p) == ifindex:
			here++
		default:
			elsewhere++
		}
	})
	if err == nil && here > 0 && elsewhere == 0 {
		err = fmt.Errorf("interface %s: the host's only address is on it: choose another, or write force: true if the host can do without", name)
	}
	return err
}

// userOf names the run that has an interface; "" none.
func userOf(name string) string {
	runs, _ := Runs()
	for _, run := range runs {
		if r, err := readRecord(run); err == nil && r.Found != nil && r.Found.Devices[name] != nil {
			return run
		}
	}
	return ""
}

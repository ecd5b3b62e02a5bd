package netsetup

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"linktape/trace"
)

// kernel carries plans out. It keeps a connection for each namespace that it
// has touched.
type kernel struct {
	rooms map[string]*room
	found *Found // nil: every namespace is the run's own
}

// room is a namespace with what is needed to work in it.
type room struct {
	name  string
	path  string // by which it was entered
	file  netns.NsHandle
	links *netlink.Handle
	conn  *conn
	eth   *ethtool.Ethtool
	index map[string]int // of devices
}

func newKernel() *kernel { return &kernel{rooms: make(map[string]*room)} }

// Close closes the connections, many at a time: packet sockets wait for each
// other's grace period then, and not one after the other for its own.
func (k *kernel) Close() {
	const atOnce = 64
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, r := range k.rooms {
		if r.conn == nil || r.conn.packet < 0 {
			r.close()
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			r.close()
			<-slots
		})
	}
	wait.Wait()
	clear(k.rooms)
}

func (r *room) close() {
	if r.eth != nil {
		r.eth.Close()
	}
	if r.conn != nil {
		r.conn.Close()
	}
	if r.links != nil {
		r.links.Close()
	}
	if r.file.IsOpen() {
		r.file.Close()
	}
}

// room opens a namespace, once.
func (k *kernel) room(name string) (*room, error) {
	if r := k.rooms[name]; r != nil {
		return r, nil
	}
	path, err := k.file(name)
	if err != nil {
		return nil, err
	}
	var r *room
	err = withNamespace(path, func() (err error) {
		r, err = openRoom(name, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.rooms[name] = r
	return r, nil
}

// openRoom opens the thread's namespace under a name; path is how others enter
// it.
func openRoom(name, path string) (r *room, err error) {
	r = &room{name: name, path: path, file: netns.None(), index: make(map[string]int)}
	defer func() {
		if err != nil {
			r.close()
			r = nil
		}
	}()
	if r.file, err = netns.Get(); err != nil {
		return r, err
	}
	if r.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return r, err
	}
	if r.conn, err = dialThread(); err != nil {
		return r, err
	}
	r.eth, err = ethtool.NewEthtool()
	return r, err
}

// device returns the index of a device.
func (r *room) device(name string) (int, error) {
	if i, ok := r.index[name]; ok {
		return i, nil
	}
	l, err := r.links.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find device %s in %s: %w", name, r.name, err)
	}
	r.index[name] = l.Attrs().Index
	return l.Attrs().Index, nil
}

// do carries one step out.
func (k *kernel) do(op Op) error {
	switch o := op.(type) {
	case AddNamespace:
		return k.addNamespace(o)
	case SetSysctls:
		return k.setSysctls(o)
	case AddVeth:
		return k.addVeth(o)
	case AddIFB:
		return k.addIFB(o)
	case OffloadsOff:
		return k.offloadsOff(o)
	case SetUp:
		return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error { return r.links.LinkSetUp(l) })
	case AddAddress:
		return k.addAddress(o)
	case AddRoute:
		return k.addRoute(o)
	case AddNeighbour:
		return k.addNeighbour(o)
	case AddBottleneck:
		return k.request(o.Namespace, o.Device, newShaper(o.Link).create())
	case AddPath:
		return k.request(o.Namespace, o.Device, newPath(&o.Link, o.Dir).create())
	case Redirect:
		return k.redirect(o)
	}
	return k.doMore(op)
}

// addNamespace marks the namespace before it gives it its name: what has the
// name without the mark is somebody else's.
func (k *kernel) addNamespace(o AddNamespace) error {
	return createNamespace(o.Name, func() error {
		r, err := openRoom(o.Name, o.Name)
		if err != nil {
			return err
		}
		k.rooms[o.Name] = r
		lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: loopbackIndex}}
		if err := r.links.LinkSetAlias(lo, mark(o.Name)); err != nil {
			return fmt.Errorf("mark it: %w", err)
		}
		return r.links.LinkSetUp(lo)
	})
}

func (k *kernel) setSysctls(o SetSysctls) error {
	path, err := k.file(o.Namespace)
	if err != nil {
		return err
	}
	return withNamespace(path, func() error {
		for _, s := range o.Settings {
			if err := os.WriteFile("/proc/sys/net/"+s.Key, []byte(s.Value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// withDevice calls f with a handle to a device that has only its index.
func (k *kernel) withDevice(namespace, device string, f func(r *room, l netlink.Link) error) error {
	r, err := k.room(namespace)
	if err != nil {
		return err
	}
	i, err := r.device(device)
	if err != nil {
		return err
	}
	return f(r, &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: device, Index: i}})
}

func (k *kernel) addVeth(o AddVeth) error {
	a, err := k.room(o.A.Namespace)
	if err != nil {
		return err
	}
	b, err := k.room(o.B.Namespace)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = o.A.Device, o.A.MAC, o.MTU
	return a.links.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs,
		PeerName:  o.B.Device, PeerHardwareAddr: o.B.MAC, PeerNamespace: netlink.NsFd(b.file), PeerMTU: uint32(o.MTU),
		PeerTxQLen: -1, // the default
	})
}

func (k *kernel) addIFB(o AddIFB) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.TxQLen = o.Device, o.MTU, ifbQueueLen
	if err := r.links.LinkAdd(&netlink.Ifb{LinkAttrs: attrs}); err != nil {
		return err
	}
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error { return r.links.LinkSetARPOff(l) })
}

func (k *kernel) offloadsOff(o OffloadsOff) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	have, err := r.eth.Features(o.Device)
	if err != nil {
		return err
	}
	want := make(map[string]bool)
	for _, f := range offloads {
		if have[f] {
			want[f] = false
		}
	}
	if err := r.eth.Change(o.Device, want); err != nil {
		return err
	}
	if have, err = r.eth.Features(o.Device); err != nil {
		return err
	}
	for _, f := range slices.Sorted(maps.Keys(want)) {
		if have[f] {
			return fmt.Errorf("the kernel keeps %s on", f)
		}
	}
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error { return r.links.LinkSetGSOMaxSegs(l, 1) })
}

func (k *kernel) addAddress(o AddAddress) error {
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error {
		a := &netlink.Addr{IPNet: &net.IPNet{
			IP: o.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(o.Prefix.Bits(), o.Prefix.Addr().BitLen()),
		}}
		if o.Prefix.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return r.links.AddrAdd(l, a)
	})
}

func (k *kernel) addRoute(o AddRoute) error {
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error {
		return r.links.RouteAdd(&netlink.Route{
			LinkIndex: l.Attrs().Index, Gw: o.Via.AsSlice(), Table: o.Table, Priority: o.Metric,
			Dst: &net.IPNet{IP: o.To.Addr().AsSlice(), Mask: net.CIDRMask(o.To.Bits(), o.To.Addr().BitLen())},
		})
	})
}

func (k *kernel) addNeighbour(o AddNeighbour) error {
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error {
		return r.links.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: o.Addr.AsSlice(), HardwareAddr: o.MAC,
		})
	})
}

// request creates qdiscs and classes.
func (k *kernel) request(namespace, device string, requests []request) error {
	r, err := k.room(namespace)
	if err != nil {
		return err
	}
	i, err := r.device(device)
	if err != nil {
		return err
	}
	for j := range requests {
		err := r.conn.execute(func(b []byte, seq uint32) ([]byte, error) {
			flags := uint16(nlmFRequest | nlmFAck)
			if !requests[j].change {
				flags |= nlmFCreate | nlmFExcl
			}
			return requests[j].append(b, int32(i), flags, seq)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// clsact is the qdisc that filters of a device's ingress and egress stand in.
func clsact(ifindex int) *netlink.GenericQdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

func (k *kernel) redirect(o Redirect) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	from, err := r.device(o.Device)
	if err != nil {
		return err
	}
	to, err := r.device(o.To)
	if err != nil {
		return err
	}
	if err := r.links.QdiscAdd(clsact(from)); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	mirred := netlink.NewMirredAction(to)
	mirred.MirredAction = netlink.TCA_EGRESS_REDIR
	return r.links.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: from, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{mirred},
	})
}

// Probe finds out what the kernel can do by trying it in a network namespace
// of its own, which is gone when Probe returns. It needs root. The error
// names what every link needs and the kernel lacks; it wraps
// [ErrNotSupported].
func Probe() (Features, []Feature, error) {
	var found []Feature
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w%s", err, asRoot(err))
		}
		links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer links.Close()
		c, err := dialThread()
		if err != nil {
			return err
		}
		defer c.Close()
		found = tryAll(links, c)
		return nil
	})
	if err != nil {
		return Features{}, nil, err
	}
	f := Features{}
	for _, x := range found {
		switch x.Name {
		case "htb":
			f.HTB = x.Err == ""
		case "netem":
			f.Netem = x.Err == ""
		case "cake":
			f.CAKE = x.Err == ""
		case "fq_codel":
			f.FQCoDel = x.Err == ""
		case "ipv6":
			f.IPv6 = x.Err == ""
		case "plug":
			f.Plug = x.Err == ""
		case "prio":
			f.Prio = x.Err == ""
		case featureEDT:
			f.EDT = x.Err == ""
		case featurePulseKept:
			f.PulseKept = x.Err == ""
		case featureSeed:
			f.NetemSeed = x.Err == ""
		case featureDuplicate:
			f.NetemDuplicate = x.Err == ""
		}
	}
	return f, found, missing(found)
}

// tryAll tries each feature in the thread's namespace.
func tryAll(links *netlink.Handle, c *conn) []Feature {
	k := &kernel{rooms: map[string]*room{"": {links: links, conn: c, file: netns.None(), index: make(map[string]int)}}}
	l := DefaultLink("probe")
	seed, seedKept := k.seedTests(receiverSide)
	tests := []struct {
		Feature
		try func() error
	}{
		{Feature{Name: "veth", What: "the links", Need: "CONFIG_VETH, module veth"}, func() error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = senderSide
			return links.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: receiverSide})
		}},
		{Feature{Name: "ifb", What: "the bottlenecks", Need: "CONFIG_IFB, module ifb"}, func() error {
			return errors.Join(k.addIFB(AddIFB{Device: ifbUp, MTU: DefaultMTU}), k.addIFB(AddIFB{Device: ifbDown, MTU: DefaultMTU}))
		}},
		{Feature{Name: "tbf", What: "the bottlenecks", Need: "CONFIG_NET_SCH_TBF, module sch_tbf"}, func() error {
			return k.request("", ifbUp, newShaper(l).create())
		}},
		{Feature{Name: "htb", What: "shaper: htb", Need: "CONFIG_NET_SCH_HTB, module sch_htb"}, func() error {
			l.Shaper = ShaperHTB
			return k.request("", ifbDown, newShaper(l).create())
		}},
		{Feature{Name: "redirect", What: "the way to the bottlenecks", Need: "CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED, modules sch_ingress, cls_u32, act_mirred"}, func() error {
			return k.redirect(Redirect{Device: receiverSide, To: ifbUp})
		}},
		{Feature{Name: "netem", What: "delay, jitter and loss", Need: "CONFIG_NET_SCH_NETEM, module sch_netem"}, func() error {
			return k.request("", receiverSide, newPath(&l, trace.Up).create())
		}},
		{Feature{Name: "cake", What: "shaper: cake", Need: "CONFIG_NET_SCH_CAKE, module sch_cake"}, func() error {
			l.UseShaper(ShaperCAKE)
			return k.tryQueue("lt-cake", l)
		}},
		{Feature{Name: "fq_codel", What: "a queue of kind codel", Need: "CONFIG_NET_SCH_FQ_CODEL, module sch_fq_codel"}, func() error {
			l.UseShaper(ShaperTBF)
			l.Queue.Kind = CoDel
			return k.tryQueue("lt-codel", l)
		}},
		{Feature{Name: "plug", What: "shaper: pulse", Need: "CONFIG_NET_SCH_PLUG, module sch_plug"}, func() error {
			l.Queue = trace.Queue{Kind: trace.DropTail, LimitBytes: DefaultQueueBytes}
			l.Shaper = ShaperPulse
			return k.tryQueue("lt-plug", l)
		}},
		{Feature{Name: "prio", What: "shaper: pulse with CAKE or CoDel", Need: "CONFIG_NET_SCH_PRIO, module sch_prio"}, func() error {
			if err := k.addIFB(AddIFB{Device: "lt-prio", MTU: l.MTU}); err != nil {
				return err
			}
			return k.request("", "lt-prio", []request{{kind: setPrio, handle: handleBands, parent: parentRoot, prio: Prio{Bands: 2}}})
		}},
		{Feature{Name: featureEDT, What: "backend: edt", Need: needsEDT}, func() error {
			if err := k.addIFB(AddIFB{Device: "lt-edt", MTU: l.MTU}); err != nil {
				return err
			}
			return k.addDepartures(AddDepartures{Devices: []string{"lt-edt"}, Link: Link{Name: l.Name, Shaper: ShaperEDT, MTU: l.MTU, Rate: l.Rate, Queue: trace.Queue{LimitBytes: DefaultQueueBytes}, Window: MinWindow}})
		}},
		{Feature{Name: featurePulseKept, What: "pulses that are never lost", Need: "Linux 6.4"}, pulsesKept},
		{Feature{Name: "ipv6", What: "IPv6 addresses", Need: "CONFIG_IPV6, not disabled"}, func() error {
			_, err := os.Stat("/proc/sys/net/ipv6/conf/default")
			return err
		}},
		{Feature{Name: featureSeed, What: "the same losses in every run", Need: "Linux 6.6"}, seed},
		{Feature{Name: featureSeedKept, What: "losses that go on over changes", Need: "Linux 6.12.91"}, seedKept},
		{Feature{Name: featureDuplicate, What: "duplicated packets", Need: "a kernel that lets a netem duplicate above another"}, func() error { return k.tryDuplicate(receiverSide) }},
	}
	var found []Feature
	for _, t := range tests {
		f := t.Feature
		if err := t.try(); err != nil {
			f.Err = err.Error()
		}
		found = append(found, f)
	}
	return found
}

// tryQueue builds a link's bottleneck on an IFB of its own.
func (k *kernel) tryQueue(device string, l Link) error {
	if err := k.addIFB(AddIFB{Device: device, MTU: l.MTU}); err != nil {
		return err
	}
	return k.request("", device, newShaper(l).create())
}

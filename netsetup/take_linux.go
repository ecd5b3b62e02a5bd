package netsetup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// takeDevice moves a device of the host. Its mark comes first.
func (k *kernel) takeDevice(o TakeDevice) error {
	host, err := k.room(hostNamespace)
	if err != nil {
		return err
	}
	to, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	l, err := host.links.LinkByName(o.Device)
	if err != nil {
		return err
	}
	if err := host.links.LinkSetAlias(l, o.Mark); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	return host.conn.move(l.Attrs().Index, to, o.As, 0)
}

// move moves a device to another namespace under a name, in one message. index
// is the one that it is to have there; 0: its own if that is free there.
func (c *conn) move(ifindex int, to *room, name string, index int) error {
	ne := binary.NativeEndian
	b := make([]byte, unix.SizeofIfInfomsg)
	ne.PutUint32(b[4:], uint32(ifindex))
	b = appendAttrU32(b, unix.IFLA_NET_NS_FD, uint32(to.file))
	b = append(appendAttrHeader(b, unix.IFLA_IFNAME, len(name)+1), name...)
	b = appendPad(append(b, 0), len(name)+1)
	if index > 0 {
		b = appendAttrU32(b, unix.IFLA_NEW_IFINDEX, uint32(index))
	}
	return c.tell(rtmNewLink, 0, b)
}

// marked finds the device that bears a mark; nil: there is none.
func (r *room) marked(mark string) (netlink.Link, error) {
	links, err := r.links.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Attrs().Alias == mark {
			return l, nil
		}
	}
	return nil, nil
}

// giveBack is the undo of takeDevice. It can begin anywhere between the two and
// again after it was stopped: a device without the mark is as it was.
func (k *kernel) giveBack(o TakeDevice) error {
	host, err := k.room(hostNamespace)
	if err != nil {
		return err
	}
	l, err := host.marked(o.Mark)
	if err != nil {
		return err
	}
	if l == nil && ours(o.Namespace) {
		if l, err = k.bringHome(o, host); err != nil {
			return err
		}
	}
	if l == nil {
		return nil
	}
	if err := host.restore(l, o.Was); err != nil {
		return fmt.Errorf("give %s back: %w", o.Device, err)
	}
	return nil
}

// bringHome moves the device from the run's namespace to the host's; nil: it is
// not there.
func (k *kernel) bringHome(o TakeDevice, host *room) (netlink.Link, error) {
	r, err := k.room(o.Namespace)
	if err != nil {
		return nil, err
	}
	l, err := r.marked(o.Mark)
	if err != nil || l == nil {
		return nil, err
	}
	if _, err := host.links.LinkByName(o.Device); err == nil {
		return nil, fmt.Errorf("give %s back: another device has its name: rename that one with ip link set %s name …", o.Device, o.Device)
	}
	// It may have its own index again, unless another device got it meanwhile.
	index := 0
	if o.Was != nil {
		index = o.Was.Index
	}
	err = r.conn.move(l.Attrs().Index, host, o.Device, index)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
		err = r.conn.move(l.Attrs().Index, host, o.Device, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("give %s back: %w", o.Device, err)
	}
	return host.marked(o.Mark)
}

// stateOfDevice reads what moving a device loses.
func (r *room) stateOfDevice(l netlink.Link) (*DeviceState, error) {
	a := l.Attrs()
	s := &DeviceState{
		Name: a.Name, Index: a.Index, Alias: a.Alias, Up: a.RawFlags&unix.IFF_UP != 0, MTU: a.MTU,
		TxQueueLen: a.TxQLen, GSOMaxSegs: a.GSOMaxSegs, Features: make(map[string]bool),
	}
	have, err := r.eth.Features(a.Name)
	if err != nil {
		return nil, fmt.Errorf("read offloads of %s: %w", a.Name, err)
	}
	for _, f := range offloads {
		if on, ok := have[f]; ok {
			s.Features[f] = on
		}
	}
	for _, x := range []struct {
		kind rawKind
		to   *[]RawMessage
	}{{addressKind(), &s.Addresses}, {routeKind(), &s.Routes}, {neighbourKind(), &s.Neighbours}} {
		if *x.to, err = x.kind.list(r.conn, a.Index); err != nil {
			return nil, fmt.Errorf("read addresses and routes of %s: %w", a.Name, err)
		}
	}
	if s.Qdisc, err = r.rootQdisc(a.Index, a.Name); err != nil {
		return nil, err
	}
	s.Sysctls, err = r.deviceSysctls(a.Name)
	return s, err
}

// simpleQdiscs are the kinds whose parameters the kernel takes back as it tells
// them.
var simpleQdiscs = []string{"pfifo", "bfifo", "pfifo_fast", "fq_codel", "fq", "sfq", "tbf"}

// rootQdisc reads a device's root qdisc where somebody has set one; nil: the
// default, which the kernel makes again. It refuses what could not be given
// back as it was.
func (r *room) rootQdisc(ifindex int, name string) (*RawMessage, error) {
	var found *RawMessage
	var refused error
	err := r.conn.dump(rtmGetQdisc, make([]byte, tcmsgLen), func(p []byte) {
		var q QdiscInfo
		if err := DecodeQdisc(p, &q); err != nil || int(q.Ifindex) != ifindex {
			return
		}
		if q.Parent == parentRoot && q.Handle == 0 || q.Parent != parentRoot && q.Handle>>16 == 0 {
			return // the kernel's own choice
		}
		if q.Parent != parentRoot || !slices.Contains(simpleQdiscs, q.Kind) || q.HasSizeTable {
			refused = fmt.Errorf("interface %s: has a %s qdisc, which could not be given back as it is: remove it first with tc qdisc del dev %s", name, q.Kind, name)
			return
		}
		found = &RawMessage{q.Kind, bytes.Clone(p)}
	})
	return found, errors.Join(err, refused)
}

// deviceSysctls reads every kernel parameter of a device.
func (r *room) deviceSysctls(name string) (map[string]string, error) {
	out := make(map[string]string)
	err := withNamespace(r.path, func() error {
		for _, dir := range []string{"ipv4/conf/", "ipv4/neigh/", "ipv6/conf/", "ipv6/neigh/"} {
			files, err := os.ReadDir("/proc/sys/net/" + dir + name)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			for _, f := range files {
				// One that cannot be read was never set (stable_secret).
				if data, err := os.ReadFile(filepath.Join("/proc/sys/net", dir, name, f.Name())); err == nil {
					out[dir+name+"/"+f.Name()] = strings.TrimSpace(string(data))
				}
			}
		}
		return nil
	})
	return out, err
}

// setSysctls brings kernel parameters of a device to what they were; except
// leaves some out.
func (r *room) setSysctls(was map[string]string, except ...string) error {
	return withNamespace(r.path, func() error {
		var errs []error
		for _, key := range slices.Sorted(maps.Keys(was)) {
			file := "/proc/sys/net/" + key
			data, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(data)) == was[key] || slices.Contains(except, filepath.Base(key)) {
				continue
			}
			errs = append(errs, os.WriteFile(file, []byte(was[key]), 0))
		}
		return errors.Join(errs...)
	})
}

// restore brings a marked device in the host's namespace to the state that it
// was in, and takes the mark off last.
func (r *room) restore(l netlink.Link, was *DeviceState) error {
	if was == nil {
		return errors.New("its state before is not known")
	}
	i, c := l.Attrs().Index, r.conn
	if l.Attrs().Name != was.Name {
		if err := errors.Join(r.links.LinkSetDown(l), r.links.LinkSetName(l, was.Name)); err != nil {
			return fmt.Errorf("rename it from %s: %w", l.Attrs().Name, err)
		}
	}
	if err := r.restoreSettings(l, was); err != nil {
		return err
	}
	// The kernel is not to add addresses and routes of its own meanwhile, nor
	// to check addresses that the device had.
	quiet := map[string]string{}
	for key, value := range map[string]string{"addr_gen_mode": "1", "accept_dad": "0", "accept_ra": "0"} {
		quiet["ipv6/conf/"+was.Name+"/"+key] = value
	}
	err := r.setSysctls(was.Sysctls, "addr_gen_mode", "accept_dad", "accept_ra")
	err = errors.Join(err, r.setSysctls(quiet))
	if was.Up {
		err = errors.Join(err, r.links.LinkSetUp(l))
	} else {
		err = errors.Join(err, r.links.LinkSetDown(l))
	}
	if err != nil {
		return err
	}
	if err := restoreAddresses(c, i, was.Addresses); err != nil {
		return err
	}
	addresses, routes, neighbours := addressKind(), routeKind(), neighbourKind()
	for range 2 { // setting the parameters back may add an address again
		for _, x := range []struct {
			kind rawKind
			was  []RawMessage
		}{{addresses, was.Addresses}, {routes, was.Routes}, {neighbours, was.Neighbours}} {
			if err := x.kind.restore(c, i, x.was); err != nil {
				return err
			}
		}
		if err := r.setSysctls(was.Sysctls); err != nil {
			return err
		}
	}
	if was.Qdisc != nil {
		if err := c.tell(rtmNewQdisc, nlmFCreate|nlmFReplace, onQdisc(was.Qdisc.Raw, i)); err != nil {
			return fmt.Errorf("set its qdisc %s: %w", was.Qdisc.Text, err)
		}
	}
	return r.links.LinkSetAlias(l, was.Alias)
}

// restoreSettings brings back what belongs to the device itself.
func (r *room) restoreSettings(l netlink.Link, was *DeviceState) error {
	a := l.Attrs()
	if a.MTU != was.MTU {
		if err := r.links.LinkSetMTU(l, was.MTU); err != nil {
			return fmt.Errorf("set its mtu to %d: %w", was.MTU, err)
		}
	}
	if a.TxQLen != was.TxQueueLen {
		if err := r.links.LinkSetTxQLen(l, was.TxQueueLen); err != nil {
			return fmt.Errorf("set its txqueuelen to %d: %w", was.TxQueueLen, err)
		}
	}
	if a.GSOMaxSegs != was.GSOMaxSegs && was.GSOMaxSegs > 0 {
		if err := r.links.LinkSetGSOMaxSegs(l, int(was.GSOMaxSegs)); err != nil {
			return fmt.Errorf("set its gso_max_segs to %d: %w", was.GSOMaxSegs, err)
		}
	}
	have, err := r.eth.Features(was.Name)
	if err != nil {
		return fmt.Errorf("read its offloads: %w", err)
	}
	change := make(map[string]bool)
	for f, on := range was.Features {
		if is, ok := have[f]; ok && is != on {
			change[f] = on
		}
	}
	if len(change) == 0 {
		return nil
	}
	return r.eth.Change(was.Name, change)
}

// onQdisc is a root qdisc's dump as a request for a device: its kind and its
// parameters.
func onQdisc(payload []byte, ifindex int) []byte {
	b := bytes.Clone(payload[:tcmsgLen])
	binary.NativeEndian.PutUint32(b[4:], uint32(ifindex))
	binary.NativeEndian.PutUint32(b[16:], 0) // tcm_info
	for _, a := range rawAttrs(payload[tcmsgLen:]) {
		if a.typ == tcaKind || a.typ == tcaOptions {
			b = append(appendAttrHeader(b, a.typ, len(a.data)), a.data...)
			b = appendPad(b, len(a.data))
		}
	}
	return b
}

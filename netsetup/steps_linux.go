package netsetup

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// doMore carries out the steps that not every run has.
func (k *kernel) doMore(op Op) error {
	switch o := op.(type) {
	case AddBridge:
		return k.addBridge(o)
	case JoinBridge:
		return k.joinBridge(o)
	case SetMTU:
		return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error { return r.links.LinkSetMTU(l, o.MTU) })
	case AddVLAN:
		return k.addVLAN(o)
	case TakeDevice:
		return k.takeDevice(o)
	case AddRule:
		return k.rule(o, (*netlink.Handle).RuleAdd)
	case AddDepartures:
		return k.addDepartures(o)
	case AddNested:
		return k.request(o.Namespace, o.Device, nestedRequests(o.Link, o.Dir, o.Netem))
	}
	return fmt.Errorf("unknown step %T", op)
}

// unsupported marks the refusal of a device whose module is missing.
func unsupported(err error, need string) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %s", ErrNotSupported, need)
	}
	return err
}

func (k *kernel) addBridge(o AddBridge) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = o.Device, o.MAC, o.MTU
	snooping, mask := false, uint16(groupFwdMask)
	err = r.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping, GroupFwdMask: &mask})
	return unsupported(err, "bridges (CONFIG_BRIDGE, module bridge)")
}

func (k *kernel) joinBridge(o JoinBridge) error {
	return k.withDevice(o.Namespace, o.Device, func(r *room, l netlink.Link) error {
		master, err := r.device(o.Bridge)
		if err != nil {
			return err
		}
		return r.links.LinkSetMasterByIndex(l, master)
	})
}

func (k *kernel) addVLAN(o AddVLAN) error {
	host, err := k.room(hostNamespace)
	if err != nil {
		return err
	}
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	parent, err := host.device(o.Parent)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = o.Device, parent, netlink.NsFd(r.file)
	err = host.links.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: o.ID, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	return unsupported(err, "VLANs (CONFIG_VLAN_8021Q, module 8021q)")
}

func (k *kernel) rule(o AddRule, do func(*netlink.Handle, *netlink.Rule) error) error {
	r, err := k.room(o.Namespace)
	if err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Table, rule.Priority = o.Table, o.Priority
	rule.Src = &net.IPNet{IP: o.From.AsSlice(), Mask: net.CIDRMask(o.From.BitLen(), o.From.BitLen())}
	rule.Family = unix.AF_INET
	if o.From.Is6() {
		rule.Family = unix.AF_INET6
	}
	return do(r.links, rule)
}

// takeBack takes back what a plan has made, in reverse. Each undo finds for
// itself what there is to do, which may be nothing. It goes on after an error,
// but leaves a namespace in which something is left that is not the run's.
func (p *Plan) takeBack() error {
	k := newKernel()
	k.found = p.Found
	defer k.Close()
	var errs []error
	kept := make(map[string]bool)
	for _, op := range slices.Backward(p.Ops) {
		if op.Undo() == "" {
			continue
		}
		if o, ok := op.(AddNamespace); ok && kept[o.Name] {
			continue
		}
		if err := k.undo(op); err != nil {
			errs = append(errs, err)
			if o, ok := op.(TakeDevice); ok {
				kept[o.Namespace] = true
			}
		}
	}
	return errors.Join(errs...)
}

// undo takes one step back; it is no error where there is nothing to take.
func (k *kernel) undo(op Op) error {
	var err error
	switch o := op.(type) {
	case AddNamespace:
		if r := k.rooms[o.Name]; r != nil { // it would keep the namespace
			r.close()
			delete(k.rooms, o.Name)
		}
		return removeNamespace(o.Name)
	case AddVeth:
		err = k.deleteLink(o.Namespace, o.A.Device)
	case AddVLAN:
		if !ours(o.Namespace) {
			return nil
		}
		err = k.deleteLink(o.Namespace, o.Device)
	case AddRule:
		err = k.rule(o, (*netlink.Handle).RuleDel)
	case TakeDevice:
		if err = k.giveBack(o); !errors.Is(err, errGone) {
			return err
		}
	default:
		return fmt.Errorf("unknown step %T", op)
	}
	switch {
	case errors.Is(err, errGone), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENODEV):
		return nil // with its namespace, or not there yet
	case err != nil:
		return fmt.Errorf("%s: %w", op.Undo(), err)
	}
	return nil
}

// deleteLink removes a device, if it is there.
func (k *kernel) deleteLink(namespace, device string) error {
	r, err := k.room(namespace)
	if err != nil {
		return err
	}
	l, err := r.links.LinkByName(device)
	if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.links.LinkDel(l)
}

func routeKey(device string, to, via fmt.Stringer, table int) string {
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	return fmt.Sprintf("%s %v %v %d", device, to, via, table)
}

func ruleKey(from fmt.Stringer, table, priority int) string {
	return fmt.Sprintf("%v %d %d", from, table, priority)
}

// moreDifferences is differences for the steps that not every run has.
func (k *kernel) moreDifferences(op Op, views map[string]*view) []string {
	present := true
	switch o := op.(type) {
	case AddBridge:
		if v := views[o.Namespace]; v != nil {
			return v.device(o.Namespace, o.Device, "bridge", o.MTU)
		}
	case JoinBridge:
		if v := views[o.Namespace]; v != nil && v.links[o.Device] != nil {
			b := v.links[o.Bridge]
			present = b != nil && v.links[o.Device].Attrs().MasterIndex == b.Attrs().Index
		}
	case SetMTU:
		if v := views[o.Namespace]; v != nil && v.links[o.Device] != nil {
			if is := v.links[o.Device].Attrs().MTU; is != o.MTU {
				return []string{fmt.Sprintf("%s in %s: mtu is %d, planned %d", o.Device, o.Namespace, is, o.MTU)}
			}
		}
	case AddVLAN:
		if v := views[o.Namespace]; v != nil {
			l, ok := v.links[o.Device].(*netlink.Vlan)
			present = ok && l.VlanId == o.ID
		}
	case TakeDevice:
		if v := views[o.Namespace]; v != nil {
			present = v.links[o.As] != nil && v.links[o.As].Attrs().Alias == o.Mark
		}
	case AddRule:
		if v := views[o.Namespace]; v != nil {
			present = v.rules[ruleKey(&net.IPNet{IP: o.From.AsSlice(), Mask: net.CIDRMask(o.From.BitLen(), o.From.BitLen())}, o.Table, o.Priority)]
		}
	case AddNested:
		if v := views[o.Namespace]; v != nil {
			present = v.qdisc(o.Device, handleBottleneck) == string(o.Link.Shaper) && (!o.Netem || v.qdisc(o.Device, handleLoss) == "netem")
			if o.Link.Shaper == ShaperHTB {
				_, class := v.classes[o.Device]
				present = present && class && v.qdisc(o.Device, handleGate) == "tbf"
			}
		}
	}
	if present {
		return nil
	}
	return []string{"missing: " + oneLine(op)}
}

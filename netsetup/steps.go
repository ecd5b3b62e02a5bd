package netsetup

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"linktape/trace"
)

// AddBridge creates a bridge that passes everything on and says nothing itself:
// no spanning tree, no multicast snooping, and of the frames that bridges keep
// to themselves (IEEE 802.1D, table 7-10) those that it may pass.
type AddBridge struct {
	inNamespace
	Device string
	MAC    net.HardwareAddr
	MTU    int
}

// groupFwdMask passes 01-80-C2-00-00-03 to -0F, such as port authentication and
// discovery; the kernel keeps the first three (net/bridge/br_private.h:
// BR_GROUPFWD_RESTRICTED).
const groupFwdMask = 0xfff8

func (o AddBridge) String() string {
	return o.ip("link add %s address %v mtu %d type bridge stp_state 0 mcast_snooping 0 group_fwd_mask %#x", o.Device, o.MAC, o.MTU, groupFwdMask)
}

// JoinBridge makes a device a port of a bridge.
type JoinBridge struct {
	inNamespace
	Device, Bridge string
}

func (o JoinBridge) String() string { return o.ip("link set %s master %s", o.Device, o.Bridge) }

// SetMTU sets the MTU of a device, in bytes.
type SetMTU struct {
	inNamespace
	Device string
	MTU    int
}

func (o SetMTU) String() string { return o.ip("link set %s mtu %d", o.Device, o.MTU) }

// AddVLAN creates a VLAN device in a namespace, on top of an interface that
// stays in the host's.
type AddVLAN struct {
	inNamespace
	Parent, Device string
	ID             int
}

func (o AddVLAN) String() string {
	return fmt.Sprintf("ip link add link %s name %s netns %s type vlan id %d", o.Parent, o.Device, o.Namespace, o.ID)
}

// Undo removes the device at once, so that its VLAN is free again.
func (o AddVLAN) Undo() string { return o.ip("link del %s", o.Device) }

// TakeDevice moves a device of the host into a namespace, under another name.
//
// Its alias marks it before anything else happens to it, and loses the mark
// when everything else is as it was. So the undo knows a device that is still,
// or again, as it was from one that it must work on.
type TakeDevice struct {
	inNamespace
	Device string // in the host's namespace
	As     string // in the link's
	Mark   string
	Was    *DeviceState // nil in a plan that nobody has carried out
}

func (o TakeDevice) String() string {
	return fmt.Sprintf("ip link set %s alias %q\nip link set %s netns %s name %s", o.Device, o.Mark, o.Device, o.Namespace, o.As)
}

// Undo gives the device back as it was.
func (o TakeDevice) Undo() string {
	back := o.ip("link set %s down", o.As) + "\n" + o.ip("link set %s netns %d name %s", o.As, 1, o.Device)
	if o.Was == nil {
		return back + "\n# and its addresses, routes, settings and state as they were"
	}
	return back + "\n" + strings.Join(o.Was.commands(), "\n")
}

// AddRule adds a rule that looks packets from an address up in a table.
type AddRule struct {
	inNamespace
	From            netip.Addr
	Table, Priority int
	Foreign         bool // in a namespace that is not the run's own
}

func (o AddRule) String() string { return o.ip("%srule add %s", o.family(), o.selector()) }

// Undo removes the rule where it would stay.
func (o AddRule) Undo() string {
	if !o.Foreign {
		return ""
	}
	return o.ip("%srule del %s", o.family(), o.selector())
}

func (o AddRule) family() string {
	if o.From.Is6() {
		return "-6 "
	}
	return ""
}

func (o AddRule) selector() string {
	return fmt.Sprintf("from %v lookup %d priority %d", o.From, o.Table, o.Priority)
}

// AddNested puts a bottleneck on a device, and netem below it.
type AddNested struct {
	inNamespace
	Device string
	Link   Link
	Dir    trace.Direction // of the packets that leave by the device
	Netem  bool
}

func (o AddNested) String() string {
	var lines []string
	for _, a := range nestedRequests(o.Link, o.Dir, o.Netem) {
		lines = append(lines, o.tc("%s", a.command(o.Device)))
	}
	return strings.Join(lines, "\n")
}

package netsetup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// rawKind is a kind of object that belongs to a device and can be told to the
// kernel as it was dumped.
type rawKind struct {
	get, add, del uint16
	header        int      // bytes of its struct
	index         int      // offset of the device's index in the header; −1: in an attribute
	indexAttr     uint16   // that attribute
	volatile      []uint16 // attributes that change by themselves
	mask          func(header []byte)
}

func addressKind() rawKind {
	return rawKind{
		get: unix.RTM_GETADDR, add: unix.RTM_NEWADDR, del: unix.RTM_DELADDR,
		header: unix.SizeofIfAddrmsg, index: 4, volatile: []uint16{unix.IFA_CACHEINFO, unix.IFA_FLAGS, ifaTargetNetnsid},
		mask: func(h []byte) { h[2] = 0 }, // ifa_flags: tentative and such come and go
	}
}

func routeKind() rawKind {
	return rawKind{
		get: unix.RTM_GETROUTE, add: unix.RTM_NEWROUTE, del: unix.RTM_DELROUTE,
		header: unix.SizeofRtMsg, index: -1, indexAttr: unix.RTA_OIF, volatile: []uint16{unix.RTA_CACHEINFO},
		mask: func(h []byte) { // rtm_flags: the kernel refuses dead and linkdown (net/ipv4/fib_frontend.c: rtm_to_fib_config)
			binary.NativeEndian.PutUint32(h[8:], binary.NativeEndian.Uint32(h[8:])&unix.RTNH_F_ONLINK)
		},
	}
}

func neighbourKind() rawKind {
	return rawKind{
		get: unix.RTM_GETNEIGH, add: unix.RTM_NEWNEIGH, del: unix.RTM_DELNEIGH,
		header: unix.SizeofNdMsg, index: 4, volatile: []uint16{unix.NDA_CACHEINFO, unix.NDA_PROBES},
	}
}

const ifaTargetNetnsid = 10 // IFA_TARGET_NETNSID (include/uapi/linux/if_addr.h)

// rawAttr is one attribute of a payload.
type rawAttr struct {
	typ  uint16
	data []byte
}

// rawAttrs splits the attributes of a payload.
func rawAttrs(b []byte) []rawAttr {
	var out []rawAttr
	for len(b) >= nlaHeaderLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < nlaHeaderLen || n > len(b) {
			break
		}
		out = append(out, rawAttr{binary.NativeEndian.Uint16(b[2:]) & nlaTypeMask, b[nlaHeaderLen:n]})
		b = b[min(alignLen(n), len(b)):]
	}
	return out
}

func rawAttrOf(b []byte, typ uint16) ([]byte, bool) {
	for _, a := range rawAttrs(b) {
		if a.typ == typ {
			return a.data, true
		}
	}
	return nil, false
}

// ifindex is the device of a payload; 0: none.
func (k *rawKind) ifindex(payload []byte) int {
	if len(payload) < k.header {
		return 0
	}
	if k.index >= 0 {
		return int(binary.NativeEndian.Uint32(payload[k.index:]))
	}
	if d, ok := rawAttrOf(payload[k.header:], k.indexAttr); ok && len(d) == 4 {
		return int(binary.NativeEndian.Uint32(d))
	}
	return 0
}

// key is what of a payload identifies the object: without its device's index
// and what changes by itself.
func (k *rawKind) key(payload []byte) string {
	h := slices.Clone(payload[:k.header])
	if k.mask != nil {
		k.mask(h)
	}
	if k.index >= 0 {
		copy(h[k.index:], []byte{0, 0, 0, 0})
	}
	var parts []string
	for _, a := range rawAttrs(payload[k.header:]) {
		if (k.index >= 0 || a.typ != k.indexAttr) && !slices.Contains(k.volatile, a.typ) {
			parts = append(parts, fmt.Sprintf("%d:%x", a.typ, a.data))
		}
	}
	slices.Sort(parts)
	return fmt.Sprintf("%x ", h) + strings.Join(parts, " ")
}

// on returns the payload for a device that has another index now, ready to be
// told to the kernel.
func (k *rawKind) on(payload []byte, ifindex int) []byte {
	ne := binary.NativeEndian
	out := slices.Clone(payload[:k.header])
	if k.mask != nil && k.get != unix.RTM_GETADDR {
		k.mask(out)
	}
	if k.index >= 0 {
		ne.PutUint32(out[k.index:], uint32(ifindex))
	}
	for _, a := range rawAttrs(payload[k.header:]) {
		data := slices.Clone(a.data)
		switch {
		case k.get == unix.RTM_GETROUTE && a.typ == unix.RTA_CACHEINFO, a.typ == ifaTargetNetnsid && k.get == unix.RTM_GETADDR:
			continue
		case k.get == unix.RTM_GETNEIGH && slices.Contains(k.volatile, a.typ):
			continue
		case k.index < 0 && a.typ == k.indexAttr && len(data) == 4:
			ne.PutUint32(data, uint32(ifindex))
		case k.get == unix.RTM_GETADDR && a.typ == unix.IFA_FLAGS && len(data) == 4:
			ne.PutUint32(data, ne.Uint32(data)&^(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED|unix.IFA_F_SECONDARY))
		}
		out = append(appendAttrHeader(out, a.typ, len(data)), data...)
		out = appendPad(out, len(data))
	}
	return out
}

// dump lists every object that a request asks for.
func (c *conn) dump(typ uint16, body []byte, each func(payload []byte)) error {
	c.seq++
	b, start := appendHeader(c.buf[:0], typ, nlmFRequest|unix.NLM_F_DUMP, c.seq)
	b = FinishMessage(append(b, body...), start)
	c.buf = b[:0]
	if err := c.Send(b); err != nil {
		return err
	}
	for {
		n, err := c.Receive(c.rbuf)
		if err != nil {
			return err
		}
		m := Messages{Buf: c.rbuf[:n]}
		for m.Next() {
			switch {
			case m.Seq != c.seq:
			case m.Type == unix.NLMSG_DONE:
				return m.Err()
			case m.Type == nlmsgError:
				errno, text := m.Errno()
				return &KernelError{unix.Errno(errno), text}
			default:
				each(m.Payload)
			}
		}
		if err := m.Err(); err != nil {
			return err
		}
	}
}

// tell sends one message with a payload and waits for its acknowledgement.
func (c *conn) tell(typ, flags uint16, payload []byte) error {
	return c.execute(func(b []byte, seq uint32) ([]byte, error) {
		b, start := appendHeader(b, typ, nlmFRequest|nlmFAck|flags, seq)
		return FinishMessage(append(b, payload...), start), nil
	})
}

// list returns the objects of a kind that belong to a device.
func (k *rawKind) list(c *conn, ifindex int) ([]RawMessage, error) {
	var out []RawMessage
	err := c.dump(k.get, make([]byte, k.header), func(p []byte) {
		if k.ifindex(p) == ifindex && k.keep(p) {
			out = append(out, RawMessage{k.text(p), bytes.Clone(p)})
		}
	})
	return out, err
}

// keep reports whether an object is one that is told, and not one that the
// kernel has found out.
func (k *rawKind) keep(p []byte) bool {
	switch k.get {
	case unix.RTM_GETNEIGH:
		return binary.NativeEndian.Uint16(p[8:])&unix.NUD_PERMANENT != 0 && p[0] != unix.AF_BRIDGE
	case unix.RTM_GETROUTE:
		return binary.NativeEndian.Uint32(p[8:])&unix.RTM_F_CLONED == 0
	}
	return true
}

// text is an object in ip's words, as far as people want to know.
func (k *rawKind) text(p []byte) string {
	addr := func(typ uint16) string {
		d, _ := rawAttrOf(p[k.header:], typ)
		a, ok := netip.AddrFromSlice(d)
		if !ok {
			return ""
		}
		return a.String()
	}
	switch k.get {
	case unix.RTM_GETADDR:
		a := addr(unix.IFA_LOCAL)
		if a == "" {
			a = addr(unix.IFA_ADDRESS)
		}
		return fmt.Sprintf("%s/%d", a, p[1])
	case unix.RTM_GETNEIGH:
		d, _ := rawAttrOf(p[k.header:], unix.NDA_LLADDR)
		return fmt.Sprintf("%s lladdr % x", addr(unix.NDA_DST), d)
	}
	s := "default"
	if to := addr(unix.RTA_DST); to != "" {
		s = fmt.Sprintf("%s/%d", to, p[1])
	}
	if types := [...]string{2: "local", 3: "broadcast", 4: "anycast", 5: "multicast"}; int(p[7]) < len(types) && types[p[7]] != "" {
		s = types[p[7]] + " " + s
	}
	if via := addr(unix.RTA_GATEWAY); via != "" {
		s += " via " + via
	}
	if d, ok := rawAttrOf(p[k.header:], unix.RTA_TABLE); ok && len(d) == 4 {
		s += fmt.Sprintf(" table %d", binary.NativeEndian.Uint32(d))
	}
	return s
}

// restore makes the objects of a device those that were: what is missing is
// added, in the old order, and what is there besides is removed. Objects bring
// others with them and need others first, so that it goes on until there is
// nothing left to do.
func (k *rawKind) restore(c *conn, ifindex int, was []RawMessage) error {
	const passes = 1000
	var failed error
	for range passes {
		now, err := k.list(c, ifindex)
		if err != nil {
			return err
		}
		have, want := make(map[string]bool), make(map[string]bool)
		for _, x := range now {
			have[k.key(x.Raw)] = true
		}
		changed, waiting := false, false
		failed = nil
		try := func(verb string, x RawMessage, err error) {
			if err == nil {
				changed = true
			} else if failed == nil {
				failed = fmt.Errorf("%s %s: %w", verb, x.Text, err)
			}
		}
		for _, x := range was {
			key := k.key(x.Raw)
			want[key] = true
			switch {
			case have[key]:
			case k.automatic(x.Raw):
				waiting = true
			default:
				try("add", x, c.tell(k.add, nlmFCreate|nlmFExcl, k.on(x.Raw, ifindex)))
			}
		}
		for _, x := range now {
			if !want[k.key(x.Raw)] {
				try("remove", x, c.tell(k.del, 0, x.Raw))
			}
		}
		switch {
		case changed:
		case waiting:
			time.Sleep(time.Millisecond)
		default:
			return failed
		}
	}
	return failed
}

// automatic reports whether the kernel makes a route itself, for an address:
// for one of IPv6 a moment later (net/ipv6/addrconf.c: addrconf_dad_work).
func (k *rawKind) automatic(p []byte) bool {
	return k.get == unix.RTM_GETROUTE && p[4] == unix.RT_TABLE_LOCAL && p[5] == unix.RTPROT_KERNEL
}

// restoreAddresses brings a device's addresses back in their old order, which
// decides what is a primary address and what a packet's source is. New IPv6
// addresses go before the others of their scope (net/ipv6/addrconf.c:
// ipv6_link_dev_addr), so those come in reverse.
func restoreAddresses(c *conn, ifindex int, was []RawMessage) error {
	k := addressKind()
	keys := func(list []RawMessage) (out []string) {
		for _, x := range list {
			out = append(out, k.key(x.Raw))
		}
		return out
	}
	now, err := k.list(c, ifindex)
	if err != nil || slices.Equal(keys(now), keys(was)) {
		return err
	}
	if err := k.restore(c, ifindex, nil); err != nil {
		return err
	}
	var four, six []RawMessage
	for _, x := range was {
		if x.Raw[0] == unix.AF_INET6 {
			six = append(six, x)
		} else {
			four = append(four, x)
		}
	}
	slices.Reverse(six)
	return k.restore(c, ifindex, append(four, six...))
}

package netsetup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linktape/trace"
)

// Status reads back what the kernel has of a run and compares it with the
// run's plan. The run may be half-built.
func Status(run string) (*RunStatus, error) {
	r, err := readRecord(run)
	if err != nil {
		return nil, err
	}
	p, err := r.plan()
	if err != nil {
		return nil, err
	}
	s := &RunStatus{Run: run, Created: r.Created, Complete: r.Complete, Warnings: r.Features.Warnings(r.Topology)}
	if r.Owner != nil {
		s.Owner = r.Owner.PID
		if r.Owner.ended() {
			s.Warnings = append(s.Warnings, fmt.Sprintf("its owner, process %d, has ended: linkup gc removes the run", s.Owner))
		}
	}
	if here, err := r.ofThisBoot(); err != nil {
		return nil, err
	} else if !here {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the computer was started again since the run was built: linkup down %s forgets it", run))
	}
	if s.Processes, err = processesIn(p.Namespaces()); err != nil {
		return nil, err
	}
	k := newKernel()
	k.found = p.Found
	defer k.Close()
	views := make(map[string]*view)
	for _, op := range p.Ops {
		ns, ok := op.(AddNamespace)
		if !ok {
			continue
		}
		if kind, err := nameOf(ns.Name); err != nil {
			return nil, fmt.Errorf("look at namespace %s: %w", ns.Name, err)
		} else if kind != takenName {
			s.Differences = append(s.Differences, "missing: "+oneLine(op))
			continue
		}
		v, err := k.look(ns.Name)
		if err != nil {
			return nil, fmt.Errorf("look into namespace %s: %w", ns.Name, err)
		}
		if lo := v.links["lo"]; lo == nil || lo.Attrs().Alias != mark(ns.Name) {
			s.Differences = append(s.Differences, fmt.Sprintf("%s: is not of this run: its lo lacks the alias %s", ns.Name, mark(ns.Name)))
		}
		views[ns.Name] = v
	}
	for _, ref := range p.foreign() {
		switch views[ref], err = k.look(ref); {
		case errors.Is(err, errGone):
			s.Differences = append(s.Differences, "missing: "+err.Error())
		case err != nil:
			return nil, fmt.Errorf("look into namespace %s: %w", describe(ref), err)
		}
	}
	for _, op := range p.Ops {
		d, err := k.differences(op, views)
		if err != nil {
			return nil, err
		}
		s.Differences = append(s.Differences, d...)
	}
	for i := range p.Topology.Links {
		d, err := readBack(r, &p.Topology.Links[i], views[Namespace(run, p.Topology.Links[i].Name)])
		if err != nil {
			return nil, err
		}
		s.Differences = append(s.Differences, d...)
	}
	for i, l := range r.Topology.Links {
		v := views[Namespace(run, l.Name)]
		x := linkStatus(p, i, l, v)
		if l.exact() && v != nil {
			for d, to := range []*DirStatus{trace.Down: &x.Down, trace.Up: &x.Up} {
				d := trace.Direction(d)
				got, differs, err := k.exactStatus(Namespace(run, l.Name), &l, d, r.state(&l, d))
				if err != nil { // missing, which is said already, or not ours
					differs = []string{fmt.Sprintf("link %s: %v", l.Name, err)}
				}
				*to, s.Differences = got, append(s.Differences, differs...)
			}
		}
		s.Links = append(s.Links, x)
	}
	return s, nil
}

// state is what a direction of a link is in; nil: a replay is under way, or was killed.
func (r *record) state(l *Link, d trace.Direction) *trace.State {
	if r.Replaying {
		return nil
	}
	s, ok := r.Applied[trace.LinkDir{Link: l.Name, Dir: d}.String()]
	if !ok {
		s = stateOf(*l)
	}
	return &s
}

// view is what a namespace holds.
type view struct {
	links    map[string]netlink.Link
	addrs    map[string]bool   // "dev prefix"
	routes   map[string]bool   // by routeKey
	rules    map[string]bool   // by ruleKey
	neighs   map[string]bool   // "dev address MAC", permanent ones
	filters  map[string]bool   // "dev": has an egress filter
	programs map[string]uint32 // "dev": the program that decides on departures
	qdiscs   map[qdiscID]QdiscInfo
	classes  map[string]trace.BitRate // rate of the HTB class, by device
}

type qdiscID struct {
	device string
	handle uint32
}

// look reads everything that a plan may have put into a namespace.
func (k *kernel) look(namespace string) (*view, error) {
	r, err := k.room(namespace)
	if err != nil {
		return nil, err
	}
	v := &view{
		links: make(map[string]netlink.Link), addrs: make(map[string]bool), routes: make(map[string]bool),
		rules: make(map[string]bool), neighs: make(map[string]bool), filters: make(map[string]bool), programs: make(map[string]uint32),
	}
	links, err := r.links.LinkList()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string)
	for _, l := range links {
		name := l.Attrs().Name
		v.links[name], names[l.Attrs().Index] = l, name
		filters, err := r.links.FilterList(l, netlink.HANDLE_MIN_EGRESS)
		if err == nil && len(filters) > 0 {
			v.filters[name], v.programs[name] = true, programOf(filters)
		}
	}
	addrs, err := r.links.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		v.addrs[names[a.LinkIndex]+" "+a.IPNet.String()] = true
	}
	routes, err := r.links.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	for _, x := range routes {
		if x.Dst != nil {
			v.routes[routeKey(names[x.LinkIndex], x.Dst, x.Gw, x.Table)] = true
		}
	}
	rules, err := r.links.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, x := range rules {
		if x.Src != nil {
			v.rules[ruleKey(x.Src, x.Table, x.Priority)] = true
		}
	}
	neighs, err := r.links.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, n := range neighs {
		if n.State&netlink.NUD_PERMANENT != 0 {
			v.neighs[fmt.Sprintf("%s %v %v", names[n.LinkIndex], n.IP, n.HardwareAddr)] = true
		}
	}
	return v, v.readShapers(r, names)
}

// readShapers reads what shapes a namespace's devices, whose names by index it
// is told: every qdisc, and the rates of HTB classes.
func (v *view) readShapers(r *room, names map[int]string) error {
	v.qdiscs, v.classes = make(map[qdiscID]QdiscInfo), make(map[string]trace.BitRate)
	var htb []int
	err := r.conn.dumpQdiscs(func(q *QdiscInfo) {
		c := *q
		c.Options, c.AppStats = slices.Clone(q.Options), slices.Clone(q.AppStats)
		v.qdiscs[qdiscID{names[int(q.Ifindex)], q.Handle}] = c
		if q.Kind == "htb" {
			htb = append(htb, int(q.Ifindex))
		}
	})
	if err != nil {
		return err
	}
	for _, i := range htb {
		classes, err := r.links.ClassList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: i}}, netlink.HANDLE_NONE)
		if err != nil {
			return fmt.Errorf("list classes: %w", err)
		}
		for _, c := range classes {
			if h, ok := c.(*netlink.HtbClass); ok {
				v.classes[names[i]] = trace.BitRate(h.Rate * 8)
			}
		}
	}
	return nil
}

// dumpQdiscs lists the qdiscs of the connection's namespace.
func (c *conn) dumpQdiscs(each func(*QdiscInfo)) error {
	c.seq++
	b, start := AppendTC(c.buf[:0], Message{Type: rtmGetQdisc, Flags: nlmFRequest | unix.NLM_F_DUMP, Seq: c.seq}, TC{})
	if err := c.Send(FinishMessage(b, start)); err != nil {
		return fmt.Errorf("list qdiscs: %w", err)
	}
	var q QdiscInfo
	for {
		n, err := c.Receive(c.rbuf)
		if err != nil {
			return fmt.Errorf("list qdiscs: %w", err)
		}
		for m := (Messages{Buf: c.rbuf[:n]}); m.Next(); {
			switch m.Type {
			case unix.NLMSG_DONE:
				return m.Err()
			case nlmsgError:
				errno, text := m.Errno()
				return fmt.Errorf("list qdiscs: %w", &KernelError{unix.Errno(errno), text})
			case rtmNewQdisc:
				if err := DecodeQdisc(m.Payload, &q); err != nil {
					return err
				}
				each(&q)
			}
		}
	}
}

// differences says what of a step is not as planned; nothing where its
// namespace is missing, which is said once.
func (k *kernel) differences(op Op, views map[string]*view) ([]string, error) {
	if o, ok := op.(AddVeth); ok {
		return append(vethEnd(views, o.A, o.MTU), vethEnd(views, o.B, o.MTU)...), nil
	}
	present := true
	switch o := op.(type) {
	case SetSysctls:
		if views[o.Namespace] != nil {
			return k.sysctlDifferences(o)
		}
	case AddIFB:
		if v := views[o.Namespace]; v != nil {
			return v.device(o.Namespace, o.Device, "ifb", o.MTU), nil
		}
	case OffloadsOff:
		if v := views[o.Namespace]; v != nil && v.links[o.Device] != nil {
			return k.offloadDifferences(o, v.links[o.Device])
		}
	case SetUp:
		if v := views[o.Namespace]; v != nil && v.links[o.Device] != nil && v.links[o.Device].Attrs().RawFlags&unix.IFF_UP == 0 {
			return []string{fmt.Sprintf("%s in %s: is down", o.Device, o.Namespace)}, nil
		}
	case AddAddress:
		if v := views[o.Namespace]; v != nil {
			present = v.addrs[o.Device+" "+o.Prefix.String()]
		}
	case AddRoute:
		if v := views[o.Namespace]; v != nil {
			present = v.routes[routeKey(o.Device, o.To, o.Via, o.Table)]
		}
	case AddNeighbour:
		if v := views[o.Namespace]; v != nil {
			present = v.neighs[fmt.Sprintf("%s %v %v", o.Device, o.Addr, o.MAC)]
		}
	case AddBottleneck:
		if v := views[o.Namespace]; v != nil {
			root := "tbf"
			if o.Link.Shaper == ShaperHTB {
				_, class := v.classes[o.Device]
				present = class && v.qdisc(o.Device, handleGate) == "tbf"
				root = "htb"
			}
			present = present && v.qdisc(o.Device, handleBottleneck) == root
			if o.Link.pulsed() {
				present = present && v.qdisc(o.Device, handlePlug) == "plug" &&
					(o.Link.Queue.Kind == trace.DropTail || v.qdisc(o.Device, handleBands) == "prio")
			}
			switch o.Link.Queue.Kind {
			case CAKEQueue:
				present = present && v.qdisc(o.Device, handleQueue) == "cake"
			case CoDel:
				present = present && v.qdisc(o.Device, handleQueue) == "fq_codel"
			}
		}
	case AddPath:
		if v := views[o.Namespace]; v != nil {
			present = v.qdisc(o.Device, handleLoss) == "netem" && v.qdisc(o.Device, handleDelay) == "netem"
		}
	case Redirect:
		if v := views[o.Namespace]; v != nil {
			present = v.filters[o.Device]
		}
	case AddDepartures:
		if v := views[o.Namespace]; v != nil {
			return exactDifferences(o, v)
		}
	default:
		return k.moreDifferences(op, views), nil
	}
	if present {
		return nil, nil
	}
	return []string{"missing: " + oneLine(op)}, nil
}

func vethEnd(views map[string]*view, e VethEnd, mtu int) []string {
	v := views[e.Namespace]
	if v == nil {
		return nil
	}
	out := v.device(e.Namespace, e.Device, "veth", mtu)
	if l := v.links[e.Device]; l != nil && !bytes.Equal(l.Attrs().HardwareAddr, e.MAC) {
		out = append(out, fmt.Sprintf("%s in %s: address is %v, planned %v", e.Device, e.Namespace, l.Attrs().HardwareAddr, e.MAC))
	}
	return out
}

func (k *kernel) sysctlDifferences(o SetSysctls) (out []string, err error) {
	path, err := k.file(o.Namespace)
	if err != nil {
		return nil, err
	}
	err = withNamespace(path, func() error {
		for _, s := range o.Settings {
			data, err := os.ReadFile("/proc/sys/net/" + s.Key)
			switch is := strings.TrimSpace(string(data)); {
			case errors.Is(err, fs.ErrNotExist): // with its device, which is missed elsewhere
			case err != nil:
				return err
			case is != s.Value:
				out = append(out, fmt.Sprintf("net/%s in %s: is %s, planned %s", s.Key, o.Namespace, is, s.Value))
			}
		}
		return nil
	})
	return out, err
}

func (k *kernel) offloadDifferences(o OffloadsOff, l netlink.Link) (out []string, err error) {
	r, err := k.room(o.Namespace)
	if err != nil {
		return nil, err
	}
	have, err := r.eth.Features(o.Device)
	if errors.Is(err, unix.ENODEV) { // it went while we looked
		return []string{fmt.Sprintf("missing: %s in %s", o.Device, o.Namespace)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read offloads of %s in %s: %w", o.Device, o.Namespace, err)
	}
	for _, f := range offloads {
		if have[f] {
			out = append(out, fmt.Sprintf("%s in %s: %s is on, planned off", o.Device, o.Namespace, f))
		}
	}
	if n := l.Attrs().GSOMaxSegs; n != 1 {
		out = append(out, fmt.Sprintf("%s in %s: gso_max_segs is %d, planned 1", o.Device, o.Namespace, n))
	}
	return out, nil
}

func (v *view) qdisc(device string, handle uint32) string {
	return v.qdiscs[qdiscID{device, handle}].Kind
}

func (v *view) device(namespace, name, kind string, mtu int) []string {
	l := v.links[name]
	switch {
	case l == nil:
		return []string{fmt.Sprintf("missing: %s %s in %s", kind, name, namespace)}
	case l.Type() != kind:
		return []string{fmt.Sprintf("%s in %s: is a %s, planned %s", name, namespace, l.Type(), kind)}
	case l.Attrs().MTU != mtu:
		return []string{fmt.Sprintf("%s in %s: mtu is %d, planned %d", name, namespace, l.Attrs().MTU, mtu)}
	}
	return nil
}

func linkStatus(p *Plan, i int, l Link, v *view) LinkStatus {
	t := p.Topology
	a := t.Addresses(i)
	s := LinkStatus{
		Name: l.Name, Shaper: l.Shaper, MTU: l.MTU, Device: t.linkDevice(p.Run, i, 0), FarDevice: t.linkDevice(p.Run, i, 1),
		Netem: (p.Features.Netem || l.exact()) && l.Path != PathNone,
	}
	for f := range a.Sender {
		if f == 0 || p.ipv6() {
			s.SenderAddr = append(s.SenderAddr, a.Sender[f].Addr().String())
			s.ReceiverAddr = append(s.ReceiverAddr, a.Receiver[f].Addr().String())
		}
	}
	switch {
	case v == nil, l.exact():
	case l.Tree == TreeSeparated:
		s.Up = v.direction(&l, ifbUp, receiverSide)
		s.Down = v.direction(&l, ifbDown, senderSide)
	default:
		s.Up = v.direction(&l, receiverSide, receiverSide)
		s.Down = v.direction(&l, senderSide, senderSide)
	}
	return s
}

func (v *view) direction(l *Link, ifb, out string) DirStatus {
	q := v.qdiscs[qdiscID{ifb, handleBottleneck}]
	s := DirStatus{BacklogBytes: q.BacklogBytes, Bytes: q.Bytes, Packets: q.Packets, Drops: q.Drops}
	bucket := q
	if q.Kind == "htb" {
		bucket = v.qdiscs[qdiscID{ifb, handleGate}]
	}
	if t, err := DecodeTBF(bucket.Options); err == nil {
		s.LimitBytes = t.LimitBytes
		switch class, ok := v.classes[ifb]; {
		case t.MPUBytes == gateMPU:
			s.Rate = 0
		case t.Rate == pulseRate && l.pulsed():
			s.Pulsed = true
		case ok:
			s.Rate = min(t.Rate, class)
		default:
			s.Rate = t.Rate
		}
	}
	switch below := v.qdiscs[qdiscID{ifb, handleQueue}]; below.Kind {
	case "cake":
		if c, err := DecodeCAKEStats(below.AppStats); err == nil {
			s.CAKE, s.LimitBytes = &c, int64(c.MemoryLimit)
		}
	case "fq_codel":
		if c, err := DecodeFQCoDelStats(below.AppStats); err == nil {
			s.CoDel = &c
		}
		if c, err := DecodeFQCoDel(below.Options); err == nil {
			s.LimitBytes = int64(c.LimitPackets) * int64(l.MTU)
		}
	}
	if d, err := DecodeNetem(v.qdiscs[qdiscID{out, handleDelay}].Options); err == nil {
		s.Delay, s.Jitter = d.Delay, d.Jitter
	}
	loss := v.qdiscs[qdiscID{out, handleLoss}]
	if n, err := DecodeNetem(loss.Options); err == nil {
		if ifb == out { // nested: one netem, and the queue is its own
			s.Delay, s.Jitter, s.LimitPackets = n.Delay, n.Jitter, n.LimitPackets
		}
		s.Loss = trace.Prob(trace.State{Loss: n.Loss, GE: n.GE}.MeanLoss())
		if n.Markov.Enabled() {
			s.Loss = trace.Prob(n.Markov.Loss())
		}
		s.PathDrops = loss.Drops
	}
	return s
}

// readBack compares the parameters of a link's qdiscs with what was set. What
// is missing is said elsewhere.
func readBack(r *record, l *Link, v *view) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	var out []string
	for _, d := range []struct {
		dir      trace.Direction
		ifb, dev string
	}{{trace.Up, ifbUp, receiverSide}, {trace.Down, ifbDown, senderSide}} {
		state, ok := r.Applied[trace.LinkDir{Link: l.Name, Dir: d.dir}.String()]
		if !ok {
			state = stateOf(*l)
		}
		set := lastSet(l, d.dir, state, !r.Replaying)
		if l.Tree != TreeSeparated {
			d.ifb = d.dev
		}
		for _, q := range []struct {
			device  string
			handle  uint32
			compare func(c *comparison, q QdiscInfo) error
		}{
			{d.ifb, handleBottleneck, func(c *comparison, q QdiscInfo) error {
				same(c, "size table", q.SizeTable.OverheadBytes, -headerBytes)
				if q.Kind == "tbf" {
					return set.bucket(c, q)
				}
				if set.known {
					c.rate(v.classes[d.ifb], set.class.Rate)
				}
				return nil
			}},
			{d.ifb, handleGate, set.bucket},
			{d.ifb, handleQueue, set.queue},
			{d.dev, handleLoss, func(c *comparison, q QdiscInfo) error { return set.netem(c, q, &set.loss) }},
			{d.dev, handleDelay, func(c *comparison, q QdiscInfo) error { return set.netem(c, q, &set.delay) }},
		} {
			info, ok := v.qdiscs[qdiscID{q.device, q.handle}]
			if !ok {
				continue
			}
			c := &comparison{what: fmt.Sprintf("%s %x: on %s in %s", info.Kind, q.handle>>16, q.device, Namespace(r.Run, l.Name))}
			if err := q.compare(c, info); err != nil {
				return nil, fmt.Errorf("%s: %w", c.what, err)
			}
			out = append(out, c.out...)
		}
	}
	return out, nil
}

// bucket compares a token bucket. A kind other than the planned one is said
// elsewhere.
func (x *set) bucket(c *comparison, q QdiscInfo) error {
	if q.Kind != "tbf" || !x.known {
		return nil
	}
	got, err := DecodeTBF(q.Options)
	c.tbf(&got, &x.leaf, x.limits)
	return err
}

func (x *set) queue(c *comparison, q QdiscInfo) error {
	switch q.Kind {
	case "cake":
		got, err := DecodeCAKE(q.Options)
		c.cake(&got, &x.cake, x.open)
		return err
	case "fq_codel":
		got, err := DecodeFQCoDel(q.Options)
		c.codel(&got, &x.codel, x.limits)
		return err
	}
	return nil
}

func (x *set) netem(c *comparison, q QdiscInfo, want *Netem) error {
	if q.Kind != "netem" {
		return nil
	}
	got, err := DecodeNetem(q.Options)
	if want.LimitPackets != pathLimit && !x.limits { // a queue's, of a nested tree
		got.LimitPackets = want.LimitPackets
	}
	c.netem(&got, want, x.known)
	return err
}

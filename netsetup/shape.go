package netsetup

import (
	"errors"
	"fmt"

	"linktape/internal/conf"
	"linktape/trace"
)

// linkNodes are the places in the file that a fault between links is shown at.
type linkNodes struct {
	key  conf.Node
	ends [2]conf.Node // of the sender's end and the receiver's; absent where not said
}

// parseShape decodes what a link is built of: its tree, its way and its ends.
func (l *Link) parseShape(m *conf.Map, at *linkNodes) {
	if n, ok := m.Get("tree"); ok {
		l.Tree = TreeKind(n.OneOf(string(TreeSeparated), string(TreeNested), string(TreeEgress)))
		if err := l.checkTree(); err != nil {
			n.Errorf("%v", err)
		}
	}
	if n, ok := m.Get("bridge"); ok {
		l.Bridge = n.Bool()
	}
	if n, ok := m.Get("hops"); ok {
		l.Hops = int(min(max(n.Int(), -1), MaxHops+1))
		if !n.Failed() {
			if err := l.checkHops(); err != nil {
				n.Errorf("%v", err)
			}
		}
	}
	if n, ok := m.Get("cross"); ok {
		l.Cross = n.Bool()
		if err := l.checkCross(); err != nil {
			n.Errorf("%v", err)
		}
	}
	if n, ok := m.Get("sender"); ok {
		l.Sender, at.ends[0] = parseLinkEnd(n, l.Bridge), n
	}
	if n, ok := m.Get("receiver"); ok {
		l.Receiver, at.ends[1] = parseLinkEnd(n, l.Bridge), n
	}
}

// checkTree refuses a queue of its own below the bucket where netem is.
func (l *Link) checkTree() error {
	if l.pulsed() && (l.Tree == TreeNested || l.Tree == TreeEgress) {
		return fmt.Errorf("tree %s has netem below the bucket, where the plug of a pulse would be: write tree: %s", l.Tree, TreeSeparated)
	}
	if l.Queue.Kind != trace.DropTail && (l.Tree == TreeNested || l.Tree == TreeEgress) {
		return fmt.Errorf("tree %s has netem below the bucket, where the queue of kind %s would be: write tree: %s", l.Tree, l.Queue.Kind, TreeSeparated)
	}
	return nil
}

func (l *Link) checkHops() error {
	switch {
	case l.Hops < 0 || l.Hops > MaxHops:
		return fmt.Errorf("hops outside 0 to %d", MaxHops)
	case l.Hops > 0 && l.Bridge:
		return errors.New("a bridged link has no hops: leave them out")
	}
	return nil
}

func (l *Link) checkCross() error {
	switch {
	case l.Cross && l.Bridge:
		return errors.New("cross traffic needs a router, and a bridged link has none: leave it out")
	case l.Cross && l.Tree != TreeSeparated:
		return errors.New("cross traffic shares a bottleneck on an IFB: write tree: separated")
	}
	return nil
}

// checkShape verifies what parseShape cannot have let through.
func (l *Link) checkShape() error {
	if l.Tree != TreeSeparated && l.Tree != TreeNested && l.Tree != TreeEgress {
		return fmt.Errorf("unknown tree %q: set %s, %s or %s", l.Tree, TreeSeparated, TreeNested, TreeEgress)
	}
	for _, check := range []func() error{l.checkTree, l.checkHops, l.checkCross} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := l.Sender.check(l.Bridge); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := l.Receiver.check(l.Bridge); err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	return nil
}

// trouble is what is wrong between parts of a topology that are each right.
type trouble struct {
	link int // −1: the run's sender or receiver
	side int // 0 sender, 1 receiver
	text string
}

// troubles finds what is wrong between parts of a topology.
func (t *Topology) troubles() []trouble {
	var out []trouble
	if !t.Sender.Own() && t.Sender.reference("", "") == t.Receiver.reference("", "") {
		out = append(out, trouble{-1, 1, "the sender is in the same namespace, where packets between the two would not pass any link: write another namespace"})
	}
	used := make(map[string]string) // by interface and VLAN; "" for the interface itself
	for i, l := range t.Links {
		for side, e := range []LinkEnd{l.Sender, l.Receiver} {
			if e.Interface == "" {
				continue
			}
			whole, part := e.Interface+"/", fmt.Sprintf("%s/%d", e.Interface, e.VLAN)
			if e.VLAN == 0 {
				part = whole
			}
			other, ok := used[part]
			if o, taken := used[whole]; taken && !ok {
				other, ok = o, true
			}
			if o, shared := used[e.Interface]; shared && !ok && e.VLAN == 0 {
				other, ok = o, true
			}
			if ok {
				out = append(out, trouble{i, side, fmt.Sprintf("interface %s: carries link %s already: write another", e.cable(), other)})
			}
			used[part], used[e.Interface] = l.Name, l.Name
		}
		for _, a := range t.Receiver.addresses() {
			if a.IsValid() && l.Bridge {
				out = append(out, trouble{-1, 1, fmt.Sprintf("one address for all links needs routers: link %s is bridged", l.Name)})
				break
			}
		}
	}
	return append(out, t.clashes()...)
}

// checkTogether records the troubles of a topology in its file.
func (t *Topology) checkTogether(root *conf.Map, nodes []linkNodes) {
	for _, x := range t.troubles() {
		at := root.Node()
		if x.link >= 0 {
			at = nodes[x.link].ends[x.side]
			if !at.Present() {
				at = nodes[x.link].key
			}
		} else if n, ok := root.Get([]string{"sender", "receiver"}[x.side]); ok {
			at = n
		}
		at.Errorf("%s", x.text)
	}
}

// checkEnds verifies the ends, and the parts of a topology against each other.
func (t *Topology) checkEnds() error {
	if err := checkEnd(t.Sender, false); err != nil {
		return fmt.Errorf("topology: sender: %w", err)
	}
	if err := checkEnd(t.Receiver, true); err != nil {
		return fmt.Errorf("topology: receiver: %w", err)
	}
	for f, n := range t.networks() {
		if err := checkNetwork(n, f, len(t.Links)); err != nil {
			return fmt.Errorf("topology: %w", err)
		}
	}
	all := t.troubles()
	if len(all) == 0 {
		return nil
	}
	where := []string{"sender", "receiver"}[all[0].side]
	if n := all[0].link; n >= 0 {
		where = "link " + t.Links[n].Name + ": " + where
	}
	return fmt.Errorf("topology: %s: %s", where, all[0].text)
}

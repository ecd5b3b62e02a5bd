package pcap

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"linktape/record/capture"
	"linktape/trace"
)

// Links are the directions that a survey's flows belong to.
type Links struct {
	Channels []trace.LinkDir // in canonical order
	Ends     []string        // of each: the flows, as a remark says them
	Found    bool            // by themselves, not as told
	Unused   []string        // what belongs to no link
}

// pair is two addresses, as one side saw them.
type pair struct{ a, b netip.Addr }

func (f *Flow) pair() pair { return pair{f.A.Addr(), f.B.Addr()} }

// assignment says which link a flow belongs to and whether A is the sender's end.
type assignment struct {
	link    string
	aSender bool
}

// Resolve makes links of a survey's flows: those that specs name, or, without
// specs, each pair of addresses that both sides saw. What a spec does not say of
// the ends, the bytes do: the end that sent more of them is the sender's.
func (s *Survey) Resolve(specs []Spec) (*Links, error) {
	var assigned [2]map[*Flow]assignment
	var err error
	if len(specs) > 0 {
		assigned, err = s.asTold(specs)
	} else {
		assigned, err = s.byThemselves()
	}
	if err != nil {
		return nil, err
	}
	l := &Links{Found: len(specs) == 0}
	ends := map[trace.LinkDir][]string{}
	for side := range assigned {
		for _, f := range s.Flows[side] {
			a, ok := assigned[side][f]
			if !ok {
				l.Unused = append(l.Unused, fmt.Sprintf("%v and %v (%s's side, %d packets)", f.A, f.B, Side(side), f.Packets[0]+f.Packets[1]))
				continue
			}
			for way, n := range f.Packets {
				if n == 0 {
					continue
				}
				ld := trace.LinkDir{Link: a.link, Dir: trace.Down}
				if (way == 0) == a.aSender {
					ld.Dir = trace.Up
				}
				from, to := f.A, f.B
				if way == 1 {
					from, to = to, from
				}
				text := fmt.Sprintf("%v to %v", from, to)
				if !slices.Contains(ends[ld], text) {
					ends[ld] = append(ends[ld], text)
				}
			}
		}
	}
	for ld := range ends {
		l.Channels = append(l.Channels, ld)
	}
	slices.SortFunc(l.Channels, trace.LinkDir.Compare)
	for _, ld := range l.Channels {
		e := ends[ld]
		if len(e) > 4 {
			e = append(e[:4:4], fmt.Sprintf("%d more", len(e)-4))
		}
		l.Ends = append(l.Ends, strings.Join(e, ", "))
	}
	for side := range assigned {
		for f, a := range assigned[side] {
			up := slices.Index(l.Channels, trace.LinkDir{Link: a.link, Dir: trace.Up})
			down := slices.Index(l.Channels, trace.LinkDir{Link: a.link, Dir: trace.Down})
			f.channels = [2]int{up, down}
			if !a.aSender {
				f.channels = [2]int{down, up}
			}
		}
	}
	return l, nil
}

// asTold gives flows to the links whose specs they fit.
func (s *Survey) asTold(specs []Spec) (out [2]map[*Flow]assignment, err error) {
	var faults []error
	used := make([]bool, len(specs))
	for side := range out {
		out[side] = map[*Flow]assignment{}
		for _, f := range s.Flows[side] {
			for i, spec := range specs {
				aSender, ok := spec.fits(f)
				if !ok {
					continue
				}
				used[i] = true
				if before, twice := out[side][f]; twice && before.link != spec.Name {
					faults = append(faults, fmt.Errorf("the packets between %v and %v fit links %s and %s: say more of each, such as the port", f.A, f.B, before.link, spec.Name))
					continue
				}
				out[side][f] = assignment{spec.Name, aSender}
			}
		}
	}
	// What an interface of one side told is so on the other side as well.
	for side := range out {
		for f, a := range out[side] {
			i, ok := s.index[1-side][flowKey{f.A, f.B}]
			if !ok {
				continue
			}
			if g := s.Flows[1-side][i]; out[1-side][g].link == "" {
				out[1-side][g] = a
			}
		}
	}
	for i, ok := range used {
		if !ok {
			faults = append(faults, fmt.Errorf("link %s: no packet fits it; there are %s", specs[i].Name, s.list()))
		}
	}
	return out, errors.Join(faults...)
}

// list says which flows there are, the largest first.
func (s *Survey) list() string {
	all := slices.Concat(s.Flows[Sender], s.Flows[Receiver])
	slices.SortStableFunc(all, func(a, b *Flow) int {
		return cmp.Compare(b.Bytes[0]+b.Bytes[1], a.Bytes[0]+a.Bytes[1])
	})
	var out []string
	for _, f := range all {
		text := fmt.Sprintf("%v and %v on %s", f.A, f.B, strings.Join(f.Interfaces, ", "))
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
		if len(out) == 8 {
			break
		}
	}
	return strings.Join(out, "; ")
}

// fits reports whether a flow is the link's, and whether A is the sender's end.
func (spec Spec) fits(f *Flow) (aSender, ok bool) {
	for _, p := range spec.Parts {
		if p.Interface != "" {
			if slices.Contains(f.Interfaces, p.Interface) {
				return f.aSentMore(), true
			}
			continue
		}
		a, b := p.holds(f.A), p.holds(f.B)
		switch {
		case a && b:
			return f.aSentMore(), true
		case a:
			return p.Sender, true
		case b:
			return !p.Sender, true
		}
	}
	return false, false
}

func (f *Flow) aSentMore() bool { return f.Bytes[0] >= f.Bytes[1] }

// byThemselves makes a link of each pair of addresses that both sides saw, or of
// which the packets arrived between other addresses (address translation).
func (s *Survey) byThemselves() (out [2]map[*Flow]assignment, err error) {
	type group struct {
		sent  [2]int64 // bytes of a and of b
		flows []*Flow
	}
	var groups [2]map[pair]*group
	for side := range groups {
		groups[side] = map[pair]*group{}
		out[side] = map[*Flow]assignment{}
		for _, f := range s.Flows[side] {
			g := groups[side][f.pair()]
			if g == nil {
				g = new(group)
				groups[side][f.pair()] = g
			}
			g.flows = append(g.flows, f)
			g.sent[0] += f.Bytes[0]
			g.sent[1] += f.Bytes[1]
		}
	}
	there := map[pair]pair{} // of the sender's side → of the receiver's
	for p := range groups[Sender] {
		if groups[Receiver][p] != nil {
			there[p] = p
		}
	}
	for p, q := range s.translated() {
		if there[p] == (pair{}) {
			there[p] = q
		}
	}
	if len(there) == 0 {
		return out, fmt.Errorf("the captures have no pair of addresses in common, nor packets: there are %s; name the links with --link", s.list())
	}
	var pairs []pair
	for p := range there {
		pairs = append(pairs, p)
	}
	receiver := func(p pair) netip.Addr { // of the sender's side
		if g := groups[Sender][p]; g.sent[0] >= g.sent[1] {
			return p.b
		}
		return p.a
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(receiver(x).Compare(receiver(y)), x.a.Compare(y.a), x.b.Compare(y.b))
	})
	for i, p := range pairs {
		name := fmt.Sprintf("link%d", i+1)
		aSender := receiver(p) == p.b
		for _, f := range groups[Sender][p].flows {
			out[Sender][f] = assignment{name, aSender}
		}
		g := groups[Receiver][there[p]]
		if there[p] != p {
			aSender = g.sent[0] >= g.sent[1]
		}
		for _, f := range g.flows {
			out[Receiver][f] = assignment{name, aSender}
		}
	}
	return out, nil
}

// translated finds the pairs of addresses of the receiver's side between which
// the packets of the sender's side arrive, where these have other addresses
// there: those of most of the sampled packets that each side saw once.
func (s *Survey) translated() map[pair]pair {
	once := map[uint64]int32{} // mark → flow of the receiver's side; −1: several
	for _, x := range s.samples[Receiver] {
		if _, ok := once[x.mark.Base]; ok {
			once[x.mark.Base] = -1
		} else {
			once[x.mark.Base] = x.flow
		}
	}
	votes := map[pair]map[pair]int{}
	all := map[pair]int{}
	for _, x := range s.samples[Sender] {
		p := s.Flows[Sender][x.flow].pair()
		all[p]++
		if g, ok := once[x.mark.Base]; ok && g >= 0 {
			if votes[p] == nil {
				votes[p] = map[pair]int{}
			}
			votes[p][s.Flows[Receiver][g].pair()]++
		}
	}
	out := map[pair]pair{}
	for p, v := range votes {
		for q, n := range v {
			if n >= 8 && 2*n > all[p] {
				out[p] = q
			}
		}
	}
	return out
}

// channelOf returns the channel of a packet, or −1.
func (s *Survey) channelOf(side Side, p *capture.Packet) int {
	k, forward := keyOf(p)
	i, ok := s.index[side][k]
	if !ok {
		return -1
	}
	if forward {
		return s.Flows[side][i].channels[0]
	}
	return s.Flows[side][i].channels[1]
}

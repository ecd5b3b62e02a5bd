package pcap

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"linktape/record/capture"
)

// Limits of what a survey keeps.
const (
	maxFlows   = 1 << 16
	maxSamples = 1 << 18 // of each side
)

// Flow is the packets between two ends, in both directions, as one side saw
// them. Forward is from A to B.
type Flow struct {
	A, B       netip.AddrPort
	Packets    [2]int64 // forward, backward
	Bytes      [2]int64
	Interfaces []string // where they were captured
	channels   [2]int   // of the links, forward and backward; −1: none
}

type flowKey struct{ a, b netip.AddrPort }

// keyOf orders the ends, and says whether the packet goes forward.
func keyOf(p *capture.Packet) (k flowKey, forward bool) {
	if p.Src.Compare(p.Dst) <= 0 {
		return flowKey{p.Src, p.Dst}, true
	}
	return flowKey{p.Dst, p.Src}, false
}

// sample is a packet that a survey remembers.
type sample struct {
	at      int64
	mark    capture.Mark
	flow    int32
	forward bool
}

// Survey is what the captures of both sides have in common.
type Survey struct {
	Files  [2][]string
	SHA256 [2][]string
	Counts [2]capture.Counts
	First  [2]int64 // ns since 1970 of the first packet and the last, by each side's clock
	Last   [2]int64
	Flows  [2][]*Flow
	Hash   int   // bytes of a payload that marks are made of
	Large  int64 // packets of the sender's side above 9000 bytes

	index   [2]map[flowKey]int
	samples [2][]sample
	mask    uint64 // of the marks that are in the sample
}

// Look surveys the captures of the sender's side and of the receiver's. hash is
// how many bytes of a payload marks are made of, 0 for as many as every capture
// holds.
func Look(ctx context.Context, sender, receiver []string, hash int, progress func(float64)) (*Survey, error) {
	s := &Survey{Files: [2][]string{sender, receiver}}
	var sides [2]*merged
	s.Hash = capture.MaxHash
	for side, files := range s.Files {
		m, err := openSide(ctx, files, 0)
		if err != nil {
			return nil, err
		}
		defer m.close()
		sides[side] = m
		for _, r := range m.readers {
			s.Hash = min(s.Hash, r.HashRoom())
		}
		s.index[side] = map[flowKey]int{}
	}
	if hash > 0 {
		s.Hash = hash
	}
	if s.Hash < minHash {
		return nil, fmt.Errorf("the captures hold only %d bytes of a payload: capture at least 96 bytes of each packet (tcpdump -s 96)", s.Hash)
	}
	for side, m := range sides {
		for _, r := range m.readers {
			r.Hash = s.Hash
		}
		if err := m.start(); err != nil {
			return nil, err
		}
		var p capture.Packet
		for {
			ok, err := m.next(&p)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if err := s.add(Side(side), &p); err != nil {
				return nil, err
			}
		}
		s.Counts[side] = m.counts()
		for _, r := range m.readers {
			s.SHA256[side] = append(s.SHA256[side], r.SHA256())
		}
		if s.Counts[side].UDP == 0 {
			return nil, fmt.Errorf("%s: no UDP packet among %d frames (%d fragments, %d of which too little was captured)",
				names(s.Files[side]), s.Counts[side].Frames, s.Counts[side].Fragments, s.Counts[side].Short)
		}
		if progress != nil {
			progress(float64(side+1) / 2)
		}
	}
	return s, nil
}

// minHash is the least of a payload that tells packets apart.
const minHash = 16

func (s *Survey) add(side Side, p *capture.Packet) error {
	if s.First[side] == 0 || p.At < s.First[side] {
		s.First[side] = p.At
	}
	s.Last[side] = max(s.Last[side], p.At)
	k, forward := keyOf(p)
	i, ok := s.index[side][k]
	if !ok {
		i = len(s.Flows[side])
		if i == maxFlows {
			return fmt.Errorf("%s: more than %d flows: keep what is to be recorded (tcpdump -r FILE -w FEWER host ADDRESS)", names(s.Files[side]), maxFlows)
		}
		s.index[side][k] = i
		s.Flows[side] = append(s.Flows[side], &Flow{A: k.a, B: k.b, channels: [2]int{-1, -1}})
	}
	f := s.Flows[side][i]
	way := 0
	if !forward {
		way = 1
	}
	f.Packets[way]++
	f.Bytes[way] += int64(p.Bytes)
	if !slices.Contains(f.Interfaces, p.Interface) {
		f.Interfaces = append(f.Interfaces, p.Interface)
	}
	if side == Sender && p.Bytes > 9000 {
		s.Large++
	}
	if !s.sampled(&p.Mark) {
		return nil
	}
	s.samples[side] = append(s.samples[side], sample{p.At, p.Mark, int32(i), forward})
	for len(s.samples[side]) > maxSamples {
		s.mask = s.mask<<1 | 1
		for side := range s.samples {
			s.samples[side] = slices.DeleteFunc(s.samples[side], func(x sample) bool { return !s.sampled(&x.mark) })
		}
	}
	return nil
}

// sampled reports whether packets of a mark are in the sample: the same ones on
// both sides.
func (s *Survey) sampled(m *capture.Mark) bool { return m.Base>>20&s.mask == 0 }

package pcap

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"linktape/record/capture"
)

// Side is the sender's or the receiver's.
type Side int

// Sides.
const (
	Sender Side = iota
	Receiver
)

// String returns "sender" or "receiver".
func (s Side) String() string { return [...]string{"sender", "receiver"}[s] }

// merged reads the captures of one side together, by time.
type merged struct {
	ctx     context.Context
	readers []*capture.Reader
	heads   []capture.Packet
	live    []bool
	n       int
}

// openSide opens the captures of one side. A hash of 0 leaves what marks are made
// of as it is.
func openSide(ctx context.Context, files []string, hash int) (_ *merged, err error) {
	m := &merged{ctx: ctx}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	for _, f := range files {
		r, err := capture.Open(f)
		if err != nil {
			return nil, err
		}
		m.readers = append(m.readers, r)
	}
	if hash > 0 {
		for _, r := range m.readers {
			r.Hash = hash
		}
	}
	return m, nil
}

// start reads the first packet of each.
func (m *merged) start() error {
	m.heads = make([]capture.Packet, len(m.readers))
	m.live = make([]bool, len(m.readers))
	for i := range m.readers {
		if err := m.advance(i); err != nil {
			return err
		}
	}
	return nil
}

func (m *merged) advance(i int) error {
	err := m.readers[i].Next(&m.heads[i])
	m.live[i] = err == nil
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next reads the earliest packet; false at the end.
func (m *merged) next(p *capture.Packet) (bool, error) {
	if m.n++; m.n&0xfff == 0 {
		if err := m.ctx.Err(); err != nil {
			return false, err
		}
	}
	first := -1
	for i, ok := range m.live {
		if ok && (first < 0 || m.heads[i].At < m.heads[first].At) {
			first = i
		}
	}
	if first < 0 {
		return false, nil
	}
	*p = m.heads[first]
	return true, m.advance(first)
}

func (m *merged) close() {
	for _, r := range m.readers {
		r.Close()
	}
}

func (m *merged) counts() capture.Counts {
	var c capture.Counts
	for _, r := range m.readers {
		k := r.Counts()
		c.Frames += k.Frames
		c.UDP += k.UDP
		c.Other += k.Other
		c.Fragments += k.Fragments
		c.Short += k.Short
		c.CutOff = c.CutOff || k.CutOff
	}
	return c
}

// names are the base names of a side's files.
func names(files []string) string {
	var out []string
	for _, f := range files {
		out = append(out, filepath.Base(f))
	}
	return strings.Join(out, ", ")
}

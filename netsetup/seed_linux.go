package netsetup

import (
	"errors"
	"fmt"

	"linktape/trace"
)

// Warnings says what the run's links do not do exactly. What they do not do at
// all, [Endpoint.Supports] says.
func (r *Run) Warnings() []string {
	f := r.record.Features
	f.NetemDuplicate = true
	return f.Warnings(r.Topology)
}

// seedTests try what the kernel makes of the seed of a device's path, which is
// there already.
func (k *kernel) seedTests(device string) (seed, kept func() error) {
	const probe = 0x5eed5eed5eed
	var first error
	set := func(omit NetemAttr) (got Netem, err error) {
		q := probePath().loss
		q.Seed, q.HasSeed = probe, true
		q.Omit |= omit
		return k.changeNetem(device, request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &q})
	}
	seed = func() error {
		var got Netem
		if got, first = set(0); first == nil && (!got.HasSeed || got.Seed != probe) {
			first = errors.New("netem ignores the seed that it is given")
		}
		return first
	}
	kept = func() error {
		if first != nil {
			return first
		}
		got, err := set(NetemSeed)
		if err == nil && got.Seed != probe {
			err = errors.New("a change that brings no seed draws a new one (each change of ours brings one)")
		}
		return err
	}
	return seed, kept
}

// probePath is a path of a default link.
func probePath() *path {
	l := DefaultLink("probe")
	return newPath(&l, trace.Up)
}

// tryDuplicate lets the path of a device duplicate. Some kernels refuse that in
// a tree with more than one netem (sch_netem.c: check_netem_in_tree).
func (k *kernel) tryDuplicate(device string) error {
	q := probePath().loss
	q.Duplicate = 0.01
	_, err := k.changeNetem(device, request{kind: setNetem, handle: handleLoss, parent: parentRoot, netem: &q})
	return err
}

// changeNetem changes a netem and reads it back.
func (k *kernel) changeNetem(device string, change request) (got Netem, err error) {
	r, err := k.room("")
	if err != nil {
		return got, err
	}
	i, err := r.device(device)
	if err != nil {
		return got, err
	}
	err = r.conn.execute(func(b []byte, seq uint32) ([]byte, error) {
		return change.append(b, int32(i), nlmFRequest|nlmFAck, seq)
	})
	if err != nil {
		return got, err
	}
	found := false
	var decodeErr error
	err = r.conn.dumpQdiscs(func(q *QdiscInfo) {
		if int(q.Ifindex) == i && q.Handle == change.handle {
			found = true
			got, decodeErr = DecodeNetem(q.Options)
		}
	})
	if err == nil && !found {
		err = fmt.Errorf("no qdisc %x on %s", change.handle, device)
	}
	return got, errors.Join(err, decodeErr)
}

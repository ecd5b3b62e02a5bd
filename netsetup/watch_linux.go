package netsetup

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"linktape/trace"
)

// Watcher reads the counters of a run's links, and nothing else: it takes no
// lock, changes nothing and has sockets of its own, so that a replay goes on
// beside it.
type Watcher struct {
	run    string
	built  time.Time
	plan   *Plan
	kernel *kernel
	names  map[string]map[int]string // of devices, by namespace
	last   map[trace.LinkDir]*Sample
}

// Watch opens a complete run for watching. [Watcher.Close] closes it: until
// then its sockets keep the run's namespaces in the kernel, be the run taken
// down or not, which [Watcher.Gone] tells.
func Watch(run string) (*Watcher, error) {
	r, err := readRecord(run)
	if err != nil {
		return nil, err
	}
	if !r.Complete {
		return nil, fmt.Errorf("run %s is being built, or was left half-built: see linkup status %s", run, run)
	}
	p, err := r.plan()
	if err != nil {
		return nil, err
	}
	return &Watcher{
		run: run, built: r.Created, plan: p, kernel: newKernel(),
		names: make(map[string]map[int]string), last: make(map[trace.LinkDir]*Sample),
	}, nil
}

// Close closes the watcher's sockets.
func (w *Watcher) Close() error {
	w.kernel.Close()
	return nil
}

// Gone reports whether the run was taken down since, or built anew.
func (w *Watcher) Gone() bool {
	r, err := readRecord(w.run)
	return errors.Is(err, errNoRun) || err == nil && !r.Created.Equal(w.built)
}

// Sample reads every direction of every link, in the topology's order, up
// before down. It fails with [ErrGone] when the run was taken down.
func (w *Watcher) Sample() ([]Sample, error) {
	r, err := readRecord(w.run)
	if errors.Is(err, errNoRun) || err == nil && !r.Created.Equal(w.built) {
		return nil, fmt.Errorf("run %s %w", w.run, ErrGone)
	}
	if err != nil {
		return nil, err
	}
	var out []Sample
	for i, l := range w.plan.Topology.Links {
		v, carrier, err := w.look(Namespace(w.run, l.Name))
		if err != nil {
			if w.Gone() {
				err = fmt.Errorf("%w: %w", ErrGone, err)
			}
			return nil, fmt.Errorf("watch link %s of run %s: %w", l.Name, w.run, err)
		}
		now := time.Now()
		status := linkStatus(w.plan, i, l, v)
		for _, d := range []struct {
			trace.Direction
			DirStatus
		}{{trace.Up, status.Up}, {trace.Down, status.Down}} {
			s := Sample{Time: now, Run: w.run, Link: l.Name, Dir: d.String(), Replaying: r.Replaying, Carrier: carrier, DirStatus: d.DirStatus}
			ld := trace.LinkDir{Link: l.Name, Dir: d.Direction}
			s.since(w.last[ld])
			w.last[ld] = &s
			out = append(out, s)
		}
	}
	return out, nil
}

// look reads what shapes a link, and whether it has its carrier.
func (w *Watcher) look(namespace string) (v *view, carrier bool, err error) {
	r, err := w.kernel.room(namespace)
	if err != nil {
		return nil, false, err
	}
	names := w.names[namespace]
	if names == nil {
		names = make(map[int]string)
		links, err := r.links.LinkList()
		if err != nil {
			return nil, false, fmt.Errorf("list devices: %w", err)
		}
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		w.names[namespace] = names
	}
	v = new(view)
	if err := v.readShapers(r, names); err != nil {
		return nil, false, err
	}
	for i, name := range names {
		if name != senderSide {
			continue
		}
		l, err := r.links.LinkByIndex(i)
		if err != nil {
			return nil, false, fmt.Errorf("find device %s: %w", name, err)
		}
		carrier = l.Attrs().RawFlags&unix.IFF_UP != 0
	}
	return v, carrier, nil
}

package netsetup

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"linktape/edt/bpf"
	"linktape/trace"
)

// Meter reads the counters and the parameters of a run's links beside a replay:
// it has sockets of its own and changes nothing. It is for one goroutine at a
// time.
//
// Each link costs a dump of its namespace's qdiscs, during which the kernel
// holds the lock that changes take as well (net/core/rtnetlink.c: rtnl_lock).
type Meter struct {
	kernel *kernel
	links  []meterLink
}

type meterLink struct {
	room   *room
	name   string
	sender int32 // the device whose state is the carrier
	htb    bool
	dirs   []meterDir

	exact []meterProgram // of dirs, where departures are computed by arithmetic
}

type meterProgram struct {
	program *bpf.Program
	tape    *bpf.Tape
}

// Meter opens a meter for some directions, whose order Read keeps. The caller
// closes it.
func (r *Run) Meter(dirs []trace.LinkDir) (_ *Meter, err error) {
	k := newKernel()
	k.found = r.record.Found
	m := &Meter{kernel: k}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	at := make(map[string]int)
	for i, ld := range dirs {
		n, ok := at[ld.Link]
		if !ok {
			room, err := k.room(Namespace(r.Name, ld.Link))
			if err != nil {
				return nil, fmt.Errorf("read link %s of run %s: %w", ld.Link, r.Name, err)
			}
			sender, err := room.device(senderSide)
			if err != nil {
				return nil, err
			}
			n = len(m.links)
			at[ld.Link] = n
			m.links = append(m.links, meterLink{room: room, name: ld.Link, sender: int32(sender)})
		}
		l := &m.links[n]
		bottleneck, path := ifbUp, receiverSide
		if ld.Dir == trace.Down {
			bottleneck, path = ifbDown, senderSide
		}
		exact := false
		for _, t := range r.Topology.Links {
			if t.Name != ld.Link {
				continue
			}
			l.htb, exact = t.Shaper == ShaperHTB, t.exact()
			if t.Tree != TreeSeparated {
				bottleneck = path
			}
		}
		d := meterDir{dir: i, kicks: kickMeter{log: r.kickLog(ld)}}
		if exact {
			p, err := l.room.program(path)
			if err != nil {
				return nil, err
			}
			l.exact = append(l.exact, meterProgram{p, p.Tape()})
			l.dirs = append(l.dirs, d)
			continue
		}
		for _, x := range []struct {
			name string
			to   *int32
		}{{bottleneck, &d.bottleneck}, {path, &d.path}} {
			index, err := l.room.device(x.name)
			if err != nil {
				return nil, err
			}
			*x.to = int32(index)
		}
		l.dirs = append(l.dirs, d)
	}
	return m, nil
}

// Close closes the meter's sockets.
func (m *Meter) Close() error {
	var errs []error
	for _, l := range m.links {
		for _, p := range l.exact {
			errs = append(errs, p.program.Close())
		}
	}
	m.kernel.Close()
	return errors.Join(errs...)
}

// Links is the number of links to read.
func (m *Meter) Links() int { return len(m.links) }

// Read reads the directions of a link, each of which it tells the number in the
// list that the meter was opened with. params asks for what the qdiscs are told
// too, which costs more. The reading is valid until the next call.
func (m *Meter) Read(link int, params bool, each func(dir int, r *Reading)) error {
	l := &m.links[link]
	for i := range l.dirs {
		l.dirs[i].reading = Reading{}
		l.dirs[i].kicks.before()
	}
	if l.exact != nil {
		if err := l.readExact(params); err != nil {
			return fmt.Errorf("read link %s: %w", l.name, err)
		}
		for i := range l.dirs {
			each(l.dirs[i].dir, &l.dirs[i].reading)
		}
		return nil
	}
	var fault error
	err := l.room.conn.dumpQdiscs(func(q *QdiscInfo) {
		for i := range l.dirs {
			if err := l.dirs[i].reading.take(q, &l.dirs[i], params); err != nil && fault == nil {
				fault = err
			}
		}
	})
	if err == nil {
		err = fault
	}
	if err == nil && params {
		err = l.readMore()
	}
	if err != nil {
		return fmt.Errorf("read link %s: %w", l.name, err)
	}
	for i := range l.dirs {
		l.dirs[i].kicks.take(&l.dirs[i].reading)
		each(l.dirs[i].dir, &l.dirs[i].reading)
	}
	return nil
}

// readMore reads HTB's classes and the state of the interface.
func (l *meterLink) readMore() error {
	for i := range l.dirs {
		if !l.htb {
			break
		}
		rate, err := l.room.conn.classRate(l.dirs[i].bottleneck)
		if err != nil {
			return err
		}
		l.dirs[i].reading.Class = rate
	}
	return l.readCarrier()
}

func (l *meterLink) readCarrier() error {
	dev, err := l.room.links.LinkByIndex(int(l.sender))
	if err != nil {
		return fmt.Errorf("find device %s: %w", senderSide, err)
	}
	for i := range l.dirs {
		l.dirs[i].reading.Down = dev.Attrs().RawFlags&unix.IFF_UP == 0
	}
	return nil
}

// readExact reads the programs of a link with departures by arithmetic.
func (l *meterLink) readExact(params bool) error {
	for i, p := range l.exact {
		d := &l.dirs[i]
		at, err := now()
		if err != nil {
			return err
		}
		c, err := p.program.Counters(p.tape, at)
		if err != nil {
			return err
		}
		d.reading = exactCounters(&c)
		if params {
			d.reading.Told, _ = exactTold(p.tape, at)
		}
	}
	if !params {
		return nil
	}
	return l.readCarrier()
}

// classRate is the rate of the HTB class on a device.
func (c *conn) classRate(ifindex int32) (rate trace.BitRate, err error) {
	body := make([]byte, tcmsgLen)
	binary.NativeEndian.PutUint32(body[4:], uint32(ifindex))
	var fault error
	err = c.dump(rtmGetTClass, body, func(payload []byte) {
		var q QdiscInfo
		if err := DecodeQdisc(payload, &q); err != nil {
			fault = err
			return
		}
		if q.Kind != "htb" || q.Handle != handleClass {
			return
		}
		class, err := DecodeHTBClass(q.Options)
		if err != nil {
			fault = err
		}
		rate = class.Rate
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return 0, fmt.Errorf("list classes: %w", err)
	}
	return rate, nil
}

package bpf

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"linktape/edt"
)

//go:embed edt.o
var object []byte

// Name is the program's, and that of the filter which runs it.
const Name = "edt"

const (
	tapeMap = "tape"
	linkMap = "link"
)

// fates is the number of fates, waits that of the classes of [Counters.Waits]: FATES
// and WAITS of edt.c.
const (
	fates = int(edt.Unknown) + 1
	waits = 40
)

// link is what the program keeps: struct link of edt.c.
type link struct {
	_               uint32 // bpf_spin_lock
	Run             uint32
	Outages, Bad    uint32
	Now, Cur        uint64
	Passed          uint64
	V, Vcur         uint64
	Left, Floor     uint64
	Arrived         uint64
	Packets, Bytes  [fates]uint64
	Backlog, Beyond uint64
	Unstamped       uint64
	Segmented       uint64
	Waits           [waits]uint64
	_               uint64
}

// Counters are what a program has counted since it was loaded.
type Counters struct {
	Packets [fates]uint64 // by [edt.Fate], when they arrived
	Bytes   [fates]uint64 // of IP

	// Waiting is what has not left the bottleneck yet, in bytes of IP, of the packet
	// that is being sent what is still to be sent.
	Waiting uint64
	Backlog uint64 // the largest that an accepted packet made, with itself, in bytes

	// Beyond counts packets for which the tape was not known far enough ahead, so that
	// they were treated as if the last state went on.
	Beyond    uint64
	Unstamped uint64 // packets that the kernel would not stamp, and that did not wait
	Segmented uint64 // packets that stood for several on the wire

	// Waits counts packets by their time in the queue, with the time to be sent: class
	// k is below 2^k ns and no less than half of it; the last one has no end.
	Waits [waits]uint64
}

// Program is a program of one direction.
type Program struct {
	prog   *ebpf.Program
	tape   *ebpf.Map
	link   *ebpf.Map
	memory []byte
	steps  int
}

// Load loads a program of its own, with a ring of so many steps, a power of two from
// [MinSteps] to [MaxSteps]. It lives until it is closed and no filter has it any more.
func Load(steps int) (*Program, error) {
	if steps < MinSteps || steps > MaxSteps || bits.OnesCount(uint(steps)) != 1 {
		return nil, fmt.Errorf("a ring of %d steps: not a power of two from %d to %d", steps, MinSteps, MaxSteps)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	spec.Maps[tapeMap].ValueSize = uint32(headBytes + steps*stepBytes)
	if err := spec.Variables["step_mask"].Set(uint64(steps - 1)); err != nil {
		return nil, fmt.Errorf("prepare the program: %w", err)
	}
	if err := spec.Variables["has_set_tstamp"].Set(stampHelper()); err != nil {
		return nil, fmt.Errorf("prepare the program: %w", err)
	}
	c, err := ebpf.NewCollection(spec)
	switch {
	case errors.Is(err, unix.E2BIG): // Linux 5.15 takes 4 MiB (kernel/bpf/arraymap.c: array_map_alloc_check)
		return nil, fmt.Errorf("load the program: a ring of %d steps is too large for this kernel: %w", steps, err)
	case err != nil:
		return nil, fmt.Errorf("load the program: %w", err)
	}
	p := &Program{prog: c.DetachProgram(Name), tape: c.DetachMap(tapeMap), link: c.DetachMap(linkMap), steps: steps}
	c.Close()
	return p.mapped()
}

// Open opens the program with a number, as a filter reports it, and what it shares.
func Open(id uint32) (*Program, error) {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return nil, fmt.Errorf("open program %d: %w", id, err)
	}
	p := &Program{prog: prog}
	fail := func(err error) (*Program, error) {
		p.Close()
		return nil, fmt.Errorf("open program %d: %w", id, err)
	}
	info, err := prog.Info()
	if err != nil {
		return fail(err)
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return fail(err)
		}
		i, err := m.Info()
		switch {
		case err != nil:
			m.Close()
			return fail(err)
		case i.Name == tapeMap && p.tape == nil:
			p.tape, p.steps = m, (int(m.ValueSize())-headBytes)/stepBytes
		case i.Name == linkMap && p.link == nil:
			p.link = m
		default:
			m.Close()
		}
	}
	if p.tape == nil || p.link == nil || p.link.ValueSize() != uint32(unsafe.Sizeof(link{})) || bits.OnesCount(uint(p.steps)) != 1 {
		return fail(errors.New("it is not a program of this version"))
	}
	return p.mapped()
}

func (p *Program) mapped() (*Program, error) {
	page := unix.Getpagesize()
	size := (headBytes + p.steps*stepBytes + page - 1) &^ (page - 1)
	memory, err := unix.Mmap(p.tape.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("share the tape's memory: %w", err)
	}
	p.memory = memory
	return p, nil
}

// Close lets go of the program; a filter that has it keeps it.
func (p *Program) Close() error {
	var errs []error
	if p.memory != nil {
		errs = append(errs, unix.Munmap(p.memory))
		p.memory = nil
	}
	if p.prog != nil {
		errs = append(errs, p.prog.Close())
	}
	for _, m := range []*ebpf.Map{p.tape, p.link} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// FD is the program's descriptor, for a filter.
func (p *Program) FD() int { return p.prog.FD() }

// Steps is the size of the ring.
func (p *Program) Steps() int { return p.steps }

// Tape is the program's tape, to be written. There is one writer at a time. It must not
// be used after Close.
func (p *Program) Tape() *Tape { return newTape(p.memory, p.steps) }

// Counters reads what the program has counted, with what waits at an instant of
// CLOCK_MONOTONIC by a tape of it, or none: nil.
func (p *Program) Counters(t *Tape, now time.Duration) (Counters, error) {
	var l link
	if err := p.link.LookupWithFlags(uint32(0), &l, ebpf.LookupLock); err != nil {
		return Counters{}, fmt.Errorf("read the program's counters: %w", err)
	}
	c := Counters{
		Packets: l.Packets, Bytes: l.Bytes, Backlog: l.Backlog, Beyond: l.Beyond,
		Unstamped: l.Unstamped, Segmented: l.Segmented, Waits: l.Waits,
	}
	if t != nil {
		c.Waiting = t.waiting(now, l.V, l.Left, l.Outages)
	}
	return c, nil
}

// stampHelper reports whether the kernel has bpf_skb_set_tstamp, from Linux 5.18.
func stampHelper() uint8 {
	if features.HaveProgramHelper(ebpf.SchedCLS, asm.FnSkbSetTstamp) == nil {
		return 1
	}
	return 0
}

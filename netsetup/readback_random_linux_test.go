package netsetup

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// randomSpecs is how many random specs of all kinds the kernel is told and
// asked for.
const randomSpecs = 10000

// What the kernel is told of any kind of qdisc it tells back: each spec changes
// the qdisc that the one before left, so that nothing of that one stays.
func TestReadBackRandom(t *testing.T) {
	kinds := []struct {
		name string
		tell func(s *scratch, d draw) (sent, want, got any, err error)
	}{
		{"tbf", tellTBF}, {"htb", tellClass}, {"netem", tellNetem}, {"cake", tellCAKE}, {"fq_codel", tellFQCoDel}, {"fq", tellFQ},
	}
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			feature := k.name
			if feature == "fq" {
				feature = featureEDT
			}
			privtest.Require(t, "ifb", feature)
			inScratch(t, func(s *scratch) error {
				d := draw{rand.New(rand.NewPCG(uint64(i), 11))}
				if k.name == "htb" {
					if err := s.replace(func(b []byte) ([]byte, error) { return AppendHTB(b, HTB{}) }); err != nil {
						return err
					}
				}
				for n := range randomSpecs / len(kinds) {
					sent, want, got, err := k.tell(s, d)
					if err != nil {
						return fmt.Errorf("spec %d: %+v: %w", n, sent, err)
					}
					if diff := cmp.Diff(want, got, approxProb); diff != "" {
						return fmt.Errorf("spec %d: %+v (-want +read back)\n%s", n, sent, diff)
					}
				}
				return nil
			})
		})
	}
}

// told tells the root qdisc a spec and returns the options that the kernel has
// of it then.
func (s *scratch) told(encode func(b []byte) ([]byte, error)) ([]byte, error) {
	if err := s.replace(encode); err != nil {
		return nil, err
	}
	info, err := s.get()
	return info.Options, err
}

// near reports whether a size that went through the kernel's ticks came back.
// It works with time in ns, cut to 64 ns, and a rate that it holds as a
// multiplier of 32 bits.
func near(got, want int64, rate trace.BitRate) bool {
	slack := float64(want)*1e-6 + 2*float64(rate)/8*tickNs/1e9 + 2
	return math.Abs(float64(got-want)) <= slack
}

func tellTBF(s *scratch, d draw) (sent, want, got any, err error) {
	q := d.tbf()
	// A bucket of time that holds no more than the overhead is refused; one in
	// bytes of more than 274 s comes back cut to 32 bits; and above a byte a
	// nanosecond the kernel's arithmetic has no more digits.
	q.OverheadBytes %= 100
	q.MPUBytes %= 1500
	q.Rate = min(max(q.Rate, 8000), 8*trace.Gbit-16)
	q.PeakRate = min(q.PeakRate, 8*trace.Gbit)
	const longest = 200
	if q.BurstBytes > 0 {
		q.BurstBytes = min(max(q.BurstBytes, 1600), longest*int64(bytesPerSecond(q.Rate)))
	} else {
		q.Buffer = max(q.Buffer, 2*time.Second)
	}
	if q.PeakRate > 0 {
		q.PeakRate = max(q.PeakRate, q.Rate+16)
		if q.PeakBurstBytes > 0 {
			q.PeakBurstBytes = min(max(q.PeakBurstBytes, 1600), longest*int64(bytesPerSecond(q.PeakRate)))
		} else {
			q.PeakBuffer = max(q.PeakBuffer, 2*time.Second)
		}
	}
	options, err := s.told(func(b []byte) ([]byte, error) { return AppendTBF(b, q) })
	if err != nil {
		return q, nil, nil, err
	}
	back, err := DecodeTBF(options)
	w := q
	w.Rate, w.PeakRate = wireRate(q.Rate), wireRate(q.PeakRate)
	w.BurstBytes, w.PeakBurstBytes, w.Buffer, w.PeakBuffer = 0, 0, back.Buffer, back.PeakBuffer
	check := func(name string, rate trace.BitRate, bytes int64, given, got time.Duration) error {
		wants := bytesIn(given, bytesPerSecond(rate))
		if bytes > 0 {
			wants = max(bytes+int64(q.OverheadBytes), int64(q.MPUBytes)) // psched_l2t_ns
		}
		if n := bytesIn(got, bytesPerSecond(rate)); !near(n, wants, rate) {
			return fmt.Errorf("%s of %d bytes read back, want %d", name, n, wants)
		}
		return nil
	}
	err = errors.Join(err, check("bucket", q.Rate, q.BurstBytes, q.Buffer, back.Buffer))
	if q.PeakRate > 0 {
		err = errors.Join(err, check("peak bucket", q.PeakRate, q.PeakBurstBytes, q.PeakBuffer, back.PeakBuffer))
	}
	return q, w, back, err
}

func tellClass(s *scratch, d draw) (sent, want, got any, err error) {
	c := d.class()
	c.QuantumBytes = max(c.QuantumBytes, 1) // of 0 the kernel makes its own
	_, err = s.request(Message{Type: rtmNewTClass, Flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE}, TC{Handle: Handle(1, 1), Parent: Handle(1, 0)},
		func(b []byte) ([]byte, error) { return AppendHTBClass(b, c) })
	if err != nil {
		return c, nil, nil, err
	}
	info, err := s.request(Message{Type: rtmGetTClass, Flags: unix.NLM_F_ECHO}, TC{Handle: Handle(1, 1), Parent: Handle(1, 0)},
		func(b []byte) ([]byte, error) { return b, nil })
	if err != nil {
		return c, nil, nil, err
	}
	back, err := DecodeHTBClass(info.Options)
	return c, inTicks(c), back, err
}

func tellNetem(s *scratch, d draw) (sent, want, got any, err error) {
	q := d.netem()
	q.Omit = 0
	options, err := s.told(func(b []byte) ([]byte, error) { return AppendNetem(b, q) })
	if err != nil {
		return q, nil, nil, err
	}
	back, err := DecodeNetem(options)
	w := q
	w.Rate = wireRate(q.Rate)
	w.DelayDist, w.SlotDist = nil, nil // the kernel does not tell them
	if !q.HasSeed {
		back.Seed, back.HasSeed = 0, false // it drew one
	}
	if !back.HasSeed {
		w.Seed, w.HasSeed = 0, false // a kernel before 6.6: TestReadBackNetemSeed
	}
	if back.GE == (trace.GE{}) {
		w.GE = trace.GE{} // too small for 32 bits
	}
	if back.Markov == (Markov{}) {
		w.Markov = Markov{}
	}
	if s := &w.Slot; s.MinDelay == 0 && s.MaxDelay == 0 && s.DistJitter == 0 {
		*s = NetemSlots{} // netem_dump: no slots
	}
	for _, most := range []*int32{&w.Slot.MaxPackets, &w.Slot.MaxBytes} {
		if *most == math.MaxInt32 {
			*most = 0 // both mean no limit
		}
	}
	return q, w, back, err
}

func tellCAKE(s *scratch, d draw) (sent, want, got any, err error) {
	q := d.cake()
	q.NAT = false
	q.Omit = CAKENAT // a kernel without connection tracking refuses it
	options, err := s.told(func(b []byte) ([]byte, error) { return AppendCAKE(b, q) })
	if err != nil {
		return q, nil, nil, err
	}
	back, err := DecodeCAKE(options)
	w := q
	w.Rate, w.Omit = wireRate(q.Rate), 0
	return q, w, back, err
}

func tellFQCoDel(s *scratch, d draw) (sent, want, got any, err error) {
	q := d.fqCoDel()
	q.Omit = FQCoDelFlows // it cannot be changed
	options, err := s.told(func(b []byte) ([]byte, error) { return AppendFQCoDel(b, q) })
	if err != nil {
		return q, nil, nil, err
	}
	back, err := DecodeFQCoDel(options)
	w := q
	w.Flows, w.Omit = 1024, 0
	for _, t := range []struct{ want, got *time.Duration }{{&w.Target, &back.Target}, {&w.Interval, &back.Interval}, {&w.CEThreshold, &back.CEThreshold}} {
		if d := *t.want - *t.got; d >= 0 && d <= 3*time.Microsecond { // in 1024 ns and back
			*t.want = *t.got
		}
	}
	return q, w, back, err
}

func tellFQ(s *scratch, d draw) (sent, want, got any, err error) {
	q := d.fq()
	options, err := s.told(func(b []byte) ([]byte, error) { return AppendFQ(b, q) })
	if err != nil {
		return q, nil, nil, err
	}
	back, err := DecodeFQ(options)
	return q, q, back, err
}

package netsetup

import (
	"errors"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// A pulse is the tick's bytes and nothing else; what is no whole number of bytes
// is kept for later ones, and a rate that lacks less than a byte of a packet
// does not cost the packet.
func TestPulseBytes(t *testing.T) {
	l := DefaultLink("a")
	l.Shaper = ShaperPulse
	for _, c := range []struct {
		rate trace.BitRate
		hold time.Duration
		want int64 // 0: closed
	}{
		{2400 * trace.Kbit, 5 * time.Millisecond, 1514}, // one packet, and its frame
		{4800 * trace.Kbit, 5 * time.Millisecond, 3000},
		{120 * trace.Mbit, time.Millisecond, 15000},
		{trace.MaxRate, 5 * time.Millisecond, min(int64(trace.MaxRate)/8/200, maxPulse)},
		{2399 * trace.Kbit, 5 * time.Millisecond, 0},
		{0, 5 * time.Millisecond, 0},
		{3600000, 3333333 * time.Nanosecond, 1514}, // 1499.99985 bytes
	} {
		s := newShaper(l)
		s.create()
		requests := s.next(c.rate, c.hold)
		if c.want == 0 {
			if !s.grant.closed || len(requests) != 1 {
				t.Errorf("%v for %v: not closed by one request: %+v", c.rate, c.hold, requests)
			}
			continue
		}
		if s.leaf.Rate != pulseRate || s.leaf.BurstBytes != c.want {
			t.Errorf("%v for %v: %d bytes at %v, want %d", c.rate, c.hold, s.leaf.BurstBytes, s.leaf.Rate, c.want)
		}
		if last := requests[len(requests)-1]; last.kind != setPlug || last.plug.Action != PlugReleaseIndefinite {
			t.Errorf("%v for %v: the queue is not woken: %+v", c.rate, c.hold, last)
		}
		for _, r := range requests {
			if _, err := r.append(nil, 1, nlmFRequest, 1); err != nil {
				t.Errorf("%v for %v: %v", c.rate, c.hold, err)
			}
		}
	}
}

// What a kernel lacks for pulses is named before anything is built.
func TestPulseNeeds(t *testing.T) {
	l := DefaultLink("a")
	l.Shaper = ShaperPulse
	codel := l
	codel.Queue.Kind = CoDel
	for _, c := range []struct {
		l    Link
		edit func(f *Features)
		want string
	}{
		{l, func(f *Features) {}, ""},
		{l, func(f *Features) { f.Prio = false }, ""},
		{l, func(f *Features) { f.Plug = false }, "pulses need plug (CONFIG_NET_SCH_PLUG"},
		{codel, func(f *Features) {}, ""},
		{codel, func(f *Features) { f.Prio = false }, "pulses over a queue of kind codel need prio"},
	} {
		f := AllFeatures()
		c.edit(&f)
		_, err := NewPlan("x", &Topology{Links: []Link{c.l}}, f)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	f := AllFeatures()
	f.PulseKept = false
	if w := f.Warnings(&Topology{Links: []Link{l}}); len(w) != 1 || !strings.Contains(w[0], "pulses") {
		t.Errorf("warnings %q", w)
	}
}

func TestPlugRefused(t *testing.T) {
	for _, q := range []Plug{{Action: -1}, {Action: plugActions}, {LimitBytes: -1}, {LimitBytes: 1 << 32}} {
		if b, err := AppendPlug([]byte{1}, q); err == nil || len(b) != 1 {
			t.Errorf("%+v: %v, %x", q, err, b)
		}
	}
	for _, q := range []Prio{{Bands: 1}, {Bands: 17}, {Bands: 2, Map: [16]uint8{15: 2}}} {
		if b, err := AppendPrio([]byte{1}, q); err == nil || len(b) != 1 {
			t.Errorf("%+v: %v, %x", q, err, b)
		}
	}
}

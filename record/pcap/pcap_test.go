package pcap_test

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"linktape/record"
	"linktape/record/capture/capturetest"
	"linktape/record/pcap"
	"linktape/trace"
)

const epoch = 1_700_000_000_000_000_000 // of the made-up captures, ns since 1970

// packet is what became of a made-up packet. Times are from the epoch, by the
// sender's clock.
type packet struct {
	up        bool
	link      int
	sent      time.Duration
	delay     time.Duration
	lost      bool
	copies    int
	payload   []byte
	id        uint16
	sentTwice bool // the sender's capture holds it twice
}

// field is a pair of captures to be made of packets.
type field struct {
	packets  []packet
	offset   time.Duration // of the receiver's clock
	drift    int64         // ns per s
	nat      bool          // the receiver's side sees other addresses and ports
	ids      bool          // the identification is rewritten on the way
	six      bool
	sameEnds bool // links differ by port alone
}

func (f *field) ends(link int) (snd, rcv netip.AddrPort) {
	a, b := netip.AddrFrom4([4]byte{10, 77, byte(link), 2}), netip.AddrFrom4([4]byte{10, 77, byte(link), 6})
	if f.six {
		a, b = netip.AddrFrom16([16]byte{0xfd, 1: byte(link), 15: 2}), netip.AddrFrom16([16]byte{0xfd, 1: byte(link), 15: 6})
	}
	port := uint16(6000)
	if f.sameEnds {
		_, b = a, netip.AddrFrom4([4]byte{10, 77, 0, 6})
		a = netip.AddrFrom4([4]byte{10, 77, 0, 2})
		port += uint16(2 * link)
	}
	return netip.AddrPortFrom(a, 5000), netip.AddrPortFrom(b, port)
}

// write makes the captures.
func (f *field) write(t *testing.T) (sender, receiver string) {
	t.Helper()
	var sides [2][]capturetest.Record
	for _, p := range f.packets {
		snd, rcv := f.ends(p.link)
		add := func(side int, at time.Duration, u capturetest.UDP) {
			ns := epoch + int64(at)
			if side == 1 {
				ns += int64(f.offset) + int64(at)/1000*f.drift/1_000_000
			}
			sides[side] = append(sides[side], capturetest.Record{At: ns, Frame: capturetest.Frame(layers.LinkTypeEthernet, side, u.IP())})
		}
		for side := range 2 {
			u := capturetest.UDP{Src: snd, Dst: rcv, ID: p.id, Payload: p.payload}
			if side == 1 && f.nat {
				u.Src, u.Dst = netip.MustParseAddrPort("198.51.100.7:40001"), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(p.link), 9}), 7000)
			}
			if side == 1 && f.ids {
				u.ID = u.ID*31 + 7
			}
			if !p.up {
				u.Src, u.Dst = u.Dst, u.Src
			}
			origin := p.up == (side == 0)
			switch {
			case origin:
				add(side, p.sent, u)
				if p.sentTwice {
					add(side, p.sent+20*time.Microsecond, u)
				}
			case !p.lost:
				add(side, p.sent+p.delay, u)
				for i := range p.copies {
					add(side, p.sent+p.delay+time.Duration(i+1)*time.Millisecond, u)
				}
			}
		}
	}
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "sender.pcap"), filepath.Join(dir, "receiver.pcap")}
	for side, records := range sides {
		slices.SortStableFunc(records, func(a, b capturetest.Record) int { return int(a.At - b.At) })
		w, err := os.Create(names[side])
		if err != nil {
			t.Fatal(err)
		}
		if side == 0 {
			err = capturetest.Pcap(w, layers.LinkTypeEthernet, 128, records)
		} else {
			err = capturetest.PcapNG(w, []capturetest.Interface{{Name: "wan", Link: layers.LinkTypeEthernet}}, 0, records)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return names[0], names[1]
}

// recording is what the package made of captures.
type recording struct {
	timing *pcap.Timing
	job    *pcap.Job
	result *pcap.Result
	tape   trace.Timeline
	bins   []record.Bin
}

func (r *recording) of(t *testing.T, name string) pcap.Direction {
	t.Helper()
	for _, d := range r.result.Directions {
		if d.Link+"."+d.Dir == name {
			return d
		}
	}
	t.Fatalf("no direction %s among %+v", name, r.result.Directions)
	return pcap.Direction{}
}

func (f *field) record(t *testing.T, specs []string, clock pcap.ClockOptions, opts record.Options) *recording {
	t.Helper()
	sender, receiver := f.write(t)
	r, err := makeTape(t, sender, receiver, specs, clock, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.tape.Check(); err != nil {
		t.Fatalf("the tape: %v", err)
	}
	return r
}

func makeTape(t *testing.T, sender, receiver string, specs []string, clock pcap.ClockOptions, opts record.Options) (*recording, error) {
	t.Helper()
	ctx := context.Background()
	var parsed []pcap.Spec
	for _, s := range specs {
		p, err := pcap.ParseSpec(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	survey, err := pcap.Look(ctx, strings.Split(sender, ","), strings.Split(receiver, ","), 0, nil)
	if err != nil {
		return nil, err
	}
	links, err := survey.Resolve(parsed)
	if err != nil {
		return nil, err
	}
	r := &recording{}
	if r.timing, err = survey.Time(links, clock); err != nil {
		return nil, err
	}
	if r.job, err = pcap.NewJob(survey, links, r.timing, opts, pcap.DefaultTimeout); err != nil {
		return nil, err
	}
	r.tape.Meta = r.job.Meta()
	r.result, err = r.job.Run(ctx, func(s []trace.Step) error {
		r.tape.Steps = append(r.tape.Steps, s...)
		return nil
	}, func(b *record.Bin) error {
		r.bins = append(r.bins, *b)
		return nil
	}, nil)
	return r, err
}

func payload(kind byte, n, size int) []byte {
	b := make([]byte, size)
	b[0] = kind
	binary.BigEndian.PutUint32(b[20:], uint32(n))
	return b
}

// drive is two links for 20 s: one with steps of delay and losses, one whose
// packets come late at times; and reports on the way back.
func drive(seed uint64) *field {
	r := rand.New(rand.NewPCG(seed, 1))
	f := &field{offset: 1234567891 * time.Nanosecond}
	for n := range 10000 {
		sent := time.Duration(n) * 2 * time.Millisecond
		p := packet{up: true, sent: sent, delay: 20 * time.Millisecond, payload: payload(1, n, 972), id: uint16(n)}
		if sent >= 10*time.Second {
			p.delay = 50 * time.Millisecond
		}
		p.lost = n > 10 && n < 9990 && r.Float64() < 0.03
		if r.Float64() < 0.01 {
			p.copies = 1
		}
		f.packets = append(f.packets, p)
		q := packet{up: true, link: 1, sent: sent + 1, delay: 80 * time.Millisecond, payload: payload(2, n, 472), id: uint16(n)}
		if n%50 == 25 {
			q.delay += 5 * time.Millisecond // two more overtake it
		}
		f.packets = append(f.packets, q)
	}
	for n := range 400 {
		for link := range 2 {
			delay := time.Duration(20+60*link) * time.Millisecond
			f.packets = append(f.packets, packet{link: link, sent: time.Duration(n) * 50 * time.Millisecond, delay: delay, payload: payload(3, n, 60)})
		}
	}
	return f
}

// expect compares a direction with what is known of its packets.
func (f *field) expect(t *testing.T, r *recording, link int, up bool, d pcap.Direction) {
	t.Helper()
	var sent, lost, copies, late, bytes, bursts int64
	header := 28
	if f.six {
		header = 48
	}
	var mine []packet
	for _, p := range f.packets {
		if p.link == link && p.up == up {
			mine = append(mine, p)
		}
	}
	latest := time.Duration(0) // arrival of any packet sent before
	for i, p := range mine {
		sent++
		if p.lost {
			lost++
			if i == 0 || !mine[i-1].lost {
				bursts++
			}
			continue
		}
		copies += int64(p.copies)
		bytes += int64(len(p.payload) + header)
		for _, q := range mine[i+1 : min(i+20, len(mine))] {
			if !q.lost && q.sent+q.delay < p.sent+p.delay {
				late++
				break
			}
		}
		latest = max(latest, p.sent+p.delay)
	}
	got := []int64{d.Sent, d.Lost, d.Duplicates, d.Reordered, d.DeliveredBytes, d.Bursts.Count, d.Strays}
	want := []int64{sent, lost, copies, late, bytes, bursts, 0}
	if !slices.Equal(got, want) {
		t.Errorf("%s.%s: got sent, lost, copies, reordered, bytes, bursts, strays %v, want %v", d.Link, d.Dir, got, want)
	}
	// The tape serves what was delivered, to the byte.
	var service trace.Service
	for s := range spans(&r.tape, d.Link, d.Dir) {
		service.Add(s.Rate, s.length)
	}
	if got := service.Bits() / 8; got != bytes {
		t.Errorf("%s.%s: the tape serves %d bytes, want %d", d.Link, d.Dir, got, bytes)
	}
}

type span struct {
	trace.Step
	length time.Duration
}

func spans(tl *trace.Timeline, link, dir string) func(func(span) bool) {
	return func(yield func(span) bool) {
		var mine []trace.Step
		for _, s := range tl.Steps {
			if s.Link == link && s.Dir.String() == dir {
				mine = append(mine, s)
			}
		}
		for i, s := range mine {
			end := tl.Meta.Duration
			if i+1 < len(mine) {
				end = mine[i+1].At
			}
			if !yield(span{s, end - s.At}) {
				return
			}
		}
	}
}

// Every packet is accounted for, with links as told or found, with addresses,
// ports and identifications rewritten on the way, and in IPv6.
func TestAccount(t *testing.T) {
	told := []string{"att=10.77.0.6", "sat=10.77.1.6:6000"}
	for _, c := range []struct {
		name   string
		change func(f *field)
		specs  []string
		key    string
		names  [2]string
	}{
		{"as told", func(f *field) {}, told, "payload, IP identification, UDP ports", [2]string{"att", "sat"}},
		{"by sender's end", func(f *field) {}, []string{"att=snd:10.77.0.0/24", "sat=snd:10.77.1.2:5000"}, "payload, IP identification, UDP ports", [2]string{"att", "sat"}},
		{"found", func(f *field) {}, nil, "payload, IP identification, UDP ports", [2]string{"link1", "link2"}},
		{"by port", func(f *field) { f.sameEnds = true }, []string{"att=:6000", "sat=:6002"}, "payload, IP identification, UDP ports", [2]string{"att", "sat"}},
		{"IPv6", func(f *field) { f.six = true }, nil, "payload, IP identification, UDP ports", [2]string{"link1", "link2"}},
		{"NAT found", func(f *field) { f.nat = true }, nil, "payload, IP identification", [2]string{"link1", "link2"}},
		{"NAT as told", func(f *field) { f.nat = true }, []string{"att=10.77.0.6+192.168.0.9", "sat=10.77.1.6+192.168.1.9"}, "payload, IP identification", [2]string{"att", "sat"}},
		{"identifications", func(f *field) { f.ids = true }, told, "payload, UDP ports", [2]string{"att", "sat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := drive(7)
			c.change(f)
			r := f.record(t, c.specs, pcap.ClockOptions{}, record.Options{})
			if got := r.timing.Key.String(); got != c.key {
				t.Errorf("matched by %q, want %q", got, c.key)
			}
			if r.timing.Offset != f.offset {
				t.Errorf("offset: got %v, want %v", r.timing.Offset, f.offset)
			}
			if len(r.timing.Warnings) > 0 {
				t.Errorf("got warnings %q, want none", r.timing.Warnings)
			}
			for link, name := range c.names {
				f.expect(t, r, link, true, r.of(t, name+".up"))
				f.expect(t, r, link, false, r.of(t, name+".down"))
			}
			if d := r.of(t, c.names[0]+".up").Delay; d.Min != 20*time.Millisecond || d.Max != 50*time.Millisecond {
				t.Errorf("delays: got %+v, want 20 to 50 ms", d)
			}
		})
	}
}

// The tape says the delay and the loss when they were so.
func TestTape(t *testing.T) {
	f := drive(7)
	r := f.record(t, []string{"att=10.77.0.6", "sat=10.77.1.6"}, pcap.ClockOptions{}, record.Options{})
	lost := map[int64]float64{} // by bin
	for _, p := range f.packets {
		if p.up && p.link == 0 && p.lost {
			departed := p.sent
			if p.sent > 10*time.Second { // the path became longer by 30 ms
				departed += 30 * time.Millisecond
			}
			lost[int64(departed/(100*time.Millisecond))]++
		}
	}
	for _, b := range r.bins {
		at := time.Duration(b.At)
		if b.Link != "att" || b.Dir != "up" {
			continue
		}
		want := 20 * time.Millisecond
		if at > 10*time.Second {
			want = 50 * time.Millisecond
		}
		if at != 10*time.Second && time.Duration(b.DelayMin) != want {
			t.Errorf("delay at %v: got %v, want %v", at, time.Duration(b.DelayMin), want)
		}
		if got := float64(b.Lost); got != lost[b.At/1e8] {
			t.Errorf("losses at %v: got %v, want %v", at, got, lost[b.At/1e8])
		}
	}
	for s := range spans(&r.tape, "sat", "up") {
		if s.At > 0 && s.At < 19*time.Second && (s.Rate < 1900*trace.Kbit || s.Rate > 2100*trace.Kbit) {
			t.Errorf("sat.up at %v: rate %v, want 2 Mbit/s", s.At, s.Rate)
		}
	}
	if len(r.tape.Meta.Sources) != 8 {
		t.Errorf("got %d sources, want 8: two files for each of four directions", len(r.tape.Meta.Sources))
	}
	for _, s := range r.tape.Meta.Sources {
		for _, key := range []string{"side", "packets", "matched_by", "clock_offset", "base_delay", "rate", "loss", "delay", "step", "start"} {
			if s.Choices[key] == "" {
				t.Errorf("source %s.%s does not state %s", s.Link, s.Dir, key)
			}
		}
	}
}

// What losses mean is a choice; in each the bytes add up.
func TestLosses(t *testing.T) {
	f := drive(3)
	var delivered, lost int64
	for _, p := range f.packets {
		if p.up && p.link == 0 {
			if p.lost {
				lost += 1000
			} else {
				delivered += 1000
			}
		}
	}
	for _, c := range []struct {
		losses record.Losses
		bytes  int64
		loss   bool
	}{{record.LossesAsIs, delivered, true}, {record.LossesPath, delivered + lost, true}, {record.LossesQueue, delivered, false}} {
		r := f.record(t, []string{"att=10.77.0.6"}, pcap.ClockOptions{}, record.Options{Losses: c.losses})
		var service trace.Service
		any := false
		for s := range spans(&r.tape, "att", "up") {
			service.Add(s.Rate, s.length)
			any = any || s.Loss > 0
		}
		if got := service.Bits() / 8; got != c.bytes || any != c.loss {
			t.Errorf("%s: got %d bytes, losses %v; want %d, %v", c.losses, got, any, c.bytes, c.loss)
		}
	}
}

// An outage is none of its bins' idleness; a time without traffic is idle.
func TestLabels(t *testing.T) {
	f := &field{}
	for n := range 4000 {
		sent := time.Duration(n) * time.Millisecond
		p := packet{up: true, sent: sent, delay: 20 * time.Millisecond, payload: payload(1, n, 100), id: uint16(n)}
		switch {
		case sent >= 1000*time.Millisecond && sent < 1300*time.Millisecond:
			p.lost = true // all of them
		case sent >= 2000*time.Millisecond && sent < 2300*time.Millisecond:
			continue // nothing is sent
		case sent >= 3000*time.Millisecond && sent < 3400*time.Millisecond:
			p.delay += 3400*time.Millisecond - sent // a stall
		}
		f.packets = append(f.packets, p)
	}
	offset := time.Duration(0)
	r := f.record(t, nil, pcap.ClockOptions{Offset: &offset}, record.Options{})
	want := map[int]string{10: "outage", 11: "outage", 12: "outage", 20: "idle", 21: "idle", 22: "idle", 30: "outage", 31: "outage", 32: "outage", 33: "outage"}
	for i, b := range r.bins {
		if b.Label != want[i] {
			t.Errorf("bin %d: got label %q, want %q", i, b.Label, want[i])
		}
	}
	for s := range spans(&r.tape, "link1", "up") {
		switch {
		case s.Label == "outage" && s.At < 2*time.Second && (s.Loss != 1 || s.Rate == 0):
			t.Errorf("losing everything: got %+v, want loss 1 at the rate before", s.State)
		case s.Label == "outage" && s.At > 2*time.Second && (s.Loss != 0 || s.Rate != 0):
			t.Errorf("stalled: got %+v, want rate 0 without loss", s.State)
		case s.Label == "idle" && s.Rate != 0:
			t.Errorf("idle: got %+v, want rate 0", s.State)
		}
	}
}

// Where a queue stands, the rate is the capacity, and the label says so.
func TestQueued(t *testing.T) {
	f := &field{}
	const wire = 1000
	free := time.Duration(0) // when the bottleneck is free
	for n := range 5000 {
		sent := time.Duration(n) * time.Millisecond // 8 Mbit/s
		rate := 20.0                                // Mbit/s
		if sent >= 2*time.Second {
			rate = 5
		}
		departs := max(sent, free) + time.Duration(wire*8/rate*1000)
		p := packet{up: true, sent: sent, delay: departs + 30*time.Millisecond - sent, payload: payload(1, n, wire-28), id: uint16(n)}
		if departs-sent > 200*time.Millisecond {
			p.lost = true // the queue is full
		} else {
			free = departs
		}
		f.packets = append(f.packets, p)
	}
	offset := time.Duration(0)
	r := f.record(t, nil, pcap.ClockOptions{Offset: &offset}, record.Options{Losses: record.LossesQueue})
	for s := range spans(&r.tape, "link1", "up") {
		switch {
		case s.At < 1900*time.Millisecond:
			if s.Label != "" || s.Rate < 7900*trace.Kbit || s.Rate > 8100*trace.Kbit {
				t.Errorf("at %v: got %v %q, want 8 Mbit/s, not queued", s.At, s.Rate, s.Label)
			}
		case s.At >= 2200*time.Millisecond && s.At < 5000*time.Millisecond:
			if s.Label != record.LabelQueued || s.Rate < 4900*trace.Kbit || s.Rate > 5100*trace.Kbit {
				t.Errorf("at %v: got %v %q, want 5 Mbit/s, queued", s.At, s.Rate, s.Label)
			}
		}
	}
	if d := r.of(t, "link1.up"); math.Abs(d.QueuedRate-5e6) > 0.1e6 {
		t.Errorf("rate with a queue: got %.0f bit/s, want 5 Mbit/s", d.QueuedRate)
	}
}

// The clocks' difference: given, by a known delay, bounded, with a drift; and said
// where it cannot be known.
func TestClocks(t *testing.T) {
	d := func(v time.Duration) *time.Duration { return &v }
	f := drive(5)
	for _, c := range []struct {
		name   string
		clock  pcap.ClockOptions
		offset time.Duration
	}{
		{"given", pcap.ClockOptions{Offset: d(f.offset + 3*time.Millisecond)}, f.offset + 3*time.Millisecond},
		{"known delay", pcap.ClockOptions{MinDelay: d(15 * time.Millisecond)}, f.offset + 5*time.Millisecond},
	} {
		r := f.record(t, nil, c.clock, record.Options{})
		if r.timing.Offset != c.offset {
			t.Errorf("%s: offset %v, want %v", c.name, r.timing.Offset, c.offset)
		}
		want := [2]int64{int64(f.offset - 20*time.Millisecond), int64(f.offset + 20*time.Millisecond)}
		if r.timing.Bound != want {
			t.Errorf("%s: bounds %v, want %v", c.name, r.timing.Bound, want)
		}
	}

	f.drift = 40_000 // 40 ppm: 0.8 ms in 20 s
	if r := f.record(t, nil, pcap.ClockOptions{EstimateDrift: true}, record.Options{}); math.Abs(float64(r.timing.Drift-f.drift)) > 2000 {
		t.Errorf("drift: got %d ns/s, want %d", r.timing.Drift, f.drift)
	} else if got := r.of(t, "link2.down").Delay; max(got.Max-got.Min, got.Min-got.Max) > 100*time.Microsecond {
		t.Errorf("delays with the drift taken out: %+v, want all the same", got)
	}
	f.drift = 400_000
	if r := f.record(t, nil, pcap.ClockOptions{}, record.Options{}); !strings.Contains(strings.Join(r.timing.Warnings, "\n"), "drift") {
		t.Errorf("drift of 400 ppm: got warnings %q, want one about it", r.timing.Warnings)
	}

	one := drive(5)
	one.offset = -time.Second
	one.packets = slices.DeleteFunc(one.packets, func(p packet) bool { return !p.up })
	r := one.record(t, nil, pcap.ClockOptions{}, record.Options{})
	if w := strings.Join(r.timing.Warnings, "\n"); r.timing.Offset != 0 || !strings.Contains(w, "one direction only") || !strings.Contains(w, "before it is sent") {
		t.Errorf("one direction: offset %v, warnings %q", r.timing.Offset, w)
	}
	// Delays are all below 0, and yet every packet finds its arrival.
	if got, want := r.of(t, "link1.up").Delivered, r.of(t, "link1.up").Sent; got < want*96/100 || got == want {
		t.Errorf("with delays below 0, %d of %d were delivered; want about 97 %%", got, want)
	}
}

// Packets that the sender's capture holds twice count once.
func TestCapturedTwice(t *testing.T) {
	f := drive(5)
	for i := range f.packets {
		f.packets[i].sentTwice = f.packets[i].up && f.packets[i].id != 0 && i%3 == 0
	}
	r := f.record(t, []string{"att=10.77.0.6", "sat=10.77.1.6"}, pcap.ClockOptions{}, record.Options{})
	if r.result.Twice == 0 {
		t.Errorf("no packet was found to be captured twice")
	}
	f.expect(t, r, 0, true, r.of(t, "att.up"))
	f.expect(t, r, 1, true, r.of(t, "sat.up"))
}

// A packet that is sent again with the same payload and no identification is two
// packets.
func TestSentAgain(t *testing.T) {
	f := &field{six: true}
	for n := range 1000 {
		p := packet{up: true, sent: time.Duration(n) * 10 * time.Millisecond, delay: 20 * time.Millisecond, payload: payload(1, n/2, 100)}
		f.packets = append(f.packets, p)
	}
	offset := time.Duration(0)
	f.offset = 0
	// Every mark is there twice, so that no sampled packet is there once.
	sender, receiver := f.write(t)
	if _, err := makeTape(t, sender, receiver, nil, pcap.ClockOptions{Offset: &offset}, record.Options{}); err == nil || !strings.Contains(err.Error(), "no packet of the one capture") {
		t.Errorf("got %v", err)
	}
	for n := range 100 {
		f.packets = append(f.packets, packet{up: true, sent: 10*time.Second + time.Duration(n)*10*time.Millisecond, delay: 20 * time.Millisecond, payload: payload(9, n, 100)})
	}
	r := f.record(t, nil, pcap.ClockOptions{Offset: &offset}, record.Options{})
	f.expect(t, r, 0, true, r.of(t, "link1.up"))
}

func TestFaults(t *testing.T) {
	f := drive(1)
	sender, receiver := f.write(t)
	other := drive(1)
	for i := range other.packets {
		other.packets[i].payload[7] = 99 // other traffic between the same ends
	}
	_, foreign := other.write(t)
	for _, c := range []struct {
		name             string
		sender, receiver string
		specs            []string
		clock            pcap.ClockOptions
		opts             record.Options
		want             string
	}{
		{"no packets of the link", sender, receiver, []string{"att=10.1.2.3", "sat=:9"}, pcap.ClockOptions{}, record.Options{}, "link att: no packet fits it; there are 10.77.0.2:5000 and 10.77.0.6:6000 on"},
		{"both named", sender, receiver, []string{"att=10.1.2.3", "sat=:9"}, pcap.ClockOptions{}, record.Options{}, "link sat: no packet"},
		{"two links fit", sender, receiver, []string{"att=10.77.0.6", "sat=:6000"}, pcap.ClockOptions{}, record.Options{}, "fit links att and sat"},
		{"another time", sender, foreign, nil, pcap.ClockOptions{}, record.Options{}, "no packet of the one capture is in the other"},
		{"missing", sender, "no-such.pcap", nil, pcap.ClockOptions{}, record.Options{}, "no-such.pcap"},
		{"bad step", sender, receiver, nil, pcap.ClockOptions{}, record.Options{Step: time.Minute}, "step 1m0s: outside 1ms to 5s"},
		{"bad losses", sender, receiver, nil, pcap.ClockOptions{}, record.Options{Losses: "some"}, `losses "some": write as-is, path or queue`},
	} {
		_, err := makeTape(t, c.sender, c.receiver, c.specs, c.clock, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// The same captures give the same tape, and the sample does not change what a run
// counts.
func TestRepeatable(t *testing.T) {
	f := drive(2)
	sender, receiver := f.write(t)
	var sums []string
	for range 2 {
		r, err := makeTape(t, sender, receiver, nil, pcap.ClockOptions{}, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := trace.NewHash()
		for i := range r.tape.Steps {
			h.Step(&r.tape.Steps[i])
		}
		sums = append(sums, h.Sum(r.tape.Meta.Duration))
	}
	if sums[0] != sums[1] {
		t.Errorf("two runs give %s and %s", sums[0], sums[1])
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"att=10.77.0.6", "a=snd:10.0.0.1:5+if:wwan0", "b=[fd00::1]:9", "c=:5004", "d=10.0.0.0/8", "=", "a=", "a=if:", "a=fd00::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := pcap.ParseSpec(s)
		if err != nil {
			return
		}
		if err := trace.CheckName(spec.Name); err != nil || len(spec.Parts) == 0 {
			t.Fatalf("%q: got %+v, %v", s, spec, err)
		}
		for _, p := range spec.Parts {
			if !p.Prefix.IsValid() && p.Port == 0 && p.Interface == "" {
				t.Fatalf("%q: a part that holds everything: %+v", s, p)
			}
		}
	})
}

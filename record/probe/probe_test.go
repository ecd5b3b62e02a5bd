package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linktape/record"
	"linktape/trace"
)

func TestWire(t *testing.T) {
	b := make([]byte, headerBytes)
	m := message{kind: kindProbe, link: 7, echo: true, session: 1 << 63, number: 5, sent: -1, received: 1 << 60, replied: 9}
	m.put(b)
	var got message
	if err := got.parse(b); err != nil || got != m {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
	c := make([]byte, reportBytes)
	r := report{kind: kindReport, link: 255, number: 1 << 40, received: 3, replied: -4}
	r.put(c)
	var back report
	if err := back.parse(c); err != nil || back != r {
		t.Errorf("got %+v, %v, want %+v", back, err, r)
	}
	for _, bad := range [][]byte{nil, b[:headerBytes-1], append([]byte{1}, b[1:]...)} {
		if err := got.parse(bad); !errors.Is(err, errForeign) {
			t.Errorf("%x: got %v", bad, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	b := make([]byte, headerBytes)
	(&message{kind: kindEcho}).put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again message
		if m.parse(b) != nil {
			return
		}
		out := make([]byte, headerBytes)
		m.put(out)
		if err := again.parse(out); err != nil || again != m {
			t.Errorf("%x: %+v, then %+v, %v", b, m, again, err)
		}
	})
}

func FuzzReport(f *testing.F) {
	b := make([]byte, reportBytes)
	(&report{kind: kindBeat}).put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r report
		if r.parse(b) != nil {
			return
		}
		out := make([]byte, reportBytes)
		r.put(out)
		if !bytes.Equal(out[8:], b[8:reportBytes]) || out[0] != b[0] || out[1] != b[1] {
			t.Errorf("%x became %x", b, out)
		}
	})
}

func TestParseLink(t *testing.T) {
	a := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, c := range []struct {
		text string
		want LinkSpec
	}{
		{"att=wwan0:203.0.113.5", LinkSpec{Name: "att", Device: "wwan0", Server: a("203.0.113.5:7311")}},
		{"att=wwan0:203.0.113.5:9", LinkSpec{Name: "att", Device: "wwan0", Server: a("203.0.113.5:9")}},
		{"att=203.0.113.5", LinkSpec{Name: "att", Server: a("203.0.113.5:7311")}},
		{"att=203.0.113.5:9", LinkSpec{Name: "att", Server: a("203.0.113.5:9")}},
		{"att=10.0.0.2:203.0.113.5", LinkSpec{Name: "att", Source: netip.MustParseAddr("10.0.0.2"), Server: a("203.0.113.5:7311")}},
		{"att=fd00::1", LinkSpec{Name: "att", Server: a("[fd00::1]:7311")}},
		{"att=[fd00::1]:9", LinkSpec{Name: "att", Server: a("[fd00::1]:9")}},
		{"att=wwan0:[fd00::1]", LinkSpec{Name: "att", Device: "wwan0", Server: a("[fd00::1]:7311")}},
		{"att=[fd00::2]:[fd00::1]:9", LinkSpec{Name: "att", Source: netip.MustParseAddr("fd00::2"), Server: a("[fd00::1]:9")}},
	} {
		if got, err := ParseLink(c.text); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "att", "att=", "ATT=10.0.0.1", "att=wwan0", "att=wwan0:host", "att=:10.0.0.1", "att=a-name-that-is-too-long:10.0.0.1", "att=10.0.0.1:0"} {
		if got, err := ParseLink(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("att=wwan0:203.0.113.5:9")
	f.Add("att=[fd00::2]:[fd00::1]:9")
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := ParseLink(s); err == nil && (!l.Server.IsValid() || l.Server.Port() == 0 || trace.CheckName(l.Name) != nil) {
			t.Errorf("%q: %+v", s, l)
		}
	})
}

// The load keeps a queue before a link whose rate changes, and the queue short: a
// model of a bottleneck with feedback after 100 ms.
func TestLoad(t *testing.T) {
	l := Load{Max: 100 * trace.Mbit}
	const tick = 0.05            // s
	queue, full := 0.0, 0.0      // bits
	waits := []float64{0, 0, 0}  // feedback is two ticks old
	served := []float64{0, 0, 0} // bit/s, likewise
	standing, ticks := 0, 0      // with a queue
	for i := range 4000 {        // 200 s
		rate := []float64{20e6, 5e6, 8e6, 2e6, 40e6}[i/80%5] // another each 4 s
		full = rate                                          // a second of it
		in := queue + float64(l.Rate())*tick
		out := min(in, rate*tick)
		queue = min(in-out, full)
		waits = append(waits[1:], queue/rate)
		served = append(served[1:], out/tick)
		l.Adapt(trace.BitRate(served[0]), time.Duration(waits[0]*1e9))
		if i%80 >= 40 { // settled
			ticks++
			if out >= rate*tick*0.999 {
				standing++
			}
			if queue/rate > 0.4 {
				t.Fatalf("%v s, %v bit/s: a queue of %.0f ms", float64(i)*tick, rate, 1000*queue/rate)
			}
		}
	}
	if share := float64(standing) / float64(ticks); share < 0.95 {
		t.Errorf("the link is full %.1f %% of the time, want 95 %%", 100*share)
	}
	if l.Adapt(0, 0); l.Rate() != leastLoad {
		t.Errorf("nothing delivered: %v, want %v", l.Rate(), leastLoad)
	}
}

// A probe's story is told once, in the order sent; echoes likewise.
func TestSettle(t *testing.T) {
	l := &link{answers: map[uint64]int64{}, buckets: map[int64]int64{}}
	const offset = 1000
	for i := range int64(6) {
		l.next(100*i, 96)
	}
	for _, r := range []report{{number: 0, received: offset + 50, replied: offset + 60}, {number: 2, received: offset + 230}, {number: 1, received: offset + 240, replied: offset + 250},
		{number: 1, received: offset + 260}, {number: 77}, {number: 4, received: offset + 450, replied: offset + 460}} {
		r.kind = kindReport
		l.reported(&r)
	}
	l.answered(&message{number: 0, sent: 0, received: offset + 50, replied: offset + 60}, 90)
	l.answered(&message{number: 0, sent: 0, received: offset + 50, replied: offset + 60}, 95)
	if l.best != (exchange{offset + 50, 30 - offset}) {
		t.Errorf("quickest exchange %+v", l.best)
	}
	var got []string
	say := func(what string) func(record.Flight) {
		return func(f record.Flight) {
			if f.Lost {
				f.Delay = 0
			}
			got = append(got, fmt.Sprint(what, " ", int64(f.Sent), " ", int64(f.Delay), " ", f.Lost, " ", f.Copies, " ", f.Late))
		}
	}
	l.settle(450, 0, offset, say("up"), say("down"))
	l.settle(1000, 0, offset, say("up"), say("down"))
	want := "up 0 50 false 0 false\nup 100 140 false 1 true\nup 200 30 false 0 false\nup 300 0 true 0 false\nup 400 50 false 0 false\n" +
		"down 60 30 false 0 false\ndown 250 0 true 0 false\nup 500 0 true 0 false\ndown 460 0 true 0 false"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if len(l.probes) != 0 || len(l.echoes) != 0 || len(l.answers) != 0 || l.first != 6 {
		t.Errorf("left %+v", l)
	}
}

// A server and a client of one machine: two links, nothing lost, the same clock.
func TestLoopback(t *testing.T) {
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx) }()
	server := netip.MustParseAddrPort(s.Addr().String())
	opts := Options{
		Links:    []LinkSpec{{Name: "a", Server: server}, {Name: "b", Source: netip.MustParseAddr("127.0.0.2"), Server: server}},
		Duration: 500 * time.Millisecond, Load: 2 * trace.Mbit, Max: trace.Gbit, Unknown: trace.Gbit, Bytes: 1228, Echo: 10 * time.Millisecond, Timeout: 2 * time.Second,
	}
	if opts.Record, err = (record.Options{}).Defaults(); err != nil {
		t.Fatal(err)
	}
	if err := opts.Check(); err != nil {
		t.Fatal(err)
	}
	tape := trace.Timeline{}
	res, err := Run(t.Context(), opts, Sinks{
		Begin: func(r *Result, base map[trace.LinkDir]time.Duration) error {
			tape.Meta = opts.Meta(r, base)
			return nil
		},
		Steps: func(s []trace.Step) error {
			tape.Steps = append(tape.Steps, s...)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	tape.Meta.Duration = res.Length
	if err := tape.Check(); err != nil {
		t.Errorf("the tape: %v", err)
	}
	if res.Length != opts.Duration || len(res.Stats) != 4 || res.Bound < 0 || res.Offset > res.Bound || res.Offset < -res.Bound {
		t.Errorf("got %+v", res)
	}
	for _, d := range res.Stats {
		// How many is a matter of the machine's load; that each is accounted for is not.
		if d.Lost != 0 || d.Delivered == 0 || d.Delivered != d.Sent {
			t.Errorf("%s.%s: %+v", d.Link, d.Dir, d)
		}
	}
	for _, st := range tape.Steps {
		if (st.Dir == trace.Down) != (st.Rate == trace.Gbit) {
			t.Errorf("step %+v: the rate that stands in belongs to down alone", st)
		}
	}
}

// Without a server the error says what to do.
func TestNoServer(t *testing.T) {
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(s.Addr().String())
	s.tcp.Close()
	s.udp.Close()
	_, err = Run(t.Context(), Options{Links: []LinkSpec{{Name: "a", Server: server}}, Bytes: 1228, Echo: time.Second}, Sinks{})
	if err == nil || !strings.Contains(err.Error(), "run record probe serve there") {
		t.Errorf("got %v", err)
	}
}

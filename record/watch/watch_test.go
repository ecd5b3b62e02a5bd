package watch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
)

// A collector turns what was counted between two readings into a rate.
func ExampleCollector() {
	c := NewCollector([]string{"att"}, func(steps []trace.Step) error {
		for _, s := range steps {
			fmt.Println(s.At, s.LinkDir(), s.Rate, s.Delay)
		}
		return nil
	}, nil)
	for i := range 3 {
		r := Reading{Up: Count{Bytes: int64(i) * 125_000}, Carrier: true}
		if err := c.Take(time.Duration(i)*100*time.Millisecond, []Reading{r}, []Echo{{Quickest: 50 * time.Millisecond, Answered: 1}}); err != nil {
			fmt.Println(err)
		}
	}
	length, stats := c.Finish()
	fmt.Println(length, stats[1].Bytes)
	// Output:
	// 0s att.down 0bit 25ms
	// 0s att.up 10Mbit 25ms
	// 200ms 250000
}

// Whatever is counted is on the tape, to the byte; the tape is valid; and rows and
// labels say what happened.
func TestCollector(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var steps []trace.Step
		var rows []Row
		c := NewCollector([]string{"a", "b"}, func(s []trace.Step) error {
			steps = append(steps, s...)
			return nil
		}, func(row *Row) error {
			rows = append(rows, *row)
			return nil
		})
		readings := make([]Reading, 2)
		for i := range readings {
			readings[i].Up.Bytes = r.Int64N(1 << 40) // counted before
		}
		var want [4]int64 // a.down, a.up, b.down, b.up
		at := time.Duration(0)
		for k := range 100 {
			if k > 0 {
				at += time.Duration(1 + r.IntN(int(200*time.Millisecond)))
				for i := range readings {
					x := &readings[i]
					d, u := r.Int64N(100_000), r.Int64N(100_000)
					x.Down.Bytes += d
					x.Up.Bytes += u
					want[2*i] += d
					want[2*i+1] += u
					x.Carrier = r.IntN(10) > 0
				}
				if k == 50 { // made anew
					readings[0].Up.Bytes = 7
				}
			}
			echoes := []Echo{{Lost: 1}, {Quickest: 1 + time.Duration(r.IntN(1e9)), Answered: 2}}
			if err := c.Take(at, readings, echoes); err != nil {
				t.Fatal(err)
			}
		}
		length, stats := c.Finish()
		tape := trace.Timeline{Meta: trace.Meta{Duration: length, Links: []trace.Link{{Name: "a", Up: true, Down: true}, {Name: "b", Up: true, Down: true}}}, Steps: steps}
		if err := tape.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if stats[1].Resets != 1 || stats[0].Resets != 0 {
			t.Errorf("seed %d: resets %d and %d, want 1 and 0", seed, stats[1].Resets, stats[0].Resets)
		}
		for i, s := range stats {
			var service trace.Service
			var before *trace.Step
			for k := range steps {
				x := &steps[k]
				if x.Link != s.Link || x.Dir.String() != s.Dir {
					continue
				}
				if before != nil {
					service.Add(before.Rate, x.At-before.At)
				}
				before = x
			}
			service.Add(before.Rate, length-before.At)
			if got := service.Bits() / 8; got != s.Bytes {
				t.Errorf("seed %d, %s.%s: %d bytes on the tape, %d counted", seed, s.Link, s.Dir, got, s.Bytes)
			}
			if i != 1 && s.Bytes != want[i] {
				t.Errorf("seed %d, %s.%s: counted %d bytes, want %d", seed, s.Link, s.Dir, s.Bytes, want[i])
			}
		}
		for _, row := range rows {
			label := ""
			switch {
			case !row.Carrier:
				label = LabelDown
			case row.Link == "a":
				label = LabelSilent
			}
			if row.Label != label || (row.RTT < 0) != (row.Link == "a") {
				t.Errorf("seed %d: %+v, want label %q", seed, row, label)
			}
		}
	}
}

func TestCollectorRefuses(t *testing.T) {
	c := NewCollector([]string{"a"}, func([]trace.Step) error { return nil }, nil)
	one, none := []Reading{{}}, []Echo{{}}
	if err := c.Take(0, one, none); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"the same instant":  c.Take(0, one, none),
		"after a long time": c.Take(time.Minute, one, none),
		"another number":    c.Take(time.Second, nil, nil),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A request that comes back as an answer is known; others are not.
func TestEcho(t *testing.T) {
	for _, six := range []bool{false, true} {
		b := appendEcho(nil, six, 7, 0xfeed, 1<<40|5)
		if !six && checksum(b) != 0 {
			t.Errorf("checksum over the message is %#x, want 0", checksum(b))
		}
		if _, ok := parseReply(b, six, false, 0xfeed); ok {
			t.Error("a request was taken for an answer")
		}
		if b[0] = echoReply4; six {
			b[0] = echoReply6
		}
		if n, ok := parseReply(b, six, false, 0xfeed); !ok || n != 1<<40|5 {
			t.Errorf("answer: got %d, %v", n, ok)
		}
		if _, ok := parseReply(b, six, false, 0xbeef); ok {
			t.Error("the answer to somebody else was taken")
		}
		header := append([]byte{0x46}, make([]byte, 23)...)
		if n, ok := parseReply(append(header, b...), six, true, 0xfeed); !ok || n != 1<<40|5 {
			t.Errorf("after an IP header with options: got %d, %v", n, ok)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add(appendEcho(nil, false, 1, 2, 3), false, false)
	f.Add(append([]byte{0x45}, make([]byte, 50)...), false, true)
	f.Fuzz(func(t *testing.T, b []byte, six, header bool) {
		if n, ok := parseReply(b, six, header, 2); ok && len(b) < echoBytes {
			t.Errorf("%d of %d bytes", n, len(b))
		}
	})
}

// Pings are answered once, in time, or lost.
func TestTracker(t *testing.T) {
	k := newTracker(time.Second)
	const s = int64(time.Second)
	for i := range int64(4) {
		k.sent(i * s / 10)
	}
	k.answered(1, s/10+50e6)
	k.answered(1, s/10+60e6) // a duplicate
	k.answered(0, 30e6)
	k.answered(9, s)
	if diff := cmp.Diff(Echo{Quickest: 30e6, Answered: 2}, k.take(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	k.answered(2, 2*s) // too late
	if diff := cmp.Diff(Echo{Lost: 2}, k.take(2*s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Echo{}, k.take(3*s)); diff != "" || len(k.open) > 0 {
		t.Errorf("%d open (-want +got):\n%s", len(k.open), diff)
	}
}

func TestWireless(t *testing.T) {
	const file = `Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0
 wlan1: 0000    0.   80.     0        0      0      0      0      0        0
`
	if diff := cmp.Diff(map[string]float64{"wlan0": -56}, parseWireless(strings.NewReader(file))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseWireless(f *testing.F) {
	f.Add(" wlan0: 0000   54.  -56.  -256\n")
	f.Fuzz(func(t *testing.T, s string) {
		for name, v := range parseWireless(strings.NewReader(s)) {
			if !(v < 0 && v > -200) {
				t.Errorf("%q: %v dBm", name, v)
			}
		}
	})
}

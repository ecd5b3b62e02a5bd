package netsetup

import (
	"strings"
	"testing"
	"time"
)

func TestAppendFQErrors(t *testing.T) {
	good := goldenFQ["departures"]
	for _, c := range []struct {
		name string
		edit func(q *FQ)
		want string
	}{
		{"small quantum", func(q *FQ) { q.QuantumBytes = 255 }, "encode fq: quantum 255 bytes: outside 256 to 1048576"},
		{"quantum", func(q *FQ) { q.QuantumBytes = 1<<20 + 1 }, "encode fq: quantum 1048577 bytes: outside 256 to 1048576"},
		{"initial quantum", func(q *FQ) { q.InitialQuantumBytes = 1<<20 + 1 }, "encode fq: initial quantum 1048577 bytes: outside 0 to 1048576"},
		{"negative horizon", func(q *FQ) { q.Horizon = -1 }, "encode fq: horizon -1ns: outside 0 to 1h11m34.967295s"},
		{"horizon", func(q *FQ) { q.Horizon = (1 << 32) * time.Microsecond }, "encode fq: horizon 1h11m34.967296s: outside 0 to 1h11m34.967295s"},
		{"negative slack", func(q *FQ) { q.TimerSlack = -1 }, "encode fq: timer slack -1ns: outside 0 to 4.294967295s"},
		{"slack", func(q *FQ) { q.TimerSlack = 1 << 32 }, "encode fq: timer slack 4.294967296s: outside 0 to 4.294967295s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := good
			c.edit(&q)
			b, err := AppendFQ([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes written beside the error", len(b)-4)
			}
		})
	}
}

// What is printed for people is what tc was given for the same bytes.
func TestFQCommand(t *testing.T) {
	for _, g := range readGolden(t) {
		name, ok := strings.CutPrefix(g.name, "fq/")
		if !ok {
			continue
		}
		q := goldenFQ[name]
		// Times are spelled in one unit.
		want := strings.NewReplacer("slack 0 ", "slack 0ns ", "slack 10us", "slack 10000ns", "horizon 0 ", "horizon 0us ", "horizon 10s", "horizon 10000000us").
			Replace(g.command[strings.Index(g.command, " fq ")+1:])
		if got := fqCommand(&q); got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
}

// A device's fq holds whatever the program lets in, for as long as a link may delay it,
// lets packets go at once when they are due, and takes the hash that the program sets.
func TestDepartures(t *testing.T) {
	l := DefaultLink("a")
	l.MTU = 9000
	r := l.departures()
	q := r.fq
	if r.handle != handleBottleneck || r.parent != parentRoot || q.LimitPackets < pathLimit || q.FlowLimitPackets < pathLimit ||
		q.QuantumBytes != 9014 || q.InitialQuantumBytes != 9014 || q.Pacing || q.HorizonCap || q.TimerSlack != 0 || q.Horizon < time.Hour || q.OrphanMask < 1 {
		t.Errorf("got %+v", q)
	}
}

// The kernel's ring is the least power of two that holds what is asked for.
func TestWindowSize(t *testing.T) {
	for asked, want := range map[int]int{0: DefaultWindow, 256: 256, 257: 512, 5000: 8192, 8192: 8192, MaxWindow - 1: MaxWindow, MaxWindow: MaxWindow} {
		l := Link{Shaper: ShaperEDT, Window: asked}
		if got := l.window(); got != want {
			t.Errorf("window %d: got %d, want %d", asked, got, want)
		}
	}
}

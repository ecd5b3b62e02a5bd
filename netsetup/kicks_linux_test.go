package netsetup

import (
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// A meter counts what an endpoint does: packets without the frames that have woken
// the queue, those that wait and those that have left.
func TestMeterWithoutKicks(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB} {
		t.Run(string(kind), func(t *testing.T) {
			topology := links("a")
			topology.Links[0].Shaper = kind
			up(t, "run", topology)
			r := opened(t, "run")
			e, _ := endpoints(t, r, "a")
			m, err := r.Meter([]trace.LinkDir{{Link: "a", Dir: trace.Up}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			read := func() (out Reading) {
				t.Helper()
				if err := m.Read(0, false, func(_ int, r *Reading) { out = *r }); err != nil {
					t.Fatal(err)
				}
				return out
			}
			snd, rcv := sockets(t, "run", 0, 0)
			s := stateOf(topology.Links[0])
			at, kicks := time.Duration(0), 0
			apply := func(rate trace.BitRate) {
				t.Helper()
				at += 100 * time.Millisecond
				s.Rate = rate
				a, err := e.Apply(at, 100*time.Millisecond, &s)
				if err != nil {
					t.Fatal(err)
				}
				if a.Kicked {
					kicks++
				}
			}
			const n, size = 20, 1028
			read()
			for i := range 3 {
				apply(0)
				snd.send(i*n, n, size)
				eventually(t, "the packets reach the queue", func() bool { return counters(t, e).BacklogBytes >= n*size })
				apply(trace.Kbit) // for a second and more nothing leaves
				apply(trace.Kbit)
				if got, want := read(), counters(t, e); got.BacklogBytes != want.BacklogBytes || got.BacklogPackets < n {
					t.Errorf("in the queue: got %+v, want %+v", got, want)
				}
				apply(8 * trace.Mbit)
				rcv.want(i*n, n)
				eventually(t, "nothing waits", func() bool { return read().BacklogBytes == 0 })
				if got, want := read().Counters, counters(t, e); got != want {
					t.Errorf("%d kicks: got %+v, want %+v", kicks, got, want)
				}
			}
			if kicks < 3 {
				t.Errorf("%d kicks: the queue was not woken", kicks)
			}
		})
	}
}

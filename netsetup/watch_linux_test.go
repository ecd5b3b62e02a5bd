package netsetup

import (
	"errors"
	"os"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"
)

// A watcher sees what a replay does to the links, beside it, and when the run
// goes. It leaves the record alone and nothing behind.
func TestWatch(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	unchanged(t)
	topology := links("a", "b")
	topology.Links[1].Shaper = ShaperHTB
	topology.Links[0].Rate, topology.Links[1].Rate = 8*trace.Mbit, 16*trace.Mbit
	topology.Links[0].Queue.LimitBytes = 30000
	up(t, "run", topology)
	r := opened(t, "run") // it holds the run as a replay does
	upward, downward := endpoints(t, r, "a")
	recorded, err := os.ReadFile(recordFile("run"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := Watch("run")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sample := func() []Sample {
		t.Helper()
		s, err := w.Sample()
		if err != nil {
			t.Fatal(err)
		}
		if len(s) != 4 || s[0].Link != "a" || s[0].Dir != "up" || s[1].Dir != "down" || s[2].Link != "b" {
			t.Fatalf("%+v", s)
		}
		return s
	}
	first := sample()
	if s := first[0]; s.Run != "run" || s.Rate != 8*trace.Mbit || s.LimitBytes != 30000 || !s.Carrier || s.Replaying || s.Interval != 0 || s.Throughput != 0 {
		t.Errorf("first: %+v", s)
	}
	if s := first[3]; s.Rate != 16*trace.Mbit {
		t.Errorf("htb: %+v", s)
	}

	// A stalled link holds what comes, drops the rest, and no delay is known.
	state := stateOf(topology.Links[0])
	state.Rate = 0
	if _, err := upward.Apply(0, time.Second, &state); err != nil {
		t.Fatal(err)
	}
	snd, rcv := sockets(t, "run", 0, 0)
	const n, size = 40, 1000
	snd.send(0, n, size)
	var s Sample
	var drops uint32 // an interval's drops add up to all
	eventually(t, "the packets meet the queue", func() bool {
		s = sample()[0]
		drops += s.IntervalDrops
		return int(s.BacklogBytes)/size+int(s.Drops-first[0].Drops) >= n
	})
	s = sample()[0] // of a time in which nothing left
	drops += s.IntervalDrops
	if s.Rate != 0 || s.QueueDelay != nil || s.BacklogBytes > 30000 || drops != s.Drops-first[0].Drops || drops < n-30 {
		t.Errorf("stalled: %+v, %d drops", s, drops)
	}
	// It opens, and all of the queue leaves.
	state.Rate = 8 * trace.Mbit
	if _, err := upward.Apply(time.Second, time.Second, &state); err != nil {
		t.Fatal(err)
	}
	rcv.want(0, int(s.BacklogBytes)/size)
	eventually(t, "the queue is empty", func() bool { s = sample()[0]; return s.BacklogBytes == 0 })
	if got := s.Bytes - first[0].Bytes; got < 28*size || s.QueueDelay == nil || *s.QueueDelay != 0 {
		t.Errorf("opened: %+v, %d bytes delivered", s, got)
	}
	// The carrier goes and comes.
	for _, carrier := range []bool{false, true} {
		state.Carrier = carrier
		for _, e := range []*Endpoint{upward, downward} {
			if _, err := e.Apply(2*time.Second, time.Second, &state); err != nil {
				t.Fatal(err)
			}
		}
		if got := sample(); got[0].Carrier != carrier || got[1].Carrier != carrier || !got[2].Carrier {
			t.Errorf("carrier %v: %+v", carrier, got)
		}
	}
	if now, err := os.ReadFile(recordFile("run")); err != nil || string(now) != string(recorded) {
		t.Errorf("the record changed: %v", err)
	}
	if err := r.BeginReplay(); err != nil {
		t.Fatal(err)
	}
	if !sample()[3].Replaying {
		t.Error("a replay is on, and not seen")
	}
	r.Close()

	// The run goes; one of the same name is another.
	if w.Gone() {
		t.Error("gone too early")
	}
	if err := Down("run", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sample(); !errors.Is(err, ErrGone) || !w.Gone() {
		t.Errorf("after down: %v", err)
	}
	up(t, "run", topology)
	if _, err := w.Sample(); !errors.Is(err, ErrGone) || !w.Gone() {
		t.Errorf("after another up: %v", err)
	}
	rewrite(t, "run", func(r *record) { r.Complete = false })
	_, err = Watch("run")
	wantError(t, err, "run run is being built, or was left half-built: see linkup status run")
}

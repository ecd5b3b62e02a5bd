package netsetup

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linktape/trace"
)

// prepare makes the messages of a step.
func prepare(t testing.TB, e *Endpoint, at time.Duration, s *trace.State) {
	t.Helper()
	if err := e.Prepare(at, 100*time.Millisecond, s); err != nil {
		t.Fatal(err)
	}
}

func commit(t testing.TB, e *Endpoint) Applied {
	t.Helper()
	a, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Both directions of a link go out in one system call, each with its own
// counters and its own messages.
func TestStagedTogether(t *testing.T) {
	for _, kind := range []ShaperKind{ShaperTBF, ShaperHTB, ShaperCAKE} {
		w, up, down := fakeLink(kind, true)
		s := stateOf(DefaultLink("a"))
		apply(t, up, 0, &s)
		apply(t, down, 0, &s)
		w.batches, w.sent = 0, nil
		w.info = QdiscInfo{Bytes: 4000, Packets: 4}
		fast, slow := s, s
		fast.Rate, slow.Rate, slow.Loss = 7*trace.Mbit, 5*trace.Mbit, 0.25
		prepare(t, down, 1, &slow)
		prepare(t, up, 1, &fast)
		if w.batches != 0 {
			t.Fatalf("%s: sent before it was committed", kind)
		}
		first := commit(t, down)
		if w.batches != 1 || first.Shared || first.Bytes != 4000 {
			t.Errorf("%s: first: %+v in %d calls", kind, first, w.batches)
		}
		second := commit(t, up)
		if w.batches != 1 || !second.Shared || second.Bytes != 4000 {
			t.Errorf("%s: second: %+v in %d calls", kind, second, w.batches)
		}
		if n := len(w.sent); n != first.Messages+second.Messages {
			t.Errorf("%s: sent %d messages, said %d and %d", kind, n, first.Messages, second.Messages)
		}
		if kind == ShaperTBF {
			wantTypes(t, w, "tbf 1 on 2, read", "netem 10 on 4, ack", "tbf 1 on 1, read")
		}
		w.sent = nil
		// Alone again.
		fast.Rate++
		prepare(t, up, 2, &fast)
		if a := commit(t, up); a.Shared || w.batches != 2 {
			t.Errorf("%s: alone: %+v in %d calls", kind, a, w.batches)
		}
	}
}

// A refusal is of the direction whose message it was, with the kernel's words.
func TestStagedRefused(t *testing.T) {
	for _, c := range []struct {
		kind      string
		up, down  bool // refused
		lossUp    trace.Prob
		lossDown  trace.Prob
		wantCalls int
	}{
		{"netem", true, false, 0.5, 0, 1},
		{"netem", false, true, 0, 0.5, 1},
		{"tbf", true, true, 0, 0, 1},
	} {
		w, up, down := fakeLink(ShaperTBF, true)
		s := stateOf(DefaultLink("a"))
		apply(t, up, 0, &s)
		apply(t, down, 0, &s)
		w.batches = 0
		w.refuse, w.kind, w.errno, w.text = rtmNewQdisc, c.kind, syscall.EINVAL, "not today"
		a, b := s, s
		a.Loss, b.Loss = c.lossUp, c.lossDown
		prepare(t, up, 1, &a)
		prepare(t, down, 1, &b)
		for _, d := range []struct {
			e    *Endpoint
			want bool
		}{{up, c.up}, {down, c.down}} {
			_, err := d.e.Commit()
			var k *KernelError
			if got := errors.As(err, &k); got != d.want {
				t.Errorf("%s: %v: got error %v, want one: %v", c.kind, d.e.LinkDir, err, d.want)
			} else if got && (k.Text != "not today" || !strings.Contains(err.Error(), "set "+d.e.LinkDir.String()+" to rate ")) {
				t.Errorf("%s: says %q", c.kind, err)
			}
		}
		if w.batches != c.wantCalls {
			t.Errorf("%s: %d calls", c.kind, w.batches)
		}
		// What was refused is told anew as a whole, what was taken is known.
		w.refuse, w.sent = 0, nil
		apply(t, up, 2, &a)
		if got := strings.Contains(strings.Join(w.types(t), " "), "netem"); got != c.up {
			t.Errorf("%s: up told anew: %v", c.kind, got)
		}
	}

	// Silence is an error of both.
	w, up, down := fakeLink(ShaperTBF, false)
	s := stateOf(DefaultLink("a"))
	w.silent = true
	prepare(t, up, 1, &s)
	prepare(t, down, 1, &s)
	for _, e := range []*Endpoint{up, down} {
		if _, err := e.Commit(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v: got error %v", e.LinkDir, err)
		}
	}
}

// What is given up is not sent, and what comes next tells everything, since the
// endpoint took it as told.
func TestStagedCancel(t *testing.T) {
	w, up, down := fakeLink(ShaperTBF, false)
	s := stateOf(DefaultLink("a"))
	apply(t, up, 0, &s)
	apply(t, down, 0, &s)
	w.sent, w.batches = nil, 0
	off := s
	off.Carrier = false
	prepare(t, up, 1, &off)
	prepare(t, down, 1, &s)
	down.Cancel()
	up.Cancel()
	if _, err := up.Commit(); err == nil || w.batches != 0 {
		t.Errorf("a step that was given up: error %v, %d calls", err, w.batches)
	}
	apply(t, up, 2, &s)
	wantTypes(t, w, "tbf 1 on 1", "link 1 up true", "link 2 up true", "link 5 up true", "neighbour on 5", "neighbour on 5", "read")
	down.Cancel() // nothing to give up
	apply(t, down, 2, &s)
	wantTypes(t, w, "tbf 1 on 2, read")

	prepare(t, up, 3, &s)
	if err := up.Prepare(4, 0, &s); err == nil || !strings.Contains(err.Error(), "not sent yet") {
		t.Errorf("prepared twice: got error %v", err)
	}
	if a := commit(t, up); a.Messages != 1 {
		t.Errorf("got %+v", a)
	}
	// What cannot be encoded leaves the other direction's messages alone.
	w, up, down = fakeLink(ShaperTBF, true)
	prepare(t, up, 0, &s)
	bad := s
	bad.Jitter = time.Hour
	if err := down.Prepare(0, 0, &bad); err == nil {
		t.Error("a jitter of an hour was taken")
	}
	if a := commit(t, up); a.Messages != 9 || len(w.sent) != 9 {
		t.Errorf("got %+v, sent %d", a, len(w.sent))
	}
}

// Steps in two parts do not allocate either.
func TestStagedAllocs(t *testing.T) {
	w, up, down := fakeLink(ShaperTBF, true)
	w.record = false
	s := stateOf(DefaultLink("a"))
	at := time.Duration(0)
	step := func() {
		at += time.Millisecond
		s.Rate += trace.Kbit
		s.Delay = at % time.Second
		prepare(t, down, at, &s)
		prepare(t, up, at, &s)
		commit(t, down)
		commit(t, up)
	}
	for range 10 {
		step()
	}
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("%v allocations for two steps", got)
	}
}

// Of an idle queue the counters are read at every other step, where steps are
// short; of a backlogged one at each, and wherever the queue may be left asleep.
func TestStagedUnread(t *testing.T) {
	const step = 10 * time.Millisecond
	for _, c := range []struct {
		name    string
		edit    func(l *Link)
		step    time.Duration
		rate    trace.BitRate
		backlog uint32
		stall   bool // the step before the last two
		want    []bool
	}{
		{"idle", func(*Link) {}, step, 5 * trace.Mbit, 0, false, []bool{false, true, false, true, false, true}},
		{"htb", func(l *Link) { l.UseShaper(ShaperHTB) }, step, 50 * trace.Mbit, 0, false, []bool{false, true, false, true, false, true}},
		{"backlogged", func(*Link) {}, step, 5 * trace.Mbit, 1500, false, make([]bool, 6)},
		{"long steps", func(*Link) {}, 13 * time.Millisecond, 5 * trace.Mbit, 0, false, make([]bool, 6)},
		{"a packet a step", func(*Link) {}, step, trace.Mbit, 0, false, make([]bool, 6)},
		{"after a stall", func(*Link) {}, step, 5 * trace.Mbit, 0, true, []bool{false, true, false, true, false, false}},
		{"codel", func(l *Link) { l.Queue.Kind = CoDel }, step, 5 * trace.Mbit, 0, false, make([]bool, 6)},
		{"one device", func(l *Link) { l.Tree = TreeNested }, step, 5 * trace.Mbit, 0, false, make([]bool, 6)},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := DefaultLink("a")
			c.edit(&l)
			w, up, _ := fakeLinkOf(l, false)
			s := stateOf(l)
			var got []bool
			for i := range len(c.want) {
				w.info = QdiscInfo{Bytes: uint64(1000 * i), BacklogBytes: c.backlog}
				s.Rate = c.rate
				if c.stall && i == len(c.want)-2 {
					s.Rate = 0
				}
				w.sent = nil
				a, err := up.Apply(time.Duration(i)*c.step, c.step, &s)
				if err != nil {
					t.Fatal(err)
				}
				asked := strings.Contains(strings.Join(w.types(t), " "), "read")
				if asked == a.Carried {
					t.Errorf("step %d: carried %v, and asked for the counters %v", i, a.Carried, asked)
				}
				if want := uint64(1000 * i); c.backlog > 0 {
					// The kicks are taken out of the counters.
				} else if !a.Carried && a.Bytes != want || a.Carried && a.Bytes != want-1000 {
					t.Errorf("step %d: %d bytes, carried %v", i, a.Bytes, a.Carried)
				}
				got = append(got, a.Carried)
			}
			if c.stall { // the stall itself may go without, but not what ends it
				got[len(got)-2] = false
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("carried\n got %v\nwant %v", got, c.want)
			}
		})
	}

	// What is not asked to be answered is refused all the same, by the direction
	// whose step it was; the other direction of the call is not concerned.
	w, up, down := fakeLink(ShaperTBF, false)
	s := stateOf(DefaultLink("a"))
	both := func(at time.Duration) {
		t.Helper()
		for _, e := range []*Endpoint{up, down} {
			if err := e.Prepare(at, step, &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	both(0)
	commit(t, up)
	commit(t, down)
	w.batches, w.sent = 0, nil
	both(step)
	w.refuse, w.kind, w.errno, w.text, w.ifindex = rtmNewQdisc, "tbf", syscall.EINVAL, "not today", 2
	if a := commit(t, up); !a.Carried || w.batches != 1 {
		t.Errorf("got %+v in %d calls", a, w.batches)
	}
	var k *KernelError
	if _, err := down.Commit(); !errors.As(err, &k) || k.Text != "not today" || !strings.Contains(err.Error(), "set a.down") {
		t.Errorf("a refusal that was not asked for: got error %v", err)
	}
	wantTypes(t, w, "tbf 1 on 1", "tbf 1 on 2")
	w.refuse = 0
	both(2 * step)
	if a, b := commit(t, up), commit(t, down); a.Carried || b.Carried || a.Messages < 5 {
		t.Errorf("after a refusal: %+v and %+v", a, b)
	}
	// One direction reads, the other does not: each way round.
	w.info.BacklogBytes = 1500
	both(4 * step)
	commit(t, up)
	commit(t, down)
	for i := range 4 {
		up.last.BacklogBytes, down.last.BacklogBytes = 0, 0
		down.shaper.budget.backlogged = i%2 == 0
		up.shaper.budget.backlogged = !down.shaper.budget.backlogged
		up.steps, down.steps = 1, 1
		w.info.Bytes += 1000
		both(time.Duration(5+i) * step)
		if a, b := commit(t, up), commit(t, down); a.Carried == b.Carried || max(a.Bytes, b.Bytes) != w.info.Bytes {
			t.Errorf("turn %d: %+v and %+v", i, a, b)
		}
	}
	// Counters that are asked for and do not come.
	up.last.BacklogBytes, down.last.BacklogBytes = 0, 0
	down.shaper.budget.backlogged, up.shaper.budget.backlogged = false, true
	up.steps, down.steps = 1, 1
	both(9 * step)
	w.silent = true
	if _, err := up.Commit(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got error %v", err)
	}
}

// A grant that is given up has not been made: what the link was owed before is
// owed again, and the step in force is settled as what it was.
func TestStagedCancelKeepsGrants(t *testing.T) {
	_, up, _ := fakeLink(ShaperTBF, false)
	s := stateOf(DefaultLink("a"))
	apply(t, up, 0, &s)
	up.shaper.budget.owed, up.shaper.budget.credit = 700, 90
	budget, grant := up.shaper.budget, up.shaper.grant
	slow := s
	slow.Rate = trace.Kbit
	prepare(t, up, 1, &slow)
	if up.shaper.budget == budget || up.shaper.grant == grant {
		t.Fatal("the step was not granted anything")
	}
	up.Cancel()
	if up.shaper.budget != budget || up.shaper.grant != grant {
		t.Errorf("got budget %+v, grant %+v; want %+v, %+v", up.shaper.budget, up.shaper.grant, budget, grant)
	}
}

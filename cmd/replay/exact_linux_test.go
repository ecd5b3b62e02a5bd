package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"linktape/edt"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace"
	"linktape/trace/convert"
	"linktape/trace/edit"
)

const (
	exactRun    = "exact"
	exactLink   = "a"
	exactLength = 6 * time.Second
)

// wander is a tape of one link whose rate wanders every step; each may change what
// else a state says.
func wander(seed uint64, step time.Duration, mean trace.BitRate, change func(rng *rand.Rand, i int, s *trace.State)) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: exactLength, Seed: seed, Links: []trace.Link{{Name: exactLink, Up: true, Down: true}}}}
	rng := rand.New(rand.NewPCG(seed, 1))
	var at [2]float64
	for i := 0; time.Duration(i)*step < exactLength; i++ {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			at[d] = 0.98*at[d] + 0.2*rng.NormFloat64()
			s := trace.State{Rate: trace.BitRate(float64(mean) * math.Exp(at[d])), Delay: 20 * time.Millisecond, Carrier: true}
			if change != nil {
				change(rng, i, &s)
			}
			tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * step, Link: exactLink, Dir: d, State: s})
		}
	}
	return tl
}

// opportunities is a tape of one link of Mahimahi's kind: bytes of a packet at once in
// some of the milliseconds, and nothing else.
func opportunities(seed uint64) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: exactLength, Seed: seed, Links: []trace.Link{{Name: exactLink, Up: true, Down: true}}}}
	rng := rand.New(rand.NewPCG(seed, 1))
	const pulse = time.Microsecond
	add := func(at time.Duration, rate trace.BitRate) {
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			tl.Steps = append(tl.Steps, trace.Step{At: at, Link: exactLink, Dir: d, State: trace.State{Rate: rate, Delay: 5 * time.Millisecond, Carrier: true}})
		}
	}
	add(0, 0)
	for at := time.Millisecond; at < exactLength; at += time.Millisecond {
		if n := rng.IntN(5); n > 2 || at == time.Millisecond {
			add(at, trace.BitRate(1+rng.IntN(3))*12*trace.Gbit)
			add(at+pulse, 0)
		}
	}
	return tl
}

// What the kernel does to each packet is what the model says of it: fate, order and,
// but for the timer's slack, the instant.
func TestExact(t *testing.T) {
	privtest.Require(t, "lab", "edt")
	stalls := func(rng *rand.Rand, i int, s *trace.State) {
		if i%100 < 20 {
			s.Rate = 0
		}
	}
	for _, c := range []struct {
		name  string
		tape  *trace.Timeline
		queue trace.Queue
		ipv6  bool
		over  bool // packets overtake
	}{
		{"rates", wander(1, 10*time.Millisecond, 5*trace.Mbit, nil), trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}, false, false},
		{"queue in time", wander(2, 100*time.Millisecond, 8*trace.Mbit, nil), trace.Queue{Kind: trace.DropTail, LimitTime: 50 * time.Millisecond}, true, false},
		{"stalls", wander(3, 20*time.Millisecond, 5*trace.Mbit, stalls), trace.Queue{Kind: trace.DropTail, LimitBytes: 150_000}, false, false},
		{"carrier", wander(4, 10*time.Millisecond, 5*trace.Mbit, func(_ *rand.Rand, i int, s *trace.State) { s.Carrier = i%200 < 150 }), trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}, false, false},
		{"loss and jitter", wander(5, 50*time.Millisecond, 5*trace.Mbit, func(rng *rand.Rand, i int, s *trace.State) {
			s.Jitter = 5 * time.Millisecond
			if s.Loss = 0.03; i%3 == 0 {
				s.Loss, s.GE = 0, trace.GE{P: 0.02, R: 0.3, LossBad: 0.9, LossGood: 0.001}
			}
		}), trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}, false, false},
		{"overtaking", wander(6, 50*time.Millisecond, 5*trace.Mbit, func(_ *rand.Rand, _ int, s *trace.State) { s.Jitter = 8 * time.Millisecond }), trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}, true, true},
		{"opportunities", opportunities(7), trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tape.Meta.Links[0].Overtake = c.over
			for i := range c.tape.Meta.Links {
				c.tape.Meta.Links[i].Queue = &c.queue
			}
			got := playExactly(t, c.tape, c.queue, c.ipv6, c.over)
			for d, f := range got.flows {
				judgeExactly(t, got.file, c.queue, gone(c.tape, trace.Direction(d)), trace.LinkDir{Link: exactLink, Dir: trace.Direction(d)}, got.epoch, f)
			}
		})
	}
}

// The same of eight seconds of each field trace, with steps and at its own grain.
func TestExactField(t *testing.T) {
	privtest.Require(t, "lab", "edt")
	dir := os.Getenv("LINKTAPE_FIELD")
	if dir == "" {
		t.Skip("part of make field only: set LINKTAPE_FIELD")
	}
	queue := trace.Queue{Kind: trace.DropTail, LimitBytes: 60_000}
	for _, name := range []string{"ATT-LTE-driving-2016", "Verizon-LTE-short", "TMobile-LTE-short"} {
		for _, o := range []convert.ImportOptions{{Step: 10 * time.Millisecond}, {Opportunities: true}} {
			t.Run(fmt.Sprintf("%s in %v", name, o.Step), func(t *testing.T) {
				var inputs []convert.Input
				for _, d := range []trace.Direction{trace.Down, trace.Up} {
					file := filepath.Join(dir, name+"."+d.String())
					f, err := os.Open(file)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					res, err := convert.Import("mahimahi", f, file, o)
					if err != nil {
						t.Fatal(err)
					}
					inputs = append(inputs, convert.Input{LinkDir: trace.LinkDir{Link: exactLink, Dir: d}, Result: res})
				}
				meta, steps, err := convert.Merge(inputs, convert.MergeOptions{Fit: convert.FitShortest})
				if err != nil {
					t.Fatal(err)
				}
				tl := &trace.Timeline{Meta: meta}
				tl.Meta.Duration, tl.Meta.Links[0].Queue = 8*time.Second, &queue
				for s := range steps {
					if s.At < tl.Meta.Duration {
						tl.Steps = append(tl.Steps, s)
					}
				}
				got := playExactly(t, tl, queue, false, false)
				for d, f := range got.flows {
					judgeExactly(t, got.file, queue, nil, trace.LinkDir{Link: exactLink, Dir: trace.Direction(d)}, got.epoch, f)
				}
			})
		}
	}
}

// flow is what a direction was sent and what of it arrived.
type flow struct {
	sent    []replay.Arrival // instants of CLOCK_MONOTONIC
	number  []int            // of what arrived, in order
	arrived []time.Duration  // the same
	offset  time.Duration    // of the wall clock
}

type exactPlay struct {
	file  string
	epoch time.Duration // on CLOCK_MONOTONIC
	flows [2]*flow
}

// playExactly plays a tape onto a link with backend edt, both of whose directions are
// under load.
func playExactly(t *testing.T, tl *trace.Timeline, queue trace.Queue, ipv6, overtake bool) exactPlay {
	t.Helper()
	file := filepath.Join(t.TempDir(), "exact.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	at := clock(unix.CLOCK_MONOTONIC) + 2*time.Second
	player := exactly(t, file, queue, overtake, at)
	play := exactPlay{file: file}
	loaded := make(chan error, 2)
	for d := range play.flows {
		play.flows[d] = new(flow)
		go func() { loaded <- play.flows[d].load(trace.Direction(d), ipv6, at, tl.Meta.Duration) }()
	}
	sum, err := player.Run(t.Context(), replay.NewMonotonic(replay.DefaultSpin), nil)
	if err := errors.Join(err, <-loaded, <-loaded); err != nil {
		t.Fatal(err)
	}
	if sum.Beyond != 0 || sum.Joined != 0 || sum.ReadBack == nil || sum.ReadBack.Same == 0 || sum.ReadBack.Differ != 0 {
		t.Errorf("summary: %d packets beyond the tape, joined %v, read back %+v", sum.Beyond, sum.Joined, sum.ReadBack)
	}
	play.epoch = player.Epoch()
	return play
}

// exactly builds a link with backend edt and prepares to play a tape onto it from an
// instant of CLOCK_MONOTONIC on. All of it goes with the test.
func exactly(t *testing.T, file string, queue trace.Queue, overtake bool, at time.Duration) *replay.Player {
	t.Helper()
	tape, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tape.Close() })
	features, _, err := netsetup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	l := netsetup.DefaultLink(exactLink)
	l.UseShaper(netsetup.ShaperEDT)
	l.Queue, l.Impair.Overtake = queue, overtake
	plan, err := netsetup.NewPlan(exactRun, &netsetup.Topology{Links: []netsetup.Link{l}}, features)
	if err != nil {
		t.Fatal(err)
	}
	if err := netsetup.Up(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netsetup.Down(exactRun, true); err != nil {
			t.Error(err)
		}
	})
	run, err := netsetup.Open(exactRun)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	})
	begin := replay.TriggerFunc(func(context.Context) (replay.Event, error) {
		sleepUntil(at)
		return replay.Event{What: "begin"}, nil
	})
	player, err := replay.New(t.Context(), tape, replay.OnRun(run), replay.Options{Trigger: begin, Record: replay.Recording{Dir: t.TempDir(), Counters: 100 * time.Millisecond, ReadBack: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return player
}

// load sends packets of many sizes in bursts and gaps, more than the link carries in
// some seconds and less in others, and takes what arrives.
func (f *flow) load(d trace.Direction, ipv6 bool, start, length time.Duration) error {
	headers := 28
	if ipv6 {
		headers = 48
	}
	out, in, to, err := sockets(d, ipv6)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	defer unix.Close(in)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f.offset = clock(unix.CLOCK_REALTIME) - clock(unix.CLOCK_MONOTONIC)
	rng := rand.New(rand.NewPCG(uint64(d), 7))
	buf := make([]byte, 2048)
	at := start + 3*time.Millisecond + time.Duration(rng.IntN(1000))
	for at < start+length-2*time.Second {
		// Not where steps begin: there the replay's thread looks at the clock, too,
		// which in virtual time lets some pass between this one's look and its packet.
		if in := (at - start) % time.Millisecond; in < 50*time.Microsecond || in > 850*time.Microsecond {
			at += 250 * time.Microsecond
		}
		sleepUntil(at)
		for range 1 + rng.IntN(8)*rng.IntN(2) {
			size := 60 + rng.IntN(1441)
			binary.NativeEndian.PutUint32(buf, uint32(len(f.sent)))
			// In virtual time a look at the clock is what lets time pass: this is the
			// instant that the program sees.
			now := clock(unix.CLOCK_MONOTONIC)
			if err := unix.Sendto(out, buf[:size-headers], 0, to); err != nil && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.ENETDOWN) {
				return err
			}
			f.sent = append(f.sent, replay.Arrival{At: now, Bytes: size})
		}
		gap := rng.ExpFloat64() * 4e6
		if (at-start)/time.Second%2 == 0 {
			gap /= 3
		}
		at += time.Duration(gap) + 1
		if err := f.take(in, buf); err != nil {
			return err
		}
	}
	sleepUntil(start + length - 10*time.Millisecond)
	return f.take(in, buf)
}

// take reads what has arrived.
func (f *flow) take(in int, buf []byte) error {
	control := make([]byte, 128)
	for {
		n, k, _, _, err := unix.Recvmsg(in, buf, control, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return err
		case n < 4:
			return errors.New("a short packet arrived")
		}
		messages, err := unix.ParseSocketControlMessage(control[:k])
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS {
				f.number = append(f.number, int(binary.NativeEndian.Uint32(buf)))
				f.arrived = append(f.arrived, time.Duration((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano())-f.offset)
			}
		}
	}
}

// sockets opens a socket at each end of the link, to send in a direction.
func sockets(d trace.Direction, ipv6 bool) (out, in int, to unix.Sockaddr, err error) {
	a, family := netsetup.LinkAddresses(0), 0
	if ipv6 {
		family = 1
	}
	from, at, source, sink := a.Sender[family].Addr(), a.Receiver[family].Addr(), netsetup.SenderEnd, netsetup.ReceiverEnd
	if d == trace.Down {
		from, at, source, sink = at, from, sink, source
	}
	if out, err = datagrams(source, from, d); err != nil {
		return 0, 0, nil, err
	}
	if in, err = datagrams(sink, at, d); err != nil {
		unix.Close(out)
		return 0, 0, nil, err
	}
	return out, in, sockaddr(at, d), nil
}

// datagrams opens a socket in a part of the run.
func datagrams(part string, addr netip.Addr, d trace.Direction) (fd int, err error) {
	err = netsetup.Within(exactRun, part, func() (err error) {
		domain := unix.AF_INET
		if addr.Is6() {
			domain = unix.AF_INET6
		}
		if fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64<<20),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.Bind(fd, sockaddr(addr, d)))
	})
	return fd, err
}

func sockaddr(a netip.Addr, d trace.Direction) unix.Sockaddr {
	port := 5005 + int(d)
	if a.Is6() {
		return &unix.SockaddrInet6{Port: port, Addr: a.As16()}
	}
	return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
}

func clock(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(err) // it is there on every kernel
	}
	return time.Duration(ts.Nano())
}

func sleepUntil(at time.Duration) {
	ts := unix.NsecToTimespec(int64(at))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// gone are the instants at which what is on its way in a direction is lost with the
// interface: the sender's.
func gone(tl *trace.Timeline, d trace.Direction) (at []time.Duration) {
	had := true
	for _, s := range tl.Steps {
		if d == trace.Down && s.Dir == d && had && !s.Carrier {
			at = append(at, s.At)
		}
		had = s.Carrier
	}
	return at
}

// judgeExactly compares a direction with the model.
func judgeExactly(t *testing.T, file string, queue trace.Queue, gone []time.Duration, ld trace.LinkDir, epoch time.Duration, f *flow) {
	t.Helper()
	tape, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	next := 0
	var want []time.Duration // of what arrives, in the order of their numbers
	var numbers []int
	seen := make(map[edt.Fate]int)
	_, err = replay.Simulate(context.Background(), tape, func() (replay.Arrival, error) {
		if next == len(f.sent) {
			return replay.Arrival{}, io.EOF
		}
		a := f.sent[next]
		a.At -= epoch
		next++
		return a, nil
	}, replay.SimulateOptions{
		Only: []trace.LinkDir{ld}, Queue: &queue,
		Each: func(_ trace.LinkDir, number int64, a replay.Arrival, v edt.Verdict) error {
			seen[v.Fate]++
			lost := slices.ContainsFunc(gone, func(at time.Duration) bool { return a.At < at && at <= v.Arrived })
			if v.Fate == edt.Delivered && !lost {
				numbers, want = append(numbers, int(number)), append(want, v.Arrived)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	order := make([]int, len(want))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(want[a] - want[b]) })
	mismatches := 0
	var late []time.Duration
	for i, k := range order {
		switch {
		case i >= len(f.number) || f.number[i] != numbers[k]:
			if mismatches++; mismatches <= 3 && i < len(f.number) {
				t.Errorf("%v: packet %d arrived as number %d at %v, want packet %d at %v", ld, f.number[i], i, f.arrived[i]-epoch, numbers[k], want[k])
			}
		default:
			d := f.arrived[i] - epoch - want[k]
			late = append(late, max(d, -d))
		}
	}
	slices.Sort(late)
	if len(late) == 0 {
		t.Fatalf("%v: nothing arrived of %d packets", ld, len(f.sent))
	}
	at := func(p float64) time.Duration { return late[int(p*float64(len(late)-1))] }
	t.Logf("%v: %d packets sent, fates %v; %d arrived, off the model by %v (p50), %v (p99), %v (p99.9), %v (most)",
		ld, len(f.sent), seen, len(f.number), at(0.5), at(0.99), at(0.999), late[len(late)-1])
	if mismatches > 0 || len(f.number) != len(want) {
		t.Errorf("%v: %d mismatches, %d packets arrived, want %d", ld, mismatches, len(f.number), len(want))
	}
	if at(0.999) > 10*time.Microsecond {
		t.Errorf("%v: off the model by %v at p99.9", ld, at(0.999))
	}
}

// What is done by hand changes what comes after it: a pause, a skip, a cut and its end.
func TestExactByHand(t *testing.T) {
	privtest.Require(t, "lab", "edt")
	const steps = 12
	tl := &trace.Timeline{Meta: trace.Meta{Duration: steps * time.Second, Links: []trace.Link{{Name: exactLink, Up: true}}}}
	rate := func(tape time.Duration) trace.BitRate { return trace.BitRate(1+tape/time.Second) * trace.Mbit }
	for i := range time.Duration(steps) {
		tl.Steps = append(tl.Steps, trace.Step{At: i * time.Second, Link: exactLink, Dir: trace.Up, State: trace.State{Rate: rate(i * time.Second), Carrier: true}})
	}
	file := filepath.Join(t.TempDir(), "exact.tape")
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
	at := clock(unix.CLOCK_MONOTONIC) + 2*time.Second
	player := exactly(t, file, trace.Queue{Kind: trace.DropTail, LimitBytes: 6000}, false, at)
	f, loaded := new(flow), make(chan error, 1)
	const length = 13 * time.Second
	go func() { loaded <- f.saturate(at, length) }()
	acted := make(chan error, 1)
	var acts []replay.Act
	go func() {
		acted <- func() error {
			for _, x := range []struct {
				at time.Duration
				do func() (replay.Act, error)
			}{
				{2500 * time.Millisecond, player.Pause},
				{5 * time.Second, player.Resume},
				{7300 * time.Millisecond, func() (replay.Act, error) { return player.SkipTo(1200 * time.Millisecond) }},
				{9 * time.Second, func() (replay.Act, error) { return player.Cut(exactLink, edit.DropBoth) }},
				{10500 * time.Millisecond, func() (replay.Act, error) { return player.Restore(exactLink) }},
			} {
				sleepUntil(at + x.at)
				a, err := x.do()
				if err != nil {
					return err
				}
				acts = append(acts, a)
			}
			sleepUntil(at + length)
			_, err := player.Stop()
			return err
		}()
	}()
	sum, err := player.Run(t.Context(), replay.NewMonotonic(replay.DefaultSpin), nil)
	if err := errors.Join(err, <-loaded, <-acted); err != nil {
		t.Fatal(err)
	}
	if sum.Acts != 6 || sum.ReadBack.Differ != 0 || sum.ReadBack.Same == 0 {
		t.Errorf("%d acts, read back %+v", sum.Acts, sum.ReadBack)
	}

	// By the acts, what each millisecond allowed.
	const bin = 250 * time.Millisecond
	var want, got [length / bin]float64
	next, shift, paused, cut := 0, time.Duration(0), time.Duration(-1), false
	for now := time.Duration(0); now < length; now += time.Millisecond {
		for ; next < len(acts) && acts[next].At <= now; next++ {
			switch a := acts[next]; a.Verb {
			case replay.Pause:
				paused = a.At - shift
			case replay.Resume:
				shift, paused = a.At-paused, -1
			case replay.Skip:
				shift = a.At - a.Tape
			case replay.Cut, replay.RestoreLink:
				cut = a.Verb == replay.Cut
			}
		}
		tape := now - shift
		if paused >= 0 {
			tape = paused
		}
		if !cut {
			want[now/bin] += float64(rate(tape)) / 8e3
		}
	}
	epoch := player.Epoch()
	for i, k := range f.number {
		if at := f.arrived[i] - epoch; at >= 0 && at < length {
			got[at/bin] += float64(f.sent[k].Bytes)
		}
	}
	for i := range want { // the queue keeps its times: at most all of it is elsewhere
		if math.Abs(got[i]-want[i]) > 2*6000 {
			t.Errorf("from %v: %.0f bytes arrived, the tape as it was played allowed %.0f", time.Duration(i)*bin, got[i], want[i])
		}
	}
	t.Logf("bytes in bins of %v: %.0f, want %.0f", bin, got, want)
}

// saturate sends more than any tape of the test carries.
func (f *flow) saturate(start, length time.Duration) error {
	out, in, to, err := sockets(trace.Up, false)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	defer unix.Close(in)
	const size = 1000
	f.offset = clock(unix.CLOCK_REALTIME) - clock(unix.CLOCK_MONOTONIC)
	buf := make([]byte, 2048)
	for at := start; at < start+length; at += time.Millisecond / 2 {
		sleepUntil(at)
		binary.NativeEndian.PutUint32(buf, uint32(len(f.sent)))
		if err := unix.Sendto(out, buf[:size-28], 0, to); err != nil && !errors.Is(err, unix.ENETUNREACH) {
			return err
		}
		f.sent = append(f.sent, replay.Arrival{At: at, Bytes: size})
		if err := f.take(in, buf); err != nil {
			return err
		}
	}
	return nil
}

// Which packets are lost is a function of tape, seed and number, in every run and on
// every kernel: each of them gives what the model says.
func TestExactLosses(t *testing.T) {
	privtest.Require(t, "edt")
	const (
		packets = 1000
		gap     = 500 * time.Microsecond
		length  = 50*time.Millisecond + packets*gap
	)
	runs := 10
	if testing.Short() { // in real time
		runs = 3
	}
	up := trace.LinkDir{Link: exactLink, Dir: trace.Up}
	for _, seed := range []uint64{1, 2, 1 << 63} {
		tl := &trace.Timeline{Meta: trace.Meta{Duration: length, Seed: seed, Links: []trace.Link{{Name: exactLink, Up: true}}}}
		for at := time.Duration(0); at < length; at += 10 * time.Millisecond {
			s := trace.State{Rate: 100 * trace.Mbit, Carrier: true, GE: trace.GE{P: 0.05, R: 0.3, LossBad: 0.8, LossGood: 0.01}}
			s.Delay = at % (30 * time.Millisecond) // changes, of which the losses know nothing
			tl.Steps = append(tl.Steps, trace.Step{At: at, Link: exactLink, Dir: trace.Up, State: s})
		}
		file := filepath.Join(t.TempDir(), "exact.tape")
		if err := trace.WriteFile(file, tl); err != nil {
			t.Fatal(err)
		}
		tape, err := trace.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var want []int
		_, err = replay.Simulate(t.Context(), tape, func() (replay.Arrival, error) {
			if n++; n > packets {
				return replay.Arrival{}, io.EOF
			}
			return replay.Arrival{At: time.Duration(n) * gap, Bytes: 100}, nil
		}, replay.SimulateOptions{Only: []trace.LinkDir{up}, Each: func(_ trace.LinkDir, number int64, _ replay.Arrival, v edt.Verdict) error {
			if v.Fate == edt.Lost {
				want = append(want, int(number))
			}
			return nil
		}})
		if err := errors.Join(err, tape.Close()); err != nil {
			t.Fatal(err)
		}
		for k := range runs {
			t.Run(fmt.Sprintf("seed %d, run %d", seed, k+1), func(t *testing.T) {
				at := clock(unix.CLOCK_MONOTONIC) + 200*time.Millisecond
				player := exactly(t, file, trace.Queue{Kind: trace.DropTail, LimitBytes: 150_000}, false, at)
				f, loaded := new(flow), make(chan error, 1)
				go func() { loaded <- f.count(player, at, gap+time.Duration(k)*20*time.Microsecond, packets) }()
				_, err := player.Run(t.Context(), replay.NewMonotonic(replay.DefaultSpin), nil)
				if err := errors.Join(err, <-loaded); err != nil {
					t.Fatal(err)
				}
				var lost []int
				for i := range packets {
					if !slices.Contains(f.number, i) {
						lost = append(lost, i)
					}
				}
				if !slices.Equal(lost, want) || len(lost) == 0 {
					t.Errorf("%d of %d packets were lost, want %d others: %v, want %v", len(lost), packets, len(want), lost, want)
				}
			})
		}
	}
}

// count sends numbered packets of 100 bytes as soon as a tape has begun, at such times
// as the machine allows, and takes what arrives until some time later.
func (f *flow) count(player *replay.Player, start, gap time.Duration, packets int) error {
	out, in, to, err := sockets(trace.Up, false)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	defer unix.Close(in)
	buf := make([]byte, 2048)
	waited := 0
	for player.Progress(0).Steps.Load() == 0 {
		start += 10 * time.Millisecond
		sleepUntil(start)
		if waited++; waited > 1000 {
			return errors.New("the tape did not begin")
		}
	}
	start = clock(unix.CLOCK_MONOTONIC)
	for i := range packets {
		sleepUntil(start + time.Duration(i)*gap)
		binary.NativeEndian.PutUint32(buf, uint32(i))
		if err := unix.Sendto(out, buf[:100-28], 0, to); err != nil {
			return err
		}
	}
	for range 10 {
		sleepUntil(clock(unix.CLOCK_MONOTONIC) + 20*time.Millisecond)
		if err := f.take(in, buf); err != nil {
			return err
		}
	}
	return nil
}

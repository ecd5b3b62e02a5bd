package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"time"

	"linktape/edt"
	"linktape/netsetup"
	"linktape/trace"
)

// Arrival is a packet that reaches a link.
type Arrival struct {
	At    time.Duration // since the window's first instant
	Bytes int           // of IP, 1 to 2^32−1
}

// ConstantRate returns arrivals of equal packets, evenly spaced from 0 on, for
// [Simulate]; without an end. Instants are rounded down to ns.
func ConstantRate(rate trace.BitRate, bytes int) (func() (Arrival, error), error) {
	if rate <= 0 || bytes < 1 {
		return nil, fmt.Errorf("packets of %d bytes at %v: neither may be 0", bytes, rate)
	}
	var k uint64
	return func() (Arrival, error) {
		hi, lo := bits.Mul64(k, uint64(bytes)*8e9)
		if hi >= uint64(rate) {
			return Arrival{}, io.EOF // after 292 years
		}
		at, _ := bits.Div64(hi, lo, uint64(rate))
		k++
		return Arrival{time.Duration(min(at, uint64(1<<63-1))), bytes}, nil
	}, nil
}

// SimulateOptions are what [Simulate] does. The zero value plays the whole tape once
// to every direction's packets.
type SimulateOptions struct {
	From      time.Duration // where on the tape to begin
	Duration  time.Duration // of the window; 0: to the tape's end
	Times     int           // how often to play the window; 0: once
	Speed     float64       // of the tape's time, as in [Options]; 0: 1
	RatesOnly bool          // leave delay, jitter and loss out

	Only  []trace.LinkDir // the directions; none: all of the tape
	Queue *trace.Queue    // of every link, in place of the tape's
	MTU   int             // 0: netsetup.DefaultMTU

	// Each is told what becomes of each packet of a direction, in the order of the
	// packets; the first one has number 0. What waited at the window's end is
	// [edt.Unknown]. It may be nil. An error ends the simulation.
	Each func(ld trace.LinkDir, number int64, a Arrival, v edt.Verdict) error
	// Progress is told how far the window has been played, 0 to 1; may be nil.
	Progress func(fraction float64)
}

// Simulation says what a tape does to traffic.
type Simulation struct {
	Tape     string        `json:"tape"` // its hash
	From     time.Duration `json:"from_ns"`
	Length   time.Duration `json:"length_ns"` // of all that was played
	Times    int           `json:"times"`
	Speed    float64       `json:"speed"`
	Links    []Simulated   `json:"links"`
	Warnings []string      `json:"warnings,omitempty"`
}

// Simulated is what a direction did to the packets. Those that came after the end of
// what was played are not among them.
type Simulated struct {
	Link string `json:"link"`
	Dir  string `json:"dir"`

	Packets        int64 `json:"packets"`
	Bytes          int64 `json:"bytes"` // of IP
	Delivered      int64 `json:"delivered"`
	DeliveredBytes int64 `json:"delivered_bytes"`
	QueueDrops     int64 `json:"queue_drops"`
	PathDrops      int64 `json:"path_drops"`
	OutageDrops    int64 `json:"outage_drops"` // without carrier
	Waiting        int64 `json:"waiting"`      // in the queue at the window's end

	TapeBytes    int64        `json:"tape_bytes"`        // what the tape allowed
	Use          float64      `json:"use"`               // what left the bottleneck, over that
	MaxBacklog   int64        `json:"max_backlog_bytes"` // bytes in the queue, at most
	QueueDelay   Distribution `json:"queue_delay"`       // until they left the bottleneck, with the time to be sent
	OneWay       Distribution `json:"one_way"`           // until they arrived
	LastArrival  int64        `json:"last_arrival_ns"`   // −1: none arrived
	LongestBurst int64        `json:"longest_burst"`     // most packets that did not arrive in a row
}

// Simulate computes what a window of a tape does to given traffic, without links or
// clock: every direction meets the same packets, with the arithmetic of package edt
// and the seed that a replay gives it. next returns the packets in the order of
// their arrival, and io.EOF at the end. The tape is read as far as the packets need;
// memory is bounded by what waits in the queues.
//
// Errors: a window outside the tape, a direction that it does not have, a damaged
// tape, a rate above [edt.MaxRate], and those of next.
func Simulate(ctx context.Context, tape Tape, next func() (Arrival, error), opts SimulateOptions) (*Simulation, error) {
	meta := tape.Meta()
	if opts.From < 0 || opts.From >= meta.Duration || opts.Duration < 0 || opts.Duration > meta.Duration-opts.From {
		return nil, fmt.Errorf("play %v from %v: the tape lasts %v", opts.Duration, opts.From, meta.Duration)
	}
	s := &simulation{ctx: ctx, next: next, opts: opts}
	s.sum = Simulation{Tape: tape.SHA256(), From: opts.From, Times: max(opts.Times, 1), Speed: opts.Speed}
	if s.sum.Speed == 0 {
		s.sum.Speed = 1
	}
	if err := s.directions(&meta); err != nil {
		return nil, err
	}
	to := meta.Duration
	if opts.Duration > 0 {
		to = opts.From + opts.Duration
	}
	index := make(map[trace.LinkDir]int)
	for i := range s.dirs {
		index[s.dirs[i].ld] = i
	}
	s.sched = schedule{tape: tape, dirs: index, from: opts.From, to: to, times: opts.Times, speed: opts.Speed, ratesOnly: opts.RatesOnly, emit: s.entry}
	s.sum.Length = s.sched.length()
	if err := s.sched.run(); err != nil && !errors.Is(err, errStopped) {
		return nil, err
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return &s.sum, nil
}

// Tape is what Simulate reads: a [trace.Reader].
type Tape interface {
	Source
	SHA256() string
}

// simulation is a simulation under way.
type simulation struct {
	ctx   context.Context
	next  func() (Arrival, error)
	opts  SimulateOptions
	sched schedule
	dirs  []simulated
	sum   Simulation

	known   time.Duration // every direction is known until then
	arrival Arrival       // the packet under way
	have    bool          // there is one
	over    bool          // there are no more
}

// simulated is a direction under way.
type simulated struct {
	ld      trace.LinkDir
	window  *edt.Window
	model   *edt.Model
	rate    trace.BitRate // in force at known
	service trace.Service // until known
	left    int64         // bytes that left the bottleneck
	packets int64         // that were decided
	decided bool          // the packet under way was
	burst   int64
	told    Simulated
	queue   Histogram
	oneWay  Histogram
	warned  bool
}

func (s *simulation) directions(meta *trace.Meta) error {
	all := meta.Directions()
	for _, ld := range s.opts.Only {
		if !slices.Contains(all, ld) {
			return fmt.Errorf("the tape has no direction %v: it has %v", ld, all)
		}
	}
	mtu := s.opts.MTU
	if mtu == 0 {
		mtu = netsetup.DefaultMTU
	}
	for _, ld := range all {
		if len(s.opts.Only) > 0 && !slices.Contains(s.opts.Only, ld) {
			continue
		}
		i := slices.IndexFunc(meta.Links, func(l trace.Link) bool { return l.Name == ld.Link })
		link := &meta.Links[i]
		queue := trace.Queue{LimitBytes: netsetup.DefaultQueueBytes}
		switch {
		case s.opts.Queue != nil:
			queue = *s.opts.Queue
		case link.Queue != nil && *link.Queue != trace.Queue{}:
			queue = *link.Queue
		}
		if link.Slot != nil {
			s.sum.Warnings = append(s.sum.Warnings, fmt.Sprintf("%v has slots, which are left out", ld))
		}
		w := edt.NewWindow(queue, mtu)
		s.dirs = append(s.dirs, simulated{
			ld: ld, window: w, model: edt.NewModel(w, seedOf(meta.Seed, ld), link.Overtake),
			told: Simulated{Link: ld.Link, Dir: ld.Dir.String(), LastArrival: -1},
		})
	}
	return nil
}

// stretch is how much of the tape is laid out at once: at the highest rate well
// within a window.
const stretch = time.Second

// entry takes the next step of the tape in.
func (s *simulation) entry(e *Entry) error {
	if err := s.reach(e.At); err != nil {
		return err
	}
	d := &s.dirs[e.Dir]
	if !d.warned && (e.State.Duplicate != 0 || e.State.Corrupt != 0 || e.State.Reorder != 0) {
		d.warned = true
		s.sum.Warnings = append(s.sum.Warnings, fmt.Sprintf("%v duplicates, corrupts or reorders packets from %v on, which is left out", d.ld, e.Tape))
	}
	d.rate = e.State.Capacity()
	return d.window.Set(e.At, &e.State)
}

// reach says that the states go on until an instant, and decides the packets that
// can be decided then.
func (s *simulation) reach(at time.Duration) error {
	for s.known < at {
		if err := s.ctx.Err(); err != nil {
			return context.Cause(s.ctx)
		}
		to := min(at, s.known+stretch)
		for i := range s.dirs {
			d := &s.dirs[i]
			if err := d.window.Extend(to); err != nil {
				if errors.Is(err, edt.ErrFull) {
					err = fmt.Errorf("%w, while a packet waits elsewhere: simulate one direction at a time", err)
				}
				return fmt.Errorf("%v: %w", d.ld, err)
			}
			d.service.Add(d.rate, to-s.known)
		}
		s.known = to
		if err := s.packets(); err != nil {
			return err
		}
		if s.opts.Progress != nil {
			s.opts.Progress(float64(s.known) / float64(s.sum.Length))
		}
	}
	return nil
}

// packets decides packets until one needs more of the tape.
func (s *simulation) packets() error {
	for {
		if !s.have {
			if s.over {
				s.pass(s.known)
				return nil
			}
			a, err := s.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err != nil || a.At >= s.sum.Length { // later ones come later still
				s.over = true
				continue
			}
			s.arrival, s.have = a, true
			for i := range s.dirs {
				s.dirs[i].decided = false
			}
		}
		s.pass(min(s.arrival.At, s.known))
		waits := false
		for i := range s.dirs {
			d := &s.dirs[i]
			if d.decided {
				continue
			}
			v := d.model.Packet(s.arrival.At, s.arrival.Bytes)
			if v.Fate == edt.Unknown {
				waits = true
				continue
			}
			d.decided = true
			if err := s.tell(d, v); err != nil {
				return err
			}
		}
		if waits {
			return nil
		}
		s.have = false
	}
}

// pass says that no packet comes before an instant.
func (s *simulation) pass(at time.Duration) {
	for i := range s.dirs {
		s.dirs[i].model.Pass(at)
	}
}

// tell counts what became of the packet under way.
func (s *simulation) tell(d *simulated, v edt.Verdict) error {
	a, t := s.arrival, &d.told
	d.packets++
	t.Packets++
	t.Bytes += int64(a.Bytes)
	d.burst++
	if v.Left > s.sum.Length {
		v = edt.Verdict{Fate: edt.Unknown, Backlog: v.Backlog}
	}
	if v.Left > 0 {
		d.left += int64(a.Bytes)
		d.queue.Add(v.Left - a.At)
	}
	switch v.Fate {
	case edt.Delivered:
		d.burst = 0
		t.Delivered++
		t.DeliveredBytes += int64(a.Bytes)
		t.LastArrival = max(t.LastArrival, int64(v.Arrived))
		d.oneWay.Add(v.Arrived - a.At)
	case edt.Lost:
		t.PathDrops++
	case edt.Full:
		t.QueueDrops++
	case edt.Outage:
		t.OutageDrops++
	case edt.Unknown:
		t.Waiting++
		d.burst = 0 // it may arrive yet
	}
	t.LongestBurst = max(t.LongestBurst, d.burst)
	if s.opts.Each == nil {
		return nil
	}
	return s.opts.Each(d.ld, d.packets-1, a, v)
}

// finish plays what is left of the window after its last step. Behind its end the
// queues are let out, at a rate that leaves none undecided: what leaves then was
// waiting at the end.
func (s *simulation) finish() error {
	if err := s.reach(s.sum.Length); err != nil {
		return err
	}
	drain := trace.State{Rate: edt.MaxRate, Carrier: true}
	for i := range s.dirs {
		w := s.dirs[i].window
		if err := errors.Join(w.Set(s.sum.Length, &drain), w.Extend(s.sum.Length+stretch)); err != nil {
			return fmt.Errorf("%v: %w", s.dirs[i].ld, err)
		}
	}
	if err := s.packets(); err != nil {
		return err
	}
	for i := range s.dirs {
		d := &s.dirs[i]
		t := &d.told
		t.TapeBytes, t.MaxBacklog = d.service.Bytes(), d.model.Counters().Backlog
		if t.TapeBytes > 0 {
			t.Use = float64(d.left) / float64(t.TapeBytes)
		}
		t.QueueDelay, t.OneWay = d.queue.Distribution(), d.oneWay.Distribution()
		s.sum.Links = append(s.sum.Links, *t)
	}
	return nil
}

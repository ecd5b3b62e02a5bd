package replay

import (
	"math"
	"time"

	"linktape/netsetup"
)

// States of a replay, as [Status] says them.
const (
	Waiting = "waiting" // for its start
	Playing = "playing"
	Paused  = "paused"
	Reading = "reading" // the tape, at the place that a skip leads to
	Ended   = "ended"
)

// Status is what can be seen of a replay at one instant.
type Status struct {
	State    string        `json:"state"`
	WaitsFor string        `json:"waits_for,omitempty"` // what begins it
	At       *time.Time    `json:"at,omitempty"`        // when, where that is known
	Elapsed  time.Duration `json:"elapsed_ns"`          // since the epoch
	Position time.Duration `json:"position_ns"`         // of that, what has been played: it stands still in a pause
	Tape     time.Duration `json:"tape_ns"`             // the instant of the tape
	Length   time.Duration `json:"tape_length_ns"`
	From     time.Duration `json:"from_ns"` // the window, on the tape
	To       time.Duration `json:"to_ns"`
	Loop     int           `json:"loop"`  // how often the window has been played before
	Loops    int           `json:"loops"` // how often it is to be played; 0: over and over
	Speed    float64       `json:"speed"`
	Lateness time.Duration `json:"lateness_ns"`    // the largest so far
	Next     *TapeEvent    `json:"next,omitempty"` // nil: none is known
	Acts     int           `json:"by_hand"`        // commands that have changed something
	Links    []LinkStatus  `json:"links"`
}

// LinkStatus is what can be seen of one direction.
type LinkStatus struct {
	Link     string        `json:"link"`
	Dir      string        `json:"dir"`
	Begun    bool          `json:"begun"`         // it has had a step
	Cut      string        `json:"cut,omitempty"` // the mode in which it is cut by hand
	Label    string        `json:"label,omitempty"`
	Rate     int64         `json:"rate_bit_s"` // that it has been told
	Delay    time.Duration `json:"delay_ns"`
	Loss     float64       `json:"loss"`
	Carrier  bool          `json:"carrier"`
	Steps    int64         `json:"steps"`
	Read     time.Duration `json:"read_ns"` // since the epoch, when the counters were read
	Bytes    uint64        `json:"delivered_bytes"`
	Drops    uint64        `json:"queue_drops"`
	Backlog  uint32        `json:"backlog_bytes"`
	Lateness time.Duration `json:"lateness_ns"`
}

// Seen are a direction's counters as a thread beside the loop has read them last.
// They are not of one instant with those of [Progress].
func (p *Progress) Seen() (at time.Duration, bytes, drops uint64, backlog uint32, seen bool) {
	n := p.seenAt.Load()
	return time.Duration(n - 1), p.seenBytes.Load(), p.seenDrops.Load(), p.seenBacklog.Load(), n > 0
}

// see publishes a reading.
func (p *Progress) see(at time.Duration, row *CounterRow) {
	p.seenBytes.Store(uint64(row.Bytes))
	p.seenDrops.Store(uint64(row.QueueDrops))
	p.seenBacklog.Store(uint32(min(row.Backlog, math.MaxUint32)))
	p.seenAt.Store(int64(max(at, 0)) + 1)
}

// Status looks at the replay. It may be called at any time, by any goroutine.
func (p *Player) Status() Status {
	ctl := &p.loop.ctl
	s := Status{
		State: Waiting, WaitsFor: p.opts.WaitsFor, Length: p.length,
		From: p.sched.from, To: p.sched.to, Tape: p.sched.from, Loops: max(p.sched.times, 1), Speed: p.speed(),
	}
	if p.sched.loops {
		s.Loops = 0
	}
	if !p.opts.At.IsZero() {
		s.At = &p.opts.At
	}
	acts, _ := p.Acts(0)
	s.Acts = len(acts)
	select {
	case <-ctl.ended:
		s.State, s.WaitsFor = Ended, ""
	default:
		if p.epoch.Load() == 0 {
			break
		}
		s.WaitsFor = ""
		switch {
		case ctl.frozen.Load() == 0:
			s.State = Playing
		case ctl.paused.Load():
			s.State = Paused
		default:
			s.State = Reading
		}
	}
	if p.epoch.Load() != 0 {
		s.Elapsed, s.Position = p.elapsed(), p.Position()
		s.Tape, s.Loop = p.tapeAt(s.Position)
		s.Next = p.NextEvent()
	}
	for i, ld := range p.dirs {
		seen := &p.loop.progress[i]
		l := LinkStatus{
			Link: ld.Link, Dir: ld.Dir.String(), Begun: seen.Steps.Load() > 0, Carrier: !seen.Down.Load(),
			Rate: seen.Rate.Load(), Delay: time.Duration(seen.Delay.Load()), Loss: math.Float64frombits(seen.Loss.Load()),
			Steps: seen.Steps.Load(), Read: time.Duration(seen.At.Load()), Bytes: seen.Bytes.Load(), Drops: seen.Drops.Load(),
			Backlog: seen.Backlog.Load(), Lateness: time.Duration(seen.Lateness.Load()),
		}
		if at, bytes, drops, backlog, ok := seen.Seen(); ok {
			l.Read, l.Bytes, l.Drops, l.Backlog = at, bytes, drops, backlog
		}
		if m, cut := ctl.cutOf(i); cut && m.Concerns(ld.Dir) {
			l.Cut = m.String()
		}
		if l.Begun {
			l.Label = p.labelAt(i, s.Tape)
		}
		s.Lateness = max(s.Lateness, l.Lateness)
		s.Links = append(s.Links, l)
	}
	return s
}

func (p *Player) speed() float64 {
	if p.sched.speed == 0 {
		return 1
	}
	return p.sched.speed
}

// watcher reads the counters for who watches, where nobody else does.
func (p *Player) watcher() (*gauge, error) {
	links, ok := p.links.(metered)
	if p.opts.Watch == 0 || p.opts.Record.Counters > 0 || !ok {
		return nil, nil
	}
	meter, err := links.Meter(p.dirs)
	if err != nil {
		return nil, err
	}
	g := newGauge(p, meter, Recording{Counters: p.opts.Watch})
	g.unwritten = true
	return g, nil
}

var _ Meter = (*netsetup.Meter)(nil)

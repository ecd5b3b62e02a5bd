package replay

import (
	"runtime"
	"sync"
	"time"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/trace"
)

// CounterRow is one direction's counters at one instant, summed up since the
// replay's start. Packets that were lost are counted by cause; the kernel does not
// say which of them met an outage, so that those of an interval in which there was
// one are counted as its.
type CounterRow struct {
	At             int64  `parquet:"at_ns"` // since the epoch
	Link           string `parquet:"link"`
	Dir            string `parquet:"dir"`
	Rate           int64  `parquet:"rate_bit_s"` // the tape's, in force
	Bytes          int64  `parquet:"delivered_bytes"`
	Packets        int64  `parquet:"delivered_packets"`
	QueueDrops     int64  `parquet:"queue_drops"`  // found the queue full
	PathDrops      int64  `parquet:"path_drops"`   // lost on the path
	OutageDrops    int64  `parquet:"outage_drops"` // lost while everything is, and with a queue whose interface went down
	Backlog        int64  `parquet:"backlog_bytes"`
	BacklogPackets int64  `parquet:"backlog_packets"`
	QueueDelay     int64  `parquet:"queue_delay_ns"` // the backlog at the rate; −1: nothing leaves
}

// ReadCounters reads the counters of a run's folder.
func ReadCounters(file string) ([]CounterRow, error) { return table.ReadFile[CounterRow](file) }

// MeteringReport says what reading the links has cost.
type MeteringReport struct {
	Every   time.Duration `json:"every_ns"` // the counters; 0: they were not read
	Samples int64         `json:"samples"`  // of all links
	Skipped int64         `json:"skipped"`  // instants that had passed when their turn came
	Lost    int64         `json:"lost"`     // rows that nobody wrote in time
	Took    Distribution  `json:"took"`     // a sample of all links
	Share   float64       `json:"share"`    // of one processor's time
}

// phase is how long after the multiples of the cadence the links are read: off
// the grids of milliseconds that steps lie on, so that a reading, during which the
// kernel holds the lock that changes take, meets none of them.
const phase = 3700 * time.Microsecond

// mostWaiting is the number of rows that may wait to be written.
const mostWaiting = 1 << 20

// gauge reads links on a thread of its own.
type gauge struct {
	player   *Player
	meter    Meter
	opts     Recording
	stop     chan struct{} // closed when the loop has ended
	dirs     []gaugeDir
	took     histogram
	busy     time.Duration // of a processor
	samples  int64
	skipped  int64
	failedAt time.Duration
	err      error // that ended it

	unwritten bool // nobody takes the rows

	mu       sync.Mutex
	rows     []CounterRow
	readings []backSample
	lost     int64
}

// gaugeDir is what is known of one direction.
type gaugeDir struct {
	trace.LinkDir
	peer  int // the link's other direction, or itself
	begun bool
	last  netsetup.Reading
	lost  bool // everything, when it was read last
	down  bool // the interface, when it was read last
	sum   CounterRow
}

func newGauge(p *Player, meter Meter, opts Recording) *gauge {
	g := &gauge{player: p, meter: meter, opts: opts, stop: make(chan struct{}), dirs: make([]gaugeDir, len(p.dirs))}
	for i, ld := range p.dirs {
		d := &g.dirs[i]
		d.LinkDir, d.peer = ld, i
		d.sum.Link, d.sum.Dir = ld.Link, ld.Dir.String()
		for k, other := range p.dirs {
			if k != i && other.Link == ld.Link {
				d.peer = k
			}
		}
	}
	return g
}

// run reads until the loop has stopped, and once more then.
func (g *gauge) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	defer func() { g.busy = threadTime() - began }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	// pause returns false when the loop stops in it.
	pause := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-g.stop:
			return false
		case <-timer.C:
			return true
		}
	}
	for g.player.epoch.Load() == 0 {
		if !pause(time.Millisecond) {
			return
		}
	}
	// sleep returns false when the loop stops before an instant.
	sleep := func(until time.Duration) bool {
		for left := until - g.now(); left > 0; left = until - g.now() {
			if !pause(min(left, longNap)) {
				return false
			}
		}
		return true
	}
	const before = 2 * time.Millisecond // what the counters begin from
	if !sleep(-before) || g.sample(g.opts.Counters > 0, false) != nil {
		return
	}
	var counters, params tick
	counters.start(g.opts.Counters)
	params.start(g.opts.ReadBack)
	for sleep(min(counters.next, params.next)) {
		now := g.now()
		if g.sample(counters.due(now, &g.skipped), params.due(now, &g.skipped)) != nil {
			return
		}
	}
	g.sample(g.opts.Counters > 0, false)
}

// now is the time since the epoch, below 0 before it.
func (g *gauge) now() time.Duration {
	return g.player.loop.clock.Now() - time.Duration(g.player.epoch.Load())
}

// tick is a cadence.
type tick struct{ every, next time.Duration }

const never = time.Duration(1<<63 - 1)

func (t *tick) start(every time.Duration) {
	t.every, t.next = every, never
	if every > 0 {
		t.next = every + phase
	}
}

// due reports whether the instant has come, and moves on to the next one that
// lies ahead.
func (t *tick) due(now time.Duration, skipped *int64) bool {
	if now < t.next {
		return false
	}
	n := (now - t.next) / t.every
	*skipped += int64(n)
	t.next += (n + 1) * t.every
	return true
}

// sample reads every link.
func (g *gauge) sample(counters, params bool) error {
	start := g.now()
	for i := range g.meter.Links() {
		before := g.now()
		err := g.meter.Read(i, params, func(dir int, r *netsetup.Reading) {
			after := g.now()
			if params {
				g.hand(backSample{dir: dir, from: before, to: after, told: r.Told})
			}
			if counters {
				g.count(dir, after, r)
			}
		})
		if err != nil {
			g.err, g.failedAt = err, before
			return err
		}
	}
	g.took.add(g.now() - start)
	g.samples++
	return nil
}

func (g *gauge) hand(s backSample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.readings) >= mostWaiting {
		g.lost++
		return
	}
	g.readings = append(g.readings, s)
}

// take hands out what was read since it was called last, in exchange for two
// slices to go on with.
func (g *gauge) take(rows []CounterRow, readings []backSample) ([]CounterRow, []backSample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rows, rows = rows[:0], g.rows
	g.readings, readings = readings[:0], g.readings
	return rows, readings
}

// count settles the time since the reading before.
func (g *gauge) count(dir int, at time.Duration, r *netsetup.Reading) {
	d := &g.dirs[dir]
	p := &g.player.loop.progress[dir]
	rate, lost := p.Rate.Load(), p.Lost.Load()
	down := p.Down.Load() || g.player.loop.progress[d.peer].Down.Load()
	d.add(r, lost, down)
	if !d.begun {
		d.begun = true
		return
	}
	row := &d.sum
	row.At, row.Rate = int64(at), rate
	if down {
		row.Rate = 0
	}
	row.Backlog, row.BacklogPackets = int64(r.BacklogBytes), int64(r.BacklogPackets)
	switch {
	case row.Backlog == 0:
		row.QueueDelay = 0
	case row.Rate == 0:
		row.QueueDelay = -1
	default:
		row.QueueDelay = int64(float64(row.Backlog) * 8e9 / float64(row.Rate))
	}
	p.see(at, row)
	if g.unwritten {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.rows) >= mostWaiting {
		g.lost++
		return
	}
	g.rows = append(g.rows, *row)
}

// add sums the changes up, by cause. lost and down say what holds now.
func (d *gaugeDir) add(r *netsetup.Reading, lost, down bool) {
	defer func() { d.last, d.lost, d.down = *r, lost, down }()
	if !d.begun || r.Bytes < d.last.Bytes || r.Packets < d.last.Packets {
		return // nothing to compare with, or somebody has made the link anew
	}
	packets := int64(r.Packets - d.last.Packets)
	queue := int64(uint32(r.Drops) - uint32(d.last.Drops)) // the kernel's counts wrap
	path := int64(uint32(r.PathDrops) - uint32(d.last.PathDrops))
	d.sum.Bytes += int64(r.Bytes - d.last.Bytes)
	d.sum.Packets += packets
	if r.Shared {
		// The kernel counts both in both places and does not tell them apart.
		if path = 0; lost || d.lost {
			queue, path = 0, queue
		}
	}
	d.sum.QueueDrops += queue
	if lost || d.lost {
		d.sum.OutageDrops += path
	} else {
		d.sum.PathDrops += path
	}
	if down || d.down {
		// What waited, has not left and does not wait any more went with the
		// interface; the kernel does not count it.
		d.sum.OutageDrops += max(int64(d.last.BacklogPackets)-packets-int64(r.BacklogPackets), 0)
	}
}

// report sums up, of a replay that took so long.
func (g *gauge) report(played time.Duration) *MeteringReport {
	m := &MeteringReport{
		Every: g.opts.Counters, Samples: g.samples, Skipped: g.skipped, Lost: g.lost, Took: g.took.distribution(),
	}
	if played > 0 {
		m.Share = g.busy.Seconds() / played.Seconds()
	}
	return m
}

package replay

import (
	"math"
	"sync"
	"time"
)

// WallClock is how the wall clock went while a replay played. Its offset is
// that from the replay's own time: the wall clock at the epoch plus the time
// since on the monotonic clock. Both clocks of a kernel follow the same
// discipline of their rate (NTP, PTP), so that an offset comes from the wall
// clock having been set, by someone or a leap second.
type WallClock struct {
	OffsetStart time.Duration `json:"offset_start_ns"` // right after the epoch
	OffsetEnd   time.Duration `json:"offset_end_ns"`
	OffsetMax   time.Duration `json:"offset_max_ns"` // the largest, either way, of one a second
	Drift       float64       `json:"drift_ppm"`     // from start to end
	Steered     float64       `json:"steered_ppm"`   // by which the discipline made both clocks faster than the machine's oscillator; 0 where not known

	// What the kernel says of its clock at the end (adjtimex(2)).
	Known        bool          `json:"known"`        // it says anything
	Synchronised bool          `json:"synchronised"` // it is kept by NTP, PTP or the like
	MaxError     time.Duration `json:"max_error_ns"`
	EstError     time.Duration `json:"estimated_error_ns"`
}

// bothClocks reads the wall clock and a clock at the same time: of many pairs
// of readings, the one that took least.
func bothClocks(clock Clock) (wall time.Time, at time.Duration) {
	best := time.Duration(math.MaxInt64)
	for range 16 {
		before := clock.Now()
		now := time.Now()
		if d := clock.Now() - before; d < best {
			best, wall, at = d, now, before+d/2
		}
	}
	return wall.Round(0).UTC(), at // without Go's own monotonic reading
}

// wallWatch follows the wall clock beside a replay.
type wallWatch struct {
	clock Clock
	epoch time.Duration
	wall  time.Time // at the epoch

	report     WallClock
	start      time.Duration // of the first reading, since the epoch
	raw, mono  time.Duration // at the first reading
	stop       chan struct{}
	done       sync.WaitGroup
	offsetHook func() time.Duration // of tests: set the wall clock forward by this; may be nil
}

// watchWall begins to follow the wall clock.
func watchWall(clock Clock, epoch time.Duration, wall time.Time) *wallWatch {
	w := &wallWatch{clock: clock, epoch: epoch, wall: wall, stop: make(chan struct{})}
	w.done.Go(func() {
		w.begin() // here, and not where the first step is due
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.look()
			case <-w.stop:
				return
			}
		}
	})
	return w
}

func (w *wallWatch) begin() {
	w.raw, w.mono = rawClocks()
	w.report.OffsetStart, w.start = w.look()
}

// look reads the clocks.
func (w *wallWatch) look() (offset, at time.Duration) {
	wall, now := bothClocks(w.clock)
	if w.offsetHook != nil {
		wall = wall.Add(w.offsetHook())
	}
	at = now - w.epoch
	offset = wall.Sub(w.wall) - at
	if offset.Abs() > w.report.OffsetMax.Abs() {
		w.report.OffsetMax = offset
	}
	return offset, at
}

// end stops following and reports.
func (w *wallWatch) end() *WallClock {
	close(w.stop)
	w.done.Wait()
	offset, at := w.look()
	w.report.OffsetEnd = offset
	if d := at - w.start; d > 0 {
		w.report.Drift = float64(offset-w.report.OffsetStart) / float64(d) * 1e6
	}
	if raw, mono := rawClocks(); raw > w.raw {
		w.report.Steered = (float64(mono-w.mono)/float64(raw-w.raw) - 1) * 1e6
	}
	w.report.discipline()
	return &w.report
}

// tolerated is the offset of the wall clock that a replay which started at an
// instant of it does not warn of.
const tolerated = time.Millisecond

// warnings says what keeps machines that started at one instant apart.
func (w *WallClock) warnings() (out []string) {
	switch {
	case !w.Known:
		out = append(out, "whether this machine's clock is synchronised is not known: the kernel does not say")
	case !w.Synchronised:
		out = append(out, "the kernel says that this machine's clock is not synchronised: "+
			"others that start at the same instant start when their clocks say so (keep the clocks with chrony, ptp4l and phc2sys, or the like)")
	}
	if w.OffsetMax.Abs() > tolerated {
		out = append(out, "the wall clock was set by "+w.OffsetMax.Round(time.Microsecond).String()+
			" while the tape played; the tape was not shifted, others may have started by another clock")
	}
	return out
}

package edt

import (
	"errors"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// ErrFull is the error of a window that spans more service than positions tell
// apart, some 4.6·10¹² bit: tell the model of time that has passed ([Model.Pass])
// before it is extended.
var ErrFull = errors.New("the window spans too much service")

// leastPackets is the least limit of a queue in packets of the MTU: as the links'
// own.
const leastPackets = 2

// Window is one direction of a tape from some instant on, as far as it is known.
type Window struct {
	queue trace.Queue
	mtu   int64

	steps []Step // in order of T
	end   uint64 // ns: what is known ends here
	total uint64 // service until then
	hold  bool   // the last state goes on beyond the end

	oldest uint64 // position of the beginning of the earliest step that somebody needs
}

// NewWindow returns an empty window of a direction with this queue. A limit in time
// follows the rate, keeps its value through a stall and is no less than two packets
// of the MTU; a queue without a limit holds everything.
func NewWindow(q trace.Queue, mtu int) *Window { return &Window{queue: q, mtu: int64(mtu)} }

// End is the instant until which the tape is known, since the epoch.
func (w *Window) End() time.Duration { return time.Duration(w.end) }

// Steps returns the steps that are kept, until the window is changed.
func (w *Window) Steps() []Step { return w.steps }

// Set extends the window to an instant, with the state so far, and says the state
// from there on. Another state for the same instant takes the place of the first
// one.
func (w *Window) Set(at time.Duration, s *trace.State) error {
	switch {
	case s.Rate < 0 || s.Rate > MaxRate:
		return fmt.Errorf("rate %v at %v: outside 0 to %v", s.Rate, at, MaxRate)
	case s.Delay < 0 || s.Delay > trace.MaxDelay:
		return fmt.Errorf("delay %v at %v: outside 0 to %v", s.Delay, at, trace.MaxDelay)
	case s.Jitter < 0 || s.Jitter > trace.MaxDelay:
		return fmt.Errorf("jitter %v at %v: outside 0 to %v", s.Jitter, at, trace.MaxDelay)
	case at < 0:
		return fmt.Errorf("step at %v: before the beginning", at)
	}
	if len(w.steps) == 0 {
		w.end = uint64(at)
	} else if err := w.Extend(at); err != nil {
		return err
	}
	rest := uint32(w.exact() % rateUnits)
	if last := len(w.steps) - 1; last >= 0 && w.steps[last].T == w.end {
		w.steps = w.steps[:last]
	}
	var before Step
	if last := len(w.steps) - 1; last >= 0 {
		before = w.steps[last]
	}
	if len(w.steps) == 0 {
		w.oldest = w.total
	}
	n := Step{
		T: w.end, Cum: w.total, Rate: uint64(s.Capacity()), Delay: uint64(s.Delay), Jitter: uint64(s.Jitter),
		Loss: threshold(s.Loss), P: threshold(s.GE.P), R: threshold(s.GE.R),
		LossGood: threshold(s.GE.LossGood), LossBad: threshold(s.GE.LossBad),
		Outages: before.Outages, Rest: rest,
	}
	n.Limit = w.limit(n.Rate, before.Limit)
	switch {
	case s.Carrier:
		n.Outages &^= down
	case n.Outages&down == 0:
		n.Outages = (n.Outages + 1) | down
	}
	w.steps = append(w.steps, n)
	return nil
}

// Extend says that the state goes on until an instant. What it says of an instant
// before the end is known already.
func (w *Window) Extend(to time.Duration) error {
	if len(w.steps) == 0 {
		return errors.New("extend a window: it has no step yet")
	}
	for to > w.End() {
		last := &w.steps[len(w.steps)-1]
		until := uint64(to)
		if last.Rate > 0 {
			until = min(until, last.T+maxNano/last.Rate)
		}
		// In units.
		if span := last.Cum - w.oldest; span+(until-last.T)/rateUnits*last.Rate > maxSpan {
			return fmt.Errorf("extend a window from %v to %v: %w", w.End(), to, ErrFull)
		}
		if until > w.end {
			w.end = until
			w.total = last.Cum + w.exact()/rateUnits
		}
		if until < uint64(to) {
			w.Cut()
		}
	}
	return nil
}

// Cut begins a step with the same state at the end of what is known. It changes
// nothing of what becomes of a packet.
func (w *Window) Cut() {
	last := len(w.steps) - 1
	if last < 0 || w.steps[last].T == w.end {
		return
	}
	next := w.steps[last]
	next.T, next.Cum, next.Rest = w.end, w.total, uint32(w.exact()%rateUnits)
	w.steps = append(w.steps, next)
}

// Hold says that the last state goes on beyond the end of what is known, for as long
// as it may take. Packets that leave there are timed one after the other, each
// rounded up to a ns, so that they may drift from the curve by 1 ns a packet. A held
// window is not extended; what could not leave, because the rate is 0, is [Full]: it is
// not held.
func (w *Window) Hold() { w.hold = true }

// exact is the service of the last step until the end, with what was left over
// before it, in bit/s × ns.
func (w *Window) exact() uint64 {
	if len(w.steps) == 0 {
		return 0
	}
	last := &w.steps[len(w.steps)-1]
	return uint64(last.Rest) + (w.end-last.T)*last.Rate
}

// limit is the queue's limit in bytes at a rate.
func (w *Window) limit(rate, before uint64) uint64 {
	switch q := w.queue; {
	case q.LimitTime > 0 && rate == 0 && before > 0:
		return before
	case q.LimitTime > 0:
		n := trace.Bits(trace.BitRate(rate), q.LimitTime) / 8
		return uint64(max(n, leastPackets*w.mtu))
	case q.LimitBytes > 0:
		return uint64(q.LimitBytes)
	}
	return math.MaxUint64
}

// at returns the index of the step in force at an instant, from a step on that
// begins no later.
func (w *Window) at(from int, t uint64) int {
	for from+1 < len(w.steps) && w.steps[from+1].T <= t {
		from++
	}
	return from
}

// reach returns the index of the step on which the service reaches a position,
// from a step on that begins below it.
func (w *Window) reach(from int, v uint64) int {
	for from+1 < len(w.steps) && ahead(v, w.steps[from+1].Cum) > 0 {
		from++
	}
	return from
}

// Served is the service until an instant on a step, a position in 10⁻⁶ bit.
func (s *Step) Served(t uint64) uint64 { return s.Cum + (uint64(s.Rest)+(t-s.T)*s.Rate)/rateUnits }

// when is the instant at which the service reaches a position on step i, in ns,
// rounded up, and no later than the step's end.
func (w *Window) when(i int, v uint64) uint64 {
	s := &w.steps[i]
	end := w.end
	if i+1 < len(w.steps) {
		end = w.steps[i+1].T
	}
	return min(s.T+((v-s.Cum)*rateUnits-uint64(s.Rest)+s.Rate-1)/s.Rate, end)
}

// ahead is how far one position is ahead of another one.
func ahead(a, b uint64) int64 { return int64(a - b) }

// Cuts is how many steps [Window.Extend] would begin of itself on the way to an
// instant: on each, the products of the arithmetic stay in bounds.
func (w *Window) Cuts(to time.Duration) int {
	if len(w.steps) == 0 || to <= w.End() {
		return 0
	}
	last := &w.steps[len(w.steps)-1]
	if last.Rate == 0 {
		return 0
	}
	return int((uint64(to) - last.T) / (maxNano / last.Rate))
}

// Keep drops all steps but the last one and the one before it, by which a state goes
// that replaces the last one, for who has copied them, and returns how many. oldest is
// the position at which the earliest of them that is still needed begins.
func (w *Window) Keep(oldest uint64) int {
	w.oldest = oldest
	n := max(len(w.steps)-2, 0)
	w.steps = append(w.steps[:0], w.steps[n:]...)
	return n
}

// Back makes the window what it was when it was known until an instant: the steps are
// those from the earliest that is needed to the one in force before that instant.
func (w *Window) Back(steps []Step, to time.Duration) {
	w.steps = append(w.steps[:0], steps...)
	w.end, w.hold = uint64(to), false
	last := &w.steps[len(w.steps)-1]
	w.oldest, w.total = w.steps[0].Cum, last.Cum+w.exact()/rateUnits
}

// forget drops the steps before one, but for the one before it, and returns how
// many.
func (w *Window) forget(before int) int {
	n := before - 1
	if n < len(w.steps)/2 || n <= 0 {
		return 0
	}
	w.steps = append(w.steps[:0], w.steps[n:]...)
	w.oldest = w.steps[0].Cum
	return n
}

package plot

import "time"

// Pulses.
//
// A tape of delivery opportunities is a row of pulses of a microsecond, at rates
// that say nothing, with stalls between them that are none. What it allows is seen
// in means over bins, as of a tape that was binned.

const (
	longestPulse = 100 * time.Microsecond // of a step that counts as a pulse
	longestPause = 300 * time.Millisecond // of a stall between pulses; from there on it is one
)

// pulseBin is the length of the bins of a window: of the round ones the shortest
// that needs no more than 400, or the longest.
func pulseBin(window time.Duration) time.Duration {
	const ms = time.Millisecond
	bins := [...]time.Duration{ms, 2 * ms, 5 * ms, 10 * ms, 20 * ms, 50 * ms, 100 * ms}
	for _, b := range bins {
		if window/400 <= b {
			return b
		}
	}
	return bins[len(bins)-1]
}

// rateSpan is a rate from one instant to another one.
type rateSpan struct {
	from, to time.Duration
	mbits    float64
	outage   bool
	stall    bool // rate 0, and no other outage
}

func (s rateSpan) length() time.Duration { return s.to - s.from }

// pulseFilter passes spans on as they are, but pulses with the pauses around them
// as the means of bins, which begin with the first one. Its memory is constant.
type pulseFilter struct {
	bin  time.Duration
	emit func(rateSpan)

	seen   bool     // there was a pulse
	active bool     // the bins go on
	pause  rateSpan // before bins that may begin; no length: none
	before rateSpan // the last whole bin
	filled rateSpan // the bin that is being filled; mbits is its sum over ns
}

// add takes the next span.
func (f *pulseFilter) add(s rateSpan) {
	if s.length() <= 0 {
		return
	}
	switch pulse := s.mbits > 0 && !s.outage && s.length() < longestPulse; {
	case pulse:
		if !f.active {
			f.active, f.seen = true, true
			f.filled = rateSpan{from: s.from, to: s.from}
			if f.pause.length() > 0 {
				f.filled = rateSpan{from: f.pause.from, to: f.pause.from}
				f.put(f.pause)
				f.pause = rateSpan{}
			}
		}
		f.put(s)
	case s.stall && s.length() < longestPause && f.active:
		f.put(s)
	case s.stall && s.length() < longestPause:
		f.passPause()
		f.pause = s
	default:
		if f.active && s.stall { // it begins with the rest of a bin
			part := s
			part.to = min(s.to, f.filled.from+f.bin)
			s.from = part.to
			f.put(part)
		}
		f.flush()
		if s.length() > 0 {
			f.emit(s)
		}
	}
}

// put fills bins with a span.
func (f *pulseFilter) put(s rateSpan) {
	for s.length() > 0 {
		part := min(s.to, f.filled.from+f.bin) - s.from
		f.filled.mbits += float64(s.mbits * float64(part))
		s.from += part
		f.filled.to = s.from
		if f.filled.length() == f.bin {
			f.passBin()
			f.before = f.filled
			f.filled = rateSpan{from: s.from, to: s.from}
		}
	}
}

func (f *pulseFilter) passPause() {
	if f.pause.length() > 0 {
		f.emit(f.pause)
		f.pause = rateSpan{}
	}
}

// passBin emits the last whole bin.
func (f *pulseFilter) passBin() {
	if b := f.before; b.length() > 0 {
		b.mbits /= float64(b.length())
		f.emit(b)
		f.before = rateSpan{}
	}
}

// flush ends the bins. A part of one is counted with the one before it, because
// the mean of a pulse alone is its rate.
func (f *pulseFilter) flush() {
	f.passPause()
	if !f.active {
		return
	}
	if f.before.length() > 0 {
		f.before.to = f.filled.to
		f.before.mbits += f.filled.mbits
	} else {
		f.before = f.filled
	}
	f.passBin()
	f.active, f.filled = false, rateSpan{}
}

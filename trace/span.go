package trace

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Span is a state with the time that it lasts.
type Span struct {
	LinkDir
	From, To time.Duration // To is not part of it
	State
}

// Spanner turns ordered steps into spans.
type Spanner struct {
	duration time.Duration
	emit     func(Span)
	dirs     directions
	open     []Span // by direction
}

// NewSpanner returns a Spanner for a timeline of this duration. It calls emit
// for each span when it ends: in the order of the steps that end them, and the
// last span of each direction in canonical order at Finish. Spans of length 0
// are not emitted.
func NewSpanner(duration time.Duration, emit func(Span)) *Spanner {
	return &Spanner{duration: duration, emit: emit, dirs: newDirections(nil)}
}

// Step takes the next step of the timeline.
func (p *Spanner) Step(s *Step) {
	ld := s.LinkDir()
	i := p.dirs.index(ld)
	if i < 0 {
		i = len(p.open)
		p.open = append(p.open, Span{})
		p.dirs.list = append(p.dirs.list, ld)
		p.dirs.byDir[ld] = i
	} else {
		p.close(i, s.At)
	}
	p.open[i] = Span{LinkDir: ld, From: s.At, State: s.State}
}

// Finish ends the last span of each direction at the timeline's end.
func (p *Spanner) Finish() {
	order := make([]int, len(p.open))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return p.open[a].LinkDir.Compare(p.open[b].LinkDir) })
	for _, i := range order {
		p.close(i, p.duration)
	}
	p.open = nil
	p.dirs = newDirections(nil)
}

func (p *Spanner) close(i int, to time.Duration) {
	if to = min(to, p.duration); to > p.open[i].From {
		p.open[i].To = to
		p.emit(p.open[i])
	}
}

// Coalescer finds the steps that change nothing: those whose state equals
// their direction's present one. Everything that Linktape generates is without
// them. Its zero value is ready for the first step.
type Coalescer struct {
	dirs directions
	last []State // by direction
}

// Keep reports whether the next step changes its direction's state. The first
// step of each direction does.
func (c *Coalescer) Keep(s *Step) bool {
	if c.dirs.byDir == nil {
		c.dirs = newDirections(nil)
	}
	ld := s.LinkDir()
	if i := c.dirs.index(ld); i >= 0 {
		if c.last[i] == s.State {
			return false
		}
		c.last[i] = s.State
		return true
	}
	c.dirs.byDir[ld] = len(c.last)
	c.dirs.list = append(c.dirs.list, ld)
	c.last = append(c.last, s.State)
	return true
}

// Coalesce removes the steps that change nothing, in place, and returns the
// rest.
func Coalesce(steps []Step) []Step {
	var c Coalescer
	return slices.DeleteFunc(steps, func(s Step) bool { return !c.Keep(&s) })
}

// Bits returns the whole bits that a rate serves in a time, rounded down.
// Above the range of int64 it returns math.MaxInt64. A negative rate or time
// serves nothing.
func Bits(rate BitRate, d time.Duration) int64 {
	var s Service
	s.Add(rate, d)
	return s.Bits()
}

// Service is an exact sum of rate × time, held in bit/s × ns (10^-9 bit) as an
// unsigned 128-bit number. Sums above 2^128−1, which need more than 10^16
// seconds at [MaxRate], stay at that value. The zero Service is nothing served.
type Service struct {
	hi, lo uint64
}

// Add adds what a rate serves in a time. A negative rate or time serves
// nothing.
func (s *Service) Add(rate BitRate, d time.Duration) {
	if rate <= 0 || d <= 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(rate), uint64(d))
	s.AddService(Service{hi, lo})
}

// AddService adds another sum.
func (s *Service) AddService(o Service) {
	lo, carry := bits.Add64(s.lo, o.lo, 0)
	hi, over := bits.Add64(s.hi, o.hi, carry)
	if over != 0 {
		hi, lo = math.MaxUint64, math.MaxUint64
	}
	s.hi, s.lo = hi, lo
}

// IsZero reports whether nothing was served.
func (s Service) IsZero() bool { return s.hi|s.lo == 0 }

// Bits returns the whole bits served, rounded down; math.MaxInt64 when more.
func (s Service) Bits() int64 { return s.div(1e9) }

// Bytes returns the whole bytes served, rounded down; math.MaxInt64 when more.
func (s Service) Bytes() int64 { return s.div(8e9) }

// Mean returns the mean rate over a time, in bit/s; 0 for no time.
func (s Service) Mean(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return (float64(float64(s.hi)*(1<<64)) + float64(s.lo)) / float64(d)
}

func (s Service) div(by uint64) int64 {
	if s.hi >= by {
		return math.MaxInt64
	}
	q, _ := bits.Div64(s.hi, s.lo, by)
	return int64(min(q, math.MaxInt64))
}

package fill

import (
	"time"

	"linktape/trace"
)

// A Binner turns spans of constant rate into the mean rates of bins of one
// length, the last one shorter where the length does not divide the end. The
// whole bytes of the total are kept: no target lies above them, and a [Filler]
// serves less than a byte more. The work is bounded by the spans, not by the
// bins: within a span all whole bins have its rate.
type Binner struct {
	step time.Duration
	top  Amount // the whole bytes of the total
	fill *Filler
	at   time.Duration // end of the spans so far
	due  Amount        // by then
}

// NewBinner returns a Binner for spans that serve total in all. It calls yield
// as a [Filler] does.
func NewBinner(step time.Duration, total Amount, yield func(at time.Duration, r trace.BitRate) bool) *Binner {
	return &Binner{step: step, top: total.WholeBytes(), fill: New(yield)}
}

// to serves what is due by an instant, within the total's whole bytes.
func (b *Binner) to(t time.Duration, due Amount) (bool, error) {
	if b.top.Less(due) {
		due = b.top
	}
	return b.fill.To(t, due)
}

// Span adds the rate from the end of the spans so far until to. All bins that
// end in the span are yielded. It returns as [Filler.To] does.
func (b *Binner) Span(rate trace.BitRate, to time.Duration) (bool, error) {
	from := b.at
	if to <= from {
		return true, nil
	}
	at := func(t time.Duration) Amount { return b.due.Add(Mul(uint64(rate), uint64(t-from))) }
	end := at(to)
	done := func() { b.at, b.due = to, end }
	// The bin that the span begins in, if it ends in the span.
	next := from
	if r := from % b.step; r > 0 {
		next = from - r
		if b.step > to-next {
			done()
			return true, nil
		}
		next += b.step
		if more, err := b.to(next, at(next)); !more {
			return false, err
		}
	}
	// The whole bins in the span, up to the last whose target is not cut.
	whole := next + (to-next)/b.step*b.step
	if rate > 0 && b.top.Less(at(whole)) {
		room, _, ok := b.top.Sub(b.due).Div(uint64(rate))
		if ok && time.Duration(room) < whole-from {
			if k := (from + time.Duration(room) - next) / b.step; from+time.Duration(room) > next && k > 0 {
				if more, err := b.to(next+k*b.step, at(next+k*b.step)); !more {
					return false, err
				}
				next += k * b.step
			}
		}
		if next < whole {
			if more, err := b.to(next+b.step, at(next+b.step)); !more {
				return false, err
			}
			next += b.step
		}
	}
	if more, err := b.to(whole, at(whole)); !more {
		return false, err
	}
	done()
	return true, nil
}

// Finish ends the last bin where the spans end.
func (b *Binner) Finish() (bool, error) { return b.to(b.at, b.due) }

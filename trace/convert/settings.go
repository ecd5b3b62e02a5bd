package convert

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// Scale is a factor for rates, held exactly as Num/10^9; the zero Scale is 1.
type Scale struct{ Num int64 }

const (
	scaleOne = 1_000_000_000
	maxScale = 1_000_000 // the largest factor
)

// ParseScale reads a decimal factor from 0 to a million, such as 0.5.
func ParseScale(s string) (Scale, error) {
	v, err := parseScaled([]byte(s), 9, maxScale*scaleOne)
	switch {
	case err != nil:
		return Scale{}, fmt.Errorf("scale %q: %w: write a factor such as 0.5", s, err)
	case v == 0:
		return Scale{}, fmt.Errorf("scale %q: must be above 0 by at least 1e-9", s)
	}
	return Scale{v}, nil
}

// IsOne reports whether the scale changes nothing.
func (s Scale) IsOne() bool { return s.Num == 0 || s.Num == scaleOne }

// String writes the factor as a decimal number.
func (s Scale) String() string {
	if s.Num == 0 {
		return "1"
	}
	return string(appendScaled(nil, s.Num, 9))
}

// RateRange bounds rates, both ends included.
type RateRange struct{ Min, Max trace.BitRate }

// ParseRateRange reads MIN,MAX, such as 100kbit,50Mbit.
func ParseRateRange(s string) (RateRange, error) {
	lo, hi, ok := strings.Cut(s, ",")
	if !ok {
		return RateRange{}, fmt.Errorf("clip %q: write MIN,MAX, such as 100kbit,50Mbit", s)
	}
	var r RateRange
	var err error
	if r.Min, err = trace.ParseBitRate(lo); err != nil {
		return r, fmt.Errorf("clip %q: %w", s, err)
	}
	if r.Max, err = trace.ParseBitRate(hi); err != nil {
		return r, fmt.Errorf("clip %q: %w", s, err)
	}
	if r.Min > r.Max {
		return r, fmt.Errorf("clip %q: the lower bound is above the upper one", s)
	}
	return r, nil
}

// String writes MIN,MAX.
func (r RateRange) String() string { return fmt.Sprintf("%v,%v", r.Min, r.Max) }

// transform scales rates and clips them; it returns the new rates and how many
// were clipped. Of a loop, the whole bytes of the scaled service are kept: no
// target lies above them, and a filler serves less than a byte more.
func transform(rates []sample, end time.Duration, s Scale, clip *RateRange) ([]sample, int64, error) {
	if !s.IsOne() {
		total, err := scaled(rates, end, s, func(time.Duration, fill.Amount) error { return nil })
		if err != nil {
			return nil, 0, err
		}
		top := total.WholeBytes()
		var out []sample
		f := fill.New(func(at time.Duration, r trace.BitRate) bool {
			out = append(out, sample{at, r})
			return true
		})
		_, err = scaled(rates, end, s, func(to time.Duration, due fill.Amount) error {
			if top.Less(due) {
				due = top
			}
			_, err := f.To(to, due)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		rates = out
	}
	var clipped int64
	if clip != nil {
		out := make([]sample, len(rates))
		for i, x := range rates {
			r := max(min(x.rate, clip.Max), clip.Min)
			if r != x.rate {
				clipped++
			}
			out[i] = sample{x.at, r}
		}
		rates = out
	}
	return rates, clipped, nil
}

// scaled calls each with the end of each span and the scaled bit·ns due by then,
// and returns those of all.
func scaled(rates []sample, end time.Duration, s Scale, each func(to time.Duration, due fill.Amount) error) (fill.Amount, error) {
	var due fill.Amount
	var carry uint64 // of 10^9 parts of a bit·ns
	for i, x := range rates {
		to := spanEnd(rates, i, end)
		dt := uint64(to - x.at)
		// rate·num = q·10^9 + rem, so rate·dt·num/10^9 = q·dt + rem·dt/10^9.
		hi, lo := bits.Mul64(uint64(x.rate), uint64(s.Num))
		if hi >= scaleOne {
			return due, errors.New("the scaled rate is too large")
		}
		q, rem := bits.Div64(hi, lo, scaleOne)
		if q > uint64(trace.MaxRate) {
			return due, fmt.Errorf("%v times %v is above %v: choose a smaller scale", x.rate, s, trace.MaxRate)
		}
		part, left, _ := fill.Mul(rem, dt).Add(fill.Mul(carry, 1)).Div(scaleOne)
		carry = left
		due = due.Add(fill.Mul(q, dt)).Add(fill.Mul(part, 1))
		if err := each(to, due); err != nil {
			return due, err
		}
	}
	return due, nil
}

package plot

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// A tick is a labelled place on an axis; frac runs from 0 to 1 over the axis.
type tick struct {
	frac  float64
	label string
}

// A scale maps values to the height of a panel.
type scale struct {
	lo, hi float64 // values at the bottom and at the top
	log    bool
}

// frac returns where v lies, from 0 at the bottom to 1 at the top, and clamps
// what lies outside.
func (s scale) frac(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		v, lo, hi = math.Log10(max(v, lo)), math.Log10(lo), math.Log10(hi)
	}
	return min(max((v-lo)/(hi-lo), 0), 1)
}

// headroom is the free share of a panel above its highest value.
const headroom = 0.07

// linearScale covers lo to hi. It begins at 0 unless the values lie close
// together and far from 0; without any extent it covers 0 to flat.
func linearScale(lo, hi, flat float64) scale {
	switch {
	case !(lo <= hi) || lo == 0 && hi == 0:
		return scale{lo: 0, hi: flat}
	case lo >= 0 && lo < 0.6*hi || lo == hi && lo > 0:
		return scale{lo: 0, hi: hi * (1 + headroom)}
	case hi <= 0:
		return scale{lo: lo * (1 + headroom), hi: 0}
	}
	// At least a fifth of the value, so that noise does not fill the panel.
	if least := 0.2 * math.Abs(hi); hi-lo < least {
		mid := (lo + hi) / 2
		lo, hi = mid-least/2, mid+least/2
	}
	return scale{lo: lo - (hi-lo)*headroom, hi: hi + (hi-lo)*headroom}
}

// logScale begins at the 1, 2 or 5 × 10ⁿ below lo > 0, at most five decades
// below hi.
func logScale(lo, hi float64) scale {
	lo = max(lo, hi*1e-5)
	base := math.Pow(10, math.Floor(math.Log10(lo)))
	for _, m := range []float64{5, 2} {
		if m*base <= lo {
			base *= m
			break
		}
	}
	return scale{lo: base, hi: hi * 1.15, log: true}
}

// ticks returns at most most labels, at least two where the scale allows.
func (s scale) ticks(most int) []tick {
	if s.log {
		return s.logTicks(most)
	}
	step := niceStep((s.hi - s.lo) / float64(max(most, 2)-1))
	for {
		first, last := math.Ceil(s.lo/step-1e-9), math.Floor(s.hi/step+1e-9)
		if int(last-first)+1 > max(most, 2) {
			step = niceStep(step * 1.01)
			continue
		}
		var out []tick
		for k := first; k <= last; k++ {
			v := float64(k * step)
			if k == 0 {
				v = 0
			}
			out = append(out, tick{s.frac(v), number(v, step)})
		}
		return out
	}
}

func (s scale) logTicks(most int) []tick {
	for _, set := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		var out []tick
		for e := math.Floor(math.Log10(s.lo)); e <= math.Log10(s.hi); e++ {
			for _, m := range set {
				v := m * math.Pow(10, e)
				if v >= s.lo*(1-1e-9) && v <= s.hi*(1+1e-9) {
					out = append(out, tick{s.frac(v), number(v, v)})
				}
			}
		}
		if len(out) <= most {
			return out
		}
		if len(set) == 1 { // leave out decades
			k := (len(out) + most - 1) / most
			thin := out[:0]
			for i := 0; i < len(out); i += k {
				thin = append(thin, out[i])
			}
			return thin
		}
	}
	return nil
}

// niceStep returns the smallest of 1, 2 or 5 × 10ⁿ that is at least v > 0.
func niceStep(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*base >= v*(1-1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// number writes v with as many decimals as multiples of step need.
func number(v, step float64) string {
	d := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	if d > 4 || math.Abs(v) >= 1e6 {
		digits := max(6, 2+int(math.Log10(max(math.Abs(v)/step, 1))))
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
		return minus(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return minus(strconv.FormatFloat(v, 'f', d, 64))
}

// minus sets a true minus sign.
func minus(s string) string {
	if len(s) > 0 && s[0] == '-' {
		return "−" + s[1:]
	}
	return s
}

// A timeAxis labels the window from one instant to another.
type timeAxis struct {
	title string
	ticks []tick
}

const day = 24 * time.Hour

// newTimeAxis chooses the step so that labels stay apart on an axis of the
// given width; measure returns the width of a label in the same unit.
func newTimeAxis(from, to time.Duration, width float64, measure func(string) float64) timeAxis {
	const apart = 22.0
	var best timeAxis
	for step := time.Duration(1); ; {
		f := timeFormat(from, to, step)
		count := int64((to-from)/step) + 2
		if count < 200 {
			a := timeAxis{title: f.title}
			widest := 0.0
			for k := (from + step - 1) / step; k*step <= to; k++ {
				label := f.label(k * step)
				a.ticks = append(a.ticks, tick{float64(k*step-from) / float64(to-from), label})
				widest = max(widest, measure(label))
			}
			best = a
			if float64(step)/float64(to-from)*width >= widest+apart {
				return a
			}
			if len(a.ticks) <= 1 {
				return best
			}
		}
		next := nextTimeStep(step)
		if next <= step { // the longest there is
			return best
		}
		step = next
	}
}

// nextTimeStep goes through 1, 2 and 5 × 10ⁿ below a minute, then the steps of
// a clock, then 1, 2 and 5 × 10ⁿ days.
func nextTimeStep(step time.Duration) time.Duration {
	clock := []time.Duration{
		5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day,
	}
	unit := time.Duration(1)
	if step >= day {
		unit = day
	} else if step >= clock[0] {
		for _, c := range clock {
			if c > step {
				return c
			}
		}
	}
	for unit <= step/10 {
		unit *= 10
	}
	if m := step / unit; m < 2 {
		return 2 * unit
	} else if m < 5 {
		return 5 * unit
	}
	return 10 * unit
}

type timeText struct {
	title string
	label func(time.Duration) string
}

func timeFormat(from, to, step time.Duration) timeText {
	plain := func(unit time.Duration, name string) timeText {
		return timeText{"time (" + name + ")", func(t time.Duration) string {
			return number(float64(t)/float64(unit), float64(step)/float64(unit))
		}}
	}
	switch d := to - from; {
	case d < 2*time.Millisecond:
		return plain(time.Microsecond, "µs")
	case d < 2*time.Second:
		return plain(time.Millisecond, "ms")
	case to <= 5*time.Minute || step < time.Second:
		return plain(time.Second, "s")
	case d >= 4*day:
		return plain(day, "days")
	case to <= time.Hour:
		return timeText{"time (min:s)", func(t time.Duration) string {
			s := int64(t / time.Second)
			return fmt.Sprintf("%d:%02d", s/60, s%60)
		}}
	case step < time.Minute:
		return timeText{"time (h:min:s)", func(t time.Duration) string {
			s := int64(t / time.Second)
			return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
		}}
	}
	return timeText{"time (h:min)", func(t time.Duration) string {
		m := int64(t / time.Minute)
		return fmt.Sprintf("%d:%02d", m/60, m%60)
	}}
}
